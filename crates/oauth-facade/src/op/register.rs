//! Dynamic client registration: `POST {registration_endpoint}` (RFC 7591 section 3).

use oauth_core::endpoint::registration::Registration;
use oauth_core::extra::Extra;
use oauth_core::json::{self, Json};
use oauth_core::moment::UnixTime;
use oauth_core::{ClientMetadata, Secret, registered_client};

use super::{arguments, outcome};
use crate::arg::JsonText;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Registers a client at the server (RFC 7591), which issues an id, and a secret if the client needs one.
    ///
    /// Store the result before it is used: its secrets exist nowhere else. The metadata is checked first,
    /// with `client_metadata.*` for contradictions. `endpoint.missing` if the server does not offer it,
    /// `denied.invalid_redirect_uri`, `denied.invalid_client_metadata` and other `denied.*` if it refuses,
    /// `registration.malformed` if its reply is malformed, `registration.redirect_uri` if
    /// it registered a redirect URI that was not requested, `lost.*` if no reply arrives: then a client may have
    /// been registered anyway.
    pub struct Register {
        /// The client metadata, by its registered names (section 2): `redirect_uris`,
        /// `token_endpoint_auth_method`, `grant_types`, `client_name` and so on.
        pub metadata: JsonText,
        /// The initial access token, if the server requires one.
        pub initial_access_token: Option<Secret<String>>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let metadata = ClientMetadata::from_json(&self.metadata.0)?;
        let registration = Registration::new(metadata).initial_access_token(self.initial_access_token);
        Ok(ErasedExchange::with_record::<_, RegisteredClient>(client.core().call(registration)))
    }
}

outcome! {
    /// A client as the server has registered it (RFC 7591 section 3.2.1). The server's values apply, regardless of what
    /// was requested.
    pub struct RegisteredClient {
        /// The client id.
        pub client_id: String,
        /// The client secret, if the client authenticates with one.
        pub client_secret: Option<Secret<String>>,
        /// When the id was issued.
        pub client_id_issued_at: Option<UnixTime>,
        /// When the secret expires; absent if it never does.
        pub client_secret_expires_at: Option<UnixTime>,
        /// How the client authenticates, by the registered name of the method.
        pub token_endpoint_auth_method: String,
        /// The redirect URIs that the client may use.
        pub redirect_uris: Vec<String>,
        /// The registered metadata, without a `software_statement`.
        pub metadata: Extra,
        /// The token that reads, updates and deletes the registration (RFC 7592).
        pub registration_access_token: Option<Secret<String>>,
        /// The URL of the registration.
        pub registration_client_uri: Option<String>,
        /// Flaws of the response: `secret_ignored` for a secret of a public client, `secret_expiry_missing` for a secret
        /// without `client_secret_expires_at`, which counts as one that never expires.
        pub warnings: Vec<String>,
        /// The whole client as JSON, to store: it contains the client's secrets.
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
            metadata: display_form(&client.metadata),
            token_endpoint_auth_method: client.metadata.auth_method().to_owned(),
            redirect_uris: uris.map(|uri| uri.as_str().to_owned()).collect(),
            warnings: warnings.map(|warning| warning.code().to_owned()).collect(),
            registration_client_uri: uri.map(|uri| uri.as_str().to_owned()),
            client_secret: client.client_secret,
            client_id_issued_at: client.client_id_issued_at,
            client_secret_expires_at: client.client_secret_expires_at,
            registration_access_token: client.registration_access_token,
        }
    }
}

/// The metadata as an object that may be shown.
fn display_form(metadata: &ClientMetadata) -> Extra {
    let text = metadata.to_json();
    let mut object = match json::parse(text.expose()) {
        Ok(Json::Object(object)) => object.to_map(),
        _ => json::Map::new(),
    };
    object.remove("software_statement");
    Extra::from(object)
}
