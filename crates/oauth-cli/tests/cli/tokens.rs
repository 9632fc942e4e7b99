//! Restrictions on where tokens are sent and printed.

use crate::common::{SECRET, command_at, folder, log_in, start_twin};
use oauth_testkit::Twin;
use serde_json::Value;

#[test]
fn secrets_are_never_printed() {
    let served = start_twin();
    let tokens = folder("trace").join("tokens.json");
    let tokens = tokens.to_str().unwrap();
    let login = log_in(&served, &["--trace", "--save", tokens]);
    let stored = std::fs::read_to_string(tokens).unwrap();
    let stored: Value = serde_json::from_str(&stored).unwrap();
    let stored = ["access_token", "refresh_token"].map(|name| stored[name].as_str().unwrap());

    let echo = format!("{}/api/echo", served.base());
    let call = ["call", &echo, "--origin", served.base(), "--tokens", tokens];
    let mut silent = vec![(login.stdout, login.stderr)];
    for command in [
        &call[..],
        &["introspect", "--tokens", tokens],
        &["introspect", "--tokens", tokens, "--json"],
        &["refresh", "--tokens", tokens],
        &["token"],
        &["token", "--json"],
        &["revoke", "--tokens", tokens],
    ] {
        let done = command_at(&served, &[command, &["--trace"]].concat()).run();
        assert_eq!(done.code, 0, "{command:?}: {}", done.stderr);
        let mark = if command.contains(&"--json") {
            "\"sent\""
        } else {
            "→ "
        };
        assert!(done.stderr.contains(mark), "{command:?}: {}", done.stderr);
        let prints_token = ["refresh", "token"].contains(&command[0]);
        let stdout = if prints_token {
            String::new()
        } else {
            done.stdout
        };
        silent.push((stdout, done.stderr));
    }

    let log = served.with(|twin| twin.log().to_vec());
    let sent = log
        .iter()
        .flat_map(|entry| entry.form.iter().chain(&entry.headers));
    let worth = [
        "client_secret",
        "code",
        "code_verifier",
        "token",
        "refresh_token",
        "authorization",
    ];
    let sent = sent.filter(|(name, _)| worth.contains(&name.as_str()));
    let sent = sent.map(|(_, value)| value.rsplit("Bearer ").next().unwrap());
    let secrets: Vec<&str> = sent.chain(stored).chain([SECRET]).collect();
    assert!(secrets.len() > 15, "{}", secrets.len());
    for secret in secrets {
        for (stdout, stderr) in &silent {
            assert!(!stdout.contains(secret), "{stdout}");
            assert!(!stderr.contains(secret), "{stderr}");
        }
    }
}

#[test]
fn saved_tokens_are_private_and_can_be_refreshed() {
    let served = start_twin();
    let path = folder("save").join("tokens.json");
    let tokens = path.to_str().unwrap();
    let login = log_in(&served, &["--save", tokens]);
    assert!(login.stdout.is_empty(), "{}", login.stdout);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    }
    let before = std::fs::read_to_string(&path).unwrap();
    let access = command_at(&served, &["refresh", "--tokens", tokens])
        .run()
        .ok();
    let after = std::fs::read_to_string(&path).unwrap();
    assert_ne!(before, after, "the new refresh token replaced the old");
    assert!(after.contains(access.trim_end()));
    command_at(&served, &["refresh", "--tokens", tokens])
        .run()
        .ok();
    let counters = served.with(|twin| twin.counters());
    assert_eq!((counters.refreshes, counters.reuse_events), (2, 0));
    let remaining_files = std::fs::read_dir(path.parent().unwrap()).unwrap();
    let drafts = remaining_files.filter(|entry| {
        entry
            .as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("tmp")
    });
    assert_eq!(drafts.count(), 0);

    command_at(&served, &["revoke", "--tokens", tokens])
        .run()
        .ok();
    let done = command_at(&served, &["refresh", "--tokens", tokens]).run();
    assert_eq!(done.code, 1);
    assert!(
        done.stderr.contains("error[denied.invalid_grant]"),
        "{}",
        done.stderr
    );
    assert!(done.stderr.contains("log in again"), "{}", done.stderr);
}

#[test]
fn a_refresh_token_alone_can_be_refreshed() {
    let served = start_twin();
    let folder = folder("bare");
    let tokens = folder.join("tokens.json");
    log_in(&served, &["--save", tokens.to_str().unwrap()]);
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(&tokens).unwrap()).unwrap();
    let next = folder.join("next.json");
    let save = [
        "refresh",
        "--token-file",
        "-",
        "--save",
        next.to_str().unwrap(),
    ];
    command_at(&served, &save)
        .stdin(stored["refresh_token"].as_str().unwrap())
        .run()
        .ok();
    let done = command_at(&served, &["refresh", "--tokens", next.to_str().unwrap()]).run();
    let stored = std::fs::read_to_string(&next).unwrap();
    assert_eq!(done.code, 0, "{}", done.stderr);

    // Without a file, the caller has to store the new token.
    let stored: Value = serde_json::from_str(&stored).unwrap();
    let bare = stored["refresh_token"].as_str().unwrap();
    let refresh = ["refresh", "--token-file", "-", "--json"];
    let record = command_at(&served, &refresh).stdin(bare).run().json();
    let bare = record["refresh_token"].as_str().unwrap();
    command_at(&served, &refresh).stdin(bare).run().ok();
}

#[test]
fn a_single_token_is_introspected_and_revoked() {
    let served = start_twin();
    let token = command_at(&served, &["token"]).run().ok();
    let send = |json| {
        let command = ["introspect", "--token-env", "T", json];
        let command = command.into_iter().filter(|word| !word.is_empty());
        command_at(&served, &command.collect::<Vec<_>>())
            .env("T", token.trim_end())
            .run()
    };
    let record = send("--json").json();
    assert_eq!(
        (&record["active"], &record["scope"]),
        (&true.into(), &"read".into())
    );
    assert!(send("").ok().contains("twin-client"));
    let revoked = command_at(&served, &["revoke", "--token-file", "-"])
        .stdin(&token)
        .run()
        .ok();
    assert_eq!(revoked, "revoked: token\n");
    assert_eq!(send("--json").json()["active"], false);
}

#[test]
fn a_token_is_not_sent_to_another_server() {
    let (ours, other) = (start_twin(), start_twin());
    let url = format!("{}/api/echo", other.base());
    let done = command_at(&ours, &["call", &url, "--origin", ours.base()]).run();
    assert_eq!(done.code, 2);
    assert!(
        done.stderr.contains("resource.origin_not_allowed"),
        "{}",
        done.stderr
    );
    assert!(other.with(|twin| twin.log().is_empty()));
    assert_eq!(ours.with(|twin| twin.counters().token_requests), 0);

    let tokens = folder("elsewhere").join("tokens.json");
    let tokens = tokens.to_str().unwrap();
    command_at(&ours, &["token", "--save", tokens]).run().ok();
    for command in ["revoke", "introspect", "refresh"] {
        let done = command_at(&other, &[command, "--tokens", tokens]).run();
        assert_eq!(done.code, 2);
        assert!(
            done.stderr.contains("error[stored.issuer]"),
            "{}",
            done.stderr
        );
        assert!(other.with(|twin| twin.log().iter().all(|entry| entry.form.is_empty())));
    }
}

#[test]
fn a_rejected_token_is_replaced_once() {
    let served = start_twin();
    let tokens = folder("dead").join("tokens.json");
    let tokens = tokens.to_str().unwrap();
    log_in(&served, &["--save", tokens]);
    served.with(Twin::expire_access_tokens);
    let url = format!("{}/api/echo", served.base());
    command_at(
        &served,
        &["call", &url, "--origin", served.base(), "--tokens", tokens],
    )
    .run()
    .ok();
    let counters = served.with(|twin| twin.counters());
    assert_eq!(
        (counters.api_401, counters.refreshes, counters.api_calls),
        (1, 1, 2)
    );
}
