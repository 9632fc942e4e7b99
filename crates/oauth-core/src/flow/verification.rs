//! Verification of signed tokens: fetches the keys, checks the signature, and compares the hashes in the claims. The
//! claims are checked in `token/id_token.rs`, `token/access_token.rs` and `token/logout_token.rs`.
//!
//! Keys are fetched when none are known, and again for a token that no known key has signed (OpenID Connect Core
//! section 10.1.1): by one verification for all, while the others wait.

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::browser_build::IS_BROWSER_BUILD;
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::endpoint::jwks::{FetchedKeys, Jwks};
use crate::error::{Error, Kind, Misuse, ServerError, ValidationFailure};
use crate::exchange::{Exchange, ExchangeExt as _, Input, Step, VerificationJob, VerificationKey};
use crate::jose::{
    Alg, Claims, DecryptJwe, Hash, Jws, KeySet, Lookup, OnUnknownKey, decrypt_if_encrypted,
};
use crate::moment::Moment;
use crate::secret::Secret;
use crate::token::access_token::MAX_SKEW;
use crate::token::id_token::{self, HashClaim, IdToken, IdTokenChecks};
use crate::token::logout_token::{LogoutToken, LogoutTokenChecks};

/// The pause before looking again for keys that another verification is fetching.
const POLL_PAUSE: Duration = Duration::from_millis(250);
/// The largest number of polls, because the clock may not advance when a recording is replayed.
const MAX_POLLS: u8 = 40;

/// The verification of a signature with the server's keys.
pub(crate) struct Verification {
    config: Arc<ClientConfig>,
    token: Secret<String>,
    allowed: Vec<Alg>,
    other_algs: OtherAlgs,
    encryption: Option<Arc<dyn DecryptJwe>>,
    issuer: IssuerCheck,
    refetch: Refetch,
    signature: Signature,
    /// The keys that have been tried.
    tried: Option<Arc<KeySet>>,
    polls: u8,
    state: State,
}

/// When `iss` is checked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum IssuerCheck {
    /// Before keys are fetched.
    First,
    /// By the caller of the verification.
    Later,
}

/// Whether a token may be signed with an algorithm that is not listed.
#[derive(Clone, Copy, PartialEq, Eq)]
enum OtherAlgs {
    Refused,
    /// With one to which a published key is bound.
    BoundToKeys,
}

/// Whether the keys may be fetched for this token.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Refetch {
    Possible,
    Done,
}

/// Whether a key was found to try the signature with.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Signature {
    Untried,
    Tried,
}

enum State {
    Fresh,
    /// With the keys that are used if no others can be fetched.
    Fetching(Box<Call<Jwks>>, Jws, Option<Arc<KeySet>>),
    /// The keys that are still to be tried.
    Verifying(Jws, VecDeque<VerificationKey>),
    /// Another verification is fetching the keys.
    Waiting(Jws),
    Over,
}

impl Verification {
    /// A verification that accepts these algorithms, as far as the client's profile allows them.
    pub(crate) fn new(
        config: Arc<ClientConfig>,
        token: Secret<String>,
        mut allowed: Vec<Alg>,
    ) -> Self {
        if !IS_BROWSER_BUILD {
            allowed.retain(|alg| config.allows_alg(*alg));
        }
        Self {
            config,
            token,
            allowed,
            other_algs: OtherAlgs::Refused,
            encryption: None,
            issuer: IssuerCheck::Later,
            refetch: Refetch::Possible,
            signature: Signature::Untried,
            tried: None,
            polls: 0,
            state: State::Fresh,
        }
    }

    /// Expects a token that is encrypted like this, or is not encrypted if nothing is agreed on.
    pub(crate) fn encrypted(mut self, encryption: Option<Arc<dyn DecryptJwe>>) -> Self {
        self.encryption = encryption;
        self
    }

    /// Accepts an asymmetric algorithm that is not listed as well, if the server publishes a key that is for this
    /// algorithm alone, by its `alg` or its curve.
    pub(crate) const fn or_algs_bound_to_keys(mut self) -> Self {
        self.other_algs = OtherAlgs::BoundToKeys;
        self
    }

    /// Checks `iss` first, for a JWT from an unknown source: unless it names this server, no keys are fetched for it.
    pub(crate) const fn issuer_first(mut self) -> Self {
        self.issuer = IssuerCheck::First;
        self
    }

    fn begin(&mut self, at: &Moment) -> Result<Step<Jws>, Error> {
        let token = std::mem::replace(&mut self.token, Secret::new(String::new()));
        let signed = decrypt_if_encrypted(token, self.encryption.as_deref())?;
        // Only the verification of access tokens uses this, which browser builds do not contain.
        let jws = match self.other_algs {
            OtherAlgs::BoundToKeys if !IS_BROWSER_BUILD => {
                let algs = Alg::ALL.iter().copied();
                let with_key_pairs: Vec<_> = algs
                    .filter(|alg| !alg.is_symmetric() && self.config.allows_alg(*alg))
                    .collect();
                Jws::parse(signed.expose(), &with_key_pairs)?
            }
            _ => Jws::parse(signed.expose(), &self.allowed)?,
        };
        if self.issuer == IssuerCheck::First {
            id_token::issuer(&self.config.server, &Claims::parse(jws.payload())?)?;
        }
        if jws.alg.is_symmetric() {
            let secret = id_token::mac_key(&self.config, jws.alg)?;
            self.refetch = Refetch::Done;
            return self.verify(at, jws, VecDeque::from([VerificationKey::Secret(secret)]));
        }
        match self.config.shared.keys.lookup(at.now()) {
            Lookup::Fresh(keys) => self.choose(at, jws, &keys),
            Lookup::Stale(stale_keys) => {
                self.refetch = Refetch::Done;
                self.fetch(at, self.call(), jws, stale_keys, Input::Begin)
            }
        }
    }

    fn call(&self) -> Box<Call<Jwks>> {
        Box::new(Call::new(Arc::clone(&self.config), Jwks))
    }

    fn fetch(
        &mut self,
        at: &Moment,
        mut call: Box<Call<Jwks>>,
        jws: Jws,
        stale_keys: Option<Arc<KeySet>>,
        input: Input,
    ) -> Result<Step<Jws>, Error> {
        match call.resume(at, input) {
            Ok(Step::Done(FetchedKeys { keys, max_age, .. })) => {
                let keys = Arc::new(keys);
                let cache = &self.config.shared.keys;
                cache.store_keys(at.now(), Arc::clone(&keys), max_age);
                self.choose(at, jws, &keys)
            }
            Ok(Step::Send(request)) => {
                self.state = State::Fetching(call, jws, stale_keys);
                Ok(Step::Send(request))
            }
            // A document is fetched without pauses, signatures or verification.
            Ok(Step::Sleep(_) | Step::Sign(_) | Step::Verify(_)) => Err(Misuse::OutOfOrder.into()),
            Err(error) => {
                self.config.shared.keys.fetch_failed();
                match stale_keys {
                    Some(keys) if leaves_keys_valid(&error) => self.choose(at, jws, &keys),
                    _ => Err(error),
                }
            }
        }
    }

    /// Tries the keys that may have signed the token; fetches others if there are none.
    fn choose(&mut self, at: &Moment, jws: Jws, keys: &Arc<KeySet>) -> Result<Step<Jws>, Error> {
        self.tried = Some(Arc::clone(keys));
        let kid = jws.kid.as_deref();
        let mut candidates = if self.is_listed(&jws) {
            keys.candidates(jws.alg, kid)
        } else {
            keys.bound_candidates(jws.alg, kid)
        };
        if let Some(claims) = self.claims_of_tenant(&jws) {
            candidates.retain(|key| {
                let key_issuer = keys.issuer_of_key(key);
                key_issuer.is_none_or(|named| id_token::is_issuer_of_key(named, &claims))
            });
        }
        let candidates = candidates.into_iter();
        let candidates = candidates.map(VerificationKey::Public).collect();
        self.verify(at, jws, candidates)
    }

    /// The claims of a token whose signature is not verified yet, if the server has an issuer for each tenant: its keys
    /// may be for one tenant alone.
    fn claims_of_tenant(&self, jws: &Jws) -> Option<Claims> {
        if IS_BROWSER_BUILD {
            return None;
        }
        self.config.server.rules().tenant_issuer()?;
        // Claims that cannot be read are refused after the signature was verified.
        Claims::parse(jws.payload()).ok()
    }

    /// Whether the token's algorithm is listed, and does not depend on the published keys.
    fn is_listed(&self, jws: &Jws) -> bool {
        IS_BROWSER_BUILD || self.allowed.contains(&jws.alg)
    }

    fn verify(
        &mut self,
        at: &Moment,
        jws: Jws,
        mut rest: VecDeque<VerificationKey>,
    ) -> Result<Step<Jws>, Error> {
        let Some(key) = rest.pop_front() else {
            return self.no_key(at, jws);
        };
        let job = VerificationJob::Signature {
            alg: jws.alg.as_str(),
            key,
            signing_input: jws.signing_input.clone(),
            signature: jws.signature.clone(),
        };
        self.signature = Signature::Tried;
        self.state = State::Verifying(jws, rest);
        Ok(Step::Verify(job))
    }

    /// No known key has signed the token: other keys are fetched, but not as often as forged tokens arrive.
    fn no_key(&mut self, at: &Moment, jws: Jws) -> Result<Step<Jws>, Error> {
        if self.refetch == Refetch::Possible {
            if let Some(keys) = self.newly_fetched() {
                self.refetch = Refetch::Done;
                return self.choose(at, jws, &keys);
            }
            match self.config.shared.keys.on_unknown_key(at.now()) {
                OnUnknownKey::Fetch => {
                    self.refetch = Refetch::Done;
                    return self.fetch(at, self.call(), jws, None, Input::Begin);
                }
                OnUnknownKey::Wait if self.polls < MAX_POLLS => {
                    self.polls += 1;
                    self.state = State::Waiting(jws);
                    return Ok(Step::Sleep(POLL_PAUSE));
                }
                OnUnknownKey::Wait | OnUnknownKey::GiveUp => {}
            }
        }
        Err(match self.signature {
            Signature::Tried => ValidationFailure::JwsSignature.into(),
            Signature::Untried if !self.is_listed(&jws) => jws.alg_refused(&self.allowed),
            Signature::Untried => {
                let keys = self.tried.as_deref();
                let reason = keys.map(|keys| keys.no_candidate_reason(jws.alg, jws.kid.as_deref()));
                Error::from(ValidationFailure::JwsNoKey).about(&reason.unwrap_or_default())
            }
        })
    }

    /// Keys that another verification has fetched since these were tried.
    fn newly_fetched(&self) -> Option<Arc<KeySet>> {
        let cached_keys = self.config.shared.keys.cached_keys()?;
        let was_tried = self
            .tried
            .as_ref()
            .is_some_and(|tried| Arc::ptr_eq(tried, &cached_keys));
        (!was_tried).then_some(cached_keys)
    }
}

/// Whether an error leaves the known keys valid: a server that cannot be reached or is overloaded has not withdrawn
/// them.
fn leaves_keys_valid(error: &Error) -> bool {
    matches!(error.kind(), Kind::Lost(_))
        || error.server_error().is_some_and(ServerError::is_temporary)
}

impl Exchange for Verification {
    type Output = Jws;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Jws>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh, Input::Begin) => self.begin(at),
            (State::Fetching(call, jws, stale_keys), input) => {
                self.fetch(at, call, jws, stale_keys, input)
            }
            (State::Verifying(jws, _), Input::Verified(true)) => Ok(Step::Done(jws)),
            (State::Verifying(jws, rest), Input::Verified(false)) => self.verify(at, jws, rest),
            (State::Verifying(..), Input::Lost(cause)) => Err(Error::lost(cause)),
            (State::Waiting(jws), Input::Elapsed) => self.no_key(at, jws),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}

impl fmt::Debug for Verification {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Verification").finish_non_exhaustive()
    }
}

/// The verification of an ID token: its signature, its claims, and the hashes in it.
pub(crate) fn id_token(
    config: Arc<ClientConfig>,
    token: Secret<String>,
    mut checks: IdTokenChecks,
) -> impl Exchange<Output = IdToken> + Send + use<> {
    checks.clock_skew = checks.clock_skew.min(MAX_SKEW);
    let allowed = id_token::allowed_algs(&config);
    let encryption = config.id_token_encryption.clone();
    let signature = Verification::new(Arc::clone(&config), token.clone(), allowed);
    signature.encrypted(encryption).then(move |at, jws| {
        // "To use it as an id_token_hint, the Client MUST decrypt the signed ID Token contained within the
        // encrypted ID Token" (OpenID Connect Core section 3.1.2.1).
        let token = match &config.id_token_encryption {
            Some(_) => jws.compact(),
            None => token,
        };
        let (id_token, hashes) = checks
            .check(&config, token, &jws, at.now())
            .map_err(|error| error.at_endpoint("id_token"))?;
        Ok(HashComparison::new(id_token, jws.alg.hash(), hashes))
    })
}

/// The verification of a logout token: its signature and its claims.
pub(crate) fn logout_token(
    config: Arc<ClientConfig>,
    token: Secret<String>,
    mut checks: LogoutTokenChecks,
) -> impl Exchange<Output = LogoutToken> + Send + use<> {
    checks.clock_skew = checks.clock_skew.min(MAX_SKEW);
    // "in the same way as an ID Token" (OpenID Connect Back-Channel Logout section 2.6, step 2)
    let allowed = id_token::allowed_algs(&config);
    // "decrypt it using the keys and algorithms that the Client specified during Registration that the OP was to
    // use to encrypt ID Tokens" (step 1)
    let encryption = config.id_token_encryption.clone();
    let signature = Verification::new(Arc::clone(&config), token, allowed);
    signature.encrypted(encryption).and_then(move |at, jws| {
        checks
            .check(&config, &jws, at.now())
            .map_err(|error| error.at_endpoint("logout_token"))
    })
}

/// The comparison of the hashes in an ID token.
struct HashComparison {
    hash: Hash,
    id_token: Option<IdToken>,
    rest: VecDeque<HashClaim>,
    current: Option<HashClaim>,
}

impl HashComparison {
    fn new(id_token: IdToken, hash: Hash, claims: Vec<HashClaim>) -> Self {
        Self {
            hash,
            id_token: Some(id_token),
            rest: claims.into(),
            current: None,
        }
    }

    fn next(&mut self) -> Result<Step<IdToken>, Error> {
        self.current = self.rest.pop_front();
        match &self.current {
            None => self
                .id_token
                .take()
                .map(Step::Done)
                .ok_or_else(|| Misuse::Over.into()),
            Some(claim) => Ok(Step::Verify(VerificationJob::HalfHash {
                hash: self.hash.as_str(),
                value: claim.value.clone(),
                half: claim.half.clone(),
            })),
        }
    }
}

impl Exchange for HashComparison {
    type Output = IdToken;

    fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<IdToken>, Error> {
        match (input, self.current.take()) {
            (Input::Begin, None) if self.id_token.is_some() => self.next(),
            (Input::Verified(true), Some(_)) => self.next(),
            (Input::Verified(false), Some(claim)) => {
                self.id_token = None;
                Err(Error::from(claim.failure).at_endpoint("id_token"))
            }
            (Input::Lost(cause), Some(_)) => {
                self.id_token = None;
                Err(Error::lost(cause))
            }
            (_, None) if self.id_token.is_none() => Err(Misuse::Over.into()),
            _ => {
                self.id_token = None;
                Err(Misuse::OutOfOrder.into())
            }
        }
    }
}

impl fmt::Debug for HashComparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HashComparison").finish_non_exhaustive()
    }
}
