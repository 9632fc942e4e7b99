//! Tokens of a session come from one source in a process, however many requests want them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::routing::get;
use oauth_core::scope::Scope;
use oauth_core::url::{Transport, Url};
use oauth_core::{Client, ClientAuth, ClientId, danger, quirk::Rules};
use oauth_reqwest::Driver;
use oauth_session::store::{Memory, Store};
use oauth_testkit::{Served, Twin};
use oauth_web::{Config, Provider, Site, Upstream};
use oauth_web_tower::{Host, SignIn, User};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_fetches_at_expiry_make_one_renewal_of_one_source() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let twin = Served::start(Twin::generic).unwrap();
    twin.with(|twin| twin.register_redirect_uri(&format!("{base}/auth/callback")));
    let driver = Driver::new(reqwest::Client::builder().no_proxy()).unwrap();
    let issuer = danger::loopback_issuer(twin.base()).unwrap();
    let server = danger::discover_on_loopback(issuer, Rules::default());
    let server = driver.run(server).await.unwrap();
    let (id, secret) =
        twin.with(|twin| (twin.client_id().to_owned(), twin.client_secret().to_owned()));
    let client = Client::new(
        server,
        ClientId::new(id),
        ClientAuth::basic(secret.as_str()),
    );
    let scope = Scope::parse("openid read offline_access").unwrap();
    let provider = Provider::new("twin", client.unwrap()).unwrap().scope(scope);
    let keys = oauth_seal::Keys::new([7; 32]);
    let mut config = Config::new(Url::parse(&base).unwrap(), keys, provider).in_store();
    config.transport = Transport::LoopbackHttp;
    let api = Url::parse(&format!("{}/api", twin.base())).unwrap();
    config.api = vec![Upstream::new("twin", api)];
    let site = Site::new(config).unwrap();
    let store: Arc<dyn Store> = Arc::new(Memory::new());
    // Each client's grants are set up once.
    let pools = Arc::new(AtomicUsize::new(0));
    let made = Arc::clone(&pools);
    let renewed = Arc::new(AtomicUsize::new(0));
    let told = Arc::clone(&renewed);
    let host = Host::with_store(site, driver, store).sessions(move |sessions| {
        made.fetch_add(1, Ordering::SeqCst);
        let told = Arc::clone(&told);
        sessions.at_once(20).on_renewed(move |_, _| {
            told.fetch_add(1, Ordering::SeqCst);
        })
    });
    let app = Router::new()
        .route("/me", get(async |user: User| user.identity.subject.clone()))
        .layer(SignIn::new(host));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let browser = reqwest::Client::builder().no_proxy().cookie_store(true);
    let browser = browser.timeout(Duration::from_secs(30)).build().unwrap();
    let me = browser
        .get(format!("{base}/me"))
        .header("accept", "text/html");
    assert_eq!(me.send().await.unwrap().status(), 200);
    twin.advance(Duration::from_secs(3600));
    twin.with(Twin::expire_access_tokens);
    let calls: Vec<_> = (0..50)
        .map(|_| {
            let call = browser.get(format!("{base}/auth/api/twin/echo"));
            tokio::spawn(call.header("x-csrf-protection", "1").send())
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap().status(), 200);
    }
    assert_eq!(twin.with(|twin| twin.counters().refreshes), 1);
    assert_eq!(renewed.load(Ordering::SeqCst), 1);
    assert_eq!(pools.load(Ordering::SeqCst), 1);
}
