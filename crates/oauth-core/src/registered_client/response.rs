//! Reads the server's response to the registration of a client, or to the read or the update of one: whether it is complete,
//! and registers no redirect URI that was not requested.
//!
//! RFC 7591 section 3.2.1 <https://www.rfc-editor.org/rfc/rfc7591#section-3.2.1>, RFC 7592 section 3 (the response to a
//! read or an update replaces what is known, and may rotate the registration access token)

use super::{RegisteredClient, Warning};
use crate::client_id::ClientId;
use crate::client_metadata::ClientMetadata;
use crate::error::{Error, ProtocolViolation, ValidationFailure};
use crate::json::{self, Json, Object};
use crate::moment::UnixTime;
use crate::quirk::Strictness;
use crate::secret::Secret;
use crate::server::{Server, endpoint_url};
use crate::url::Transport;

/// The members that determine how the client is used.
pub(super) const BEHAVIORAL_MEMBERS: [&str; 4] = [
    "redirect_uris",
    "token_endpoint_auth_method",
    "grant_types",
    "response_types",
];

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
    pub(super) fn take_from(
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
}

fn malformed(member: &str) -> Error {
    Error::from(ProtocolViolation::RegistrationShape).about(member)
}
