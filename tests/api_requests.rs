//! The requests of this client to an API, with proofs of the keys to which its tokens are bound, verified as an API
//! verifies them (RFC 9449 sections 4.3, 7 and 9); and the published example.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::AUTHORIZATION;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode};
use oauth_core::dpop::{DPOP, DpopNonceKey, VerifiedDpopProof};
use oauth_core::flow::access_token::{AccessTokenVerifier, ReceivedRequest};
use oauth_core::flow::resource::{Api, Clock, Event, Resource, ResourceRequest, Step as CallStep};
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::access_token::VerifiedAccessToken;
use oauth_core::token::logout_token::ReplayProtection;
use oauth_core::url::Url;
use oauth_core::{
    Client, ClientAuth, ClientId, Error, Exchange, Input, Moment, Scope, Secret, Step, Tokens,
};
use oauth_session::store::{FileStore, MemoryStore, RecordTimes, SaveOutcome, Store};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const NOW: u64 = 1_750_000_000;
const TOKEN: &str = "opaque";

fn client(alg: Alg) -> Client {
    let server = Server::new(Issuer::parse("https://as.example").expect("an issuer"))
        .with_endpoint(EndpointKind::Token, "https://as.example/token")
        .and_then(|server| {
            server.with_endpoint(EndpointKind::Introspection, "https://as.example/introspect")
        })
        .expect("its endpoints");
    let key = oauth_crypto::DpopKey::generate(alg).expect("a key");
    let auth = ClientAuth::basic("hunter22");
    let client = Client::new(server, ClientId::new("id"), auth).expect("a client");
    client.with_dpop(key.to_core().expect("a key"))
}

/// A verifier of requests whose tokens the server knows.
fn verifier(client: &Client) -> AccessTokenVerifier {
    client.introspecting_verifier("https://api.example")
}

fn at(seconds: u64) -> Moment {
    // A different seed for each moment, so that no `jti` is repeated.
    let seed = Sha256::digest(seconds.to_be_bytes()).into();
    Moment::fixed(UnixTime::from_secs(NOW + seconds), seed)
}

fn reply(body: &Value) -> Input {
    let reply = Response::builder().header("content-type", "application/json");
    Input::Reply(reply.body(Bytes::from(body.to_string())).expect("a reply"))
}

/// The tokens of this client, bound to its key.
fn tokens(client: &Client) -> Tokens {
    let mut exchange = client.client_credentials(Scope::none());
    drop(exchange.resume(&at(0), Input::Begin));
    let body = json!({ "access_token": TOKEN, "token_type": "DPoP", "expires_in": 3600 });
    match exchange.resume(&at(0), reply(&body)) {
        Ok(Step::Done(tokens)) => tokens,
        step => unreachable!("{step:?}"),
    }
}

/// Verifies a request whose token is bound to this key according to the server.
fn verified(
    verifier: &AccessTokenVerifier,
    request: ReceivedRequest,
    jkt: &str,
    seconds: u64,
) -> Result<VerifiedAccessToken, Error> {
    let mut exchange = verifier.verify_request(request);
    let mut input = Input::Begin;
    loop {
        input = match exchange.resume(&at(seconds), input)? {
            Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
            Step::Send(_) => {
                reply(&json!({ "active": true, "client_id": "id", "cnf": { "jkt": jkt } }))
            }
            Step::Done(token) => return Ok(token),
            step => unreachable!("{step:?}"),
        };
    }
}

/// A call of an API by this client.
struct Call {
    request: ResourceRequest,
    seconds: u64,
}

impl Call {
    fn new(client: &Client, method: &Method, url: &str, seconds: u64) -> Self {
        let origin = Url::parse(url).expect("a URL").origin();
        let api = Api::new(Resource::new([origin.as_str()]).expect("an API")).with_dpop(client);
        let request = ResourceRequest::new(&api.expect("a key"), method.clone(), url);
        Self { request, seconds }
    }

    fn resume(&mut self, event: Event<'_>) -> CallStep {
        let clock = Clock {
            moment: at(self.seconds),
            elapsed: Duration::from_secs(self.seconds),
        };
        self.seconds += 1;
        self.request.resume(&clock, event).expect("a step")
    }

    fn begin(&mut self, tokens: &Tokens) -> HeaderMap {
        assert!(matches!(self.resume(Event::Begin), CallStep::Token(_)));
        let step = self.resume(Event::Token(tokens));
        Self::sent(step)
    }

    fn sent(step: CallStep) -> HeaderMap {
        let CallStep::Send {
            authorization: Some(authorization),
            dpop: Some(dpop),
            ..
        } = step
        else {
            unreachable!("{step:?}")
        };
        HeaderMap::from_iter([
            (AUTHORIZATION, authorization),
            (HeaderName::from_static(DPOP), dpop),
        ])
    }
}

fn thumbprint(client: &Client) -> String {
    client.dpop_key().expect("a key").thumbprint()
}

#[test]
fn proofs_of_this_client_are_verified_for_every_algorithm() {
    for alg in Alg::ALL.iter().copied().filter(|alg| !alg.is_symmetric()) {
        // The old name of Ed25519, which no new key has.
        if alg == Alg::EdDsa {
            continue;
        }
        let (client, url) = (client(alg), "https://api.example/orders?page=2");
        let headers = Call::new(&client, &Method::GET, url, 10).begin(&tokens(&client));
        let request = |url| ReceivedRequest::new("GET", url).with_headers(&headers);
        let (verifier, jkt) = (verifier(&client), thumbprint(&client));
        let code = |url, jkt: &str| {
            verified(&verifier, request(url), jkt, 12).map_err(|error| error.code())
        };
        let other = "https://api.example/other";
        assert_eq!(
            code(other, &jkt).map(drop),
            Err("dpop_proof.htu"),
            "{alg:?}"
        );
        assert_eq!(
            code(url, "another").map(drop),
            Err("access_token.proof_required"),
            "{alg:?}"
        );
        let token = code(url, &jkt).expect("a good request");
        assert_eq!(
            token.dpop_proof().map(|proof| proof.jkt().to_owned()),
            Some(jkt.clone())
        );
        assert_eq!(
            code(url, &jkt).map(drop),
            Err("dpop_proof.replayed"),
            "{alg:?}"
        );
    }
}

#[test]
fn a_modified_proof_is_refused() {
    let client = client(Alg::Es256);
    let url = "https://api.example/orders";
    let headers = Call::new(&client, &Method::GET, url, 0).begin(&tokens(&client));
    let proof = headers[DPOP].to_str().expect("a text").to_owned();
    let (input, signature) = proof.rsplit_once('.').expect("a JWS");
    let mut bytes = URL_SAFE_NO_PAD.decode(signature).expect("base64");
    bytes[0] ^= 1;
    let changed = format!("{input}.{}", URL_SAFE_NO_PAD.encode(bytes));
    let (header, _) = input.split_once('.').expect("a JWS");
    let ath = URL_SAFE_NO_PAD.encode(Sha256::digest(TOKEN));
    let claims = json!({ "jti": "1", "htm": "GET", "htu": url, "iat": NOW, "ath": ath });
    let other_claims = format!(
        "{header}.{}.{signature}",
        URL_SAFE_NO_PAD.encode(claims.to_string())
    );
    for proof in [changed, other_claims] {
        let request = ReceivedRequest::new("GET", url)
            .with_authorization(format!("DPoP {TOKEN}"))
            .with_dpop(proof);
        let refused = verified(&verifier(&client), request, &thumbprint(&client), 0);
        assert_eq!(
            refused.expect_err("a forgery").code(),
            "dpop_proof.signature"
        );
    }
}

#[test]
fn the_client_recovers_from_a_nonce_challenge_and_follows_the_next_nonces() {
    let client = client(Alg::Es256);
    let (url, jkt, tokens) = (
        "https://api.example/orders",
        thumbprint(&client),
        tokens(&client),
    );
    let verifier = verifier(&client).with_dpop_nonces(DpopNonceKey::new([7; 32]));
    let request = |headers: &HeaderMap| ReceivedRequest::new("GET", url).with_headers(headers);
    let mut call = Call::new(&client, &Method::GET, url, 10);
    let refused =
        verified(&verifier, request(&call.begin(&tokens)), &jkt, 12).expect_err("no nonce");
    assert_eq!(refused.code(), "dpop_proof.nonce");
    let refusal = refused.refusal().expect("a response");
    let fields = refusal.headers().map(|(name, value)| {
        let value = HeaderValue::from_str(value).expect("a value");
        (HeaderName::from_static(name), value)
    });
    let status = StatusCode::from_u16(refusal.status).expect("a status");
    let again = call.resume(Event::Reply(status, &fields.collect()));
    assert!(matches!(again, CallStep::Token(_)), "{again:?}");
    let headers = Call::sent(call.resume(Event::Token(&tokens)));
    let token = verified(&verifier, request(&headers), &jkt, 14).expect("a good request");
    assert_eq!(
        token.dpop_proof().and_then(|proof| proof.next_nonce()),
        None
    );

    // Later requests have it at once, and get the next one before it expires.
    let mut call = Call::new(&client, &Method::GET, url, 170);
    let token =
        verified(&verifier, request(&call.begin(&tokens)), &jkt, 170).expect("a good request");
    let next = token
        .dpop_proof()
        .and_then(|proof| proof.next_nonce())
        .expect("a nonce");
    let fields = HeaderMap::from_iter([(
        HeaderName::from_static("dpop-nonce"),
        HeaderValue::from_str(next).expect("a value"),
    )]);
    call.resume(Event::Reply(StatusCode::OK, &fields));
    let mut call = Call::new(&client, &Method::GET, url, 400);
    assert!(verified(&verifier, request(&call.begin(&tokens)), &jkt, 400).is_ok());
}

fn runtime() -> tokio::runtime::Runtime {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_all().build().expect("a runtime")
}

/// Whether the proof is new to all processes that share this store, as in the guide.
fn is_new(store: &dyn Store, token: &VerifiedAccessToken) -> bool {
    let proof = token.dpop_proof().expect("a proof");
    let key = format!("dpop-proof:{}", proof.replay_key());
    let (received, times) = (
        Secret::from("received"),
        RecordTimes::until(proof.forget_at()),
    );
    let saved = runtime().block_on(store.save(&key, &received, 0, times));
    matches!(saved.expect("a store"), SaveOutcome::At(_))
}

#[test]
fn processes_that_share_a_store_accept_a_proof_once() {
    let client = client(Alg::Es256);
    let (url, jkt) = ("https://api.example/orders", thumbprint(&client));
    let folder = tempfile::tempdir().expect("a folder");
    let file = || FileStore::new(folder.path().join("proofs")).expect("a store");
    let memory: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let stores: [[Arc<dyn Store>; 2]; 2] = [
        [Arc::clone(&memory), memory],
        [Arc::new(file()), Arc::new(file())],
    ];
    // The clock of a store is that of the machine.
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a time");
    let now = now.as_secs() - NOW;
    for (round, stores) in stores.iter().enumerate() {
        let seconds = now + 10 * round as u64;
        let headers = Call::new(&client, &Method::GET, url, seconds).begin(&tokens(&client));
        let verdicts = stores.each_ref().map(|store| {
            let verifier = verifier(&client).with_dpop_replay(ReplayProtection::Caller);
            let request = ReceivedRequest::new("GET", url).with_headers(&headers);
            let token = verified(&verifier, request, &jkt, seconds).expect("a good request");
            let refusal = token
                .dpop_proof()
                .and_then(VerifiedDpopProof::replay_refusal);
            let refusal = refusal.expect("a response to a replay");
            assert_eq!(refusal.status, 401);
            let challenge = refusal.challenge.as_deref().unwrap_or_default();
            assert!(challenge.starts_with(r#"DPoP error="invalid_dpop_proof", algs="#));
            is_new(store, &token)
        });
        assert_eq!(verdicts, [true, false], "{round}");
    }
}

/// The vector of this name.
fn vector(id: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("vectors/vectors.json")).expect("vectors");
    let mut all = all["vectors"].as_array().expect("a list").iter();
    all.find(|vector| vector["id"] == id)
        .expect("the vector")
        .clone()
}

/// RFC 9449 section 7.1: the request of figure 14, whose token is bound to the key of figure 5.
#[test]
fn the_example_request_of_rfc_9449_is_verified() {
    let (proof, token) = (vector("dpop-proof-2"), vector("dpop-ath"));
    let proof = proof["input"]["proof"].as_str().expect("a proof");
    let token = token["input"]["access_token"].as_str().expect("a token");
    let jkt = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I";
    let verifier = verifier(&client(Alg::Es256));
    let issued = 1_562_262_618;
    let judged = |url: &str, token: &str, now: u64| {
        let request = ReceivedRequest::new("GET", url)
            .with_authorization(format!("DPoP {token}"))
            .with_dpop(proof);
        let mut exchange = verifier.verify_request(request);
        let at = Moment::fixed(UnixTime::from_secs(now), [1; 32]);
        let mut input = Input::Begin;
        loop {
            input = match exchange.resume(&at, input) {
                Ok(Step::Verify(job)) => Input::Verified(oauth_crypto::verify(&job)),
                Ok(Step::Send(_)) => {
                    reply(&json!({ "active": true, "client_id": "id", "cnf": { "jkt": jkt } }))
                }
                Ok(Step::Done(_)) => return Ok(()),
                Ok(step) => unreachable!("{step:?}"),
                Err(error) => return Err(error.code()),
            };
        }
    };
    let url = "https://resource.example.org/protectedresource";
    assert_eq!(judged(url, token, issued + 121), Err("dpop_proof.iat"));
    assert_eq!(judged(url, "another", issued), Err("dpop_proof.ath"));
    assert_eq!(
        judged("https://server.example.com/token", token, issued),
        Err("dpop_proof.htu")
    );
    assert_eq!(judged(url, token, issued), Ok(()));
}

/// The URLs of requests and their `htu`, as parsers of the URL Standard write them.
#[test]
fn htu_vectors_match_their_request_urls() {
    let client = client(Alg::Es256);
    let key = oauth_crypto::DpopKey::generate(Alg::Es256).expect("a key");
    let public = key.to_core().expect("a key").public_jwk().to_value();
    let ath = URL_SAFE_NO_PAD.encode(Sha256::digest(TOKEN));
    for id in ["00", "01", "04", "05", "07", "10"] {
        let vector = vector(&format!("dpop-htu-{id}"));
        let url = vector["input"]["request_url"].as_str().expect("a URL");
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let header = json!({ "typ": "dpop+jwt", "alg": "ES256", "jwk": public });
        let claims = json!({ "jti": id, "htm": "GET", "htu": vector["expected"]["htu"], "iat": NOW, "ath": ath });
        // The signature is checked last: any other reason for refusal comes first.
        let proof = format!("{}.{}.{}", part(&header), part(&claims), "A".repeat(86));
        let request = ReceivedRequest::new("GET", url)
            .with_authorization(format!("DPoP {TOKEN}"))
            .with_dpop(proof);
        let refused = verified(&verifier(&client), request, "", 0).expect_err("no signature");
        assert_eq!(refused.code(), "dpop_proof.signature", "{url}");
    }
}
