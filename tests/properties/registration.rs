//! Registration: whatever the server returns and the caller passes, accepted metadata can be stored and sent again.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode};
use oauth_core::client_id_metadata_document::{ClientIdMetadataDocument, ClientIdUrl};
use oauth_core::endpoint::registration::Registration;
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    ClientMetadata, Error, Exchange, Input, Moment, RegisteredClient, Step, register,
};
use proptest::collection::vec;
use proptest::prelude::*;

const CALLBACK: &str = "https://app.example/cb";
const URL: &str = "https://app.example/c.json";

fn server() -> Server {
    let server = Server::new(Issuer::parse("https://as.example").expect("an issuer"));
    let kind = EndpointKind::Registration;
    let server = server.with_endpoint(kind, "https://as.example/register");
    server.expect("a server")
}

/// An object with relevant members, of valid and invalid types.
fn object() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec![
        "client_id",
        "client_secret",
        "client_secret_expires_at",
        "client_id_issued_at",
        "registration_access_token",
        "registration_client_uri",
        "redirect_uris",
        "token_endpoint_auth_method",
        "grant_types",
        "response_types",
        "client_name",
        "scope",
        "contacts",
        "jwks",
        "jwks_uri",
        "application_type",
        "dpop_bound_access_tokens",
        "software_statement",
        "error",
        "x",
    ]);
    let value = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        Just("0".to_owned()),
        Just("1e400".to_owned()),
        Just("2893256800".to_owned()),
        Just(r#""""#.to_owned()),
        Just(r#""none""#.to_owned()),
        Just(r#""client_secret_post""#.to_owned()),
        Just(r#""native""#.to_owned()),
        Just(r#""https://as.example/r""#.to_owned()),
        Just(format!(r#""{URL}""#)),
        Just(format!(r#"["{CALLBACK}"]"#)),
        Just(r#"["https://evil.example/"]"#.to_owned()),
        Just(r#"["client_credentials"]"#.to_owned()),
        Just(r#"["authorization_code","implicit"]"#.to_owned()),
        Just(r#"["code id_token"]"#.to_owned()),
        Just(r#"{"keys":[{"kty":"oct","k":"AA"}]}"#.to_owned()),
        Just(r#"{"keys":[]}"#.to_owned()),
        "\"[ -~&&[^\"\\\\]]{0,8}\"",
        "\"\\PC{0,4}\"",
        Just("[[{}]]".to_owned()),
    ];
    vec((name, value), 0..8).prop_map(|members| {
        let mut seen = std::collections::BTreeSet::new();
        let members: Vec<_> = members
            .iter()
            .filter(|(name, _)| seen.insert(*name))
            .map(|(name, value)| format!("\"{name}\":{value}"))
            .collect();
        format!("{{{}}}", members.join(","))
    })
}

fn registered(body: &str) -> Result<RegisteredClient, Error> {
    let uri = RedirectUri::parse(CALLBACK).expect("a redirect URI");
    let metadata = ClientMetadata::with_redirect_uris([uri]);
    let mut exchange = register(server(), Registration::new(metadata));
    let at = Moment::fixed(UnixTime::from_secs(1_750_000_000), [3; 32]);
    let _ = exchange.resume(&at, Input::Begin);
    let mut reply = Response::new(Bytes::from(body.to_owned()));
    *reply.status_mut() = StatusCode::CREATED;
    let json = HeaderValue::from_static("application/json");
    reply.headers_mut().insert("content-type", json);
    match exchange.resume(&at, Input::Reply(reply))? {
        Step::Done(client) => Ok(client),
        step => panic!("{step:?}"),
    }
}

proptest! {
    #![proptest_config(oauth_tests::cases(4_000))]

    #[test]
    fn accepted_registrations_can_be_stored_and_match_the_request(body in object()) {
        match registered(&body) {
            Ok(client) => {
                let uris = &client.metadata.redirect_uris;
                prop_assert!(uris.iter().all(|uri| uri.as_str() == CALLBACK));
                let is_public = client.metadata.auth_method() == "none";
                prop_assert!(!(is_public && client.client_secret.is_some()));
                let text = client.to_json();
                let again = RegisteredClient::from_json(text.expose(), &server());
                prop_assert_eq!(again.map(|again| again.to_json().expose().clone()).ok(), Some(text.expose().clone()));
            }
            Err(error) => {
                prop_assert!(!error.code().is_empty() && !error.to_string().chars().any(char::is_control));
            }
        }
        let _ = RegisteredClient::from_json(&body, &server());
    }

    #[test]
    fn accepted_metadata_round_trips(body in object()) {
        if let Ok(metadata) = ClientMetadata::from_json(&body) {
            let sent = metadata.to_json();
            let again = ClientMetadata::from_json(sent.expose());
            prop_assert!(again.is_ok(), "{} {:?}", sent.expose(), again);
        }
        let url = || ClientIdUrl::parse(URL).expect("a URL");
        if let Ok(document) = ClientIdMetadataDocument::parse(url(), &body) {
            let printed = document.to_json();
            prop_assert!(!printed.contains("client_secret_"));
            prop_assert!(ClientIdMetadataDocument::parse(url(), &printed).is_ok(), "{}", printed);
        }
    }
}
