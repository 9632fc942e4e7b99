//! The scope, resources and audiences to request, from options and profiles.

use std::collections::BTreeMap;

use clap::Args;
use oauth_core::error::Error;
use oauth_core::grant::TokenRequest;
use serde::{Deserialize, Serialize};

use crate::profile::Profile;
use crate::setup::pair;

/// The options of commands that request tokens. Where no other endpoint can be meant, `--param` is a name for
/// `--token-param` too.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct TokenRequestArgs {
    /// What to ask for, names separated by spaces
    #[arg(long)]
    pub(crate) scope: Option<String>,
    /// A resource the token is for, an absolute URI (RFC 8707); may be given several times [profile:
    /// `resource`]
    #[arg(long, value_name = "URI")]
    resource: Vec<String>,
    /// An audience the token is for, as some servers name it; may be given several times [profile:
    /// `audience`]
    #[arg(long, value_name = "NAME")]
    audience: Vec<String>,
    /// A parameter of the provider's own for the token endpoint; may be given several times [profile:
    /// `token_parameters`]
    #[arg(long = "token-param", value_name = "NAME=VALUE", value_parser = pair)]
    token_parameters: Vec<(String, String)>,
}

impl TokenRequestArgs {
    /// Takes the parameters away, for a grant that has its own.
    pub(crate) fn take_parameters(&mut self) -> Vec<(String, String)> {
        std::mem::take(&mut self.token_parameters)
    }

    /// Notes all of it in a profile.
    pub(crate) fn into_profile(self, profile: &mut Profile) {
        profile.scope = self.scope;
        profile.resource = self.resource;
        profile.audience = self.audience;
        let mut all = BTreeMap::<String, Vec<String>>::new();
        for (name, value) in self.token_parameters {
            all.entry(name).or_default().push(value);
        }
        let several = |(name, values)| (name, Values::Several(values));
        profile.token_parameters = all.into_iter().map(several).collect();
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
    /// The parameters: of each kind those of the command line, or else those of the profile.
    pub(crate) fn parameters(&self, said: &TokenRequestArgs) -> Result<TokenRequest, Error> {
        let or = |said: &[String], usual: &[String]| match said.is_empty() {
            true => usual.to_vec(),
            false => said.to_vec(),
        };
        let all = or(&said.resource, self.resource)
            .iter()
            .try_fold(TokenRequest::new(), |all, uri| all.resource(uri))?;
        let all = or(&said.audience, self.audience)
            .iter()
            .fold(all, |all, name| all.audience(name));
        if !said.token_parameters.is_empty() {
            let mut said = said.token_parameters.iter();
            return said.try_fold(all, |all, (name, value)| {
                all.extra(name.as_str(), value.clone())
            });
        }
        let mut usual = self.token_parameters.iter();
        usual.try_fold(all, |all, (name, values)| {
            let mut values = values.as_slice().iter();
            values.try_fold(all, |all, value| all.extra(name.as_str(), value.clone()))
        })
    }
}
