//! Tokens, read by JavaScript member by member.

use std::sync::Arc;

use napi::Result;
use napi_derive::napi;
use oauth_core::moment::UnixTime;
use oauth_facade::for_doubles;

use crate::error::fail;
use crate::store::whole;

/// Tokens in texts alone, of which JavaScript makes more when somebody asks: the access token, what
/// [`NativeTokens::serialize`] says, and the codes of the warnings, which are not stored.
pub(crate) fn told(tokens: &oauth_core::Tokens) -> Vec<String> {
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

    /// A token that no grant brought; `expires_at` in Unix seconds.
    #[napi(factory)]
    pub fn bearer(text: String, expires_at: Option<f64>) -> Self {
        Self(Arc::new(bearer(text, expires_at)))
    }

    /// Reads what `serialize` wrote.
    #[napi(factory)]
    pub fn deserialize(text: String) -> Result<Self> {
        let tokens = oauth_core::Tokens::from_json(&text).map_err(fail)?;
        Ok(Self(Arc::new(tokens)))
    }

    /// Everything needed to go on after a restart.
    #[napi]
    pub fn serialize(&self) -> String {
        self.0.to_json().expose().clone()
    }

    /// The access token.
    #[napi(getter)]
    pub fn access_token(&self) -> &str {
        self.0.access_token.expose()
    }

    /// The type on the wire.
    #[napi(getter)]
    pub fn token_type(&self) -> &str {
        self.0.token_type.as_str()
    }

    /// Unix seconds.
    #[napi(getter)]
    pub fn received_at(&self) -> f64 {
        self.0.received_at.as_secs() as f64
    }

    /// The lifetime in seconds.
    #[napi(getter)]
    pub fn expires_in(&self) -> Option<f64> {
        self.0.expires_in.map(|seconds| seconds as f64)
    }

    /// Unix seconds.
    #[napi(getter)]
    pub fn expires_at(&self) -> Option<f64> {
        self.0.expires_at().map(|end| end.as_secs() as f64)
    }

    /// What was granted.
    #[napi(getter)]
    pub fn scope(&self) -> Vec<String> {
        self.0.scope.iter().map(str::to_owned).collect()
    }

    /// The refresh token.
    #[napi(getter)]
    pub fn refresh_token(&self) -> Option<&str> {
        let token = self.0.refresh_token.as_ref();
        token.map(|token| token.secret().expose().as_str())
    }

    /// The ID Token as it came, unverified.
    #[napi(getter)]
    pub fn id_token(&self) -> Option<&str> {
        self.0
            .id_token
            .as_ref()
            .map(|token| token.expose().as_str())
    }

    /// Members RFC 6749 does not define, as JSON.
    #[napi(getter)]
    pub fn extra(&self) -> String {
        for_doubles(self.0.extra.as_map().clone().into()).to_string()
    }

    /// What was odd about the reply.
    #[napi(getter)]
    pub fn warnings(&self) -> Vec<String> {
        let codes = self.0.warnings.iter().map(|warning| warning.code());
        codes.map(str::to_owned).collect()
    }

    /// Whose token this is.
    #[napi(getter)]
    pub fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// The client it was issued to.
    #[napi(getter)]
    pub fn client_id(&self) -> &str {
        self.0.client_id()
    }
}

/// A token that no grant brought, and its end in Unix seconds.
pub(crate) fn bearer(text: String, expires_at: Option<f64>) -> oauth_core::Tokens {
    let tokens = oauth_core::Tokens::bearer(text);
    match expires_at {
        Some(end) => tokens.expiring_at(UnixTime::from_secs(whole(end))),
        None => tokens,
    }
}
