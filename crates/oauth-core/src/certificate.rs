//! The client's side of RFC 8705 section 3: the certificate that a stored token is bound to, so that no worker uses it
//! with another one. An API compares `cnf` (`x5t#S256`) in `token/access_token.rs`. Client authentication by a
//! certificate (section 2) is in `client_auth.rs`, and `mtls_endpoint_aliases` (section 5) in `server.rs`.

#[cfg(not(all(feature = "js", target_family = "wasm")))]
use std::sync::Arc;

use crate::json::{Json, JsonForm};

/// The thumbprint of a certificate (`x5t#S256`), if it is known. Always unknown in builds for pages, which present no
/// certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KnownCertificate(Option<Thumbprint>);

#[cfg(not(all(feature = "js", target_family = "wasm")))]
type Thumbprint = Arc<str>;
/// Empty in browser builds, where no code reads the thumbprint.
#[cfg(all(feature = "js", target_family = "wasm"))]
type Thumbprint = std::convert::Infallible;

impl KnownCertificate {
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    pub(crate) fn from_thumbprint(thumbprint: &str) -> Self {
        Self(Some(Arc::from(thumbprint)))
    }

    #[cfg(all(feature = "js", target_family = "wasm"))]
    pub(crate) const fn from_thumbprint(_thumbprint: &str) -> Self {
        Self(None)
    }

    pub(crate) const fn is_known(&self) -> bool {
        self.0.is_some()
    }

    /// Whether a token that is bound to this certificate can be used on connections that present `presented`. True if
    /// either is unknown: then only the API can decide.
    pub(crate) fn is_usable_with(&self, presented: &Self) -> bool {
        match (&self.0, &presented.0) {
            (Some(bound), Some(presented)) => bound == presented,
            _ => true,
        }
    }
}

impl JsonForm for KnownCertificate {
    fn read(value: Json<'_>) -> Option<Self> {
        match value {
            Json::Null => Some(Self::default()),
            value => Some(Self::from_thumbprint(value.as_str()?)),
        }
    }

    fn write(&self, out: &mut String) {
        match &self.0 {
            Some(thumbprint) => thumbprint.to_string().write(out),
            None => out.push_str("null"),
        }
    }

    fn is_absent(&self) -> bool {
        self.0.is_none()
    }
}
