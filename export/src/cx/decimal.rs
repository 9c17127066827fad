//! Whole numbers of small units, written as decimal numbers of larger ones: exact, and without an exponent.

/// Appends `value / 10^DIGITS`, without zeros at its end.
pub(super) fn push_scaled<const DIGITS: usize>(out: &mut Vec<u8>, value: i64) {
    let scale = const { 10_u64.pow(DIGITS as u32) };
    if value < 0 {
        out.push(b'-');
    }
    let value = value.unsigned_abs();
    let mut buffer = itoa::Buffer::new();
    out.extend_from_slice(buffer.format(value / scale).as_bytes());
    let mut rest = value % scale;
    if rest == 0 {
        return;
    }
    let mut digits = [b'0'; DIGITS];
    let mut len = DIGITS;
    for at in (0..DIGITS).rev() {
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    while len > 0 && digits[len - 1] == b'0' {
        len -= 1;
    }
    out.push(b'.');
    out.extend_from_slice(&digits[..len]);
}

/// Appends nanoseconds as milliseconds.
pub(super) fn push_ms(out: &mut Vec<u8>, ns: i64) {
    push_scaled::<6>(out, ns);
}

/// Appends nanoseconds as seconds.
pub(super) fn push_s(out: &mut Vec<u8>, ns: i64) {
    push_scaled::<9>(out, ns);
}

/// Appends a finite value, rounded to a thousandth: what boards tell.
pub(super) fn push_milli(out: &mut Vec<u8>, value: f64) {
    push_scaled::<3>(out, (value * 1e3).round() as i64);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(push: impl Fn(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        push(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn decimals_are_exact_and_plain() {
        assert_eq!(text(|o| push_ms(o, 16_666_667)), "16.666667");
        assert_eq!(text(|o| push_ms(o, 1)), "0.000001");
        assert_eq!(text(|o| push_ms(o, 5_000_000)), "5");
        assert_eq!(text(|o| push_ms(o, 5_100_000)), "5.1");
        assert_eq!(text(|o| push_s(o, -1_050_000_000)), "-1.05");
        assert_eq!(text(|o| push_s(o, 0)), "0");
        assert_eq!(text(|o| push_milli(o, 240.0004)), "240");
        assert_eq!(text(|o| push_milli(o, 0.1235)), "0.124");
        assert_eq!(text(|o| push_ms(o, i64::MIN)), "-9223372036854.775808");
    }
}
