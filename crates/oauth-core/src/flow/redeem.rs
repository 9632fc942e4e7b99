//! Redeems an authorization code: requests the tokens, then verifies the ID token.
//!
//! OpenID Connect Core <https://openid.net/specs/openid-connect-core-1_0.html#TokenResponse>

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::authorization_details::AuthorizationDetails;
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::endpoint::token::Token;
use crate::error::{Error, ProtocolViolation, ValidationFailure};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, OnceOnly, Ready};
use crate::flow::verification;
use crate::grant::{AuthorizationCode, TokenRequest};
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::token::id_token::{IdToken, IdTokenChecks, WITHOUT_NONCE};
use crate::token::step_up::{StepUp, StepUpLogin};
use crate::token::{Tokens, Warning};

/// What a sign-in leaves behind.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Login {
    /// The tokens.
    pub tokens: Tokens,
    /// Who signed in, if `openid` was requested. Its signature and claims are good.
    pub id_token: Option<IdToken>,
}

/// What an ID token of this flow has to say.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) nonce: Option<Secret<String>>,
    pub(crate) requested_at: UnixTime,
    pub(crate) max_age: Option<Duration>,
    /// Of a hybrid flow.
    pub(crate) front_channel: Option<FrontChannel>,
}

/// An ID token that came through the browser, and what it vouches for (OpenID Connect Core section 3.3).
#[derive(Debug, Clone)]
pub(crate) struct FrontChannel {
    pub(crate) id_token: Secret<String>,
    pub(crate) code: Secret<String>,
    pub(crate) state: Secret<String>,
}

/// A callback that was found good: what is sent for it, and what has to come back.
#[derive(Debug)]
pub(crate) struct Redemption {
    pub(crate) code: AuthorizationCode,
    pub(crate) token_request: TokenRequest,
    /// The permissions that were asked for.
    pub(crate) details: Option<AuthorizationDetails>,
    /// What an API wants of the person.
    pub(crate) step_up: Option<StepUp>,
    /// Of a request for `openid`.
    pub(crate) expected: Option<Expected>,
}

pub(crate) fn redeem(
    config: Arc<ClientConfig>,
    redemption: Redemption,
) -> impl Exchange<Output = Login> + Send + use<> {
    let Redemption {
        code,
        token_request,
        details,
        step_up,
        expected,
    } = redemption;
    let vouched = front_channel(&config, expected.as_ref());
    vouched.then(move |_, vouched| {
        let request = Call::new(Arc::clone(&config), Token::new(code, token_request));
        let login = request.then(move |_, mut tokens| {
            compare(&mut tokens, details.as_ref())?;
            answer(&mut tokens, step_up);
            login(config, tokens, expected, vouched)
        });
        // Behind a pointer, its code is not copied into what stands before it.
        Ok(login.boxed())
    })
}

/// A sign-in whose person agreed elsewhere than in a browser of this client: no nonce was sent, and the ID token, if
/// one was asked for, is of the response that brings it.
pub(crate) fn without_browser<E: Exchange<Output = Tokens>>(
    config: Arc<ClientConfig>,
    tokens: E,
    identity: Identity,
) -> impl Exchange<Output = Login> + use<E> {
    tokens.then(move |at, tokens| {
        let expected = (identity == Identity::Wanted).then(|| Expected {
            nonce: None,
            requested_at: at.now(),
            max_age: None,
            front_channel: None,
        });
        login(config, tokens, expected, None)
    })
}

/// Whether a grant is asked who the person is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    Wanted,
    Unwanted,
}

impl Identity {
    /// `openid` asks for an ID token (OpenID Connect Core section 3.1.2.1).
    pub(crate) fn of(token_request: &TokenRequest) -> Self {
        match token_request.scope.contains("openid") {
            true => Self::Wanted,
            false => Self::Unwanted,
        }
    }
}

/// Notes if permissions were granted that are not all of those asked for (RFC 9396 section 7).
fn compare(tokens: &mut Tokens, wanted: Option<&AuthorizationDetails>) -> Result<(), Error> {
    let Some(wanted) = wanted else {
        return Ok(());
    };
    let granted = tokens.authorization_details()?.unwrap_or_default();
    if wanted.not_in(&granted).next().is_some() {
        tokens.warnings.push(Warning::AuthorizationDetailsMissing);
    }
    Ok(())
}

/// Notes what the login was made for, so that it is not made for the same again and again.
fn answer(tokens: &mut Tokens, step_up: Option<StepUp>) {
    let at = tokens.received_at;
    let answered = step_up.map(|step_up| Arc::new(StepUpLogin { step_up, at }));
    if let Some(refresh_token) = &mut tokens.refresh_token {
        refresh_token.answered.clone_from(&answered);
    }
    tokens.answered = answered;
}

/// The ID token that came with the code, verified before the code is sent: it may be an attacker's (section
/// 3.3.2.10).
fn front_channel(
    config: &Arc<ClientConfig>,
    expected: Option<&Expected>,
) -> Boxed<Option<IdToken>> {
    let given = expected.and_then(|expected| expected.front_channel.clone());
    let (Some(expected), Some(given)) = (expected, given) else {
        return Ready::new(None).boxed();
    };
    let checks = IdTokenChecks {
        code: Some(given.code),
        state: Some(given.state),
        ..expected.checks()
    };
    let verified = verification::id_token(Arc::clone(config), given.id_token, checks);
    verified.and_then(|_, id_token| Ok(Some(id_token))).boxed()
}

impl Expected {
    /// What every ID token of the flow has to say.
    fn checks(&self) -> IdTokenChecks {
        IdTokenChecks {
            nonce: self.nonce.clone(),
            requested_at: Some(self.requested_at),
            max_age: self.max_age,
            max_token_age: self.nonce.is_none().then_some(WITHOUT_NONCE),
            ..IdTokenChecks::default()
        }
    }
}

fn login(
    config: Arc<ClientConfig>,
    tokens: Tokens,
    expected: Option<Expected>,
    vouched: Option<IdToken>,
) -> Result<Boxed<Login>, Error> {
    match expected {
        Some(expected) => verified(config, tokens, expected.checks(), vouched),
        None => {
            let id_token = None;
            Ok(Ready::new(Login { tokens, id_token }).boxed())
        }
    }
}

/// A sign-in whose tokens the server has brought by itself.
pub(crate) fn pushed(
    config: Arc<ClientConfig>,
    tokens: Tokens,
    checks: IdTokenChecks,
) -> Result<Boxed<Login>, Error> {
    verified(config, tokens, checks, None)
}

fn verified(
    config: Arc<ClientConfig>,
    mut tokens: Tokens,
    checks: IdTokenChecks,
    vouched: Option<IdToken>,
) -> Result<Boxed<Login>, Error> {
    // "the following parameters MUST be included in the response: id_token" (section 3.1.3.3)
    let text = tokens.id_token.clone();
    let text =
        text.ok_or_else(|| Error::from(ProtocolViolation::IdTokenMissing).at_endpoint("token"))?;
    let checks = IdTokenChecks {
        access_token: Some(tokens.access_token.clone()),
        ..checks
    };
    let verified = verification::id_token(config, text, checks);
    let login = verified.and_then(move |_, id_token| {
        if let Some(vouched) = vouched {
            same_person(&vouched, &id_token)?;
        }
        // As it was signed: an encrypted one is nothing that the server takes back (`id_token_hint`), or that
        // a later one can be compared with.
        let kept = Some(id_token.text().clone());
        if let Some(refresh_token) = &mut tokens.refresh_token {
            refresh_token.id_token.clone_from(&kept);
        }
        tokens.id_token = kept;
        let id_token = Some(id_token);
        Ok(Login { tokens, id_token })
    });
    Ok(OnceOnly(login).boxed())
}

/// "the iss and sub Claim Values MUST be identical in both ID Tokens" (section 3.3.3.6)
fn same_person(front: &IdToken, back: &IdToken) -> Result<(), Error> {
    let failure = if front.issuer() != back.issuer() {
        ValidationFailure::JwtIssuer
    } else if front.subject() != back.subject() {
        ValidationFailure::IdTokenSubjectChanged
    } else {
        return Ok(());
    };
    Err(Error::from(failure).at_endpoint("token"))
}
