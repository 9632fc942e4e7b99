//! Stores that fail, and saves of logins.

use super::*;

#[test]
fn unavailable_store_does_not_withhold_a_valid_token() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.is_down = true;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        code(outcome_of(store.run(&mut keeper, Event::Begin))),
        "lost"
    );
    store.is_down = false;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    store.is_down = true;
    store.now = START + 590;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
}

#[test]
fn lease_is_released_if_the_reply_was_lost() {
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

/// New tokens, and a store that has failed.
pub(super) fn keeper_with_unsaved_tokens() -> (Keeper, TestStore) {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    store.is_down = true;
    store.log.clear();
    (keeper, store)
}

#[test]
fn tokens_are_returned_after_five_failed_saves_and_stored_later() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    let fresh = tokens_from(2, store.now);
    let mut step = store.run(&mut keeper, Event::Completed(Ok(fresh)));
    let mut pauses = Vec::new();
    while let Step::Wait(pause) = step {
        pauses.push(pause.as_millis());
        step = store.run(&mut keeper, Event::Elapsed);
    }
    assert_eq!(pauses, [200, 400, 800, 1600]);
    assert_eq!(access_of_outcome(outcome_of(step)), "a2");
    // Five saves and the lease release.
    assert_eq!(store.log.len(), 6);
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a1");
    store.is_down = false;
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a2");
}

#[test]
fn tokens_of_an_abandoned_save_are_stored_before_they_are_returned() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    let fresh = tokens_from(2, store.now);
    let step = store.run(&mut keeper, Event::Completed(Ok(fresh)));
    assert!(matches!(step, Step::Wait(_)));
    keeper.abandon(&store.at());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(
        store.run(&mut keeper, Event::Begin),
        Step::Wait(_)
    ));
    store.is_down = false;
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Elapsed))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
}

#[test]
fn tokens_that_expire_before_they_are_stored_are_renewed() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    let fresh = tokens_from(2, store.now);
    let _ = store.run(&mut keeper, Event::Completed(Ok(fresh)));
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
fn record_of_another_grant_is_refused_and_left_unchanged() {
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
        naming::grant_requesting(&[("resource", "https://api.example")]),
        person().with_dpop_jkt("thumb"),
    ] {
        let mut store = stranger(id);
        let mut keeper = keeper();
        let _ = store.decide(&mut keeper);
        let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
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
    let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "stored.issuer");
}

#[test]
fn login_replaces_the_stored_record() {
    // Regardless of the order in which it is built.
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
            access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
            "a5"
        );
        assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a5");
        assert_eq!(access_of_decision(store.decide(&mut keeper)), "a5");
    }
}

#[test]
fn stale_login_is_stored_and_renewed() {
    let mut store = TestStore::new();
    let mut keeper = keeper().with_tokens(&store.at(), tokens(1)).unwrap();
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
}

#[test]
fn login_during_a_renewal_is_stored_after_it() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
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
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a5"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a5");
}

#[test]
fn possibly_saved_login_does_not_replace_its_renewed_successor() {
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
    // The tokens are stored, but the reply is lost; another worker renews them.
    store.entry = Some(Entry { version: 2, record });
    assert_eq!(
        access_of_outcome(outcome_of(
            store.run(&mut keeper, Event::Failed(lost_reply()))
        )),
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
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a6"
    );
    assert_eq!(store.version(), 3);
}

#[test]
fn empty_store_is_read_again_after_one_second() {
    let mut store = TestStore::new();
    let mut keeper = keeper();
    for _ in 0..5 {
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
        assert_eq!(code(outcome), "grant.no_refresh_token");
        assert!(matches!(store.decide(&mut keeper), Decision::Fail(_)));
        store.now += 1;
    }
    store.save_elsewhere(&Record::from_tokens(Arc::new(tokens(1))));
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
}

#[test]
fn unsaved_tokens_are_stored_by_background_retries() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    assert_eq!(keeper.retry_after(store.now()), None);
    let fresh = tokens_from(2, store.now);
    let mut step = store.run(&mut keeper, Event::Completed(Ok(fresh)));
    while let Step::Wait(_) = step {
        step = store.run(&mut keeper, Event::Elapsed);
    }
    assert_eq!(access_of_outcome(outcome_of(step)), "a2");
    // The store is down for ten minutes, and the tokens have expired when it comes back.
    let (since, mut tries) = (store.now, 0);
    while let Some(pause) = keeper.retry_after(store.now()) {
        assert!((1..=90).contains(&pause.as_secs()), "{pause:?}");
        store.now += pause.as_secs();
        store.is_down = store.now < since + 601;
        store.log.clear();
        assert!(keeper.save_again());
        assert!(!keeper.save_again());
        let _ = outcome_of(store.run(&mut keeper, Event::Begin));
        tries += 1;
    }
    assert!((10..30).contains(&tries), "{tries}");
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
    // No caller has requested new tokens.
    assert_eq!(store.log, ["save", "release"]);
    assert!(!keeper.save_again());
}

#[test]
fn caller_gets_renewed_tokens_if_the_tokens_being_saved_have_expired() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    let fresh = tokens_from(2, store.now);
    let _ = store.run(&mut keeper, Event::Completed(Ok(fresh)));
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
fn unsaved_login_is_stored_by_background_retries() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.is_down = true;
    keeper.replace(&store.at(), tokens(5)).unwrap();
    assert!(keeper.save_again());
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a5"
    );
    store.now += 601;
    store.is_down = false;
    store.log.clear();
    assert!(keeper.retry_after(store.now()).is_some() && keeper.save_again());
    let _ = outcome_of(store.run(&mut keeper, Event::Begin));
    assert_eq!(store.log, ["load", "save"]);
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a5");
}

#[test]
fn renewal_that_needs_no_lease_continues_without_the_store() {
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
    // The result is stored once the store is available again.
    store.is_down = false;
    assert!(keeper.save_again());
    outcome_of(store.run(&mut keeper, Event::Begin)).unwrap();
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
            access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
            "a1"
        );
        store.is_down = true;
        // While the token is valid, no renewal is needed.
        store.now = START + 580;
        let _ = store.decide(&mut keeper);
        assert_eq!(
            access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
            "a1"
        );
        store.now = START + 700;
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let step = store.run(&mut keeper, Event::Begin);
        if is_sent {
            assert!(matches!(step, Step::Run(_)), "{step:?}")
        } else {
            assert_eq!(code(outcome_of(step)), "lost")
        }
    }
}

#[test]
fn store_refusal_is_reported_even_if_no_lease_is_needed() {
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
        assert_eq!(code(outcome_of(step)), expected);
    }
}
