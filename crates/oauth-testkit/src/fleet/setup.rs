//! The setup of a fleet: its size, its policy, and the odds of each fault.

use std::fmt;
use std::time::Duration;

use oauth_core::flow::keeper::{Policy, Reuse};

use super::fake_store::{FakeStore, PlainStore};
use super::rng::Rng;
use crate::twin::{DpopNonces, Rotation};

/// The minimum time for which two keys or certificates of the client coexist.
const MIN_KEY_OVERLAP: Duration = Duration::from_secs(120);

/// The setup of a fleet: the number of workers, the server, the store, and the faults.
#[derive(Clone)]
#[non_exhaustive]
pub struct Setup {
    /// The number of processes that share the store.
    pub workers: usize,
    /// The number of grants in the store.
    pub grants: usize,
    /// Whether the grants are the client's own (`client_credentials`) instead of a user's.
    pub is_client_grant: bool,
    /// The server's rotation of refresh tokens.
    pub rotation: Rotation,
    /// The lifetime of access tokens, in seconds.
    pub lifetime: u64,
    /// Whether token responses have no `expires_in`, so that only a 401 shows that a token has expired.
    pub hides_lifetime: bool,
    /// The idle timeout of refresh tokens, in seconds, as announced in token responses.
    pub refresh_token_timeout: Option<u64>,
    /// The arrival of the last caller before the faults end; `None` if callers keep coming.
    pub idle_after: Option<Duration>,
    /// The keepers' policy. A worker gives up on a token request after
    /// [`longest_request`](Policy::longest_request), and the network delays none for more than 13 s beyond that.
    pub policy: Policy,
    /// The duration of faults, after which every caller must get a token.
    pub fault_duration: Duration,
    /// The odds of each fault.
    pub odds: Odds,
    /// The nonces that the server requires, if tokens are bound to a DPoP key: that in the store, which all workers
    /// use.
    pub dpop: Option<DpopNonces>,
    /// If the client authenticates with keys, which are replaced from time to time: how long the server still accepts a
    /// key that was replaced.
    pub client_keys: Option<Duration>,
    /// If access tokens are bound to certificates, which are replaced from time to time: the maximum time until all
    /// workers have the new one. Not together with [`Setup::dpop`].
    pub certificates: Option<Duration>,
    /// The flaw that the hosts of the keepers have.
    pub flaw: Option<Flaw>,
    /// Creates an empty store.
    pub store: fn() -> Box<dyn FakeStore>,
}

/// The probability of each fault: in ten-thousandths, unless documented otherwise.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Odds {
    /// A worker dies, before any step of its own.
    pub crash: u32,
    /// A worker is suspended, before any step of its own: for up to three leases, or three times the
    /// time limit of an attempt.
    pub pause: u32,
    /// The task that runs a renewal is stopped, before any step of the worker.
    pub abandon: u32,
    /// A caller who has to wait gives up.
    pub cancel: u32,
    /// A token request finds no connection.
    pub unsent: u32,
    /// A token request never arrives.
    pub lost_request: u32,
    /// The reply to a token request never arrives.
    pub lost_reply: u32,
    /// A token request arrives after its sender has given up on it.
    pub late_request: u32,
    /// The network delivers a token request twice.
    pub duplicated_request: u32,
    /// The server is busy: 429, or a 503 of its own, with or without `Retry-After`, and nothing is
    /// done.
    pub busy: u32,
    /// A gateway times out: 502, 503 or 504, and the request is processed or not.
    pub gateway: u32,
    /// The server refuses a refresh token without ending the grant, and nothing is done.
    pub refusal: u32,
    /// The store answers with an error, and nothing is done.
    pub store_fails: u32,
    /// The store executes an order, but its answer is lost.
    pub store_reply_lost: u32,
    /// The store executes an order after its sender has given up.
    pub store_late: u32,
    /// In each minute, the token endpoint goes down for up to two minutes.
    pub outage: u32,
    /// In each minute, the store goes down for up to two minutes.
    pub store_outage: u32,
    /// At each use of a token, the server has revoked all access tokens.
    pub access_tokens_revoked: u32,
    /// In each minute, a user revokes all grants.
    pub user_revokes: u32,
    /// In each minute, a user logs in without a prompt.
    pub login: u32,
    /// The maximum error of a worker's clock, in seconds.
    pub skew: u64,
    /// A user logs in, before any step of a renewal, at the worker that renews.
    pub login_during_renewal: u32,
    /// In each minute, a user logs out: the record is removed, and the grant revoked or not.
    pub logout: u32,
    /// In each minute, a worker's clock steps by up to five hours, back or forth.
    pub clock_step: u32,
    /// In each minute, the store forgets a record.
    pub evicted: u32,
    /// In each minute, the store loses up to five saves of a record, as after a failover to a replica or a
    /// restored backup.
    pub rolled_back: u32,
    /// A restarted worker begins with a copy of tokens that its application had kept.
    pub own_copy: u32,
}

/// A deliberate mistake in the program around the keepers: the checks must detect each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Flaw {
    /// Every lease is won; the store is not asked.
    NoLease,
    /// New tokens are handed out before they are saved.
    SaveAfterHandOut,
    /// A record is saved regardless of its version.
    NoFencing,
    /// A lost reply is reported as a request that was never sent, and so sent again.
    RetryLostReply,
    /// When the caller who began a renewal gives up, its request is abandoned and the lease released.
    DropOnCancel,
    /// No lease is extended while a request runs.
    NoExtension,
    /// The DPoP key is not saved: each worker generates one when it starts.
    KeyUnsaved,
    /// A worker that restarts after a renewal uses an earlier DPoP key instead of the one in the store.
    OlderKey,
    /// The nonce in a record is dropped when it is read.
    NonceDropped,
    /// A worker that restarts signs with the client's previous key.
    OlderClientKey,
    /// The clients of workers are not configured with the certificate that their connections present.
    CertificateUnconfigured,
    /// The certificate that tokens are bound to is dropped from a record when it is read.
    CertificateDropped,
    /// The HTTP client of a worker presents a new certificate, while its grants continue unchanged.
    CertificateSwapped,
}

impl Flaw {
    /// All flaws, with their names.
    pub const ALL: [(&str, Self); 13] = [
        ("no-lease", Self::NoLease),
        ("save-after-hand-out", Self::SaveAfterHandOut),
        ("no-fencing", Self::NoFencing),
        ("retry-lost-reply", Self::RetryLostReply),
        ("drop-on-cancel", Self::DropOnCancel),
        ("no-extension", Self::NoExtension),
        ("key-unsaved", Self::KeyUnsaved),
        ("older-key", Self::OlderKey),
        ("nonce-dropped", Self::NonceDropped),
        ("older-client-key", Self::OlderClientKey),
        ("certificate-unconfigured", Self::CertificateUnconfigured),
        ("certificate-dropped", Self::CertificateDropped),
        ("certificate-swapped", Self::CertificateSwapped),
    ];
}

impl Setup {
    /// A random fleet, determined by the seed.
    pub fn random(seed: u64) -> Self {
        let rng = &mut Rng::new(!seed);
        let kinds = [
            (Rotation::Strict, Reuse::Unknown),
            (Rotation::Strict, Reuse::Unknown),
            (Rotation::Strict, Reuse::Revokes),
            (Rotation::Strict, Reuse::Revokes),
            (Rotation::Grace(30), Reuse::Unknown),
            (Rotation::Grace(30), Reuse::Revokes),
            (Rotation::Grace(30), Reuse::Tolerated),
            (Rotation::Lenient, Reuse::Unknown),
            (Rotation::Lenient, Reuse::Tolerated),
            (Rotation::Never, Reuse::Unknown),
            (Rotation::Never, Reuse::Revokes),
        ];
        let (rotation, reuse) = rng.pick(&kinds);
        let mut policy = Policy::default();
        policy.reuse = reuse;
        policy.lease = Duration::from_secs(rng.pick(&[4, 10, 10]));
        policy.longest_request = Duration::from_secs(rng.pick(&[5, 15, 30]));
        Self {
            workers: rng.pick(&[1, 2, 2, 3, 3, 4, 6]),
            grants: rng.pick(&[1, 1, 1, 2]),
            is_client_grant: rng.chance(800),
            rotation,
            lifetime: rng.pick(&[60, 120, 120, 300, 900]),
            hides_lifetime: rng.chance(1000),
            refresh_token_timeout: None,
            idle_after: None,
            policy,
            fault_duration: Duration::from_secs(rng.between(200, 1200)),
            odds: Odds::random(rng),
            dpop: None,
            client_keys: None,
            certificates: None,
            flaw: None,
            store: || Box::new(PlainStore::default()),
        }
    }

    /// Adds a flaw, and the keys or certificates that it is about.
    #[must_use]
    pub fn with_flaw(mut self, flaw: Flaw) -> Self {
        self.flaw = Some(flaw);
        match flaw {
            Flaw::KeyUnsaved | Flaw::OlderKey | Flaw::NonceDropped if self.dpop.is_none() => {
                self.with_dpop(DpopNonces::Kept)
            }
            Flaw::OlderClientKey if self.client_keys.is_none() => {
                self.with_client_keys(MIN_KEY_OVERLAP)
            }
            Flaw::CertificateUnconfigured | Flaw::CertificateDropped | Flaw::CertificateSwapped
                if self.certificates.is_none() =>
            {
                self.with_certificates(MIN_KEY_OVERLAP)
            }
            _ => self,
        }
    }

    /// Binds tokens to a DPoP key; the server requires these nonces.
    #[must_use]
    pub const fn with_dpop(mut self, nonces: DpopNonces) -> Self {
        self.dpop = Some(nonces);
        self.certificates = None;
        self
    }

    /// Has the client authenticate with keys that are replaced: the server accepts the old one for this long beside the
    /// new, at least two minutes.
    #[must_use]
    pub fn with_client_keys(mut self, overlap: Duration) -> Self {
        self.client_keys = Some(overlap.max(MIN_KEY_OVERLAP));
        self
    }

    /// Binds access tokens to the certificate of the connections, each of which is replaced within this time, at least
    /// two minutes. The server does not bind them to a DPoP key.
    #[must_use]
    pub fn with_certificates(mut self, overlap: Duration) -> Self {
        self.certificates = Some(overlap.max(MIN_KEY_OVERLAP));
        self.dpop = None;
        self
    }

    /// Uses a store of your own.
    #[must_use]
    pub fn with_store(mut self, store: fn() -> Box<dyn FakeStore>) -> Self {
        self.store = store;
        self
    }
}

impl Odds {
    /// Each kind of fault is absent, rare or frequent, independently of the others: mistakes that a
    /// frequent fault hides appear in a history without it.
    fn random(rng: &mut Rng) -> Self {
        let mut zero_to_frequent = |rare: u32, frequent: u32| match rng.index(4) {
            0 | 1 => 0,
            2 => rare,
            _ => frequent,
        };
        Self {
            crash: zero_to_frequent(10, 100),
            pause: zero_to_frequent(10, 100),
            abandon: zero_to_frequent(10, 100),
            cancel: zero_to_frequent(1000, 5000),
            unsent: zero_to_frequent(200, 2000),
            lost_request: zero_to_frequent(200, 1500),
            lost_reply: zero_to_frequent(200, 1500),
            late_request: zero_to_frequent(200, 1500),
            duplicated_request: zero_to_frequent(100, 500),
            busy: zero_to_frequent(200, 2000),
            gateway: zero_to_frequent(200, 1000),
            refusal: zero_to_frequent(200, 2000),
            store_fails: zero_to_frequent(100, 1500),
            store_reply_lost: zero_to_frequent(100, 1500),
            store_late: zero_to_frequent(100, 1500),
            outage: zero_to_frequent(500, 2000),
            store_outage: zero_to_frequent(500, 2000),
            access_tokens_revoked: zero_to_frequent(20, 200),
            user_revokes: zero_to_frequent(100, 300),
            login: zero_to_frequent(200, 1000),
            skew: u64::from(zero_to_frequent(1, 3)),
            login_during_renewal: zero_to_frequent(20, 200),
            logout: zero_to_frequent(100, 500),
            clock_step: zero_to_frequent(300, 2000),
            evicted: zero_to_frequent(100, 500),
            rolled_back: zero_to_frequent(100, 500),
            own_copy: zero_to_frequent(1000, 5000),
        }
    }
}

impl fmt::Debug for Setup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setup")
            .field("workers", &self.workers)
            .field("grants", &self.grants)
            .field("own", &self.is_client_grant)
            .field("rotation", &self.rotation)
            .field("lifetime", &self.lifetime)
            .field("hides_lifetime", &self.hides_lifetime)
            .field("refresh_token_timeout", &self.refresh_token_timeout)
            .field("idle_after", &self.idle_after)
            .field("policy", &self.policy)
            .field("trouble", &self.fault_duration)
            .field("odds", &self.odds)
            .field("dpop", &self.dpop)
            .field("client_keys", &self.client_keys)
            .field("certificates", &self.certificates)
            .field("flaw", &self.flaw)
            .finish_non_exhaustive()
    }
}
