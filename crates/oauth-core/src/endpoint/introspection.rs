//! `POST {introspection_endpoint}`: asks the server whether a token is active, and for its claims.
//!
//! RFC 7662 <https://www.rfc-editor.org/rfc/rfc7662#section-2>, and its signed responses
//! <https://www.rfc-editor.org/rfc/rfc9701#section-4>

#[cfg(test)]
mod tests;

use std::time::Duration;

use super::token::{AUTHORIZATION_EXPIRES_IN, REFRESH_TOKEN_TIMEOUT, seconds};
use super::{Auth, Context, Endpoint, EndpointRequest, Reply};
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::extra::{Extra, MAX_EXTRA};
use crate::form::Form;
use crate::jose::{Alg, ResponseEncryption};
use crate::json::{Json, Object};
use crate::moment::UnixTime;
use crate::profile::Requirement;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::server::{EndpointKind, Server};
use crate::token::{MAX_LIFETIME, TokenKind};

/// The media type of a signed response (RFC 9701 section 4).
const JWT: &str = "application/token-introspection+jwt";

/// Asks the server about one token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Introspection {
    /// The token in question.
    pub token: Secret<String>,
    /// Which kind it is, to save the server a search.
    pub hint: Option<TokenKind>,
    /// How the response is signed; a plain one is then refused. `None` asks for JSON, which nothing but TLS
    /// vouches for.
    pub signed: Option<SignedResponse>,
}

/// What a signed response has to be like, as the client is registered (RFC 9701 section 6).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SignedResponse {
    /// `introspection_signed_response_alg`, or several; `RS256` by default.
    pub algs: Vec<Alg>,
    /// The required `aud`: the name that the server has for this resource server. `None` stands for the
    /// client id.
    pub audience: Option<String>,
    /// `introspection_encrypted_response_alg` and `_enc`: a response that is not encrypted is then refused.
    pub encryption: Option<ResponseEncryption>,
}

impl Default for SignedResponse {
    fn default() -> Self {
        Self {
            algs: vec![Alg::Rs256],
            audience: None,
            encryption: None,
        }
    }
}

impl SignedResponse {
    /// Whether the server offers such responses, as far as its metadata say (RFC 9701 section 7).
    fn check(&self, server: &Server) -> Result<(), Error> {
        let offers = |member: &str, wanted: &[&str]| {
            let listed = server.named_list(&format!("introspection_{member}_values_supported"));
            let is_offered = listed.is_none_or(|listed| {
                let mut wanted = wanted.iter();
                wanted.any(|name| listed.iter().any(|known| known == name))
            });
            match is_offered {
                true => Ok(()),
                false => Err(Error::from(Misuse::IntrospectionAlg).about(&wanted.join(" "))),
            }
        };
        let algs: Vec<_> = self.algs.iter().map(|alg| alg.as_str()).collect();
        offers("signing_alg", &algs)?;
        let Some(encryption) = &self.encryption else {
            return Ok(());
        };
        offers("encryption_alg", &[encryption.alg().as_str()])?;
        let encs: Vec<_> = encryption.agreed_encs().map(|enc| enc.as_str()).collect();
        offers("encryption_enc", &encs)
    }
}

impl Introspection {
    /// A request about this token, of any kind.
    pub fn new(token: impl Into<Secret<String>>) -> Self {
        Self {
            token: token.into(),
            hint: None,
            signed: None,
        }
    }

    /// Asks for a signed response, and takes no other (RFC 9701).
    #[must_use]
    pub fn signed(mut self, signed: SignedResponse) -> Self {
        self.signed = Some(signed);
        self
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
    /// The token is active; with the members that the server sent.
    Active(Box<ActiveToken>),
    /// Expired, revoked, unknown, or not for this caller: the server does not say which, and nothing else it
    /// says may be trusted.
    Inactive,
}

/// The attributes of an active token; all are optional.
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
    /// Of a refresh token: when it ends if nobody uses it before, from `refresh_token_timeout`
    /// (draft-ietf-oauth-refresh-token-expiration-03 section 7). Asking is no use of it.
    pub refresh_token_use_by: Option<UnixTime>,
    /// When the authorization ends, from `authorization_expires_in`.
    pub authorization_until: Option<UnixTime>,
    /// Members RFC 7662 does not define, as far as they fit in 256 KiB.
    pub extra: Extra,
    /// Whether some of them did not fit.
    pub(crate) is_cut: bool,
}

/// The request and its response. `flow::introspection` reads on.
#[derive(Debug)]
pub(crate) struct Introspect(pub(crate) Introspection);

/// The response.
#[derive(Debug)]
pub(crate) enum Response {
    Plain(TokenState),
    /// A JWT, which is still to be verified.
    Jwt(Secret<String>),
}

impl Endpoint for Introspect {
    const NAME: &'static str = "introspection";
    type Output = Response;

    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error> {
        let Introspection {
            token,
            hint,
            signed,
        } = &self.0;
        if let Some(profile) = cx.identity.profile {
            let is_signed = || signed.is_some();
            profile.require(
                Requirement::SignedIntrospection,
                is_signed,
                "no algorithm is agreed on",
            )?;
        }
        let mut form = Form::new();
        form.push("token", token.expose());
        form.push_some("token_type_hint", hint.map(TokenKind::as_str));
        let request = EndpointRequest::post(EndpointKind::Introspection, Self::NAME, form);
        // "the endpoint MUST also require some form of authorization to access this endpoint" (2.1)
        let request = request.auth(Auth::ConfidentialClient {
            purpose: Self::NAME,
        });
        match signed {
            None => Ok(request),
            Some(signed) => {
                signed.check(cx.server)?;
                Ok(request.accept(JWT))
            }
        }
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<Response, Error> {
        if self.0.signed.is_some() && reply.is_of(JWT) {
            return reply
                .token_of(ProtocolViolation::IntrospectionShape)
                .map(Response::Jwt);
        }
        let object = reply.object_of(ProtocolViolation::IntrospectionShape)?;
        match self.0.signed {
            None => state(object, cx.at.now()).map(Response::Plain),
            Some(_) => Err(ValidationFailure::IntrospectionNotSigned.into()),
        }
    }
}

/// What a response says, of whichever form, that came `now`.
pub(crate) fn state(mut object: Object<'_>, now: UnixTime) -> Result<TokenState, Error> {
    match object.take("active") {
        Some(Json::Bool(true)) => {
            active(object, now).map(|token| TokenState::Active(Box::new(token)))
        }
        Some(Json::Bool(false)) => Ok(TokenState::Inactive),
        // "Boolean indicator" (2.2): a text or a number is no permission.
        _ => Err(Error::from(ProtocolViolation::IntrospectionShape).about("active")),
    }
}

fn active(mut object: Object<'_>, now: UnixTime) -> Result<ActiveToken, Error> {
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
    token.refresh_token_use_by = end_of(&mut object, REFRESH_TOKEN_TIMEOUT, now);
    token.authorization_until = end_of(&mut object, AUTHORIZATION_EXPIRES_IN, now);
    let (extra, is_whole) = object.to_map_within(MAX_EXTRA);
    (token.extra, token.is_cut) = (Extra(extra), !is_whole);
    Ok(token)
}

/// When the lifetime ends that a response names. One that cannot be read is no reason to doubt the token, and stays
/// among the members that RFC 7662 does not define.
fn end_of(object: &mut Object<'_>, member: &str, now: UnixTime) -> Option<UnixTime> {
    let lifetime = object.get(member).and_then(seconds)?;
    object.take(member);
    Some(now.after(Duration::from_secs(lifetime.min(MAX_LIFETIME))))
}
