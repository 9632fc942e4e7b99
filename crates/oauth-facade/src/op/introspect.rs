//! Asking about a token: `POST {introspection_endpoint}` (RFC 7662 section 2).

use oauth_core::endpoint::introspection::{self, Introspection};
use oauth_core::extra::Extra;
use oauth_core::moment::UnixTime;
use oauth_core::token::TokenKind;
use oauth_core::{Scope, Secret};

use super::{arguments, outcome};
use crate::introspection::signed_response;
use crate::machine::Machine;

arguments! {
    /// Asks the server whether a token is alive, and whose it is (RFC 7662).
    ///
    /// `endpoint.missing` if the server does not offer it, `introspection.malformed` if its answer is not
    /// what the standard describes, `denied.*` if it refuses, `lost.*` if no answer arrives. Of a signed answer
    /// `introspection.not_signed` if it is none, and `jws.*` and `jwt.*` for what is wrong with it.
    pub struct Introspect {
        /// The token in question.
        pub token: Secret<String>,
        /// Which kind it is, to save the server a search.
        pub hint: Option<TokenKind>,
        /// The algorithm of a signed answer (RFC 9701), as registered: introspection_signed_response_alg. A
        /// plain answer is then refused.
        pub signed_response_alg: Option<String>,
        /// The name that the server has for this API in the aud of a signed answer, if it is not the client id.
        pub audience: Option<String>,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let Self {
            token,
            hint,
            signed_response_alg,
            audience,
        } = self;
        let mut ask = Introspection::new(token).hint(hint);
        if let Some(signed) = signed_response(signed_response_alg, audience)? {
            ask = ask.signed(signed);
        }
        Ok(Machine::of::<_, TokenState>(client.core().introspect(ask)))
    }
}

outcome! {
    /// What the server says about a token (RFC 7662 section 2.2).
    ///
    /// Of a token that is not active it says nothing else.
    pub struct TokenState {
        /// Whether the token is alive. If not, it is dead, unknown, or none of our business: the server does
        /// not say which.
        pub active: bool,
        /// What the token is good for: `scope`.
        pub scope: Option<Scope>,
        /// The client it was issued to.
        pub client_id: Option<String>,
        /// A name of the person, for people.
        pub username: Option<String>,
        /// Its type, such as `Bearer`.
        pub token_type: Option<String>,
        /// When it ends: `exp`. The answer must not be kept beyond that.
        pub expires_at: Option<UnixTime>,
        /// When it was issued: `iat`.
        pub issued_at: Option<UnixTime>,
        /// When it begins to be good: `nbf`.
        pub not_before: Option<UnixTime>,
        /// Whose it is, in the issuer's own terms: `sub`.
        pub subject: Option<String>,
        /// For whom it is meant: `aud`.
        pub audience: Vec<String>,
        /// Who issued it: `iss`.
        pub issuer: Option<String>,
        /// Of a refresh token: when it ends if nobody uses it before. Asking is no use of it.
        pub refresh_token_use_by: Option<UnixTime>,
        /// When the person's authorization ends, whatever is renewed before.
        pub authorization_until: Option<UnixTime>,
        /// Members that the standard does not define.
        pub extra: Extra,
    }
}

impl From<introspection::TokenState> for TokenState {
    fn from(state: introspection::TokenState) -> Self {
        let (active, token) = match state {
            introspection::TokenState::Active(token) => (true, *token),
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
            refresh_token_use_by: token.refresh_token_use_by,
            authorization_until: token.authorization_until,
            extra: token.extra,
        }
    }
}
