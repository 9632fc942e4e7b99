//! Clocks that are wrong, or are set right.

use super::*;

const HOUR: u64 = 3600;

/// A lease, the longest request, and a margin.
const WINDOW: u64 = 10 + 30 + 15;

/// A record with the mark of a worker that died, made at this time by its own clock.
fn marked(desk: &mut Desk, at: u64) {
    let attempt = record::Attempt {
        id: "dead".to_owned(),
        at: UnixTime::from_secs(at),
        window: None,
    };
    desk.put(&Record {
        attempt: Some(attempt),
        ..Record::of(Arc::new(tokens(1)))
    });
}

/// How long a caller waits until the token is sent.
fn waited(desk: &mut Desk, keeper: &mut Keeper) -> u64 {
    assert!(matches!(desk.ask(keeper), Turn::Renew));
    let since = desk.now;
    let mut step = desk.go(keeper, Event::Begin);
    while let Step::Wait(_) = step {
        desk.now += 1;
        assert!(desk.now < since + HOUR, "nobody sends it");
        step = desk.go(keeper, Event::Elapsed);
    }
    assert!(matches!(step, Step::Run(_)), "{step:?}");
    desk.now - since
}

#[test]
fn a_mark_of_a_clock_that_was_ahead_is_over_a_window_after_it_was_seen() {
    for ahead in [0, 10, 2 * HOUR, 365 * 24 * HOUR] {
        let mut desk = Desk::new();
        desk.now = START + 700;
        marked(&mut desk, START + 700 + ahead);
        let time = waited(&mut desk, &mut keeper());
        assert_eq!(time, WINDOW, "{ahead} s ahead");
    }
}

#[test]
fn a_mark_of_long_ago_holds_nobody() {
    let mut desk = Desk::new();
    desk.now = START + 700;
    marked(&mut desk, START + 600);
    assert_eq!(waited(&mut desk, &mut keeper()), 0);
}

#[test]
fn a_clock_that_is_set_back_while_one_waits_costs_no_more_than_a_window() {
    let mut desk = Desk::new();
    desk.now = START + 2 * HOUR;
    marked(&mut desk, START + 2 * HOUR);
    let mut keeper = keeper();
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert!(matches!(desk.go(&mut keeper, Event::Begin), Step::Wait(_)));
    desk.now = START + 700;
    let mut step = desk.go(&mut keeper, Event::Elapsed);
    let since = desk.now;
    while let Step::Wait(_) = step {
        desk.now += 1;
        assert!(desk.now <= since + WINDOW, "nobody sends it");
        step = desk.go(&mut keeper, Event::Elapsed);
    }
    assert!(matches!(step, Step::Run(_)), "{step:?}");
}

#[test]
fn failures_of_a_clock_that_was_ahead_hold_nobody_once_it_is_set_back() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    desk.now = START + 2 * HOUR;
    for _ in 0..3 {
        desk.now += 60;
        assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
        desk.renew(&mut keeper, Err(unsent())).unwrap_err();
    }
    assert!(matches!(desk.ask(&mut keeper), Turn::GiveUp(_)));
    desk.now = START + 700;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
}

#[test]
fn a_token_lives_no_longer_than_its_lifetime_after_it_was_first_seen() {
    let mut desk = Desk::with(tokens_from(1, START + 24 * HOUR));
    let mut keeper = keeper();
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    desk.now = START + 600;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
}
