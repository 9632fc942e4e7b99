//! `grant_type=urn:ietf:params:oauth:grant-type:saml2-bearer`: a SAML assertion names the subject of the token.
//!
//! RFC 7522 <https://www.rfc-editor.org/rfc/rfc7522#section-2.1>

use super::Grant;
use crate::base64::url_safe;
use crate::context::Context;
use crate::error::Error;
use crate::form::Form;
use crate::secret::Secret;

/// A SAML 2.0 assertion, as the identity provider issued it.
#[derive(Debug, Clone)]
pub struct SamlBearer {
    assertion: Secret<String>,
}

impl SamlBearer {
    /// The grant with the XML of one assertion. The assertion is sent in base64url, as section 2.1 requires.
    pub fn new(assertion: impl Into<Secret<String>>) -> Self {
        let xml = assertion.into();
        Self {
            assertion: Secret::new(url_safe(xml.expose())),
        }
    }
}

impl Grant for SamlBearer {
    fn grant_type(&self) -> &'static str {
        "urn:ietf:params:oauth:grant-type:saml2-bearer"
    }

    fn purpose(&self) -> &'static str {
        "saml_bearer"
    }

    fn fill(&self, _: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        form.push("assertion", self.assertion.expose());
        Ok(())
    }
}
