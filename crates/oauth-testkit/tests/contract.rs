//! The contract, checked against a correct driver and against faulty ones: every case can break,
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
fn a_correct_driver_passes_the_contract() {
    contract::assert(|probe| drive(probe, DriverFault::None, &mut None));
    let mut cache = None;
    contract::assert(|probe| drive(probe, DriverFault::KeepsAlive, &mut cache));
}

/// A client that logs does so in every case, which is one defect.
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
fn duplicate_requests_are_detected() {
    breaks_only(SEND_ONCE, DriverFault::SendsTwice);
    breaks_only(SEND_ONCE, DriverFault::RetriesWhenCut);
    breaks_only(SEND_ONCE, DriverFault::RetriesOnDeadConnection);
}

#[test]
fn modified_messages_are_detected() {
    breaks_only(SEND_ONCE, DriverFault::DropsAuthorization);
    breaks_only(SEND_ONCE, DriverFault::FailsOnErrorStatus);
}

#[test]
fn followed_redirects_are_detected() {
    breaks_only(NO_REDIRECT, DriverFault::FollowsRedirects);
}

#[test]
fn unlimited_reading_is_detected() {
    breaks_only(CAP, DriverFault::ReadsAll);
    breaks_only(CAP, DriverFault::ReadsAllThenComplains);
    breaks_only(CAP, DriverFault::Truncates);
}

#[test]
fn unlimited_decompression_is_detected() {
    breaks_only(CAP, DriverFault::Expands);
}

#[test]
fn failures_not_passed_to_the_exchange_are_detected() {
    breaks_only(FAILURES_ARE_LOST, DriverFault::ReturnsErrors);
    breaks_only(FAILURES_ARE_LOST, DriverFault::SaysUnsent);
    breaks_only(FAILURES_ARE_LOST, DriverFault::AcceptsHalfBodies);
}

#[test]
fn logging_is_detected() {
    breaks_only(NO_LOG, DriverFault::LogsHeads);
    breaks_only(NO_LOG, DriverFault::LogsUrls);
    breaks_only(NO_LOG, DriverFault::LogsReplies);
}

#[test]
#[should_panic(expected = "- follow no redirect:")]
fn assert_lists_broken_cases() {
    contract::assert(|probe| drive(probe, DriverFault::FollowsRedirects, &mut None));
}
