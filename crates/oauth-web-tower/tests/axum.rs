//! A real application on a socket, a provider on another, and a browser between them.

mod shop;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use oauth_core::Secret;
use oauth_core::url::Transport;
use oauth_reqwest::{Driver, ProcessEnvironment};
use oauth_session::store::{Answer, Entry, Lease, MemoryStore, RecordTimes, SaveOutcome};
use oauth_session::{Store, TokenSource as _};
use oauth_testkit::{Served, Twin};
use oauth_web::{Access, Admission, PageRequirements, Site};
use oauth_web_tower::{HandlerRequirement, Host, Rejection, SignIn, StepUp, User};

use shop::{UnavailableProvider, browser};

struct Shop {
    shop: shop::Shop,
    host: Host,
    store: Arc<Counting>,
    log: Arc<Mutex<Vec<String>>>,
    /// Signals that the slow page was requested, and that it may respond.
    slow: Slow,
}

impl std::ops::Deref for Shop {
    type Target = shop::Shop;

    fn deref(&self) -> &shop::Shop {
        &self.shop
    }
}

/// A store that counts the loads of grants, whose records have tokens.
#[derive(Default)]
struct Counting {
    memory: MemoryStore,
    grants: AtomicU64,
}

impl Store for Counting {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let entry = self.memory.load(key).await?;
            let is_grant = |entry: &Entry| entry.record.expose().contains("refresh_token");
            if entry.as_ref().is_some_and(is_grant) {
                self.grants.fetch_add(1, Ordering::SeqCst);
            }
            Ok(entry)
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        self.memory.save(key, record, version, times)
    }

    fn lease<'a>(
        &'a self,
        key: &'a str,
        holder: &'a str,
        ttl: std::time::Duration,
    ) -> Answer<'a, Lease> {
        self.memory.lease(key, holder, ttl)
    }
}

type Slow = Arc<(tokio::sync::Notify, tokio::sync::Notify)>;

async fn shop(access: Access, stored: bool) -> Shop {
    serve(access, stored, |host| host).await
}

async fn serve(access: Access, stored: bool, change: impl FnOnce(Host) -> Host) -> Shop {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = shop::Shop::at(format!("http://{}", listener.local_addr().unwrap()));
    let client = Some(shop.client().await);
    let (driver, store) = (shop.driver.clone(), Arc::new(Counting::default()));
    let host = if stored {
        let site = Site::new(shop.stored(client)).unwrap();
        Host::with_store(site, driver, Arc::clone(&store) as _)
    } else {
        Host::new(Site::new(shop.config(client)).unwrap(), driver).unwrap()
    };
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let host = change(host)
        .log(move |note| {
            let line = format!("{}: {}", note.code, note.detail);
            lines.lock().unwrap().push(line);
        })
        .admit(async |_| {
            Admission::Admitted([("cart".to_owned(), 3.into())].into_iter().collect())
        });
    let token = async |user: User| {
        let token = user.source().await.unwrap().token(None).await;
        token.unwrap().access_token.expose().clone()
    };
    // As if an API had refused the first.
    let another = async |user: User| {
        let source = user.source().await.unwrap();
        let first = source.token(None).await.unwrap();
        match source.token(Some(&first)).await {
            Ok(_) => "another".to_owned(),
            Err(error) => error.advice().as_str().to_owned(),
        }
    };
    let call = async |user: User| -> Result<String, Rejection> {
        let source = user.source().await?;
        let first = source.token(None).await?;
        source.token(Some(&first)).await?;
        Ok("called".to_owned())
    };
    let slow: Slow = Arc::default();
    let gate = Arc::clone(&slow);
    let late = async move |user: User| {
        gate.0.notify_one();
        gate.1.notified().await;
        user.identity.subject.clone()
    };
    let app = Router::new()
        .route("/", get(open))
        .route("/slow", get(late))
        .route("/me", get(me))
        .route("/cart", post(me))
        .route("/pay", get(pay))
        .route("/token", get(token))
        .route("/another", get(another))
        .route("/call", get(call))
        .nest("/deep", Router::new().route("/me", get(me)))
        .layer(SignIn::new(host.clone()).access(access));
    tokio::spawn(async move { axum::serve(listener, app).await });
    Shop {
        shop,
        host,
        store,
        log,
        slow,
    }
}

async fn me(user: User) -> String {
    format!("{} has {}", user.identity.subject, user.local["cart"])
}

struct Mfa;

impl HandlerRequirement for Mfa {
    fn need() -> PageRequirements {
        PageRequirements::acr(["mfa"])
    }
}

async fn pay(user: StepUp<Mfa>) -> String {
    user.identity.acr.clone().unwrap_or_default()
}

const ANN: &str = "user-248289761001 has 3";

#[tokio::test]
async fn users_sign_in_see_their_page_and_sign_out() {
    for stored in [false, true] {
        let shop = shop(Access::Open, stored).await;
        let ann = browser();
        assert_eq!(
            shop.open(&ann, "/").await,
            (200, "Hello, stranger".to_owned())
        );
        // The redirects to the provider and back, and to the page.
        assert_eq!(shop.open(&ann, "/deep/me").await, (200, ANN.to_owned()));
        // A nested router cuts off the first part of the path: users still return to the complete path.
        // By a redirect or, with a strict cookie, by a page.
        let back = browser().get(format!("{}/deep/me?a=1", shop.base));
        let back = back.send().await.unwrap();
        let is_there = back.url().as_str().ends_with("/deep/me?a=1");
        let page = back.text().await.unwrap();
        assert!(is_there || page.contains("url=/deep/me?a=1"), "{page}");
        assert_eq!(shop.open(&ann, "/me").await, (200, ANN.to_owned()));
        assert_eq!(shop.open(&ann, "/").await, (200, "Hello, Ann".to_owned()));
        let (status, page) = shop.open(&ann, "/auth/logout").await;
        assert!(status == 200 && page.contains("method=post"), "{page}");
        let out = ann
            .post(format!("{}/auth/logout?return_to=/", shop.base))
            .header("origin", &shop.base);
        let reply = out.send().await.unwrap();
        assert_eq!(reply.url().path(), "/", "back from the provider");
        assert_eq!(reply.text().await.unwrap(), "Hello, stranger");
        let revoked = shop.twin.with(|twin| twin.counters().revocations);
        assert_eq!(revoked, u64::from(stored));
        assert_eq!(*shop.log.lock().unwrap(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_fully_guarded_application_has_no_open_page() {
    let shop = shop(Access::SignedIn, false).await;
    let script = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = script.get(format!("{}/", shop.base)).send().await.unwrap();
    assert_eq!(reply.status(), 401);
    assert_eq!(reply.headers()["content-type"], "application/problem+json");
    assert_eq!(
        shop.open(&browser(), "/").await,
        (200, "Hello, Ann".to_owned())
    );
}

#[tokio::test]
async fn cross_site_forms_do_not_reach_the_application() {
    let shop = shop(Access::Open, false).await;
    let ann = browser();
    shop.open(&ann, "/me").await;
    let cart = format!("{}/cart", shop.base);
    let foreign = ann.post(&cart).header("origin", "https://evil.example");
    assert_eq!(foreign.send().await.unwrap().status(), 403);
    let reply = ann.post(&cart).header("origin", &shop.base).send();
    assert_eq!(reply.await.unwrap().text().await.unwrap(), ANN);
}

#[tokio::test]
async fn a_page_can_require_a_step_up() {
    let shop = shop(Access::Open, false).await;
    let ann = browser();
    shop.open(&ann, "/me").await;
    let (status, page) = shop.open(&ann, "/pay").await;
    assert!(
        status == 403 && page.contains("web.step_up_failed"),
        "{page}"
    );
    shop.twin.with(|twin| twin.set_claim("acr", "mfa"));
    assert_eq!(shop.open(&ann, "/pay").await, (200, "mfa".to_owned()));
}

#[tokio::test]
async fn pages_call_an_api_with_renewed_tokens_until_the_grant_ends() {
    shop::check_calls(&*shop(Access::Open, true).await).await;
}

#[tokio::test]
async fn the_application_is_notified_of_sessions_signed_out_of_a_tenant() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = shop::Shop::at(format!("http://{}", listener.local_addr().unwrap()));
    let (host, notifications) = shop::with_tenant(&shop).await;
    let app = Router::new()
        .route("/", get(open))
        .route("/me", get(async |user: User| user.identity.subject.clone()))
        .layer(SignIn::new(host));
    tokio::spawn(async move { axum::serve(listener, app).await });
    shop::check_signed_out(&shop, &notifications).await;
}

#[tokio::test]
async fn the_client_id_metadata_document_is_served() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = shop::Shop::at(format!("http://{}", listener.local_addr().unwrap()));
    let site = Site::new(shop.by_document().await).unwrap();
    let host = Host::new(site, shop.driver.clone()).unwrap();
    let app = Router::new()
        .route("/", get(open))
        .route("/me", get(async |user: User| user.identity.subject.clone()))
        .layer(SignIn::new(host));
    tokio::spawn(async move { axum::serve(listener, app).await });
    shop::check_client_document(&shop).await;
}

#[tokio::test]
async fn an_unexpired_session_token_is_reused() {
    let shop = shop(Access::Open, true).await;
    let ann = browser();
    let (status, first) = shop.open(&ann, "/token").await;
    assert_eq!(status, 200);
    assert_eq!(shop.open(&ann, "/token").await.1, first);
}

#[tokio::test]
async fn an_oversized_body_is_refused_and_a_missing_layer_reported() {
    let shop = shop(Access::Open, false).await;
    let large = browser()
        .post(format!("{}/auth/callback", shop.base))
        .body(vec![b'a'; 70_000]);
    assert_eq!(large.send().await.unwrap().status(), 413);
    let bare: Router = Router::new().route("/me", get(me));
    let (mut parts, ()) = http::Request::get("/me").body(()).unwrap().into_parts();
    let user = <User as axum::extract::FromRequestParts<()>>::from_request_parts(&mut parts, &());
    assert_eq!(user.await.unwrap_err().into_response().status(), 500);
    drop(bare);
}

/// The variables of a shop at the twin.
fn variables(base: &str, twin: &Served, store: &str) -> Vec<(String, Secret<String>)> {
    let (id, secret) =
        twin.with(|twin| (twin.client_id().to_owned(), twin.client_secret().to_owned()));
    let key = oauth_seal::base64url(&[7; 32]);
    let pairs = [
        ("OAUTH_ISSUER", twin.base().to_owned()),
        ("OAUTH_CLIENT_ID", id),
        ("OAUTH_CLIENT_SECRET", secret),
        ("OAUTH_BASE_URL", base.to_owned()),
        ("OAUTH_KEY", key),
        ("OAUTH_STORE", store.to_owned()),
    ];
    pairs
        .map(|(name, value)| (name.to_owned(), Secret::new(value)))
        .to_vec()
}

async fn host_from(variables: Vec<(String, Secret<String>)>) -> Result<Host, oauth_core::Error> {
    let driver = Driver::new(reqwest::Client::builder().no_proxy())?;
    let environment = Arc::new(ProcessEnvironment::from_variables(variables));
    Host::from_environment(environment, driver, Transport::LoopbackHttp, |config| {
        config
    })
    .await
}

#[tokio::test]
async fn a_host_configured_by_environment_variables_signs_users_in() {
    let folder = tempfile::tempdir().unwrap();
    for store in [String::new(), format!("file:{}", folder.path().display())] {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let twin = Served::start(Twin::generic).unwrap();
        twin.with(|twin| twin.register_redirect_uri(&format!("{base}/auth/callback")));
        let host = host_from(variables(&base, &twin, &store)).await.unwrap();
        let app = Router::new().route(
            "/who",
            get(async |user: User| user.identity.subject.clone()),
        );
        let app = app.layer(SignIn::new(host));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let page = browser().get(format!("{base}/who")).send().await.unwrap();
        assert_eq!(page.text().await.unwrap(), "user-248289761001");
    }
    let files = std::fs::read_dir(folder.path()).unwrap().flatten();
    let texts: String = files
        .filter_map(|file| std::fs::read_to_string(file.path()).ok())
        .collect();
    assert!(texts.contains("oauth-core sealed"), "sessions are there");
    assert!(!texts.contains("user-248289761001"), "and are sealed");
}

#[tokio::test]
async fn a_missing_variable_is_named_before_any_request() {
    let twin = Served::start(Twin::generic).unwrap();
    let all = variables("http://127.0.0.1:1", &twin, "mysql://shop");
    for name in ["OAUTH_BASE_URL", "OAUTH_KEY", "OAUTH_CLIENT_ID"] {
        let mut some = all.clone();
        some.retain(|(known, _)| known != name && known != "OAUTH_STORE");
        let error = host_from(some).await.unwrap_err();
        assert_eq!(error.code(), "environment.missing");
        assert!(error.to_string().contains(name), "{error}");
    }
    let error = host_from(all).await.unwrap_err();
    assert_eq!(error.code(), "store.setup");
    assert!(twin.with(|twin| twin.log().is_empty()));
}

/// The application's own call finds that the grant has ended: so has the session, for every later request.
#[tokio::test]
async fn an_ended_grant_ends_the_session() {
    let shop = shop(Access::Open, true).await;
    let ann = browser();
    assert_eq!(shop.open(&ann, "/another").await.1, "another");
    assert_eq!(shop.open(&ann, "/").await.1, "Hello, Ann");
    shop.twin.with(Twin::revoke_all);
    assert_eq!(shop.open(&ann, "/another").await.1, "reauthorize");
    assert_eq!(shop.open(&ann, "/").await.1, "Hello, stranger");
}

#[tokio::test]
async fn a_user_whose_grant_has_ended_is_redirected_to_sign_in() {
    let shop = shop(Access::Open, true).await;
    shop::check_grant_over(&shop).await;
}

/// Fifty concurrent calls with expired tokens cause one renewal, and none is refused although refresh tokens rotate.
#[tokio::test(flavor = "multi_thread")]
async fn fifty_requests_at_expiry_cause_one_refresh() {
    let shop = shop(Access::Open, true).await;
    let ann = browser();
    shop.open(&ann, "/me").await;
    shop.twin.with(Twin::expire_access_tokens);
    let before = shop.twin.with(|twin| twin.counters().refreshes);
    let loads = shop.store.grants.load(Ordering::SeqCst);
    let calls = (0..50).map(|_| shop.call(&ann));
    let calls: Vec<_> = calls.map(tokio::spawn).collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    let after = shop.twin.with(|twin| twin.counters().refreshes);
    assert_eq!(after - before, 1);
    // They share one token source, so only the renewal loads from the store.
    let loads = shop.store.grants.load(Ordering::SeqCst) - loads;
    assert!(loads <= 3, "{loads}");
    assert_eq!(shop.host.in_memory(), 1);
}

/// A response that arrives after the logout does not restore the session.
#[tokio::test]
async fn a_response_after_logout_does_not_restore_the_session() {
    let shop = shop(Access::Open, false).await;
    let ann = browser();
    shop.open(&ann, "/me").await;
    let slow = ann.get(format!("{}/slow", shop.base)).send();
    let slow = tokio::spawn(slow);
    shop.slow.0.notified().await;
    let out = ann.post(format!("{}/auth/logout?return_to=/", shop.base));
    out.header("origin", &shop.base).send().await.unwrap();
    shop.slow.1.notify_one();
    let late = slow.await.unwrap().unwrap();
    assert_eq!(late.status(), 200);
    assert!(late.headers().get("set-cookie").is_none());
    assert_eq!(shop.open(&ann, "/").await.1, "Hello, stranger");
}

/// Tokens are cached for active users and some others.
#[tokio::test]
async fn unused_sources_are_dropped() {
    for (capacity, at_hand) in [(10, 3), (1, 1)] {
        let shop = serve(Access::Open, true, |host| host.capacity(capacity)).await;
        let people = [(); 3].map(|()| browser());
        for one in &people {
            assert_eq!(shop.open(one, "/token").await.0, 200);
        }
        assert_eq!(shop.host.in_memory(), at_hand);
        // The tokens of the others are read from the store again.
        for one in &people {
            assert_eq!(shop.open(one, "/token").await.0, 200);
        }
    }
}

async fn open(user: Option<User>) -> String {
    let name = user.map(|user| user.identity.text("name").unwrap_or_default().to_owned());
    format!("Hello, {}", name.as_deref().unwrap_or("stranger"))
}

#[tokio::test]
async fn the_application_runs_while_its_provider_is_unavailable() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = shop::Shop::at(format!("http://{}", listener.local_addr().unwrap()));
    let away = Arc::new(UnavailableProvider::default());
    let host = away.host(&shop).await;
    let me = async |user: User| user.identity.subject.clone();
    let app = Router::new().route("/", get(open)).route("/me", get(me));
    let app = app.layer(SignIn::new(host));
    tokio::spawn(async move { axum::serve(listener, app).await });
    away.check(&shop).await;
}

/// Nothing listens at the provider's address.
#[tokio::test]
async fn a_host_from_environment_variables_starts_without_its_provider() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let shop = shop::Shop::at(format!("http://{}", listener.local_addr().unwrap()));
    let mut variables = variables(&shop.base, &shop.twin, "");
    for (name, value) in &mut variables {
        if name == "OAUTH_ISSUER" {
            *value = Secret::new("http://127.0.0.1:1".to_owned());
        }
    }
    let host = host_from(variables).await.unwrap();
    let me = async |user: User| user.identity.subject.clone();
    let app = Router::new().route("/", get(open)).route("/me", get(me));
    let app = app.layer(SignIn::new(host));
    tokio::spawn(async move { axum::serve(listener, app).await });
    let ann = browser();
    assert_eq!(shop.open(&ann, "/").await.1, "Hello, stranger");
    let (status, page) = shop.open(&ann, "/me").await;
    assert!(status == 503 && page.contains("lost.connect"), "{page}");
}
