#![doc = include_str!("../README.md")]

mod convert;
#[cfg(feature = "env")]
mod environment;
mod grants;
mod host;
mod layer;
#[cfg(feature = "axum")]
mod rejection;
mod tokens;
#[cfg(feature = "axum")]
mod user;
mod visit_driver;
mod visited;

pub use convert::GuardedBody;
pub use host::Host;
pub use layer::{SignIn, SignInService};
#[cfg(feature = "axum")]
pub use rejection::Rejection;
pub use tokens::{Forwarded, MAX_FORWARDED, SessionSource};
#[cfg(feature = "axum")]
pub use user::{HandlerRequirement, StepUp, User};
pub use visit_driver::Outcome;
pub use visited::{GrantEnded, RequestSession};
