//! Servers: by name, by metadata, or by discovery.

use oauth_core::error::{Error, Misuse};
use oauth_core::flow::discovery::DiscoveryRequest;
use oauth_core::issuer::Issuer;
use oauth_core::json::{self, Json};
use oauth_core::quirk::Rules;
use oauth_core::url::Url;
use oauth_core::{Scope, danger, discover_with};
#[cfg(feature = "providers")]
use oauth_providers::Provider;

use crate::erased_exchange::ErasedExchange;
use crate::resource::Resource;
use crate::server_json::{PresetFacts, StoredServer, check_secret_in_browser};

pub use oauth_core::flow::discovery::PreferredDocument;
pub use oauth_core::url::Transport;

/// How to find a server's metadata.
#[derive(Debug, Clone, Default)]
pub struct Discover {
    /// How the document, and later the server's replies, are read.
    pub rules: Rules,
    /// Which document to request first.
    pub prefer: PreferredDocument,
    /// The scope that will be requested: if it contains `openid`, the OpenID document is requested first.
    pub scope: String,
    /// The only URL of the metadata document, if it is not a well-known URL.
    pub document: Option<String>,
}

/// One authorization server, with its preset if it came from one.
#[derive(Debug, Clone)]
pub struct Server {
    pub(crate) core: oauth_core::server::Server,
    #[cfg(feature = "providers")]
    pub(crate) provider: Option<Provider>,
    pub(crate) preset_facts: Option<PresetFacts>,
}

impl Server {
    pub(crate) const fn from_core(core: oauth_core::server::Server) -> Self {
        Self {
            core,
            #[cfg(feature = "providers")]
            provider: None,
            preset_facts: None,
        }
    }

    pub(crate) fn from_stored(
        core: oauth_core::server::Server,
        facts: Option<PresetFacts>,
    ) -> Self {
        Self {
            preset_facts: facts,
            ..Self::from_core(core)
        }
    }

    /// A server from an available metadata document (RFC 8414), which must be the issuer's own.
    ///
    /// # Errors
    /// `misuse.metadata`; `issuer.*`, `metadata.*`.
    pub fn from_metadata(
        issuer: &str,
        metadata: &str,
        transport: Transport,
    ) -> Result<Self, Error> {
        let issuer = parse_issuer(issuer, transport)?;
        // A malformed text is the caller's mistake, because it is not a reply.
        let Ok(Json::Object(document)) = json::parse(metadata) else {
            return Err(Misuse::MetadataText.into());
        };
        match transport {
            Transport::Https => {
                oauth_core::server::Server::read(&issuer, &document, Rules::default())
            }
            Transport::LoopbackHttp => {
                danger::read_loopback_metadata(&issuer, &document, Rules::default())
            }
        }
        .map(Self::from_core)
    }

    /// Fetches the metadata of an issuer; the record is a [`crate::Record::Server`].
    ///
    /// # Errors
    /// `issuer.*`.
    pub fn discover(issuer: &str, transport: Transport) -> Result<ErasedExchange, Error> {
        Self::discover_with(issuer, transport, Discover::default())
    }

    /// The same as [`Self::discover`], with rules, an order of documents, or a URL of the caller's choice.
    ///
    /// # Errors
    /// `issuer.*`, `url.syntax`.
    pub fn discover_with(
        issuer: &str,
        transport: Transport,
        how: Discover,
    ) -> Result<ErasedExchange, Error> {
        let issuer = parse_issuer(issuer, transport)?;
        let mut request = DiscoveryRequest::new(issuer)
            .rules(how.rules)
            .prefer(how.prefer)
            .scope(&Scope::parse(&how.scope)?);
        if let Some(document) = &how.document {
            request = request.document(Url::parse(document)?);
        }
        Ok(match transport {
            Transport::Https => ErasedExchange::new(discover_with(request)),
            Transport::LoopbackHttp => {
                ErasedExchange::new(discover_with(danger::loopback_discovery(request)))
            }
        })
    }

    /// A server from a preset, with its variables and options.
    ///
    /// # Errors
    /// `provider.*`.
    #[cfg(feature = "providers")]
    pub fn from_provider(provider: Provider) -> Result<Self, Error> {
        Ok(Self {
            core: provider.server()?,
            provider: Some(provider),
            preset_facts: None,
        })
    }

    /// The preset from which this server was made.
    #[cfg(feature = "providers")]
    pub const fn provider(&self) -> Option<&Provider> {
        self.provider.as_ref()
    }

    /// Whether a preset says how clients authenticate.
    #[cfg(feature = "held-keys")]
    pub(crate) const fn has_preset(&self) -> bool {
        #[cfg(feature = "providers")]
        if self.provider.is_some() {
            return true;
        }
        self.preset_facts.is_some()
    }

    /// The origins of the preset's API; empty without a preset.
    ///
    /// # Errors
    /// `provider.variable`, `url.*`.
    pub fn api_origins(&self) -> Result<Vec<String>, Error> {
        #[cfg(feature = "providers")]
        if let Some(provider) = &self.provider {
            return provider.api_origins();
        }
        let facts = self.preset_facts.as_ref();
        Ok(facts.map(|facts| facts.api.clone()).unwrap_or_default())
    }

    /// Where tokens of this server may be sent: these origins, or else those of its preset. They may be plain http if
    /// the server itself may.
    ///
    /// # Errors
    /// `url.*`.
    pub fn resource(&self, origins: Option<&[String]>) -> Result<Resource, Error> {
        let transport = self.core.transport();
        match origins {
            Some(origins) => Resource::new(origins, transport),
            None => Resource::new(&self.api_origins()?, transport),
        }
    }

    /// This server with its preset as JSON, for [`Self::from_json`].
    ///
    /// # Errors
    /// `provider.variable`, `url.*`.
    pub fn to_json(&self) -> Result<String, Error> {
        StoredServer::from_server(self).map(|stored| stored.to_json())
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// `stored.malformed`, `issuer.*`, `metadata.endpoint_*`.
    pub fn from_json(text: &str) -> Result<Self, Error> {
        StoredServer::parse(text)?.into_server()
    }

    /// Checks that a page in a browser may hold a client secret.
    ///
    /// # Errors
    /// `client_auth.secret_not_allowed` with the reason; also if nothing is known.
    pub fn check_secret_in_browser(&self) -> Result<(), Error> {
        check_secret_in_browser(self.facts()?.as_ref())
    }

    pub(crate) fn facts(&self) -> Result<Option<PresetFacts>, Error> {
        #[cfg(feature = "providers")]
        if let Some(provider) = &self.provider {
            let secret_refused = provider.check_secret_in_browser().err();
            return Ok(Some(PresetFacts {
                title: provider.title().to_owned(),
                api: provider.api_origins()?,
                public_clients: provider.client_auth(None).is_ok(),
                needs_registered_redirect_uris: provider.requires_registered_redirect_uris(),
                secret_refused: secret_refused
                    .map(|error| error.detail().unwrap_or_default().to_owned()),
            }));
        }
        Ok(self.preset_facts.clone())
    }

    /// The server's issuer.
    pub fn issuer(&self) -> &str {
        self.core.issuer().as_str()
    }

    /// Whether each connection context that uses this server needs its own redirect URI, see
    /// [`needs_distinct_redirect_uri`](oauth_core::server::Server::needs_distinct_redirect_uri).
    pub fn needs_distinct_redirect_uri(&self) -> bool {
        self.core.needs_distinct_redirect_uri()
    }

    /// The server's metadata, including the endpoints, as JSON.
    pub fn metadata(&self) -> String {
        let mut metadata = self.core.metadata().clone();
        metadata.insert("issuer".to_owned(), self.issuer().into());
        for kind in oauth_core::server::EndpointKind::ALL {
            if let Ok(url) = self.core.endpoint(*kind) {
                metadata.insert(kind.member().to_owned(), url.as_str().into());
            }
        }
        json::map_text(&metadata)
    }
}

pub(crate) fn parse_issuer(issuer: &str, transport: Transport) -> Result<Issuer, Error> {
    match transport {
        Transport::Https => Issuer::parse(issuer),
        Transport::LoopbackHttp => danger::loopback_issuer(issuer),
    }
}
