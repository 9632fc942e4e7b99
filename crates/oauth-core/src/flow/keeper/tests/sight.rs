//! Records that are removed, and records that are lost.

use super::*;
use crate::flow::keeper::record::Ended;

const DAY: u64 = 24 * 3600;

/// What a login has brought, and what was made of it.
fn of(login: &str, number: u32, received_at: u64) -> Record {
    Record {
        login: Some(login.to_owned()),
        ..Record::of(Arc::new(tokens_from(number, received_at)))
    }
}

/// A worker that knows what is stored.
fn worker(desk: &mut Desk) -> Keeper {
    let mut keeper = keeper();
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    over(desk.go(&mut keeper, Event::Begin)).unwrap();
    keeper
}

fn stored(record: &Record) -> Desk {
    let mut desk = Desk::new();
    desk.put(record);
    desk
}

fn in_store(desk: &Desk) -> (Option<String>, String) {
    let record = desk.record();
    let tokens = record.tokens.clone().unwrap();
    (record.login, access(&tokens).to_owned())
}

#[test]
fn a_login_after_a_logout_is_seen_by_a_worker_with_the_old_one() {
    let mut desk = stored(&of("one", 1, START));
    let mut keeper = worker(&mut desk);
    desk.remove();
    desk.put(&of("two", 7, START + 100));
    // The API refuses the old token.
    desk.now = START + 200;
    let turn = keeper.ask(desk.now(), Some(&tokens(1)));
    assert!(matches!(turn, Turn::Renew), "{turn:?}");
    desk.log.clear();
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a7");
    assert_eq!(desk.log, ["load"]);
}

#[test]
fn what_was_sent_before_a_logout_is_not_stored_after_it() {
    for login in [None, Some("two")] {
        let mut desk = stored(&of("one", 1, START));
        let mut keeper = worker(&mut desk);
        desk.now = START + 601;
        desk.ask(&mut keeper);
        assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
        desk.remove();
        if let Some(login) = login {
            desk.put(&of(login, 7, desk.now));
        }
        let late = tokens_from(2, desk.now);
        let outcome = desk.land(&mut keeper, Ok(late));
        match login {
            Some(login) => {
                assert_eq!(got(outcome), "a7");
                assert_eq!(in_store(&desk), (Some(login.to_owned()), "a7".to_owned()));
            }
            None => {
                assert_eq!(code(outcome), "lost");
                assert!(desk.entry.as_ref().unwrap().is_removed());
            }
        }
    }
}

#[test]
fn who_sees_that_a_record_was_removed_has_nothing_to_hand_out() {
    let mut desk = stored(&of("one", 1, START));
    let mut keeper = worker(&mut desk);
    desk.remove();
    desk.now = START + 511;
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    let outcome = over(desk.go(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.no_refresh_token");
    let turn = desk.ask(&mut keeper);
    let error = "grant.no_refresh_token";
    assert!(
        matches!(&turn, Turn::GiveUp(why) if why.code() == error),
        "{turn:?}"
    );
    assert!(desk.entry.as_ref().unwrap().is_removed());
}

#[test]
fn a_login_takes_the_place_of_a_removed_record() {
    let mut desk = stored(&of("one", 1, START));
    desk.remove();
    let mut keeper = keeper().with_tokens(desk.at(), tokens(5)).unwrap();
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a5");
    assert_eq!(desk.version(), 3);
}

/// A worker has renewed, and the store has lost that.
fn lost_save(left: impl FnOnce(&Desk) -> Option<Entry>) -> (Keeper, Desk) {
    let mut desk = stored(&of("one", 1, START));
    let mut keeper = worker(&mut desk);
    let left = left(&desk);
    for number in [2, 3] {
        desk.now += 601;
        desk.ask(&mut keeper);
        let fresh = tokens_from(number, desk.now);
        desk.renew(&mut keeper, Ok(fresh)).unwrap();
    }
    desk.lose(left);
    desk.log.clear();
    (keeper, desk)
}

#[test]
fn what_the_store_has_lost_is_put_back_by_who_still_has_it() {
    let whats: [fn(&Desk) -> Option<Entry>; 2] = [|desk| desk.entry.clone(), |_| None];
    for what in whats {
        let (mut keeper, mut desk) = lost_save(what);
        desk.now += 511;
        assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
        assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a3");
        assert_eq!(in_store(&desk), (Some("one".to_owned()), "a3".to_owned()));
        assert_eq!(desk.log, ["load", "save", "release"]);
    }
}

#[test]
fn a_mark_that_is_put_back_means_as_little_as_before() {
    let mut desk = stored(&of("one", 1, START));
    let mut keeper = keeper_for(Reuse::Revokes);
    desk.now = START + 601;
    desk.ask(&mut keeper);
    // The mark is stored, and the answer is lost: nothing is sent.
    let mut step = keeper.resume(desk.at(), Event::Begin);
    loop {
        let event = match step {
            Step::Load => Event::Loaded(desk.entry.clone()),
            Step::Save {
                record, version, ..
            } => {
                desk.save(record, version);
                break;
            }
            _ => Event::Leased(Lease::Won),
        };
        step = keeper.resume(desk.at(), event);
    }
    let outcome = over(desk.go(&mut keeper, Event::Failed(lost())));
    assert_eq!(code(outcome), "lost");
    desk.is_held = true;
    desk.now += 1;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Wait(_)));
    desk.lose(None);
    desk.is_held = false;
    let step = desk.go(&mut keeper, Event::Elapsed);
    assert!(matches!(step, Step::Run(_)), "{step:?}");
}

#[test]
fn a_grant_that_is_over_for_one_reason_is_not_put_back_as_over_for_another() {
    let mut desk = Desk::with(tokens(1));
    let mut dead = keeper_for(Reuse::Revokes);
    desk.now = START + 601;
    desk.ask(&mut dead);
    assert!(matches!(desk.go(&mut dead, Event::Begin), Step::Run(_)));
    // Nobody hears of the request any more.
    desk.now = START + 700;
    let mut keeper = keeper_for(Reuse::Revokes);
    desk.ask(&mut keeper);
    let mut step = keeper.resume(desk.at(), Event::Begin);
    loop {
        let event = match step {
            Step::Load => Event::Loaded(desk.entry.clone()),
            Step::Lease { .. } => Event::Leased(Lease::Won),
            Step::Save { .. } => break,
            step => panic!("not the end of the grant but {step:?}"),
        };
        step = keeper.resume(desk.at(), event);
    }
    desk.lose(None);
    let outcome = over(desk.go(&mut keeper, Event::Saved(Saved::Conflict)));
    assert_eq!(code(outcome), "grant.outcome_unknown");
    assert_eq!(desk.record().ended, Some(Ended::OutcomeUnknown));
}

#[test]
fn of_what_the_store_has_lost_the_newest_refresh_token_is_sent() {
    let (mut keeper, mut desk) = lost_save(|desk| desk.entry.clone());
    desk.now += 601;
    desk.ask(&mut keeper);
    let request = desk.sends(&mut keeper);
    assert!(String::from_utf8_lossy(request.body()).contains("refresh_token=r3"));
}

#[test]
fn a_mark_that_the_store_has_lost_is_put_back() {
    let mut desk = stored(&of("one", 1, START));
    let before = desk.entry.clone();
    let mut keeper = worker(&mut desk);
    desk.now = START + 580;
    desk.ask(&mut keeper);
    assert_eq!(got(desk.renew(&mut keeper, Err(lost()))), "a1");
    desk.lose(before);
    desk.ask(&mut keeper);
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    assert!(desk.record().attempt.is_some());
}

#[test]
fn new_tokens_are_stored_though_the_store_has_lost_what_they_follow() {
    let whats: [fn(&Desk) -> Option<Entry>; 2] = [|desk| desk.entry.clone(), |_| None];
    for what in whats {
        let (mut keeper, mut desk) = lost_save(what);
        let left = desk.entry.clone();
        desk.now += 601;
        desk.ask(&mut keeper);
        assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
        desk.lose(left);
        let fresh = tokens_from(4, desk.now);
        assert_eq!(got(desk.land(&mut keeper, Ok(fresh))), "a4");
        assert_eq!(in_store(&desk), (Some("one".to_owned()), "a4".to_owned()));
    }
}

#[test]
fn after_a_month_a_record_that_is_not_there_may_have_been_removed() {
    let (mut keeper, mut desk) = lost_save(|_| None);
    desk.now += 30 * DAY;
    desk.ask(&mut keeper);
    let outcome = over(desk.go(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.no_refresh_token");
    assert!(desk.entry.is_none());
}

#[test]
fn a_store_that_counts_anew_costs_nobody_a_login() {
    let (mut keeper, mut desk) = lost_save(|_| None);
    desk.now += 601;
    desk.put(&of("two", 7, desk.now));
    assert_eq!(desk.version(), 1);
    desk.ask(&mut keeper);
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a7");
    assert_eq!(in_store(&desk), (Some("two".to_owned()), "a7".to_owned()));
}

#[test]
fn an_older_record_that_is_told_of_changes_nothing() {
    let mut desk = stored(&of("one", 1, START));
    let older = desk.entry.clone().unwrap();
    desk.put(&of("one", 2, START));
    let mut keeper = worker(&mut desk);
    keeper.learn(desk.at(), older).unwrap();
    assert_eq!(handed(desk.ask(&mut keeper)), "a2");
}

/// Some servers give the same refresh token at every login.
#[test]
fn what_was_sent_before_a_login_does_not_replace_it_though_the_refresh_token_is_the_same() {
    let mut desk = stored(&of("one", 1, START));
    let mut keeper = worker(&mut desk);
    desk.now = START + 601;
    desk.ask(&mut keeper);
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    let mut login = tokens_from(7, desk.now);
    login.refresh_token = tokens(1).refresh_token;
    desk.put(&Record {
        login: Some("two".to_owned()),
        ..Record::of(Arc::new(login))
    });
    let mut late = tokens_from(2, desk.now + 1);
    late.refresh_token = tokens(1).refresh_token;
    assert_eq!(got(desk.land(&mut keeper, Ok(late))), "a7");
    assert_eq!(in_store(&desk), (Some("two".to_owned()), "a7".to_owned()));
}

#[test]
fn tokens_of_the_same_second_do_not_replace_those_with_the_same_refresh_token() {
    let mut desk = stored(&of("one", 1, START));
    let mut keeper = worker(&mut desk);
    desk.now = START + 601;
    desk.ask(&mut keeper);
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    let renewed = |number| {
        let mut renewed = tokens_from(number, START + 601);
        renewed.refresh_token = tokens(1).refresh_token;
        renewed
    };
    desk.put(&Record {
        login: Some("one".to_owned()),
        ..Record::of(Arc::new(renewed(7)))
    });
    // Others have the stored ones already.
    assert_eq!(got(desk.land(&mut keeper, Ok(renewed(2)))), "a7");
    assert_eq!(in_store(&desk).1, "a7");
}

#[test]
fn a_login_that_may_be_stored_is_stored_though_the_store_has_lost_what_was_there() {
    let mut desk = stored(&of("one", 1, START));
    let mut keeper = keeper();
    keeper.replace(desk.at(), tokens(5)).unwrap();
    desk.ask(&mut keeper);
    let _ = keeper.resume(desk.at(), Event::Begin);
    let _ = keeper.resume(desk.at(), Event::Loaded(desk.entry.clone()));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Failed(lost())))), "a5");
    desk.lose(None);
    desk.now += 1;
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a5");
    assert_eq!(in_store(&desk).1, "a5");
}

#[test]
fn a_login_that_may_be_stored_is_not_stored_after_a_logout() {
    let mut desk = stored(&of("one", 1, START));
    desk.remove();
    let mut keeper = keeper().with_tokens(desk.at(), tokens(5)).unwrap();
    desk.ask(&mut keeper);
    let _ = keeper.resume(desk.at(), Event::Begin);
    let _ = keeper.resume(desk.at(), Event::Loaded(desk.entry.clone()));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Failed(lost())))), "a5");
    desk.remove();
    desk.now += 1;
    desk.ask(&mut keeper);
    let outcome = over(desk.go(&mut keeper, Event::Begin));
    assert_eq!(code(outcome), "grant.no_refresh_token");
    assert!(desk.entry.as_ref().unwrap().is_removed());
}

#[test]
fn what_was_read_on_the_way_into_the_store_is_what_is_handed_out_meanwhile() {
    let own = Keeper::new(us(), Upkeep::ClientCredentials(Scope::none()));
    let mut keeper = own.shared(person());
    let bare = |number, at| {
        let mut bare = tokens_from(number, at);
        bare.refresh_token = None;
        bare
    };
    let mut desk = Desk::with(bare(1, START));
    desk.ask(&mut keeper);
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    desk.now = START + 520;
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    // Another was quicker, and the store falls silent after that is read.
    desk.put(&Record::of(Arc::new(bare(2, desk.now))));
    desk.now += 1;
    let step = keeper.resume(desk.at(), Event::Flown(Ok(bare(3, desk.now))));
    assert!(matches!(step, Step::Save { .. }), "{step:?}");
    let step = keeper.resume(desk.at(), Event::Saved(Saved::Conflict));
    assert!(matches!(step, Step::Load), "{step:?}");
    let step = keeper.resume(desk.at(), Event::Loaded(desk.entry.clone()));
    assert!(matches!(step, Step::Save { .. }), "{step:?}");
    assert_eq!(handed(desk.ask(&mut keeper)), "a2");
    assert_eq!(
        got(over(desk.go(&mut keeper, Event::Saved(Saved::At(3))))),
        "a3"
    );
}

#[test]
fn an_older_record_of_the_same_login_is_not_newer_whatever_its_version() {
    let mut desk = Desk::new();
    let mut keeper = keeper();
    keeper.replace(desk.at(), tokens(1)).unwrap();
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    let old = desk.entry.clone().unwrap();
    desk.now = START + 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let fresh = tokens_from(2, desk.now);
    assert_eq!(got(desk.renew(&mut keeper, Ok(fresh))), "a2");
    // Somebody restores a backup, and saves it as new.
    let version = desk.version() + 1000;
    let record = old.record;
    desk.entry = Some(Entry { version, record });
    desk.now += 700;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let request = desk.sends(&mut keeper);
    let body = String::from_utf8_lossy(request.body());
    assert!(body.contains("refresh_token=r2"), "{body}");
    assert!(desk.version() > version);
}

#[test]
fn where_the_refresh_token_is_the_same_what_is_stored_is_taken() {
    let mut desk = Desk::new();
    let mut keeper = keeper();
    keeper.replace(desk.at(), tokens(1)).unwrap();
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    let old = desk.record();
    for number in 2..4 {
        desk.now += 601;
        assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
        let mut fresh = tokens_from(number, desk.now);
        fresh.refresh_token = tokens(1).refresh_token;
        desk.renew(&mut keeper, Ok(fresh)).unwrap();
    }
    // The store has lost that, and another has renewed what was left.
    let mut other = tokens_from(9, desk.now + 500);
    other.refresh_token = tokens(1).refresh_token;
    let mut record = Record::of(Arc::new(other));
    (record.login, record.renewals) = (old.login, Some(1));
    let version = desk.version() + 1;
    desk.put(&record);
    desk.entry.as_mut().unwrap().version = version;
    desk.now += 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a9");
    assert_eq!(desk.version(), version);
}

#[test]
fn of_records_whose_renewals_nobody_counted_the_version_decides() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    assert_eq!(desk.record().renewals, None);
    desk.now = START + 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert_eq!(
        got(desk.renew(&mut keeper, Ok(tokens_from(2, desk.now)))),
        "a2"
    );
    assert_eq!(desk.record().renewals, None);
    // A worker of an earlier version has renewed, with a clock that is behind.
    let mut other = desk.record();
    other.tokens = Some(Arc::new(tokens_from(3, START + 300)));
    desk.put(&other);
    desk.now += 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    let request = desk.sends(&mut keeper);
    let body = String::from_utf8_lossy(request.body());
    assert!(body.contains("refresh_token=r3"), "{body}");
}

/// With a refresh token that the server leaves as it is.
fn kept(number: u32, received_at: u64) -> Tokens {
    let mut kept = tokens_from(number, received_at);
    kept.refresh_token = tokens(1).refresh_token;
    kept
}

#[test]
fn of_two_tokens_with_one_refresh_token_the_one_renewed_more_often_is_newer() {
    let mut desk = Desk::new();
    let mut keeper = keeper();
    keeper.replace(desk.at(), tokens(1)).unwrap();
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    desk.now = START + 601;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
    // Others have renewed it twice while this request was on its way, and their clocks are behind.
    let mut other = desk.record();
    other.tokens = Some(Arc::new(kept(3, START + 590)));
    other.renewals = Some(2);
    desk.put(&other);
    desk.now += 1;
    assert_eq!(got(desk.land(&mut keeper, Ok(kept(2, desk.now)))), "a3");
    assert_eq!(access(desk.record().tokens.as_deref().unwrap()), "a3");
    // Renewed as often, the time tells.
    for (received_at, newest) in [(START + 1300, "a5"), (START + 1200, "a4")] {
        let mut desk = Desk::new();
        let mut keeper = super::keeper();
        keeper.replace(desk.at(), tokens(1)).unwrap();
        assert!(matches!(desk.ask(&mut keeper), Turn::HandOutAndRenew(_)));
        drop(desk.go(&mut keeper, Event::Begin));
        desk.now = START + 601;
        assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
        assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Run(_)));
        let mut other = desk.record();
        other.tokens = Some(Arc::new(kept(4, START + 1250)));
        other.renewals = Some(1);
        desk.put(&other);
        desk.now = START + 1260;
        drop(desk.land(&mut keeper, Ok(kept(5, received_at))));
        assert_eq!(access(desk.record().tokens.as_deref().unwrap()), newest);
    }
}
