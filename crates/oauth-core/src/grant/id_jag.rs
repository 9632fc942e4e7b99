//! Token exchange for an identity assertion, which is presented to another server. Both steps together are in
//! `flow/identity_assertion.rs`; any other token exchange is in `token_exchange.rs`.
//!
//! draft-ietf-oauth-identity-assertion-authz-grant
//! <https://datatracker.ietf.org/doc/draft-ietf-oauth-identity-assertion-authz-grant/>, section 4.3

use super::{Grant, TokenExchange, token_type};
use crate::context::Context;
use crate::error::{Error, Misuse};
use crate::form::Form;
use crate::jose::Unverified;
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::token::{RenewalTokenKind, TokenType, Tokens};

/// The subject of the requested assertion.
#[derive(Debug, Clone)]
pub enum IdentitySubject {
    /// The ID token of a sign-in at this server, which was issued to this client.
    IdToken(Secret<String>),
    /// A refresh token of such a sign-in, if the server accepts one.
    RefreshToken(Secret<String>),
    /// A SAML 2.0 assertion of a sign-in at this server, as XML in base64url.
    Saml2(Secret<String>),
}

impl IdentitySubject {
    /// The subject with this name of its type: `id_token`, `refresh_token` or `saml2`.
    ///
    /// # Errors
    /// `identity_assertion.subject_token_type` for any other: an access token does not identify a user;
    /// `identity_assertion.no_id_token` for an empty one.
    pub fn from_parts(token: Secret<String>, token_type: &str) -> Result<Self, Error> {
        if token.expose().is_empty() {
            return Err(Misuse::IdentityMissing.into());
        }
        match token_type::identifier(token_type).as_str() {
            token_type::ID_TOKEN => Ok(Self::IdToken(token)),
            token_type::REFRESH_TOKEN => Ok(Self::RefreshToken(token)),
            token_type::SAML2 => Ok(Self::Saml2(token)),
            other => Err(Error::from(Misuse::IdentitySubject).about(other)),
        }
    }

    /// The ID token of a sign-in.
    ///
    /// # Errors
    /// `identity_assertion.no_id_token` if it has none.
    pub fn from_login(login: &Tokens) -> Result<Self, Error> {
        let token = login.id_token.clone().ok_or(Misuse::IdentityMissing)?;
        Ok(Self::IdToken(token))
    }

    /// The subject after the sign-in was renewed: its ID token, or the refresh token if the renewal brought no valid
    /// one, as OpenID Connect allows ("it might not contain an id_token", OpenID Connect Core section 12.2). The
    /// refresh token is sent only to the server at which it is used to refresh.
    ///
    /// # Errors
    /// `identity_assertion.no_id_token` if there is no refresh token either.
    pub fn from_renewed_login(login: &Tokens, now: UnixTime) -> Result<Self, Error> {
        if let Ok(subject) = Self::from_login(login)
            && !subject.has_ended(now)
        {
            return Ok(subject);
        }
        let token = login.refresh_token.as_ref();
        // An access token that renews itself does not identify a user.
        let token = token.filter(|token| token.renews == RenewalTokenKind::AsRefreshToken);
        let token = token.ok_or(Misuse::IdentityMissing)?;
        Ok(Self::RefreshToken(token.secret().clone()))
    }

    /// Whether these tokens of a sign-in come from a renewal that brought no valid ID token: they were received after
    /// it had expired. Another renewal would bring none either, so the subject is that of
    /// [`from_renewed_login`](Self::from_renewed_login) already.
    pub fn is_renewal_in_vain(login: &Tokens) -> bool {
        let subject = Self::from_login(login);
        subject.is_ok_and(|subject| subject.has_ended(login.received_at))
    }

    /// Whether it is an ID token that has expired, with which nothing is sent: the sign-in has to be renewed first.
    pub fn has_ended(&self, now: UnixTime) -> bool {
        match self {
            Self::IdToken(token) => has_ended(token, now),
            Self::RefreshToken(_) | Self::Saml2(_) => false,
        }
    }
}

/// Whether the ID token has expired; one that cannot be read is left to the server.
pub(crate) fn has_ended(id_token: &Secret<String>, now: UnixTime) -> bool {
    let token = Unverified::parse(id_token.expose()).ok();
    let claims = token.as_ref().and_then(Unverified::claims);
    let expires = claims.and_then(|claims| claims.time("exp").ok().flatten());
    expires.is_some_and(|expires| now >= expires)
}

/// The exchange; audience, resource and scope are in the [`TokenRequest`](super::TokenRequest).
#[derive(Debug, Clone)]
pub(crate) struct IdJag(TokenExchange);

impl IdJag {
    pub(crate) fn new(subject: &IdentitySubject) -> Result<Self, Error> {
        let (token, token_type) = match subject {
            IdentitySubject::IdToken(token) => (token, token_type::ID_TOKEN),
            IdentitySubject::RefreshToken(token) => (token, token_type::REFRESH_TOKEN),
            IdentitySubject::Saml2(token) => (token, token_type::SAML2),
        };
        let exchange = TokenExchange::new(token.clone(), token_type)?;
        Ok(Self(exchange.requested_token_type(token_type::ID_JAG)?))
    }
}

impl Grant for IdJag {
    fn grant_type(&self) -> &str {
        self.0.grant_type()
    }

    fn purpose(&self) -> &'static str {
        self.0.purpose()
    }

    fn fill(&self, cx: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        self.0.fill(cx, form)
    }

    /// "token_type: REQUIRED. N_A" (section 4.3.4): the assertion grants no access by itself.
    fn accepts(&self, token_type: &TokenType) -> bool {
        matches!(token_type, TokenType::Other(name) if name.eq_ignore_ascii_case("N_A"))
    }

    fn is_for_confidential_clients(&self) -> bool {
        true
    }
}
