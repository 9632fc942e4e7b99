//! Attacks from other sites and browsers.

use http::{Method, StatusCode};
use oauth_web::{Access, PageRequirements};

use crate::world::{Browser, Ended, From, SESSION, SHOP, World, add_cookie, code, location, put};

#[test]
fn no_redirect_leads_to_another_origin() {
    for target in [
        "//evil.example",
        "https://evil.example/",
        "/\\evil.example",
        "https://shop.example.evil.example",
        "https://shop.example@evil.example",
        "javascript:alert(1)",
        "/auth/logout",
        "%2F%2Fevil.example",
    ] {
        let (mut world, mut ann) = (World::new(), Browser::new());
        let mut form = oauth_core::form::Form::new();
        form.push("return_to", target);
        let ended = ann.get(&mut world, &format!("/auth/login?{}", form.as_str()));
        let url = location(&ended.reply());
        let callback = Browser::provider(&mut world, &url);
        let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
        let reply = ann.send(&mut world, request, Access::SignedIn).reply();
        assert_eq!(location(&reply), "/", "{target}");
        assert_eq!(world.notes_of("return_to.refused").len(), 1);
    }
}

#[test]
fn cross_site_forms_are_refused() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    for method in [Method::POST, Method::PUT, Method::DELETE, Method::PATCH] {
        for site in ["cross-site", "same-site"] {
            let mut request = ann.request(&world, method.clone(), "/cart", From::Own);
            put(&mut request.headers, "sec-fetch-site", site);
            let reply = ann.send(&mut world, request, Access::Open).reply();
            assert_eq!(reply.status, StatusCode::FORBIDDEN);
            assert_eq!(code(&reply), "web.cross_site");
        }
        let request = ann.request(&world, method, "/cart", From::Own);
        ann.send(&mut world, request, Access::SignedIn).session();
    }
}

#[test]
fn cross_site_forms_reach_open_pages_without_a_session() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let posted = |world: &mut World, ann: &mut Browser, access, need| {
        let request = ann.request(world, Method::POST, "/payment/return", From::Elsewhere);
        ann.send_needing(world, request, access, need)
    };
    // Also for a signed-in user: the browser withholds the cookie.
    for _ in 0..2 {
        for access in [Access::Open, Access::Silent] {
            let ended = posted(&mut world, &mut ann, access, None);
            assert!(matches!(ended, Ended::Passed(None)), "{ended:?}");
        }
        let refused = posted(&mut world, &mut ann, Access::SignedIn, None);
        assert_eq!(code(&refused.reply()), "web.cross_site");
        let need = Some(PageRequirements::acr(["pin"]));
        let refused = posted(&mut world, &mut ann, Access::Open, need);
        assert_eq!(code(&refused.reply()), "web.cross_site");
        ann.open(&mut world, "/me").session();
    }
    // The site's own pages do not belong to the application.
    let request = ann.request(&world, Method::POST, "/auth/logout", From::Elsewhere);
    assert!(ann.send(&mut world, request, Access::Open).is_status(403));
}

#[test]
fn only_same_origin_pages_can_open_a_websocket() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    for (site, status) in [("same-site", 403), ("cross-site", 403), ("same-origin", 0)] {
        let mut request = ann.request(&world, Method::GET, "/live", From::Own);
        put(&mut request.headers, "upgrade", "websocket");
        put(&mut request.headers, "sec-fetch-site", site);
        let ended = ann.send(&mut world, request, Access::Open);
        assert_eq!(ended.is_status(403), status == 403, "{site}");
    }
}

#[test]
fn foreign_cookies_do_not_hide_the_sites_cookies() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    let valid = &ann.cookie(SESSION).unwrap().value;
    for other in ["name=Jos\u{e9}", "latin=\u{e9}", "bad", "=", ";;"] {
        let mut request = ann.clone().request(&world, Method::GET, "/me", From::Typed);
        let line = format!("{other}; {SESSION}={valid}; x=\u{e9}");
        let mut line = line.into_bytes();
        if other.starts_with("latin") {
            line.retain(|byte| *byte != 0xc3);
        }
        let line = http::HeaderValue::from_bytes(&line).unwrap();
        request.headers.insert("cookie", line);
        ann.clone()
            .send(&mut world, request, Access::SignedIn)
            .session();
    }
}

#[test]
fn a_sign_in_flow_always_fits_into_its_cookie() {
    let mut world = World::with(|mut config| {
        let state = (
            "resource".to_owned(),
            format!("https://api.example/{}", "r".repeat(900)),
        );
        config.providers[0].parameters = vec![state];
        config
    });
    let mut ann = Browser::new();
    for length in [100, 1_000, 1_990] {
        let target = format!("/{}", "t".repeat(length));
        let url = location(&ann.get(&mut world, &target).reply());
        assert!(url.starts_with(crate::world::TWIN));
    }
    let long = "a".repeat(3000);
    let ended = ann.get(
        &mut world,
        &format!("/auth/login?acr_values={long}&login_hint={long}"),
    );
    assert!(location(&ended.reply()).len() < 3000);
    assert_eq!(ann.flows(), 4);
}

#[test]
fn a_hop_stays_on_the_site() {
    let mut world = World::with(|mut config| {
        config.same_site = Some(oauth_web::SameSite::Strict);
        config
    });
    let mut ann = Browser::new();
    for target in [
        "//evil.example/",
        "/\\evil.example",
        "//evil.example/%2e%2e",
    ] {
        let request = ann.request(&world, Method::GET, target, From::Elsewhere);
        let reply = ann.send(&mut world, request, Access::Open).reply();
        assert_eq!(
            location(&reply),
            "/auth/login?stage=to_application&return_to=%2F"
        );
        let named = format!("/auth/login?stage=to_application&return_to={target}");
        let request = ann.request(&world, Method::GET, &named, From::Elsewhere);
        let reply = ann.send(&mut world, request, Access::Open).reply();
        assert!(reply.body.contains("0;url=/\""), "{}", reply.body);
    }
}

#[test]
fn without_fetch_metadata_the_origin_or_a_custom_header_is_checked() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    let mut post = |ann: &mut Browser, fields: &[(&str, &str)], cookie: bool| {
        let mut request = ann.request(&world, Method::POST, "/cart", From::Own);
        for name in [
            "sec-fetch-site",
            "sec-fetch-mode",
            "sec-fetch-dest",
            "origin",
        ] {
            request.headers.remove(name);
        }
        if !cookie {
            request.headers.remove("cookie");
        }
        for (name, value) in fields {
            put(&mut request.headers, name, value);
        }
        let ended = ann.send(&mut world, request, Access::Open);
        !ended.is_status(403)
    };
    assert!(post(&mut ann, &[("origin", SHOP)], true));
    assert!(!post(&mut ann, &[("origin", "https://evil.example")], true));
    assert!(!post(&mut ann, &[("origin", "null")], true));
    assert!(!post(&mut ann, &[("origin", "http://shop.example")], true));
    assert!(!post(&mut ann, &[], true));
    assert!(post(&mut ann, &[("x-csrf-protection", "1")], true));
    // Without a session there is nothing to abuse: a webhook.
    assert!(post(&mut ann, &[], false));
}

#[test]
fn duplicate_planted_cookies_do_not_hide_the_genuine_one() {
    let (mut world, mut ann, mut eve) = (World::new(), Browser::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    eve.open(&mut world, "/me").session();
    let valid = ann.cookie(SESSION).unwrap().value.clone();
    for planted in ["x", "1.a.b", "2.abcdefgh.AAAA", ""] {
        let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
        put(
            &mut request.headers,
            "cookie",
            &format!("{SESSION}={planted}"),
        );
        add_cookie(&mut request, SESSION, &valid);
        ann.send(&mut world, request, Access::SignedIn).session();
    }
    // The number is limited.
    let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
    put(
        &mut request.headers,
        "cookie",
        &format!("{SESSION}=a; {SESSION}=b; {SESSION}=c"),
    );
    add_cookie(&mut request, SESSION, &valid);
    assert!(
        ann.send(&mut world, request, Access::SignedIn)
            .is_status(303)
    );
}

#[test]
fn a_flow_cookie_or_a_cookie_of_another_origin_is_not_accepted_as_a_session() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.get(&mut world, "/me");
    let flow = ann.cookies[0].clone();
    let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
    let value = format!("1.abcdefgh.{}", flow.value);
    put(
        &mut request.headers,
        "cookie",
        &format!("{SESSION}={value}"),
    );
    assert!(
        ann.send(&mut world, request, Access::SignedIn)
            .is_status(303)
    );
    // The same key and name, another origin.
    ann.open(&mut world, "/me").session();
    let session = ann.cookie(SESSION).unwrap().value.clone();
    world.change(|config| {
        config.base_urls = vec![oauth_core::url::Url::parse("https://else.example").unwrap()];
    });
    let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
    put(
        &mut request.headers,
        "cookie",
        &format!("{SESSION}={session}"),
    );
    let ended = ann.send(&mut world, request, Access::Open);
    assert!(matches!(ended, Ended::Passed(None)));
}

#[test]
fn a_forged_host_or_scheme_is_ignored() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
    request.host = "evil.example".to_owned();
    put(&mut request.headers, "x-forwarded-host", "evil.example");
    put(&mut request.headers, "x-forwarded-proto", "http");
    let url = location(&ann.send(&mut world, request, Access::SignedIn).reply());
    assert!(
        url.contains("redirect_uri=https%3A%2F%2Fshop.example%2Fauth%2Fcallback"),
        "{url}"
    );
    // The host selects among several base URLs, and cannot add one.
    world.change(|config| {
        config
            .base_urls
            .push(oauth_core::url::Url::parse("https://other.example").unwrap());
    });
    let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
    request.host = "Other.example".to_owned();
    let url = location(&ann.send(&mut world, request, Access::SignedIn).reply());
    assert!(url.contains("redirect_uri=https%3A%2F%2Fother.example%2Fauth%2Fcallback"));
    let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
    request.host = "evil.example".to_owned();
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(code(&reply), "web.not_found");
}

#[test]
fn a_new_login_replaces_the_former_session() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    let before = ann.clone();
    let ended = ann.click(&mut world, "/auth/login");
    ann.follow(&mut world, ended).session();
    assert_ne!(
        before.cookie(SESSION).unwrap().value,
        ann.cookie(SESSION).unwrap().value
    );
    // The earlier session and its tokens have ended.
    let mut before = before;
    assert!(before.click(&mut world, "/me").is_status(303));
    let revoked = world.provider.twin().counters().revocations;
    assert_eq!(revoked, 1);
}

#[test]
fn pages_cannot_be_framed_and_refuse_other_methods() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let reply = ann.get(&mut world, "/auth/callback?error=x").reply();
    let policy = reply.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    for (method, target) in [
        (Method::PUT, "/auth/login"),
        (Method::POST, "/auth/session"),
        (Method::DELETE, "/auth/callback"),
        (Method::POST, "/auth/frontchannel-logout"),
    ] {
        let request = ann.request(&world, method, target, From::Own);
        let reply = ann.send(&mut world, request, Access::Open).reply();
        assert_eq!(reply.status, StatusCode::METHOD_NOT_ALLOWED, "{target}");
        assert!(reply.headers.contains_key("allow"));
    }
    assert!(ann.get(&mut world, "/auth/nothing").is_status(404));
    assert!(ann.get(&mut world, "/auth").is_status(404));
    assert!(!world.site.owns("/author") && world.site.owns("/auth/login"));
}
