//! Attacks on sign-in for web applications, with a test for each named by its id in the project's list of
//! attacks on OAuth clients (`tests/attacks.txt`), which also names the adapters' tests of them.

use http::header::SET_COOKIE;
use http::{Method, StatusCode};
use oauth_core::redirect_uri::check_return_target;
use oauth_core::url::Url;
use oauth_testkit::Fault;
use oauth_web::{Access, Reply};
use proptest::prelude::*;

use crate::world::{Browser, Ended, From, SESSION, SHOP, TWIN, World, code, location, put};

/// The page reached by a user who requested `target` and signed in.
fn page_after_sign_in(target: &str) -> String {
    let (mut world, mut eve) = (World::new(), Browser::new());
    let url = location(&eve.get(&mut world, target).reply());
    let callback = Browser::provider(&mut world, &url);
    let request = eve.request(&world, Method::GET, &callback, From::Elsewhere);
    location(&eve.send(&mut world, request, Access::SignedIn).reply())
}

fn query(pairs: &[(&str, &str)]) -> String {
    let mut form = oauth_core::form::Form::new();
    for (name, value) in pairs {
        form.push(name, value);
    }
    form.as_str().to_owned()
}

/// CSRF on the start of a flow: from elsewhere a user can be sent to a provider that the site trusts, and no more
/// (OpenID Connect Core section 4). Nothing is linked, and the current user stays signed in.
#[test]
fn a2_a_flow_started_by_an_attacker_changes_nothing() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    let before = ann.cookie(SESSION).unwrap().value.clone();
    for (mode, destination) in [
        ("cors", "empty"),
        ("no-cors", "image"),
        ("no-cors", "script"),
    ] {
        let mut request = ann.request(&world, Method::GET, "/auth/login", From::Elsewhere);
        put(&mut request.headers, "sec-fetch-mode", mode);
        put(&mut request.headers, "sec-fetch-dest", destination);
        let reply = ann.send(&mut world, request, Access::Open).reply();
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{destination}");
        assert_eq!(ann.flows(), 0, "{destination}");
    }
    let unknown = format!("/auth/login?{}", query(&[("iss", "https://eve.example")]));
    let request = ann.request(&world, Method::GET, &unknown, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::Open).reply();
    assert_eq!(code(&reply), "web.unknown_provider");
    assert_eq!(ann.flows(), 0);

    let begun = query(&[("iss", TWIN), ("target_link_uri", "https://eve.example/")]);
    let begun = format!("/auth/login?{begun}&prompt=none");
    let mut url = String::new();
    // "the RP MUST support both GET and POST" (OpenID Connect Core section 4)
    for method in [Method::POST, Method::GET] {
        let request = ann.request(&world, method, &begun, From::Elsewhere);
        url = location(&ann.send(&mut world, request, Access::Open).reply());
        assert!(
            url.starts_with(TWIN) && !url.contains("prompt=none"),
            "{url}"
        );
    }
    assert_eq!(ann.cookie(SESSION).unwrap().value, before);
    ann.click(&mut world, "/me").session();
    let callback = Browser::provider(&mut world, &url);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(location(&reply), "/");
}

/// Session fixation: a sign-in reuses neither an earlier session nor a flow.
#[test]
fn a9_a_sign_in_never_reuses_a_known_session_or_flow() {
    let (mut world, mut eve) = (World::in_store(), Browser::new());
    eve.open(&mut world, "/me").session();
    let eves_session = eve.cookie(SESSION).unwrap().value.clone();
    // Ann's browser was given Eve's cookies, and she signs in.
    let mut ann = eve.clone();
    let ended = ann.click(&mut world, "/auth/login");
    ann.follow(&mut world, ended).session();
    assert_ne!(ann.cookie(SESSION).unwrap().value, eves_session);
    assert!(
        eve.click(&mut world, "/me").is_status(303),
        "Eve's session has ended"
    );

    let mut bob = Browser::new();
    bob.get(&mut world, "/me");
    let flow = bob.cookies[0].value.clone();
    for value in [
        flow.clone(),
        format!("1.abcdefgh.{flow}"),
        format!("2.abcdefgh.{flow}"),
    ] {
        let mut request = bob.request(&world, Method::GET, "/me", From::Typed);
        put(
            &mut request.headers,
            "cookie",
            &format!("{SESSION}={value}"),
        );
        let ended = bob.clone().send(&mut world, request, Access::Open);
        assert!(matches!(ended, Ended::Passed(None)), "{value}");
    }
}

/// Unlimited pending flows: a flow that is never finished is stored only by the browser.
#[test]
fn a10_abandoned_flows_leave_nothing_in_the_store() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    for page in 0..1_000 {
        Browser::new().get(&mut world, &format!("/page/{page}"));
        ann.get(&mut world, &format!("/page/{page}"));
        world.advance(1);
    }
    assert!(world.store.is_empty());
    assert_eq!(ann.flows(), 4);
    ann.open(&mut world, "/me").session();
}

fn attributes(reply: &Reply) -> Vec<String> {
    let lines = reply.headers.get_all(SET_COOKIE).iter();
    lines
        .map(|line| line.to_str().unwrap().to_owned())
        .collect()
}

/// Cookie flags: every cookie is for this host alone, over TLS alone, out of scripts' reach, and for a time.
#[test]
fn a11_every_cookie_has_the_security_flags() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let start = ann.get(&mut world, "/me").reply();
    let callback = Browser::provider(&mut world, &location(&start));
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let signed_in = ann.send(&mut world, request, Access::SignedIn).reply();
    let signed_out = ann.click(&mut world, "/auth/logout").reply();
    let mut seen = 0;
    for (reply, longest) in [
        (&start, 3600),
        (&signed_in, 31 * 86_400),
        (&signed_out, 3600),
    ] {
        for line in attributes(reply) {
            let mut parts = line.split("; ");
            assert!(parts.next().unwrap().starts_with("__Host-"), "{line}");
            let parts: Vec<_> = parts.collect();
            for flag in ["Secure", "HttpOnly", "Path=/"] {
                assert!(parts.contains(&flag), "{flag}: {line}");
            }
            assert!(
                parts
                    .iter()
                    .any(|part| ["SameSite=Lax", "SameSite=Strict"].contains(part))
            );
            assert!(
                !parts.iter().any(|part| part.starts_with("Domain")),
                "{line}"
            );
            let age = parts.iter().find_map(|part| part.strip_prefix("Max-Age="));
            let age: u64 = age.unwrap().parse().unwrap();
            assert!(age <= longest, "{line}");
            seen += 1;
        }
    }
    assert!(seen >= 3, "a flow, a session, and their ends: {seen}");
}

/// Open redirect: no target that a browser could resolve to another site is accepted.
#[test]
fn a12_a_login_never_returns_to_a_foreign_target() {
    let shop_url = Url::parse(SHOP).unwrap();
    for target in [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "https://shop.example.evil.example/",
        "https://shop.example@evil.example/",
        "https://shop.example:8443/",
        "http://shop.example/",
        "javascript:alert(1)",
        "/%2e%2e//evil.example",
        "/..//evil.example",
        "/\tevil",
        " /me",
        "evil.example",
        "",
    ] {
        let refused = check_return_target(target, &shop_url).map_err(|error| error.code());
        assert_eq!(refused, Err("return_to.refused"), "{target:?}");
        let login = format!("/auth/login?{}", query(&[("return_to", target)]));
        assert_eq!(page_after_sign_in(&login), "/", "{target:?}");
    }
    for target in ["/", "/me?x=1#y", "https://shop.example/me"] {
        assert!(check_return_target(target, &shop_url).is_ok(), "{target}");
    }
    assert_eq!(
        page_after_sign_in("/auth/login?return_to=%2Fme%3Fx%3D1"),
        "/me?x=1"
    );
}

/// The host of a request selects among the site's own hosts, and cannot add one.
#[test]
fn a13_the_redirect_uri_ignores_a_forged_host() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    for host in [
        "evil.example",
        "shop.example.evil.example",
        "shop.example@evil.example",
        "",
        "shop.example:1",
    ] {
        let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
        request.host = host.to_owned();
        put(&mut request.headers, "host", "evil.example");
        put(&mut request.headers, "x-forwarded-host", "evil.example");
        put(
            &mut request.headers,
            "forwarded",
            "host=evil.example;proto=http",
        );
        let url = location(&ann.send(&mut world, request, Access::SignedIn).reply());
        let redirect_uri = "redirect_uri=https%3A%2F%2Fshop.example%2Fauth%2Fcallback";
        assert!(
            url.starts_with(TWIN) && url.contains(redirect_uri),
            "{host}: {url}"
        );
        assert!(!url.contains("evil"), "{host}: {url}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Unexpected URLs: each gets a response, and none a server error.
    #[test]
    fn a14_no_url_causes_a_server_error(
        page in "(login|callback|logout|logout/done|session|check|signed-out|backchannel-logout)",
        query in "\\PC{0,60}",
        raw in "[%&=;/?a-f0-9\\[\\]]{0,40}",
    ) {
        let (mut world, mut ann) = (World::new(), Browser::new());
        ann.get(&mut world, "/me");
        for query in [query, raw] {
            for target in [format!("/auth/{page}?{query}"), format!("/{query}")] {
                let target = target.replace('#', "");
                for from in [From::Typed, From::Elsewhere] {
                    let request = ann.request(&world, Method::GET, &target, from);
                    if let Ended::Reply(reply) = ann.clone().send(&mut world, request, Access::SignedIn) {
                        prop_assert!(!reply.status.is_server_error(), "{}: {target}", reply.status);
                    }
                }
            }
        }
    }
}

/// A session that outlives its logout: the session and its tokens end here, even if the provider does not answer.
#[test]
fn d4_a_logout_ends_the_session_even_if_the_provider_does_not_respond() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    let mut copy = ann.clone();
    for _ in 0..3 {
        world.provider.twin().inject(Fault::LostReply);
    }
    ann.click(&mut world, "/auth/logout");
    assert!(ann.cookie(SESSION).is_none());
    assert!(world.records().is_empty(), "no refresh token is left");
    let refreshes = world.provider.twin().counters().refreshes;
    world.advance(7_200);
    assert!(copy.click(&mut world, "/me").is_status(303));
    assert!(copy.fetch(&mut world, Method::GET, "/me").is_status(401));
    assert_eq!(world.provider.twin().counters().refreshes, refreshes);
}
