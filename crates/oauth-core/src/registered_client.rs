//! A registered client: its id, its secrets, and the metadata it was registered with, also as they are stored. The
//! server's response is read in `registered_client/response.rs`, and the request for it is in
//! `endpoint/registration.rs`; the metadata to register, in `client_metadata.rs`.
//!
//! RFC 7591 section 3.2.1 <https://www.rfc-editor.org/rfc/rfc7591#section-3.2.1>

mod response;
#[cfg(test)]
mod tests;

use crate::client_auth::{ClientAuth, Credentials};
use crate::client_id::ClientId;
use crate::client_metadata::ClientMetadata;
use crate::error::{Error, Misuse, ValidationFailure};
use crate::json::{self, Json, JsonForm as _};
use crate::moment::UnixTime;
use crate::quirk::Strictness;
use crate::secret::Secret;
use crate::server::Server;
use crate::url::Url;

use response::BEHAVIORAL_MEMBERS;
pub(crate) use response::RegistrationContext;

/// The version of the stored form.
const STORED_VERSION: u64 = 1;

/// A client as a server has registered it, which may differ from what was requested.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RegisteredClient {
    issuer: String,
    /// The client id.
    pub client_id: ClientId,
    /// The client secret, if the client authenticates with one.
    pub client_secret: Option<Secret<String>>,
    /// When the id was issued.
    pub client_id_issued_at: Option<UnixTime>,
    /// When the secret expires; `None` if it never does, or there is none.
    pub client_secret_expires_at: Option<UnixTime>,
    /// The token with which the registration is read, updated and deleted (RFC 7592).
    pub registration_access_token: Option<Secret<String>>,
    /// The URL at which the registration is read, updated and deleted.
    pub registration_client_uri: Option<Url>,
    /// The registered metadata: the server's response, completed with the requested members that the response does not
    /// contain.
    pub metadata: ClientMetadata,
    /// The defects of the response.
    pub warnings: Vec<Warning>,
}

/// A flaw of a registration response that was accepted anyway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// A public client was given a secret, which is dropped: no request may carry it.
    SecretIgnored,
    /// A secret was issued without an expiry time: it counts as one that never expires.
    SecretExpiryMissing,
}

impl Warning {
    /// A stable name of the warning.
    pub const fn code(self) -> &'static str {
        match self {
            Self::SecretIgnored => "secret_ignored",
            Self::SecretExpiryMissing => "secret_expiry_missing",
        }
    }

    /// One sentence about the warning, for display.
    pub const fn text(self) -> &'static str {
        match self {
            Self::SecretIgnored => "secret ignored",
            Self::SecretExpiryMissing => "secret expiry missing",
        }
    }
}

impl RegisteredClient {
    /// The issuer of the server with which the client is registered.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Whether the secret has expired: then the server no longer accepts it, and the registration must be read or
    /// updated to get a new one.
    pub fn is_secret_expired(&self, now: UnixTime) -> bool {
        self.client_secret_expires_at.is_some_and(|end| end <= now)
    }

    /// Checks that the client is registered with this server.
    ///
    /// # Errors
    /// `stored.issuer`.
    pub(crate) fn check_server(&self, server: &Server) -> Result<(), Error> {
        if self.issuer == server.issuer().as_str() {
            Ok(())
        } else {
            Err(ValidationFailure::StoredIssuer.into())
        }
    }

    /// The URL at which the registration is managed, and the token for it.
    ///
    /// # Errors
    /// `registration.not_managed`.
    pub(crate) fn management(&self) -> Result<(&Url, &Secret<String>), Error> {
        let uri = self.registration_client_uri.as_ref();
        let uri_and_token = uri.zip(self.registration_access_token.as_ref());
        uri_and_token.ok_or_else(|| Misuse::RegistrationUnmanaged.into())
    }

    /// How the client authenticates: by its registered method, and no other. A secret comes from the registration; a
    /// key or a certificate from the caller.
    ///
    /// # Errors
    /// `client_auth.no_usable_method`, naming the method, if `credentials` has none for it.
    pub fn auth(&self, credentials: Credentials) -> Result<ClientAuth, Error> {
        let method = self.metadata.auth_method();
        let all_credentials = Credentials {
            secret: self.client_secret.clone().or(credentials.secret.clone()),
            ..credentials
        };
        all_credentials.for_method(method)
    }

    /// The client as JSON, to store. It contains the client's secrets. The warnings are not included.
    pub fn to_json(&self) -> Secret<String> {
        let mut out = String::with_capacity(1024);
        let mut members = json::Members::begin(&mut out);
        members.number("version", STORED_VERSION);
        members.text("issuer", &self.issuer);
        members.text("client_id", self.client_id.as_str());
        let secrets = [
            ("client_secret", &self.client_secret),
            ("registration_access_token", &self.registration_access_token),
        ];
        for (name, secret) in secrets {
            if let Some(secret) = secret {
                members.text(name, secret.expose());
            }
        }
        if let Some(at) = self.client_id_issued_at {
            members.number("client_id_issued_at", at.as_secs());
        }
        if self.client_secret.is_some() {
            let end = self.client_secret_expires_at.map_or(0, UnixTime::as_secs);
            members.number("client_secret_expires_at", end);
        }
        if let Some(uri) = &self.registration_client_uri {
            members.text("registration_client_uri", uri.as_str());
        }
        members
            .next("metadata")
            .push_str(&self.metadata.to_stored_json());
        members.end();
        Secret::new(out)
    }

    /// Reads what [`Self::to_json`] wrote for a client of this server.
    ///
    /// # Errors
    /// `stored.malformed`, `stored.issuer`.
    pub fn from_json(text: &str, server: &Server) -> Result<Self, Error> {
        let refused = || Error::from(Misuse::StoredForm);
        let Ok(Json::Object(mut object)) = json::parse(text) else {
            return Err(refused());
        };
        if object.get("version").and_then(Json::as_seconds) != Some(STORED_VERSION) {
            return Err(refused().about("version"));
        }
        let issuer = object.take("issuer").and_then(String::read);
        let issuer = issuer.ok_or_else(|| refused().about("issuer"))?;
        if issuer != server.issuer().as_str() {
            return Err(ValidationFailure::StoredIssuer.into());
        }
        let Some(Json::Object(metadata)) = object.take("metadata") else {
            return Err(refused().about("metadata"));
        };
        let (metadata, unfit) = ClientMetadata::take_from(metadata);
        if let Some(name) = unfit.iter().find(|name| BEHAVIORAL_MEMBERS.contains(name)) {
            return Err(refused().about(name));
        }
        let stored = Strictness::Strict;
        let client = Self::take_from(&issuer, &mut object, server.transport(), stored);
        let client = client.map_err(|error| refused().about(error.detail().unwrap_or_default()))?;
        Ok(Self { metadata, ..client })
    }
}
