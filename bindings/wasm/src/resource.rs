//! Where a token may be sent, and what a reply asks for.

use oauth_facade::Attachment;
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::server::Server;
use crate::tokens::Tokens;

/// The origins a token may be sent to.
#[wasm_bindgen]
pub struct Resource(oauth_facade::Resource);

#[wasm_bindgen]
impl Resource {
    /// Allows these origins, each given as any URL of it.
    #[wasm_bindgen(constructor)]
    pub fn new(server: &Server, origins: Vec<String>) -> Result<Self, JsValue> {
        server.0.resource(Some(&origins)).map(Self).map_err(fail)
    }

    /// The value of the `Authorization` header, once it is sure that it may be sent there.
    /// `headers` are names and values in turn.
    pub fn authorization(
        &self,
        url: &str,
        headers: Vec<String>,
        tokens: &Tokens,
    ) -> Result<String, JsValue> {
        let headers = pairs(&headers);
        let request = Attachment {
            url,
            headers: &headers,
            body: None,
        };
        self.0
            .authorization(&request, &tokens.0.access_token)
            .map_err(fail)
    }

    /// What a reply asks for: `pass`, `renew`, `widen_scope`, `step_up` or `refused`.
    pub fn verdict(status: u16, challenges: Vec<String>) -> Result<String, JsValue> {
        let fields: Vec<_> = challenges
            .into_iter()
            .map(|value| ("www-authenticate".to_owned(), value))
            .collect();
        oauth_facade::Resource::verdict(status, &fields)
            .map(str::to_owned)
            .map_err(fail)
    }
}

fn pairs(flat: &[String]) -> Vec<(String, String)> {
    flat.chunks_exact(2)
        .map(|pair| (pair[0].clone(), pair[1].clone()))
        .collect()
}
