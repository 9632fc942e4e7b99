//! The client of a page, which is always a public one.

use oauth_facade::{
    Auth, Authorize, EndSession, HostGeneratedValues, Operation as _, PendingAuthorization, Secret,
    StartedAuthorization, TokenRequest, Url, check_return_target as is_return_target,
};
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::exchange::NativeExchange;
use crate::server::Server;
use crate::value::{arguments, refused, token_request};

/// A public client of one server.
#[wasm_bindgen]
pub struct Client(pub(crate) oauth_facade::Client, pub(crate) TokenRequest);

/// An authorization that has begun: the URL to open, and the flow to store until the callback.
#[wasm_bindgen]
pub struct Authorization(StartedAuthorization);

impl Authorization {
    pub(crate) const fn of(begun: StartedAuthorization) -> Self {
        Self(begun)
    }
}

#[wasm_bindgen]
impl Client {
    /// A public client with its registered redirect URI. `request_values` has the parameters of every token request: an empty
    /// scope, resource, audience and extra. `dpop` is the public key that tokens are bound to, a JWK for ES256.
    #[wasm_bindgen(constructor)]
    pub fn new(
        server: &Server,
        client_id: &str,
        redirect_uri: String,
        request_values: Vec<JsValue>,
        profile: Option<String>,
        dpop: Option<String>,
    ) -> Result<Self, JsValue> {
        let request = token_request(request_values)?;
        request
            .to_core()
            .and_then(|_| oauth_facade::Client::new(&server.0, client_id, Auth::Documented(None)))
            .and_then(|client| client.with_redirect_uris(&[redirect_uri]))
            .and_then(|client| match &profile {
                Some(name) => client.with_profile(name),
                None => Ok(client),
            })
            .and_then(|client| match &dpop {
                Some(jwk) => client.with_dpop_key_of_host("ES256", jwk),
                None => Ok(client),
            })
            .map(|client| Self(client, request))
            .map_err(fail)
    }

    /// Begins an authorization with values that WebCrypto drew and hashed; `js/ops.js` calls it.
    #[wasm_bindgen(js_name = beginAuthorization)]
    pub fn begin_authorization(
        &self,
        state: &str,
        nonce: &str,
        verifier: &str,
        challenge: &str,
        values: Vec<JsValue>,
    ) -> Result<NativeExchange, JsValue> {
        let request = Authorize::read(&mut arguments(values)).map_err(refused)?;
        HostGeneratedValues::new(state, nonce, verifier, challenge)
            .and_then(|flow_values| self.0.begin_authorization_with(flow_values, &request))
            .map(NativeExchange::of)
            .map_err(fail)
    }

    /// Checks a callback and redeems its code.
    pub fn redeem(&self, pending: &str, callback: &str) -> Result<NativeExchange, JsValue> {
        self.0
            .redeem(pending, callback)
            .map(NativeExchange::of)
            .map_err(fail)
    }

    /// The URL at which the user is signed out at the server as well.
    #[wasm_bindgen(js_name = endSessionUrl)]
    pub fn end_session_url(
        &self,
        id_token: Option<String>,
        post_logout_redirect_uri: Option<String>,
        state: Option<String>,
    ) -> Result<String, JsValue> {
        let parameters = EndSession {
            id_token_hint: id_token.map(Secret::new),
            post_logout_redirect_uri,
            state: state.map(Secret::new),
            ..EndSession::default()
        };
        self.0.end_session_url(parameters).map_err(fail)
    }

    /// Begins the operation with this number in `js/ops.js`.
    pub fn begin(&self, number: u32, values: Vec<JsValue>) -> Result<NativeExchange, JsValue> {
        let exchange = self.0.begin_in_browser(number, arguments(values));
        exchange.map(NativeExchange::of).map_err(refused)
    }
}

#[wasm_bindgen]
impl Authorization {
    /// The URL to open.
    #[wasm_bindgen(getter)]
    pub fn url(&self) -> String {
        self.0.url.clone()
    }

    /// The codes of the warnings about the request.
    #[wasm_bindgen(getter)]
    pub fn warnings(&self) -> Vec<String> {
        let warnings = self.0.pending.warnings().iter();
        warnings.map(|warning| warning.code().to_owned()).collect()
    }

    /// The flow to store until the callback.
    #[wasm_bindgen(getter)]
    pub fn pending(&self) -> String {
        self.0.pending.to_json().expose().clone()
    }

    /// The `state` parameter, the key under which the flow is stored.
    #[wasm_bindgen(getter)]
    pub fn state(&self) -> String {
        self.0.pending.state().expose().clone()
    }
}

/// Whether a callback contains the `state` of this flow.
#[wasm_bindgen]
pub fn recognizes(pending: &str, callback: &str) -> bool {
    PendingAuthorization::from_json(pending).is_ok_and(|pending| pending.recognizes(callback))
}

/// Checks the target after a login: throws unless it is of this origin.
#[wasm_bindgen(js_name = checkReturnTarget)]
pub fn check_return_target(target: &str, origin: &str) -> Result<(), JsValue> {
    Url::parse(origin)
        .and_then(|origin| is_return_target(target, &origin).map(drop))
        .map_err(fail)
}

/// The step-up that an API's response requires, as JSON (RFC 9470).
#[wasm_bindgen(js_name = stepUp)]
pub fn step_up(status: u16, challenges: Vec<String>) -> Result<Option<String>, JsValue> {
    oauth_facade::step_up(status, &challenges).map_err(fail)
}
