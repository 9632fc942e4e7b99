//! `oauth login`: the opened URL, and which callbacks are accepted.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::process::Stdio;

use crate::common::{log_in, oauth, start_twin, try_log_in, visit};
use crate::store::assert_exit;
use crate::tiny::TinyServer;
use oauth_testkit::Fault;
use serde_json::{Value, json};

/// The expected presets, shared by all languages.
const PRESETS: &str = include_str!("../../../../tests/presets.json");

#[test]
fn every_preset_opens_its_authorization_endpoint() {
    let presets: Vec<Value> = serde_json::from_str(PRESETS).unwrap();
    let listed = oauth(&["providers"]).run().ok();
    assert_eq!(presets.len(), listed.lines().count(), "{listed}");
    // Some presets compare redirect URIs, so the port is fixed; it should still be free.
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = socket.local_addr().unwrap().port();
    drop(socket);
    for preset in &presets {
        let variables = preset["variables"].as_object().unwrap().iter();
        let mut arguments = vec!["login".to_owned(), "--no-browser".to_owned()];
        arguments.extend(variables.flat_map(|(name, value)| {
            let value = value.as_str().unwrap();
            ["--var".to_owned(), format!("{name}={value}")]
        }));
        let name = preset["name"].as_str().unwrap();
        arguments.extend(["--provider", name, "--client-id", "id"].map(str::to_owned));
        arguments.extend(["--client-secret-env", "S", "--port"].map(str::to_owned));
        arguments.extend([port.to_string(), "--redirect-uri".to_owned()]);
        arguments.push(format!("http://127.0.0.1:{port}/callback"));
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut run = oauth(&arguments).env("S", "secret");
        let mut child = run.command.stdin(Stdio::null()).spawn().unwrap();
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let output: Vec<_> = lines.map_while(Result::ok).take(2).collect();
        child.kill().unwrap();
        child.wait().unwrap();
        let expected = format!("{}?", preset["authorization_endpoint"].as_str().unwrap());
        assert!(
            output.iter().any(|line| line.starts_with(&expected)),
            "{name}: {output:?}"
        );
    }
}

#[test]
fn a_login_with_openid_names_the_user_or_fails() {
    let served = start_twin();
    let done = log_in(&served, &["--scope", "openid read"]);
    assert!(done.stderr.contains("logged in as "), "{}", done.stderr);
    let flaw = oauth_testkit::twin::IdTokenFlaw::WrongIssuer;
    served.with(|twin| twin.inject(Fault::IdToken { flaw }));
    let done = try_log_in(&served, &["--scope", "openid read"], 1);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(done.stderr.contains("error[jwt.issuer]"), "{}", done.stderr);
}

#[test]
fn a_request_with_a_known_flaw_is_sent_with_a_warning() {
    let served = start_twin();
    let details = r#"authorization_details=[{"type":"payment"}]"#;
    let done = log_in(&served, &["--scope", "read", "--param", details]);
    let warning = "warning: authorization_details stand in the URL";
    assert!(done.stderr.contains(warning), "{}", done.stderr);
    let done = log_in(&served, &["--scope", "read"]);
    assert!(
        !done.stderr.contains("authorization_details"),
        "{}",
        done.stderr
    );
}

/// RFC 9396 section 7: as with the scope, the granted permissions are shown.
#[test]
fn granted_and_missing_permissions_are_reported() {
    let tiny = TinyServer::start();
    let granted = json!({"type": "account", "actions": ["read"], "note": "\u{9b}2J"});
    tiny.state().granted = json!({"authorization_details": [granted]});
    let expected =
        r#"[{"type":"account","actions":["read"]},{"type":"payment","actions":["send"]}]"#;
    let details = format!("authorization_details={expected}");
    for switch in ["--param", "--token-param"] {
        let command = ["login", "--no-browser", switch, &details];
        let done = visit(tiny.run(&command), 1);
        assert_eq!(done.code, 0, "{}", done.stderr);
        let lines: Vec<_> = done.stderr.lines().collect();
        let is_told = |line: &str| lines.contains(&line);
        assert!(
            is_told(r#"granted: {"actions":["read"],"note":"2J","type":"account"}"#),
            "{}",
            done.stderr
        );
        assert!(
            is_told(r#"warning: not granted: {"actions":["send"],"type":"payment"}"#),
            "{}",
            done.stderr
        );
        // Only two such lines: nothing granted is missing.
        assert_eq!(done.stderr.matches("granted: {").count(), 2);
        let done = visit(tiny.run(&[&command[..], &["--json"]].concat()), 1).ok();
        let record: Value = serde_json::from_str(done.lines().last().unwrap()).unwrap();
        assert_eq!(record["authorization_details"], json!([granted]));
        let missing = json!([{"type": "payment", "actions": ["send"]}]);
        assert_eq!(record["missing_authorization_details"], missing);
    }
    // Without a request and without a response nothing is printed.
    tiny.state().granted = json!({});
    let done = visit(tiny.run(&["login", "--no-browser"]), 1);
    assert!(!done.stderr.contains("granted"), "{}", done.stderr);
    let done = visit(
        tiny.run(&["login", "--no-browser", "--token-param", &details]),
        1,
    );
    assert_eq!(done.stderr.matches("not granted: {").count(), 2);
    let broken = [
        "login",
        "--no-browser",
        "--param",
        "authorization_details=x",
    ];
    assert_exit(
        &tiny.run(&broken).run(),
        2,
        &["authorization_details.malformed"],
    );
}

#[test]
fn a_callback_with_a_wrong_issuer_or_state_does_not_complete_the_login() {
    let served = start_twin();
    served.with(|twin| twin.inject(Fault::WrongIssuerInCallback));
    let done = try_log_in(&served, &["--scope", "openid"], 1);
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(
        done.stderr.contains("error[callback.issuer]"),
        "{}",
        done.stderr
    );
    assert_eq!(served.with(|twin| twin.counters().token_requests), 0);

    // A callback with a foreign state is ignored: the login keeps waiting for its own.
    served.with(|twin| twin.inject(Fault::ForeignStateInCallback));
    let done = try_log_in(&served, &["--scope", "openid"], 2);
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(served.with(|twin| twin.counters().token_requests), 1);

    let log = served.with(|twin| twin.log().to_vec());
    let logged = log.iter().filter(|entry| entry.path == "/authorize");
    for name in ["state", "nonce", "code_challenge"] {
        let values: BTreeSet<_> = logged
            .clone()
            .filter_map(|entry| entry.query(name))
            .collect();
        assert!(
            values.len() == 2 && values.iter().all(|value| value.len() == 43),
            "{name}"
        );
    }
    // The twin compares the verifier with the challenge.
    assert!(
        log.iter()
            .any(|entry| entry.form("code_verifier").is_some())
    );
}

#[test]
fn the_request_is_pushed_if_the_server_requires_it() {
    let tiny = TinyServer::start();
    tiny.state().metadata = json!({
        "pushed_authorization_request_endpoint": format!("{}/par", tiny.base),
        "require_pushed_authorization_requests": true,
    });
    let done = visit(tiny.run(&["login", "--no-browser"]), 1);
    let url = "/authorize?client_id=app&request_uri=urn%3Aexample%3A1\n";
    assert!(done.stderr.contains(url), "{}", done.stderr);
    assert_eq!(tiny.form("/par")["code_challenge_method"], "S256");
    assert_eq!(tiny.form("/token")["code"], "c0de");
    done.ok();
}

#[test]
fn an_authorization_request_is_pushed_with_the_push_option() {
    let tiny = TinyServer::start();
    tiny.state().metadata = json!({
        "pushed_authorization_request_endpoint": format!("{}/par", tiny.base),
    });
    for (more, pushed) in [(&[][..], 0), (&["--push"], 1)] {
        let command = [&["login", "--no-browser"], more].concat();
        visit(tiny.run(&command), 1).ok();
        assert_eq!(tiny.request_count("/par"), pushed, "{more:?}");
    }
    // A server without support for it.
    tiny.state().metadata = json!({});
    let done = tiny.run(&["login", "--no-browser", "--push"]).run();
    assert_exit(&done, 2, &["endpoint.missing", "pushed_authorization"]);
}

#[test]
fn json_output_of_a_stored_login_is_the_url_and_then_the_result_without_tokens() {
    let home = crate::store::Home::with("login-json", "scope = \"openid read\"");
    let run = home.command_with_profile(&["login", "--no-browser", "--json"]);
    let stdout = visit(run, 1).ok();
    let lines = stdout.lines().map(serde_json::from_str);
    let [prompt, result]: [Value; 2] = lines
        .collect::<Result<Vec<_>, _>>()
        .unwrap()
        .try_into()
        .unwrap();
    let url = prompt["authorization_url"].as_str().unwrap();
    assert!(url.contains("/authorize?"), "{url}");
    assert_eq!(result["profile"], "p");
    assert_eq!(result["scope"], "openid read");
    assert!(result["subject"].is_string(), "{result}");
    assert!(result["expires_at"].is_string(), "{result}");
    assert_eq!(result.get("access_token"), None);
    let token = home.run_profile(&["token"]).ok();
    assert!(!stdout.contains(token.trim()), "{stdout}");
}
