//! OAuth tokens that stay fresh: one token request for all threads, tasks, processes and machines
//! that share a grant.

pub mod store;

pub use store::Store;
