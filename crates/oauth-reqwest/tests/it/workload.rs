//! Services without a client secret: from environment variables or a client file to a token, over sockets.

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::crypto::Signer as _;
use oauth_core::jose::Alg;
use oauth_core::url::Transport;
use oauth_core::workload::Environment;
use oauth_core::{Client, Scope, Secret};
use oauth_crypto::PrivateKey;
use oauth_providers::ClientSettings;
use oauth_reqwest::ProcessEnvironment;
use oauth_testkit::Served;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use crate::support::{counters, driver, start_twin};

const PLATFORM: &str = "https://platform.test";

/// A platform whose key the twin knows.
fn platform(served: &Served) -> Arc<PrivateKey> {
    let key = PrivateKey::generate(Alg::Es256).unwrap();
    let jwk = key.public_jwk().to_json();
    served.with(|twin| twin.register_assertion_key(PLATFORM, &jwk).unwrap());
    Arc::new(key)
}

fn token(key: &PrivateKey, audience: &str, subject: &str) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let claims = json!({
        "iss": PLATFORM, "sub": subject, "aud": audience,
        "iat": now.as_secs(), "exp": now.as_secs() + 300,
    });
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let input = format!("{}.{}", part(&json!({ "alg": "ES256" })), part(&claims));
    let signature = key.sign(input.as_bytes()).unwrap();
    format!("{input}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// GitHub's service: it answers requests with the job's bearer token, and records them.
async fn github(key: Arc<PrivateKey>) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap());
    let requested = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&requested);
    tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(socket.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            let line = head.lines().next().unwrap().to_owned();
            let audience = line.split("audience=").nth(1).unwrap_or_default();
            let audience = audience.split(' ').next().unwrap_or_default();
            let audience = audience.replace("%3A", ":").replace("%2F", "/");
            heard.lock().unwrap().push(line);
            let is_job = head
                .to_ascii_lowercase()
                .contains("authorization: bearer job-token");
            let (status, body) = if is_job {
                (
                    200,
                    json!({ "value": token(&key, &audience, "repo:a/b"), "count": 1 }),
                )
            } else {
                (401, json!({ "message": "bad credentials" }))
            };
            let body = body.to_string();
            let length = body.len();
            let reply = format!(
                "HTTP/1.1 {status} X\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
            socket.write_all(reply.as_bytes()).await.unwrap();
        }
    });
    (format!("{base}/idtoken?api-version=2.0"), requested)
}

async fn of(variables: &[(&str, &str)]) -> Client {
    let owned = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), Secret::from(*value)));
    let environment: Arc<dyn Environment> = Arc::new(ProcessEnvironment::from_variables(owned));
    let settings = ClientSettings::from_env(&environment).unwrap();
    let client =
        oauth_reqwest::configured_client::connect(settings, Transport::LoopbackHttp).unwrap();
    driver().run(client).await.unwrap()
}

#[tokio::test]
async fn a_github_job_requests_a_new_identity_token_for_each_exchange() {
    let served = start_twin();
    let (url, requests) = github(platform(&served)).await;
    let client = of(&[
        ("OAUTH_ISSUER", served.base()),
        ("OAUTH_CLIENT_ID", "twin-client"),
        ("OAUTH_WORKLOAD", "github_actions"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", &url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "job-token"),
    ])
    .await;
    for number in 1..=2 {
        let scope = Scope::parse("read").unwrap();
        let tokens = driver()
            .run(client.client_credentials(scope))
            .await
            .unwrap();
        assert_eq!(tokens.scope.as_str(), "read");
        assert_eq!(requests.lock().unwrap().len(), number);
    }
    assert!(
        requests.lock().unwrap()[0].contains("?api-version=2.0&audience=http%3A%2F%2F127.0.0.1")
    );
}

#[tokio::test]
async fn a_refusal_by_the_workload_platform_is_reported_before_any_token_request() {
    let served = start_twin();
    let (url, _) = github(platform(&served)).await;
    let client = of(&[
        ("OAUTH_ISSUER", served.base()),
        ("OAUTH_CLIENT_ID", "twin-client"),
        ("OAUTH_WORKLOAD", "github_actions"),
        ("ACTIONS_ID_TOKEN_REQUEST_URL", &url),
        ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "of-another-job"),
    ])
    .await;
    let refused = driver().run(client.client_credentials(Scope::none())).await;
    let error = refused.unwrap_err();
    assert_eq!(error.code(), "workload.refused");
    assert!(!error.to_string().contains("of-another-job"), "{error}");
    assert_eq!(counters(&served).token_requests, 0);
}

#[tokio::test]
async fn a_replaced_token_file_of_a_pod_is_read_again() {
    let served = start_twin();
    let key = platform(&served);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    let client = of(&[
        ("OAUTH_ISSUER", served.base()),
        ("OAUTH_CLIENT_ID", "twin-client"),
        ("OAUTH_WORKLOAD", "kubernetes"),
        ("OAUTH_WORKLOAD_FILE", path.to_str().unwrap()),
    ])
    .await;
    let send = || driver_run(&client);
    assert_eq!(send().await.unwrap_err(), "lost.unsent");
    for subject in ["first", "second"] {
        std::fs::write(&path, token(&key, served.base(), subject) + "\n").unwrap();
        send().await.unwrap();
        let shown = served.with(|twin| {
            let entry = twin.log().iter().rfind(|entry| entry.path == "/token");
            entry.unwrap().form("client_assertion").unwrap().to_owned()
        });
        assert_eq!(shown, token_text(&path));
    }
    std::fs::write(&path, "a".repeat(65 << 10)).unwrap();
    assert_eq!(send().await.unwrap_err(), "lost.unsent");
}

async fn driver_run(client: &Client) -> Result<(), &'static str> {
    let tokens = driver().run(client.client_credentials(Scope::none())).await;
    tokens.map(drop).map_err(|error| error.code())
}

fn token_text(path: &std::path::Path) -> String {
    std::fs::read_to_string(path).unwrap().trim().to_owned()
}

#[tokio::test]
async fn an_external_account_file_supplies_the_subject_token() {
    let served = start_twin();
    let key = platform(&served);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token.json");
    let subject = token(&key, served.base(), "pod");
    std::fs::write(&path, json!({ "token": subject }).to_string()).unwrap();
    let file = json!({
        "type": "external_account", "audience": "//iam.googleapis.com/pool",
        "subject_token_type": "urn:ietf:params:oauth:token-type:jwt",
        "token_url": format!("{}/token", served.base()),
        "credential_source": {
            "file": path, "format": { "type": "json", "subject_token_field_name": "token" },
        },
    });
    let environment: Arc<dyn Environment> = Arc::new(ProcessEnvironment::new());
    let settings = ClientSettings::from_json(&file.to_string(), &environment).unwrap();
    let client =
        oauth_reqwest::configured_client::connect(settings, Transport::LoopbackHttp).unwrap();
    let client = driver().run(client).await.unwrap();
    let scope = Scope::parse("read").unwrap();
    let tokens = driver()
        .run(client.client_credentials(scope))
        .await
        .unwrap();
    assert_eq!(tokens.scope.as_str(), "read");
}
