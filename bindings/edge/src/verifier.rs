//! Verification of access tokens, with what an API requires read once.

use js_sys::Array;
use oauth_facade::Verifier;
use wasm_bindgen::prelude::*;

use crate::client::NativeClient;
use crate::exchange::NativeExchange;
use crate::value::{arguments, refused};

/// The verifier of one API.
#[wasm_bindgen]
pub struct NativeVerifier(Verifier);

#[wasm_bindgen]
impl NativeVerifier {
    /// With the arguments of the operation; their token is not looked at.
    #[wasm_bindgen(constructor)]
    pub fn new(client: &NativeClient, given: &Array) -> Result<Self, JsValue> {
        let verifier = client.facade().verifier(arguments(given));
        verifier.map(Self).map_err(refused)
    }

    /// Begins to verify a token.
    pub fn start(&self, token: &str) -> NativeExchange {
        NativeExchange::new(self.0.verify(token))
    }
}
