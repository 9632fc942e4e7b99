//! A login that comes while something else is under way.

use super::*;

/// The store's answer to a step, or the server's.
fn answer(desk: &mut Desk, step: Step) -> Result<Event, Outcome> {
    Ok(match step {
        Step::Load => Event::Loaded(desk.entry.clone()),
        Step::Lease { .. } => Event::Leased(Lease::Won),
        Step::Save {
            record, version, ..
        } => Event::Saved(desk.save(record, version)),
        Step::Wait(_) => Event::Elapsed,
        Step::Run(_) => Event::Flown(Ok(tokens_from(2, desk.now))),
        Step::Over(outcome) => return Err(outcome),
    })
}

/// A renewal, and after so many of its steps a login; then whatever else is to be done.
fn log_in_after(steps: usize, mut keeper: Keeper, mut desk: Desk) -> (Keeper, Desk) {
    desk.now = START + 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let (mut event, mut done) = (Event::Begin, 0);
    loop {
        if done == steps {
            let login = tokens_from(5, desk.now);
            keeper.replace(desk.at(), login).unwrap();
        }
        done += 1;
        let step = keeper.resume(desk.at(), event);
        match answer(&mut desk, step) {
            Ok(next) => event = next,
            Err(_) if done > steps => break,
            Err(_) => {
                let login = tokens_from(5, desk.now);
                keeper.replace(desk.at(), login).unwrap();
                break;
            }
        }
    }
    while !keeper.is_stored() {
        desk.now += 1;
        if matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)) {
            over(desk.go(&mut keeper, Event::Begin)).unwrap();
        }
    }
    (keeper, desk)
}

#[test]
fn a_login_between_any_two_steps_of_a_renewal_is_what_is_stored_in_the_end() {
    for steps in 0..10 {
        let (mut keeper, desk) = log_in_after(steps, keeper(), Desk::with(tokens(1)));
        assert_eq!(access(desk.record().tokens.as_ref().unwrap()), "a5");
        assert!(desk.record().ended.is_none(), "{steps}");
        assert_eq!(handed(desk.ask(&mut keeper)), "a5", "after {steps} steps");
    }
}

#[test]
fn a_login_heals_a_grant_that_is_over_whenever_it_comes() {
    let ended = Record {
        ended: Some(record::Ended::Refused("invalid_grant".to_owned())),
        ..Record::of(Arc::new(tokens(1)))
    };
    for steps in 0..4 {
        let mut desk = Desk::new();
        desk.put(&ended);
        let mut known = keeper();
        let entry = desk.entry.clone().unwrap();
        known.learn(desk.at(), entry).unwrap();
        let (mut keeper, desk) = log_in_after(steps, known, desk);
        assert_eq!(access(desk.record().tokens.as_ref().unwrap()), "a5");
        assert_eq!(handed(desk.ask(&mut keeper)), "a5", "after {steps} steps");
    }
}

#[test]
fn of_two_logins_the_second_is_stored_though_it_came_while_the_first_was() {
    let mut desk = Desk::new();
    let mut keeper = keeper().with_tokens(desk.at(), tokens(5)).unwrap();
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    let _ = keeper.resume(desk.at(), Event::Begin);
    let step = keeper.resume(desk.at(), Event::Loaded(None));
    keeper.replace(desk.at(), tokens(6)).unwrap();
    let event = answer(&mut desk, step).unwrap();
    assert_eq!(got(over(desk.go(&mut keeper, event))), "a6");
    assert_eq!(access(desk.record().tokens.as_ref().unwrap()), "a6");
    assert_eq!(handed(desk.ask(&mut keeper)), "a6");
}

#[test]
fn without_a_store_a_login_before_the_first_step_spares_the_renewal() {
    let mut desk = Desk::new();
    let mut keeper = alone().with_tokens(desk.at(), tokens(1)).unwrap();
    desk.now = START + 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let login = tokens_from(5, desk.now);
    keeper.replace(desk.at(), login).unwrap();
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a5");
    assert_eq!(desk.log, [""; 0]);
}

/// Whoever shares a keeper may not be the first to do so.
#[test]
fn what_was_learned_from_the_store_is_no_login() {
    let login = Login::new("one".to_owned(), Arc::new(tokens(1)));
    let mut desk = Desk::new();
    desk.put(&login.record());
    let mut keeper = keeper();
    let entry = desk.entry.clone().unwrap();
    keeper.learn(desk.at(), entry).unwrap();
    // Another worker renews meanwhile.
    desk.put(&Record {
        tokens: Some(Arc::new(tokens_from(2, START + 10))),
        ..login.record()
    });
    let mut keeper = keeper.shared(person());
    assert!(keeper.is_stored());
    assert_eq!(handed(desk.ask(&mut keeper)), "a1");
    desk.now = START + 511;
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a2");
    assert_eq!(desk.log, ["load"]);
}

/// A program that starts again with the tokens of its own database.
#[test]
fn an_older_copy_does_not_take_the_place_of_what_became_of_it() {
    let login = tokens(1);
    let builds: [fn(Moment, Tokens) -> Keeper; 2] = [
        |at, tokens| keeper().with_tokens(at, tokens).unwrap(),
        |at, tokens| alone().with_tokens(at, tokens).unwrap().shared(person()),
    ];
    // Renewed in the same second, and later.
    for (build, later) in builds.into_iter().zip([0, 100]) {
        let mut desk = Desk::new();
        let mut first = build(desk.at(), login.clone());
        desk.ask(&mut first);
        over(desk.go(&mut first, Event::Begin)).unwrap();
        desk.now += later;
        assert!(matches!(first.ask(desk.now(), Some(&login)), Turn::Renew));
        let fresh = tokens_from(2, desk.now);
        assert_eq!(got(desk.renew(&mut first, Ok(fresh))), "a2");
        desk.log.clear();

        let mut again = build(desk.at(), login.clone());
        assert!(matches!(desk.ask(&mut again), Turn::HandOutAndRenew(_)));
        assert_eq!(got(over(desk.go(&mut again, Event::Begin))), "a2");
        assert_eq!(desk.log, ["load"]);
        assert_eq!(handed(desk.ask(&mut again)), "a2");
        // What is certainly a new login does not look at the time.
        again.replace(desk.at(), tokens(5)).unwrap();
        desk.ask(&mut again);
        assert_eq!(got(over(desk.go(&mut again, Event::Begin))), "a5");
    }
}

/// One store, one client, nobody named: a person's record is still none of the client's own.
#[test]
#[cfg(feature = "sha2")]
fn a_persons_grant_and_the_clients_own_are_two_records() {
    let of = |upkeep| Keeper::new(us(), upkeep).shared(GrantId::own()).key();
    let own = Upkeep::ClientCredentials(Scope::none());
    assert_ne!(of(Upkeep::Refresh), of(own));
}

/// Two people would share a record.
#[test]
fn a_persons_grant_in_a_store_says_whose_it_is() {
    let mut desk = Desk::new();
    let mut nobodys = alone().shared(GrantId::own());
    nobodys.replace(desk.at(), tokens(1)).unwrap();
    let turn = desk.ask(&mut nobodys);
    assert!(matches!(&turn, Turn::GiveUp(error) if error.code() == "misuse.setup"));
    // Without a store, nobody else can come upon it.
    let mut unnamed = alone();
    unnamed.replace(desk.at(), tokens(1)).unwrap();
    assert_eq!(handed(desk.ask(&mut unnamed)), "a1");
}

#[test]
fn how_a_grant_is_renewed_follows_from_whose_it_is() {
    let scope = Scope::parse("read").unwrap();
    let own = GrantId::own().with_scope(scope.clone()).upkeep();
    assert!(matches!(own, Upkeep::ClientCredentials(asked) if asked == scope));
    let person = GrantId::person("alice").with_scope(scope).upkeep();
    assert!(matches!(person, Upkeep::Refresh));
}
