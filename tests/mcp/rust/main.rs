//! An MCP server made with `rmcp` on a loopback port. That SDK leaves authorization to others: the authorization server
//! is a twin, on an origin of its own, and the check of access tokens is this project's, by introspection.
//!
//! Prints one line of JSON once it listens: `{"url": ..., "control": ...}`. Stops when its standard input closes.
//! The functions of `control` are described in ../README.md.

mod authority;
mod guard;
mod tools;

use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use rmcp::transport::streamable_http_server::StreamableHttpService;
use rmcp::transport::streamable_http_server::session::local::LocalSessionManager;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

use authority::Authority;
use guard::Guard;
use tools::Tools;

/// The shared state.
#[derive(Clone)]
struct Shared {
    authority: Arc<Authority>,
    guard: Arc<Guard>,
    tool_calls: Arc<AtomicU64>,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runtime = Runtime::new()?;
    let (startup_info, app, listener) = runtime.block_on(made())?;
    runtime.spawn(async move { axum::serve(listener, app).await });
    println!("{startup_info}");
    io::stdin().read_to_end(&mut Vec::new())?;
    runtime.shutdown_background();
    Ok(())
}

async fn made() -> Result<(Value, Router, TcpListener), Box<dyn std::error::Error>> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let origin = format!("http://{}", listener.local_addr()?);
    let authority = Authority::start()?;
    let guard = Guard::new(&authority, &origin).await?;
    let shared = Shared {
        authority: Arc::new(authority),
        guard: Arc::new(guard),
        tool_calls: Arc::default(),
    };
    let startup_info =
        json!({ "url": guard::url(&origin), "control": format!("{origin}/_control") });
    Ok((startup_info, app(shared, &origin), listener))
}

fn app(shared: Shared, origin: &str) -> Router {
    let calls = Arc::clone(&shared.tool_calls);
    let mcp = StreamableHttpService::new(
        move || Ok(Tools::new(Arc::clone(&calls))),
        Arc::<LocalSessionManager>::default(),
        Default::default(),
    );
    let metadata = json!({
        "resource": guard::url(origin),
        "authorization_servers": [shared.authority.issuer()],
        "scopes_supported": [authority::TOOLS],
        "bearer_methods_supported": ["header"],
    });
    let guarded = middleware::from_fn_with_state(shared.clone(), guard::check);
    Router::new()
        .route_service("/mcp", mcp)
        .layer(guarded)
        .route(
            guard::METADATA,
            get(move || std::future::ready(Json(metadata))),
        )
        .route("/_control/counts", get(counts))
        .route("/_control/{what}", post(steer))
        .route("/_control/{what}/{value}", post(steer_to))
        .with_state(shared)
}

async fn counts(State(shared): State<Shared>) -> Json<Value> {
    Json(shared.authority.counts(&shared.tool_calls))
}

async fn steer(State(shared): State<Shared>, Path(what): Path<String>) -> StatusCode {
    match what.as_str() {
        "forget_clients" => shared.authority.forget_clients(),
        "expire_tokens" => shared.authority.expire_tokens(),
        _ => return StatusCode::NOT_FOUND,
    }
    StatusCode::NO_CONTENT
}

async fn steer_to(
    State(shared): State<Shared>,
    Path((what, value)): Path<(String, String)>,
) -> StatusCode {
    match (what.as_str(), value.parse()) {
        ("access_token_seconds", Ok(seconds)) => shared.authority.access_token_seconds(seconds),
        ("require_scope", _) if shared.guard.require_scope(&value).is_ok() => {}
        _ => return StatusCode::NOT_FOUND,
    }
    StatusCode::NO_CONTENT
}
