//! Verification of access tokens by an API (RFC 9068 section 4), and of the requests that carry them (RFC 9449 section
//! 7).

#[cfg(test)]
mod tests;

use std::time::Duration;

use oauth_core::dpop::VerifiedDpopProof;
use oauth_core::error::{Error, Misuse};
use oauth_core::extra::Extra;
use oauth_core::flow::access_token::AccessTokenVerifier;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_core::token::access_token::{self, AccessTokenProfile, ProvenKeys};
use oauth_core::token::logout_token::ReplayProtection;
use oauth_core::{Scope, Secret};

use super::{Operation as _, arguments, outcome};
use crate::arg::{Args, FieldValues, OneOrMore, StartError};
use crate::client::Client;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Verifies an access token that was presented to an API: signature and claims (RFC 9068 section 4).
    ///
    /// The server's keys are fetched as needed, and cached for all calls of the client. jws.*, jwt.* and access_token.*
    /// for a token that is refused, lost.*, denied.* and others if it could not be verified. The error contains the
    /// response to send: a status, and its header fields.
    pub struct VerifyAccessToken {
        /// The token, without the scheme of the Authorization header.
        pub token: Secret<String>,
        /// The identifier of the API, or several, one of which must be an audience of the token.
        pub audience: OneOrMore,
        /// The thumbprint of the key of a DPoP proof that you have verified for this request (RFC 9449 section
        /// 4.3), as a gateway may do; `verify_api_request` verifies the proof itself.
        pub jkt: Option<String>,
        /// The thumbprint of the client's certificate of this connection (RFC 8705 section 3.1).
        pub x5t_s256: Option<String>,
        ..required: AccessTokenRequirements,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let token = self.token.clone();
        Ok(self.verifier(client)?.verify(token.expose()))
    }
}

arguments! {
    /// Verifies the access token of a request to an API, with its DPoP proof if it was presented by this scheme (RFC
    /// 9449 section 7).
    ///
    /// A token that is bound to a key is accepted only with a proof of the key, which is for this request and token,
    /// recent, and was not used before. dpop_proof.* for a proof that is refused, access_token.missing for a request
    /// without a token, url.syntax if the URL is not absolute, and the errors of `verify_access_token`. The error contains
    /// the response to send: a status, and its header fields.
    pub struct VerifyApiRequest {
        /// The method of the request.
        pub method: String,
        /// The absolute URL to which the client sent the request. Behind a proxy it is not the one that the application
        /// receives: take scheme and host from your configuration. Query and fragment are ignored.
        pub url: String,
        /// The value of the Authorization field, or of each if there are several; nothing if there is none.
        pub authorization: FieldValues,
        /// The value of the DPoP field, or of each if there are several; nothing if there is none.
        pub dpop: FieldValues,
        /// The identifier of the API, or several, one of which must be an audience of the token.
        pub audience: OneOrMore,
        /// The thumbprint of the client's certificate of this connection (RFC 8705 section 3.1).
        pub x5t_s256: Option<String>,
        /// How many seconds old a DPoP proof may be, in addition to the difference of clocks: 60 by default, 300 at most.
        pub dpop_max_age: Option<u64>,
        /// Requires in each DPoP proof a nonce that this API has issued (RFC 9449 section 9), and issues them: a key of
        /// 32 random bytes in base64url, the same in all processes of the API.
        pub dpop_nonce_key: Option<Secret<String>>,
        /// Where received DPoP proofs are remembered against replay: "process", in this client, by default, or "caller":
        /// then refuse a request whose `dpop_replay_key` is in your store, and keep it there until `dpop_forget_at`.
        pub dpop_replay: Option<ReplayProtection>,
        ..required: AccessTokenRequirements,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        self.exchange(client)
    }
}

arguments! {
    /// What an API requires of access tokens besides their audience.
    pub struct AccessTokenRequirements {
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
        /// none), and those that a published key is for, by its alg or its curve. Those with a shared secret, and an empty
        /// list, are refused: form.malformed_parameter.
        pub algs: Option<Vec<String>>,
        /// How many seconds clocks may differ: 60 by default, 300 at most.
        pub clock_skew: Option<u64>,
        /// The accepted algorithms of DPoP proofs, which challenges announce. By default `verify_api_request` accepts all
        /// but those with a shared secret, which cannot be named, and challenges of `verify_access_token` do not mention
        /// DPoP.
        pub dpop_algs: Option<Vec<String>>,
        /// The realm, for the challenge.
        pub realm: Option<String>,
    }
}

/// Verifies the access tokens of one API. The requirements are read once.
#[derive(Debug, Clone)]
pub struct Verifier {
    verifier: AccessTokenVerifier,
    proven: ProvenKeys,
}

impl Verifier {
    /// Begins to verify this token.
    pub fn verify(&self, token: &str) -> ErasedExchange {
        let exchange = self.verifier.verify_with(token, self.proven.clone());
        ErasedExchange::with_record::<_, VerifiedAccessToken>(exchange)
    }
}

impl Client {
    /// A verifier that requires what these arguments of a [`VerifyAccessToken`] say; their `token` is ignored.
    ///
    /// # Errors
    /// The errors of an operation that is not begun.
    pub fn verifier(&self, args: impl Into<Args>) -> Result<Verifier, StartError> {
        let arguments = VerifyAccessToken::read(&mut args.into())?;
        Ok(arguments.verifier(self)?)
    }
}

impl VerifyAccessToken {
    fn verifier(self, client: &Client) -> Result<Verifier, Error> {
        let mut proven = ProvenKeys::none();
        proven.jkt = self.jkt;
        proven.x5t_s256 = self.x5t_s256;
        let verifier = self.required.verifier(client, self.audience)?;
        Ok(Verifier { verifier, proven })
    }
}

/// Left out of the browser module: a page is not an API, and the size of the module is limited.
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
mod request {
    use std::time::Duration;

    use oauth_core::dpop::DpopNonceKey;
    use oauth_core::error::Error;
    use oauth_core::flow::access_token::ReceivedRequest;

    use super::{VerifiedAccessToken, VerifyApiRequest};
    use crate::client::Client;
    use crate::erased_exchange::ErasedExchange;

    impl VerifyApiRequest {
        pub(super) fn exchange(self, client: &Client) -> Result<ErasedExchange, Error> {
            let mut verifier = self.required.verifier(client, self.audience)?;
            if let Some(age) = self.dpop_max_age {
                verifier = verifier.with_dpop_max_age(Duration::from_secs(age));
            }
            if let Some(key) = &self.dpop_nonce_key {
                verifier = verifier.with_dpop_nonces(DpopNonceKey::parse(key)?);
            }
            if let Some(replay) = self.dpop_replay {
                verifier = verifier.with_dpop_replay(replay);
            }
            let request = ReceivedRequest::new(self.method, self.url);
            let fields = self.authorization.0.iter();
            let request = fields.fold(request, |request, field| {
                request.with_authorization(field.expose())
            });
            let fields = self.dpop.0.iter();
            let mut request =
                fields.fold(request, |request, field| request.with_dpop(field.expose()));
            if let Some(certificate) = self.x5t_s256 {
                request = request.with_certificate(certificate);
            }
            let exchange = verifier.verify_request(request);
            Ok(ErasedExchange::with_record::<_, VerifiedAccessToken>(
                exchange,
            ))
        }
    }
}

#[cfg(not(all(feature = "sha2", not(all(feature = "js", target_family = "wasm")))))]
impl VerifyApiRequest {
    fn exchange(self, _: &Client) -> Result<ErasedExchange, Error> {
        Err(Error::from(Misuse::NotSupported).about("a page is not an API"))
    }
}

impl AccessTokenRequirements {
    fn verifier(self, client: &Client, audience: OneOrMore) -> Result<AccessTokenVerifier, Error> {
        if client.asks_about_tokens() && (self.profile.is_some() || self.algs.is_some()) {
            return Err(Error::from(Misuse::ArgumentsInconsistent)
                .about("a profile and algorithms are those of JWTs"));
        }
        let (audience, further_audiences) = audience.into_parts();
        let verifier = client.access_token_verifier(audience);
        let mut verifier = further_audiences
            .into_iter()
            .fold(verifier, AccessTokenVerifier::or_audience)
            .with_profile(self.profile.unwrap_or_default())
            .require_scope(self.scope)
            .require_acr(self.acr_values.iter().map(String::as_str))?;
        if let Some(names) = &self.dpop_algs {
            verifier = verifier.with_dpop_algs(algs("dpop_algs", names)?)?;
        }
        if let Some(age) = self.max_age {
            verifier = verifier.require_max_age(Duration::from_secs(age));
        }
        if let Some(names) = &self.algs {
            verifier = verifier.with_algs(algs("algs", names)?)?;
        }
        if let Some(skew) = self.clock_skew {
            verifier = verifier.with_clock_skew(Duration::from_secs(skew));
        }
        match &self.realm {
            Some(realm) => verifier.with_realm(realm),
            None => Ok(verifier),
        }
    }
}

/// The algorithms of these names.
fn algs(argument: &str, names: &[String]) -> Result<Vec<Alg>, Error> {
    let known: Option<_> = names.iter().map(|name| Alg::from_name(name)).collect();
    known.ok_or_else(|| Error::from(Misuse::ParameterValue).about(argument))
}

outcome! {
    /// The claims of a verified access token (RFC 9068 section 2.2).
    pub struct VerifiedAccessToken {
        /// The subject, as the issuer identifies it; the client itself if it acts for itself, and if an introspection
        /// response has no sub and shows no user. One that shows a user, such as by username, but has no sub is refused
        /// (jwt.missing_claim).
        pub subject: String,
        /// The client to which the token was issued; only tokens of the profile "jwt" may lack it.
        pub client_id: Option<String>,
        /// The granted scope.
        pub scope: Scope,
        /// The issuer; that of the server if an introspection response has no iss.
        pub issuer: String,
        /// The audiences.
        pub audience: Vec<String>,
        /// When the token expires, unless an introspection response does not say.
        pub expires_at: Option<UnixTime>,
        /// The claims of the party that may act for the subject, such as sub and iss, if the token says (RFC 8693
        /// section 4.4).
        pub may_act: Option<Extra>,
        /// The nonce to send with the response, in the DPoP-Nonce field, because that of the proof expires soon (RFC
        /// 9449 section 8.2); only from `verify_api_request`.
        pub dpop_nonce: Option<String>,
        /// What identifies the DPoP proof of the request, if you remember received proofs (dpop_replay: "caller").
        pub dpop_replay_key: Option<String>,
        /// When `dpop_replay_key` may be forgotten: from then on the proof is refused because of its age.
        pub dpop_forget_at: Option<UnixTime>,
        /// The WWW-Authenticate field of the response, with status 401, to a request whose dpop_replay_key is in your
        /// store already; only if you remember received proofs.
        pub dpop_replay_challenge: Option<String>,
        /// All claims. Those of an introspection response have the iss of the server added if they have none.
        pub claims: Extra,
    }
}

impl From<access_token::VerifiedAccessToken> for VerifiedAccessToken {
    fn from(token: access_token::VerifiedAccessToken) -> Self {
        let proof = token.dpop_proof();
        Self {
            dpop_nonce: proof.and_then(|proof| proof.next_nonce().map(str::to_owned)),
            dpop_replay_key: proof.map(|proof| proof.replay_key().to_owned()),
            dpop_forget_at: proof.map(VerifiedDpopProof::forget_at),
            dpop_replay_challenge: proof
                .and_then(VerifiedDpopProof::replay_refusal)
                .and_then(|refusal| refusal.challenge.clone()),
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
