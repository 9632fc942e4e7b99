//! A site with two providers: the modules of OpenID's plans about its pages.

use std::net::TcpListener;
use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use oauth_core::Scope;
use oauth_core::flow::logout::LogoutRequest;
use oauth_core::url::{Transport, Url};
use oauth_reqwest::reqwest::{self, StatusCode};
use oauth_session::store::MemoryStore;
use oauth_testkit::Twin;
use oauth_testkit::twin::FrontChannelFlaw;
use oauth_web::{Config, Provider, Site};
use oauth_web_tower::{Host, SignIn, User};

use crate::{Party, print_row};

struct Shop {
    base: String,
    /// The servers `one` and `two`.
    parties: [Party; 2],
}

impl Shop {
    async fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a socket");
        let base = format!("http://{}", listener.local_addr().expect("an address"));
        let parties = [Party::new().await, Party::new().await];
        let mut providers = Vec::new();
        for (id, party) in ["one", "two"].into_iter().zip(&parties) {
            let callback = format!("{base}/auth/callback/{id}");
            party
                .served
                .with(|twin| twin.register_redirect_uri(&callback));
            let provider = Provider::new(id, party.client.clone()).expect("a provider");
            providers.push(provider.scope(Scope::parse("openid read").expect("a scope")));
        }
        let keys = oauth_seal::Keys::new([7; 32]);
        let url = Url::parse(&base).expect("a URL");
        let mut config = Config::new(url, keys, providers.remove(0)).in_store();
        config.providers.append(&mut providers);
        config.transport = Transport::LoopbackHttp;
        let site = Site::new(config).expect("a site");
        let driver = parties[0].driver.clone();
        let host = Host::with_store(site, driver, Arc::new(MemoryStore::new()));
        let describe_user =
            async |user: User| format!("{} {}", user.identity.provider, user.identity.issuer);
        let router = Router::new()
            .route("/", get(async || "home"))
            .route("/orders", get(describe_user))
            .layer(SignIn::new(host));
        tokio::spawn(async move {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            axum::serve(listener, router).await
        });
        Self { base, parties }
    }

    /// Requests a page, following redirects; returns its URL, status and text.
    async fn get(&self, browser: &reqwest::Client, path: &str) -> (String, StatusCode, String) {
        let url = if path.starts_with('/') {
            format!("{}{path}", self.base)
        } else {
            path.to_owned()
        };
        let reply = browser.get(url).send().await.expect("a reply");
        let (url, status) = (reply.url().to_string(), reply.status());
        (url, status, reply.text().await.expect("a page"))
    }

    /// The values of this parameter in the requests to the servers' authorization endpoints.
    fn authorize_parameters(&self, parameter: &str) -> [Vec<Option<String>>; 2] {
        self.parties.each_ref().map(|party| {
            party.served.with(|twin| {
                let authorization_requests =
                    twin.log().iter().filter(|entry| entry.path == "/authorize");
                authorization_requests
                    .map(|entry| entry.query(parameter).map(str::to_owned))
                    .collect()
            })
        })
    }
}

fn browser() -> reqwest::Client {
    let mut headers = reqwest::header::HeaderMap::new();
    headers.insert(
        "accept",
        reqwest::header::HeaderValue::from_static("text/html"),
    );
    let browser = reqwest::Client::builder().no_proxy().cookie_store(true);
    browser.default_headers(headers).build().expect("a browser")
}

/// OpenID Connect Core section 4. The target page is shown afterwards, if it is the site's own.
#[tokio::test]
async fn a_third_party_initiated_login_uses_the_issuer_it_names() {
    const MODULE: &str = "oidcc-client-test-3rd-party-init-login";
    let shop = Shop::open().await;
    let [one, two] = shop
        .parties
        .each_ref()
        .map(|party| party.served.base().to_owned());
    let login = |pairs: &[(&str, &str)]| {
        format!(
            "/auth/login?{}",
            serde_urlencoded::to_string(pairs).expect("a query")
        )
    };
    let orders = format!("{}/orders", shop.base);
    for (id, issuer, expected_counts) in [("two", &two, [0, 1]), ("one", &one, [1, 1])] {
        let query = login(&[
            ("iss", issuer),
            ("login_hint", "ann"),
            ("target_link_uri", &orders),
        ]);
        let (url, status, page) = shop.get(&browser(), &query).await;
        print_row(MODULE, id, None, (status != 200).then_some("refused"));
        assert_eq!(
            (url.as_str(), page),
            (orders.as_str(), format!("{id} {issuer}"))
        );
        let hints = shop.authorize_parameters("login_hint");
        assert_eq!(hints.each_ref().map(Vec::len), expected_counts);
        assert!(
            hints
                .iter()
                .flatten()
                .all(|hint| hint.as_deref() == Some("ann"))
        );
    }
    // An unknown issuer, and one that begins like a known one.
    for issuer in ["https://eve.example", &format!("{two}.eve.example")] {
        let (_, status, page) = shop.get(&browser(), &login(&[("iss", issuer)])).await;
        let seen = page
            .contains("web.unknown_provider")
            .then_some("web.unknown_provider");
        print_row(
            MODULE,
            "an unknown issuer",
            Some("web.unknown_provider"),
            seen,
        );
        assert!(seen.is_some() && status == 400, "{issuer}: {status} {page}");
    }
    // A page of a different site is not a valid target.
    let query = login(&[
        ("iss", &two),
        ("target_link_uri", "https://eve.example/orders"),
    ]);
    let (url, _, _) = shop.get(&browser(), &query).await;
    print_row(MODULE, "a foreign target", None, None);
    assert_eq!(url, format!("{}/", shop.base));
    assert_eq!(
        shop.authorize_parameters("state").each_ref().map(Vec::len),
        [1, 2]
    );
}

/// OpenID Connect Front-Channel Logout section 3: the URL of the frame identifies the session.
#[tokio::test]
async fn a_front_channel_logout_ends_only_the_session_it_names() {
    let sound = [
        "rp-frontchannel-rpinitlogout",
        "rp-frontchannel-opinitlogout",
    ];
    let sound = sound.map(|module| (module, None));
    let flaws = FrontChannelFlaw::ALL.iter().copied().map(Some);
    let flaws = flaws.map(|flaw| ("OpenID Connect Front-Channel Logout 3", flaw));
    for (module, flaw) in sound.into_iter().chain(flaws) {
        let expected_code = flaw.and_then(refusal);
        let shop = Shop::open().await;
        let logout = format!("{}/auth/frontchannel-logout/one", shop.base);
        let ann = browser();
        shop.parties[0]
            .served
            .with(|twin| twin.set_claim("sid", "one"));
        let begin = "/auth/login?provider=one&return_to=/orders";
        assert_eq!(shop.get(&ann, begin).await.1, 200);
        if module == "rp-frontchannel-rpinitlogout" {
            // The site has sent the user to the server, which notifies all sites, including this one.
            let end = LogoutRequest::default();
            let end = shop.parties[0].client.end_session_url(&end).expect("a URL");
            assert_eq!(shop.get(&browser(), end.as_str()).await.1, 200);
        }
        let frame = |twin: &mut Twin| twin.front_channel_logout(&logout, flaw);
        let frame = shop.parties[0].served.with(frame);
        // Browsers withhold the cookies there.
        let (_, status, _) = shop.get(&browser(), &frame).await;
        let has_ended = shop.get(&ann, "/orders").await.0 != format!("{}/orders", shop.base);
        let seen = (!status.is_success()).then_some("refused");
        print_row(
            module,
            &flaw.map_or("none".into(), |flaw| format!("{flaw:?}")),
            expected_code,
            seen,
        );
        assert_eq!(seen, expected_code, "{flaw:?} {status}");
        assert_eq!(has_ended, flaw.is_none(), "{flaw:?}");
    }
}

/// The error for a frame with this flaw; one that is not refused ends no session either.
fn refusal(flaw: FrontChannelFlaw) -> Option<&'static str> {
    match flaw {
        FrontChannelFlaw::WrongSession | FrontChannelFlaw::Nobody => None,
        _ => Some("refused"),
    }
}
