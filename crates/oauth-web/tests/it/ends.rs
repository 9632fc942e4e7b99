//! Sessions end, and so do their grants and their records.

use std::sync::Arc;
use std::time::Duration;

use http::Method;
use oauth_core::Moment;
use oauth_core::flow::keeper::{Decision, Event, Step};

use crate::world::{Browser, Ended, From, SESSION, World, code, location, put};

#[test]
fn expired_sessions_leave_no_records() {
    let mut world = World::in_store();
    for _ in 0..3 {
        Browser::new().open(&mut world, "/me").session();
    }
    // Each session has a record and a grant, and the user one list of sessions.
    assert_eq!(world.records().len(), 7);
    world.advance(24 * 3600 - 1);
    assert_eq!(world.records().len(), 7);
    world.advance(1);
    assert!(world.records().is_empty(), "{:?}", world.records().len());
}

#[test]
fn a_renewed_grant_is_stored_with_the_expiry_of_its_session() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    let session = ann.open(&mut world, "/me").session();
    let client = world.config.providers[0].client.clone().unwrap();
    let mut keeper = client.keeper(session.grant().unwrap()).shared();
    let entry = world.store[&keeper.key()].clone();
    world.provider.advance(Duration::from_secs(3600));
    let at = Moment::fixed(world.provider.now(), [4; 32]);
    keeper.learn(&at, entry.clone()).unwrap();
    assert!(matches!(keeper.ask(at.now(), None), Decision::Renew));
    let mut event = Event::Begin;
    let mut ends = Vec::new();
    loop {
        let at = world.provider.moment();
        event = match keeper.resume(&at, event) {
            Step::Load => Event::Loaded(Some(entry.clone())),
            Step::Lease { .. } => Event::Leased(oauth_core::flow::keeper::Lease::Won),
            Step::Save { version, until, .. } => {
                ends.push(until);
                Event::Saved(oauth_core::flow::keeper::SaveOutcome::At(version + 1))
            }
            Step::Run(exchange) => Event::Completed(world.provider.run(exchange)),
            Step::Wait(_) => Event::Elapsed,
            Step::Done(outcome) => {
                outcome.unwrap();
                break;
            }
        };
    }
    assert_eq!(ends, [Some(session.until), Some(session.until)]);
}

#[test]
fn the_application_can_end_a_session_everywhere() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    let session = ann.open(&mut world, "/me").session();
    let visit = world.site.end(Arc::clone(&session));
    assert!(matches!(world.drive(visit), Ended::Passed(None)));
    assert!(world.records().is_empty());
    assert_eq!(world.provider.twin().counters().revocations, 1);
    let reply = ann.click(&mut world, "/me").reply();
    assert!(location(&reply).starts_with(crate::world::TWIN));
    assert!(ann.fetch(&mut world, Method::GET, "/me").is_status(401));
}

#[test]
fn an_ended_grant_redirects_pages_to_sign_in_and_gives_scripts_an_error() {
    for mut world in [World::new(), World::in_store()] {
        let mut ann = Browser::new();
        ann.open(&mut world, "/orders?page=2").session();
        let request = ann.request(&world, Method::GET, "/orders?page=2", From::Typed);
        let reply = ann.end_session(&mut world, request);
        assert_eq!(
            location(&reply),
            "/auth/login?return_to=%2Forders%3Fpage%3D2"
        );
        assert!(ann.cookie(SESSION).is_none());
        assert!(world.records().is_empty());
        ann.open(&mut world, "/orders").session();
        let mut script = ann.request(&world, Method::GET, "/orders", From::Own);
        put(&mut script.headers, "sec-fetch-mode", "cors");
        put(&mut script.headers, "sec-fetch-dest", "empty");
        assert_eq!(code(&ann.end_session(&mut world, script)), "web.signed_out");
        // If the grant ends after every login, the visitor is not redirected forever.
        let looped = (0..12).any(|_| match ann.open(&mut world, "/orders") {
            Ended::Reply(reply) => code(&reply) == "web.loop",
            _ => {
                let request = ann.request(&world, Method::GET, "/orders", From::Typed);
                let is_loop = code(&ann.end_session(&mut world, request)) == "web.loop";
                // Whatever the page shows, the session has ended.
                assert!(ann.cookie(SESSION).is_none());
                is_loop
            }
        });
        assert!(looped);
    }
}
