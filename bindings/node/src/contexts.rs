//! Checks the contexts of an application that connects to several servers, tools or tenants (mix-up defence).

use napi::Result;
use napi_derive::napi;
use oauth_core::flow::authorization::{ConnectionContext, check_contexts};
use oauth_core::redirect_uri::RedirectUri;

use crate::client::NativeClient;
use crate::error::fail;

/// All contexts of an application, to be checked together.
#[napi]
#[derive(Default)]
pub struct NativeContexts(Vec<ConnectionContext>);

#[napi]
impl NativeContexts {
    /// An empty list of contexts.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a context.
    #[napi]
    pub fn add(
        &mut self,
        id: String,
        owner: String,
        client: &NativeClient,
        redirect_uri: String,
    ) -> Result<()> {
        let client = client.0.core();
        let uri = RedirectUri::parse(&redirect_uri).map_err(fail)?;
        let context = ConnectionContext::new(id, owner, client.server(), client.client_id(), uri);
        self.0.push(context.map_err(fail)?);
        Ok(())
    }

    /// The redirect URI of one context.
    #[napi]
    pub fn redirect_uri(redirect_uri: String, id: String) -> Result<String> {
        let uri = RedirectUri::parse(&redirect_uri).and_then(|uri| uri.of_context(&id));
        uri.map(String::from).map_err(fail)
    }

    /// Checks all contexts.
    #[napi]
    pub fn check(&self) -> Result<()> {
        check_contexts(&self.0).map_err(fail)
    }
}
