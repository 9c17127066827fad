//! A CSV file as CapFrameX 1.8.4 takes it, refusing also what it would load wrongly without a word.

/// The frames of a file.
#[derive(Debug, PartialEq)]
pub struct Loaded {
    /// "Unknown" where it is none.
    pub application: Option<String>,
    pub time_s: Vec<f64>,
    pub frame_ms: Vec<f64>,
    pub display_ms: Vec<f64>,
    pub dropped: Vec<bool>,
    /// Passed over by CapFrameX.
    pub power_w: Vec<Option<f64>>,
}

pub fn load(bytes: &[u8]) -> Result<Loaded, String> {
    let text = std::str::from_utf8(bytes).map_err(|e| e.to_string())?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines: Vec<&str> = text.split('\n').map(|line| line.trim_end_matches('\r')).collect();
    let Some((header, data)) = lines.split_first() else { return Err("no lines".into()) };
    if !header.starts_with("Application") && !header.contains("frametime") {
        return Err("the header is taken for data: one frame of 0 ms".into());
    }
    if data.is_empty() {
        return Err("no data row".into());
    }
    let names: Vec<&str> = header.split(',').map(str::trim).collect();
    let exact = |name: &str| names.iter().position(|n| *n == name).ok_or(format!("no {name}"));
    let any_case = |name: &str| {
        names.iter().position(|n| n.eq_ignore_ascii_case(name)).ok_or(format!("no {name}"))
    };
    let (time, dropped) = (exact("TimeInSeconds")?, exact("Dropped")?);
    let (frame, display) = (any_case("MsBetweenPresents")?, any_case("MsBetweenDisplayChange")?);
    let power = names.iter().position(|n| *n == "Note_Power_W");
    let mut loaded = Loaded {
        application: None,
        time_s: Vec::new(),
        frame_ms: Vec::new(),
        display_ms: Vec::new(),
        dropped: Vec::new(),
        power_w: Vec::new(),
    };
    for (row, line) in data.iter().enumerate() {
        if line.is_empty() || line.starts_with(['#', '/']) || line.contains('"') {
            return Err(format!("row {row}: {line:?}"));
        }
        let values: Vec<&str> = line.split(',').collect();
        if values.len() != names.len() {
            return Err(format!("row {row} has {} fields, not {}", values.len(), names.len()));
        }
        let number = |column: usize| decimal(values[column]).ok_or(format!("row {row}: {line}"));
        let (frame_ms, display_ms) = (number(frame)?, number(display)?);
        if frame_ms <= 0.0 || display_ms <= 0.0 {
            return Err(format!("row {row}: a frame of {frame_ms} ms, shown for {display_ms} ms"));
        }
        loaded.time_s.push(number(time)?);
        loaded.frame_ms.push(frame_ms);
        loaded.display_ms.push(display_ms);
        loaded.dropped.push(match values[dropped] {
            "0" => false,
            "1" => true,
            other => return Err(format!("row {row}: Dropped is {other:?}")),
        });
        loaded.power_w.push(match power.map(|column| values[column]) {
            None | Some("") => None,
            Some(_) => Some(number(power.unwrap())?),
        });
    }
    if !loaded.time_s.is_sorted() {
        return Err("times go back".into());
    }
    let wanted = ["Dropped", "TimeInSeconds", "MsBetweenPresents", "MsBetweenDisplayChange"];
    if lines.len() > 20 && wanted.iter().all(|name| header.contains(name)) {
        loaded.application = data[0].split(',').next().map(String::from);
    }
    Ok(loaded)
}

/// A plain decimal number: no exponent, no `NaN`, no thousands.
fn decimal(text: &str) -> Option<f64> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"-.".contains(&byte));
    text.parse().ok().filter(|_| is_plain)
}
