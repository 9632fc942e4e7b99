//! A request that brought no tokens.

use super::*;

/// A keeper whose renewal began while its token was good for 20 seconds more, and failed.
fn failed(reuse: Reuse, error: Error) -> (Keeper, Desk, Outcome) {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper_for(reuse);
    desk.now = START + 580;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let outcome = desk.renew(&mut keeper, Err(error));
    desk.log.clear();
    (keeper, desk, outcome)
}

#[test]
fn lost_and_unknown_the_old_token_does_and_is_sent_again_after_its_end() {
    let (mut keeper, mut desk, outcome) = failed(Reuse::Unknown, lost());
    assert_eq!(got(outcome), "a1");
    assert!(desk.record().attempt.is_some());
    // The first look holds back, and nobody looks again before the end.
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    desk.now = START + 599;
    assert_eq!(handed(desk.ask(&mut keeper)), "a1");
    desk.now = START + 600;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let fresh = tokens_from(2, desk.now);
    assert_eq!(got(desk.renew(&mut keeper, Ok(fresh))), "a2");
}

#[test]
fn lost_and_unknown_a_refused_token_is_no_reason_to_wait() {
    let (mut keeper, mut desk, _) = failed(Reuse::Unknown, lost());
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    over(desk.go(&mut keeper, Event::Begin)).unwrap();
    let turn = keeper.ask(desk.now(), Some(&tokens(1)));
    assert!(matches!(turn, Turn::Renew), "{turn:?}");
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
}

#[test]
fn lost_and_revoking_the_token_is_never_sent_again() {
    let (mut keeper, mut desk, outcome) = failed(Reuse::Revokes, lost());
    assert_eq!(got(outcome), "a1");
    desk.now = START + 600;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let outcome = over(desk.go(&mut keeper, Event::Begin));
    let error = outcome.unwrap_err();
    assert_eq!(error.code(), "grant.outcome_unknown");
    assert_eq!(error.advice(), Advice::Reauthorize);
    // Others read it, and do not send either.
    let mut other = keeper_for(Reuse::Unknown);
    assert!(matches!(desk.ask(&mut other), Turn::Renew));
    let outcome = over(desk.go(&mut other, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
    assert!(!desk.log.contains(&"run"));
}

#[test]
fn lost_and_tolerated_it_is_sent_again_at_once() {
    let (mut keeper, mut desk, _) = failed(Reuse::Tolerated, lost());
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let fresh = tokens_from(2, desk.now);
    assert_eq!(got(desk.renew(&mut keeper, Ok(fresh))), "a2");
}

#[test]
fn lost_where_the_server_never_replaced_a_token_it_is_sent_again_at_once() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Unknown);
    desk.now = START + 601;
    desk.ask(&mut keeper);
    let mut same = tokens_from(2, desk.now);
    same.refresh_token = tokens(1).refresh_token;
    assert_eq!(got(desk.renew(&mut keeper, Ok(same))), "a2");
    assert_eq!(desk.record().rotates, Some(false));
    desk.now += 601;
    desk.ask(&mut keeper);
    assert_eq!(code(desk.renew(&mut keeper, Err(lost()))), "lost");
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
}

#[test]
fn a_server_that_once_replaced_a_token_is_one_that_does() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    for (number, rotates) in [(2, Some(true)), (3, Some(true))] {
        desk.now += 601;
        desk.ask(&mut keeper);
        let mut new = tokens_from(number, desk.now);
        if number == 3 {
            new.refresh_token = tokens(2).refresh_token;
        }
        desk.renew(&mut keeper, Ok(new)).unwrap();
        assert_eq!(desk.record().rotates, rotates);
    }
}

#[test]
fn another_worker_waits_for_the_longest_request_before_it_sends_the_token_again() {
    let (_, mut desk, _) = failed(Reuse::Unknown, lost());
    let mut other = keeper();
    desk.now = START + 601;
    assert!(matches!(desk.ask(&mut other), Turn::Renew));
    assert!(matches!(desk.go(&mut other, Event::Begin), Step::Wait(_)));
    // Marked at 580; a lease, the longest request and a margin are 55 s.
    desk.now = START + 634;
    assert!(matches!(desk.go(&mut other, Event::Elapsed), Step::Wait(_)));
    desk.now = START + 635;
    assert!(matches!(desk.go(&mut other, Event::Elapsed), Step::Run(_)));
}

#[test]
fn unsent_the_mark_is_taken_away() {
    let coded = |status: u16, code: &str| ServerError::of_status(status).coded(code).into();
    for error in [
        unsent(),
        ServerError::of_status(429).into(),
        coded(503, "temporarily_unavailable"),
        coded(400, "invalid_request"),
        coded(401, "invalid_client"),
        Misuse::SignatureLength.into(),
    ] {
        let (mut keeper, mut desk, outcome) = failed(Reuse::Revokes, error);
        assert_eq!(got(outcome), "a1");
        assert!(desk.record().attempt.is_none());
        desk.now = START + 600;
        assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
        assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    }
}

/// Whoever stands between gives up in many ways, and a server may have fallen over half-way.
#[test]
fn a_reply_that_does_not_prove_it_may_have_spent_the_token() {
    let bare = [
        400, 403, 404, 408, 413, 425, 499, 500, 501, 502, 503, 504, 520, 522, 524, 598,
    ];
    let bare = bare.map(ServerError::of_status).into_iter();
    let fallen = [400, 500, 503].map(|status| ServerError::of_status(status).coded("server_error"));
    let gateway = ServerError::of_status(502).coded("temporarily_unavailable");
    let errors = bare.chain(fallen).chain([gateway]).map(Error::from);
    for error in errors.chain([Misuse::OutOfOrder.into(), Misuse::NoClock.into()]) {
        let told = format!("{error}");
        let (mut keeper, mut desk, _) = failed(Reuse::Revokes, error);
        assert!(desk.record().attempt.is_some(), "{told}");
        desk.now = START + 700;
        assert!(matches!(desk.ask(&mut keeper), Turn::Renew), "{told}");
        let outcome = over(desk.go(&mut keeper, Event::Begin));
        assert_eq!(code(outcome), "grant.outcome_unknown", "{told}");
    }
}

#[test]
fn an_attempt_known_to_be_unsent_is_not_the_end_whatever_others_made_of_it() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Revokes);
    desk.now = START + 601;
    desk.ask(&mut keeper);
    let mut step = keeper.resume(desk.at(), Event::Begin);
    let record = loop {
        let event = match step {
            Step::Load => Event::Loaded(desk.entry.clone()),
            Step::Save { record, .. } => break record,
            _ => Event::Leased(Lease::Won),
        };
        step = keeper.resume(desk.at(), event);
    };
    // The mark is stored, and nobody hears of it.
    desk.entry = Some(Entry { version: 2, record });
    let outcome = over(desk.go(&mut keeper, Event::Failed(lost())));
    assert_eq!(code(outcome), "lost");
    let mut other = keeper_for(Reuse::Revokes);
    desk.now += 76;
    desk.ask(&mut other);
    let outcome = over(desk.go(&mut other, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let fresh = tokens_from(2, desk.now);
    assert_eq!(got(desk.renew(&mut keeper, Ok(fresh))), "a2");
    assert!(desk.record().ended.is_none());
}

#[test]
fn an_invalid_grant_is_the_end_only_if_no_other_has_a_newer_token() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    desk.now = START + 601;
    desk.ask(&mut keeper);
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    desk.put(&Record::of(Arc::new(tokens_from(2, desk.now))));
    let version = desk.version();
    let outcome = desk.land(&mut keeper, Err(invalid_grant()));
    assert_eq!(got(outcome), "a2");
    // What the other has stored is left as it is.
    assert_eq!(desk.version(), version);
    assert!(desk.record().ended.is_none());
}

#[test]
fn an_invalid_grant_is_stored_and_asked_for_no_more_until_a_login() {
    let (mut keeper, mut desk, outcome) = failed(Reuse::Unknown, invalid_grant());
    assert_eq!(code(outcome), "denied.invalid_grant");
    let mut other = keeper_for(Reuse::Unknown);
    assert!(matches!(desk.ask(&mut other), Turn::Renew));
    let outcome = over(desk.go(&mut other, Event::Begin));
    assert_eq!(code(outcome), "denied.invalid_grant");
    assert_eq!(desk.log, ["load"]);
    keeper.replace(desk.at(), tokens_from(5, desk.now)).unwrap();
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a5");
    // Not later than after a second, the other knows.
    desk.now += 1;
    assert!(matches!(desk.ask(&mut other), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut other, Event::Begin))), "a5");
}

#[test]
fn nobody_is_told_to_log_in_while_the_store_is_silent() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    desk.now = START + 601;
    desk.ask(&mut keeper);
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    desk.is_down = true;
    let outcome = desk.land(&mut keeper, Err(invalid_grant()));
    assert_eq!(code(outcome), "lost");
}

#[test]
fn nobody_is_told_to_log_in_if_the_record_changed_in_the_last_moment() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    desk.now = START + 601;
    desk.ask(&mut keeper);
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    let step = keeper.resume(desk.at(), Event::Flown(Err(invalid_grant())));
    assert!(matches!(step, Step::Load));
    let step = keeper.resume(desk.at(), Event::Loaded(desk.entry.clone()));
    assert!(matches!(step, Step::Save { .. }));
    desk.put(&Record::of(Arc::new(tokens_from(2, desk.now))));
    let outcome = over(desk.go(&mut keeper, Event::Saved(Saved::Conflict)));
    assert_eq!(got(outcome), "a2");
}

#[test]
fn failures_in_a_row_hold_back_and_a_named_pause_is_kept() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    desk.now = START + 601;
    let mut attempts = Vec::new();
    for _ in 0..600 {
        if matches!(desk.ask(&mut keeper), Turn::Renew) {
            attempts.push(desk.now - START - 601);
            assert_eq!(code(desk.renew(&mut keeper, Err(unsent()))), "lost.unsent");
        }
        desk.now += 1;
    }
    // 0, then 1, 2, 4 .. 60 s, each with up to half as much by chance.
    assert_eq!(attempts.first_chunk(), Some(&[0, 1]));
    assert!((9..=16).contains(&attempts.len()), "{attempts:?}");
    desk.now += 1000;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let busy = ServerError::of_status(503).retry_after(Some(Duration::from_secs(200)));
    desk.renew(&mut keeper, Err(busy.into())).unwrap_err();
    desk.now += 200;
    let turn = desk.ask(&mut keeper);
    assert!(matches!(&turn, Turn::GiveUp(error) if error.code() == "denied.busy"));
    desk.now += 1;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
}

#[test]
fn an_abandoned_request_may_have_been_sent_and_an_abandoned_mark_was_not() {
    let mut desk = Desk::with(tokens(1));
    desk.now = START + 601;
    let mut keeper = keeper_for(Reuse::Revokes);
    desk.ask(&mut keeper);
    let mut step = keeper.resume(desk.at(), Event::Begin);
    while !matches!(step, Step::Save { .. }) {
        let event = match step {
            Step::Load => Event::Loaded(desk.entry.clone()),
            _ => Event::Leased(Lease::Won),
        };
        step = keeper.resume(desk.at(), event);
    }
    let Step::Save { record, .. } = step else {
        panic!("no mark");
    };
    desk.entry = Some(Entry { version: 2, record });
    keeper.abandon(desk.at());
    desk.ask(&mut keeper);
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    keeper.abandon(desk.at());
    desk.ask(&mut keeper);
    let outcome = over(desk.go(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
}

#[test]
fn another_refusal_that_was_stored_as_an_end_is_none() {
    let mut desk = Desk::new();
    desk.put(&Record {
        ended: Some(record::Ended::Refused("login_required".to_owned())),
        ..Record::of(Arc::new(tokens(1)))
    });
    let mut keeper = keeper();
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
}

#[test]
fn lost_and_revoking_one_token_that_was_not_replaced_proves_nothing() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper_for(Reuse::Revokes);
    desk.now = START + 601;
    desk.ask(&mut keeper);
    let mut same = tokens_from(2, desk.now);
    same.refresh_token = tokens(1).refresh_token;
    desk.renew(&mut keeper, Ok(same)).unwrap();
    desk.now += 601;
    desk.ask(&mut keeper);
    assert_eq!(code(desk.renew(&mut keeper, Err(lost()))), "lost");
    assert!(desk.record().attempt.is_some());
    desk.ask(&mut keeper);
    let outcome = over(desk.go(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.outcome_unknown");
}

fn busy(seconds: u64) -> Error {
    let pause = Some(Duration::from_secs(seconds));
    Error::from(ServerError::of_status(503).retry_after(pause))
}

/// What is asked of one worker means all.
#[test]
fn a_pause_that_the_server_names_is_kept_by_all() {
    let own = || {
        let upkeep = Upkeep::ClientCredentials(Scope::none());
        Keeper::new(us(), upkeep).shared(person())
    };
    let kinds: [fn() -> Keeper; 2] = [|| keeper_for(Reuse::Unknown), own];
    for (kind, make) in kinds.into_iter().enumerate() {
        let mut desk = match kind {
            0 => Desk::with(tokens(1)),
            _ => Desk::new(),
        };
        desk.now = START + 700;
        let mut first = make();
        desk.ask(&mut first);
        let outcome = desk.renew(&mut first, Err(busy(40)));
        assert_eq!(code(outcome), "denied.busy");
        let mut worker = make();
        for now in [START + 705, START + 740] {
            desk.now = now;
            match desk.ask(&mut worker) {
                Turn::Renew => {
                    let error = over(desk.go(&mut worker, Event::Begin)).unwrap_err();
                    let rest = error.advice().after().unwrap();
                    assert_eq!((error.code(), rest.as_secs()), ("denied.busy", 36));
                }
                Turn::GiveUp(error) => assert_eq!(error.code(), "denied.busy"),
                turn => panic!("{turn:?}"),
            }
        }
        // Whoever knew the record before looks first.
        desk.now = START + 741;
        assert!(matches!(desk.ask(&mut worker), Turn::Renew));
        if kind == 0 {
            // The server has not said that it did not act.
            assert!(matches!(desk.go(&mut worker, Event::Begin), Step::Wait(_)));
            desk.now = START + 755;
            assert!(matches!(desk.go(&mut worker, Event::Elapsed), Step::Run(_)));
        } else {
            assert!(matches!(desk.go(&mut worker, Event::Begin), Step::Run(_)));
        }
        let fresh = tokens_from(2, desk.now);
        assert_eq!(got(desk.land(&mut worker, Ok(fresh))), "a2");
        assert!(desk.record().pause.is_none());
    }
}

#[test]
fn a_pause_that_was_named_to_a_clock_ahead_ends_in_time() {
    let mut desk = Desk::with(tokens(1));
    let mut first = keeper_for(Reuse::Tolerated);
    desk.now = START + 7200;
    desk.ask(&mut first);
    desk.renew(&mut first, Err(busy(60))).unwrap_err();
    let mut worker = keeper_for(Reuse::Tolerated);
    desk.now = START + 700;
    desk.ask(&mut worker);
    let outcome = over(desk.go(&mut worker, Event::Begin));
    assert_eq!(code(outcome), "denied.busy");
    desk.now += 61;
    assert!(matches!(desk.ask(&mut worker), Turn::Renew));
    assert!(matches!(desk.go(&mut worker, Event::Begin), Step::Run(_)));
}

#[test]
fn a_pause_does_not_take_a_good_token_away() {
    let (_, mut desk, outcome) = failed(Reuse::Unknown, busy(60));
    assert_eq!(got(outcome), "a1");
    let mut other = keeper();
    assert!(matches!(desk.ask(&mut other), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut other, Event::Begin))), "a1");
    assert!(!desk.log.contains(&"run"));
}

#[test]
fn an_attempt_that_came_to_nothing_is_remembered_over_the_next_renewal() {
    let mut keeper = keeper_for(Reuse::Revokes);
    let mut desk = Desk::with(tokens(1));
    desk.now = START + 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let Step::Run(_) = desk.go(&mut keeper, Event::Begin) else {
        panic!("no request");
    };
    let marked = desk.entry.clone().unwrap();
    let unsent = Error::lost(Cause::unsent("no connection"));
    assert!(desk.land(&mut keeper, Err(unsent)).is_err());
    desk.now += 5;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let mut fresh = tokens_from(2, desk.now);
    fresh.refresh_token = tokens(1).refresh_token;
    desk.renew(&mut keeper, Ok(fresh)).unwrap();
    // The store loses that, and another worker puts back what it knew, with the mark.
    let version = desk.version() + 1;
    let record = marked.record;
    desk.entry = Some(Entry { version, record });
    desk.now += 1200;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert_eq!(
        got(desk.renew(&mut keeper, Ok(tokens_from(3, desk.now)))),
        "a3"
    );
}
