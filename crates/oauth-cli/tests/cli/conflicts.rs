//! Profiles: settings that exclude each other, file names, and error messages.

use std::path::Path;

use crate::common::{RunResult, folder, oauth};
use crate::store::assert_exit;
use crate::tiny::TinyServer;

fn with(folder: &Path, profile: &str, arguments: &[&str]) -> RunResult {
    let config = folder.join("config.toml");
    std::fs::write(&config, format!("[profile.p]\n{profile}\n")).unwrap();
    let select = ["--config", config.to_str().unwrap(), "--profile", "p"];
    let run = oauth(&[&select, arguments].concat());
    run.env("HOME", folder.to_str().unwrap())
        .env("S", "s3cret")
        .run()
}

/// The secret of a profile for one server would go to the other.
#[test]
fn options_that_conflict_also_conflict_in_a_profile() {
    let tiny = TinyServer::start();
    let folder = folder("conflicts");
    for (one, other, options) in [
        ("provider", "issuer", Some(["--provider", "--issuer"])),
        (
            "provider_file",
            "issuer",
            Some(["--provider-file", "--issuer"]),
        ),
        (
            "provider",
            "provider_file",
            Some(["--provider", "--provider-file"]),
        ),
        (
            "client_secret_env",
            "client_secret_file",
            Some(["--client-secret-env", "--client-secret-file"]),
        ),
        (
            "client_secret_env",
            "client_key_file",
            Some(["--client-secret-env", "--key"]),
        ),
        (
            "client_key_file",
            "client_assertion_file",
            Some(["--key", "--assertion-file"]),
        ),
        (
            "client_key_passphrase_env",
            "client_key_passphrase_file",
            Some(["--key-passphrase-env", "--key-passphrase-file"]),
        ),
        ("token_env", "token_file", None),
    ] {
        let profile = format!(
            "{one} = \"S\"\n{other} = \"{}\"\nloopback_http = true\nclient_id = \"app\"\n",
            tiny.base
        );
        let names = [format!("`{one}`"), format!("`{other}`")];
        for command in ["token", "login"] {
            let done = with(&folder, &profile, &[command]);
            assert_exit(
                &done,
                2,
                &[
                    "[usage.profile]",
                    "profile `p` has both",
                    &names[0],
                    &names[1],
                ],
            );
        }
        if let Some([one, other]) = options {
            let given = oauth(&["token", one, "S", other, &tiny.base]).run();
            assert_exit(&given, 2, &["cannot be used with"]);
        }
    }
    let fixed = "token_env = \"S\"\nas = \"client\"";
    assert_exit(
        &with(&folder, fixed, &["token"]),
        2,
        &["`as` and `a fixed token`"],
    );
    assert_eq!(tiny.state().log.len(), 0);
}

#[test]
fn a_tilde_in_any_path_is_expanded_to_the_home_folder() {
    let tiny = TinyServer::start();
    let folder = folder("tilde");
    std::fs::write(folder.join("secret"), "s3cret\n").unwrap();
    let profile = format!(
        "issuer = \"{}\"\nloopback_http = true\nclient_id = \"app\"\nstore = \"none\"\nclient_secret_file = \"~/secret\"",
        tiny.base
    );
    with(&folder, &profile, &["token"]).ok();
    for setting in [
        "dpop_key_file = \"~/missing.pem\"",
        "network.ca = \"~/missing.pem\"",
    ] {
        let done = with(&folder, &format!("{profile}\n{setting}"), &["token"]);
        let place = folder.join("missing.pem");
        assert_exit(&done, 2, &[place.to_str().unwrap()]);
        assert!(!done.stderr.contains('~'), "{}", done.stderr);
    }
}

#[test]
fn the_hint_for_a_missing_key_names_its_path() {
    let folder = folder("missing-key");
    let profile = "issuer = \"https://as.example\"\nclient_id = \"a\"\nclient_auth = \"none\"\ndpop_key_file = \"dpop.pem\"";
    let done = with(&folder, profile, &["token"]);
    let key = folder.join("dpop.pem");
    let hint = format!(
        "hint: create it with oauth key new --output {}",
        key.display()
    );
    assert_exit(&done, 2, &["[usage.key]", &hint]);
}

#[test]
fn errors_in_the_config_file_name_the_field() {
    let folder = folder("fields");
    for (line, said) in [
        (
            "scopes = \"a\"",
            "profile `p`, line 2: unknown field `scopes`: perhaps `scope` is meant",
        ),
        (
            "scope = [\"a\"]",
            "line 2, `scope`: invalid type: sequence, expected a string",
        ),
        (
            "loopback_http = \"yes\"",
            "line 2, `loopback_http`: invalid type: string",
        ),
    ] {
        assert_exit(
            &with(&folder, line, &["token"]),
            2,
            &["[usage.profile]", said],
        );
    }
}

#[test]
fn an_origin_with_a_path_or_without_a_scheme_is_refused() {
    let tiny = TinyServer::start();
    let url = format!("{}/api", tiny.base);
    for (origin, code) in [
        (url.as_str(), "[resource.origin_syntax]"),
        ("127.0.0.1:8080", "https URL: 127.0.0.1:8080"),
    ] {
        let done = tiny.run(&["call", &url, "--origin", origin]).run();
        assert_exit(&done, 2, &[code]);
    }
    assert_eq!(tiny.state().log.len(), 0);
}

/// The local login has ended, as requested.
#[test]
fn an_unsupported_token_type_at_revocation_is_only_noted_by_logout() {
    let tiny = TinyServer::start();
    let folder = folder("unrevoked");
    let profile = format!(
        "issuer = \"{}\"\nloopback_http = true\nclient_id = \"app\"\nclient_secret_env = \"S\"",
        tiny.base
    );
    let state = folder.join("state");
    let run = |arguments: &[&str]| {
        let config = folder.join("config.toml");
        std::fs::write(&config, format!("[profile.p]\n{profile}\n")).unwrap();
        let select = ["--config", config.to_str().unwrap(), "--profile", "p"];
        let run = oauth(&[&select, arguments].concat());
        run.env("XDG_STATE_HOME", state.to_str().unwrap())
            .env("S", "s3cret")
            .run()
    };
    run(&["token"]).ok();
    tiny.state().refuses_revocations = true;
    let done = run(&["logout", "--client"]);
    assert_exit(
        &done,
        0,
        &[
            "removed the tokens of client `app`",
            "does not revoke tokens of this kind",
        ],
    );
    // An explicit revocation reports that it is not supported.
    let token = run(&["token"]);
    token.ok();
    let one = run(&["revoke", "--token-env", "S"]);
    assert_exit(&one, 1, &["[denied.unsupported_token_type]"]);
}
