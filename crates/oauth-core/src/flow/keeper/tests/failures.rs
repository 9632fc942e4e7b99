//! Requests that bring no tokens.

use super::*;

/// A keeper whose renewal began while its token was good for 20 seconds more, and failed.
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
fn lost_and_unknown_the_old_token_is_used_and_sent_again_after_its_expiry() {
    let (mut keeper, mut store, outcome) = failed_renewal(Reuse::Unknown, lost_reply());
    assert_eq!(access_of_outcome(outcome), "a1");
    assert!(store.record().in_flight.is_some());
    // The first check finds that it must wait, and there is no second one before the end.
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
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
fn lost_and_unknown_a_refused_token_is_no_reason_to_wait() {
    let (mut keeper, mut store, _) = failed_renewal(Reuse::Unknown, lost_reply());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    over(store.go(&mut keeper, Event::Begin)).unwrap();
    let decision = keeper.ask(store.now(), Some(&tokens(1)));
    assert!(matches!(decision, Decision::Renew), "{decision:?}");
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
}

#[test]
fn lost_and_revoking_the_token_is_never_sent_again() {
    let (mut keeper, mut store, outcome) = failed_renewal(Reuse::Revokes, lost_reply());
    assert_eq!(access_of_outcome(outcome), "a1");
    store.now = START + 600;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = over(store.go(&mut keeper, Event::Begin));
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), "grant.outcome_unknown");
    assert_eq!(error.advice(), Advice::Reauthorize);
    // Others read it, and do not send either.
    let mut other = keeper_for(Reuse::Unknown);
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    let outcome = over(store.go(&mut other, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
    assert!(!store.log.contains(&"run"));
}

/// As when what a program is configured with has changed since the login: other workers may still have what it takes.
#[test]
fn a_request_that_was_refused_before_it_was_written_has_spent_nothing() {
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
fn lost_and_tolerated_it_is_sent_again_at_once() {
    let (mut keeper, mut store, _) = failed_renewal(Reuse::Tolerated, lost_reply());
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
}

#[test]
fn lost_where_the_server_never_replaced_a_token_it_is_sent_again_at_once() {
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
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
}

#[test]
fn a_server_that_once_replaced_a_token_is_one_that_does() {
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
fn another_worker_waits_for_the_longest_request_before_it_sends_the_token_again() {
    let (_, mut store, _) = failed_renewal(Reuse::Unknown, lost_reply());
    let mut other = keeper();
    store.now = START + 601;
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    assert!(matches!(store.go(&mut other, Event::Begin), Step::Wait(_)));
    // Marked at 580; a lease, the longest request and a margin are 55 s.
    store.now = START + 634;
    assert!(matches!(
        store.go(&mut other, Event::Elapsed),
        Step::Wait(_)
    ));
    store.now = START + 635;
    assert!(matches!(store.go(&mut other, Event::Elapsed), Step::Run(_)));
}

#[test]
fn unsent_the_marker_is_removed() {
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
        assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
    }
}

/// Gateways fail in many ways, and the server may have processed the request.
#[test]
fn a_reply_that_does_not_prove_it_may_have_spent_the_token() {
    let bare = [
        400, 403, 404, 408, 413, 425, 499, 500, 501, 502, 503, 504, 520, 522, 524, 598,
    ];
    let bare = bare.map(ServerError::from_status).into_iter();
    let fallen =
        [400, 500, 503].map(|status| ServerError::from_status(status).with_code("server_error"));
    let gateway = ServerError::from_status(502).with_code("temporarily_unavailable");
    let errors = bare.chain(fallen).chain([gateway]).map(Error::from);
    for error in errors.chain([Misuse::OutOfOrder.into(), Misuse::NoClock.into()]) {
        let expected = format!("{error}");
        let (mut keeper, mut store, _) = failed_renewal(Reuse::Revokes, error);
        assert!(store.record().in_flight.is_some(), "{expected}");
        store.now = START + 700;
        assert!(
            matches!(store.decide(&mut keeper), Decision::Renew),
            "{expected}"
        );
        let outcome = over(store.go(&mut keeper, Event::Begin));
        assert_eq!(code(outcome), "grant.outcome_unknown", "{expected}");
    }
}

#[test]
fn an_attempt_known_to_be_unsent_is_not_the_end_whatever_others_made_of_it() {
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
    // The marker is stored, but the answer is lost.
    store.entry = Some(Entry { version: 2, record });
    let outcome = over(store.go(&mut keeper, Event::Failed(lost_reply())));
    assert_eq!(code(outcome), "lost");
    let mut other = keeper_for(Reuse::Revokes);
    store.now += 76;
    let _ = store.decide(&mut other);
    let outcome = over(store.go(&mut other, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
    assert!(store.record().ended.is_none());
}

#[test]
fn an_invalid_grant_is_the_end_only_if_no_other_has_a_newer_token() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
    store.save_elsewhere(&Record::from_tokens(Arc::new(tokens_from(2, store.now))));
    let version = store.version();
    let outcome = store.complete(&mut keeper, Err(invalid_grant()));
    assert_eq!(access_of_outcome(outcome), "a2");
    // The other worker's record is not overwritten.
    assert_eq!(store.version(), version);
    assert!(store.record().ended.is_none());
}

#[test]
fn an_invalid_grant_is_stored_and_asked_for_no_more_until_a_login() {
    let (mut keeper, mut store, outcome) = failed_renewal(Reuse::Unknown, invalid_grant());
    assert_eq!(code(outcome), "denied.invalid_grant");
    let mut other = keeper_for(Reuse::Unknown);
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    let outcome = over(store.go(&mut other, Event::Begin));
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
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a5"
    );
    // Not later than after a second, the other knows.
    store.now += 1;
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    assert_eq!(
        access_of_outcome(over(store.go(&mut other, Event::Begin))),
        "a5"
    );
}

#[test]
fn nobody_is_told_to_log_in_while_the_store_is_silent() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
    store.is_down = true;
    let outcome = store.complete(&mut keeper, Err(invalid_grant()));
    assert_eq!(code(outcome), "lost");
}

#[test]
fn nobody_is_told_to_log_in_if_the_record_changed_at_the_last_moment() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
    let step = keeper.resume(&store.at(), Event::Completed(Err(invalid_grant())));
    assert!(matches!(step, Step::Load));
    let step = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
    assert!(matches!(step, Step::Save { .. }));
    store.save_elsewhere(&Record::from_tokens(Arc::new(tokens_from(2, store.now))));
    let outcome = over(store.go(&mut keeper, Event::Saved(SaveOutcome::Conflict)));
    assert_eq!(access_of_outcome(outcome), "a2");
}

#[test]
fn failures_in_a_row_hold_back_and_a_named_pause_is_kept() {
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
    // 0, then 1, 2, 4 .. 60 s, each with up to half as much by chance.
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
fn an_abandoned_request_may_have_been_sent_and_an_abandoned_marker_was_not() {
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
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
    keeper.abandon(&store.at());
    let _ = store.decide(&mut keeper);
    let outcome = over(store.go(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
}

#[test]
fn another_refusal_that_was_stored_as_an_end_is_none() {
    let mut store = TestStore::new();
    store.save_elsewhere(&Record {
        ended: Some(record::GrantEnd::Refused("login_required".to_owned())),
        ..Record::from_tokens(Arc::new(tokens(1)))
    });
    let mut keeper = keeper();
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a1"
    );
}

#[test]
fn lost_and_revoking_one_token_that_was_not_replaced_proves_nothing() {
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
    let outcome = over(store.go(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
}

fn busy(seconds: u64) -> Error {
    let pause = Some(Duration::from_secs(seconds));
    Error::from(ServerError::from_status(503).retry_after(pause))
}

/// What is asked of one worker means all.
#[test]
fn a_pause_that_the_server_names_is_kept_by_all() {
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
        let outcome = store.renew(&mut first, Err(busy(40)));
        assert_eq!(code(outcome), "denied.busy");
        let mut worker = make();
        for now in [START + 705, START + 740] {
            store.now = now;
            match store.decide(&mut worker) {
                Decision::Renew => {
                    let error = over(store.go(&mut worker, Event::Begin)).unwrap_err();
                    let rest = error.advice().after().unwrap();
                    assert_eq!((error.code(), rest.as_secs()), ("denied.busy", 36));
                }
                Decision::Fail(error) => assert_eq!(error.code(), "denied.busy"),
                decision => panic!("{decision:?}"),
            }
        }
        // Whoever knew the record before looks first.
        store.now = START + 741;
        assert!(matches!(store.decide(&mut worker), Decision::Renew));
        if kind == 0 {
            // The server may have processed the request.
            assert!(matches!(store.go(&mut worker, Event::Begin), Step::Wait(_)));
            store.now = START + 755;
            assert!(matches!(
                store.go(&mut worker, Event::Elapsed),
                Step::Run(_)
            ));
        } else {
            assert!(matches!(store.go(&mut worker, Event::Begin), Step::Run(_)));
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
fn a_pause_that_was_named_to_a_clock_ahead_ends_in_time() {
    let mut store = TestStore::with(tokens(1));
    let mut first = keeper_for(Reuse::Tolerated);
    store.now = START + 7200;
    let _ = store.decide(&mut first);
    store.renew(&mut first, Err(busy(60))).unwrap_err();
    let mut worker = keeper_for(Reuse::Tolerated);
    store.now = START + 700;
    let _ = store.decide(&mut worker);
    let outcome = over(store.go(&mut worker, Event::Begin));
    assert_eq!(code(outcome), "denied.busy");
    store.now += 61;
    assert!(matches!(store.decide(&mut worker), Decision::Renew));
    assert!(matches!(store.go(&mut worker, Event::Begin), Step::Run(_)));
}

#[test]
fn a_pause_does_not_take_a_good_token_away() {
    let (_, mut store, outcome) = failed_renewal(Reuse::Unknown, busy(60));
    assert_eq!(access_of_outcome(outcome), "a1");
    let mut other = keeper();
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    assert_eq!(
        access_of_outcome(over(store.go(&mut other, Event::Begin))),
        "a1"
    );
    assert!(!store.log.contains(&"run"));
}

#[test]
fn an_attempt_that_came_to_nothing_is_remembered_over_the_next_renewal() {
    let mut keeper = keeper_for(Reuse::Revokes);
    let mut store = TestStore::with(tokens(1));
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let Step::Run(_) = store.go(&mut keeper, Event::Begin) else {
        panic!("no request");
    };
    let marked = store.entry.clone().unwrap();
    let unsent = Error::lost(Cause::unsent("no connection"));
    assert!(store.complete(&mut keeper, Err(unsent)).is_err());
    store.now += 5;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let mut fresh = tokens_from(2, store.now);
    fresh.refresh_token = tokens(1).refresh_token;
    store.renew(&mut keeper, Ok(fresh)).unwrap();
    // The store loses that, and another worker puts back what it knew, with the marker.
    let version = store.version() + 1;
    let record = marked.record;
    store.entry = Some(Entry { version, record });
    store.now += 1200;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(tokens_from(3, store.now)))),
        "a3"
    );
}
