//! Stored tokens of the client itself that cannot be read: each command that the hint names repairs them.

use serde_json::Value;

use crate::store::{Home, change, says};

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
    let hints = ["the same --scope", "only if its record names the client"];
    says(&home.p(&scoped), 2, &hints);
    // This one does not.
    says(&home.p(&["logout", "--client"]), 2, &["usage.no_token"]);
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

/// Such as one of a later version. One that does not say whose it is may be another client's.
#[test]
fn logout_removes_an_unreadable_token_of_a_scope_that_names_the_client() {
    let home = Home::new("damaged-named");
    home.p(&["token", "--scope", "read"]).ok();
    change(&home.record(), |record| record["version"] = 2.into());
    let hint = "or remove it with oauth logout --profile p --client";
    says(&home.p(&["token", "--scope", "read"]), 2, &[hint]);
    let done = home.p(&["logout", "--client", "--json"]).json();
    assert_eq!(done["may_still_be_valid"], true, "{done}");
    assert!(home.p(&["status"]).ok().contains("no tokens are stored"));

    home.p(&["token", "--scope", "read"]).ok();
    for damage in [
        |record: &mut Value| record["client_id"] = "another".into(),
        |record: &mut Value| record["subject"] = "p".into(),
    ] {
        change(&home.record(), |record| {
            record["version"] = 2.into();
            damage(record);
        });
        says(&home.p(&["logout", "--client"]), 2, &["usage.no_token"]);
        assert!(home.p(&["status"]).ok().contains("cannot be read"));
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
