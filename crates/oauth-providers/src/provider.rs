//! [`Provider`]: a preset, from which a server and a client are built.

mod known;

use std::collections::BTreeMap;

use oauth_core::error::{Kind, Misuse};
use oauth_core::flow::resource::{Api, ExpiredTokenReply, RateLimiter, ResetField, Resource};
use oauth_core::issuer::Issuer;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::self_renewal::SelfRenewal;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::url::{Transport, Url};
use oauth_core::{Client, ClientAuth, ClientId, Error, Secret, danger};

use serde_json::Value;

use crate::facts::{Documented, IdentityEndpoint, Method};
use crate::file::{self, File, ISSUER, RenewalMethod, at_member};
use crate::template::{Template, with_base};
use crate::variable::Variable;

/// What is known about one provider: built in, or read from your own file.
///
/// Set its variables, then turn it into a [`Server`] or a [`Client`].
#[derive(Debug, Clone)]
pub struct Provider {
    file: File,
    scopes: Vec<Documented>,
    chosen: BTreeMap<String, String>,
    /// The quirks of the options that were turned on.
    opted: Vec<Quirk>,
    /// The origin to which all URLs are moved, for tests.
    loopback: Option<String>,
}

/// What users choose for a provider, in hosts, files and command lines.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// The values of [variables](Provider::variables), by name.
    pub variables: BTreeMap<String, String>,
    /// [Options](Provider::options) that are turned on.
    pub options: Vec<String>,
    /// The base to which all URLs are moved, for tests.
    pub loopback: Option<String>,
}

impl Provider {
    /// Reads a provider file. The built-in files are written in the same format.
    ///
    /// # Errors
    /// `provider.data`, naming the member.
    pub fn from_toml(text: &str) -> Result<Self, Error> {
        let file = File::parse(text)?;
        let scopes = file.scopes.iter().map(|(name, description)| Documented {
            name: name.clone(),
            description: description.clone(),
        });
        let provider = Self {
            scopes: scopes.collect(),
            file,
            chosen: BTreeMap::new(),
            opted: Vec::new(),
            loopback: None,
        };
        provider.try_examples()?;
        Ok(provider)
    }

    /// Fills every URL with examples, so that an invalid file fails when it is read, not when a user is waiting to log
    /// in.
    fn try_examples(&self) -> Result<(), Error> {
        let mut filled = self.clone();
        for variable in self.variables() {
            let (name, example) = (variable.name.clone(), variable.example.clone());
            filled.chosen.insert(name, example);
        }
        filled.issuer().map_err(|error| at_member(ISSUER, &error))?;
        filled
            .server()
            .map_err(|error| at_member("endpoints", &error))?;
        filled
            .identity()
            .map_err(|error| at_member("identity.url", &error))?;
        match filled.api() {
            Err(error) if matches!(error.kind(), Kind::Misuse(Misuse::ProviderData)) => Err(error),
            api => api.map(drop).map_err(|error| at_member("api", &error)),
        }
    }

    /// Gives a variable its value, in the normal form of its type (a host in lower case).
    ///
    /// # Errors
    /// `provider.variable` for an unknown name, or a value of the wrong type.
    pub fn with(mut self, variable: &str, value: &str) -> Result<Self, Error> {
        let Some(variable_file) = self.file.variables.get(variable) else {
            return Err(unknown("variable", variable, self.file.variables.keys()));
        };
        let Some(value) = variable_file.read(value) else {
            let (kind, form) = (variable_file.kind.as_str(), variable_file.kind.form());
            let detail = format!("{variable}: not a {kind}: {form}");
            return Err(Error::from(Misuse::ProviderVariable).about(&detail));
        };
        self.chosen.insert(variable.to_owned(), value);
        Ok(self)
    }

    /// Moves issuer, endpoints and API, with their paths, to `base`, for tests, such as
    /// `http://127.0.0.1:1234`.
    ///
    /// # Errors
    /// `url.syntax`; `url.insecure` for anything but a loopback address, including a host name.
    pub fn on_loopback(mut self, base: &str) -> Result<Self, Error> {
        let url = Url::parse(base)?;
        if !url.is_loopback() {
            return Err(Error::from(Misuse::InsecureTransport).about(&url.origin()));
        }
        if !matches!(url.path_and_query(), "" | "/") {
            return Err(Error::from(Misuse::UrlSyntax).about("a base has neither path nor query"));
        }
        self.loopback = Some(url.origin());
        Ok(self)
    }

    /// Applies all choices: [`with`](Self::with), [`option`](Self::option) and
    /// [`on_loopback`](Self::on_loopback) in one.
    ///
    /// # Errors
    /// The errors of the three methods.
    pub fn with_choices(mut self, choices: &Choices) -> Result<Self, Error> {
        for (name, value) in &choices.variables {
            self = self.with(name, value)?;
        }
        for name in &choices.options {
            self = self.option(name)?;
        }
        match &choices.loopback {
            Some(base) => self.on_loopback(base),
            None => Ok(self),
        }
    }

    /// Turns on a documented option, see [`Self::options`].
    ///
    /// # Errors
    /// `provider.variable`, naming it.
    pub fn option(mut self, name: &str) -> Result<Self, Error> {
        let Some(switch) = self.file.options.get(name) else {
            return Err(unknown("option", name, self.file.options.keys()));
        };
        self.opted.extend(switch.quirks.iter().cloned());
        Ok(self)
    }

    /// The issuer of the server.
    ///
    /// # Errors
    /// `provider.variable`, naming a variable that has neither value nor default; `issuer.*`.
    pub fn issuer(&self) -> Result<Issuer, Error> {
        let text = self.fill(&self.file.issuer)?;
        match self.loopback {
            Some(_) => danger::loopback_issuer(&text),
            None => Issuer::parse(&text),
        }
    }

    /// The server with all its endpoints, its metadata, and its quirks.
    ///
    /// # Errors
    /// `provider.variable`, `issuer.*`, `metadata.endpoint_*`.
    pub fn server(&self) -> Result<Server, Error> {
        let issuer = self.issuer()?;
        let mut metadata = self.file.metadata.clone();
        metadata.insert(ISSUER.to_owned(), issuer.as_str().into());
        // No list of grants would be read as "code and implicit" (RFC 8414 section 2).
        let grants = metadata.entry("grant_types_supported");
        let extension_grants = self.file.extension_grants()?;
        let own_types = extension_grants
            .iter()
            .map(|grant| grant.grant_type().to_owned());
        let offered = self.file.grants.iter().cloned().chain(own_types);
        grants.or_insert_with(|| offered.collect::<Vec<_>>().into());
        let rules = Rules {
            quirks: self.quirks(),
            ..Rules::default()
        };
        let mut server = Server::new(issuer).with_rules(rules);
        if self.loopback.is_some() {
            server = danger::loopback_server(server);
        }
        for &kind in EndpointKind::ALL {
            if let Some(template) = self.file.endpoints.get(kind.member()) {
                let url = self.fill(template)?;
                server = server.with_endpoint(kind, &url)?;
                metadata.insert(kind.member().to_owned(), url.into());
            }
        }
        if let Some(requirements) = self.file.assertion_requirements()? {
            server = server.with_assertion_requirements(requirements);
        }
        Ok(server
            .with_renewals(self.renewals()?)
            .with_extension_grants(extension_grants)
            .with_metadata(metadata))
    }

    /// How the provider's tokens are renewed, if not by refresh tokens.
    fn renewals(&self) -> Result<Vec<SelfRenewal>, Error> {
        let read = |one: &file::SelfRenewal| {
            let url = self.url(&one.endpoint)?;
            let mut renewal = SelfRenewal::new(url, &one.grant_type, &one.token_parameter);
            if one.method == RenewalMethod::Post {
                renewal = renewal.with_post();
            }
            if one.authenticated {
                renewal = renewal.with_client_auth();
            }
            if let Some(seconds) = one.shorter_than {
                renewal = renewal.with_lifetime_below(seconds);
            }
            Ok(renewal.after(one.earliest_age))
        };
        self.file.renewals.iter().map(read).collect()
    }

    /// The roots of the provider's API, including paths.
    ///
    /// # Errors
    /// `provider.variable`; `url.*` for a value that makes the URL invalid.
    pub fn api_roots(&self) -> Result<Vec<Url>, Error> {
        let api = self.file.api.iter();
        api.map(|template| self.url(template)).collect()
    }

    /// The endpoint that identifies a user, if the provider does not support OpenID Connect and documents one.
    ///
    /// # Errors
    /// The errors of [`Self::api_roots`].
    pub fn identity(&self) -> Result<Option<IdentityEndpoint>, Error> {
        let Some(identity) = &self.file.identity else {
            return Ok(None);
        };
        let url = self.url(&identity.url)?;
        let claims = [
            ("name", &identity.name),
            ("preferred_username", &identity.preferred_username),
            ("email", &identity.email),
            ("picture", &identity.picture),
        ];
        let claims = claims
            .into_iter()
            .filter_map(|(claim, member)| Some((claim.to_owned(), member.clone()?)));
        Ok(Some(IdentityEndpoint {
            url,
            subject: identity.subject.clone(),
            claims: claims.collect(),
        }))
    }

    /// The origins of the provider's API, each once: its tokens may be sent only there.
    ///
    /// # Errors
    /// The errors of [`Self::api_roots`].
    pub fn api_origins(&self) -> Result<Vec<String>, Error> {
        let mut origins = Vec::new();
        for root in self.api_roots()? {
            let origin = root.origin();
            if !origins.contains(&origin) {
                origins.push(origin);
            }
        }
        Ok(origins)
    }

    /// The provider's API: where tokens may be sent, whose token each route needs, and how it reports that it is called
    /// too often. The documented allowance applies only on request, by [`Api::keeping`] and [`Self::rate_limit`].
    ///
    /// # Errors
    /// The errors of [`Self::api_roots`]; `provider.data` for an invalid reset header.
    pub fn api(&self) -> Result<Api, Error> {
        let origins = self.api_origins()?;
        let origins = origins.iter().map(String::as_str);
        let resource = match self.loopback {
            Some(_) => danger::loopback_resource(origins)?,
            None => Resource::new(origins)?,
        };
        let api = Api::new(resource).with_routes(self.routes());
        let wrong = |error: Error| at_member("expired_token_replies", &error);
        let api = api
            .with_expired_token_replies(self.expired_token_replies()?)
            .map_err(wrong)?;
        let Some(limit) = self.rate_limit() else {
            return Ok(api);
        };
        let name = limit.reset_header.parse().map_err(|_| {
            let detail = format!("rate_limit.reset_header: `{}`", limit.reset_header);
            Error::from(Misuse::ProviderData).about(&detail)
        })?;
        let reset = ResetField::new(name, limit.reset_unit);
        Ok(api.with_limiter(RateLimiter::new(reset)))
    }

    /// How the API reports an expired token, in addition to RFC 6750.
    ///
    /// # Errors
    /// `provider.data`.
    pub fn expired_token_replies(&self) -> Result<Vec<ExpiredTokenReply>, Error> {
        let rules = Value::Array(self.file.expired_token_replies.clone()).to_string();
        ExpiredTokenReply::from_json(&rules)
            .map_err(|error| at_member("expired_token_replies", &error))
    }

    /// The documented authentication method; without a secret, a public client.
    ///
    /// # Errors
    /// `client_auth.required` if the provider has no public clients,
    /// `client_auth.secret_not_allowed` if it has only public clients.
    pub fn client_auth(&self, secret: Option<Secret<String>>) -> Result<ClientAuth, Error> {
        let misuse = |misuse: Misuse| Err(Error::from(misuse).about(self.title()));
        match (self.file.client_auth, secret) {
            (Method::Post, Some(secret)) => Ok(ClientAuth::post(secret)),
            (Method::Basic, Some(secret)) => Ok(ClientAuth::basic(secret)),
            (Method::None, Some(_)) => misuse(Misuse::SecretNotAllowed),
            (_, None) if self.file.public_clients => Ok(ClientAuth::none()),
            (_, None) => misuse(Misuse::SecretMissing),
        }
    }

    /// A client of this provider.
    ///
    /// If registered redirect URIs are required, it has none at first, and refuses every authorization until
    /// [`Client::with_redirect_uris`] sets them.
    ///
    /// # Errors
    /// The errors of [`Self::server`] and [`Self::client_auth`]; `client_auth.colon_in_raw_id`.
    pub fn client(&self, id: ClientId, secret: Option<Secret<String>>) -> Result<Client, Error> {
        let client = Client::new(self.server()?, id, self.client_auth(secret)?)?;
        Ok(if self.requires_registered_redirect_uris() {
            client.with_redirect_uris([])
        } else {
            client
        })
    }

    /// The value of a variable: the one given, else its default.
    fn value(&self, variable: &Variable) -> Option<String> {
        let chosen = self.chosen.get(&variable.name);
        chosen.or(variable.default.as_ref()).cloned()
    }

    /// The URL of a template, of a scheme that may be used.
    fn url(&self, template: &Template) -> Result<Url, Error> {
        let transport = match self.loopback {
            Some(_) => Transport::LoopbackHttp,
            None => Transport::Https,
        };
        let url = Url::parse(&self.fill(template)?)?;
        url.require(transport).map(|()| url)
    }

    fn fill(&self, template: &Template) -> Result<String, Error> {
        let url = template.fill(|name| match self.file.variables.get(name) {
            Some(variable) => self.value(variable).ok_or_else(|| {
                let detail = format!("{name} is missing: {}", variable.description);
                Error::from(Misuse::ProviderVariable).about(&detail)
            }),
            None => self.fill(&self.file.issuer),
        })?;
        Ok(match &self.loopback {
            Some(base) => with_base(&url, base),
            None => url,
        })
    }

    /// All quirks that apply: the file's, those of variables' values, those of options.
    fn quirks(&self) -> Vec<Quirk> {
        let mut quirks = self.file.quirks.clone();
        for variable in self.variables() {
            let of_value = |value| variable.quirks_of_values.get(&value);
            quirks.extend(
                self.value(variable)
                    .and_then(of_value)
                    .into_iter()
                    .flatten()
                    .cloned(),
            );
        }
        for quirk in &self.opted {
            if !quirks.contains(quirk) {
                quirks.push(quirk.clone());
            }
        }
        if let Some(base) = &self.loopback {
            for quirk in &mut quirks {
                if let Quirk::TenantIssuer(template) = quirk {
                    *template = with_base(template, base);
                }
            }
        }
        quirks
    }
}

fn unknown<'a>(kind: &str, name: &str, names: impl Iterator<Item = &'a String>) -> Error {
    let names: Vec<&str> = names.map(String::as_str).collect();
    let name: String = name.chars().take(40).collect();
    let detail = match names.as_slice() {
        [] => format!("no {kind} `{name}`: there is none"),
        _ => format!("no {kind} `{name}`: there is {}", names.join(", ")),
    };
    Error::from(Misuse::ProviderVariable).about(&detail)
}
