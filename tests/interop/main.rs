//! Against servers this project did not write.

mod client_auth;
mod command;
mod library;
mod mutual_tls;
mod oidc_provider;
