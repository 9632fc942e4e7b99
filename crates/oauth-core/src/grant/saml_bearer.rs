//! `grant_type=urn:ietf:params:oauth:grant-type:saml2-bearer`: a SAML assertion names the subject of the token.
//!
//! RFC 7522 <https://www.rfc-editor.org/rfc/rfc7522#section-2.1>

use super::Grant;
use crate::base64::{Alphabet, decode, url_safe};
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
    /// The grant with one assertion: its XML, or the base64url of it, as from another library. The assertion is sent in
    /// base64url, as section 2.1 requires. XML contains characters that base64url does not, so the two cannot be confused.
    pub fn new(assertion: impl Into<Secret<String>>) -> Self {
        let assertion = assertion.into();
        Self {
            assertion: match encoded(assertion.expose()) {
                Some(encoded) => Secret::new(encoded.to_owned()),
                None => Secret::new(url_safe(assertion.expose())),
            },
        }
    }
}

/// The assertion without padding, which "SHOULD NOT" be sent, if it is base64url of XML.
fn encoded(assertion: &str) -> Option<&str> {
    let text = assertion.trim_end_matches('=');
    let decoded = Secret::new(decode(text, Alphabet::UrlSafe)?);
    let xml = decoded.expose().trim_ascii_start();
    xml.starts_with(b"<").then_some(text)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn assertion_is_encoded_once() {
        let sent = |assertion: &str| SamlBearer::new(assertion).assertion.expose().clone();
        let encoded = "PEFzc2VydGlvbj7DvDwvQXNzZXJ0aW9uPg";
        for assertion in [
            "<Assertion>\u{fc}</Assertion>",
            encoded,
            &format!("{encoded}=="),
        ] {
            assert_eq!(sent(assertion), encoded, "{assertion}");
        }
        // Line breaks before the XML declaration are encoded with it.
        let indented = url_safe("\n<a/>");
        assert_eq!(sent("\n<a/>"), indented);
        assert_eq!(sent(&indented), indented);
        // Neither XML nor its base64url: sent as any text, and refused by the server.
        for other in ["abcd", "PEFz c2Vy", "PGEvPg+/"] {
            assert_eq!(sent(other), url_safe(other), "{other}");
        }
    }
}
