//! `oauth test-session`: creates a session of a web application for a test, without a provider.

use std::path::PathBuf;
use std::sync::Arc;

use clap::{Args, ValueHint};
use oauth_core::client::Client;
use oauth_core::error::{Error, Misuse};
use oauth_core::issuer::Issuer;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::url::{Transport, Url};
use oauth_core::{ClientAuth, ClientId};
use oauth_reqwest::{Driver, reqwest};
use oauth_seal::Keys;
use oauth_session::store::{SealedStore, StoreUrl, seal};
use oauth_web::{Config, Identity, Provider, Site, testing_key};
use oauth_web_tower::{Host, Outcome};
use serde_json::{Map, Value, json};

use crate::new_file::NewFile;
use crate::output::{Failure, Output};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth test-session --base-url http://127.0.0.1:8000 --sub ann --claim name=Ann
  oauth test-session --base-url http://127.0.0.1:8000 --sub ann --acr mfa --playwright state.json

The application under test must use the testing key, which is part of every oauth-core library and accepted only by \
sites that no one else can reach. The output is the value of the `Cookie` header for requests; with --playwright, it \
is a `storageState` file.";

/// A reserved issuer: no provider is contacted.
const NOBODY: &str = "https://as.invalid";

/// Creates a signed-in session of a web application for a test.
#[derive(Debug, Args)]
pub(crate) struct TestSession {
    /// Base URL of the application, as in its settings
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    base_url: String,
    /// Subject of the user (`sub`)
    #[arg(long, value_name = "SUBJECT")]
    sub: String,
    /// Add a claim of the user; the value is parsed as JSON, or else used as a string; may be repeated
    #[arg(long = "claim", value_name = "NAME=VALUE")]
    claims: Vec<String>,
    /// Authentication context of the login (`acr`)
    #[arg(long, value_name = "ACR")]
    acr: Option<String>,
    /// Issuer of the identity
    #[arg(long, value_name = "URL", default_value = NOBODY)]
    iss: String,
    /// Name of the provider in the application's settings
    #[arg(long, value_name = "ID", default_value = "login")]
    provider: String,
    /// Name of the cookies, if the application's settings change it
    #[arg(long, value_name = "NAME")]
    cookie_name: Option<String>,
    /// Store for the sessions of the application, as in its OAUTH_STORE
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Write a Playwright `storageState` to this new file instead of printing the `Cookie` header
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    playwright: Option<PathBuf>,
}

impl TestSession {
    pub(super) fn run(self, output: Output) -> Result<(), Failure> {
        let url = Url::parse(&self.base_url)?;
        let identity = self.identity()?;
        let claims = identity.claims.keys().cloned().collect();
        let host = self.host(url.clone(), claims)?;
        // Created first: otherwise a session that cannot be written would be left in the store.
        let file = self
            .playwright
            .as_deref()
            .map(NewFile::create)
            .transpose()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Error::from(Misuse::Setup).about(&error.to_string()))?;
        let visit = host.site().testing(identity);
        let Outcome::Respond(reply) = runtime.block_on(host.drive(visit))? else {
            return Err(Error::from(Misuse::OutOfOrder).into());
        };
        let fields = reply.headers.get_all("set-cookie").iter();
        let cookies: Vec<_> = fields
            .filter_map(|field| Cookie::read(field.to_str().ok()?))
            .collect();
        match (file, self.playwright) {
            (Some(file), Some(path)) => {
                let cookies: Vec<_> = cookies.iter().map(|cookie| cookie.state(&url)).collect();
                let state = json!({ "cookies": cookies, "origins": [] });
                file.fill(&format!("{state:#}\n"))?;
                let path = path.display().to_string();
                output.result(format_args!("wrote {path}"), &json!({ "file": path }))
            }
            _ => {
                let pairs: Vec<_> = cookies.iter().map(Cookie::pair).collect();
                let field = pairs.join("; ");
                let record = json!({ "cookie": field });
                output.result(field, &record)
            }
        }
    }

    fn identity(&self) -> Result<Identity, Failure> {
        let mut claims = Map::new();
        for claim in &self.claims {
            let (name, value) = claim.split_once('=').ok_or_else(|| {
                Failure::usage(
                    "usage.claim",
                    format_args!("missing value of the claim: {claim}"),
                    "use --claim NAME=VALUE",
                )
            })?;
            let text = || Value::String(value.to_owned());
            let value = serde_json::from_str(value).unwrap_or_else(|_| text());
            claims.insert(name.to_owned(), value);
        }
        let identity = json!({
            "provider": self.provider, "issuer": self.iss, "subject": self.sub, "acr": self.acr, "claims": claims,
        });
        Ok(serde_json::from_value(identity).map_err(|_| Error::from(Misuse::Setup))?)
    }

    /// A site with the settings that cookies depend on.
    fn host(&self, url: Url, claims: Vec<String>) -> Result<Host, Error> {
        let issuer = Issuer::parse(NOBODY)?;
        let endpoint = |name: &str| format!("{NOBODY}/{name}");
        let server = Server::new(issuer)
            .with_endpoint(EndpointKind::Authorization, &endpoint("authorize"))?
            .with_endpoint(EndpointKind::Token, &endpoint("token"))?
            .with_endpoint(EndpointKind::Jwks, &endpoint("keys"))?;
        let client = Client::new(server, ClientId::new("test"), ClientAuth::none())?;
        let provider = Provider::new(self.provider.as_str(), client)?;
        let mut config = Config::new(url, Keys::new(testing_key()), provider);
        config.transport = Transport::LoopbackHttp;
        // Which claims the application stores is unknown here, so all given ones are stored.
        config.claims = claims;
        if let Some(name) = &self.cookie_name {
            config.name.clone_from(name);
        }
        let driver = Driver::new(reqwest::Client::builder())?;
        let Some(store) = &self.store else {
            return Host::new(Site::new(config)?, driver);
        };
        let store = StoreUrl::parse(store)?.open()?;
        let sealed = SealedStore::new(store, seal::Keys::new(testing_key()));
        let site = Site::new(config.in_store())?;
        Ok(Host::with_store(site, driver, Arc::new(sealed)))
    }
}

/// A `Set-Cookie` header that this library has written (RFC 6265 section 4.1).
struct Cookie<'a> {
    name: &'a str,
    value: &'a str,
    attributes: Vec<&'a str>,
}

impl<'a> Cookie<'a> {
    /// Reads the cookie; `None` for one that is cleared.
    fn read(field: &'a str) -> Option<Self> {
        let mut parts = field.split("; ");
        let (name, value) = parts.next()?.split_once('=')?;
        let attributes: Vec<_> = parts.collect();
        let is_gone = attributes.contains(&"Max-Age=0");
        (!is_gone).then_some(Self {
            name,
            value,
            attributes,
        })
    }

    fn pair(&self) -> String {
        format!("{}={}", self.name, self.value)
    }

    fn attribute(&self, name: &str) -> Option<&'a str> {
        self.attributes.iter().find_map(|attribute| {
            let (key, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            key.eq_ignore_ascii_case(name).then_some(value)
        })
    }

    /// The cookie as in Playwright's `storageState`. An `expires` of -1 makes it a session cookie.
    fn state(&self, url: &Url) -> Value {
        json!({
            "name": self.name,
            "value": self.value,
            "domain": url.host(),
            "path": self.attribute("path").unwrap_or("/"),
            "expires": -1,
            "httpOnly": self.attribute("httponly").is_some(),
            "secure": self.attribute("secure").is_some(),
            "sameSite": self.attribute("samesite").unwrap_or("Lax"),
        })
    }
}
