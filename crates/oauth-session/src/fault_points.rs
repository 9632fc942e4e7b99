//! Fault points of a session, at which a test can kill this process; compiled for tests only.

/// Kills the process like `kill -9`, if `OAUTH_SESSION_FAULT` names this point.
#[cfg(feature = "faults")]
pub(crate) fn crash_at(point: &str) {
    if std::env::var("OAUTH_SESSION_FAULT").is_ok_and(|named_point| named_point == point) {
        // No destructor runs, and no buffer is flushed.
        std::process::abort();
    }
}

#[cfg(not(feature = "faults"))]
pub(crate) const fn crash_at(_: &str) {}
