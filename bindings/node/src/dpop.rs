//! DPoP keys.

use napi::Result;
use napi_derive::napi;
use oauth_facade::{DpopKey, Secret};

use crate::error::fail;
use crate::held_key;
use crate::js_callbacks::Handler;

/// A private key that tokens are bound to.
#[napi]
pub struct NativeDpopKey(pub(crate) DpopKey);

#[napi]
impl NativeDpopKey {
    /// A new key.
    #[napi(factory)]
    pub fn generate(alg: String) -> Result<Self> {
        DpopKey::generate(&alg).map(Self).map_err(fail)
    }

    /// Out of PEM or a JWK.
    #[napi(factory)]
    pub fn read(text: String, alg: Option<String>, passphrase: Option<String>) -> Result<Self> {
        let passphrase = passphrase.map(Secret::new);
        let read = DpopKey::read(&Secret::new(text), alg.as_deref(), passphrase.as_ref());
        read.map(Self).map_err(fail)
    }

    /// One that is held elsewhere, by its public half in JSON.
    #[napi(factory)]
    pub fn held(alg: String, public_jwk: String, handler: Handler<'_>) -> Result<Self> {
        let holder = held_key::holder(&handler)?;
        DpopKey::held(&alg, &public_jwk, holder)
            .map(Self)
            .map_err(fail)
    }

    /// What tokens that are bound to it hold.
    #[napi(getter)]
    pub fn thumbprint(&self) -> String {
        self.0.thumbprint()
    }

    /// Its public half, as JSON.
    #[napi]
    pub fn public_jwk(&self) -> String {
        self.0.public_jwk()
    }

    /// The key, to keep where secrets belong.
    #[napi]
    pub fn private_pem(&self) -> Result<String> {
        let pem = self.0.private_pem().map_err(fail)?;
        Ok(pem.expose().clone())
    }
}
