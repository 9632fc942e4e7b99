//! Creates a host from environment variables. Those of its client are in `settings/environment.rs` of oauth-providers.

use std::sync::Arc;

use oauth_core::error::{Error, Misuse};
use oauth_core::scope::Scope;
use oauth_core::url::{Transport, Url};
use oauth_core::workload::Environment;
use oauth_providers::{ClientSettings, ServerSettings};
use oauth_reqwest::configured_client::connect;
use oauth_reqwest::{Driver, ProcessEnvironment, reqwest};
use oauth_seal::Keys;
use oauth_session::store::{SealedStore, StoreUrl, seal};
use oauth_web::{Config, IdentityEndpoint, Provider, Site, Userinfo};

use crate::host::Host;

const BASE_URL: &str = "OAUTH_BASE_URL";
const KEY: &str = "OAUTH_KEY";
const STORE: &str = "OAUTH_STORE";
const TRANSPORT: &str = "OAUTH_TRANSPORT";
const USERINFO: &str = "OAUTH_USERINFO";
const PROVIDER: &str = "OAUTH_PROVIDER";

impl Host {
    /// A host from the environment variables of this process. The variables of the client are those of
    /// [`ClientSettings::from_env`]; the provider is asked for its metadata when someone first signs in, and until it
    /// answers, sign-ins get a 503 and every other page works. At a preset without OpenID Connect, such as `github`, its
    /// API identifies people. The variables of the site are:
    ///
    /// | variable | |
    /// |---|---|
    /// | `OAUTH_BASE_URL` | where people reach the site, such as `https://shop.example` |
    /// | `OAUTH_KEY` | the key that seals, as `oauth key seal` prints one; old ones may follow, with spaces or commas between |
    /// | `OAUTH_STORE` | optional: the store that sessions live in, as a [`StoreUrl`]; what is in it is sealed with the same keys |
    /// | `OAUTH_TRANSPORT` | optional: `loopback_http` for a site and a provider on this machine, for tests; `https` unless set |
    /// | `OAUTH_USERINFO` | optional: `never` or `when_missing`, which is the default; see [`Userinfo`] |
    ///
    /// # Errors
    /// `environment.missing`, which names all that are needed and not set; `misuse.setup` and `misuse.not_supported`
    /// for the store; `web.setup`, also for a provider that does not identify users; `url.*`; those of the client.
    pub async fn from_env() -> Result<Self, Error> {
        let driver = Driver::new(reqwest::Client::builder())?;
        let environment: Arc<dyn Environment> = Arc::new(ProcessEnvironment::new());
        let transport = transport(&environment)?;
        Self::from_environment(environment, driver, transport, |config| config).await
    }

    /// A host like that of [`from_env`](Self::from_env), with variables from elsewhere, your own driver, and changes to
    /// the settings. With [`Transport::LoopbackHttp`] site and provider may be on this machine, for tests.
    ///
    /// # Errors
    /// The errors of [`from_env`](Self::from_env).
    pub async fn from_environment(
        environment: Arc<dyn Environment>,
        driver: Driver,
        transport: Transport,
        change: impl FnOnce(Config) -> Config,
    ) -> Result<Self, Error> {
        let optional = |name: &str| {
            let value = environment.variable(name);
            value.filter(|value| !value.expose().is_empty())
        };
        // Missing or malformed variables are reported before the provider is asked.
        let mut missing = ClientSettings::missing_from_env(&environment);
        let required = [BASE_URL, KEY].into_iter();
        missing.extend(
            required
                .filter(|name| optional(name).is_none())
                .map(str::to_owned),
        );
        let (Some(base_url), Some(keys), []) = (optional(BASE_URL), optional(KEY), &*missing)
        else {
            return Err(Error::from(Misuse::EnvironmentMissing).about(&missing.join(", ")));
        };
        let userinfo = userinfo(&environment)?;
        let base_url =
            Url::parse(base_url.expose()).map_err(|error| with_variable(BASE_URL, error))?;
        let keys = Keys::parse(&keys).map_err(|error| with_variable(KEY, error))?;
        let store = optional(STORE).map(|url| StoreUrl::parse(url.expose())?.open());
        // Its errors contain no password of a URL.
        let store = store.transpose()?;
        let settings = ClientSettings::from_env(&environment)?;
        let issuer = match settings.server(transport)? {
            ServerSettings::Provider(provider) => {
                Some(provider.server()?.issuer().as_str().to_owned())
            }
            ServerSettings::Known(server) => Some(server.issuer().as_str().to_owned()),
            ServerSettings::Issuer(issuer) => Some(issuer.as_str().to_owned()),
            _ => None,
        };
        let client_id = settings.client_id().to_owned();
        let identity = settings.identity(&Scope::none());
        // Errors in the settings are reported now; the provider is asked when someone signs in.
        drop(connect(settings.clone(), transport)?);
        let shared_driver = driver.clone();
        let client = move |_| {
            let (driver, making) = (shared_driver.clone(), connect(settings.clone(), transport));
            async move { driver.run(making?).await }
        };
        let id = optional(PROVIDER).map_or_else(|| "login".to_owned(), |id| id.expose().clone());
        let provider = Provider::later(id.clone())?;
        let (provider, unidentified) = match identity {
            Ok(None) => (provider.scope(Scope::parse("openid profile email")?), None),
            Ok(Some((endpoint, scope))) => (
                with_identity_endpoint(provider, endpoint).scope(scope),
                None,
            ),
            Err(error) => (provider.scope(Scope::none()), Some(error)),
        };
        let mut provider = match issuer {
            Some(issuer) => provider.registered(issuer, client_id),
            None => provider,
        };
        provider.userinfo = userinfo;
        let mut config = Config::new(base_url, keys.clone(), provider);
        config.transport = transport;
        let config = change(match store {
            Some(_) => config.in_store(),
            None => config,
        });
        if let Some(error) = unidentified {
            // The application may know more about the provider than its preset.
            let mut unchanged = config.providers.iter().filter(|provider| provider.id == id);
            if unchanged
                .any(|provider| provider.identity.is_none() && !provider.scope.contains("openid"))
            {
                return Err(error);
            }
        }
        let host = match store {
            Some(store) => {
                let sealed = SealedStore::new(store, seal_keys(&keys));
                Self::with_store(Site::new(config)?, driver, Arc::new(sealed))
            }
            None => Self::new(Site::new(config)?, driver)?,
        };
        Ok(host.connect(client))
    }
}

/// The provider, whose people this endpoint of its preset identifies.
fn with_identity_endpoint(
    provider: Provider,
    preset: oauth_providers::IdentityEndpoint,
) -> Provider {
    let mut endpoint = IdentityEndpoint::new(preset.url, preset.subject);
    endpoint.claims = preset.claims;
    let mut provider = provider;
    provider.identity = Some(endpoint);
    provider
}

/// The transport that the variable sets: whether site and provider may be on this machine.
///
/// # Errors
/// `web.setup` for any other value.
fn transport(environment: &Arc<dyn Environment>) -> Result<Transport, Error> {
    let value = environment.variable(TRANSPORT);
    match value.as_ref().map_or("", |value| value.expose().as_str()) {
        "" | "https" => Ok(Transport::Https),
        "loopback_http" => Ok(Transport::LoopbackHttp),
        _ => {
            let detail = "OAUTH_TRANSPORT: https or loopback_http";
            Err(Error::from(Misuse::WebSetup).about(detail))
        }
    }
}

/// When the variable has UserInfo asked.
///
/// # Errors
/// `web.setup` for any other value.
fn userinfo(environment: &Arc<dyn Environment>) -> Result<Userinfo, Error> {
    let value = environment.variable(USERINFO);
    match value.as_ref().map_or("", |value| value.expose().as_str()) {
        "" => Ok(Userinfo::default()),
        name => Userinfo::from_name(name).ok_or_else(|| {
            let reason = "OAUTH_USERINFO: never or when_missing";
            Error::from(Misuse::WebSetup).about(reason)
        }),
    }
}

/// The error, with the name of the variable that it is about.
fn with_variable(name: &str, error: Error) -> Error {
    let detail = match error.detail() {
        Some(detail) => format!("{name}: {detail}"),
        None => name.to_owned(),
    };
    error.about(&detail)
}

/// The site's keys for a sealed store.
fn seal_keys(keys: &Keys) -> seal::Keys {
    let old = keys.iter().skip(1).cloned();
    old.fold(
        seal::Keys::new(keys.current().clone()),
        seal::Keys::with_previous,
    )
}

#[cfg(test)]
mod tests {
    use oauth_core::Secret;

    use super::*;

    #[test]
    fn the_transport_variable_permits_loopback_http() {
        for (value, wanted) in [
            ("", Some(Transport::Https)),
            ("https", Some(Transport::Https)),
            ("loopback_http", Some(Transport::LoopbackHttp)),
            ("http", None),
        ] {
            let variables = [(TRANSPORT.to_owned(), Secret::new(value.to_owned()))];
            let environment: Arc<dyn Environment> =
                Arc::new(ProcessEnvironment::from_variables(variables));
            let read = transport(&environment);
            assert_eq!(read.as_ref().ok(), wanted.as_ref(), "{value}");
            if let Err(error) = read {
                assert_eq!(error.code(), "web.setup");
            }
        }
    }

    #[test]
    fn the_userinfo_variable_selects_when_userinfo_is_requested() {
        for (value, wanted) in [
            ("", Some(Userinfo::WhenMissing)),
            ("when_missing", Some(Userinfo::WhenMissing)),
            ("never", Some(Userinfo::Never)),
            ("always", None),
        ] {
            let variables = [(USERINFO.to_owned(), Secret::new(value.to_owned()))];
            let environment: Arc<dyn Environment> =
                Arc::new(ProcessEnvironment::from_variables(variables));
            let read = userinfo(&environment);
            assert_eq!(read.as_ref().ok(), wanted.as_ref(), "{value}");
            if let Err(error) = read {
                assert_eq!(error.code(), "web.setup");
            }
        }
    }

    async fn at(
        provider: &str,
        change: impl FnOnce(Config) -> Config,
    ) -> Result<(Option<IdentityEndpoint>, Scope), Error> {
        let variables = [
            (PROVIDER, provider),
            ("OAUTH_CLIENT_ID", "shop"),
            ("OAUTH_CLIENT_SECRET", "secret"),
            (BASE_URL, "https://shop.example"),
            (KEY, "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"),
        ];
        let variables =
            variables.map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned())));
        let environment = Arc::new(ProcessEnvironment::from_variables(variables));
        let driver = Driver::new(reqwest::Client::builder().no_proxy())?;
        let mut used = None;
        let change = |config| {
            let config = change(config);
            let provider = &config.providers[0];
            used = Some((provider.identity.clone(), provider.scope.clone()));
            config
        };
        Host::from_environment(environment, driver, Transport::Https, change).await?;
        Ok(used.unwrap())
    }

    #[tokio::test]
    async fn a_preset_sets_the_identity_endpoint_and_the_scope() {
        let (endpoint, scope) = at("github", |config| config).await.unwrap();
        let endpoint = endpoint.unwrap();
        assert_eq!(endpoint.url.as_str(), "https://api.github.com/user");
        assert_eq!(endpoint.subject, "id");
        let picture = ("picture".to_owned(), "avatar_url".to_owned());
        assert!(endpoint.claims.contains(&picture));
        assert_eq!(scope, Scope::none());
        let (endpoint, scope) = at("docusign", |config| config).await.unwrap();
        assert_eq!(endpoint.unwrap().subject, "sub");
        assert_eq!(scope, Scope::parse("signature").unwrap());
        let (endpoint, scope) = at("google", |config| config).await.unwrap();
        assert!(endpoint.is_none() && scope.contains("openid"));
    }

    #[tokio::test]
    async fn a_provider_without_user_identity_is_refused_at_startup() {
        let error = at("withings", |config| config).await.unwrap_err();
        assert_eq!(error.code(), "web.setup");
        assert!(error.detail().unwrap().contains("withings"));
        let with_scope = |mut config: Config| {
            config.providers[0].scope = Scope::parse("openid").unwrap();
            config
        };
        assert!(at("withings", with_scope).await.is_ok());
        let with_endpoint = |mut config: Config| {
            let url = Url::parse("https://wbsapi.withings.net/me").unwrap();
            config.providers[0].identity = Some(IdentityEndpoint::new(url, "id"));
            config
        };
        assert!(at("withings", with_endpoint).await.is_ok());
    }
}
