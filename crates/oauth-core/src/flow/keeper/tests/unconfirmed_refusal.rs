//! Refresh tokens that the server refuses without ending the grant.

use super::*;

fn refusal(status: u16, code: &str) -> Error {
    ServerError::from_status(status)
        .with_code(code)
        .with_description(Some("as the server says it"), None)
        .into()
}

/// A keeper whose token was refused like this after its expiry.
fn keeper_after_refusal(error: Error) -> (Keeper, TestStore, Error) {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Revokes);
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let error = store.renew(&mut keeper, Err(error)).unwrap_err();
    store.log.clear();
    (keeper, store, error)
}

/// The error for a caller without a valid token, immediately or after reading the store.
fn error_for_caller(store: &mut TestStore, keeper: &mut Keeper) -> Option<Error> {
    match store.decide(keeper) {
        Decision::Fail(error) => Some(error),
        Decision::Renew => match store.run(keeper, Event::Begin) {
            Step::Done(outcome) => outcome.err(),
            Step::Run(_) => None,
            step => panic!("{step:?}"),
        },
        decision => panic!("{decision:?}"),
    }
}

#[test]
fn other_refusals_are_reported_with_the_servers_error_and_do_not_end_the_grant() {
    for (status, word) in [
        (400, "interaction_required"),
        (400, "login_required"),
        (400, "consent_required"),
        (401, "insufficient_user_authentication"),
        (400, "expired_token"),
        (401, "invalid_client"),
        (403, "unauthorized_client"),
        (400, "invalid_request"),
        (400, "token_is_gone"),
    ] {
        let (mut keeper, mut store, error) = keeper_after_refusal(refusal(status, word));
        let mut other = keeper_for(Reuse::Unknown);
        let record = store.record();
        assert!(
            record.ended.is_none() && record.in_flight.is_none(),
            "{word}"
        );
        assert!(record.tokens.unwrap().refresh_token.is_some(), "{word}");
        // In this worker and in every worker that reads the record.
        for again in [
            error_for_caller(&mut store, &mut keeper).unwrap(),
            error_for_caller(&mut store, &mut other).unwrap(),
        ] {
            assert_eq!(again.code(), error.code(), "{word}");
            assert_eq!(error.advice(), Advice::Reauthorize, "{word}");
            assert_eq!(again.advice(), Advice::Reauthorize, "{word}");
            let server = again.server_error().unwrap();
            assert_eq!(
                (server.error(), server.status()),
                (Some(word), Some(status))
            );
            assert_eq!(server.description(), Some("as the server says it"));
        }
        assert!(!store.log.contains(&"run"), "{word}");
    }
    // Also without an error code.
    let (mut keeper, mut store, error) = keeper_after_refusal(ServerError::from_status(403).into());
    assert_eq!(error.advice(), Advice::Reauthorize);
    assert_eq!(
        error_for_caller(&mut store, &mut keeper).unwrap().code(),
        error.code()
    );
}

#[test]
fn temporary_failures_and_client_grant_refusals_are_not_recorded() {
    let bare = [408, 425, 429, 500, 501, 502, 503, 504, 520, 599].map(ServerError::from_status);
    let words = [
        ServerError::from_status(400).with_code("temporarily_unavailable"),
        ServerError::from_status(400).with_code("slow_down"),
        ServerError::from_status(503).with_code("unauthorized_client"),
    ];
    for server in bare.into_iter().chain(words) {
        let text = format!("{server:?}");
        let (_, store, _) = keeper_after_refusal(server.into());
        assert_eq!(store.record().unconfirmed_refusal, None, "{text}");
    }
    // A refusal of the client's own credentials does not count either.
    let client_keeper = Keeper::new(config(), GrantId::client());
    let mut keeper = client_keeper.shared();
    let mut store = TestStore::new();
    let _ = store.decide(&mut keeper);
    let error = store
        .renew(&mut keeper, Err(refusal(401, "invalid_client")))
        .unwrap_err();
    assert_eq!(
        (error.advice(), store.entry.is_none()),
        (Advice::GiveUp, true)
    );
}

#[test]
fn unconfirmed_refusal_is_retried_at_growing_intervals() {
    let (mut keeper, mut store, _) = keeper_after_refusal(refusal(403, "unauthorized_client"));
    let mut other = keeper_for(Reuse::Revokes);
    let (mut last, mut pauses) = (store.now, Vec::new());
    while pauses.len() < 12 {
        store.now += 1;
        // The first caller sends the request for all.
        for worker in [&mut other, &mut keeper] {
            if error_for_caller(&mut store, worker).is_some() {
                continue;
            }
            pauses.push(store.now - last);
            last = store.now;
            let again = store.complete(worker, Err(refusal(403, "unauthorized_client")));
            assert_eq!(again.unwrap_err().advice(), Advice::Reauthorize);
        }
    }
    for (number, pause) in pauses.iter().enumerate() {
        let least = (10 << number).min(3600);
        // Up to half of it as jitter, and one second until the next check.
        assert!((least..=least * 3 / 2 + 1).contains(pause), "{pauses:?}");
    }
}

#[test]
fn success_or_login_clears_an_unconfirmed_refusal() {
    // After a success.
    let (mut keeper, mut store, _) = keeper_after_refusal(refusal(401, "invalid_client"));
    store.now += 20;
    assert!(error_for_caller(&mut store, &mut keeper).is_none());
    let fresh = tokens_from(2, store.now);
    assert_eq!(
        access_of_outcome(store.complete(&mut keeper, Ok(fresh))),
        "a2"
    );
    assert_eq!(store.record().unconfirmed_refusal, None);
    assert!(keeper.last_error().is_none());
    // After a login here, and after a login elsewhere, which is read within a second.
    for is_local in [true, false] {
        let (mut keeper, mut store, _) = keeper_after_refusal(refusal(401, "invalid_client"));
        let mut other = keeper_for(Reuse::Revokes);
        assert!(error_for_caller(&mut store, &mut other).is_some());
        let login_keeper = if is_local { &mut keeper } else { &mut other };
        let login = tokens_from(5, store.now);
        login_keeper.replace(&store.at(), login).unwrap();
        assert!(login_keeper.save_again());
        assert_eq!(
            access_of_outcome(outcome_of(store.run(login_keeper, Event::Begin))),
            "a5"
        );
        assert_eq!(store.record().unconfirmed_refusal, None);
        store.now += 1;
        for worker in [&mut keeper, &mut other] {
            match store.decide(worker) {
                Decision::UseToken(tokens) => assert_eq!(access(&tokens), "a5"),
                Decision::Renew => assert_eq!(
                    access_of_outcome(outcome_of(store.run(worker, Event::Begin))),
                    "a5"
                ),
                decision => panic!("{decision:?}"),
            }
        }
    }
}

#[test]
fn valid_token_is_returned_during_an_unconfirmed_refusal() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Revokes);
    store.now = START + 580;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let outcome = store.renew(&mut keeper, Err(refusal(400, "consent_required")));
    assert_eq!(access_of_outcome(outcome), "a1");
    // The caller still gets the error.
    let trouble = keeper.last_error().unwrap();
    assert_eq!(
        (trouble.code(), trouble.advice()),
        ("denied.consent_required", Advice::Reauthorize)
    );
    let mut other = keeper_for(Reuse::Revokes);
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut other, Event::Begin))),
        "a1"
    );
    assert_eq!(access_of_decision(store.decide(&mut other)), "a1");
    assert_eq!(
        other.last_error().unwrap().code(),
        "denied.consent_required"
    );
}

#[test]
fn unconfirmed_refusal_stored_by_a_fast_clock_ends_in_time() {
    let mut store = TestStore::with(tokens(1));
    let mut fast_keeper = keeper_for(Reuse::Revokes);
    store.now = START + 365 * 24 * 3600;
    let _ = store.decide(&mut fast_keeper);
    store
        .renew(&mut fast_keeper, Err(refusal(401, "invalid_client")))
        .unwrap_err();
    let refused = store.record();
    // One worker's clock was right, and the other's has been corrected.
    for mut worker in [keeper_for(Reuse::Revokes), fast_keeper] {
        store.now = START + 700;
        assert!(error_for_caller(&mut store, &mut worker).is_some());
        store.now += 16;
        assert!(error_for_caller(&mut store, &mut worker).is_none());
        worker.abandon(&store.at());
        store.save_elsewhere(&refused);
    }
}

#[test]
fn unconfirmed_refusal_is_retried_after_its_pause_without_a_store() {
    let mut store = TestStore::new();
    let mut keeper = unshared_keeper();
    keeper.replace(&store.at(), tokens(1)).unwrap();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    store
        .renew(&mut keeper, Err(refusal(403, "unauthorized_client")))
        .unwrap_err();
    store.now += 5;
    let error = error_for_caller(&mut store, &mut keeper).unwrap();
    assert_eq!(error.advice(), Advice::Reauthorize);
    store.now += 15;
    assert!(error_for_caller(&mut store, &mut keeper).is_none());
}

/// Microsoft's error code if the user must confirm something.
#[test]
fn invalid_grant_with_an_interaction_suberror_does_not_end_the_grant() {
    let refusal_with_suberror = |suberror: &str| {
        let mut extra = serde_json::Map::new();
        extra.insert("suberror".to_owned(), suberror.into());
        let server = ServerError::from_status(400).with_code("invalid_grant");
        Error::from(server.with_extra(extra))
    };
    for suberror in ["basic_action", "consent_required"] {
        let (_, store, error) = keeper_after_refusal(refusal_with_suberror(suberror));
        assert_eq!(
            (error.code(), error.advice()),
            ("denied.invalid_grant", Advice::Reauthorize)
        );
        let record = store.record();
        assert!(record.ended.is_none() && record.unconfirmed_refusal.is_some());
    }
    for suberror in ["bad_token", "token_expired"] {
        let (_, store, _) = keeper_after_refusal(refusal_with_suberror(suberror));
        assert!(store.record().ended.is_some());
    }
}

/// GitHub's error code for `invalid_grant`.
#[test]
fn error_mapped_to_invalid_grant_ends_the_grant() {
    let server = ServerError::from_status(400).with_code("bad_refresh_token");
    let named = Error::from(server.with_meaning(Some("invalid_grant")));
    let (_, store, error) = keeper_after_refusal(named);
    assert_eq!(error.code(), "denied.invalid_grant");
    assert!(store.record().ended.is_some());
}

#[test]
fn refusal_of_an_already_replaced_token_is_not_recorded() {
    for (number, expected) in [(2, "a2"), (1, "a1")] {
        let mut store = TestStore::with(tokens(1));
        let mut keeper = keeper_for(Reuse::Unknown);
        store.now = START + 601;
        let _ = store.decide(&mut keeper);
        assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
        store.save_elsewhere(&Record::from_tokens(Arc::new(tokens_from(
            number, store.now,
        ))));
        let refused = Err(refusal(401, "invalid_client"));
        let outcome = store.complete(&mut keeper, refused);
        assert_eq!(access_of_outcome(outcome), expected);
        // The refusal applies to the token, no matter which worker saved it last.
        assert_eq!(store.record().unconfirmed_refusal.is_some(), number == 1);
    }
}

#[test]
fn unconfirmed_refusal_is_not_reported_before_it_is_stored() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Unknown);
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    store.is_down = true;
    let refused = Err(refusal(401, "invalid_client"));
    assert_eq!(code(store.complete(&mut keeper, refused)), "lost");
    // This worker still knows it.
    store.is_down = false;
    store.now += 5;
    let error = error_for_caller(&mut store, &mut keeper).unwrap();
    assert_eq!(error.advice(), Advice::Reauthorize);
}

#[test]
fn unconfirmed_refusal_is_not_reported_while_a_retry_is_in_flight() {
    let (mut keeper, mut store, _) = keeper_after_refusal(refusal(401, "invalid_client"));
    store.now += 16;
    assert!(error_for_caller(&mut store, &mut keeper).is_none());
    // By a clock that is behind, it is still too early.
    let mut other = keeper_for(Reuse::Revokes);
    store.now -= 15;
    store.is_held = true;
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    assert!(matches!(store.run(&mut other, Event::Begin), Step::Wait(_)));
    // A lost request counts as lost, and the next refusal as the second one.
    store.is_held = false;
    store.now += 15;
    assert_eq!(
        code(store.complete(&mut keeper, Err(unsent_request()))),
        "lost.unsent"
    );
    assert!(error_for_caller(&mut store, &mut keeper).is_none());
    store
        .complete(&mut keeper, Err(refusal(401, "invalid_client")))
        .unwrap_err();
    store.now += 19;
    assert!(error_for_caller(&mut store, &mut keeper).is_some());
}
