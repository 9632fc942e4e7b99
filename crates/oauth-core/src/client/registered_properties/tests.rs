#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::client_auth::{Certificate, ClientAuth};
use crate::client_id::ClientId;
use crate::testing::server;

#[test]
fn presented_certificate_binds_tokens_only_if_it_authenticates_the_client() {
    let is_bound = |auth: ClientAuth| {
        let client = Client::new(server(), ClientId::new("id"), auth).unwrap();
        let client = client.with_presented_certificate("thumbprint");
        client.0.certificate.is_known() && client.0.shows_certificate()
    };
    assert!(is_bound(ClientAuth::tls(Certificate::Pki)));
    assert!(is_bound(ClientAuth::tls(Certificate::SelfSigned)));
    assert!(!is_bound(ClientAuth::post("secret")));
    assert!(!is_bound(ClientAuth::none()));
}
