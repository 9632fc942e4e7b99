//! `oauth exchange`, and the forms of a token that other programs take.

use crate::common::{command_at, start_twin};

#[test]
fn a_token_is_exchanged_and_its_type_is_told() {
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
fn kubectl_takes_a_token_with_its_end_and_scripts_the_token_alone() {
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
    // kubectl says which version it reads.
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
