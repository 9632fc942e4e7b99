//! Formats times for people and programs.

use oauth_core::moment::UnixTime;

const DAY: u64 = 86_400;
const YEAR: u64 = 365 * DAY;

/// RFC 3339 in UTC, such as `2025-06-15T15:06:40Z`.
pub(crate) fn rfc3339(time: UnixTime) -> String {
    let (days, second) = (time.as_secs() / DAY, time.as_secs() % DAY);
    let (year, month, day) = date_from_days(days);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// A time relative to now, such as `in 4 minutes` or `3 days ago`: whole units, the largest that fits.
pub(crate) fn relative(time: UnixTime, now: UnixTime) -> String {
    let (time, now) = (time.as_secs(), now.as_secs());
    let distance = time.abs_diff(now);
    let (count, unit) = match distance {
        0 => return "now".to_owned(),
        1..60 => (distance, "second"),
        60..3600 => (distance / 60, "minute"),
        3600..DAY => (distance / 3600, "hour"),
        DAY..YEAR => (distance / DAY, "day"),
        _ => (distance / YEAR, "year"),
    };
    let plural = if count == 1 { "" } else { "s" };
    if time > now {
        format!("in {count} {unit}{plural}")
    } else {
        format!("{count} {unit}{plural} ago")
    }
}

/// Days since 1970-01-01 as year, month and day (Howard Hinnant's `civil_from_days`): years start
/// in March, so that the leap day is the last day of a year.
const fn date_from_days(days: u64) -> (u64, u64, u64) {
    let days = days + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 {
        shifted + 3
    } else {
        shifted - 9
    };
    let january_and_february = if month <= 2 { 1 } else { 0 };
    (era * 400 + year_of_era + january_and_february, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_are_formatted_as_rfc3339() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_799, "2000-02-29T23:59:59Z"),
            (1_750_000_000, "2025-06-15T15:06:40Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(rfc3339(UnixTime::from_secs(seconds)), text);
        }
    }

    #[test]
    fn relative_times_are_formatted_in_words() {
        let now = UnixTime::from_secs(1_000_000_000);
        let at =
            |seconds: i64| UnixTime::from_secs(1_000_000_000_u64.saturating_add_signed(seconds));
        for (seconds, words) in [
            (0, "now"),
            (1, "in 1 second"),
            (-59, "59 seconds ago"),
            (60, "in 1 minute"),
            (299, "in 4 minutes"),
            (-3600, "1 hour ago"),
            (86_399, "in 23 hours"),
            (-3 * 86_400 - 5, "3 days ago"),
            (364 * 86_400, "in 364 days"),
            (-365 * 86_400, "1 year ago"),
        ] {
            assert_eq!(relative(at(seconds), now), words);
        }
        let last = UnixTime::from_secs(u64::MAX);
        assert!(relative(last, now).ends_with(" years"));
    }
}
