#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use super::*;
use crate::client_auth::{Certificate, ClientAuth};
use crate::client_id::ClientId;
use crate::issuer::Issuer;
use crate::json::{self, Json};
use crate::quirk::Rules;
use crate::server::Server;

fn client(auth: ClientAuth, announced: &str) -> Client {
    let document = format!(
        r#"{{"issuer":"https://as.example","token_endpoint":"https://as.example/token"{announced}}}"#
    );
    let Ok(Json::Object(document)) = json::parse(&document) else {
        panic!("an object")
    };
    let issuer = Issuer::parse("https://as.example").unwrap();
    let server = Server::read(&issuer, &document, Rules::default()).unwrap();
    Client::new(server, ClientId::new("id"), auth).unwrap()
}

#[test]
fn presented_certificate_binds_tokens_if_the_server_announces_it_or_the_client_expects_it() {
    let is_bound = |client: Client| {
        let client = client.with_presented_certificate("thumbprint");
        client.0.certificate.is_known() && client.0.shows_certificate()
    };
    let announced = r#","tls_client_certificate_bound_access_tokens":true"#;
    let denied = r#","tls_client_certificate_bound_access_tokens":false"#;
    for auth in [
        ClientAuth::tls(Certificate::Pki),
        ClientAuth::tls(Certificate::SelfSigned),
    ] {
        assert!(is_bound(client(auth.clone(), announced)));
        assert!(!is_bound(client(auth.clone(), denied)));
        assert!(!is_bound(client(auth.clone(), "")));
        assert!(is_bound(client(auth, "").with_certificate_bound_tokens()));
    }
    let by_secret = || client(ClientAuth::post("secret"), announced);
    assert!(!is_bound(by_secret()));
    assert!(is_bound(by_secret().with_certificate_bound_tokens()));
    assert!(!is_bound(client(ClientAuth::none(), announced)));
}
