//! `grant_type=urn:ietf:params:oauth:grant-type:device_code`: a device code that a user has approved on another device.
//! The polling (section 3.5) is in `flow/poll.rs`.
//!
//! RFC 8628 <https://www.rfc-editor.org/rfc/rfc8628#section-3.4>

use std::borrow::Cow;

use super::Grant;
use crate::context::Context;
use crate::error::Error;
use crate::form::Form;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::server::DEVICE_CODE;

/// The grant with a device code, with which the client polls until the user approves or declines.
#[derive(Debug, Clone)]
pub struct DeviceCode {
    device_code: Secret<String>,
}

impl DeviceCode {
    /// The grant for the code of a device authorization response.
    pub fn new(device_code: impl Into<Secret<String>>) -> Self {
        Self {
            device_code: device_code.into(),
        }
    }
}

impl Grant for DeviceCode {
    fn grant_type(&self) -> &'static str {
        DEVICE_CODE
    }

    fn purpose(&self) -> &'static str {
        "device_code"
    }

    fn fill(&self, _: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        form.push("device_code", self.device_code.expose());
        Ok(())
    }

    /// The scope was sent with the device authorization request; it is not sent again.
    fn scope<'a>(&'a self, _: &Context<'_>, _: &'a Scope) -> Result<Cow<'a, Scope>, Error> {
        Ok(Cow::Owned(Scope::none()))
    }
}
