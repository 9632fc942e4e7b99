#![doc = include_str!("../README.md")]
//!
//! # Where to look
//!
//! | what | for |
//! |---|---|
//! | [`GrantSource`] | the token of one grant, for tasks |
//! | `blocking` | the same for threads without a runtime; feature `blocking` |
//! | [`SubjectTokenSource`] | a sign-in at an identity provider, for tokens of another server |
//! | [`Grants`] | many grants of one client: one for each user |
//! | [`observe`] | events of grants, for logs, counters and alarms |
//! | [`FixedToken`] | one token that was made by hand |
//! | [`TokenSource`] | the trait through which callers get their tokens |
//! | `dpop_key` | a DPoP key that workers share, in a store; feature `dpop` |
//! | [`connections`] | connections to APIs that a program has met, in a store |
//! | [`store`] | where records are stored, and what a store must do |
//!
//! This crate makes no decisions: [`oauth_core::flow::keeper`], which needs neither a clock nor a socket, decides which
//! worker renews, when, and how a lost reply is handled.

#[cfg(feature = "blocking")]
pub mod blocking;
mod clock;
pub mod connections;
#[cfg(feature = "dpop")]
pub mod dpop_key;
mod fault_points;
mod fixed_token;
mod grant_source;
pub mod grants;
mod hold;
pub mod observe;
mod renewal_limits;
mod runtime;
mod source;
pub mod store;
mod subject_token_source;

#[cfg(feature = "simulated")]
pub use clock::simulated;
pub use fixed_token::FixedToken;
pub use grant_source::{GrantSource, TokenDriver, drain_all};
pub use grants::Grants;
pub use hold::HeldTokens;
pub use observe::{Counters, GrantEvent, Observe};
pub use source::{Sources, Token, TokenSource};
pub use store::Store;
pub use subject_token_source::SubjectTokenSource;
