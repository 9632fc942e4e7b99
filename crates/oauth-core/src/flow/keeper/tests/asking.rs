//! What a caller is told.

use super::*;
use crate::quirk::{Quirk, Rules};

#[test]
fn a_fresh_token_is_handed_out() {
    let desk = Desk::new();
    let mut keeper = keeper_known(1);
    assert_eq!(handed(desk.ask(&mut keeper)), "a1");
    assert!(!keeper.is_busy());
}

#[test]
fn a_nearly_stale_token_is_handed_out_and_renewed_once() {
    let mut desk = Desk::new();
    let mut keeper = keeper_known(1);
    // 30 s of leeway and at least 60 s before it, of 600.
    desk.now = START + 511;
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    assert_eq!(handed(desk.ask(&mut keeper)), "a1");
}

#[test]
fn for_a_stale_token_one_renews_and_all_others_follow() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    desk.now = START + 580;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert!(matches!(desk.ask(&mut keeper), Turn::Follow));
    let fresh = tokens_from(2, desk.now);
    assert_eq!(got(desk.renew(&mut keeper, Ok(fresh))), "a2");
    assert_eq!(handed(desk.ask(&mut keeper)), "a2");
}

#[test]
fn a_refused_token_is_renewed_though_its_lifetime_says_otherwise() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper_known(1);
    let turn = keeper.ask(desk.now(), Some(&tokens(1)));
    assert!(matches!(turn, Turn::Renew), "{turn:?}");
    assert_eq!(got(desk.renew(&mut keeper, Ok(tokens(2)))), "a2");
    // Whoever comes late with the old one does not cost the new one its life.
    assert_eq!(handed(keeper.ask(desk.now(), Some(&tokens(1)))), "a2");
}

#[test]
fn a_refused_token_is_not_taken_out_of_the_store_again() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    assert!(matches!(
        keeper.ask(desk.now(), Some(&tokens(1))),
        Turn::Renew
    ));
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
}

#[test]
fn a_token_that_is_refused_while_the_renewal_ends_is_not_its_outcome() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper_known(1);
    desk.now = START + 511;
    desk.is_held = true;
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    let Step::Load = keeper.resume(desk.at(), Event::Begin) else {
        panic!("no look at the store");
    };
    keeper.refuse(&tokens(1));
    let loaded = Event::Loaded(desk.entry.clone());
    assert!(matches!(desk.go(&mut keeper, loaded), Step::Wait(_)));
}

#[test]
fn a_token_without_lifetime_lasts_until_it_is_refused() {
    let mut desk = Desk::new();
    let mut endless = tokens(1);
    endless.expires_in = None;
    let mut keeper = alone();
    keeper.replace(desk.at(), endless.clone()).unwrap();
    desk.now = START + 40_000_000;
    assert_eq!(handed(desk.ask(&mut keeper)), "a1");
    assert!(matches!(
        keeper.ask(desk.now(), Some(&endless)),
        Turn::Renew
    ));
}

#[test]
fn without_a_refresh_token_the_token_does_until_its_end() {
    let mut desk = Desk::new();
    let mut bare = tokens(1);
    bare.refresh_token = None;
    let mut keeper = alone();
    keeper.replace(desk.at(), bare).unwrap();
    desk.now = START + 599;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    desk.now = START + 602;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let outcome = over(desk.go(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.no_refresh_token");
}

#[test]
fn workers_do_not_wake_at_once() {
    let mut desk = Desk::new();
    let times: std::collections::BTreeSet<_> = (0..200)
        .map(|draw| {
            desk.draws = draw * 7919;
            let times = Times::of(&tokens(1), &Policy::default(), &desk.at());
            assert_eq!(times.stale, UnixTime::from_secs(START + 570));
            let early = times.stale.since(times.ahead).as_secs();
            assert!((60..=90).contains(&early), "{early}");
            early
        })
        .collect();
    assert_eq!(times.len(), 31);
}

#[test]
fn without_a_store_a_renewal_is_a_request_and_its_end() {
    let mut desk = Desk::new();
    let mut keeper = alone();
    keeper.replace(desk.at(), tokens(1)).unwrap();
    desk.now = START + 580;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let fresh = tokens_from(2, desk.now);
    assert_eq!(got(desk.renew(&mut keeper, Ok(fresh))), "a2");
    desk.now += 580;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let outcome = desk.renew(&mut keeper, Err(invalid_grant()));
    assert_eq!(code(outcome), "denied.invalid_grant");
    // Nobody needs to ask the server again.
    desk.now += 10_000;
    let turn = desk.ask(&mut keeper);
    assert!(matches!(&turn, Turn::GiveUp(error) if error.code() == "denied.invalid_grant"));
    assert_eq!(desk.log, ["run", "run"]);
    keeper.replace(desk.at(), tokens_from(3, desk.now)).unwrap();
    assert_eq!(handed(desk.ask(&mut keeper)), "a3");
}

#[test]
fn an_event_that_answers_nothing_ends_the_renewal() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    let outcome = over(keeper.resume(desk.at(), Event::Elapsed));
    assert_eq!(code(outcome), "misuse.over");
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let outcome = over(keeper.resume(desk.at(), Event::Elapsed));
    assert_eq!(code(outcome), "misuse.out_of_order");
    assert!(!keeper.is_busy());
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
}

#[test]
fn where_every_new_token_is_refused_a_fleet_renews_as_rarely_as_one() {
    let mut desk = Desk::with(tokens(1));
    let mut workers: Vec<_> = (0..50).map(|_| (keeper(), tokens(1))).collect();
    let mut renewed = 0;
    for second in 0..600 {
        desk.now = START + second;
        for (keeper, last) in &mut workers {
            // A caller who has just tried the newest token that this worker has.
            let Turn::Renew = keeper.ask(desk.now(), Some(last)) else {
                continue;
            };
            *last = match desk.go(keeper, Event::Begin) {
                Step::Over(outcome) => outcome.map_or(last.clone(), |newer| (*newer).clone()),
                Step::Run(_) => {
                    renewed += 1;
                    let fresh = tokens_from(1 + renewed, desk.now);
                    desk.land(keeper, Ok(fresh.clone())).unwrap();
                    fresh
                }
                step => panic!("{step:?}"),
            };
        }
    }
    assert!((12..20).contains(&renewed), "{renewed}");
}

#[test]
fn where_every_new_token_is_refused_renewals_become_rare() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper_known(1);
    let (mut last, mut renewed) = (tokens(1), Vec::new());
    for second in 0..600 {
        desk.now = START + second;
        // Many callers in each second, and each has just tried the newest token.
        for _ in 0..10 {
            match keeper.ask(desk.now(), Some(&last)) {
                Turn::Renew => {
                    last = tokens_from(2 + u32::try_from(renewed.len()).unwrap(), desk.now);
                    desk.renew(&mut keeper, Ok(last.clone())).unwrap();
                    renewed.push(second);
                }
                Turn::GiveUp(error) => {
                    assert!(matches!(error.advice(), Advice::Retry { .. }), "{error}");
                }
                turn => panic!("{turn:?}"),
            }
        }
    }
    assert_eq!(renewed.first_chunk(), Some(&[0, 0, 0, 1, 3, 7]));
    assert!((12..20).contains(&renewed.len()), "{renewed:?}");
    // A clock that was set back, and some quiet.
    for now in [START - 7200, START + 1200] {
        let mut keeper = keeper_known(1);
        let mut last = tokens(1);
        for (number, now) in [(2, START), (3, START), (4, START), (5, now)] {
            desk.now = now;
            let turn = keeper.ask(desk.now(), Some(&last));
            assert!(matches!(turn, Turn::Renew), "{now}: {turn:?}");
            last = tokens_from(number, START);
            desk.entry = None;
            desk.renew(&mut keeper, Ok(last.clone())).unwrap();
        }
    }
}

#[test]
fn where_a_renewal_gives_the_same_token_again_renewals_become_rare() {
    // A server that keeps to its token until shortly before its end, and an API that refuses it.
    for count in [1, 50] {
        let mut desk = Desk::with(tokens(1));
        let mut workers: Vec<_> = (0..count).map(|_| keeper()).collect();
        let mut renewed = 0;
        for second in 0..300 {
            desk.now = START + second;
            for keeper in &mut workers {
                let Turn::Renew = keeper.ask(desk.now(), Some(&tokens(1))) else {
                    continue;
                };
                match desk.go(keeper, Event::Begin) {
                    Step::Over(_) => {}
                    Step::Run(_) => {
                        renewed += 1;
                        let mut same = tokens_from(1, desk.now);
                        same.expires_in = Some(1200);
                        // Whoever waits is told to try it once more.
                        assert_eq!(got(desk.land(keeper, Ok(same))), "a1");
                    }
                    step => panic!("{step:?}"),
                }
            }
        }
        assert!((8..20).contains(&renewed), "{count} workers: {renewed}");
    }
}

#[test]
fn whoever_is_about_to_end_begins_nothing_and_finishes_what_was_sent() {
    // Between any two steps before the request is sent.
    for steps in 0..4 {
        let mut desk = Desk::with(tokens(1));
        let mut keeper = keeper();
        desk.now = START + 601;
        assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
        let mut event = Event::Begin;
        for _ in 0..steps {
            event = match keeper.resume(desk.at(), event) {
                Step::Load => Event::Loaded(desk.entry.clone()),
                Step::Lease { .. } => Event::Leased(Lease::Won),
                step => panic!("{step:?}"),
            };
        }
        keeper.drain();
        let error = over(desk.go(&mut keeper, event)).unwrap_err();
        assert!(matches!(error.advice(), Advice::Retry { .. }), "{error}");
        assert!(desk.record().attempt.is_none());
    }
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    desk.now = START + 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    keeper.drain();
    assert!(matches!(desk.ask(&mut keeper), Turn::Follow));
    let fresh = tokens_from(2, desk.now);
    assert_eq!(got(desk.land(&mut keeper, Ok(fresh))), "a2");
    assert_eq!(access(desk.record().tokens.as_ref().unwrap()), "a2");
    // As long as it is good, and no longer.
    desk.now += 599;
    assert_eq!(handed(desk.ask(&mut keeper)), "a2");
    desk.now += 1;
    assert!(matches!(desk.ask(&mut keeper), Turn::GiveUp(_)));
}

/// One that has read this from the store.
fn keeper_known(number: u32) -> Keeper {
    let mut desk = Desk::with(tokens(number));
    let mut keeper = keeper();
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    over(desk.go(&mut keeper, Event::Begin)).unwrap();
    keeper
}

#[test]
fn a_scope_is_granted_under_each_of_its_names() {
    let alias = Quirk::ScopeAlias("email".to_owned(), "https://as.example/email".to_owned());
    let mut us = us();
    let server = us.server.clone().with_rules(Rules {
        quirks: vec![alias],
        ..Rules::default()
    });
    Arc::make_mut(&mut us).server = server;
    let mut granted = tokens(1);
    granted.scope = Scope::parse("read https://as.example/email").unwrap();
    let at = Moment::fixed(UnixTime::from_secs(START), [1; 32]);
    let keeper = Keeper::new(us, Upkeep::Refresh);
    let covers = |keeper: &Keeper, scope: &str| keeper.covers(&Scope::parse(scope).unwrap());
    assert!(!covers(&keeper, ""), "there are no tokens");
    let keeper = keeper.with_tokens(at, granted).unwrap();
    assert!(covers(&keeper, "read email offline_access openid"));
    assert!(!covers(&keeper, "write") && !covers(&keeper, "read write"));
}
