//! Sign-in for web applications: the settings from which a site is created.

use std::sync::Arc;

use napi::Result;
use napi_derive::napi;
use oauth_core::{Client, Error};
use oauth_facade::camel;
use oauth_reqwest::Driver;
use oauth_seal::{Key, Keys};
use oauth_session::Store;
use oauth_web::{Config, Provider, ProviderSettings, SettingError, Site, Storage, testing_key};
use oauth_web_tower::Host;

use crate::built_in_stores::NativeStore;
use crate::client::NativeClient;
use crate::error::{fail, invalid};
use crate::js_callbacks::{Handler, JsImplementation};
use crate::keys::NativeKey;
use crate::network::{NativeNetwork, driver_for};
use crate::web_visit::NativeSite;

/// The builder of a site.
#[napi]
pub struct NativeSiteSetup {
    keys: Keys,
    providers: Vec<Provider>,
}

#[napi]
impl NativeSiteSetup {
    /// A setup whose cookies and records are sealed with this key.
    #[napi(factory)]
    pub fn of(key: &NativeKey) -> Self {
        let key: Key = key.0.clone();
        Self {
            keys: Keys::new(key),
            providers: Vec::new(),
        }
    }

    /// A setup for tests, whose cookies are sealed with a publicly known key.
    #[napi(factory)]
    pub fn for_tests() -> Self {
        Self {
            keys: Keys::new(testing_key()),
            providers: Vec::new(),
        }
    }

    /// Adds an older key, with which records and cookies can still be opened.
    #[napi]
    pub fn also(&mut self, key: &NativeKey) {
        self.keys = self.keys.clone().with_previous(key.0.clone());
    }

    /// Adds a provider with this client; its settings are JSON.
    #[napi]
    pub fn provider(&mut self, client: &NativeClient, settings: String) -> Result<()> {
        self.add_provider(Some(client.facade().core().clone()), &settings)
    }

    /// Adds a provider whose client is requested from the application when it is first needed.
    #[napi]
    pub fn later(&mut self, settings: String) -> Result<()> {
        self.add_provider(None, &settings)
    }

    /// Creates the site with these settings, a JSON object. Sessions are kept in the store if there is one, otherwise in cookies.
    #[napi]
    pub fn site(
        &self,
        settings: String,
        admit: Option<Handler<'_>>,
        store: Option<&NativeStore>,
        network: Option<&NativeNetwork>,
    ) -> Result<NativeSite> {
        let storage = match store {
            Some(_) => Storage::Store,
            None => Storage::Cookie,
        };
        let config = Config::read(
            &settings,
            self.keys.clone(),
            self.providers.clone(),
            storage,
        );
        let site = Site::new(config.map_err(refused)?).map_err(fail)?;
        let host =
            host(site, driver_for(network)?, store.map(NativeStore::shared)).map_err(fail)?;
        let admit = admit.map(|admit| JsImplementation::new("admit function", &admit));
        Ok(NativeSite::new(host, admit.transpose()?.map(Arc::new)))
    }
}

impl NativeSiteSetup {
    /// The provider that was added last.
    pub(crate) fn last(&self) -> Option<Provider> {
        self.providers.last().cloned()
    }

    fn add_provider(&mut self, client: Option<Client>, settings: &str) -> Result<()> {
        // The error of serde is dropped, because it quotes its input.
        let settings: ProviderSettings = serde_json::from_str(settings)
            .map_err(|_| invalid("a setting of a provider has the wrong type"))?;
        self.providers
            .push(settings.provider(client).map_err(refused)?);
        Ok(())
    }
}

/// The error for invalid settings, which are named as in JavaScript.
fn refused(error: SettingError) -> napi::Error {
    match error {
        SettingError::Type {
            name,
            expected: expected_type,
        } => invalid(&SettingError::type_text(&camel(&name), &expected_type)),
        SettingError::Value(_, error) | SettingError::Refused(error) => fail(error),
    }
}

fn host(
    site: Site,
    driver: Driver,
    store: Option<Arc<dyn Store>>,
) -> std::result::Result<Host, Error> {
    match store {
        Some(store) => Ok(Host::with_store(site, driver, store)),
        None => Host::new(site, driver),
    }
}
