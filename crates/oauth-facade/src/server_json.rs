//! A server as JSON, for hosts that store one or were given its metadata.

use oauth_core::address::RequestAddressPolicy;
use oauth_core::error::{Error, Misuse};
use oauth_core::json::{self, ByName};
use oauth_core::json::{Map, Value};
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::server::EndpointKind;
use oauth_core::url::Url;
use oauth_core::{danger, issuer::Issuer, json_form};

use crate::server::{Server, Transport};

/// The members of a preset besides its server.
#[derive(Debug, Clone)]
pub(crate) struct PresetFacts {
    pub(crate) title: String,
    pub(crate) api: Vec<String>,
    pub(crate) public_clients: bool,
    pub(crate) needs_registered_redirect_uris: bool,
    /// Why a page must not hold the client secret; `None` if it may.
    pub(crate) secret_refused: Option<String>,
}

/// Checks that a page may hold the secret: if it is not known, it is refused.
pub(crate) fn check_secret_in_browser(facts: Option<&PresetFacts>) -> Result<(), Error> {
    let reason = match facts {
        None => "everyone who opens the page could read it",
        Some(facts) => match &facts.secret_refused {
            None => return Ok(()),
            Some(reason) => reason,
        },
    };
    Err(Error::from(Misuse::SecretNotAllowed).about(reason))
}

/// A server, member for member. Mutual TLS aliases are left out: hosts that read this have no client certificates.
#[derive(Debug, Clone)]
pub(crate) struct StoredServer {
    version: u32,
    issuer: String,
    loopback: bool,
    /// Whether its requests go only to public addresses.
    public: bool,
    /// A URL whose origin is exempt.
    configured_origin: Option<String>,
    rules: Rules,
    endpoints: ByName<String>,
    metadata: Map<String, Value>,
    preset: Option<PresetFacts>,
}

json_form! { PresetFacts { title, api, public_clients, needs_registered_redirect_uris, secret_refused } }
json_form! { StoredServer { version, issuer, loopback: skip, public: skip, configured_origin: skip, rules, endpoints, metadata, preset } }

impl StoredServer {
    pub(crate) fn from_server(server: &Server) -> Result<Self, Error> {
        let core = &server.core;
        let kinds = EndpointKind::ALL.iter();
        let endpoints = kinds.filter_map(|kind| {
            let url = core.endpoint(*kind).ok()?;
            Some((kind.member().to_owned(), url.as_str().to_owned()))
        });
        let mut metadata = core.metadata().clone();
        metadata.remove("issuer");
        metadata.retain(|name, _| !EndpointKind::ALL.iter().any(|kind| kind.member() == name));
        Ok(Self {
            version: 1,
            issuer: server.issuer().to_owned(),
            loopback: core.transport() == Transport::LoopbackHttp,
            public: core.address_policy() == RequestAddressPolicy::PublicOnly,
            configured_origin: core.configured_origin().map(|url| url.origin()),
            rules: core.rules().clone(),
            endpoints: ByName(endpoints.collect()),
            metadata,
            preset: server.facts()?,
        })
    }

    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let malformed = || Error::from(Misuse::StoredForm);
        let stored: Self = json::from_text(text).ok_or_else(malformed)?;
        if stored.version == 1 {
            Ok(stored)
        } else {
            Err(malformed().about("version"))
        }
    }

    pub(crate) fn to_json(&self) -> String {
        json::to_text(self)
    }

    pub(crate) fn into_server(self) -> Result<Server, Error> {
        let mut core = if self.loopback {
            let issuer = danger::loopback_issuer(&self.issuer)?;
            danger::loopback_server(oauth_core::server::Server::new(issuer))
        } else {
            oauth_core::server::Server::new(Issuer::parse(&self.issuer)?)
        };
        if self.public {
            let configured_origin = self.configured_origin.as_deref().map(Url::parse);
            core = core
                .with_address_policy(RequestAddressPolicy::PublicOnly)
                .with_configured_origin(configured_origin.transpose()?);
        }
        let mut metadata = self.metadata;
        metadata.insert("issuer".to_owned(), self.issuer.into());
        for &kind in EndpointKind::ALL {
            if let Some(url) = self.endpoints.get(kind.member()) {
                core = core.with_endpoint(kind, url)?;
                metadata.insert(kind.member().to_owned(), url.as_str().into());
            }
        }
        let core = core.with_rules(self.rules).with_metadata(metadata);
        Ok(Server::from_stored(core, self.preset))
    }

    pub(crate) fn check_secret_in_browser(&self) -> Result<(), Error> {
        check_secret_in_browser(self.preset.as_ref())
    }

    pub(crate) fn add_quirks(&mut self, quirks: &[Quirk]) {
        let own_quirks = &mut self.rules.quirks;
        for quirk in quirks {
            if !own_quirks.contains(quirk) {
                own_quirks.push(quirk.clone());
            }
        }
    }

    /// Applies `change` to every URL.
    pub(crate) fn with_replacements(mut self, change: impl Fn(&str) -> String) -> Self {
        self.issuer = change(&self.issuer);
        let urls = self.endpoints.0.iter_mut().map(|(_, url)| url);
        let api = self.preset.iter_mut().flat_map(|preset| &mut preset.api);
        for url in urls.chain(api) {
            *url = change(url);
        }
        for quirk in &mut self.rules.quirks {
            if let Quirk::TenantIssuer(template) = quirk {
                *template = change(template);
            }
        }
        self
    }

    /// Moves every URL to this origin, where plain http is allowed.
    pub(crate) fn with_origin(mut self, origin: &str) -> Self {
        self.loopback = true;
        let mut moved = self.with_replacements(|url| {
            let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
            let path = rest.find('/').and_then(|start| rest.get(start..));
            format!("{origin}{}", path.unwrap_or_default())
        });
        if let Some(preset) = &mut moved.preset {
            preset.api.dedup();
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn address_policy_and_configured_origin_round_trip_through_json() {
        let issuer = Issuer::parse("https://as.example").expect("an issuer");
        let core = oauth_core::server::Server::new(issuer);
        let own = Url::parse("https://mcp.example/mcp").expect("a URL");
        let sibling = core
            .clone()
            .with_address_policy(RequestAddressPolicy::PublicOnly)
            .with_configured_origin(Some(own));
        let text = Server::from_core(sibling).to_json().expect("JSON");
        let read = Server::from_json(&text).expect("a server").core;
        let own = read.configured_origin().map(Url::origin);
        assert_eq!(own.as_deref(), Some("https://mcp.example"));
        for reach in [RequestAddressPolicy::Any, RequestAddressPolicy::PublicOnly] {
            let text = Server::from_core(core.clone().with_address_policy(reach)).to_json();
            let text = text.expect("JSON");
            assert_eq!(
                text.contains("\"public\""),
                reach == RequestAddressPolicy::PublicOnly,
                "{text}"
            );
            let read = Server::from_json(&text).expect("a server");
            assert_eq!(read.core.address_policy(), reach);
        }
    }
}
