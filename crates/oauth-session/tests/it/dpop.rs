//! Grants whose tokens are bound to a DPoP key (RFC 9449): the key in the store, and one refresh for all callers.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use oauth_core::dpop::DpopKey;
use oauth_core::error::{Cause, Error};
use oauth_core::exchange::{Boxed, Exchange as _, Input, Step};
use oauth_core::flow::keeper::GrantId;
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Moment, Secret, Tokens};
use oauth_session::store::seal::Keys;
use oauth_session::store::{
    Answer, Entry, FileStore, Lease, MemoryStore, RecordTimes, SaveOutcome, SealedStore,
    SqliteStore,
};
use oauth_session::{GrantSource, Grants, Store, TokenDriver, dpop_key};
use serde_json::Value;

const NAME: &str = "api";

async fn thumbprint<S: Store + ?Sized>(store: &S) -> String {
    let key = dpop_key::open(store, NAME, Alg::Es256).await;
    key.expect("a key").thumbprint()
}

/// Eight workers, each with its own handle, that request the key at once.
async fn open_at_once(store: impl Fn() -> Arc<dyn Store>) {
    let workers: Vec<_> = (0..8)
        .map(|_| {
            let store = store();
            tokio::spawn(async move { thumbprint(&*store).await })
        })
        .collect();
    let mut keys = BTreeSet::new();
    for worker in workers {
        keys.insert(worker.await.expect("no panic"));
    }
    assert_eq!(keys.len(), 1, "{keys:?}");
    // A later worker gets the same key.
    assert!(keys.contains(&thumbprint(&*store()).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_creating_a_dpop_key_at_once_get_the_same_key() {
    let memory = MemoryStore::new();
    open_at_once(|| Arc::new(memory.clone())).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("grants");
    open_at_once(|| Arc::new(FileStore::new(&path).expect("a store"))).await;
    let path = folder.path().join("grants.db");
    open_at_once(|| Arc::new(SqliteStore::new(&path).expect("a store"))).await;
    let sealed = MemoryStore::new();
    open_at_once(|| Arc::new(SealedStore::new(sealed.clone(), Keys::new([1; 32])))).await;
}

#[tokio::test]
async fn a_sealed_store_encrypts_the_dpop_key() {
    let memory = MemoryStore::new();
    let sealed = SealedStore::new(memory.clone(), Keys::new([1; 32]));
    let key = thumbprint(&sealed).await;
    let page = memory.scan(None).await.expect("listed");
    let stored = memory.load(&page.keys[0]).await.expect("loaded");
    let stored = stored.expect("a record").record;
    assert!(!stored.expose().contains("PRIVATE KEY"));
    assert_eq!(thumbprint(&sealed).await, key);
    // An unsealed store contains it in plain text, like refresh tokens.
    let plain = MemoryStore::new();
    thumbprint(&plain).await;
    let page = plain.scan(None).await.expect("listed");
    let stored = plain.load(&page.keys[0]).await.expect("loaded");
    let stored = stored.expect("a record").record;
    assert!(stored.expose().contains("PRIVATE KEY"));
}

#[tokio::test]
async fn a_removed_key_is_created_again_and_others_are_left_alone() {
    let store = MemoryStore::new();
    let first = thumbprint(&store).await;
    let other = dpop_key::open(&store, "other", Alg::EdDsa).await;
    let other = other.expect("a key").thumbprint();
    assert!(dpop_key::remove(&store, NAME).await.expect("removed"));
    assert!(!dpop_key::remove(&store, NAME).await.expect("removed"));
    let second = thumbprint(&store).await;
    assert_ne!(first, second);
    let again = dpop_key::open(&store, "other", Alg::EdDsa).await;
    assert_eq!(again.expect("a key").thumbprint(), other);
}

#[tokio::test]
async fn an_invalid_name_algorithm_or_stored_key_is_refused() {
    let store = MemoryStore::new();
    let open = async |name: &str, alg| {
        let key = dpop_key::open(&store, name, alg).await;
        key.map(drop).map_err(|error| error.code())
    };
    for name in ["", "a\n", &"x".repeat(49)] {
        assert_eq!(
            open(name, Alg::Es256).await,
            Err("argument.invalid"),
            "{name:?}"
        );
    }
    assert_eq!(open(&"x".repeat(48), Alg::Es256).await, Ok(()));
    assert_eq!(open(NAME, Alg::Hs256).await, Err("key.algorithm"));
    assert_eq!(open(NAME, Alg::Es256).await, Ok(()));
    assert_eq!(open(NAME, Alg::Es384).await, Err("key.algorithm"));
    let version = store.load("dpop-key:api").await.expect("loaded");
    let version = version.expect("a record").version;
    for malformed in [
        "{}",
        r#"{"version":2,"alg":"ES256","private_key":""}"#,
        r#"{"version":1,"alg":"ES256","private_key":"-----BEGIN PRIVATE KEY-----"}"#,
    ] {
        let text = Secret::from(malformed);
        let version = store
            .load("dpop-key:api")
            .await
            .expect("loaded")
            .map_or(version, |entry| entry.version);
        store
            .save("dpop-key:api", &text, version, RecordTimes::NONE)
            .await
            .expect("saved");
        assert_eq!(
            open(NAME, Alg::Es256).await,
            Err("stored.malformed"),
            "{malformed}"
        );
    }
}

/// A store that is always empty, and never saves anything.
struct AlwaysConflicting;

impl Store for AlwaysConflicting {
    fn load<'a>(&'a self, _: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async { Ok(None) })
    }

    fn save<'a>(
        &'a self,
        _: &'a str,
        _: &'a Secret<String>,
        _: u64,
        _: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        Box::pin(async { Ok(SaveOutcome::Conflict) })
    }

    fn lease<'a>(&'a self, _: &'a str, _: &'a str, _: Duration) -> Answer<'a, Lease> {
        Box::pin(async { Ok(Lease::Won) })
    }
}

#[tokio::test]
async fn a_dpop_key_that_cannot_be_stored_is_not_returned() {
    let opened = dpop_key::open(&AlwaysConflicting, NAME, Alg::Es256).await;
    assert_eq!(opened.map(drop).unwrap_err().code(), "store.conflict");
}

#[tokio::test]
async fn dpop_keys_are_not_listed_as_grants() {
    let store = Arc::new(MemoryStore::new());
    let key = dpop_key::open(&*store, NAME, Alg::Es256)
        .await
        .expect("a key");
    let grants = Grants::new(AuthorizationServer::default(), &client(key), store);
    let listed = grants.list(None).await.expect("listed");
    assert!(listed.grants.is_empty() && listed.unreadable.is_empty());
}

/// A public client: its refresh tokens are bound to its key.
fn client(key: DpopKey) -> Client {
    let server = Server::new(Issuer::parse("https://as.example").expect("an issuer"))
        .with_endpoint(EndpointKind::Token, "https://as.example/token")
        .expect("an endpoint");
    let client = Client::new(server, ClientId::new("id"), ClientAuth::none());
    client.expect("a client").with_dpop(key)
}

/// The server's state.
#[derive(Default)]
struct ServerState {
    /// The valid refresh token, and the thumbprint of the key it is bound to.
    current: Option<(String, String)>,
    refreshes: u32,
    seen: BTreeSet<String>,
    violations: Vec<String>,
}

/// A server that rotates refresh tokens, revokes a grant on reuse, and checks each proof.
#[derive(Clone, Default)]
struct AuthorizationServer(Arc<Mutex<ServerState>>);

impl AuthorizationServer {
    fn answer(&self, request: &Request<Bytes>) -> Response<Bytes> {
        let mut issued = self.0.lock().expect("no panic");
        let form = String::from_utf8_lossy(request.body()).into_owned();
        let sent_token = form
            .split('&')
            .find_map(|pair| pair.strip_prefix("refresh_token="));
        let jkt = issued.check_proof(request);
        let valid_token = issued.current.clone();
        if sent_token.map(str::to_owned).zip(jkt.clone()) != valid_token {
            issued
                .violations
                .push(format!("{sent_token:?} with the key {jkt:?}"));
        }
        issued.refreshes += 1;
        let number = issued.refreshes;
        issued.current = jkt.map(|jkt| (format!("r{number}"), jkt));
        let body = format!(
            r#"{{"access_token":"a{number}","token_type":"DPoP","expires_in":600,"refresh_token":"r{number}"}}"#
        );
        Response::builder()
            .header("content-type", "application/json")
            .body(body.into())
            .expect("a reply")
    }
}

impl ServerState {
    /// Checks a request's proof, whose flaws are recorded as violations; returns the thumbprint of its key.
    fn check_proof(&mut self, request: &Request<Bytes>) -> Option<String> {
        let proof = request.headers().get("dpop")?.to_str().ok()?;
        let mut parts = proof.split('.').map(|part| {
            let bytes = URL_SAFE_NO_PAD.decode(part).unwrap_or_default();
            serde_json::from_slice::<Value>(&bytes).unwrap_or_default()
        });
        let (header, claims) = (parts.next()?, parts.next()?);
        let matches_request =
            claims["htm"] == "POST" && claims["htu"] == "https://as.example/token";
        if !matches_request || !self.seen.insert(claims["jti"].to_string()) {
            self.violations.push(format!("a proof of {claims}"));
        }
        let jwk = PublicJwk::parse(&header["jwk"].to_string()).ok()?;
        Some(jwk.thumbprint())
    }
}

impl TokenDriver for AuthorizationServer {
    fn run(&self, mut exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(async move {
            let mut input = Input::Begin;
            loop {
                input = match exchange.resume(&Moment::system()?, input)? {
                    Step::Send(request) => {
                        // Gives other callers time to arrive.
                        tokio::task::yield_now().await;
                        Input::Reply(self.answer(&request))
                    }
                    Step::Done(tokens) => return Ok(tokens),
                    _ => return Err(Error::lost(Cause::unsent("not in this test"))),
                }
            }
        })
    }
}

/// The tokens of a login with this key, which have expired.
fn expired_login(key: &DpopKey) -> Tokens {
    let jkt = key.thumbprint();
    let now = Moment::system().expect("a clock").now().as_secs();
    let text = format!(
        r#"{{"version":2,"token_type":"DPoP","issuer":"https://as.example","client_id":"id","received_at":{},
        "access_token":"a0","expires_in":600,"scope":"","refresh_token":"r0","refresh_jkt":"{jkt}"}}"#,
        now - 601
    );
    Tokens::from_json(&text).expect("tokens")
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_callers_of_two_workers_sharing_a_dpop_key_cause_one_refresh() {
    let store = Arc::new(MemoryStore::new());
    let server = AuthorizationServer::default();
    let worker = async || {
        let key = dpop_key::open(&*store, NAME, Alg::Es256)
            .await
            .expect("a key");
        let grant = GrantId::user("alice");
        let keeper = client(key.clone()).keeper(grant);
        (
            key,
            GrantSource::with_store(server.clone(), keeper, Arc::clone(&store) as Arc<dyn Store>),
        )
    };
    let ((key, one), (_, two)) = (worker().await, worker().await);
    server.0.lock().expect("no panic").current = Some(("r0".to_owned(), key.thumbprint()));
    one.log_in(expired_login(&key)).await.expect("stored");
    let callers: Vec<_> = (0..50)
        .map(|number| {
            let source = if number % 2 == 0 {
                one.clone()
            } else {
                two.clone()
            };
            tokio::spawn(async move { source.token().await })
        })
        .collect();
    for caller in callers {
        let token = caller.await.expect("no panic").expect("a token");
        assert_eq!(token.access_token.expose(), "a1");
    }
    let issued = server.0.lock().expect("no panic");
    assert_eq!((issued.refreshes, &issued.violations[..]), (1, &[][..]));
}

#[tokio::test]
async fn a_worker_with_another_dpop_key_does_not_share_the_grant() {
    let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
    let server = AuthorizationServer::default();
    let source = |key: &DpopKey| {
        let grant = GrantId::user("alice");
        let keeper = client(key.clone()).keeper(grant);
        GrantSource::with_store(server.clone(), keeper, Arc::clone(&store))
    };
    let open = async |name| {
        dpop_key::open(&*store, name, Alg::Es256)
            .await
            .expect("a key")
    };
    let (ours, theirs) = (open("ours").await, open("theirs").await);
    server.0.lock().expect("no panic").current = Some(("r0".to_owned(), ours.thumbprint()));
    source(&ours)
        .log_in(expired_login(&ours))
        .await
        .expect("stored");
    let refused = source(&theirs).token().await;
    assert_eq!(
        refused.map(drop).unwrap_err().code(),
        "grant.no_refresh_token"
    );
    assert!(source(&ours).token().await.is_ok());
}
