//! Test OAuth 2.0 clients without a network.
//!
//! | module | what it gives |
//! |---|---|
//! | [`twin`] | authorization servers, with their APIs, as pure functions: a plain one and the four documented systems, deviations included; [`Fault`]s by name |
//! | [`twin_driver`] | a twin, a fake clock and the driver between them: whole conversations in microseconds |
//! | [`script`] | replies line by line, for what no server would ever answer |
//! | [`serve`] | a twin on a loopback socket, for real HTTP clients and other languages |
//! | `tls` (feature of that name) | a twin behind TLS, with an authority of its own |
//! | [`fleet`] | workers that share grants through a store, while everything goes wrong: whole histories from one seed, and a checker of what must hold |
//! | [`contract`] | what every driver promises, checked against a hostile server |
//!
//! A conversation in full, with the smallest exchange there is:
//!
//! ```
//! use bytes::Bytes;
//! use oauth_core::error::{Error, Misuse};
//! use oauth_core::exchange::{Exchange, Input, Step};
//! use oauth_core::moment::Moment;
//! use oauth_testkit::{Fault, TwinDriver, Twin};
//!
//! /// Asks UserVoice for a token, and returns the reply's body.
//! struct Ask;
//!
//! impl Exchange for Ask {
//!     type Output = Bytes;
//!
//!     fn resume(&mut self, _: &Moment, input: Input) -> Result<Step<Bytes>, Error> {
//!         match input {
//!             Input::Begin => Ok(Step::Send(
//!                 http::Request::post("https://acme.uservoice.com/api/v2/oauth/token")
//!                     .header("content-type", "application/x-www-form-urlencoded")
//!                     .body(Bytes::from_static(
//!                         b"grant_type=client_credentials&client_id=uv-trusted-key\
//!                           &client_secret=s3cr%2Bt%2F%25%3A+%7E",
//!                     ))
//!                     .unwrap(),
//!             )),
//!             Input::Reply(reply) => Ok(Step::Done(reply.into_body())),
//!             Input::Lost(cause) => Err(Error::lost(cause)),
//!             _ => Err(Misuse::OutOfOrder.into()),
//!         }
//!     }
//! }
//!
//! let mut driver = TwinDriver::new(Twin::uservoice("https://acme.uservoice.com"));
//! assert!(driver.run(Ask)?.starts_with(b"{\"access_token\":"));
//!
//! driver.twin().inject(Fault::LostReply);
//! assert_eq!(driver.run(Ask).unwrap_err().code(), "lost");
//! assert_eq!(driver.twin().counters().token_requests, 2);
//! # Ok::<(), Error>(())
//! ```

mod clock;
pub mod contract;
pub mod fleet;
pub mod script;
pub mod serve;
#[cfg(feature = "tls")]
pub mod tls;
pub mod twin;
pub mod twin_driver;

pub use fleet::Fleet;
pub use script::Script;
pub use serve::Served;
#[cfg(feature = "tls")]
pub use tls::Tls;
pub use twin::{Fault, Twin};
pub use twin_driver::TwinDriver;

/// What a driver may read of a reply, in bytes.
pub(crate) const REPLY_LIMIT: u64 = 1 << 20;
