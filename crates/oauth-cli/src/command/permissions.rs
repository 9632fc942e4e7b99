//! The permissions of a login (`authorization_details`, RFC 9396): those that were granted, and those that were requested
//! and are missing.

use oauth_core::Tokens;
use oauth_core::authorization_details::{AuthorizationDetail, AuthorizationDetails};
use oauth_core::grant::TokenRequest;
use serde_json::{Map, Value};

use crate::output::{Failure, Output, printable};

const PARAMETER: &str = "authorization_details";

/// The requested permissions, by parameters of the authorization request or of the token request.
pub(super) fn requested(
    parameters: &[(String, String)],
    token_request: &TokenRequest,
) -> Result<AuthorizationDetails, Failure> {
    let of_the_token = token_request
        .values_of(PARAMETER)
        .map(|text| text.expose().as_str());
    let parameters = parameters.iter().filter(|(name, _)| name == PARAMETER);
    let texts = parameters.map(|(_, value)| value.as_str());
    let mut details = Vec::new();
    for text in texts.chain(of_the_token) {
        details.extend(AuthorizationDetails::parse(text)?.iter().cloned());
    }
    Ok(details.into_iter().collect())
}

/// The permissions of a login.
pub(super) struct Permissions {
    granted: AuthorizationDetails,
    missing: AuthorizationDetails,
}

impl Permissions {
    /// Compares what was granted with what was requested. A response that is malformed here grants nothing.
    pub(super) fn from_tokens(tokens: &Tokens, requested: &AuthorizationDetails) -> Self {
        let granted = tokens.authorization_details().ok().flatten();
        let granted = granted.unwrap_or_default();
        let missing = requested.missing_from(&granted).cloned().collect();
        Self { granted, missing }
    }

    /// Prints one note for each.
    pub(super) fn print(&self, output: Output) {
        for detail in self.granted.iter() {
            output.note(format_args!("granted: {}", one_line(detail)));
        }
        for detail in self.missing.iter() {
            output.note(format_args!("warning: not granted: {}", one_line(detail)));
        }
    }

    /// Adds them to a record for programs, if there are any.
    pub(super) fn record(&self, members: &mut Map<String, Value>) {
        if self.granted.is_empty() && self.missing.is_empty() {
            return;
        }
        for (name, list) in [
            (PARAMETER, &self.granted),
            ("missing_authorization_details", &self.missing),
        ] {
            let list = serde_json::from_str(&list.to_json()).unwrap_or_default();
            members.insert(name.to_owned(), list);
        }
    }
}

/// In JSON, without what would confuse a terminal.
fn one_line(detail: &AuthorizationDetail) -> String {
    let alone = AuthorizationDetails::from_iter([detail.clone()]).to_json();
    printable(alone.trim_start_matches('[').trim_end_matches(']'))
}
