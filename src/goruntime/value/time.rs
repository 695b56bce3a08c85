//! `time.Time` as a date: RFC 3339 in UTC, and the monotonic reading where there is one.

use super::{Place, Reader};
use crate::symbols::dwarf::GoType;

/// `wall` holds seconds since 1885 and nanoseconds, `ext` the monotonic clock.
const HAS_MONOTONIC: u64 = 1 << 63;
const NSEC_BITS: u32 = 30;
/// From the unix epoch to 1885-01-01 and to 0001-01-01, seconds.
const UNIX_1885: i64 = -2_682_288_000;
const UNIX_YEAR_1: i64 = -62_135_596_800;
const DAY: i64 = 86_400;

pub(super) fn text(r: &Reader<'_>, place: &Place, ty: &GoType) -> Option<String> {
    let wall = r.word(&place.part(ty.field("wall")?.offset), 0).ok()?;
    let ext = r.word(&place.part(ty.field("ext")?.offset), 0).ok()? as i64;
    if wall & HAS_MONOTONIC != 0 {
        let sec = (wall << 1 >> (NSEC_BITS + 1)) as i64;
        return Some(format!("{}, {ext:+}", rfc3339(sec + UNIX_1885)?));
    }
    rfc3339(ext.checked_add(UNIX_YEAR_1)?)
}

/// Seconds since 1970 as a UTC date (proleptic Gregorian calendar).
fn rfc3339(unix: i64) -> Option<String> {
    let (days, secs) = (unix.div_euclid(DAY), unix.rem_euclid(DAY));
    // Civil from days, counted in eras of 400 years that begin on 1 March.
    let z = days.checked_add(719_468)?;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let day = doy - (153 * mp + 2) / 5 + 1;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    let year = yoe + era * 400 + i64::from(month <= 2);
    if !(-9_999..=99_999).contains(&year) {
        return None;
    }
    Some(format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", secs / 3_600, secs / 60 % 60, secs % 60))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn dates() {
        assert_eq!(rfc3339(0).as_deref(), Some("1970-01-01T00:00:00Z"));
        assert_eq!(rfc3339(1_709_210_096).as_deref(), Some("2024-02-29T12:34:56Z"));
        assert_eq!(rfc3339(UNIX_YEAR_1).as_deref(), Some("0001-01-01T00:00:00Z"));
    }
}
