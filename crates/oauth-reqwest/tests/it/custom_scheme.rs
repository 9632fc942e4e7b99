//! The example `custom_scheme`: one process begins a login, and another gets the callback.

#[path = "../../examples/custom_scheme.rs"]
#[allow(dead_code, reason = "its `main` is for the command line")]
mod example;

use std::path::Path;

use oauth_testkit::Served;

use crate::support::{callback_of, counters, start_twin};
use example::{App, REDIRECT_URI};

/// The application's state in a process that starts.
async fn process(folder: &Path, served: &Served) -> App {
    let id = served.with(|twin| twin.public_client_id().to_owned());
    App::new(folder, served.base(), &id).await.unwrap()
}

fn flows(folder: &Path) -> usize {
    std::fs::read_dir(folder).unwrap().count()
}

#[tokio::test]
async fn a_login_can_be_completed_by_another_process() {
    let (served, folder) = (start_twin(), tempfile::tempdir().unwrap());
    served.with(|twin| twin.register_redirect_uri(REDIRECT_URI));
    let folder = folder.path().join("flows");
    // Two windows, of which the user answers the first.
    let begun = process(&folder, &served).await;
    let (url, _) = (begun.begin().unwrap(), begun.begin().unwrap());
    drop(begun);
    assert_eq!(flows(&folder), 2);
    let callback = callback_of(url).await;
    assert!(callback.starts_with(REDIRECT_URI), "{callback}");

    // Other URLs passed to it end no flow, and nothing is sent.
    let second = process(&folder, &served).await;
    for foreign in [
        format!("{REDIRECT_URI}?code=c&state=other"),
        format!("{REDIRECT_URI}?error=access_denied"),
        callback.replace("com.example.app", "com.example.other"),
        String::new(),
    ] {
        second.end(&foreign).await.unwrap_err();
        assert_eq!(flows(&folder), 2, "{foreign}");
    }
    assert_eq!(counters(&served).token_requests, 0);

    // Two processes with one callback: one of them ends it.
    let third = process(&folder, &served).await;
    let (one, other) = tokio::join!(second.end(&callback), third.end(&callback));
    assert_ne!(one.is_ok(), other.is_ok());
    assert_eq!(counters(&served).token_requests, 1);
    assert_eq!(flows(&folder), 1);
}

#[cfg(unix)]
#[tokio::test]
async fn the_stored_login_is_readable_by_this_user_only() {
    use std::os::unix::fs::PermissionsExt as _;

    let (served, folder) = (start_twin(), tempfile::tempdir().unwrap());
    let folder = folder.path().join("flows");
    process(&folder, &served).await.begin().unwrap();
    let file = std::fs::read_dir(&folder).unwrap().next().unwrap().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&file.path())), (0o700, 0o600));
}
