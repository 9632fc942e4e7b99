//! `grant_type=urn:openid:params:grant-type:ciba`: a backchannel authentication request that a user has approved. The
//! request is in `endpoint/backchannel_authentication.rs`, the polling in `flow/poll.rs`.
//!
//! CIBA Core <https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#token_request>

use std::borrow::Cow;

use super::Grant;
use crate::context::Context;
use crate::error::Error;
#[cfg(feature = "sha2")]
use crate::error::{Denial, ServerError};
use crate::form::Form;
use crate::scope::Scope;
use crate::secret::Secret;

/// The grant with an `auth_req_id`, with which the client polls until the user approves or declines.
#[derive(Debug, Clone)]
pub struct Ciba {
    auth_req_id: Secret<String>,
}

impl Ciba {
    /// The grant for the `auth_req_id` of a backchannel authentication response.
    pub fn new(auth_req_id: impl Into<Secret<String>>) -> Self {
        Self {
            auth_req_id: auth_req_id.into(),
        }
    }
}

impl Grant for Ciba {
    fn grant_type(&self) -> &'static str {
        "urn:openid:params:grant-type:ciba"
    }

    fn purpose(&self) -> &'static str {
        "ciba"
    }

    fn fill(&self, _: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        form.push("auth_req_id", self.auth_req_id.expose());
        Ok(())
    }

    #[cfg(feature = "sha2")]
    fn note_outcome(&self, cx: &Context<'_>, outcome: Result<(), &Error>) {
        let denial = match outcome {
            Ok(()) => None,
            Err(error) => Some(error.server_error().map(ServerError::denial)),
        };
        // The user has not approved or declined yet, or the server has a temporary failure.
        let is_open = match denial {
            None => false,
            Some(None) => true,
            Some(Some(denial)) => !matches!(
                denial,
                Denial::AccessDenied | Denial::ExpiredToken | Denial::InvalidGrant
            ),
        };
        if !is_open {
            cx.identity
                .shared
                .pending_backchannel
                .forget_completed(&self.auth_req_id);
        }
    }

    /// The scope was sent with the authentication request; it is not sent again.
    fn scope<'a>(&'a self, _: &Context<'_>, _: &'a Scope) -> Result<Cow<'a, Scope>, Error> {
        Ok(Cow::Owned(Scope::none()))
    }
}
