//! The faults that can be injected into a twin, by name.

mod defaults;

use std::io::Write as _;

use bytes::Bytes;
use http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use serde::Deserialize;
use serde_json::json;

use super::gzip;
use super::id_token::IdTokenFlaw;
use super::wire::{self, Reply};

/// A type of token that no twin issues (RFC 8693 section 3).
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";

/// A fault in one reply.
///
/// In JSON, a fault is an object with its [`name`](Fault::name) and, optionally, its values:
/// `{"name":"status","status":503,"retry_after":5}`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "name", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Fault {
    /// The request is carried out and its reply never arrives.
    LostReply,
    /// The server answers with this status (5xx) and does nothing.
    Status {
        /// The status code; 503 by default.
        #[serde(default = "defaults::unavailable")]
        status: u16,
        /// Seconds in a `Retry-After` header.
        #[serde(default)]
        retry_after: Option<u64>,
    },
    /// A page of HTML with status 200, as a proxy or a captive portal sends it.
    Html,
    /// The request is carried out; the JSON of its reply ends in the middle.
    TruncatedJson,
    /// Well-formed JSON of this many bytes, at most 64 MiB; nothing is carried out.
    OversizedJson {
        /// The size of the body; 2 MiB by default.
        #[serde(default = "defaults::two_mebibytes")]
        bytes: usize,
    },
    /// A redirect; nothing is carried out.
    RedirectTo {
        /// The target; `https://elsewhere.example/` by default.
        #[serde(default = "defaults::other_origin")]
        location: String,
        /// The status code; 307 by default.
        #[serde(default = "defaults::temporary_redirect")]
        status: u16,
    },
    /// The reply is right, but its body is sent slowly.
    SlowBody {
        /// The pause before each byte; 50 by default.
        #[serde(default = "defaults::fifty_millis")]
        millis_per_byte: u64,
    },
    /// The request is carried out; the first member of its JSON reply is repeated with a different
    /// value.
    DuplicateMember,
    /// The request is carried out; the content type of its JSON reply is `text/plain`.
    WrongContentType,
    /// JSON nested this deep, at most a million; nothing is carried out.
    NestedJson {
        /// The depth of nested arrays; 10 000 by default.
        #[serde(default = "defaults::ten_thousand")]
        depth: usize,
    },
    /// A small gzip body that expands to this many bytes, at most 64 GiB; nothing is carried out.
    GzipBomb {
        /// The size after expansion; 1 GiB by default.
        #[serde(default = "defaults::one_gibibyte")]
        expanded: u64,
    },
    /// The request is carried out; its JSON reply lacks a member. Applies to the next reply that has it.
    WithoutMember {
        /// The member's name; `expires_in` by default.
        #[serde(default = "defaults::expires_in")]
        member: String,
    },
    /// The server refuses with this error and status 400, and carries nothing out.
    Refusal {
        /// The error code; `invalid_request` by default.
        #[serde(default = "defaults::invalid_request")]
        error: String,
    },
    /// The request is carried out; the ID token of its reply has a flaw.
    IdToken {
        /// In what way; `wrong_nonce` by default.
        #[serde(default = "defaults::wrong_nonce")]
        flaw: IdTokenFlaw,
    },
    /// The ID token in a callback of the hybrid flow has a flaw.
    IdTokenInCallback {
        /// In what way; `wrong_nonce` by default.
        #[serde(default = "defaults::wrong_nonce")]
        flaw: IdTokenFlaw,
    },
    /// The signed response (JARM) of a callback has a flaw.
    ResponseJwt {
        /// The flaw, if it is not about a claim of the user; `wrong_audience` by default.
        #[serde(default = "defaults::wrong_audience")]
        flaw: IdTokenFlaw,
    },
    /// The callback is not signed, although a signed response was requested.
    PlainResponse,
    /// The callback has a wrong issuer in `iss` (RFC 9207).
    WrongIssuerInCallback,
    /// The callback names no issuer.
    MissingIssuerInCallback,
    /// The callback carries no `state`.
    MissingStateInCallback,
    /// The callback carries a `state` that another flow sent.
    ForeignStateInCallback,
    /// The callback has the error `invalid_request`, because the `code_challenge_method` is S256.
    RefusedS256,
    /// The request is carried out; the metadata's issuer is wrong. Applies to the next metadata response.
    WrongIssuerInMetadata,
    /// The request is carried out; the case of `token_type` is changed. Applies to the next token response.
    TokenTypeCase,
    /// The request is carried out, but a key-bound token is returned with `token_type` "Bearer". Applies to the next
    /// token response.
    BearerTokenType,
    /// The request is carried out; the case of the challenge's scheme is changed. Applies to the next challenge.
    ChallengeCase,
    /// The request is carried out; the resource metadata has a different `resource`. Applies to the next such response.
    OtherResource,
    /// The request is carried out; the resource metadata lists no authorization server. Applies to the next one.
    NoAuthorizationServer,
    /// The request is carried out; its challenge has a different `resource_metadata`. Applies to the next challenge
    /// with that parameter.
    OtherResourceMetadata {
        /// The URL; at a private address by default.
        #[serde(default = "defaults::cloud_metadata")]
        url: String,
    },
    /// A device code or backchannel request expires early. Applies to the next poll while the user has not
    /// answered.
    ExpiredToken,
    /// The server responds with `slow_down`. Applies to the next poll while the user has not answered.
    SlowDown,
    /// The request is carried out; `issued_token_type` is wrong. Applies to the next token exchange.
    IssuedTokenType,
    /// A 401 of the API is sent with another status, and states the error only in its body. Applies to the next 401 of
    /// the API.
    EndedTokenInBody {
        /// The status code; 200 by default.
        #[serde(default = "defaults::ok")]
        status: u16,
        /// The JSON; by default that of Slack's API for an expired token.
        #[serde(default = "defaults::token_expired")]
        body: String,
    },
    /// The request is carried out; the device authorization response has the form of drafts and Google: the page is
    /// `verification_url`, and numbers are strings. Applies to the next such response.
    DraftDeviceAuthorization,
    /// The only challenge of a 401 is `Negotiate`, as from a proxy. Applies to the next 401 of the API.
    NegotiateAlone,
}

/// The delivery of a reply, for faults that the reply itself cannot express.
///
/// [`Twin::answer`](super::Twin::answer) leaves it in the reply's extensions;
/// [`TwinDriver`](crate::TwinDriver) and [`Served`](crate::Served) obey it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Delivery {
    /// The reply must not arrive: close the connection instead.
    pub lost: bool,
    /// The pause before each byte of the body.
    pub millis_per_byte: u64,
}

impl Fault {
    /// All names, in the order of the enum.
    pub const NAMES: &[&str] = &[
        "lost_reply",
        "status",
        "html",
        "truncated_json",
        "oversized_json",
        "redirect_to",
        "slow_body",
        "duplicate_member",
        "wrong_content_type",
        "nested_json",
        "gzip_bomb",
        "without_member",
        "refusal",
        "id_token",
        "id_token_in_callback",
        "response_jwt",
        "plain_response",
        "wrong_issuer_in_callback",
        "missing_issuer_in_callback",
        "missing_state_in_callback",
        "foreign_state_in_callback",
        "refused_s256",
        "wrong_issuer_in_metadata",
        "token_type_case",
        "bearer_token_type",
        "challenge_case",
        "other_resource",
        "no_authorization_server",
        "other_resource_metadata",
        "expired_token",
        "slow_down",
        "issued_token_type",
        "ended_token_in_body",
        "draft_device_authorization",
        "negotiate_alone",
    ];

    /// The fault's name, the same in every language.
    pub fn name(&self) -> &'static str {
        match self {
            Self::LostReply => "lost_reply",
            Self::Status { .. } => "status",
            Self::Html => "html",
            Self::TruncatedJson => "truncated_json",
            Self::OversizedJson { .. } => "oversized_json",
            Self::RedirectTo { .. } => "redirect_to",
            Self::SlowBody { .. } => "slow_body",
            Self::DuplicateMember => "duplicate_member",
            Self::WrongContentType => "wrong_content_type",
            Self::NestedJson { .. } => "nested_json",
            Self::GzipBomb { .. } => "gzip_bomb",
            Self::WithoutMember { .. } => "without_member",
            Self::Refusal { .. } => "refusal",
            Self::IdToken { .. } => "id_token",
            Self::IdTokenInCallback { .. } => "id_token_in_callback",
            Self::ResponseJwt { .. } => "response_jwt",
            Self::PlainResponse => "plain_response",
            Self::WrongIssuerInCallback => "wrong_issuer_in_callback",
            Self::MissingIssuerInCallback => "missing_issuer_in_callback",
            Self::MissingStateInCallback => "missing_state_in_callback",
            Self::ForeignStateInCallback => "foreign_state_in_callback",
            Self::RefusedS256 => "refused_s256",
            Self::WrongIssuerInMetadata => "wrong_issuer_in_metadata",
            Self::TokenTypeCase => "token_type_case",
            Self::BearerTokenType => "bearer_token_type",
            Self::ChallengeCase => "challenge_case",
            Self::OtherResource => "other_resource",
            Self::NoAuthorizationServer => "no_authorization_server",
            Self::OtherResourceMetadata { .. } => "other_resource_metadata",
            Self::ExpiredToken => "expired_token",
            Self::SlowDown => "slow_down",
            Self::IssuedTokenType => "issued_token_type",
            Self::EndedTokenInBody { .. } => "ended_token_in_body",
            Self::DraftDeviceAuthorization => "draft_device_authorization",
            Self::NegotiateAlone => "negotiate_alone",
        }
    }

    /// The fault with this name, with its default values.
    pub fn parse(name: &str) -> Option<Self> {
        serde_json::from_value(json!({ "name": name })).ok()
    }

    /// Whether this fault applies to the redirect from the authorization endpoint.
    pub(super) fn is_callback_fault(&self) -> bool {
        matches!(
            self,
            Self::IdTokenInCallback { .. }
                | Self::ResponseJwt { .. }
                | Self::PlainResponse
                | Self::WrongIssuerInCallback
                | Self::MissingIssuerInCallback
                | Self::MissingStateInCallback
                | Self::ForeignStateInCallback
                | Self::RefusedS256
        )
    }

    /// The reply instead of processing the request, for faults that prevent it.
    pub(super) fn replacement_reply(&self) -> Option<Reply> {
        Some(match self {
            Self::Status {
                status,
                retry_after,
            } => {
                let reply = wire::plain(*status, "text/plain", "out of order");
                match retry_after {
                    Some(seconds) => wire::with(reply, RETRY_AFTER, &seconds.to_string()),
                    None => reply,
                }
            }
            Self::Html => wire::page(200, "Please sign in to this network."),
            Self::OversizedJson { bytes } => {
                let (open, close) = (r#"{"padding":""#, r#""}"#);
                let padding = bytes.saturating_sub(open.len() + close.len()).min(64 << 20);
                let body = format!("{open}{}{close}", "x".repeat(padding));
                wire::plain(200, "application/json", body)
            }
            Self::RedirectTo { location, status } => wire::redirect(*status, location),
            Self::NestedJson { depth } => {
                let depth = (*depth).min(1_000_000);
                let body = format!(r#"{{"nested":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
                wire::plain(200, "application/json", body)
            }
            Self::GzipBomb { expanded } => {
                let body = wire::plain(
                    200,
                    "application/json",
                    gzip::zeros((*expanded).min(64 << 30)),
                );
                wire::with(body, CONTENT_ENCODING, "gzip")
            }
            Self::Refusal { error } => wire::refusal(error, "by a fault"),
            _ => return None,
        })
    }

    /// Whether the fault applies to this reply: some need JSON to corrupt.
    pub(super) fn applies_to(&self, reply: &Reply) -> bool {
        match self {
            Self::TruncatedJson | Self::DuplicateMember | Self::WrongContentType => {
                reply.body().starts_with(b"{\"")
            }
            Self::WithoutMember { member } => without(reply, member).is_some(),
            Self::IdToken { flaw } => flaw.apply_to(reply.body()).is_some(),
            Self::WrongIssuerInMetadata => changed(reply, "issuer", other_case).is_some(),
            Self::TokenTypeCase | Self::BearerTokenType => {
                changed(reply, "token_type", other_case).is_some()
            }
            Self::ChallengeCase => reply.headers().contains_key(WWW_AUTHENTICATE),
            Self::OtherResource | Self::NoAuthorizationServer => {
                changed(reply, "resource", other_case).is_some()
            }
            Self::OtherResourceMetadata { url } => elsewhere_in_challenge(reply, url).is_some(),
            Self::ExpiredToken | Self::SlowDown => is_pending(reply),
            Self::IssuedTokenType => changed(reply, "issued_token_type", other_case).is_some(),
            Self::EndedTokenInBody { .. } | Self::NegotiateAlone => is_about_a_token(reply),
            Self::DraftDeviceAuthorization => as_in_drafts(reply).is_some(),
            _ => true,
        }
    }

    /// Applies the fault to a reply of the server.
    pub(super) fn apply_to(&self, reply: &mut Reply) {
        match self {
            Self::LostReply => {
                reply.extensions_mut().insert(Delivery {
                    lost: true,
                    millis_per_byte: 0,
                });
            }
            Self::SlowBody { millis_per_byte } => {
                let delivery = Delivery {
                    lost: false,
                    millis_per_byte: *millis_per_byte,
                };
                reply.extensions_mut().insert(delivery);
            }
            Self::TruncatedJson => {
                let half = reply.body().len() / 2;
                *reply.body_mut() = reply.body().slice(..half);
            }
            Self::WithoutMember { member } => {
                if let Some(body) = without(reply, member) {
                    *reply.body_mut() = body.into();
                }
            }
            Self::IdToken { flaw } => {
                if let Some(spoiled) = flaw.apply_to(reply.body()) {
                    *reply.body_mut() = spoiled.into();
                }
            }
            Self::WrongIssuerInMetadata => replace(reply, "issuer", |iss| format!("{iss}1")),
            Self::TokenTypeCase => replace(reply, "token_type", other_case),
            Self::ExpiredToken => replace(reply, "error", |_| "expired_token".to_owned()),
            Self::SlowDown => replace(reply, "error", |_| "slow_down".to_owned()),
            Self::IssuedTokenType => replace(reply, "issued_token_type", |_| JWT.to_owned()),
            Self::EndedTokenInBody { status, body } => {
                *reply = wire::plain(*status, "application/json", body.clone());
            }
            Self::DraftDeviceAuthorization => {
                if let Some(body) = as_in_drafts(reply) {
                    *reply.body_mut() = body.into();
                }
            }
            Self::NegotiateAlone => {
                let field = HeaderValue::from_static("Negotiate");
                reply.headers_mut().insert(WWW_AUTHENTICATE, field);
            }
            Self::BearerTokenType => replace(reply, "token_type", |_| "Bearer".to_owned()),
            Self::ChallengeCase => {
                let field = reply.headers().get(WWW_AUTHENTICATE);
                let field = field.and_then(|field| field.to_str().ok()?.split_once(' '));
                let other_spelling =
                    field.map(|(scheme, rest)| format!("{} {rest}", other_case(scheme)));
                if let Some(odd) = other_spelling.and_then(|odd| odd.parse().ok()) {
                    reply.headers_mut().insert(WWW_AUTHENTICATE, odd);
                }
            }
            Self::OtherResource => replace(reply, "resource", |name| format!("{name}/other")),
            Self::NoAuthorizationServer => {
                let value = serde_json::from_slice::<serde_json::Value>(reply.body());
                if let Ok(mut document) = value {
                    document["authorization_servers"] = json!([]);
                    *reply.body_mut() = document.to_string().into();
                }
            }
            Self::OtherResourceMetadata { url } => {
                if let Some(challenge) = elsewhere_in_challenge(reply, url) {
                    reply.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                }
            }
            Self::DuplicateMember => *reply.body_mut() = twice(reply.body()),
            Self::WrongContentType => {
                reply
                    .headers_mut()
                    .insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
            }
            _ => {}
        }
    }
}

/// The challenge of a reply with this URL as its `resource_metadata`; `None` if it has none.
fn elsewhere_in_challenge(reply: &Reply, url: &str) -> Option<HeaderValue> {
    let field = reply.headers().get(WWW_AUTHENTICATE)?.to_str().ok()?;
    let (before, after) = field.split_once("resource_metadata=\"")?;
    let (_, after) = after.split_once('"')?;
    format!("{before}resource_metadata=\"{url}\"{after}")
        .parse()
        .ok()
}

/// Whether it is an API's 401 with a challenge.
fn is_about_a_token(reply: &Reply) -> bool {
    reply.status() == 401 && reply.headers().contains_key(WWW_AUTHENTICATE)
}

/// A device authorization response in the form of drafts before RFC 8628; `None` for other responses.
fn as_in_drafts(reply: &Reply) -> Option<Vec<u8>> {
    let mut value: serde_json::Value = serde_json::from_slice(reply.body()).ok()?;
    let members = value.as_object_mut()?;
    let page = members.remove("verification_uri")?;
    members.remove("verification_uri_complete");
    members.insert("verification_url".to_owned(), page);
    for name in ["expires_in", "interval"] {
        let text = members.get(name)?.to_string();
        members.insert(name.to_owned(), text.into());
    }
    Some(value.to_string().into_bytes())
}

/// Whether the reply says that the user has not answered yet.
fn is_pending(reply: &Reply) -> bool {
    let value: Option<serde_json::Value> = serde_json::from_slice(reply.body()).ok();
    value.is_some_and(|value| value["error"] == "authorization_pending")
}

/// The text with its case inverted: `DPoP` as `dpOp`.
fn other_case(text: &str) -> String {
    let other = |c: char| {
        if c.is_ascii_lowercase() {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        }
    };
    text.chars().map(other).collect()
}

/// The JSON of a reply with one of its strings changed; `None` if it has no such member.
fn changed(reply: &Reply, name: &str, change: fn(&str) -> String) -> Option<Vec<u8>> {
    let mut value: serde_json::Value = serde_json::from_slice(reply.body()).ok()?;
    let text = value.get(name)?.as_str().map(change)?;
    value[name] = text.into();
    Some(value.to_string().into_bytes())
}

fn replace(reply: &mut Reply, name: &str, change: fn(&str) -> String) {
    if let Some(body) = changed(reply, name, change) {
        *reply.body_mut() = body.into();
    }
}

/// The JSON of a reply without one of its members; `None` if it has no such member.
fn without(reply: &Reply, name: &str) -> Option<Vec<u8>> {
    let mut value: serde_json::Value = serde_json::from_slice(reply.body()).ok()?;
    value.as_object_mut()?.remove(name)?;
    Some(value.to_string().into_bytes())
}

/// The JSON with its first member repeated: `{"a":1}` as `{"a":1,"a":"another"}`.
fn twice(body: &Bytes) -> Bytes {
    let text = String::from_utf8_lossy(body);
    let name = text.split('"').nth(1).unwrap_or_default();
    let mut doubled = text.trim_end().trim_end_matches('}').as_bytes().to_vec();
    // Writing to a Vec cannot fail.
    let _ = write!(doubled, r#","{name}":"another"}}"#);
    doubled.into()
}
