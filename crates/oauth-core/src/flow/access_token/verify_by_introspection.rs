//! Verification of opaque access tokens by introspection (RFC 7662), with a cache of responses. The claims of a
//! response, with `cnf`, are checked in `token/access_token/introspected.rs`. The request and its response are in
//! `endpoint/introspection.rs`.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::AccessTokenVerifier;
use super::introspection_cache::{
    IntrospectionCache, IntrospectionResult, Lookup, LookupPermit, TokenHash, hash,
};
use crate::client_config::ClientConfig;
use crate::endpoint::introspection::{
    ActiveToken, Introspection, IntrospectionResponse, SignedResponse,
};
use crate::error::{ApiRefusal, Error, Kind, Misuse, ProtocolViolation, ValidationFailure};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Input, Step};
use crate::flow::introspection::introspect;
use crate::flow::resource::bearer;
use crate::jose::Claims;
use crate::json::{Map, Value};
use crate::moment::{Moment, UnixTime};
use crate::secret::Secret;
use crate::server::Server;
use crate::token::TokenKind;
use crate::token::access_token::{Checks, ProvenKeys, VerifiedAccessToken};

/// The pause before looking again for a response that another verification is waiting for.
const POLL_PAUSE: Duration = Duration::from_millis(50);
/// After this many lookups (five seconds), the token is introspected although another verification is waiting for its
/// response.
const MAX_POLLS: u8 = 100;

/// The settings of the introspection requests.
#[derive(Debug, Clone)]
pub(super) struct IntrospectionSettings {
    signed: Option<SignedResponse>,
    cache: Option<Arc<IntrospectionCache>>,
}

impl IntrospectionSettings {
    pub(super) const fn new() -> Self {
        Self {
            signed: None,
            cache: None,
        }
    }
}

impl AccessTokenVerifier {
    /// Requests signed responses, and accepts no others (RFC 9701). Has no effect on a verifier that verifies the
    /// signatures of tokens.
    #[must_use]
    pub fn with_signed_introspection(mut self, signed: SignedResponse) -> Self {
        if let Some(introspection_settings) = &mut self.introspection_settings {
            introspection_settings.signed = Some(signed);
        }
        self
    }

    /// Caches the responses about at most `entries` tokens: each for `max_age`, but never beyond the expiry of the
    /// token; the response that a token is not active, for five seconds at most. A revoked token is accepted until its
    /// cached response expires: a longer `max_age` means fewer requests, "the shorter, the more accurate" (RFC 7662
    /// section 4). Tokens themselves are not kept, only their SHA-256. A response takes up to 256 KiB.
    ///
    /// All clones made after this call share the cache. If several of them verify the same new token at once, one asks
    /// the server and the others wait for its response, for five seconds at most. Has no effect on a verifier that
    /// verifies the signatures of tokens.
    #[must_use]
    pub fn with_introspection_cache(mut self, max_age: Duration, entries: usize) -> Self {
        if let Some(introspection_settings) = &mut self.introspection_settings {
            introspection_settings.cache =
                Some(Arc::new(IntrospectionCache::new(max_age, entries)));
        }
        self
    }
}

/// The verification of one token. If the introspection request fails, the error does not blame the token.
pub(super) struct Introspected {
    config: Arc<ClientConfig>,
    checks: Arc<Checks>,
    introspection_settings: IntrospectionSettings,
    proven: ProvenKeys,
    hash: TokenHash,
    state: State,
}

enum State {
    New(Secret<String>),
    /// Another verification is introspecting the token; with the number of lookups so far.
    Waiting(Secret<String>, u8),
    /// The introspection request is under way; with the permit to introspect for other verifications.
    Introspecting(Boxed<IntrospectionResponse>, Option<LookupPermit>),
    Over,
}

impl Introspected {
    pub(super) fn new(
        config: Arc<ClientConfig>,
        checks: Arc<Checks>,
        introspection_settings: IntrospectionSettings,
        token: Secret<String>,
        proven: ProvenKeys,
    ) -> Self {
        Self {
            config,
            checks,
            introspection_settings,
            proven,
            hash: hash(token.expose()),
            state: State::New(token),
        }
    }

    /// Begins with a token that has the syntax of one. No header can have carried any other: the server's response to
    /// such a request, as to an empty `token`, would say nothing about the token.
    ///
    /// # Errors
    /// `access_token.malformed`.
    fn start(
        &mut self,
        at: &Moment,
        token: Secret<String>,
    ) -> Result<Step<VerifiedAccessToken>, Error> {
        if bearer(&token).is_err() {
            let error = Error::from(ProtocolViolation::AccessTokenShape);
            return Err(error.at_endpoint("access_token"));
        }
        self.look_up(at, token, 0)
    }

    /// Looks into the cache: returns the cached result, begins an introspection request, or pauses while another
    /// verification introspects the token.
    fn look_up(
        &mut self,
        at: &Moment,
        token: Secret<String>,
        polls: u8,
    ) -> Result<Step<VerifiedAccessToken>, Error> {
        let permit = match &self.introspection_settings.cache {
            None => None,
            Some(cache) => match cache.look_up(self.hash, at.now()) {
                Lookup::Cached(response) => {
                    return self.verify_response(response, at.now()).map(Step::Done);
                }
                Lookup::Pending if polls < MAX_POLLS => {
                    self.state = State::Waiting(token, polls + 1);
                    return Ok(Step::Sleep(POLL_PAUSE));
                }
                Lookup::Pending => None,
                Lookup::Missing(permit) => Some(permit),
            },
        };
        let mut request = Introspection::new(token).token_type_hint(TokenKind::Access);
        request.signed = self.introspection_settings.signed.clone();
        let introspection = introspect(Arc::clone(&self.config), request).boxed();
        self.resume_introspection(at, introspection, permit, Input::Begin)
    }

    fn resume_introspection(
        &mut self,
        at: &Moment,
        mut introspection: Boxed<IntrospectionResponse>,
        permit: Option<LookupPermit>,
        input: Input,
    ) -> Result<Step<VerifiedAccessToken>, Error> {
        let step = match introspection
            .resume(at, input)
            .map_err(without_blaming_token)?
        {
            Step::Send(request) => Step::Send(request),
            Step::Sleep(pause) => Step::Sleep(pause),
            Step::Sign(job) => Step::Sign(job),
            Step::Verify(job) => Step::Verify(job),
            Step::Done(state) => {
                let response = match state {
                    IntrospectionResponse::Active(active) => Some(Arc::from(active)),
                    IntrospectionResponse::Inactive => None,
                };
                let now = at.now();
                if let Some(cache) = &self.introspection_settings.cache {
                    cache.store(self.hash, response.clone(), now);
                }
                return self.verify_response(response, now).map(Step::Done);
            }
        };
        self.state = State::Introspecting(introspection, permit);
        Ok(step)
    }

    fn verify_response(
        &self,
        response: IntrospectionResult,
        now: UnixTime,
    ) -> Result<VerifiedAccessToken, Error> {
        let verified = match response {
            None => Err(ValidationFailure::AccessTokenInactive.into()),
            Some(response) => {
                let server = &self.config.server;
                let response = claims(server, &response).map_err(without_blaming_token);
                response.and_then(|response| {
                    self.checks
                        .check_introspected(server, response, &self.proven, now)
                })
            }
        };
        verified.map_err(|error| error.at_endpoint("access_token"))
    }
}

impl Exchange for Introspected {
    type Output = VerifiedAccessToken;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<VerifiedAccessToken>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::New(token), Input::Begin) => self.start(at, token),
            (State::Waiting(token, polls), Input::Elapsed) => self.look_up(at, token, polls),
            (State::Introspecting(introspection, permit), input) => {
                self.resume_introspection(at, introspection, permit, input)
            }
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}

impl fmt::Debug for Introspected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Introspected").finish_non_exhaustive()
    }
}

/// The response as claims, with the names of a JWT access token. Without `iss` they name the issuer of the server that
/// was asked, because it vouches for the token.
///
/// # Errors
/// `introspection.malformed` for a response that was cut because it is too large.
fn claims(server: &Server, response: &ActiveToken) -> Result<Claims, Error> {
    // A missing member may have meant that the token is bound to a key, or is not an access token.
    if response.is_truncated {
        return Err(Error::from(ProtocolViolation::IntrospectionShape).about("too large"));
    }
    let mut claims: Map<String, Value> = response.extra.as_map().clone();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            claims.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let time = |time: Option<UnixTime>| time.map(|time| Value::from(time.as_secs()));
    let issuer = response.issuer.as_deref();
    let issuer = issuer.unwrap_or_else(|| server.issuer().as_str());
    add("iss", Some(issuer.into()));
    add("sub", text(&response.subject));
    add("client_id", text(&response.client_id));
    add("username", text(&response.username));
    add("token_type", text(&response.token_type));
    let scope = response.scope.as_ref().map(|scope| scope.as_str().into());
    add("scope", scope);
    add("exp", time(response.expires_at));
    add("iat", time(response.issued_at));
    add("nbf", time(response.not_before));
    let audience = response.audience.iter().map(|name| name.as_str().into());
    let audience = Value::Array(audience.collect());
    add(
        "aud",
        Some(audience).filter(|_| !response.audience.is_empty()),
    );
    Ok(Claims::from_map(claims))
}

/// Turns an error of the introspection request into a 503, or a 500 for a misuse: the token may be valid, and the
/// client may succeed with it later.
fn without_blaming_token(error: Error) -> Error {
    let status = match error.kind() {
        Kind::Misuse(_) => 500,
        _ => 503,
    };
    error.with_refusal(ApiRefusal::new(status, None))
}
