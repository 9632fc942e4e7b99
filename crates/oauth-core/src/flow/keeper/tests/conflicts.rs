//! Stores that report conflicts, and hosts that stop meanwhile.

use super::storing::keeper_with_unsaved_tokens;
use super::*;

/// With a store that always reports a conflict: the number of saves, the pauses in between, and
/// the outcome.
fn resume_with_conflicts(
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
fn repeated_store_conflicts_are_retried_with_growing_pauses_and_then_reported() {
    let check_pauses = |(saves, pauses, outcome): (usize, Vec<u64>, Outcome)| {
        assert_eq!((saves, pauses.len()), (9, 7), "{pauses:?}");
        for (number, pause) in pauses.iter().enumerate() {
            let expected_pause = 25 << number;
            assert!(
                (expected_pause / 2..=expected_pause * 3 / 2).contains(pause),
                "{pauses:?}"
            );
        }
        outcome
    };
    // Saving a marker.
    let mut store = TestStore::with(tokens(1));
    let mut keeper_of_mark = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper_of_mark);
    let outcome = check_pauses(resume_with_conflicts(
        &mut store,
        &mut keeper_of_mark,
        Event::Begin,
    ));
    let error = outcome.unwrap_err();
    assert_eq!(
        (error.code(), error.endpoint()),
        ("store.conflict", Some("store"))
    );
    assert!(matches!(error.advice(), Advice::Retry { .. }));
    assert!(!keeper_of_mark.is_busy());
    // New tokens, which no other worker has, are returned unsaved and stored later.
    let mut store = TestStore::with(tokens(1));
    let mut keeper_of_tokens = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper_of_tokens);
    let step = store.run(&mut keeper_of_tokens, Event::Begin);
    assert!(matches!(step, Step::Run(_)));
    let fresh = Event::Completed(Ok(tokens_from(2, store.now)));
    let outcome = check_pauses(resume_with_conflicts(
        &mut store,
        &mut keeper_of_tokens,
        fresh,
    ));
    assert_eq!(access_of_outcome(outcome), "a2");
    assert!(!keeper_of_tokens.is_stored());
    store.now += 60;
    assert!(keeper_of_tokens.save_again());
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper_of_tokens, Event::Begin))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
    // Saving a login.
    let mut store = TestStore::with(tokens(1));
    let mut keeper_of_login = keeper();
    keeper_of_login.replace(&store.at(), tokens(5)).unwrap();
    assert!(keeper_of_login.save_again());
    let outcome = check_pauses(resume_with_conflicts(
        &mut store,
        &mut keeper_of_login,
        Event::Begin,
    ));
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
    let step = store.run(&mut keeper_of_end, Event::Begin);
    assert!(matches!(step, Step::Run(_)));
    let ended = Event::Completed(Err(invalid_grant()));
    let outcome = check_pauses(resume_with_conflicts(&mut store, &mut keeper_of_end, ended));
    assert_eq!(code(outcome), "store.conflict");
}

#[test]
fn tokens_whose_save_is_abandoned_during_a_conflict_are_stored_later() {
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
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
}

#[test]
fn tokens_of_an_abandoned_save_are_not_returned_after_earlier_unsaved_ones() {
    let client_keeper = Keeper::new(config(), GrantId::client());
    let mut keeper = client_keeper.shared();
    let mut store = TestStore::new();
    store.is_down = true;
    let _ = store.decide(&mut keeper);
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(tokens(1)))),
        "a1"
    );
    // They are returned unsaved and then refused while the store fails again; new tokens are being saved
    // when their host stops.
    store.now += 100;
    assert!(keeper.save_again());
    let step = keeper.resume(&store.at(), Event::Begin);
    assert!(matches!(step, Step::Save { .. }), "{step:?}");
    let step = keeper.resume(&store.at(), Event::Failed(lost_reply()));
    assert!(matches!(step, Step::Lease { .. }), "{step:?}");
    let decision = keeper.ask(store.now(), Some(&tokens(1)));
    assert!(matches!(decision, Decision::Wait), "{decision:?}");
    store.now += 100;
    let step = store.run(&mut keeper, Event::Failed(lost_reply()));
    assert!(matches!(step, Step::Run(_)), "{step:?}");
    let fresh = tokens_from(2, store.now);
    let step = keeper.resume(&store.at(), Event::Completed(Ok(fresh)));
    assert!(matches!(step, Step::Save { .. }), "{step:?}");
    keeper.abandon(&store.at());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(keeper.usable_tokens(store.now()).is_none());
}
