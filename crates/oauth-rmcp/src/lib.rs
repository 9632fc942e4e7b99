#![doc = include_str!("../README.md")]

mod client;
mod failure;

pub use client::{AuthorizedClient, extensions, transport};
pub use failure::error_of;
