//! A provider whose client is not known yet: which requests wait for it, and which one connects.

use http::Method;
use oauth_core::error::{Cause, Error, Misuse, ValidationFailure};
use oauth_core::url::Url;
use oauth_web::{Access, Config, Event, PageRequirements, Provider, Step};

use crate::world::{Browser, Ended, From, SHOP, TWIN, World, client, code, location, put};

fn provider_down() -> Error {
    Error::lost(Cause::unsent("no route to the provider"))
}

fn unconnected_provider() -> Provider {
    let mut provider = Provider::later("twin").unwrap();
    provider.scope = oauth_core::Scope::parse("openid read offline_access").unwrap();
    provider
}

/// A site that has not connected to its provider yet.
fn world(change: impl FnOnce(Config) -> Config) -> World {
    let mut world = World::with(change);
    world.change(|config| config.providers = vec![unconnected_provider()]);
    world
}

fn world_without_provider() -> World {
    let mut world = world(|config| config);
    world.connected = Some(Err(provider_down()));
    world
}

fn restore_provider(world: &mut World) {
    let client = client(&mut world.provider);
    world.connected = Some(Ok(client));
}

/// Whether a public page is served without a session.
fn is_public_page_served(world: &mut World, browser: &mut Browser) -> bool {
    let request = browser.request(world, Method::GET, "/", From::Typed);
    matches!(
        browser.send(world, request, Access::Open),
        Ended::Passed(None)
    )
}

#[test]
fn discovery_runs_once_at_the_first_sign_in() {
    let (mut world, mut ann) = (world(|config| config), Browser::new());
    restore_provider(&mut world);
    assert!(is_public_page_served(&mut world, &mut ann));
    assert!(ann.fetch(&mut world, Method::GET, "/me").is_status(401));
    assert_eq!(world.connects, []);
    assert!(world.site.client("twin").is_none());
    ann.open(&mut world, "/me").session();
    assert_eq!(world.connects.len(), 1);
    assert!(world.site.client("twin").is_some());
    Browser::new().open(&mut world, "/me").session();
    assert_eq!(world.connects.len(), 1);
}

#[test]
fn an_unavailable_provider_gives_503_with_a_link_to_retry() {
    let (mut world, mut ann) = (world_without_provider(), Browser::new());
    let reply = ann.get(&mut world, "/me?tab=2").reply();
    assert_eq!((reply.status.as_u16(), code(&reply)), (503, "lost.unsent"));
    assert_eq!(reply.headers["retry-after"], "5");
    assert_eq!(reply.headers["cache-control"], "no-store");
    let login = reply.problem.unwrap().sign_in.unwrap();
    assert_eq!(login, "/auth/login?return_to=%2Fme%3Ftab%3D2");
    assert!(!reply.body.contains("no route"), "it is for the log");
    assert!(world.log().contains("no route"), "{}", world.log());
}

#[test]
fn pages_that_need_no_provider_work_without_it() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    world.connected = Some(Err(provider_down()));
    world.change(|config| config.providers = vec![unconnected_provider()]);
    // Another worker of the site that has just started.
    assert!(is_public_page_served(&mut world, &mut Browser::new()));
    let session = ann.request(&world, Method::GET, "/auth/session", From::Own);
    assert!(ann.send(&mut world, session, Access::Open).is_status(200));
    let me = ann.request(&world, Method::GET, "/me", From::Typed);
    ann.send(&mut world, me, Access::SignedIn).session();
    assert_eq!(world.connects, []);
    // A step-up needs it,
    let pay = ann.request(&world, Method::GET, "/pay", From::Typed);
    let ended = ann.send_needing(
        &mut world,
        pay,
        Access::SignedIn,
        Some(PageRequirements::acr(["pin"])),
    );
    assert!(ended.is_status(503));
    // and signing out does not.
    let mut out = ann.request(&world, Method::POST, "/auth/logout", From::Own);
    put(&mut out.headers, "origin", SHOP);
    assert_eq!(
        location(&ann.send(&mut world, out, Access::Open).reply()),
        "/"
    );
    assert!(is_public_page_served(&mut world, &mut ann));
}

#[test]
fn a_connection_failure_is_cached_for_the_retry_pause() {
    let (mut world, mut ann) = (world_without_provider(), Browser::new());
    assert_eq!(ann.get(&mut world, "/me").reply().status.as_u16(), 503);
    restore_provider(&mut world);
    world.advance(4);
    let started = world.provider.now();
    for target in ["/me", "/auth/login", "/auth/callback?code=a&state=b"] {
        assert_eq!(
            ann.get(&mut world, target).reply().status.as_u16(),
            503,
            "{target}"
        );
    }
    assert_eq!((world.connects.len(), world.provider.now()), (1, started));
    world.advance(1);
    assert!(location(&ann.get(&mut world, "/me").reply()).starts_with(TWIN));
    assert_eq!(world.connects.len(), 2);
}

#[test]
fn concurrent_sign_ins_wait_for_the_same_discovery() {
    let (mut world, mut ann, mut bob) = (world(|config| config), Browser::new(), Browser::new());
    let mut visits: Vec<_> = [&mut ann, &mut bob]
        .map(|browser| browser.request(&world, Method::GET, "/me", From::Typed))
        .map(|request| world.site.visit(request, Access::SignedIn))
        .into_iter()
        .collect();
    let mut events = [Event::Begin, Event::Begin].map(Some);
    for _ in 0..3 {
        for (visit, event) in visits.iter_mut().zip(&mut events) {
            let next = world.step(visit, event.take().unwrap());
            *event = Some(next.unwrap_or_else(|ended| panic!("{ended:?}")));
        }
    }
    let [connect] = &*world.connects else {
        panic!("{:?}", world.connects)
    };
    let known = client(&mut world.provider);
    world
        .site
        .connected(&world.provider.moment(), connect, Ok(known));
    for (visit, event) in visits.iter_mut().zip(&mut events) {
        let Err(ended) = world.step(visit, event.take().unwrap()) else {
            // The client is known: the next step runs the sign-in, without discovery.
            continue;
        };
        panic!("{ended:?}");
    }
    assert_eq!(world.connects.len(), 1);
}

#[test]
fn a_sign_in_waits_at_most_ten_seconds_and_later_ones_fail_immediately() {
    let (mut world, mut ann) = (world(|config| config), Browser::new());
    let start = world.provider.now();
    let reply = ann.get(&mut world, "/me").reply();
    assert_eq!((reply.status.as_u16(), code(&reply)), (503, "lost.timeout"));
    assert_eq!(world.provider.now().since(start).as_secs(), 10);
    assert_eq!(ann.get(&mut world, "/me").reply().status.as_u16(), 503);
    assert_eq!(world.provider.now().since(start).as_secs(), 10);
    // The provider responds after all.
    let known = client(&mut world.provider);
    let connect = world.connects[0].clone();
    world
        .site
        .connected(&world.provider.moment(), &connect, Ok(known));
    assert!(location(&ann.get(&mut world, "/me").reply()).starts_with(TWIN));
    assert_eq!(world.connects.len(), 1);
}

#[test]
fn waiting_for_a_provider_connection_times_out() {
    let (mut world, mut ann) = (world(|config| config), Browser::new());
    ann.get(&mut world, "/me").reply();
    world.advance(50);
    restore_provider(&mut world);
    assert!(location(&ann.get(&mut world, "/me").reply()).starts_with(TWIN));
    // The abandoned request has no further effect.
    let lost = world.connects[0].clone();
    world
        .site
        .connected(&world.provider.moment(), &lost, Err(provider_down()));
    assert!(location(&ann.get(&mut world, "/me").reply()).starts_with(TWIN));
    assert_eq!(world.connects.len(), 2);
}

#[test]
fn a_forked_process_connects_on_its_own() {
    let (mut world, mut ann) = (world(|config| config), Browser::new());
    let request = ann.request(&world, Method::GET, "/me", From::Typed);
    let mut visit = world.site.visit(request, Access::SignedIn);
    let _under_way = world.step(&mut visit, Event::Begin);
    world.site.abandon_connecting();
    restore_provider(&mut world);
    assert!(location(&ann.get(&mut world, "/me").reply()).starts_with(TWIN));
    assert_eq!(world.connects.len(), 2);
}

#[test]
fn a_silent_page_checks_once_the_provider_is_connected() {
    let (mut world, mut ann) = (world(|config| config), Browser::new());
    let mut look = |world: &mut World| {
        let request = ann.request(world, Method::GET, "/", From::Typed);
        ann.send(world, request, Access::Silent)
    };
    let start = world.provider.now();
    assert!(matches!(look(&mut world), Ended::Passed(None)));
    assert!(matches!(look(&mut world), Ended::Passed(None)));
    assert_eq!((world.connects.len(), world.provider.now()), (1, start));
    let known = client(&mut world.provider);
    let connect = world.connects[0].clone();
    world
        .site
        .connected(&world.provider.moment(), &connect, Ok(known));
    assert!(location(&look(&mut world).reply()).contains("prompt=none"));
}

#[test]
fn scripts_receive_json_and_the_login_page_keeps_its_target() {
    let (mut world, mut ann) = (world_without_provider(), Browser::new());
    let login = ann.get(&mut world, "/auth/login?return_to=/cart").reply();
    let login = login.problem.unwrap().sign_in;
    assert_eq!(login.as_deref(), Some("/auth/login?return_to=%2Fcart"));
    let mut request = ann.request(&world, Method::GET, "/auth/callback?state=a", From::Typed);
    request.headers.clear();
    let reply = ann.send(&mut world, request, Access::Open).reply();
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert!(reply.body.contains(r#""status":503"#), "{}", reply.body);
}

#[test]
fn the_cause_of_a_connection_error_determines_status_and_retry() {
    for (error, status, is_worth_a_try) in [
        (provider_down(), 503, true),
        (ValidationFailure::MetadataIssuer.into(), 502, true),
        (Misuse::SecretMissing.into(), 500, false),
    ] {
        let (mut world, mut ann) = (world_without_provider(), Browser::new());
        world.connected = Some(Err(error));
        let reply = ann.get(&mut world, "/me").reply();
        assert_eq!(reply.status.as_u16(), status);
        assert_eq!(reply.headers.contains_key("retry-after"), is_worth_a_try);
        ann.get(&mut world, "/me").reply();
        assert_eq!(world.connects.len() == 1, is_worth_a_try);
    }
}

#[test]
fn unknown_hosts_get_not_found() {
    let (mut world, mut ann) = (world_without_provider(), Browser::new());
    world.change(|config| {
        let other = Url::parse("https://other.example").unwrap();
        config.base_urls.push(other);
    });
    let mut request = ann.request(&world, Method::GET, "/me", From::Typed);
    request.host = "evil.example".to_owned();
    let ended = ann.send(&mut world, request, Access::SignedIn);
    assert_eq!(code(&ended.reply()), "web.not_found");
}

#[test]
fn a_session_connects_to_the_provider_of_its_tokens() {
    let mut world = world(|config| config);
    let mut visit = world.site.connect("twin");
    let step = visit.resume(&world.provider.moment(), Event::Begin);
    let Ok(Step::Connect(connect)) = step else {
        panic!("{step:?}")
    };
    world
        .site
        .connected(&world.provider.moment(), &connect, Err(provider_down()));
    let ended = visit.resume(&world.provider.moment(), Event::Connecting);
    assert_eq!(ended.unwrap_err().code(), "lost.unsent");
    assert_eq!(
        world
            .site
            .connect("nobody")
            .resume(&world.provider.moment(), Event::Begin)
            .unwrap_err()
            .code(),
        "web.unknown_provider"
    );
    restore_provider(&mut world);
    world.advance(5);
    let visit = world.site.connect("twin");
    assert!(matches!(world.drive(visit), Ended::Passed(None)));
}
