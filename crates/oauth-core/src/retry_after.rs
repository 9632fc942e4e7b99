//! `Retry-After` (RFC 9110 section 10.2.3) and its relatives.

use std::time::{Duration, UNIX_EPOCH};

use http::HeaderMap;
use http::header::RETRY_AFTER;

use crate::moment::UnixTime;

/// The longest pause a server can ask of this crate.
pub const CAP: Duration = Duration::from_secs(300);

/// The pause a reply asks for, at most `cap`. A field that stands twice, or that is neither
/// whole seconds nor an HTTP date, says nothing.
pub fn read(headers: &HeaderMap, now: UnixTime, cap: Duration) -> Option<Duration> {
    let mut fields = headers.get_all(RETRY_AFTER).iter();
    let (first, second) = (fields.next(), fields.next());
    match (first, second) {
        (Some(field), None) => parse(field.to_str().ok()?, now).map(|pause| pause.min(cap)),
        // UserTesting and others name the second at which the limit is lifted instead.
        (None, _) => {
            let reset = headers.get("x-ratelimit-reset")?.to_str().ok()?;
            let at = digits(reset).map(UnixTime::from_secs)?;
            Some(at.since(now).min(cap))
        }
        _ => None,
    }
}

/// Reads one field, without a cap.
pub fn parse(field: &str, now: UnixTime) -> Option<Duration> {
    if let Some(seconds) = digits(field) {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(field).ok()?;
    let at = date.duration_since(UNIX_EPOCH).ok()?;
    Some(UnixTime::from_secs(at.as_secs()).since(now))
}

/// Decimal digits, saturating.
fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}
