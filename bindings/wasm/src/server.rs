//! Servers: by preset, by metadata, or by discovery.

use oauth_facade::{Preset, Transport};
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::exchange::NativeExchange;

/// One authorization server.
#[wasm_bindgen]
pub struct Server(pub(crate) oauth_facade::Server);

impl Server {
    pub(crate) const fn of(server: oauth_facade::Server) -> Self {
        Self(server)
    }
}

#[wasm_bindgen]
impl Server {
    /// A preset of the generated file; `variables` are names and values in turn.
    #[wasm_bindgen(js_name = fromPreset)]
    pub fn from_preset(
        preset: &str,
        variables: Vec<String>,
        options: Vec<String>,
        loopback: Option<String>,
    ) -> Result<Self, JsValue> {
        let pairs = variables.chunks_exact(2);
        let values: Vec<_> = pairs
            .map(|pair| (pair[0].clone(), pair[1].clone()))
            .collect();
        Preset::parse(preset)
            .and_then(|preset| preset.server(&values, &options, loopback.as_deref()))
            .map(Self)
            .map_err(fail)
    }

    /// The server of a metadata document (RFC 8414).
    #[wasm_bindgen(js_name = fromMetadata)]
    pub fn from_metadata(issuer: &str, metadata: &str, loopback: bool) -> Result<Self, JsValue> {
        oauth_facade::Server::from_metadata(issuer, metadata, transport(loopback))
            .map(Self)
            .map_err(fail)
    }

    /// Fetches the metadata of an issuer.
    pub fn discover(issuer: &str, loopback: bool) -> Result<NativeExchange, JsValue> {
        oauth_facade::Server::discover(issuer, transport(loopback))
            .map(NativeExchange::of)
            .map_err(fail)
    }

    /// A server from the result of `toJson`.
    #[wasm_bindgen(js_name = fromJson)]
    pub fn from_json(text: &str) -> Result<Self, JsValue> {
        oauth_facade::Server::from_json(text)
            .map(Self)
            .map_err(fail)
    }

    /// The server as JSON, which contains no secrets.
    #[wasm_bindgen(js_name = toJson)]
    pub fn to_json(&self) -> Result<String, JsValue> {
        self.0.to_json().map_err(fail)
    }

    /// The issuer identifier.
    #[wasm_bindgen(getter)]
    pub fn issuer(&self) -> String {
        self.0.issuer().to_owned()
    }

    /// The metadata, as JSON.
    #[wasm_bindgen(getter)]
    pub fn metadata(&self) -> String {
        self.0.metadata()
    }

    /// The origins of the preset's API.
    #[wasm_bindgen(js_name = apiOrigins)]
    pub fn api_origins(&self) -> Result<Vec<String>, JsValue> {
        self.0.api_origins().map_err(fail)
    }
}

/// Throws the reason why a page must not hold a client secret of this preset.
#[wasm_bindgen(js_name = checkSecretInBrowser)]
pub fn check_secret_in_browser(preset: &str) -> Result<(), JsValue> {
    Preset::parse(preset)
        .and_then(|preset| preset.check_secret_in_browser())
        .map_err(fail)
}

pub(crate) const fn transport(loopback: bool) -> Transport {
    if loopback {
        Transport::LoopbackHttp
    } else {
        Transport::Https
    }
}
