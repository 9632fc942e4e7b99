//! Against servers this project did not write.

mod command;
mod library;
mod oidc_provider;
