//! Who the server is, and where it sends people back to: two texts compared exactly.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Misuse};
use crate::json::{Json, JsonForm};
use crate::quirk::Rules;
use crate::url::{Flaw, Transport, Url};

/// The identifier of an authorization server (RFC 8414 section 2).
///
/// Compared code point by code point (RFC 9207 section 2.4): a trailing slash matters.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Issuer(Url);

/// The kinds of document a server may publish about itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum WellKnown {
    /// RFC 8414 section 3.1: `oauth-authorization-server`, put before the issuer's path.
    AuthorizationServer,
    /// RFC 8414 section 5: `openid-configuration`, put before the issuer's path.
    OpenIdInserted,
    /// OpenID Connect Discovery section 4: `openid-configuration`, put behind the issuer's path.
    OpenIdAppended,
    /// `oauth-authorization-server` behind the issuer's path: in no standard, but where Okta and
    /// others have it. Asked for last.
    AuthorizationServerAppended,
}

impl WellKnown {
    /// The standard places, in the order in which they are tried; an issuer without a path has two.
    pub const ORDER: [Self; 3] = [
        Self::AuthorizationServer,
        Self::OpenIdInserted,
        Self::OpenIdAppended,
    ];
}

impl Issuer {
    /// An `https` issuer without query, fragment or user name.
    ///
    /// # Errors
    /// `issuer.*`, one code for each rule.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_over(text, Transport::Https)
    }

    pub(crate) fn parse_over(text: &str, transport: Transport) -> Result<Self, Error> {
        let misuse = |misuse: Misuse| Err(Error::from(misuse));
        let before_fragment = text.split('#').next().unwrap_or_default();
        let url = match Url::scan(before_fragment) {
            Ok(url) => url,
            Err(Flaw::NotAbsolute) => return misuse(Misuse::IssuerRelative),
            Err(Flaw::OtherScheme) => return misuse(Misuse::IssuerInsecure),
            Err(Flaw::NoHost) => return misuse(Misuse::IssuerNoHost),
            Err(Flaw::Userinfo) => return misuse(Misuse::IssuerUserinfo),
            Err(Flaw::Form) => return misuse(Misuse::IssuerForm),
        };
        if url.require(transport).is_err() {
            return misuse(Misuse::IssuerInsecure);
        }
        if url.query().is_some() {
            return misuse(Misuse::IssuerQuery);
        }
        if before_fragment.len() < text.len() {
            return misuse(Misuse::IssuerFragment);
        }
        // Upper case in the host or a needless port would make one issuer of two texts.
        if url.as_str() != text
            || !url.as_str().starts_with(&url.origin())
            || has_default_port(&url)
        {
            return misuse(Misuse::IssuerForm);
        }
        if let Some(issuer) = issuer_of_document(text, &url) {
            return Err(Error::from(Misuse::IssuerDocument).about(&issuer));
        }
        Ok(Self(url))
    }

    /// The text, exactly as given.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The issuer as a URL.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// Where a metadata document of this kind lies.
    pub fn well_known(&self, kind: WellKnown) -> Url {
        let origin = self
            .0
            .as_str()
            .strip_suffix(self.0.path())
            .unwrap_or_default();
        // "any terminating "/" MUST be removed" (RFC 8414 section 3.1)
        let path = self.0.path().strip_suffix('/').unwrap_or(self.0.path());
        let text = match kind {
            WellKnown::AuthorizationServer => {
                format!("{origin}/.well-known/oauth-authorization-server{path}")
            }
            WellKnown::OpenIdInserted => format!("{origin}/.well-known/openid-configuration{path}"),
            WellKnown::AuthorizationServerAppended => {
                format!("{origin}{path}/.well-known/oauth-authorization-server")
            }
            WellKnown::OpenIdAppended => format!("{origin}{path}/.well-known/openid-configuration"),
        };
        // Only characters of a URL that was already read are put together here.
        Url::parse(&text).unwrap_or_else(|_| self.0.clone())
    }

    /// Every standard place to look for metadata, in order, each once.
    pub fn well_known_places(&self) -> Vec<Url> {
        let mut places = Vec::with_capacity(3);
        for kind in WellKnown::ORDER {
            let place = self.well_known(kind);
            if !places.contains(&place) {
                places.push(place);
            }
        }
        places
    }

    /// Whether a message that names its issuer comes from this one: equal texts, or, for a server
    /// of many tenants, the template of [`crate::quirk::Quirk::TenantIssuer`] filled in.
    pub fn is(&self, named: &str, rules: &Rules) -> bool {
        if self.as_str() == named {
            return true;
        }
        let Some((before, after)) = rules
            .tenant_issuer()
            .and_then(|t| t.split_once("{tenantid}"))
        else {
            return false;
        };
        let tenant = named
            .strip_prefix(before)
            .and_then(|rest| rest.strip_suffix(after));
        tenant.is_some_and(is_guid)
    }
}

/// The issuer whose metadata document `url` is, if it is one: people paste what they have at hand.
fn issuer_of_document(text: &str, url: &Url) -> Option<String> {
    let (_, after) = url.path().split_once("/.well-known/")?;
    let kinds = ["openid-configuration", "oauth-authorization-server"];
    let path = kinds.iter().find_map(|kind| after.strip_prefix(kind))?;
    let (before, _) = text.split_once("/.well-known/")?;
    (path.is_empty() || path.starts_with('/')).then(|| format!("{before}{path}"))
}

fn has_default_port(url: &Url) -> bool {
    let authority = url.as_str().strip_suffix(url.path()).unwrap_or_default();
    let explicit = authority
        .rsplit_once(':')
        .is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    explicit && !url.origin().ends_with(&format!(":{}", url.port()))
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

/// Where the server sends the person back to (RFC 6749 section 3.1.2, RFC 8252 section 7).
///
/// `https`; plain `http` on a loopback address or `localhost`; or a private scheme in reverse
/// domain form (`com.example.app:/callback`). Kept and compared exactly as given.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String")]
#[serde(try_from = "String")]
pub struct RedirectUri(String);

impl RedirectUri {
    /// Reads a redirect URI.
    ///
    /// # Errors
    /// `redirect_uri.refused`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let accepted = match Url::scan(text) {
            _ if text.contains('#') => false,
            Ok(url) => url.scheme() == "https" || url.is_loopback() || url.host() == "localhost",
            // "a URI scheme based on a domain name under their control, expressed in reverse
            // order" (RFC 8252 section 7.1)
            Err(Flaw::OtherScheme) => text.split_once(':').is_some_and(|(scheme, rest)| {
                let is_domain =
                    scheme.contains('.') && scheme.split('.').all(|label| !label.is_empty());
                is_domain && rest.starts_with('/') && rest.bytes().all(crate::url::is_plain)
            }),
            Err(_) => false,
        };
        if accepted {
            Ok(Self(text.to_owned()))
        } else {
            Err(Misuse::RedirectUriRefused.into())
        }
    }

    /// The text, exactly as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the server added to this URI, if the callback arrived here. Of a callback that is no
    /// whole URL only what is there is compared: of a path with its query the path, of a bare query
    /// nothing. `Err` is where it arrived instead, without its query.
    pub(crate) fn arrived<'a>(&self, callback: &'a str) -> Result<Arrived<'a>, &'a str> {
        let is_path = callback.starts_with('/') && !callback.starts_with("//");
        if !is_path && !callback.starts_with("//") && !has_scheme(callback) {
            return Ok(Arrived::Bare(self.without_own_query(callback)));
        }
        let bare = callback.split('#').next().unwrap_or_default();
        let (here, query) = bare.split_once('?').unwrap_or((bare, ""));
        let (ours, own_query) = self.0.split_once('?').unwrap_or((&self.0, ""));
        let is_here = match (Url::scan(here), Url::scan(ours)) {
            (_, Ok(ours)) if is_path => here == path_of(&ours),
            // Of a private scheme the path is all that follows the colon.
            (_, Err(_)) if is_path => ours.split_once(':').is_some_and(|(_, path)| path == here),
            (Ok(here), Ok(ours)) => here.same_origin(&ours) && path_of(&here) == path_of(&ours),
            _ => here == ours,
        };
        let added = match query.strip_prefix(own_query) {
            Some(added) if own_query.is_empty() || added.is_empty() => Some(added),
            Some(added) => added.strip_prefix('&'),
            None => None,
        };
        match added.filter(|_| is_here) {
            Some(added) => Ok(Arrived::At { added }),
            None => Err(here),
        }
    }

    /// A bare query may begin with the one that is this URI's own; a posted form does not.
    fn without_own_query<'a>(&self, query: &'a str) -> &'a str {
        let Some((_, own)) = self.0.split_once('?').filter(|(_, own)| !own.is_empty()) else {
            return query;
        };
        let bare = query.strip_prefix('?').unwrap_or(query);
        bare.strip_prefix(own)
            .and_then(|added| added.strip_prefix('&'))
            .unwrap_or(query)
    }
}

/// A callback that is this redirect URI's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Arrived<'a> {
    /// It says where it arrived, and that is here; with what was added to the query.
    At { added: &'a str },
    /// It holds parameters alone.
    Bare(&'a str),
}

/// Whether a text begins as an absolute URI does. No parameter of a callback has a colon in its
/// name, and a value stands behind an equals sign.
fn has_scheme(text: &str) -> bool {
    text.split_once(':').is_some_and(|(scheme, _)| {
        let is_char = |b: u8| b.is_ascii_alphanumeric() || b"+-.".contains(&b);
        scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.bytes().all(is_char)
    })
}

/// The path as browsers write it: never empty.
fn path_of(url: &Url) -> &str {
    match url.path() {
        "" => "/",
        path => path,
    }
}

impl FromStr for RedirectUri {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl AsRef<str> for RedirectUri {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Debug for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RedirectUri({})", self.0)
    }
}

impl fmt::Display for RedirectUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<RedirectUri> for String {
    fn from(uri: RedirectUri) -> Self {
        uri.0
    }
}

impl TryFrom<String> for RedirectUri {
    type Error = Error;

    fn try_from(text: String) -> Result<Self, Error> {
        Self::parse(&text)
    }
}

/// Where a person may go after the login: a path of this origin, or a URL of it
/// (RFC 9700 section 4.11.1).
///
/// # Errors
/// `return_target.refused` for anything a browser could read as another origin.
pub fn return_target<'a>(target: &'a str, own_origin: &Url) -> Result<&'a str, Error> {
    let refused = || Err(Error::from(Misuse::ReturnTarget));
    let bare = target.split('#').next().unwrap_or_default();
    if !target.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return refused();
    }
    // A path is read as part of this origin; `//host` in it, or dot segments, would lead away.
    let absolute = if bare.starts_with('/') && !bare.starts_with("//") {
        format!("{}{bare}", own_origin.origin())
    } else {
        bare.to_owned()
    };
    match Url::parse(&absolute) {
        Ok(url) if url.same_origin(own_origin) => Ok(target),
        _ => refused(),
    }
}

impl JsonForm for RedirectUri {
    fn read(value: Json<'_>) -> Option<Self> {
        Self::parse(value.as_str()?).ok()
    }

    fn write(&self, out: &mut String) {
        self.0.write(out);
    }
}
