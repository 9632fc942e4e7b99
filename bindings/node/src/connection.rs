//! Connections to APIs of which only the URL is known, such as MCP servers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use napi::Result;
use napi::bindgen_prelude::{Env, Object};
use napi_derive::napi;
use oauth_core::endpoint::device_authorization::DeviceAuthorizationResponse;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::flow::resource::{MetadataChallenge, Proofs};
use oauth_core::flow::resource_connection::Extension;
use oauth_core::json;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::url::Url;
use oauth_core::{Secret, Tokens};
use oauth_facade::{Connect, Record};
use oauth_reqwest::{DeviceLogin, ResourceConnection};
use oauth_session::store::Answer;
use oauth_session::{HeldTokens, Token, TokenSource};
use tokio::runtime::Handle;

use crate::api::NativeApi;
use crate::assertion_callback::NativeAssertionSource;
use crate::built_in_stores::NativeStore;
use crate::client::NativeClient;
use crate::client_auth::{NativeAssertion, NativeKeyUse, auth};
use crate::dpop::NativeDpopKey;
use crate::error::{fail, invalid};
use crate::js_callbacks::{Handler, JsImplementation, NativeAsk, NativeReply, ask};
use crate::network::{NativeNetwork, driver_for};
use crate::runtime::{millis, promise, runtime};
use crate::server::transport;
use crate::tokens::NativeTokens;
use crate::value;

/// The settings of a connection: the API and the client.
#[napi(object, object_to_js = false)]
pub struct NativeConnect {
    /// The URL of the API.
    pub url: String,
    /// Whether the URL may be plain http on a loopback address.
    pub loopback: bool,
    /// The `client_name` for dynamic registration.
    pub client_name: Option<String>,
    /// The client metadata for dynamic registration, as JSON.
    pub client_metadata: Option<String>,
    /// The initial access token (RFC 7591 section 3).
    pub initial_access_token: Option<String>,
    /// The URL of the client's metadata document.
    pub client_metadata_url: Option<String>,
    /// The id of a client that was registered manually.
    pub client_id: Option<String>,
    /// The secret of a client that was registered manually.
    pub client_secret: Option<String>,
    /// The registered name of the authentication method.
    pub client_auth: Option<String>,
    /// The settings of an authentication method that needs more than a secret.
    pub assertion: Option<NativeAssertion>,
    /// The issuer at which the client is registered.
    pub issuer: Option<String>,
    /// The issuers that may be used.
    pub issuers: Option<Vec<String>>,
    /// The choice among several servers that the API names: `first` or `error`.
    pub on_several_servers: Option<String>,
    /// The issuers that may sign the API's metadata, each with its JWK Set, as JSON.
    pub signers: Option<String>,
    /// `authorization_code` or `client_credentials`.
    pub grant_type: Option<String>,
    /// Whether to omit the `resource` parameter.
    pub without_resource: Option<bool>,
    /// The value of `resource` in token requests, if not the API's own identifier.
    pub resource: Option<String>,
    /// Whether tokens are bound to the certificate of the connection. They also are if the client authenticates with it
    /// and the server's metadata has this member.
    pub tls_client_certificate_bound_access_tokens: Option<bool>,
    /// Whether the user enters a code on another device: `always` or `where_no_browser`.
    pub device: Option<String>,
    /// The user whose tokens these are.
    pub subject: Option<String>,
    /// A registered redirect URI.
    pub redirect_uri: Option<String>,
    /// The longest time that the user may take to sign in, in milliseconds.
    pub patience_ms: f64,
    /// The `WWW-Authenticate` fields of an earlier response of the API.
    pub challenges: Option<Vec<String>>,
}

/// An API of which only the URL is known.
#[napi]
pub struct NativeConnection {
    connection: ResourceConnection,
    connect: Connect,
}

#[napi]
impl NativeConnection {
    /// A connection. No request is sent before a token is needed.
    #[napi(factory)]
    #[allow(
        clippy::too_many_arguments,
        reason = "no instance of a class is a member of an object"
    )]
    pub fn to(
        options: NativeConnect,
        user: Handler<'_>,
        store: Option<&NativeStore>,
        network: Option<&NativeNetwork>,
        function: Option<&NativeAssertionSource>,
        identity_provider: Option<&NativeClient>,
        dpop_key: Option<&NativeDpopKey>,
        used: Option<&NativeKeyUse>,
    ) -> Result<Self> {
        let secret = options.client_secret.map(Secret::new);
        let chosen = options.client_auth.as_deref();
        let auth = auth(options.assertion, chosen, secret, function, used)?;
        let connect = Connect {
            url: options.url,
            transport: transport(options.loopback),
            client_name: options.client_name,
            client_metadata: options.client_metadata,
            initial_access_token: options.initial_access_token.map(Secret::new),
            client_metadata_url: options.client_metadata_url,
            client_id: options.client_id,
            issuer: options.issuer,
            issuers: options.issuers.unwrap_or_default(),
            on_several_servers: options.on_several_servers,
            signers: options.signers,
            grant_type: match identity_provider {
                Some(_) => Some(Connect::IDENTITY_ASSERTION.to_owned()),
                None => options.grant_type,
            },
            without_resource: options.without_resource.unwrap_or_default(),
            resource: options.resource,
            tls_client_certificate_bound_access_tokens: options
                .tls_client_certificate_bound_access_tokens
                .unwrap_or_default(),
            certificate_thumbprint: network.and_then(NativeNetwork::certificate_thumbprint),
            challenges: options.challenges.unwrap_or_default(),
            proofs: Proofs::default(),
            metadata_challenge: MetadataChallenge::default(),
        };
        let request = connect.to_core().map_err(fail)?;
        let mut connection = ResourceConnection::new(driver_for(network)?, request)
            .sign_in_timeout(millis(options.patience_ms))
            .client_auth_at(auth.at_any())
            .proofs(connect.proofs.clone())
            .metadata_challenge(connect.metadata_challenge.clone());
        if let Some(key) = dpop_key {
            connection = connection.dpop(key.0.core().clone());
        }
        if let Some(store) = store {
            connection = connection.store(store.shared());
        }
        if let Some(subject) = options.subject {
            connection = connection.subject(subject);
        }
        if let Some(uri) = options.redirect_uri {
            connection = connection.redirect_uri(RedirectUri::parse(&uri).map_err(fail)?);
        }
        let device = match options.device.as_deref() {
            Some("always") => Some(DeviceLogin::Always),
            Some("where_no_browser") => Some(DeviceLogin::WhereNoBrowser),
            _ => None,
        };
        let user = Arc::new(User(Arc::new(JsImplementation::new(
            "open function",
            &user,
        )?)));
        if let Some(provider) = identity_provider {
            let provider = provider.0.core().clone();
            connection = connection.identity(provider, Arc::clone(&user));
        }
        if let Some(device) = device {
            let (user, purpose) = (Arc::clone(&user), connect.purpose());
            connection = connection.device(device, move |code| user.show_code(code, &purpose));
        }
        let connection = connection.open(move |url| user.show(ask("open", url.as_str())));
        Ok(Self {
            connection,
            connect,
        })
    }

    /// The key of the extension that a client of MCP declares.
    #[napi(getter)]
    pub fn extension(&self) -> Option<String> {
        let key = self.connection.extension().map(Extension::capability);
        key.map(str::to_owned)
    }

    /// The API below the URL.
    #[napi]
    pub fn api(&self) -> Result<NativeApi> {
        self.connect.api().map(NativeApi::from).map_err(fail)
    }

    /// Fresh tokens, other than those that were refused.
    #[napi(ts_return_type = "Promise<NativeTokens>")]
    pub fn token<'env>(
        &self,
        env: &'env Env,
        refused: Option<&NativeTokens>,
    ) -> Result<Object<'env>> {
        let connection = self.connection.clone();
        let refused = refused.map(|tokens| Arc::clone(&tokens.0));
        promise(env, async move {
            let token = connection.token_other_than(refused.as_deref()).await;
            token.map(native_tokens)
        })
    }

    /// Remembers the metadata URL of a challenge: the next renewal fetches the metadata there.
    #[napi]
    pub fn note_metadata(&self, url: String) {
        // An invalid URL is ignored.
        if let Ok(url) = Url::parse(&url) {
            self.connect.metadata_challenge.note_url(&url);
        }
    }

    /// Tokens that satisfy the step-up that the API requires beyond these tokens.
    #[napi(ts_return_type = "Promise<NativeTokens | null>")]
    pub fn step_up<'env>(
        &self,
        env: &'env Env,
        insufficient: &NativeTokens,
        wanted: String,
    ) -> Result<Object<'env>> {
        let wanted: StepUp = json::from_text(&wanted)
            .ok_or_else(|| invalid("wanted must be the result of stepUp"))?;
        let (connection, insufficient) = (self.connection.clone(), Arc::clone(&insufficient.0));
        promise(env, async move {
            let token = connection.step_up(&insufficient, &wanted).await?;
            Ok(token.map(native_tokens))
        })
    }

    /// Discards these tokens if they are the current ones; without any, the knowledge that the API requires no
    /// authorization.
    #[napi]
    pub fn invalidate(&self, refused: Option<&NativeTokens>) {
        match refused {
            Some(refused) => self.connection.refuse(&refused.0),
            None => self.connection.refused_without_token(),
        }
    }

    /// Holds the grant for at most so many milliseconds; nothing without a login.
    #[napi(ts_return_type = "Promise<NativeHold | null>")]
    pub fn hold<'env>(&self, env: &'env Env, ms: f64) -> Result<Object<'env>> {
        let connection = self.connection.clone();
        promise(env, async move {
            let held = TokenSource::hold(&connection, millis(ms)).await?;
            Ok(held.map(|held| NativeHold {
                tokens: Arc::clone(held.tokens()),
                held: Mutex::new(Some(held)),
            }))
        })
    }

    /// Forgets the tokens and the client.
    #[napi(ts_return_type = "Promise<void>")]
    pub fn forget<'env>(&self, env: &'env Env) -> Result<Object<'env>> {
        let connection = self.connection.clone();
        promise(env, async move { connection.forget().await })
    }
}

/// The latest tokens of a grant, which no worker renews until they are released.
#[napi]
pub struct NativeHold {
    tokens: Arc<Tokens>,
    held: Mutex<Option<HeldTokens>>,
}

#[napi]
impl NativeHold {
    /// The tokens.
    #[napi(getter)]
    pub fn tokens(&self) -> NativeTokens {
        NativeTokens(Arc::clone(&self.tokens))
    }

    /// Ends the hold.
    #[napi]
    pub fn release(&self) {
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        drop(held.take());
    }
}

fn native_tokens(token: Token) -> NativeTokens {
    let tokens: Arc<Tokens> = token.into_arc();
    NativeTokens(tokens)
}

/// The user, reached through JavaScript callbacks.
struct User(Arc<JsImplementation>);

impl User {
    fn show_code(
        &self,
        code: &DeviceAuthorizationResponse,
        purpose: &str,
    ) -> std::result::Result<(), Error> {
        let code = oauth_facade::DeviceAuthorizationResponse::from_core(code.clone(), purpose);
        let Record::Plain(_, members) = code.into() else {
            return Err(Misuse::OutOfOrder.into());
        };
        self.show(NativeAsk {
            record: Some(value::members(&members)),
            ..ask("show_code", "")
        })
    }

    /// Calls JavaScript to show a page or a code. Blocks a thread of the runtime, but not the event loop's.
    fn show(&self, call: NativeAsk) -> std::result::Result<(), Error> {
        let pending_call = self.0.ask(call);
        let runtime = match Handle::try_current() {
            Ok(runtime) => runtime,
            Err(_) => runtime()?.handle().clone(),
        };
        let call_result = tokio::task::block_in_place(|| runtime.block_on(pending_call));
        call_result.map(drop).map_err(|error| {
            let reason = std::error::Error::source(&error).map(ToString::to_string);
            Error::lost(Cause::unsent(reason.unwrap_or_else(|| error.to_string())))
        })
    }
}

impl TokenSource for User {
    fn token<'a>(&'a self, refused: Option<&'a Tokens>) -> Answer<'a, Token> {
        Box::pin(async move {
            let call = self.0.ask(NativeAsk {
                record: refused.map(|refused| refused.to_json().expose().clone()),
                ..ask("sign_in", "")
            });
            let record = call.await?.said.record;
            let tokens = Tokens::from_json(&record.unwrap_or_default())?;
            Ok(Token::from(Arc::new(tokens)))
        })
    }

    fn hold(&self, limit: Duration) -> Answer<'_, Option<HeldTokens>> {
        Box::pin(async move {
            let held = self.0.ask(NativeAsk {
                ms: Some(limit.as_secs_f64() * 1000.0),
                ..ask("hold", "")
            });
            let NativeReply { record, id, .. } = held.await?.said;
            let (Some(record), Some(id)) = (record, id) else {
                return Ok(None);
            };
            let tokens = Arc::new(Tokens::from_json(&record)?);
            let (asked, runtime) = (Arc::clone(&self.0), Handle::current());
            Ok(Some(HeldTokens::new(tokens, move || {
                // One that is not released ends with its time.
                runtime.spawn(async move { asked.ask(ask("release", &id)).await.map(drop) });
            })))
        })
    }

    /// Never called: a connection passes the refused token to `token` instead.
    fn refuse(&self, _: &Tokens) {}
}
