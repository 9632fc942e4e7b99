//! Authorization servers: from a preset, from a metadata document, or by discovery.

use oauth_facade::{Discover, PreferredDocument, Server, Transport};
use oauth_providers::{Choices, Provider};
use wasm_bindgen::prelude::*;

use crate::error::{fail, invalid};
use crate::exchange::NativeExchange;
use crate::plain::read;

/// One authorization server.
#[wasm_bindgen]
pub struct NativeServer(pub(crate) Server);

#[wasm_bindgen]
impl NativeServer {
    /// The preset called `name`, or the one defined by the text in `toml`.
    #[wasm_bindgen(js_name = fromProvider)]
    pub fn from_provider(
        name: Option<String>,
        toml: Option<String>,
        variables: &JsValue,
        options: Vec<String>,
        loopback: Option<String>,
    ) -> Result<Self, JsValue> {
        let provider = match toml {
            Some(text) => Provider::from_toml(&text),
            None => oauth_providers::provider(&name.unwrap_or_default()),
        };
        let choices = Choices {
            variables: read(
                variables,
                "variables must be an object whose values are strings",
            )?,
            options,
            loopback,
        };
        provider
            .and_then(|provider| provider.with_choices(&choices))
            .and_then(Server::from_provider)
            .map(Self)
            .map_err(fail)
    }

    /// The server of a metadata document (RFC 8414).
    #[wasm_bindgen(js_name = fromMetadata)]
    pub fn from_metadata(issuer: &str, metadata: &str, loopback: bool) -> Result<Self, JsValue> {
        Server::from_metadata(issuer, metadata, transport(loopback))
            .map(Self)
            .map_err(fail)
    }

    /// The server's issuer identifier.
    #[wasm_bindgen(getter)]
    pub fn issuer(&self) -> String {
        self.0.issuer().to_owned()
    }

    /// The server's metadata, as JSON.
    #[wasm_bindgen(getter)]
    pub fn metadata(&self) -> String {
        self.0.metadata()
    }

    /// Whether each context that uses this server needs its own redirect URI.
    #[wasm_bindgen(getter, js_name = needsDistinctRedirectUri)]
    pub fn needs_distinct_redirect_uri(&self) -> bool {
        self.0.needs_distinct_redirect_uri()
    }

    /// The origins of the preset's API.
    #[wasm_bindgen(js_name = apiOrigins)]
    pub fn api_origins(&self) -> Result<Vec<String>, JsValue> {
        let provider = self.0.provider();
        provider.map_or_else(
            || Ok(Vec::new()),
            |preset| preset.api_origins().map_err(fail),
        )
    }
}

/// The names of the presets.
#[wasm_bindgen(js_name = providerNames)]
pub fn provider_names() -> Vec<String> {
    oauth_providers::names().map(str::to_owned).collect()
}

/// Fetches the metadata of an issuer.
#[wasm_bindgen]
pub fn discovery(
    issuer: &str,
    loopback: bool,
    prefer: Option<String>,
) -> Result<NativeExchange, JsValue> {
    let invalid_prefer = || invalid("prefer must be oauth or openid");
    let prefer = prefer.map(|name| PreferredDocument::from_name(&name).ok_or_else(invalid_prefer));
    let options = Discover {
        prefer: prefer.transpose()?.unwrap_or_default(),
        ..Discover::default()
    };
    Server::discover_with(issuer, transport(loopback), options)
        .map(NativeExchange::new)
        .map_err(fail)
}

pub(crate) const fn transport(loopback: bool) -> Transport {
    if loopback {
        Transport::LoopbackHttp
    } else {
        Transport::Https
    }
}
