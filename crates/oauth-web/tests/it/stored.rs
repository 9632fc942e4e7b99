//! Sessions in a store, and logouts notified by the provider.

use http::{Method, StatusCode};
use oauth_core::moment::Moment;
use oauth_testkit::twin::LogoutTokenFlaw;
use oauth_web::{Access, Event, Visit};

use crate::world::{Browser, Ended, From, SESSION, TWIN, World, code, form, location};

#[test]
fn the_store_does_not_reveal_the_cookie() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    let cookie = &ann.cookie(SESSION).unwrap().value;
    for (key, entry) in &world.store {
        assert!(!cookie.contains(key.as_str()));
        assert!(!entry.record.expose().contains("handle"));
    }
}

#[test]
fn tokens_are_stored_as_the_grant_of_the_session() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    let session = ann.open(&mut world, "/me").session();
    let grant = session.grant().unwrap();
    assert!(grant.subject().unwrap().starts_with("web:"));
    let client = world.config.providers[0].client.clone().unwrap();
    let mut keeper = client.keeper(grant).shared();
    let entry = world.store[&keeper.key()].clone();
    let now = world.provider.now();
    keeper.learn(&Moment::fixed(now, [3; 32]), entry).unwrap();
    assert!(keeper.tokens().unwrap().refresh_token.is_some());
}

#[test]
fn an_idle_session_ends_and_an_active_one_does_not() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    let before = world.store.values().map(|entry| entry.version).max();
    ann.click(&mut world, "/me").session();
    world.advance(899);
    ann.click(&mut world, "/me").session();
    let after = world.store.values().map(|entry| entry.version).max();
    assert_eq!(before, after, "written down once in an eighth of two hours");
    for _ in 0..8 {
        world.advance(6300);
        ann.click(&mut world, "/me").session();
    }
    world.advance(7200);
    assert!(ann.click(&mut world, "/me").is_status(303));
    // Its tokens are no longer needed.
    assert!(world.records().is_empty());
    assert_eq!(world.provider.twin().counters().revocations, 1);
}

#[test]
fn a_session_missing_from_the_store_is_logged_once() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    world.store.clear();
    for _ in 0..2 {
        // On a public page too: it never redirects to sign in, so nothing else would show it.
        let request = ann.request(&world, Method::GET, "/", From::Typed);
        let ended = ann.send(&mut world, request, Access::Open);
        assert!(matches!(ended, Ended::Passed(None)));
    }
    let notes = world.notes_of("web.session_unknown");
    assert_eq!(notes.len(), 1, "{notes:?}");
    assert!(
        notes[0].contains("give them all the same store"),
        "{notes:?}"
    );
    // An expired session is not stored.
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    world.store.clear();
    world.advance(24 * 60 * 60);
    ann.get(&mut world, "/");
    assert_eq!(world.notes_of("web.session_unknown").len(), 0);
}

#[test]
fn an_unavailable_store_is_reported_with_503() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    world.is_store_down = true;
    let reply = ann.click(&mut world, "/me").reply();
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(ann.cookie(SESSION).is_some(), "the session is still there");
    world.is_store_down = false;
    ann.click(&mut world, "/me").session();
}

#[test]
fn a_store_failure_during_a_sign_in_is_reported_as_such() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    let url = location(&ann.get(&mut world, "/me").reply());
    let callback = Browser::provider(&mut world, &url);
    world.is_store_down = true;
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(code(&reply), "lost");
    let notes = world.notes_of("lost");
    assert!(
        notes.iter().any(|note| note.contains("the store is away")),
        "{notes:?}"
    );
}

#[test]
fn if_the_session_cannot_be_saved_its_tokens_are_revoked_and_removed() {
    // Saves that succeed: none; the list; the list and the grant.
    for saves in 0..3 {
        let (mut world, mut ann) = (World::in_store(), Browser::new());
        let url = location(&ann.get(&mut world, "/me").reply());
        let callback = Browser::provider(&mut world, &url);
        world.saves_left = Some(saves);
        let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
        let reply = ann.send(&mut world, request, Access::SignedIn).reply();
        assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
        assert!(ann.cookie(SESSION).is_none());
        assert_eq!(stored_counts(&world), (0, 0));
        assert_eq!(world.provider.twin().counters().revocations, 1);
    }
}

/// The numbers of stored sessions and grants.
fn stored_counts(world: &World) -> (usize, usize) {
    let records = world.records();
    let count = |part: &str| {
        records
            .iter()
            .filter(|record| record.contains(part))
            .count()
    };
    (count("\"started_at\""), count("\"refresh_token\""))
}

/// Runs a visit up to this step, as if its worker died there.
fn die(world: &mut World, mut visit: Visit, is_last: impl Fn(&World) -> bool) {
    let mut event = Event::Begin;
    for _ in 0..100 {
        event = match world.step(&mut visit, event) {
            Ok(next) => next,
            Err(ended) => panic!("{ended:?}"),
        };
        if is_last(world) {
            return;
        }
    }
    panic!("it does not come to that");
}

#[test]
fn records_left_by_a_crash_during_a_logout_are_removed_at_the_next_one() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    assert_eq!(stored_counts(&world), (1, 1));
    let request = ann.request(&world, Method::GET, "/auth/logout", From::Own);
    let visit = world.site.visit(request, Access::SignedIn);
    die(&mut world, visit, |world| stored_counts(world) == (0, 1));
    // The browser got no response, and repeats the request.
    ann.click(&mut world, "/auth/logout");
    assert_eq!(stored_counts(&world), (0, 0));
    assert_eq!(world.provider.twin().counters().revocations, 1);
}

#[test]
fn records_left_by_a_crash_are_removed_at_the_users_next_sign_in() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    let url = location(&ann.get(&mut world, "/me").reply());
    let callback = Browser::provider(&mut world, &url);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let visit = world.site.visit(request, Access::SignedIn);
    die(&mut world, visit, |world| stored_counts(world) == (0, 1));
    // Another worker may still use the tokens, so they are not removed yet.
    let mut other = Browser::new();
    other.open(&mut world, "/me").session();
    assert_eq!(stored_counts(&world), (1, 2));
    world.advance(5 * 60);
    let mut third = Browser::new();
    third.open(&mut world, "/me").session();
    other.click(&mut world, "/me").session();
    assert_eq!(stored_counts(&world), (2, 2));
    // Nothing remains of ended sessions.
    world.advance(3 * 3600);
    third.open(&mut world, "/me").session();
    assert_eq!(stored_counts(&world), (1, 1));
    assert_eq!(world.provider.twin().counters().revocations, 3);
}

#[test]
fn a_back_channel_logout_during_a_sign_in_prevents_it() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    world.provider.twin().set_claim("sid", "one");
    let url = location(&ann.get(&mut world, "/me").reply());
    let callback = Browser::provider(&mut world, &url);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let mut visit = world.site.visit(request, Access::SignedIn);
    let mut event = Event::Begin;
    while stored_counts(&world) != (0, 1) {
        event = world.step(&mut visit, event).unwrap();
    }
    let now = world.provider.now();
    let token = world.provider.twin().logout_token(now, None).unwrap();
    assert_eq!(send_logout_token(&mut world, &token).status, StatusCode::OK);
    let reply = loop {
        match world.step(&mut visit, event) {
            Ok(next) => event = next,
            Err(ended) => break ended.reply(),
        }
    };
    assert_eq!(
        (reply.status.as_u16(), code(&reply)),
        (401, "web.signed_out")
    );
    ann.store_cookies(&world, &reply);
    assert!(ann.cookie(SESSION).is_none());
    assert_eq!(stored_counts(&world), (0, 0));
}

#[test]
fn ending_a_session_is_retried_if_the_store_fails_temporarily() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    let copy = ann.clone();
    let request = ann.request(&world, Method::GET, "/auth/logout", From::Own);
    let mut visit = world.site.visit(request, Access::SignedIn);
    let mut event = world.step(&mut visit, Event::Begin).unwrap();
    world.is_store_down = true;
    event = world.step(&mut visit, event).unwrap();
    assert!(matches!(event, Event::Failed(_)));
    world.is_store_down = false;
    while let Ok(next) = world.step(&mut visit, event) {
        event = next;
    }
    assert!(copy.clone().click(&mut world, "/me").is_status(303));
    assert_eq!(stored_counts(&world), (0, 0));
}

#[test]
fn the_65th_session_of_a_user_ends_the_first_and_a_logout_token_ends_all_others() {
    let mut world = World::in_store();
    world.provider.twin().set_claim("sid", "one");
    let mut browsers = vec![Browser::new(); 65];
    for browser in &mut browsers {
        browser.open(&mut world, "/me").session();
    }
    assert_eq!(stored_counts(&world), (64, 64));
    assert_eq!(world.provider.twin().counters().revocations, 1);
    assert!(browsers[0].click(&mut world, "/me").is_status(303));
    browsers[1].click(&mut world, "/me").session();
    // A session that could not be ended stays in the index, and is removed at the next sign-in.
    let url = location(&browsers[0].get(&mut world, "/me").reply());
    let callback = Browser::provider(&mut world, &url);
    let request = browsers[0].request(&world, Method::GET, &callback, From::Elsewhere);
    let visit = world.site.visit(request, Access::SignedIn);
    die(&mut world, visit, |world| stored_counts(world) == (65, 65));
    world
        .provider
        .twin()
        .set_claim("sid", serde_json::Value::Null);
    let now = world.provider.now();
    let token = world.provider.twin().logout_token(now, None).unwrap();
    assert_eq!(send_logout_token(&mut world, &token).status, StatusCode::OK);
    for browser in &mut browsers {
        assert!(browser.click(&mut world, "/me").is_status(303));
    }
    assert!(world.records().iter().all(|record| !record.contains("sub")));
}

fn send_logout_token(world: &mut World, token: &str) -> oauth_web::Reply {
    let mut provider = Browser::new();
    let mut request = provider.request(
        world,
        Method::POST,
        "/auth/backchannel-logout",
        From::Elsewhere,
    );
    request.headers.clear();
    form(&mut request, &[("logout_token", token)]);
    provider.send(world, request, Access::SignedIn).reply()
}

#[test]
fn a_logout_token_ends_sessions_once_and_a_later_login_works() {
    let mut world = World::in_store();
    world.provider.twin().set_claim("sid", "one");
    let (mut ann, mut other) = (Browser::new(), Browser::new());
    ann.open(&mut world, "/me").session();
    world.provider.twin().set_claim("sid", "two");
    other.open(&mut world, "/me").session();
    let now = world.provider.now();
    let token = world.provider.twin().logout_token(now, None).unwrap();
    let reply = send_logout_token(&mut world, &token);
    assert_eq!((reply.status, reply.body.as_str()), (StatusCode::OK, ""));
    assert!(other.click(&mut world, "/me").is_status(303));
    ann.click(&mut world, "/me").session();
    // The next login works, and the token does not end it again.
    other.open(&mut world, "/me").session();
    let reply = send_logout_token(&mut world, &token);
    assert_eq!(code(&reply), "logout_token.replayed");
    assert_eq!(reply.status, StatusCode::BAD_REQUEST);
    other.click(&mut world, "/me").session();
    // A token without a session id ends all sessions.
    world
        .provider
        .twin()
        .set_claim("sid", serde_json::Value::Null);
    let now = world.provider.now();
    let token = world.provider.twin().logout_token(now, None).unwrap();
    assert_eq!(send_logout_token(&mut world, &token).status, StatusCode::OK);
    assert!(ann.click(&mut world, "/me").is_status(303));
    assert!(other.click(&mut world, "/me").is_status(303));
}

#[test]
fn an_invalid_logout_token_ends_no_session() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    world.provider.twin().set_claim("sid", "one");
    ann.open(&mut world, "/me").session();
    let now = world.provider.now();
    let mut refused = 0;
    for flaw in LogoutTokenFlaw::ALL {
        let token = world
            .provider
            .twin()
            .logout_token(now, Some(*flaw))
            .unwrap();
        refused +=
            usize::from(send_logout_token(&mut world, &token).status == StatusCode::BAD_REQUEST);
    }
    assert!(refused + 1 >= LogoutTokenFlaw::ALL.len(), "{refused}");
    assert_eq!(
        send_logout_token(&mut world, "x").status,
        StatusCode::BAD_REQUEST
    );
    assert_eq!(
        send_logout_token(&mut world, "").status,
        StatusCode::BAD_REQUEST
    );
    ann.click(&mut world, "/me").session();
    // Anyone can post a logout token.
    assert!(!world.notes.is_empty());
    assert!(world.notes.iter().all(|note| !note.is_site_fault));
}

/// OpenID Connect Back-Channel Logout sections 2.5 and 2.8.
#[test]
fn a_logout_token_must_be_a_single_value_of_a_posted_form() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    let now = world.provider.now();
    let token = world.provider.twin().logout_token(now, None).unwrap();
    let in_url = format!("/auth/backchannel-logout?logout_token={token}");
    let page = "/auth/backchannel-logout";
    let one = [("logout_token", token.as_str())];
    let twice = [one[0], one[0]];
    let other = [("token", token.as_str())];
    for (method, target, sent) in [
        (Method::GET, in_url.as_str(), None),
        (Method::GET, page, None),
        (Method::PUT, page, Some(&one[..])),
        (Method::POST, &in_url, None),
        (Method::POST, &in_url, Some(&other[..])),
        (Method::POST, page, Some(&[][..])),
        (Method::POST, page, Some(&twice[..])),
    ] {
        let mut provider = Browser::new();
        let mut request = provider.request(&world, method.clone(), target, From::Elsewhere);
        request.headers.clear();
        if let Some(sent) = sent {
            form(&mut request, sent);
        }
        let reply = provider.send(&mut world, request, Access::Open).reply();
        assert_eq!(reply.status, StatusCode::BAD_REQUEST, "{method} {sent:?}");
        assert_eq!(code(&reply), "logout.malformed");
    }
    ann.click(&mut world, "/me").session();
    assert_eq!(send_logout_token(&mut world, &token).status, StatusCode::OK);
    assert!(ann.click(&mut world, "/me").is_status(303));
}

#[test]
fn a_logout_token_is_accepted_again_if_the_store_failed() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    let now = world.provider.now();
    let token = world.provider.twin().logout_token(now, None).unwrap();
    world.is_store_down = true;
    assert_eq!(
        send_logout_token(&mut world, &token).status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    world.is_store_down = false;
    assert_eq!(send_logout_token(&mut world, &token).status, StatusCode::OK);
    assert!(ann.click(&mut world, "/me").is_status(303));
}

#[test]
fn a_front_channel_logout_ends_the_named_session() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    world.provider.twin().set_claim("sid", "one");
    ann.open(&mut world, "/me").session();
    let frame = |query: String, world: &mut World| {
        let target = format!("/auth/frontchannel-logout?{query}");
        let request = Browser::new().request(world, Method::GET, &target, From::Elsewhere);
        Browser::new().send(world, request, Access::Open).reply()
    };
    let issuer = "https%3A%2F%2Ftwin.example";
    assert_eq!(
        frame("sid=one".to_owned(), &mut world).status,
        StatusCode::BAD_REQUEST
    );
    frame(
        "iss=https%3A%2F%2Feve.example&sid=one".to_owned(),
        &mut world,
    );
    frame(format!("iss={issuer}&sid=two"), &mut world);
    ann.click(&mut world, "/me").session();
    let reply = frame(format!("iss={issuer}&sid=one"), &mut world);
    assert_eq!(reply.status, StatusCode::OK);
    let policy = reply.headers["content-security-policy"].to_str().unwrap();
    assert!(policy.contains(&format!("frame-ancestors {TWIN}")));
    assert!(ann.click(&mut world, "/me").is_status(303));
}

#[test]
fn without_a_store_a_back_channel_logout_is_refused() {
    let mut world = World::new();
    let now = world.provider.now();
    let token = world.provider.twin().logout_token(now, None).unwrap();
    let reply = send_logout_token(&mut world, &token);
    assert_eq!(code(&reply), "web.setup");
    assert_ne!(reply.status, StatusCode::OK);
    let mut ann = Browser::new();
    let url = location(&ann.get(&mut world, "/me").reply());
    assert!(url.starts_with(TWIN));
}
