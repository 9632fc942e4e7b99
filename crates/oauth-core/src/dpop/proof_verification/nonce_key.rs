//! The nonces that an API requires in DPoP proofs (RFC 9449 section 9): the time at which each was issued, and a MAC.
//! No nonce is stored, so any worker with the key accepts the nonces of all.

use std::fmt;
use std::time::Duration;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::base64::{self, Alphabet};
use crate::error::{Error, Misuse};
use crate::jose::CLOCK_SKEW;
use crate::moment::UnixTime;
use crate::secret::Secret;

/// How long a nonce is accepted.
const LIFETIME: Duration = Duration::from_secs(300);
/// The age from which a client gets a new nonce with the response, before the old one expires.
const RENEWED_AFTER: Duration = Duration::from_secs(150);
/// The length of a MAC in bytes.
const MAC: usize = 16;
/// The block length of SHA-256 in bytes.
const BLOCK: usize = 64;

/// The key of the nonces that an API issues: 32 random bytes, the same in all processes of the API. Changing it
/// invalidates the nonces in use, which costs each client one more request.
#[derive(Clone)]
pub struct DpopNonceKey(Secret<Vec<u8>>);

/// What is known of an accepted nonce.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NonceAge {
    Recent,
    /// The client should get a newer one.
    Old,
}

impl DpopNonceKey {
    /// A key of these bytes. They must be random: a password is not a key, however long.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(Secret::new(bytes.to_vec()))
    }

    /// Reads a key from text: 43 characters of base64url without padding.
    ///
    /// # Errors
    /// `key.sealing` if it is anything else.
    pub fn parse(text: &Secret<String>) -> Result<Self, Error> {
        let bytes = base64::decode(text.expose(), Alphabet::UrlSafe).map(Secret::new);
        match bytes {
            Some(bytes) if bytes.expose().len() == 32 => Ok(Self(bytes)),
            _ => Err(Error::from(Misuse::SealingKey)
                .about("a key of DPoP nonces is 32 bytes in base64url without padding")),
        }
    }

    /// The nonce that is issued at this time.
    pub(crate) fn nonce(&self, now: UnixTime) -> String {
        let time = now.as_secs().to_be_bytes();
        base64::url_safe([time.as_slice(), &self.mac(time)].concat())
    }

    /// The age of a nonce that is accepted at this time; `None` if it is not one of these nonces, or has expired.
    pub(super) fn age(&self, nonce: &str, now: UnixTime) -> Option<NonceAge> {
        let bytes = base64::decode(nonce, Alphabet::UrlSafe)?;
        let (time, mac) = bytes.split_first_chunk::<8>()?;
        if !bool::from(self.mac(*time).as_slice().ct_eq(mac)) {
            return None;
        }
        let issued = UnixTime::from_secs(u64::from_be_bytes(*time));
        // Another worker's clock may be ahead.
        let is_current = issued <= now.after(CLOCK_SKEW) && now < issued.after(LIFETIME);
        is_current.then_some(if now.since(issued) < RENEWED_AFTER {
            NonceAge::Recent
        } else {
            NonceAge::Old
        })
    }

    fn mac(&self, time: [u8; 8]) -> [u8; MAC] {
        let mac = hmac(self.0.expose(), &[b"oauth-core dpop nonce 1\n", &time]);
        let mut short = [0; MAC];
        short.copy_from_slice(mac.first_chunk::<MAC>().unwrap_or(&[0; MAC]));
        short
    }
}

/// HMAC with SHA-256 (RFC 2104), for a key that is not longer than a block.
fn hmac(key: &[u8], message: &[&[u8]]) -> [u8; 32] {
    let padded = |pad: u8| {
        let rest = std::iter::repeat_n(&0, BLOCK.saturating_sub(key.len()));
        let block = key.iter().chain(rest).map(|byte| byte ^ pad);
        Sha256::new().chain_update(Secret::new(block.collect::<Vec<u8>>()).expose())
    };
    let inner = message.iter().fold(padded(0x36), Sha256::chain_update);
    padded(0x5c)
        .chain_update(inner.finalize())
        .finalize()
        .into()
}

impl fmt::Debug for DpopNonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DpopNonceKey")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use super::*;

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_secs(1_750_000_000 + seconds)
    }

    #[test]
    fn hmac_matches_the_rfc_4231_vector() {
        let mac = hmac(b"Jefe", &[b"what do ya want ", b"for nothing?"]);
        let hex: String = mac.iter().map(|byte| format!("{byte:02x}")).collect();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(hex, expected);
    }

    #[test]
    fn nonce_is_accepted_for_five_minutes_by_any_holder_of_the_key() {
        let key = DpopNonceKey::new([7; 32]);
        let nonce = key.nonce(at(0));
        assert_eq!(nonce.len(), 32);
        let other_worker = DpopNonceKey::parse(&Secret::new(base64::url_safe([7; 32]))).unwrap();
        for (now, age) in [
            (0, Some(NonceAge::Recent)),
            (149, Some(NonceAge::Recent)),
            (150, Some(NonceAge::Old)),
            (299, Some(NonceAge::Old)),
            (300, None),
        ] {
            assert_eq!(other_worker.age(&nonce, at(now)), age, "{now}");
        }
        // Issued by a worker whose clock is ahead.
        let ahead = key.nonce(at(60));
        assert_eq!(key.age(&ahead, at(0)), Some(NonceAge::Recent));
        assert_eq!(key.age(&key.nonce(at(61)), at(0)), None);
    }

    #[test]
    fn nonce_of_another_key_or_malformed_nonce_is_rejected() {
        let key = DpopNonceKey::new([7; 32]);
        let nonce = key.nonce(at(0));
        assert_eq!(DpopNonceKey::new([8; 32]).age(&nonce, at(0)), None);
        let mut bytes = base64::decode(&nonce, Alphabet::UrlSafe).unwrap();
        *bytes.get_mut(7).unwrap() ^= 1;
        let later = base64::url_safe(&bytes);
        let short = nonce.get(..24).unwrap();
        for wrong in [later.as_str(), short, "", "a b", &nonce.repeat(2)] {
            assert_eq!(key.age(wrong, at(0)), None, "{wrong}");
        }
        for text in ["", "short", &"A".repeat(44)] {
            let parsed = DpopNonceKey::parse(&text.into()).map_err(|error| error.code());
            assert_eq!(parsed.map(drop), Err("key.sealing"));
        }
        assert_eq!(format!("{key:?}"), "DpopNonceKey");
    }
}
