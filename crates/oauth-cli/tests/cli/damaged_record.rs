//! Stored tokens of the client itself that cannot be read: each command that the hint names repairs them.

use crate::store::{Home, says};

/// A home in which the client's own token is damaged.
fn damaged(name: &str) -> Home {
    let home = Home::new(name);
    home.p(&["token"]).ok();
    std::fs::write(home.record(), "x").unwrap();
    let hints = [
        "[stored.malformed]",
        "oauth token --profile p --as client --renew",
        "oauth logout --profile p --client",
    ];
    says(&home.p(&["token"]), 2, &hints);
    home
}

#[test]
fn token_renew_replaces_a_damaged_token_of_the_client() {
    let home = damaged("damaged-renew");
    let token = home.p(&["token", "--as", "client", "--renew"]).ok();
    assert_eq!(home.p(&["token"]).ok(), token);
}

#[test]
fn token_renew_replaces_a_damaged_token_of_a_scope() {
    let home = Home::new("damaged-scope");
    let scoped = ["token", "--scope", "read"];
    home.p(&scoped).ok();
    std::fs::write(home.record(), "x").unwrap();
    says(&home.p(&scoped), 2, &["the same --scope"]);
    home.p(&[&scoped[..], &["--renew"]].concat()).ok();
    home.p(&scoped).ok();
}

#[test]
fn logout_and_revoke_remove_a_damaged_token_of_the_client() {
    for (name, command) in [
        ("damaged-logout", &["logout", "--client"][..]),
        ("damaged-revoke", &["revoke", "--as", "client"]),
    ] {
        let home = damaged(name);
        says(&home.p(command), 0, &["may still be valid"]);
        home.p(&["token"]).ok();
        // A client has no login to end: the hint names the option.
        says(&home.p(&["logout"]), 2, &["oauth logout --client"]);
    }
}

/// A damaged login is not replaced by a token of the client.
#[test]
fn token_renew_leaves_a_damaged_login() {
    let home = Home::new("damaged-login");
    home.log_in("p");
    std::fs::write(home.record(), "x").unwrap();
    let done = home.p(&["token", "--renew"]);
    says(&done, 2, &["[stored.malformed]", "oauth login --profile p"]);
    assert_eq!(std::fs::read_to_string(home.record()).unwrap(), "x");
}
