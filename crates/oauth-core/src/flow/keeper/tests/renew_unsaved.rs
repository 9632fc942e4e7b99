//! A store that can be read but not written, such as a file system remounted read-only.

use super::*;

/// Answers as such a store and as a server that issues these tokens.
fn run_to_outcome(
    store: &mut TestStore,
    keeper: &mut Keeper,
    event: Event,
    fresh: &mut Vec<Tokens>,
) -> Outcome {
    let mut step = keeper.resume(&store.at(), event);
    loop {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            Step::Save { .. } | Step::Lease { .. } => Event::Failed(unsent_request()),
            Step::Wait(_) => Event::Elapsed,
            Step::Run(mut exchange) => {
                let Ok(Move::Send(request)) = exchange.resume(&store.at(), Input::Begin) else {
                    panic!("nothing is sent");
                };
                let form = String::from_utf8(request.body().to_vec()).unwrap();
                store.log.push(match form {
                    _ if form.contains("refresh_token=r2") => "r2",
                    _ if form.contains("refresh_token=r3") => "r3",
                    _ => "another",
                });
                Event::Completed(fresh.pop().ok_or_else(lost_reply))
            }
            Step::Done(outcome) => return outcome,
        };
        step = keeper.resume(&store.at(), event);
    }
}

/// The store saved the marker of the first refresh and nothing after it: `a2` was returned, and only this
/// worker has `r2`.
fn keeper_with_unsaved_tokens() -> (Keeper, TestStore) {
    keeper_with_changed_unsaved_tokens(|_| ())
}

/// [`keeper_with_unsaved_tokens`], with this change to the new tokens.
fn keeper_with_changed_unsaved_tokens(change: impl FnOnce(&mut Tokens)) -> (Keeper, TestStore) {
    let mut store = TestStore::new();
    store.save_elsewhere(&Record {
        login: Some("one".to_owned()),
        renewals: Some(0),
        ..Record::from_tokens(Arc::new(tokens(1)))
    });
    let mut keeper = keeper();
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    let mut fresh = tokens_from(2, store.now);
    change(&mut fresh);
    let answer = Event::Completed(Ok(fresh));
    let outcome = run_to_outcome(&mut store, &mut keeper, answer, &mut Vec::new());
    assert_eq!(access_of_outcome(outcome), "a2");
    assert!(!keeper.is_stored());
    assert!(keeper.last_error().is_some());
    store.log.clear();
    (keeper, store)
}

#[test]
fn unsaved_tokens_are_used_for_the_next_refresh_and_saved_later() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    for (number, sent) in [(3, "r2"), (4, "r3")] {
        // Meanwhile the host keeps trying to store them.
        while store.now < START + 601 * u64::from(number - 1) {
            store.now += 30;
            if keeper.save_again() {
                let _ = run_to_outcome(&mut store, &mut keeper, Event::Begin, &mut Vec::new());
            }
        }
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let mut fresh = vec![tokens_from(number, store.now)];
        let outcome = run_to_outcome(&mut store, &mut keeper, Event::Begin, &mut fresh);
        assert_eq!(access_of_outcome(outcome), format!("a{number}"));
        assert_eq!(store.log, [sent]);
        store.log.clear();
        assert!(matches!(store.decide(&mut keeper), Decision::UseToken(_)));
    }
    // The store accepts them once it is writable.
    assert!(keeper.save_again());
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a4"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a4");
    assert!(keeper.is_stored() && store.record().in_flight.is_none());
}

#[test]
fn record_stored_by_another_worker_takes_precedence_over_unsaved_tokens() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    store.now += 601;
    store.save_elsewhere(&Record {
        login: Some("two".to_owned()),
        ..Record::from_tokens(Arc::new(tokens_from(7, store.now)))
    });
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = run_to_outcome(&mut store, &mut keeper, Event::Begin, &mut Vec::new());
    assert_eq!(access_of_outcome(outcome), "a7");
    assert!(store.log.is_empty(), "nothing is sent");
}

#[test]
fn lost_reply_for_an_unsaved_refresh_token_is_not_resent() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    keeper = keeper.with_policy(Policy {
        reuse: Reuse::Revokes,
        ..Policy::default()
    });
    store.now += 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = run_to_outcome(&mut store, &mut keeper, Event::Begin, &mut Vec::new());
    assert_eq!(code(outcome), "lost");
    assert_eq!(store.log, ["r2"]);
    store.now += 3600;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let mut fresh = vec![tokens_from(3, store.now)];
    run_to_outcome(&mut store, &mut keeper, Event::Begin, &mut fresh).unwrap_err();
    assert_eq!(store.log, ["r2"], "it is not sent again");
}

/// A save without a reply may still complete later.
#[test]
fn possibly_stored_refresh_token_is_not_sent_without_a_lease() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    // The host tries to store them and gets no reply.
    store.now += 90;
    assert!(keeper.save_again());
    let mut step = keeper.resume(&store.at(), Event::Begin);
    loop {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            Step::Save { .. } | Step::Lease { .. } => Event::Failed(lost_reply()),
            Step::Wait(_) => Event::Elapsed,
            Step::Run(_) => panic!("a request"),
            Step::Done(_) => break,
        };
        step = keeper.resume(&store.at(), event);
    }
    store.now += 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let mut fresh = vec![tokens_from(3, store.now)];
    run_to_outcome(&mut store, &mut keeper, Event::Begin, &mut fresh).unwrap_err();
    assert!(store.log.is_empty(), "{:?}", store.log);
}

/// Other workers have the refresh token too if the server does not rotate it.
#[test]
fn stored_refresh_token_is_not_sent_without_a_lease() {
    let (mut keeper, mut store) = keeper_with_changed_unsaved_tokens(|fresh| {
        fresh.refresh_token = tokens(1).refresh_token;
    });
    store.now += 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let mut fresh = vec![tokens_from(3, store.now)];
    run_to_outcome(&mut store, &mut keeper, Event::Begin, &mut fresh).unwrap_err();
    assert!(store.log.is_empty(), "{:?}", store.log);
}

#[test]
fn unavailable_store_prevents_a_renewal_of_unsaved_tokens() {
    let (mut keeper, mut store) = keeper_with_unsaved_tokens();
    store.now += 601;
    store.is_down = true;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        code(outcome_of(store.run(&mut keeper, Event::Begin))),
        "lost"
    );
    assert!(!store.log.contains(&"run"));
}
