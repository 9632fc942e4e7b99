//! `POST {introspection_endpoint}`: asks the server whether a token is active, and for its claims. An API verifies a
//! token by introspection in `flow/access_token/verify_by_introspection.rs`; a signed response (RFC 9701 section 5) is
//! verified in `flow/introspection.rs`.
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
use crate::quirk::Rules;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::security_profile::Requirement;
use crate::server::{EndpointKind, Server};
use crate::token::{MAX_LIFETIME, TokenKind};

/// The media type of a signed response (RFC 9701 section 4).
const JWT: &str = "application/token-introspection+jwt";

/// Introspects one token.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Introspection {
    /// The token to introspect.
    pub token: Secret<String>,
    /// The kind of token, which helps the server to find it (`token_type_hint`).
    pub token_type_hint: Option<TokenKind>,
    /// How the response must be signed; a plain one is then refused. `None` requests JSON, which only TLS protects.
    pub signed: Option<SignedResponse>,
}

/// The required form of a signed response, as the client is registered (RFC 9701 section 6).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SignedResponse {
    /// The accepted values of `introspection_signed_response_alg`; `RS256` by default.
    pub algs: Vec<Alg>,
    /// The required `aud`: the server's name for this resource server. `None` means the client id.
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
    /// Checks that the server's metadata, if it lists them, includes these algorithms (RFC 9701 section 7).
    fn check_server_support(&self, server: &Server) -> Result<(), Error> {
        let offers = |member: &str, accepted: &[&str]| {
            let listed = server.named_list(&format!("introspection_{member}_values_supported"));
            let is_offered = listed.is_none_or(|listed| {
                let mut accepted = accepted.iter();
                accepted.any(|name| listed.iter().any(|supported| supported == name))
            });
            if is_offered {
                Ok(())
            } else {
                Err(Error::from(Misuse::IntrospectionAlg).about(&accepted.join(" ")))
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
            token_type_hint: None,
            signed: None,
        }
    }

    /// Requests a signed response, and accepts no other (RFC 9701).
    #[must_use]
    pub fn signed(mut self, signed: SignedResponse) -> Self {
        self.signed = Some(signed);
        self
    }

    /// Sets the kind of the token, or leaves it to the server to find out.
    #[must_use]
    pub fn token_type_hint(mut self, token_type_hint: impl Into<Option<TokenKind>>) -> Self {
        self.token_type_hint = token_type_hint.into();
        self
    }
}

/// The state of a token according to the server (RFC 7662 section 2.2).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum IntrospectionResponse {
    /// The token is active; with the attributes that the server sent.
    Active(Box<ActiveToken>),
    /// Expired, revoked, unknown, or not for this caller: the server does not say which, and other members of the
    /// response are not trusted.
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
    /// For a refresh token: when it expires if unused, from `refresh_token_timeout`
    /// (draft-ietf-oauth-refresh-token-expiration-03 section 7). Introspection does not count as use.
    pub refresh_token_expires_at: Option<UnixTime>,
    /// When the authorization ends, from `authorization_expires_in`.
    pub authorization_expires_at: Option<UnixTime>,
    /// The members that RFC 7662 does not define, up to 256 KiB.
    pub extra: Extra,
    /// Whether some extra members were dropped because of their size.
    pub(crate) is_truncated: bool,
}

/// The request and its response, which `flow::introspection` processes further.
#[derive(Debug)]
pub(crate) struct Introspect(pub(crate) Introspection);

/// The response.
#[derive(Debug)]
pub(crate) enum Response {
    Plain(IntrospectionResponse),
    /// A JWT, which still has to be verified.
    Jwt(Secret<String>),
}

impl Endpoint for Introspect {
    const NAME: &'static str = "introspection";
    type Output = Response;

    fn request(&self, cx: &Context<'_>) -> Result<EndpointRequest, Error> {
        let Introspection {
            token,
            token_type_hint,
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
        form.push_some("token_type_hint", token_type_hint.map(TokenKind::as_str));
        let request = EndpointRequest::post(EndpointKind::Introspection, Self::NAME, form);
        // "the endpoint MUST also require some form of authorization to access this endpoint" (RFC 7662 section 2.1)
        let request = request.auth(Auth::ConfidentialClient {
            purpose: Self::NAME,
        });
        match signed {
            None => Ok(request),
            Some(signed) => {
                cx.identity.check_agreed_algs(&signed.algs)?;
                signed.check_server_support(cx.server)?;
                Ok(request.accept(JWT))
            }
        }
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<Response, Error> {
        if self.0.signed.is_some() && reply.has_media_type(JWT) {
            return reply
                .token_or(ProtocolViolation::IntrospectionShape)
                .map(Response::Jwt);
        }
        let object = reply.object_or(ProtocolViolation::IntrospectionShape)?;
        match self.0.signed {
            None => token_state(object, cx.server.rules(), cx.at.now()).map(Response::Plain),
            Some(_) => Err(ValidationFailure::IntrospectionNotSigned.into()),
        }
    }
}

/// The token state in a response of either form, received `now`.
pub(crate) fn token_state(
    mut object: Object<'_>,
    rules: &Rules,
    now: UnixTime,
) -> Result<IntrospectionResponse, Error> {
    match object.take("active") {
        Some(Json::Bool(true)) => active_token(object, rules, now)
            .map(|token| IntrospectionResponse::Active(Box::new(token))),
        Some(Json::Bool(false)) => Ok(IntrospectionResponse::Inactive),
        // "Boolean indicator" (RFC 7662 section 2.2): a string or a number does not count.
        _ => Err(Error::from(ProtocolViolation::IntrospectionShape).about("active")),
    }
}

fn active_token(
    mut object: Object<'_>,
    rules: &Rules,
    now: UnixTime,
) -> Result<ActiveToken, Error> {
    let malformed = |member: &str| Error::from(ProtocolViolation::IntrospectionShape).about(member);
    let mut text = |member: &str| match object.take(member) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text.into_owned())),
        Some(_) => Err(malformed(member)),
    };
    let mut token = ActiveToken {
        client_id: text("client_id")?,
        username: text("username")?,
        token_type: text("token_type")?,
        subject: text("sub")?,
        issuer: text("iss")?,
        ..ActiveToken::default()
    };
    let scope = match object.take("scope") {
        None => None,
        Some(Json::String(names)) => Some(Scope::parse(&names)),
        // A list, in which an entry may itself contain several names, as in a token response.
        Some(value) if !rules.is_strict() => {
            let names = value.as_texts().ok_or_else(|| malformed("scope"))?;
            Some(Scope::parse(&names.join(" ")))
        }
        Some(_) => return Err(malformed("scope")),
    };
    token.scope = scope.transpose().map_err(|_| malformed("scope"))?;
    let mut time = |member: &str| match object.take(member) {
        None => Ok(None),
        // As empty text members of a token response.
        Some(Json::String(text)) if text.is_empty() && !rules.is_strict() => Ok(None),
        Some(value) => {
            let time = if rules.is_strict() {
                value.as_seconds()
            } else {
                seconds(&value)
            };
            let time = time.map(UnixTime::from_secs).map(Some);
            time.ok_or_else(|| malformed(member))
        }
    };
    token.expires_at = time("exp")?;
    token.issued_at = time("iat")?;
    token.not_before = time("nbf")?;
    token.audience = match object.take("aud") {
        None => Vec::new(),
        Some(Json::String(audience)) => vec![audience.into_owned()],
        Some(values) => {
            let names = values.as_texts().ok_or_else(|| malformed("aud"))?;
            names.into_iter().map(str::to_owned).collect()
        }
    };
    let idle_end = take_lifetime_end(&mut object, REFRESH_TOKEN_TIMEOUT, now);
    token.authorization_expires_at = take_lifetime_end(&mut object, AUTHORIZATION_EXPIRES_IN, now);
    // The timeout "SHALL NOT exceed" the authorization: where it does, the earlier end counts, as in a token response.
    let end = token.authorization_expires_at;
    token.refresh_token_expires_at = idle_end.map(|idle| end.map_or(idle, |end| idle.min(end)));
    let (extra, is_complete) = object.to_map_within(MAX_EXTRA);
    (token.extra, token.is_truncated) = (Extra(extra), !is_complete);
    Ok(token)
}

/// The end of a lifetime in a response. A malformed value does not invalidate the token; it stays in the extra members.
fn take_lifetime_end(object: &mut Object<'_>, member: &str, now: UnixTime) -> Option<UnixTime> {
    let lifetime = object.get(member).and_then(seconds)?;
    object.take(member);
    Some(now.after(Duration::from_secs(lifetime.min(MAX_LIFETIME))))
}
