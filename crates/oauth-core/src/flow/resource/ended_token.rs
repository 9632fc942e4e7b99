//! Rules for APIs that report an expired or revoked token without a Bearer challenge: only by a status, or by a code
//! in a small JSON body, which may come with a 200.
//!
//! RFC 6750 section 3.1 specifies a 401 with `invalid_token` for this, which needs no rule. Some APIs respond with 403
//! or 404, and some with 200 and an error in the body, such as Slack (`{"ok":false,"error":"token_expired"}`).

use std::sync::Arc;

use crate::error::{Error, Misuse};
use crate::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use crate::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use crate::json::{self, Json};

/// The largest part of a body that is read, in bytes: bodies that report an expired token are far shorter.
pub(super) const MAX_PEEKED_BYTES: usize = 16 << 10;

/// The header fields that decide whether a body is read.
const READ: [HeaderName; 2] = [CONTENT_TYPE, CONTENT_LENGTH];

/// One way in which an API reports that a token has expired: a status, and members of a JSON body that must all match.
/// A matching reply is handled like a 401 about the token: the token is renewed once, and the request repeated.
///
/// A rule that is too wide costs a renewal for each such reply; so a rule without members is only for errors.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpiredTokenReply {
    status: StatusCode,
    members: Vec<Member>,
}

/// A member of the body, and the values that match.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Member {
    path: Vec<String>,
    values: Vec<String>,
}

impl ExpiredTokenReply {
    /// A rule for replies with this status.
    ///
    /// # Errors
    /// `misuse.setup` for a status that is neither 2xx nor 4xx, and for 429, which is about a limit.
    pub fn new(status: u16) -> Result<Self, Error> {
        let valid_status = StatusCode::from_u16(status).ok();
        let valid_status =
            valid_status.filter(|status| status.is_success() || status.is_client_error());
        let status = valid_status
            .filter(|status| *status != StatusCode::TOO_MANY_REQUESTS)
            .ok_or_else(|| {
                invalid_rule(&format!(
                    "{status} is not a status that can report an expired token"
                ))
            })?;
        Ok(Self {
            status,
            members: Vec::new(),
        })
    }

    /// Requires that the member at this path of the JSON body has one of these values. Names are separated by dots, as
    /// in `error.code`; numbers and booleans are given as JSON writes them.
    #[must_use]
    pub fn member<V: Into<String>>(
        mut self,
        path: &str,
        values: impl IntoIterator<Item = V>,
    ) -> Self {
        self.members.push(Member {
            path: path.split('.').map(str::to_owned).collect(),
            values: values.into_iter().map(Into::into).collect(),
        });
        self
    }

    /// Reads rules from a JSON list, as files and other languages have them:
    /// `[{"status": 200, "body": {"ok": [false], "error": ["token_expired"]}}]`. `body` may be left out.
    ///
    /// # Errors
    /// `misuse.setup`, naming what is wrong.
    pub fn from_json(text: &str) -> Result<Vec<Self>, Error> {
        let wrong = || invalid_rule("a rule has `status`, and for `body` an object of lists");
        let Ok(Json::Array(all)) = json::parse(text) else {
            return Err(invalid_rule("rules are a JSON list"));
        };
        let read = |rule: &Json<'_>| {
            let Json::Object(rule) = rule else {
                return Err(wrong());
            };
            let is_known_member = |name: &str| ["status", "body"].contains(&name);
            let Some(Json::Unsigned(status)) = rule.get("status") else {
                return Err(wrong());
            };
            if !rule.iter().all(|(name, _)| is_known_member(name)) {
                return Err(wrong());
            }
            let status = u16::try_from(*status).map_err(|_| wrong())?;
            match rule.get("body") {
                None => Ok(Self::new(status)?),
                Some(Json::Object(body)) => {
                    body.iter()
                        .try_fold(Self::new(status)?, |rule, (path, values)| {
                            let Json::Array(values) = values else {
                                return Err(wrong());
                            };
                            let values: Option<Vec<String>> =
                                values.iter().map(Json::as_text).collect();
                            Ok(rule.member(path, values.ok_or_else(wrong)?))
                        })
                }
                Some(_) => Err(wrong()),
            }
        };
        all.iter().map(read).collect()
    }

    /// Checks that the rule does not match successful replies.
    fn check(&self) -> Result<(), Error> {
        let is_complete = |member: &Member| {
            !member.values.is_empty() && !member.path.iter().any(String::is_empty)
        };
        if self.members.is_empty() && self.status.is_success() {
            return Err(invalid_rule(
                "a 2xx alone says nothing of a token: name a member of its body",
            ));
        }
        if self.members.iter().all(is_complete) {
            Ok(())
        } else {
            Err(invalid_rule("a member has a name and at least one value"))
        }
    }

    fn matches(&self, body: &Json<'_>) -> bool {
        self.members.iter().all(|member| {
            let mut at = Some(body);
            for name in &member.path {
                at = match at {
                    Some(Json::Object(object)) => object.get(name),
                    _ => None,
                };
            }
            let text = at.and_then(Json::as_text);
            text.is_some_and(|text| member.values.contains(&text))
        })
    }
}

fn invalid_rule(reason: &str) -> Error {
    Error::from(Misuse::Setup).about(&format!("ended tokens: {reason}"))
}

/// The rules of one API.
#[derive(Debug, Clone, Default)]
pub(super) struct EndedTokens(Arc<[ExpiredTokenReply]>);

/// What the status and header of a reply show about the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TokenVerdict {
    /// The token has expired.
    Ended,
    /// The body has to be read.
    PerhapsInTheBody,
    Nothing,
}

impl EndedTokens {
    pub(super) fn new(rules: Vec<ExpiredTokenReply>) -> Result<Self, Error> {
        rules.iter().try_for_each(ExpiredTokenReply::check)?;
        Ok(Self(rules.into()))
    }

    /// The header field of this name, if it is read.
    pub(super) fn field(&self, name: &[u8]) -> Option<HeaderName> {
        if self.0.is_empty() {
            None
        } else {
            crate::exchange::field_named(name, &READ)
        }
    }

    pub(super) fn by_head(&self, status: StatusCode, headers: &HeaderMap) -> TokenVerdict {
        let mut rules = self
            .0
            .iter()
            .filter(|rule| rule.status == status)
            .peekable();
        if rules.peek().is_none() {
            return TokenVerdict::Nothing;
        }
        if rules.any(|rule| rule.members.is_empty()) {
            return TokenVerdict::Ended;
        }
        if is_json(headers) && is_short(headers) {
            TokenVerdict::PerhapsInTheBody
        } else {
            TokenVerdict::Nothing
        }
    }

    /// Whether the body reports an expired token. A truncated body is not valid JSON, and matches nothing.
    pub(super) fn by_body(&self, status: StatusCode, body: &[u8]) -> bool {
        let text = body
            .get(..MAX_PEEKED_BYTES.min(body.len()))
            .unwrap_or_default();
        let Some(body) = std::str::from_utf8(text)
            .ok()
            .and_then(|text| json::parse(text).ok())
        else {
            return false;
        };
        let mut rules = self.0.iter().filter(|rule| rule.status == status);
        rules.any(|rule| rule.matches(&body))
    }
}

/// `application/json`, or a type with the suffix `+json` (RFC 6839 section 3.1).
fn is_json(headers: &HeaderMap) -> bool {
    let value = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    let essence = value
        .and_then(|value| value.split(';').next())
        .unwrap_or_default();
    let essence = essence.trim().to_ascii_lowercase();
    essence == "application/json" || essence.ends_with("+json")
}

/// Whether the body may be short enough to be read.
fn is_short(headers: &HeaderMap) -> bool {
    let length = headers.get(CONTENT_LENGTH).map(HeaderValue::to_str);
    match length {
        None => true,
        Some(length) => length.is_ok_and(|length| {
            length
                .parse()
                .is_ok_and(|length: usize| length <= MAX_PEEKED_BYTES)
        }),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)] // tests may panic
mod tests {
    use super::*;

    fn headers(kind: &'static str, length: Option<&'static str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        if let Some(length) = length {
            headers.insert(CONTENT_LENGTH, HeaderValue::from_static(length));
        }
        headers
    }

    fn rules(text: &str) -> Result<EndedTokens, Error> {
        EndedTokens::new(ExpiredTokenReply::from_json(text)?)
    }

    #[test]
    fn rule_matches_only_if_every_member_has_an_allowed_value() {
        let slack = rules(
            r#"[{"status":200,"body":{"ok":[false],"error":["token_expired","token_revoked"]}}]"#,
        )
        .unwrap();
        let fits = |body: &str| slack.by_body(StatusCode::OK, body.as_bytes());
        assert!(fits(r#"{"ok":false,"error":"token_expired"}"#));
        assert!(fits(r#" {"error":"token_revoked","ok":false,"more":[1]} "#));
        for other in [
            r#"{"ok":false,"error":"ratelimited"}"#,
            r#"{"ok":true,"error":"token_expired"}"#,
            r#"{"error":"token_expired"}"#,
            r#"{"ok":false,"error":["token_expired"]}"#,
            r#"{"ok":false,"error":{"token_expired":1}}"#,
            r#"[{"ok":false,"error":"token_expired"}]"#,
            r#"{"ok":false,"error":"token_expired""#,
            r#"{"ok":false,"error":"token_expired","error":"x"}"#,
            "",
            "\u{feff}{}",
        ] {
            assert!(!fits(other), "{other}");
        }
        let body = br#"{"ok":false,"error":"token_expired"}"#;
        assert!(!slack.by_body(StatusCode::CREATED, body));
        let meta = rules(r#"[{"status":400,"body":{"error.code":[190]}}]"#).unwrap();
        assert!(meta.by_body(StatusCode::BAD_REQUEST, br#"{"error":{"code":190}}"#));
        assert!(!meta.by_body(StatusCode::BAD_REQUEST, br#"{"error":{"code":4}}"#));
        assert!(!meta.by_body(StatusCode::BAD_REQUEST, br#"{"error":190}"#));
    }

    #[test]
    fn only_short_json_bodies_of_a_configured_status_are_inspected() {
        let all = rules(r#"[{"status":200,"body":{"a":[1]}},{"status":404}]"#).unwrap();
        let json = headers("application/json; charset=UTF-8", None);
        assert_eq!(
            all.by_head(StatusCode::OK, &json),
            TokenVerdict::PerhapsInTheBody
        );
        assert_eq!(
            all.by_head(StatusCode::NOT_FOUND, &HeaderMap::new()),
            TokenVerdict::Ended
        );
        assert_eq!(
            all.by_head(StatusCode::FORBIDDEN, &json),
            TokenVerdict::Nothing
        );
        let problem = headers("application/problem+json", Some("16384"));
        assert_eq!(
            all.by_head(StatusCode::OK, &problem),
            TokenVerdict::PerhapsInTheBody
        );
        for other in [
            headers("application/json", Some("16385")),
            headers("application/json", Some("many")),
            headers("application/x-ndjson", None),
            headers("text/event-stream", None),
            headers("text/html", Some("1")),
            HeaderMap::new(),
        ] {
            assert_eq!(
                all.by_head(StatusCode::OK, &other),
                TokenVerdict::Nothing,
                "{other:?}"
            );
        }
        let mut long = br#"{"a":1,"b":""#.to_vec();
        long.resize(MAX_PEEKED_BYTES, b' ');
        long.extend(br#""}"#);
        assert!(!all.by_body(StatusCode::OK, &long));
    }

    #[test]
    fn rule_that_matches_successful_or_invalid_replies_is_refused() {
        for text in [
            r#"[{"status":200}]"#,
            r#"[{"status":200,"body":{}}]"#,
            r#"[{"status":200,"body":{"a":[]}}]"#,
            r#"[{"status":200,"body":{"a..b":[1]}}]"#,
            r#"[{"status":200,"body":{"":[1]}}]"#,
            r#"[{"status":200,"body":{"a":[{}]}}]"#,
            r#"[{"status":200,"body":{"a":1}}]"#,
            r#"[{"status":200,"body":[1]}]"#,
            r#"[{"status":429}]"#,
            r#"[{"status":302}]"#,
            r#"[{"status":503}]"#,
            r#"[{"status":99999}]"#,
            r#"[{"status":"403"}]"#,
            r#"[{"status":403,"headers":{}}]"#,
            r#"[403]"#,
            r#"{"status":403}"#,
            "",
        ] {
            assert_eq!(rules(text).unwrap_err().code(), "misuse.setup", "{text}");
        }
        assert!(rules("[]").unwrap().field(b"content-type").is_none());
        assert!(
            rules(r#"[{"status":403}]"#)
                .unwrap()
                .field(b"Content-Type")
                .is_some()
        );
    }
}
