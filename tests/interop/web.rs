//! Users sign in to a web application at `oidc-provider`, and sign out on either side.

use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::routing::get;
use oauth_core::flow::logout::LogoutRequest;
use oauth_core::scope::Scope;
use oauth_core::url::{Transport, Url};
use oauth_session::store::MemoryStore;
use oauth_web::{Config, Provider, Site};
use oauth_web_tower::{Host, SignIn, User};
use reqwest::blocking::Client as Browser;

use crate::logout::sign_out;
use crate::oidc_provider::{OidcProvider, driver};

const MAX_WAIT: Duration = Duration::from_secs(30);

/// A shop on a socket, whose users sign in at the provider.
struct Shop {
    base: String,
    provider: OidcProvider,
    log: Arc<Mutex<Vec<String>>>,
    _runtime: tokio::runtime::Runtime,
}

fn shop() -> Shop {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a socket");
    let base = format!("http://{}", listener.local_addr().expect("an address"));
    let provider = OidcProvider::start_with(&[("SITE", &base)]);
    let client = provider.client(&driver(), "site").expect("a client");
    let mut login = Provider::new("login", client).expect("a provider");
    login.scope = Scope::parse("openid read").expect("a scope");
    let keys = oauth_seal::Keys::new([7; 32]);
    let mut config = Config::new(Url::parse(&base).expect("a URL"), keys, login).in_store();
    config.transport = Transport::LoopbackHttp;
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let log = Arc::new(Mutex::new(Vec::new()));
    let lines = Arc::clone(&log);
    let site = Site::new(config).expect("a site");
    let http = reqwest::Client::builder().no_proxy();
    let driver = oauth_reqwest::Driver::new(http).expect("a driver");
    let host = Host::with_store(site, driver, Arc::new(MemoryStore::new())).log(move |note| {
        let line = format!("{}: {}", note.code, note.detail);
        lines.lock().expect("the log").push(line);
    });
    let router = Router::new()
        .route(
            "/",
            get(async |user: Option<User>| user.is_some().to_string()),
        )
        .route("/me", get(async |user: User| user.identity.subject.clone()))
        .layer(SignIn::new(host));
    runtime.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
        axum::serve(listener, router).await
    });
    Shop {
        base,
        provider,
        log,
        _runtime: runtime,
    }
}

fn browser() -> Browser {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert(
        "accept",
        reqwest::header::HeaderValue::from_static("text/html"),
    );
    let builder = Browser::builder()
        .cookie_store(true)
        .default_headers(headers);
    builder.build().expect("a browser")
}

impl Shop {
    fn open(&self, browser: &Browser, path: &str) -> String {
        let reply = browser.get(format!("{}{path}", self.base)).send();
        let reply = reply.expect("an answer");
        let status = reply.status();
        let page = reply.text().expect("a page");
        let log = self.log.lock().expect("the log").join("\n");
        assert_eq!(status, 200, "{page}\n{log}");
        page
    }
}

#[test]
fn a_user_signs_in_to_a_web_application_and_out_at_both_sides() {
    let (shop, ann) = (shop(), browser());
    assert_eq!(shop.open(&ann, "/"), "false");
    let subject = shop.open(&ann, "/me");
    assert!(!subject.is_empty() && !subject.contains('<'), "{subject}");
    assert_eq!(shop.open(&ann, "/"), "true");
    // The button's form, up to the provider's page.
    let out = ann.post(format!("{}/auth/logout?return_to=/", shop.base));
    let page = out.header("origin", &shop.base).send().expect("a page");
    assert!(
        page.url().as_str().starts_with(shop.provider.issuer()),
        "{}",
        page.url()
    );
    assert_eq!(
        shop.open(&ann, "/"),
        "false",
        "here the session is over already"
    );
    let back = sign_out(&ann, page.url().as_str());
    assert_eq!(back.url().as_str(), format!("{}/", shop.base));
    assert_eq!(back.text().expect("a page"), "false");
}

#[test]
fn the_provider_ends_the_session_of_a_web_application() {
    let (shop, ann) = (shop(), browser());
    shop.open(&ann, "/me");
    let client = shop.provider.client(&driver(), "site").expect("a client");
    let url = client
        .end_session_url(&LogoutRequest::new())
        .expect("a URL");
    sign_out(&ann, url.as_str());
    let start = Instant::now();
    while shop.open(&ann, "/") == "true" {
        let log = shop.log.lock().expect("the log").join("\n");
        assert!(start.elapsed() < MAX_WAIT, "the session goes on\n{log}");
        std::thread::sleep(Duration::from_millis(50));
    }
}
