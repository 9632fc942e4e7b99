//! The decision for each caller.

use super::*;
use crate::quirk::{Quirk, Rules};

#[test]
fn a_fresh_token_is_handed_out() {
    let store = TestStore::new();
    let mut keeper = keeper_known(1);
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
    assert!(!keeper.is_busy());
}

#[test]
fn a_nearly_stale_token_is_handed_out_and_renewed_once() {
    let mut store = TestStore::new();
    let mut keeper = keeper_known(1);
    // 30 s of leeway and at least 60 s before it, of 600.
    store.now = START + 511;
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
}

#[test]
fn for_a_stale_token_one_renews_and_all_others_follow() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 580;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(store.decide(&mut keeper), Decision::Wait));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a2");
}

#[test]
fn a_refused_token_is_renewed_though_its_lifetime_says_otherwise() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_known(1);
    let decision = keeper.ask(store.now(), Some(&tokens(1)));
    assert!(matches!(decision, Decision::Renew), "{decision:?}");
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(tokens(2)))),
        "a2"
    );
    // A caller that refuses the old token late does not invalidate the new one.
    assert_eq!(
        access_of_decision(keeper.ask(store.now(), Some(&tokens(1)))),
        "a2"
    );
}

#[test]
fn a_refused_token_is_not_taken_out_of_the_store_again() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    assert!(matches!(
        keeper.ask(store.now(), Some(&tokens(1))),
        Decision::Renew
    ));
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
}

#[test]
fn a_token_that_is_refused_while_the_renewal_ends_is_not_its_outcome() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_known(1);
    store.now = START + 511;
    store.is_held = true;
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    let Step::Load = keeper.resume(&store.at(), Event::Begin) else {
        panic!("no look at the store");
    };
    keeper.refuse(&tokens(1));
    let loaded = Event::Loaded(store.entry.clone());
    assert!(matches!(store.go(&mut keeper, loaded), Step::Wait(_)));
}

#[test]
fn a_token_without_lifetime_lasts_until_it_is_refused() {
    let mut store = TestStore::new();
    let mut endless = tokens(1);
    endless.expires_in = None;
    let mut keeper = alone();
    keeper.replace(&store.at(), endless.clone()).unwrap();
    store.now = START + 40_000_000;
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
    assert!(matches!(
        keeper.ask(store.now(), Some(&endless)),
        Decision::Renew
    ));
}

#[test]
fn without_a_refresh_token_the_access_token_is_used_until_it_expires() {
    let mut store = TestStore::new();
    let mut bare = tokens(1);
    bare.refresh_token = None;
    let mut keeper = alone();
    keeper.replace(&store.at(), bare).unwrap();
    store.now = START + 599;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a1"
    );
    store.now = START + 602;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = over(store.go(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.no_refresh_token");
}

#[test]
fn workers_do_not_wake_at_once() {
    let mut store = TestStore::new();
    let times: std::collections::BTreeSet<_> = (0..200)
        .map(|draw| {
            store.draws = draw * 7919;
            let deadlines = Deadlines::new(&tokens(1), &Policy::default(), None, &store.at());
            assert_eq!(deadlines.stale_at, UnixTime::from_secs(START + 570));
            let early = deadlines.stale_at.since(deadlines.refresh_at).as_secs();
            assert!((60..=90).contains(&early), "{early}");
            early
        })
        .collect();
    assert_eq!(times.len(), 31);
}

#[test]
fn without_a_store_a_renewal_is_a_request_and_its_end() {
    let mut store = TestStore::new();
    let mut keeper = alone();
    keeper.replace(&store.at(), tokens(1)).unwrap();
    store.now = START + 580;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
    store.now += 580;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = store.renew(&mut keeper, Err(invalid_grant()));
    assert_eq!(code(outcome), "denied.invalid_grant");
    // Nobody needs to ask the server again.
    store.now += 10_000;
    let decision = store.decide(&mut keeper);
    assert!(matches!(&decision, Decision::Fail(error) if error.code() == "denied.invalid_grant"));
    assert_eq!(store.log, ["run", "run"]);
    keeper
        .replace(&store.at(), tokens_from(3, store.now))
        .unwrap();
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a3");
}

#[test]
fn an_event_that_answers_nothing_ends_the_renewal() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    let outcome = over(keeper.resume(&store.at(), Event::Elapsed));
    assert_eq!(code(outcome), "misuse.already_finished");
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = over(keeper.resume(&store.at(), Event::Elapsed));
    assert_eq!(code(outcome), "misuse.out_of_order");
    assert!(!keeper.is_busy());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a1"
    );
}

#[test]
fn where_every_new_token_is_refused_a_fleet_renews_as_rarely_as_one() {
    let mut store = TestStore::with(tokens(1));
    let mut workers: Vec<_> = (0..50).map(|_| (keeper(), tokens(1))).collect();
    let mut renewed = 0;
    for second in 0..600 {
        store.now = START + second;
        for (keeper, last) in &mut workers {
            // A caller who has just tried the newest token that this worker has.
            let Decision::Renew = keeper.ask(store.now(), Some(last)) else {
                continue;
            };
            *last = match store.go(keeper, Event::Begin) {
                Step::Done(outcome) => outcome.map_or(last.clone(), |newer| (*newer).clone()),
                Step::Run(_) => {
                    renewed += 1;
                    let fresh = tokens_from(1 + renewed, store.now);
                    store.complete(keeper, Ok(fresh.clone())).unwrap();
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
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_known(1);
    let (mut last, mut renewed) = (tokens(1), Vec::new());
    for second in 0..600 {
        store.now = START + second;
        // Many callers in each second, and each has just tried the newest token.
        for _ in 0..10 {
            match keeper.ask(store.now(), Some(&last)) {
                Decision::Renew => {
                    last = tokens_from(2 + u32::try_from(renewed.len()).unwrap(), store.now);
                    store.renew(&mut keeper, Ok(last.clone())).unwrap();
                    renewed.push(second);
                }
                Decision::Fail(error) => {
                    assert!(matches!(error.advice(), Advice::Retry { .. }), "{error}");
                }
                decision => panic!("{decision:?}"),
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
            store.now = now;
            let decision = keeper.ask(store.now(), Some(&last));
            assert!(matches!(decision, Decision::Renew), "{now}: {decision:?}");
            last = tokens_from(number, START);
            store.entry = None;
            store.renew(&mut keeper, Ok(last.clone())).unwrap();
        }
    }
}

#[test]
fn where_a_renewal_gives_the_same_token_again_renewals_become_rare() {
    // A server that keeps to its token until shortly before its end, and an API that refuses it.
    for count in [1, 50] {
        let mut store = TestStore::with(tokens(1));
        let mut workers: Vec<_> = (0..count).map(|_| keeper()).collect();
        let mut renewed = 0;
        for second in 0..300 {
            store.now = START + second;
            for keeper in &mut workers {
                let Decision::Renew = keeper.ask(store.now(), Some(&tokens(1))) else {
                    continue;
                };
                match store.go(keeper, Event::Begin) {
                    Step::Done(_) => {}
                    Step::Run(_) => {
                        renewed += 1;
                        let mut same = tokens_from(1, store.now);
                        same.expires_in = Some(1200);
                        // Whoever waits is told to try it again.
                        assert_eq!(access_of_outcome(store.complete(keeper, Ok(same))), "a1");
                    }
                    step => panic!("{step:?}"),
                }
            }
        }
        assert!((8..20).contains(&renewed), "{count} workers: {renewed}");
    }
}

#[test]
fn a_drained_keeper_begins_nothing_and_finishes_what_was_sent() {
    // Between any two steps before the request is sent.
    for steps in 0..4 {
        let mut store = TestStore::with(tokens(1));
        let mut keeper = keeper();
        store.now = START + 601;
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let mut event = Event::Begin;
        for _ in 0..steps {
            event = match keeper.resume(&store.at(), event) {
                Step::Load => Event::Loaded(store.entry.clone()),
                Step::Lease { .. } => Event::Leased(Lease::Won),
                step => panic!("{step:?}"),
            };
        }
        keeper.drain();
        // Callers that wait for this renewal get the same as a later caller.
        let error = over(store.go(&mut keeper, event)).unwrap_err();
        assert_eq!(error.code(), "token_source.closed");
        assert_eq!(error.advice(), Advice::GiveUp);
        assert!(store.record().in_flight.is_none());
        assert_closed(store.decide(&mut keeper));
    }
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
    keeper.drain();
    assert!(matches!(store.decide(&mut keeper), Decision::Wait));
    let fresh = tokens_from(2, store.now);
    assert_eq!(
        access_of_outcome(store.complete(&mut keeper, Ok(fresh))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
    // Only as long as the token is valid.
    store.now += 599;
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a2");
    store.now += 1;
    assert_closed(store.decide(&mut keeper));
}

fn assert_closed(decision: Decision) {
    match decision {
        Decision::Fail(error) => assert_eq!(error.code(), "token_source.closed"),
        decision => panic!("{decision:?}"),
    }
}

/// One that has read this from the store.
fn keeper_known(number: u32) -> Keeper {
    let mut store = TestStore::with(tokens(number));
    let mut keeper = keeper();
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    over(store.go(&mut keeper, Event::Begin)).unwrap();
    keeper
}

#[test]
fn a_scope_is_granted_under_each_of_its_names() {
    let alias = Quirk::ScopeAlias("email".to_owned(), "https://as.example/email".to_owned());
    let mut config = config();
    let server = config.server.clone().with_rules(Rules {
        quirks: vec![alias],
        ..Rules::default()
    });
    Arc::make_mut(&mut config).server = server;
    let mut granted = tokens(1);
    granted.scope = Scope::parse("read https://as.example/email").unwrap();
    let at = Moment::fixed(UnixTime::from_secs(START), [1; 32]);
    let keeper = Keeper::new(config, GrantId::unnamed_person());
    let covers = |keeper: &Keeper, scope: &str| keeper.covers(&Scope::parse(scope).unwrap());
    assert!(!covers(&keeper, ""), "there are no tokens");
    let keeper = keeper.with_tokens(&at, granted).unwrap();
    assert!(covers(&keeper, "read email offline_access openid"));
    assert!(!covers(&keeper, "write") && !covers(&keeper, "read write"));
}
