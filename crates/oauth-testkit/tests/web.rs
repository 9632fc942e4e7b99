//! Histories of web servers, users and their browsers.
//!
//! Many more of them: `cargo xtask test fleet --host web --seeds 100000`.

use oauth_testkit::fleet::{Web, WebFlaw, WebReport};

#[test]
fn under_faults_no_user_is_confused_with_another_and_every_sign_out_holds() {
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
fn faulty_web_hosts_are_detected() {
    for (name, flaw) in WebFlaw::ALL {
        let found = (0..100).find(|seed| Web::new(*seed).with_flaw(flaw).run().is_err());
        assert!(found.is_some(), "{name} is not found");
    }
}

#[test]
fn the_same_seed_gives_the_same_history_of_web_servers() {
    for seed in 0..5 {
        let run = || Web::new(seed).run().ok();
        let first = run();
        assert!(first.is_some());
        assert_eq!(first, run());
    }
}
