//! Protected resource metadata (RFC 9728): parses the document, and checks that its `resource` is the requested one
//! (section 3.3). The request for it is in `endpoint/protected_resource_metadata.rs`.

#[cfg(test)]
mod tests;

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::issuer::Issuer;
use crate::json::{Map, Value};
use crate::scope::Scope;
use crate::url::{Transport, Url};

/// The well-known path of resource metadata (RFC 9728 section 3).
const WELL_KNOWN: &str = "/.well-known/oauth-protected-resource";

/// The identifier of a protected resource: an `https` URL without fragment (RFC 9728 section 1.2).
///
/// Compared code point by code point, as an issuer is.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ResourceIdentifier(Url);

/// Which `resource` a metadata document may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ResourceMatch {
    /// Exactly the requested resource: "If these values are not identical, the data contained in the response
    /// MUST NOT be used" (RFC 9728 section 3.3).
    #[default]
    Identical,
    /// Also a parent of the requested resource, on the same origin: many servers of the Model Context Protocol name
    /// their origin. Tokens are then valid for everything below that parent, so choose this only if every service there
    /// may receive them.
    Parent,
}

/// The checked metadata of a protected resource.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct ProtectedResourceMetadata {
    /// The identifier of the resource, which is sent as `resource` when a token is requested (RFC 8707).
    pub resource: ResourceIdentifier,
    /// The authorization servers that issue tokens for the resource, in its order; empty if it names none. A resource
    /// can name any server: the caller decides which to trust (section 7.6).
    pub authorization_servers: Vec<Issuer>,
    /// The scopes that the resource uses; `None` if it lists none.
    pub scopes_supported: Option<Scope>,
    /// Whether the resource accepts only DPoP-bound tokens (RFC 9449).
    pub requires_dpop: bool,
    /// Whether the resource accepts only certificate-bound tokens (RFC 8705).
    pub requires_mtls: bool,
    /// The algorithms of DPoP proofs that the resource accepts; `None` if it lists none.
    pub dpop_algs: Option<Vec<String>>,
    /// The issuer that signed the values (section 2.2); `None` if there is no signature that the caller trusts.
    pub signed_by: Option<String>,
    /// All members, including those that no standard defines.
    pub metadata: Map<String, Value>,
    /// The entries that were left out: of `authorization_servers` those that are not valid issuers, of `scopes_supported`
    /// those that are not scope names.
    pub ignored: Vec<String>,
}

impl ResourceIdentifier {
    /// Reads an `https` identifier, which is kept as it is written.
    ///
    /// # Errors
    /// `resource.syntax`, `url.insecure`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_over(text, Transport::Https)
    }

    pub(crate) fn parse_over(text: &str, transport: Transport) -> Result<Self, Error> {
        let syntax = |_| Error::from(Misuse::ResourceSyntax).about(text);
        let url = Url::parse(text).map_err(syntax)?;
        url.require(transport)?;
        Ok(Self(url))
    }

    /// The canonical identifier of a server, from the URL at which it is used (Model Context Protocol, "Canonical
    /// Server URI"): scheme and host in lower case, without a default port, and without the slash of an empty path.
    ///
    /// # Errors
    /// The errors of [`Self::parse`].
    pub fn for_server(url: &str) -> Result<Self, Error> {
        Self::parse(url).map(|identifier| identifier.canonical())
    }

    #[must_use]
    pub(crate) fn canonical(self) -> Self {
        let url = &self.0;
        let path = match url.path() {
            "/" => "",
            path => path,
        };
        let query = url.query().map(|query| format!("?{query}"));
        let text = format!("{}{path}{}", url.origin(), query.unwrap_or_default());
        // Only parts of a URL that has already been parsed are combined here.
        Url::parse(&text).map_or(self, Self)
    }

    /// The text of the identifier: as it was given, or its canonical form after [`Self::for_server`].
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// The identifier as a URL.
    pub const fn url(&self) -> &Url {
        &self.0
    }

    /// The URL of the resource's metadata: "inserting a well-known URI string into the protected resource's resource
    /// identifier between the host component and the path and/or query components, if any" (section 3.1).
    pub fn well_known(&self) -> Url {
        let path_and_query = self.0.path_and_query();
        let origin = self
            .0
            .as_str()
            .strip_suffix(path_and_query)
            .unwrap_or_default();
        // "any terminating slash (/) following the host component MUST be removed"
        let path_and_query = match self.0.path() {
            "/" => path_and_query.strip_prefix('/').unwrap_or(path_and_query),
            _ => path_and_query,
        };
        // Only characters of a URL that has already been parsed are combined here.
        Url::parse(&format!("{origin}{WELL_KNOWN}{path_and_query}"))
            .unwrap_or_else(|_| self.0.clone())
    }

    /// The resource that is the whole origin.
    pub(crate) fn root(&self) -> Self {
        Url::parse(&self.0.origin()).map_or_else(|_| self.clone(), Self)
    }

    /// Whether a token for this resource may be sent to `url`: it is on the same origin, and its path is the resource's
    /// path or below it. Sibling resources on one origin do not cover each other.
    ///
    /// A path with an escaped slash is covered only by an identical one, because servers disagree on where it ends.
    pub fn covers(&self, url: &Url) -> bool {
        if self.0.as_str() == url.as_str() {
            return true;
        }
        if !self.0.same_origin(url)
            || self
                .0
                .query()
                .is_some_and(|query| url.query() != Some(query))
        {
            return false;
        }
        let (resource_path, path) = (self.0.path(), url.path());
        let lower = path.to_ascii_lowercase();
        if lower.contains("%2f") || lower.contains("%5c") {
            return resource_path == path;
        }
        let resource_path = resource_path.strip_suffix('/').unwrap_or(resource_path);
        let rest = path.strip_prefix(resource_path);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// Whether both are the same resource: the strings are equal, or differ only in how an empty path is written, which
    /// gives the same metadata URL.
    fn is_same_resource(&self, identifier: &str) -> bool {
        let without_slash = |text: &str| match text.strip_suffix('/') {
            Some(origin) if self.0.path().len() < 2 && self.0.query().is_none() => {
                origin.to_owned()
            }
            _ => text.to_owned(),
        };
        self.as_str() == identifier || without_slash(self.as_str()) == without_slash(identifier)
    }
}

impl ResourceMatch {
    /// `identical` or `parent`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Identical => "identical",
            Self::Parent => "parent",
        }
    }
}

impl ProtectedResourceMetadata {
    /// Reads a document that was fetched for `requested`. The `resource` is compared before anything else is read.
    ///
    /// # Errors
    /// `resource_metadata.*`.
    pub fn read(
        requested: &ResourceIdentifier,
        document: Map<String, Value>,
        matching: ResourceMatch,
    ) -> Result<Self, Error> {
        Self::read_over(requested, document, matching, Transport::Https)
    }

    pub(crate) fn read_over(
        requested: &ResourceIdentifier,
        document: Map<String, Value>,
        matching: ResourceMatch,
        transport: Transport,
    ) -> Result<Self, Error> {
        let resource = match member(&document, "resource") {
            None => return Err(ProtocolViolation::ResourceMetadataNoResource.into()),
            Some(Value::String(named)) => match_resource(requested, named, matching, transport)?,
            Some(_) => return Err(malformed("resource")),
        };
        let (authorization_servers, mut ignored) = issuers_in(&document, transport)?;
        check_bearer_methods(&document)?;
        let scopes_supported = supported_scopes(&document, &mut ignored);
        let algs = list(&document, "dpop_signing_alg_values_supported")?;
        let metadata = Self {
            resource,
            authorization_servers,
            scopes_supported,
            requires_dpop: flag(&document, "dpop_bound_access_tokens_required")?,
            requires_mtls: flag(&document, "tls_client_certificate_bound_access_tokens")?,
            dpop_algs: algs.map(|algs| algs.into_iter().map(str::to_owned).collect()),
            signed_by: None,
            ignored,
            metadata: Map::new(),
        };
        Ok(Self {
            metadata: document,
            ..metadata
        })
    }
}

/// Checks that the `resource` of a document is the requested one, or an acceptable parent of it (RFC 9728 section 3.3).
fn match_resource(
    requested: &ResourceIdentifier,
    resource_member: &str,
    matching: ResourceMatch,
    transport: Transport,
) -> Result<ResourceIdentifier, Error> {
    let mismatch = || {
        let detail = format!(
            "it names {resource_member}, expected {}",
            requested.as_str()
        );
        Err(Error::from(ValidationFailure::ResourceMetadataResource).about(&detail))
    };
    // An invalid identifier is never the requested resource.
    let Ok(resource) = ResourceIdentifier::parse_over(resource_member, transport) else {
        return mismatch();
    };
    // "identical": a string that the parser changed to lower case is not identical.
    let is_as_written = resource.as_str() == resource_member;
    let is_allowed = match matching {
        ResourceMatch::Identical => requested.is_same_resource(resource_member),
        ResourceMatch::Parent => {
            requested.is_same_resource(resource_member) || resource.covers(requested.url())
        }
    };
    if is_as_written && is_allowed {
        Ok(resource)
    } else {
        mismatch()
    }
}

/// The issuers in a list, and the entries that are not valid issuers.
fn issuers_in(
    document: &Map<String, Value>,
    transport: Transport,
) -> Result<(Vec<Issuer>, Vec<String>), Error> {
    let Some(listed) = list(document, "authorization_servers")? else {
        return Ok((Vec::new(), Vec::new()));
    };
    let (mut issuers, mut ignored) = (Vec::new(), Vec::new());
    for name in listed {
        match Issuer::parse_over(name, transport) {
            Ok(issuer) if issuers.contains(&issuer) => {}
            Ok(issuer) => issuers.push(issuer),
            Err(_) => ignored.push(name.to_owned()),
        }
    }
    if issuers.is_empty() {
        Err(ProtocolViolation::ResourceMetadataNoServer.into())
    } else {
        Ok((issuers, ignored))
    }
}

/// The names in `scopes_supported`. No check depends on it, so a value that is not a list counts as absent, and invalid
/// names are left out.
fn supported_scopes(document: &Map<String, Value>, ignored: &mut Vec<String>) -> Option<Scope> {
    let entries = member(document, "scopes_supported")?.as_array()?;
    let (names, ignored_names): (Vec<_>, Vec<_>) = entries
        .iter()
        .filter_map(Value::as_str)
        .partition(|name| Scope::from_names([*name]).is_ok());
    ignored.extend(ignored_names.into_iter().map(str::to_owned));
    Scope::from_names(names)
        .ok()
        .filter(|scope| !scope.is_empty())
}

/// Checks that the resource accepts tokens in the header: they are never sent in a URL, nor in the caller's bodies (RFC
/// 6750 section 2).
fn check_bearer_methods(document: &Map<String, Value>) -> Result<(), Error> {
    match list(document, "bearer_methods_supported")? {
        Some(methods) if !methods.contains(&"header") => {
            let accepted_methods = match methods.as_slice() {
                [] => "it lists none".to_owned(),
                methods => methods.join(" "),
            };
            Err(
                Error::from(ProtocolViolation::ResourceMetadataBearerMethods)
                    .about(&accepted_methods),
            )
        }
        _ => Ok(()),
    }
}

/// A member; `null` counts as absent.
fn member<'a>(document: &'a Map<String, Value>, name: &str) -> Option<&'a Value> {
    document
        .get(name)
        .filter(|value| !matches!(value, Value::Null))
}

fn list<'a>(document: &'a Map<String, Value>, name: &str) -> Result<Option<Vec<&'a str>>, Error> {
    let Some(value) = member(document, name) else {
        return Ok(None);
    };
    let values = value.as_array().ok_or_else(|| malformed(name))?;
    let texts: Option<_> = values.iter().map(Value::as_str).collect();
    texts.map(Some).ok_or_else(|| malformed(name))
}

/// A flag that a check depends on: a malformed one must not count as `false`.
fn flag(document: &Map<String, Value>, name: &str) -> Result<bool, Error> {
    match member(document, name) {
        None => Ok(false),
        Some(value) => value.as_bool().ok_or_else(|| malformed(name)),
    }
}

fn malformed(name: &str) -> Error {
    Error::from(ProtocolViolation::ResourceMetadataShape).about(name)
}

impl FromStr for ResourceIdentifier {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::parse(text)
    }
}

impl AsRef<str> for ResourceIdentifier {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ResourceIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for ResourceIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ResourceIdentifier({:?})", self.0)
    }
}
