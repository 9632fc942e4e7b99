//! Client settings from environment variables or a client file. The host passes both in: there is neither a process
//! environment nor a file system.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use js_sys::Object;
use oauth_core::Secret;
use oauth_core::error::Cause;
use oauth_facade::{Environment, Settings, SettingsServer};
use serde_json::Map;
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::plain::{object, read};
use crate::server::{NativeServer, transport};

/// An environment with these variables, and without files.
struct Variables(BTreeMap<String, Secret<String>>);

impl Environment for Variables {
    fn variable(&self, name: &str) -> Option<Secret<String>> {
        self.0.get(name).cloned()
    }

    fn file(&self, path: &str) -> Result<Secret<String>, Cause> {
        Err(Cause::unsent(format!(
            "{path}: edge runtimes have no file system"
        )))
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// The configuration of a client.
#[wasm_bindgen]
pub struct NativeSettings(pub(crate) Settings);

#[wasm_bindgen]
impl NativeSettings {
    /// Reads the settings from these environment variables.
    #[wasm_bindgen(js_name = fromEnv)]
    pub fn from_env(env: &JsValue) -> Result<Self, JsValue> {
        let settings = Settings::from_env(environment(env)?);
        settings.map(Self).map_err(fail)
    }

    /// Reads the settings from the text of a client file.
    #[wasm_bindgen(js_name = fromJson)]
    pub fn from_json(text: String, env: &JsValue) -> Result<Self, JsValue> {
        let text = Secret::new(text);
        let settings = Settings::from_json(text.expose(), environment(env)?);
        settings.map(Self).map_err(fail)
    }

    /// The client id.
    #[wasm_bindgen(getter, js_name = clientId)]
    pub fn client_id(&self) -> String {
        self.0.client_id().to_owned()
    }

    /// The registered redirect URIs, if any are configured.
    #[wasm_bindgen(getter, js_name = redirectUris)]
    pub fn redirect_uris(&self) -> Option<Vec<String>> {
        let uris = self.0.redirect_uris();
        (!uris.is_empty()).then(|| uris.to_vec())
    }

    /// The endpoint that identifies users, for a site that requests this scope; nothing if ID tokens identify them.
    pub fn identity(&self, scope: &str) -> Result<Option<Object>, JsValue> {
        let found = self.0.identity(scope).map_err(fail)?;
        Ok(found.map(|found| {
            let claims = found.claims.into_iter();
            let claims: Map<_, _> = claims.map(|(claim, name)| (claim, name.into())).collect();
            object(&[
                ("url", found.url.into()),
                ("subject", found.subject.into()),
                ("claims", claims.into()),
                ("scope", found.scope.into()),
            ])
        }))
    }

    /// The server, or the issuer whose metadata must be fetched.
    pub fn server(&self, loopback: bool) -> Result<NativeSettingsServer, JsValue> {
        Ok(match self.0.server(transport(loopback)).map_err(fail)? {
            SettingsServer::Known(server) => NativeSettingsServer {
                server: Some(*server),
                issuer: None,
            },
            SettingsServer::Issuer(issuer) => NativeSettingsServer {
                server: None,
                issuer: Some(issuer),
            },
        })
    }
}

/// The server of a client's settings.
#[wasm_bindgen]
pub struct NativeSettingsServer {
    server: Option<oauth_facade::Server>,
    issuer: Option<String>,
}

#[wasm_bindgen]
impl NativeSettingsServer {
    /// The server, if it is known.
    #[wasm_bindgen(getter)]
    pub fn server(&self) -> Option<NativeServer> {
        self.server.clone().map(NativeServer)
    }

    /// The issuer whose metadata must be fetched, if the server is not known.
    #[wasm_bindgen(getter)]
    pub fn issuer(&self) -> Option<String> {
        self.issuer.clone()
    }
}

fn environment(env: &JsValue) -> Result<Arc<dyn Environment>, JsValue> {
    let variables: Option<BTreeMap<String, String>> = if env.is_undefined() {
        None
    } else {
        read(env, "env must be an object whose values are strings")?
    };
    let pairs = variables.into_iter().flatten();
    let secret = pairs.map(|(name, value)| (name, Secret::new(value)));
    Ok(Arc::new(Variables(secret.collect())))
}
