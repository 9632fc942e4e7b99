//! `oauth discover`: prints the metadata of a server (RFC 8414, OpenID Connect Discovery) or of an API (RFC 9728), or
//! the issuer that signs a user in (WebFinger).

use clap::Args;
use oauth_core::endpoint::webfinger::UserIdentifier;
use oauth_core::flow::resource_discovery::ResourceDiscoveryRequest;
use oauth_core::protected_resource_metadata::{
    ProtectedResourceMetadata, ResourceIdentifier, ResourceMatch,
};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Error, danger, discover_issuer, discover_resource};
use serde_json::{Value, json};

use crate::Global;
use crate::output::{self, Failure, Output};
use crate::profile::Profile;
use crate::setup::{discover, net};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth discover https://accounts.google.com
  oauth discover --json http://127.0.0.1:8080 --loopback-http
  oauth discover --resource https://mcp.example.com/mcp --parent
  oauth discover --identifier joe@example.com";

/// The lists that are printed below the endpoints.
const LISTS: [&str; 5] = [
    "scopes_supported",
    "grant_types_supported",
    "response_modes_supported",
    "token_endpoint_auth_methods_supported",
    "code_challenge_methods_supported",
];

/// The members of an API's metadata that are printed.
const OF_A_RESOURCE: [&str; 6] = [
    "resource_name",
    "authorization_servers",
    "scopes_supported",
    "bearer_methods_supported",
    "dpop_bound_access_tokens_required",
    "tls_client_certificate_bound_access_tokens",
];

/// Prints the metadata of a server or an API.
#[derive(Debug, Args)]
pub(crate) struct Discover {
    /// Issuer URL, exactly as the server publishes it
    #[arg(required_unless_present_any = ["resource", "identifier", "named"], conflicts_with_all = ["resource", "identifier", "named"])]
    issuer: Option<String>,
    /// Same as the ISSUER argument, for consistency with other commands
    #[arg(long = "issuer", id = "named", value_name = "ISSUER", conflicts_with_all = ["resource", "identifier"])]
    named: Option<String>,
    /// Find the issuer of a user by an identifier such as user@host or a URL (WebFinger)
    #[arg(long, value_name = "IDENTIFIER", conflicts_with = "resource")]
    identifier: Option<String>,
    /// Print the metadata of the API at this URL, which names its authorization servers (RFC 9728)
    #[arg(long, value_name = "URL")]
    resource: Option<String>,
    /// Accept the metadata of a parent of the URL, such as its origin
    #[arg(long, requires = "resource")]
    parent: bool,
    /// Allow plain http for loopback addresses
    #[arg(long)]
    loopback_http: bool,
}

impl Discover {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        // The network settings of the profile apply to every server.
        let mut profile = Profile::load(global)?;
        profile.loopback_http |= self.loopback_http;
        let net = net(&profile, global)?;
        if let Some(url) = &self.resource {
            let metadata = net.run(discover_resource(self.request(url)?))?;
            let record = Value::Object(metadata.metadata.clone());
            return output.result(output::table(&rows_of(&metadata)), &record);
        }
        if let Some(text) = &self.identifier {
            let identifier = if self.loopback_http {
                danger::loopback_user_identifier(text)?
            } else {
                UserIdentifier::parse(text)?
            };
            let issuer = net.run(discover_issuer(identifier))?.to_string();
            let rows = [("issuer".to_owned(), issuer.clone())];
            return output.result(output::table(&rows), &json!({ "issuer": issuer }));
        }
        let issuer = self.issuer.or(self.named).unwrap_or_default();
        let server = discover(&net, &issuer, self.loopback_http)?;
        let record = Value::Object(server.metadata().clone());
        output.result(output::table(&rows(&server)), &record)
    }
}

impl Discover {
    fn request(&self, url: &str) -> Result<ResourceDiscoveryRequest, Error> {
        let request = if self.loopback_http {
            let resource = danger::loopback_resource_identifier(url)?;
            danger::loopback_resource_discovery(ResourceDiscoveryRequest::new(resource))
        } else {
            ResourceDiscoveryRequest::new(ResourceIdentifier::parse(url)?)
        };
        Ok(if self.parent {
            request.matching(ResourceMatch::Parent)
        } else {
            request
        })
    }
}

fn rows_of(metadata: &ProtectedResourceMetadata) -> Vec<(String, String)> {
    let resource = ("resource".to_owned(), metadata.resource.to_string());
    let members = OF_A_RESOURCE.iter().filter_map(|&name| {
        let value = metadata.metadata.get(name)?;
        Some((name.to_owned(), output::plain(value)))
    });
    std::iter::once(resource).chain(members).collect()
}

fn rows(server: &Server) -> Vec<(String, String)> {
    let issuer = ("issuer".to_owned(), server.issuer().to_string());
    let endpoints = EndpointKind::ALL.iter().filter_map(|&kind| {
        let url = server.endpoint(kind).ok()?;
        Some((kind.member().to_owned(), url.to_string()))
    });
    let lists = LISTS.iter().filter_map(|&name| {
        let value = server.metadata().get(name)?;
        Some((name.to_owned(), output::plain(value)))
    });
    std::iter::once(issuer)
        .chain(endpoints)
        .chain(lists)
        .collect()
}
