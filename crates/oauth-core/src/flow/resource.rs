//! Use of access tokens: the origins to which they may be sent (RFC 6750). What a refusal requires of the client is in
//! `resource/challenge_verdict.rs`.
//!
//! Requests to resources are not exchanges, because their bodies stream: a [`ResourceRequest`] decides what to do with
//! a request, and the host keeps it. The state machine uses two pure functions, one before the request and one after
//! the reply.

mod api;
mod challenge_verdict;
#[cfg(feature = "ended-tokens")]
mod ended_token;
#[cfg(not(feature = "ended-tokens"))]
#[path = "resource/ended_token_off.rs"]
mod ended_token;
mod limiter;
mod rate_limit_headers;
// Connections, which read it, are not in builds for browsers.
#[cfg(not(target_family = "wasm"))]
mod metadata_challenge;
mod proof_maker;
mod request;
mod step;
mod step_up_challenge;
mod token_owner;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use crate::http::header::{AUTHORIZATION, CONTENT_TYPE};
use crate::http::request::Parts;
use crate::http::{HeaderMap, HeaderName, HeaderValue};

use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Error, Misuse};
use crate::form;
use crate::protected_resource_metadata::ResourceIdentifier;
use crate::secret::Secret;
use crate::token::{self, TokenType};
use crate::url::{Transport, Url};

pub use api::Api;
pub use challenge_verdict::{
    Verdict, may_be_about_the_token, refusal, step_up, verdict, verdict_of_fields,
    verdict_with_dpop,
};
#[cfg(feature = "ended-tokens")]
pub use ended_token::ExpiredTokenReply;
pub use limiter::{Clock, RateLimiter};
#[cfg(not(target_family = "wasm"))]
pub use metadata_challenge::MetadataChallenge;
pub use proof_maker::Proofs;
pub use rate_limit_headers::{Allowance, ResetField, ResetUnit};
pub use request::ResourceRequest;
pub use step::{Event, OnRateLimit, Step};
pub use token_owner::{Routes, TokenOwner};

/// The header fields of a request that decide whether it may carry a token; a host with its own header type may
/// leave out the others.
pub const READ_BEFORE: [HeaderName; 2] = [AUTHORIZATION, CONTENT_TYPE];

/// The origins, or the one resource, to which a token may be sent.
#[derive(Debug, Clone)]
pub struct Resource {
    origins: Arc<[Url]>,
    transport: Transport,
    /// The only resource for which a token is valid, if that is known.
    beneath: Option<ResourceIdentifier>,
}

/// How a redirect is handled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirect {
    /// The redirect stays within the origin: follow it, with the token.
    Follow(Url),
    /// Another origin, another scheme or an invalid URL: return the reply to the caller unchanged.
    Refuse,
}

impl Resource {
    /// Allows these origins: scheme, host and port, such as `https://api.example`. A path would not restrict the token
    /// to what is below it, and is refused.
    ///
    /// # Errors
    /// `url.syntax`, `url.insecure`, `resource.origin_syntax`.
    pub fn new<'a>(origins: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        Self::with_transport(origins, Transport::Https)
    }

    pub(crate) fn with_transport<'a>(
        origins: impl IntoIterator<Item = &'a str>,
        transport: Transport,
    ) -> Result<Self, Error> {
        let read = |text: &str| {
            let url = Url::parse(text);
            // The module of a page should be small: the scripts around it check this.
            if IS_BROWSER_BUILD {
                let url = url?;
                return url.require(transport).map(|()| url);
            }
            // Before an `@` there may be a password.
            let about_origin = |error: Error| {
                if text.contains('@') {
                    error
                } else {
                    error.about(text)
                }
            };
            let url = url.map_err(about_origin)?;
            url.require(transport).map_err(about_origin)?;
            match url.path_and_query() {
                "" | "/" => Ok(url),
                _ => Err(Error::from(Misuse::OriginSyntax).about(&url.origin())),
            }
        };
        let origins = origins.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self {
            origins,
            transport,
            beneath: None,
        })
    }

    /// Allows URLs below this resource, and no others of its origin: several APIs on one origin, such as MCP servers,
    /// never get each other's tokens.
    pub fn beneath(resource: &ResourceIdentifier) -> Self {
        Self {
            origins: Arc::from([resource.url().clone()]),
            // The identifier was checked when it was parsed, so plain http is allowed here.
            transport: match resource.url().scheme() {
                "http" => Transport::LoopbackHttp,
                _ => Transport::Https,
            },
            beneath: Some(resource.clone()),
        }
    }

    /// Checks that a token may be sent to this URL.
    ///
    /// # Errors
    /// `url.insecure`, `resource.origin_not_allowed`, `resource.not_covered`.
    pub fn check(&self, url: &Url) -> Result<(), Error> {
        url.require(self.transport)?;
        if !self.origins.iter().any(|allowed| allowed.same_origin(url)) {
            return Err(Error::from(Misuse::OriginNotAllowed).about(&url.origin()));
        }
        match &self.beneath {
            Some(resource) if !resource.covers(url) => {
                Err(Error::from(Misuse::ResourceNotCovered).about(resource.as_str()))
            }
            _ => Ok(()),
        }
    }

    /// Sets the `Authorization` header of a request after checking that the token may be sent
    /// there. `body` is the request's body, if available.
    ///
    /// # Errors
    /// `url.*`, and those of [`authorization`](Self::authorization).
    pub fn authorize(
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

    /// The `Authorization` header that a request to `url` may carry. Of its `headers`, only those in [`READ_BEFORE`]
    /// are read.
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

    /// Checks that a request may carry a token at all.
    ///
    /// # Errors
    /// The errors of [`Self::authorization`] that do not concern the token.
    pub(crate) fn may_carry(
        &self,
        url: &Url,
        headers: &HeaderMap,
        body: Option<&[u8]>,
    ) -> Result<(), Error> {
        self.check(url)?;
        check_single_method(url, headers, body)
    }

    /// How a redirect of the resource server is handled (SECURITY: a token must not follow a
    /// `Location` to another host).
    pub fn redirect(&self, from: &Url, location: &str) -> Redirect {
        match from.join(location) {
            Ok(url) if url.same_origin(from) && self.check(&url).is_ok() => Redirect::Follow(url),
            _ => Redirect::Refuse,
        }
    }
}

/// The value of an `Authorization: Bearer` header (RFC 6750 section 2.1).
///
/// A token is opaque: one of visible ASCII characters is sent as it was received, because the tokens of Salesforce,
/// eBay and Amazon contain `!`, `^`, `#` and `|`. Strict rules refuse such a token when it is issued.
///
/// # Errors
/// `token.not_ascii`; `token.not_token68` for one that is empty, or contains a space or a control
/// character.
pub fn bearer(token: &Secret<String>) -> Result<HeaderValue, Error> {
    token::authorization_header(&TokenType::Bearer, token)
}

fn check_single_method(url: &Url, headers: &HeaderMap, body: Option<&[u8]>) -> Result<(), Error> {
    // Pair by pair: a pair that is not UTF-8 must not hide the others.
    let has_token = |form: &str| {
        let names = form
            .split('&')
            .map(|pair| pair.split('=').next().unwrap_or_default());
        let mut names = names;
        names.any(|name| {
            if name.contains(['%', '+']) {
                form::decode(name).is_ok_and(|name| name == "access_token")
            } else {
                name == "access_token"
            }
        })
    };
    if url.query().is_some_and(has_token) {
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
    if headers.contains_key(AUTHORIZATION) || form.is_some_and(|form| has_token(&form)) {
        return Err(Misuse::TokenTwice.into());
    }
    Ok(())
}
