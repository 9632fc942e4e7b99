//! The authorization server: the plain twin, with the scopes of this MCP server.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use oauth_core::danger;
use oauth_core::flow::discovery::DiscoveryRequest;
use oauth_core::{Client, ClientAuth, ClientId, Error, discover_with};
use oauth_reqwest::Driver;
use oauth_testkit::twin::Entry;
use oauth_testkit::{Served, Twin};
use serde_json::{Value, json};

pub(crate) const TOOLS: &str = "mcp:tools";
pub(crate) const SECRET: &str = "mcp:secret";

pub(crate) struct Authority(Served);

impl Authority {
    pub(crate) fn start() -> io::Result<Self> {
        let served = Served::start(Twin::generic)?;
        served.with(|twin| {
            twin.set_scopes(&[TOOLS, SECRET]);
            twin.know_resources();
        });
        Ok(Self(served))
    }

    pub(crate) fn issuer(&self) -> &str {
        self.0.base()
    }

    /// The client that may introspect tokens.
    pub(crate) async fn client(&self, driver: &Driver) -> Result<Client, Error> {
        let discovery = DiscoveryRequest::new(danger::loopback_issuer(self.issuer())?);
        let found = driver
            .run(discover_with(danger::loopback_discovery(discovery)))
            .await?;
        let (id, secret) = self.0.with(|twin| {
            let [id, secret] = [twin.client_id(), twin.client_secret()].map(str::to_owned);
            (ClientId::new(id), ClientAuth::basic(secret))
        });
        Client::new(found, id, secret)
    }

    /// As if the server had lost its database.
    pub(crate) fn forget_clients(&self) {
        self.0.with(|twin| {
            let ids = twin.registered_clients().into_iter().map(str::to_owned);
            for id in ids.collect::<Vec<_>>() {
                twin.forget_client(&id);
            }
            twin.revoke_all();
        });
    }

    pub(crate) fn expire_tokens(&self) {
        self.0.with(Twin::expire_access_tokens);
    }

    pub(crate) fn access_token_seconds(&self, seconds: u64) {
        self.0.with(|twin| twin.set_access_token_lifetime(seconds));
    }

    pub(crate) fn counts(&self, tool_calls: &AtomicU64) -> Value {
        self.0.with(|twin| {
            let count =
                |is: fn(&Entry) -> bool| twin.log().iter().filter(|entry| is(entry)).count();
            let counters = twin.counters();
            json!({
                "registrations": count(|entry| entry.path == "/register" && entry.status == 201),
                "authorizations": counters.authorizations,
                "code_redemptions": count(is_redemption),
                "refreshes": counters.refreshes,
                "refresh_token_reuses": counters.reuse_events,
                "revocations": counters.revocations,
                "tool_calls": tool_calls.load(Ordering::SeqCst),
            })
        })
    }
}

fn is_redemption(entry: &Entry) -> bool {
    let code =
        |(name, value): &(String, String)| name == "grant_type" && value == "authorization_code";
    entry.path == "/token" && entry.status == 200 && entry.form.iter().any(code)
}
