//! Tokens in a database that all shells share: its records are listed, and removed.

use crate::common::Started;
use crate::store::{Home, assert_exit};

#[test]
fn concurrent_shells_share_a_database() {
    let home = Home::with("database", "store = \"sqlite\"");
    home.log_in("p");
    let state = home.folder.join("state/oauth");
    assert!(state.join("grants.db").is_file());
    let started: Vec<Started> = (0..4)
        .map(|_| home.command_with_profile(&["token"]).start())
        .collect();
    let mut printed: Vec<String> = started.into_iter().map(|shell| shell.wait().ok()).collect();
    printed.dedup();
    assert_eq!(printed.len(), 1, "all print the same");
    let status = home.oauth(&["status"]).run();
    assert_exit(&status, 0, &[]);
    assert!(status.stdout.contains("login"), "{}", status.stdout);
    assert_eq!(home.run_profile(&["revoke"]).code, 0);
    let status = home.oauth(&["status"]).run();
    assert!(!status.stdout.contains("login"), "{}", status.stdout);
}
