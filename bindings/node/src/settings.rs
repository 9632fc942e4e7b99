//! Clients from client files and environment variables.

use std::collections::HashMap;
use std::sync::Arc;

use napi::Result;
use napi_derive::napi;
use oauth_core::Secret;
use oauth_facade::{Auth, Environment, Settings, SettingsServer, Workload};
use oauth_reqwest::ProcessEnvironment;

use crate::client_auth::client_id_parameter;
use crate::error::fail;
use crate::server::{NativeServer, transport};

/// The configuration of a client.
#[napi]
pub struct NativeSettings(pub(crate) Settings);

#[napi]
impl NativeSettings {
    /// Reads environment variables: those given, or those of the process.
    #[napi(factory)]
    pub fn from_env(env: Option<HashMap<String, String>>) -> Result<Self> {
        read(Settings::from_env(environment(env)))
    }

    /// Reads a client file.
    #[napi(factory)]
    pub fn from_file(path: String, env: Option<HashMap<String, String>>) -> Result<Self> {
        read(Settings::from_file(&path, environment(env)))
    }

    /// Parses the text of a client file.
    #[napi(factory)]
    pub fn from_json(text: String, env: Option<HashMap<String, String>>) -> Result<Self> {
        let text = Secret::new(text);
        read(Settings::from_json(text.expose(), environment(env)))
    }

    /// The client id.
    #[napi(getter)]
    pub fn client_id(&self) -> &str {
        self.0.client_id()
    }

    /// The registered redirect URIs, if the settings contain any.
    #[napi(getter)]
    pub fn redirect_uris(&self) -> Option<Vec<String>> {
        let uris = self.0.redirect_uris();
        (!uris.is_empty()).then(|| uris.to_vec())
    }

    /// The endpoint that identifies users, for a site that requests this scope; nothing if ID tokens identify them.
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
                server: Some(NativeServer(*server)),
                issuer: None,
            },
            SettingsServer::Issuer(issuer) => NativeSettingsServer {
                server: None,
                issuer: Some(issuer),
            },
        })
    }
}

/// The endpoint that identifies users.
#[napi(object, object_from_js = false)]
pub struct NativeSettingsIdentity {
    /// The URL of the endpoint.
    pub url: String,
    /// The member of its response that contains the subject.
    pub subject: String,
    /// The names of claims, each with the member that contains it.
    pub claims: HashMap<String, String>,
    /// The scope to request, unless the application specifies one.
    pub scope: String,
}

/// The server of a client's settings.
#[napi]
pub struct NativeSettingsServer {
    server: Option<NativeServer>,
    issuer: Option<String>,
}

#[napi]
impl NativeSettingsServer {
    /// The server, if it is known.
    #[napi(getter)]
    pub fn server(&self) -> Option<NativeServer> {
        self.server
            .as_ref()
            .map(|server| NativeServer(server.0.clone()))
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
            ProcessEnvironment::from_variables(
                pairs.map(|(name, value)| (name, Secret::new(value))),
            )
        }
    })
}

/// The identity of a workload.
#[napi(object, object_to_js = false)]
pub struct NativeWorkload {
    /// The platform's name.
    pub platform: String,
    /// The path of the token's file.
    pub path: Option<String>,
    /// The name of the token's environment variable.
    pub variable: Option<String>,
    /// The audience of a token exchange, if the token is exchanged.
    pub exchange_audience: Option<String>,
    /// The environment variables to use instead of those of the process.
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
            client_id: client_id
                .map(|name| client_id_parameter(Some(name)))
                .transpose()?,
        };
        workload.auth(environment(self.env)).map_err(fail)
    }
}
