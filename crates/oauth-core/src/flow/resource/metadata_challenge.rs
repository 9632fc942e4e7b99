//! Challenges of an API that name its metadata, after a token was refused (RFC 9728 section 5.2). That
//! of a request without a token (section 5.1) is read in `flow/resource_discovery.rs`.

use std::sync::{Arc, Mutex, PoisonError};

use crate::challenge;
use crate::http::HeaderMap;
use crate::http::header::WWW_AUTHENTICATE;
use crate::url::Url;

/// The last challenge with which an API refused a token and named the URL of its metadata: "to indicate that its
/// protected resource metadata may have changed". The requests of every [`Api`](super::Api) that has it
/// ([`with_metadata_challenge`](super::Api::with_metadata_challenge)) record it, for the connection that renews their
/// tokens. Cheap to clone; clones share it.
#[derive(Debug, Clone, Default)]
pub struct MetadataChallenge(Arc<Mutex<Option<Vec<Vec<u8>>>>>);

impl MetadataChallenge {
    /// Records the challenges of a refusal, if one of them names a metadata URL.
    pub(super) fn record(&self, headers: &HeaderMap) {
        let fields = || {
            let fields = headers.get_all(WWW_AUTHENTICATE).iter();
            fields.map(|field| field.as_bytes())
        };
        let (challenges, _) = challenge::valid_challenges_in(fields());
        let mut challenges = challenges.iter();
        if challenges.any(|challenge| challenge.param("resource_metadata").is_some()) {
            *self.lock() = Some(fields().map(<[u8]>::to_vec).collect());
        }
    }

    /// Stores the metadata URL of a challenge, for requests sent by another library that reports only this URL.
    pub fn note_url(&self, url: &Url) {
        let field = format!("Bearer resource_metadata=\"{}\"", url.as_str());
        *self.lock() = Some(vec![field.into_bytes()]);
    }

    /// Whether there is a URL that has not been removed yet.
    pub fn is_noted(&self) -> bool {
        self.lock().is_some()
    }

    /// Takes the values of `WWW-Authenticate`, for
    /// [`ConnectRequest::challenge`](crate::flow::resource_connection::ConnectRequest::challenge).
    pub fn take(&self) -> Option<Vec<Vec<u8>>> {
        self.lock().take()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Vec<Vec<u8>>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
