//! The refresh token of a sign-in, sent for an identity assertion while other workers renew the sign-in.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::exchange::{Boxed, Exchange as _, Input, Step};
use oauth_core::flow::keeper::{GrantId, Policy};
use oauth_core::issuer::Issuer;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Moment, Tokens};
use oauth_session::store::{Answer, Entry, Lease, MemoryStore, RecordTimes, SaveOutcome};
use oauth_session::{GrantSource, Store, SubjectTokenSource, TokenDriver, TokenSource as _};
use tokio::time::sleep;

const IDP: &str = "https://idp.example";
const THERE: &str = "https://there.example";

/// Both servers. The identity provider rotates refresh tokens, issues no other ID token, and revokes the sign-in if one
/// is used twice, also at the same time.
#[derive(Clone, Default)]
struct Servers(Arc<Mutex<ServerState>>);

#[derive(Default)]
struct ServerState {
    spent: BTreeSet<String>,
    in_use: BTreeSet<String>,
    twice: Vec<String>,
    renewals: u32,
    assertions: u32,
    /// Of access tokens, in seconds.
    lifetime: u32,
}

fn jwt(typ: &str, audience: &str, exp: u64) -> String {
    let header = format!(r#"{{"alg":"ES256","typ":"{typ}"}}"#);
    let claims = format!(r#"{{"iss":"{IDP}","sub":"ann","aud":"{audience}","exp":{exp}}}"#);
    let part = |text: String| URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2ln", part(header), part(claims))
}

impl Servers {
    fn logged_requests<T>(&self, look: impl FnOnce(&mut ServerState) -> T) -> T {
        look(&mut self.0.lock().expect("no panic"))
    }

    async fn answer(&self, url: &str, form: &str) -> String {
        let value = |name: &str| {
            let mut pairs = form.split('&').filter_map(|pair| pair.split_once('='));
            pairs
                .find(|(known, _)| *known == name)
                .map(|(_, value)| value.to_owned())
        };
        if url.starts_with(THERE) {
            return r#"{"access_token":"there","token_type":"Bearer","expires_in":600}"#.to_owned();
        }
        let refreshed = value("refresh_token");
        let token = refreshed.clone().or(value("subject_token")).expect("one");
        self.logged_requests(|seen| {
            if seen.spent.contains(&token) || !seen.in_use.insert(token.clone()) {
                seen.twice.push(token.clone());
            }
        });
        sleep(Duration::from_millis(100)).await;
        self.logged_requests(|seen| {
            seen.in_use.remove(&token);
            if refreshed.is_some() {
                seen.renewals += 1;
                seen.spent.insert(token);
                let (next, expires_in) = (seen.renewals, seen.lifetime.max(1));
                return format!(
                    r#"{{"access_token":"at-{next}","token_type":"Bearer","expires_in":{expires_in},"refresh_token":"rt-{next}"}}"#
                );
            }
            seen.assertions += 1;
            let assertion = jwt("oauth-id-jag+jwt", THERE, 4_000_000_000);
            format!(
                r#"{{"access_token":"{assertion}","token_type":"N_A","expires_in":300,
                "issued_token_type":"urn:ietf:params:oauth:token-type:id-jag"}}"#
            )
        })
    }
}

impl TokenDriver for Servers {
    fn run(&self, mut exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(async move {
            let mut step = exchange.resume(&Moment::system()?, Input::Begin)?;
            loop {
                let request = match step {
                    Step::Send(request) => request,
                    Step::Done(tokens) => return Ok(tokens),
                    _ => panic!("neither a request nor tokens"),
                };
                let form = String::from_utf8(request.body().to_vec()).expect("a form");
                let body = self.answer(&request.uri().to_string(), &form).await;
                let reply = http::Response::builder()
                    .header("content-type", "application/json")
                    .body(body.into())
                    .expect("a reply");
                step = exchange.resume(&Moment::system()?, Input::Reply(reply))?;
            }
        })
    }

    fn revoke(&self, _: Boxed<()>) -> Answer<'_, ()> {
        Box::pin(std::future::ready(Err(Error::from(Misuse::NotSupported))))
    }
}

fn client(issuer: &str) -> Client {
    let server = Server::new(Issuer::parse(issuer).expect("an issuer"));
    let server = server.with_endpoint(EndpointKind::Token, &format!("{issuer}/token"));
    let secret = ClientAuth::post("secret");
    Client::new(server.expect("a server"), ClientId::new("app"), secret).expect("a client")
}

/// A sign-in whose ID token has expired since.
fn login() -> Tokens {
    let now = Moment::system().expect("a clock").now().as_secs() - 100;
    let ended = jwt("JWT", "app", now + 50);
    let text = format!(
        r#"{{"version":1,"issuer":"{IDP}","client_id":"app","received_at":{now},"access_token":"at-0",
        "expires_in":600,"scope":"openid","refresh_token":"rt-0","refresh_scope":null,"id_token":"{ended}"}}"#
    );
    Tokens::from_json(&text).expect("tokens")
}

async fn signed_in(servers: &Servers, store: Option<&Arc<dyn Store>>) -> GrantSource {
    let idp = client(IDP);
    let source = match store {
        Some(store) => {
            let id = GrantId::user("ann");
            GrantSource::for_grant(servers.clone(), &idp, id, Arc::clone(store))
        }
        None => GrantSource::new(servers.clone(), idp.keeper(GrantId::unnamed_person())),
    };
    source.log_in(login()).await.expect("stored");
    source
}

/// The workers get tokens with the sign-in, while these others renew it.
async fn hold_while_others_renew(
    servers: Servers,
    workers: [GrantSource; 2],
    renewing: &[GrantSource],
) {
    let resource_client = client(THERE);
    let calls = workers.iter().map(|sign_in| {
        let subject = SubjectTokenSource::new(&client(IDP), sign_in.clone());
        let (servers, id) = (servers.clone(), GrantId::user("ann"));
        let source = GrantSource::by_identity(servers, &resource_client, id, subject);
        tokio::spawn(async move { source.token().await.map(|token| token.into_arc()) })
    });
    let calls: Vec<_> = calls.collect();
    // The sign-in's access tokens expire soon: the next user renews them.
    for worker in renewing.iter().chain(renewing).chain(renewing) {
        sleep(Duration::from_millis(70)).await;
        worker.token().await.expect("a token");
    }
    for call in calls {
        let token = call.await.expect("no panic").expect("a token");
        assert_eq!(token.access_token.expose(), "there");
    }
    servers.logged_requests(|seen| {
        assert_eq!(seen.twice, Vec::<String>::new());
        assert!(seen.assertions == 2 && seen.renewals >= 1);
    });
}

#[tokio::test(start_paused = true)]
async fn a_held_sign_in_is_not_renewed_by_another_worker() {
    let (servers, store) = (Servers::default(), Arc::new(MemoryStore::new()));
    let store: Arc<dyn Store> = store;
    let sign_in = signed_in(&servers, Some(&store)).await;
    let resource_source = GrantSource::for_grant(
        servers.clone(),
        &client(IDP),
        GrantId::user("ann"),
        Arc::clone(&store),
    );
    let both = [sign_in, resource_source];
    hold_while_others_renew(servers, both.clone(), &both).await;
}

#[tokio::test(start_paused = true)]
async fn a_held_sign_in_is_not_renewed_by_another_task_without_a_store() {
    let servers = Servers::default();
    let source = signed_in(&servers, None).await;
    hold_while_others_renew(servers, [source.clone(), source], &[]).await;
}

#[tokio::test(start_paused = true)]
async fn a_hold_has_the_latest_tokens_and_ends_when_dropped() {
    let (servers, store) = (Servers::default(), Arc::new(MemoryStore::new()));
    let store: Arc<dyn Store> = store;
    let sign_in = signed_in(&servers, Some(&store)).await;
    let resource_source = GrantSource::for_grant(
        servers.clone(),
        &client(IDP),
        GrantId::user("ann"),
        Arc::clone(&store),
    );
    let old = sign_in.token().await.expect("a token");
    resource_source.renew(&old).await.expect("a token");
    let minute = Duration::from_secs(60);
    let held = sign_in.hold(minute).await.expect("held");
    let refresh = held.tokens().refresh_token.as_ref().expect("a token");
    assert_eq!(refresh.secret().expose(), "rt-1");
    let waits = tokio::time::timeout(Duration::from_secs(5), resource_source.hold(minute));
    assert!(waits.await.is_err());
    drop(held);
    let next = tokio::time::timeout(Duration::from_secs(1), resource_source.hold(minute)).await;
    assert!(next.expect("at once").is_ok());
    // A source that has no grant has nothing to hold.
    let fixed = oauth_session::FixedToken::new("t");
    assert!(fixed.hold(minute).await.expect("nothing").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_hold_without_a_store_ends_after_its_limit() {
    let servers = Servers::default();
    let source = signed_in(&servers, None).await;
    let (old, minute) = (
        source.token().await.expect("a token"),
        Duration::from_secs(60),
    );
    let held = source.hold(minute).await.expect("held");
    let began = tokio::time::Instant::now();
    let renewed = tokio::time::timeout(2 * minute, source.renew(&old)).await;
    assert!(renewed.expect("in time").is_ok());
    assert!(began.elapsed() >= minute);
    drop(held);
    // A renewal, too, is waited for no longer than that.
    let held = source.hold(minute).await.expect("held");
    let other = source.hold(Duration::from_secs(5)).await;
    assert_eq!(
        other.map(drop).map_err(|error| error.code()),
        Err("lost.unsent")
    );
    drop(held);
}

/// A handle on a store that its worker loses when it is killed.
struct Killed {
    store: Arc<dyn Store>,
    is_killed: AtomicBool,
}

impl Killed {
    fn store(&self) -> Result<&dyn Store, Error> {
        if self.is_killed.load(Ordering::SeqCst) {
            Err(Error::lost(Cause::unsent("killed")))
        } else {
            Ok(&*self.store)
        }
    }
}

impl Store for Killed {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move { self.store()?.load(key).await })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        Box::pin(async move { self.store()?.save(key, record, version, times).await })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move { self.store()?.lease(key, holder, ttl).await })
    }
}

/// The lease of a hold is short, and extended meanwhile. By the clock of the store, so these are real times.
#[tokio::test]
async fn a_hold_of_a_killed_worker_ends_with_its_lease() {
    let (servers, store) = (Servers::default(), Arc::new(MemoryStore::new()));
    let killed = Arc::new(Killed {
        store: store.clone(),
        is_killed: AtomicBool::new(false),
    });
    let [here, there] = [killed.clone() as Arc<dyn Store>, store].map(|store| {
        let mut policy = Policy::default();
        policy.lease = Duration::from_millis(500);
        let keeper = client(IDP).keeper(GrantId::user("ann"));
        GrantSource::with_store(servers.clone(), keeper.with_policy(policy), store)
    });
    here.log_in(login()).await.expect("stored");
    let old = there.token().await.expect("a token");
    let long = Duration::from_secs(65);
    let held = here.hold(long).await.expect("held");
    let waits = tokio::time::timeout(Duration::from_millis(1500), there.hold(long));
    assert!(waits.await.is_err());
    killed.is_killed.store(true, Ordering::SeqCst);
    let next = tokio::time::timeout(Duration::from_secs(10), there.hold(long)).await;
    drop((held, next.expect("in time").expect("held")));
    let renewed = tokio::time::timeout(Duration::from_secs(10), there.renew(&old)).await;
    renewed.expect("in time").expect("a token");
}

#[tokio::test(start_paused = true)]
async fn a_hold_ends_after_its_limit_with_a_store_too() {
    let (servers, store) = (Servers::default(), Arc::new(MemoryStore::new()));
    let store: Arc<dyn Store> = store;
    let sign_in = signed_in(&servers, Some(&store)).await;
    let held = sign_in.hold(Duration::from_secs(30)).await.expect("held");
    let began = tokio::time::Instant::now();
    let next = sign_in.hold(Duration::from_secs(60)).await.expect("held");
    let waited = began.elapsed();
    assert!((29..32).contains(&waited.as_secs()), "{waited:?}");
    drop((held, next));
}

#[tokio::test(start_paused = true)]
async fn a_hold_without_a_limit_is_extended_until_released() {
    let (servers, store) = (Servers::default(), Arc::new(MemoryStore::new()));
    let store: Arc<dyn Store> = store;
    let sign_in = signed_in(&servers, Some(&store)).await;
    let held = sign_in.hold(Duration::MAX).await.expect("held");
    let minute = Duration::from_secs(60);
    let waits = tokio::time::timeout(minute, sign_in.hold(minute)).await;
    assert!(waits.is_err(), "it is extended");
    drop(held);
    let next = tokio::time::timeout(Duration::from_secs(1), sign_in.hold(minute)).await;
    drop(next.expect("released").expect("held"));
}

/// A cancelled wait leaves no lease behind.
#[tokio::test(start_paused = true)]
async fn a_cancelled_hold_leaves_no_lease() {
    let (servers, store) = (Servers::default(), Arc::new(MemoryStore::new()));
    let store: Arc<dyn Store> = store;
    let sign_in = signed_in(&servers, Some(&store)).await;
    let minute = Duration::from_secs(60);
    let held = sign_in.hold(minute).await.expect("held");
    let gone = tokio::time::timeout(Duration::from_secs(2), sign_in.hold(minute)).await;
    assert!(gone.is_err());
    drop(held);
    sleep(Duration::from_millis(300)).await;
    let key = sign_in.key().expect("a key");
    let free = store.lease(key, "another", Duration::from_secs(1)).await;
    assert_eq!(free.expect("answered"), Lease::Won);
}

/// A renewal that brought no ID token is not repeated for each of them: to the source, it would look as if APIs refused
/// every new token.
#[tokio::test(start_paused = true)]
async fn rapid_exchanges_renew_the_sign_in_once() {
    for is_shared in [true, false] {
        let (servers, store) = (Servers::default(), Arc::new(MemoryStore::new()));
        let store: Arc<dyn Store> = store;
        servers.logged_requests(|seen| seen.lifetime = 600);
        let sign_in = signed_in(&servers, is_shared.then_some(&store)).await;
        let resource_client = client(THERE);
        for _ in 0..12 {
            let subject = SubjectTokenSource::new(&client(IDP), sign_in.clone());
            let (servers, id) = (servers.clone(), GrantId::user("ann"));
            let source = GrantSource::by_identity(servers, &resource_client, id, subject);
            let token = source.token().await.expect("a token");
            source.renew(&token).await.expect("a token");
        }
        servers.logged_requests(|seen| {
            assert_eq!(seen.twice, Vec::<String>::new());
            assert_eq!((seen.assertions, seen.renewals), (24, 1));
        });
    }
}
