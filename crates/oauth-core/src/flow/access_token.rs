//! Verification of access tokens, for APIs, and the response to requests whose token is refused.
//!
//! RFC 9068 section 4, RFC 6750 section 3, RFC 9470 section 3

#[cfg(feature = "sha2")]
mod answer_cache;
#[cfg(feature = "sha2")]
mod introspected;
mod refusal;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::client_config::ClientConfig;
use crate::error::{Error, Misuse};
#[cfg(feature = "sha2")]
use crate::exchange::Boxed;
use crate::exchange::{Exchange, ExchangeExt as _, Input, Step};
use crate::flow::verification::Verification;
use crate::jose::{Alg, KeySet};
use crate::moment::{Moment, UnixTime};
use crate::scope::Scope;
use crate::secret::Secret;
use crate::server::Server;
use crate::token::access_token::{AccessToken, AccessTokenProfile, Checks, MAX_SKEW, ProvenKeys};
use crate::token::id_token;

pub use crate::error::Refusal;
pub use refusal::Scheme;

/// Verifies the access tokens of one server for one API. Cheap to clone; all clones share the server's keys,
/// so a route that needs more than others is a clone with more requirements.
///
/// It is no client: it has no id and no credentials, unless a client made it to ask the server about tokens
/// ([`Client::introspecting_verifier`](crate::Client::introspecting_verifier)).
#[derive(Clone)]
pub struct AccessTokenVerifier {
    config: Arc<ClientConfig>,
    algs: Vec<Alg>,
    checks: Checks,
    answers: refusal::Answers,
    /// How the server is asked about tokens, if they are not verified here.
    #[cfg(feature = "sha2")]
    asking: Option<introspected::Asking>,
}

impl AccessTokenVerifier {
    /// Verifies what `server` issued for `audience`, the identifier of this API (its resource indicator, RFC
    /// 8707). Other servers' tokens take verifiers of their own.
    ///
    /// Tokens are signed by one of the algorithms that the server's metadata name for ID tokens, `RS256` where
    /// they name none; never with a shared secret.
    pub fn new(server: Server, audience: impl Into<String>) -> Self {
        Self::of(Arc::new(ClientConfig::anonymous(server)), audience.into())
    }

    /// One that shares its keys with a client of the same server.
    pub(crate) fn of(config: Arc<ClientConfig>, audience: String) -> Self {
        Self {
            algs: id_token::metadata_algs(&config.server),
            config,
            checks: Checks::new(audience),
            answers: refusal::Answers::default(),
            #[cfg(feature = "sha2")]
            asking: None,
        }
    }

    /// One that asks the server about each token, as this client.
    #[cfg(feature = "sha2")]
    pub(crate) fn introspecting(config: Arc<ClientConfig>, audience: String) -> Self {
        Self {
            asking: Some(introspected::Asking::new()),
            ..Self::of(config, audience)
        }
    }

    /// Takes tokens for this audience too, such as an older identifier of the same API.
    #[must_use]
    pub fn or_audience(mut self, audience: impl Into<String>) -> Self {
        self.checks.audience.push(audience.into());
        self
    }

    /// Takes tokens for this audience and no other: for another API of the same server, with the same keys and
    /// the same memory of what the server said.
    #[must_use]
    pub fn with_audience(mut self, audience: impl Into<String>) -> Self {
        self.checks.audience = vec![audience.into()];
        self
    }

    /// Reads the tokens as this kind of server writes them.
    #[must_use]
    pub const fn with_profile(mut self, profile: AccessTokenProfile) -> Self {
        self.checks.profile = profile;
        self
    }

    /// Takes tokens that are signed by these algorithms, and no others. Those with a shared secret are left
    /// out: who can verify such a token can make one.
    #[must_use]
    pub fn with_algs(mut self, algs: impl IntoIterator<Item = Alg>) -> Self {
        self.algs = algs.into_iter().filter(|alg| !alg.is_symmetric()).collect();
        self
    }

    /// How far the clocks of both servers may be apart: a minute if nothing is said, five at most.
    #[must_use]
    pub fn with_clock_skew(mut self, skew: Duration) -> Self {
        self.checks.clock_skew = skew.min(MAX_SKEW);
        self
    }

    /// Needs all of this scope.
    #[must_use]
    pub fn require_scope(mut self, scope: Scope) -> Self {
        self.checks.scope = scope;
        self
    }

    /// Needs a person who authenticated in one of these ways, the preferred first (RFC 9470).
    ///
    /// # Errors
    /// `form.malformed_parameter` for a value that a challenge cannot hold: with a space, or not ASCII.
    pub fn require_acr<'a>(
        mut self,
        values: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, Error> {
        let values = values.into_iter().map(|value| {
            let is_word = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_graphic());
            let wrong = || Error::from(Misuse::ParameterValue).about("acr_values");
            is_word.then(|| value.to_owned()).ok_or_else(wrong)
        });
        self.checks.acr_values = values.collect::<Result<_, _>>()?;
        Ok(self)
    }

    /// Needs a person who authenticated no longer ago than this, in whole seconds (RFC 9470).
    #[must_use]
    pub const fn require_max_age(mut self, age: Duration) -> Self {
        self.checks.max_age = Some(Duration::from_secs(age.as_secs()));
        self
    }

    /// The server.
    pub fn server(&self) -> &Server {
        &self.config.server
    }

    /// Verifies a token that was shown as a bearer token (RFC 6750 section 2.1): signature and claims. One
    /// that is bound to a key is refused, for there was no proof of the key. Keys of the server are fetched
    /// as needed, and kept for all clones.
    ///
    /// # Errors
    /// `jws.*`, `jwt.*`, `access_token.*` of a token that is not good enough; others where it could not be
    /// verified. [`Error::refusal`] says what to answer to each.
    pub fn verify(&self, token: &str) -> impl Exchange<Output = AccessToken> + Send + use<> {
        self.verify_with(token, ProvenKeys::none())
    }

    /// [`Self::verify`] for a request that has proved possession of keys: with a DPoP proof, or with the
    /// client's certificate.
    ///
    /// # Errors
    /// Those of [`Self::verify`].
    pub fn verify_with(
        &self,
        token: &str,
        proven: ProvenKeys,
    ) -> impl Exchange<Output = AccessToken> + Send + use<> {
        let (config, checks) = (Arc::clone(&self.config), self.checks.clone());
        let token = Secret::from(token);
        let scheme = match proven.jkt {
            None => Scheme::Bearer,
            Some(_) => Scheme::Dpop,
        };
        #[cfg(feature = "sha2")]
        if let Some(asking) = self.asking.clone() {
            return Refusing {
                verified: Verified::Told(
                    introspected::Introspected::new(config, checks, asking, token, proven).boxed(),
                ),
                verifier: self.clone(),
                scheme,
            };
        }
        let signature = Verification::new(Arc::clone(&config), token, self.algs.clone());
        let verified = signature.and_then(move |at, jws| {
            checks
                .check(&config.server, &jws, &proven, at.now())
                .map_err(|error| error.at_endpoint("access_token"))
        });
        Refusing {
            verified: Verified::Signed(verified),
            verifier: self.clone(),
            scheme,
        }
    }

    /// Knows the server's public keys, such as those of another process ([`KeySet::to_json`]), as if they
    /// had been fetched `at` this time.
    pub fn keep_keys(&self, at: UnixTime, keys: KeySet) {
        self.config.shared.keys.keep(at, Arc::new(keys), None);
    }

    /// The server's public keys that are known, to store.
    pub fn keys(&self) -> Option<Arc<KeySet>> {
        self.config.shared.keys.known()
    }

    /// The server's public keys that are known, as JSON, with when they were fetched and how long they are good:
    /// stored, they spare a cold start or a new worker the request. They are no secret, but whoever can change
    /// what is stored decides whose signatures are good: keep it where you alone write.
    pub fn export_keys(&self) -> Option<String> {
        let config = &self.config;
        config.shared.keys.export(config.server.issuer().as_str())
    }

    /// Knows the keys that [`Self::export_keys`] wrote, unless newer ones are known.
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
enum Verified<E> {
    Signed(E),
    #[cfg(feature = "sha2")]
    Told(Boxed<AccessToken>),
}

impl<E: Exchange<Output = AccessToken>> Exchange for Verified<E> {
    type Output = AccessToken;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<AccessToken>, Error> {
        match self {
            Self::Signed(verified) => verified.resume(at, input),
            #[cfg(feature = "sha2")]
            Self::Told(verified) => verified.resume(at, input),
        }
    }
}

/// A verification whose errors say what to answer to the request.
struct Refusing<E> {
    verified: E,
    verifier: AccessTokenVerifier,
    scheme: Scheme,
}

impl<E: Exchange> Exchange for Refusing<E> {
    type Output = E::Output;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<E::Output>, Error> {
        self.verified.resume(at, input).map_err(|error| {
            if error.refusal().is_some() {
                return error;
            }
            let refusal = self.verifier.refuse(self.scheme, &error);
            error.refusing(refusal)
        })
    }
}

impl fmt::Debug for AccessTokenVerifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessTokenVerifier")
            .field("issuer", self.config.server.issuer())
            .field("algs", &self.algs)
            .field("checks", &self.checks)
            .finish_non_exhaustive()
    }
}
