//! `oauth token --grant NAME`: grants that a provider file describes.

use crate::common::{RunResult, SECRET, folder, oauth, start_twin};

const PRESET: &str = r#"
name = "acme"
title = "Acme"
issuer = "https://login.acme.example"
client_auth = "basic"
grants = ["client_credentials"]

[endpoints]
token_endpoint = "{issuer}/token"

[extension_grants.for_another]
grant_type = "urn:ietf:params:oauth:grant-type:token-exchange"
client_auth = "required"
fixed = { subject_token_type = "urn:ietf:params:oauth:token-type:access_token" }

[extension_grants.for_another.parameters]
subject_token = { description = "the token of the caller", secret = true }
tag = { required = false, repeated = true }
"#;

#[test]
fn an_extension_grant_is_selected_by_its_name() {
    let (served, folder) = (start_twin(), folder("own-grant"));
    let preset = folder.join("acme.toml");
    std::fs::write(&preset, PRESET).unwrap();
    let token = |more: &[&str]| -> RunResult {
        let base = [
            "token",
            "--provider-file",
            preset.to_str().unwrap(),
            "--on-loopback",
            served.base(),
        ];
        let client = ["--client-id", "twin-client", "--client-secret-env", "S"];
        oauth(&[&base[..], &client, more].concat())
            .env("S", SECRET)
            .run()
    };
    let client_token = token(&[]);
    assert_eq!(client_token.code, 0, "{}", client_token.stderr);
    let file = folder.join("token.txt");
    std::fs::write(&file, client_token.stdout.trim()).unwrap();
    let secret = format!("subject_token={}", file.display());
    let grant = ["--grant", "for_another"];

    let exchanged = token(&[&grant[..], &["--secret-param", &secret, "--param", "tag=a"]].concat());
    assert_eq!(exchanged.code, 0, "{}", exchanged.stderr);
    let form = served.with(|twin| twin.log().last().unwrap().form.clone());
    let names: Vec<_> = form.iter().map(|(name, _)| name.as_str()).collect();
    // In their order, fixed ones first.
    assert_eq!(names[..2], ["grant_type", "subject_token_type"]);
    assert!(
        names.contains(&"tag") && names.contains(&"subject_token"),
        "{names:?}"
    );

    for (more, code) in [
        (
            &["--param", "subject_token=x"][..],
            "usage.secret_parameter",
        ),
        (&[], "usage.parameter"),
        (
            &["--secret-param", &secret, "--param", "other=x"],
            "form.unlisted_parameter",
        ),
    ] {
        let refused = token(&[&grant[..], more].concat());
        assert_ne!(refused.code, 0);
        assert!(
            refused.stderr.contains(&format!("error[{code}]")),
            "{}",
            refused.stderr
        );
    }
    let unknown = token(&["--grant", "another"]);
    assert!(
        unknown.stderr.contains("grant.not_an_extension"),
        "{}",
        unknown.stderr
    );
}
