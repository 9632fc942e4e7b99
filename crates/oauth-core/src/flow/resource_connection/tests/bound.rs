//! Tokens that are bound to a key, because the API requires it or the caller has one.

use super::kept::connect_registering;
use super::*;
use crate::certificate::KnownCertificate;
use crate::client_auth::{Certificate, ClientAuth};
use crate::client_config::TokenBinding;
use crate::crypto::SigningKey;
use crate::dpop::DpopKey;
use crate::jose::{Alg, PublicJwk};

const POINT: &str = r#""x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0""#;

fn key() -> DpopKey {
    let jwk = PublicJwk::parse(&format!(r#"{{"kty":"EC","crv":"P-256",{POINT}}}"#)).unwrap();
    DpopKey::new(SigningKey::host("vault", Alg::Es256), jwk).unwrap()
}

/// The metadata of an API that requires bound tokens, with these algorithms.
fn metadata_requiring_dpop(algs: &str) -> String {
    let more = r#""dpop_bound_access_tokens_required":true,"dpop_signing_alg_values_supported":"#;
    RESOURCE.replacen('{', &format!("{{{more}{algs},"), 1)
}

fn alg(resource: &str, members: &str) -> Result<Option<Alg>, &'static str> {
    let connection = error_code(connect_with(connect_request(), resource, members).outcome)?;
    error_code(connection.dpop_alg())
}

#[test]
fn dpop_algorithm_is_the_first_supported_by_api_and_server() {
    let server = r#""dpop_signing_alg_values_supported":["ES384","PS256"],"#;
    assert_eq!(
        alg(&metadata_requiring_dpop(r#"["PS256","ES384","ES256"]"#), ""),
        Ok(Some(Alg::Es256))
    );
    assert_eq!(
        alg(&metadata_requiring_dpop(r#"["ES256","PS256"]"#), server),
        Ok(Some(Alg::Ps256))
    );
    // An API that only lists algorithms requires no DPoP.
    assert_eq!(alg(RESOURCE, server), Ok(None));
    assert_eq!(
        alg(&metadata_requiring_dpop(r#"["HS256","new"]"#), ""),
        Err("key.algorithm")
    );
    assert_eq!(
        alg(&metadata_requiring_dpop(r#"["ES256"]"#), server),
        Err("key.algorithm")
    );
}

#[test]
fn dpop_connection_registers_the_client_for_bound_tokens() {
    let is_named = |request, resource: &str| {
        let (requests, outcome) = connect_registering(request, resource);
        let bound = r#""dpop_bound_access_tokens":true"#;
        let posted = requests.iter().find(|(line, _)| line.starts_with("POST"));
        error_code(outcome).map(|_| posted.unwrap().1.contains(bound))
    };
    assert_eq!(is_named(connect_request(), RESOURCE), Ok(false));
    assert_eq!(
        is_named(connect_request(), &metadata_requiring_dpop(r#"["ES256"]"#)),
        Ok(true)
    );
    assert_eq!(is_named(connect_request().dpop(key()), RESOURCE), Ok(true));
    // No client is registered if the server would reject its proofs.
    let (requests, outcome) = connect_registering(
        connect_request().dpop(key()),
        &metadata_requiring_dpop(r#"["PS256"]"#),
    );
    assert_eq!(error_code(outcome).map(drop), Err("key.algorithm"));
    assert!(
        requests.iter().all(|(line, _)| line.starts_with("GET")),
        "{requests:?}"
    );
}

/// RFC 8705 section 3.4.
#[test]
fn certificate_connection_registers_the_client_for_bound_tokens() {
    let is_named = |request| {
        let (requests, outcome) = connect_registering(request, RESOURCE);
        let bound = r#""tls_client_certificate_bound_access_tokens":true"#;
        let posted = requests.iter().find(|(line, _)| line.starts_with("POST"));
        error_code(outcome).map(|_| posted.unwrap().1.contains(bound))
    };
    assert_eq!(is_named(connect_request()), Ok(false));
    assert_eq!(
        is_named(connect_request().certificate_bound_tokens()),
        Ok(true)
    );
    assert_eq!(is_named(connect_request().certificate("dGh1bWI")), Ok(true));
}

#[test]
fn client_of_a_connection_uses_the_requests_certificate_binding() {
    let client = |request: ConnectRequest| {
        let (_, connection) = connect_registering(request.clone(), RESOURCE);
        let client = connection.unwrap().client(ClientAuth::none()).unwrap();
        let client = request.bound(client);
        let config = client.config();
        (config.token_binding, config.certificate.clone())
    };
    let known = KnownCertificate::from_thumbprint("dGh1bWI");
    let unknown = KnownCertificate::default();
    assert_eq!(
        client(connect_request()),
        (TokenBinding::None, unknown.clone())
    );
    assert_eq!(
        client(connect_request().certificate_bound_tokens()),
        (TokenBinding::Certificate, unknown)
    );
    assert_eq!(
        client(connect_request().certificate("dGh1bWI")),
        (TokenBinding::Certificate, known)
    );
}

/// As a client of the server that does not come from a connection.
#[test]
fn presented_certificate_binds_tokens_if_the_server_announces_it() {
    let announced = r#""tls_client_certificate_bound_access_tokens":true,"#;
    let client = |request: ConnectRequest, members: &str, auth: ClientAuth| {
        let connection = connect_with(request.clone(), RESOURCE, members)
            .outcome
            .unwrap();
        request
            .bound(connection.client(auth).unwrap())
            .config()
            .certificate
            .clone()
    };
    let preregistered = || {
        let issuer = Issuer::parse("https://one.example").unwrap();
        connect_request().clients(ClientCandidates::preregistered(
            issuer,
            ClientId::new("app"),
        ))
    };
    let presented = || preregistered().presented_certificate("dGh1bWI");
    let tls = || ClientAuth::tls(Certificate::Pki);
    let known = KnownCertificate::from_thumbprint("dGh1bWI");
    let unknown = KnownCertificate::default();
    assert_eq!(client(presented(), announced, tls()), known);
    assert_eq!(client(presented(), "", tls()), unknown);
    assert_eq!(client(preregistered(), announced, tls()), unknown);
    assert_eq!(client(presented(), announced, ClientAuth::none()), unknown);
    let set = presented().certificate_bound_tokens();
    assert_eq!(client(set, "", ClientAuth::none()), known);
}
