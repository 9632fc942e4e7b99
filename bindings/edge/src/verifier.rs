//! Verifies access tokens for an API, whose requirements are parsed once for all tokens.

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
    /// Takes the arguments of the `verify_access_token` operation; their token is ignored.
    #[wasm_bindgen(constructor)]
    pub fn new(client: &NativeClient, values: &Array) -> Result<Self, JsValue> {
        let verifier = client.facade().verifier(arguments(values));
        verifier.map(Self).map_err(refused)
    }

    /// Begins to verify a token.
    pub fn start(&self, token: &str) -> NativeExchange {
        NativeExchange::new(self.0.verify(token))
    }
}
