//! The contract, checked against a right driver and against wrong ones: every promise can break,
//! and breaks alone.

mod drivers;

use drivers::{DriverFault, drive};
use oauth_testkit::contract::{self, CAP, FAILURES_ARE_LOST, NO_LOG, NO_REDIRECT, SEND_ONCE};

#[track_caller]
fn breaks_only(promise: &str, habit: DriverFault) {
    let mut cache = None;
    for report in contract::check(|probe| drive(probe, habit, &mut cache)) {
        let broken = report.outcome.is_err();
        assert_eq!(broken, report.promise == promise, "{habit:?}: {report:?}");
    }
}

#[test]
fn a_right_driver_keeps_all_promises() {
    contract::assert(|probe| drive(probe, DriverFault::None, &mut None));
    let mut cache = None;
    contract::assert(|probe| drive(probe, DriverFault::KeepsAlive, &mut cache));
}

/// A client that logs does so in every case, and that is one thing to mend.
#[test]
fn identical_breaches_are_reported_once() {
    let mut cache = None;
    for report in contract::check(|probe| drive(probe, DriverFault::LogsUrls, &mut cache)) {
        let failures = report.outcome.err().unwrap_or_default();
        let lines: Vec<_> = failures.lines().collect();
        let apart: std::collections::BTreeSet<_> = lines.iter().collect();
        assert_eq!(lines.len(), apart.len(), "{failures}");
    }
}

#[test]
fn sending_twice_is_noticed() {
    breaks_only(SEND_ONCE, DriverFault::SendsTwice);
    breaks_only(SEND_ONCE, DriverFault::RetriesWhenCut);
    breaks_only(SEND_ONCE, DriverFault::RetriesOnDeadConnection);
}

#[test]
fn changing_the_message_is_noticed() {
    breaks_only(SEND_ONCE, DriverFault::DropsAuthorization);
    breaks_only(SEND_ONCE, DriverFault::FailsOnErrorStatus);
}

#[test]
fn following_a_redirect_is_noticed() {
    breaks_only(NO_REDIRECT, DriverFault::FollowsRedirects);
}

#[test]
fn reading_without_end_is_noticed() {
    breaks_only(CAP, DriverFault::ReadsAll);
    breaks_only(CAP, DriverFault::ReadsAllThenComplains);
    breaks_only(CAP, DriverFault::Truncates);
}

#[test]
fn expanding_without_end_is_noticed() {
    breaks_only(CAP, DriverFault::Expands);
}

#[test]
fn failures_that_do_not_reach_the_exchange_are_noticed() {
    breaks_only(FAILURES_ARE_LOST, DriverFault::ReturnsErrors);
    breaks_only(FAILURES_ARE_LOST, DriverFault::SaysUnsent);
    breaks_only(FAILURES_ARE_LOST, DriverFault::AcceptsHalfBodies);
}

#[test]
fn logging_is_noticed() {
    breaks_only(NO_LOG, DriverFault::LogsHeads);
    breaks_only(NO_LOG, DriverFault::LogsUrls);
    breaks_only(NO_LOG, DriverFault::LogsReplies);
}

#[test]
#[should_panic(expected = "- follow no redirect:")]
fn assert_lists_what_is_broken() {
    contract::assert(|probe| drive(probe, DriverFault::FollowsRedirects, &mut None));
}
