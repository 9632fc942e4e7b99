//! Verification of opaque access tokens: the server is asked (RFC 7662), and its response is cached.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::AccessTokenVerifier;
use super::answer_cache::{AnswerCache, Lookup, LookupPermit, TokenHash, Told, hash};
use crate::client_config::ClientConfig;
use crate::endpoint::introspection::{ActiveToken, Introspection, SignedResponse, TokenState};
use crate::error::{Error, Kind, Misuse, ProtocolViolation, Refusal, ValidationFailure};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Input, Step};
use crate::flow::introspection::introspect;
use crate::jose::Claims;
use crate::json::{Map, Value};
use crate::moment::{Moment, UnixTime};
use crate::secret::Secret;
use crate::server::Server;
use crate::token::TokenKind;
use crate::token::access_token::{AccessToken, Checks, ProvenKeys};

/// How long it takes to look again for an answer that somebody else is asking for.
const POLL: Duration = Duration::from_millis(50);
/// How often, at most, before a token is asked about all the same: five seconds.
const LOOKS: u8 = 100;

/// How the server is asked.
#[derive(Debug, Clone)]
pub(super) struct Asking {
    signed: Option<SignedResponse>,
    cache: Option<Arc<AnswerCache>>,
}

impl Asking {
    pub(super) const fn new() -> Self {
        Self {
            signed: None,
            cache: None,
        }
    }
}

impl AccessTokenVerifier {
    /// Asks for signed responses, and takes no others (RFC 9701). Of no effect on one that verifies
    /// signatures of tokens.
    #[must_use]
    pub fn with_signed_introspection(mut self, signed: SignedResponse) -> Self {
        if let Some(asking) = &mut self.asking {
            asking.signed = Some(signed);
        }
        self
    }

    /// Keeps what the server says of at most `entries` tokens, each for `max_age` and never beyond the end of
    /// the token; that a token is not active, for five seconds at most. A token that is revoked is good here
    /// for as long: the longer, the fewer requests, "the shorter, the more accurate" (RFC 7662 section 4).
    /// Tokens themselves are not kept, only their SHA-256. An answer takes up to 256 KiB.
    ///
    /// All clones made from here on share them, and of several that are shown a new token at once one asks; the
    /// others wait for its answer, for five seconds at most. Of no effect on one that verifies signatures of tokens.
    #[must_use]
    pub fn with_introspection_cache(mut self, max_age: Duration, entries: usize) -> Self {
        if let Some(asking) = &mut self.asking {
            asking.cache = Some(Arc::new(AnswerCache::new(max_age, entries)));
        }
        self
    }
}

/// One token. What goes wrong with the question is no fault of the token.
pub(super) struct Introspected {
    config: Arc<ClientConfig>,
    checks: Checks,
    asking: Asking,
    proven: ProvenKeys,
    hash: TokenHash,
    state: State,
}

enum State {
    Start(Secret<String>),
    /// Somebody else is asking. This is how often that was seen.
    Waiting(Secret<String>, u8),
    /// With the permit to ask on behalf of others.
    Asked(Boxed<TokenState>, Option<LookupPermit>),
    Over,
}

impl Introspected {
    pub(super) fn new(
        config: Arc<ClientConfig>,
        checks: Checks,
        asking: Asking,
        token: Secret<String>,
        proven: ProvenKeys,
    ) -> Self {
        Self {
            config,
            checks,
            asking,
            proven,
            hash: hash(token.expose()),
            state: State::Start(token),
        }
    }

    /// What is known, or a question, or a pause while others ask.
    fn look(
        &mut self,
        at: &Moment,
        token: Secret<String>,
        looks: u8,
    ) -> Result<Step<AccessToken>, Error> {
        let claim = match &self.asking.cache {
            None => None,
            Some(cache) => match cache.look(self.hash, at.now()) {
                Lookup::Known(told, until) => {
                    return self.judge(told, until, at.now()).map(Step::Done);
                }
                Lookup::Asked if looks < LOOKS => {
                    self.state = State::Waiting(token, looks + 1);
                    return Ok(Step::Sleep(POLL));
                }
                Lookup::Asked => None,
                Lookup::New(claim) => Some(claim),
            },
        };
        let mut request = Introspection::new(token).hint(TokenKind::Access);
        request.signed = self.asking.signed.clone();
        let asked = introspect(Arc::clone(&self.config), request).boxed();
        self.ask(at, asked, claim, Input::Begin)
    }

    fn ask(
        &mut self,
        at: &Moment,
        mut asked: Boxed<TokenState>,
        claim: Option<LookupPermit>,
        input: Input,
    ) -> Result<Step<AccessToken>, Error> {
        let step = match asked.resume(at, input).map_err(not_the_tokens)? {
            Step::Send(request) => Step::Send(request),
            Step::Sleep(pause) => Step::Sleep(pause),
            Step::Sign(job) => Step::Sign(job),
            Step::Verify(job) => Step::Verify(job),
            Step::Done(state) => {
                let told = match state {
                    TokenState::Active(active) => Some(Arc::from(active)),
                    TokenState::Inactive => None,
                };
                let now = at.now();
                let until = match &self.asking.cache {
                    Some(cache) => cache.keep(self.hash, told.clone(), now),
                    None => now,
                };
                return self.judge(told, until, now).map(Step::Done);
            }
        };
        self.state = State::Asked(asked, claim);
        Ok(step)
    }

    fn judge(&self, told: Told, until: UnixTime, now: UnixTime) -> Result<AccessToken, Error> {
        let judged = match told {
            None => Err(ValidationFailure::AccessTokenInactive.into()),
            Some(told) => {
                let server = &self.config.server;
                let told = claims(server, &told).map_err(not_the_tokens);
                told.and_then(|told| {
                    self.checks
                        .check_told(server, told, &self.proven, until, now)
                })
            }
        };
        judged.map_err(|error| error.at_endpoint("access_token"))
    }
}

impl Exchange for Introspected {
    type Output = AccessToken;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<AccessToken>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Start(token), Input::Begin) => self.look(at, token, 0),
            (State::Waiting(token, looks), Input::Elapsed) => self.look(at, token, looks),
            (State::Asked(asked, claim), input) => self.ask(at, asked, claim, input),
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

/// As the token itself would say it.
///
/// # Errors
/// `introspection.malformed` for an answer of which a part is missing here.
fn claims(server: &Server, told: &ActiveToken) -> Result<Claims, Error> {
    // What was left out may say that the token is bound to a key, or no access token.
    if told.is_cut {
        return Err(Error::from(ProtocolViolation::IntrospectionShape).about("too large"));
    }
    let mut all: Map<String, Value> = told.extra.as_map().clone();
    let mut add = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            all.insert(name.to_owned(), value);
        }
    };
    let text = |text: &Option<String>| text.as_deref().map(Value::from);
    let time = |time: Option<UnixTime>| time.map(|time| Value::from(time.as_secs()));
    let issuer = told.issuer.as_deref();
    let issuer = issuer.unwrap_or_else(|| server.issuer().as_str());
    add("iss", Some(issuer.into()));
    add("sub", text(&told.subject));
    add("client_id", text(&told.client_id));
    add("username", text(&told.username));
    add("token_type", text(&told.token_type));
    let scope = told.scope.as_ref().map(|scope| scope.as_str().into());
    add("scope", scope);
    add("exp", time(told.expires_at));
    add("iat", time(told.issued_at));
    add("nbf", time(told.not_before));
    let audience = told.audience.iter().map(|name| name.as_str().into());
    let audience = Value::Array(audience.collect());
    add("aud", Some(audience).filter(|_| !told.audience.is_empty()));
    Ok(Claims::of_map(all))
}

/// The API could not find out: the token may be good, and whoever shows it again later may be let in.
fn not_the_tokens(error: Error) -> Error {
    let status = match error.kind() {
        Kind::Misuse(_) => 500,
        _ => 503,
    };
    error.refusing(Refusal {
        status,
        challenge: None,
    })
}
