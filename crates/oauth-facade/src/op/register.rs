//! Making a client known to a server: `POST {registration_endpoint}` (RFC 7591 section 3).

use oauth_core::endpoint::registration::Registration;
use oauth_core::extra::Extra;
use oauth_core::json::{self, Json};
use oauth_core::moment::UnixTime;
use oauth_core::{ClientMetadata, Secret, registered_client};

use super::{arguments, outcome};
use crate::arg::JsonText;
use crate::machine::Machine;

arguments! {
    /// Registers a client with the server (RFC 7591), which gives it an id, and a secret if it needs one.
    ///
    /// Store what comes back before it is used: nothing else knows its secrets. The metadata are checked first,
    /// with `client_metadata.*` for what contradicts itself. `endpoint.missing` if the server does not offer it,
    /// `denied.invalid_redirect_uri`, `denied.invalid_client_metadata` and other `denied.*` if it refuses,
    /// `registration.malformed` if its answer is not what the standard describes, `registration.redirect_uri` if
    /// it registered a redirect URI that was not asked for, `lost.*` if no answer arrives: then a client may have
    /// been registered that nobody knows.
    pub struct Register {
        /// What the client says about itself, by the registered names (section 2): `redirect_uris`,
        /// `token_endpoint_auth_method`, `grant_types`, `client_name` and so on.
        pub metadata: JsonText,
        /// What entitles to register, where the server does not let everybody.
        pub initial_access_token: Option<Secret<String>>,
    }

    fn start(self, client: &Client) -> Result<Machine, Error> {
        let metadata = ClientMetadata::from_json(&self.metadata.0)?;
        let ask = Registration::new(metadata).initial_access_token(self.initial_access_token);
        Ok(Machine::of::<_, RegisteredClient>(client.core().call(ask)))
    }
}

outcome! {
    /// A client as the server has registered it (RFC 7591 section 3.2.1). What the server says holds, whatever was
    /// asked for.
    pub struct RegisteredClient {
        /// What the server knows the client by.
        pub client_id: String,
        /// Its secret, if it authenticates with one.
        pub client_secret: Option<Secret<String>>,
        /// When the id was issued.
        pub client_id_issued_at: Option<UnixTime>,
        /// When the secret expires; nothing if it never does.
        pub client_secret_expires_at: Option<UnixTime>,
        /// How the client authenticates, by the registered name of the method.
        pub token_endpoint_auth_method: String,
        /// The redirect URIs that it may use.
        pub redirect_uris: Vec<String>,
        /// What it is registered with, but for a `software_statement`.
        pub metadata: Extra,
        /// What the registration is read, updated and deleted with (RFC 7592).
        pub registration_access_token: Option<Secret<String>>,
        /// Where.
        pub registration_client_uri: Option<String>,
        /// What was odd about the answer: `secret_ignored` for a secret of a public client.
        pub warnings: Vec<String>,
        /// All of it as JSON, to store: whoever reads it has the client's secrets.
        pub stored: Secret<String>,
    }
}

impl From<registered_client::RegisteredClient> for RegisteredClient {
    fn from(client: registered_client::RegisteredClient) -> Self {
        let uris = client.metadata.redirect_uris.iter();
        let warnings = client.warnings.iter();
        let uri = client.registration_client_uri.as_ref();
        Self {
            client_id: client.client_id.as_str().to_owned(),
            stored: client.to_json(),
            metadata: shown(&client.metadata),
            token_endpoint_auth_method: client.metadata.auth_method().to_owned(),
            redirect_uris: uris.map(|uri| uri.as_str().to_owned()).collect(),
            warnings: warnings.map(|given| given.code().to_owned()).collect(),
            registration_client_uri: uri.map(|uri| uri.as_str().to_owned()),
            client_secret: client.client_secret,
            client_id_issued_at: client.client_id_issued_at,
            client_secret_expires_at: client.client_secret_expires_at,
            registration_access_token: client.registration_access_token,
        }
    }
}

/// The metadata as an object that may be shown.
fn shown(metadata: &ClientMetadata) -> Extra {
    let text = metadata.to_json();
    let mut object = match json::parse(text.expose()) {
        Ok(Json::Object(object)) => object.to_map(),
        _ => json::Map::new(),
    };
    object.remove("software_statement");
    Extra::from(object)
}
