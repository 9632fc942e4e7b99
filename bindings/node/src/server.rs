//! Authorization servers: from a preset, from a metadata document, or by discovery.

use std::collections::BTreeMap;

use napi::Result;
use napi_derive::napi;
use oauth_facade::{Discover, PreferredDocument, Server, Transport};
use oauth_providers::{Choices, Provider};

use crate::error::{fail, invalid};
use crate::exchange::NativeExchange;

/// One authorization server.
#[napi]
pub struct NativeServer(pub(crate) Server);

#[napi]
impl NativeServer {
    /// The server of the preset `name`, or of the provider file `toml`.
    #[napi(factory)]
    pub fn from_provider(
        name: Option<String>,
        toml: Option<String>,
        variables: BTreeMap<String, String>,
        options: Vec<String>,
        loopback: Option<String>,
    ) -> Result<Self> {
        let provider = match toml {
            Some(text) => Provider::from_toml(&text),
            None => oauth_providers::provider(&name.unwrap_or_default()),
        };
        let choices = Choices {
            variables,
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
    #[napi(factory)]
    pub fn from_metadata(issuer: String, metadata: String, loopback: bool) -> Result<Self> {
        Server::from_metadata(&issuer, &metadata, transport(loopback))
            .map(Self)
            .map_err(fail)
    }

    /// The issuer of the server.
    #[napi(getter)]
    pub fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// The server's metadata, as JSON.
    #[napi(getter)]
    pub fn metadata(&self) -> String {
        self.0.metadata()
    }

    /// Whether each context that uses this server needs its own redirect URI.
    #[napi(getter)]
    pub fn needs_distinct_redirect_uri(&self) -> bool {
        self.0.needs_distinct_redirect_uri()
    }

    /// The origins of the preset's API.
    #[napi]
    pub fn api_origins(&self) -> Result<Vec<String>> {
        let provider = self.0.provider();
        provider.map_or_else(|| Ok(Vec::new()), |known| known.api_origins().map_err(fail))
    }
}

/// The names of the presets.
#[napi]
pub(crate) fn provider_names() -> Vec<String> {
    oauth_providers::names().map(str::to_owned).collect()
}

/// Fetches the metadata of an issuer.
#[napi]
pub(crate) fn discovery(
    issuer: String,
    loopback: bool,
    prefer: Option<String>,
) -> Result<NativeExchange> {
    let invalid_preference = || invalid("prefer must be oauth or openid");
    let prefer =
        prefer.map(|name| PreferredDocument::from_name(&name).ok_or_else(invalid_preference));
    let settings = Discover {
        prefer: prefer.transpose()?.unwrap_or_default(),
        ..Discover::default()
    };
    Server::discover_with(&issuer, transport(loopback), settings)
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
