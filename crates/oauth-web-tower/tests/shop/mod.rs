//! A shop, the provider that it trusts, and a browser, shared by the tests of every framework.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::Poll;

use oauth_core::client_auth::Credentials;
use oauth_core::error::{Cause, Error};
use oauth_core::scope::Scope;
use oauth_core::url::{Transport, Url};
use oauth_core::{Client, ClientAuth, ClientId, Moment, danger, quirk::Rules};
use oauth_reqwest::Driver;
use oauth_session::store::MemoryStore;
use oauth_testkit::{Served, Twin};
use oauth_web::{Config, Lookup, Provider, Site, Upstream};
use oauth_web_tower::Host;

pub(crate) struct Shop {
    pub(crate) base: String,
    pub(crate) twin: Served,
    pub(crate) driver: Driver,
}

impl Shop {
    /// A shop that is served at this URL, and a provider that knows it.
    pub(crate) fn at(base: String) -> Self {
        let twin = Served::start(Twin::generic).unwrap();
        twin.with(|twin| {
            twin.register_redirect_uri(&format!("{base}/auth/callback"));
            twin.set_claim("name", "Ann");
        });
        let driver = Driver::new(reqwest::Client::builder().no_proxy()).unwrap();
        Self { base, twin, driver }
    }

    pub(crate) async fn client(&self) -> Client {
        let issuer = danger::loopback_issuer(self.twin.base()).unwrap();
        let server = danger::discover_on_loopback(issuer, Rules::default());
        let server = self.driver.run(server).await.unwrap();
        let known =
            |twin: &mut Twin| (twin.client_id().to_owned(), twin.client_secret().to_owned());
        let (id, secret) = self.twin.with(known);
        let auth = ClientAuth::basic(secret.as_str());
        Client::new(server, ClientId::new(id), auth).unwrap()
    }

    pub(crate) fn config(&self, client: Option<Client>) -> Config {
        let provider = match client {
            Some(client) => Provider::new("twin", client),
            None => Provider::later("twin"),
        };
        let scope = Scope::parse("openid read offline_access").unwrap();
        let keys = oauth_seal::Keys::new([7; 32]);
        let base = Url::parse(&self.base).unwrap();
        let mut config = Config::new(base, keys, provider.unwrap().scope(scope));
        config.transport = Transport::LoopbackHttp;
        config
    }

    /// The settings with a client identified by the metadata document that the shop serves.
    pub(crate) async fn by_document(&self) -> Config {
        self.twin.with(Twin::accept_client_id_metadata);
        let issuer = danger::loopback_issuer(self.twin.base()).unwrap();
        let server = danger::discover_on_loopback(issuer, Rules::default());
        let server = self.driver.run(server).await.unwrap();
        let document = format!(
            r#"{{"client_id":"{base}/oauth/client.json","client_name":"Shop",
                "redirect_uris":["{base}/auth/callback"],"token_endpoint_auth_method":"none",
                "grant_types":["authorization_code","refresh_token"]}}"#,
            base = self.base
        );
        let mut config = self.config(None);
        config.set_client_metadata(&document).unwrap();
        let document = config.client_metadata.as_ref().unwrap();
        let client = Client::with_metadata_document(server, document, Credentials::default());
        config.providers[0].client = Some(client.unwrap());
        config
    }

    /// The settings with sessions in a store, and an API that pages may call.
    pub(crate) fn stored(&self, client: Option<Client>) -> Config {
        let mut config = self.config(client).in_store();
        let url = Url::parse(&format!("{}/api", self.twin.base())).unwrap();
        config.api = vec![Upstream::new("twin", url)];
        config
    }

    pub(crate) async fn open(&self, browser: &reqwest::Client, path: &str) -> (u16, String) {
        let mut path = path.to_owned();
        loop {
            let reply = browser.get(format!("{}{path}", self.base)).send().await;
            let reply = reply.unwrap();
            let (status, text) = (reply.status().as_u16(), reply.text().await.unwrap());
            // With a strict cookie a page of the site continues the redirect.
            match text.split_once("http-equiv=refresh content=\"0;url=") {
                Some((_, rest)) => {
                    path = rest.split('"').next().unwrap().replace("&amp;", "&");
                }
                None => return (status, text),
            }
        }
    }

    /// A script of the shop calls the API.
    pub(crate) fn call(
        &self,
        browser: &reqwest::Client,
    ) -> impl Future<Output = reqwest::Result<reqwest::Response>> + use<> {
        let call = browser.get(format!("{}/auth/api/twin/echo", self.base));
        call.header("x-csrf-protection", "1").send()
    }
}

pub(crate) fn browser() -> reqwest::Client {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert("accept", "text/html".parse().unwrap());
    let browser = reqwest::Client::builder().no_proxy().cookie_store(true);
    browser.default_headers(headers).build().unwrap()
}

/// The results of these concurrent requests.
async fn at_once<F: Future>(all: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut all: Vec<_> = all.map(|one| (Box::pin(one), None)).collect();
    std::future::poll_fn(|context| {
        for (one, ended) in &mut all {
            if ended.is_none()
                && let Poll::Ready(output) = one.as_mut().poll(context)
            {
                *ended = Some(output);
            }
        }
        if all.iter().all(|(_, ended)| ended.is_some()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
    all.into_iter().filter_map(|(_, ended)| ended).collect()
}

/// Pages call an API with a token that is renewed until that fails, which ends the session.
pub(crate) async fn check_calls(shop: &Shop) {
    let ann = browser();
    shop.open(&ann, "/me").await;
    let reply = shop.call(&ann).await.unwrap();
    assert_eq!(reply.status(), 200);
    let policy = reply.headers()["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("sandbox"), "{policy}");
    assert!(!reply.text().await.unwrap().is_empty());
    shop.twin.with(Twin::expire_access_tokens);
    assert_eq!(shop.call(&ann).await.unwrap().status(), 200);
    assert_eq!(shop.twin.with(|twin| twin.counters().refreshes), 1);
    // The provider revokes the grant, which ends the session.
    shop.twin.with(Twin::revoke_all);
    assert_eq!(shop.call(&ann).await.unwrap().status(), 401);
    assert_eq!(shop.open(&ann, "/").await.1, "Hello, stranger");
}

/// The application's notifications: which users were signed out, and by which provider.
pub(crate) type Told = Arc<Mutex<Vec<(String, String)>>>;

/// A host whose only provider is looked up at run time, and an application that is notified of signed-out users.
pub(crate) async fn with_tenant(shop: &Shop) -> (Host, Told) {
    let tenant = Provider::new("acme", shop.client().await).unwrap();
    let tenant = tenant.scope(Scope::parse("openid read").unwrap());
    let uri = format!("{}/auth/callback/acme", shop.base);
    shop.twin.with(|twin| {
        twin.register_redirect_uri(&uri);
        twin.set_claim("sid", "one");
    });
    let mut config = shop.stored(None);
    (config.lookup, config.providers) = (Lookup::Asked, Vec::new());
    let store = Arc::new(MemoryStore::new());
    let host = Host::with_store(Site::new(config).unwrap(), shop.driver.clone(), store);
    let events = Told::default();
    let tells = Arc::clone(&events);
    let host = host
        .providers(move |_| std::future::ready(Ok(Some(tenant.clone()))))
        .signed_out(move |identity| {
            let known = (identity.subject, identity.provider);
            tells.lock().unwrap().push(known);
            std::future::ready(())
        });
    (host, events)
}

/// A user signs out, and is signed out by the provider over both channels.
pub(crate) async fn check_signed_out(shop: &Shop, events: &Told) {
    let events = || std::mem::take(&mut *events.lock().unwrap());
    let ann = || vec![("user-248289761001".to_owned(), "acme".to_owned())];
    let browser = browser();
    let out = || {
        let out = browser.post(format!("{}/auth/logout?return_to=/", shop.base));
        out.header("origin", &shop.base).send()
    };
    shop.open(&browser, "/me").await;
    assert_eq!(events(), []);
    assert!(out().await.unwrap().status().is_success());
    assert_eq!(events(), ann());
    assert!(out().await.unwrap().status().is_success());
    assert_eq!(events(), []);
    let announce = async || {
        let now = Moment::system().unwrap().now();
        let token = shop.twin.with(|twin| twin.logout_token(now, None)).unwrap();
        let url = format!("{}/auth/backchannel-logout/acme", shop.base);
        let form = reqwest::Client::builder().no_proxy().build().unwrap();
        let form = form.post(url).body(format!("logout_token={token}"));
        let form = form.header("content-type", "application/x-www-form-urlencoded");
        form.send().await.unwrap().status().as_u16()
    };
    shop.open(&browser, "/me").await;
    assert_eq!((announce().await, events()), (200, ann()));
    assert_eq!((announce().await, events()), (200, Vec::new()));
    shop.open(&browser, "/me").await;
    let frame = format!(
        "/auth/frontchannel-logout/acme?iss={}&sid=one",
        shop.twin.base()
    );
    assert_eq!(shop.open(&browser, &frame).await.0, 200);
    assert_eq!(events(), ann());
}

/// The provider fetches the document from the shop, and users sign in.
pub(crate) async fn check_client_document(shop: &Shop) {
    let url = format!("{}/oauth/client.json", shop.base);
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let reply = client.get(&url).send().await.unwrap();
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.headers()["content-type"], "application/json");
    assert_eq!(reply.headers()["cache-control"], "public, max-age=300");
    assert!(!reply.headers().contains_key("set-cookie"));
    let head = client.head(&url).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), head.text().await.unwrap()),
        (200, String::new())
    );
    assert!(shop.twin.with(|twin| twin.registered_clients().is_empty()));
    let ann = browser();
    assert_eq!(shop.open(&ann, "/me").await.0, 200);
    assert_eq!(shop.open(&ann, "/").await.1, "Hello, Ann");
    let known = shop
        .twin
        .with(|twin| twin.registered_clients() == [url.as_str()]);
    assert!(known);
}

/// `/call` finds that the grant has ended: the user signs in again and returns to it, and a script gets an error.
pub(crate) async fn check_grant_over(shop: &Shop) {
    let ann = browser();
    assert_eq!(shop.open(&ann, "/call").await, (200, "called".to_owned()));
    shop.twin.with(Twin::revoke_all);
    let page = ann.get(format!("{}/call?a=1", shop.base)).send().await;
    let page = page.unwrap();
    assert!(page.url().path() == "/auth/callback");
    let page = page.text().await.unwrap();
    assert!(page.contains("content=\"0;url=/call?a=1\""), "{page}");
    assert_eq!(shop.open(&ann, "/call?a=1").await.1, "called");
    shop.twin.with(Twin::revoke_all);
    let script = ann
        .get(format!("{}/call", shop.base))
        .header("accept", "*/*")
        .header("sec-fetch-mode", "cors")
        .send();
    let reply = script.await.unwrap();
    assert_eq!(reply.status(), 401);
    assert_eq!(reply.headers()["content-type"], "application/problem+json");
    assert_eq!(shop.open(&ann, "/").await.1, "Hello, stranger");
}

/// A provider that is unavailable at first, and an adjustable clock.
#[derive(Default)]
pub(crate) struct UnavailableProvider {
    request_count: AtomicU64,
    is_back: AtomicBool,
    ahead: AtomicU64,
}

impl UnavailableProvider {
    pub(crate) async fn host(self: &Arc<Self>, shop: &Shop) -> Host {
        let (away, clock, client) = (Arc::clone(self), Arc::clone(self), shop.client().await);
        let site = Site::new(shop.config(None)).unwrap();
        let host = Host::new(site, shop.driver.clone()).unwrap();
        let host = host.connect(move |provider| {
            assert_eq!(provider, "twin");
            away.request_count.fetch_add(1, Ordering::SeqCst);
            let is_back = away.is_back.load(Ordering::SeqCst);
            let made = is_back.then(|| client.clone());
            async move { made.ok_or_else(|| Error::lost(Cause::unsent("no route"))) }
        });
        host.clock(move || {
            let now = Moment::system()?;
            let ahead = std::time::Duration::from_secs(clock.ahead.load(Ordering::SeqCst));
            let then = now.now().after(ahead);
            Ok(now.at_time(then))
        })
    }

    /// Meanwhile public pages are served, sign-ins get an error, and the provider is not contacted again for a while.
    pub(crate) async fn check(&self, shop: &Shop) {
        let request_count = || self.request_count.load(Ordering::SeqCst);
        let ann = browser();
        assert_eq!(shop.open(&ann, "/").await.1, "Hello, stranger");
        assert_eq!(request_count(), 0);
        let (status, page) = shop.open(&ann, "/me").await;
        assert!(status == 503 && page.contains("lost.unsent"), "{page}");
        assert!(!page.contains("no route"), "{page}");
        self.is_back.store(true, Ordering::SeqCst);
        assert_eq!(shop.open(&ann, "/auth/login").await.0, 503);
        assert_eq!(request_count(), 1);
        self.ahead.store(5, Ordering::SeqCst);
        let people = [(); 8].map(|()| browser());
        let pages = people.iter().map(|one| shop.open(one, "/me"));
        for (status, page) in at_once(pages).await {
            assert_eq!(status, 200, "{page}");
        }
        assert_eq!(request_count(), 2);
        assert_eq!(shop.open(&people[0], "/").await.1, "Hello, Ann");
    }
}
