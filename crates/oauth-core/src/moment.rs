//! [`Moment`]: the time and the random bytes that a caller passes to each step.

use std::fmt;
#[cfg(feature = "system")]
use std::sync::OnceLock;
use std::time::Duration;

use serde::{Deserialize, Serialize};
#[cfg(feature = "sha2")]
use sha2::{Digest as _, Sha256};

use crate::error::{Error, Misuse};
use crate::json::{Json, JsonForm};

/// Whole seconds since 1970-01-01T00:00:00Z, like a `NumericDate`. Arithmetic saturates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixTime(u64);

impl UnixTime {
    /// The given number of seconds after the epoch.
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds)
    }

    /// The current time of the operating system's clock, for callers that need no randomness.
    ///
    /// # Errors
    /// `misuse.no_clock` if the clock is before 1970.
    #[cfg(feature = "system")]
    pub fn system() -> Result<Self, Error> {
        use crate::error::Cause;
        std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map(|since_epoch| Self(since_epoch.as_secs()))
            .map_err(|error| Error::from(Misuse::NoClock).caused_by(Cause::unsent(error)))
    }

    /// Seconds since the epoch.
    pub const fn as_secs(self) -> u64 {
        self.0
    }

    /// This time plus `pause`, cut to whole seconds.
    #[must_use]
    pub const fn after(self, pause: Duration) -> Self {
        Self(self.0.saturating_add(pause.as_secs()))
    }

    /// This time minus `pause`, cut to whole seconds.
    #[must_use]
    pub const fn before(self, pause: Duration) -> Self {
        Self(self.0.saturating_sub(pause.as_secs()))
    }

    /// The time since `earlier`; zero if that is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

/// The time since this was first called in this process, by a monotonic clock.
#[cfg(feature = "system")]
pub(crate) fn elapsed() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;
    static BEGAN: OnceLock<Instant> = OnceLock::new();
    BEGAN.get_or_init(Instant::now).elapsed()
}

/// The wall clock and 32 random bytes, as a value.
///
/// Equal moments give equal steps, so an exchange can be recorded and replayed in any language. Use a moment for one
/// step only: its bytes are expanded by label, and the same label gives the same value again.
#[derive(Clone)]
pub struct Moment {
    now: UnixTime,
    seed: Seed,
}

#[derive(Clone)]
enum Seed {
    Given([u8; 32]),
    None,
    /// Generated on first use: most steps need only the time, and random bytes cost a system call.
    #[cfg(feature = "system")]
    System(OnceLock<[u8; 32]>),
}

impl Moment {
    /// A moment with the given time and seed, for tests, replays, and hosts with their own
    /// clock and random source. Never use one seed for two flows.
    pub const fn fixed(now: UnixTime, seed: [u8; 32]) -> Self {
        Self {
            now,
            seed: Seed::Given(seed),
        }
    }

    /// A moment with only the time, for steps that need no random bytes: one that needs them fails with
    /// `misuse.no_randomness`.
    pub const fn without_randomness(now: UnixTime) -> Self {
        Self {
            now,
            seed: Seed::None,
        }
    }

    /// A moment of the operating system's clock and random source. A step that needs random bytes fails with
    /// `misuse.no_randomness` if the system cannot provide them: there is no weaker fallback.
    ///
    /// # Errors
    /// `misuse.no_clock`.
    #[cfg(feature = "system")]
    pub fn system() -> Result<Self, Error> {
        Ok(Self {
            now: UnixTime::system()?,
            seed: Seed::System(OnceLock::new()),
        })
    }

    /// The random bytes from which values are derived.
    ///
    /// # Errors
    /// `misuse.no_randomness`.
    fn seed(&self) -> Result<&[u8; 32], Error> {
        match &self.seed {
            Seed::Given(seed) => Ok(seed),
            Seed::None => Err(Misuse::NoRandomness.into()),
            #[cfg(feature = "system")]
            Seed::System(drawn) => {
                if let Some(seed) = drawn.get() {
                    return Ok(seed);
                }
                let seed = system_random()?;
                Ok(drawn.get_or_init(|| seed))
            }
        }
    }

    /// Returns a moment with the random bytes of this one and another time, for hosts with their own clock.
    #[must_use]
    pub const fn at_time(mut self, now: UnixTime) -> Self {
        self.now = now;
        self
    }

    /// The time of the wall clock.
    pub const fn now(&self) -> UnixTime {
        self.now
    }

    /// A random number for jitter, not secret. Zero if the system provides no random bytes, which only disables the
    /// jitter.
    pub(crate) fn jitter_input(&self) -> u64 {
        let bytes = self.seed().ok().and_then(|seed| seed.first_chunk());
        bytes.map_or(0, |bytes| u64::from_be_bytes(*bytes))
    }

    /// A unique identifier of 32 hexadecimal digits, not secret.
    ///
    /// # Errors
    /// `misuse.no_randomness`.
    pub fn ticket(&self) -> Result<String, Error> {
        let digits = self.ticket_digits()?;
        Ok(std::str::from_utf8(&digits).unwrap_or_default().to_owned())
    }

    /// The digits of [`Self::ticket`].
    ///
    /// # Errors
    /// `misuse.no_randomness`.
    pub(crate) fn ticket_digits(&self) -> Result<[u8; 32], Error> {
        let random_bytes = self.ticket_bytes()?;
        // Formatting a number takes twice as long.
        let digit = |nibble: u8| match nibble {
            0..=9 => b'0' + nibble,
            _ => b'a' + nibble - 10,
        };
        let mut digits = [0; 32];
        let (places, _) = digits.as_chunks_mut::<2>();
        for (place, byte) in places.iter_mut().zip(random_bytes.iter().skip(16)) {
            *place = [digit(byte >> 4), digit(byte & 15)];
        }
        Ok(digits)
    }

    /// The identifier is stored, so it must not reveal any byte of the seed: it is derived from the seed, or has random bytes
    /// of its own as long as the system's seed has not been drawn, which is faster.
    fn ticket_bytes(&self) -> Result<[u8; 32], Error> {
        #[cfg(feature = "system")]
        if matches!(&self.seed, Seed::System(drawn) if drawn.get().is_none()) {
            return system_random();
        }
        #[cfg(feature = "sha2")]
        return self.draw("ticket");
        // Without the feature `sha2`, no secret is derived from a seed.
        #[cfg(not(feature = "sha2"))]
        Ok(*self.seed()?)
    }

    /// 256 random bits for this `label`, for hosts that need random bytes of their own in a step: the hash of the seed
    /// and the label. Begin the label with a name of your own: the same label in one step gives the same bytes again.
    ///
    /// # Errors
    /// `misuse.no_randomness`.
    #[cfg(feature = "sha2")]
    pub fn draw(&self, label: &str) -> Result<[u8; 32], Error> {
        let hash = Sha256::new().chain_update(self.seed()?);
        Ok(hash.chain_update(label).finalize().into())
    }

    /// 256 random bits for this `label` ([`Self::draw`]) as 43 characters of base64url, for URLs and JWT claims.
    #[cfg(feature = "sha2")]
    pub(crate) fn token(&self, label: &str) -> Result<String, Error> {
        Ok(crate::base64::url_safe(self.draw(label)?))
    }
}

/// Random bytes of the operating system.
///
/// # Errors
/// `misuse.no_randomness`.
#[cfg(feature = "system")]
fn system_random() -> Result<[u8; 32], Error> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(|error| {
        Error::from(Misuse::NoRandomness).caused_by(crate::error::Cause::unsent(error))
    })?;
    Ok(bytes)
}

impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moment")
            .field("now", &self.now)
            .field("seed", &"[redacted]")
            .finish()
    }
}

impl JsonForm for UnixTime {
    fn read(value: Json<'_>) -> Option<Self> {
        u64::read(value).map(Self)
    }

    fn write(&self, out: &mut String) {
        self.0.write(out);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "sha2")]
    #[test]
    fn tokens_differ_by_label_and_seed() -> Result<(), Error> {
        let moment = Moment::fixed(UnixTime::from_secs(0), [1; 32]);
        let other = Moment::fixed(UnixTime::from_secs(0), [2; 32]);
        assert_eq!(moment.token("state")?, moment.token("state")?);
        assert_ne!(moment.token("state")?, moment.token("nonce")?);
        assert_ne!(moment.token("state")?, other.token("state")?);
        assert_eq!(moment.token("state")?.len(), 43);
        Ok(())
    }

    #[cfg(feature = "system")]
    #[test]
    fn tickets_of_the_system_are_unique_and_reveal_nothing_of_the_seed() -> Result<(), Error> {
        let moment = Moment::system()?;
        let before = moment.ticket()?;
        let seed = moment.seed()?.iter().map(|byte| format!("{byte:02x}"));
        let seed: String = seed.collect();
        let after = moment.ticket()?;
        assert_ne!(before, after);
        assert!(!seed.contains(&before) && !seed.contains(&after));
        Ok(())
    }

    #[cfg(feature = "sha2")]
    #[test]
    fn ticket_is_deterministic_and_reveals_nothing_of_the_seed() -> Result<(), Error> {
        let moment = Moment::fixed(UnixTime::from_secs(0), [0xab; 32]);
        assert_eq!(moment.ticket()?.len(), 32);
        assert!(!moment.ticket()?.contains("abab"));
        assert_eq!(moment.ticket()?, moment.ticket()?);
        let other = Moment::fixed(UnixTime::from_secs(0), [0xac; 32]);
        assert_ne!(moment.ticket()?, other.ticket()?);
        Ok(())
    }

    /// All values of a moment come from one seed, including those of its clones.
    #[cfg(feature = "system")]
    #[test]
    fn random_seed_is_drawn_once_on_first_use() -> Result<(), Error> {
        let moment = Moment::system()?;
        assert!(matches!(&moment.seed, Seed::System(drawn) if drawn.get().is_none()));
        let state = moment.token("state")?;
        assert_eq!(state, moment.token("state")?);
        assert_eq!(state, moment.clone().token("state")?);
        assert_ne!(state, Moment::system()?.token("state")?);
        assert!(!format!("{moment:?}").contains(&state));
        Ok(())
    }

    #[test]
    fn time_arithmetic_saturates() {
        let late = UnixTime::from_secs(u64::MAX);
        assert_eq!(late.after(Duration::from_secs(1)), late);
        assert_eq!(UnixTime::from_secs(1).since(late), Duration::ZERO);
    }
}
