//! Sign-in for web applications: the settings from which a site is created.

use http::Method;
use oauth_core::Client;
use oauth_facade::camel;
use oauth_seal::Keys;
use oauth_web::{
    Config, MAX_FORM, Provider, ProviderSettings, SessionStorage, SettingError, Site, Storage,
    testing_key,
};
use wasm_bindgen::prelude::*;

use crate::client::NativeClient;
use crate::error::{fail, invalid};
use crate::keys::NativeKey;
use crate::plain::member;
use crate::visit::{NativeVisit, request, requirements};

/// The builder of a site.
#[wasm_bindgen]
pub struct NativeSiteSetup {
    keys: Keys,
    providers: Vec<Provider>,
}

#[wasm_bindgen]
impl NativeSiteSetup {
    /// A setup whose cookies and records are sealed with this key.
    pub fn of(key: &NativeKey) -> Self {
        Self {
            keys: Keys::new(key.0.clone()),
            providers: Vec::new(),
        }
    }

    /// A setup for tests, whose cookies are sealed with a publicly known key.
    #[wasm_bindgen(js_name = forTests)]
    pub fn for_tests() -> Self {
        Self {
            keys: Keys::new(testing_key()),
            providers: Vec::new(),
        }
    }

    /// Adds an older key, with which records and cookies can still be opened.
    pub fn also(&mut self, key: &NativeKey) {
        self.keys = self.keys.clone().with_previous(key.0.clone());
    }

    /// Adds a provider with this client; its settings are JSON.
    pub fn provider(&mut self, client: &NativeClient, settings: &str) -> Result<(), JsValue> {
        self.add(Some(client.facade().core().clone()), settings)
    }

    /// Adds a provider whose client the application supplies when it is first needed.
    pub fn later(&mut self, settings: &str) -> Result<(), JsValue> {
        self.add(None, settings)
    }

    /// The site, whose settings are JSON, and whose sessions live in a store or not.
    pub fn site(&self, settings: &str, in_store: bool) -> Result<NativeSite, JsValue> {
        let storage = if in_store {
            Storage::Store
        } else {
            Storage::Cookie
        };
        let config = Config::read(settings, self.keys.clone(), self.providers.clone(), storage);
        let site = Site::new(config.map_err(refused)?);
        site.map(NativeSite).map_err(fail)
    }
}

impl NativeSiteSetup {
    /// The provider that was added last.
    pub(crate) fn last(&self) -> Option<Provider> {
        self.providers.last().cloned()
    }

    fn add(&mut self, client: Option<Client>, settings: &str) -> Result<(), JsValue> {
        // The error of serde is dropped, because it quotes its input.
        let settings: ProviderSettings = serde_json::from_str(settings)
            .map_err(|_| invalid("a setting of a provider has the wrong type"))?;
        self.providers
            .push(settings.provider(client).map_err(refused)?);
        Ok(())
    }
}

/// The error for invalid settings, which are named as in JavaScript.
fn refused(error: SettingError) -> JsValue {
    match error {
        SettingError::Type {
            name,
            expected: expected_type,
        } => invalid(&SettingError::type_text(&camel(&name), &expected_type)),
        SettingError::Value(_, error) | SettingError::Refused(error) => fail(error),
    }
}

/// A site: sign-in for a web application.
#[wasm_bindgen]
pub struct NativeSite(Site);

#[wasm_bindgen]
impl NativeSite {
    /// Whether its sessions live in a store.
    #[wasm_bindgen(getter, js_name = isStored)]
    pub fn is_stored(&self) -> bool {
        self.0.keep() == SessionStorage::Store
    }

    /// Whether the site has a page at this path.
    pub fn owns(&self, path: &str) -> bool {
        self.0.owns(path)
    }

    /// The most bytes that the site reads from the body of such a request; 0 if it does not read the body.
    #[wasm_bindgen(js_name = formLimit)]
    pub fn form_limit(&self, method: &str, path: &str) -> u32 {
        let reads = Method::from_bytes(method.as_bytes())
            .is_ok_and(|method| self.0.reads_form(&method, path));
        let limit = u32::try_from(MAX_FORM).unwrap_or(u32::MAX);
        if reads { limit } else { 0 }
    }

    /// The visit for a browser's request, and for the access rule or the requirements of the page.
    pub fn visit(&self, visit_object: &JsValue) -> Result<NativeVisit, JsValue> {
        let (request, access) = request(visit_object)?;
        let has_grant_ended = member(visit_object, "access").is_some_and(|access| access == "over");
        let original_request = request.clone();
        let visit = match requirements(visit_object)? {
            _ if has_grant_ended => self.0.tokens_over(request),
            Some(need) => self.0.challenge(request, need),
            None => self.0.visit(request, access),
        };
        Ok(NativeVisit::new(&self.0, visit, Some(original_request)))
    }

    /// The visit that obtains the client of a provider, from the application if necessary.
    pub fn connect(&self, provider: &str) -> NativeVisit {
        NativeVisit::new(&self.0, self.0.connect(provider), None)
    }

    /// Signs a user in for a test: the response sets the cookies.
    pub fn testing(&self, identity: &str) -> Result<NativeVisit, JsValue> {
        let identity = serde_json::from_str(identity);
        let identity = identity.map_err(|_| invalid("the identity to sign in is malformed"))?;
        Ok(NativeVisit::new(&self.0, self.0.testing(identity), None))
    }
}
