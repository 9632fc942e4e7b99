//! A silent check or a step-up returns a user other than that of the session.

use http::{Method, StatusCode};
use oauth_core::scope::Scope;
use oauth_web::{Access, Config, PageRequirements, Reply, SameSite, SessionStorage};

use crate::world::{Browser, From, SESSION, SUBJECT, World, code, location, put};

fn with_access_token(mut config: Config) -> Config {
    config.keep = SessionStorage::AccessToken;
    config.providers[0].scope = Scope::parse("openid read").unwrap();
    config
}

fn with_strict_cookies(mut config: Config) -> Config {
    config.same_site = Some(SameSite::Strict);
    config
}

fn with_strict_cookies_in_store(config: Config) -> Config {
    with_strict_cookies(config.in_store())
}

/// Follows a link of the site to the provider, and returns from there.
fn visit_provider_and_return(world: &mut World, browser: &mut Browser, reply: &Reply) -> Reply {
    let callback = Browser::provider(world, &location(reply));
    let request = browser.request(world, Method::GET, &callback, From::Elsewhere);
    browser.send(world, request, Access::SignedIn).reply()
}

fn check_silently(world: &mut World, browser: &mut Browser) -> Reply {
    let reply = browser.click(world, "/auth/check?return_to=/shop").reply();
    visit_provider_and_return(world, browser, &reply)
}

fn step_up(world: &mut World, browser: &mut Browser, need: &PageRequirements) -> Reply {
    let request = browser.request(world, Method::GET, "/pay", From::Own);
    let ended = browser.send_needing(world, request, Access::SignedIn, Some(need.clone()));
    visit_provider_and_return(world, browser, &ended.reply())
}

/// One user signs in, and then another one at the provider.
fn sign_in_as_another_user(change: impl FnOnce(Config) -> Config) -> (World, Browser) {
    let (mut world, mut ann) = (World::with(change), Browser::new());
    ann.open(&mut world, "/me");
    ann.click(&mut world, "/me").session();
    world.provider.twin().approve_as("bob");
    (world, ann)
}

/// The target of the callback, by a redirect or, with a strict cookie, by a page.
#[track_caller]
fn callback_target(reply: &Reply) -> String {
    match reply.body.split_once("content=\"0;url=") {
        Some((_, rest)) => rest.split('"').next().unwrap().to_owned(),
        None => location(reply),
    }
}

#[track_caller]
fn assert_signed_out(world: &mut World, browser: &mut Browser, reply: &Reply) {
    let remaining = reply.signed_out.as_ref().map(|left| left.subject.as_str());
    // Without the cookie or a record, the site cannot identify the former user.
    let is_known = world.config.keep == SessionStorage::Store || world.config.same_site.is_none();
    assert_eq!(remaining, Some(SUBJECT).filter(|_| is_known));
    assert!(browser.cookie(SESSION).is_none());
    assert!(world.records().is_empty(), "{:?}", world.records().len());
    assert!(browser.fetch(world, Method::GET, "/me").is_status(401));
}

#[test]
fn a_silent_check_that_finds_another_user_ends_the_session() {
    for change in [
        |config| config,
        with_strict_cookies,
        with_access_token,
        Config::in_store,
        with_strict_cookies_in_store,
    ] {
        let (mut world, mut ann) = sign_in_as_another_user(change);
        let has_tokens = world.config.keep != SessionStorage::Identity;
        let reply = check_silently(&mut world, &mut ann);
        assert_eq!(callback_target(&reply), "/shop");
        assert_signed_out(&mut world, &mut ann, &reply);
        assert_eq!(world.notes_of("web.another_person").len(), 1);
        let revocations = world.provider.twin().counters().revocations;
        // Those of the session that ends, and those that were issued to the other user.
        assert_eq!(revocations, u64::from(has_tokens) + 1);
        // As after any check that finds no user, no check is made for a while.
        let request = ann.request(&world, Method::GET, "/shop", From::Own);
        let ended = ann.send(&mut world, request, Access::Silent);
        assert!(matches!(ended, crate::world::Ended::Passed(None)));
        ann.open(&mut world, "/me");
        let session = ann.click(&mut world, "/me").session();
        assert_eq!(session.identity.subject, "bob");
    }
}

#[test]
fn a_page_with_an_expired_token_is_not_shown_to_another_user() {
    let (mut world, mut ann) = sign_in_as_another_user(with_access_token);
    world.advance(24 * 3600 / 4);
    let reply = ann.click(&mut world, "/me").reply();
    assert!(location(&reply).contains("prompt=none"));
    let reply = visit_provider_and_return(&mut world, &mut ann, &reply);
    assert_eq!(location(&reply), "/me");
    assert_signed_out(&mut world, &mut ann, &reply);
}

#[test]
fn a_silent_check_that_finds_the_same_user_renews_the_session() {
    for change in [
        |config| config,
        Config::in_store,
        with_strict_cookies_in_store,
    ] {
        let (mut world, mut ann) = (World::with(change), Browser::new());
        ann.open(&mut world, "/me");
        let first = ann.click(&mut world, "/me").session();
        world.advance(60);
        let records = world.records().len();
        assert_eq!(
            callback_target(&check_silently(&mut world, &mut ann)),
            "/shop"
        );
        let next = ann.click(&mut world, "/me").session();
        assert!(next.started_at > first.started_at);
        // The record of the former session is gone, even if its cookie was not sent.
        assert_eq!(world.records().len(), records);
    }
}

#[test]
fn a_step_up_as_another_user_is_an_error_and_ends_the_session() {
    for change in [
        |config| config,
        Config::in_store,
        with_strict_cookies_in_store,
    ] {
        let (mut world, mut ann) = sign_in_as_another_user(change);
        world.provider.twin().set_claim("acr", "mfa");
        let reply = step_up(&mut world, &mut ann, &PageRequirements::acr(["mfa"]));
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert_eq!(code(&reply), "web.another_person");
        let sign_in = reply.problem.clone().unwrap().sign_in.unwrap();
        assert_eq!(sign_in, "/auth/login?return_to=%2Fpay");
        assert_signed_out(&mut world, &mut ann, &reply);
    }
}

#[test]
fn a_script_triggered_step_up_refuses_another_user_unless_select_account_is_requested() {
    for (prompt, expected) in [("", "web.another_person"), ("&prompt=select_account", "")] {
        let (mut world, mut ann) = sign_in_as_another_user(|config| config);
        world.provider.twin().set_claim("acr", "mfa");
        let mut request = ann.request(&world, Method::GET, "/pay", From::Own);
        put(&mut request.headers, "sec-fetch-mode", "cors");
        put(&mut request.headers, "sec-fetch-dest", "empty");
        let need = Some(PageRequirements::acr(["mfa"]));
        let ended = ann.send_needing(&mut world, request, Access::SignedIn, need);
        let sign_in = ended.reply().problem.unwrap().sign_in.unwrap();
        let reply = ann.click(&mut world, &format!("{sign_in}{prompt}")).reply();
        let reply = visit_provider_and_return(&mut world, &mut ann, &reply);
        assert_eq!(code(&reply), expected);
    }
}

#[test]
fn a_check_begun_before_another_user_signed_in_leaves_that_session_alone() {
    let (mut world, mut ann) = sign_in_as_another_user(Config::in_store);
    let begun = ann.click(&mut world, "/auth/check?return_to=/shop").reply();
    // In another tab.
    let login = ann.click(&mut world, "/auth/login").reply();
    visit_provider_and_return(&mut world, &mut ann, &login);
    visit_provider_and_return(&mut world, &mut ann, &begun);
    let session = ann.click(&mut world, "/me").session();
    assert_eq!(session.identity.subject, "bob");
}

fn with_another_provider(mut config: Config) -> Config {
    let mut other = config.providers[0].clone();
    other.id = "other".to_owned();
    config.providers.push(other);
    config
}

#[test]
fn a_check_begun_before_a_sign_in_at_another_provider_leaves_that_session_alone() {
    let (mut world, mut ann) = (World::with(with_another_provider), Browser::new());
    let begun = ann.click(&mut world, "/auth/check?return_to=/shop&provider=twin");
    let begun = begun.reply();
    // In another tab, with another provider, as another user.
    world.provider.twin().approve_as("bob");
    let login = ann.get(&mut world, "/auth/login?provider=other").reply();
    visit_provider_and_return(&mut world, &mut ann, &login);
    world.provider.twin().approve_as(SUBJECT);
    let reply = visit_provider_and_return(&mut world, &mut ann, &begun);
    assert_eq!(location(&reply), "/shop");
    let session = ann.click(&mut world, "/me").session();
    assert_eq!(
        (
            session.identity.provider.as_str(),
            session.identity.subject.as_str()
        ),
        ("other", "bob")
    );
}

#[test]
fn a_silent_check_for_another_provider_is_skipped() {
    let mut world = World::with(with_another_provider);
    let mut ann = Browser::new();
    let reply = ann.get(&mut world, "/auth/login?provider=twin").reply();
    visit_provider_and_return(&mut world, &mut ann, &reply);
    let target = "/auth/check?return_to=/shop&provider=other";
    assert_eq!(location(&ann.click(&mut world, target).reply()), "/shop");
}

/// "When possible, an id_token_hint SHOULD be present when prompt=none is used" (OpenID Connect Core section 3.1.2.1).
#[test]
fn the_id_token_hint_is_sent_if_the_id_token_is_available() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let hinted = |reply: Reply| location(&reply).contains("id_token_hint=");
    assert!(!hinted(ann.get(&mut world, "/auth/login").reply()));
    ann.open(&mut world, "/me").session();
    assert!(hinted(ann.click(&mut world, "/auth/check").reply()));
    let request = ann.request(&world, Method::GET, "/pay", From::Own);
    let need = Some(PageRequirements::acr(["mfa"]));
    let ended = ann.send_needing(&mut world, request, Access::SignedIn, need);
    assert!(hinted(ended.reply()));
    assert!(!hinted(ann.click(&mut world, "/auth/login").reply()));
    // A hint that would make the response too large is not sent.
    world
        .provider
        .twin()
        .set_claim("department", "d".repeat(1500));
    ann.open(&mut world, "/auth/login?return_to=/me");
    assert!(!hinted(ann.click(&mut world, "/auth/check").reply()));
}

#[test]
fn a_cross_site_silent_check_finds_the_strict_cookie_after_a_hop() {
    let (mut world, mut ann) = sign_in_as_another_user(with_strict_cookies_in_store);
    let target = "/auth/check?return_to=/shop&provider=twin";
    let request = ann.request(&world, Method::GET, target, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::Open).reply();
    assert_eq!(reply.status, StatusCode::OK);
    let again = "/auth/check?provider=twin&amp;return_to=%2Fshop\"";
    assert!(reply.body.contains(again), "{}", reply.body);
    let reply = ann.click(&mut world, target).reply();
    let reply = visit_provider_and_return(&mut world, &mut ann, &reply);
    assert_signed_out(&mut world, &mut ann, &reply);
}

#[test]
fn a_sign_in_ends_the_former_session_without_its_cookie() {
    for change in [Config::in_store, with_strict_cookies_in_store] {
        let (mut world, mut ann) = sign_in_as_another_user(change);
        let records = world.records().len();
        let reply = ann.click(&mut world, "/auth/login?return_to=/me").reply();
        assert_eq!(
            callback_target(&visit_provider_and_return(&mut world, &mut ann, &reply)),
            "/me"
        );
        let session = ann.click(&mut world, "/me").session();
        assert_eq!(session.identity.subject, "bob");
        // Neither Ann's session nor its tokens remain.
        assert!(world.records().len() <= records, "{:?}", world.records());
        assert_eq!(world.provider.twin().counters().revocations, 1);
    }
}

/// A plain sign-in replaces the former session, and the application is notified if that was another user's.
#[test]
fn the_application_receives_the_identity_of_a_replaced_user() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    for (person, replaced) in [(SUBJECT, None), ("bob", Some(SUBJECT)), ("bob", None)] {
        world.provider.twin().approve_as(person);
        let reply = ann.click(&mut world, "/auth/login?return_to=/shop").reply();
        let reply = visit_provider_and_return(&mut world, &mut ann, &reply);
        let signed_out = reply.signed_out.as_ref();
        let signed_out = signed_out.map(|identity| identity.subject.as_str());
        assert_eq!(signed_out, replaced, "{person}");
        assert_eq!(
            ann.click(&mut world, "/me").session().identity.subject,
            person
        );
    }
}
