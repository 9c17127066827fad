//! How things are told to a person.

use std::io;

/// Whether an error only says that whoever reads our output has gone: no error at all.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// An error as one sentence: each cause once, outermost first.
pub fn sentence(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !text.contains(&cause) {
            if !text.is_empty() {
                text.push_str(": ");
            }
            text.push_str(&cause);
        }
    }
    text
}

/// A number with its thousands apart: 12,345.
pub fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// A span of time for reading: `0.8 s`, `12 s`, `3 min 05 s`, `2 h 10 min`.
pub fn span(ns: i64) -> String {
    let seconds = ns as f64 / 1e9;
    match seconds {
        s if s < 10.0 => format!("{s:.1} s"),
        s if s < 60.0 => format!("{s:.0} s"),
        s if s < 3600.0 => format!("{} min {:02} s", s as u64 / 60, s as u64 % 60),
        s => format!("{} h {:02} min", s as u64 / 3600, s as u64 % 3600 / 60),
    }
}

/// An instant for reading: `2025-11-11 14:30:00 UTC`.
pub fn instant(utc_ns: i64) -> String {
    let time = jiff::Timestamp::from_second(utc_ns.div_euclid(1_000_000_000))
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Rows of words in columns, the first row a heading; numbers to the right.
pub fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.first().map_or(0, Vec::len);
    let width = |c: usize| rows.iter().map(|r| r[c].chars().count()).max().unwrap_or(0);
    let is_number = |c: usize| {
        rows.len() > 1
            && rows[1..].iter().all(|r| {
                r[c].is_empty() || r[c].chars().all(|d| d.is_ascii_digit() || ",.-".contains(d))
            })
    };
    let shape: Vec<(usize, bool)> = (0..count).map(|c| (width(c), is_number(c))).collect();
    let mut out = String::new();
    for row in rows {
        let cells: Vec<String> = row
            .iter()
            .zip(&shape)
            .map(
                |(text, (w, number))| {
                    if *number { format!("{text:>w$}") } else { format!("{text:<w$}") }
                },
            )
            .collect();
        out.push_str(cells.join("  ").trim_end());
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_spans_read_well() {
        assert_eq!([0, 999, 1000, 1234567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!(span(800_000_000), "0.8 s");
        assert_eq!(span(185_000_000_000), "3 min 05 s");
        assert_eq!(span(7_800_000_000_000), "2 h 10 min");
    }
}
