//! Checks the contexts of an application that connects to several servers, tools or tenants (mix-up defense).

use oauth_core::flow::authorization::{ConnectionContext, check_contexts};
use oauth_core::redirect_uri::RedirectUri;
use wasm_bindgen::prelude::*;

use crate::client::NativeClient;
use crate::error::fail;

/// All contexts of an application, to be checked together.
#[wasm_bindgen]
#[derive(Default)]
pub struct NativeContexts(Vec<ConnectionContext>);

#[wasm_bindgen]
impl NativeContexts {
    /// An empty list.
    #[wasm_bindgen(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a context.
    pub fn add(
        &mut self,
        id: String,
        owner: String,
        client: &NativeClient,
        redirect_uri: &str,
    ) -> Result<(), JsValue> {
        let client = client.facade().core();
        let uri = RedirectUri::parse(redirect_uri).map_err(fail)?;
        let context = ConnectionContext::new(id, owner, client.server(), client.client_id(), uri);
        self.0.push(context.map_err(fail)?);
        Ok(())
    }

    /// The redirect URI of one context.
    #[wasm_bindgen(js_name = redirectUri)]
    pub fn redirect_uri(redirect_uri: &str, id: &str) -> Result<String, JsValue> {
        let uri = RedirectUri::parse(redirect_uri).and_then(|uri| uri.of_context(id));
        uri.map(String::from).map_err(fail)
    }

    /// Checks all contexts.
    pub fn check(&self) -> Result<(), JsValue> {
        check_contexts(&self.0).map_err(fail)
    }
}
