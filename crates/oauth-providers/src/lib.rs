//! OAuth providers as data.
//!
//! A provider is a TOML file: endpoints, client authentication, scopes, limits, quirks, and where
//! each fact comes from. Fourteen files are built in; a file of your own, in the same format, is
//! read by [`Provider::from_toml`]. No code here knows any provider's name.
//!
//! ```
//! use oauth_core::{ClientId, Secret};
//! use oauth_providers::{TokenFor, provider};
//!
//! // A tenant is a typed variable: what is not one label of a host name is refused.
//! let uservoice = provider("uservoice")?;
//! assert!(uservoice.clone().with("subdomain", "evil.example/").is_err());
//! let client = uservoice
//!     .with("subdomain", "acme")?
//!     .client(ClientId::new("key"), Some(Secret::from("secret")))?;
//! assert_eq!(client.server().issuer().as_str(), "https://acme.uservoice.com");
//! assert_eq!(client.auth().name(), "client_secret_post");
//!
//! let socios = provider("socios")?;
//! assert_eq!(socios.token_for("/wallet/1.0.0/user/wallet")?, TokenFor::User);
//! assert_eq!(socios.access_token_lifetime(), Some(86_400));
//! # Ok::<(), oauth_core::Error>(())
//! ```
//!
//! # A file of your own
//!
//! ```
//! use oauth_providers::Provider;
//!
//! let acme = Provider::from_toml(
//!     r#"
//!     name = "acme"
//!     title = "Acme"
//!     issuer = "https://{tenant}.login.acme.example"
//!     client_auth = "basic"       # or "post"; "none" where no client has a secret
//!     public_clients = true
//!     grants = ["authorization_code", "refresh_token"]
//!     quirks = ["assume_bearer"]  # names of oauth_core::quirk::Quirk
//!     api = ["https://api.acme.example/v1/"]
//!
//!     [variables.tenant]
//!     type = "dns_label"          # issuer_id, guid, host, path_segment, tenant
//!     description = "the tenant"
//!     example = "staff"
//!
//!     [endpoints]                 # members of RFC 8414; {issuer} stands for the issuer
//!     authorization_endpoint = "{issuer}/authorize"
//!     token_endpoint = "{issuer}/token"
//!     "#,
//! )?;
//! let server = acme.with("tenant", "staff")?.server()?;
//! assert_eq!(server.issuer().as_str(), "https://staff.login.acme.example");
//! # Ok::<(), oauth_core::Error>(())
//! ```
//!
//! Everything else is optional; the files of this crate's `providers` folder use all of it.

#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod facts;
mod file;
mod provider;
mod template;
mod variable;

use oauth_core::Error;
use oauth_core::error::Misuse;

pub use facts::{Allowance, Discovery, Documented, RateLimit, ResetUnit, Source, TokenFor};
pub use provider::{Choices, Provider};
pub use variable::{Variable, VariableKind};

/// A built-in provider.
///
/// # Errors
/// `provider.unknown`, naming those that are spelled alike, or else all.
pub fn provider(name: &str) -> Result<Provider, Error> {
    match BUILT_IN.iter().find(|(known, _)| *known == name) {
        Some((_, text)) => Provider::from_toml(text),
        None => Err(Error::from(Misuse::ProviderUnknown).about(&suggestion(name))),
    }
}

/// The names of the built-in providers.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// What was asked for, and what may have been meant.
fn suggestion(asked: &str) -> String {
    let asked: String = asked.to_ascii_lowercase().chars().take(40).collect();
    let is_near = |name: &&str| {
        let is_part = asked.len() > 2 && (name.contains(&asked) || asked.contains(*name));
        is_part || edits(&asked, name) <= 2
    };
    let mut meant: Vec<&str> = names().filter(is_near).collect();
    if meant.is_empty() {
        meant = names().collect();
    }
    format!("`{asked}`; there is {}", meant.join(", "))
}

/// How many letters to put in, take out or change to make one text of the other (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (start, a) in from.chars().enumerate() {
        let mut next = vec![start + 1];
        for (b, costs) in to.chars().zip(row.windows(2)) {
            if let (&[diagonal, above], Some(&left)) = (costs, next.last()) {
                next.push(
                    (diagonal + usize::from(a != b))
                        .min(above + 1)
                        .min(left + 1),
                );
            }
        }
        row = next;
    }
    row.last().copied().unwrap_or_default()
}

macro_rules! built_in {
    ($($name:literal)*) => {
        &[$(($name, include_str!(concat!("../providers/", $name, ".toml")))),*]
    };
}

const BUILT_IN: &[(&str, &str)] = built_in! {
    "uservoice"
    "usertesting"
    "usertesting-apps"
    "socios"
    "google"
    "github"
    "microsoft-entra"
    "gitlab"
    "okta"
    "auth0"
    "keycloak"
    "slack"
    "withings"
    "salesforce"
};
