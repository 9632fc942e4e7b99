//! Stored tokens of the client itself that cannot be read: each command that the hint names repairs them.

use serde_json::Value;

use crate::store::{Home, assert_exit, change};

/// A home in which the client's own token is damaged.
fn damaged(name: &str) -> Home {
    let home = Home::new(name);
    home.run_profile(&["token"]).ok();
    std::fs::write(home.record(), "x").unwrap();
    let hints = [
        "[stored.malformed]",
        "oauth token --profile p --as client --renew",
        "oauth logout --profile p --client",
    ];
    assert_exit(&home.run_profile(&["token"]), 2, &hints);
    home
}

#[test]
fn token_renew_replaces_a_damaged_token_of_the_client() {
    let home = damaged("damaged-renew");
    let token = home
        .run_profile(&["token", "--as", "client", "--renew"])
        .ok();
    assert_eq!(home.run_profile(&["token"]).ok(), token);
}

#[test]
fn token_renew_replaces_a_damaged_token_of_a_scope() {
    let home = Home::new("damaged-scope");
    let scoped = ["token", "--scope", "read"];
    home.run_profile(&scoped).ok();
    std::fs::write(home.record(), "x").unwrap();
    let hints = ["the same --scope", "only if its record names the client"];
    assert_exit(&home.run_profile(&scoped), 2, &hints);
    // This one does not.
    assert_exit(
        &home.run_profile(&["logout", "--client"]),
        2,
        &["usage.no_token"],
    );
    home.run_profile(&[&scoped[..], &["--renew"]].concat()).ok();
    home.run_profile(&scoped).ok();
}

#[test]
fn logout_and_revoke_remove_a_damaged_token_of_the_client() {
    for (name, command) in [
        ("damaged-logout", &["logout", "--client"][..]),
        ("damaged-revoke", &["revoke", "--as", "client"]),
    ] {
        let home = damaged(name);
        assert_exit(&home.run_profile(command), 0, &["may still be valid"]);
        home.run_profile(&["token"]).ok();
        // A client has no login to end: the hint names the option.
        assert_exit(
            &home.run_profile(&["logout"]),
            2,
            &["oauth logout --client"],
        );
    }
}

/// Such as one of a later version. One that does not say whose it is may be another client's.
#[test]
fn logout_removes_an_unreadable_token_of_a_scope_that_names_the_client() {
    let home = Home::new("damaged-named");
    home.run_profile(&["token", "--scope", "read"]).ok();
    change(&home.record(), |record| record["version"] = 2.into());
    let hint = "or remove it with oauth logout --profile p --client";
    assert_exit(&home.run_profile(&["token", "--scope", "read"]), 2, &[hint]);
    let done = home.run_profile(&["logout", "--client", "--json"]).json();
    assert_eq!(done["may_still_be_valid"], true, "{done}");
    assert!(
        home.run_profile(&["status"])
            .ok()
            .contains("no tokens are stored")
    );

    home.run_profile(&["token", "--scope", "read"]).ok();
    for damage in [
        |record: &mut Value| record["client_id"] = "another".into(),
        |record: &mut Value| record["subject"] = "p".into(),
    ] {
        change(&home.record(), |record| {
            record["version"] = 2.into();
            damage(record);
        });
        assert_exit(
            &home.run_profile(&["logout", "--client"]),
            2,
            &["usage.no_token"],
        );
        assert!(
            home.run_profile(&["status"])
                .ok()
                .contains("cannot be read")
        );
    }
}

/// A damaged login is not replaced by a token of the client.
#[test]
fn token_renew_leaves_a_damaged_login() {
    let home = Home::new("damaged-login");
    home.log_in("p");
    std::fs::write(home.record(), "x").unwrap();
    let done = home.run_profile(&["token", "--renew"]);
    assert_exit(&done, 2, &["[stored.malformed]", "oauth login --profile p"]);
    assert_eq!(std::fs::read_to_string(home.record()).unwrap(), "x");
}
