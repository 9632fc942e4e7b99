//! HTTP dates (RFC 9110 section 5.6.7), in their three formats.

use crate::moment::UnixTime;

const WEEKDAYS: [&str; 7] = [
    "Thursday",
    "Friday",
    "Saturday",
    "Sunday",
    "Monday",
    "Tuesday",
    "Wednesday",
];

const MONTHS: [&str; 12] = [
    "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
];

/// Reads a date since 1970. The parts are read in any position, and then the text must match its format exactly,
/// including the day of the week.
pub(super) fn read(field: &str) -> Option<UnixTime> {
    let mut parts = field.split([' ', ',', '-']).filter(|part| !part.is_empty());
    let mut next = || parts.next();
    let (_, first, second, third, fourth) = (next()?, next()?, next()?, next()?, next()?);
    let is_asctime = next().is_none();
    let (day, month, year, time) = if is_asctime {
        (second, first, fourth, third)
    } else {
        (first, second, third, fourth)
    };
    let is_short = year.len() == 2;
    let (day, year) = (number(day)?, number(year)?);
    let full_year = match year {
        0..70 if is_short => 2000 + year,
        _ if is_short => 1900 + year,
        _ => year,
    };
    let month_index = MONTHS.iter().position(|month_name| *month_name == month)?;
    let mut clock = time.split(':').map(number);
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    let first_of_month = days_before(full_year, month_index);
    let following = match month_index {
        11 => days_before(full_year + 1, 0),
        _ => days_before(full_year, month_index + 1),
    };
    let days = (first_of_month + day).checked_sub(1)?;
    let is_date = (1970..10_000).contains(&full_year) && day > 0 && days < following;
    // A leap second is :60 (RFC 9110 section 5.6.7), and begins the next minute by a clock that has none.
    if !is_date || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let weekday = WEEKDAYS.get(usize::try_from(days % 7).ok()?)?;
    let short_weekday = weekday.get(..3)?;
    let time = format!("{hour:02}:{minute:02}:{second:02}");
    let canonical = if is_asctime {
        format!("{short_weekday} {month} {day:02} {time} {year}")
    } else if is_short {
        format!("{weekday}, {day:02}-{month}-{year:02} {time} GMT")
    } else {
        format!("{short_weekday}, {day:02} {month} {year} {time} GMT")
    };
    let seconds = days * 86_400 + hour * 3600 + minute * 60 + second;
    (canonical == field.replacen("  ", " 0", 1)).then(|| UnixTime::from_secs(seconds))
}

fn number(text: &str) -> Option<u64> {
    text.parse().ok().filter(|number| *number < 10_000)
}

/// The days from 1970 to the first of a month, for years from 1970.
fn days_before(year: u64, month: usize) -> u64 {
    let leap_days = |year: u64| year / 4 - year / 100 + year / 400;
    let is_leap = leap_days(year) > leap_days(year.saturating_sub(1));
    let lengths = [
        31,
        28 + u64::from(is_leap),
        31,
        30,
        31,
        30,
        31,
        31,
        30,
        31,
        30,
        31,
    ];
    let years = year.saturating_sub(1970) * 365
        + leap_days(year.saturating_sub(1)).saturating_sub(leap_days(1969));
    years + lengths.iter().take(month).sum::<u64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::{Duration, UNIX_EPOCH};

    fn parse_with_httpdate(text: &str) -> Option<UnixTime> {
        let date = httpdate::parse_http_date(text).ok()?;
        let at = date.duration_since(UNIX_EPOCH).ok()?;
        Some(UnixTime::from_secs(at.as_secs()))
    }

    #[test]
    fn every_http_date_format_is_parsed() {
        let at = UnixTime::from_secs(784_111_777);
        for text in [
            "Sun, 06 Nov 1994 08:49:37 GMT",
            "Sunday, 06-Nov-94 08:49:37 GMT",
            "Sun Nov  6 08:49:37 1994",
            "Sun Nov 06 08:49:37 1994",
        ] {
            assert_eq!(read(text), Some(at), "{text}");
            assert_eq!(parse_with_httpdate(text), Some(at), "{text}");
        }
    }

    #[test]
    fn leap_second_is_accepted() {
        let at = UnixTime::from_secs(1_483_228_800);
        for text in [
            "Sat, 31 Dec 2016 23:59:60 GMT",
            "Saturday, 31-Dec-16 23:59:60 GMT",
            "Sat Dec 31 23:59:60 2016",
            "Sun, 01 Jan 2017 00:00:00 GMT",
        ] {
            assert_eq!(read(text), Some(at), "{text}");
        }
    }

    #[test]
    fn invalid_date_is_refused() {
        for text in [
            "",
            "Mon, 06 Nov 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 08:49:37 UTC",
            "Sun, 06 Nov 1994 24:00:00 GMT",
            "Sun, 06 Nov 1994 08:49:61 GMT",
            "Sun, 06 Nov 1994 08:60:00 GMT",
            "Sun, 06 Nov 1994 08:49 GMT",
            "Sun, 31 Feb 1994 08:49:37 GMT",
            "Mon, 31 Apr 1995 00:00:00 GMT",
            "Wed, 29 Feb 2100 00:00:00 GMT",
            "Sun Nov 6 08:49:37 1994",
            "Wed, 31 Dec 1969 23:59:59 GMT",
        ] {
            assert_eq!(read(text), None, "{text}");
            assert_eq!(parse_with_httpdate(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn parser_agrees_with_httpdate_on_valid_dates(seconds in 0u64..253_402_300_800) {
            let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
            prop_assert_eq!(read(&text), Some(UnixTime::from_secs(seconds)));
        }

        #[test]
        fn parser_agrees_with_httpdate_on_random_dates(
            text in "(Mon|Tue|Fri|Sun), [0-3][0-9] (Jan|Feb|Apr|Dec) (19|20)[0-9]{2} [0-2][0-9]:[0-6][0-9]:[0-6][0-9] GMT"
        ) {
            let leap = text.ends_with(":60 GMT").then(|| text.replace(":60 GMT", ":59 GMT"));
            let theirs = match leap {
                // Unix times ignore leap seconds.
                Some(before) => parse_with_httpdate(&before).map(|at| UnixTime::from_secs(at.as_secs() + 1)),
                None => parse_with_httpdate(&text),
            };
            prop_assert_eq!(read(&text), theirs);
        }
    }
}
