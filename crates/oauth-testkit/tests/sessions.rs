//! Histories of real sessions in simulated time.
//!
//! Many more of them: `cargo xtask test fleet --host real --seeds 10000`.

use std::time::Duration;

use oauth_testkit::fleet::{Report, Sessions, Setup};

#[test]
fn real_sessions_keep_every_guarantee_under_faults() {
    let mut sum = Report::default();
    for seed in 0..60 {
        match Sessions::new(seed, Setup::random(seed)).run() {
            Ok(report) => sum.add(&report),
            Err(violation) => panic!("{violation}"),
        }
    }
    assert!(sum.served > 1_000, "{sum:?}");
    let counts = [
        sum.renewals,
        sum.logins,
        sum.logouts,
        sum.refused,
        sum.errors,
        sum.cancelled,
        sum.reuse_events,
        sum.crashes,
        sum.abandoned,
        sum.pauses,
        sum.network_faults,
        sum.store_faults,
    ];
    assert!(counts.iter().all(|count| *count > 0), "{sum:?}");
}

#[test]
fn real_sessions_only_return_tokens_for_their_own_certificate_under_faults() {
    let mut sum = Report::default();
    for seed in 0..30 {
        let setup = Setup::random(seed).with_certificates(Duration::from_secs(120));
        match Sessions::new(seed, setup).run() {
            Ok(report) => sum.add(&report),
            Err(violation) => panic!("{violation}"),
        }
    }
    assert!(sum.served > 500 && sum.certificates > 30, "{sum:?}");
    assert!(sum.continued_over_certificates > 30, "{sum:?}");
}

#[test]
fn the_same_seed_gives_the_same_history_of_sessions() {
    for seed in 0..5 {
        let run = || Sessions::new(seed, Setup::random(seed)).run().ok();
        let first = run();
        assert!(first.is_some());
        assert_eq!(first, run());
    }
}
