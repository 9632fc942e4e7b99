//! Profiles: their settings are applied, and secrets in them refused.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::common::{RunResult, command_at, folder, oauth, start_twin};
use serde_json::Value;

fn write_config(folder: &Path, text: &str) -> PathBuf {
    let path = folder.join("config.toml");
    std::fs::write(&path, text).unwrap();
    path
}

fn run_with_config(config: &Path, arguments: &[&str]) -> RunResult {
    let config = ["--config", config.to_str().unwrap()];
    oauth(&[&config, arguments].concat()).run()
}

#[test]
fn a_profile_sets_the_options_and_the_command_line_overrides_them() {
    let served = start_twin();
    let folder = folder("profile");
    std::fs::write(folder.join("secret.txt"), "s3cr+t/%: ~\n").unwrap();
    let base = served.base();
    let text = format!(
        "default_profile = \"local\"\n\
         [profile.local]\n\
         issuer = \"{base}\"\nloopback_http = true\n\
         client_id = \"twin-client\"\nclient_secret_file = \"secret.txt\"\n\
         client_auth = \"post\"\nscope = \"read write\"\norigins = [\"{base}\"]\n\
         [profile.wrong]\n\
         issuer = \"{base}\"\nloopback_http = true\n\
         client_id = \"nobody\"\nclient_secret_file = \"secret.txt\"\n"
    );
    let config = write_config(&folder, &text);
    assert_eq!(
        run_with_config(&config, &["token", "--json"]).json()["scope"],
        "read write"
    );
    let is_secret_in_body =
        served.with(|twin| twin.log().last().unwrap().form("client_secret").is_some());
    assert!(is_secret_in_body, "client_auth = post");
    let url = format!("{base}/api/echo");
    run_with_config(&config, &["call", &url, "-d", "x"]).ok();
    assert_eq!(
        run_with_config(&config, &["token", "--json", "--scope", "read"]).json()["scope"],
        "read"
    );
    assert_eq!(
        run_with_config(&config, &["--profile", "wrong", "token"]).code,
        1
    );
    let arguments = ["--profile", "wrong", "token", "--client-id", "twin-client"];
    run_with_config(&config, &arguments).ok();
    let unknown_profile = run_with_config(&config, &["--profile", "none", "token"]);
    assert_eq!(unknown_profile.code, 2);
    assert!(
        unknown_profile
            .stderr
            .contains("the profiles are local, wrong"),
        "{}",
        unknown_profile.stderr
    );
}

/// A client without credentials has no tokens of its own: the error asks for a login, not for a secret.
#[test]
fn a_public_client_requires_a_login_and_no_secret() {
    let served = start_twin();
    let folder = folder("profile-public");
    let text = format!(
        "[profile.me]\nissuer = \"{}\"\nloopback_http = true\n\
         client_id = \"twin-public\"\nclient_auth = \"none\"\norigins = [\"{0}\"]\n",
        served.base()
    );
    let config = write_config(&folder, &text);
    let url = format!("{}/api/echo", served.base());
    for command in [&["token"][..], &["call", &url]] {
        let done = run_with_config(&config, &[command, &["--profile", "me"]].concat());
        assert_eq!(done.code, 2, "{}", done.stderr);
        for expected in ["usage.no_login", "log in with oauth login --profile me\n"] {
            assert!(done.stderr.contains(expected), "{}", done.stderr);
        }
    }
    // A request for the client's own token gets an error about the client.
    let client_run = run_with_config(&config, &["token", "--profile", "me", "--as", "client"]);
    assert!(
        client_run.stderr.contains("client_auth.required"),
        "{}",
        client_run.stderr
    );
}

#[test]
fn the_default_profile_is_ignored_for_another_server_or_client() {
    let served = start_twin();
    let folder = folder("profile-default");
    let base = served.base();
    // A profile for a user, without a login.
    let text = format!(
        "default_profile = \"me\"\n\
         [profile.me]\n\
         issuer = \"{base}\"\nloopback_http = true\n\
         client_id = \"twin-public\"\nclient_auth = \"none\"\nas = \"person\"\n"
    );
    let config = write_config(&folder, &text);
    let nobody = run_with_config(&config, &["token"]);
    assert!(nobody.stderr.contains("`me`"), "{}", nobody.stderr);
    let path = config.to_str().unwrap();
    command_at(&served, &["--config", path, "token"]).run().ok();
    let url = format!("{base}/api/echo");
    let call = ["--config", path, "call", &url, "--origin", base];
    command_at(&served, &call).run().ok();
    // At a different server the profile's client id is not valid.
    let elsewhere = run_with_config(&config, &["token", "--provider", "google"]);
    assert!(
        elsewhere.stderr.contains("usage.client_id"),
        "{}",
        elsewhere.stderr
    );
    // An explicitly selected profile applies, regardless of other options.
    let options = ["--config", path, "--profile", "me", "token"];
    let run = command_at(&served, &options).run();
    assert!(run.stderr.contains("`me`"), "{}", run.stderr);
}

#[test]
fn profiles_are_read_from_the_xdg_config_folder() {
    let folder = folder("xdg");
    std::fs::create_dir(folder.join("oauth")).unwrap();
    write_config(
        &folder.join("oauth"),
        "[profile.acme]\nprovider = \"nobody\"\n",
    );
    let arguments = ["--profile", "acme", "token", "--client-id", "a"];
    let found = oauth(&arguments)
        .env("XDG_CONFIG_HOME", folder.to_str().unwrap())
        .run();
    assert!(
        found.stderr.contains("provider.unknown"),
        "{}",
        found.stderr
    );
    let missing = oauth(&arguments).run();
    assert!(
        missing.stderr.contains("usage.profile"),
        "{}",
        missing.stderr
    );
}

/// The XDG Base Directory Specification: "If an implementation encounters a relative path \[...\] it should consider the
/// path invalid and ignore it."
#[test]
fn relative_xdg_folders_are_ignored() {
    let home = crate::store::Home::new("relative-xdg");
    let file = home.folder.join("config.toml");
    for config in [home.folder.join(".config"), home.folder.join("elsewhere")] {
        std::fs::create_dir_all(config.join("oauth")).unwrap();
        std::fs::copy(&file, config.join("oauth/config.toml")).unwrap();
    }
    std::fs::write(
        home.folder.join("elsewhere/oauth/config.toml"),
        "[profile.other]\nissuer = \"https://as.example\"\n",
    )
    .unwrap();
    let mut run = oauth(&["token", "--profile", "p"])
        .env("HOME", home.folder.to_str().unwrap())
        .env("XDG_CONFIG_HOME", "elsewhere")
        .env("XDG_STATE_HOME", "states")
        .env("TWIN_SECRET", crate::common::SECRET);
    run.command.current_dir(&home.folder);
    run.run().ok();
    assert!(home.folder.join(".local/state/oauth/grants").is_dir());
    assert!(!home.folder.join("states").exists());
}

#[test]
fn a_secret_in_the_config_file_is_refused_and_not_shown() {
    let config = write_config(&folder("leak"), "[profile.a]\nclient_secret = \"S3CR3T\"\n");
    let refused = run_with_config(&config, &["--profile", "a", "token"]);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("client_secret_env"),
        "{}",
        refused.stderr
    );
    assert!(!refused.stderr.contains("S3CR3T"), "{}", refused.stderr);
    let config = write_config(&folder("type"), "[profile.a]\nloopback_http = \"S3CR3T\"\n");
    let refused = run_with_config(&config, &["--profile", "a", "token"]);
    assert!(refused.stderr.contains("line 2"), "{}", refused.stderr);
    assert!(!refused.stderr.contains("S3CR3T"), "{}", refused.stderr);
}

/// The id, the secret and the options of the client are in its one line of JSON.
#[test]
fn the_output_of_serve_suffices_to_use_every_system() {
    for system in ["generic", "uservoice", "usertesting", "socios"] {
        let mut run = oauth(&["serve", "--system", system, "--json"]);
        let mut server = run.command.stdin(Stdio::null()).spawn().unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(server.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let output: Value = serde_json::from_str(&line).unwrap();
        let text = |name: &str| output[name].as_str().unwrap();
        let mut arguments = vec!["token", "--client-id", text("client_id")];
        arguments.extend(["--client-secret-env", "S"]);
        arguments.extend(text("options").split(' '));
        let done = oauth(&arguments).env("S", text("client_secret")).run();
        server.kill().unwrap();
        server.wait().unwrap();
        assert_eq!(done.code, 0, "{system}: {}", done.stderr);
    }
}

#[test]
fn a_user_route_is_not_called_with_the_applications_token() {
    let config = write_config(
        &folder("route"),
        "[profile.s]\nprovider = \"socios\"\nclient_id = \"a\"\nclient_secret_env = \"PATH\"\n",
    );
    let url = "https://api-public.socios.com/user/polls";
    let config = config.to_str().unwrap();
    let run = oauth(&["--config", config, "--profile", "s", "call", url]).env("PATH", "x");
    let done = run.run();
    assert_eq!(done.code, 2);
    assert!(
        done.stderr.contains("usage.token_for_route"),
        "{}",
        done.stderr
    );
}
