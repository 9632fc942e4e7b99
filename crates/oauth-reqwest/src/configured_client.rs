//! Clients configured by environment variables or a standard client file: server, client id and credentials.
//!
//! ```no_run
//! use oauth_core::Scope;
//! use oauth_reqwest::{Driver, GrantSource, client_from_env, reqwest};
//!
//! # async fn start() -> Result<(), oauth_core::Error> {
//! let driver = Driver::new(reqwest::Client::builder())?;
//! let client = driver.run(client_from_env()?).await?;
//! let source = GrantSource::client_credentials(driver, &client, Scope::parse("read")?);
//! # Ok(())
//! # }
//! ```

use std::sync::Arc;

use oauth_core::Client;
use oauth_core::error::Error;
use oauth_core::exchange::Boxed;
use oauth_core::url::Transport;
use oauth_core::workload::Environment;
use oauth_crypto::client_signing_key;
use oauth_providers::ClientSettings;

use crate::ProcessEnvironment;

/// The client of this process's [environment variables](ClientSettings::from_env). It is an exchange: a server of which
/// only the issuer is known is asked for its metadata.
///
/// # Errors
/// `environment.*`, `client_file.*`, `provider.*`, `workload.setup`, `key.*`; from the steps those of
/// [`oauth_core::discover`].
pub fn client_from_env() -> Result<Boxed<Client>, Error> {
    let environment: Arc<dyn Environment> = Arc::new(ProcessEnvironment::new());
    connect(ClientSettings::from_env(&environment)?, Transport::Https)
}

/// The client of this [client file](ClientSettings::from_json).
///
/// # Errors
/// The errors of [`client_from_env`], and `client_file.unreadable`.
pub fn client_from_file(path: &str) -> Result<Boxed<Client>, Error> {
    let environment: Arc<dyn Environment> = Arc::new(ProcessEnvironment::new());
    let settings = ClientSettings::from_file(path, &environment)?;
    connect(settings, Transport::Https)
}

/// The client of settings that were read elsewhere. With [`Transport::LoopbackHttp`] the server may be on this
/// machine, for tests.
///
/// # Errors
/// The errors of [`client_from_env`].
pub fn connect(settings: ClientSettings, transport: Transport) -> Result<Boxed<Client>, Error> {
    settings.connect(transport, |server, key| {
        client_signing_key(server, key.text, key.kid, key.alg)
    })
}
