//! Pages that call APIs with a token that they never see.

use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oauth_core::url::Url;
use oauth_web::{Access, Forward, SameSite, Upstream};
use proptest::prelude::*;

use crate::world::{Browser, Ended, From, SESSION, World, code, location, put};

fn world() -> World {
    World::with(|config| {
        let mut config = config.in_store();
        let url = Url::parse("https://api.example/v1/").unwrap();
        let upstream = Upstream::new("shop", url).methods([Method::GET, Method::POST]);
        config.api = vec![upstream];
        config
    })
}

fn signed_in(world: &mut World) -> Browser {
    let mut ann = Browser::new();
    ann.open(world, "/me");
    ann
}

fn call(
    world: &mut World,
    browser: &mut Browser,
    method: Method,
    target: &str,
    fields: &[(&str, &str)],
) -> Ended {
    let mut request = browser.request(world, method, target, From::Own);
    put(&mut request.headers, "sec-fetch-mode", "cors");
    put(&mut request.headers, "sec-fetch-dest", "empty");
    for (name, value) in fields {
        put(&mut request.headers, name, value);
    }
    browser.send(world, request, Access::SignedIn)
}

#[test]
fn a_site_with_apis_defaults_to_strict_cookies() {
    for (has_api, same_site, expected) in [
        (true, None, "SameSite=Strict"),
        (true, Some(SameSite::Lax), "SameSite=Lax"),
        (false, None, "SameSite=Lax"),
        (false, Some(SameSite::Strict), "SameSite=Strict"),
    ] {
        let (mut world, mut ann) = (world(), Browser::new());
        world.change(|config| {
            config.same_site = same_site;
            config.api.retain(|_| has_api);
        });
        let url = location(&ann.get(&mut world, "/me").reply());
        let callback = Browser::provider(&mut world, &url);
        let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
        let reply = ann.send(&mut world, request, Access::SignedIn).reply();
        let cookies = reply.headers.get_all("set-cookie").iter();
        let mut cookies = cookies.map(|cookie| cookie.to_str().unwrap());
        let session = cookies.find(|cookie| cookie.starts_with(&format!("{SESSION}=")));
        assert!(session.unwrap().contains(expected), "{session:?}");
        assert_eq!(
            reply.status == StatusCode::SEE_OTHER,
            expected == "SameSite=Lax"
        );
        ann.click(&mut world, "/me").session();
        // A strict cookie is sent only after the hop if the link is on another site.
        let request = ann.request(&world, Method::GET, "/me", From::Elsewhere);
        let ended = ann.send(&mut world, request, Access::SignedIn);
        match expected {
            "SameSite=Lax" => drop(ended.session()),
            _ => assert!(location(&ended.reply()).starts_with("/auth/login?stage=to_application&")),
        }
    }
}

const OWN: (&str, &str) = ("x-csrf-protection", "1");

#[test]
fn a_proxied_call_drops_site_specific_headers() {
    let mut world = world();
    let mut ann = signed_in(&mut world);
    let fields = [
        OWN,
        ("authorization", "Bearer eve"),
        ("x-forwarded-for", "1.2.3.4"),
        ("forwarded", "for=1.2.3.4"),
        ("connection", "keep-alive, x-secret-hop"),
        ("x-secret-hop", "1"),
        // These would change the call after it was checked.
        ("x-http-method-override", "DELETE"),
        ("x_original_url", "/admin"),
        ("x-original-url", "/v1/admin"),
        ("x-rewrite-url", "/v1/admin"),
        ("accept", "application/json"),
    ];
    let ended = call(
        &mut world,
        &mut ann,
        Method::POST,
        "/auth/api/shop/cart/7?size=m",
        &fields,
    );
    let Ended::Forwarded(forward) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(forward.url.as_str(), "https://api.example/v1/cart/7?size=m");
    assert_eq!(forward.method, Method::POST);
    assert!(forward.session.grant().is_some());
    let names: Vec<_> = forward
        .headers
        .keys()
        .map(http::HeaderName::as_str)
        .collect();
    assert_eq!(names, ["accept"]);
}

#[test]
fn every_call_must_prove_that_it_comes_from_a_page_of_this_site() {
    let mut world = world();
    let mut ann = signed_in(&mut world);
    for method in [Method::GET, Method::POST] {
        let reply = call(
            &mut world,
            &mut ann,
            method.clone(),
            "/auth/api/shop/cart",
            &[],
        )
        .reply();
        assert_eq!(code(&reply), "web.cross_site");
        let fields = [OWN, ("sec-fetch-site", "same-site")];
        let reply = call(&mut world, &mut ann, method, "/auth/api/shop/cart", &fields).reply();
        assert_eq!(code(&reply), "web.cross_site");
    }
    let reply = call(
        &mut world,
        &mut ann,
        Method::DELETE,
        "/auth/api/shop/cart",
        &[OWN],
    )
    .reply();
    assert_eq!(code(&reply), "web.method");
    let reply = call(
        &mut world,
        &mut ann,
        Method::GET,
        "/auth/api/other/cart",
        &[OWN],
    )
    .reply();
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
    let mut stranger = Browser::new();
    let reply = call(
        &mut world,
        &mut stranger,
        Method::GET,
        "/auth/api/shop/cart",
        &[OWN],
    )
    .reply();
    assert_eq!(code(&reply), "web.signed_out");
}

#[test]
fn ambiguous_paths_are_refused() {
    let mut world = world();
    let mut ann = signed_in(&mut world);
    for rest in [
        "/../admin",
        "/a/..",
        "/./a",
        "//evil.example",
        "/%2e%2e/admin",
        "/a%2fb",
        "/a%5Cb",
        "/a\\b",
        "/@evil.example",
        "/%252e%252e/admin",
        "/a;b",
        "/a%zz",
    ] {
        let target = format!("/auth/api/shop{rest}");
        let reply = call(&mut world, &mut ann, Method::GET, &target, &[OWN]).reply();
        assert_eq!(code(&reply), "web.path", "{rest}");
    }
    // A name that only begins alike is a different one.
    let reply = call(
        &mut world,
        &mut ann,
        Method::GET,
        "/auth/api/shop@evil.example/",
        &[OWN],
    )
    .reply();
    assert_eq!(reply.status, StatusCode::NOT_FOUND);
}

#[test]
fn an_api_reply_cannot_act_as_a_page_of_this_site() {
    let mut headers = HeaderMap::new();
    for (name, value) in [
        ("content-type", "text/html"),
        ("set-cookie", "session=eve"),
        ("access-control-allow-origin", "*"),
        ("www-authenticate", "Basic"),
        ("clear-site-data", "*"),
        ("transfer-encoding", "chunked"),
        ("cache-control", "public"),
        ("content-security-policy", "default-src *"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    let taken = Forward::response_headers(&headers);
    assert_eq!(taken["content-type"], "text/html");
    assert_eq!(taken["cache-control"], "no-store");
    assert!(
        taken["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("sandbox")
    );
    assert_eq!(taken.len(), 4, "{taken:?}");
}

#[test]
fn expired_tokens_end_the_session() {
    let mut world = world();
    let mut ann = signed_in(&mut world);
    let request = ann.request(&world, Method::GET, "/auth/api/shop/cart", From::Own);
    let reply = ann.end_session(&mut world, request);
    assert_eq!(code(&reply), "web.signed_out");
    assert!(world.records().is_empty());
    assert!(ann.cookie(crate::world::SESSION).is_none());
}

proptest! {
    #[test]
    fn no_path_escapes_the_base_path_of_the_api(rest in "[/a-z.%@:?#\\\\;&=25efEFcC-]{0,40}") {
        let mut world = world();
        let mut ann = Browser::new();
        ann.open(&mut world, "/me");
        if let Ended::Forwarded(forward) = call(&mut world, &mut ann, Method::GET, &format!("/auth/api/shop{rest}"), &[OWN]) {
            let uri: http::Uri = forward.url.as_str().parse().unwrap();
            prop_assert_eq!(uri.host(), Some("api.example"));
            prop_assert!(uri.path() == "/v1" || uri.path().starts_with("/v1/"), "{}", uri);
            prop_assert!(uri.path().split('/').all(|name| name != ".."), "{}", uri);
        }
    }
}
