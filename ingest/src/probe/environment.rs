//! The variables that bring the tracer into an application.

use std::ffi::OsString;
use std::path::Path;

use super::{Probe, ProbeError, Stage};

/// What GStreamer's parser of `GST_TRACERS` takes for its own even in quotes, and what is no text.
const IN_THE_WAY: [char; 4] = [';', ')', '\0', char::REPLACEMENT_CHARACTER];

/// `GST_PLUGIN_PATH` and `GST_TRACERS`, with what `existing` has in them: other tracers go on.
pub(super) fn variables(
    probe: &Probe,
    reports: &Path,
    existing: impl Fn(&str) -> Option<OsString>,
) -> Result<[(&'static str, OsString); 2], ProbeError> {
    let mut path = probe.plugin_folder.as_os_str().to_owned();
    if let Some(more) = existing("GST_PLUGIN_PATH").filter(|more| !more.is_empty()) {
        path.push(":");
        path.push(more);
    }
    let mut tracers = existing("GST_TRACERS").unwrap_or_default();
    if !tracers.is_empty() {
        tracers.push(";");
    }
    tracers.push(tracer(probe, reports)?);
    Ok([("GST_PLUGIN_PATH", path), ("GST_TRACERS", tracers)])
}

fn tracer(probe: &Probe, reports: &Path) -> Result<String, ProbeError> {
    let socket = quoted("the events socket", &probe.socket.to_string_lossy())?;
    let report = quoted("the temporary folder", &reports.to_string_lossy())?;
    let stages: Vec<String> = probe.stages.iter().map(Stage::to_string).collect();
    let stages = quoted("the list of stages", &stages.join("+"))?;
    Ok(format!("bl(socket={socket},report={report},stages={stages})"))
}

/// GStreamer splits the variable at semicolons and ends a tracer at a closing bracket, quotes or not.
fn quoted(what: &'static str, value: &str) -> Result<String, ProbeError> {
    if let Some(character) = value.chars().find(|c| IN_THE_WAY.contains(c)) {
        return Err(ProbeError::Unspeakable { what, value: value.to_owned(), character });
    }
    Ok(format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn probe(socket: &str, stages: &str) -> Probe {
        Probe {
            command: Vec::new(),
            stages: Stage::parse_list(stages).unwrap_or_default(),
            socket: socket.into(),
            plugin_folder: "/opt/bl".into(),
        }
    }

    #[test]
    fn what_was_there_stays() {
        let probe = probe("/run/e.sock", "in=src.src+out=enc.src");
        let tracer = r#"bl(socket="/run/e.sock",report="/tmp/r",stages="in=src.src+out=enc.src")"#;
        let reports = Path::new("/tmp/r");
        let alone = variables(&probe, reports, |_| None).unwrap();
        assert_eq!(alone, [("GST_PLUGIN_PATH", "/opt/bl".into()), ("GST_TRACERS", tracer.into())]);
        let beside = variables(&probe, reports, |name| match name {
            "GST_TRACERS" => Some("latency(flags=element)".into()),
            _ => Some("/a:/b".into()),
        });
        let both = format!("latency(flags=element);{tracer}");
        assert_eq!(
            beside.unwrap(),
            [("GST_PLUGIN_PATH", "/opt/bl:/a:/b".into()), ("GST_TRACERS", both.into())]
        );
    }

    #[test]
    fn what_gstreamer_cannot_read_is_refused() {
        for (socket, character) in [("/a;b", ';'), ("/a(1)", ')')] {
            let refused = variables(&probe(socket, ""), Path::new("/tmp"), |_| None);
            assert!(
                matches!(refused, Err(ProbeError::Unspeakable { character: c, .. }) if c == character)
            );
        }
        let quoted = variables(&probe(r#"/a "b" \c"#, ""), Path::new("/t"), |_| None).unwrap();
        let expected = r#"bl(socket="/a \"b\" \\c",report="/t",stages="")"#;
        assert_eq!(quoted[1].1, expected);
    }
}
