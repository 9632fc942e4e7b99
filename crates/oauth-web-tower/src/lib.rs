#![doc = include_str!("../README.md")]

#[cfg(feature = "env")]
mod environment;
mod host;
mod layer;
#[cfg(feature = "axum")]
mod user;

pub use host::{Host, Outcome};
pub use layer::{Guarded, GuardedBody, MAX_FORWARDED, SignIn, Visited};
#[cfg(feature = "axum")]
pub use user::{Needs, Rejection, StepUp, User};
