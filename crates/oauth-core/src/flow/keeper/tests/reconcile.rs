//! Records that were removed, and records that were lost.

use super::*;
use crate::flow::keeper::record::GrantEnd;

const DAY: u64 = 24 * 3600;

/// The tokens of a login, and their renewals.
fn of(login: &str, number: u32, received_at: u64) -> Record {
    Record {
        login: Some(login.to_owned()),
        ..Record::from_tokens(Arc::new(tokens_from(number, received_at)))
    }
}

/// A worker that has read the record.
fn worker(store: &mut TestStore) -> Keeper {
    let mut keeper = keeper();
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    outcome_of(store.run(&mut keeper, Event::Begin)).unwrap();
    keeper
}

fn stored_entry(record: &Record) -> TestStore {
    let mut store = TestStore::new();
    store.save_elsewhere(record);
    store
}

fn in_store(store: &TestStore) -> (Option<String>, String) {
    let record = store.record();
    let tokens = record.tokens.clone().unwrap();
    (record.login, access(&tokens).to_owned())
}

#[test]
fn worker_with_the_old_login_takes_the_new_one_after_a_logout() {
    let mut store = stored_entry(&of("one", 1, START));
    let mut keeper = worker(&mut store);
    store.remove();
    store.save_elsewhere(&of("two", 7, START + 100));
    // The API refuses the old token.
    store.now = START + 200;
    let decision = keeper.ask(store.now(), Some(&tokens(1)));
    assert!(matches!(decision, Decision::Renew), "{decision:?}");
    store.log.clear();
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a7"
    );
    assert_eq!(store.log, ["load"]);
}

#[test]
fn renewal_sent_before_a_logout_is_not_stored_after_it() {
    for login in [None, Some("two")] {
        let mut store = stored_entry(&of("one", 1, START));
        let mut keeper = worker(&mut store);
        store.now = START + 601;
        let _ = store.decide(&mut keeper);
        assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
        store.remove();
        if let Some(login) = login {
            store.save_elsewhere(&of(login, 7, store.now));
        }
        let late = tokens_from(2, store.now);
        let outcome = store.complete(&mut keeper, Ok(late));
        match login {
            Some(login) => {
                assert_eq!(access_of_outcome(outcome), "a7");
                assert_eq!(in_store(&store), (Some(login.to_owned()), "a7".to_owned()));
            }
            None => {
                assert_eq!(code(outcome), "lost");
                assert!(store.entry.as_ref().unwrap().is_removed());
            }
        }
    }
}

#[test]
fn removed_record_leaves_the_worker_without_a_token() {
    let mut store = stored_entry(&of("one", 1, START));
    let mut keeper = worker(&mut store);
    store.remove();
    store.now = START + 511;
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.no_refresh_token");
    let decision = store.decide(&mut keeper);
    let error = "grant.no_refresh_token";
    assert!(
        matches!(&decision, Decision::Fail(reason) if reason.code() == error),
        "{decision:?}"
    );
    assert!(store.entry.as_ref().unwrap().is_removed());
}

#[test]
fn login_replaces_a_removed_record() {
    let mut store = stored_entry(&of("one", 1, START));
    store.remove();
    let mut keeper = keeper().with_tokens(&store.at(), tokens(5)).unwrap();
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a5"
    );
    assert_eq!(store.version(), 3);
}

/// A worker has renewed, and the store has lost the result.
fn keeper_after_lost_save(
    remaining: impl FnOnce(&TestStore) -> Option<Entry>,
) -> (Keeper, TestStore) {
    let mut store = stored_entry(&of("one", 1, START));
    let mut keeper = worker(&mut store);
    let remaining = remaining(&store);
    for number in [2, 3] {
        store.now += 601;
        let _ = store.decide(&mut keeper);
        let fresh = tokens_from(number, store.now);
        store.renew(&mut keeper, Ok(fresh)).unwrap();
    }
    store.lose(remaining);
    store.log.clear();
    (keeper, store)
}

#[test]
fn worker_restores_tokens_that_the_store_has_lost() {
    let remaining_entries: [fn(&TestStore) -> Option<Entry>; 2] =
        [|store| store.entry.clone(), |_| None];
    for what in remaining_entries {
        let (mut keeper, mut store) = keeper_after_lost_save(what);
        store.now += 511;
        assert!(matches!(
            store.decide(&mut keeper),
            Decision::UseAndRenew(_)
        ));
        assert_eq!(
            access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
            "a3"
        );
        assert_eq!(in_store(&store), (Some("one".to_owned()), "a3".to_owned()));
        assert_eq!(store.log, ["load", "save", "release"]);
    }
}

#[test]
fn marker_of_an_unsent_request_stays_ignored_after_being_restored() {
    let mut store = stored_entry(&of("one", 1, START));
    let mut keeper = keeper_for(Reuse::Revokes);
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    // The marker is stored, but the reply is lost: nothing is sent.
    let mut step = keeper.resume(&store.at(), Event::Begin);
    loop {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            Step::Save {
                record, version, ..
            } => {
                store.save(record, version);
                break;
            }
            _ => Event::Leased(Lease::Won),
        };
        step = keeper.resume(&store.at(), event);
    }
    let outcome = outcome_of(store.run(&mut keeper, Event::Failed(lost_reply())));
    assert_eq!(code(outcome), "lost");
    store.is_held = true;
    store.now += 1;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(
        store.run(&mut keeper, Event::Begin),
        Step::Wait(_)
    ));
    store.lose(None);
    store.is_held = false;
    let step = store.run(&mut keeper, Event::Elapsed);
    assert!(matches!(step, Step::Run(_)), "{step:?}");
}

#[test]
fn ended_grant_keeps_its_reason_after_the_store_loses_the_record() {
    let mut store = TestStore::with(tokens(1));
    let mut ended_keeper = keeper_for(Reuse::Revokes);
    store.now = START + 601;
    let _ = store.decide(&mut ended_keeper);
    assert!(matches!(
        store.run(&mut ended_keeper, Event::Begin),
        Step::Run(_)
    ));
    // The result of the request is never known.
    store.now = START + 700;
    let mut keeper = keeper_for(Reuse::Revokes);
    let _ = store.decide(&mut keeper);
    let mut step = keeper.resume(&store.at(), Event::Begin);
    loop {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            Step::Lease { .. } => Event::Leased(Lease::Won),
            Step::Save { .. } => break,
            step => panic!("not the end of the grant but {step:?}"),
        };
        step = keeper.resume(&store.at(), event);
    }
    store.lose(None);
    let outcome = outcome_of(store.run(&mut keeper, Event::Saved(SaveOutcome::Conflict)));
    assert_eq!(code(outcome), "grant.outcome_unknown");
    assert_eq!(store.record().ended, Some(GrantEnd::OutcomeUnknown));
}

#[test]
fn newest_refresh_token_is_sent_after_the_store_has_lost_records() {
    let (mut keeper, mut store) = keeper_after_lost_save(|store| store.entry.clone());
    store.now += 601;
    let _ = store.decide(&mut keeper);
    let request = store.renewal_request(&mut keeper);
    assert!(String::from_utf8_lossy(request.body()).contains("refresh_token=r3"));
}

#[test]
fn worker_restores_a_marker_that_the_store_has_lost() {
    let mut store = stored_entry(&of("one", 1, START));
    let before = store.entry.clone();
    let mut keeper = worker(&mut store);
    store.now = START + 580;
    let _ = store.decide(&mut keeper);
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Err(lost_reply()))),
        "a1"
    );
    store.lose(before);
    let _ = store.decide(&mut keeper);
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    assert!(store.record().in_flight.is_some());
}

#[test]
fn new_tokens_are_stored_even_if_the_store_has_lost_the_previous_ones() {
    let remaining_entries: [fn(&TestStore) -> Option<Entry>; 2] =
        [|store| store.entry.clone(), |_| None];
    for what in remaining_entries {
        let (mut keeper, mut store) = keeper_after_lost_save(what);
        let remaining = store.entry.clone();
        store.now += 601;
        let _ = store.decide(&mut keeper);
        assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
        store.lose(remaining);
        let fresh = tokens_from(4, store.now);
        assert_eq!(
            access_of_outcome(store.complete(&mut keeper, Ok(fresh))),
            "a4"
        );
        assert_eq!(in_store(&store), (Some("one".to_owned()), "a4".to_owned()));
    }
}

#[test]
fn record_missing_after_thirty_days_is_treated_as_removed() {
    let (mut keeper, mut store) = keeper_after_lost_save(|_| None);
    store.now += 30 * DAY;
    let _ = store.decide(&mut keeper);
    let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.no_refresh_token");
    assert!(store.entry.is_none());
}

#[test]
fn store_with_restarted_versions_does_not_lose_a_login() {
    let (mut keeper, mut store) = keeper_after_lost_save(|_| None);
    store.now += 601;
    store.save_elsewhere(&of("two", 7, store.now));
    assert_eq!(store.version(), 1);
    let _ = store.decide(&mut keeper);
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a7"
    );
    assert_eq!(in_store(&store), (Some("two".to_owned()), "a7".to_owned()));
}

#[test]
fn older_record_is_ignored() {
    let mut store = stored_entry(&of("one", 1, START));
    let older = store.entry.clone().unwrap();
    store.save_elsewhere(&of("one", 2, START));
    let mut keeper = worker(&mut store);
    keeper.learn(&store.at(), older).unwrap();
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a2");
}

/// Some servers give the same refresh token at every login.
#[test]
fn renewal_sent_before_a_login_does_not_replace_it_with_the_same_refresh_token() {
    let mut store = stored_entry(&of("one", 1, START));
    let mut keeper = worker(&mut store);
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    let mut login = tokens_from(7, store.now);
    login.refresh_token = tokens(1).refresh_token;
    store.save_elsewhere(&Record {
        login: Some("two".to_owned()),
        ..Record::from_tokens(Arc::new(login))
    });
    let mut late = tokens_from(2, store.now + 1);
    late.refresh_token = tokens(1).refresh_token;
    assert_eq!(
        access_of_outcome(store.complete(&mut keeper, Ok(late))),
        "a7"
    );
    assert_eq!(in_store(&store), (Some("two".to_owned()), "a7".to_owned()));
}

#[test]
fn stored_tokens_of_the_same_second_and_refresh_token_are_kept() {
    let mut store = stored_entry(&of("one", 1, START));
    let mut keeper = worker(&mut store);
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    let renewed = |number| {
        let mut renewed = tokens_from(number, START + 601);
        renewed.refresh_token = tokens(1).refresh_token;
        renewed
    };
    store.save_elsewhere(&Record {
        login: Some("one".to_owned()),
        ..Record::from_tokens(Arc::new(renewed(7)))
    });
    // Other workers already use the stored tokens.
    assert_eq!(
        access_of_outcome(store.complete(&mut keeper, Ok(renewed(2)))),
        "a7"
    );
    assert_eq!(in_store(&store).1, "a7");
}

#[test]
fn possibly_saved_login_is_stored_again_if_the_store_lost_the_record() {
    let mut store = stored_entry(&of("one", 1, START));
    let mut keeper = keeper();
    keeper.replace(&store.at(), tokens(5)).unwrap();
    let _ = store.decide(&mut keeper);
    let _ = keeper.resume(&store.at(), Event::Begin);
    let _ = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
    assert_eq!(
        access_of_outcome(outcome_of(
            store.run(&mut keeper, Event::Failed(lost_reply()))
        )),
        "a5"
    );
    store.lose(None);
    store.now += 1;
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a5"
    );
    assert_eq!(in_store(&store).1, "a5");
}

#[test]
fn possibly_saved_login_is_not_stored_after_a_logout() {
    let mut store = stored_entry(&of("one", 1, START));
    store.remove();
    let mut keeper = keeper().with_tokens(&store.at(), tokens(5)).unwrap();
    let _ = store.decide(&mut keeper);
    let _ = keeper.resume(&store.at(), Event::Begin);
    let _ = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
    assert_eq!(
        access_of_outcome(outcome_of(
            store.run(&mut keeper, Event::Failed(lost_reply()))
        )),
        "a5"
    );
    store.remove();
    store.now += 1;
    let _ = store.decide(&mut keeper);
    let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.no_refresh_token");
    assert!(store.entry.as_ref().unwrap().is_removed());
}

#[test]
fn tokens_read_during_a_save_are_returned_until_it_completes() {
    let client_keeper = Keeper::new(config(), GrantId::client());
    let mut keeper = client_keeper.shared();
    let bare = |number, at| {
        let mut bare = tokens_from(number, at);
        bare.refresh_token = None;
        bare
    };
    let mut store = TestStore::of(GrantId::client());
    store.save_elsewhere(&Record::from_tokens(Arc::new(bare(1, START))));
    let _ = store.decide(&mut keeper);
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    store.now = START + 520;
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    // Another worker was faster, and the store fails after that was read.
    store.save_elsewhere(&Record::from_tokens(Arc::new(bare(2, store.now))));
    store.now += 1;
    let step = keeper.resume(&store.at(), Event::Completed(Ok(bare(3, store.now))));
    assert!(matches!(step, Step::Save { .. }), "{step:?}");
    let step = keeper.resume(&store.at(), Event::Saved(SaveOutcome::Conflict));
    assert!(matches!(step, Step::Load), "{step:?}");
    let step = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
    assert!(matches!(step, Step::Save { .. }), "{step:?}");
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a2");
    assert_eq!(
        access_of_outcome(outcome_of(
            store.run(&mut keeper, Event::Saved(SaveOutcome::At(3)))
        )),
        "a3"
    );
}
