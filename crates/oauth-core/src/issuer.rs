//! The issuer: the identifier of an authorization server, compared exactly. The well-known URLs of its metadata (RFC
//! 8414 section 3.1) are in `endpoint/metadata.rs`; the issuer that a metadata document names is compared in
//! `server.rs` (RFC 8414 section 3.3, OpenID Connect Discovery section 4.3). The issuer in an authorization response
//! (RFC 9207) is compared in `flow/authorization/callback.rs`.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Misuse};
use crate::quirk::Rules;
use crate::url::{Flaw, Transport, Url};

/// The identifier of an authorization server (RFC 8414 section 2).
///
/// Compared code point by code point (RFC 9207 section 2.4): a trailing slash matters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Issuer(Url);

impl Issuer {
    /// Reads an `https` issuer without query, fragment or user name.
    ///
    /// # Errors
    /// `issuer.*`, one code for each rule.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_over(text, Transport::Https)
    }

    pub(crate) fn parse_over(text: &str, transport: Transport) -> Result<Self, Error> {
        let refused = |misuse: Misuse| Err(Error::from(misuse));
        let before_fragment = text.split('#').next().unwrap_or_default();
        let url = match Url::scan(before_fragment) {
            Ok(url) => url,
            Err(Flaw::NotAbsolute) => return refused(Misuse::IssuerRelative),
            Err(Flaw::OtherScheme) => return refused(Misuse::IssuerInsecure),
            Err(Flaw::NoHost) => return refused(Misuse::IssuerNoHost),
            Err(Flaw::Userinfo) => return refused(Misuse::IssuerUserinfo),
            Err(Flaw::Form) => return refused(Misuse::IssuerForm),
        };
        if url.require(transport).is_err() {
            return refused(Misuse::IssuerInsecure);
        }
        if url.query().is_some() {
            return refused(Misuse::IssuerQuery);
        }
        if before_fragment.len() < text.len() {
            return refused(Misuse::IssuerFragment);
        }
        // An upper-case host or a redundant port would give one issuer two spellings.
        if url.as_str() != text
            || !url.as_str().starts_with(&url.origin())
            || has_default_port(&url)
        {
            return refused(Misuse::IssuerForm);
        }
        if let Some(issuer) = issuer_of_document(text, &url) {
            return Err(Error::from(Misuse::IssuerDocument).about(&issuer));
        }
        Ok(Self(url))
    }

    /// The text of the issuer, exactly as given.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The issuer as a URL.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Whether the `iss` of a message is this issuer: the strings are equal, or, for a multi-tenant server, equal to
    /// the template of [`crate::quirk::Quirk::TenantIssuer`] filled in.
    pub fn matches(&self, iss: &str, rules: &Rules) -> bool {
        if self.as_str() == iss {
            return true;
        }
        let Some(template) = rules.tenant_issuer() else {
            return false;
        };
        let Some((prefix, suffix)) = template.split_once("{tenantid}") else {
            return template == iss;
        };
        let tenant = iss
            .strip_prefix(prefix)
            .and_then(|rest| rest.strip_suffix(suffix));
        tenant.is_some_and(|tenant| is_guid(tenant) && !rules.excludes_tenant(tenant))
    }
}

/// The issuer of the metadata document at `url`, if `url` is a well-known URL: users often paste the URL of the
/// document.
fn issuer_of_document(text: &str, url: &Url) -> Option<String> {
    let (_, document) = url.path().split_once("/.well-known/")?;
    let kinds = ["openid-configuration", "oauth-authorization-server"];
    let path = kinds.iter().find_map(|kind| document.strip_prefix(kind))?;
    let (prefix, _) = text.split_once("/.well-known/")?;
    (path.is_empty() || path.starts_with('/')).then(|| format!("{prefix}{path}"))
}

fn has_default_port(url: &Url) -> bool {
    let authority = url.as_str().strip_suffix(url.path()).unwrap_or_default();
    let has_explicit_port = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    has_explicit_port && !url.origin().ends_with(&format!(":{}", url.port()))
}

fn is_guid(text: &str) -> bool {
    let lengths = [8, 4, 4, 4, 12];
    text.split('-').count() == lengths.len()
        && text.split('-').zip(lengths).all(|(part, length)| {
            part.len() == length && part.bytes().all(|b| b.is_ascii_hexdigit())
        })
}

impl FromStr for Issuer {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl AsRef<str> for Issuer {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Issuer({})", self.as_str())
    }
}
