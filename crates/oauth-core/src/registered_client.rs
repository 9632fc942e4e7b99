//! A registered client: its id, its secrets, and the metadata it was registered with. The request that registers it is
//! in `endpoint/registration.rs`; the metadata to register, in `client_metadata.rs`.
//!
//! RFC 7591 section 3.2.1 <https://www.rfc-editor.org/rfc/rfc7591#section-3.2.1>, RFC 7592 section 3 (the
//! response to a read or an update replaces what is known, and may rotate the registration access token)

#[cfg(test)]
mod tests;

use crate::client_auth::{ClientAuth, Credentials};
use crate::client_id::ClientId;
use crate::client_metadata::ClientMetadata;
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::json::{self, Json, JsonForm as _, Object};
use crate::moment::UnixTime;
use crate::quirk::Strictness;
use crate::secret::Secret;
use crate::server::{Server, endpoint_url};
use crate::url::{Transport, Url};

/// The members that determine how the client is used.
const BEHAVIORAL_MEMBERS: [&str; 4] = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
];

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

/// What is known about a client before the response.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RegistrationContext<'a> {
    /// The server was asked to register this.
    Requested(&'a ClientMetadata),
    /// The server was asked about this client.
    Known(&'a RegisteredClient),
    /// The server was asked to replace that client's metadata with this.
    Replaced(&'a RegisteredClient, &'a ClientMetadata),
}

impl<'a> RegistrationContext<'a> {
    /// The metadata that the server was asked to register.
    const fn requested(self) -> Option<&'a ClientMetadata> {
        match self {
            Self::Requested(metadata) | Self::Replaced(_, metadata) => Some(metadata),
            Self::Known(_) => None,
        }
    }

    const fn registered(self) -> Option<&'a RegisteredClient> {
        match self {
            Self::Known(client) | Self::Replaced(client, _) => Some(client),
            Self::Requested(_) => None,
        }
    }
}

impl RegisteredClient {
    /// Reads the server's response.
    ///
    /// # Errors
    /// `registration.malformed`, naming the member; `registration.redirect_uri`, `registration.client_id`;
    /// `metadata.endpoint_*` for a `registration_client_uri` to which no token may be sent.
    pub(crate) fn read(
        server: &Server,
        object: Object<'_>,
        before: RegistrationContext<'_>,
    ) -> Result<Self, Error> {
        // A member that the response does not contain was registered as requested.
        let requested_json = before.requested().map(ClientMetadata::to_json);
        let mut object = object;
        if let Some(requested_json) = &requested_json
            && let Ok(Json::Object(requested)) = json::parse(requested_json.expose())
        {
            object.fill_missing(requested);
        }
        let issuer = server.issuer().as_str();
        let strictness = server.rules().strictness;
        let mut client = Self::take_from(issuer, &mut object, server.transport(), strictness)?;
        let (metadata, unfit) = ClientMetadata::take_from(object);
        if let Some(name) = unfit.iter().find(|name| BEHAVIORAL_MEMBERS.contains(name)) {
            return Err(malformed(name));
        }
        client.metadata = metadata;
        client.check_redirect_uris(before.requested())?;
        client.complete(before.registered())?;
        client.check_secret()?;
        Ok(client)
    }

    /// Takes the client information out of an object.
    fn take_from(
        issuer: &str,
        object: &mut Object<'_>,
        transport: Transport,
        strictness: Strictness,
    ) -> Result<Self, Error> {
        let mut text = |name: &'static str| match object.take(name) {
            None => Ok(None),
            // "" is how some servers say that there is none.
            Some(Json::String(text)) if text.is_empty() => Ok(None),
            Some(Json::String(text)) => Ok(Some(text.into_owned())),
            Some(_) => Err(malformed(name)),
        };
        let client_id = text("client_id")?.ok_or_else(|| malformed("client_id"))?;
        let client_secret = text("client_secret")?.map(Secret::new);
        let registration_access_token = text("registration_access_token")?;
        // It is sent in a header (RFC 6750 section 2.1).
        let is_visible = |token: &String| token.bytes().all(|b| b.is_ascii_graphic());
        if !registration_access_token.as_ref().is_none_or(is_visible) {
            return Err(malformed("registration_access_token"));
        }
        let registration_access_token = registration_access_token.map(Secret::new);
        let uri = text("registration_client_uri")?;
        let uri = uri.map(|uri| endpoint_url("registration_client_uri", &uri, transport));
        let client_id = ClientId::new(client_id);
        client_id.check().map_err(|_| malformed("client_id"))?;
        let mut time = |name: &'static str| match object.take(name) {
            None => Ok(None),
            Some(value) => match (&value, strictness) {
                (Json::String(text), Strictness::Lenient) => text.parse().ok(),
                _ => value.as_seconds(),
            }
            .map(Some)
            .ok_or_else(|| malformed(name)),
        };
        // Nothing depends on when an id was issued.
        let issued_at = match time("client_id_issued_at") {
            Err(_) if strictness == Strictness::Lenient => None,
            read => read?,
        };
        let expires_at = time("client_secret_expires_at")?;
        // "REQUIRED if client_secret is issued" (section 3.2.1), which many servers do not know.
        let mut warnings = Vec::new();
        if client_secret.is_some() && expires_at.is_none() {
            if strictness == Strictness::Strict {
                return Err(malformed("client_secret_expires_at"));
            }
            warnings.push(Warning::SecretExpiryMissing);
        }
        // "or 0 if it will not expire"
        let expires_at = expires_at.filter(|&seconds| seconds > 0 && client_secret.is_some());
        Ok(Self {
            issuer: issuer.to_owned(),
            client_id,
            client_secret,
            client_id_issued_at: issued_at.map(UnixTime::from_secs),
            client_secret_expires_at: expires_at.map(UnixTime::from_secs),
            registration_access_token,
            registration_client_uri: uri.transpose()?,
            metadata: ClientMetadata::default(),
            warnings,
        })
    }

    /// Refuses a redirect URI that was not requested: an attacker may wait for codes there. A loopback address without the
    /// port that was requested covers it (RFC 8252 section 7.3). The server may register fewer than were requested, but at
    /// least one, because otherwise no login could begin ("determine if the registration is sufficient for use", RFC 7591
    /// section 3.2.1).
    fn check_redirect_uris(&self, requested: Option<&ClientMetadata>) -> Result<(), Error> {
        let Some(requested) = requested else {
            return Ok(());
        };
        // The redirect URIs of a software statement are not known here.
        if requested.software_statement.is_some() && requested.redirect_uris.is_empty() {
            return Ok(());
        }
        let mut registered = self.metadata.redirect_uris.iter();
        let first_requested = requested.redirect_uris.first();
        let lost = first_requested.filter(|_| self.metadata.redirect_uris.is_empty());
        match registered
            .find(|uri| {
                let mut requested = requested.redirect_uris.iter();
                !requested.any(|requested| uri.allows_request_uri(requested))
            })
            .or(lost)
        {
            None => Ok(()),
            Some(uri) => {
                Err(Error::from(ValidationFailure::RegistrationRedirectUri).about(uri.as_str()))
            }
        }
    }

    /// Fills in the members that the server does not have to send again. Members that it sends replace the old ones
    /// (RFC 7592 section 3).
    fn complete(&mut self, previous: Option<&Self>) -> Result<(), Error> {
        let Some(previous) = previous else {
            return Ok(());
        };
        if self.client_id != previous.client_id {
            return Err(ValidationFailure::RegistrationClient.into());
        }
        if self.client_secret.is_none() {
            self.client_secret.clone_from(&previous.client_secret);
            self.client_secret_expires_at = previous.client_secret_expires_at;
        }
        if self.registration_access_token.is_none() {
            let token = &previous.registration_access_token;
            self.registration_access_token.clone_from(token);
        }
        if self.registration_client_uri.is_none() {
            let uri = &previous.registration_client_uri;
            self.registration_client_uri.clone_from(uri);
        }
        self.client_id_issued_at = self.client_id_issued_at.or(previous.client_id_issued_at);
        Ok(())
    }

    /// Checks the secret against the method: a public client's secret is dropped, and a secret that must be sent must
    /// be present.
    fn check_secret(&mut self) -> Result<(), Error> {
        match self.metadata.auth_method() {
            "none" if self.client_secret.is_some() => {
                self.client_secret = None;
                self.client_secret_expires_at = None;
                // The expiry of a dropped secret is irrelevant.
                self.warnings = vec![Warning::SecretIgnored];
                Ok(())
            }
            method if method.starts_with("client_secret_") && self.client_secret.is_none() => {
                Err(malformed("client_secret"))
            }
            _ => Ok(()),
        }
    }

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
        let both = uri.zip(self.registration_access_token.as_ref());
        both.ok_or_else(|| Misuse::RegistrationUnmanaged.into())
    }

    /// How the client authenticates: by its registered method, and no other. A secret comes from the registration; a
    /// key or a certificate from the caller.
    ///
    /// # Errors
    /// `client_auth.no_usable_method`, naming the method, if `credentials` has none for it.
    pub fn auth(&self, credentials: Credentials) -> Result<ClientAuth, Error> {
        let method = self.metadata.auth_method();
        let all = Credentials {
            secret: self.client_secret.clone().or(credentials.secret.clone()),
            ..credentials
        };
        all.for_method(method)
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

fn malformed(member: &str) -> Error {
    Error::from(ProtocolViolation::RegistrationShape).about(member)
}
