//! Clocks that are wrong or are corrected.

use super::*;

const HOUR: u64 = 3600;

/// A lease, the longest request, and a margin.
const WINDOW: u64 = 10 + 30 + 15;

/// A record with the marker of a crashed worker, written at this time by its clock.
fn with_marker(store: &mut TestStore, at: u64) {
    let marker = record::InFlightMarker {
        id: "dead".to_owned(),
        at: UnixTime::from_secs(at),
        window: None,
    };
    store.save_elsewhere(&Record {
        in_flight: Some(marker),
        ..Record::from_tokens(Arc::new(tokens(1)))
    });
}

/// The number of seconds that a caller waits until the refresh token is sent.
fn seconds_until_sent(store: &mut TestStore, keeper: &mut Keeper) -> u64 {
    assert!(matches!(store.decide(keeper), Decision::Renew));
    let since = store.now;
    let mut step = store.run(keeper, Event::Begin);
    while let Step::Wait(_) = step {
        store.now += 1;
        assert!(store.now < since + HOUR, "nobody sends it");
        step = store.run(keeper, Event::Elapsed);
    }
    assert!(matches!(step, Step::Run(_)), "{step:?}");
    store.now - since
}

#[test]
fn marker_with_a_future_time_expires_one_window_after_it_is_seen() {
    for ahead in [0, 10, 2 * HOUR, 365 * 24 * HOUR] {
        let mut store = TestStore::new();
        store.now = START + 700;
        with_marker(&mut store, START + 700 + ahead);
        let time = seconds_until_sent(&mut store, &mut keeper());
        assert_eq!(time, WINDOW, "{ahead} s ahead");
    }
}

#[test]
fn wait_for_a_crashed_worker_depends_on_request_timeout_and_reuse_policy() {
    for (longest, reuse, time) in [
        (30, Reuse::Unknown, 55),
        (5, Reuse::Unknown, 30),
        (30, Reuse::Tolerated, 0),
    ] {
        let mut store = TestStore::new();
        store.now = START + 700;
        with_marker(&mut store, START + 700);
        let policy = Policy {
            longest_request: Duration::from_secs(longest),
            reuse,
            ..Policy::default()
        };
        let mut keeper = keeper().with_policy(policy);
        assert_eq!(
            seconds_until_sent(&mut store, &mut keeper),
            time,
            "{longest} {reuse:?}"
        );
    }
    // A valid token is used in the meantime.
    let mut store = TestStore::new();
    with_marker(&mut store, START);
    let mut keeper = keeper();
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(
        store.run(&mut keeper, Event::Begin),
        Step::Done(Ok(_))
    ));
}

#[test]
fn expired_marker_delays_no_renewal() {
    let mut store = TestStore::new();
    store.now = START + 700;
    with_marker(&mut store, START + 600);
    assert_eq!(seconds_until_sent(&mut store, &mut keeper()), 0);
}

#[test]
fn clock_set_back_during_a_wait_prolongs_it_by_at_most_one_window() {
    let mut store = TestStore::new();
    store.now = START + 2 * HOUR;
    with_marker(&mut store, START + 2 * HOUR);
    let mut keeper = keeper();
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(
        store.run(&mut keeper, Event::Begin),
        Step::Wait(_)
    ));
    store.now = START + 700;
    let mut step = store.run(&mut keeper, Event::Elapsed);
    let since = store.now;
    while let Step::Wait(_) = step {
        store.now += 1;
        assert!(store.now <= since + WINDOW, "nobody sends it");
        step = store.run(&mut keeper, Event::Elapsed);
    }
    assert!(matches!(step, Step::Run(_)), "{step:?}");
}

#[test]
fn failures_recorded_by_a_fast_clock_do_not_block_after_correction() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    store.now = START + 2 * HOUR;
    for _ in 0..3 {
        store.now += 60;
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        store.renew(&mut keeper, Err(unsent_request())).unwrap_err();
    }
    assert!(matches!(store.decide(&mut keeper), Decision::Fail(_)));
    store.now = START + 700;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
}

/// Such a token may have expired: a new worker, such as each call of a command, would use it until that time.
#[test]
fn token_obtained_in_the_future_is_renewed_once() {
    // The clocks of a fleet may differ by up to the tolerance.
    let clock_skew = crate::jose::CLOCK_SKEW.as_secs();
    for (ahead, is_renewed) in [
        (clock_skew, false),
        (clock_skew + 1, true),
        (24 * HOUR, true),
    ] {
        let mut store = TestStore::with(tokens_from(1, START + ahead));
        let mut first = keeper();
        assert!(matches!(store.decide(&mut first), Decision::Renew));
        let step = store.run(&mut first, Event::Begin);
        if is_renewed {
            assert!(matches!(step, Step::Run(_)), "{ahead} s ahead: {step:?}");
            store
                .complete(&mut first, Ok(tokens_from(2, START)))
                .unwrap();
        }
        // A worker that starts later, and the first one, find the token fresh.
        let mut second = keeper();
        let _ = store.decide(&mut second);
        let step = store.run(&mut second, Event::Begin);
        let expected = if is_renewed { "a2" } else { "a1" };
        assert_eq!(
            access_of_outcome(outcome_of(step)),
            expected,
            "{ahead} s ahead"
        );
        assert_eq!(access_of_decision(store.decide(&mut first)), expected);
    }
}

#[test]
fn token_in_memory_is_renewed_when_the_clock_is_set_back() {
    let mut store = TestStore::new();
    store.now = START + 24 * HOUR;
    let mut keeper = unshared_keeper();
    keeper
        .replace(&store.at(), tokens_from(1, store.now))
        .unwrap();
    let (_, times) = keeper.fresh().unwrap();
    assert!(times.contains(&store.now()));
    store.now = START;
    assert!(!times.contains(&store.now()));
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    store.renew(&mut keeper, Ok(tokens_from(2, START))).unwrap();
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a2");
}

#[test]
fn token_obtained_in_the_future_that_cannot_be_renewed_expires_one_lifetime_after_it_is_seen() {
    let mut future_tokens = tokens_from(1, START + 24 * HOUR);
    future_tokens.refresh_token = None;
    let mut store = TestStore::with(future_tokens);
    let mut keeper = keeper();
    for second in [0, 10, 599] {
        store.now = START + second;
        let given = match store.decide(&mut keeper) {
            Decision::UseToken(tokens) => Ok(tokens),
            decision => {
                // Nothing is to be found in the store that is not in memory.
                assert_ne!(second, 10, "{decision:?}");
                outcome_of(store.run(&mut keeper, Event::Begin))
            }
        };
        assert_eq!(access_of_outcome(given), "a1", "after {second} s");
    }
    store.now = START + 600;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let error = outcome_of(store.run(&mut keeper, Event::Begin));
    assert_eq!(code(error), "grant.no_refresh_token");
}

/// The tokens of one command are expired for the other, whose tokens are of the future for the first.
#[test]
fn commands_on_machines_with_clocks_hours_apart_do_not_renew_in_a_loop() {
    let mut store = TestStore::with(tokens(1));
    let mut sent = 0;
    for second in 0..HOUR {
        // Each call is a process of its own, which knows nothing of the calls before.
        store.now = START + second + (second % 2) * 2 * HOUR;
        let mut keeper = keeper();
        let _ = store.decide(&mut keeper);
        if let Step::Run(_) = store.run(&mut keeper, Event::Begin) {
            sent += 1;
            let fresh = tokens_from(sent + 1, store.now);
            store.complete(&mut keeper, Ok(fresh)).unwrap();
        }
    }
    // Two a minute, and a few more before the pause is that long.
    assert!(u64::from(sent) <= 2 * HOUR / 60 + 20, "{sent}");
}

/// Fails at this time and renews again exactly after the reported pause.
fn fail_and_retry_after_the_pause(
    keeper: &mut Keeper,
    store: &mut TestStore,
    millis: u64,
    error: &Error,
) -> u64 {
    store.now = START + millis / 1000;
    assert!(
        matches!(store.decide(keeper), Decision::Renew),
        "at {millis}"
    );
    let error = store.renew(keeper, Err(error.clone())).unwrap_err();
    assert!(!error.is_repeated());
    let pause = error.retry_after().unwrap().as_secs();
    assert!(pause >= 1);
    // Just before the end of the pause, the remaining pause is reported.
    if pause > 1 {
        let Decision::Fail(again) = store.decide(keeper) else {
            panic!("it is not too early at {millis}");
        };
        assert!(again.is_repeated());
        assert_eq!(again.code(), error.code());
        assert_eq!(again.retry_after(), error.retry_after());
        assert!(
            again.to_string().contains("repeated; next attempt in"),
            "{again}"
        );
    }
    millis + pause * 1000
}

#[test]
fn renewal_is_allowed_exactly_after_the_reported_retry_after() {
    for named in [1, 2, 5, 299] {
        for millis in [0, 1, 500, 999] {
            let pause = Some(Duration::from_secs(named));
            let busy = Error::from(ServerError::from_status(503).retry_after(pause));
            let mut keeper = unshared_keeper();
            keeper
                .replace(&TestStore::new().at(), tokens_from(1, START))
                .unwrap();
            let mut store = TestStore::new();
            let start = 601_000 + millis;
            let then = fail_and_retry_after_the_pause(&mut keeper, &mut store, start, &busy);
            assert!(then >= start + named * 1000, "{then}");
            fail_and_retry_after_the_pause(&mut keeper, &mut store, then, &busy);
        }
    }
}

#[test]
fn pause_after_failures_is_reported_and_long_enough() {
    for error in [lost_reply(), ServerError::from_status(500).into()] {
        let mut keeper = keeper_for(Reuse::Tolerated);
        let mut store = TestStore::with(tokens(1));
        let mut millis = 601_999;
        for _ in 0..9 {
            millis = fail_and_retry_after_the_pause(&mut keeper, &mut store, millis, &error);
        }
        // Every pause but the first was longer, so this took a while.
        assert!(millis > 601_999 + 60_000, "{millis}");
    }
}

#[test]
fn retry_after_is_reported_only_for_failures_that_waiting_can_resolve() {
    let html = Error::from(crate::error::ProtocolViolation::ReplyContentType);
    let mut keeper = keeper_for(Reuse::Tolerated);
    let mut store = TestStore::with(tokens(1));
    store.now = START + 601;
    for _ in 0..2 {
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let error = store.renew(&mut keeper, Err(html.clone())).unwrap_err();
        assert_eq!(
            (error.advice().as_str(), error.retry_after()),
            ("give_up", None)
        );
    }
    let Decision::Fail(again) = store.decide(&mut keeper) else {
        panic!("it is not too early");
    };
    assert!(again.is_repeated());
    assert_eq!(
        (again.advice().as_str(), again.retry_after()),
        ("give_up", None)
    );
    assert!(again.to_string().contains("next attempt in"), "{again}");
}

/// The times of the token requests if callers ask every second and each token has the next of these
/// lifetimes; later tokens have the last one.
fn requests(lifetimes: &[u64], seconds: u64) -> Vec<u64> {
    let mut store = TestStore::new();
    let mut keeper = unshared_keeper();
    let mut first = tokens(1);
    first.expires_in = lifetimes.first().copied();
    keeper.replace(&store.at(), first).unwrap();
    let mut sent = Vec::new();
    for second in 0..seconds {
        store.now = START + second;
        for _ in 0..10 {
            let decision = store.decide(&mut keeper);
            if !matches!(decision, Decision::Renew | Decision::UseAndRenew(_)) {
                continue;
            }
            sent.push(second);
            let number = u32::try_from(sent.len()).unwrap() + 1;
            let mut next = tokens_from(number, store.now);
            next.expires_in = lifetimes.get(sent.len()).or(lifetimes.last()).copied();
            store.renew(&mut keeper, Ok(next)).unwrap();
        }
    }
    sent
}

#[test]
fn renewal_margin_is_proportional_to_the_token_lifetime() {
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
    // Less a tenth to a fifth, with half of that as jitter.
    assert!((180..300).contains(first), "{lived:?}");
    assert!((72..120).contains(second), "{lived:?}");
    assert!((12..20).contains(third), "{lived:?}");
    assert!(rest.iter().all(|seconds| *seconds == 3), "{lived:?}");
    // A token without a lifetime lasts for the second in which it was received.
    for lifetime in [0, 1, 2, 5, 30, 90] {
        let sent = requests(&[lifetime], 300);
        let most = 300 / (lifetime * 3 / 5).max(1) + 1;
        assert!(sent.len() as u64 <= most, "{lifetime} s: {sent:?}");
    }
}

#[test]
fn token_that_expired_during_sleep_is_renewed_once() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    store.now = START + 8 * HOUR;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(store.decide(&mut keeper), Decision::Wait));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
    assert!(matches!(store.decide(&mut keeper), Decision::UseToken(_)));
}

#[test]
fn workers_with_clocks_hours_apart_do_not_renew_in_a_loop() {
    // Two workers of one store, one of them two hours ahead, with requests every second.
    let mut store = TestStore::with(tokens(1));
    let mut workers = [(keeper(), 0), (keeper(), 2 * HOUR)];
    let mut sent = 0;
    for second in 0..2 * HOUR {
        for (keeper, ahead) in &mut workers {
            store.now = START + *ahead + second;
            if !matches!(
                store.decide(keeper),
                Decision::Renew | Decision::UseAndRenew(_)
            ) {
                continue;
            }
            if let Step::Run(_) = store.run(keeper, Event::Begin) {
                sent += 1;
                let fresh = tokens_from(sent + 1, store.now);
                store.complete(keeper, Ok(fresh)).unwrap();
            }
        }
    }
    // Each worker renews once per lifetime, apart from early renewals.
    assert!(u64::from(sent) <= 2 * (2 * HOUR / 480 + 1), "{sent}");
}

#[test]
fn clock_correction_causes_a_single_renewal() {
    for (wrong, right) in [(START + 2 * HOUR, START + 60), (START, START + 2 * HOUR)] {
        let mut store = TestStore::new();
        store.now = wrong;
        let mut keeper = unshared_keeper();
        keeper.replace(&store.at(), tokens_from(1, wrong)).unwrap();
        assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
        let (mut sent, mut last) = (0, tokens_from(1, wrong));
        for second in 0..500 {
            store.now = right + second;
            // The server uses its own clock: the first token was valid for another minute.
            let is_over = sent == 0 && second > 60;
            let refused = is_over.then_some(&last);
            if let Decision::Renew | Decision::UseAndRenew(_) = keeper.ask(store.now(), refused) {
                sent += 1;
                last = tokens_from(1 + sent, store.now);
                store.renew(&mut keeper, Ok(last.clone())).unwrap();
            }
        }
        assert_eq!(sent, 1, "from {wrong} to {right}");
    }
}
