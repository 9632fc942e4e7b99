//! RP-initiated logout at the server, and front-channel logout requests (OpenID Connect).

use js_sys::Object;
use oauth_core::Secret;
use oauth_facade::{EndSession, FrontChannelLogout, Session, check_return};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::client::NativeClient;
use crate::error::fail;
use crate::plain::{object, read};

/// The parameters of an end session request.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LogoutArguments {
    id_token_hint: Option<String>,
    logout_hint: Option<String>,
    post_logout_redirect_uri: Option<String>,
    state: Option<String>,
    ui_locales: Option<String>,
}

fn end_session(parameters: &JsValue) -> Result<EndSession, JsValue> {
    let arguments: LogoutArguments = read(parameters, "the arguments of a logout must be strings")?;
    Ok(EndSession {
        id_token_hint: arguments.id_token_hint.map(Secret::new),
        logout_hint: arguments.logout_hint,
        post_logout_redirect_uri: arguments.post_logout_redirect_uri,
        state: arguments.state.map(Secret::new),
        ui_locales: arguments.ui_locales,
    })
}

#[wasm_bindgen]
impl NativeClient {
    /// The URL to open in the browser to log the user out at the server.
    #[wasm_bindgen(js_name = endSessionUrl)]
    pub fn end_session_url(&self, parameters: &JsValue) -> Result<String, JsValue> {
        let url = self.facade().end_session_url(end_session(parameters)?);
        url.map_err(fail)
    }

    /// The end session request as a form.
    #[wasm_bindgen(js_name = endSessionForm)]
    pub fn end_session_form(&self, parameters: &JsValue) -> Result<Object, JsValue> {
        let form = self.facade().end_session_form(end_session(parameters)?);
        let form = form.map_err(fail)?;
        let fields: Vec<_> = form.fields().collect();
        Ok(object(&[
            ("action", form.action().as_str().into()),
            ("fields", json!(fields)),
            ("html", form.html().into()),
            (
                "contentSecurityPolicy",
                form.content_security_policy().into(),
            ),
        ]))
    }
}

/// Checks the `state` with which the browser returns from a logout.
#[wasm_bindgen(js_name = checkLogoutReturn)]
pub fn check_logout_return(url: &str, state: String) -> Result<(), JsValue> {
    check_return(url, &Secret::new(state)).map_err(fail)
}

/// A front-channel logout request.
#[wasm_bindgen]
pub struct NativeFrontChannelLogout(FrontChannelLogout);

#[wasm_bindgen]
impl NativeFrontChannelLogout {
    /// Parses a URL, or its query.
    pub fn parse(url: &str) -> Result<Self, JsValue> {
        FrontChannelLogout::parse(url).map(Self).map_err(fail)
    }

    /// Whether this logout ends the session with this issuer and `sid`.
    pub fn ends(&self, issuer: String, sid: Option<String>) -> bool {
        self.0.ends(&Session::new(issuer, None, sid))
    }
}
