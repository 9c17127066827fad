//! Local times of other tools' files. They tell no time zone: this machine's is taken.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

/// Nanoseconds UTC of a local time. Of an hour that came twice it is the first; `None` out of range, or where this
/// machine's time zone is not known.
pub(super) fn utc_ns(local: DateTime) -> Option<i64> {
    let instant = TimeZone::try_system().ok()?.to_timestamp(local).ok()?;
    i64::try_from(instant.as_nanosecond()).ok()
}
