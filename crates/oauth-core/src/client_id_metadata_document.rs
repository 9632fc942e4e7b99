//! Client ID metadata documents: the client id is a URL, and the document at it holds the metadata that other clients
//! register.
//!
//! draft-ietf-oauth-client-id-metadata-document
//! <https://datatracker.ietf.org/doc/draft-ietf-oauth-client-id-metadata-document/>

#[cfg(test)]
mod tests;

use std::fmt;

use crate::client_id::ClientId;
use crate::client_metadata::ClientMetadata;
use crate::error::{Error, Misuse};
use crate::json::{self, Json};
use crate::server::{EndpointKind, FlagDefault, Server};
use crate::url::{Transport, Url};

/// The metadata member of a server that accepts such client ids.
pub(crate) const SUPPORT_MEMBER: &str = "client_id_metadata_document_supported";

/// The size up to which servers should accept a document, in bytes.
const MAX_DOCUMENT: usize = 5 << 10;

/// The URL of a client ID metadata document, which is the client's id.
///
/// Servers compare it byte for byte, so another spelling is another client, with its own tokens and consents.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientIdUrl(String);

impl ClientIdUrl {
    /// Reads the URL.
    ///
    /// # Errors
    /// `client_id_metadata.url`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Self::parse_over(text, Transport::Https)
    }

    pub(crate) fn parse_over(text: &str, transport: Transport) -> Result<Self, Error> {
        // "MUST have an https scheme, MUST contain a path component, MUST NOT contain single-dot or double-dot
        // path segments, MUST NOT contain a fragment component and MUST NOT contain a username or password"
        match Url::parse(text) {
            Ok(url) if url.require(transport).is_ok() && !url.path().is_empty() => {
                Ok(Self(text.to_owned()))
            }
            _ => Err(Misuse::ClientIdMetadataUrl.into()),
        }
    }

    /// The text of the URL, exactly as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientIdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientIdUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientIdUrl({})", self.0)
    }
}

impl From<ClientIdUrl> for ClientId {
    fn from(url: ClientIdUrl) -> Self {
        Self::new(url.0)
    }
}

/// A valid document, to be published at its URL with status `200`, type `application/json` and no redirect.
#[derive(Debug, Clone)]
pub struct ClientIdMetadataDocument {
    url: ClientIdUrl,
    metadata: ClientMetadata,
}

/// A property of a document that the draft allows but servers may reject.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// The URL has a query, which the standard discourages.
    Query,
    /// The URL has no path but `/`, which the standard discourages.
    BarePath,
    /// The URL has upper case letters in its host, or names the default port: a URL that is compared byte for byte
    /// should be in its normal form.
    NotNormalized,
    /// The document is larger than 5 KiB.
    Large,
}

impl Warning {
    /// A stable name of the warning.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Query => "query",
            Self::BarePath => "bare_path",
            Self::NotNormalized => "not_normalized",
            Self::Large => "large",
        }
    }

    /// One sentence about the warning, for display.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Query => "the URL should have no query",
            Self::BarePath => "the URL should have a path of its own",
            Self::NotNormalized => {
                "the URL should be in its normal form: servers compare it as text"
            }
            Self::Large => "servers may reject documents over 5 KiB",
        }
    }
}

impl ClientIdMetadataDocument {
    /// Creates a document for this URL. A client without `token_endpoint_auth_method` becomes a public client.
    ///
    /// # Errors
    /// `client_id_metadata.shared_secret`, and those of [`ClientMetadata::check`].
    pub fn new(url: ClientIdUrl, mut metadata: ClientMetadata) -> Result<Self, Error> {
        let method = &mut metadata.token_endpoint_auth_method;
        method.get_or_insert_with(|| "none".to_owned());
        Self { url, metadata }.check_document()
    }

    /// Reads a client's metadata. Metadata with a `client_id` is a complete document, which is only checked
    /// ([`Self::parse`]); otherwise a document is made of it ([`Self::new`]).
    ///
    /// # Errors
    /// The errors of [`Self::parse`] and [`Self::new`].
    pub fn from_json(url: ClientIdUrl, text: &str) -> Result<Self, Error> {
        match json::parse(text) {
            Ok(Json::Object(object)) if object.has("client_id") => Self::parse(url, text),
            _ => Self::new(url, ClientMetadata::from_json(text)?),
        }
    }

    /// Reads a document that is, or will be, published at this URL.
    ///
    /// # Errors
    /// `client_id_metadata.client_id`, `client_id_metadata.client_secret`, `client_id_metadata.shared_secret`,
    /// which a document without `token_endpoint_auth_method` also gets; `client_metadata.malformed` and the
    /// others of [`ClientMetadata::check`].
    pub fn parse(url: ClientIdUrl, text: &str) -> Result<Self, Error> {
        let Ok(Json::Object(mut object)) = json::parse(text) else {
            return Err(Error::from(Misuse::ClientMetadataShape).about("no JSON object"));
        };
        // "The client_id ... value MUST match the URL of the document using a simple string comparison"
        let client_id = object.take("client_id");
        if client_id.as_ref().and_then(Json::as_str) != Some(url.as_str()) {
            return Err(Misuse::ClientIdMetadataMismatch.into());
        }
        for name in ["client_secret", "client_secret_expires_at"] {
            if object.has(name) {
                return Err(Error::from(Misuse::ClientIdMetadataSecret).about(name));
            }
        }
        let metadata = ClientMetadata::from_caller(object)?;
        Self { url, metadata }.check_document()
    }

    fn check_document(self) -> Result<Self, Error> {
        // "MUST NOT include client_secret_post, client_secret_basic, client_secret_jwt, or any other method
        // based around a shared symmetric secret" (section 4.1)
        let method = self.metadata.auth_method();
        if method.starts_with("client_secret_") {
            return Err(Error::from(Misuse::ClientIdMetadataMethod).about(method));
        }
        self.metadata.check()?;
        Ok(self)
    }

    /// Checks what servers of the Model Context Protocol require in addition: a name to show to users, and a redirect
    /// URI.
    ///
    /// # Errors
    /// `client_metadata.name_missing`; `client_metadata.inconsistent` without redirect URIs.
    pub fn check_for_mcp(&self) -> Result<(), Error> {
        let name = self.metadata.client_name.as_deref().unwrap_or_default();
        if name.trim().is_empty() {
            return Err(Misuse::ClientMetadataName.into());
        }
        if self.metadata.redirect_uris.is_empty() {
            Err(Error::from(Misuse::ClientMetadataConflict).about("redirect_uris"))
        } else {
            Ok(())
        }
    }

    /// The URL, which is the client's id.
    pub const fn url(&self) -> &ClientIdUrl {
        &self.url
    }

    /// The metadata in the document, apart from the client id.
    pub const fn metadata(&self) -> &ClientMetadata {
        &self.metadata
    }

    /// The document, to publish. Nothing in it is secret.
    pub fn to_json(&self) -> String {
        let text = self.metadata.to_json_with_id(Some(self.url.as_str()));
        text.expose().clone()
    }

    /// The properties of the document that servers may reject.
    pub fn warnings(&self) -> Vec<Warning> {
        let mut warnings = Vec::new();
        if let Ok(url) = Url::parse(self.url.as_str()) {
            if url.query().is_some() {
                warnings.push(Warning::Query);
            }
            if url.path() == "/" {
                warnings.push(Warning::BarePath);
            }
            let normal = [&url.origin(), url.path_and_query()].concat();
            if normal != self.url.as_str() {
                warnings.push(Warning::NotNormalized);
            }
        }
        if self.to_json().len() > MAX_DOCUMENT {
            warnings.push(Warning::Large);
        }
        warnings
    }
}

/// The ways in which a client that is not registered at a server gets a client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Identification {
    /// By the URL of a [`ClientIdMetadataDocument`].
    MetadataDocument,
    /// By registering itself ([`crate::client::register`]).
    DynamicRegistration,
    /// By hand: a developer registers the client.
    ByHand,
}

impl Identification {
    /// The ways that this server offers, best first. A client that already has an id at the server needs no registration.
    pub fn offered_by(server: &Server) -> Vec<Self> {
        let mut ways = Vec::new();
        if server.flag(SUPPORT_MEMBER, FlagDefault::False) {
            ways.push(Self::MetadataDocument);
        }
        if server.endpoint(EndpointKind::Registration).is_ok() {
            ways.push(Self::DynamicRegistration);
        }
        ways.push(Self::ByHand);
        ways
    }
}

/// Checks that this server accepts the URLs of documents as client ids.
///
/// # Errors
/// `client_id_metadata.not_supported`.
pub(crate) fn check_supported(server: &Server) -> Result<(), Error> {
    if server.flag(SUPPORT_MEMBER, FlagDefault::False) {
        Ok(())
    } else {
        Err(Misuse::ClientIdMetadataUnsupported.into())
    }
}
