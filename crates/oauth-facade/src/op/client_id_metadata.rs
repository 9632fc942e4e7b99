//! The document at a client id that is a URL (draft-ietf-oauth-client-id-metadata-document).

use oauth_core::client_id_metadata_document::{self as core, ClientIdUrl};
use oauth_core::danger;
use oauth_core::url::Transport;

use super::{arguments, outcome};
use crate::arg::JsonText;
use crate::erased_exchange::ErasedExchange;

arguments! {
    /// Makes or checks the document of this client, whose id is the URL where the document is published
    /// (draft-ietf-oauth-client-id-metadata-document). No request is sent.
    ///
    /// Serve it at that URL with status 200, as `application/json` and without a redirect; a site of this library does
    /// so with its setting `client_metadata`. `client_id_metadata.url` for an id that is not such a URL,
    /// `client_id_metadata.client_id` for a document of another client, `client_id_metadata.client_secret` and
    /// `client_id_metadata.shared_secret` for one with a secret, `client_metadata.*` for contradictions.
    pub struct MakeClientIdMetadata {
        /// The client metadata, by its registered names (RFC 7591 section 2). With a `client_id` it is a document, and
        /// is checked as it is; without, a document is made of it, by default of a public client.
        pub metadata: JsonText,
        /// Whether the document must also contain what servers of the Model Context Protocol require: a name and
        /// redirect URIs (`client_metadata.name_missing`, `client_metadata.inconsistent`).
        pub mcp: Option<bool>,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let core = client.core();
        let id = core.client_id().as_str();
        let url = match core.server().transport() {
            Transport::Https => ClientIdUrl::parse(id)?,
            Transport::LoopbackHttp => danger::loopback_client_id_url(id)?,
        };
        let document = core::ClientIdMetadataDocument::from_json(url, &self.metadata.0)?;
        if self.mcp == Some(true) {
            document.check_for_mcp()?;
        }
        Ok(ErasedExchange::ready(ClientIdMetadataDocument::from(&document)))
    }
}

outcome! {
    /// A client ID metadata document. Nothing in it is secret.
    pub struct ClientIdMetadataDocument {
        /// The URL of the document, which is the client's id.
        pub client_id: String,
        /// The document, to publish as it is.
        pub document: String,
        /// What servers may reject about it: `query`, `bare_path` and `not_normalized` for the URL, `large` for the
        /// document.
        pub warnings: Vec<String>,
    }
}

impl From<&core::ClientIdMetadataDocument> for ClientIdMetadataDocument {
    fn from(document: &core::ClientIdMetadataDocument) -> Self {
        let warnings = document.warnings();
        Self {
            client_id: document.url().as_str().to_owned(),
            document: document.to_json(),
            warnings: warnings
                .iter()
                .map(|warning| warning.code().to_owned())
                .collect(),
        }
    }
}
