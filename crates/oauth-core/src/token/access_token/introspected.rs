//! Checks the introspection response of an opaque access token.
//!
//! RFC 7662 <https://www.rfc-editor.org/rfc/rfc7662#section-2.2>. `acr` and `auth_time` (RFC 9470 section 6.2) are
//! checked as in a JWT: `token/access_token.rs`.

use super::profile::{refuse_nonce, refuse_other_token_claims, unexpected_claim};
use super::{Checks, ProvenKeys, VerifiedAccessToken};
use crate::error::Error;
use crate::jose::claims::malformed_claim;
use crate::jose::{Claims, Validity};
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::server::Server;
use crate::token::id_token;

/// Members of a response that show that a user takes part: of RFC 7662 section 2.2, RFC 9068 section 2.2.1, RFC 8693
/// section 4.1 and OpenID Connect Core section 5.1, and those of vendors.
const USER_MEMBERS: [&str; 15] = [
    "username",
    "user_name",
    "user_id",
    "uid",
    "preferred_username",
    "name",
    "given_name",
    "family_name",
    "email",
    "phone_number",
    "auth_time",
    "acr",
    "amr",
    "sid",
    "act",
];
/// The scope of a user's sign-in (OpenID Connect Core section 3.1.2.1).
const OPENID: &str = "openid";

/// The values of `token_type` that servers use for an access token: its type (RFC 6749 section 5.1), or its kind.
const TYPES: [&str; 4] = ["bearer", "dpop", "n_a", "access_token"];

impl Checks {
    /// Checks the response of `server` about an active token by the rules for access tokens that apply to
    /// introspection. If the response has no audience, the server must have checked it: "If the token can be used only
    /// at certain resource servers, the authorization server MUST determine whether or not the token can be used at the
    /// resource server making the introspection call" (section 4).
    ///
    /// # Errors
    /// `jwt.*`, `access_token.*`.
    pub(crate) fn check_introspected(
        &self,
        server: &Server,
        claims: Claims,
        proven_keys: &ProvenKeys,
        now: UnixTime,
    ) -> Result<VerifiedAccessToken, Error> {
        refuse_other_token_claims(&claims)?;
        refuse_nonce(&claims)?;
        let typ = claims.text("token_type")?.unwrap_or("bearer");
        if !TYPES
            .iter()
            .any(|token_type| token_type.eq_ignore_ascii_case(typ))
        {
            return Err(unexpected_claim("token_type"));
        }
        id_token::issuer(server, &claims)?;
        let client_id = Claims::require_claim("client_id", claims.text("client_id")?)?.to_owned();
        let scope = claims.text("scope")?.map(Scope::parse).transpose();
        let scope = scope
            .map_err(|_| malformed_claim("scope"))?
            .unwrap_or_default();
        let subject = match claims.text("sub")? {
            Some(subject) => subject.to_owned(),
            // `username` need not be unique, and all users of a client would be one as its id.
            None if shows_user(&claims, &scope) => return Claims::require_claim("sub", None),
            // A client that acts for itself is its own subject (RFC 9068 section 2.2).
            None => client_id.clone(),
        };
        for (name, text) in [("client_id", &client_id), ("sub", &subject)] {
            if text.is_empty() {
                return Err(malformed_claim(name));
            }
        }
        if claims.as_map().contains_key("aud") {
            self.check_audience(claims.audience()?)?;
        }
        let validity = Validity {
            now,
            clock_skew: self.clock_skew,
        };
        validity.check_present(&claims)?;
        self.check_request_requirements(&claims, &scope, &validity, proven_keys)?;
        Ok(VerifiedAccessToken {
            subject,
            client_id: Some(client_id),
            scope,
            expires_at: claims.time("exp")?,
            claims,
            proof: None,
        })
    }
}

/// Whether a response shows that a user authorized the token, or is its subject. `null` counts as absent.
fn shows_user(claims: &Claims, scope: &Scope) -> bool {
    scope.contains(OPENID) || USER_MEMBERS.iter().any(|name| claims.get(name).is_some())
}
