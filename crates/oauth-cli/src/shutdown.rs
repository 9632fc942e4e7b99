//! Handles Ctrl-C and SIGTERM while tokens are refreshed: an interrupted refresh would lose the grant at servers that
//! rotate refresh tokens.

use std::io;
use std::sync::Once;
use std::time::Duration;

use oauth_session::blocking::drain_all;
use tokio::runtime::Builder;

use crate::output::Output;

/// The time limit for a token refresh under way.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(10);

/// The exit code of a shell for Ctrl-C.
const INTERRUPTED: i32 = 130;

/// From here on, a signal takes effect only after a token refresh in progress has finished.
pub(crate) fn after_refresh(output: Output) {
    static WATCHED: Once = Once::new();
    WATCHED.call_once(|| {
        // If there is no thread for it, signals end the command immediately.
        let _ = std::thread::Builder::new()
            .name("oauth-signals".to_owned())
            .spawn(move || watch(output));
    });
}

fn watch(output: Output) -> io::Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(shutdown_signal())?;
    if drain_all(Duration::from_millis(1)).is_err() {
        output.note(format_args!(
            "waiting up to {} s for a token refresh to finish, so that its tokens are not lost",
            DRAIN_TIMEOUT.as_secs()
        ));
        if let Err(error) = drain_all(DRAIN_TIMEOUT) {
            output.note(format_args!("the token refresh did not finish: {error}"));
        }
    }
    std::process::exit(code)
}

#[cfg(unix)]
async fn shutdown_signal() -> io::Result<i32> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminated = signal(SignalKind::terminate())?;
    tokio::select! {
        interrupted = tokio::signal::ctrl_c() => interrupted.map(|()| INTERRUPTED),
        _ = terminated.recv() => Ok(128 + SignalKind::terminate().as_raw_value()),
    }
}

#[cfg(not(unix))]
async fn shutdown_signal() -> io::Result<i32> {
    tokio::signal::ctrl_c().await.map(|()| INTERRUPTED)
}
