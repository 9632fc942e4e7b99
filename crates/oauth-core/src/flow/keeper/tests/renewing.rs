//! Who sends, and what is stored before.

use super::*;

/// The store's tokens are stale, and someone waits for new ones.
fn stale(keeper: &mut Keeper) -> Desk {
    let mut desk = Desk::with(tokens(1));
    desk.now = START + 601;
    assert!(matches!(desk.ask(keeper), Turn::Renew));
    desk
}

#[test]
fn the_mark_is_stored_before_the_token_is_sent_and_the_tokens_before_they_are_seen() {
    let mut keeper = keeper();
    let mut desk = stale(&mut keeper);
    let Step::Run(mut exchange) = desk.go(&mut keeper, Event::Begin) else {
        panic!("no request");
    };
    assert_eq!(desk.log, ["load", "lease", "load", "save", "run"]);
    assert!(desk.record().attempt.is_some());
    let Ok(Move::Send(request)) = exchange.resume(desk.at(), Input::Begin) else {
        panic!("nothing is sent");
    };
    let body = String::from_utf8_lossy(request.body());
    assert!(body.contains("refresh_token=r1"), "{body}");
    desk.log.clear();
    let fresh = tokens_from(2, desk.now);
    assert_eq!(got(desk.land(&mut keeper, Ok(fresh))), "a2");
    assert_eq!(desk.log, ["save", "release"]);
    assert!(desk.record().attempt.is_none());
    assert_eq!(desk.record().rotates, Some(true));
}

#[test]
fn the_newer_token_of_another_is_taken_first() {
    let mut keeper = keeper();
    let mut desk = stale(&mut keeper);
    desk.put(&Record::of(Arc::new(tokens_from(2, desk.now))));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a2");
    assert_eq!(desk.log, ["load"]);
}

#[test]
fn who_renews_after_a_login_elsewhere_sends_what_that_brought() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    let login = Record {
        login: Some("elsewhere".to_owned()),
        ..Record::of(Arc::new(tokens_from(9, START + 100)))
    };
    desk.put(&login);
    // As long as it is good it is handed out, and after that its own refresh token is sent.
    desk.now = START + 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    desk.log.clear();
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a9");
    assert_eq!(desk.log, ["load"]);
    for read in [true, false] {
        let mut keeper = match read {
            true => std::mem::replace(&mut keeper, super::keeper()),
            false => super::keeper().with_tokens(desk.at(), tokens(1)).unwrap(),
        };
        desk.now = START + 701;
        assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
        let request = desk.sends(&mut keeper);
        let form = String::from_utf8_lossy(request.body());
        assert!(form.contains("refresh_token=r9"), "{form}");
        keeper.abandon(desk.at());
        desk.put(&login);
    }
}

#[test]
fn while_another_has_the_lease_one_waits_and_looks_again() {
    let mut keeper = keeper();
    let mut desk = stale(&mut keeper);
    desk.is_held = true;
    let Step::Wait(pause) = desk.go(&mut keeper, Event::Begin) else {
        panic!("no pause");
    };
    assert!(pause < Duration::from_secs(1), "{pause:?}");
    desk.put(&Record::of(Arc::new(tokens_from(2, desk.now))));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Elapsed))), "a2");
    assert_eq!(desk.log, ["load", "lease", "load"]);
}

#[test]
fn while_another_has_the_lease_a_good_token_does() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    desk.ask(&mut keeper);
    over(desk.go(&mut keeper, Event::Begin)).unwrap();
    desk.now = START + 520;
    desk.is_held = true;
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    // Not at once again; but one whose token was refused need not hold back.
    assert_eq!(handed(desk.ask(&mut keeper)), "a1");
    let turn = keeper.ask(desk.now(), Some(&tokens(1)));
    assert!(matches!(turn, Turn::Renew), "{turn:?}");
}

#[test]
fn who_finds_another_mark_in_place_of_his_own_does_not_send() {
    let mut keeper = keeper();
    let mut desk = stale(&mut keeper);
    let mut step = keeper.resume(desk.at(), Event::Begin);
    while !matches!(step, Step::Save { .. }) {
        let event = match step {
            Step::Load => Event::Loaded(desk.entry.clone()),
            _ => Event::Leased(Lease::Won),
        };
        step = keeper.resume(desk.at(), event);
    }
    let attempt = record::Attempt {
        id: "another".to_owned(),
        at: desk.now(),
        window: None,
    };
    desk.put(&Record {
        attempt: Some(attempt),
        ..Record::of(Arc::new(tokens(1)))
    });
    let step = desk.go(&mut keeper, Event::Saved(Saved::Conflict));
    assert!(matches!(step, Step::Wait(_)), "{step:?}");
    assert_eq!(desk.log, ["load", "release"]);
}

#[test]
fn who_slept_after_his_mark_does_not_send() {
    let mut keeper = keeper();
    let mut desk = stale(&mut keeper);
    let Step::Run(mut exchange) = desk.go(&mut keeper, Event::Begin) else {
        panic!("no request");
    };
    // A lease, and a second.
    desk.now += 11;
    let error = exchange.resume(desk.at(), Input::Begin).unwrap_err();
    assert_eq!(error.cause().unwrap().reach(), crate::error::Reach::Unsent);
    assert_eq!(code(desk.land(&mut keeper, Err(error))), "lost.unsent");
    assert!(desk.record().attempt.is_none());
}

#[test]
fn who_slept_while_his_mark_was_stored_begins_again() {
    let mut keeper = keeper();
    let mut desk = stale(&mut keeper);
    let saved = slow_mark(&mut desk, &mut keeper, Event::Begin);
    assert!(matches!(desk.go(&mut keeper, saved), Step::Wait(_)));
    // Its own mark means nothing to it.
    assert!(matches!(desk.go(&mut keeper, Event::Elapsed), Step::Run(_)));
}

#[test]
fn who_cannot_tell_how_long_he_slept_begins_again() {
    let mut keeper = keeper();
    let mut desk = stale(&mut keeper);
    let saved = slow_mark(&mut desk, &mut keeper, Event::Begin);
    // The clock was set back meanwhile.
    desk.now -= 12;
    assert!(matches!(desk.go(&mut keeper, saved), Step::Wait(_)));
    let Step::Run(mut exchange) = desk.go(&mut keeper, Event::Elapsed) else {
        panic!("no request");
    };
    desk.now -= 1;
    let error = exchange.resume(desk.at(), Input::Begin).unwrap_err();
    assert_eq!(error.cause().unwrap().reach(), crate::error::Reach::Unsent);
}

#[test]
fn a_store_that_is_too_slow_for_a_mark_is_told_and_the_mark_is_taken_away() {
    let mut keeper = keeper();
    let mut desk = stale(&mut keeper);
    let saved = slow_mark(&mut desk, &mut keeper, Event::Begin);
    assert!(matches!(desk.go(&mut keeper, saved), Step::Wait(_)));
    let saved = slow_mark(&mut desk, &mut keeper, Event::Elapsed);
    let outcome = over(desk.go(&mut keeper, saved));
    assert_eq!(code(outcome), "lost.unsent");
    assert!(desk.record().attempt.is_none());
}

/// The store takes longer than a lease to save the mark.
fn slow_mark(desk: &mut Desk, keeper: &mut Keeper, event: Event) -> Event {
    let mut step = keeper.resume(desk.at(), event);
    loop {
        let event = match step {
            Step::Load => Event::Loaded(desk.entry.clone()),
            Step::Save {
                record, version, ..
            } => {
                let version = version + 1;
                desk.entry = Some(Entry { version, record });
                desk.now += 11;
                return Event::Saved(Saved::At(version));
            }
            _ => Event::Leased(Lease::Won),
        };
        step = keeper.resume(desk.at(), event);
    }
}

#[test]
fn client_credentials_need_no_mark() {
    let scope = Scope::parse("read").unwrap();
    let mut keeper =
        Keeper::new(us(), Upkeep::ClientCredentials(scope.clone())).shared(GrantId::own());
    assert_eq!(keeper.id.scope, scope);
    let mut desk = Desk::new();
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let mut own = tokens(1);
    own.refresh_token = None;
    assert_eq!(got(desk.renew(&mut keeper, Ok(own))), "a1");
    let log = ["load", "lease", "load", "run", "save", "release"];
    assert_eq!(desk.log, log);
}

#[test]
fn what_was_sent_after_a_login_does_not_replace_it() {
    for reuse in [Reuse::Unknown, Reuse::Tolerated] {
        let mut keeper = keeper_for(reuse);
        let mut desk = stale(&mut keeper);
        assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
        let login = Login::new("elsewhere".to_owned(), Arc::new(tokens_from(5, desk.now)));
        desk.put(&login.record());
        let late = tokens_from(2, desk.now + 1);
        assert_eq!(got(desk.land(&mut keeper, Ok(late))), "a5");
        assert_eq!(access(desk.record().tokens.as_ref().unwrap()), "a5");
    }
}

#[test]
fn new_tokens_follow_the_one_they_were_given_for_whatever_others_tried() {
    let mut keeper = keeper();
    let mut desk = stale(&mut keeper);
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    // Another came when the lease was over, found no connection and took its mark away.
    desk.put(&Record::of(Arc::new(tokens(1))));
    let late = tokens_from(2, desk.now);
    assert_eq!(got(desk.land(&mut keeper, Ok(late))), "a2");
    assert_eq!(access(desk.record().tokens.as_ref().unwrap()), "a2");
}

#[test]
fn a_refused_token_is_handed_to_nobody_while_the_next_is_stored() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    assert!(matches!(
        keeper.ask(desk.now(), Some(&tokens(1))),
        Turn::Renew
    ));
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    let step = keeper.resume(desk.at(), Event::Flown(Ok(tokens(2))));
    assert!(matches!(step, Step::Save { .. }));
    assert!(matches!(desk.ask(&mut keeper), Turn::Follow));
}

#[test]
fn a_request_carries_the_time_by_which_it_must_leave() {
    let mut keeper = keeper();
    let mut desk = stale(&mut keeper);
    let Step::Run(mut exchange) = desk.go(&mut keeper, Event::Begin) else {
        panic!("no request");
    };
    let latest = UnixTime::from_secs(desk.now + 10 + 15);
    let Ok(Move::Send(request)) = exchange.resume(desk.at(), Input::Begin) else {
        panic!("nothing is sent");
    };
    let by = request.extensions().get::<crate::exchange::SendBy>();
    assert_eq!(by.map(|by| by.0), Some(latest));
}

#[test]
fn a_lease_is_short_however_long_a_request_may_take_and_is_extended_while_it_runs() {
    for longest in [5, 30, 60] {
        let mut keeper = keeper().with_longest_request(Duration::from_secs(longest));
        let mut desk = stale(&mut keeper);
        assert!(matches!(keeper.resume(desk.at(), Event::Begin), Step::Load));
        let step = keeper.resume(desk.at(), Event::Loaded(desk.entry.clone()));
        let Step::Lease { holder, ttl } = step else {
            panic!("{step:?}");
        };
        assert_eq!((ttl.as_secs(), keeper.lease_extension()), (10, None));
        let step = desk.go(&mut keeper, Event::Leased(Lease::Won));
        assert!(matches!(step, Step::Run(_)), "{step:?}");
        let every = Duration::from_secs(3);
        let expected = LeaseExtension { holder, ttl, every };
        assert_eq!(keeper.lease_extension(), Some(expected));
        let fresh = tokens_from(2, desk.now);
        assert_eq!(got(desk.land(&mut keeper, Ok(fresh))), "a2");
        assert_eq!(keeper.lease_extension(), None);
    }
    // Where there is no lease, none is extended.
    let mut desk = Desk::new();
    let mut keeper = alone();
    keeper.replace(desk.at(), tokens(1)).unwrap();
    desk.now = START + 601;
    desk.ask(&mut keeper);
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    assert_eq!(keeper.lease_extension(), None);
    let mut keeper = Keeper::new(us(), Upkeep::ClientCredentials(Scope::none())).shared(person());
    desk.is_down = true;
    desk.ask(&mut keeper);
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    assert_eq!(keeper.lease_extension(), None);
}

#[test]
fn a_mark_is_over_when_the_request_of_whoever_made_it_is() {
    let mut slow = keeper().with_longest_request(Duration::from_secs(60));
    let mut desk = stale(&mut slow);
    assert!(matches!(desk.go(&mut slow, Event::Begin), Step::Run(_)));
    let mut other = keeper();
    assert!(matches!(desk.ask(&mut other), Turn::Renew));
    let mut step = desk.go(&mut other, Event::Begin);
    let since = desk.now;
    while let Step::Wait(_) = step {
        desk.now += 1;
        step = desk.go(&mut other, Event::Elapsed);
    }
    assert!(matches!(step, Step::Run(_)), "{step:?}");
    assert_eq!(desk.now - since, 10 + 60 + 15);
}

/// A store that is late must not give back the next lease in place of the last one.
#[test]
fn no_two_leases_have_one_name() {
    let (mut keeper, mut desk) = (keeper(), Desk::new());
    let attempt = record::Attempt {
        id: "another".to_owned(),
        at: UnixTime::from_secs(START + 601),
        window: None,
    };
    desk.put(&Record {
        attempt: Some(attempt),
        ..Record::of(Arc::new(tokens(1)))
    });
    desk.now = START + 601;
    desk.ask(&mut keeper);
    let (mut step, mut names) = (keeper.resume(desk.at(), Event::Begin), Vec::new());
    while names.len() < 3 {
        let event = match step {
            Step::Load => Event::Loaded(desk.entry.clone()),
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
        step = keeper.resume(desk.at(), event);
    }
}
