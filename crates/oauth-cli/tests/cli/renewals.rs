//! Presets that describe expired tokens, and the renewal of tokens without refresh tokens.

use oauth_testkit::{Fault, Served, Twin};
use serde_json::Value;

use crate::common::{Run, SECRET, folder, oauth, visit};

const PRESET: &str = r#"
name = "renews"
title = "A server that renews access tokens with themselves"
issuer = "https://as.example"
client_auth = "post"
grants = ["authorization_code", "client_credentials"]
api = ["https://as.example/api"]
expired_token_replies = [{ status = 200, body = { ok = [false], error = ["token_expired"] } }]

[endpoints]
authorization_endpoint = "https://as.example/authorize"
token_endpoint = "https://as.example/token"

[[renewals]]
endpoint = "https://as.example/access_token"
grant_type = "exchange_token"
token_parameter = "short_lived_token"
authenticated = true
shorter_than = 86400

[[renewals]]
endpoint = "https://as.example/refresh_access_token"
grant_type = "refresh_token"
token_parameter = "access_token"
earliest_age = 86400
"#;

struct Home {
    served: Served,
    folder: std::path::PathBuf,
}

impl Home {
    fn new(name: &str) -> Self {
        let served = Served::start(Twin::generic).unwrap();
        served.with(Twin::withhold_refresh_tokens);
        let folder = folder(name);
        std::fs::write(folder.join("renews.toml"), PRESET).unwrap();
        let text = format!(
            "[profile.p]\nprovider_file = \"renews.toml\"\non_loopback = \"{}\"\nclient_id = \"twin-client\"\n\
             client_secret_env = \"TWIN_SECRET\"\nscope = \"read\"\n",
            served.base()
        );
        std::fs::write(folder.join("config.toml"), text).unwrap();
        Self { served, folder }
    }

    fn run(&self, command: &[&str]) -> Run {
        let config = self.folder.join("config.toml");
        let global = ["--config", config.to_str().unwrap(), "--profile", "p"];
        oauth(&[command, &global].concat())
            .env("XDG_STATE_HOME", self.folder.to_str().unwrap())
            .env("TWIN_SECRET", SECRET)
    }
}

#[test]
fn a_token_that_the_api_reports_as_ended_in_its_body_is_replaced() {
    let home = Home::new("renewals-ended");
    let url = format!("{}/api/echo", home.served.base());
    let call = || home.run(&["call", "--as", "client", &url]).run();
    let answer: Value = serde_json::from_str(&call().ok()).unwrap();
    assert_eq!(answer["method"], "GET");
    home.served.with(|twin| {
        twin.expire_access_tokens();
        twin.inject(Fault::parse("ended_token_in_body").unwrap());
    });
    let answer: Value = serde_json::from_str(&call().ok()).unwrap();
    assert_eq!(answer["method"], "GET");
    assert_eq!(home.served.with(|twin| twin.counters().token_requests), 2);
}

#[test]
fn a_login_is_renewed_with_its_access_token_for_a_provider_without_refresh_tokens() {
    let home = Home::new("renewals-login");
    let login = visit(home.run(&["login", "--no-browser"]), 1);
    assert_eq!(login.code, 0, "{}", login.stderr);
    let done = home.run(&["refresh", "--json", "--trace"]).run();
    let long: Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!(long["expires_in"], 60 * 24 * 3600, "{}", done.stderr);
    // The token was in a URL, and the trace redacts it.
    assert!(done.stderr.contains("/access_token"), "{}", done.stderr);
    assert!(done.stderr.contains("exchange_token"), "{}", done.stderr);
    for secret in [SECRET, long["access_token"].as_str().unwrap()] {
        assert!(!done.stderr.contains(secret), "{}", done.stderr);
    }
    let log = home.served.with(|twin| twin.log().to_vec());
    let sent = log
        .iter()
        .find(|entry| entry.path == "/access_token")
        .unwrap();
    let (_, short) = sent
        .query
        .iter()
        .find(|(name, _)| name == "short_lived_token")
        .unwrap();
    assert!(!done.stderr.contains(short.as_str()), "{}", done.stderr);
    let token = home.run(&["token"]).run().ok();
    assert_eq!(Some(token.trim()), long["access_token"].as_str());
    assert_eq!(home.served.with(|twin| twin.counters().renewals), 1);
}
