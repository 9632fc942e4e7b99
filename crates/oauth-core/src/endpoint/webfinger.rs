//! `GET https://{host}/.well-known/webfinger`: finds the issuer that signs in the user with an identifier.
//!
//! OpenID Connect Discovery section 2 <https://openid.net/specs/openid-connect-discovery-1_0.html#IssuerDiscovery>,
//! RFC 7033 <https://www.rfc-editor.org/rfc/rfc7033#section-4>

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use super::{Body, Context, Endpoint, EndpointRequest, Reply};
use crate::address::RequestAddressPolicy;
use crate::client_config::ClientConfig;
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::form::Form;
use crate::http::StatusCode;
use crate::issuer::Issuer;
use crate::json::{Json, Object};
use crate::server::Server;
use crate::url::{Transport, Url};

/// The relation of a link to an issuer: compared exactly.
const ISSUER: &str = "http://openid.net/specs/connect/1.0/issuer";
/// The longest identifier, in bytes.
const MAX_IDENTIFIER_BYTES: usize = 1024;

/// A user identifier, typed before the issuer is known: like an e-mail address, a host, or an `https` URL (section
/// 2.1).
///
/// The user who types it chooses the host of the request, so requests go only to public addresses.
#[derive(Clone, PartialEq, Eq)]
pub struct UserIdentifier {
    /// Normalized: an `acct` or `https` URI.
    resource: String,
    /// The host that gets the request.
    host: Issuer,
    transport: Transport,
}

impl UserIdentifier {
    /// Reads an identifier by the rules of section 2.1.2: a string of only a user and a host is an `acct` URI (RFC
    /// 7565), anything else without a scheme is an `https` URL; a fragment is dropped.
    ///
    /// # Errors
    /// `webfinger.identifier` for XRIs, other schemes, URLs with a user name, hosts that are not ASCII names, and
    /// more than 1024 bytes.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_over(text, Transport::Https)
    }

    pub(crate) fn parse_over(text: &str, transport: Transport) -> Result<Self, Error> {
        let refused = || Error::from(Misuse::WebfingerIdentifier);
        let text = text.trim();
        if text.is_empty() || text.len() > MAX_IDENTIFIER_BYTES || text.starts_with(['=', '@', '!'])
        {
            return Err(refused());
        }
        let (without_fragment, is_fragmented) = match text.split_once('#') {
            Some((before, _)) => (before, true),
            None => (text, false),
        };
        let (resource, origin) = match split_scheme(without_fragment) {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("acct") => account_resource(rest),
            Some(_) => url_resource(without_fragment),
            None => match without_fragment.rsplit_once('@') {
                Some((_, host)) if !is_fragmented && !host.contains([':', '/', '?']) => {
                    account_resource(without_fragment)
                }
                _ => url_resource(&format!("https://{without_fragment}")),
            },
        }
        .ok_or_else(refused)?;
        // An account is looked up over https; only a test on this machine may use plain http.
        let is_local = transport == Transport::LoopbackHttp && origin.is_local();
        let scheme = if is_local { "http" } else { "https" };
        origin.require(transport).map_err(|_| refused())?;
        let authority = origin.origin();
        let (_, authority) = authority.split_once(':').ok_or_else(refused)?;
        let host = Issuer::parse_over(&format!("{scheme}:{authority}"), transport);
        Ok(Self {
            resource,
            host: host.map_err(|_| refused())?,
            transport,
        })
    }

    /// The normalized identifier, the `resource` of the request: an `acct` URI or an `https` URL. Personal data.
    pub fn as_str(&self) -> &str {
        &self.resource
    }

    /// A configuration that uses only the address of the host.
    pub(crate) fn anonymous_config(&self) -> Arc<ClientConfig> {
        let reach = match self.transport {
            Transport::Https => RequestAddressPolicy::PublicOnly,
            Transport::LoopbackHttp => RequestAddressPolicy::Any,
        };
        let server = Server::new(self.host.clone()).with_transport(self.transport);
        Arc::new(ClientConfig::anonymous(server.with_address_policy(reach)))
    }

    /// Whether a subject or an alias in the response is this identifier.
    fn is_same_identifier(&self, identifier: &str) -> bool {
        let identifier = Self::parse_over(identifier, self.transport);
        identifier.is_ok_and(|identifier| identifier.resource == self.resource)
    }
}

/// The scheme of a string that has one, and what follows it. A host with a port has none.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let (before, after) = text.split_once(':')?;
    let port = after.split(['/', '?']).next().unwrap_or_default();
    let is_port = !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit());
    let is_userinfo = before.contains(['@', '/', '?']);
    (!is_port && !is_userinfo).then_some((before, after))
}

/// `user@host` as an `acct` URI, and the host to request.
fn account_resource(text: &str) -> Option<(String, Url)> {
    let (user, host) = text.rsplit_once('@')?;
    let origin = Url::parse(&format!("https://{host}")).ok()?;
    if user.is_empty() || !origin.path_and_query().is_empty() {
        return None;
    }
    let authority = origin.as_str().strip_prefix("https://")?.to_owned();
    let mut resource = "acct:".to_owned();
    let mut rest = user.as_bytes();
    while let Some((byte, after)) = rest.split_first() {
        let is_escape =
            matches!(after, [a, b, ..] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit());
        match byte {
            // unreserved and sub-delims (RFC 7565 section 7)
            b'%' if is_escape => resource.push('%'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => resource.push(char::from(*byte)),
            byte if b"-._~!$&'()*+,;=".contains(byte) => resource.push(char::from(*byte)),
            byte if byte.is_ascii_control() => return None,
            byte => resource.push_str(&format!("%{byte:02X}")),
        }
        rest = after;
    }
    Some((format!("{resource}@{authority}"), origin))
}

/// The identifier as a URL, whose path begins with a slash, and the host to request.
fn url_resource(text: &str) -> Option<(String, Url)> {
    let url = Url::parse(text).ok()?;
    let path_and_query = url.path_and_query();
    let origin = url.as_str().strip_suffix(path_and_query)?;
    let slash = if path_and_query.starts_with('/') {
        ""
    } else {
        "/"
    };
    Some((format!("{origin}{slash}{path_and_query}"), url))
}

impl fmt::Debug for UserIdentifier {
    /// Shows the identifier without the user.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("UserIdentifier").field(&self.host).finish()
    }
}

/// Requests the issuer of a user from the host of the identifier.
#[derive(Debug, Clone)]
pub(crate) struct Webfinger {
    pub(crate) identifier: UserIdentifier,
}

impl Endpoint for Webfinger {
    const NAME: &'static str = "webfinger";
    type Output = Issuer;

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        let mut form = Form::new();
        form.push("resource", &self.identifier.resource);
        form.push("rel", ISSUER);
        let url = format!("{}/.well-known/webfinger", self.identifier.host);
        let request = EndpointRequest::get(Url::parse(&url)?).body(Body::Query(form));
        Ok(request.accept("application/jrd+json, application/json"))
    }

    fn read(&self, cx: &Context<'_>, reply: Reply<'_>) -> Result<Issuer, Error> {
        if reply.status() != StatusCode::OK {
            return Err(reply.oauth_error());
        }
        let document = reply.object_or(ProtocolViolation::WebfingerShape)?;
        self.check_subject(&document)?;
        let Some(Json::Array(links)) = document.get("links") else {
            return Err(ProtocolViolation::WebfingerNoIssuer.into());
        };
        // "the order of elements in the array MAY be interpreted as indicating an order of preference"
        // (RFC 7033 section 4.4.4)
        let mut links = links.iter().filter_map(|link| match link {
            Json::Object(link) => Some(link),
            _ => None,
        });
        let link = links.find(|link| link.get("rel").and_then(Json::as_str) == Some(ISSUER));
        let link = link.ok_or(ProtocolViolation::WebfingerNoIssuer)?;
        let href = link.get("href").and_then(Json::as_str).unwrap_or_default();
        Issuer::parse_over(href, cx.server.transport())
            .map_err(|_| Error::from(ProtocolViolation::WebfingerIssuer).about(href))
    }
}

impl Webfinger {
    /// Checks that the `subject` of the response, or one of its `aliases`, is the requested identifier (RFC 7033
    /// section 4.4.2).
    fn check_subject(&self, document: &Object<'_>) -> Result<(), Error> {
        let Some(subject) = document.get("subject") else {
            return Ok(());
        };
        let aliases = document.get("aliases").and_then(Json::as_texts);
        let mut identifiers = subject
            .as_str()
            .into_iter()
            .chain(aliases.unwrap_or_default());
        if identifiers.any(|identifier| self.identifier.is_same_identifier(identifier)) {
            Ok(())
        } else {
            Err(ValidationFailure::WebfingerSubject.into())
        }
    }
}
