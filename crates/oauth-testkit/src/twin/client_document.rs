//! Clients identified by the URL of their metadata document
//! (draft-ietf-oauth-client-id-metadata-document).
//!
//! A twin sends no requests: the server around it fetches the document, and passes it to the twin before the request is
//! answered.

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use oauth_core::moment::UnixTime;
use serde_json::{Map, Value, json};

use super::Twin;
use super::route::Route;
use super::wire::ReceivedRequest;

/// "The recommended maximum response size for client metadata documents is 5 kilobytes."
const MAX_DOCUMENT_BYTES: usize = 5 << 10;

/// Whether such clients are accepted.
#[derive(Default)]
pub(super) struct Documents {
    are_accepted: bool,
}

impl Twin {
    /// Accepts URLs as client ids from now on, and announces that in its metadata. Documents at plain http are accepted
    /// too, since this is a server for tests; [`Served`](crate::Served) fetches from loopback addresses only.
    pub fn accept_client_id_metadata(&mut self) {
        self.authority.documents.are_accepted = true;
        let metadata = &mut self.authority.rules.metadata.1;
        metadata["client_id_metadata_document_supported"] = true.into();
    }

    /// The URL of the document that has to be passed in ([`take_client_document`](Self::take_client_document)) before
    /// this request is answered, if any: at each authorization, and at the token endpoint if the client is not
    /// registered yet.
    pub fn document_wanted(&self, request: &http::Request<Bytes>) -> Option<String> {
        if !self.authority.documents.are_accepted {
            return None;
        }
        let (head, body) = request.clone().into_parts();
        let request = ReceivedRequest::read(http::Request::from_parts(head, body));
        let route = self.route_of(&request.path);
        let id = request
            .query("client_id")
            .or_else(|| request.form("client_id"))?;
        let is_url = id.starts_with("https://") || id.starts_with("http://");
        let is_wanted = match route {
            Route::Authorize | Route::Pushed | Route::DeviceAuthorization => true,
            Route::Token => !self.authority.registrations.knows(id),
            _ => false,
        };
        (is_url && is_wanted).then(|| id.to_owned())
    }

    /// Registers the client from the document fetched from `url` (its client id). A valid document replaces the
    /// previous registration; an invalid one removes it.
    ///
    /// # Errors
    /// What is wrong with the document.
    pub fn take_client_document(
        &mut self,
        at: UnixTime,
        url: &str,
        found: &http::Response<Bytes>,
    ) -> Result<(), &'static str> {
        self.forget_client(url);
        let metadata = read(url, found)?;
        let token = self.authority.new_value(at, "registration");
        let registrations = &mut self.authority.registrations;
        registrations.admit(url.to_owned(), metadata, at, token);
        Ok(())
    }
}

fn read(url: &str, found: &http::Response<Bytes>) -> Result<Map<String, Value>, &'static str> {
    if found.status() != 200 {
        return Err("the document's response must have status 200");
    }
    let kind = found.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()?.split(';').next());
    if kind.map(str::trim) != Some("application/json") {
        return Err("a document must be application/json");
    }
    if found.body().len() > MAX_DOCUMENT_BYTES {
        return Err("the document is too large");
    }
    let Ok(Value::Object(mut metadata)) = serde_json::from_slice(found.body()) else {
        return Err("a document must be a JSON object");
    };
    // "The client_id ... value MUST match the URL of the document using a simple string comparison"
    if metadata.remove("client_id") != Some(url.into()) {
        return Err("client_id of a document must be its URL");
    }
    if metadata.contains_key("client_secret") || metadata.contains_key("client_secret_expires_at") {
        return Err("a document must not contain a secret");
    }
    // The default of RFC 7591 is a shared secret, which such a client cannot have.
    if metadata.get("token_endpoint_auth_method") != Some(&json!("none")) {
        return Err("only public clients may be identified by a metadata document here");
    }
    for (name, default) in [
        ("grant_types", json!(["authorization_code"])),
        ("response_types", json!(["code"])),
        ("redirect_uris", json!([])),
    ] {
        metadata.entry(name).or_insert(default);
    }
    let uris = metadata["redirect_uris"].as_array();
    let mut uris = uris.ok_or("redirect_uris must be an array")?.iter();
    if uris.all(|uri| uri.as_str().is_some_and(is_redirect_uri)) {
        Ok(metadata)
    } else {
        Err("a redirect URI must be https, or on this machine")
    }
}

fn is_redirect_uri(uri: &str) -> bool {
    let local = ["http://127.0.0.1", "http://[::1]", "http://localhost"];
    uri.starts_with("https://") || local.iter().any(|place| uri.starts_with(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    const URL: &str = "https://app.example/client.json";

    fn found(status: u16, kind: &str, body: String) -> http::Response<Bytes> {
        let reply = http::Response::builder().status(status);
        let reply = reply.header(CONTENT_TYPE, kind).body(body.into());
        reply.expect("a response")
    }

    fn document(name: &str, value: Value) -> http::Response<Bytes> {
        let mut document = json!({
            "client_id": URL,
            "redirect_uris": ["https://app.example/callback"],
            "token_endpoint_auth_method": "none",
        });
        document[name] = value;
        found(200, "application/json", document.to_string())
    }

    #[test]
    fn an_invalid_document_identifies_no_client() {
        let mut twin = Twin::generic("https://as.test");
        let at = UnixTime::from_secs(0);
        let mut take = |found: &http::Response<Bytes>| {
            // An invalid document removes the earlier registration.
            assert_eq!(
                twin.take_client_document(at, URL, &document("x", 1.into())),
                Ok(())
            );
            assert_eq!(twin.registered_clients(), [URL]);
            let refused = twin.take_client_document(at, URL, found);
            assert_eq!(twin.registered_clients().is_empty(), refused.is_err());
            refused.err().unwrap_or_default()
        };
        let reply = document("client_name", "Notes".into());
        assert_eq!(take(&reply), "");
        let body = String::from_utf8_lossy(reply.body()).into_owned();
        for (status, kind, description) in [
            (
                302,
                "application/json",
                "the document's response must have status 200",
            ),
            (
                404,
                "application/json",
                "the document's response must have status 200",
            ),
            (200, "text/html", "a document must be application/json"),
        ] {
            assert_eq!(take(&found(status, kind, body.clone())), description);
        }
        let text = found(200, "application/json", "[]".to_owned());
        assert_eq!(take(&text), "a document must be a JSON object");
        for (name, value, description) in [
            (
                "client_id",
                "https://app.example/Client.json".into(),
                "client_id of a document must be its URL",
            ),
            (
                "client_secret",
                "s".into(),
                "a document must not contain a secret",
            ),
            (
                "client_secret_expires_at",
                0.into(),
                "a document must not contain a secret",
            ),
            (
                "token_endpoint_auth_method",
                "client_secret_basic".into(),
                "only public clients may be identified by a metadata document here",
            ),
            (
                "redirect_uris",
                "x".into(),
                "redirect_uris must be an array",
            ),
            (
                "redirect_uris",
                json!(["http://app.example/"]),
                "a redirect URI must be https, or on this machine",
            ),
            (
                "logo",
                "x".repeat(MAX_DOCUMENT_BYTES).into(),
                "the document is too large",
            ),
        ] {
            assert_eq!(take(&document(name, value)), description);
        }
    }
}
