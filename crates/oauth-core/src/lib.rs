//! OAuth 2.0 and OpenID Connect client as pure state machines.
//!
//! This crate opens no socket, reads no clock and draws no randomness. A conversation with an
//! authorization server is a value, an [`Exchange`]: tell it what happened, and it answers with
//! the one thing to do next. Any HTTP client can drive it; this is the whole driver:
//!
//! ```
//! use bytes::Bytes;
//! use oauth_core::error::{Cause, Error};
//! use oauth_core::{Exchange, Input, Moment, Step};
//!
//! fn run<E: Exchange>(
//!     mut exchange: E,
//!     mut http: impl FnMut(http::Request<Bytes>) -> Result<http::Response<Bytes>, Cause>,
//! ) -> Result<E::Output, Error> {
//!     let mut input = Input::Begin;
//!     loop {
//!         input = match exchange.resume(&Moment::system()?, input)? {
//!             Step::Send(request) => http(request).map_or_else(Input::Lost, Input::Reply),
//!             Step::Sleep(pause) => {
//!                 std::thread::sleep(pause);
//!                 Input::Elapsed
//!             }
//!             Step::Sign(job) => Input::Lost(Cause::unsent(format!("no key {}", job.key_id))),
//!             Step::Done(output) => return Ok(output),
//!         };
//!     }
//! }
//!
//! # use oauth_core::server::{EndpointKind, Server};
//! # use oauth_core::issuer::Issuer;
//! # use oauth_core::{Client, ClientAuth, ClientId, Scope};
//! let server = Server::new(Issuer::parse("https://as.example")?)
//!     .with_endpoint(EndpointKind::Token, "https://as.example/token")?;
//! let client = Client::new(server, ClientId::new("id"), ClientAuth::basic("secret"))?;
//! let tokens = run(client.client_credentials(Scope::parse("read")?), |request| {
//!     assert_eq!(request.uri(), "https://as.example/token");
//!     Ok(http::Response::builder()
//!         .header("content-type", "application/json")
//!         .body(r#"{"access_token":"abc","token_type":"Bearer","expires_in":60}"#.into())
//!         .unwrap())
//! })?;
//! assert_eq!(tokens.expires_in, Some(60));
//! # Ok::<(), Error>(())
//! ```
//!
//! A driver keeps five promises, which `oauth_testkit::contract` tests: it sends exactly once,
//! follows no redirect, caps a reply at 1 MiB, turns every failure into [`Input::Lost`], and logs
//! no head and no body. `oauth-reqwest` is such a driver, async and blocking.
//!
//! Where to look: [`Client`] is the front door; [`exchange`] is all a driver author reads;
//! [`endpoint`] and [`grant`] have one file for each message on the wire; [`error`] has the table
//! of codes; [`quirk`] the closed list of deviations; [`danger`] every unsafe switch; [`manual`]
//! says why.

mod breaker;
pub mod call;
pub mod challenge;
pub mod client;
pub mod client_auth;
pub mod client_config;
pub mod crypto;
pub mod danger;
pub mod dpop;
pub mod endpoint;
pub mod error;
pub mod exchange;
pub mod extra;
pub mod flow;
pub mod form;
pub mod grant;
pub mod issuer;
pub mod jose;
pub mod json;
pub mod manual;
pub mod moment;
pub mod pkce;
pub mod quirk;
pub mod retry_after;
pub mod scope;
pub mod secret;
pub mod server;
#[cfg(test)]
mod testing;
pub mod token;
pub mod url;

pub use client::{Client, discover, discover_with};
pub use client_auth::ClientAuth;
pub use client_config::ClientId;
pub use error::Error;
pub use exchange::{Exchange, ExchangeExt, Input, Step};
pub use flow::authorization::{AuthorizationRequest, Pending};
pub use moment::Moment;
pub use scope::Scope;
pub use secret::Secret;
pub use token::Tokens;
