//! Clients from client files and environment variables.

use std::collections::HashMap;
use std::sync::Arc;

use napi::Result;
use napi_derive::napi;
use oauth_core::Secret;
use oauth_facade::{Auth, Environment, Settings, SettingsServer, Workload};
use oauth_reqwest::ProcessEnvironment;

use crate::client::parameter;
use crate::error::fail;
use crate::server::{NativeServer, transport};

/// The configuration of a client.
#[napi]
pub struct NativeSettings(pub(crate) Settings);

#[napi]
impl NativeSettings {
    /// Out of environment variables: those of the process, or these.
    #[napi(factory)]
    pub fn from_env(env: Option<HashMap<String, String>>) -> Result<Self> {
        read(Settings::from_env(environment(env)))
    }

    /// Out of a client file.
    #[napi(factory)]
    pub fn from_file(path: String, env: Option<HashMap<String, String>>) -> Result<Self> {
        read(Settings::from_file(&path, environment(env)))
    }

    /// Out of the text of a client file.
    #[napi(factory)]
    pub fn from_json(text: String, env: Option<HashMap<String, String>>) -> Result<Self> {
        let text = Secret::new(text);
        read(Settings::from_json(text.expose(), environment(env)))
    }

    /// The client's name at the server.
    #[napi(getter)]
    pub fn client_id(&self) -> &str {
        self.0.client_id()
    }

    /// Those registered, if any are named.
    #[napi(getter)]
    pub fn redirect_uris(&self) -> Option<Vec<String>> {
        let uris = self.0.redirect_uris();
        (!uris.is_empty()).then(|| uris.to_vec())
    }

    /// The endpoint that identifies people who sign in, for a site that requests this scope; nothing if ID tokens do.
    #[napi]
    pub fn identity(&self, scope: String) -> Result<Option<NativeSettingsIdentity>> {
        let found = self.0.identity(&scope).map_err(fail)?;
        Ok(found.map(|found| NativeSettingsIdentity {
            url: found.url,
            subject: found.subject,
            claims: found.claims.into_iter().collect(),
            scope: found.scope,
        }))
    }

    /// The server, or the issuer whose metadata must be fetched.
    #[napi]
    pub fn server(&self, loopback: bool) -> Result<NativeSettingsServer> {
        Ok(match self.0.server(transport(loopback)).map_err(fail)? {
            SettingsServer::Known(server) => NativeSettingsServer {
                known: Some(NativeServer(*server)),
                issuer: None,
            },
            SettingsServer::Issuer(issuer) => NativeSettingsServer {
                known: None,
                issuer: Some(issuer),
            },
        })
    }
}

/// The endpoint that identifies people who sign in.
#[napi(object, object_from_js = false)]
pub struct NativeSettingsIdentity {
    /// Its URL.
    pub url: String,
    /// The member that is the subject.
    pub subject: String,
    /// Claims, each with its member.
    pub claims: HashMap<String, String>,
    /// The scope to request unless the application says another.
    pub scope: String,
}

/// The server of a client's settings.
#[napi]
pub struct NativeSettingsServer {
    known: Option<NativeServer>,
    issuer: Option<String>,
}

#[napi]
impl NativeSettingsServer {
    /// The server, if it is known.
    #[napi(getter)]
    pub fn known(&self) -> Option<NativeServer> {
        self.known
            .as_ref()
            .map(|known| NativeServer(known.0.clone()))
    }

    /// The issuer whose metadata must be fetched, if the server is not known.
    #[napi(getter)]
    pub fn issuer(&self) -> Option<String> {
        self.issuer.clone()
    }
}

fn read(settings: std::result::Result<Settings, oauth_core::Error>) -> Result<NativeSettings> {
    settings.map(NativeSettings).map_err(fail)
}

pub(crate) fn environment(env: Option<HashMap<String, String>>) -> Arc<dyn Environment> {
    Arc::new(match env {
        None => ProcessEnvironment::new(),
        Some(env) => {
            let pairs = env.into_iter();
            ProcessEnvironment::of(pairs.map(|(name, value)| (name, Secret::new(value))))
        }
    })
}

/// The identity of a workload.
#[napi(object, object_to_js = false)]
pub struct NativeWorkload {
    /// The platform's name.
    pub platform: String,
    /// The file of the token.
    pub path: Option<String>,
    /// The variable of the token.
    pub variable: Option<String>,
    /// The audience of a token exchange, if the token is exchanged.
    pub exchange_audience: Option<String>,
    /// The variables to look into in place of those of the process.
    pub env: Option<HashMap<String, String>>,
}

impl NativeWorkload {
    pub(crate) fn auth(self, audience: Option<String>, client_id: Option<&str>) -> Result<Auth> {
        let workload = Workload {
            platform: self.platform,
            path: self.path,
            variable: self.variable,
            audience,
            exchange_audience: self.exchange_audience,
            client_id: client_id.map(|name| parameter(Some(name))).transpose()?,
        };
        workload.auth(environment(self.env)).map_err(fail)
    }
}
