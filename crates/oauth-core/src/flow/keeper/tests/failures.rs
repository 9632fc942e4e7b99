//! Renewals that fail.

use super::*;

/// A keeper whose renewal failed while its token was valid for 20 more seconds.
fn failed_renewal(reuse: Reuse, error: Error) -> (Keeper, TestStore, Outcome) {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_for(reuse);
    store.now = START + 580;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = store.renew(&mut keeper, Err(error));
    store.log.clear();
    (keeper, store, outcome)
}

#[test]
fn lost_reply_with_unknown_reuse_is_retried_after_the_token_expires() {
    let (mut keeper, mut store, outcome) = failed_renewal(Reuse::Unknown, lost_reply());
    assert_eq!(access_of_outcome(outcome), "a1");
    assert!(store.record().in_flight.is_some());
    // The first check finds that it must wait, and there is no second one before the end.
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    store.now = START + 599;
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
    store.now = START + 600;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
}

#[test]
fn lost_reply_with_unknown_reuse_is_retried_at_once_if_the_token_is_refused() {
    let (mut keeper, mut store, _) = failed_renewal(Reuse::Unknown, lost_reply());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    outcome_of(store.run(&mut keeper, Event::Begin)).unwrap();
    let decision = keeper.ask(store.now(), Some(&tokens(1)));
    assert!(matches!(decision, Decision::Renew), "{decision:?}");
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
}

#[test]
fn lost_reply_with_revoking_reuse_ends_the_grant() {
    let (mut keeper, mut store, outcome) = failed_renewal(Reuse::Revokes, lost_reply());
    assert_eq!(access_of_outcome(outcome), "a1");
    store.now = START + 600;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), "grant.outcome_unknown");
    assert_eq!(error.advice(), Advice::Reauthorize);
    // Other workers read it and do not send either.
    let mut other = keeper_for(Reuse::Unknown);
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    let outcome = outcome_of(store.run(&mut other, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
    assert!(!store.log.contains(&"run"));
}

/// For example after a configuration change since the login: other workers may still have the old configuration.
#[test]
fn locally_refused_request_leaves_the_refresh_token_usable() {
    for misuse in [
        Misuse::ResourceExceeds,
        Misuse::ScopeExceeds,
        Misuse::KeyMismatch,
        Misuse::KeyAlgorithm,
        Misuse::ProfileForbids,
        Misuse::AuthorizationDetails,
        Misuse::AssertionExpired,
        Misuse::WorkloadRefused,
    ] {
        let (_, mut store, outcome) = failed_renewal(Reuse::Revokes, misuse.into());
        assert_eq!(access_of_outcome(outcome), "a1");
        assert!(store.record().in_flight.is_none(), "{misuse:?}");
        store.now = START + 600;
        let mut other = keeper_for(Reuse::Revokes);
        assert!(matches!(store.decide(&mut other), Decision::Renew));
        let fresh = tokens_from(2, store.now);
        assert_eq!(access_of_outcome(store.renew(&mut other, Ok(fresh))), "a2");
    }
}

#[test]
fn lost_reply_with_tolerated_reuse_is_retried_at_once() {
    let (mut keeper, mut store, _) = failed_renewal(Reuse::Tolerated, lost_reply());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
}

#[test]
fn lost_reply_is_retried_at_once_if_the_server_never_rotated() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Unknown);
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    let mut same = tokens_from(2, store.now);
    same.refresh_token = tokens(1).refresh_token;
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(same))), "a2");
    assert_eq!(store.record().rotates, Some(false));
    store.now += 601;
    let _ = store.decide(&mut keeper);
    assert_eq!(code(store.renew(&mut keeper, Err(lost_reply()))), "lost");
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
}

#[test]
fn server_that_rotated_once_is_treated_as_rotating() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    for (number, rotates) in [(2, Some(true)), (3, Some(true))] {
        store.now += 601;
        let _ = store.decide(&mut keeper);
        let mut new = tokens_from(number, store.now);
        if number == 3 {
            new.refresh_token = tokens(2).refresh_token;
        }
        store.renew(&mut keeper, Ok(new)).unwrap();
        assert_eq!(store.record().rotates, rotates);
    }
}

#[test]
fn other_worker_waits_for_the_longest_request_before_resending() {
    let (_, mut store, _) = failed_renewal(Reuse::Unknown, lost_reply());
    let mut other = keeper();
    store.now = START + 601;
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    assert!(matches!(store.run(&mut other, Event::Begin), Step::Wait(_)));
    // Marked at 580; a lease, the longest request and a margin are 55 s in total.
    store.now = START + 634;
    assert!(matches!(
        store.run(&mut other, Event::Elapsed),
        Step::Wait(_)
    ));
    store.now = START + 635;
    let step = store.run(&mut other, Event::Elapsed);
    assert!(matches!(step, Step::Run(_)));
}

#[test]
fn marker_is_removed_if_the_refresh_token_was_not_spent() {
    let coded = |status: u16, code: &str| ServerError::from_status(status).with_code(code).into();
    for error in [
        unsent_request(),
        ServerError::from_status(429).into(),
        coded(503, "temporarily_unavailable"),
        coded(400, "invalid_request"),
        coded(401, "invalid_client"),
        Misuse::SignatureLength.into(),
    ] {
        let (mut keeper, mut store, outcome) = failed_renewal(Reuse::Revokes, error);
        assert_eq!(access_of_outcome(outcome), "a1");
        assert!(store.record().in_flight.is_none());
        store.now = START + 600;
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    }
}

/// Gateways fail in many ways, so the server may have processed the request.
#[test]
fn ambiguous_error_reply_keeps_the_marker() {
    let without_code = [
        400, 403, 404, 408, 413, 425, 499, 500, 501, 502, 503, 504, 520, 522, 524, 598,
    ];
    let without_code = without_code.map(ServerError::from_status).into_iter();
    let server_errors =
        [400, 500, 503].map(|status| ServerError::from_status(status).with_code("server_error"));
    let gateway = ServerError::from_status(502).with_code("temporarily_unavailable");
    let errors = without_code
        .chain(server_errors)
        .chain([gateway])
        .map(Error::from);
    for error in errors.chain([Misuse::OutOfOrder.into(), Misuse::NoClock.into()]) {
        let expected = format!("{error}");
        let (mut keeper, mut store, _) = failed_renewal(Reuse::Revokes, error);
        assert!(store.record().in_flight.is_some(), "{expected}");
        store.now = START + 700;
        assert!(
            matches!(store.decide(&mut keeper), Decision::Renew),
            "{expected}"
        );
        let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
        assert_eq!(code(outcome), "grant.outcome_unknown", "{expected}");
    }
}

#[test]
fn attempt_known_to_be_unsent_revives_a_grant_that_others_ended() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Revokes);
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    let mut step = keeper.resume(&store.at(), Event::Begin);
    let record = loop {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            Step::Save { record, .. } => break record,
            _ => Event::Leased(Lease::Won),
        };
        step = keeper.resume(&store.at(), event);
    };
    // The marker is stored, but the reply is lost.
    store.entry = Some(Entry { version: 2, record });
    let outcome = outcome_of(store.run(&mut keeper, Event::Failed(lost_reply())));
    assert_eq!(code(outcome), "lost");
    let mut other = keeper_for(Reuse::Revokes);
    store.now += 76;
    let _ = store.decide(&mut other);
    let outcome = outcome_of(store.run(&mut other, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
    assert!(store.record().ended.is_none());
}

#[test]
fn invalid_grant_does_not_end_a_grant_renewed_by_another_worker() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    store.save_elsewhere(&Record::from_tokens(Arc::new(tokens_from(2, store.now))));
    let version = store.version();
    let outcome = store.complete(&mut keeper, Err(invalid_grant()));
    assert_eq!(access_of_outcome(outcome), "a2");
    // The other worker's record is not overwritten.
    assert_eq!(store.version(), version);
    assert!(store.record().ended.is_none());
}

#[test]
fn invalid_grant_is_stored_and_ends_requests_until_a_login() {
    let (mut keeper, mut store, outcome) = failed_renewal(Reuse::Unknown, invalid_grant());
    assert_eq!(code(outcome), "denied.invalid_grant");
    let mut other = keeper_for(Reuse::Unknown);
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    let outcome = outcome_of(store.run(&mut other, Event::Begin));
    assert_eq!(code(outcome), "denied.invalid_grant");
    assert_eq!(store.log, ["load"]);
    keeper
        .replace(&store.at(), tokens_from(5, store.now))
        .unwrap();
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a5"
    );
    // The other worker learns of it within a second.
    store.now += 1;
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut other, Event::Begin))),
        "a5"
    );
}

#[test]
fn invalid_grant_is_not_reported_while_the_store_is_unavailable() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    store.is_down = true;
    let outcome = store.complete(&mut keeper, Err(invalid_grant()));
    assert_eq!(code(outcome), "lost");
}

#[test]
fn invalid_grant_is_not_reported_if_the_record_changes_before_the_save() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    let step = keeper.resume(&store.at(), Event::Completed(Err(invalid_grant())));
    assert!(matches!(step, Step::Load));
    let step = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
    assert!(matches!(step, Step::Save { .. }));
    store.save_elsewhere(&Record::from_tokens(Arc::new(tokens_from(2, store.now))));
    let outcome = outcome_of(store.run(&mut keeper, Event::Saved(SaveOutcome::Conflict)));
    assert_eq!(access_of_outcome(outcome), "a2");
}

#[test]
fn repeated_failures_back_off_and_retry_after_is_respected() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let mut attempts = Vec::new();
    for _ in 0..600 {
        if matches!(store.decide(&mut keeper), Decision::Renew) {
            attempts.push(store.now - START - 601);
            assert_eq!(
                code(store.renew(&mut keeper, Err(unsent_request()))),
                "lost.unsent"
            );
        }
        store.now += 1;
    }
    // 0, then 1, 2, 4 .. 60 s, each with up to half as much jitter.
    assert_eq!(attempts.first_chunk(), Some(&[0, 1]));
    assert!((9..=16).contains(&attempts.len()), "{attempts:?}");
    store.now += 1000;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let busy = ServerError::from_status(503).retry_after(Some(Duration::from_secs(200)));
    store.renew(&mut keeper, Err(busy.into())).unwrap_err();
    store.now += 200;
    let decision = store.decide(&mut keeper);
    assert!(matches!(&decision, Decision::Fail(error) if error.code() == "denied.busy"));
    store.now += 1;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
}

#[test]
fn abandoned_request_counts_as_sent_and_abandoned_marker_does_not() {
    let mut store = TestStore::with(tokens(1));
    store.now = START + 601;
    let mut keeper = keeper_for(Reuse::Revokes);
    let _ = store.decide(&mut keeper);
    let mut step = keeper.resume(&store.at(), Event::Begin);
    while !matches!(step, Step::Save { .. }) {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            _ => Event::Leased(Lease::Won),
        };
        step = keeper.resume(&store.at(), event);
    }
    let Step::Save { record, .. } = step else {
        panic!("no mark");
    };
    store.entry = Some(Entry { version: 2, record });
    keeper.abandon(&store.at());
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    keeper.abandon(&store.at());
    let _ = store.decide(&mut keeper);
    let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
}

#[test]
fn stored_end_with_a_nonfinal_error_code_is_ignored() {
    let mut store = TestStore::new();
    store.save_elsewhere(&Record {
        ended: Some(record::GrantEnd::Refused("login_required".to_owned())),
        ..Record::from_tokens(Arc::new(tokens(1)))
    });
    let mut keeper = keeper();
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
}

#[test]
fn one_unrotated_refresh_does_not_prove_that_a_revoking_server_never_rotates() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Revokes);
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    let mut same = tokens_from(2, store.now);
    same.refresh_token = tokens(1).refresh_token;
    store.renew(&mut keeper, Ok(same)).unwrap();
    store.now += 601;
    let _ = store.decide(&mut keeper);
    assert_eq!(code(store.renew(&mut keeper, Err(lost_reply()))), "lost");
    assert!(store.record().in_flight.is_some());
    let _ = store.decide(&mut keeper);
    let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
}

fn busy_error(seconds: u64) -> Error {
    let pause = Some(Duration::from_secs(seconds));
    Error::from(ServerError::from_status(503).retry_after(pause))
}

/// A pause requested from one worker applies to all.
#[test]
fn retry_after_is_shared_with_all_workers_through_the_store() {
    let client_keeper = || Keeper::new(config(), GrantId::client()).shared();
    let kinds: [fn() -> Keeper; 2] = [|| keeper_for(Reuse::Unknown), client_keeper];
    for (kind, make) in kinds.into_iter().enumerate() {
        let mut store = match kind {
            0 => TestStore::with(tokens(1)),
            _ => TestStore::of(GrantId::client()),
        };
        store.now = START + 700;
        let mut first = make();
        let _ = store.decide(&mut first);
        let outcome = store.renew(&mut first, Err(busy_error(40)));
        assert_eq!(code(outcome), "denied.busy");
        let mut worker = make();
        for now in [START + 705, START + 740] {
            store.now = now;
            match store.decide(&mut worker) {
                Decision::Renew => {
                    let error = outcome_of(store.run(&mut worker, Event::Begin)).unwrap_err();
                    let rest = error.advice().after().unwrap();
                    assert_eq!((error.code(), rest.as_secs()), ("denied.busy", 36));
                }
                Decision::Fail(error) => assert_eq!(error.code(), "denied.busy"),
                decision => panic!("{decision:?}"),
            }
        }
        // A worker with a cached record reads the store first.
        store.now = START + 741;
        assert!(matches!(store.decide(&mut worker), Decision::Renew));
        if kind == 0 {
            // The server may have processed the request.
            let step = store.run(&mut worker, Event::Begin);
            assert!(matches!(step, Step::Wait(_)));
            store.now = START + 755;
            let step = store.run(&mut worker, Event::Elapsed);
            assert!(matches!(step, Step::Run(_)));
        } else {
            assert!(matches!(store.run(&mut worker, Event::Begin), Step::Run(_)));
        }
        let fresh = tokens_from(2, store.now);
        assert_eq!(
            access_of_outcome(store.complete(&mut worker, Ok(fresh))),
            "a2"
        );
        assert!(store.record().pause.is_none());
    }
}

#[test]
fn pause_stored_by_a_fast_clock_ends_in_time() {
    let mut store = TestStore::with(tokens(1));
    let mut first = keeper_for(Reuse::Tolerated);
    store.now = START + 7200;
    let _ = store.decide(&mut first);
    store.renew(&mut first, Err(busy_error(60))).unwrap_err();
    let mut worker = keeper_for(Reuse::Tolerated);
    store.now = START + 700;
    let _ = store.decide(&mut worker);
    let outcome = outcome_of(store.run(&mut worker, Event::Begin));
    assert_eq!(code(outcome), "denied.busy");
    store.now += 61;
    assert!(matches!(store.decide(&mut worker), Decision::Renew));
    assert!(matches!(store.run(&mut worker, Event::Begin), Step::Run(_)));
}

#[test]
fn stored_pause_does_not_withhold_a_valid_token() {
    let (_, mut store, outcome) = failed_renewal(Reuse::Unknown, busy_error(60));
    assert_eq!(access_of_outcome(outcome), "a1");
    let mut other = keeper();
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut other, Event::Begin))),
        "a1"
    );
    assert!(!store.log.contains(&"run"));
}

#[test]
fn unsent_attempt_is_remembered_after_the_next_renewal() {
    let mut keeper = keeper_for(Reuse::Revokes);
    let mut store = TestStore::with(tokens(1));
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let Step::Run(_) = store.run(&mut keeper, Event::Begin) else {
        panic!("no request");
    };
    let entry_with_marker = store.entry.clone().unwrap();
    let unsent = Error::lost(Cause::unsent("no connection"));
    assert!(store.complete(&mut keeper, Err(unsent)).is_err());
    store.now += 5;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let mut fresh = tokens_from(2, store.now);
    fresh.refresh_token = tokens(1).refresh_token;
    store.renew(&mut keeper, Ok(fresh)).unwrap();
    // The store loses that, and another worker restores its record with the marker.
    let version = store.version() + 1;
    let record = entry_with_marker.record;
    store.entry = Some(Entry { version, record });
    store.now += 1200;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(tokens_from(3, store.now)))),
        "a3"
    );
}
