//! The security profile that is enforced for a client: `--profile-rules`, and `profile_rules` of a profile.

use clap::ValueEnum;
use oauth_core::{Client, SecurityProfile};
use serde::{Deserialize, Serialize};

/// A security profile, by its name in every language.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize, Serialize)]
#[value(rename_all = "snake_case")]
#[serde(rename_all = "snake_case")]
pub(crate) enum ProfileRules {
    /// OAuth 2.1, with pushed authorization requests if the server supports them
    Oauth21,
    /// OAuth 2.1, with strict parsing of responses
    Strict,
    /// FAPI 2.0 Security Profile
    Fapi2Security,
    /// FAPI 2.0 Message Signing
    Fapi2MessageSigning,
}

impl ProfileRules {
    pub(crate) fn apply(self, client: Client) -> Client {
        client.with_profile(match self {
            Self::Oauth21 => SecurityProfile::Oauth21,
            Self::Strict => SecurityProfile::Strict,
            Self::Fapi2Security => SecurityProfile::Fapi2Security,
            Self::Fapi2MessageSigning => SecurityProfile::Fapi2MessageSigning,
        })
    }
}
