//! `POST {introspection_endpoint}`: ask the server whether a token is alive, and whose it is.
//!
//! RFC 7662 <https://www.rfc-editor.org/rfc/rfc7662#section-2>

#[cfg(test)]
mod tests;

use super::{Auth, Context, Endpoint, EndpointRequest, Reply};
use crate::error::{Error, ProtocolViolation};
use crate::extra::{Extra, MAX_EXTRA};
use crate::form::Form;
use crate::json::{Json, Object};
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::token::TokenKind;

/// Asks the server about one token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Introspection {
    /// The token in question.
    pub token: Secret<String>,
    /// Which kind it is, to save the server a search.
    pub hint: Option<TokenKind>,
}

impl Introspection {
    /// Of this token, of whichever kind it is.
    pub fn new(token: impl Into<Secret<String>>) -> Self {
        Self {
            token: token.into(),
            hint: None,
        }
    }

    /// Says which kind it is, or leaves it to the server to find out.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<Option<TokenKind>>) -> Self {
        self.hint = hint.into();
        self
    }
}

/// What the server says about a token (RFC 7662 section 2.2).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum TokenState {
    /// Alive, with what the server chose to tell.
    Active(Box<ActiveToken>),
    /// Dead, unknown, or none of our business: the server does not say which, and nothing else it
    /// says may be trusted.
    Inactive,
}

/// A live token's attributes; every one is optional.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct ActiveToken {
    /// `scope`
    pub scope: Option<Scope>,
    /// `client_id`
    pub client_id: Option<String>,
    /// `username`
    pub username: Option<String>,
    /// `token_type`
    pub token_type: Option<String>,
    /// `exp`: a result must not be cached beyond it.
    pub expires_at: Option<UnixTime>,
    /// `iat`
    pub issued_at: Option<UnixTime>,
    /// `nbf`
    pub not_before: Option<UnixTime>,
    /// `sub`
    pub subject: Option<String>,
    /// `aud`, one or several.
    pub audience: Vec<String>,
    /// `iss`
    pub issuer: Option<String>,
    /// Members RFC 7662 does not define, as far as they fit in 256 KiB.
    pub extra: Extra,
}

impl Endpoint for Introspection {
    const NAME: &'static str = "introspection";
    type Output = TokenState;

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        let mut form = Form::new();
        form.push("token", self.token.expose());
        form.push_some("token_type_hint", self.hint.map(TokenKind::as_str));
        let request = EndpointRequest::post(EndpointKind::Introspection, Self::NAME, form);
        // "The authorization server ... MUST ... require some form of authorization" (2.1)
        Ok(request.auth(Auth::ConfidentialClient {
            purpose: Self::NAME,
        }))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<TokenState, Error> {
        let mut object = reply.object_of(ProtocolViolation::IntrospectionShape)?;
        match object.take("active") {
            Some(Json::Bool(true)) => {
                active(object).map(|token| TokenState::Active(Box::new(token)))
            }
            Some(Json::Bool(false)) => Ok(TokenState::Inactive),
            // "Boolean indicator" (2.2): a text or a number is no permission.
            _ => Err(Error::from(ProtocolViolation::IntrospectionShape).about("active")),
        }
    }
}

fn active(mut object: Object<'_>) -> Result<ActiveToken, Error> {
    let shape = |member: &str| Error::from(ProtocolViolation::IntrospectionShape).about(member);
    let mut text = |member: &str| match object.take(member) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.into_owned())),
        Some(_) => Err(shape(member)),
    };
    let mut token = ActiveToken {
        client_id: text("client_id")?,
        username: text("username")?,
        token_type: text("token_type")?,
        subject: text("sub")?,
        issuer: text("iss")?,
        ..ActiveToken::default()
    };
    token.scope = text("scope")?
        .map(|scope| Scope::parse(&scope).map_err(|_| shape("scope")))
        .transpose()?;
    let mut time = |member: &str| match object.take(member) {
        None => Ok(None),
        Some(value) => value
            .as_seconds()
            .map(UnixTime::from_secs)
            .map(Some)
            .ok_or_else(|| shape(member)),
    };
    token.expires_at = time("exp")?;
    token.issued_at = time("iat")?;
    token.not_before = time("nbf")?;
    token.audience = match object.take("aud") {
        None => Vec::new(),
        Some(Json::String(one)) => vec![one.into_owned()],
        Some(several) => {
            let names = several.as_texts().ok_or_else(|| shape("aud"))?;
            names.into_iter().map(str::to_owned).collect()
        }
    };
    token.extra = Extra(object.to_map_within(MAX_EXTRA).0);
    Ok(token)
}
