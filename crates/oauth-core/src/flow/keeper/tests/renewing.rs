//! Leases, in-flight markers and deadlines of a renewal.

use super::*;

/// A store whose tokens have expired; a caller waits for new ones.
fn store_with_expired_tokens(keeper: &mut Keeper) -> TestStore {
    let mut store = TestStore::with(tokens(1));
    store.now = START + 601;
    assert!(matches!(store.decide(keeper), Decision::Renew));
    store
}

#[test]
fn marker_is_saved_before_sending_and_tokens_before_they_are_returned() {
    let mut keeper = keeper();
    let mut store = store_with_expired_tokens(&mut keeper);
    let Step::Run(mut exchange) = store.run(&mut keeper, Event::Begin) else {
        panic!("no request");
    };
    assert_eq!(store.log, ["load", "lease", "load", "save", "run"]);
    assert!(store.record().in_flight.is_some());
    let Ok(Move::Send(request)) = exchange.resume(&store.at(), Input::Begin) else {
        panic!("nothing is sent");
    };
    let body = String::from_utf8_lossy(request.body());
    assert!(body.contains("refresh_token=r1"), "{body}");
    store.log.clear();
    let fresh = tokens_from(2, store.now);
    assert_eq!(
        access_of_outcome(store.complete(&mut keeper, Ok(fresh))),
        "a2"
    );
    assert_eq!(store.log, ["save", "release"]);
    assert!(store.record().in_flight.is_none());
    assert_eq!(store.record().rotates, Some(true));
}

#[test]
fn newer_token_of_another_worker_is_used_instead_of_renewing() {
    let mut keeper = keeper();
    let mut store = store_with_expired_tokens(&mut keeper);
    store.save_elsewhere(&Record::from_tokens(Arc::new(tokens_from(2, store.now))));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a2"
    );
    assert_eq!(store.log, ["load"]);
}

#[test]
fn renewal_after_another_workers_login_uses_its_refresh_token() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    let login = Record {
        login: Some("elsewhere".to_owned()),
        ..Record::from_tokens(Arc::new(tokens_from(9, START + 100)))
    };
    store.save_elsewhere(&login);
    // It is returned while it is valid; after that its own refresh token is sent.
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    store.log.clear();
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a9"
    );
    assert_eq!(store.log, ["load"]);
    for read in [true, false] {
        let mut keeper = if read {
            std::mem::replace(&mut keeper, super::keeper())
        } else {
            super::keeper().with_tokens(&store.at(), tokens(1)).unwrap()
        };
        store.now = START + 701;
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let request = store.renewal_request(&mut keeper);
        let form = String::from_utf8_lossy(request.body());
        assert!(form.contains("refresh_token=r9"), "{form}");
        keeper.abandon(&store.at());
        store.save_elsewhere(&login);
    }
}

#[test]
fn worker_waits_and_reloads_while_another_holds_the_lease() {
    let mut keeper = keeper();
    let mut store = store_with_expired_tokens(&mut keeper);
    store.is_held = true;
    let Step::Wait(pause) = store.run(&mut keeper, Event::Begin) else {
        panic!("no pause");
    };
    assert!(pause < Duration::from_secs(1), "{pause:?}");
    store.save_elsewhere(&Record::from_tokens(Arc::new(tokens_from(2, store.now))));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Elapsed))),
        "a2"
    );
    assert_eq!(store.log, ["load", "lease", "load"]);
}

#[test]
fn valid_token_is_used_while_another_worker_holds_the_lease() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    let _ = store.decide(&mut keeper);
    outcome_of(store.run(&mut keeper, Event::Begin)).unwrap();
    store.now = START + 520;
    store.is_held = true;
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    // The next attempt is delayed, but not for a caller whose token was refused.
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
    let decision = keeper.ask(store.now(), Some(&tokens(1)));
    assert!(matches!(decision, Decision::Renew), "{decision:?}");
}

#[test]
fn worker_that_finds_another_marker_does_not_send() {
    let mut keeper = keeper();
    let mut store = store_with_expired_tokens(&mut keeper);
    let mut step = keeper.resume(&store.at(), Event::Begin);
    while !matches!(step, Step::Save { .. }) {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            _ => Event::Leased(Lease::Won),
        };
        step = keeper.resume(&store.at(), event);
    }
    let marker = record::InFlightMarker {
        id: "another".to_owned(),
        at: store.now(),
        window: None,
    };
    store.save_elsewhere(&Record {
        in_flight: Some(marker),
        ..Record::from_tokens(Arc::new(tokens(1)))
    });
    let step = store.run(&mut keeper, Event::Saved(SaveOutcome::Conflict));
    assert!(matches!(step, Step::Wait(_)), "{step:?}");
    assert_eq!(store.log, ["load", "release"]);
}

#[test]
fn worker_that_slept_after_saving_its_marker_does_not_send() {
    let mut keeper = keeper();
    let mut store = store_with_expired_tokens(&mut keeper);
    let Step::Run(mut exchange) = store.run(&mut keeper, Event::Begin) else {
        panic!("no request");
    };
    // The lease and one second.
    store.now += 11;
    let error = exchange.resume(&store.at(), Input::Begin).unwrap_err();
    assert_eq!(
        error.cause().unwrap().delivery(),
        crate::error::Delivery::Unsent
    );
    assert_eq!(code(store.complete(&mut keeper, Err(error))), "lost.unsent");
    assert!(store.record().in_flight.is_none());
}

#[test]
fn worker_that_slept_while_saving_its_marker_starts_again() {
    let mut keeper = keeper();
    let mut store = store_with_expired_tokens(&mut keeper);
    let saved = slow_marker(&mut store, &mut keeper, Event::Begin);
    assert!(matches!(store.run(&mut keeper, saved), Step::Wait(_)));
    // Its own marker is ignored.
    assert!(matches!(
        store.run(&mut keeper, Event::Elapsed),
        Step::Run(_)
    ));
}

#[test]
fn clock_set_back_after_saving_the_marker_prevents_sending() {
    let mut keeper = keeper();
    let mut store = store_with_expired_tokens(&mut keeper);
    let saved = slow_marker(&mut store, &mut keeper, Event::Begin);
    // The clock was set back meanwhile.
    store.now -= 12;
    assert!(matches!(store.run(&mut keeper, saved), Step::Wait(_)));
    let Step::Run(mut exchange) = store.run(&mut keeper, Event::Elapsed) else {
        panic!("no request");
    };
    store.now -= 1;
    let error = exchange.resume(&store.at(), Input::Begin).unwrap_err();
    assert_eq!(
        error.cause().unwrap().delivery(),
        crate::error::Delivery::Unsent
    );
}

#[test]
fn store_too_slow_for_the_marker_is_reported_and_the_marker_removed() {
    let mut keeper = keeper();
    let mut store = store_with_expired_tokens(&mut keeper);
    let saved = slow_marker(&mut store, &mut keeper, Event::Begin);
    assert!(matches!(store.run(&mut keeper, saved), Step::Wait(_)));
    let saved = slow_marker(&mut store, &mut keeper, Event::Elapsed);
    let outcome = outcome_of(store.run(&mut keeper, saved));
    assert_eq!(code(outcome), "lost.unsent");
    assert!(store.record().in_flight.is_none());
}

/// Saving the marker takes longer than a lease.
fn slow_marker(store: &mut TestStore, keeper: &mut Keeper, event: Event) -> Event {
    let mut step = keeper.resume(&store.at(), event);
    loop {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            Step::Save {
                record, version, ..
            } => {
                let version = version + 1;
                store.entry = Some(Entry { version, record });
                store.now += 11;
                return Event::Saved(SaveOutcome::At(version));
            }
            _ => Event::Leased(Lease::Won),
        };
        step = keeper.resume(&store.at(), event);
    }
}

#[test]
fn client_credentials_grant_uses_no_marker() {
    let scope = Scope::parse("read").unwrap();
    let mut keeper = Keeper::new(config(), GrantId::client().requesting(scope.clone())).shared();
    assert_eq!(keeper.id().token_request.scope, scope);
    let mut store = TestStore::new();
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let mut own = tokens(1);
    own.refresh_token = None;
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(own))), "a1");
    let log = ["load", "lease", "load", "run", "save", "release"];
    assert_eq!(store.log, log);
}

#[test]
fn renewal_sent_before_a_login_elsewhere_does_not_replace_it() {
    for reuse in [Reuse::Unknown, Reuse::Tolerated] {
        let mut keeper = keeper_for(reuse);
        let mut store = store_with_expired_tokens(&mut keeper);
        assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
        let login = Login::new("elsewhere".to_owned(), Arc::new(tokens_from(5, store.now)));
        store.save_elsewhere(&login.record(None));
        let late = tokens_from(2, store.now + 1);
        assert_eq!(
            access_of_outcome(store.complete(&mut keeper, Ok(late))),
            "a5"
        );
        assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a5");
    }
}

#[test]
fn new_tokens_are_saved_even_if_another_worker_removed_the_marker() {
    let mut keeper = keeper();
    let mut store = store_with_expired_tokens(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    // Another worker came after the lease had expired, could not connect, and removed its marker.
    store.save_elsewhere(&Record::from_tokens(Arc::new(tokens(1))));
    let late = tokens_from(2, store.now);
    assert_eq!(
        access_of_outcome(store.complete(&mut keeper, Ok(late))),
        "a2"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a2");
}

#[test]
fn refused_token_is_not_returned_while_its_successor_is_saved() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    assert!(matches!(
        keeper.ask(store.now(), Some(&tokens(1))),
        Decision::Renew
    ));
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    let step = keeper.resume(&store.at(), Event::Completed(Ok(tokens(2))));
    assert!(matches!(step, Step::Save { .. }));
    assert!(matches!(store.decide(&mut keeper), Decision::Wait));
}

#[test]
fn request_carries_its_send_deadline() {
    let mut keeper = keeper();
    let mut store = store_with_expired_tokens(&mut keeper);
    let Step::Run(mut exchange) = store.run(&mut keeper, Event::Begin) else {
        panic!("no request");
    };
    let latest = UnixTime::from_secs(store.now + 10 + 15);
    let Ok(Move::Send(request)) = exchange.resume(&store.at(), Input::Begin) else {
        panic!("nothing is sent");
    };
    let by = request.extensions().get::<crate::exchange::SendBy>();
    assert_eq!(by.map(|by| by.0), Some(latest));
}

#[test]
fn lease_is_ten_seconds_and_is_extended_while_the_request_runs() {
    for longest in [5, 30, 60] {
        let mut keeper = keeper().with_longest_request(Duration::from_secs(longest));
        let mut store = store_with_expired_tokens(&mut keeper);
        assert!(matches!(
            keeper.resume(&store.at(), Event::Begin),
            Step::Load
        ));
        let step = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
        let Step::Lease { holder, ttl } = step else {
            panic!("{step:?}");
        };
        assert_eq!((ttl.as_secs(), keeper.lease_extension()), (10, None));
        let step = store.run(&mut keeper, Event::Leased(Lease::Won));
        assert!(matches!(step, Step::Run(_)), "{step:?}");
        let every = Duration::from_secs(3);
        let expected = LeaseExtension { holder, ttl, every };
        assert_eq!(keeper.lease_extension(), Some(expected));
        let fresh = tokens_from(2, store.now);
        assert_eq!(
            access_of_outcome(store.complete(&mut keeper, Ok(fresh))),
            "a2"
        );
        assert_eq!(keeper.lease_extension(), None);
    }
    // Without a lease, none is extended.
    let mut store = TestStore::new();
    let mut keeper = unshared_keeper();
    keeper.replace(&store.at(), tokens(1)).unwrap();
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    assert_eq!(keeper.lease_extension(), None);
    let mut keeper = Keeper::new(config(), GrantId::client()).shared();
    store.is_down = true;
    let _ = store.decide(&mut keeper);
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    assert_eq!(keeper.lease_extension(), None);
}

#[test]
fn marker_expires_after_its_workers_longest_request() {
    let mut slow = keeper().with_longest_request(Duration::from_secs(60));
    let mut store = store_with_expired_tokens(&mut slow);
    assert!(matches!(store.run(&mut slow, Event::Begin), Step::Run(_)));
    let mut other = keeper();
    assert!(matches!(store.decide(&mut other), Decision::Renew));
    let mut step = store.run(&mut other, Event::Begin);
    let since = store.now;
    while let Step::Wait(_) = step {
        store.now += 1;
        step = store.run(&mut other, Event::Elapsed);
    }
    assert!(matches!(step, Step::Run(_)), "{step:?}");
    assert_eq!(store.now - since, 10 + 60 + 15);
}

/// A late release must not release the next lease instead of the last one.
#[test]
fn every_lease_has_a_unique_holder_name() {
    let (mut keeper, mut store) = (keeper(), TestStore::new());
    let marker = record::InFlightMarker {
        id: "another".to_owned(),
        at: UnixTime::from_secs(START + 601),
        window: None,
    };
    store.save_elsewhere(&Record {
        in_flight: Some(marker),
        ..Record::from_tokens(Arc::new(tokens(1)))
    });
    store.now = START + 601;
    let _ = store.decide(&mut keeper);
    let (mut step, mut names) = (keeper.resume(&store.at(), Event::Begin), Vec::new());
    while names.len() < 3 {
        let event = match step {
            Step::Load => Event::Loaded(store.entry.clone()),
            Step::Lease { holder, ttl } => {
                if !ttl.is_zero() {
                    assert!(!names.contains(&holder));
                    names.push(holder);
                }
                Event::Leased(Lease::Won)
            }
            Step::Wait(_) => Event::Elapsed,
            step => panic!("{step:?}"),
        };
        step = keeper.resume(&store.at(), event);
    }
}
