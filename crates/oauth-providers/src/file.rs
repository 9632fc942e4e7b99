//! The format of a provider file, and its validation.

mod extension_grants;
mod jwt_bearer;

use std::collections::{BTreeMap, BTreeSet};

use oauth_core::error::{Kind, Misuse};
use oauth_core::quirk::Quirk;
use oauth_core::server::EndpointKind;
use oauth_core::url::{Transport, Url};
use oauth_core::{Error, Scope};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::facts::{Discovery, Method, RateLimit, Source};
use crate::template::{Template, TemplatePosition, provider_data_error};
use crate::variable::Variable;

/// The name under which a template refers to the issuer.
pub(crate) const ISSUER: &str = "issuer";

/// One file, member for member. The error `provider.data` names the invalid member.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    pub(crate) name: String,
    pub(crate) title: String,
    #[serde(default)]
    pub(crate) documentation: Vec<String>,
    pub(crate) issuer: Template,
    #[serde(default)]
    pub(crate) discovery: Vec<Discovery>,
    pub(crate) client_auth: Method,
    #[serde(default)]
    pub(crate) public_clients: bool,
    pub(crate) grants: Vec<String>,
    #[serde(default)]
    pub(crate) quirks: Vec<Quirk>,
    #[serde(default)]
    pub(crate) api: Vec<Template>,
    #[serde(default)]
    pub(crate) default_scope: Scope,
    #[serde(default)]
    pub(crate) variables: BTreeMap<String, Variable>,
    #[serde(default)]
    pub(crate) endpoints: BTreeMap<String, Template>,
    #[serde(default)]
    pub(crate) metadata: Map<String, Value>,
    #[serde(default)]
    pub(crate) scopes: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) tokens: Tokens,
    #[serde(default)]
    pub(crate) callback: Callback,
    pub(crate) identity: Option<Identity>,
    pub(crate) rate_limit: Option<RateLimit>,
    #[serde(default)]
    pub(crate) renewals: Vec<SelfRenewal>,
    /// The rules for replies that report an expired token, in the form of
    /// [`oauth_core::flow::resource::ExpiredTokenReply::from_json`].
    #[serde(default)]
    pub(crate) expired_token_replies: Vec<Value>,
    #[serde(default)]
    pub(crate) authorization_parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) token_parameters: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) options: BTreeMap<String, ProviderOption>,
    #[serde(default)]
    pub(crate) extension_grants: BTreeMap<String, extension_grants::Description>,
    pub(crate) jwt_bearer: Option<jwt_bearer::Description>,
    #[serde(default)]
    pub(crate) token_route: TokenRoute,
    #[serde(default)]
    pub(crate) browser: Browser,
    #[serde(default, rename = "source")]
    pub(crate) sources: Vec<Source>,
}

/// `[tokens]`: lifetimes in seconds; absent means unknown.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tokens {
    pub(crate) access_token_lifetime: Option<u64>,
    pub(crate) refresh_token_lifetime: Option<u64>,
    #[serde(default)]
    pub(crate) rotates_refresh_token: bool,
    pub(crate) example_response: Option<String>,
}

/// `[[renewals]]`: how tokens are renewed with the access token itself, see [`oauth_core::self_renewal::SelfRenewal`].
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct SelfRenewal {
    pub(crate) endpoint: Template,
    #[serde(default)]
    pub(crate) method: RenewalMethod,
    pub(crate) grant_type: String,
    pub(crate) token_parameter: String,
    /// Whether the client's credentials are sent.
    #[serde(default)]
    pub(crate) authenticated: bool,
    /// Only for tokens with a lifetime of less than this, in seconds, or an unknown one.
    pub(crate) shorter_than: Option<u64>,
    /// Not for younger tokens than this, in seconds.
    #[serde(default)]
    pub(crate) earliest_age: u64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum RenewalMethod {
    #[default]
    Get,
    Post,
}

/// `[identity]`: the endpoint that identifies a user, and the members of its response for each claim.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Identity {
    pub(crate) url: Template,
    pub(crate) subject: String,
    pub(crate) name: Option<String>,
    pub(crate) preferred_username: Option<String>,
    pub(crate) email: Option<String>,
    pub(crate) picture: Option<String>,
}

/// `[callback]`: whether the caller must set the registered redirect URIs.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Callback {
    #[serde(default)]
    pub(crate) requires_registered_redirect_uris: bool,
}

/// `[options.NAME]`: a documented deviation that is off by default.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ProviderOption {
    pub(crate) description: String,
    pub(crate) quirks: Vec<Quirk>,
}

/// `[token_route]`: the path segments that make a route the user's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TokenRoute {
    pub(crate) user_segments: Vec<String>,
}

/// `[browser]`: whether a page may contain the client secret. Without this table, it must not.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Browser {
    pub(crate) client_secret: InBrowser,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum InBrowser {
    Refused,
    Allowed,
}

impl Default for Browser {
    fn default() -> Self {
        Self {
            client_secret: InBrowser::Refused,
            reason: "everyone who opens the page could read it".to_owned(),
        }
    }
}

impl File {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mut file: Self = toml::from_str(text).map_err(|error| with_line(text, &error))?;
        for (name, variable) in &mut file.variables {
            variable.name.clone_from(name);
        }
        file.check_words()?;
        file.check_variables()?;
        file.check_templates()?;
        file.extension_grants()?;
        file.assertion_requirements()?;
        Ok(file)
    }

    /// Every template with the name of its member.
    fn templates(&self) -> impl Iterator<Item = (String, &Template)> {
        let endpoints = self.endpoints.iter();
        let endpoints = endpoints.map(|(kind, url)| (format!("endpoints.{kind}"), url));
        let api = self.api.iter().map(|url| ("api".to_owned(), url));
        let renewals = self.renewals.iter();
        let renewals = renewals.map(|one| ("renewals.endpoint".to_owned(), &one.endpoint));
        let identity = self.identity.iter();
        let identity = identity.map(|one| ("identity.url".to_owned(), &one.url));
        let issuer = std::iter::once((ISSUER.to_owned(), &self.issuer));
        issuer
            .chain(endpoints)
            .chain(identity)
            .chain(renewals)
            .chain(api)
    }

    /// Whether a scope of OpenID Connect is documented.
    pub(crate) fn is_openid(&self) -> bool {
        self.scopes.contains_key("openid") || self.default_scope.contains("openid")
    }

    fn check_words(&self) -> Result<(), Error> {
        if !is_name(&self.name, b'-') {
            return Err(provider_data_error(
                "name: lower-case letters, digits and hyphens only",
            ));
        }
        for link in &self.documentation {
            let read = Url::parse(link).and_then(|url| url.require(Transport::Https));
            read.map_err(|_| provider_data_error("documentation: not an https URL"))?;
        }
        if self.client_auth == Method::None && !self.public_clients {
            return Err(provider_data_error(
                "public_clients: must be true where client_auth is none",
            ));
        }
        for kind in self.endpoints.keys() {
            if !EndpointKind::ALL
                .iter()
                .any(|endpoint| endpoint.member() == kind)
            {
                return Err(provider_data_error(&format!(
                    "endpoints.{kind}: no endpoint has this name"
                )));
            }
        }
        for member in self.metadata.keys() {
            let is_endpoint = EndpointKind::ALL.iter().any(|k| k.member() == member);
            if is_endpoint || member == ISSUER {
                return Err(provider_data_error(&format!(
                    "metadata.{member}: stands elsewhere in the file"
                )));
            }
        }
        for scope in self.scopes.keys() {
            let is_one = Scope::parse(scope).is_ok_and(|read| read.iter().eq([scope.as_str()]));
            if !is_one {
                return Err(provider_data_error(&format!(
                    "scopes.{scope}: not one scope"
                )));
            }
        }
        if self.identity.is_some() && self.is_openid() {
            return Err(provider_data_error(
                "identity: providers of OpenID Connect have none",
            ));
        }
        let segments = &self.token_route.user_segments;
        if segments
            .iter()
            .any(|s| s.is_empty() || s.contains(['/', '?', '#']))
        {
            return Err(provider_data_error(
                "token_route.user_segments: not a path segment",
            ));
        }
        let example = self.tokens.example_response.as_deref();
        if example.is_some_and(|json| serde_json::from_str::<Map<String, Value>>(json).is_err()) {
            return Err(provider_data_error(
                "tokens.example_response: not a JSON object",
            ));
        }
        Ok(())
    }

    fn check_variables(&self) -> Result<(), Error> {
        for (name, variable) in &self.variables {
            if !is_name(name, b'_') || name == ISSUER {
                return Err(provider_data_error(&format!(
                    "variables.{name}: not a name for a variable"
                )));
            }
            let present = [
                ("example", Some(&variable.example)),
                ("default", variable.default.as_ref()),
            ];
            let listed = variable.values.iter().map(|value| ("values", Some(value)));
            for (member, value) in present.into_iter().chain(listed) {
                // The normal form is required, so that the file contains exactly what will be sent.
                if value.is_some_and(|value| variable.read(value).as_ref() != Some(value)) {
                    let kind = variable.kind.as_str();
                    return Err(provider_data_error(&format!(
                        "variables.{name}.{member}: not a {kind}"
                    )));
                }
            }
            let mut with_quirks = variable.quirks_of_values.keys();
            if let Some(value) = with_quirks.find(|value| !variable.values.contains(value)) {
                let detail = format!("variables.{name}.quirks_of_values: {value} is not listed");
                return Err(provider_data_error(&detail));
            }
        }
        Ok(())
    }

    fn check_templates(&self) -> Result<(), Error> {
        let mut used = BTreeSet::new();
        for (member, template) in self.templates() {
            template
                .visit(|name, position| {
                    let expected_place = match self.variables.get(name) {
                        Some(variable) => variable.kind.position(),
                        None if name == ISSUER && member != ISSUER => TemplatePosition::Whole,
                        None => {
                            return Err(provider_data_error(&format!(
                                "no variable is called {name}"
                            )));
                        }
                    };
                    if position != expected_place {
                        return Err(provider_data_error(&format!(
                            "{name} cannot stand in this place"
                        )));
                    }
                    used.insert(name.to_owned());
                    Ok(())
                })
                .map_err(|error| at_member(&member, &error))?;
        }
        match self.variables.keys().find(|&name| !used.contains(name)) {
            Some(name) => Err(provider_data_error(&format!(
                "variables.{name}: no URL uses it"
            ))),
            None => Ok(()),
        }
    }
}

/// `error` with the member that it is about.
pub(crate) fn at_member(member: &str, error: &Error) -> Error {
    match (error.kind(), error.detail()) {
        (Kind::Misuse(Misuse::ProviderData), Some(detail)) => {
            provider_data_error(&format!("{member}: {detail}"))
        }
        _ => provider_data_error(&format!("{member}: {error}")),
    }
}

pub(crate) fn is_name(text: &str, also: u8) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == also;
    !text.is_empty() && text.bytes().all(is_plain)
}

/// The reader's error, with the line it points to: the message alone names an unknown member, but
/// not one of the wrong type.
fn with_line(text: &str, error: &toml::de::Error) -> Error {
    let message = error.message();
    let Some(before) = error.span().and_then(|span| text.get(..span.start)) else {
        return provider_data_error(message);
    };
    let number = before.matches('\n').count();
    let line = text.lines().nth(number).unwrap_or_default().trim();
    let line: String = line.chars().take(60).collect();
    provider_data_error(&format!("line {} `{line}`: {message}", number + 1))
}
