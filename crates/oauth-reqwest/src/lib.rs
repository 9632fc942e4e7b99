//! OAuth 2.0 and OpenID Connect over [`reqwest`]: drivers for `oauth-core`, tokens that stay
//! fresh, and the login of native apps.
//!
//! ```no_run
//! use oauth_core::flow::resource::Resource;
//! use oauth_core::issuer::Issuer;
//! use oauth_core::{Client, ClientAuth, ClientId, Error, Scope, discover};
//! use oauth_reqwest::{Authorized, Driver, GrantSource, reqwest};
//!
//! # async fn page() -> Result<(), Error> {
//! let driver = Driver::new(reqwest::Client::builder())?;
//! let server = driver.run(discover(Issuer::parse("https://as.example")?)).await?;
//! let client = Client::new(server, ClientId::new("id"), ClientAuth::basic("secret"))?;
//!
//! let source = GrantSource::client_credentials(driver.clone(), &client, Scope::parse("read")?);
//! let api = Authorized::new(driver, source, Resource::new(["https://api.example"])?);
//! let page = api.get("https://api.example/things").send().await?;
//! # Ok(())
//! # }
//! ```
//!
//! | module | what it provides |
//! |---|---|
//! | [`driver`] | [`Driver`]: runs any [`Exchange`](oauth_core::Exchange) of `oauth-core` |
//! | [`oauth_session`] | [`GrantSource`]: the token of one grant, renewed with one request for all callers |
//! | [`authorized`] | [`Authorized`]: attaches the token, renews it after a 401, keeps it within its origins |
//! | [`resource_connection`] | [`ResourceConnection`]: the tokens of an API of which only the URL is known (MCP) |
//! | [`loopback`] | the listener for the callback of a native app (RFC 8252) |
//! | [`device_login`] | when a code on another device replaces the browser |
//! | [`configured_client`] | a client from the environment or from a client file; feature `providers`, on by default |
//! | [`browser`] | opening the authorization URL, without a shell |
//! | [`addresses`] | which addresses are connected to, if another party named the URL |
//! | [`transport`] | certificates, proxy and limits in one record |
//! | [`blocking`] | all of it without `async`; feature `blocking`, on by default |
//!
//! A driver accepts a `ClientBuilder` and not a client, because it must forbid what HTTP clients do
//! by default: redirects (they carry secrets to other hosts), repetitions (a code or a rotated
//! refresh token can be used only once) and unbounded replies. Requests to authorization servers are `https`, or were
//! explicitly allowed by `oauth_core::danger`; that is checked before a driver sees them.
//!
//! No error and no log line of this crate contains a URL's query, a header or a body.

pub mod addresses;
mod assertion_file;
pub mod authorized;
#[cfg(feature = "blocking")]
pub mod blocking;
mod body;
pub mod browser;
#[cfg(feature = "providers")]
pub mod configured_client;
pub mod device_login;
pub mod driver;
mod environment;
mod error_mapping;
mod localhost;
pub mod loopback;
pub mod options;
mod origin_limiter;
mod peek;
mod recording_resolver;
pub mod resource_connection;
mod root_certificates;
mod signer;
pub mod transport;

pub use addresses::AddressPolicy;
pub use assertion_file::AssertionFile;
pub use authorized::{Authorized, ResponseExt};
#[cfg(feature = "providers")]
pub use configured_client::{client_from_env, client_from_file};
pub use device_login::DeviceLogin;
pub use driver::Driver;
pub use environment::ProcessEnvironment;
pub use oauth_session::{self, GrantSource, TokenSource};
pub use options::Options;
pub use reqwest;
pub use resource_connection::ResourceConnection;
pub use transport::Transport;
