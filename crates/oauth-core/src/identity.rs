//! Who we are to one server: shared by all calls of one client.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

use crate::client_auth::ClientAuth;
use crate::error::{Error, Misuse};
use crate::issuer::RedirectUri;
use crate::server::Server;

/// The identifier the server knows the client by. Opaque, and unique to that server only
/// (RFC 6749 section 2.2).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// Wraps the identifier.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({})", self.0)
    }
}

/// A server, and this client as that server knows it.
#[derive(Debug, Clone)]
pub struct Identity {
    pub(crate) server: Server,
    pub(crate) client_id: ClientId,
    pub(crate) auth: ClientAuth,
    pub(crate) headers: HeaderMap,
    pub(crate) redirect_uris: Option<Vec<RedirectUri>>,
}

impl Identity {
    pub(crate) fn new(
        server: Server,
        client_id: ClientId,
        auth: ClientAuth,
    ) -> Result<Self, Error> {
        let raw_basic = server.rules().has(&crate::quirk::Quirk::RawBasic);
        if raw_basic && auth.is_basic() && client_id.as_str().contains(':') {
            return Err(Misuse::ColonInRawId.into());
        }
        Ok(Self {
            server,
            client_id,
            auth,
            headers: HeaderMap::new(),
            redirect_uris: None,
        })
    }

    /// Nobody in particular, for requests that need no client.
    pub(crate) fn anonymous(server: Server) -> Self {
        Self {
            server,
            client_id: ClientId::new(""),
            auth: ClientAuth::none(),
            headers: HeaderMap::new(),
            redirect_uris: None,
        }
    }

    pub(crate) fn add_header(&mut self, name: &str, value: &str) -> Result<(), Error> {
        let refused = || Error::from(Misuse::HeaderValue).about(name);
        let key: HeaderName = name.parse().map_err(|_| refused())?;
        self.headers
            .insert(key, HeaderValue::from_str(value).map_err(|_| refused())?);
        Ok(())
    }

    /// Whether this is one of the redirect URIs registered for the client, as far as we hold them.
    pub(crate) fn allows(&self, uri: &RedirectUri) -> bool {
        self.redirect_uris
            .as_ref()
            .is_none_or(|registered| registered.contains(uri))
    }
}
