//! The setup of a command: the server and the client, from options and a profile.

use std::path::PathBuf;

use clap::{Args, ValueHint};
use oauth_core::error::Error;
use oauth_core::issuer::Issuer;
use oauth_core::quirk::Rules;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, ClientId, Scope, Tokens, danger};
use oauth_providers::{Choices, Provider};
use oauth_reqwest::Transport;

use crate::Global;
use crate::credential::{Credential, CredentialArgs};
use crate::fixed_token;
use crate::key_file;
use crate::net::Net;
use crate::output::Failure;
use crate::profile::Profile;
use crate::profile_rules::ProfileRules;
use crate::token_request::TokenRequestArgs;
use crate::trace::Tracer;
use oauth_core::grant::TokenRequest;

/// The server and the client. A profile can contain the same settings.
#[derive(Debug, Clone, Args)]
pub(crate) struct ServerArgs {
    /// Use a built-in provider, such as uservoice or google
    #[arg(long, value_name = "NAME", help_heading = "Server", group = "server")]
    provider: Option<String>,
    /// Use the provider defined in this file
    #[arg(long, value_name = "FILE", help_heading = "Server", group = "server")]
    provider_file: Option<PathBuf>,
    /// Use the server with this issuer URL, whose endpoints are discovered
    #[arg(long, value_name = "URL", help_heading = "Server", group = "server")]
    issuer: Option<String>,
    /// Set a variable of the provider's URLs, such as subdomain=acme
    #[arg(long = "var", value_name = "NAME=VALUE", help_heading = "Server", value_parser = pair)]
    variables: Vec<(String, String)>,
    /// Enable an option of the provider
    #[arg(long = "option", value_name = "NAME", help_heading = "Server")]
    options: Vec<String>,
    /// Replace the base of all the provider's URLs with that of a local test server, such as `oauth serve`
    #[arg(long, value_name = "BASE", help_heading = "Server")]
    on_loopback: Option<String>,
    /// Allow plain http for loopback addresses
    #[arg(long, help_heading = "Server")]
    loopback_http: bool,
    /// Set an endpoint that the server's metadata lacks, such as `introspection=https://as.example/introspect`
    #[arg(long = "endpoint", value_name = "NAME=URL", help_heading = "Server", value_parser = pair)]
    endpoints: Vec<(String, String)>,
    /// Client ID
    #[arg(long, value_name = "ID", help_heading = "Client")]
    client_id: Option<String>,
    #[command(flatten)]
    credential: CredentialArgs,
    /// Redirect URI registered for the client; may be repeated. A login listens at a loopback one
    #[arg(long = "redirect-uri", value_name = "URI", help_heading = "Client")]
    redirect_uris: Vec<String>,
    /// Bind tokens to the private key in this file, PEM or JWK (DPoP, RFC 9449) [profile:
    /// `dpop_key_file`]
    #[arg(long, value_name = "FILE", help_heading = "Client", value_hint = ValueHint::FilePath)]
    dpop_key: Option<PathBuf>,
    /// Enforce a security profile: requests that it forbids fail before they are sent
    #[arg(long, value_name = "NAME", help_heading = "Client")]
    profile_rules: Option<ProfileRules>,
}

/// Reads `NAME=VALUE`.
pub(crate) fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("missing `=`")?;
    Ok((name.to_owned(), value.to_owned()))
}

/// The behaviour if no source of the secret is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SecretRequirement {
    /// Prompt for it: the request requires one.
    Secret,
    /// Continue without it, if the provider allows public clients.
    Optional,
}

/// The server and the client, to the extent known before any prompt or request.
pub(crate) struct ClientPlan {
    pub(crate) profile: Profile,
    pub(crate) provider: Option<Provider>,
    client_id: ClientId,
    credential: Credential,
    net: Net,
}

/// A client, ready to be used.
pub(crate) struct Setup {
    pub(crate) profile: Profile,
    pub(crate) client: Client,
    pub(crate) net: Net,
}

impl ClientPlan {
    /// Reads the profile, and overrides it with the command line.
    pub(crate) fn new(args: ServerArgs, global: &Global) -> Result<Self, Failure> {
        Self::for_profile(args.loaded(global)?, global)
    }

    /// The plan of a profile alone.
    pub(crate) fn for_profile(profile: Profile, global: &Global) -> Result<Self, Failure> {
        fixed_token::refuse(&profile)?;
        let provider = provider_of(&profile)?;
        if provider.is_none() && profile.issuer.is_none() {
            return Err(no_server());
        }
        // An API on this machine may be plain http, but a provider's own URLs are always https.
        if profile.loopback_http
            && profile.on_loopback.is_none()
            && provider.as_ref().is_some_and(is_here)
        {
            return Err(Failure::usage(
                "usage.loopback_http",
                "--loopback-http has no effect on a provider, whose URLs are always https",
                "to use a local server instead, pass --on-loopback BASE, such as http://127.0.0.1:8080",
            ));
        }
        for name in profile.endpoints.keys() {
            endpoint_kind(name)?;
        }
        let credential = Credential::from_profile(&profile)?;
        let net = net(&profile, global)?;
        let id = profile.client_id.clone().ok_or_else(|| {
            Failure::usage(
                "usage.client_id",
                "no client ID is given",
                "use --client-id, or set `client_id` in the profile",
            )
        })?;
        Ok(Self {
            profile,
            provider,
            client_id: ClientId::new(id),
            credential,
            net,
        })
    }

    /// The token request: from the command line, else from the profile, else the provider's default.
    pub(crate) fn token_request(&self, args: &TokenRequestArgs) -> Result<TokenRequest, Error> {
        Ok(self
            .profile
            .defaults()
            .parameters(args)?
            .scope(self.scope(args.scope.as_ref())?))
    }

    fn scope(&self, from_args: Option<&String>) -> Result<Scope, Error> {
        match from_args.or(self.profile.scope.as_ref()) {
            Some(text) => Scope::parse(text),
            None => Ok(self
                .provider
                .as_ref()
                .map(Provider::default_scope)
                .unwrap_or_default()),
        }
    }

    /// The issuer.
    pub(crate) fn issuer(&self) -> Result<String, Error> {
        let of_provider = |provider: &Provider| Ok(provider.issuer()?.as_str().to_owned());
        let profile_issuer = || self.profile.issuer.clone().unwrap_or_default();
        self.provider
            .as_ref()
            .map_or_else(|| Ok(profile_issuer()), of_provider)
    }

    /// The client id.
    pub(crate) fn client_id(&self) -> &str {
        self.client_id.as_str()
    }

    /// The client, with only what is needed to recognize its stored tokens: without a secret, and without fetching the
    /// issuer's metadata. It never sends anything.
    pub(crate) fn reader(&self) -> Result<Client, Failure> {
        let server = match (&self.provider, &self.profile.issuer) {
            (Some(provider), _) => with_endpoints(provider.server()?, &self.profile)?,
            (None, Some(issuer)) => {
                if self.profile.loopback_http {
                    danger::loopback_server(Server::new(danger::loopback_issuer(issuer)?))
                } else {
                    Server::new(Issuer::parse(issuer)?)
                }
            }
            (None, None) => return Err(no_server()),
        };
        let client = Client::new(server, self.client_id.clone(), ClientAuth::none())?;
        // The names of its grants say which key they are bound to.
        let client = with_dpop(client, &self.profile)?;
        // A stored token says itself whether it is bound to a certificate.
        Ok(match &self.net.certificate {
            Some(presented) => client.with_certificate(presented),
            None => client,
        })
    }

    /// Reads the secret or the key, and asks the issuer for its metadata if there is no provider. `reads_stdin` says
    /// whether the command reads something else from stdin.
    pub(crate) fn set_up(
        self,
        need: SecretRequirement,
        reads_stdin: bool,
    ) -> Result<Setup, Failure> {
        let Self {
            profile,
            provider,
            client_id,
            credential,
            net,
        } = self;
        let credential = credential.read(&profile, provider.as_ref(), need, reads_stdin)?;
        let server = match (&provider, &profile.issuer) {
            (None, Some(issuer)) => discover(&net, issuer, profile.loopback_http)?,
            (Some(provider), _) => provider.server()?,
            (None, None) => return Err(no_server()),
        };
        let server = with_endpoints(server, &profile)?;
        let auth = credential.client_auth(&profile, provider.as_ref(), &server)?;
        let client = Client::new(server, client_id, auth)?;
        let client = registered(client, &profile, provider.as_ref())?;
        let client = with_dpop(client, &profile)?;
        let client = match &net.certificate {
            Some(presented) => client.with_presented_certificate(presented),
            None => client,
        };
        let client = profile.registered.apply(client)?;
        let client = match profile.profile_rules {
            Some(rules) => rules.apply(client),
            None => client,
        };
        Ok(Setup {
            profile,
            client,
            net,
        })
    }
}

impl Setup {
    /// Requests a new token for the client itself.
    pub(crate) fn client_token(&self, token_request: TokenRequest) -> Result<Tokens, Failure> {
        let tokens = self.net.run(self.client.client_credentials(token_request));
        tokens.map_err(|error| Failure::from(error).for_client())
    }

    /// Lets a login use the redirect URI it listens at, if the registered one leaves the port open
    /// (RFC 8252 section 7.3).
    pub(crate) fn admit(&mut self, uri: &RedirectUri) -> Result<(), Error> {
        let mut redirect_uris = self.profile.registered();
        let uri_without_port = portless(&Url::parse(uri.as_str())?);
        if redirect_uris.contains(&uri_without_port) {
            redirect_uris.push(uri.as_str().to_owned());
            let redirect_uris = redirect_uris.iter().map(|uri| RedirectUri::parse(uri));
            let redirect_uris = redirect_uris.collect::<Result<Vec<_>, Error>>()?;
            self.client = self.client.clone().with_redirect_uris(redirect_uris);
        }
        Ok(())
    }
}

/// A redirect URI of a login as it is registered for any port.
pub(crate) fn portless(url: &Url) -> String {
    format!("http://{}{}", url.host(), url.path_and_query())
}

impl ServerArgs {
    /// The selected profile, overridden by the command line. If the command line names another server or client, only
    /// the network settings of the default profile apply.
    pub(crate) fn loaded(self, global: &Global) -> Result<Profile, Failure> {
        let mut profile = Profile::load(global)?;
        if global.profile.is_none() && self.selects_other_than(&profile) {
            profile = Profile {
                network: profile.network,
                ..Profile::default()
            };
        }
        Ok(self.overriding(profile))
    }

    fn selects_other_than(&self, profile: &Profile) -> bool {
        let from_args = (&self.provider, &self.provider_file, &self.issuer);
        let from_profile = (&profile.provider, &profile.provider_file, &profile.issuer);
        let is_other_server = from_args != (&None, &None, &None)
            && from_profile != (&None, &None, &None)
            && from_args != from_profile;
        let is_other_client = match (&self.client_id, &profile.client_id) {
            (Some(from_args), Some(from_profile)) => from_args != from_profile,
            _ => false,
        };
        is_other_server || is_other_client
    }

    /// The profile, overridden by the command line.
    pub(crate) fn overriding(self, mut profile: Profile) -> Profile {
        if self.provider.is_some() || self.provider_file.is_some() || self.issuer.is_some() {
            profile.provider = self.provider;
            profile.provider_file = self.provider_file;
            profile.issuer = self.issuer;
        }
        self.credential.override_profile(&mut profile);
        profile.variables.extend(self.variables);
        profile.options.extend(self.options);
        profile.endpoints.extend(self.endpoints);
        let mut uris = self.redirect_uris.into_iter();
        if let Some(first) = uris.next() {
            // It decides where a login listens, so port and path of the profile do not apply.
            (profile.redirect_port, profile.redirect_path) = (None, None);
            profile
                .redirect_uris
                .extend(profile.redirect_uri.replace(first));
        }
        profile.redirect_uris.extend(uris);
        profile.on_loopback = self.on_loopback.or(profile.on_loopback);
        profile.loopback_http |= self.loopback_http;
        profile.client_id = self.client_id.or(profile.client_id);
        profile.dpop_key_file = self.dpop_key.or(profile.dpop_key_file);
        profile.profile_rules = self.profile_rules.or(profile.profile_rules);
        profile
    }
}

/// The driver of requests, from the command line or else the profile.
pub(crate) fn net(profile: &Profile, global: &Global) -> Result<Net, Error> {
    Net::new(&transport(profile, global)?, tracer(global))
}

/// The trace of requests.
pub(crate) fn tracer(global: &Global) -> Tracer {
    Tracer {
        is_on: global.trace,
        json: global.json,
    }
}

/// The certificates, the proxy and the limits of requests.
pub(crate) fn transport(profile: &Profile, global: &Global) -> Result<Transport, Error> {
    let mut settings = profile.network.clone();
    if let Some(ca) = &global.ca {
        (settings.ca, settings.only_ca) = (Some(ca.clone()), None);
    }
    if let Some(proxy) = &global.proxy {
        settings.proxy = Some(proxy.as_str().into());
    } else if profile.is_local() {
        // A local server must not be contacted through a proxy.
        settings.proxy.get_or_insert_with(|| "direct".into());
    }
    settings
        .user_agent
        .get_or_insert_with(|| concat!("oauth-cli/", env!("CARGO_PKG_VERSION")).to_owned());
    settings.read()
}

/// Fetches the metadata of an issuer.
pub(crate) fn discover(net: &Net, issuer: &str, loopback_http: bool) -> Result<Server, Error> {
    if loopback_http {
        let issuer = danger::loopback_issuer(issuer)?;
        net.run(danger::discover_on_loopback(issuer, Rules::default()))
    } else {
        net.run(oauth_core::discover(Issuer::parse(issuer)?))
    }
}

pub(crate) fn provider_of(profile: &Profile) -> Result<Option<Provider>, Failure> {
    let provider = match (&profile.provider, &profile.provider_file) {
        (Some(name), _) => oauth_providers::provider(name)?,
        (None, Some(path)) => {
            let text = std::fs::read_to_string(path).map_err(|reason| {
                Failure::usage(
                    "usage.provider_file",
                    format_args!("{}: {reason}", path.display()),
                    "pass a provider file that you can read",
                )
            })?;
            Provider::from_toml(&text)?
        }
        (None, None) => return Ok(None),
    };
    let choices = Choices {
        variables: profile.variables.clone(),
        options: profile.options.clone(),
        loopback: profile.on_loopback.clone(),
    };
    Ok(Some(provider.with_choices(&choices)?))
}

/// Whether the provider's issuer is on this machine.
fn is_here(provider: &Provider) -> bool {
    let issuer = provider.issuer();
    let url = issuer.and_then(|issuer| Url::parse(issuer.as_str()));
    url.is_ok_and(|url| url.is_loopback() || url.host() == "localhost")
}

/// The server with the endpoints that are set explicitly.
fn with_endpoints(mut server: Server, profile: &Profile) -> Result<Server, Failure> {
    for (name, url) in &profile.endpoints {
        server = server.with_endpoint(endpoint_kind(name)?, url)?;
    }
    Ok(server)
}

/// An endpoint by its name in a metadata document, with or without `_endpoint`.
fn endpoint_kind(name: &str) -> Result<EndpointKind, Failure> {
    let short = |kind: EndpointKind| kind.member().trim_end_matches("_endpoint");
    let mut kinds = EndpointKind::ALL.iter().copied();
    let endpoint = kinds.find(|&kind| name == kind.member() || name == short(kind));
    endpoint.ok_or_else(|| {
        let names = EndpointKind::ALL.iter().map(|&kind| short(kind));
        let names = names.collect::<Vec<_>>().join(", ");
        Failure::usage(
            "usage.endpoint",
            format_args!("unknown endpoint `{name}`"),
            format_args!("use one of: {names}"),
        )
    })
}

pub(crate) fn no_server() -> Failure {
    Failure::usage(
        "usage.server",
        "no server is given",
        "use --issuer, --provider, --provider-file or --profile",
    )
}

/// Binds tokens to the profile's DPoP key, if it has one.
fn with_dpop(client: Client, profile: &Profile) -> Result<Client, Failure> {
    Ok(match &profile.dpop_key_file {
        Some(path) => client.with_dpop(key_file::dpop_key(path)?),
        None => client,
    })
}

/// Holds the registered redirect URIs; without any, a provider that compares them gets none.
fn registered(
    client: Client,
    profile: &Profile,
    provider: Option<&Provider>,
) -> Result<Client, Error> {
    let uris = profile.registered();
    let uris = uris.iter().map(|uri| RedirectUri::parse(uri));
    let uris = uris.collect::<Result<Vec<_>, Error>>()?;
    let is_required = provider.is_some_and(Provider::requires_registered_redirect_uris);
    Ok(if uris.is_empty() && !is_required {
        client
    } else {
        client.with_redirect_uris(uris)
    })
}
