//! The settings of an identity provider, as plain data.

use oauth_core::Client;
use oauth_core::error::Error;
use oauth_core::scope::Scope;
use oauth_core::url::Url;
use serde::Deserialize;

use super::{SettingError, Shape, span};
use crate::identity_endpoint::IdentityEndpoint;
use crate::provider::Provider;
use crate::response_mode::ResponseMode;
use crate::userinfo::Userinfo;

/// The settings of a [`Provider`]; absent ones have their defaults.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ProviderSettings {
    /// [`Provider::id`]
    pub id: String,
    /// [`Provider::title`]
    pub title: Option<String>,
    /// [`Provider::scope`]: names separated by spaces. By default `openid profile email`, or none with an identity endpoint.
    pub scope: Option<String>,
    /// [`Provider::identity`]
    pub identity: Option<IdentitySettings>,
    /// [`Provider::parameters`]
    pub parameters: Vec<(String, String)>,
    /// [`Provider::callback`]
    pub callback: Option<String>,
    /// [`Provider::response_mode`]: `query`, `form_post`, `jwt`, `query.jwt` or `form_post.jwt`.
    pub response_mode: Option<String>,
    /// [`Provider::tenant`]
    pub tenant: Option<String>,
    /// [`Provider::registered`]: issuer and client id.
    pub registered: Option<(String, String)>,
    /// [`Provider::userinfo`]: `never` or `when_missing`.
    pub userinfo: Option<String>,
    /// [`Provider::logout_max_age_without_expiry`], in seconds.
    pub logout_max_age_without_expiry: Option<f64>,
}

/// The settings of an [`IdentityEndpoint`].
#[derive(Debug, Clone, Default, Deserialize)]
pub struct IdentitySettings {
    /// [`IdentityEndpoint::url`]
    pub url: String,
    /// [`IdentityEndpoint::subject`]
    pub subject: String,
    /// [`IdentityEndpoint::claims`]
    #[serde(default)]
    pub claims: Vec<(String, String)>,
}

impl ProviderSettings {
    /// The provider, with its client if that is known.
    ///
    /// # Errors
    /// `SettingError::Value` for an unknown word or an invalid time span; `scope.*`, `url.*`
    pub fn provider(self, client: Option<Client>) -> Result<Provider, SettingError> {
        let response_mode = match self.response_mode.as_deref() {
            None => ResponseMode::default(),
            Some(name) => ResponseMode::from_name(name).ok_or_else(|| unknown_mode(name))?,
        };
        let userinfo = match self.userinfo.as_deref() {
            None => Userinfo::default(),
            Some(name) => Userinfo::from_name(name).ok_or_else(|| {
                let words: Vec<_> = Userinfo::ALL.iter().map(|value| value.as_str()).collect();
                mismatch("userinfo", &one_of(&words))
            })?,
        };
        let logout_max_age_without_expiry =
            match self.logout_max_age_without_expiry {
                None => None,
                Some(seconds) => Some(span(&seconds.into()).map_err(|_| {
                    mismatch("logout_max_age_without_expiry", &Shape::Span.expected())
                })?),
            };
        let provider = self.build_provider(client).map_err(SettingError::Refused)?;
        Ok(Provider {
            response_mode,
            userinfo,
            logout_max_age_without_expiry,
            ..provider
        })
    }

    fn build_provider(self, client: Option<Client>) -> Result<Provider, Error> {
        let mut provider = Provider::later(self.id)?;
        provider.client = client;
        let scope = match (self.scope, &self.identity) {
            (Some(scope), _) => scope,
            (None, Some(_)) => String::new(),
            (None, None) => "openid profile email".to_owned(),
        };
        provider.scope = Scope::parse(&scope)?;
        if let Some(title) = self.title {
            provider.title = title;
        }
        if let Some(identity_endpoint) = self.identity {
            let url = Url::parse(&identity_endpoint.url)?;
            let mut identity = IdentityEndpoint::new(url, identity_endpoint.subject);
            identity.claims = identity_endpoint.claims;
            provider.identity = Some(identity);
        }
        provider.parameters = self.parameters;
        provider.callback = self.callback;
        provider.tenant = self.tenant;
        provider.registered = self.registered;
        Ok(provider)
    }
}

fn unknown_mode(name: &str) -> SettingError {
    let words: Vec<_> = ResponseMode::ALL.iter().map(|mode| mode.as_str()).collect();
    let words = one_of(&words);
    let expected = match name {
        "fragment" | "fragment.jwt" => {
            format!("{words}: browsers do not send a fragment to servers")
        }
        _ => words,
    };
    mismatch("response_mode", &expected)
}

fn one_of(words: &[&str]) -> String {
    format!("one of \"{}\"", words.join("\", \""))
}

fn mismatch(name: &str, expected: &str) -> SettingError {
    SettingError::Type {
        name: name.to_owned(),
        expected: expected.to_owned(),
    }
}
