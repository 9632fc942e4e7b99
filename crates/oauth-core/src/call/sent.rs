//! The parts of a request that are kept until its response arrives, and the checks of the response that need them:
//! whether the request must be sent again with a DPoP nonce (RFC 9449 section 8) or a corrected clock, and which
//! secrets to redact.

use std::fmt;

use crate::http::header::WWW_AUTHENTICATE;
use crate::http::{HeaderValue, Method, Response, StatusCode};
use bytes::Bytes;

use super::redact;
use super::request::assertion_facts;
use crate::challenge;
use crate::client_auth::{ClientJwtOutcome, Origin};
use crate::client_config::ClientConfig;
use crate::dpop::{self, ServerRole};
use crate::endpoint::MAX_REPLY;
use crate::error::Error;
use crate::json::{self, Json};
use crate::moment::{Moment, UnixTime};
use crate::secret::Secret;
use crate::url::Url;
/// The parts of a request that are needed after it has been sent.
pub(super) struct Sent {
    /// The parameters of the request, even if they were sent in the URL.
    pub(super) body: Bytes,
    pub(super) authorization: Option<HeaderValue>,
    pub(super) client_jwt: Option<Secret<String>>,
    pub(super) method: Method,
    /// The URL to which it was sent.
    pub(super) url: Url,
    /// The role of the receiving server. Nonces and clock differences are stored per role.
    pub(super) role: ServerRole,
    /// The `iat` of the DPoP proof, if there was one.
    pub(super) proved_at: Option<UnixTime>,
}

impl fmt::Debug for Sent {
    /// Shows nothing, because the fields contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sent").finish_non_exhaustive()
    }
}

impl Sent {
    /// The error of this request, whether the response reports one or none arrived: it names the request, and contains
    /// none of its secrets.
    pub(super) fn error(&self, config: &ClientConfig, error: Error) -> Error {
        let error = error.at_url(self.method.as_str(), self.url.as_str());
        error.redact(&redact::secrets(config, self))
    }

    /// The workload's token, if the server refused the one that was sent and it has been replaced in the meantime.
    pub(super) fn replaced_workload_token(
        &self,
        config: &ClientConfig,
        at: &Moment,
        reply: &Response<Bytes>,
    ) -> Option<Secret<String>> {
        let jwt = config.auth.jwt()?;
        let sent_token = self.client_jwt.as_ref()?;
        let is_refused = error_code(reply).as_deref() == Some("invalid_client");
        if jwt.origin() == Origin::Own || !is_refused {
            return None;
        }
        // If no new token is available, the server's refusal is the better error.
        let Ok(ClientJwtOutcome::Ready(current)) =
            jwt.make(&assertion_facts(config, &self.url, at))
        else {
            return None;
        };
        (!sent_token.matches(current.expose())).then_some(current)
    }

    /// Corrects the clock difference from the `Date` of a refused proof. Returns whether it changed: only then a
    /// retry makes sense.
    pub(super) fn correct_clock(
        &self,
        config: &ClientConfig,
        at: &Moment,
        reply: &Response<Bytes>,
    ) -> bool {
        let Some(issued_at) = self.proved_at else {
            return false;
        };
        let clocks = &config.shared.clocks;
        is_proof_refused_with(reply, dpop::INVALID_PROOF)
            && clocks.correct_from_date(self.role, &self.url, reply.headers(), at.now(), issued_at)
    }

    /// Stores the nonce of a reply, even if the request had no proof, because the next request may have one (RFC 9449
    /// section 8.2). Returns whether the server refused the request because that nonce was missing.
    ///
    /// # Errors
    /// `dpop.duplicate_nonce` if the refusal of a request with a proof has several. In other replies duplicate nonces
    /// are ignored.
    pub(super) fn remember_nonce(
        &self,
        config: &ClientConfig,
        reply: &Response<Bytes>,
    ) -> Result<bool, Error> {
        if config.dpop.is_none() {
            return Ok(false);
        }
        let nonce = match dpop::nonce_field(reply.headers()) {
            Err(_) if self.proved_at.is_none() || reply.status().is_success() => None,
            read => read?,
        };
        let Some(nonce) = nonce else {
            return Ok(false);
        };
        config
            .shared
            .nonces
            .store_nonce(self.role, &self.url, nonce);
        Ok(self.proved_at.is_some() && is_proof_refused_with(reply, dpop::USE_NONCE))
    }
}

/// Whether a proof was refused with this error: "400 (Bad Request) ... error ... use_dpop_nonce" (RFC 9449 section 8),
/// and a 401 with a challenge at resource servers (section 9). Some servers mix the two forms.
fn is_proof_refused_with(reply: &Response<Bytes>, error: &str) -> bool {
    if !matches!(
        reply.status(),
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
    ) {
        return false;
    }
    let fields = reply.headers().get_all(WWW_AUTHENTICATE).iter();
    let (challenges, _) = challenge::valid_challenges_in(fields.map(HeaderValue::as_bytes));
    let has_error = |challenge: &challenge::Challenge| {
        challenge.scheme == dpop::DPOP && challenge.param("error") == Some(error)
    };
    if challenges.iter().any(has_error) {
        return true;
    }
    error_code(reply).as_deref() == Some(error)
}

/// The `error` of a refusal (RFC 6749 section 5.2).
fn error_code(reply: &Response<Bytes>) -> Option<String> {
    let is_refusal = matches!(
        reply.status(),
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED
    );
    if !is_refusal || reply.body().len() > MAX_REPLY {
        return None;
    }
    let text = std::str::from_utf8(reply.body()).ok()?;
    match json::parse(text) {
        Ok(Json::Object(object)) => object.get("error")?.as_str().map(str::to_owned),
        _ => None,
    }
}
