//! Commands that end during a renewal: killed, or by a signal.

use oauth_testkit::Fault;

use crate::common::KILLED;
use crate::store::{Home, LOG_IN, assert_exit};

/// Each point at which a shell may be killed, and whether the refresh token is lost there.
#[test]
fn a_killed_shell_leaves_a_usable_store() {
    let points = [
        ("lease.written", false),
        ("lease.renamed", false),
        ("session.save", false),
        ("json.half_written", false),
        ("json.synced", false),
        ("json.renamed", false),
        ("session.saved", false),
        ("session.run", false),
        ("session.completed", true),
    ];
    let home = Home::new("killed");
    home.log_in("p");
    for (point, is_lost) in points {
        home.age();
        let killed = home
            .command_with_profile(&["token"])
            .env("OAUTH_SESSION_FAULT", point);
        assert_eq!(killed.run().code, KILLED, "{point}");
        // The lease of the dead worker has expired, and so has the time to wait for its answer.
        home.age();
        let (_, reuses, _) = home.counts();
        let done = home.run_profile(&["token"]);
        if is_lost {
            assert_exit(&done, 1, &["denied.invalid_grant", LOG_IN]);
            assert_exit(
                &home.run_profile(&["token"]),
                1,
                &["denied.invalid_grant", LOG_IN],
            );
            // The twin revokes a grant on reuse of its refresh token; there was no third use.
            assert_eq!(home.counts().1, reuses + 1);
            home.log_in("p");
        } else {
            assert_eq!(done.code, 0, "{point}: {}", done.stderr);
            assert_eq!(home.counts().1, reuses, "{point}");
        }
        assert_eq!(home.run_profile(&["token"]).ok().trim_end().len(), 43);
    }
}

/// Stopping a command with SIGTERM or Ctrl-C loses no login, even if the server has replaced the
/// refresh token already.
#[cfg(unix)]
#[test]
fn a_terminated_shell_command_finishes_its_renewal() {
    let home = Home::new("stopped");
    home.log_in("p");
    for signal in ["TERM", "INT"] {
        home.age();
        let (_, reuses, before) = home.counts();
        // The first delay is for the metadata.
        for millis_per_byte in [0, 3] {
            let slow = Fault::SlowBody { millis_per_byte };
            home.served.with(|twin| twin.inject(slow));
        }
        let shell = home.command_with_profile(&["token"]).start();
        while home.counts().2 == before {
            std::thread::yield_now();
        }
        let stopped = std::process::Command::new("kill")
            .args(["-s", signal, &shell.id().to_string()])
            .status();
        assert!(stopped.unwrap().success());
        let done = shell.wait();
        assert!(
            done.stderr.contains("for a token refresh to finish"),
            "{} {}",
            done.code,
            done.stderr
        );
        assert_eq!(home.run_profile(&["token"]).ok().trim_end().len(), 43);
        home.age();
        assert_eq!(home.run_profile(&["token"]).ok().trim_end().len(), 43);
        assert_eq!(home.counts().1, reuses, "{signal}");
    }
}
