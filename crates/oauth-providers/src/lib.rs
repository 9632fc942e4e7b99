#![doc = include_str!("../README.md")]
#![deny(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

mod facts;
mod file;
mod provider;
mod service_account;
mod settings;
mod template;
mod variable;
mod workload;

use oauth_core::Error;
use oauth_core::error::Misuse;

pub use facts::{
    Allowance, Discovery, Documented, IdentityEndpoint, RateLimit, ResetUnit, Source, TokenOwner,
};
pub use provider::{Choices, Provider};
pub use service_account::ServiceAccount;
pub use settings::{ClientSettings, KeyText, ServerSettings};
pub use variable::{Variable, VariableKind};
pub use workload::{Platform, Workload};

/// The built-in provider of this name.
///
/// # Errors
/// `provider.unknown`, with similar names, or else with as many names as fit.
pub fn provider(name: &str) -> Result<Provider, Error> {
    match BUILT_IN
        .iter()
        .find(|(provider_name, _)| *provider_name == name)
    {
        Some((_, text)) => Provider::from_toml(text),
        None => Err(Error::from(Misuse::ProviderUnknown).about(&suggestion(name))),
    }
}

/// The names of the built-in providers.
pub fn names() -> impl Iterator<Item = &'static str> {
    BUILT_IN.iter().map(|(name, _)| *name)
}

/// The unknown name, and similar names that exist.
fn suggestion(requested: &str) -> String {
    let requested: String = requested.chars().take(40).collect();
    let lower = requested.to_ascii_lowercase();
    if names().any(|name| name == lower) {
        return format!("`{requested}`; did you mean {lower}?");
    }
    let is_near = |name: &&str| {
        let is_part = lower.len() > 2 && (name.contains(&lower) || lower.contains(*name));
        is_part || edit_distance(&lower, name) <= 2
    };
    let similar_names: Vec<&str> = names().filter(is_near).collect();
    if similar_names.is_empty() {
        return fitting_names(&requested);
    }
    format!(
        "`{requested}`; did you mean {}?",
        similar_names.join(" or ")
    )
}

/// As many names as fit into a detail (200 characters), and how many more there are.
fn fitting_names(requested: &str) -> String {
    const MAX_NAMES_LENGTH: usize = 200 - ", and 00 more".len();
    let mut shown = format!("`{requested}`; the known ones are");
    let mut separator = " ";
    let mut rest = names().peekable();
    while let Some(name) = rest
        .next_if(|name| shown.chars().count() + separator.len() + name.len() <= MAX_NAMES_LENGTH)
    {
        shown.push_str(separator);
        shown.push_str(name);
        separator = ", ";
    }
    match rest.count() {
        0 => shown,
        remaining => format!("{shown}, and {remaining} more"),
    }
}

/// The number of insertions, deletions and substitutions between two strings (Levenshtein distance).
fn edit_distance(from: &str, to: &str) -> usize {
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
    "apple"
    "microsoft-entra-b2c"
    "cognito"
    "linkedin"
    "slack-signin"
    "paypal"
    "twitch"
    "line"
    "django-oauth-toolkit"
    "box"
    "docusign"
    "docusign-demo"
    "facebook"
    "instagram"
    "threads"
};
