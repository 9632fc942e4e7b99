//! The decision for a caller.

use super::*;
use crate::quirk::{Quirk, Rules};

#[test]
fn fresh_token_is_returned() {
    let store = TestStore::new();
    let mut keeper = keeper_known(1);
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
    assert!(!keeper.is_busy());
}

#[test]
fn token_close_to_expiry_is_returned_while_one_caller_renews() {
    let mut store = TestStore::new();
    let mut keeper = keeper_known(1);
    // 30 s of leeway and at least 60 s of margin, of 600.
    store.now = START + 511;
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
}

#[test]
fn stale_token_is_renewed_by_one_caller_while_others_wait() {
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
fn refused_token_is_renewed_before_its_expiry() {
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
fn refused_token_is_not_taken_from_the_store_again() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    assert!(matches!(
        keeper.ask(store.now(), Some(&tokens(1))),
        Decision::Renew
    ));
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
}

#[test]
fn token_refused_during_a_renewal_is_not_returned_as_its_outcome() {
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
    assert!(matches!(store.run(&mut keeper, loaded), Step::Wait(_)));
}

#[test]
fn token_without_lifetime_is_used_until_it_is_refused() {
    let mut store = TestStore::new();
    let mut endless = tokens(1);
    endless.expires_in = None;
    let mut keeper = unshared_keeper();
    keeper.replace(&store.at(), endless.clone()).unwrap();
    store.now = START + 40_000_000;
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
    assert!(matches!(
        keeper.ask(store.now(), Some(&endless)),
        Decision::Renew
    ));
}

#[test]
fn access_token_without_refresh_token_is_used_until_it_expires() {
    let mut store = TestStore::new();
    let mut bare = tokens(1);
    bare.refresh_token = None;
    let mut keeper = unshared_keeper();
    keeper.replace(&store.at(), bare).unwrap();
    store.now = START + 599;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    store.now = START + 602;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.no_refresh_token");
}

#[test]
fn renewal_times_of_workers_are_spread_by_jitter() {
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
fn keeper_without_a_store_renews_with_a_single_request() {
    let mut store = TestStore::new();
    let mut keeper = unshared_keeper();
    keeper.replace(&store.at(), tokens(1)).unwrap();
    store.now = START + 580;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
    store.now += 580;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = store.renew(&mut keeper, Err(invalid_grant()));
    assert_eq!(code(outcome), "denied.invalid_grant");
    // No further request is needed.
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
fn out_of_order_event_ends_the_renewal_with_an_error() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    let outcome = outcome_of(keeper.resume(&store.at(), Event::Elapsed));
    assert_eq!(code(outcome), "misuse.already_finished");
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = outcome_of(keeper.resume(&store.at(), Event::Elapsed));
    assert_eq!(code(outcome), "misuse.out_of_order");
    assert!(!keeper.is_busy());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
}

#[test]
fn repeated_refusals_make_fifty_workers_renew_as_rarely_as_one() {
    let mut store = TestStore::with(tokens(1));
    let mut workers: Vec<_> = (0..50).map(|_| (keeper(), tokens(1))).collect();
    let mut renewed = 0;
    for second in 0..600 {
        store.now = START + second;
        for (keeper, last) in &mut workers {
            // The caller has just tried this worker's newest token.
            let Decision::Renew = keeper.ask(store.now(), Some(last)) else {
                continue;
            };
            *last = match store.run(keeper, Event::Begin) {
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
fn repeated_refusals_of_new_tokens_slow_down_renewals() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_known(1);
    let (mut last, mut renewed) = (tokens(1), Vec::new());
    for second in 0..600 {
        store.now = START + second;
        // Many callers per second, each of which has just tried the newest token.
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
    // After the clock was set back, and after a quiet period.
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
fn renewal_returning_the_same_refused_token_slows_down_renewals() {
    // A server that returns the same token until shortly before its expiry, and an API that refuses it.
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
                match store.run(keeper, Event::Begin) {
                    Step::Done(_) => {}
                    Step::Run(_) => {
                        renewed += 1;
                        let mut same = tokens_from(1, store.now);
                        same.expires_in = Some(1200);
                        // Waiting callers get the same token.
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
fn closed_keeper_starts_no_request_and_completes_a_sent_one() {
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
        let error = outcome_of(store.run(&mut keeper, event)).unwrap_err();
        assert_eq!(error.code(), "token_source.closed");
        assert_eq!(error.advice(), Advice::GiveUp);
        assert!(store.record().in_flight.is_none());
        assert_closed(store.decide(&mut keeper));
    }
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    keeper.drain();
    assert!(matches!(store.decide(&mut keeper), Decision::Wait));
    let fresh = tokens_from(2, store.now);
    assert_eq!(
        access_of_outcome(store.complete(&mut keeper, Ok(fresh))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
    // Only while the token is valid.
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

/// A keeper that has read this from the store.
fn keeper_known(number: u32) -> Keeper {
    let mut store = TestStore::with(tokens(number));
    let mut keeper = keeper();
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    outcome_of(store.run(&mut keeper, Event::Begin)).unwrap();
    keeper
}

#[test]
fn scope_aliases_count_as_granted() {
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
