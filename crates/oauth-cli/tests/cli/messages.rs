//! Error messages, and the small commands.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use serde_json::Value;

use crate::common::{RunResult, SECRET, folder, oauth, start_twin, visit};
use crate::store::Home;
use crate::tiny::TinyServer;

fn assert_stderr_contains(done: &RunResult, words: &[&str]) {
    for word in words {
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
}

#[test]
fn a_body_and_an_error_in_the_same_file_are_on_separate_lines() {
    let tiny = TinyServer::start();
    let url = format!("{}/api", tiny.base);
    let path = folder("glued").join("all.txt");
    let file = std::fs::File::create(&path).unwrap();
    let mut run = tiny.run(&["call", &url, "--origin", &tiny.base]);
    run.command.stdout(file.try_clone().unwrap()).stderr(file);
    assert_eq!(run.run().code, 1);
    let all = std::fs::read_to_string(path).unwrap();
    let start = "not for you\nerror[call.status]: the API returned 403";
    assert!(all.starts_with(start), "{all}");
    // Only the body is on stdout.
    let separate_streams = tiny.run(&["call", &url, "--origin", &tiny.base]).run();
    assert_eq!(separate_streams.stdout, "not for you");
}

#[test]
fn a_server_without_tls_is_not_reported_as_retryable() {
    let served = start_twin();
    let url = served.base().replace("http:", "https:");
    let done = oauth(&["discover", &url]).run();
    assert_eq!(done.code, 1);
    assert_stderr_contains(
        &done,
        &["does not speak TLS", "--on-loopback", "--loopback-http"],
    );
    assert!(!done.stderr.contains("try again"), "{}", done.stderr);
}

#[test]
fn loopback_http_with_a_provider_is_refused() {
    let server = ["--provider", "keycloak", "--loopback-http"];
    let variables = ["--var", "host=127.0.0.1:8180", "--var", "realm=a"];
    let client = ["--client-id", "a", "--client-secret-env", "S"];
    let arguments = [&["token"][..], &server, &variables, &client].concat();
    let done = oauth(&arguments).env("S", "s").run();
    assert_eq!(done.code, 2);
    assert_stderr_contains(&done, &["[usage.loopback_http]", "--on-loopback BASE"]);
}

#[test]
fn a_client_credentials_failure_does_not_advise_a_login() {
    let tiny = TinyServer::start();
    tiny.state().error = Some("invalid_grant");
    let url = format!("{}/api", tiny.base);
    let call = ["call", &url, "--origin", &tiny.base];
    for command in [&["token"][..], &call] {
        let done = tiny.run(command).run();
        assert_eq!(done.code, 1);
        assert_stderr_contains(
            &done,
            &["[denied.invalid_grant]", "this is not about a login"],
        );
        assert!(!done.stderr.contains("log in"), "{}", done.stderr);
    }
}

#[test]
fn unauthorized_client_hints_at_the_client_secret() {
    let tiny = TinyServer::start();
    tiny.state().error = Some("unauthorized_client");
    let done = tiny.run(&["token"]).run();
    assert_eq!(done.code, 1);
    assert_stderr_contains(
        &done,
        &["[denied.unauthorized_client]", "check client id and secret"],
    );
}

#[test]
fn a_refresh_token_that_is_not_stored_is_reported() {
    let tiny = TinyServer::start();
    let login = |more: &[&str]| visit(tiny.run(&[&["login", "--no-browser"], more].concat()), 1);
    assert_stderr_contains(
        &login(&[]),
        &["the refresh token is not stored", "--save FILE"],
    );
    let tokens = folder("kept").join("tokens.json");
    let saved = login(&["--save", tokens.to_str().unwrap()]);
    assert!(!saved.stderr.contains("not stored"), "{}", saved.stderr);
}

#[test]
fn additional_scopes_are_reported_without_a_warning() {
    let tiny = TinyServer::start();
    let done = tiny.run(&["token", "--scope", "openid"]).run();
    assert!(!done.stderr.contains("warning"), "{}", done.stderr);
    assert_stderr_contains(&done, &["the server granted the scope:", "email"]);
    done.ok();
}

#[test]
fn an_oversized_response_is_reported_only_once() {
    let tiny = TinyServer::start();
    tiny.state().padding = 2 << 20;
    let done = tiny.run(&["token"]).run();
    assert_eq!(done.code, 1);
    let count = done.stderr.matches("larger than 1 MiB").count();
    assert_eq!(count, 1, "{}", done.stderr);
}

#[test]
fn an_endpoint_missing_from_discovery_can_be_configured() {
    let tiny = TinyServer::start();
    let send = |more: &[&str]| {
        let command = [&["introspect", "--token-env", "T"], more].concat();
        tiny.run(&command).env("T", "token").run()
    };
    assert_stderr_contains(&send(&[]), &["[endpoint.missing]"]);
    let endpoint = format!("introspection={}/introspect", tiny.base);
    assert!(send(&["--endpoint", &endpoint]).ok().contains("active"));
    let config = folder("endpoints").join("config.toml");
    let text = "[profile.p.endpoints]\nintrospection_endpoint = \"BASE/introspect\"\n";
    std::fs::write(&config, text.replace("BASE", &tiny.base)).unwrap();
    let profile = ["--config", config.to_str().unwrap(), "--profile", "p"];
    send(&profile).ok();
    let unknown = send(&["--endpoint", "introspect=http://127.0.0.1/"]);
    assert_eq!(unknown.code, 2);
    assert_stderr_contains(&unknown, &["[usage.endpoint]", "introspection"]);
}

#[test]
fn a_token_is_printed_in_the_formats_of_other_tools() {
    let tiny = TinyServer::start();
    let token = |form: &str| tiny.run(&["token", "--format", form]).run().ok();
    assert_eq!(token("env"), "export OAUTH_ACCESS_TOKEN=access1\n");
    assert_eq!(token("header"), "Authorization: Bearer access2\n");
    assert_eq!(
        token("curl"),
        "header = \"Authorization: Bearer access3\"\n"
    );
    let record: Value = serde_json::from_str(&token("json")).unwrap();
    assert_eq!(record["access_token"], "access4");
}

#[test]
fn every_provider_is_listed() {
    let list = oauth(&["providers"]).run().ok();
    let known = include_str!("../../../../tests/presets.json");
    let known: Vec<Value> = serde_json::from_str(known).unwrap();
    assert_eq!(list.lines().count(), known.len(), "{list}");
    let uservoice = list.lines().find(|line| line.starts_with("uservoice "));
    let uservoice = uservoice.unwrap();
    assert!(uservoice.contains("variables: subdomain="), "{uservoice}");
    assert!(uservoice.contains("client_credentials"), "{uservoice}");
    let record = oauth(&["providers", "--json"]).run().json();
    assert_eq!(record["providers"].as_array().unwrap().len(), known.len());
}

#[test]
fn profiles_are_listed() {
    let config = folder("profiles").join("config.toml");
    let text = "default_profile = \"a\"\n[profile.a]\nprovider = \"google\"\nclient_id = \"id\"\n\
                as = \"person\"\n[profile.b]\nissuer = \"https://as.example\"\n\
                [profile.c]\nissuer = \"https://as.example\"\nclient_auth = \"none\"\n";
    std::fs::write(&config, text).unwrap();
    let list = ["profile", "list", "--config", config.to_str().unwrap()];
    let lines = oauth(&list).run().ok();
    assert_eq!(
        lines,
        "a  google, client id, as the logged-in user (default)\n\
         b  https://as.example, as the client itself\n\
         c  https://as.example, no user is logged in\n"
    );
    let record = oauth(&[&list[..], &["--json"]].concat()).run().json();
    // The former name is read, and no longer written.
    assert_eq!(record["profiles"][0]["as"], "user");
    let none = oauth(&["profile", "list"]).run().ok();
    assert_eq!(none, "no profiles\n");
}

#[test]
fn shell_completions_are_generated() {
    for shell in ["bash", "zsh", "fish"] {
        let script = oauth(&["completions", shell]).run().ok();
        assert!(script.contains("introspect"), "{shell}");
    }
}

#[test]
fn json_output_lists_the_missing_and_the_conflicting_arguments() {
    let message = |arguments: &[&str]| {
        let done = oauth(&[arguments, &["--json"]].concat()).run();
        assert_eq!(done.code, 2);
        let error: Value = serde_json::from_str(&done.stderr).unwrap();
        error["message"].as_str().unwrap().to_owned()
    };
    let missing = "the following required arguments were not provided: ";
    assert_eq!(message(&["key", "new"]), format!("{missing}--alg <ALG>"));
    assert_eq!(message(&["call"]), format!("{missing}<URL>"));
    let conflict = message(&["login", "--device", "--port", "1"]);
    assert!(conflict.ends_with("'--port <PORT>'"), "{conflict}");
    let unknown = message(&["token", "--format", "x"]);
    assert!(unknown.contains("[possible values: "), "{unknown}");
}

#[test]
fn the_url_of_a_metadata_document_as_issuer_hints_at_the_issuer() {
    let url = "https://as.example/.well-known/openid-configuration";
    let done = oauth(&["discover", "--issuer", url]).run();
    assert_stderr_contains(&done, &["[issuer.metadata_url]", "pass the issuer itself"]);
    assert!(!done.stderr.contains("trying again"), "{}", done.stderr);
}

#[test]
fn introspection_without_a_login_says_how_to_pass_the_token_of_the_client() {
    let introspect = |name: &str, more: &str| {
        let home = Home::with(name, more);
        let done = home.run_profile(&["introspect"]);
        assert_stderr_contains(&done, &["[usage.no_login]"]);
        let pipe =
            "oauth token --profile p --as client | oauth introspect --profile p --token-file -";
        assert_stderr_contains(&done, &[pipe]);
        done.stderr
    };
    assert!(introspect("introspect-either", "").contains("oauth login"));
    let client = introspect("introspect-client", "as = \"client\"");
    assert!(!client.contains("oauth login"), "{client}");
}

#[test]
fn tokens_that_the_user_replaces_too_often_are_not_called_refused() {
    let home = Home::new("too-often");
    let mut runs = (0..6).map(|_| home.run_profile(&["token", "--renew"]));
    let stopped = runs.find(|done| done.code != 0).unwrap();
    assert_stderr_contains(
        &stopped,
        &["tokens are replaced too often", "try again in "],
    );
    assert!(!stopped.stderr.contains("refused"), "{}", stopped.stderr);
}

#[test]
fn the_help_of_serve_says_what_excludes_mutual_tls() {
    let help = oauth(&["serve", "--help"]).run().ok();
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("not with --port or --web"), "{help}");
}

#[test]
fn logout_is_not_mistaken_for_login() {
    let done = oauth(&["logout"]).run();
    assert!(!done.stderr.contains("login'"), "{}", done.stderr);
    assert_stderr_contains(&done, &["[usage.server]"]);
}

#[cfg(unix)]
#[test]
fn the_commands_printed_by_serve_can_be_pasted() {
    for (system, arguments) in [("generic", SECRET), ("fapi", "twin-client-1")] {
        let mut run = oauth(&["serve", "--system", system, "--port", "0"]);
        let mut server = run.command.stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(server.stdout.take().unwrap()).lines();
        let mut script: Vec<String> = Vec::new();
        for line in lines.map_while(Result::ok) {
            let mut starts = ["export ", "echo ", "oauth "].iter();
            let Some(at) = starts.find_map(|start| line.find(start)) else {
                continue;
            };
            script.push(line[at..].to_owned());
            if script.last().unwrap().starts_with("oauth token ") {
                break;
            }
        }
        assert!(script[0].contains(arguments), "{script:?}");
        let bin = std::path::Path::new(env!("CARGO_BIN_EXE_oauth"));
        let path = format!("{}:/usr/bin:/bin", bin.parent().unwrap().display());
        let mut shell = std::process::Command::new("/bin/sh");
        shell.args(["-ec", &script.join("\n")]).env("PATH", path);
        shell.current_dir(folder(&format!("pasted-{system}")));
        // An empty variable counts as unset.
        shell.env("OAUTH_PROFILE", "").env("OAUTH_CONFIG", "");
        let output = shell.output().unwrap();
        server.kill().unwrap();
        server.wait().unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{system}: {stderr}");
        assert!(!output.stdout.is_empty());
    }
}
