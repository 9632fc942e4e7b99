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

/// Fails at these milliseconds, and asks again as long after that as it was told to.
fn waits_as_told(keeper: &mut Keeper, desk: &mut Desk, millis: u64, error: &Error) -> u64 {
    desk.now = START + millis / 1000;
    assert!(matches!(desk.ask(keeper), Turn::Renew), "at {millis}");
    let error = desk.renew(keeper, Err(error.clone())).unwrap_err();
    assert!(!error.is_told_again());
    let pause = error.retry_after().unwrap_or_default().as_secs() * 1000;
    // Just before, it is told what is left, and that it is told again.
    if pause > 0 {
        let Turn::GiveUp(again) = desk.ask(keeper) else {
            panic!("it is not too early at {millis}");
        };
        assert!(again.is_told_again());
        assert_eq!(again.code(), error.code());
        assert_eq!(again.retry_after(), error.retry_after());
        assert!(again.to_string().contains("told again"), "{again}");
    }
    millis + pause
}

#[test]
fn who_waits_exactly_as_long_as_he_is_told_is_not_told_the_same_again() {
    for named in [1, 2, 5, 299] {
        for millis in [0, 1, 500, 999] {
            let pause = Some(Duration::from_secs(named));
            let busy = Error::from(ServerError::of_status(503).retry_after(pause));
            let mut keeper = alone();
            keeper
                .replace(Desk::new().at(), tokens_from(1, START))
                .unwrap();
            let mut desk = Desk::new();
            let start = 601_000 + millis;
            let then = waits_as_told(&mut keeper, &mut desk, start, &busy);
            assert!(then >= start + named * 1000, "{then}");
            waits_as_told(&mut keeper, &mut desk, then, &busy);
        }
    }
}

#[test]
fn who_is_held_back_after_failures_is_told_for_how_long() {
    let html = Error::from(crate::error::Fault::ReplyContentType);
    for error in [lost(), html, ServerError::of_status(500).into()] {
        let mut keeper = keeper_for(Reuse::Tolerated);
        let mut desk = Desk::with(tokens(1));
        let mut millis = 601_999;
        for _ in 0..9 {
            millis = waits_as_told(&mut keeper, &mut desk, millis, &error);
        }
        // Each pause but the first was longer, so it took a while.
        assert!(millis > 601_999 + 60_000, "{millis}");
    }
}

/// How many token requests callers cost who ask every second, where each token has the next of these
/// lifetimes, and those after the last one have that one.
fn requests(lifetimes: &[u64], seconds: u64) -> Vec<u64> {
    let mut desk = Desk::new();
    let mut keeper = alone();
    let mut first = tokens(1);
    first.expires_in = lifetimes.first().copied();
    keeper.replace(desk.at(), first).unwrap();
    let mut sent = Vec::new();
    for second in 0..seconds {
        desk.now = START + second;
        for _ in 0..10 {
            let turn = desk.ask(&mut keeper);
            if !matches!(turn, Turn::Renew | Turn::HandOutAndRenew(_)) {
                continue;
            }
            sent.push(second);
            let number = u32::try_from(sent.len()).unwrap() + 1;
            let mut next = tokens_from(number, desk.now);
            next.expires_in = lifetimes.get(sent.len()).or(lifetimes.last()).copied();
            desk.renew(&mut keeper, Ok(next)).unwrap();
        }
    }
    sent
}

#[test]
fn the_margin_before_the_end_is_a_part_of_the_lifetime_however_short_that_is() {
    let sent = requests(&[300, 120, 20, 3], 600);
    let begun = std::iter::once(&0).chain(&sent);
    let lived: Vec<_> = sent
        .iter()
        .zip(begun)
        .map(|(end, start)| end - start)
        .collect();
    let [first, second, third, rest @ ..] = lived.as_slice() else {
        panic!("{lived:?}");
    };
    // Less a tenth, a fifth, and half of that by chance.
    assert!((180..300).contains(first), "{lived:?}");
    assert!((72..120).contains(second), "{lived:?}");
    assert!((12..20).contains(third), "{lived:?}");
    assert!(rest.iter().all(|seconds| *seconds == 3), "{lived:?}");
    // One of no lifetime at all lasts for the second in which it came.
    for lifetime in [0, 1, 2, 5, 30, 90] {
        let sent = requests(&[lifetime], 300);
        let most = 300 / (lifetime * 3 / 5).max(1) + 1;
        assert!(sent.len() as u64 <= most, "{lifetime} s: {sent:?}");
    }
}

#[test]
fn who_slept_past_the_end_of_a_token_renews_once() {
    let mut desk = Desk::with(tokens(1));
    let mut keeper = keeper();
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert_eq!(got(over(desk.go(&mut keeper, Event::Begin))), "a1");
    desk.now = START + 8 * HOUR;
    assert!(matches!(desk.ask(&mut keeper), Turn::Renew));
    assert!(matches!(desk.ask(&mut keeper), Turn::Follow));
    let fresh = tokens_from(2, desk.now);
    assert_eq!(got(desk.renew(&mut keeper, Ok(fresh))), "a2");
    assert!(matches!(desk.ask(&mut keeper), Turn::HandOut(_)));
}

#[test]
fn clocks_that_differ_by_hours_make_no_loop() {
    // Two workers of one store, one of them two hours ahead, whose callers ask every second.
    let mut desk = Desk::with(tokens(1));
    let mut workers = [(keeper(), 0), (keeper(), 2 * HOUR)];
    let mut sent = 0;
    for second in 0..2 * HOUR {
        for (keeper, ahead) in &mut workers {
            desk.now = START + *ahead + second;
            if !matches!(desk.ask(keeper), Turn::Renew | Turn::HandOutAndRenew(_)) {
                continue;
            }
            if let Step::Run(_) = desk.go(keeper, Event::Begin) {
                sent += 1;
                let fresh = tokens_from(sent + 1, desk.now);
                desk.land(keeper, Ok(fresh)).unwrap();
            }
        }
    }
    // Each of them once in a lifetime, less what is renewed early.
    assert!(u64::from(sent) <= 2 * (2 * HOUR / 480 + 1), "{sent}");
}

#[test]
fn a_clock_that_is_set_right_costs_one_renewal() {
    for (wrong, right) in [(START + 2 * HOUR, START + 60), (START, START + 2 * HOUR)] {
        let mut desk = Desk::new();
        desk.now = wrong;
        let mut keeper = alone();
        keeper.replace(desk.at(), tokens_from(1, wrong)).unwrap();
        assert_eq!(handed(desk.ask(&mut keeper)), "a1");
        let (mut sent, mut last) = (0, tokens_from(1, wrong));
        for second in 0..500 {
            desk.now = right + second;
            // The server counts by a clock of its own: the first token was good for another minute.
            let is_over = sent == 0 && second > 60;
            let refused = is_over.then_some(&last);
            if let Turn::Renew | Turn::HandOutAndRenew(_) = keeper.ask(desk.now(), refused) {
                sent += 1;
                last = tokens_from(1 + sent, desk.now);
                desk.renew(&mut keeper, Ok(last.clone())).unwrap();
            }
        }
        assert_eq!(sent, 1, "from {wrong} to {right}");
    }
}
