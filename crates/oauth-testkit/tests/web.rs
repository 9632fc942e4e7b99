//! Histories of web servers, people and their browsers.
//!
//! Many more of them: `cargo xtask test fleet --host web --seeds 100000`.

use oauth_testkit::fleet::{Web, WebFlaw, WebReport};

#[test]
fn whatever_goes_wrong_nobody_is_seen_as_another_and_who_signs_out_is_out() {
    let mut sum = WebReport::default();
    for seed in 0..40 {
        match Web::new(seed).run() {
            Ok(report) => sum.add(&report),
            Err(violation) => panic!("{violation}"),
        }
    }
    let counts = [
        sum.passed,
        sum.tokens,
        sum.logins,
        sum.logouts,
        sum.logout_tokens,
        sum.over,
        sum.renewals,
        sum.crashes,
        sum.cut_short,
        sum.stalls,
        sum.network_faults,
        sum.store_faults,
    ];
    assert!(counts.iter().all(|count| *count > 0), "{sum:?}");
}

#[test]
fn hosts_that_make_a_mistake_are_found() {
    for (name, flaw) in WebFlaw::ALL {
        let found = (0..100).find(|seed| Web::new(*seed).with_flaw(flaw).run().is_err());
        assert!(found.is_some(), "{name} is not found");
    }
}

#[test]
fn one_seed_is_one_history_of_web_servers() {
    for seed in 0..5 {
        let run = || Web::new(seed).run().ok();
        let first = run();
        assert!(first.is_some());
        assert_eq!(first, run());
    }
}
