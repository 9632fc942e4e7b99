//! Tokens bound to a key that lives with the host, at a server that checks every proof (RFC 9449).

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _,
    UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use oauth_core::crypto::SigningKey;
use oauth_core::dpop::DpopKey;
use oauth_core::error::Cause;
use oauth_core::flow::resource::Api;
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::{Client, ClientAuth, ClientId, Scope, danger};
use oauth_reqwest::oauth_session::Sources;
use oauth_reqwest::{Authorized, GrantSource, reqwest};
use serde_json::{Value, json};

use crate::support::{driver, server};

/// A private key in a simulated key service.
#[derive(Clone)]
struct Vault(Arc<EcdsaKeyPair>);

impl Vault {
    fn new() -> Self {
        let alg = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let der = EcdsaKeyPair::generate_pkcs8(alg, &SystemRandom::new()).unwrap();
        Self(Arc::new(
            EcdsaKeyPair::from_pkcs8(alg, der.as_ref()).unwrap(),
        ))
    }

    fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    fn sign(&self, input: &[u8]) -> Result<Bytes, Cause> {
        let signature = self.0.sign(&SystemRandom::new(), input);
        let signature = signature.map_err(|_| Cause::unsent("the vault is closed"))?;
        Ok(Bytes::copy_from_slice(signature.as_ref()))
    }

    fn client(&self, base: &str) -> Client {
        let point = self.public();
        let jwk = json!({
            "kty": "EC",
            "crv": "P-256",
            "x": URL_SAFE_NO_PAD.encode(&point[1..33]),
            "y": URL_SAFE_NO_PAD.encode(&point[33..]),
        });
        let key = SigningKey::host("vault", Alg::Es256);
        let key = DpopKey::new(key, PublicJwk::parse(&jwk.to_string()).unwrap()).unwrap();
        let auth = ClientAuth::post("secret");
        let client = Client::new(server(base), ClientId::new("id"), auth).unwrap();
        client.with_dpop(key)
    }
}

/// The requests to the API: the claims of the proof, the body, and the status of the response.
type Log = Arc<Mutex<Vec<(Value, String, u16)>>>;

/// An authorization server and an API at one address, which require a valid proof with each request; the
/// API also requires a nonce.
fn serve(vault: &Vault) -> (String, Log) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let (log, public) = (Log::default(), vault.public().to_vec());
    let seen = Arc::clone(&log);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let _ = answer(stream.unwrap(), &public, &seen);
        }
    });
    (base, log)
}

fn answer(mut stream: TcpStream, public: &[u8], log: &Log) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let (mut proof, mut token, mut length) = (String::new(), String::new(), 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(": ") else {
            break;
        };
        match name.to_ascii_lowercase().as_str() {
            "dpop" => value.clone_into(&mut proof),
            "authorization" => value.clone_into(&mut token),
            "content-length" => length = value.parse().unwrap(),
            _ => {}
        }
    }
    let mut sent = vec![0; length];
    reader.read_exact(&mut sent)?;
    let claims = verify_request(&proof, public);
    let is_api = first.starts_with("POST /api");
    let (status, headers, body) = match (&claims, is_api) {
        (None, _) => (400, "", r#"{"error":"invalid_dpop_proof"}"#),
        (Some(_), false) => (
            200,
            "",
            r#"{"access_token":"bound","token_type":"DPoP","expires_in":600}"#,
        ),
        (Some(claims), true) if token != "DPoP bound" || claims.get("ath").is_none() => (
            401,
            "WWW-Authenticate: DPoP error=\"invalid_token\"\r\n",
            "",
        ),
        (Some(claims), true) if claims["nonce"] != "n-1" => (
            401,
            "WWW-Authenticate: DPoP error=\"use_dpop_nonce\"\r\nDPoP-Nonce: n-1\r\n",
            "",
        ),
        (Some(_), true) => (200, "", "{}"),
    };
    if is_api {
        let claims = claims.unwrap_or_default();
        let sent = String::from_utf8_lossy(&sent).into_owned();
        log.lock().unwrap().push((claims, sent, status));
    }
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\n{headers}\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The claims of a proof with a valid signature.
fn verify_request(jws: &str, public: &[u8]) -> Option<Value> {
    let (input, signature) = jws.rsplit_once('.')?;
    let signature = URL_SAFE_NO_PAD.decode(signature).ok()?;
    let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
    key.verify(input.as_bytes(), &signature).ok()?;
    let claims = URL_SAFE_NO_PAD.decode(input.split('.').nth(1)?).ok()?;
    serde_json::from_slice(&claims).ok()
}

fn api(base: &str, client: &Client) -> Api {
    let resource = danger::loopback_resource([base]).unwrap();
    Api::new(resource).with_dpop(client).unwrap()
}

/// The first request learns the nonce and is repeated completely; the second one has it.
fn check(log: &Log) {
    let log = log.lock().unwrap();
    let seen: Vec<_> = log
        .iter()
        .map(|(claims, body, status)| (claims["htm"].as_str(), body.as_str(), *status))
        .collect();
    let post = Some("POST");
    assert_eq!(seen, [(post, "0", 401), (post, "0", 200), (post, "1", 200)]);
    let mut numbers: Vec<_> = log
        .iter()
        .map(|(claims, ..)| claims["jti"].to_string())
        .collect();
    numbers.sort_unstable();
    numbers.dedup();
    assert_eq!(numbers.len(), 3, "no proof is sent twice");
}

#[tokio::test]
async fn a_signer_callback_signs_dpop_proofs_for_token_and_api_requests() {
    let vault = Vault::new();
    let (base, log) = serve(&vault);
    let client = vault.client(&base);
    let signing = driver().with_signer(move |job| {
        let vault = vault.clone();
        async move { vault.sign(&job.signing_input) }
    });
    let session = GrantSource::client_credentials(signing.clone(), &client, Scope::none());
    let api =
        Authorized::with_sources(signing, Sources::one(session), api(&base, &client)).unwrap();
    for number in 0..2 {
        let call = api.post(&format!("{base}/api")).body(number.to_string());
        let reply = call.send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    check(&log);
}

#[cfg(feature = "blocking")]
#[test]
fn a_blocking_signer_callback_signs_dpop_proofs() {
    use oauth_reqwest::blocking;
    let vault = Vault::new();
    let (base, log) = serve(&vault);
    let client = vault.client(&base);
    let driver = blocking::Driver::new(reqwest::blocking::Client::builder().no_proxy()).unwrap();
    let signing = driver.with_signer(move |job| vault.sign(&job.signing_input));
    let session =
        blocking::GrantSource::client_credentials(signing.clone(), &client, Scope::none());
    let api =
        blocking::Authorized::with_sources(signing, Sources::one(session), api(&base, &client))
            .unwrap();
    for number in 0..2 {
        let call = api.post(&format!("{base}/api")).body(number.to_string());
        let reply = call.send().unwrap();
        assert_eq!(reply.status(), 200);
    }
    check(&log);
}

#[tokio::test]
async fn without_a_signer_nothing_is_sent() {
    let vault = Vault::new();
    let (base, log) = serve(&vault);
    let client = vault.client(&base);
    let able = driver().with_signer(move |job| {
        let signed = vault.sign(&job.signing_input);
        async move { signed }
    });
    let session = GrantSource::client_credentials(able, &client, Scope::none());
    // This driver has no signer.
    let api =
        Authorized::with_sources(driver(), Sources::one(session), api(&base, &client)).unwrap();
    let error = api.get(&format!("{base}/api")).send().await.unwrap_err();
    assert_eq!(error.code(), "lost.unsent");
    assert!(log.lock().unwrap().is_empty());
}
