#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! | module | contents |
//! |---|---|
//! | [`twin`] | authorization servers, with their APIs, as pure functions: a plain one, one of FAPI 2.0, and the four documented systems, deviations included; [`Fault`]s by name |
//! | [`twin_driver`] | a twin, a fake clock and the driver between them: whole exchanges in microseconds |
//! | [`script`] | scripted replies, also those that no server would send |
//! | [`serve`] | a twin on a loopback socket, for real HTTP clients and other languages |
//! | `tls` (feature of that name) | twins behind TLS, with their own certificate authority; one binds tokens to certificates |
//! | [`fleet`] | workers that share grants through a store under faults of all kinds: whole histories from a seed, and checks of rules |
//! | [`contract`] | the promises of every driver, checked against a hostile server |

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

/// The maximum size of a reply, in bytes.
pub(crate) const REPLY_LIMIT: u64 = 1 << 20;
