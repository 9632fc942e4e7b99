//! `Retry-After` (RFC 9110 section 10.2.3) and its relatives.

use std::time::{Duration, UNIX_EPOCH};

use http::header::RETRY_AFTER;
use http::{HeaderMap, StatusCode};

use crate::moment::UnixTime;

/// The longest pause a server can ask of this crate.
pub const CAP: Duration = Duration::from_secs(300);

/// The pause a `Retry-After` field asks for, at most `cap`. A field that stands twice, or that is
/// neither whole seconds nor an HTTP date, says nothing.
pub fn read(headers: &HeaderMap, now: UnixTime, cap: Duration) -> Option<Duration> {
    let mut fields = headers.get_all(RETRY_AFTER).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => parse(field.to_str().ok()?, now).map(|pause| pause.min(cap)),
        _ => None,
    }
}

/// The pause a reply asks for: [`read`], or, of a 429 or 503 that has no such field, when
/// `X-RateLimit-Reset` says that the limit is lifted. Gateways send that field with every reply,
/// so elsewhere it means nothing.
pub fn limit(
    status: StatusCode,
    headers: &HeaderMap,
    now: UnixTime,
    cap: Duration,
) -> Option<Duration> {
    let is_limited = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    if !is_limited || headers.contains_key(RETRY_AFTER) {
        return read(headers, now, cap);
    }
    // UserTesting names the second, Envoy how many are left: no limit lasts thirty years.
    let field = headers.get("x-ratelimit-reset")?.to_str().ok()?;
    let reset = digits(field.trim_matches([' ', '\t']))?;
    let pause = match reset {
        0..1_000_000_000 => Duration::from_secs(reset),
        at => UnixTime::from_secs(at).since(now),
    };
    Some(pause.min(cap))
}

/// Reads one field, without a cap. White space around it is not part of it (RFC 9110 section 5.5).
pub fn parse(field: &str, now: UnixTime) -> Option<Duration> {
    let field = field.trim_matches([' ', '\t']);
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
