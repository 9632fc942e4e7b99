//! `grant_type=urn:...`: a grant this crate has no file for.
//!
//! RFC 6749 <https://www.rfc-editor.org/rfc/rfc6749#section-4.5>

use super::Grant;
use crate::error::Error;
use crate::form::Form;
use crate::quirk::Rules;
use crate::scope::Scope;
use crate::secret::Secret;

/// A grant type named by a URI, with parameters of its own.
#[derive(Debug, Clone)]
pub struct Extension {
    /// The absolute URI that names the grant type.
    pub grant_type: String,
    /// Its parameters in order; a name may stand twice where the grant type says so.
    pub parameters: Vec<(String, Secret<String>)>,
    /// The scope that counts as granted when the server says nothing.
    pub scope: Scope,
}

impl Grant for Extension {
    fn grant_type(&self) -> &str {
        &self.grant_type
    }

    fn purpose(&self) -> &'static str {
        "extension"
    }

    fn fill(&self, form: &mut Form, _: &Rules) -> Result<(), Error> {
        for (name, value) in &self.parameters {
            form.push_repeated(name, value.expose());
        }
        Ok(())
    }

    fn scope(&self) -> &Scope {
        &self.scope
    }
}
