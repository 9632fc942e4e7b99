//! A case that cannot be checked is not reported as passed.

mod drivers;

use drivers::{DriverFault, drive};
use oauth_testkit::contract::{self, NO_LOG};

struct OtherLog;

impl log::Log for OtherLog {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        false
    }

    fn log(&self, _: &log::Record<'_>) {}

    fn flush(&self) {}
}

#[test]
fn the_check_fails_if_another_logger_is_installed() {
    log::set_logger(&OtherLog).unwrap();
    for report in contract::check(|probe| drive(probe, DriverFault::None, &mut None)) {
        assert_eq!(
            report.outcome.is_err(),
            report.promise == NO_LOG,
            "{report:?}"
        );
    }
}
