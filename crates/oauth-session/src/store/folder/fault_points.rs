//! Fault points in the writing of a file, at which a test can kill the process.
//!
//! With the feature `faults`, a process that has the name of such a point in the environment variable
//! `OAUTH_SESSION_FAULT` is killed when it reaches it, as by `kill -9`.

/// All fault points: while the file of a record, a lease or a tombstone is written.
#[cfg(feature = "faults")]
pub const POINTS: &[&str] = &[
    "json.created",
    "json.half_written",
    "json.written",
    "json.synced",
    "json.renamed",
    "json.folder_synced",
    "lease.created",
    "lease.half_written",
    "lease.written",
    "lease.synced",
    "lease.renamed",
    "lease.folder_synced",
    "removed.created",
    "removed.half_written",
    "removed.written",
    "removed.synced",
    "removed.renamed",
    "removed.folder_synced",
];

/// Called when the work on the file with this extension has reached this point.
#[cfg(feature = "faults")]
pub(in crate::store) fn at(ending: &str, done: &str) {
    let point = format!("{ending}.{done}");
    assert!(POINTS.contains(&point.as_str()), "{point} has no name");
    if std::env::var_os("OAUTH_SESSION_FAULT").is_some_and(|fault| fault == *point) {
        die();
    }
}

#[cfg(not(feature = "faults"))]
pub(in crate::store) const fn at(_: &str, _: &str) {}

#[cfg(all(feature = "faults", unix))]
fn die() -> ! {
    use rustix::process::{Signal, getpid, kill_process};
    // A process may always kill itself; if that is forbidden, the abort below ends it.
    let _ = kill_process(getpid(), Signal::KILL);
    std::process::abort()
}

#[cfg(all(feature = "faults", not(unix)))]
fn die() -> ! {
    std::process::abort()
}
