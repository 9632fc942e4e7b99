//! The tokens of one grant, and their conversion for JavaScript.

use std::sync::Arc;

use js_sys::{Function, Reflect};
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::moment::UnixTime;
use oauth_facade::for_doubles;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::error::fail;
use crate::plain::to_u64;

/// Tokens as a list of strings, which JavaScript parses only on access: the access token, the result of
/// [`NativeTokens::serialize`], and the codes of the warnings, which are not stored.
pub(crate) fn token_texts(tokens: &oauth_core::Tokens) -> Vec<String> {
    let warnings = tokens.warnings.iter().map(|warning| warning.code());
    let texts = [
        tokens.access_token.expose().clone(),
        tokens.to_json().expose().clone(),
    ];
    let texts = texts.into_iter();
    texts.chain(warnings.map(str::to_owned)).collect()
}

/// A copy of the tokens in a JavaScript object: wasm-bindgen would otherwise take ownership and leave the object
/// unusable.
pub(crate) fn from_js(value: &JsValue) -> Option<oauth_core::Tokens> {
    let serialize = Reflect::get(value, &"serialize".into()).ok()?;
    let text = serialize.dyn_ref::<Function>()?.call0(value).ok()?;
    oauth_core::Tokens::from_json(&text.as_string()?).ok()
}

/// The tokens of one grant.
#[wasm_bindgen]
pub struct NativeTokens(pub(crate) Arc<oauth_core::Tokens>);

/// Whether these are the same tokens.
pub(crate) fn are_same(a: &oauth_core::Tokens, b: &oauth_core::Tokens) -> bool {
    let is_same_refresh = match (&a.refresh_token, &b.refresh_token) {
        (Some(a), Some(b)) => a.secret().matches(b.secret().expose()),
        (None, None) => true,
        _ => false,
    };
    is_same_refresh && a.access_token.matches(b.access_token.expose())
}

#[wasm_bindgen]
impl NativeTokens {
    /// Whether these are the same tokens.
    #[wasm_bindgen(js_name = isSame)]
    pub fn is_same(&self, other: &NativeTokens) -> bool {
        are_same(&self.0, &other.0)
    }

    /// The step-up that the login satisfied, as JSON, if it was one.
    #[wasm_bindgen(js_name = stepUp)]
    pub fn step_up(&self) -> Option<String> {
        self.0.step_up().map(oauth_core::json::to_text)
    }

    /// A token without a grant; `expires_at` is in Unix seconds.
    pub fn bearer(text: String, expires_at: Option<f64>) -> Self {
        let tokens = oauth_core::Tokens::bearer(text);
        Self(Arc::new(match expires_at {
            Some(end) => tokens.expiring_at(UnixTime::from_secs(to_u64(end))),
            None => tokens,
        }))
    }

    /// Checks that a token without a grant has not expired; `now` is in Unix seconds.
    #[wasm_bindgen(js_name = checkFixed)]
    pub fn check_fixed(&self, now: f64) -> Result<(), JsValue> {
        self.check(now, None)
    }

    /// Checks the fixed token after an API has refused these tokens.
    #[wasm_bindgen(js_name = checkFixedBeside)]
    pub fn check_fixed_beside(&self, now: f64, refused: &NativeTokens) -> Result<(), JsValue> {
        self.check(now, Some(&refused.0))
    }

    /// Tokens from the result of `serialize`.
    pub fn deserialize(text: &str) -> Result<Self, JsValue> {
        let tokens = oauth_core::Tokens::from_json(text).map_err(fail)?;
        Ok(Self(Arc::new(tokens)))
    }

    /// The tokens as text, to continue with after a restart. Contains secrets.
    pub fn serialize(&self) -> String {
        self.0.to_json().expose().clone()
    }

    /// The granted `authorization_details` (RFC 9396), as a JSON array.
    #[wasm_bindgen(js_name = authorizationDetails)]
    pub fn authorization_details(&self) -> Result<Option<String>, JsValue> {
        let granted = oauth_facade::authorization_details(&self.0).map_err(fail)?;
        Ok(granted.map(|list| for_doubles(list).to_string()))
    }

    /// The `authorization_details` of `requested` that were not granted; both are JSON arrays.
    #[wasm_bindgen(js_name = missingAuthorizationDetails)]
    pub fn missing_authorization_details(&self, requested: &str) -> Result<String, JsValue> {
        let missing = oauth_facade::missing_authorization_details(&self.0, requested);
        Ok(for_doubles(missing.map_err(fail)?).to_string())
    }

    /// The members as one JSON object; times are Unix seconds.
    pub fn members(&self) -> String {
        let tokens = &self.0;
        let refresh_token = tokens.refresh_token.as_ref();
        let warnings = tokens.warnings.iter().map(|warning| warning.code());
        let members = json!({
            "accessToken": tokens.access_token.expose(),
            "tokenType": tokens.token_type.as_str(),
            "receivedAt": tokens.received_at.as_secs(),
            "expiresIn": tokens.expires_in,
            "expiresAt": tokens.expires_at().map(UnixTime::as_secs),
            "refreshTokenExpiresAt": tokens.refresh_token_expires_at().map(UnixTime::as_secs),
            "authorizationExpiresAt": tokens.authorization_expires_at.map(UnixTime::as_secs),
            "scope": tokens.scope.iter().collect::<Vec<_>>(),
            "refreshToken": refresh_token.map(|token| token.secret().expose()),
            "idToken": tokens.id_token.as_ref().map(|token| token.expose()),
            "extra": for_doubles(tokens.extra.as_map().clone().into()),
            "warnings": warnings.collect::<Vec<_>>(),
            "issuer": tokens.issuer(),
            "clientId": tokens.client_id(),
        });
        members.to_string()
    }
}

impl NativeTokens {
    fn check(&self, now: f64, refused: Option<&oauth_core::Tokens>) -> Result<(), JsValue> {
        if self.0.access_token.expose().is_empty() {
            let empty = Error::from(Misuse::TokenUnreadable).about("a string");
            return Err(fail(empty.caused_by(Cause::unsent("it is empty"))));
        }
        let now = UnixTime::from_secs(to_u64(now));
        self.0.check_fixed(now, refused).map_err(fail)
    }
}
