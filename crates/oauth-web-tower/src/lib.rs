#![doc = include_str!("../README.md")]

mod answer;
#[cfg(feature = "axum")]
mod axum;
mod convert;
#[cfg(feature = "env")]
mod environment;
mod grants;
mod host;
mod layer;
mod rejection;
mod serve;
mod tokens;
mod visit_driver;
mod visited;

pub use answer::Answer;
#[cfg(feature = "axum")]
pub use axum::{HandlerRequirement, StepUp};
pub use convert::{GrantEnded, GuardedBody};
pub use host::Host;
pub use layer::{SignIn, SignInService};
pub use rejection::{PageReplacement, Rejection};
pub use serve::Served;
pub use tokens::{Forwarded, MAX_FORWARDED, SessionSource};
pub use visit_driver::Outcome;
pub use visited::{RequestSession, User};
