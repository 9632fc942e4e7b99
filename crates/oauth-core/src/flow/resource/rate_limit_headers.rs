//! Reads the rate limits that a resource server states in a reply (`Retry-After` itself: `retry_after.rs`). The limiter
//! that keeps to them is in `limiter.rs`.

use std::time::Duration;

use crate::http::header::{DATE, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use crate::http::{HeaderMap, HeaderName, StatusCode};
use serde::Deserialize;

use crate::moment::UnixTime;
use crate::retry_after;

/// The longest pause that is accepted: a day.
const MAX_PAUSE: Duration = Duration::from_secs(24 * 60 * 60);

const LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const REMAINING: HeaderName = HeaderName::from_static("ratelimit-remaining");
const LIMIT_RESET: HeaderName = HeaderName::from_static("ratelimit-reset");
const X_RESET: HeaderName = HeaderName::from_static("x-ratelimit-reset");

/// The header fields that are read, besides the reset field.
pub(super) const READ: [HeaderName; 9] = [
    WWW_AUTHENTICATE,
    LOCATION,
    RETRY_AFTER,
    DATE,
    LIMIT,
    POLICY,
    REMAINING,
    LIMIT_RESET,
    crate::dpop::NONCE_FIELD,
];

/// A number of requests in a number of seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Allowance {
    /// The number of requests.
    pub requests: u32,
    /// The length of the window in seconds.
    pub seconds: u32,
}

impl Allowance {
    /// `requests` in any `seconds`, each at least 1.
    pub const fn new(requests: u32, seconds: u32) -> Self {
        Self {
            requests: if requests == 0 { 1 } else { requests },
            seconds: if seconds == 0 { 1 } else { seconds },
        }
    }

    pub(super) const fn window(self) -> Duration {
        Duration::from_secs(self.seconds as u64)
    }
}

/// The meaning of the number in a reset field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ResetUnit {
    /// The seconds until the reset.
    Seconds,
    /// The time at which the limit is lifted, in seconds since 1970.
    UnixTime,
    /// Either of the two, distinguished by its size: no limit lasts thirty years.
    #[default]
    Either,
}

/// The field, besides `Retry-After`, with the time at which an API lifts its limit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResetField {
    name: HeaderName,
    unit: ResetUnit,
}

impl Default for ResetField {
    /// `X-RateLimit-Reset`, which most gateways send, in either unit.
    fn default() -> Self {
        Self::new(X_RESET, ResetUnit::Either)
    }
}

impl ResetField {
    /// The field of this name.
    pub const fn new(name: HeaderName, unit: ResetUnit) -> Self {
        Self { name, unit }
    }

    pub(super) const fn name(&self) -> &HeaderName {
        &self.name
    }

    fn read(&self, headers: &HeaderMap, now: UnixTime) -> Option<Duration> {
        // Gateways that count in fractions of a second are rounded up.
        let text = single_value(headers, &self.name)?;
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let rounded = u64::from(fraction.bytes().any(|digit| digit != b'0'));
        let number = digits(whole)?.saturating_add(rounded);
        let is_time = match self.unit {
            ResetUnit::Seconds => false,
            ResetUnit::UnixTime => true,
            ResetUnit::Either => number >= 1_000_000_000,
        };
        Some(if is_time {
            UnixTime::from_secs(number).since(now)
        } else {
            Duration::from_secs(number)
        })
    }
}

/// The limits in one reply.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct LimitReading {
    /// The request was refused because it was sent too soon.
    pub(super) is_refusal: bool,
    /// No further request may be sent during this pause.
    pub(super) pause: Option<Duration>,
    /// How much the server allows.
    pub(super) policy: Option<Allowance>,
}

/// Reads the status, `Retry-After`, the reset field, and the `RateLimit` fields of
/// draft-ietf-httpapi-ratelimit-headers, in its present and its two older forms.
pub(super) fn read(
    status: StatusCode,
    headers: &HeaderMap,
    reset: &ResetField,
    now: UnixTime,
) -> LimitReading {
    // A time of day is by the server's clock, so the pause is computed from that clock.
    let now = single_value(headers, &DATE)
        .and_then(retry_after::http_date)
        .unwrap_or(now);
    let draft_fields = draft_fields(headers);
    let is_limit = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
    );
    if !is_limit {
        let is_used_up = draft_fields.remaining == Some(0);
        return LimitReading {
            is_refusal: false,
            pause: draft_fields.reset.filter(|_| is_used_up).map(capped),
            policy: draft_fields.policy,
        };
    }
    let retry_after = if headers.contains_key(RETRY_AFTER) {
        retry_after::read(headers, now, MAX_PAUSE)
    } else {
        reset.read(headers, now)
    };
    let pause = retry_after.or(draft_fields.reset).map(capped);
    LimitReading {
        // A 503 without a pause may be anything.
        is_refusal: status == StatusCode::TOO_MANY_REQUESTS || pause.is_some(),
        pause,
        policy: draft_fields.policy,
    }
}

fn capped(pause: Duration) -> Duration {
    pause.min(MAX_PAUSE)
}

#[derive(Default)]
struct DraftFields {
    remaining: Option<u64>,
    reset: Option<Duration>,
    policy: Option<Allowance>,
}

fn draft_fields(headers: &HeaderMap) -> DraftFields {
    let field = |name: &HeaderName| single_value(headers, name);
    let seconds = |text: &str| digits(text).map(Duration::from_secs);
    // If there are several policies, the first is used: a host that needs more can read them itself.
    let limit = field(&LIMIT).unwrap_or_default();
    let policy = field(&POLICY).unwrap_or_default();
    let number = |short: &str, long: &str| {
        let value = parameter(limit, short).or_else(|| parameter(limit, long));
        value.and_then(digits)
    };
    let quota = parameter(policy, "q")
        .or_else(|| first_item(policy))
        .and_then(digits);
    let window = parameter(policy, "w").and_then(digits);
    DraftFields {
        remaining: number("r", "remaining").or_else(|| field(&REMAINING).and_then(digits)),
        reset: number("t", "reset")
            .map(Duration::from_secs)
            .or_else(|| field(&LIMIT_RESET).and_then(seconds)),
        policy: quota.zip(window).and_then(|(quota, window)| {
            let (quota, window) = (u32::try_from(quota).ok()?, u32::try_from(window).ok()?);
            (quota > 0 && window > 0).then(|| Allowance::new(quota, window))
        }),
    }
}

/// The value of `name=value` in the first member of a structured list, or among the members of a
/// dictionary.
fn parameter<'a>(field: &'a str, name: &str) -> Option<&'a str> {
    let mut parts = field.split([';', ',']);
    parts.find_map(|part| {
        let (key, value) = part.trim().split_once('=')?;
        (key.trim() == name).then_some(value.trim())
    })
}

fn first_item(field: &str) -> Option<&str> {
    field.split([';', ',']).next().map(str::trim)
}

/// The single value of a field; a field that occurs twice is ignored.
fn single_value<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut fields = headers.get_all(name).iter();
    match (fields.next(), fields.next()) {
        (Some(field), None) => field.to_str().ok().map(str::trim),
        _ => None,
    }
}

/// Decimal digits, saturating.
fn digits(text: &str) -> Option<u64> {
    let all_digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    all_digits.then(|| text.parse().unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use super::*;
    use crate::http::HeaderValue;

    const NOW: u64 = 1_750_000_000;

    fn reading(status: u16, fields: &[(&'static str, &str)], unit: ResetUnit) -> LimitReading {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).unwrap();
            headers.append(HeaderName::from_static(name), value);
        }
        let reset = ResetField::new(HeaderName::from_static("x-ratelimit-reset"), unit);
        let status = StatusCode::from_u16(status).unwrap();
        read(status, &headers, &reset, UnixTime::from_secs(NOW))
    }

    fn pause(status: u16, fields: &[(&'static str, &str)]) -> Option<u64> {
        let reading = reading(status, fields, ResetUnit::Either);
        reading.pause.map(|pause| pause.as_secs())
    }

    #[test]
    fn pause_is_read_from_retry_after_or_the_rate_limit_headers() {
        let epoch = (NOW + 42).to_string();
        assert_eq!(pause(429, &[("retry-after", "7")]), Some(7));
        assert_eq!(pause(503, &[("retry-after", "7")]), Some(7));
        assert_eq!(pause(429, &[("x-ratelimit-reset", "42")]), Some(42));
        assert_eq!(pause(429, &[("x-ratelimit-reset", "41.2")]), Some(42));
        assert_eq!(pause(429, &[("x-ratelimit-reset", &epoch)]), Some(42));
        assert_eq!(pause(429, &[("ratelimit", "\"default\";r=0;t=9")]), Some(9));
        let old_draft = "limit=10, remaining=0, reset=8";
        assert_eq!(pause(429, &[("ratelimit", old_draft)]), Some(8));
        assert_eq!(pause(429, &[("ratelimit-reset", "6")]), Some(6));
        assert_eq!(pause(429, &[("retry-after", "999999")]), Some(86_400));
        // The standard field takes precedence over the others, even if it is unreadable.
        let both = [("retry-after", "7"), ("x-ratelimit-reset", "42")];
        assert_eq!(pause(429, &both), Some(7));
        let malformed = [("retry-after", "soon"), ("x-ratelimit-reset", "42")];
        assert_eq!(pause(429, &malformed), None);
    }

    #[test]
    fn unit_of_the_reset_header_is_taken_from_the_preset() {
        let field = [("x-ratelimit-reset", "2000000000")];
        let pause_with_unit = |unit| reading(429, &field, unit).pause;
        assert_eq!(pause_with_unit(ResetUnit::UnixTime), Some(MAX_PAUSE));
        assert_eq!(pause_with_unit(ResetUnit::Seconds), Some(MAX_PAUSE));
        let small = [("x-ratelimit-reset", "30")];
        assert_eq!(
            reading(429, &small, ResetUnit::UnixTime).pause,
            Some(Duration::ZERO),
            "a second of 1970 is over"
        );
        let soon = (NOW + 5).to_string();
        let soon = [("x-ratelimit-reset", soon.as_str())];
        let seconds_with_unit = |unit| reading(429, &soon, unit).pause.map(|pause| pause.as_secs());
        assert_eq!(seconds_with_unit(ResetUnit::UnixTime), Some(5));
        assert_eq!(seconds_with_unit(ResetUnit::Seconds), Some(86_400));
    }

    #[test]
    fn reset_times_are_interpreted_by_the_date_header() {
        let ahead = NOW + 3_600;
        let fields = [
            ("date", "Sun, 15 Jun 2025 16:06:40 GMT"),
            ("x-ratelimit-reset", &(ahead + 30).to_string()),
        ];
        assert_eq!(pause(429, &fields), Some(30));
        let fields = [
            ("date", "Sun, 15 Jun 2025 16:06:40 GMT"),
            ("retry-after", "Sun, 15 Jun 2025 16:07:00 GMT"),
        ];
        assert_eq!(pause(429, &fields), Some(20));
    }

    #[test]
    fn only_429_and_503_with_retry_after_are_refusals() {
        let refused = |status, fields: &[(&'static str, &str)]| {
            reading(status, fields, ResetUnit::Either).is_refusal
        };
        assert!(refused(429, &[]));
        assert!(refused(503, &[("retry-after", "1")]));
        assert!(!refused(503, &[]));
        assert!(!refused(500, &[("retry-after", "1")]));
        assert!(!refused(200, &[("x-ratelimit-reset", "5")]));
        assert!(!refused(200, &[("ratelimit", "\"default\";r=0;t=9")]));
    }

    #[test]
    fn successful_reply_with_no_remaining_requests_sets_a_pause() {
        assert_eq!(pause(200, &[("ratelimit", "\"default\";r=0;t=9")]), Some(9));
        assert_eq!(pause(200, &[("ratelimit", "\"default\";r=1;t=9")]), None);
        let three = [("ratelimit-remaining", "0"), ("ratelimit-reset", "4")];
        assert_eq!(pause(200, &three), Some(4));
        // A field that gateways send with every reply is ignored.
        assert_eq!(pause(200, &[("x-ratelimit-reset", "5")]), None);
    }

    #[test]
    fn ratelimit_policy_requires_a_valid_quota_and_window() {
        let policy =
            |text: &str| reading(200, &[("ratelimit-policy", text)], ResetUnit::Either).policy;
        assert_eq!(
            policy("\"default\";q=100;w=60"),
            Some(Allowance::new(100, 60))
        );
        assert_eq!(policy("100;w=60"), Some(Allowance::new(100, 60)));
        for nothing in [
            "\"default\";q=100",
            "q=0;w=60",
            "q=1;w=0",
            "q=99999999999;w=1",
            "",
        ] {
            assert_eq!(policy(nothing), None, "{nothing}");
        }
    }
}
