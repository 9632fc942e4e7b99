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
