//! Logins while a renewal is under way.

use super::*;

/// The store's answer to a step, or the server's.
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

/// A renewal, and after so many of its steps a login; then whatever else is to be done.
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
            over(store.go(&mut keeper, Event::Begin)).unwrap();
        }
    }
    (keeper, store)
}

#[test]
fn a_login_between_any_two_steps_of_a_renewal_is_what_is_stored_in_the_end() {
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
fn a_login_heals_a_grant_that_is_over_whenever_it_comes() {
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
fn the_second_of_two_logins_is_stored_even_if_the_first_is_being_stored() {
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
    assert_eq!(access_of_outcome(over(store.go(&mut keeper, event))), "a6");
    assert_eq!(access(store.record().tokens.as_ref().unwrap()), "a6");
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a6");
}

#[test]
fn without_a_store_a_login_before_the_first_step_spares_the_renewal() {
    let mut store = TestStore::new();
    let mut keeper = alone().with_tokens(&store.at(), tokens(1)).unwrap();
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let login = tokens_from(5, store.now);
    keeper.replace(&store.at(), login).unwrap();
    assert_eq!(
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a5"
    );
    assert_eq!(store.log, [""; 0]);
}

/// Whoever shares a keeper might not be the first to do so.
#[test]
fn what_was_learned_from_the_store_is_no_login() {
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
        access_of_outcome(over(store.go(&mut keeper, Event::Begin))),
        "a2"
    );
    assert_eq!(store.log, ["load"]);
}

/// A program that starts again with the tokens of its own database.
#[test]
fn an_older_copy_does_not_take_the_place_of_what_became_of_it() {
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
        over(store.go(&mut first, Event::Begin)).unwrap();
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
            access_of_outcome(over(store.go(&mut again, Event::Begin))),
            "a2"
        );
        assert_eq!(store.log, ["load"]);
        assert_eq!(access_of_decision(store.decide(&mut again)), "a2");
        // A certain new login replaces the record regardless of its time.
        again.replace(&store.at(), tokens(5)).unwrap();
        let _ = store.decide(&mut again);
        assert_eq!(
            access_of_outcome(over(store.go(&mut again, Event::Begin))),
            "a5"
        );
    }
}

/// Without a subject, a user's record still differs from the client's own.
#[test]
#[cfg(feature = "sha2")]
fn a_persons_grant_and_the_clients_own_are_two_records() {
    let of = |id| Keeper::new(config(), id).shared().key();
    assert_ne!(of(GrantId::unnamed_person()), of(GrantId::client()));
}

/// Two people would share a record.
#[test]
fn a_persons_grant_in_a_store_says_whose_it_is() {
    let mut store = TestStore::new();
    let mut nobodys = alone().shared();
    nobodys.replace(&store.at(), tokens(1)).unwrap();
    let decision = store.decide(&mut nobodys);
    assert!(matches!(&decision, Decision::Fail(error) if error.code() == "grant.subject_missing"));
    // Without a store, no other worker can find the record.
    let mut unnamed = alone();
    unnamed.replace(&store.at(), tokens(1)).unwrap();
    assert_eq!(access_of_decision(store.decide(&mut unnamed)), "a1");
}

/// What names the grant is what is asked for: a scope that the client asks for with each token, and
/// parameters alone where a refresh token stands for the scope.
#[test]
fn how_a_grant_is_renewed_follows_from_whose_it_is() {
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
