//! The tokens of one grant.

use oauth_facade::{for_doubles, value_text};
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::exchange::time;

/// The tokens of one grant.
#[wasm_bindgen]
pub struct Tokens(pub(crate) oauth_facade::Tokens);

impl Tokens {
    pub(crate) const fn of(tokens: oauth_facade::Tokens) -> Self {
        Self(tokens)
    }
}

#[wasm_bindgen]
impl Tokens {
    /// A token without a grant, and its expiry in seconds since 1970, if known.
    pub fn bearer(text: String, end: Option<f64>) -> Self {
        let tokens = oauth_facade::Tokens::bearer(text);
        Self(match end {
            Some(end) => tokens.expiring_at(time(end)),
            None => tokens,
        })
    }

    /// Checks that a token without a grant has neither expired nor been `refused`.
    #[wasm_bindgen(js_name = checkFixed)]
    pub fn check_fixed(&self, now: f64, refused: bool) -> Result<(), JsValue> {
        let refused = refused.then_some(&self.0);
        self.0.check_fixed(time(now), refused).map_err(fail)
    }

    /// Tokens from the result of `toJson`.
    #[wasm_bindgen(js_name = fromJson)]
    pub fn from_json(text: &str) -> Result<Self, JsValue> {
        oauth_facade::Tokens::from_json(text)
            .map(Self)
            .map_err(fail)
    }

    /// The tokens as JSON, including the secrets.
    #[wasm_bindgen(js_name = toJson)]
    pub fn to_json(&self) -> String {
        self.0.to_json().expose().clone()
    }

    /// The access token.
    #[wasm_bindgen(getter, js_name = accessToken)]
    pub fn access_token(&self) -> String {
        self.0.access_token.expose().clone()
    }

    /// The ID token as received.
    #[wasm_bindgen(getter, js_name = idToken)]
    pub fn id_token(&self) -> Option<String> {
        self.0.id_token.as_ref().map(|token| token.expose().clone())
    }

    /// The refresh token.
    #[wasm_bindgen(getter, js_name = refreshToken)]
    pub fn refresh_token(&self) -> Option<String> {
        let token = self.0.refresh_token.as_ref();
        token.map(|token| token.secret().expose().clone())
    }

    /// The granted scope, separated by spaces.
    #[wasm_bindgen(getter)]
    pub fn scope(&self) -> String {
        let names: Vec<&str> = self.0.scope.iter().collect();
        names.join(" ")
    }

    /// The granted `authorization_details` (RFC 9396), as a JSON array.
    #[wasm_bindgen(js_name = authorizationDetails)]
    pub fn authorization_details(&self) -> Result<Option<String>, JsValue> {
        let granted = oauth_facade::authorization_details(&self.0).map_err(fail)?;
        Ok(granted.map(|list| value_text(&for_doubles(list))))
    }

    /// The `authorization_details` of `requested` that were not granted; both are JSON arrays.
    #[wasm_bindgen(js_name = missingAuthorizationDetails)]
    pub fn missing_authorization_details(&self, requested: &str) -> Result<String, JsValue> {
        let missing = oauth_facade::missing_authorization_details(&self.0, requested);
        missing
            .map(|list| value_text(&for_doubles(list)))
            .map_err(fail)
    }

    /// The expiry of the access token, in seconds since 1970.
    #[wasm_bindgen(getter, js_name = expiresAt)]
    pub fn expires_at(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "exact for eons")]
        self.0.expires_at().map(|end| end.as_secs() as f64)
    }
}
