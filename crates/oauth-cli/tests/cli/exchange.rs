//! `oauth exchange`, and the token formats for other programs.

use crate::common::{command_at, start_twin};

#[test]
fn a_token_is_exchanged_and_its_type_is_printed() {
    let served = start_twin();
    let subject = command_at(&served, &["token", "--scope", "read write"])
        .run()
        .ok();
    let exchange = |more: &[&str]| {
        let command = [&["exchange", "--subject-token-file", "-"], more].concat();
        command_at(&served, &command).stdin(&subject).run()
    };
    let done = exchange(&["--scope", "read", "--json"]).json();
    let issued = "urn:ietf:params:oauth:token-type:access_token";
    assert_eq!(done["issued_token_type"], issued);
    assert_eq!(done["scope"], "read");
    assert_ne!(done["access_token"], subject.trim());
    let alone = exchange(&[]).ok();
    assert_eq!(alone.lines().count(), 1);

    let wrong = exchange(&["--actor-token-type", "jwt"]);
    assert_eq!(wrong.code, 2, "{}", wrong.stderr);
    assert!(
        wrong.stderr.contains("error[token_exchange.malformed]"),
        "{}",
        wrong.stderr
    );
    let twice = exchange(&["--actor-token-file", "-", "--actor-token-type", "jwt"]);
    assert!(
        twice.stderr.contains("error[usage.stdin]"),
        "{}",
        twice.stderr
    );
    let none = command_at(&served, &["exchange"]).run();
    assert_eq!(none.code, 2, "{}", none.stderr);
    let saml = exchange(&["--requested-token-type", "saml2"]);
    assert!(
        saml.stderr.contains("error[denied.invalid_request]"),
        "{}",
        saml.stderr
    );
}

#[test]
fn a_refused_subject_token_does_not_suggest_a_login() {
    let tiny = crate::tiny::TinyServer::start();
    tiny.state().error = Some("invalid_grant");
    let run = tiny.run(&["exchange", "--subject-token-env", "T"]);
    let done = run.env("T", "bad").run();
    for said in [
        "[denied.invalid_grant]",
        "this is not about a login",
        "the subject token",
    ] {
        assert!(done.stderr.contains(said), "{}", done.stderr);
    }
    assert!(!done.stderr.contains("log in"), "{}", done.stderr);
}

#[test]
fn kubectl_receives_a_token_with_its_expiry_and_scripts_only_the_token() {
    let served = start_twin();
    let raw = command_at(&served, &["token", "--format", "raw"])
        .run()
        .ok();
    assert_eq!(raw.split_whitespace().count(), 1);
    let done = command_at(&served, &["token", "--format", "exec-credential"])
        .run()
        .json();
    assert_eq!(done["apiVersion"], "client.authentication.k8s.io/v1");
    assert_eq!(done["kind"], "ExecCredential");
    assert!(done["status"]["token"].is_string());
    let end = done["status"]["expirationTimestamp"].as_str().unwrap();
    assert!(end.ends_with('Z') && end.len() == 20, "{end}");
    // kubectl states the version that it reads.
    let version = |info: &str| {
        let command = command_at(&served, &["token", "--format", "exec-credential"]);
        let output = command.env("KUBERNETES_EXEC_INFO", info).run().json();
        output["apiVersion"].as_str().unwrap().to_owned()
    };
    let beta = "client.authentication.k8s.io/v1beta1";
    assert_eq!(version(&format!(r#"{{"apiVersion":"{beta}"}}"#)), beta);
    for odd in ["", "{", r#"{"apiVersion":"v7"}"#] {
        assert_eq!(version(odd), "client.authentication.k8s.io/v1");
    }
}
