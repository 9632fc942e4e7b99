//! The tokens of the other server, and their renewal: with the same assertion while it is valid and unused, then a new
//! assertion for the ID token, then a new ID token for the refresh token, and finally a sign-in (section 4.4.3).

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use super::{IdentityAssertion, IdentityAssertionRequest, redeem, request};
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::endpoint::token::TokenEndpoint;
use crate::error::{Cause, Denial, Error, Misuse, ServerError};
use crate::exchange::{Boxed, Exchange, Input, Step, host_step};
use crate::grant::{IdentitySubject, Refresh, TokenRequest, has_ended};
use crate::moment::{Moment, UnixTime};
use crate::secret::Secret;
use crate::token::{RefreshToken, Tokens};

/// Access to the server of `client` for a user who has signed in at the identity provider. Clones share their state.
#[derive(Debug, Clone)]
pub struct IdentityAccess(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    identity_provider: Arc<ClientConfig>,
    client: Arc<ClientConfig>,
    token_request: TokenRequest,
    sign_in: Mutex<SignInState>,
}

#[derive(Debug, Clone)]
struct SignInState {
    id_token: Option<Secret<String>>,
    refresh_token: Option<RefreshToken>,
    assertion: Option<IdentityAssertion>,
    /// Alive while an exchange uses the refresh token.
    refreshing: Weak<RefreshPermit>,
}

/// The only permit to refresh: the exchange that holds it refreshes, and dropping it releases it.
#[derive(Debug)]
struct RefreshPermit;

/// The pause before another look at a sign-in that another exchange is refreshing.
const POLL_PAUSE: Duration = Duration::from_millis(100);

/// The largest number of polls, which together take longer than the longest request.
pub(super) const MAX_POLLS: u16 = 600;

impl IdentityAccess {
    pub(crate) fn new(
        identity_provider: Arc<ClientConfig>,
        login: &Tokens,
        client: Arc<ClientConfig>,
        token_request: TokenRequest,
    ) -> Self {
        Self(Arc::new(Inner {
            identity_provider,
            client,
            token_request,
            sign_in: Mutex::new(SignInState {
                id_token: login.id_token.clone(),
                refresh_token: login.refresh_token.clone(),
                assertion: None,
                refreshing: Weak::new(),
            }),
        }))
    }

    /// Gets tokens of the other server. Each assertion is presented only once.
    ///
    /// If several run at once, one refreshes the sign-in, and the others wait for it: a server that rotates refresh
    /// tokens treats a reused one as stolen. This applies to the clones of one access; if several processes share a
    /// sign-in, get its ID token from a session.
    ///
    /// # Errors
    /// `grant.no_refresh_token` if the user has to sign in again at the identity provider, `denied.*` of either server;
    /// all from the steps. If the identity provider requires another login (`denied.insufficient_user_authentication`),
    /// the error names its `max_age` and `acr_values`.
    pub fn tokens(&self) -> impl Exchange<Output = Tokens> + Send + use<> {
        Access {
            access: self.clone(),
            state: State::Fresh,
            presented: AssertionOrigin::New,
            polls: 0,
        }
    }

    /// The refresh token of the sign-in at the identity provider, which a renewal may have replaced.
    pub fn refresh_token(&self) -> Option<RefreshToken> {
        self.sign_in().refresh_token
    }

    /// Sets the assertion to present next, which was obtained elsewhere.
    pub fn keep(&self, assertion: IdentityAssertion) {
        self.update(|sign_in| sign_in.assertion = Some(assertion));
    }

    fn sign_in(&self) -> SignInState {
        let sign_in = self.0.sign_in.lock();
        sign_in.unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn update(&self, change: impl FnOnce(&mut SignInState)) {
        change(
            &mut self
                .0
                .sign_in
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        );
    }

    /// The first state of an exchange.
    fn first_state(&self, now: UnixTime) -> Result<State, Error> {
        let sign_in = self.sign_in();
        if let Some(assertion) = sign_in
            .assertion
            .filter(|assertion| is_unexpired(assertion, now))
        {
            return Ok(State::Redeeming(self.redeem(assertion)));
        }
        match sign_in.id_token {
            Some(id_token) if !has_ended(&id_token, now) => Ok(State::Exchanging(
                self.request(IdentitySubject::IdToken(id_token))?,
                None,
            )),
            _ => match self.permit() {
                Some((permit, refresh_token)) => {
                    let refresh = Refresh::new(refresh_token.ok_or(Misuse::NoRefreshToken)?);
                    let token = TokenEndpoint::new(refresh, TokenRequest::new());
                    let idp = Arc::clone(&self.0.identity_provider);
                    Ok(State::Refreshing(Box::new(Call::new(idp, token)), permit))
                }
                None => Ok(State::Waiting),
            },
        }
    }

    /// The permit to use the refresh token, unless another exchange has it. Both are taken under one lock.
    fn permit(&self) -> Option<(Arc<RefreshPermit>, Option<RefreshToken>)> {
        let guard = self.0.sign_in.lock();
        let mut sign_in = guard.unwrap_or_else(PoisonError::into_inner);
        if sign_in.refreshing.strong_count() > 0 {
            return None;
        }
        let permit = Arc::new(RefreshPermit);
        sign_in.refreshing = Arc::downgrade(&permit);
        Some((permit, sign_in.refresh_token.clone()))
    }

    fn request(&self, subject: IdentitySubject) -> Result<Boxed<IdentityAssertion>, Error> {
        let audience = self.0.client.server.issuer().as_str();
        let assertion_request =
            IdentityAssertionRequest::new(subject, audience, self.0.token_request.clone())?;
        Ok(request(
            Arc::clone(&self.0.identity_provider),
            assertion_request,
        ))
    }

    /// The assertion contains what was granted, which is not sent again. The assertion is dropped here, because it may
    /// be valid only once.
    fn redeem(&self, assertion: IdentityAssertion) -> Boxed<Tokens> {
        self.update(|sign_in| sign_in.assertion = None);
        redeem(Arc::clone(&self.0.client), assertion, TokenRequest::new())
    }
}

fn is_unexpired(assertion: &IdentityAssertion, now: UnixTime) -> bool {
    assertion.expires_at.is_none_or(|expires| now < expires)
}

struct Access {
    access: IdentityAccess,
    state: State,
    presented: AssertionOrigin,
    polls: u16,
}

/// The origin of the assertion that is presented.
#[derive(PartialEq, Eq)]
enum AssertionOrigin {
    /// The assertion was kept: the server may already have seen it.
    Kept,
    /// The assertion was just issued.
    New,
}

enum State {
    Fresh,
    /// Another exchange is refreshing the sign-in.
    Waiting,
    Refreshing(Boxed<Tokens>, Arc<RefreshPermit>),
    /// With the permit, if the refresh token is the subject: no other exchange may use it in the meantime.
    Exchanging(Boxed<IdentityAssertion>, Option<Arc<RefreshPermit>>),
    Redeeming(Boxed<Tokens>),
    Over,
}

impl Access {
    fn enter(&mut self, at: &Moment, mut state: State) -> Result<Step<Tokens>, Error> {
        match &mut state {
            State::Waiting if self.polls < MAX_POLLS => {
                self.polls += 1;
                self.state = State::Waiting;
                Ok(Step::Sleep(POLL_PAUSE))
            }
            State::Waiting => Err(Error::lost(Cause::unsent_as(
                "another run still refreshes the sign-in",
            ))),
            State::Refreshing(exchange, _) => {
                let step = exchange.resume(at, Input::Begin)?;
                self.after_refresh(at, state, step)
            }
            State::Exchanging(exchange, _) => {
                let step = exchange.resume(at, Input::Begin)?;
                self.after_exchange(at, state, step)
            }
            State::Redeeming(exchange) => {
                let step = exchange.resume(at, Input::Begin);
                self.after_redemption(at, state, step)
            }
            State::Fresh | State::Over => Err(Misuse::OutOfOrder.into()),
        }
    }

    fn after_refresh(
        &mut self,
        at: &Moment,
        state: State,
        step: Step<Tokens>,
    ) -> Result<Step<Tokens>, Error> {
        let step = match step {
            Step::Done(tokens) => {
                self.access.update(|sign_in| {
                    sign_in.id_token.clone_from(&tokens.id_token);
                    sign_in.refresh_token.clone_from(&tokens.refresh_token);
                });
                let subject = IdentitySubject::from_renewed_login(&tokens, at.now());
                let subject = subject.map_err(|_| Misuse::NoRefreshToken)?;
                let permit = match state {
                    State::Refreshing(_, permit)
                        if matches!(subject, IdentitySubject::RefreshToken(_)) =>
                    {
                        Some(permit)
                    }
                    _ => None,
                };
                let next = State::Exchanging(self.access.request(subject)?, permit);
                return self.enter(at, next);
            }
            step => step,
        };
        self.state = state;
        host_step(step)
    }

    fn after_exchange(
        &mut self,
        at: &Moment,
        state: State,
        step: Step<IdentityAssertion>,
    ) -> Result<Step<Tokens>, Error> {
        if let Step::Done(assertion) = step {
            self.presented = AssertionOrigin::New;
            let next = State::Redeeming(self.access.redeem(assertion));
            return self.enter(at, next);
        }
        self.state = state;
        host_step(step)
    }

    /// An assertion that was kept may have been presented before: then a new one is requested, once.
    fn after_redemption(
        &mut self,
        at: &Moment,
        state: State,
        step: Result<Step<Tokens>, Error>,
    ) -> Result<Step<Tokens>, Error> {
        match step {
            Err(error) if self.presented == AssertionOrigin::Kept && is_invalid_grant(&error) => {
                self.presented = AssertionOrigin::New;
                let next = self.access.first_state(at.now())?;
                self.enter(at, next)
            }
            Ok(Step::Done(tokens)) => Ok(Step::Done(tokens)),
            Ok(step) => {
                self.state = state;
                Ok(step)
            }
            Err(error) => Err(error),
        }
    }
}

fn is_invalid_grant(error: &Error) -> bool {
    let denial = error.server_error().map(ServerError::denial);
    denial == Some(Denial::InvalidGrant)
}

impl Exchange for Access {
    type Output = Tokens;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Tokens>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh, Input::Begin) | (State::Waiting, Input::Elapsed) => {
                let next = self.access.first_state(at.now())?;
                if let State::Redeeming(_) = next {
                    self.presented = AssertionOrigin::Kept;
                }
                self.enter(at, next)
            }
            (State::Fresh | State::Waiting, _) => Err(Misuse::OutOfOrder.into()),
            (State::Refreshing(mut exchange, permit), input) => {
                let step = exchange.resume(at, input)?;
                self.after_refresh(at, State::Refreshing(exchange, permit), step)
            }
            (State::Exchanging(mut exchange, permit), input) => {
                let step = exchange.resume(at, input)?;
                self.after_exchange(at, State::Exchanging(exchange, permit), step)
            }
            (State::Redeeming(mut exchange), input) => {
                let step = exchange.resume(at, input);
                self.after_redemption(at, State::Redeeming(exchange), step)
            }
            (State::Over, _) => Err(Misuse::Over.into()),
        }
    }
}
