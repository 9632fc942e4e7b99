//! Refuses a backchannel authentication request that repeats a pending one (CIBA). The requests and the notifications of
//! the server are in `flow/backchannel.rs`.
//!
//! There is one request at a time for each user and purpose, because a user who receives repeated prompts may approve
//! one just to stop them (RFC 10027 section 6.1.15).

/// Whether a second request may be sent while the same request is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DuplicatePolicy {
    /// The second request is an error, `ciba.duplicate_request`.
    #[default]
    Refused,
    /// The second request is sent. The caller must know that the user wants it, for example because the first prompt
    /// never reached the device.
    Allowed,
}

impl DuplicatePolicy {
    /// `refused` or `allowed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Allowed => "allowed",
        }
    }
}

#[cfg(feature = "sha2")]
pub(crate) use pending::PendingRequests;

#[cfg(feature = "sha2")]
mod pending {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use super::DuplicatePolicy;
    use crate::base64::sha256_of_parts;
    use crate::error::{Error, Misuse};
    use crate::moment::UnixTime;
    use crate::secret::Secret;

    /// The largest number of requests that are remembered. Beyond it, the one that expires first is forgotten.
    const MAX_PENDING_REQUESTS: usize = 10_000;

    /// The longest time between sending a request and its response.
    const MAX_SEND_TIME: Duration = Duration::from_secs(120);

    /// The pending requests, by a hash of user and purpose, so that neither is stored in clear.
    #[derive(Debug, Default)]
    pub(crate) struct PendingRequests(Mutex<BTreeMap<String, PendingRequest>>);

    #[derive(Debug)]
    struct PendingRequest {
        /// The hash of the `auth_req_id`, once the server has returned it.
        auth_req_id_hash: Option<String>,
        expires_at: UnixTime,
    }

    impl PendingRequests {
        pub(crate) fn begin_request(
            &self,
            request_key: &str,
            repeat: DuplicatePolicy,
            now: UnixTime,
        ) -> Result<(), Error> {
            let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            requests.retain(|_, pending| now < pending.expires_at);
            if repeat == DuplicatePolicy::Refused && requests.contains_key(request_key) {
                return Err(Misuse::CibaPending.into());
            }
            if requests.len() >= MAX_PENDING_REQUESTS {
                let first_to_expire = requests
                    .iter()
                    .min_by_key(|(_, pending)| pending.expires_at);
                let first_to_expire = first_to_expire.map(|(request_key, _)| request_key.clone());
                first_to_expire.map(|request_key| requests.remove(&request_key));
            }
            let expires_at = now.after(MAX_SEND_TIME);
            requests.insert(
                request_key.to_owned(),
                PendingRequest {
                    auth_req_id_hash: None,
                    expires_at,
                },
            );
            Ok(())
        }

        pub(crate) fn record_sent(
            &self,
            request_key: &str,
            auth_req_id: &Secret<String>,
            expires_at: UnixTime,
        ) {
            let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(pending) = requests.get_mut(request_key) {
                pending.auth_req_id_hash = Some(hash(auth_req_id));
                pending.expires_at = expires_at;
            }
        }

        pub(crate) fn forget_failed(&self, request_key: &str) {
            let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            requests.remove(request_key);
        }

        /// Forgets a request that the user has approved or declined, or that has expired.
        pub(crate) fn forget_completed(&self, auth_req_id: &Secret<String>) {
            let auth_req_id_hash = Some(hash(auth_req_id));
            let mut requests = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            requests.retain(|_, pending| pending.auth_req_id_hash != auth_req_id_hash);
        }
    }

    fn hash(auth_req_id: &Secret<String>) -> String {
        sha256_of_parts([auth_req_id.expose().as_str()])
    }
}
