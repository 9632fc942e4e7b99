//! The state that all calls and sources of one client share.

use std::sync::Arc;

use oauth_session::TokenDriver;

use crate::identity::{IdentityAssertionDriver, SignInReader};
use crate::network::{LazyDriver, RequestSettings};

/// The state that all calls and sources of one client share.
pub(crate) struct SharedClient {
    pub(crate) client: oauth_facade::Client,
    pub(crate) server: oauth_facade::Server,
    pub(crate) request_settings: Arc<RequestSettings>,
    /// The reader of subject tokens, if the client obtains tokens by identity assertion.
    pub(crate) sign_in: Option<Arc<SignInReader>>,
}

impl SharedClient {
    pub(crate) fn driver(&self) -> LazyDriver {
        LazyDriver(Arc::clone(&self.request_settings))
    }

    /// The driver of a source's requests.
    pub(crate) fn source_driver(&self) -> Arc<dyn TokenDriver> {
        let driver = self.driver();
        match &self.sign_in {
            Some(sign_in) => Arc::new(IdentityAssertionDriver {
                driver,
                sign_in: Arc::clone(sign_in),
            }),
            None => Arc::new(driver),
        }
    }
}
