//! DPoP keys (RFC 9449), which JavaScript holds.

use js_sys::Function;
use oauth_core::crypto::SigningKey;
use oauth_core::dpop::DpopKey;
use oauth_core::error::{Error, Misuse};
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::json;
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::held_key::holder;

/// A private key that tokens are bound to.
#[wasm_bindgen]
pub struct NativeDpopKey(pub(crate) DpopKey);

#[wasm_bindgen]
impl NativeDpopKey {
    /// The key with this public JWK; `sign` signs with the private one.
    pub fn of(alg: &str, public_jwk: &str, sign: Function) -> Result<Self, JsValue> {
        let unknown = || fail(Error::from(Misuse::KeyAlgorithm).about(alg));
        let alg_value = Alg::from_name(alg).ok_or_else(unknown)?;
        let public = PublicJwk::parse(public_jwk).map_err(fail)?;
        let key = SigningKey::host("dpop", alg_value).held_by(holder(sign));
        DpopKey::new(key, public).map(Self).map_err(fail)
    }

    /// The thumbprint (`jkt`) in tokens that are bound to this key.
    #[wasm_bindgen(getter)]
    pub fn thumbprint(&self) -> String {
        self.0.thumbprint()
    }

    /// The public key, as a JWK.
    #[wasm_bindgen(js_name = publicJwk)]
    pub fn public_jwk(&self) -> String {
        json::value_text(&self.0.public_jwk().to_value())
    }
}
