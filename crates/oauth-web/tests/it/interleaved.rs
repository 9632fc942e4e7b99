//! Several workers, one store: the steps of logins, logouts and logout tokens in any order, and workers that die
//! between two of them.

use http::Method;
use oauth_web::{Access, Event, Visit};
use proptest::prelude::*;

use crate::world::{Browser, Ended, From, World, form, location};

/// A request under way at one of the workers.
struct Running {
    /// The index of the browser, if the request is from one.
    whose: Option<usize>,
    kind: Kind,
    visit: Visit,
    event: Option<Event>,
    /// When it began and ended, counted in steps of all requests.
    began: Option<usize>,
    ended: Option<(usize, Ended)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Login,
    Logout,
    Token,
}

fn running(
    world: &World,
    whose: Option<usize>,
    kind: Kind,
    request: oauth_web::Request,
) -> Running {
    Running {
        whose,
        kind,
        visit: world.site.visit(request, Access::SignedIn),
        event: Some(Event::Begin),
        began: None,
        ended: None,
    }
}

const PEOPLE: usize = 4;

/// Browsers of one user, of whom half are signed in and about to sign out, and half are about to sign in.
fn scene() -> (World, Vec<Browser>, Vec<Running>) {
    let mut world = World::in_store();
    let mut browsers: Vec<_> = (0..PEOPLE).map(|_| Browser::new()).collect();
    let mut visits = Vec::new();
    for (at, browser) in browsers.iter_mut().enumerate() {
        world.provider.twin().set_claim("sid", format!("sid-{at}"));
        if at % 2 == 0 {
            browser.open(&mut world, "/me").session();
            let request = browser.request(&world, Method::GET, "/auth/logout", From::Own);
            visits.push(running(&world, Some(at), Kind::Logout, request));
        } else {
            let url = location(&browser.get(&mut world, "/me").reply());
            let callback = Browser::provider(&mut world, &url);
            let request = browser.request(&world, Method::GET, &callback, From::Elsewhere);
            visits.push(running(&world, Some(at), Kind::Login, request));
        }
    }
    world
        .provider
        .twin()
        .set_claim("sid", serde_json::Value::Null);
    let now = world.provider.now();
    let token = world.provider.twin().logout_token(now, None).unwrap();
    let mut request = Browser::new().request(
        &world,
        Method::POST,
        "/auth/backchannel-logout",
        From::Elsewhere,
    );
    form(&mut request, &[("logout_token", &token)]);
    visits.push(running(&world, None, Kind::Token, request));
    (world, browsers, visits)
}

/// Runs all visits in this order of turns; `deaths` are of visits, each at one of its own steps.
fn run(world: &mut World, visits: &mut [Running], turns: &[usize], deaths: &[(usize, usize)]) {
    let count = visits.len();
    let mut steps = vec![0; count];
    let endless = (0..count).cycle();
    for (time, at) in turns
        .iter()
        .map(|turn| turn % count)
        .chain(endless)
        .enumerate()
    {
        if visits.iter().all(|visit| visit.event.is_none()) {
            return;
        }
        assert!(time < 10_000, "no visit ends");
        let visit = &mut visits[at];
        let Some(event) = visit.event.take() else {
            continue;
        };
        if deaths.contains(&(at, steps[at])) {
            continue;
        }
        steps[at] += 1;
        visit.began.get_or_insert(time);
        match world.step(&mut visit.visit, event) {
            Ok(next) => visit.event = Some(next),
            Err(ended) => visit.ended = Some((time, *ended)),
        }
    }
}

/// Whether this browser is signed in, with its current cookies or those before its last response.
fn is_in(world: &mut World, browser: &mut Browser) -> bool {
    matches!(browser.click(world, "/me"), Ended::Passed(Some(_)))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_logout_ends_its_sessions_and_no_other_in_any_interleaving(
        turns in proptest::collection::vec(0_usize..5, 0..160),
        deaths in proptest::collection::vec((0_usize..5, 0_usize..14), 0..3),
    ) {
        let (mut world, mut browsers, mut visits) = scene();
        run(&mut world, &mut visits, &turns, &deaths);
        let token = visits.iter().find(|visit| visit.kind == Kind::Token).unwrap();
        let token_began = token.began;
        let is_accepted = token.ended.as_ref().is_some_and(|(_, ended)| ended.is_status(200));
        let contended = world.notes.iter().any(|note| note.code == "store.conflict");
        prop_assert!(!contended, "{}", world.log());
        for visit in visits.iter().filter(|visit| visit.kind != Kind::Token) {
            let browser = &mut browsers[visit.whose.unwrap()];
            let (was, ended) = (browser.clone(), visit.ended.as_ref());
            if let Some((_, Ended::Reply(reply))) = ended {
                let is_told = reply.status == 401 && visit.kind == Kind::Login && token_began.is_some();
                prop_assert!(reply.status == 303 || is_told, "{}", world.log());
                browser.store_cookies(&world, reply);
            }
            match (visit.kind, ended) {
                (Kind::Logout, Some(_)) => {
                    prop_assert!(!is_in(&mut world, browser));
                    prop_assert!(!is_in(&mut world, &mut was.clone()), "a copy of the cookie is good");
                }
                (Kind::Login, Some((over, _))) => {
                    let is_in = is_in(&mut world, browser);
                    if is_accepted && token_began.is_some_and(|began| *over < began) {
                        prop_assert!(!is_in, "the token came after the login");
                    }
                    if token_began.is_none() {
                        prop_assert!(is_in, "nobody has signed it out");
                    }
                }
                (_, None) | (Kind::Token, _) => {}
            }
        }
        // If no worker crashed, every grant has its session.
        if deaths.is_empty() {
            let records = world.records();
            let grants = records.iter().filter(|record| record.contains("refresh_token")).count();
            let sessions = records.iter().filter(|record| record.contains("\"started_at\"")).count();
            prop_assert_eq!(grants, sessions, "{:?}", records.len());
        }
    }

    #[test]
    fn a_logout_token_ends_every_existing_session_during_concurrent_sign_ins(
        turns in proptest::collection::vec(0_usize..4, 0..160),
    ) {
        let (mut world, mut browsers, mut visits) = scene();
        let mut token = visits.pop().unwrap();
        run(&mut world, &mut visits, &turns, &[]);
        for visit in &visits {
            if let Some((_, Ended::Reply(reply))) = &visit.ended {
                browsers[visit.whose.unwrap()].store_cookies(&world, reply);
            }
        }
        let signed_in = browsers.iter_mut().filter(|browser| is_in(&mut world, &mut (*browser).clone()));
        prop_assert_eq!(signed_in.count(), PEOPLE / 2);
        run(&mut world, std::slice::from_mut(&mut token), &[], &[]);
        for browser in &mut browsers {
            prop_assert!(!is_in(&mut world, browser));
        }
    }
}
