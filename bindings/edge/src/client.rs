//! The OAuth client of one authorization server: converts options from JavaScript, and creates exchanges.

use std::collections::BTreeMap;
use std::sync::Arc;

use js_sys::{Array, Function, Object};
use oauth_core::Secret;
use oauth_core::error::{Error, Misuse};
use oauth_facade::{
    Auth, AuthorizationFlow, Authorize, Client, IntrospectionOptions, Operation as _,
};
use serde::Deserialize;
use wasm_bindgen::prelude::*;

use crate::dpop::NativeDpopKey;
use crate::error::{fail, invalid};
use crate::exchange::{NativeExchange, authorization};
use crate::held_key::{self, NativeKeyUse};
use crate::keeper::NativeKeeper;
use crate::moment::moment;
use crate::plain::read;
use crate::server::NativeServer;
use crate::settings::NativeSettings;
use crate::tokens::NativeTokens;
use crate::value::{arguments, refused, token_request};

/// The options of a client. Options that require cryptography, which JavaScript does here, are refused as unknown.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Options {
    client_id: Option<String>,
    client_secret: Option<String>,
    client_auth: Option<String>,
    redirect_uris: Option<Vec<String>>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    id_token_signed_response_alg: Option<String>,
    trusted_audiences: Option<Vec<String>>,
    profile: Option<String>,
}

/// The authentication method with this registered name, or the one that the server documents; `mac` makes HMACs of the secret.
fn auth_by_name(
    chosen: Option<&str>,
    secret: Option<Secret<String>>,
    mac: Option<Function>,
) -> Result<Auth, JsValue> {
    let with = |auth: fn(Secret<String>) -> Auth, secret: Option<Secret<String>>| {
        let secret = secret.ok_or_else(|| fail(Misuse::SecretMissing.into()))?;
        Ok(auth(secret))
    };
    match (chosen, secret) {
        (None, secret) => Ok(match (secret, mac) {
            (Some(secret), Some(mac)) => Auth::DocumentedHolding(secret, held_key::holder(mac)),
            (secret, _) => Auth::Documented(secret),
        }),
        (Some("none"), None) => Ok(Auth::None),
        (Some("none"), Some(_)) => Err(fail(Misuse::SecretNotAllowed.into())),
        (Some("client_secret_basic"), secret) => with(Auth::Basic, secret),
        (Some("client_secret_post"), secret) => with(Auth::Post, secret),
        (Some(_), _) => Err(not_available(
            "clientAuth other than client_secret_basic, client_secret_post and none",
        )),
    }
}

fn not_available(feature: &str) -> JsValue {
    let reason = format!("{feature}: not available in an edge runtime");
    fail(Error::from(Misuse::NotSupported).about(&reason))
}

/// A client at one server.
#[wasm_bindgen]
pub struct NativeClient(pub(crate) Client);

impl NativeClient {
    pub(crate) const fn facade(&self) -> &Client {
        &self.0
    }
}

/// The source of a client's authentication method.
enum Authentication<'a> {
    /// The client's options. If they contain a secret, this function computes HMACs with it.
    Options(Option<Function>),
    /// With keys that JavaScript holds.
    Keys(Box<Auth>),
    /// The client's settings. The functions take over a private key, or a secret that signs, if the settings contain
    /// one.
    Settings(&'a NativeSettings, &'a Function, &'a Function),
}

fn create(
    server: &NativeServer,
    options_object: &JsValue,
    authentication: Authentication<'_>,
) -> Result<Client, JsValue> {
    let message = "an option of this client is unknown in an edge runtime, or has the wrong type";
    let options: Options = read(options_object, message)?;
    let secret = options.client_secret.map(Secret::new);
    let client = match (authentication, &options.client_id) {
        (_, None) => Ok(Client::unregistered(&server.0)),
        (Authentication::Options(mac), Some(id)) => {
            let auth = auth_by_name(options.client_auth.as_deref(), secret, mac)?;
            Client::new(&server.0, id, auth)
        }
        (Authentication::Keys(_), Some(_)) if secret.is_some() => {
            Err(Misuse::SecretNotAllowed.into())
        }
        (Authentication::Keys(auth), Some(id)) => Client::new(&server.0, id, *auth),
        (Authentication::Settings(settings, hold, hold_secret), Some(id)) => {
            let key_of_text = |text: &Secret<String>| held_key::of_text(hold, text);
            let mac = |secret: &Secret<String>| held_key::of_secret(hold_secret, secret);
            settings.0.client_holding(&server.0, id, key_of_text, mac)
        }
    };
    let mut client = client.map_err(fail)?;
    if let Some(uris) = options.redirect_uris {
        client = client.with_redirect_uris(&uris).map_err(fail)?;
    }
    if let Some(alg) = options.id_token_signed_response_alg {
        client = client
            .with_id_token_signed_response_alg(&alg)
            .map_err(fail)?;
    }
    if let Some(audiences) = options.trusted_audiences {
        client = client.with_trusted_audiences(audiences);
    }
    if let Some(name) = &options.profile {
        client = client.with_profile(name).map_err(fail)?;
    }
    for (name, value) in options.headers {
        client = client.with_header(&name, &value).map_err(fail)?;
    }
    Ok(client)
}

#[wasm_bindgen]
impl NativeClient {
    /// A client of `server`. `mac` computes HMACs with its secret, for a server that accepts only `client_secret_jwt`.
    pub fn of(
        server: &NativeServer,
        options: &JsValue,
        mac: Option<Function>,
    ) -> Result<Self, JsValue> {
        create(server, options, Authentication::Options(mac)).map(Self)
    }

    /// A client that authenticates with keys that JavaScript holds: `keys` describes them, and `signers` has a signing
    /// function for each.
    #[wasm_bindgen(js_name = ofKeys)]
    pub fn of_keys(
        server: &NativeServer,
        options: &JsValue,
        keys: &JsValue,
        signers: Vec<Function>,
        used: &NativeKeyUse,
    ) -> Result<Self, JsValue> {
        let auth = Auth::HeldKeyJwt(held_key::jwt(keys, signers, used)?);
        create(server, options, Authentication::Keys(Box::new(auth))).map(Self)
    }

    /// A client that authenticates with HMACs of its secret, made by JavaScript.
    #[wasm_bindgen(js_name = ofSecret)]
    pub fn of_secret(
        server: &NativeServer,
        options: &JsValue,
        secret: &JsValue,
        sign: Function,
    ) -> Result<Self, JsValue> {
        let auth = Auth::HeldSecretJwt(held_key::secret_jwt(secret, sign)?);
        create(server, options, Authentication::Keys(Box::new(auth))).map(Self)
    }

    /// A client that authenticates as its settings say. If they contain a private key, `hold` takes it over, and
    /// `hold_secret` a secret that signs.
    #[wasm_bindgen(js_name = ofSettings)]
    pub fn of_settings(
        server: &NativeServer,
        options: &JsValue,
        settings: &NativeSettings,
        hold: &Function,
        hold_secret: &Function,
    ) -> Result<Self, JsValue> {
        create(
            server,
            options,
            Authentication::Settings(settings, hold, hold_secret),
        )
        .map(Self)
    }

    /// This client, with tokens bound to this key.
    #[wasm_bindgen(js_name = withDpopKey)]
    pub fn with_dpop_key(&self, key: &NativeDpopKey) -> Self {
        let bound = self.0.core().clone().with_dpop(key.0.clone());
        Self(bound.into())
    }

    /// The client id; empty if the client has none yet.
    #[wasm_bindgen(getter, js_name = clientId)]
    pub fn client_id(&self) -> String {
        self.0.core().client_id().as_str().to_owned()
    }

    /// Begins an authorization that needs no request to the server.
    pub fn authorize(&self, values: &Array, at: &JsValue) -> Result<Object, JsValue> {
        let request = Authorize::read(&mut arguments(values)).map_err(refused)?;
        let begun = self.0.authorize(&moment(at)?, &request).map_err(fail)?;
        Ok(authorization(begun))
    }

    /// The cached public keys of the server, to store.
    #[wasm_bindgen(js_name = exportKeys)]
    pub fn export_keys(&self) -> Option<String> {
        self.0.export_keys()
    }

    /// Imports exported keys, unless the cached ones are newer.
    #[wasm_bindgen(js_name = importKeys)]
    pub fn import_keys(&self, text: &str) -> Result<(), JsValue> {
        self.0.import_keys(text).map_err(fail)
    }

    /// Checks a callback that arrived in this context and in this user's session, and redeems its code, for some or
    /// all of the resources.
    pub fn redeem(
        &self,
        flow: &NativeFlow,
        callback: &str,
        resource: Option<Vec<String>>,
        context: Option<String>,
        user: Option<String>,
    ) -> Result<NativeExchange, JsValue> {
        let callback_context = oauth_facade::callback_context(context, user);
        let exchange = flow
            .0
            .redeem_at(&self.0, callback, resource.as_deref(), callback_context);
        exchange.map(NativeExchange::new).map_err(fail)
    }

    /// Begins the operation with this number in `js/ops.cjs`.
    pub fn begin(&self, number: u32, values: &Array) -> Result<NativeExchange, JsValue> {
        let exchange = self.0.begin(number, arguments(values));
        exchange.map(NativeExchange::new).map_err(refused)
    }

    /// The same as `begin`: here an operation never ends in its first step, because signatures are asynchronous.
    pub fn start(&self, number: u32, values: &Array) -> Result<NativeExchange, JsValue> {
        self.begin(number, values)
    }

    /// This client, verifying access tokens by introspection.
    pub fn introspecting(&self, introspection_arguments: &Array) -> Result<Self, JsValue> {
        let introspection_arguments =
            IntrospectionOptions::read(&mut arguments(introspection_arguments)).map_err(refused)?;
        self.0
            .introspecting(introspection_arguments)
            .map(Self)
            .map_err(fail)
    }

    /// The grant of a refresh token that another program has obtained for this client.
    #[wasm_bindgen(js_name = tokensFromRefreshToken)]
    pub fn tokens_from_refresh_token(
        &self,
        refresh_token: String,
        request_values: &Array,
    ) -> Result<NativeTokens, JsValue> {
        let request = token_request(request_values)?;
        let tokens = self
            .0
            .tokens_from_refresh_token(Secret::new(refresh_token), &request);
        Ok(NativeTokens(Arc::new(tokens.map_err(fail)?)))
    }

    /// The keeper of one grant: the client's own, or a user's.
    pub fn keep(
        &self,
        at: &JsValue,
        grant_type: &str,
        tokens: &JsValue,
        request_values: &Array,
        settings: &JsValue,
    ) -> Result<NativeKeeper, JsValue> {
        let request = token_request(request_values)?;
        NativeKeeper::new(&self.0, &moment(at)?, grant_type, tokens, request, settings)
    }
}

/// A pending authorization, which can be redeemed once.
#[wasm_bindgen]
pub struct NativeFlow(AuthorizationFlow);

#[wasm_bindgen]
impl NativeFlow {
    /// Reads a stored flow.
    pub fn parse(text: &str) -> Result<Self, JsValue> {
        AuthorizationFlow::parse(text).map(Self).map_err(fail)
    }

    /// The `state` parameter, by which the flow is found.
    #[wasm_bindgen(getter)]
    pub fn state(&self) -> String {
        self.0.state().expose().clone()
    }

    /// The issuer to which the user was sent.
    #[wasm_bindgen(getter)]
    pub fn issuer(&self) -> String {
        self.0.issuer().to_owned()
    }

    /// The URI at which the callback must arrive.
    #[wasm_bindgen(getter, js_name = redirectUri)]
    pub fn redirect_uri(&self) -> String {
        self.0.redirect_uri().to_owned()
    }

    /// When the flow began, in Unix seconds.
    #[wasm_bindgen(getter, js_name = startedAt)]
    #[expect(clippy::cast_precision_loss, reason = "exact below 2^53 seconds")]
    pub fn started_at(&self) -> f64 {
        self.0.started_at().as_secs() as f64
    }

    /// Whether a callback contains the `state` of this flow.
    pub fn recognizes(&self, callback: &str) -> bool {
        self.0.recognizes(callback)
    }

    /// The flow as text; an error once it has been redeemed.
    #[wasm_bindgen(js_name = toJson)]
    pub fn to_json(&self) -> Result<String, JsValue> {
        let text = self.0.to_json().map_err(fail)?;
        Ok(text.expose().clone())
    }
}

/// The step-up that an API's response requires, as JSON (RFC 9470).
#[wasm_bindgen(js_name = stepUp)]
pub fn step_up(status: u16, challenges: Vec<String>) -> Result<JsValue, JsValue> {
    let required = oauth_facade::step_up(status, &challenges).map_err(fail)?;
    Ok(required.map_or(JsValue::NULL, JsValue::from))
}

/// The token owner with this name.
pub(crate) fn owner(name: &str) -> Result<oauth_facade::TokenOwner, JsValue> {
    match name {
        "application" => Ok(oauth_facade::TokenOwner::Application),
        "user" => Ok(oauth_facade::TokenOwner::User),
        "any" => Ok(oauth_facade::TokenOwner::Any),
        _ => Err(invalid("owner must be application, user or any")),
    }
}
