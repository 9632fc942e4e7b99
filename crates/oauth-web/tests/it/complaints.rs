//! Complaints about existing libraries, listed in `tests/WEB_COMPLAINTS.md`, with a test for each.

use http::Method;
use oauth_core::url::Url;
use oauth_seal::Keys;
use oauth_web::{Access, Site};

use crate::world::{Browser, Ended, From, SESSION, SHOP, TWIN, World, code, location, put};

/// Another worker of the same site, with these keys.
fn worker(world: &World, keys: Keys) -> Site {
    let mut config = world.config.clone();
    config.keys = keys;
    Site::new(config).unwrap()
}

/// This request, at this worker.
fn at(world: &mut World, worker: &Site, browser: &mut Browser, target: &str, from: From) -> Ended {
    let before = std::mem::replace(&mut world.site, worker.clone());
    let request = browser.request(world, Method::GET, target, from);
    let ended = browser.send(world, request, Access::SignedIn);
    world.site = before;
    ended
}

#[test]
fn two_tabs_sign_in_at_two_workers_at_once() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    let keys = Keys::new([7; 32]);
    let (one, two) = (worker(&world, keys.clone()), worker(&world, keys));
    let first = location(&at(&mut world, &one, &mut ann, "/one", From::Typed).reply());
    let second = location(&at(&mut world, &two, &mut ann, "/two", From::Typed).reply());
    // Each returns to the worker that did not start it, before either has responded.
    let visits = [(&two, first, "/one"), (&one, second, "/two")].map(|(worker, url, page)| {
        let callback = Browser::provider(&mut world, &url);
        let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
        (worker.visit(request, Access::SignedIn), page)
    });
    for (visit, page) in visits {
        let reply = world.drive(visit).reply();
        assert_eq!(location(&reply), page);
        ann.store_cookies(&world, &reply);
    }
    ann.click(&mut world, "/one").session();
}

#[test]
fn keys_are_rotated_over_two_workers() {
    let (old, new) = ([7; 32], [8; 32]);
    let (mut world, mut ann, mut bob) = (World::new(), Browser::new(), Browser::new());
    // First all workers can open records of the new key, then they seal with it, then the old key is removed.
    let steps = [
        (Keys::new(old), Keys::new(old).with_previous(new)),
        (
            Keys::new(old).with_previous(new),
            Keys::new(old).with_previous(new),
        ),
        (
            Keys::new(old).with_previous(new),
            Keys::new(new).with_previous(old),
        ),
        (
            Keys::new(new).with_previous(old),
            Keys::new(new).with_previous(old),
        ),
    ];
    ann.open(&mut world, "/me").session();
    for (one, two) in steps {
        let workers = [worker(&world, one), worker(&world, two)];
        for turn in 0..4 {
            let (sign_in_worker, callback_worker) = (&workers[turn % 2], &workers[(turn + 1) % 2]);
            at(&mut world, sign_in_worker, &mut ann, "/me", From::Own).session();
            at(&mut world, callback_worker, &mut ann, "/me", From::Own).session();
            // A user signs in at one worker and returns to the other.
            let target = "/auth/login?return_to=/me";
            let url =
                location(&at(&mut world, sign_in_worker, &mut bob, target, From::Typed).reply());
            let callback = Browser::provider(&mut world, &url);
            let back = at(
                &mut world,
                callback_worker,
                &mut bob,
                &callback,
                From::Elsewhere,
            );
            assert_eq!(location(&back.reply()), "/me");
            at(&mut world, sign_in_worker, &mut bob, "/me", From::Own).session();
            world.advance(61);
        }
    }
    // Sessions sealed with the new key remain valid; users with older ones sign in again.
    let last = worker(&world, Keys::new(new));
    at(&mut world, &last, &mut bob, "/me", From::Own).session();
    let reply = at(&mut world, &last, &mut ann, "/me", From::Own).reply();
    assert!(location(&reply).starts_with(TWIN));
}

#[test]
fn behind_a_tls_proxy_all_urls_are_https_whatever_the_headers() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    // The proxy terminates TLS: requests arrive over plain http for an internal host.
    let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
    request.host = "10.0.0.7:8080".to_owned();
    put(&mut request.headers, "x-forwarded-proto", "http");
    put(
        &mut request.headers,
        "forwarded",
        "proto=http;host=10.0.0.7:8080",
    );
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    let url = location(&reply);
    assert!(url.contains("redirect_uri=https%3A%2F%2Fshop.example%2Fauth%2Fcallback"));
    for cookie in reply.headers.get_all("set-cookie") {
        let cookie = cookie.to_str().unwrap();
        assert!(cookie.starts_with("__Host-Http-") && cookie.contains("; Secure"));
    }
    let callback = Browser::provider(&mut world, &url);
    let mut request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    request.host = "10.0.0.7:8080".to_owned();
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(
        location(&reply),
        "/me",
        "a path, and no URL of the host inside"
    );
}

#[test]
fn two_hosts_of_one_site_have_separate_sessions() {
    let mut world = World::new();
    let other = "https://other.example";
    world
        .provider
        .twin()
        .register_redirect_uri(&format!("{other}/auth/callback"));
    world.change(|config| config.base_urls.push(Url::parse(other).unwrap()));
    let mut ann = Browser::new();
    let open = |world: &mut World, browser: &mut Browser, target: &str, host: &str| {
        let mut request = browser.request(world, Method::GET, target, From::Typed);
        request.host = host.to_owned();
        browser.send(world, request, Access::SignedIn)
    };
    let url = location(&open(&mut world, &mut ann, "/me", "other.example").reply());
    let callback = world.provider.browse(&url).unwrap();
    let callback = callback.strip_prefix(other).unwrap().to_owned();
    // A response for one host is not accepted by the other.
    let mut stray = ann.clone();
    let reply = open(&mut world, &mut stray, &callback, "shop.example").reply();
    assert_eq!(location(&reply), "/auth/login?stage=restart");
    let reply = open(&mut world, &mut ann, &callback, "other.example").reply();
    assert_eq!(location(&reply), "/me");
    for host in ["other.example", "Other.Example:443"] {
        open(&mut world, &mut ann, "/me", host).session();
    }
    let reply = open(&mut world, &mut ann, "/me", "other.example:80").reply();
    assert_eq!(code(&reply), "web.not_found");
    // Even if the browser sent it there: a cookie is valid for one host only.
    let reply = open(&mut world, &mut ann, "/me", "shop.example").reply();
    assert!(location(&reply).contains("redirect_uri=https%3A%2F%2Fshop.example"));
    assert_eq!(SHOP, "https://shop.example");
}

#[test]
fn a_prefetch_signs_no_user_out() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    for (name, value) in [
        ("sec-purpose", "prefetch"),
        ("purpose", "prefetch"),
        ("x-moz", "prefetch"),
    ] {
        let mut request = ann.request(&world, Method::GET, "/auth/logout", From::Own);
        put(&mut request.headers, name, value);
        assert!(
            ann.send(&mut world, request, Access::Open).is_status(204),
            "{name}"
        );
    }
    // As in Next.js: a fetch, not a navigation.
    let reply = ann.fetch(&mut world, Method::GET, "/auth/logout").reply();
    assert!(
        reply.body.contains("method=post"),
        "a button, which a script does not press"
    );
    ann.click(&mut world, "/me").session();
}

#[test]
fn prefetching_a_guarded_page_starts_no_sign_in() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let reply = ann.fetch(&mut world, Method::GET, "/me").reply();
    assert_eq!(code(&reply), "web.signed_out");
    assert!(ann.cookies.is_empty());
}

#[test]
fn cookies_with_large_claims_fit_into_8_kib() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    world.provider.twin().set_claim("name", "a".repeat(3900));
    // The largest session, and as many sign-ins under way as there can be, with long return targets.
    ann.open(&mut world, "/me").session();
    for tab in 0..6 {
        let target = format!("/auth/login?return_to=/{tab}{}", "x".repeat(600));
        ann.click(&mut world, &target);
    }
    let request = ann.request(&world, Method::GET, "/me", From::Own);
    let line = request.headers["cookie"].len();
    let session: usize = ann
        .cookies
        .iter()
        .filter(|cookie| cookie.name.starts_with(SESSION) && !cookie.name.contains("-flow-"))
        .map(|cookie| cookie.name.len() + cookie.value.len() + 3)
        .sum();
    assert!(session < 8192, "{session}");
    assert_eq!(ann.flows(), 4, "{line}");
}

/// The folder for each prefix in the list.
const FOLDERS: [(&str, &str); 3] = [
    ("tower:", "crates/oauth-web-tower/tests"),
    ("python:", "bindings/python/tests"),
    ("node:", "bindings/node/test"),
];

#[test]
fn every_complaint_names_an_existing_test() {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let list = std::fs::read_to_string(format!("{root}/tests/WEB_COMPLAINTS.md")).unwrap();
    let rows: Vec<_> = list
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(2)
        .collect();
    assert!(rows.len() >= 19, "{} complaints", rows.len());
    for row in rows {
        let tests = row.split(" | ").nth(2).unwrap().trim_end_matches(" |");
        // Names have no backtick, but may have a comma.
        let parts: Vec<_> = tests.split('`').collect();
        assert!(parts.len() >= 3, "no test of: {row}");
        for pair in parts.chunks(2) {
            let [before, name] = pair else { continue };
            let (file, test) = name.split_once("::").unwrap();
            let prefix = FOLDERS.iter().find(|(prefix, _)| before.contains(prefix));
            let (folder, is_rust) = match prefix {
                Some((prefix, folder)) => (*folder, *prefix == "tower:"),
                None => ("crates/oauth-web/tests/it", true),
            };
            let file = if is_rust {
                format!("{file}.rs")
            } else {
                file.to_owned()
            };
            let source = std::fs::read_to_string(format!("{root}/{folder}/{file}"));
            let source = source.unwrap_or_else(|_| panic!("no {folder}/{file}"));
            let is_there = match (is_rust, prefix.map(|(prefix, _)| *prefix)) {
                (true, _) => source.contains(&format!("fn {test}(")),
                (false, Some("python:")) => source.contains(&format!("def {test}(")),
                _ => source.contains(&format!("'{test}'")),
            };
            assert!(is_there, "{folder}/{file} has no {test}");
        }
    }
}
