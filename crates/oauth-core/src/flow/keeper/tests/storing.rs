//! Stores that fail, and saves of logins.

use super::*;

#[test]
fn a_silent_store_costs_nobody_a_good_token() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.is_down = true;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(code(over(store.go(&mut keeper, Event::Begin))), "lost");
    store.is_down = false;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a1"
    );
    store.is_down = true;
    store.now = START + 590;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a1"
    );
}

#[test]
fn a_lease_whose_answer_was_lost_is_given_back() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    let _ = keeper.resume(&store.at(), Event::Begin);
    let step = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
    assert!(matches!(step, Step::Lease { .. }));
    let step = keeper.resume(&store.at(), Event::Failed(lost_reply()));
    assert!(matches!(step, Step::Lease { ttl, .. } if ttl.is_zero()));
}

/// New tokens, and a store that has gone.
fn keeper_with_unsaved_tokens() -> (Keeper, TestStore) {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
    store.is_down = true;
    store.log.clear();
    (keeper, store)
}

#[test]
fn after_five_failed_saves_tokens_are_handed_out_and_stored_later() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    let fresh = tokens_from(2, store.now);
    let mut step = store.go(&mut keeper, Event::Completed(Ok(fresh)));
    let mut pauses = Vec::new();
    while let Step::Wait(pause) = step {
        pauses.push(pause.as_millis());
        step = store.go(&mut keeper, Event::Elapsed);
    }
    assert_eq!(pauses, [200, 400, 800, 1600]);
    assert_eq!(access_of_outcome(over(step)), "a2");
    // Five saves, and the lease.
    assert_eq!(store.log.len(), 6);
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a1");
    store.is_down = false;
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a2");
}

#[test]
fn tokens_of_an_abandoned_save_are_stored_before_they_are_seen() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    let fresh = tokens_from(2, store.now);
    let step = store.go(&mut keeper, Event::Completed(Ok(fresh)));
    assert!(matches!(step, Step::Wait(_)));
    keeper.abandon(&store.at());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Wait(_)));
    store.is_down = false;
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Elapsed))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
}

#[test]
fn tokens_that_are_over_when_they_are_stored_at_last_are_renewed() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    let fresh = tokens_from(2, store.now);
    let _ = store.go(&mut keeper, Event::Completed(Ok(fresh)));
    keeper.abandon(&store.at());
    store.is_down = false;
    store.now += 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let newest = tokens_from(3, store.now);
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(newest))),
        "a3"
    );
}

#[test]
fn a_record_of_another_grant_is_refused_and_left_alone() {
    let stranger = |id: GrantId| {
        let mut store = TestStore::new();
        let record = Record::from_tokens(Arc::new(tokens(1))).to_json(&config(), &id);
        store.entry = Some(Entry { version: 1, record });
        store
    };
    let scope = Scope::parse("read").unwrap();
    for id in [
        GrantId::user("bob"),
        GrantId::client(),
        person().requesting(scope),
        naming::asking_for(&[("resource", "https://api.example")]),
        person().with_dpop_jkt("thumb"),
    ] {
        let mut store = stranger(id);
        let mut keeper = keeper();
        let _ = store.decide(&mut keeper);
        let outcome = over(store.go(&mut keeper, Event::Begin));
        assert_eq!(code(outcome), "stored.grant");
        assert_eq!(store.log, ["load"]);
    }
    let mut foreign = tokens(1);
    foreign.binding = Arc::new(crate::client_config::Binding {
        issuer: "https://other.example".to_owned(),
        client_id: "id".to_owned(),
    });
    let error = keeper().replace(&TestStore::new().at(), foreign.clone());
    assert_eq!(error.unwrap_err().code(), "stored.issuer");
    let mut store = TestStore::with(foreign);
    let mut keeper = keeper();
    let _ = store.decide(&mut keeper);
    let outcome = over(store.go(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "stored.issuer");
}

#[test]
fn a_login_takes_the_place_of_what_is_stored() {
    // In whichever order it is built.
    let built: [fn(Moment) -> Keeper; 2] = [
        |at| {
            keeper()
                .with_tokens(&at, tokens_from(5, START + 1))
                .unwrap()
        },
        |at| {
            let keeper = Keeper::new(config(), person());
            let keeper = keeper.with_tokens(&at, tokens_from(5, START + 1));
            keeper.unwrap().shared()
        },
    ];
    for build in built {
        let mut store = TestStore::with(tokens(1));
        let mut keeper = build(store.at());
        assert!(matches!(
            store.decide(&mut keeper),
            Decision::UseAndRenew(_)
        ));
        assert_eq!(
            access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
            "a5"
        );
        assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a5");
        assert_eq!(access_of_decision(store.decide(&mut keeper)), "a5");
    }
}

#[test]
fn a_login_that_is_stale_by_now_is_stored_and_renewed() {
    let mut store = TestStore::new();
    let mut keeper = keeper().with_tokens(&store.at(), tokens(1)).unwrap();
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
}

#[test]
fn a_login_during_a_renewal_outlives_it() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
    let login = tokens_from(5, store.now);
    keeper.replace(&store.at(), login).unwrap();
    let late = tokens_from(2, store.now);
    assert_eq!(
        access_of_outcome(store.complete(&mut keeper, Ok(late))),
        "a2"
    );
    let Decision::UseAndRenew(tokens) = store.decide(&mut keeper) else {
        panic!("the login is not stored");
    };
    assert_eq!(access(&tokens), "a5");
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a5"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a5");
}

#[test]
fn a_login_that_may_be_stored_already_is_not_stored_over_what_became_of_it() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    let login = tokens_from(5, store.now);
    keeper.replace(&store.at(), login).unwrap();
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    let _ = keeper.resume(&store.at(), Event::Begin);
    let step = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
    let Step::Save { record, .. } = step else {
        panic!("the login is not saved");
    };
    // The tokens are stored, but the answer is lost; another worker renews them.
    store.entry = Some(Entry { version: 2, record });
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Failed(lost_reply())))),
        "a5"
    );
    let renewed = Record {
        tokens: Some(Arc::new(tokens_from(6, store.now))),
        ..store.record()
    };
    store.save_elsewhere(&renewed);
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a6"
    );
    assert_eq!(store.version(), 3);
}

#[test]
fn an_empty_store_is_asked_again_after_a_second() {
    let mut store = TestStore::new();
    let mut keeper = keeper();
    for _ in 0..5 {
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let outcome = over(store.go(&mut keeper, Event::Begin));
        assert_eq!(code(outcome), "grant.no_refresh_token");
        assert!(matches!(store.decide(&mut keeper), Decision::Fail(_)));
        store.now += 1;
    }
    store.save_elsewhere(&Record::from_tokens(Arc::new(tokens(1))));
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a1"
    );
}

#[test]
fn tokens_that_could_not_be_stored_are_stored_though_nobody_asks() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    assert_eq!(keeper.retry_after(store.now()), None);
    let fresh = tokens_from(2, store.now);
    let mut step = store.go(&mut keeper, Event::Completed(Ok(fresh)));
    while let Step::Wait(_) = step {
        step = store.go(&mut keeper, Event::Elapsed);
    }
    assert_eq!(access_of_outcome(over(step)), "a2");
    // The store is down for ten minutes, and the tokens have expired when it comes back.
    let (since, mut tries) = (store.now, 0);
    while let Some(pause) = keeper.retry_after(store.now()) {
        assert!((1..=90).contains(&pause.as_secs()), "{pause:?}");
        store.now += pause.as_secs();
        store.is_down = store.now < since + 601;
        store.log.clear();
        assert!(keeper.save_again());
        assert!(!keeper.save_again());
        let _ = over(store.go(&mut keeper, Event::Begin));
        tries += 1;
    }
    assert!((10..30).contains(&tries), "{tries}");
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
    // Nobody has asked for others.
    assert_eq!(store.log, ["save", "release"]);
    assert!(!keeper.save_again());
}

#[test]
fn a_caller_that_asks_while_old_tokens_are_stored_gets_new_ones() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    let fresh = tokens_from(2, store.now);
    let _ = store.go(&mut keeper, Event::Completed(Ok(fresh)));
    keeper.abandon(&store.at());
    store.is_down = false;
    store.now += 601;
    assert!(keeper.save_again());
    assert!(matches!(store.decide(&mut keeper), Decision::Wait));
    let newest = tokens_from(3, store.now);
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(newest))),
        "a3"
    );
}

#[test]
fn a_login_that_could_not_be_stored_is_stored_though_nobody_asks() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.is_down = true;
    keeper.replace(&store.at(), tokens(5)).unwrap();
    assert!(keeper.save_again());
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a5"
    );
    store.now += 601;
    store.is_down = false;
    store.log.clear();
    assert!(keeper.retry_after(store.now()).is_some() && keeper.save_again());
    let _ = over(store.go(&mut keeper, Event::Begin));
    assert_eq!(store.log, ["load", "save"]);
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a5");
}

#[test]
fn a_renewal_that_needs_no_lease_goes_on_without_the_store() {
    let client_keeper = Keeper::new(config(), GrantId::client()).shared();
    let mut store = TestStore::of(GrantId::client());
    store.is_down = true;
    let mut keeper = client_keeper;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(tokens(1)))),
        "a1"
    );
    assert_eq!(store.log, ["failure", "run", "failure", "failure"]);
    // What it brought is stored once the store is back.
    store.is_down = false;
    assert!(keeper.save_again());
    over(store.go(&mut keeper, Event::Begin)).unwrap();
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a1");

    let (known, never) = (Reuse::Tolerated, Reuse::Revokes);
    for (reuse, rotates, is_sent) in [
        (known, Some(false), true),
        (Reuse::Unknown, Some(false), true),
        (never, Some(false), false),
        (known, Some(true), false),
        (known, None, false),
    ] {
        let mut store = TestStore::new();
        store.save_elsewhere(&Record {
            rotates,
            ..Record::from_tokens(Arc::new(tokens(1)))
        });
        let mut keeper = keeper_for(reuse);
        let _ = store.decide(&mut keeper);
        assert_eq!(
            access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
            "a1"
        );
        store.is_down = true;
        // While the token is valid, no renewal is needed.
        store.now = START + 580;
        let _ = store.decide(&mut keeper);
        assert_eq!(
            access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
            "a1"
        );
        store.now = START + 700;
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let step = store.go(&mut keeper, Event::Begin);
        if is_sent {
            assert!(matches!(step, Step::Run(_)), "{step:?}")
        } else {
            assert_eq!(code(over(step)), "lost")
        }
    }
}

#[test]
fn a_store_that_refuses_is_told_though_no_lease_is_needed() {
    let client_keeper = || Keeper::new(config(), GrantId::client()).shared();
    let mut store = TestStore::new();
    for refusal in [
        Error::from(ValidationFailure::StoredSealed),
        Error::from(Misuse::StoredForm),
    ] {
        let expected = refusal.code();
        let mut keeper = client_keeper();
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        assert!(matches!(
            keeper.resume(&store.at(), Event::Begin),
            Step::Load
        ));
        let step = keeper.resume(&store.at(), Event::Failed(refusal));
        assert_eq!(code(over(step)), expected);
    }
}

/// How often a store that knows no word but "conflict" was asked to save, the pauses in between, and
/// the end.
fn in_conflict(
    store: &mut TestStore,
    keeper: &mut Keeper,
    event: Event,
) -> (usize, Vec<u64>, Outcome) {
    let (mut saves, mut pauses) = (0, Vec::new());
    let mut step = keeper.resume(&store.at(), event);
    loop {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            Step::Lease { .. } => Event::Leased(Lease::Won),
            Step::Save { .. } => {
                saves += 1;
                assert!(saves < 100, "it is asked for ever");
                Event::Saved(SaveOutcome::Conflict)
            }
            Step::Wait(pause) => {
                pauses.push(u64::try_from(pause.as_millis()).unwrap());
                Event::Elapsed
            }
            Step::Run(_) => panic!("sent without a mark"),
            Step::Done(outcome) => return (saves, pauses, outcome),
        };
        step = keeper.resume(&store.at(), event);
    }
}

#[test]
fn a_store_that_reports_conflicts_forever_is_asked_at_growing_intervals_and_then_no_more() {
    let grown = |(saves, pauses, outcome): (usize, Vec<u64>, Outcome)| {
        assert_eq!((saves, pauses.len()), (9, 7), "{pauses:?}");
        for (number, pause) in pauses.iter().enumerate() {
            let middle = 25 << number;
            assert!((middle / 2..=middle * 3 / 2).contains(pause), "{pauses:?}");
        }
        outcome
    };
    // A mark.
    let mut store = TestStore::with(tokens(1));
    let mut keeper_of_mark = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper_of_mark);
    let outcome = grown(in_conflict(&mut store, &mut keeper_of_mark, Event::Begin));
    let error = outcome.unwrap_err();
    assert_eq!(
        (error.code(), error.endpoint()),
        ("store.conflict", Some("store"))
    );
    assert!(matches!(error.advice(), Advice::Retry { .. }));
    assert!(!keeper_of_mark.is_busy());
    // New tokens, which no other worker can have, are returned unsaved and stored later.
    let mut store = TestStore::with(tokens(1));
    let mut keeper_of_tokens = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper_of_tokens);
    let step = store.go(&mut keeper_of_tokens, Event::Begin);
    assert!(matches!(step, Step::Run(_)));
    let fresh = Event::Completed(Ok(tokens_from(2, store.now)));
    let outcome = grown(in_conflict(&mut store, &mut keeper_of_tokens, fresh));
    assert_eq!(access_of_outcome(outcome), "a2");
    assert!(!keeper_of_tokens.is_stored());
    store.now += 60;
    assert!(keeper_of_tokens.save_again());
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper_of_tokens, Event::Begin))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
    // A login.
    let mut store = TestStore::with(tokens(1));
    let mut keeper_of_login = keeper();
    keeper_of_login.replace(&store.at(), tokens(5)).unwrap();
    assert!(keeper_of_login.save_again());
    let outcome = grown(in_conflict(&mut store, &mut keeper_of_login, Event::Begin));
    assert_eq!(access_of_outcome(outcome), "a5");
    assert_eq!(
        keeper_of_login.last_error().unwrap().code(),
        "store.conflict"
    );
    assert!(!keeper_of_login.is_stored());
    // The end of a grant is reported only after it is confirmed.
    let mut store = TestStore::with(tokens(1));
    let mut keeper_of_end = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper_of_end);
    let step = store.go(&mut keeper_of_end, Event::Begin);
    assert!(matches!(step, Step::Run(_)));
    let ended = Event::Completed(Err(invalid_grant()));
    let outcome = grown(in_conflict(&mut store, &mut keeper_of_end, ended));
    assert_eq!(code(outcome), "store.conflict");
}

#[test]
fn tokens_whose_host_ends_while_the_store_is_in_conflict_are_stored_later() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    let mut step = keeper.resume(&store.at(), Event::Completed(Ok(tokens_from(2, store.now))));
    for _ in 0..4 {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            Step::Save { .. } => Event::Saved(SaveOutcome::Conflict),
            Step::Wait(_) => break,
            step => panic!("{step:?}"),
        };
        step = keeper.resume(&store.at(), event);
    }
    keeper.abandon(&store.at());
    store.is_down = false;
    assert!(keeper.save_again());
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
}

#[test]
fn tokens_of_an_abandoned_save_are_not_seen_because_others_were() {
    let client_keeper = Keeper::new(config(), GrantId::client());
    let mut keeper = client_keeper.shared();
    let mut store = TestStore::new();
    store.is_down = true;
    let _ = store.decide(&mut keeper);
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(tokens(1)))),
        "a1"
    );
    // They are handed out unsaved, and refused when the store has failed again: others are fetched, and are being saved
    // when their host ends.
    store.now += 100;
    assert!(keeper.save_again());
    let step = keeper.resume(&store.at(), Event::Begin);
    assert!(matches!(step, Step::Save { .. }), "{step:?}");
    let step = keeper.resume(&store.at(), Event::Failed(lost_reply()));
    assert!(matches!(step, Step::Lease { .. }), "{step:?}");
    let decision = keeper.ask(store.now(), Some(&tokens(1)));
    assert!(matches!(decision, Decision::Wait), "{decision:?}");
    store.now += 100;
    let step = store.go(&mut keeper, Event::Failed(lost_reply()));
    assert!(matches!(step, Step::Run(_)), "{step:?}");
    let fresh = tokens_from(2, store.now);
    let step = keeper.resume(&store.at(), Event::Completed(Ok(fresh)));
    assert!(matches!(step, Step::Save { .. }), "{step:?}");
    keeper.abandon(&store.at());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(keeper.usable_tokens(store.now()).is_none());
}
