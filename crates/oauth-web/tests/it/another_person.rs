//! A silent check or a step-up comes back with another user than that of the session.

use http::{Method, StatusCode};
use oauth_core::scope::Scope;
use oauth_web::{Access, Config, PageRequirements, Reply, SameSite, SessionStorage};

use crate::world::{Browser, From, SESSION, SUBJECT, World, code, location, put};

fn with_access_token(mut config: Config) -> Config {
    config.keep = SessionStorage::AccessToken;
    config.providers[0].scope = Scope::parse("openid read").unwrap();
    config
}

fn strict(mut config: Config) -> Config {
    config.same_site = Some(SameSite::Strict);
    config
}

fn strict_in_store(config: Config) -> Config {
    strict(config.in_store())
}

/// Follows a link of the site to the provider, and returns from there.
fn there_and_back(world: &mut World, browser: &mut Browser, reply: &Reply) -> Reply {
    let callback = Browser::provider(world, &location(reply));
    let request = browser.request(world, Method::GET, &callback, From::Elsewhere);
    browser.send(world, request, Access::SignedIn).reply()
}

fn check(world: &mut World, browser: &mut Browser) -> Reply {
    let reply = browser.click(world, "/auth/check?return_to=/shop").reply();
    there_and_back(world, browser, &reply)
}

fn step_up(world: &mut World, browser: &mut Browser, need: &PageRequirements) -> Reply {
    let request = browser.request(world, Method::GET, "/pay", From::Own);
    let ended = browser.send_needing(world, request, Access::SignedIn, Some(need.clone()));
    there_and_back(world, browser, &ended.reply())
}

/// One user signs in, and then another one at the provider.
fn taken_over(change: impl FnOnce(Config) -> Config) -> (World, Browser) {
    let (mut world, mut ann) = (World::with(change), Browser::new());
    ann.open(&mut world, "/me");
    ann.click(&mut world, "/me").session();
    world.provider.twin().approve_as("bob");
    (world, ann)
}

/// Where the callback leads: by a redirect or, with a strict cookie, by a page.
#[track_caller]
fn page_after(reply: &Reply) -> String {
    match reply.body.split_once("content=\"0;url=") {
        Some((_, rest)) => rest.split('"').next().unwrap().to_owned(),
        None => location(reply),
    }
}

#[track_caller]
fn is_signed_out(world: &mut World, browser: &mut Browser, reply: &Reply) {
    let remaining = reply.signed_out.as_ref().map(|left| left.subject.as_str());
    // Without the cookie or a record, the site cannot tell who has left.
    let is_known = world.config.keep == SessionStorage::Store || world.config.same_site.is_none();
    assert_eq!(remaining, Some(SUBJECT).filter(|_| is_known));
    assert!(browser.cookie(SESSION).is_none());
    assert!(world.records().is_empty(), "{:?}", world.records().len());
    assert!(browser.fetch(world, Method::GET, "/me").is_status(401));
}

#[test]
fn a_silent_check_that_finds_somebody_else_ends_the_session_and_begins_none() {
    for change in [
        |config| config,
        strict,
        with_access_token,
        Config::in_store,
        strict_in_store,
    ] {
        let (mut world, mut ann) = taken_over(change);
        let has_tokens = world.config.keep != SessionStorage::Identity;
        let reply = check(&mut world, &mut ann);
        assert_eq!(page_after(&reply), "/shop");
        is_signed_out(&mut world, &mut ann, &reply);
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
fn a_page_whose_token_is_over_is_not_shown_to_somebody_else() {
    let (mut world, mut ann) = taken_over(with_access_token);
    world.advance(24 * 3600 / 4);
    let reply = ann.click(&mut world, "/me").reply();
    assert!(location(&reply).contains("prompt=none"));
    let reply = there_and_back(&mut world, &mut ann, &reply);
    assert_eq!(location(&reply), "/me");
    is_signed_out(&mut world, &mut ann, &reply);
}

#[test]
fn a_silent_check_that_finds_the_same_person_renews_the_session() {
    for change in [|config| config, Config::in_store, strict_in_store] {
        let (mut world, mut ann) = (World::with(change), Browser::new());
        ann.open(&mut world, "/me");
        let first = ann.click(&mut world, "/me").session();
        world.advance(60);
        let records = world.records().len();
        assert_eq!(page_after(&check(&mut world, &mut ann)), "/shop");
        let next = ann.click(&mut world, "/me").session();
        assert!(next.started_at > first.started_at);
        // The record of the former session is gone, even if its cookie did not come along.
        assert_eq!(world.records().len(), records);
    }
}

#[test]
fn a_step_up_as_somebody_else_is_an_error_and_ends_the_session() {
    for change in [|config| config, Config::in_store, strict_in_store] {
        let (mut world, mut ann) = taken_over(change);
        world.provider.twin().set_claim("acr", "mfa");
        let reply = step_up(&mut world, &mut ann, &PageRequirements::acr(["mfa"]));
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        assert_eq!(code(&reply), "web.another_person");
        let sign_in = reply.problem.clone().unwrap().sign_in.unwrap();
        assert_eq!(sign_in, "/auth/login?return_to=%2Fpay");
        is_signed_out(&mut world, &mut ann, &reply);
    }
}

#[test]
fn a_step_up_that_a_script_was_told_of_is_for_the_same_person_unless_another_is_asked_for() {
    for (prompt, expected) in [("", "web.another_person"), ("&prompt=select_account", "")] {
        let (mut world, mut ann) = taken_over(|config| config);
        world.provider.twin().set_claim("acr", "mfa");
        let mut request = ann.request(&world, Method::GET, "/pay", From::Own);
        put(&mut request.headers, "sec-fetch-mode", "cors");
        put(&mut request.headers, "sec-fetch-dest", "empty");
        let need = Some(PageRequirements::acr(["mfa"]));
        let ended = ann.send_needing(&mut world, request, Access::SignedIn, need);
        let sign_in = ended.reply().problem.unwrap().sign_in.unwrap();
        let reply = ann.click(&mut world, &format!("{sign_in}{prompt}")).reply();
        let reply = there_and_back(&mut world, &mut ann, &reply);
        assert_eq!(code(&reply), expected);
    }
}

#[test]
fn a_session_that_has_become_that_of_the_other_person_meanwhile_stays() {
    let (mut world, mut ann) = taken_over(Config::in_store);
    let begun = ann.click(&mut world, "/auth/check?return_to=/shop").reply();
    // In another tab.
    let login = ann.click(&mut world, "/auth/login").reply();
    there_and_back(&mut world, &mut ann, &login);
    there_and_back(&mut world, &mut ann, &begun);
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
fn a_check_that_began_before_a_sign_in_at_another_provider_leaves_that_alone() {
    let (mut world, mut ann) = (World::with(with_another_provider), Browser::new());
    let begun = ann.click(&mut world, "/auth/check?return_to=/shop&provider=twin");
    let begun = begun.reply();
    // In another tab, with another provider, as another user.
    world.provider.twin().approve_as("bob");
    let login = ann.get(&mut world, "/auth/login?provider=other").reply();
    there_and_back(&mut world, &mut ann, &login);
    world.provider.twin().approve_as(SUBJECT);
    let reply = there_and_back(&mut world, &mut ann, &begun);
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
fn nobody_is_signed_in_at_another_provider_by_a_silent_check() {
    let mut world = World::with(with_another_provider);
    let mut ann = Browser::new();
    let reply = ann.get(&mut world, "/auth/login?provider=twin").reply();
    there_and_back(&mut world, &mut ann, &reply);
    let target = "/auth/check?return_to=/shop&provider=other";
    assert_eq!(location(&ann.click(&mut world, target).reply()), "/shop");
}

/// "When possible, an id_token_hint SHOULD be present when prompt=none is used" (OpenID Connect Core section 3.1.2.1).
#[test]
fn the_provider_is_told_whose_session_it_is_if_its_id_token_is_at_hand() {
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
    // One that would fill the response is not sent.
    world
        .provider
        .twin()
        .set_claim("department", "d".repeat(1500));
    ann.open(&mut world, "/auth/login?return_to=/me");
    assert!(!hinted(ann.click(&mut world, "/auth/check").reply()));
}

#[test]
fn a_silent_check_by_a_link_of_another_site_finds_the_session_by_a_hop() {
    let (mut world, mut ann) = taken_over(strict_in_store);
    let target = "/auth/check?return_to=/shop&provider=twin";
    let request = ann.request(&world, Method::GET, target, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::Open).reply();
    assert_eq!(reply.status, StatusCode::OK);
    let again = "/auth/check?provider=twin&amp;return_to=%2Fshop\"";
    assert!(reply.body.contains(again), "{}", reply.body);
    let reply = ann.click(&mut world, target).reply();
    let reply = there_and_back(&mut world, &mut ann, &reply);
    is_signed_out(&mut world, &mut ann, &reply);
}

#[test]
fn a_sign_in_ends_the_session_before_it_although_its_cookie_is_kept_back() {
    for change in [Config::in_store, strict_in_store] {
        let (mut world, mut ann) = taken_over(change);
        let records = world.records().len();
        let reply = ann.click(&mut world, "/auth/login?return_to=/me").reply();
        assert_eq!(
            page_after(&there_and_back(&mut world, &mut ann, &reply)),
            "/me"
        );
        let session = ann.click(&mut world, "/me").session();
        assert_eq!(session.identity.subject, "bob");
        // Nothing is left of Ann's: neither the session nor its tokens.
        assert!(world.records().len() <= records, "{:?}", world.records());
        assert_eq!(world.provider.twin().counters().revocations, 1);
    }
}

/// A plain sign-in takes the place of the session before it, and the application is told if that was another user's.
#[test]
fn the_application_is_told_whose_place_another_person_takes() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    for (person, replaced) in [(SUBJECT, None), ("bob", Some(SUBJECT)), ("bob", None)] {
        world.provider.twin().approve_as(person);
        let reply = ann.click(&mut world, "/auth/login?return_to=/shop").reply();
        let reply = there_and_back(&mut world, &mut ann, &reply);
        let signed_out = reply.signed_out.as_ref();
        let signed_out = signed_out.map(|identity| identity.subject.as_str());
        assert_eq!(signed_out, replaced, "{person}");
        assert_eq!(
            ann.click(&mut world, "/me").session().identity.subject,
            person
        );
    }
}
