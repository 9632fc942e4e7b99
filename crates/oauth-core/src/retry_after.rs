//! `Retry-After` (RFC 9110 section 10.2.3) and related header fields.

mod date;

use std::time::Duration;

use crate::http::header::RETRY_AFTER;
use crate::http::{HeaderMap, HeaderName, StatusCode};

use crate::moment::UnixTime;

const RATE_LIMIT_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The longest pause that this crate accepts from a server.
pub const CAP: Duration = Duration::from_secs(300);

/// The pause that a `Retry-After` field requests, at most `cap`. A field that occurs twice, or is neither whole seconds
/// nor an HTTP date, is ignored.
pub fn read(headers: &HeaderMap, now: UnixTime, cap: Duration) -> Option<Duration> {
    let mut fields = headers.get_all(RETRY_AFTER).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => parse(field.to_str().ok()?, now).map(|pause| pause.min(cap)),
        _ => None,
    }
}

/// The pause that a reply requests: [`read`], or, for a 429 or 503 without such a field, the time until
/// `X-RateLimit-Reset`, when the limit is lifted. In other replies the field is ignored, because gateways send it with
/// every reply.
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
    // The value is either seconds left (Envoy) or a point in time (UserTesting): a value of more than thirty years is a
    // point in time.
    let field = headers.get(RATE_LIMIT_RESET)?.to_str().ok()?;
    let reset = digits(field.trim_matches([' ', '\t']))?;
    let pause = match reset {
        0..1_000_000_000 => Duration::from_secs(reset),
        at => UnixTime::from_secs(at).since(now),
    };
    Some(pause.min(cap))
}

/// Reads one field, without a cap. White space around the value is ignored (RFC 9110 section 5.5).
pub fn parse(field: &str, now: UnixTime) -> Option<Duration> {
    let field = field.trim_matches([' ', '\t']);
    if let Some(seconds) = digits(field) {
        return Some(Duration::from_secs(seconds));
    }
    http_date(field).map(|retry_at| retry_at.since(now))
}

/// Reads an HTTP date (RFC 9110 section 5.6.7).
pub(crate) fn http_date(field: &str) -> Option<UnixTime> {
    date::read(field.trim_matches([' ', '\t']))
}

/// Decimal digits, saturating.
fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use crate::http::HeaderValue;

    use super::*;

    const NOW: UnixTime = UnixTime::from_secs(1_750_000_000);

    fn pause(status: u16, fields: &[(&'static str, &'static str)]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(
                HeaderName::from_static(name),
                HeaderValue::from_static(value),
            );
        }
        let status = StatusCode::from_u16(status).unwrap_or_default();
        limit(status, &headers, NOW, CAP).map(|pause| pause.as_secs())
    }

    #[test]
    fn whitespace_around_retry_after_is_ignored() {
        for field in ["5", " 5", "5 ", "\t5 \t"] {
            assert_eq!(parse(field, NOW), Some(Duration::from_secs(5)), "{field:?}");
        }
        for field in ["", " ", "5 5", "-5", "5.0", "5s"] {
            assert_eq!(parse(field, NOW), None, "{field:?}");
        }
    }

    #[test]
    fn rate_limit_reset_is_used_only_for_429_and_503_and_is_capped() {
        let reset = |status, value| pause(status, &[("x-ratelimit-reset", value)]);
        assert_eq!(reset(429, "60"), Some(60));
        assert_eq!(reset(503, " 60 "), Some(60));
        assert_eq!(reset(429, "1750000060"), Some(60));
        assert_eq!(reset(429, "999999999"), Some(CAP.as_secs()));
        assert_eq!(reset(429, "1999999999"), Some(CAP.as_secs()));
        for status in [200, 400, 401, 403, 500, 502] {
            assert_eq!(reset(status, "60"), None, "{status}");
        }
        let both = [("retry-after", "5"), ("x-ratelimit-reset", "60")];
        assert_eq!(pause(429, &both), Some(5));
        assert_eq!(pause(400, &[("retry-after", "9999")]), Some(CAP.as_secs()));
        assert_eq!(
            pause(429, &[("retry-after", "5"), ("retry-after", "6")]),
            None
        );
    }
}
