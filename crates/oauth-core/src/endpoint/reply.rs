//! Reads a reply: its status, its media type, and an OAuth error in the body or the header. The members of a token
//! response are read in `token.rs` next to this file, those of others in the file of their endpoint.

use crate::http::header::CONTENT_TYPE;
use crate::http::{HeaderMap, Response, StatusCode};
use bytes::Bytes;

use super::error_text;
use crate::challenge;
use crate::error::{Error, ProtocolViolation, ServerError};
use crate::form;
use crate::json::{self, Json, Object};
use crate::moment::UnixTime;
use crate::quirk::{Quirk, Rules};
use crate::retry_after;
use crate::secret::Secret;

/// The largest reply that is read, in bytes.
pub const MAX_REPLY: usize = 1 << 20;

/// A reply, and the parsing rules of the server that sent it.
#[derive(Debug, Clone, Copy)]
pub struct Reply<'a> {
    response: &'a Response<Bytes>,
    rules: &'a Rules,
    now: UnixTime,
}

impl<'a> Reply<'a> {
    pub(crate) const fn new(
        response: &'a Response<Bytes>,
        rules: &'a Rules,
        now: UnixTime,
    ) -> Self {
        Self {
            response,
            rules,
            now,
        }
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// The header fields.
    pub fn headers(&self) -> &'a HeaderMap {
        self.response.headers()
    }

    /// The body as it was received.
    pub fn body(&self) -> &'a Bytes {
        self.response.body()
    }

    /// A successful reply as a JSON object. A reply with an `error` member is a refusal, regardless of its status (RFC
    /// 6749 section 5.2; GitHub and Slack send 200).
    ///
    /// # Errors
    /// `denied.*` for a refusal; `reply.*` for an unreadable reply, `reply.shape` for JSON that is not an object.
    pub fn object(&self) -> Result<Object<'a>, Error> {
        self.object_or(ProtocolViolation::ReplyShape)
    }

    /// The error of an unsuccessful reply: the OAuth error if there is one, else the HTTP status.
    pub fn oauth_error(&self) -> Error {
        if self.status().is_redirection() {
            return ProtocolViolation::ReplyRedirect.into();
        }
        match self.parse_object(ProtocolViolation::ReplyJson) {
            Ok(object) => self.denial(&object).unwrap_or_else(|| {
                error_text::with_object_text(self.status_error(), &object).into()
            }),
            Err(_) => error_text::with_page_text(self.status_error(), self.response).into(),
        }
    }

    /// Whether the body has this media type.
    pub(crate) fn has_media_type(&self, media: &str) -> bool {
        media_type(self.headers()) == media
    }

    /// A successful reply whose body is a token; `shape_error` is the error for one that cannot be a token.
    pub(crate) fn token_or(&self, shape_error: ProtocolViolation) -> Result<Secret<String>, Error> {
        if self.status() != StatusCode::OK {
            return Err(self.oauth_error());
        }
        if self.body().len() > MAX_REPLY {
            return Err(ProtocolViolation::ReplyTooLarge.into());
        }
        let text = std::str::from_utf8(self.body()).map_err(|_| shape_error)?;
        Ok(Secret::from(text.trim()))
    }

    /// `reply.shape`, for a member that is missing or of the wrong type.
    pub fn malformed(&self, member: &str) -> Error {
        Error::from(ProtocolViolation::ReplyShape).about(member)
    }

    /// Whole seconds; `None` if the member is missing. Unless the rules are strict, a number in a string is accepted,
    /// and an empty string is as good as none.
    pub(crate) fn seconds(&self, object: &Object<'_>, member: &str) -> Result<Option<u64>, Error> {
        let seconds = match object.get(member) {
            None => return Ok(None),
            Some(value) if !self.rules.is_strict() => match value.as_str() {
                Some("") => return Ok(None),
                _ => super::token::seconds(value),
            },
            Some(value) => value.as_seconds(),
        };
        seconds.map(Some).ok_or_else(|| self.malformed(member))
    }

    /// Seconds like [`Self::seconds`], with a fraction rounded up, because a client that polls too early gets
    /// `slow_down` (RFC 8628 section 3.5).
    pub(crate) fn interval_seconds(
        &self,
        object: &Object<'_>,
        member: &str,
    ) -> Result<Option<u64>, Error> {
        match object.get(member) {
            Some(Json::Float(seconds)) if *seconds >= 0.0 => Ok(Some(seconds.ceil() as u64)),
            _ => self.seconds(object, member),
        }
    }

    /// A successful reply as a JSON object. If the rules are strict, the status must be this one instead of 200.
    ///
    /// # Errors
    /// The errors of [`Self::object`].
    pub fn object_with(&self, status: StatusCode) -> Result<Object<'a>, Error> {
        self.read_object(status, ProtocolViolation::ReplyShape)
    }

    /// A successful reply as a JSON object. `shape_error` is the error for a well-formed body that is not an object.
    pub(crate) fn object_or(&self, shape_error: ProtocolViolation) -> Result<Object<'a>, Error> {
        self.read_object(StatusCode::OK, shape_error)
    }

    /// A successful reply as a JSON object. If the rules are strict, the status must be this one; `shape_error` is the
    /// error for a well-formed body that is not an object.
    pub(crate) fn object_with_status_or(
        &self,
        status: StatusCode,
        shape_error: ProtocolViolation,
    ) -> Result<Object<'a>, Error> {
        self.read_object(status, shape_error)
    }

    fn read_object(
        &self,
        status: StatusCode,
        shape_error: ProtocolViolation,
    ) -> Result<Object<'a>, Error> {
        let is_success = if self.rules.is_strict() {
            self.status() == status
        } else {
            self.status().is_success()
        };
        if !is_success {
            return Err(self.oauth_error());
        }
        let object = self.parse_object(shape_error)?;
        match self.denial(&object) {
            Some(error) => Err(error),
            None => Ok(object),
        }
    }

    /// The error in the body of a reply: an OAuth error, or a server's substitute for one. A missing member, `null`,
    /// `false` and an empty string are not errors.
    fn denial(&self, object: &Object<'_>) -> Option<Error> {
        if let Some(code) = self.rules.failed_status(object) {
            let text = |name| object.get(name).and_then(Json::as_str);
            let description = text("error_description").or_else(|| text("error"));
            return Some(self.coded_error(object, &code, description));
        }
        let first_error = match object.get("errors") {
            Some(Json::Array(errors)) if self.rules.has(&Quirk::ErrorsArray) => errors.first(),
            _ => None,
        };
        let (code, description) = match (object.get("error"), first_error) {
            (Some(Json::String(code)), _) if !code.is_empty() => (
                Some(code.as_ref()),
                object.get("error_description").and_then(Json::as_str),
            ),
            (None | Some(Json::String(_) | Json::Bool(false)), None) => return None,
            (_, Some(Json::Object(first))) => (
                first
                    .get("errorType")
                    .and_then(Json::as_str)
                    .filter(|code| !code.is_empty()),
                first.get("message").and_then(Json::as_str),
            ),
            _ => (None, None),
        };
        Some(match code {
            Some(code) => self.coded_error(object, code, description),
            None => error_text::with_object_text(self.status_error(), object).into(),
        })
    }

    /// The refusal with this error code.
    fn coded_error(&self, object: &Object<'_>, code: &str, description: Option<&str>) -> Error {
        let description = description.or_else(|| error_text::description(object));
        let (mut extra, _) = object.to_map_within(error_text::MAX_MEMBERS);
        extra.retain(|name, _| {
            !["error", "error_description", "error_uri"].contains(&name.as_str())
        });
        let uri = object.get("error_uri").and_then(Json::as_str);
        self.status_error()
            .with_code(code)
            .with_meaning(self.rules.registered_error_code(code, description))
            .with_description(description, uri)
            .with_extra(extra)
            .into()
    }

    fn status_error(&self) -> ServerError {
        let pause = retry_after::limit(self.status(), self.headers(), self.now, retry_after::CAP);
        ServerError::from_status(self.status().as_u16())
            .with_challenge_scheme(first_scheme(self.headers()))
            .retry_after(pause)
    }

    fn media(&self) -> Result<Media, Error> {
        let mut fields = self.headers().get_all(CONTENT_TYPE).iter();
        let Some(field) = fields.next() else {
            let no_content_type = Error::from(ProtocolViolation::ReplyContentType).about("none");
            return if self.rules.is_strict() {
                Err(no_content_type)
            } else {
                Ok(Media::Json)
            };
        };
        if field == "application/json" && fields.next().is_none() {
            return Ok(Media::Json);
        }
        let media_type = media_type(self.headers());
        let looks_like_object =
            self.body().iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
        match media_type.as_str() {
            // "application/jwk-set+json" is registered for keys (RFC 7517 section 8.5.2).
            "application/json" | "application/jwk-set+json" => Ok(Media::Json),
            _ if self.rules.is_strict() => {
                Err(Error::from(ProtocolViolation::ReplyContentType).about(&media_type))
            }
            "text/plain" if self.rules.has(&Quirk::PlainFormResponse) && !looks_like_object => {
                Ok(Media::Form)
            }
            // An empty `Content-Type` is treated like a missing one.
            "" | "text/json" | "text/javascript" | "application/javascript" | "text/plain" => {
                Ok(Media::Json)
            }
            "application/x-www-form-urlencoded" => Ok(Media::Form),
            other if other.ends_with("+json") => Ok(Media::Json),
            other => Err(Error::from(ProtocolViolation::ReplyContentType).about(other)),
        }
    }

    /// Reads the body as an object; `shape_error` is the error for a well-formed body that is not an object.
    fn parse_object(&self, shape_error: ProtocolViolation) -> Result<Object<'a>, Error> {
        if self.body().len() > MAX_REPLY {
            return Err(ProtocolViolation::ReplyTooLarge.into());
        }
        let media = self.media()?;
        let not_utf8 = match media {
            // JSON is UTF-8 (RFC 8259 section 8.1).
            Media::Json => ProtocolViolation::ReplyJson,
            Media::Form => ProtocolViolation::ReplyEncoding,
        };
        let text = std::str::from_utf8(self.body()).map_err(|_| not_utf8)?;
        let text = match text.strip_prefix('\u{feff}') {
            Some(_) if self.rules.is_strict() => return Err(ProtocolViolation::ReplyJson.into()),
            Some(rest) => rest,
            None => text,
        };
        if text.trim().is_empty() {
            return Err(shape_error.into());
        }
        match media {
            // RFC 8414 and RFC 7662 require a JSON object; only token endpoints are known to send a form.
            Media::Form
                if !matches!(
                    shape_error,
                    ProtocolViolation::TokenShape | ProtocolViolation::ReplyJson
                ) =>
            {
                Err(Error::from(ProtocolViolation::ReplyContentType)
                    .about(&media_type(self.headers())))
            }
            Media::Form => {
                let text = text.trim();
                if text.bytes().filter(|&b| b == b'&').count() >= json::MAX_VALUES {
                    return Err(ProtocolViolation::ReplyTooManyValues.into());
                }
                Object::from_pairs(form::parse(text).map_err(|_| ProtocolViolation::ReplyEncoding)?)
            }
            Media::Json => {
                let value = match shape_error {
                    ProtocolViolation::JwksShape => json::parse_key_set(text)?,
                    _ => json::parse(text)?,
                };
                match value {
                    Json::Object(object) => Ok(object),
                    _ => Err(shape_error.into()),
                }
            }
        }
    }
}

fn first_scheme(headers: &HeaderMap) -> Option<String> {
    let (challenges, _) = challenge::valid_challenges(headers);
    challenges
        .into_iter()
        .next()
        .map(|challenge| challenge.scheme)
}

/// The format of a reply's body.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Form,
}

/// The media type in lower case, without its parameters. Proxies and browsers join a repeated field with a comma. If
/// all values are the same, returns that value, otherwise the whole text.
fn media_type(headers: &HeaderMap) -> String {
    let fields = headers.get_all(CONTENT_TYPE).iter();
    let media_types: Vec<_> = fields
        .flat_map(|field| field.as_bytes().split(|&b| b == b','))
        .map(|field_value| {
            let media_type = field_value.split(|&b| b == b';').next().unwrap_or_default();
            String::from_utf8_lossy(media_type)
                .trim()
                .to_ascii_lowercase()
        })
        .collect();
    match media_types.as_slice() {
        [first, others @ ..] if others.iter().all(|other| other == first) => first.clone(),
        _ => media_types.join(", "),
    }
}
