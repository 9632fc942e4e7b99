//! `[extension_grants.NAME]` in a provider file: grants that no standard defines (RFC 6749 section 4.5).

use std::collections::BTreeMap;

use oauth_core::Error;
use oauth_core::grant::{
    ExtensionGrantClient, ExtensionGrantDefinition, ExtensionGrantParameter, ExtensionGrantRefresh,
};
use serde::Deserialize;

use super::{File, at_member, is_name};
use crate::template::provider_data_error;

/// The description of one grant.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Description {
    grant_type: String,
    #[serde(default)]
    client_auth: ClientUse,
    /// Whether tokens are renewed with a refresh token from the response.
    #[serde(default = "default_true")]
    refresh_token: bool,
    /// Parameters that are always sent.
    #[serde(default)]
    fixed: BTreeMap<String, String>,
    /// The parameters that the caller provides.
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ClientUse {
    #[default]
    Any,
    Required,
    None,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "members of a file, each on its own"
)]
struct Parameter {
    /// The description, for display.
    #[serde(default)]
    #[allow(dead_code, reason = "documents the format of the file")]
    description: String,
    #[serde(default = "default_true")]
    required: bool,
    #[serde(default)]
    secret: bool,
    #[serde(default)]
    repeated: bool,
}

const fn default_true() -> bool {
    true
}

impl File {
    /// The provider's extension grants.
    ///
    /// # Errors
    /// `provider.data`, naming the member.
    pub(crate) fn extension_grants(&self) -> Result<Vec<ExtensionGrantDefinition>, Error> {
        let read = |(name, description): (&String, &Description)| {
            if !is_name(name, b'_') {
                return Err(provider_data_error(&format!(
                    "extension_grants.{name}: not a name for a grant"
                )));
            }
            let with_name = |error: Error| at_member(&format!("extension_grants.{name}"), &error);
            description.read(name).map_err(with_name)
        };
        self.extension_grants.iter().map(read).collect()
    }
}

impl Description {
    fn read(&self, name: &str) -> Result<ExtensionGrantDefinition, Error> {
        let grant = ExtensionGrantDefinition::new(name, &self.grant_type)?
            .client(match self.client_auth {
                ClientUse::Any => ExtensionGrantClient::Any,
                ClientUse::Required => ExtensionGrantClient::Authenticated,
                ClientUse::None => ExtensionGrantClient::Unnamed,
            })
            .refresh_token(if self.refresh_token {
                ExtensionGrantRefresh::Kept
            } else {
                ExtensionGrantRefresh::Dropped
            });
        let mut fixed = self.fixed.iter();
        let grant = fixed.try_fold(grant, |grant, (name, value)| grant.fixed(name, value))?;
        let mut parameters = self.parameters.iter();
        parameters.try_fold(grant, |grant, (name, description)| {
            grant.parameter(description.read(name))
        })
    }
}

impl Parameter {
    fn read(&self, name: &str) -> ExtensionGrantParameter {
        let mut parameter = ExtensionGrantParameter::new(name);
        if !self.required {
            parameter = parameter.optional();
        }
        if self.secret {
            parameter = parameter.secret();
        }
        if self.repeated {
            parameter = parameter.repeated();
        }
        parameter
    }
}
