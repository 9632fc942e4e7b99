//! The scope, resources and audiences to request, from options and profiles.

use std::collections::BTreeMap;

use clap::Args;
use oauth_core::error::Error;
use oauth_core::grant::TokenRequest;
use serde::{Deserialize, Serialize};

use crate::profile::Profile;
use crate::setup::pair;

/// The options of commands that request tokens. Commands that send parameters to no other endpoint have `--param` as
/// an alias of `--token-param`.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TokenRequestArgs {
    /// Scope to request, as space-separated values
    #[arg(long)]
    pub(crate) scope: Option<String>,
    /// URI of a resource the token is for (RFC 8707); may be repeated [profile: `resource`]
    #[arg(long, value_name = "URI")]
    resource: Vec<String>,
    /// Audience the token is for, at servers with an `audience` parameter; may be repeated [profile:
    /// `audience`]
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// Provider-specific parameter of the token request; may be repeated [profile:
    /// `token_parameters`]
    #[arg(long = "token-param", value_name = "NAME=VALUE", value_parser = pair)]
    token_parameters: Vec<(String, String)>,
}

impl TokenRequestArgs {
    /// Takes the parameters, for a grant that has its own.
    pub(crate) fn take_parameters(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.token_parameters)
    }

    /// Stores the options in a profile.
    pub(crate) fn into_profile(self, profile: &mut Profile) {
        profile.scope = self.scope;
        profile.resource = self.resource;
        profile.audience = self.audience;
        let mut values_by_name = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in self.token_parameters {
            values_by_name.entry(name).or_default().push(value);
        }
        let several = |(name, values)| (name, Values::Several(values));
        profile.token_parameters = values_by_name.into_iter().map(several).collect();
    }
}

/// One value, or several.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged)]
pub(crate) enum Values {
    One(String),
    Several(Vec<String>),
}

impl Values {
    fn as_slice(&self) -> &[String] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Several(values) => values,
        }
    }
}

/// The defaults of a profile, apart from the scope.
pub(crate) struct ProfileDefaults<'a> {
    pub(crate) resource: &'a [String],
    pub(crate) audience: &'a [String],
    pub(crate) token_parameters: &'a BTreeMap<String, Values>,
}

impl ProfileDefaults<'_> {
    /// The parameters. Each kind comes from the command line, or else from the profile.
    pub(crate) fn parameters(&self, args: &TokenRequestArgs) -> Result<TokenRequest, Error> {
        let or = |from_args: &[String], usual: &[String]| {
            if from_args.is_empty() {
                usual.to_vec()
            } else {
                from_args.to_vec()
            }
        };
        let request = or(&args.resource, self.resource)
            .iter()
            .try_fold(TokenRequest::new(), |all, uri| all.resource(uri))?;
        let request = or(&args.audience, self.audience)
            .iter()
            .fold(request, |all, name| all.audience(name));
        if !args.token_parameters.is_empty() {
            let mut parameters = args.token_parameters.iter();
            return parameters.try_fold(request, |all, (name, value)| {
                all.extra(name.as_str(), value.clone())
            });
        }
        let mut defaults = self.token_parameters.iter();
        defaults.try_fold(request, |all, (name, values)| {
            let mut values = values.as_slice().iter();
            values.try_fold(all, |all, value| all.extra(name.as_str(), value.clone()))
        })
    }
}
