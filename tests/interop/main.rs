//! Interoperability tests against third-party servers.

mod access_tokens;
mod browser;
mod client_auth;
mod command;
mod django;
mod django_grants;
mod django_identity;
mod django_registration;
mod django_resource;
mod dpop_nonces;
mod encryption;
mod fapi;
mod grants_elsewhere;
mod hybrid;
mod library;
mod logout;
mod mailbox;
mod mutual_tls;
mod oidc_provider;
mod registration;
mod rotation;
mod server_process;
mod web;
