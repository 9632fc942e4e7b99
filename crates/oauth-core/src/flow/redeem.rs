//! Redeems an authorization code: requests the tokens, then verifies the ID token.
//!
//! A code is sent once (RFC 6749 section 4.1.2): `OnceOnly` below, and `can_repeat` in `grant/authorization_code.rs`.
//! The callback that contained it has been checked in `authorization/pending.rs`.
//!
//! OpenID Connect Core <https://openid.net/specs/openid-connect-core-1_0.html#TokenResponse>

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use crate::authorization_details::AuthorizationDetails;
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::endpoint::token::TokenEndpoint;
use crate::error::{Error, ProtocolViolation, ValidationFailure};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, OnceOnly, Ready};
use crate::flow::verification;
use crate::grant::{AuthorizationCode, TokenRequest};
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::token::authorized_resources::AuthorizedResources;
use crate::token::id_token::{IdToken, IdTokenChecks, MAX_AGE_WITHOUT_NONCE};
use crate::token::step_up_requirement::{StepUp, StepUpLogin, acr_suffices};
use crate::token::{Tokens, Warning};

/// The result of a sign-in.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Login {
    /// The tokens.
    pub tokens: Tokens,
    /// The ID token of the user who signed in, if `openid` was requested. Its signature and claims are verified.
    pub id_token: Option<IdToken>,
}

/// The expected values of the ID token of this flow.
#[derive(Debug, Clone)]
pub(crate) struct Expected {
    pub(crate) nonce: Option<Secret<String>>,
    pub(crate) requested_at: UnixTime,
    pub(crate) max_age: Option<Duration>,
    /// The front-channel part of a hybrid flow.
    pub(crate) hybrid_response: Option<HybridResponse>,
}

/// An ID token of the authorization response, and the values whose hashes it contains (OpenID Connect Core section
/// 3.3).
#[derive(Debug, Clone)]
pub(crate) struct HybridResponse {
    pub(crate) id_token: Secret<String>,
    pub(crate) code: Secret<String>,
    pub(crate) state: Secret<String>,
}

/// A valid callback: the token request for it, and the expected values of the response.
#[derive(Debug)]
pub(crate) struct Redemption {
    pub(crate) code: AuthorizationCode,
    pub(crate) token_request: TokenRequest,
    /// The resources that were requested.
    pub(crate) resources: AuthorizedResources,
    /// The permissions that were requested.
    pub(crate) details: Option<AuthorizationDetails>,
    /// The step-up that an API requires.
    pub(crate) step_up: Option<StepUp>,
    /// The number of consecutive step-up logins before this one.
    pub(crate) step_ups_before: u64,
    /// The expected values of the ID token, if `openid` was requested.
    pub(crate) expected: Option<Expected>,
}

pub(crate) fn redeem(
    config: Arc<ClientConfig>,
    redemption: Redemption,
) -> impl Exchange<Output = Login> + Send + use<> {
    let Redemption {
        code,
        token_request,
        resources,
        details,
        step_up,
        step_ups_before,
        expected,
    } = redemption;
    let hybrid_id_token = hybrid_id_token(&config, expected.as_ref());
    hybrid_id_token.then(move |_, hybrid_id_token| {
        let request = Call::new(Arc::clone(&config), TokenEndpoint::new(code, token_request));
        let login = request.then(move |_, mut tokens| {
            tokens.compare_details(details.as_ref())?;
            record_step_up(&mut tokens, step_up, step_ups_before);
            if let Some(refresh_token) = &mut tokens.refresh_token {
                refresh_token.resources = resources;
            }
            login(config, tokens, expected, hybrid_id_token)
        });
        // Boxed, so that its code is not copied into the exchange before it.
        Ok(login.boxed())
    })
}

/// A sign-in that the user approved outside a browser of this client: no nonce was sent, and the ID token, if one was
/// requested, comes in the token response.
pub(crate) fn without_browser<E: Exchange<Output = Tokens>>(
    config: Arc<ClientConfig>,
    tokens: E,
    identity: Identity,
) -> impl Exchange<Output = Login> + use<E> {
    tokens.then(move |at, tokens| {
        let expected = (identity == Identity::Requested).then(|| Expected {
            nonce: None,
            requested_at: at.now(),
            max_age: None,
            hybrid_response: None,
        });
        login(config, tokens, expected, None)
    })
}

/// Whether an ID token is requested with a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Identity {
    Requested,
    NotRequested,
}

impl Identity {
    /// `openid` asks for an ID token (OpenID Connect Core section 3.1.2.1).
    pub(crate) fn for_request(token_request: &TokenRequest) -> Self {
        if token_request.scope.contains("openid") {
            Self::Requested
        } else {
            Self::NotRequested
        }
    }
}

/// Records the step-up that the login was made for, so that it is not requested again and again.
fn record_step_up(tokens: &mut Tokens, step_up: Option<StepUp>, earlier_step_ups: u64) {
    let at = tokens.received_at;
    let in_a_row = earlier_step_ups.saturating_add(1);
    let step_up_login = step_up.map(|step_up| {
        Arc::new(StepUpLogin {
            step_up,
            at,
            in_a_row,
        })
    });
    if let Some(refresh_token) = &mut tokens.refresh_token {
        refresh_token.step_up_login.clone_from(&step_up_login);
    }
    tokens.step_up_login = step_up_login;
}

/// The ID token of the authorization response, verified before the code is sent: it may be an attacker's (OpenID
/// Connect Core section 3.3.2.10).
fn hybrid_id_token(
    config: &Arc<ClientConfig>,
    expected: Option<&Expected>,
) -> Boxed<Option<IdToken>> {
    let hybrid_response = expected.and_then(|expected| expected.hybrid_response.clone());
    let (Some(expected), Some(hybrid_response)) = (expected, hybrid_response) else {
        return Ready::new(None).boxed();
    };
    let checks = IdTokenChecks {
        code: Some(hybrid_response.code),
        state: Some(hybrid_response.state),
        ..expected.checks()
    };
    let verified = verification::id_token(Arc::clone(config), hybrid_response.id_token, checks);
    verified.and_then(|_, id_token| Ok(Some(id_token))).boxed()
}

impl Expected {
    /// The checks of every ID token of the flow.
    fn checks(&self) -> IdTokenChecks {
        IdTokenChecks {
            nonce: self.nonce.clone(),
            requested_at: Some(self.requested_at),
            max_age: self.max_age,
            max_token_age: self.nonce.is_none().then_some(MAX_AGE_WITHOUT_NONCE),
            ..IdTokenChecks::default()
        }
    }
}

fn login(
    config: Arc<ClientConfig>,
    tokens: Tokens,
    expected: Option<Expected>,
    hybrid_id_token: Option<IdToken>,
) -> Result<Boxed<Login>, Error> {
    match expected {
        Some(expected) => with_id_token(config, tokens, expected.checks(), hybrid_id_token),
        None => {
            let id_token = None;
            Ok(Ready::new(Login { tokens, id_token }).boxed())
        }
    }
}

/// A sign-in whose tokens the server has pushed.
pub(crate) fn pushed(
    config: Arc<ClientConfig>,
    tokens: Tokens,
    checks: IdTokenChecks,
) -> Result<Boxed<Login>, Error> {
    with_id_token(config, tokens, checks, None)
}

fn with_id_token(
    config: Arc<ClientConfig>,
    mut tokens: Tokens,
    checks: IdTokenChecks,
    hybrid_id_token: Option<IdToken>,
) -> Result<Boxed<Login>, Error> {
    // "the following parameters MUST be included in the response: id_token" (OpenID Connect Core section
    // 3.1.3.3)
    let text = tokens.id_token.clone();
    let text =
        text.ok_or_else(|| Error::from(ProtocolViolation::IdTokenMissing).at_endpoint("token"))?;
    let checks = IdTokenChecks {
        access_token: Some(tokens.access_token.clone()),
        ..checks
    };
    let verified = verification::id_token(config, text, checks);
    let login = verified.and_then(move |_, id_token| {
        if let Some(hybrid_id_token) = hybrid_id_token {
            check_same_user(&hybrid_id_token, &id_token)?;
        }
        // The signed form is kept: the server does not accept an encrypted one back (`id_token_hint`), nor can a later
        // one be compared with it.
        let signed_id_token = Some(id_token.text().clone());
        if let Some(refresh_token) = &mut tokens.refresh_token {
            refresh_token.id_token.clone_from(&signed_id_token);
        }
        tokens.id_token = signed_id_token;
        // A voluntary claim (OpenID Connect Core section 5.5.1.1): the server may authenticate the user by other means.
        let acr = id_token.claims().text("acr")?;
        let step_up_login = tokens.step_up_login.as_deref();
        if !step_up_login
            .is_none_or(|step_up_login| acr_suffices(acr, &step_up_login.step_up.acr_values))
        {
            tokens.warnings.push(Warning::AcrNotMet);
        }
        let id_token = Some(id_token);
        Ok(Login { tokens, id_token })
    });
    Ok(OnceOnly(login).boxed())
}

/// "the iss and sub Claim Values MUST be identical in both ID Tokens" (OpenID Connect Core section 3.3.3.6)
fn check_same_user(front: &IdToken, back: &IdToken) -> Result<(), Error> {
    let failure = if front.issuer() != back.issuer() {
        ValidationFailure::JwtIssuer
    } else if front.subject() != back.subject() {
        ValidationFailure::IdTokenSubjectChanged
    } else {
        return Ok(());
    };
    Err(Error::from(failure).at_endpoint("token"))
}
