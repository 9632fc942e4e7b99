//! The hints of errors: each option that a hint names exists in the command it names, or else in the one that failed.

use crate::common::oauth;
use crate::store::{Home, assert_exit};

fn help(command: &str) -> String {
    oauth(&[command, "--help"]).run().ok()
}

/// The options that a hint names, each with its command.
fn options(hint: &str, failed: &str) -> Vec<(String, String)> {
    let (mut all, mut command) = (Vec::new(), failed.to_owned());
    let mut words = hint.split_whitespace().peekable();
    while let Some(word) = words.next() {
        if word == "oauth"
            && let Some(next) = words.peek()
        {
            command = next.trim_end_matches([',', ';', ':']).to_owned();
        }
        let option = word.trim_matches(|c: char| "(),;:`".contains(c));
        if option.starts_with("--") {
            all.push((command.clone(), option.to_owned()));
        }
        // The rest is about the failed command again.
        if word.ends_with([',', ';']) {
            command = failed.to_owned();
        }
    }
    all
}

#[test]
fn the_options_in_a_hint_belong_to_the_command_it_names() {
    let hint = "log in with oauth login --profile p, or use --as client; oauth status --json";
    let named = [
        ("login", "--profile"),
        ("token", "--as"),
        ("status", "--json"),
    ];
    let named = named.map(|(command, option)| (command.to_owned(), option.to_owned()));
    assert_eq!(options(hint, "token"), named);
}

#[test]
fn hints_name_only_existing_options() {
    let home = Home::new("hints");
    let url = format!("{}/api/echo", home.served.base());
    let url = url.as_str();
    let (mut all, git) = (Vec::new(), "protocol=http\nhost=a.example\n\n");
    for command in [
        &["token"][..],
        &["call", url],
        &["refresh"],
        &["logout"],
        &["revoke"],
        &["introspect"],
        &["userinfo"],
        &["login", "--no-browser", "--timeout", "1"],
        &["device", "--scope", "unknown"],
        &["exchange"],
        &["register"],
        &["inspect"],
        &["discover"],
        &["connect", url, "--no-browser", "--timeout", "1"],
        &["credential", "git", "get"],
        &["key", "show", "/no/such/file"],
    ] {
        let insecure = ["--issuer", "http://a.example", "--client-id", "a"];
        let server = ["--issuer", home.served.base(), "--loopback-http"];
        let client = [&server[..], &["--client-id", "a"]].concat();
        let missing = ["--client-auth", "private_key_jwt"];
        // Nobody is logged in, a login has ended, nothing is selected, and what is selected is wrong.
        for more in [
            &["--profile", "p", "--as", "user"][..],
            &["--profile", "p"],
            &["--profile", "none"],
            &["--profile", "p", "--no-store"],
            &[],
            &insecure,
            &server,
            &client,
            &[&client[..], &missing].concat(),
        ] {
            let run = home.oauth(&[command, more].concat()).stdin(git);
            all.push((command[0], run.run()));
        }
    }
    let (mut hints, mut texts) = (0, std::collections::BTreeMap::new());
    for (command, done) in &all {
        let found = done
            .stderr
            .lines()
            .filter_map(|line| line.trim_start().strip_prefix("hint: "));
        for hint in found {
            hints += 1;
            for (named, option) in options(hint, command) {
                let help = texts.entry(named.clone()).or_insert_with(|| help(&named));
                let is_option = help
                    .split([' ', ',', '\n', '[', '='])
                    .any(|word| word == option);
                assert!(
                    is_option,
                    "oauth {command}: {hint}: oauth {named} has no {option}"
                );
            }
        }
    }
    assert!(hints > 40, "{hints} hints");
}

#[test]
fn call_and_token_without_a_server_report_the_missing_server() {
    let home = Home::new("call-nothing");
    let url = format!("{}/api/echo", home.served.base());
    for command in [&["call", &url][..], &["token"]] {
        assert_exit(
            &home.oauth(command).run(),
            2,
            &["[usage.server]", "--profile"],
        );
    }
    // A token needs no server.
    let fixed = [
        "call",
        &url,
        "--token-env",
        "T",
        "--origin",
        home.served.base(),
    ];
    let done = home
        .oauth(&[&fixed[..], &["--loopback-http"]].concat())
        .env("T", "t")
        .run();
    assert_exit(&done, 1, &["[grant.revoked]"]);
}
