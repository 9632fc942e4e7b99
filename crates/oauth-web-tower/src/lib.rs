#![doc = include_str!("../README.md")]

mod host;
mod layer;
mod pool;
#[cfg(feature = "axum")]
mod user;

pub use host::{Host, Outcome};
pub use layer::{Guarded, GuardedBody, SignIn, Visited};
#[cfg(feature = "axum")]
pub use user::{Rejection, User};
