//! The key that signs a client's authorization requests (RFC 9101). The request objects are built in
//! `flow/authorization/request_object.rs`.

use crate::crypto::SigningKey;
use crate::error::{Error, Misuse};
use crate::server::Server;

/// How long a request object is valid, in seconds. FAPI 2.0 Message Signing (section 5.3.2) allows 60 minutes.
const DEFAULT_LIFETIME_SECONDS: u32 = 300;

/// How a client signs its authorization requests.
#[derive(Debug, Clone)]
pub struct RequestSigning {
    key: SigningKey,
    lifetime: u32,
}

impl RequestSigning {
    /// Signs with this key, whose public half is registered at the server. The key's id, if it has one, is the `kid`.
    pub const fn new(key: SigningKey) -> Self {
        Self {
            key,
            lifetime: DEFAULT_LIFETIME_SECONDS,
        }
    }

    /// Sets how many seconds each request is valid: 300 by default. Unless the request is pushed, the user's browser
    /// has to reach the server within that time.
    #[must_use]
    pub const fn lifetime(mut self, seconds: u32) -> Self {
        self.lifetime = seconds;
        self
    }

    /// The key that signs.
    pub const fn key(&self) -> &SigningKey {
        &self.key
    }

    /// The lifetime of a request in seconds.
    pub(crate) const fn lifetime_seconds(&self) -> u32 {
        self.lifetime
    }

    /// Checks that the server accepts the key's algorithm.
    ///
    /// # Errors
    /// `key.algorithm` for an algorithm that the server does not accept.
    pub(crate) fn check_server_support(&self, server: &Server) -> Result<(), Error> {
        let alg = self.key.alg();
        let accepted_algs = server.named_list("request_object_signing_alg_values_supported");
        match accepted_algs {
            Some(accepted_algs) if !accepted_algs.iter().any(|name| name == alg.as_str()) => {
                let detail = format!(
                    "{}; the server accepts {}",
                    alg.as_str(),
                    accepted_algs.join(" ")
                );
                Err(Error::from(Misuse::KeyAlgorithm).about(&detail))
            }
            _ => Ok(()),
        }
    }
}
