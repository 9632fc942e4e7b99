//! `oauth discover`: what a server says about itself (RFC 8414, OpenID Connect Discovery).

use clap::Args;
use oauth_core::server::{EndpointKind, Server};
use serde_json::Value;

use crate::Global;
use crate::output::{self, Failure, Output};
use crate::profile::Profile;
use crate::setup::{discover, net};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth discover https://accounts.google.com
  oauth discover --json http://127.0.0.1:8080 --loopback-http";

/// The lists worth a line below the endpoints.
const LISTS: [&str; 5] = [
    "scopes_supported",
    "grant_types_supported",
    "response_modes_supported",
    "token_endpoint_auth_methods_supported",
    "code_challenge_methods_supported",
];

/// Shows what a server says about itself.
#[derive(Debug, Args)]
pub(crate) struct Discover {
    /// The issuer, to the letter
    issuer: String,
    /// Allow plain http, to loopback addresses only
    #[arg(long)]
    loopback_http: bool,
}

impl Discover {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        // The profile's network leads there, whatever server it is for.
        let mut profile = Profile::load(global)?;
        profile.loopback_http |= self.loopback_http;
        let net = net(&profile, global)?;
        let server = discover(&net, &self.issuer, self.loopback_http)?;
        let record = Value::Object(server.metadata().clone());
        output.result(output::table(&rows(&server)), &record)
    }
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
