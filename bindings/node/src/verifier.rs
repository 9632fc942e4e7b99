//! Verifies access tokens for an API, whose requirements are parsed once for all tokens.

use napi::Result;
use napi::bindgen_prelude::Array;
use napi_derive::napi;
use oauth_facade::Verifier;

use crate::client::NativeClient;
use crate::exchange::{NativeBegun, begun};
use crate::value::{arguments, refused};

/// The verifier of one API.
#[napi]
pub struct NativeVerifier(Verifier);

#[napi]
impl NativeVerifier {
    /// A verifier with the arguments of the operation `verifyAccessToken`, whose token is ignored.
    #[napi(constructor)]
    pub fn new(client: &NativeClient, given: Array<'_>) -> Result<Self> {
        let verifier = client.facade().verifier(arguments(&given)?);
        verifier.map(Self).map_err(refused)
    }

    /// Begins the verification of a token, and takes the first step.
    #[napi]
    pub fn start(&self, token: String) -> Result<NativeBegun> {
        begun(self.0.verify(&token))
    }
}
