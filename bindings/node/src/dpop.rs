//! DPoP keys (RFC 9449), to which tokens are bound.

use napi::Result;
use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use oauth_facade::{DpopKey, Secret};

use crate::error::{fail, overdue};
use crate::held_key;
use crate::js_callbacks::Handler;
use crate::runtime::{promise, runtime};

/// A private key that tokens are bound to.
#[napi]
pub struct NativeDpopKey(pub(crate) DpopKey);

#[napi]
impl NativeDpopKey {
    /// Generates a key, off the event loop: an RSA key takes up to half a second.
    #[napi(ts_return_type = "Promise<NativeDpopKey>")]
    pub fn generate(env: &Env, alg: String) -> Result<Object<'_>> {
        promise(env, async move {
            let generation = runtime()?.spawn_blocking(move || DpopKey::generate(&alg));
            let generated = generation
                .await
                .map_err(|_| overdue("the key was not generated"))?;
            generated.map(Self)
        })
    }

    /// Parses PEM or a JWK.
    #[napi(factory)]
    pub fn read(text: String, alg: Option<String>, passphrase: Option<String>) -> Result<Self> {
        let passphrase = passphrase.map(Secret::new);
        let read = DpopKey::read(&Secret::new(text), alg.as_deref(), passphrase.as_ref());
        read.map(Self).map_err(fail)
    }

    /// A key held outside this process, identified by its public JWK.
    #[napi(factory)]
    pub fn held(alg: String, public_jwk: String, handler: Handler<'_>) -> Result<Self> {
        let holder = held_key::holder(&handler)?;
        DpopKey::with_external_signer(&alg, &public_jwk, holder)
            .map(Self)
            .map_err(fail)
    }

    /// The thumbprint (`jkt`) in tokens that are bound to this key.
    #[napi(getter)]
    pub fn thumbprint(&self) -> String {
        self.0.thumbprint()
    }

    /// The public key, as a JWK.
    #[napi]
    pub fn public_jwk(&self) -> String {
        self.0.public_jwk()
    }

    /// The private key in PEM.
    #[napi]
    pub fn private_pem(&self) -> Result<String> {
        let pem = self.0.private_pem().map_err(fail)?;
        Ok(pem.expose().clone())
    }
}
