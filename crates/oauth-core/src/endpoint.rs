//! One wire pair each: what to send, and how to read what comes back.

pub mod introspection;
pub mod metadata;
pub mod revocation;
pub mod token;
mod words;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, Method, Response, StatusCode};

use crate::challenge;
use crate::error::{Error, Fault, ServerError};
use crate::form::{self, Form};
use crate::json::{self, Json, Object};
use crate::moment::Moment;
use crate::quirk::{Quirk, Rules};
use crate::retry_after;
use crate::server::Server;
use crate::url::Url;

/// The largest reply that is read, in bytes.
pub const MAX_REPLY: usize = 1 << 20;

/// One endpoint's request and reply. Authors of endpoints see no state: [`crate::call::Call`] adds
/// client authentication, signing and order.
pub trait Endpoint {
    /// Names the endpoint in errors and traces.
    const NAME: &'static str;

    /// What the reply means.
    type Output;

    /// The request, not yet authenticated.
    ///
    /// # Errors
    /// `endpoint.missing` and other misuse.
    fn draft(&self, server: &Server) -> Result<Draft, Error>;

    /// Whether the same request may be sent again after an error. A request that spends
    /// something, such as a code, may not.
    fn can_repeat(&self) -> bool {
        true
    }

    /// Reads the reply by the server's rules.
    ///
    /// # Errors
    /// What the server refused or got wrong.
    fn read(
        &self,
        server: &Server,
        at: &Moment,
        reply: &Response<Bytes>,
    ) -> Result<Self::Output, Error>;
}

/// A request before authentication.
#[derive(Debug, Clone)]
pub struct Draft {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) form: Form,
    pub(crate) purpose: Option<&'static str>,
    pub(crate) confidential_only: bool,
}

impl Draft {
    /// A form to be posted with the client's authentication. `purpose` is the grant type or the
    /// endpoint's name: some servers want other credentials for one of them.
    pub fn post(url: &Url, purpose: &'static str, form: Form) -> Self {
        Self {
            method: Method::POST,
            url: url.clone(),
            form,
            purpose: Some(purpose),
            confidential_only: false,
        }
    }

    /// A document to be fetched without authentication.
    pub fn get(url: &Url) -> Self {
        Self {
            method: Method::GET,
            url: url.clone(),
            form: Form::new(),
            purpose: None,
            confidential_only: false,
        }
    }

    /// Refuses public clients, as client_credentials does (RFC 6749 section 4.4).
    #[must_use]
    pub const fn for_confidential_clients(mut self) -> Self {
        self.confidential_only = true;
        self
    }

    /// Where the request goes.
    pub const fn url(&self) -> &Url {
        &self.url
    }

    /// The form parameters, without the client's credentials.
    pub const fn form(&self) -> &Form {
        &self.form
    }
}

/// Reads a reply that is neither what was asked for nor a redirect: an OAuth error if there is
/// one, else the bare status.
pub(crate) fn refusal(server: &Server, at: &Moment, reply: &Response<Bytes>) -> Error {
    if reply.status().is_redirection() {
        return Fault::ReplyRedirect.into();
    }
    match object(server.rules(), reply, Fault::ReplyJson) {
        Ok(object) => denial(server.rules(), at, reply, &object)
            .unwrap_or_else(|| words::of_object(bare_status(at, reply), &object).into()),
        Err(_) => words::of_page(bare_status(at, reply), reply).into(),
    }
}

/// Reads a successful reply as an object. An `error` member wins over everything else, whatever
/// the status (RFC 6749 section 5.2; GitHub and Slack send 200).
pub(crate) fn success<'a>(
    server: &Server,
    at: &Moment,
    reply: &'a Response<Bytes>,
    shape: Fault,
) -> Result<Object<'a>, Error> {
    let strict = server.rules().is_strict();
    let is_success = if strict {
        reply.status() == StatusCode::OK
    } else {
        reply.status().is_success()
    };
    if !is_success {
        return Err(refusal(server, at, reply));
    }
    let object = object(server.rules(), reply, shape)?;
    match denial(server.rules(), at, reply, &object) {
        Some(error) => Err(error),
        None => Ok(object),
    }
}

/// What the reply says went wrong: an OAuth error, or whatever else stands in its place. Silence,
/// `null`, `false` and an empty text are no error.
fn denial(
    rules: &Rules,
    at: &Moment,
    reply: &Response<Bytes>,
    object: &Object<'_>,
) -> Option<Error> {
    if let Some(code) = rules.failed_status(object) {
        let text = |name| object.get(name).and_then(Json::as_str);
        let described = text("error_description").or_else(|| text("error"));
        return Some(coded(rules, at, reply, object, &code, described));
    }
    let listed = match object.get("errors") {
        Some(Json::Array(errors)) if rules.has(&Quirk::ErrorsArray) => errors.first(),
        _ => None,
    };
    let (code, described) = match (object.get("error"), listed) {
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
        Some(code) => coded(rules, at, reply, object, code, described),
        None => words::of_object(bare_status(at, reply), object).into(),
    })
}

/// A refusal of this code.
fn coded(
    rules: &Rules,
    at: &Moment,
    reply: &Response<Bytes>,
    object: &Object<'_>,
    code: &str,
    described: Option<&str>,
) -> Error {
    let description = described.or_else(|| words::description(object));
    let (mut extra, _) = object.to_map_within(words::MOST);
    extra.retain(|name, _| !["error", "error_description", "error_uri"].contains(&name.as_str()));
    let uri = object.get("error_uri").and_then(Json::as_str);
    bare_status(at, reply)
        .coded(code)
        .meaning(rules.meaning(code, description))
        .described(description, uri)
        .with_extra(extra)
        .into()
}

fn bare_status(at: &Moment, reply: &Response<Bytes>) -> ServerError {
    let pause = retry_after::limit(reply.status(), reply.headers(), at.now(), retry_after::CAP);
    ServerError::of_status(reply.status().as_u16())
        .challenged(first_scheme(reply.headers()))
        .retry_after(pause)
}

fn first_scheme(headers: &HeaderMap) -> Option<String> {
    let (challenges, _) = challenge::readable(headers);
    challenges
        .into_iter()
        .next()
        .map(|challenge| challenge.scheme)
}

/// How a reply's body is written.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Media {
    Json,
    Form,
}

/// The media type in lower case, without its parameters. A field that stands twice, which proxies
/// and browsers join with a comma, has to say the same each time; else all of it is shown.
fn essence(headers: &HeaderMap) -> String {
    let fields = headers.get_all(CONTENT_TYPE).iter();
    let all: Vec<_> = fields
        .flat_map(|field| field.as_bytes().split(|&b| b == b','))
        .map(|one| {
            let bare = one.split(|&b| b == b';').next().unwrap_or_default();
            String::from_utf8_lossy(bare).trim().to_ascii_lowercase()
        })
        .collect();
    match all.as_slice() {
        [first, others @ ..] if others.iter().all(|other| other == first) => first.clone(),
        _ => all.join(", "),
    }
}

fn media(rules: &Rules, reply: &Response<Bytes>) -> Result<Media, Error> {
    let mut fields = reply.headers().get_all(CONTENT_TYPE).iter();
    let Some(field) = fields.next() else {
        let refused = Error::from(Fault::ReplyContentType).about("none");
        return if rules.is_strict() {
            Err(refused)
        } else {
            Ok(Media::Json)
        };
    };
    if field == "application/json" && fields.next().is_none() {
        return Ok(Media::Json);
    }
    let essence = essence(reply.headers());
    let looks_like_object = reply.body().iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{');
    match essence.as_str() {
        "application/json" => Ok(Media::Json),
        _ if rules.is_strict() => Err(Error::from(Fault::ReplyContentType).about(&essence)),
        "text/plain" if rules.has(&Quirk::PlainFormResponse) && !looks_like_object => {
            Ok(Media::Form)
        }
        "text/json" | "text/javascript" | "application/javascript" | "text/plain" => {
            Ok(Media::Json)
        }
        "application/x-www-form-urlencoded" => Ok(Media::Form),
        other if other.ends_with("+json") => Ok(Media::Json),
        other => Err(Error::from(Fault::ReplyContentType).about(other)),
    }
}

/// Reads the body as an object; `shape` is the fault of a body that is well-formed but no object.
fn object<'a>(
    rules: &Rules,
    reply: &'a Response<Bytes>,
    shape: Fault,
) -> Result<Object<'a>, Error> {
    if reply.body().len() > MAX_REPLY {
        return Err(Fault::ReplyTooLarge.into());
    }
    let media = media(rules, reply)?;
    let not_utf8 = match media {
        // JSON is UTF-8 (RFC 8259 section 8.1).
        Media::Json => Fault::ReplyJson,
        Media::Form => Fault::ReplyEncoding,
    };
    let text = std::str::from_utf8(reply.body()).map_err(|_| not_utf8)?;
    let text = match text.strip_prefix('\u{feff}') {
        Some(_) if rules.is_strict() => return Err(Fault::ReplyJson.into()),
        Some(rest) => rest,
        None => text,
    };
    if text.trim().is_empty() {
        return Err(shape.into());
    }
    match media {
        // RFC 8414 and RFC 7662 ask for a JSON object; only token endpoints are known to slip.
        Media::Form if !matches!(shape, Fault::TokenShape | Fault::ReplyJson) => {
            Err(Error::from(Fault::ReplyContentType).about(&essence(reply.headers())))
        }
        Media::Form => {
            let text = text.trim();
            if text.bytes().filter(|&b| b == b'&').count() >= json::MAX_VALUES {
                return Err(Fault::ReplyTooManyValues.into());
            }
            Object::from_pairs(form::parse(text).map_err(|_| Fault::ReplyEncoding)?)
        }
        Media::Json => match json::parse(text)? {
            Json::Object(object) => Ok(object),
            _ => Err(shape.into()),
        },
    }
}
