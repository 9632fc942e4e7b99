//! Workloads with SPIFFE identities, at servers that list its methods (OAuth SPIFFE Client Authentication).
#![allow(clippy::expect_used, clippy::panic)] // a test that fails says so

use std::fs;
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::client_auth::{AssertionProfile, Certificate, Credentials, FederatedAssertion};
use oauth_core::crypto::Signer as _;
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::quirk::Rules;
use oauth_core::{Client, ClientAuth, ClientId, Error, Scope, danger, discover};
use oauth_crypto::PrivateKey;
use oauth_reqwest::blocking::Driver;
use oauth_reqwest::{AssertionFile, Transport};
use oauth_testkit::{MutualTls, Served, Twin};
use serde_json::json;

const WORKER: &str = "spiffe://example.org/worker";

fn driver(tls: &MutualTls, svid: Option<String>) -> Driver {
    let transport = Transport::default().trust_only(tls.ca.clone());
    let transport = match svid {
        Some(svid) => transport.client_certificate(svid),
        None => transport,
    };
    transport
        .without_proxy()
        .blocking_driver()
        .expect("a driver")
}

fn fetch_client_tokens(driver: &Driver, client: &Client) -> Result<(), Error> {
    driver
        .run(client.client_credentials(Scope::none()))
        .map(drop)
}

/// The certificate of the connection is the only authentication, and its SPIFFE ID is the client id.
#[test]
fn an_x509_svid_authenticates_over_mutual_tls() {
    let tls = MutualTls::start().expect("a server");
    tls.with(Twin::bind_to_certificates);
    let with = driver(&tls, Some(tls.issue_svid(WORKER).expect("an SVID")));
    let issuer = Issuer::parse(&tls.base).expect("an issuer");
    let server = with.run(discover(issuer)).expect("metadata");
    let mut credentials = Credentials::secret("unused");
    credentials.certificate = Some(Certificate::Svid);
    let auth = ClientAuth::negotiate(credentials, &server).expect("a method");
    assert_eq!(auth.name(), "spiffe_x509");
    let client = |id: &str| {
        let client = Client::new(server.clone(), ClientId::new(id), auth.clone());
        client.map(Client::with_certificate_bound_tokens)
    };
    let worker = client(WORKER).expect("a client");
    fetch_client_tokens(&with, &worker).expect("tokens");
    let sent = tls.with(|twin| twin.log().last().expect("a request").form.clone());
    let names: Vec<_> = sent.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["grant_type", "client_id"]);

    // The SVID of a different workload, and no SVID.
    let other = driver(
        &tls,
        Some(
            tls.issue_svid("spiffe://example.org/other")
                .expect("an SVID"),
        ),
    );
    let refused = fetch_client_tokens(&other, &worker).expect_err("a refusal");
    assert_eq!(refused.code(), "denied.invalid_client");
    let refused = fetch_client_tokens(&driver(&tls, None), &worker).expect_err("a refusal");
    assert!(refused.code().starts_with("lost."), "{refused}");
    // The server's certificate is verified as any other: the SVID authority is not trusted for servers.
    let roots = Transport::default().client_certificate(tls.issue_svid(WORKER).expect("an SVID"));
    let roots = roots.without_proxy().blocking_driver().expect("a driver");
    let refused = fetch_client_tokens(&roots, &worker).expect_err("a refusal");
    assert!(refused.code().starts_with("lost."), "{refused}");
    // This method requires a SPIFFE ID as client id.
    assert_eq!(
        client("worker").map(drop).expect_err("a refusal").code(),
        "misuse.setup"
    );
}

fn svid(key: &PrivateKey, issuer: &str, audience: &str) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock")
        .as_secs();
    let claims = json!({ "iss": issuer, "sub": WORKER, "aud": [audience], "exp": now + 60 });
    let parts = [json!({ "alg": "ES256" }), claims].map(|part| part.to_string());
    let input = parts.map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let signature = key.sign(input.as_bytes()).expect("a signature");
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// An agent replaces the file under the running process.
#[test]
fn a_jwt_svid_is_read_from_its_file_for_each_request() {
    let served = Served::start(Twin::generic).expect("a server");
    let [first, second] = ["https://one.example", "https://two.example"].map(|issuer| {
        let key = PrivateKey::generate(Alg::Es256).expect("a key");
        let jwk = key.public_jwk().to_json();
        served
            .with(|twin| twin.register_assertion_key(issuer, &jwk))
            .expect("a public key");
        (issuer, key)
    });
    served.with(Twin::list_svids);
    let driver = Transport::default()
        .without_proxy()
        .blocking_driver()
        .expect("a driver");
    let base = served.base().to_owned();
    let issuer = danger::loopback_issuer(&base).expect("an issuer");
    let found = driver.run(danger::discover_on_loopback(issuer, Rules::default()));
    let server = found.expect("metadata");
    let folder = tempfile::tempdir().expect("a folder");
    let place = folder.path().join("svid");
    let mut credentials = Credentials::secret("unused");
    let svids = FederatedAssertion::new(AssertionFile::new(&place));
    credentials.workload = Some(svids.profile(AssertionProfile::SpiffeJwt));
    let auth = ClientAuth::negotiate(credentials, &server).expect("a method");
    assert_eq!(auth.name(), "spiffe_jwt");
    let client = Client::new(server, ClientId::new("unnamed"), auth).expect("a client");

    assert_eq!(
        fetch_client_tokens(&driver, &client)
            .expect_err("no file")
            .code(),
        "lost.unsent"
    );
    for (issuer, key) in [&first, &second, &first] {
        let text = svid(key, issuer, &base);
        fs::write(&place, format!("{text}\n")).expect("a file");
        fetch_client_tokens(&driver, &client).expect("tokens");
        let sent = served.with(|twin| twin.log().last().expect("a request").form.clone());
        let kind = "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe";
        let expected = [
            ("grant_type", "client_credentials"),
            ("client_assertion_type", kind),
            ("client_assertion", &text),
        ];
        let sent: Vec<_> = sent
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
            .collect();
        assert_eq!(sent, expected);
    }
    let other = svid(&first.1, first.0, "https://other.example");
    fs::write(&place, other).expect("a file");
    let refused = fetch_client_tokens(&driver, &client).expect_err("a refusal");
    assert_eq!(refused.code(), "client_auth.assertion_audience");
}
