//! `oauth userinfo`: claims are only printed if they are about the user who logged in.

use std::path::PathBuf;

use oauth_testkit::Twin;
use serde_json::Value;

use crate::store::{Home, assert_exit};

const SCOPE: &str = "scope = \"openid profile offline_access\"";

fn logged_in(name: &str) -> Home {
    let home = Home::with(&format!("userinfo-{name}"), SCOPE);
    home.log_in("p");
    home
}

/// The record of the profile's logins.
fn login_record(home: &Home) -> PathBuf {
    let folder = home.folder.join("state").join("oauth").join("logins");
    let files = std::fs::read_dir(folder).unwrap();
    files.map(|entry| entry.unwrap().path()).next().unwrap()
}

fn userinfo_requests(home: &Home) -> usize {
    home.served.with(|twin| {
        let log = twin.log().iter();
        log.filter(|entry| entry.path == "/userinfo").count()
    })
}

#[test]
fn userinfo_describes_the_user_who_logged_in() {
    let home = logged_in("login");
    let text = home.run_profile(&["userinfo"]).ok();
    assert!(text.contains("name  Alice Liddell"), "{text}");
    let claims = home.run_profile(&["userinfo", "--json"]).json();
    assert_eq!(claims["name"], "Alice Liddell");
    let token = home.run_profile(&["token"]).ok();
    let trace = home.run_profile(&["userinfo", "--trace"]);
    assert!(trace.stderr.contains("/userinfo"), "{}", trace.stderr);
    assert!(!trace.stderr.contains(token.trim_end()));
}

#[test]
fn userinfo_about_another_subject_is_not_shown() {
    let home = logged_in("other");
    let done = home.run_profile(&["userinfo", "--subject", "mallory"]);
    assert_exit(&done, 1, &["userinfo.subject"]);
    assert_eq!(done.stdout, "");
    assert!(!done.stderr.contains("Alice"), "{}", done.stderr);
    // Only the subject in the record is compared.
    let path = login_record(&home);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut record: Value = serde_json::from_str(&text).unwrap();
    record["verified_subject"] = "mallory".into();
    std::fs::write(&path, record.to_string()).unwrap();
    assert_exit(&home.run_profile(&["userinfo"]), 1, &["userinfo.subject"]);
    // A record of a different client's login is not used.
    record["client_id"] = "another".into();
    std::fs::write(&path, record.to_string()).unwrap();
    let before = userinfo_requests(&home);
    assert_exit(
        &home.run_profile(&["userinfo"]),
        2,
        &["usage.subject", "--subject"],
    );
    assert_eq!(userinfo_requests(&home), before, "the server was not asked");
}

#[test]
fn userinfo_after_a_login_without_id_token_requires_the_expected_subject() {
    let home = Home::with("userinfo-plain", "scope = \"read\"");
    home.log_in("p");
    assert_exit(
        &home.run_profile(&["userinfo"]),
        2,
        &["usage.subject", "`openid`"],
    );
    // Nor is an earlier login used.
    let home = logged_in("before");
    let config = home.folder.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    std::fs::write(&config, text.replace("openid profile", "read")).unwrap();
    home.log_in("p");
    assert_exit(&home.run_profile(&["userinfo"]), 2, &["usage.subject"]);
    home.run_profile(&["logout"]).ok();
    assert_exit(&home.run_profile(&["userinfo"]), 2, &["usage.no_login"]);
}

#[test]
fn userinfo_renews_a_rejected_token_once() {
    let home = logged_in("renewed");
    home.served.with(Twin::expire_access_tokens);
    home.run_profile(&["userinfo"]).ok();
    assert_eq!((userinfo_requests(&home), home.counts().0), (2, 1));
    home.served.with(Twin::revoke_all);
    assert_exit(&home.run_profile(&["userinfo"]), 1, &["log in again"]);
    assert_eq!(userinfo_requests(&home), 3);
}

#[test]
fn userinfo_with_a_bare_token_requires_the_subject() {
    let home = logged_in("bare");
    let subject = home.run_profile(&["userinfo", "--json"]).json()["sub"].clone();
    let subject = subject.as_str().unwrap();
    let token = home.run_profile(&["token"]).ok();
    let bare = |more: &[&str]| {
        let command = [&["userinfo", "--token-env", "T"], more].concat();
        home.command_with_profile(&command)
            .env("T", token.trim_end())
            .run()
    };
    assert_exit(&bare(&[]), 2, &["usage.subject"]);
    assert!(bare(&["--subject", subject]).ok().contains("Alice"));
    assert_exit(&bare(&["--subject", "mallory"]), 1, &["userinfo.subject"]);

    let file = home.folder.join("tokens.json");
    let file = file.to_str().unwrap();
    let login = ["login", "--no-browser", "--profile", "p", "--save", file];
    crate::common::visit(home.oauth(&login), 1).ok();
    let of_file =
        |more: &[&str]| home.run_profile(&[&["userinfo", "--tokens", file], more].concat());
    assert_exit(&of_file(&[]), 2, &["usage.subject"]);
    assert!(of_file(&["--subject", subject]).ok().contains("Alice"));
}
