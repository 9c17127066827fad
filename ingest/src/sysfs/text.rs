//! The text in such files: lines, fields, numbers.

/// The lines of a text, without their ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = memchr::memchr(b'\n', rest);
        let line = &rest[..end.unwrap_or(rest.len())];
        rest = end.map_or(&[], |i| &rest[i + 1..]);
        Some(line)
    })
}

/// The fields of a line, between any number of blanks.
pub fn fields(line: &[u8]) -> impl Iterator<Item = &[u8]> {
    line.split(u8::is_ascii_whitespace).filter(|f| !f.is_empty())
}

/// An unsigned decimal number; `None` if the field is anything else or does not fit.
pub fn number(field: &[u8]) -> Option<u64> {
    if field.is_empty() {
        return None;
    }
    field.iter().try_fold(0u64, |n, &b| {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 { None } else { n.checked_mul(10)?.checked_add(digit.into()) }
    })
}

/// A decimal number with an optional minus sign, blanks around it ignored.
pub fn signed(text: &[u8]) -> Option<i64> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn numbers_are_those_of_the_standard_library(text in "[0-9]{0,22}|[-+ 0-9a-f]{0,4}") {
            let naive = if text.starts_with('+') { None } else { text.parse().ok() };
            prop_assert_eq!(number(text.as_bytes()), naive);
        }

        #[test]
        fn lines_are_those_of_the_standard_library(text in "[a\n]{0,12}") {
            let naive: Vec<_> = text.split_terminator('\n').map(str::as_bytes).collect();
            prop_assert_eq!(lines(text.as_bytes()).collect::<Vec<_>>(), naive);
        }
    }

    #[test]
    fn fields_are_between_blanks() {
        assert_eq!(fields(b"  a  bc\t3 ").collect::<Vec<_>>(), [&b"a"[..], b"bc", b"3"]);
        assert_eq!(signed(b"-41850\n"), Some(-41850));
        assert_eq!(signed(b"\n"), None);
    }
}
