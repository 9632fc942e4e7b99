//! The core's client at the plain server: identities asserted by others, and approvals that expire.

mod common;

use std::time::Duration;

use common::jws::sign_jwt;
use common::plain::REDIRECT;
use common::{get, json};
use oauth_core::client_auth::Credentials;
use oauth_core::endpoint::device_authorization::DeviceAuthorization;
use oauth_core::endpoint::registration::Registration;
use oauth_core::error::Error;
use oauth_core::flow::resource_discovery::ResourceDiscoveryRequest;
use oauth_core::grant::{SamlBearer, TokenRequest};
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, KeySet};
use oauth_core::protected_resource_metadata::ResourceIdentifier;
use oauth_core::server::Server;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, ClientMetadata, Scope, discover,
    discover_resource, register,
};
use oauth_crypto::PrivateKey;
use oauth_testkit::{Fault, Twin, TwinDriver};
use serde_json::{Value, json};

const ISSUER: &str = "https://as.test";

fn driver() -> TwinDriver {
    TwinDriver::new(Twin::generic(ISSUER))
}

fn server(driver: &mut TwinDriver) -> Server {
    driver
        .run(discover(Issuer::parse(ISSUER).unwrap()))
        .unwrap()
}

fn client(driver: &mut TwinDriver) -> Client {
    let server = server(driver);
    let twin = driver.twin();
    let auth = ClientAuth::basic(twin.client_secret());
    Client::new(server, ClientId::new(twin.client_id()), auth).unwrap()
}

fn scope(names: &str) -> Scope {
    Scope::parse(names).unwrap()
}

fn error_code<T>(result: Result<T, Error>) -> &'static str {
    result.err().map_or("", |error| error.code())
}

/// An assertion as identity providers write it; the driver's clock says 2025-06-15T15:06:40Z.
fn saml(audience: &str, ends: &str) -> String {
    format!(
        r#"<saml:Assertion xmlns:saml="urn:oasis:names:tc:SAML:2.0:assertion" ID="_1" Version="2.0">
<saml:Issuer>https://idp.example</saml:Issuer>
<saml:Subject><saml:NameID>brian@example.com</saml:NameID>
<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">
<saml:SubjectConfirmationData NotOnOrAfter="{ends}" Recipient="{ISSUER}/token"/></saml:SubjectConfirmation></saml:Subject>
<saml:Conditions><saml:AudienceRestriction><saml:Audience>{audience}</saml:Audience></saml:AudienceRestriction></saml:Conditions>
</saml:Assertion>"#
    )
}

#[test]
fn a_saml_assertion_is_accepted_once_for_its_audience_until_it_expires() {
    let mut driver = driver();
    let client = client(&mut driver);
    let endpoint = format!("{ISSUER}/token");
    let not_on_or_after = "2025-06-15T15:10:00Z";
    let redeem = |driver: &mut TwinDriver, xml: &str| {
        let request = TokenRequest::from(scope("read"));
        driver.run(client.token(SamlBearer::new(xml), request))
    };
    let valid_token = saml(&endpoint, not_on_or_after);
    assert_eq!(
        error_code(redeem(&mut driver, &valid_token)),
        "denied.invalid_grant"
    );
    driver.twin().announce_saml_assertion(&valid_token);
    let tokens = redeem(&mut driver, &valid_token).unwrap();
    assert!(tokens.refresh_token.is_none());
    assert_eq!(tokens.scope, scope("read"));
    let token = tokens.access_token.expose();
    let response = json(&get(&mut driver, "/api/echo", Some(token)));
    assert_eq!(response["sub"], "brian@example.com");
    assert_eq!(
        error_code(redeem(&mut driver, &valid_token)),
        "denied.invalid_grant"
    );
    for bad in [
        saml("https://other.test/token", not_on_or_after),
        saml(&endpoint, "2025-06-15T15:06:40Z"),
        saml(&endpoint, not_on_or_after).replace("NameID", "BaseID"),
        saml(&endpoint, not_on_or_after).replace("Recipient", "Address"),
    ] {
        driver.twin().announce_saml_assertion(&bad);
        assert_eq!(
            error_code(redeem(&mut driver, &bad)),
            "denied.invalid_grant"
        );
    }
}

#[test]
fn a_software_statement_takes_precedence_over_the_clients_metadata() {
    let mut driver = driver();
    let server = server(&mut driver);
    let key = PrivateKey::generate(Alg::Es256).unwrap();
    let other = PrivateKey::generate(Alg::Es256).unwrap();
    let jwk: Value = serde_json::from_str(&key.public_jwk().to_json()).unwrap();
    let statement = |key: &PrivateKey, issuer: &str| {
        let claims = json!({
            "iss": issuer, "software_id": "4NRB1-0XZABZI9E6-5SM3R", "client_name": "The stated",
            "redirect_uris": [REDIRECT],
        });
        sign_jwt(key, &json!({ "alg": "ES256" }), &claims)
    };
    let send = |driver: &mut TwinDriver, statement: String| {
        let metadata = json!({
            "redirect_uris": [REDIRECT], "client_name": "Another", "software_statement": statement,
        });
        let metadata = ClientMetadata::from_json(&metadata.to_string()).unwrap();
        driver.run(register(server.clone(), Registration::new(metadata)))
    };
    let publisher = "https://publisher.example";
    let refused = send(&mut driver, statement(&key, publisher));
    assert_eq!(error_code(refused), "denied.unapproved_software_statement");
    let jwks = json!({ "keys": [jwk] });
    driver.twin().trust_publisher(publisher, &jwks).unwrap();
    let refused = send(&mut driver, statement(&other, publisher));
    assert_eq!(error_code(refused), "denied.invalid_software_statement");
    let refused = send(&mut driver, statement(&key, "https://other.example"));
    assert_eq!(error_code(refused), "denied.unapproved_software_statement");
    let registration = send(&mut driver, statement(&key, publisher)).unwrap();
    assert_eq!(
        registration.metadata.client_name.as_deref(),
        Some("The stated")
    );
    assert_eq!(driver.twin().registered_clients().len(), 1);
    let client = Client::registered(server.clone(), &registration, Credentials::default()).unwrap();
    let url = AuthorizationRequest::new(registration.metadata.redirect_uris[0].clone());
    let moment = driver.moment();
    let (url, _) = client.authorize(&moment, url).unwrap();
    assert!(driver.browse(url.as_str()).is_some());
}

#[test]
fn signed_resource_metadata_takes_precedence_if_its_signer_is_trusted() {
    let mut driver = driver();
    let api = format!("{ISSUER}/api/echo");
    driver.twin().sign_resource_metadata(json!({
        "resource": api, "authorization_servers": [ISSUER], "resource_name": "Signed",
    }));
    let jwks = get(&mut driver, "/jwks", None);
    let keys = KeySet::parse(std::str::from_utf8(jwks.body()).unwrap()).unwrap();
    let resource = || ResourceIdentifier::parse(&api).unwrap();
    let untrusting = ResourceDiscoveryRequest::new(resource());
    let found = driver.run(discover_resource(untrusting)).unwrap();
    assert_eq!(
        (found.signed_by.as_deref(), found.scopes_supported.is_none()),
        (None, false)
    );
    let trusting = ResourceDiscoveryRequest::new(resource()).trust(ISSUER, keys.clone());
    let found = driver.run(discover_resource(trusting)).unwrap();
    assert_eq!(found.signed_by.as_deref(), Some(ISSUER));
    let other = ResourceDiscoveryRequest::new(resource()).trust("https://other.test", keys);
    let found = driver.run(discover_resource(other)).unwrap();
    assert_eq!(found.signed_by, None);
}

#[test]
fn an_authorization_expires_regardless_of_refreshes() {
    let mut driver = driver();
    driver.twin().set_authorization_lifetime(1000);
    driver.twin().set_access_token_lifetime(600);
    let client = client(&mut driver);
    let request = AuthorizationRequest::new(client_redirect()).scope(scope("read"));
    let moment = driver.moment();
    let (url, pending) = client.authorize(&moment, request).unwrap();
    let callback = driver.browse(url.as_str()).unwrap();
    let login = driver
        .run(client.redeem(pending, &callback).unwrap())
        .unwrap();
    let began = driver.now();
    let ends = began.after(Duration::from_secs(1000));
    assert_eq!(login.tokens.authorization_expires_at, Some(ends));
    assert_eq!(login.tokens.expires_in, Some(600));
    driver.advance(Duration::from_secs(700));
    let tokens = driver
        .run(client.refresh(login.tokens.refresh_token.as_ref().unwrap()))
        .unwrap();
    // The new token ends with the approval.
    assert_eq!(tokens.authorization_expires_at, Some(ends));
    assert_eq!(tokens.expires_in, Some(300));
    driver.advance(Duration::from_secs(300));
    let over = driver.run(client.refresh(tokens.refresh_token.as_ref().unwrap()));
    assert_eq!(error_code(over), "denied.invalid_grant");
    // A client's own tokens need no user's approval.
    let client_tokens = driver
        .run(client.client_credentials(scope("read")))
        .unwrap();
    assert_eq!(
        (
            client_tokens.authorization_expires_at,
            client_tokens.expires_in
        ),
        (None, Some(600))
    );
}

fn client_redirect() -> oauth_core::redirect_uri::RedirectUri {
    oauth_core::redirect_uri::RedirectUri::parse(REDIRECT).unwrap()
}

#[test]
fn a_device_authorization_response_in_the_draft_format_is_accepted() {
    let mut driver = driver();
    let client = client(&mut driver);
    driver.twin().inject(Fault::DraftDeviceAuthorization);
    let code = driver
        .run(client.call(DeviceAuthorization::new(scope("read"))))
        .unwrap();
    assert_eq!(code.verification_uri.as_str(), format!("{ISSUER}/device"));
    assert_eq!(
        driver.twin().log().last().unwrap().fault,
        Some("draft_device_authorization")
    );
    let page = format!("/device?user_code={}", code.user_code);
    assert_eq!(get(&mut driver, &page, None).status(), 200);
    let login = driver
        .run(client.poll_device_token(&code, scope("read")))
        .unwrap();
    assert_eq!(login.tokens.scope, scope("read"));
}
