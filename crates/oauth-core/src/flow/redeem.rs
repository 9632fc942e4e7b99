//! A sign-in, from the code to the person: tokens, then the verified ID token.
//!
//! OpenID Connect Core <https://openid.net/specs/openid-connect-core-1_0.html#TokenResponse>

use crate::client::Client;
use crate::error::{Error, ProtocolViolation};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Ready};
use crate::grant::{AuthorizationCode, TokenRequest};
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::token::Tokens;
use crate::token::id_token::{IdToken, IdTokenChecks};

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
#[derive(Debug)]
pub(crate) struct Expected {
    pub(crate) nonce: Option<Secret<String>>,
    pub(crate) requested_at: UnixTime,
}

/// A callback that was found good: what is sent for it, and what has to come back.
#[derive(Debug)]
pub(crate) struct Redemption {
    pub(crate) code: AuthorizationCode,
    pub(crate) token_request: TokenRequest,
    /// Of a request for `openid`.
    pub(crate) expected: Option<Expected>,
}

pub(crate) fn redeem(
    client: &Client,
    redemption: Redemption,
) -> impl Exchange<Output = Login> + Send + use<> {
    let Redemption {
        code,
        token_request,
        expected,
    } = redemption;
    let client = client.clone();
    client
        .token(code, token_request)
        .then(move |_, tokens| login(&client, tokens, expected))
}

fn login(
    client: &Client,
    tokens: Tokens,
    expected: Option<Expected>,
) -> Result<Boxed<Login>, Error> {
    let Some(Expected {
        nonce,
        requested_at,
    }) = expected
    else {
        let login = Login {
            tokens,
            id_token: None,
        };
        return Ok(Ready::new(login).boxed());
    };
    // "MUST ... return ... id_token" (section 3.1.3.3)
    let text = tokens
        .id_token
        .clone()
        .ok_or(ProtocolViolation::IdTokenMissing);
    let text = text.map_err(|missing| Error::from(missing).at_endpoint("token"))?;
    let checks = IdTokenChecks {
        nonce,
        requested_at: Some(requested_at),
        access_token: Some(tokens.access_token.clone()),
        ..IdTokenChecks::default()
    };
    let verified = client.verify_id_token(text, checks);
    let login = verified.and_then(move |_, id_token| {
        let id_token = Some(id_token);
        Ok(Login { tokens, id_token })
    });
    Ok(login.boxed())
}
