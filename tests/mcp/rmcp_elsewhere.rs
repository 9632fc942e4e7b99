//! The client of the crate `rmcp` at servers its own authorization does not support: one without authorization, one
//! that accepts only DPoP-bound tokens (RFC 9449).

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request;
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::{ClientMetadata, danger};
use oauth_reqwest::{Driver, ResourceConnection, reqwest};
use oauth_testkit::{Served, Twin};
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use rmcp::{ServerHandler, ServiceError, ServiceExt as _};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A server without a single tool.
#[derive(Clone)]
struct Empty;

impl ServerHandler for Empty {}

/// The received requests, and the nonce required in proofs.
#[derive(Clone, Default)]
struct Guard {
    seen: Arc<Mutex<Vec<(StatusCode, bool)>>>,
    nonces: Arc<AtomicUsize>,
}

impl Guard {
    fn nonce(&self) -> String {
        format!("n-{}", self.nonces.load(Ordering::SeqCst))
    }

    /// Whether the request has a proof with the newest nonce. Other suites verify its signature.
    fn is_proved(&self, request: &Request) -> bool {
        let field = |name| {
            let value = request.headers().get(name)?;
            value.to_str().ok()
        };
        let proof = field("dpop").and_then(|proof| proof.split('.').nth(1));
        let claims = proof.and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
        let claims: Value = claims
            .and_then(|claims| serde_json::from_slice(&claims).ok())
            .unwrap_or_default();
        let is_bound = field("authorization").is_some_and(|token| token.starts_with("DPoP "));
        is_bound && claims["ath"].is_string() && claims["nonce"] == self.nonce().as_str()
    }

    fn count(&self, status: StatusCode) -> usize {
        let seen = self.seen.lock().expect("the log");
        seen.iter().filter(|(seen, _)| *seen == status).count()
    }
}

/// A server made with rmcp behind this guard, whose tokens are those of the server at `issuer`; without one it requires
/// none. Returns its URL.
async fn started(guard: &Guard, issuer: Option<&str>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
    let mcp = StreamableHttpService::new(
        || Ok(Empty),
        Arc::<LocalSessionManager>::default(),
        Default::default(),
    );
    let (guard, protected) = (guard.clone(), issuer.is_some());
    let guarded = middleware::from_fn(move |request: Request, next: Next| {
        let guard = guard.clone();
        async move {
            let has_token = request.headers().contains_key("authorization");
            let reply: Response = if !protected || guard.is_proved(&request) {
                next.run(request).await
            } else {
                let challenge = "DPoP algs=\"ES256\", error=\"use_dpop_nonce\"".to_owned();
                let fields = [
                    ("www-authenticate", challenge),
                    ("dpop-nonce", guard.nonce()),
                ];
                (StatusCode::UNAUTHORIZED, fields).into_response()
            };
            let mut seen = guard.seen.lock().expect("the log");
            seen.push((reply.status(), has_token));
            drop(seen);
            reply
        }
    });
    let mut app = Router::new().route_service("/mcp", mcp).layer(guarded);
    if let Some(issuer) = issuer {
        let metadata = json!({
            "resource": url,
            "authorization_servers": [issuer],
            "dpop_bound_access_tokens_required": true,
            "dpop_signing_alg_values_supported": ["ES256"],
        });
        let metadata_path = "/.well-known/oauth-protected-resource/mcp";
        let metadata = move || std::future::ready(axum::Json(metadata.clone()));
        app = app.route(metadata_path, axum::routing::get(metadata));
    }
    tokio::spawn(async move { axum::serve(listener, app).await });
    url
}

fn connection(url: &str, twin: &Served, pages: &Arc<AtomicUsize>) -> ResourceConnection {
    let driver = Driver::new(reqwest::Client::builder().no_proxy()).expect("a driver");
    let issuer = danger::loopback_issuer(twin.base()).expect("an issuer");
    let request = danger::loopback_connect_request(url).expect("a URL");
    let request = request.allow([issuer]);
    let request = request.register(ClientMetadata::of_native_app("Notes"));
    let pages = Arc::clone(pages);
    ResourceConnection::new(driver, request).open(move |page| {
        pages.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(reqwest::get(page.as_str().to_owned()));
        Ok(())
    })
}

/// A session of rmcp's, from its beginning to its end.
async fn listed(connection: &ResourceConnection) {
    let transport = oauth_rmcp::transport(connection).expect("a transport");
    let client = ().serve(transport).await.expect("a session");
    // The server reports that it has no tools.
    let result = client.list_all_tools().await;
    assert!(
        matches!(result, Err(ServiceError::McpError(_))),
        "{result:?}"
    );
    client.cancel().await.expect("an end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_authorization_is_called_without_a_token() {
    let (guard, pages) = (Guard::default(), Arc::default());
    let twin = Served::start(Twin::generic).expect("a twin");
    let url = started(&guard, None).await;
    listed(&connection(&url, &twin, &pages)).await;
    assert_eq!(pages.load(Ordering::SeqCst), 0);
    let seen = guard.seen.lock().expect("the log");
    assert!(!seen.is_empty() && seen.iter().all(|(_, has_token)| !has_token));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_requires_dpop_gets_proofs_with_its_nonces() {
    let (guard, pages) = (Guard::default(), Arc::default());
    let twin = Served::start(Twin::generic).expect("a twin");
    twin.with(Twin::require_dpop);
    let url = started(&guard, Some(twin.base())).await;
    let connection = connection(&url, &twin, &pages);
    listed(&connection).await;
    // The first request without a token, the first with a proof, and the nonce challenge.
    let refused = guard.count(StatusCode::UNAUTHORIZED);
    listed(&connection).await;
    assert_eq!(guard.count(StatusCode::UNAUTHORIZED), refused);
    guard.nonces.fetch_add(1, Ordering::SeqCst);
    listed(&connection).await;
    assert!(guard.count(StatusCode::UNAUTHORIZED) > refused);
    assert_eq!(pages.load(Ordering::SeqCst), 1);
}
