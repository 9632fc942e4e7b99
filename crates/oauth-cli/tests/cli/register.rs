//! `oauth register` and `oauth client-id-metadata`: secrets returned once are stored, and not printed elsewhere.

use oauth_testkit::Served;
use serde_json::{Value, json};

use crate::common::{Run, folder, oauth, start_twin};

const CALLBACK: &str = "https://app.example/callback";

fn register(served: &Served, more: &[&str]) -> Run {
    let server_options = ["register", "--issuer", served.base(), "--loopback-http"];
    let client = ["--redirect-uri", CALLBACK, "--name", "App"];
    oauth(&[&server_options[..], &client, more].concat())
}

/// The number of registration requests received.
fn request_count(served: &Served) -> usize {
    let is_it = |path: &str| path == "/register";
    served.with(|twin| twin.log().iter().filter(|entry| is_it(&entry.path)).count())
}

#[test]
fn register_prints_a_profile_for_the_client() {
    let (served, folder) = (start_twin(), folder("register-profile"));
    let secret = folder.join("acme.secret");
    let grants = [
        "--grant",
        "client_credentials",
        "--grant",
        "authorization_code",
    ];
    let files = [
        "--secret-file",
        secret.to_str().unwrap(),
        "--print-profile",
        "acme",
    ];
    let output = register(&served, &[&grants[..], &files].concat())
        .run()
        .ok();
    let stored = std::fs::read_to_string(&secret).unwrap();
    assert!(!stored.is_empty() && !output.contains(&stored), "{output}");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = std::fs::metadata(&secret).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let config = folder.join("config.toml");
    std::fs::write(&config, output).unwrap();
    let config = config.to_str().unwrap();
    let token = oauth(&["token", "--config", config, "--profile", "acme"]).run();
    assert!(!token.ok().trim().is_empty());
}

#[test]
fn secrets_are_shown_only_if_requested() {
    let (served, folder) = (start_twin(), folder("register-secrets"));
    let path = folder.join("client.json");
    let output = ["--output", path.to_str().unwrap()];
    let text = register(&served, &output).run().ok();
    let stored: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let secrets =
        ["client_secret", "registration_access_token"].map(|name| stored[name].as_str().unwrap());
    assert!(text.contains(stored["client_id"].as_str().unwrap()));
    assert!(text.contains("never") && !secrets.iter().any(|secret| text.contains(secret)));
    assert_eq!(stored["metadata"]["client_name"], "App");

    let record = register(&served, &["--show-secrets", "--json"])
        .run()
        .json();
    assert!(
        record["client_secret"]
            .as_str()
            .is_some_and(|secret| secret != "[not shown]")
    );
    let traced = register(&served, &["--show-secrets", "--trace"]).run();
    assert_eq!(traced.code, 0);
    let shown = traced
        .stdout
        .lines()
        .find(|line| line.starts_with("client_secret "))
        .unwrap();
    let secret = shown.split_whitespace().nth(1).unwrap();
    assert!(!traced.stderr.contains(secret), "{}", traced.stderr);
}

#[test]
fn no_registration_is_sent_whose_result_could_not_be_saved() {
    let (served, folder) = (start_twin(), folder("register-kept"));
    let nowhere = register(&served, &[]).run();
    assert_eq!(nowhere.code, 2);
    assert!(
        nowhere.stderr.contains("usage.register_output"),
        "{}",
        nowhere.stderr
    );
    let path = folder.join("there.json");
    std::fs::write(&path, "mine").unwrap();
    let run = register(&served, &["--output", path.to_str().unwrap()]).run();
    assert_eq!(run.code, 2);
    assert!(run.stderr.contains("usage.output"), "{}", run.stderr);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine");
    let wrong = register(&served, &["--show-secrets", "--grant", "implicit"]).run();
    assert_eq!(wrong.code, 2);
    assert!(
        wrong.stderr.contains("client_metadata.inconsistent"),
        "{}",
        wrong.stderr
    );
    assert_eq!(request_count(&served), 0);
}

#[test]
fn a_refused_registration_writes_no_file_and_an_initial_access_token_can_be_given() {
    let (served, folder) = (start_twin(), folder("register-token"));
    served.with(|twin| twin.set_initial_access_token(Some("S3CR3T-init")));
    let path = folder.join("client.json");
    let output = ["--output", path.to_str().unwrap()];
    let refused = register(&served, &output).run();
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("denied.invalid_token"),
        "{}",
        refused.stderr
    );
    assert!(!path.exists());
    let with_token = [&output[..], &["--initial-access-token-env", "INITIAL"]].concat();
    let done = register(&served, &with_token)
        .env("INITIAL", "S3CR3T-init")
        .run();
    assert!(!done.stderr.contains("S3CR3T"));
    assert!(!done.ok().contains("S3CR3T") && path.exists());
}

#[test]
fn metadata_is_read_from_a_file_and_options_take_precedence() {
    let served = start_twin();
    let metadata = json!({ "client_name": "Other", "redirect_uris": ["https://other.example/"],
        "token_endpoint_auth_method": "none", "logo_uri": "https://app.example/logo" });
    let more = ["--show-secrets", "--json", "--metadata", "-"];
    let record = register(&served, &more)
        .stdin(&metadata.to_string())
        .run()
        .json();
    assert_eq!(record["client_name"], "App");
    assert_eq!(record["redirect_uris"], json!([CALLBACK]));
    assert_eq!(record["logo_uri"], "https://app.example/logo");
    assert!(record.get("client_secret").is_none());
}

#[test]
fn a_client_id_metadata_document_is_created_and_validated() {
    let url = "https://app.example/client.json";
    let run = |document: &Value, more: &[&str]| {
        let command = [&["client-id-metadata", url, "-"], more].concat();
        oauth(&command).stdin(&document.to_string()).run()
    };
    let made = run(&json!({ "redirect_uris": ["http://127.0.0.1/cb"] }), &[]).json();
    assert_eq!(made["client_id"], url);
    assert_eq!(made["token_endpoint_auth_method"], "none");
    assert_eq!(made["application_type"], "native");
    assert_eq!(run(&made, &[]).json(), made);
    for (document, more, code) in [
        (&made, &["--mcp"][..], "client_metadata.name_missing"),
        (
            &json!({ "client_id": "https://app.example/" }),
            &[],
            "client_id_metadata.client_id",
        ),
        (
            &json!({ "redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post" }),
            &[],
            "client_id_metadata.shared_secret",
        ),
        (&json!([]), &[], "usage.metadata"),
    ] {
        let done = run(document, more);
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (2, ""),
            "{}",
            done.stderr
        );
        assert!(done.stderr.contains(code), "{code}: {}", done.stderr);
    }
    let large = json!({ "redirect_uris": [CALLBACK], "x": "x".repeat(6000) });
    assert!(run(&large, &[]).stderr.contains("over 5 KiB"));
}
