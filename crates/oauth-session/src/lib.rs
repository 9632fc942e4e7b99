//! OAuth tokens that stay fresh: one token request for all threads, tasks, processes and machines
//! that share a grant.

#[cfg(feature = "blocking")]
pub mod blocking;
mod faults;
mod session;
mod source;
pub mod store;

pub use session::{Drive, Session};
pub use source::{Fixed, Token, TokenSource};
pub use store::Store;
