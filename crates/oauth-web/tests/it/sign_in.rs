//! Sign-in, and the session that results.

use http::{Method, StatusCode};
use oauth_core::url::{Transport, Url};
use oauth_seal::Keys;
use oauth_web::{Access, Admission, Reply, SameSite};

use crate::world::{
    Browser, Ended, From, SESSION, SHOP, SUBJECT, TWIN, World, code, location, put,
};

#[test]
fn a_user_signs_in_and_returns_to_the_requested_page() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    world.provider.twin().set_claim("name", "Ann");
    world.provider.twin().set_claim("phone_number", "+34 1");
    let reply = ann.get(&mut world, "/me?tab=2").reply();
    let url = location(&reply);
    assert!(url.starts_with(TWIN), "{url}");
    assert!(url.contains("nonce=") && url.contains("code_challenge=") && url.contains("state="));
    let callback = Browser::provider(&mut world, &url);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(location(&reply), "/me?tab=2");
    let session = ann.click(&mut world, "/me?tab=2").session();
    assert_eq!(session.identity.subject, SUBJECT);
    assert_eq!(session.identity.issuer, TWIN);
    assert_eq!(session.identity.text("name"), Some("Ann"));
    assert_eq!(
        session.identity.text("phone_number"),
        None,
        "it is on no list"
    );
    assert!(session.grant().is_none());
    assert_eq!(ann.flows(), 0);
    assert!(ann.cookie(SESSION).is_some());
}

#[test]
fn session_contents_are_neither_readable_nor_printed() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let session = ann.open(&mut world, "/me").session();
    assert!(!format!("{session:?}").contains(SUBJECT));
    for cookie in &ann.cookies {
        assert!(!cookie.value.contains(SUBJECT) && !cookie.value.contains("sub"));
    }
    assert!(!world.log().contains(SUBJECT), "{}", world.log());
}

#[test]
fn a_session_expires_at_the_end_of_its_lifetime() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    let copy = ann.clone();
    world.advance(8 * 3600 - 1);
    ann.click(&mut world, "/me").session();
    world.advance(1);
    // A stolen copy, regardless of the browser's clock.
    let mut request = ann.request(&world, Method::GET, "/me", From::Own);
    let stored = copy.cookie(SESSION).unwrap();
    crate::world::add_cookie(&mut request, SESSION, &stored.value);
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert!(location(&reply).starts_with(TWIN));
    assert_eq!(
        world.notes_of("web.signed_out"),
        ["the session: it has ended"]
    );
}

#[test]
fn two_tabs_can_sign_in_concurrently() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let one = location(&ann.get(&mut world, "/one").reply());
    let two = location(&ann.get(&mut world, "/two").reply());
    assert_eq!(ann.flows(), 2);
    for (url, page) in [(two, "/two"), (one, "/one")] {
        let callback = Browser::provider(&mut world, &url);
        let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
        let reply = ann.send(&mut world, request, Access::SignedIn).reply();
        assert_eq!(location(&reply), page);
    }
    ann.click(&mut world, "/one").session();
    assert_eq!(ann.flows(), 0);
}

#[test]
fn thirty_abandoned_sign_ins_leave_four_flow_cookies() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let mut last = String::new();
    for tab in 0..30 {
        last = location(&ann.get(&mut world, &format!("/page/{tab}")).reply());
        world.advance(1);
    }
    assert_eq!(ann.flows(), 4);
    let callback = Browser::provider(&mut world, &last);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(location(&reply), "/page/29");
}

#[test]
fn fetch_gets_401_and_is_never_redirected() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let reply = ann.fetch(&mut world, Method::GET, "/api/cart").reply();
    assert_eq!(reply.status, StatusCode::UNAUTHORIZED);
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    let problem: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(problem["code"], "web.signed_out");
    assert_eq!(problem["login"], "/auth/login");
    assert_eq!(ann.flows(), 0);
}

#[test]
fn prefetches_have_no_effect() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
        ("next-router-prefetch", "1"),
    ] {
        for target in ["/auth/login", "/auth/logout", "/auth/check", "/me"] {
            let mut request = ann.request(&world, Method::GET, target, From::Own);
            put(&mut request.headers, name, value);
            let reply = ann.send(&mut world, request, Access::SignedIn).reply();
            let expected = match target {
                "/me" => StatusCode::UNAUTHORIZED,
                _ => StatusCode::NO_CONTENT,
            };
            assert_eq!(reply.status, expected, "{name} {target}");
            assert!(ann.cookies.is_empty());
        }
    }
    let request = ann.request(&world, Method::HEAD, "/auth/login", From::Typed);
    assert!(
        ann.send(&mut world, request, Access::SignedIn)
            .is_status(204)
    );
}

#[test]
fn an_open_page_is_shown_with_and_without_a_session() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let request = ann.request(&world, Method::GET, "/", From::Typed);
    let ended = ann.send(&mut world, request, Access::Open);
    assert!(matches!(ended, Ended::Passed(None)));
    ann.open(&mut world, "/me").session();
    let request = ann.request(&world, Method::GET, "/", From::Typed);
    ann.send(&mut world, request, Access::Open).session();
}

#[test]
fn the_application_decides_which_users_are_admitted() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    world.provider.twin().set_claim("email", "ann@shop.example");
    world.admission = Box::new(|identity| match identity.text("email") {
        Some("ann@shop.example") => {
            Admission::Admitted([("role".to_owned(), "buyer".into())].into_iter().collect())
        }
        _ => Admission::Refused("Only <ann> may come in.".to_owned()),
    });
    let session = ann.open(&mut world, "/me").session();
    assert_eq!(session.local["role"], "buyer");
    world.provider.twin().set_claim("email", "bob@shop.example");
    let mut bob = Browser::new();
    let reply = bob.open(&mut world, "/me").reply();
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    assert_eq!(code(&reply), "web.not_admitted");
    assert!(reply.body.contains("Only &lt;ann&gt; may come in."));
    assert!(bob.cookie(SESSION).is_none());
}

#[test]
fn keys_can_be_rotated_while_users_are_signed_in() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    let under_way = location(&ann.get(&mut world, "/auth/login?return_to=/x").reply());
    world.change(|config| config.keys = Keys::new([8; 32]).with_previous([7; 32]));
    ann.click(&mut world, "/me").session();
    let callback = Browser::provider(&mut world, &under_way);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    assert_eq!(
        location(&ann.send(&mut world, request, Access::SignedIn).reply()),
        "/x"
    );
    // Cookies sealed with the new key do not need the old one.
    world.change(|config| config.keys = Keys::new([8; 32]));
    ann.click(&mut world, "/me").session();
    world.change(|config| config.keys = Keys::new([9; 32]));
    assert!(location(&ann.click(&mut world, "/me").reply()).starts_with(TWIN));
    assert!(world.log().contains("is not given"), "{}", world.log());
}

#[test]
fn a_large_session_is_split_over_two_cookies_and_a_smaller_one_removes_the_second() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    world.provider.twin().set_claim("name", "a".repeat(3000));
    let session = ann.open(&mut world, "/me").session();
    assert_eq!(session.identity.text("name").unwrap().len(), 3000);
    assert!(ann.cookie(&format!("{SESSION}.1")).is_some());
    // Cookies of two sessions do not combine.
    let before = ann.clone();
    let ended = ann.click(&mut world, "/auth/login");
    ann.follow(&mut world, ended);
    ann.click(&mut world, "/me").session();
    let mut mixed = ann.clone();
    mixed
        .cookies
        .retain(|cookie| cookie.name != format!("{SESSION}.1"));
    let old = before.cookie(&format!("{SESSION}.1")).unwrap().clone();
    mixed.cookies.push(old);
    assert!(location(&mixed.click(&mut world, "/me").reply()).starts_with(TWIN));
    // A smaller session deletes the second cookie.
    world.provider.twin().set_claim("name", "Ann");
    let ended = ann.click(&mut world, "/auth/login");
    ann.follow(&mut world, ended);
    assert!(ann.cookie(&format!("{SESSION}.1")).is_none());
    ann.click(&mut world, "/me").session();
}

#[test]
fn claims_too_large_for_a_cookie_are_reported_at_login() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    world.provider.twin().set_claim("picture", "p".repeat(7000));
    let reply = ann.open(&mut world, "/me").reply();
    assert_eq!(reply.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(code(&reply), "web.session_too_large");
    let notes = world.notes_of("web.session_too_large");
    assert!(
        notes[0].contains("claims.picture takes 7002 bytes"),
        "{notes:?}"
    );
    // In a store it fits.
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    world.provider.twin().set_claim("picture", "p".repeat(7000));
    ann.open(&mut world, "/me").session();
}

#[test]
fn a_nearly_full_session_cookie_is_logged_once() {
    for (bytes, lines) in [(100, 0), (2200, 1)] {
        let (mut world, mut ann) = (World::new(), Browser::new());
        world
            .provider
            .twin()
            .set_claim("picture", "p".repeat(bytes));
        ann.open(&mut world, "/me").session();
        // The message is shown once.
        Browser::new().open(&mut world, "/me").session();
        let notes = world.notes_of("web.response_large");
        assert_eq!(notes.len(), lines, "{notes:?}");
        assert!(
            notes
                .iter()
                .all(|note| note.contains("claims.picture takes 2202 bytes"))
        );
    }
    // Sessions in the store are not in cookies.
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    world.provider.twin().set_claim("picture", "p".repeat(2200));
    ann.open(&mut world, "/me").session();
    assert_eq!(world.notes_of("web.response_large"), Vec::<&str>::new());
}

#[test]
fn with_strict_cookies_a_hop_is_made_once() {
    let mut world = world_with_strict_cookies();
    let mut ann = Browser::new();
    let ended = ann.get(&mut world, "/me");
    // Back from the provider, the browser would send no strict cookie with a redirect.
    let reply = ann.follow(&mut world, ended).reply();
    assert_refresh_page(&reply, "/me");
    assert!(ann.cookie(SESSION).is_some());
    ann.click(&mut world, "/me").session();
    assert_refresh_page(&linked(&mut world, &mut ann, "/me"), "/me");
    // Without a session, the browser takes one hop and then signs in.
    let mut bob = Browser::new();
    let reply = linked(&mut world, &mut bob, "/me?a={<x>}&b");
    assert_refresh_page(&reply, "/me?a=%7B%3Cx%3E%7D&amp;b");
    assert!(location(&bob.click(&mut world, "/me").reply()).starts_with(TWIN));
}

/// Follows a link of another site, and the resulting redirect.
fn linked(world: &mut World, browser: &mut Browser, page: &str) -> Reply {
    let request = browser.request(world, Method::GET, page, From::Elsewhere);
    let next = location(&browser.send(world, request, Access::SignedIn).reply());
    assert!(
        next.starts_with("/auth/login?stage=to_application&"),
        "{next}"
    );
    let request = browser.request(world, Method::GET, &next, From::Elsewhere);
    browser.send(world, request, Access::SignedIn).reply()
}

fn world_with_strict_cookies() -> World {
    World::with(|mut config| {
        config.same_site = Some(SameSite::Strict);
        config
    })
}

#[track_caller]
fn assert_refresh_page(reply: &Reply, page: &str) {
    assert_eq!(reply.status, StatusCode::OK);
    let refresh = format!("http-equiv=refresh content=\"0;url={page}\"");
    assert!(reply.body.contains(&refresh), "{}", reply.body);
    // Only its own script may run.
    let policy = reply.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("; script-src 'sha256-") && policy.starts_with("default-src 'none'"));
}

#[test]
fn without_fetch_metadata_sign_in_with_strict_cookies_succeeds() {
    // A return target may be an absolute URL of the site.
    for target in ["/me", "https://shop.example/me"] {
        let (mut world, mut ann) = (world_with_strict_cookies(), Browser::new());
        let login = format!("/auth/login?return_to={target}");
        let url = location(&ann.click(&mut world, &login).reply());
        let callback = Browser::provider(&mut world, &url);
        let mut request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
        for name in ["sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"] {
            request.headers.remove(name);
        }
        let reply = ann.send(&mut world, request, Access::SignedIn).reply();
        assert_refresh_page(&reply, target);
        ann.click(&mut world, "/me").session();
    }
}

#[test]
fn a_browser_without_cookies_gets_an_error_after_one_restart() {
    let mut world = world_with_strict_cookies();
    let mut ann = Browser::new();
    ann.is_blocking = true;
    let url = location(&ann.get(&mut world, "/me").reply());
    let callback = Browser::provider(&mut world, &url);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_refresh_page(&reply, "/auth/login?stage=restart");
    let reply = ann.click(&mut world, "/auth/login?stage=restart").reply();
    assert_eq!(location(&reply), "/auth/login?stage=restarted");
    let reply = ann.click(&mut world, "/auth/login?stage=restarted").reply();
    assert_eq!(code(&reply), "web.callback_unknown");
}

#[test]
fn the_loop_breaker_permits_ten_tabs_and_stops_a_redirect_loop() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    for tab in 0..10 {
        assert!(ann.get(&mut world, &format!("/{tab}")).is_status(303));
    }
    let mut bob = Browser::new();
    for _ in 0..3 {
        let ended = bob.get(&mut world, "/me");
        let url = location(&ended.reply());
        let callback = Browser::provider(&mut world, &url);
        let request = bob.request(&world, Method::GET, &callback, From::Elsewhere);
        bob.send(&mut world, request, Access::SignedIn);
        // The cookie is lost between the browser and the site.
        bob.cookies.retain(|cookie| cookie.name != SESSION);
    }
    let reply = bob.get(&mut world, "/me").reply();
    assert_eq!(reply.status, StatusCode::LOOP_DETECTED);
    assert_eq!(code(&reply), "web.loop");
    assert!(world.notes_of("web.loop")[0].contains("there is no cookie; there is no cookie"));
    world.advance(61);
    assert!(bob.get(&mut world, "/me").is_status(303));
}

#[test]
fn a_silent_check_signs_in_or_leaves_the_page_open() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    world.provider.twin().sign_out();
    let request = ann.request(&world, Method::GET, "/", From::Typed);
    let ended = ann.send(&mut world, request, Access::Silent);
    let url = location(&ended.reply());
    assert!(url.contains("prompt=none"));
    let callback = Browser::provider(&mut world, &url);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    assert_eq!(
        location(&ann.send(&mut world, request, Access::Silent).reply()),
        "/"
    );
    let request = ann.request(&world, Method::GET, "/", From::Own);
    assert!(matches!(
        ann.send(&mut world, request, Access::Silent),
        Ended::Passed(None)
    ));
    // The check is not repeated for five minutes either.
    let reply = ann.click(&mut world, "/auth/check?return_to=/shop").reply();
    assert_eq!(location(&reply), "/shop");
    world.advance(301);
    ann.open(&mut world, "/me").session();
    let mut bob = Browser::new();
    let request = bob.request(&world, Method::GET, "/", From::Typed);
    let ended = bob.send(&mut world, request, Access::Silent);
    bob.follow(&mut world, ended).session();
}

#[test]
fn a_user_who_was_not_admitted_is_not_checked_silently_again() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    world.admission = Box::new(|_| Admission::Refused("no".to_owned()));
    let request = ann.request(&world, Method::GET, "/", From::Typed);
    let url = location(&ann.send(&mut world, request, Access::Silent).reply());
    let callback = Browser::provider(&mut world, &url);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    assert_eq!(
        location(&ann.send(&mut world, request, Access::Silent).reply()),
        "/"
    );
    let request = ann.request(&world, Method::GET, "/", From::Own);
    assert!(matches!(
        ann.send(&mut world, request, Access::Silent),
        Ended::Passed(None)
    ));
}

#[test]
fn the_session_page_returns_the_permitted_session_data() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    world.provider.twin().set_claim("name", "Ann");
    let reply = ann.fetch(&mut world, Method::GET, "/auth/session").reply();
    assert_eq!(reply.status, StatusCode::OK);
    let output: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(output["signed_in"], false);
    ann.open(&mut world, "/me").session();
    let reply = ann.fetch(&mut world, Method::GET, "/auth/session").reply();
    let output: serde_json::Value = serde_json::from_str(&reply.body).unwrap();
    assert_eq!(output["user"]["name"], "Ann");
    assert_eq!(output["user"]["sub"], SUBJECT);
    let request = ann.request(&world, Method::GET, "/auth/session", From::Elsewhere);
    assert!(ann.send(&mut world, request, Access::Open).is_status(403));
}

#[test]
fn users_choose_among_several_providers_with_separate_callbacks() {
    let mut world = World::with(|mut config| {
        let mut other = config.providers[0].clone();
        other.id = "other".to_owned();
        other.title = "The <other>".to_owned();
        config.providers.push(other);
        config
    });
    let mut ann = Browser::new();
    let login = location(&ann.get(&mut world, "/me").reply());
    assert_eq!(login, "/auth/login?return_to=%2Fme");
    let page = ann.click(&mut world, &login).reply();
    assert!(page.body.contains("value=\"twin\"") && page.body.contains("The &lt;other&gt;"));
    let url = location(
        &ann.click(&mut world, &format!("{login}&provider=other"))
            .reply(),
    );
    let callback = Browser::provider(&mut world, &url);
    assert!(callback.starts_with("/auth/callback/other?"));
    // A callback of one provider is not accepted for another (mix-up).
    let moved = callback.replace("/other?", "/twin?");
    let request = ann.request(&world, Method::GET, &moved, From::Elsewhere);
    let again = location(&ann.send(&mut world, request, Access::SignedIn).reply());
    assert_eq!(again, "/auth/login?stage=restart");
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    assert_eq!(
        location(&ann.send(&mut world, request, Access::SignedIn).reply()),
        "/me"
    );
    assert_eq!(
        ann.click(&mut world, "/me").session().identity.provider,
        "other"
    );
    let reply = ann.click(&mut world, "/auth/login?provider=nobody").reply();
    assert_eq!(code(&reply), "web.unknown_provider");
    // A third party may start a sign-in by the issuer.
    let begun = ann.get(
        &mut world,
        &format!("/auth/login?iss={TWIN}&login_hint=ann"),
    );
    assert!(location(&begun.reply()).contains("login_hint=ann"));
}

#[test]
fn loopback_http_must_be_enabled_and_uses_cookies_without_secure() {
    let mut world = World::new();
    world
        .provider
        .twin()
        .register_redirect_uri("http://127.0.0.1:8000/auth/callback");
    world.change(|config| {
        config.base_urls = vec![Url::parse("http://127.0.0.1:8000").unwrap()];
        config.transport = Transport::LoopbackHttp;
    });
    let mut ann = Browser::new();
    let reply = ann.get(&mut world, "/me").reply();
    let cookie = reply.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("oauth-session-flow-") && !cookie.contains("Secure"),
        "{cookie}"
    );
    assert!(SHOP.starts_with("https"));
}
