//! Using a token: where it may go, and what a refusal asks for (RFC 6750).
//!
//! Resource requests are not exchanges, for their bodies stream: a [`ResourceRequest`] decides what
//! is done with one, and the host keeps it. Beneath it are two pure functions, one before the
//! request and one after the reply.

mod api;
mod limiter;
mod limits;
mod possession;
mod request;
mod routes;
mod step;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use crate::http::request::Parts;
use crate::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

use crate::base64::{self, Alphabet};
use crate::challenge::{self, Challenge};
use crate::dpop;
use crate::error::{Denial, Error, Misuse, ServerError};
use crate::form;
use crate::json::{self, Json};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::token::{self, TokenType};
use crate::url::{Transport, Url};

pub use api::Api;
pub use limiter::{Clock, RateLimiter};
pub use limits::{Allowance, ResetField, ResetUnit};
pub use request::ResourceRequest;
pub use routes::{Routes, TokenFor};
pub use step::{Event, OnLimit, Step};

/// The header fields of a request that decide whether it may carry a token; a host that has its
/// own idea of headers need not bring the others.
pub const READ_BEFORE: [HeaderName; 2] = [AUTHORIZATION, CONTENT_TYPE];

/// The origins a token may be sent to, and nowhere else.
#[derive(Debug, Clone)]
pub struct Resource {
    origins: Arc<[Url]>,
    transport: Transport,
}

/// What the resource server's reply asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Not about the token: hand the reply to the caller.
    Pass,
    /// The token is dead: get a new one and repeat the request once, if its body can be repeated.
    Renew,
    /// The token covers too little: the person must be asked for this scope too. A refresh would
    /// not help.
    WidenScope(Option<Scope>),
    /// The person must log in again, in this way (RFC 9470). A refresh would not help.
    StepUp {
        /// `acr_values`, as the server wrote them.
        acr_values: Option<String>,
        /// `max_age` in seconds.
        max_age: Option<u64>,
        /// The `claims` parameter (OpenID Connect Core section 5.5) for the next authorization: JSON,
        /// as Microsoft's resource servers hand it over with `insufficient_claims`.
        claims: Option<String>,
    },
    /// The proof of possession needs the nonce that the reply brings (RFC 9449 section 9): make another
    /// proof and repeat the request once, if its body can be repeated.
    UseDpopNonce,
    /// The server wants something a token cannot give.
    Refused,
}

/// What to do with a redirect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirect {
    /// The same origin: go there, token and all.
    Follow(Url),
    /// Another origin, another scheme or no URL: hand the reply to the caller as it is.
    Refuse,
}

impl Resource {
    /// Allows these origins, each given as any `https` URL of it.
    ///
    /// # Errors
    /// `url.syntax`, `url.insecure`.
    pub fn new<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        Self::over(origins, Transport::Https)
    }

    pub(crate) fn over<'a>(
        origins: impl IntoIterator<Item = &'a str>,
        transport: Transport,
    ) -> Result<Self, Error> {
        let read = |text: &str| {
            let url = Url::parse(text)?;
            url.require(transport).map(|()| url)
        };
        let origins = origins.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { origins, transport })
    }

    /// Whether a token may be sent to this URL.
    ///
    /// # Errors
    /// `url.insecure`, `resource.origin_not_allowed`.
    pub fn check(&self, url: &Url) -> Result<(), Error> {
        url.require(self.transport)?;
        if self.origins.iter().any(|allowed| allowed.same_origin(url)) {
            Ok(())
        } else {
            Err(Error::from(Misuse::OriginNotAllowed).about(&url.origin()))
        }
    }

    /// Puts the token into a request's `Authorization` header, once it is sure that it may go
    /// there. `body` is the request's body, if it is at hand.
    ///
    /// # Errors
    /// `url.*`, and those of [`authorization`](Self::authorization).
    pub fn before(
        &self,
        parts: &mut Parts,
        body: Option<&[u8]>,
        token: &Secret<String>,
    ) -> Result<(), Error> {
        let url = Url::parse(&parts.uri.to_string())?;
        let header = self.authorization(&url, &parts.headers, body, token)?;
        parts.headers.insert(AUTHORIZATION, header);
        Ok(())
    }

    /// The `Authorization` header that a request to `url` may carry. Of its `headers` only those
    /// of [`READ_BEFORE`] are looked at.
    ///
    /// # Errors
    /// `url.insecure`, `resource.origin_not_allowed`, `token.not_token68`, and
    /// `token.more_than_one_method` or `token.in_query` if the request already carries a token
    /// ("MUST NOT use more than one method", RFC 6750 section 2).
    pub fn authorization(
        &self,
        url: &Url,
        headers: &HeaderMap,
        body: Option<&[u8]>,
        token: &Secret<String>,
    ) -> Result<HeaderValue, Error> {
        self.may_carry(url, headers, body)?;
        bearer(token)
    }

    /// Whether a request may carry a token at all.
    ///
    /// # Errors
    /// Those of [`Self::authorization`] that are not the token's.
    pub(crate) fn may_carry(
        &self,
        url: &Url,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.check(url)?;
        check_single_method(url, headers, body)
    }

    /// Where a redirect of the resource server leads (SECURITY: a token must not follow a
    /// `Location` to another host).
    pub fn redirect(&self, from: &Url, location: &str) -> Redirect {
        let target = if location.starts_with('/') && !location.starts_with("//") {
            Url::parse(&format!("{}{location}", from.origin()))
        } else {
            Url::parse(location)
        };
        match target {
            Ok(url) if url.same_origin(from) && self.check(&url).is_ok() => Redirect::Follow(url),
            _ => Redirect::Refuse,
        }
    }
}

/// The value of an `Authorization: Bearer` header (RFC 6750 section 2.1).
///
/// A token is opaque: one of visible ASCII characters goes as it came, for Salesforce, eBay and
/// Amazon have `!`, `^`, `#` and `|` in theirs and want them back. Strict rules refuse such a token
/// where it is issued.
///
/// # Errors
/// `token.not_ascii`; `token.not_token68` for one that is empty, or holds a space or a control
/// character.
pub fn bearer(token: &Secret<String>) -> Result<HeaderValue, Error> {
    token::authorization(&TokenType::Bearer, token)
}

fn check_single_method(url: &Url, headers: &HeaderMap, body: Option<&[u8]>) -> Result<(), Error> {
    // Pair by pair: one that is no UTF-8 must not hide the others.
    let carries = |form: &str| {
        let names = form
            .split('&')
            .map(|pair| pair.split('=').next().unwrap_or_default());
        let mut names = names;
        names.any(|name| match name.contains(['%', '+']) {
            true => form::decode(name).is_ok_and(|name| name == "access_token"),
            false => name == "access_token",
        })
    };
    if url.query().is_some_and(carries) {
        return Err(Misuse::TokenInQuery.into());
    }
    let media = headers
        .get(CONTENT_TYPE)
        .and_then(|field| field.to_str().ok())
        .unwrap_or_default();
    let essence = media
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let form = body
        .filter(|_| essence == "application/x-www-form-urlencoded")
        .map(String::from_utf8_lossy);
    if headers.contains_key(AUTHORIZATION) || form.is_some_and(|form| carries(&form)) {
        return Err(Misuse::TokenTwice.into());
    }
    Ok(())
}

/// Whether a reply of this status can be about the token: the verdict on any other is
/// [`Verdict::Pass`], whatever its headers say.
pub const fn may_be_about_the_token(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST
    )
}

/// What a reply to a request with a token asks for (RFC 6750 section 3.1, RFC 9470 section 3).
pub fn after(status: StatusCode, headers: &HeaderMap) -> Verdict {
    let fields = headers.get_all(WWW_AUTHENTICATE).iter();
    after_fields(status, fields.map(HeaderValue::as_bytes))
}

/// [`after`] for hosts whose HTTP client lets through more than [`HeaderValue`] can hold: `fields`
/// are the values of `WWW-Authenticate`. A control character refuses its challenge and no other.
pub fn after_fields<'a>(status: StatusCode, fields: impl IntoIterator<Item = &'a [u8]>) -> Verdict {
    judge(status, fields, &["bearer"])
}

/// [`after`] a request whose token was bound to a key: its challenge has the scheme `DPoP`, and a server
/// that takes both kinds of token may answer with the other's (RFC 9449 sections 7.1 and 7.2).
pub fn after_dpop(status: StatusCode, headers: &HeaderMap) -> Verdict {
    let fields = headers.get_all(WWW_AUTHENTICATE).iter();
    let fields = fields.map(HeaderValue::as_bytes);
    judge(status, fields, &[dpop::DPOP, "bearer"])
}

/// What the challenges of these schemes say; of two with an error, that of the first scheme counts.
fn judge<'a>(
    status: StatusCode,
    fields: impl IntoIterator<Item = &'a [u8]>,
    schemes: &[&'a str],
) -> Verdict {
    if !may_be_about_the_token(status) {
        return Verdict::Pass;
    }
    let (challenges, is_whole) = challenge::readable_fields(fields);
    let of = |scheme: &'a str| {
        challenges
            .iter()
            .filter(move |challenge| challenge.scheme == scheme)
    };
    let ours = || schemes.iter().copied().flat_map(of);
    let telling = ours().find(|challenge| challenge.param("error").is_some());
    match telling.and_then(|challenge| Some((challenge, challenge.param("error")?))) {
        Some((_, "invalid_token")) => Verdict::Renew,
        Some((challenge, dpop::USE_NONCE)) if challenge.scheme == dpop::DPOP => {
            Verdict::UseDpopNonce
        }
        Some((challenge, "insufficient_scope")) => Verdict::WidenScope(scope(challenge)),
        Some((challenge, "insufficient_user_authentication")) => Verdict::StepUp {
            acr_values: challenge.param("acr_values").map(str::to_owned),
            max_age: challenge
                .param("max_age")
                .and_then(|seconds| seconds.parse().ok()),
            claims: claims(challenge),
        },
        Some((challenge, "insufficient_claims")) => Verdict::StepUp {
            acr_values: None,
            max_age: None,
            claims: claims(challenge),
        },
        Some(_) => Verdict::Refused,
        // A 401 without an error code: UserVoice says no more than that, and RFC 6750 section 3.1
        // wants no code where the request carried no token.
        None if status == StatusCode::UNAUTHORIZED => {
            // What cannot be read may have been a Bearer challenge.
            let is_ours = challenges.is_empty() || !is_whole || ours().next().is_some();
            if is_ours {
                Verdict::Renew
            } else {
                Verdict::Refused
            }
        }
        None => Verdict::Pass,
    }
}

/// The error that a reply stands for, if its status is 400 or above: `denied.http_status`,
/// `denied.busy` where the status asks to come back, or the code that a Bearer challenge names
/// (RFC 6750 section 3.1). `pause` is what the reply asks for before the next request.
pub fn refusal(status: StatusCode, headers: &HeaderMap, pause: Option<Duration>) -> Option<Error> {
    if !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let server = ServerError::of_status(status.as_u16()).retry_after(pause);
    let fields = headers.get_all(WWW_AUTHENTICATE).iter();
    let (challenges, _) = challenge::readable_fields(fields.map(HeaderValue::as_bytes));
    // Of a server's own words nothing is kept: they may repeat the token.
    let code = challenges
        .iter()
        .filter(|challenge| ["bearer", dpop::DPOP].contains(&challenge.scheme.as_str()))
        .find_map(|challenge| challenge.param("error"))
        .filter(|code| Denial::ALL.iter().any(|known| known.text() == *code));
    let server = match code {
        Some(code) => server.coded(code),
        None => server,
    };
    Some(Error::from(server).at_endpoint("resource"))
}

/// `claims` in base64 of either alphabet, if it is an object.
fn claims(challenge: &Challenge) -> Option<String> {
    let text = challenge.param("claims")?.trim_end_matches('=');
    let bytes = base64::decode(text, Alphabet::Standard)
        .or_else(|| base64::decode(text, Alphabet::UrlSafe))?;
    let claims = String::from_utf8(bytes).ok()?;
    let is_object = matches!(json::parse(&claims), Ok(Json::Object(_)));
    is_object.then_some(claims)
}

fn scope(challenge: &Challenge) -> Option<Scope> {
    challenge
        .param("scope")
        .and_then(|names| Scope::parse(names).ok())
}
