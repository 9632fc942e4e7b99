//! Private JWKs (RFC 7517).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::{KeyError, der};

/// The largest JWK that is read, in bytes.
const MAX_JWK: usize = 64 << 10;

/// Whether a string looks like a JWK, not PEM.
pub(crate) fn is_jwk(text: &str) -> bool {
    text.trim_start().starts_with('{')
}

/// What a private key is read for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    Signing,
    Decryption,
}

/// A private JWK whose members are wiped with it.
pub(crate) struct PrivateJwk(Value);

impl PrivateJwk {
    pub(crate) fn parse(text: &str) -> Result<Self, KeyError> {
        if text.len() > MAX_JWK {
            return Err(KeyError::Malformed);
        }
        let jwk = serde_json::from_str(text);
        jwk.map(Self).map_err(|_| KeyError::Malformed)
    }

    /// Checks `use` and `key_ops`, which name what the key is for (RFC 7517 sections 4.2 and 4.3).
    pub(crate) fn check_purpose(&self, purpose: Purpose) -> Result<(), KeyError> {
        let (key_use, operations): (_, &[&str]) = match purpose {
            Purpose::Signing => ("sig", &["sign"]),
            Purpose::Decryption => ("enc", &["decrypt", "unwrapKey", "deriveKey", "deriveBits"]),
        };
        let is_permitted =
            |name: &Value| name.as_str().is_some_and(|name| operations.contains(&name));
        let fits_use = self.0.get("use").is_none_or(|named| named == key_use);
        let listed = self.0.get("key_ops").map(Value::as_array);
        let fits_operations =
            listed.is_none_or(|list| list.is_some_and(|list| list.iter().any(is_permitted)));
        if fits_use && fits_operations {
            Ok(())
        } else {
            Err(KeyError::Purpose)
        }
    }

    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).and_then(Value::as_str)
    }

    pub(crate) fn bytes(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        self.optional_bytes(name)?.ok_or(KeyError::Malformed)
    }

    pub(crate) fn optional_bytes(
        &self,
        name: &str,
    ) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        let decoded = self.text(name).map(|text| URL_SAFE_NO_PAD.decode(text));
        let decoded = decoded.transpose().map_err(|_| KeyError::Malformed)?;
        Ok(decoded.map(Zeroizing::new))
    }

    /// `RSAPrivateKey` of an RSA key.
    pub(crate) fn rsa_private_key(&self) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        // A key with more than two primes must not be used without support for them (RFC 7518 section 6.3.2.7).
        if self.0.get("oth").is_some() {
            return Err(KeyError::Malformed);
        }
        let parts = ["n", "e", "d", "p", "q", "dp", "dq", "qi"];
        let numbers = parts
            .iter()
            .map(|name| self.bytes(name))
            .collect::<Result<Vec<_>, _>>()?;
        Ok(der::rsa_private_key(
            numbers.iter().map(|number| number.as_slice()),
        ))
    }
}

impl Drop for PrivateJwk {
    fn drop(&mut self) {
        use zeroize::Zeroize as _;
        if let Value::Object(members) = &mut self.0 {
            for (_, value) in members.iter_mut() {
                if let Value::String(text) = value {
                    text.zeroize();
                }
            }
        }
    }
}
