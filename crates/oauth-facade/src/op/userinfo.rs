//! About the user who signed in: `GET {userinfo_endpoint}` (OpenID Connect Core section 5.3).

use std::sync::Arc;

use oauth_core::Tokens;
use oauth_core::extra::Extra;
use oauth_core::jose::Claims;

use super::{arguments, outcome};
use crate::machine::Machine;

arguments! {
    /// Asks the server about the user who signed in (OpenID Connect Core section 5.3).
    ///
    /// `userinfo.subject` if it tells about somebody else: then nothing of it may be used. `endpoint.missing`
    /// if the server does not offer it, `userinfo.malformed` if its answer is not what the standard
    /// describes, `denied.*` if it refuses, `lost.*` if no answer arrives. Where the client is registered for
    /// signed or encrypted answers, `userinfo.not_signed` and `jwe.not_encrypted` for plain ones, `jwe.*`,
    /// `jws.*` and `jwt.*` for what is wrong with a token.
    pub struct Userinfo {
        /// The tokens of the sign-in.
        pub tokens: Arc<Tokens>,
        /// The `sub` of the verified ID token: the answer has to be about the same user.
        pub subject: String,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let Self { tokens, subject } = self;
        Ok(Machine::of::<_, UserClaims>(client.core().userinfo(tokens, subject)))
    }
}

outcome! {
    /// What the server tells about a user (OpenID Connect Core section 5.1).
    pub struct UserClaims {
        /// Who it is, together with the issuer: the `sub` of the ID token.
        pub subject: String,
        /// All that was told, `sub` included: `name`, `email`, `address` and others, as far as the scope goes.
        pub claims: Extra,
    }
}

impl From<Claims> for UserClaims {
    fn from(claims: Claims) -> Self {
        let subject = claims.text("sub").ok().flatten().unwrap_or_default();
        Self {
            subject: subject.to_owned(),
            claims: Extra::from(claims.as_map().clone()),
        }
    }
}
