//! The part of `assertion-source` about GitHub's token service: the request to it, how often it is sent, and how
//! its response is used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::{Calls, NOW, server};
use crate::conversation::{ClientConfig, TurnInput};
use crate::fields::Reply;
use crate::format::{Vector, Verdict, check_equal};
use crate::runner::{self, Runner};
use crate::transcript::Sent;

const ISSUER: &str = "https://as.example";
const URL: &str = "https://run.example/idtoken?api-version=2.0";

pub(crate) fn github(vector: &Vector, runner: &mut Runner) -> Verdict {
    let input = &vector.input;
    let expected = &vector.expected;
    let client = job(
        vector.text("request_url").unwrap_or(URL),
        vector.text("request_token").unwrap_or("rt"),
        vector.text("audience"),
    );
    let response_spec = match input.get("answer") {
        Some(response_spec) => Reply::new(
            200,
            &[("content-type", "application/json")],
            response_spec["body"].as_str().unwrap_or_default(),
        ),
        None => Reply::json(&json!({ "value": token() })),
    };
    let tokens = json!({ "access_token": "a", "token_type": "Bearer" });
    let mut calls = Calls::new(server(ISSUER, &Value::Null), client);
    let (times, apart) = (
        input["requests"].as_u64().unwrap_or(1),
        input["seconds_between"].as_u64().unwrap_or(0),
    );
    for number in 0..times {
        let now = input["now"].as_u64().unwrap_or(NOW) + number * apart;
        let scope = String::new();
        let replies = vec![response_spec.clone(), Reply::json(&tokens)];
        calls = calls.call(now, TurnInput::ClientCredentials { scope }, replies);
    }
    let came = calls.play(runner)?;
    let sent: Vec<&Sent> = came.iter().flat_map(|came| &came.sent).collect();
    let (fetches, requests): (Vec<_>, Vec<_>) =
        sent.into_iter().partition(|sent| sent.method == "GET");
    let first = fetches.first().ok_or("no token is requested")?;
    for (name, value) in [("method", &first.method), ("url", &first.url)] {
        if let Some(expected_value) = expected[name].as_str() {
            check_equal(name, value.as_str(), expected_value)?;
        }
    }
    if let Some(expected_value) = expected["headers"]["authorization"].as_str() {
        // "the scheme name is case-insensitive" (RFC 9110 section 11.1)
        let shown = first.header("authorization").unwrap_or_default();
        let parts = |text: &str| {
            let (scheme, token) = text.split_once(' ').unwrap_or((text, ""));
            (scheme.to_ascii_lowercase(), token.to_owned())
        };
        check_equal("authorization", parts(shown), parts(expected_value))?;
    }
    if let Some(expected_value) = expected["client_assertion"].as_str() {
        let request = requests.first().ok_or("nothing is sent")?;
        let shown = request.parameter("client_assertion")?;
        check_equal("assertion", shown.as_deref(), Some(expected_value))?;
        check_equal("header", request.header("authorization"), None)?;
    }
    if let Some(expected_value) = expected["assertion_fetches"].as_u64() {
        check_equal("fetches", fetches.len() as u64, expected_value)?;
        check_equal("requests", requests.len() as u64, expected_value)?;
    }
    Ok(())
}

/// A client that runs as a GitHub Actions job.
fn job(url: &str, token: &str, audience: Option<&str>) -> ClientConfig {
    let mut options = Map::new();
    options.insert("platform".to_owned(), "github_actions".into());
    let variables = json!({
        "ACTIONS_ID_TOKEN_REQUEST_URL": url,
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": token,
    });
    options.insert("variables".to_owned(), variables);
    if let Some(audience) = audience {
        options.insert("audience".to_owned(), audience.into());
    }
    ClientConfig {
        auth: Some("workload".to_owned()),
        auth_options: options,
        ..runner::public("client1")
    }
}

/// A token that is not verified here, and has not expired at any vector's time.
fn token() -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let claims = json!({ "aud": ISSUER, "sub": "repo:a/b", "exp": NOW + 10_000 });
    format!(
        "{}.{}.c2ln",
        part(&json!({ "alg": "RS256" })),
        part(&claims)
    )
}
