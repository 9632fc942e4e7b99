//! Verification of access tokens by an API (RFC 9068 section 4).

use std::time::Duration;

use oauth_core::error::{Error, Misuse};
use oauth_core::extra::Extra;
use oauth_core::flow::access_token::AccessTokenVerifier;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_core::token::access_token::{self, AccessTokenProfile, ProvenKeys};
use oauth_core::{Scope, Secret};

use super::{Operation as _, arguments, outcome};
use crate::arg::{Args, OneOrMore, Refused};
use crate::client::Client;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Verifies an access token that was presented to an API: signature and claims (RFC 9068 section 4).
    ///
    /// The server's keys are fetched as needed, and cached for all calls of the client. jws.*, jwt.* and access_token.*
    /// for a token that is refused, lost.*, denied.* and others if it could not be verified. The error contains the
    /// response to send: a status, and the value of WWW-Authenticate.
    pub struct VerifyAccessToken {
        /// The token, without the scheme of the Authorization header.
        pub token: Secret<String>,
        /// The identifier of the API, or several, one of which must be an audience of the token.
        pub audience: OneOrMore,
        /// The profile of the tokens, "rfc9068" by default. "jwt" accepts plain JWTs, which only their audience
        /// distinguishes from ID tokens of the same server: it must identify an API, and never be a client's id.
        pub profile: Option<AccessTokenProfile>,
        /// The required scope.
        pub scope: Scope,
        /// The accepted `acr` values, one of which is required (RFC 9470).
        pub acr_values: Vec<String>,
        /// The largest age of the authentication, in seconds (RFC 9470).
        pub max_age: Option<u64>,
        /// The accepted algorithms. By default those that the server's metadata lists for ID tokens (RS256 if it lists
        /// none), and those that a published key is for, by its alg or its curve. Those with a shared secret are ignored.
        pub algs: Vec<String>,
        /// How many seconds clocks may differ: 60 by default, 300 at most.
        pub clock_skew: Option<u64>,
        /// The thumbprint of the key of a DPoP proof that you have verified for this request (RFC 9449 section
        /// 4.3).
        pub jkt: Option<String>,
        /// The thumbprint of the client's certificate of this connection (RFC 8705 section 3.1).
        pub x5t_s256: Option<String>,
        /// The accepted algorithms of DPoP proofs, for the challenge.
        pub dpop_algs: Vec<String>,
        /// The realm, for the challenge.
        pub realm: Option<String>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let token = self.token.clone();
        Ok(self.verifier(client)?.verify(token.expose()))
    }
}

/// Verifies the access tokens of one API. What is required of them is read once, for all.
#[derive(Debug, Clone)]
pub struct Verifier {
    verifier: AccessTokenVerifier,
    proven: ProvenKeys,
}

impl Verifier {
    /// Begins to verify this token.
    pub fn verify(&self, token: &str) -> ErasedExchange {
        let exchange = self.verifier.verify_with(token, self.proven.clone());
        ErasedExchange::of::<_, VerifiedAccessToken>(exchange)
    }
}

impl Client {
    /// A verifier that requires what these arguments of a [`VerifyAccessToken`] say; their token is not looked at.
    ///
    /// # Errors
    /// Those of an operation that is not begun.
    pub fn verifier(&self, args: impl Into<Args>) -> Result<Verifier, Refused> {
        let asked = VerifyAccessToken::read(&mut args.into())?;
        Ok(asked.verifier(self)?)
    }
}

impl VerifyAccessToken {
    fn verifier(self, client: &Client) -> Result<Verifier, Error> {
        if client.asks_about_tokens() && (self.profile.is_some() || !self.algs.is_empty()) {
            return Err(Error::from(Misuse::ArgumentsInconsistent)
                .about("a profile and algorithms are those of JWTs"));
        }
        let (audience, others) = self.audience.into_parts();
        let verifier = client.access_token_verifier(audience);
        let mut verifier = others
            .into_iter()
            .fold(verifier, AccessTokenVerifier::or_audience)
            .with_profile(self.profile.unwrap_or_default())
            .require_scope(self.scope)
            .require_acr(self.acr_values.iter().map(String::as_str))?
            .with_dpop_algs(algs("dpop_algs", &self.dpop_algs)?);
        if let Some(age) = self.max_age {
            verifier = verifier.require_max_age(Duration::from_secs(age));
        }
        if !self.algs.is_empty() {
            verifier = verifier.with_algs(algs("algs", &self.algs)?);
        }
        if let Some(skew) = self.clock_skew {
            verifier = verifier.with_clock_skew(Duration::from_secs(skew));
        }
        if let Some(realm) = &self.realm {
            verifier = verifier.with_realm(realm)?;
        }
        let mut proven = ProvenKeys::none();
        proven.jkt = self.jkt;
        proven.x5t_s256 = self.x5t_s256;
        Ok(Verifier { verifier, proven })
    }
}

fn algs(name: &str, names: &[String]) -> Result<Vec<Alg>, Error> {
    let known = names.iter().map(|alg| Alg::named(alg));
    let known: Option<_> = known.collect();
    known.ok_or_else(|| Error::from(Misuse::ParameterValue).about(name))
}

outcome! {
    /// The claims of a verified access token (RFC 9068 section 2.2).
    pub struct VerifiedAccessToken {
        /// The subject, as the issuer identifies it; the client itself if it acts for itself.
        pub subject: String,
        /// The client to which the token was issued; only tokens of the profile "jwt" may lack it.
        pub client_id: Option<String>,
        /// The granted scope.
        pub scope: Scope,
        /// The issuer.
        pub issuer: String,
        /// The audiences.
        pub audience: Vec<String>,
        /// When the token expires.
        pub expires_at: UnixTime,
        /// The claims of the party that may act for the subject, such as sub and iss, if the token says (RFC 8693
        /// section 4.4).
        pub may_act: Option<Extra>,
        /// All claims.
        pub claims: Extra,
    }
}

impl From<access_token::VerifiedAccessToken> for VerifiedAccessToken {
    fn from(token: access_token::VerifiedAccessToken) -> Self {
        Self {
            subject: token.subject().to_owned(),
            client_id: token.client_id().map(str::to_owned),
            scope: token.scope().clone(),
            issuer: token.issuer().to_owned(),
            audience: token.audience().into_iter().map(str::to_owned).collect(),
            expires_at: token.expires_at(),
            may_act: token.may_act().cloned().map(Extra::from),
            claims: Extra::from(token.into_claims().into_map()),
        }
    }
}
