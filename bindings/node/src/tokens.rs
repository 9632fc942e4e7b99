//! The tokens of one grant, and their conversion for JavaScript.

use std::sync::Arc;

use napi::Result;
use napi_derive::napi;
use oauth_core::moment::UnixTime;
use oauth_facade::for_doubles;
use serde_json::json;

use crate::built_in_stores::to_u64;
use crate::error::fail;

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

/// The tokens of one grant.
#[napi]
pub struct NativeTokens(pub(crate) Arc<oauth_core::Tokens>);

impl NativeTokens {
    /// Whether these are the same tokens.
    pub(crate) fn is(&self, other: &oauth_core::Tokens) -> bool {
        let is_same_refresh = match (&self.0.refresh_token, &other.refresh_token) {
            (Some(one), Some(other)) => one.secret().matches(other.secret().expose()),
            (None, None) => true,
            _ => false,
        };
        is_same_refresh && self.0.access_token.matches(other.access_token.expose())
    }
}

#[napi]
impl NativeTokens {
    /// Whether these are the same tokens.
    #[napi]
    pub fn is_same(&self, other: &NativeTokens) -> bool {
        self.is(&other.0)
    }

    /// A token without a grant; `expires_at` is in Unix seconds.
    #[napi(factory)]
    pub fn bearer(text: String, expires_at: Option<f64>) -> Self {
        Self(Arc::new(bearer(text, expires_at)))
    }

    /// Tokens from the result of `serialize`.
    #[napi(factory)]
    pub fn deserialize(text: String) -> Result<Self> {
        let tokens = oauth_core::Tokens::from_json(&text).map_err(fail)?;
        Ok(Self(Arc::new(tokens)))
    }

    /// The step-up that the login satisfied, as JSON, if it was one.
    #[napi]
    pub fn step_up(&self) -> Option<String> {
        self.0.step_up().map(oauth_core::json::to_text)
    }

    /// The tokens as text, to continue with after a restart. Contains secrets.
    #[napi]
    pub fn serialize(&self) -> String {
        self.0.to_json().expose().clone()
    }

    /// The granted `authorization_details` (RFC 9396), as a JSON array.
    #[napi]
    pub fn authorization_details(&self) -> Result<Option<String>> {
        let granted = oauth_facade::authorization_details(&self.0).map_err(fail)?;
        Ok(granted.map(|list| for_doubles(list).to_string()))
    }

    /// The `authorization_details` of `requested` that were not granted; both are JSON arrays.
    #[napi]
    pub fn missing_authorization_details(&self, requested: String) -> Result<String> {
        let missing = oauth_facade::missing_authorization_details(&self.0, &requested);
        Ok(for_doubles(missing.map_err(fail)?).to_string())
    }

    /// The members as one JSON object; times are Unix seconds.
    #[napi]
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

/// A token without a grant, which expires at this time in Unix seconds.
pub(crate) fn bearer(text: String, expires_at: Option<f64>) -> oauth_core::Tokens {
    let tokens = oauth_core::Tokens::bearer(text);
    match expires_at {
        Some(end) => tokens.expiring_at(UnixTime::from_secs(to_u64(end))),
        None => tokens,
    }
}
