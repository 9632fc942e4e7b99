//! The result of beginning an authorization.

use napi_derive::napi;
use oauth_facade::StartedAuthorization;

/// An authorization that has begun: the URL to open, and the flow to store until the callback.
#[napi(object, object_from_js = false)]
pub struct NativeAuthorization {
    /// The URL.
    pub url: String,
    /// The flow, as JSON.
    pub flow: String,
    /// For how many seconds the URL is valid.
    pub expires_in: Option<f64>,
    /// The request object to serve at the `request_uri`.
    pub request_object: Option<String>,
    /// The codes of its warnings.
    pub warnings: Vec<String>,
}

impl From<StartedAuthorization> for NativeAuthorization {
    #[expect(clippy::cast_precision_loss, reason = "more than 2^53 has no meaning")]
    fn from(begun: StartedAuthorization) -> Self {
        let warnings = begun.pending.warnings().iter();
        Self {
            url: begun.url,
            warnings: warnings.map(|warning| warning.code().to_owned()).collect(),
            flow: begun.pending.to_json().expose().clone(),
            expires_in: begun.expires_in.map(|seconds| seconds as f64),
            request_object: begun.request_object.map(|object| object.expose().clone()),
        }
    }
}
