//! `grant_type=password`: the user's name and password.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-4.3>; forbidden by RFC 9700
//! section 2.4, so it can only be made by [`crate::danger::password`].

use super::Grant;
use crate::context::Context;
use crate::error::Error;
use crate::form::Form;
use crate::secret::Secret;

/// A user's name and password, dropped after the request.
#[derive(Debug, Clone)]
pub struct Password {
    pub(crate) username: String,
    pub(crate) password: Secret<String>,
}

impl Grant for Password {
    fn grant_type(&self) -> &str {
        self.purpose()
    }

    fn purpose(&self) -> &'static str {
        "password"
    }

    fn fill(&self, _: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        form.push("username", &self.username);
        form.push("password", self.password.expose());
        Ok(())
    }
}
