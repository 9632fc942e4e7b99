//! Starts npm's `oidc-provider`, a certified authorization server, on a loopback port.

use std::path::PathBuf;
use std::process::Command;
use std::thread;

use oauth_core::issuer::Issuer;
use oauth_core::quirk::Rules;
use oauth_core::server::Server;
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, ClientId, Error, danger};
use oauth_reqwest::blocking::Driver;

use crate::server_process::ServerProcess;

/// A running server; it stops when this is dropped.
pub(crate) struct OidcProvider(ServerProcess);

impl OidcProvider {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With these environment variables.
    pub(crate) fn start_with(environment: &[(&str, &str)]) -> Self {
        Self::start_script("server.mjs", environment)
    }

    /// For clients with more requirements: signed requests, tokens bound to a key.
    pub(crate) fn fapi() -> Self {
        Self::fapi_with(&[])
    }

    /// The provider for FAPI, with these environment variables.
    pub(crate) fn fapi_with(environment: &[(&str, &str)]) -> Self {
        Self::start_script("fapi.mjs", environment)
    }

    fn start_script(script: &str, environment: &[(&str, &str)]) -> Self {
        let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("interop/oidc-provider");
        assert!(
            place.join("node_modules/oidc-provider").is_dir(),
            "oidc-provider is not installed: run `cargo xtask setup`"
        );
        let mut node = Command::new("node");
        node.arg(script).current_dir(place);
        node.envs(environment.iter().copied());
        Self(ServerProcess::start(&mut node))
    }

    pub(crate) fn issuer(&self) -> &str {
        self.0.issuer()
    }

    pub(crate) fn client_id(&self, which: &str) -> &str {
        self.0.of_client(which, "client_id")
    }

    pub(crate) fn secret(&self, which: &str) -> &str {
        self.0.of_client(which, "client_secret")
    }

    /// The private key of a client, in PEM.
    pub(crate) fn private_key(&self, which: &str) -> &str {
        self.0.of_client(which, "private_key")
    }

    /// A client's decryption key as a JWK, unless it is derived from its secret.
    pub(crate) fn decryption_key(&self, which: &str) -> Option<String> {
        let key = self.0.info["clients"][which].get("decryption_key")?;
        Some(key.to_string())
    }

    /// Replaces the server's signing keys.
    pub(crate) fn rotate_keys(&self) {
        let url = format!("{}/_rotate", self.issuer());
        let done = reqwest::blocking::Client::new().post(url).send();
        assert!(done.is_ok_and(|reply| reply.status() == 204));
    }

    pub(crate) fn discovered(&self, driver: &Driver) -> Result<Server, Error> {
        let issuer: Issuer = danger::loopback_issuer(self.issuer())?;
        driver.run(danger::discover_on_loopback(issuer, Rules::default()))
    }

    /// The client of this name, authenticated as it is registered.
    pub(crate) fn client(&self, driver: &Driver, which: &str) -> Result<Client, Error> {
        let auth = match which {
            "basic" => ClientAuth::basic(self.secret(which)),
            "post" => ClientAuth::post(self.secret(which)),
            "native" => ClientAuth::none(),
            _ => ClientAuth::basic(self.secret(which)),
        };
        Client::new(
            self.discovered(driver)?,
            ClientId::new(self.client_id(which)),
            auth,
        )
    }
}

/// A headless browser that keeps cookies and follows redirects in its
/// own thread, until a page is shown.
pub(crate) fn browse(url: &str) {
    let url = url.to_owned();
    thread::spawn(move || {
        let browser = reqwest::blocking::Client::builder()
            .cookie_store(true)
            .build()
            .expect("a browser");
        browser.get(url).send().map(drop)
    });
}

/// [`browse`], as the callback of a login.
pub(crate) fn open(url: &Url) -> Result<(), Error> {
    browse(url.as_str());
    Ok(())
}

pub(crate) fn driver() -> Driver {
    Driver::new(reqwest::blocking::Client::builder()).expect("a driver")
}
