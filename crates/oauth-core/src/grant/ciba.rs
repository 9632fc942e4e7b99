//! `grant_type=urn:openid:params:grant-type:ciba`: a person agrees on a device of theirs, asked by the server.
//!
//! CIBA Core <https://openid.net/specs/openid-client-initiated-backchannel-authentication-core-1_0.html#token_request>

use std::borrow::Cow;

use super::Grant;
use crate::context::Context;
use crate::error::Error;
use crate::form::Form;
use crate::scope::Scope;
use crate::secret::Secret;

/// The name that the server gave the request, which is asked with until the person has answered.
#[derive(Debug, Clone)]
pub struct Ciba {
    auth_req_id: Secret<String>,
}

impl Ciba {
    /// Of a backchannel authentication response.
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

    /// What was asked for with the authentication request; it is not said again.
    fn scope<'a>(&'a self, _: &Context<'_>, _: &'a Scope) -> Result<Cow<'a, Scope>, Error> {
        Ok(Cow::Owned(Scope::none()))
    }
}
