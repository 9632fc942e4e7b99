#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! | module | what it gives |
//! |---|---|
//! | [`twin`] | authorization servers, with their APIs, as pure functions: a plain one, one of FAPI 2.0, and the four documented systems, deviations included; [`Fault`]s by name |
//! | [`twin_driver`] | a twin, a fake clock and the driver between them: whole exchanges in microseconds |
//! | [`script`] | replies line by line, for what no server would ever answer |
//! | [`serve`] | a twin on a loopback socket, for real HTTP clients and other languages |
//! | `tls` (feature of that name) | twins behind TLS, with an authority of their own; one binds tokens to certificates |
//! | [`fleet`] | workers that share grants through a store, while everything goes wrong: whole histories from one seed, and a checker of what must hold |
//! | [`contract`] | what every driver promises, checked against a hostile server |

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
pub use tls::{MutualTls, Tls};
pub use twin::{Fault, Twin};
pub use twin_driver::TwinDriver;

/// What a driver may read of a reply, in bytes.
pub(crate) const REPLY_LIMIT: u64 = 1 << 20;
