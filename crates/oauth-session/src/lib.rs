//! OAuth tokens that stay fresh: one token request for all threads, tasks, processes and machines
//! that share a grant.
//!
//! ```
//! use std::sync::Arc;
//!
//! use oauth_core::error::Error;
//! use oauth_core::exchange::Boxed;
//! use oauth_core::flow::keeper::GrantId;
//! use oauth_core::{Client, Scope, Tokens};
//! use oauth_session::store::{Answer, Memory};
//! use oauth_session::{Drive, Session};
//!
//! /// How to reach the server; `oauth_reqwest::Driver` is one.
//! struct Driver;
//!
//! impl Drive for Driver {
//!     fn run(&self, exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
//!         Box::pin(async { over_http(exchange) })
//!     }
//! }
//!
//! # use oauth_core::issuer::Issuer;
//! # use oauth_core::server::{EndpointKind, Server};
//! # use oauth_core::{ClientAuth, ClientId, Input, Moment, Step};
//! # fn over_http(mut exchange: Boxed<Tokens>) -> Result<Tokens, Error> {
//! #     let at = Moment::system()?;
//! #     let Step::Send(_) = exchange.resume(&at, Input::Begin)? else { panic!() };
//! #     let reply = http::Response::builder()
//! #         .header("content-type", "application/json")
//! #         .body(r#"{"access_token":"abc","token_type":"Bearer","expires_in":60}"#.into());
//! #     match exchange.resume(&at, Input::Reply(reply.unwrap()))? {
//! #         Step::Done(tokens) => Ok(tokens),
//! #         _ => panic!(),
//! #     }
//! # }
//! # fn client() -> Result<Client, Error> {
//! #     let server = Server::new(Issuer::parse("https://as.example")?)
//! #         .with_endpoint(EndpointKind::Token, "https://as.example/token")?;
//! #     Client::new(server, ClientId::new("id"), ClientAuth::basic("secret"))
//! # }
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! // The store could be a `FileStore`, a `RedisStore`, or one of your own.
//! let store = Arc::new(Memory::default());
//! let worker = || -> Result<Session, Error> {
//!     let id = GrantId::client().requesting(Scope::parse("read")?);
//!     Ok(Session::of_grant(Driver, &client()?, id, store.clone()))
//! };
//! let (one, two) = (worker()?, worker()?);
//! // One of them asks the server, the other reads the store.
//! let (a, b) = tokio::join!(one.token(), two.token());
//! assert!(a?.access_token.matches(b?.access_token.expose()));
//! # Ok(())
//! # }
//! ```
//!
//! | what | for |
//! |---|---|
//! | [`Session`] | the token of one grant, for tasks |
//! | `blocking` | the same for threads without a runtime; feature `blocking` |
//! | [`Sessions`] | many grants of one client: one for each person |
//! | [`observe`] | events of grants, for logs, counters and alarms |
//! | [`FixedToken`] | one token that was made by hand |
//! | [`TokenSource`] | the trait that callers get their tokens through |
//! | [`store`] | where records live, and what a store must do |
//!
//! Nothing is decided here: which worker renews, when, and what a lost reply means is decided by
//! [`oauth_core::flow::keeper`], which needs neither a clock nor a socket.

#[cfg(feature = "blocking")]
pub mod blocking;
mod clock;
mod fault_points;
mod fixed;
pub mod observe;
mod session;
pub mod sessions;
mod source;
pub mod store;

#[cfg(feature = "simulated")]
pub use clock::simulated;
pub use fixed::FixedToken;
pub use observe::{Counters, Notice, Observe};
pub use session::{Drive, Session, drain_all};
pub use sessions::Sessions;
pub use source::{Sources, Token, TokenSource};
pub use store::Store;
