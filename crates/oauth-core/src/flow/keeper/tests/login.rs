//! Logins while a renewal is under way.

use super::*;

/// The reply of the store or the server to a step.
fn answer(store: &mut TestStore, step: Step) -> Result<Event, Outcome> {
    Ok(match step {
        Step::Load => Event::Loaded(store.entry.clone()),
        Step::Lease { .. } => Event::Leased(Lease::Won),
        Step::Save {
            record, version, ..
        } => Event::Saved(store.save(record, version)),
        Step::Wait(_) => Event::Elapsed,
        Step::Run(_) => Event::Completed(Ok(tokens_from(2, store.now))),
        Step::Done(outcome) => return Err(outcome),
    })
}

/// A renewal with a login after this many steps; then everything else is completed.
fn log_in_after(steps: usize, mut keeper: Keeper, mut store: TestStore) -> (Keeper, TestStore) {
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let (mut event, mut done) = (Event::Begin, 0);
    loop {
        if done == steps {
            let login = tokens_from(5, store.now);
            keeper.replace(&store.at(), login).unwrap();
        }
        done += 1;
        let step = keeper.resume(&store.at(), event);
        match answer(&mut store, step) {
            Ok(next) => event = next,
            Err(_) if done > steps => break,
            Err(_) => {
                let login = tokens_from(5, store.now);
                keeper.replace(&store.at(), login).unwrap();
                break;
            }
        }
    }
    while !keeper.is_stored() {
        store.now += 1;
        if matches!(store.decide(&mut keeper), Decision::UseAndRenew(_)) {
            outcome_of(store.run(&mut keeper, Event::Begin)).unwrap();
        }
    }
    (keeper, store)
}

#[test]
fn login_during_any_step_of_a_renewal_is_stored_and_returned() {
    for steps in 0..10 {
        let (mut keeper, store) = log_in_after(steps, keeper(), TestStore::with(tokens(1)));
        assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a5");
        assert!(store.record().ended.is_none(), "{steps}");
        assert_eq!(
            access_of_decision(store.decide(&mut keeper)),
            "a5",
            "after {steps} steps"
        );
    }
}

#[test]
fn login_at_any_step_replaces_an_ended_grant() {
    let ended = Record {
        ended: Some(record::GrantEnd::Refused("invalid_grant".to_owned())),
        ..Record::from_tokens(Arc::new(tokens(1)))
    };
    for steps in 0..4 {
        let mut store = TestStore::new();
        store.save_elsewhere(&ended);
        let mut known = keeper();
        let entry = store.entry.clone().unwrap();
        known.learn(&store.at(), entry).unwrap();
        let (mut keeper, store) = log_in_after(steps, known, store);
        assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a5");
        assert_eq!(
            access_of_decision(store.decide(&mut keeper)),
            "a5",
            "after {steps} steps"
        );
    }
}

#[test]
fn later_login_is_stored_even_while_the_first_is_being_saved() {
    let mut store = TestStore::new();
    let mut keeper = keeper().with_tokens(&store.at(), tokens(5)).unwrap();
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    let _ = keeper.resume(&store.at(), Event::Begin);
    let step = keeper.resume(&store.at(), Event::Loaded(None));
    keeper.replace(&store.at(), tokens(6)).unwrap();
    let event = answer(&mut store, step).unwrap();
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, event))),
        "a6"
    );
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a6");
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a6");
}

#[test]
fn login_before_the_first_step_makes_the_renewal_unnecessary() {
    let mut store = TestStore::new();
    let mut keeper = unshared_keeper()
        .with_tokens(&store.at(), tokens(1))
        .unwrap();
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let login = tokens_from(5, store.now);
    keeper.replace(&store.at(), login).unwrap();
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a5"
    );
    assert_eq!(store.log, [""; 0]);
}

/// The worker that shares the keeper may not be the first.
#[test]
fn record_read_from_the_store_is_not_saved_as_a_login() {
    let login = Login::new("one".to_owned(), Arc::new(tokens(1)));
    let mut store = TestStore::new();
    store.save_elsewhere(&login.record(None));
    let mut keeper = keeper();
    let entry = store.entry.clone().unwrap();
    keeper.learn(&store.at(), entry).unwrap();
    // Another worker renews meanwhile.
    store.save_elsewhere(&Record {
        tokens: Some(Arc::new(tokens_from(2, START + 10))),
        ..login.record(None)
    });
    let mut keeper = keeper.shared();
    assert!(keeper.is_stored());
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
    store.now = START + 511;
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a2"
    );
    assert_eq!(store.log, ["load"]);
}

/// A program restarts with the tokens from its own database.
#[test]
fn older_copy_does_not_replace_its_renewed_successor() {
    let login = tokens(1);
    let builds: [fn(Moment, Tokens) -> Keeper; 2] = [
        |at, tokens| keeper().with_tokens(&at, tokens).unwrap(),
        |at, tokens| {
            let keeper = Keeper::new(config(), person()).with_tokens(&at, tokens);
            keeper.unwrap().shared()
        },
    ];
    // Renewed in the same second, and later.
    for (build, later) in builds.into_iter().zip([0, 100]) {
        let mut store = TestStore::new();
        let mut first = build(store.at(), login.clone());
        let _ = store.decide(&mut first);
        outcome_of(store.run(&mut first, Event::Begin)).unwrap();
        store.now += later;
        assert!(matches!(
            first.ask(store.now(), Some(&login)),
            Decision::Renew
        ));
        let fresh = tokens_from(2, store.now);
        assert_eq!(access_of_outcome(store.renew(&mut first, Ok(fresh))), "a2");
        store.log.clear();

        let mut again = build(store.at(), login.clone());
        assert!(matches!(store.decide(&mut again), Decision::UseAndRenew(_)));
        assert_eq!(
            access_of_outcome(outcome_of(store.run(&mut again, Event::Begin))),
            "a2"
        );
        assert_eq!(store.log, ["load"]);
        assert_eq!(access_of_decision(store.decide(&mut again)), "a2");
        // An explicit new login replaces the record regardless of its time.
        again.replace(&store.at(), tokens(5)).unwrap();
        let _ = store.decide(&mut again);
        assert_eq!(
            access_of_outcome(outcome_of(store.run(&mut again, Event::Begin))),
            "a5"
        );
    }
}

/// Even without a subject, a user's record differs from the client's own.
#[test]
#[cfg(feature = "sha2")]
fn users_grant_and_client_grant_have_different_keys() {
    let key_of = |id| Keeper::new(config(), id).shared().key();
    assert_ne!(key_of(GrantId::unnamed_person()), key_of(GrantId::client()));
}

/// Two users would share a record.
#[test]
fn users_grant_in_a_store_requires_a_subject() {
    let mut store = TestStore::new();
    let mut shared_unnamed = unshared_keeper().shared();
    shared_unnamed.replace(&store.at(), tokens(1)).unwrap();
    let decision = store.decide(&mut shared_unnamed);
    assert!(matches!(&decision, Decision::Fail(error) if error.code() == "grant.subject_missing"));
    // Without a store, no other worker can find the record.
    let mut unnamed = unshared_keeper();
    unnamed.replace(&store.at(), tokens(1)).unwrap();
    assert_eq!(access_of_decision(store.decide(&mut unnamed)), "a1");
}

/// The requested parameters are part of the key and are sent: the scope with each client credentials request,
/// only the other parameters with a refresh token.
#[test]
fn client_grant_renews_with_client_credentials_and_user_grant_by_refresh() {
    let token_request = || {
        let scoped = crate::grant::TokenRequest::from(Scope::parse("read").unwrap());
        scoped.resource("https://api.example/").unwrap()
    };
    let sent = |id: GrantId| {
        let mut store = TestStore::with(tokens(1));
        store.now = START + 601;
        let mut keeper = Keeper::new(config(), id);
        keeper.replace(&store.at(), tokens(1)).unwrap();
        let _ = store.decide(&mut keeper);
        let request = store.renewal_request(&mut keeper);
        String::from_utf8(request.body().to_vec()).unwrap()
    };
    let resource = "resource=https%3A%2F%2Fapi.example%2F";
    assert_eq!(
        sent(GrantId::client().requesting(token_request())),
        format!("grant_type=client_credentials&scope=read&{resource}")
    );
    let person = sent(GrantId::user("alice").requesting(token_request()));
    assert!(person.starts_with("grant_type=refresh_token&refresh_token="));
    assert!(
        person.ends_with(resource) && !person.contains("scope="),
        "{person}"
    );
}
