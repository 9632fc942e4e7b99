//! Token introspection: `POST {introspection_endpoint}` (RFC 7662 section 2).

use oauth_core::endpoint::introspection::{self, Introspection};
use oauth_core::extra::Extra;
use oauth_core::moment::UnixTime;
use oauth_core::token::TokenKind;
use oauth_core::{Scope, Secret};

use super::{arguments, outcome};
use crate::erased_exchange::ErasedExchange;
use crate::introspection::signed_response;

arguments! {
    /// Asks the server whether a token is active, and for its claims (RFC 7662).
    ///
    /// `endpoint.missing` if the server does not offer it, `introspection.malformed` if its reply is
    /// malformed, `denied.*` if it refuses, `lost.*` if no reply arrives. If a signed response is
    /// requested: `introspection.not_signed` if the response is not signed, and `jws.*` and `jwt.*` if it is invalid.
    pub struct Introspect {
        /// The token.
        pub token: Secret<String>,
        /// The kind of token, a hint for the server.
        pub token_type_hint: Option<TokenKind>,
        /// The algorithm of signed responses (RFC 9701), as registered: introspection_signed_response_alg. A
        /// plain response is then refused.
        pub signed_response_alg: Option<String>,
        /// The server's name for this API in the aud of a signed response, if it is not the client id.
        pub audience: Option<String>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let Self {
            token,
            token_type_hint,
            signed_response_alg,
            audience,
        } = self;
        let mut introspection = Introspection::new(token).token_type_hint(token_type_hint);
        if let Some(signed) = signed_response(signed_response_alg, audience)? {
            introspection = introspection.signed(signed);
        }
        Ok(ErasedExchange::with_record::<_, IntrospectionResponse>(client.core().introspect(introspection)))
    }
}

outcome! {
    /// The state of a token at the server (RFC 7662 section 2.2).
    ///
    /// For a token that is not active, the other members are absent.
    pub struct IntrospectionResponse {
        /// Whether the token is active. If not, it has expired, is unknown, or must not be disclosed: the server does
        /// not say which.
        pub active: bool,
        /// The scope of the token: `scope`.
        pub scope: Option<Scope>,
        /// The client to which the token was issued.
        pub client_id: Option<String>,
        /// A human-readable name of the user.
        pub username: Option<String>,
        /// The token type, such as `Bearer`.
        pub token_type: Option<String>,
        /// When the token expires: `exp`. The response must not be cached beyond that.
        pub expires_at: Option<UnixTime>,
        /// When the token was issued: `iat`.
        pub issued_at: Option<UnixTime>,
        /// When the token becomes valid: `nbf`.
        pub not_before: Option<UnixTime>,
        /// The subject, as the issuer identifies it: `sub`.
        pub subject: Option<String>,
        /// The audiences: `aud`.
        pub audience: Vec<String>,
        /// The issuer: `iss`.
        pub issuer: Option<String>,
        /// For a refresh token: when it expires if it is not used before. Introspection does not count as use.
        pub refresh_token_expires_at: Option<UnixTime>,
        /// When the user's authorization ends, regardless of renewals.
        pub authorization_expires_at: Option<UnixTime>,
        /// Members that the standard does not define.
        pub extra: Extra,
    }
}

impl From<introspection::IntrospectionResponse> for IntrospectionResponse {
    fn from(state: introspection::IntrospectionResponse) -> Self {
        let (active, token) = match state {
            introspection::IntrospectionResponse::Active(token) => (true, *token),
            _ => (false, introspection::ActiveToken::default()),
        };
        Self {
            active,
            scope: token.scope,
            client_id: token.client_id,
            username: token.username,
            token_type: token.token_type,
            expires_at: token.expires_at,
            issued_at: token.issued_at,
            not_before: token.not_before,
            subject: token.subject,
            audience: token.audience,
            issuer: token.issuer,
            refresh_token_expires_at: token.refresh_token_expires_at,
            authorization_expires_at: token.authorization_expires_at,
            extra: token.extra,
        }
    }
}
