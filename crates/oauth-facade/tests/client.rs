//! A client of a server with given metadata.

use oauth_facade::{
    Auth, Client, ClientCredentials, ErasedStep, Moment, Secret, Server, TokenRequest, Transport,
    UnixTime,
};

const ISSUER: &str = "https://as.example";

fn server(methods: Option<&str>) -> Server {
    let methods = methods.map_or(String::new(), |methods| {
        format!(r#", "token_endpoint_auth_methods_supported": {methods}"#)
    });
    let metadata =
        format!(r#"{{"issuer": "{ISSUER}", "token_endpoint": "{ISSUER}/token"{methods}}}"#);
    Server::from_metadata(ISSUER, &metadata, Transport::Https).expect("metadata")
}

fn with_secret(methods: Option<&str>) -> Result<Client, oauth_core::Error> {
    let secret = Secret::new("a-secret-of-this-client".to_owned());
    Client::new(&server(methods), "me", Auth::Documented(Some(secret)))
}

#[test]
fn client_secret_is_sent_by_a_method_the_server_supports() {
    for (methods, is_in_header) in [
        (None, true),
        (Some(r#"["client_secret_basic"]"#), true),
        (
            Some(r#"["client_secret_post", "client_secret_basic"]"#),
            true,
        ),
        (Some(r#"["none", "client_secret_post"]"#), false),
        (Some(r#"["private_key_jwt", "client_secret_post"]"#), false),
    ] {
        let client = with_secret(methods).expect("a way that both know");
        let mut exchange = client
            .client_credentials(ClientCredentials {
                request: TokenRequest::default(),
            })
            .expect("a request");
        let at = Moment::fixed(UnixTime::from_secs(1_750_000_000), [1; 32]);
        let Ok(ErasedStep::Send(request)) = exchange.begin(&at) else {
            panic!("a request")
        };
        let has_header = request
            .headers
            .iter()
            .any(|(name, _)| name == "authorization");
        let body = String::from_utf8(request.body.to_vec()).expect("a form");
        assert_eq!(has_header, is_in_header, "{methods:?}");
        assert_eq!(
            body.contains("client_secret="),
            !is_in_header,
            "{methods:?}"
        );
    }
}

#[test]
fn server_without_secret_methods_is_refused_naming_its_methods() {
    for (methods, named) in [
        (
            r#"["private_key_jwt", "tls_client_auth"]"#,
            "private_key_jwt, tls_client_auth",
        ),
        ("[]", "none"),
    ] {
        let error = with_secret(Some(methods)).expect_err("no way that both know");
        assert_eq!(error.code(), "client_auth.no_usable_method");
        assert_eq!(error.detail(), Some(named));
        assert!(!error.to_string().contains("a-secret"), "{error}");
        // The caller can override the default.
        let secret = Secret::new("s".to_owned());
        assert!(Client::new(&server(Some(methods)), "me", Auth::Basic(secret)).is_ok());
    }
}

#[test]
fn malformed_metadata_text_is_a_misuse_error() {
    let deep = format!("{}{}", "[".repeat(300), "]".repeat(300));
    for text in ["", "{", "[]", "null", "{\"issuer\":}", &deep] {
        let error = Server::from_metadata(ISSUER, text, Transport::Https).expect_err("no object");
        assert_eq!(error.code(), "misuse.metadata", "{text}");
    }
    let other = r#"{"issuer": "https://other.example"}"#;
    let error = Server::from_metadata(ISSUER, other, Transport::Https).expect_err("another's");
    assert_eq!(error.code(), "metadata.issuer");
}
