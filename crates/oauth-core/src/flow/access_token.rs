//! Verification of access tokens, for APIs, and the response to requests whose token is refused.
//!
//! RFC 9068 section 4, RFC 6750 section 3, RFC 9470 section 3. Claims and the proof of possession (`cnf`) are checked
//! in `token/access_token.rs`, DPoP proofs in `dpop/proof_verification.rs`; encrypted tokens are decrypted, and plain
//! ones refused where encryption is agreed on, in `jose/encryption.rs`.

#[cfg(feature = "sha2")]
mod introspection_cache;
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
mod received_request;
mod refusal;
#[cfg(test)]
mod tests;
#[cfg(feature = "sha2")]
mod verify_by_introspection;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::client_config::ClientConfig;
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
use crate::dpop::ProofChecks;
use crate::error::{Error, Misuse};
#[cfg(feature = "sha2")]
use crate::exchange::Boxed;
use crate::exchange::{Exchange, ExchangeExt as _, Input, Step};
use crate::flow::verification::Verification;
use crate::jose::{Alg, DecryptJwe, KeySet, ResponseEncryption};
use crate::moment::{Moment, UnixTime};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::security_profile::Requirement;
use crate::server::Server;
use crate::token::access_token::{
    AccessTokenProfile, Checks, MAX_SKEW, ProvenKeys, VerifiedAccessToken,
};
use crate::token::id_token;

pub use crate::error::ApiRefusal;
#[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
pub use received_request::ReceivedRequest;
pub use refusal::Scheme;

/// Verifies the access tokens of one server for one API. Cheap to clone; all clones share the server's keys,
/// so a route with further requirements uses a clone with those.
///
/// The verifier is not a client: it has no id and no credentials, unless a client creates it for introspection
/// ([`Client::introspecting_verifier`](crate::Client::introspecting_verifier)).
#[derive(Clone)]
pub struct AccessTokenVerifier {
    config: Arc<ClientConfig>,
    algs: Arc<[Alg]>,
    /// Whether the caller named the algorithms.
    are_algs_named: bool,
    /// How tokens are encrypted, if they are.
    encryption: Option<Arc<dyn DecryptJwe>>,
    /// Shared with each verification: there may be thousands per second.
    checks: Arc<Checks>,
    challenge_parameters: refusal::ChallengeParameters,
    /// What a DPoP proof must contain.
    #[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
    proofs: Arc<ProofChecks>,
    /// How tokens are introspected, if they are not verified locally.
    #[cfg(feature = "sha2")]
    introspection_settings: Option<verify_by_introspection::IntrospectionSettings>,
}

impl AccessTokenVerifier {
    /// Creates a verifier of tokens that `server` issued for `audience`, the identifier of this API (its resource
    /// indicator, RFC 8707). Each further server needs its own verifier.
    ///
    /// Tokens must be signed with one of the algorithms that the server's metadata lists for ID tokens, `RS256` if it
    /// lists none (RFC 9068 section 2.1), or with one to which a published key is bound, because no member of the
    /// metadata lists those of access tokens: a key's `alg`, or its curve (`ES256` for P-256). Never with a shared
    /// secret. [`Self::with_algs`] names them instead.
    pub fn new(server: Server, audience: impl Into<String>) -> Self {
        Self::for_config(Arc::new(ClientConfig::anonymous(server)), audience.into())
    }

    /// A verifier that shares its keys with a client of the same server.
    pub(crate) fn for_config(config: Arc<ClientConfig>, audience: String) -> Self {
        let checks = Checks {
            binding_clause: config
                .profile
                .and_then(|profile| profile.clause(Requirement::SenderConstrainedTokens)),
            ..Checks::new(audience)
        };
        Self {
            algs: id_token::metadata_algs(&config.server).into(),
            are_algs_named: false,
            encryption: config.access_token_encryption.clone(),
            config,
            checks: Arc::new(checks),
            challenge_parameters: refusal::ChallengeParameters::default(),
            #[cfg(all(feature = "sha2", not(all(feature = "js", target_family = "wasm"))))]
            proofs: Arc::default(),
            #[cfg(feature = "sha2")]
            introspection_settings: None,
        }
    }

    /// A verifier that introspects each token, as this client.
    #[cfg(feature = "sha2")]
    pub(crate) fn introspecting(config: Arc<ClientConfig>, audience: String) -> Self {
        Self {
            introspection_settings: Some(verify_by_introspection::IntrospectionSettings::new()),
            ..Self::for_config(config, audience)
        }
    }

    /// Accepts tokens for this audience too, such as an older identifier of the same API.
    #[must_use]
    pub fn or_audience(mut self, audience: impl Into<String>) -> Self {
        self.checks_mut().audience.push(audience.into());
        self
    }

    /// Accepts only tokens for this audience: for another API of the same server, with the same keys and the same
    /// introspection cache.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.checks_mut().audience = vec![audience.into()];
        self
    }

    /// Sets the profile of the server's access tokens.
    #[must_use]
    pub fn with_profile(mut self, profile: AccessTokenProfile) -> Self {
        self.checks_mut().profile = profile;
        self
    }

    /// Accepts only tokens signed with these algorithms.
    ///
    /// # Errors
    /// `form.malformed_parameter` for an algorithm with a shared secret, because anyone who can verify such a token can
    /// forge one, and for none, because every token would be refused.
    pub fn with_algs(mut self, algs: impl IntoIterator<Item = Alg>) -> Result<Self, Error> {
        self.algs = asymmetric_algs("algs", algs)?.into();
        self.are_algs_named = true;
        Ok(self)
    }

    /// Accepts only tokens that are encrypted like this (JWE) with a signed token inside, and no plain ones, which
    /// anyone who strips the encryption could present: as this API is registered at the server (RFC 9068 section 4).
    /// Only these keys and algorithms are used, regardless of a token's header. Without this no encrypted token is
    /// accepted.
    ///
    /// Has no effect on a verifier that introspects: the server decrypts what it has encrypted.
    #[must_use]
    pub fn with_encryption(mut self, encryption: ResponseEncryption) -> Self {
        self.encryption = Some(Arc::new(encryption));
        self
    }

    /// Sets how far the clocks of both servers may differ: a minute by default, five at most.
    #[must_use]
    pub fn with_clock_skew(mut self, skew: Duration) -> Self {
        self.checks_mut().clock_skew = skew.min(MAX_SKEW);
        self
    }

    /// Requires all of this scope.
    #[must_use]
    pub fn require_scope(mut self, scope: Scope) -> Self {
        self.checks_mut().scope = scope;
        self
    }

    /// Requires one of these `acr` values, the preferred first (RFC 9470).
    ///
    /// # Errors
    /// `form.malformed_parameter` for a value that a challenge cannot contain: with a space, or not ASCII.
    pub fn require_acr<'a>(
        mut self,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let values = values.into_iter().map(|value| {
            let is_valid = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
            let invalid = || Error::from(Misuse::ParameterValue).about("acr_values");
            is_valid.then(|| value.to_owned()).ok_or_else(invalid)
        });
        self.checks_mut().acr_values = values.collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Requires an authentication no longer ago than this, in whole seconds (RFC 9470).
    #[must_use]
    pub fn require_max_age(mut self, age: Duration) -> Self {
        self.checks_mut().max_age = Some(Duration::from_secs(age.as_secs()));
        self
    }

    fn checks_mut(&mut self) -> &mut Checks {
        Arc::make_mut(&mut self.checks)
    }

    /// The server whose tokens are verified.
    pub fn server(&self) -> &Server {
        &self.config.server
    }

    /// Verifies a token that was presented as a bearer token (RFC 6750 section 2.1): signature and claims. A token
    /// bound to a key is refused, because there was no proof of the key: an API that accepts bound tokens calls
    /// [`verify_request`](Self::verify_request). Keys of the server are fetched as needed, and cached for all clones.
    ///
    /// # Errors
    /// `jwe.*`, `jws.*`, `jwt.*`, `access_token.*` for a token that is refused; others if it could not be
    /// verified. [`Error::refusal`] is the response to each.
    pub fn verify(
        &self,
        token: &str,
    ) -> impl Exchange<Output = VerifiedAccessToken> + Send + use<> {
        self.verify_with(token, ProvenKeys::none())
    }

    /// Verifies a token like [`Self::verify`], for a request that has proved possession of keys: with a DPoP proof, or
    /// with the client's certificate.
    ///
    /// # Errors
    /// The errors of [`Self::verify`].
    pub fn verify_with(
        &self,
        token: &str,
        proven: ProvenKeys,
    ) -> impl Exchange<Output = VerifiedAccessToken> + Send + use<> {
        let scheme = match proven.jkt {
            None => Scheme::Bearer,
            Some(_) => Scheme::Dpop,
        };
        WithRefusal {
            verified: self.verification(token, proven),
            verifier: self.clone(),
            scheme,
        }
    }

    /// A verification whose errors do not contain the response yet.
    fn verification(
        &self,
        token: &str,
        proven: ProvenKeys,
    ) -> impl Exchange<Output = VerifiedAccessToken> + Send + use<> {
        let (config, checks) = (Arc::clone(&self.config), Arc::clone(&self.checks));
        let token = Secret::from(token);
        #[cfg(feature = "sha2")]
        if let Some(introspection_settings) = self.introspection_settings.clone() {
            let introspected = verify_by_introspection::Introspected::new(
                config,
                checks,
                introspection_settings,
                token,
                proven,
            );
            return EitherVerification::ByIntrospection(introspected.boxed());
        }
        let signature = Verification::new(Arc::clone(&config), token, self.algs.to_vec());
        let signature = signature.encrypted(self.encryption.clone());
        let signature = if self.are_algs_named {
            signature
        } else {
            signature.or_algs_bound_to_keys()
        };
        let verified = signature.and_then(move |at, jws| {
            checks
                .check(&config.server, &jws, &proven, at.now())
                .map_err(|error| error.at_endpoint("access_token"))
        });
        EitherVerification::Signed(verified)
    }

    /// Adds the server's public keys, such as those of another process ([`KeySet::to_json`]), as if they
    /// had been fetched `at` this time.
    pub fn keep_keys(&self, at: UnixTime, keys: KeySet) {
        self.config.shared.keys.store_keys(at, Arc::new(keys), None);
    }

    /// The cached public keys of the server, to store them.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.config.shared.keys.cached_keys()
    }

    /// The cached public keys of the server as JSON, with when they were fetched and how long they are valid: if they
    /// are stored, a cold start or a new worker needs no request for them. The keys are not secret, but anyone who can
    /// change them controls which signatures are accepted: store them where only you can write.
    pub fn export_keys(&self) -> Option<String> {
        let config = &self.config;
        config.shared.keys.export(config.server.issuer().as_str())
    }

    /// Adds the keys that [`Self::export_keys`] wrote, unless newer ones are cached.
    ///
    /// # Errors
    /// `stored.malformed`; `stored.issuer` for the keys of another server.
    pub fn import_keys(&self, text: &str) -> Result<(), Error> {
        let config = &self.config;
        let issuer = config.server.issuer().as_str();
        config.shared.keys.import(issuer, text)
    }
}

/// One of the two ways to verify a token.
enum EitherVerification<E> {
    Signed(E),
    #[cfg(feature = "sha2")]
    ByIntrospection(Boxed<VerifiedAccessToken>),
}

impl<E: Exchange<Output = VerifiedAccessToken>> Exchange for EitherVerification<E> {
    type Output = VerifiedAccessToken;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<VerifiedAccessToken>, Error> {
        match self {
            Self::Signed(verified) => verified.resume(at, input),
            #[cfg(feature = "sha2")]
            Self::ByIntrospection(verified) => verified.resume(at, input),
        }
    }
}

/// A verification whose errors contain the response to the request.
struct WithRefusal<E> {
    verified: E,
    verifier: AccessTokenVerifier,
    scheme: Scheme,
}

impl<E: Exchange> Exchange for WithRefusal<E> {
    type Output = E::Output;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        self.verified.resume(at, input).map_err(|error| {
            if error.refusal().is_some() {
                return error;
            }
            let refusal = self.verifier.refuse(self.scheme, &error);
            error.with_refusal(refusal)
        })
    }
}

/// The algorithms that the caller names in this argument: at least one, and none with a shared secret.
fn asymmetric_algs(argument: &str, algs: impl IntoIterator<Item = Alg>) -> Result<Vec<Alg>, Error> {
    let invalid = |reason: &str| {
        let detail = format!("{argument}: {reason}");
        Err(Error::from(Misuse::ParameterValue).about(&detail))
    };
    let algs: Vec<_> = algs.into_iter().collect();
    match algs.iter().find(|alg| alg.is_symmetric()) {
        Some(shared) => invalid(shared.as_str()),
        None if algs.is_empty() => invalid("the list is empty"),
        None => Ok(algs),
    }
}

impl fmt::Debug for AccessTokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenVerifier")
            .field("issuer", self.config.server.issuer())
            .field("algs", &self.algs)
            .field("encryption", &self.encryption)
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}
