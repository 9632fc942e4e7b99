//! Refuses a backchannel authentication request that repeats a pending one (CIBA). The requests and the notifications of
//! the server are in `flow/backchannel.rs`.
//!
//! Only one request at a time for each user and purpose: a user who is asked again and again may finally agree, just to
//! be left alone (RFC 10027 section 6.1.15).

/// Whether a user may be asked again while the same request is pending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Repeat {
    /// The second request is an error, `ciba.duplicate_request`.
    #[default]
    Refused,
    /// The second request is sent: the caller knows that the user wants it, for example because the first was lost on
    /// the way to the device.
    Allowed,
}

impl Repeat {
    /// `refused` or `allowed`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::Allowed => "allowed",
        }
    }
}

#[cfg(feature = "sha2")]
pub(crate) use waiting::PendingRequests;

#[cfg(feature = "sha2")]
mod waiting {
    use std::collections::BTreeMap;
    use std::sync::{Mutex, PoisonError};
    use std::time::Duration;

    use super::Repeat;
    use crate::base64::hashed;
    use crate::error::{Error, Misuse};
    use crate::moment::UnixTime;
    use crate::secret::Secret;

    /// The most requests that are remembered; beyond that, the one that expires first is forgotten.
    const CAPACITY: usize = 10_000;

    /// The longest time in which a request is sent and answered.
    const LONGEST: Duration = Duration::from_secs(120);

    /// The pending requests, by the hash of user and purpose; neither is stored itself.
    #[derive(Debug, Default)]
    pub(crate) struct PendingRequests(Mutex<BTreeMap<String, Waiting>>);

    #[derive(Debug)]
    struct Waiting {
        /// The hash of the server's name for the request, once it has one.
        request: Option<String>,
        until: UnixTime,
    }

    impl PendingRequests {
        pub(crate) fn begin(
            &self,
            request_key: &str,
            repeat: Repeat,
            now: UnixTime,
        ) -> Result<(), Error> {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, waiting| now < waiting.until);
            if repeat == Repeat::Refused && all.contains_key(request_key) {
                return Err(Misuse::CibaPending.into());
            }
            if all.len() >= CAPACITY {
                let first = all.iter().min_by_key(|(_, waiting)| waiting.until);
                let first = first.map(|(request_key, _)| request_key.clone());
                first.map(|request_key| all.remove(&request_key));
            }
            let until = now.after(LONGEST);
            let request = None;
            all.insert(request_key.to_owned(), Waiting { request, until });
            Ok(())
        }

        pub(crate) fn sent(
            &self,
            request_key: &str,
            auth_req_id: &Secret<String>,
            until: UnixTime,
        ) {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(waiting) = all.get_mut(request_key) {
                waiting.request = Some(name(auth_req_id));
                waiting.until = until;
            }
        }

        pub(crate) fn failed(&self, request_key: &str) {
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.remove(request_key);
        }

        /// Forgets a request: the user has answered, or it has ended.
        pub(crate) fn answered(&self, auth_req_id: &Secret<String>) {
            let request = Some(name(auth_req_id));
            let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            all.retain(|_, waiting| waiting.request != request);
        }
    }

    fn name(auth_req_id: &Secret<String>) -> String {
        hashed([auth_req_id.expose().as_str()])
    }
}
