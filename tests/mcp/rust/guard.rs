//! The access check in front of the MCP server, which introspects every token at the authorization server.

use std::sync::{Mutex, MutexGuard, PoisonError};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::header::{AUTHORIZATION, HeaderMap, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use oauth_core::error::ApiRefusal;
use oauth_core::flow::access_token::Scheme;
use oauth_core::url::Url;
use oauth_core::{Client, Error, Scope};
use oauth_reqwest::Driver;
use serde_json::Value;

use crate::Shared;
use crate::authority::{Authority, SECRET, TOOLS};

pub(crate) const METADATA: &str = "/.well-known/oauth-protected-resource/mcp";

/// The maximum size of a request, in bytes.
const REQUEST_LIMIT: usize = 1 << 20;

pub(crate) struct Guard {
    driver: Driver,
    client: Client,
    url: String,
    metadata: Url,
    wanted_by_secret_tool: Mutex<Scope>,
}

/// The MCP server, and the resource that tokens are for.
pub(crate) fn url(origin: &str) -> String {
    format!("{origin}/mcp")
}

impl Guard {
    pub(crate) async fn new(authority: &Authority, origin: &str) -> Result<Self, Error> {
        let driver = Driver::new(reqwest::Client::builder().no_proxy())?;
        Ok(Self {
            client: authority.client(&driver).await?,
            driver,
            url: url(origin),
            metadata: Url::parse(&format!("{origin}{METADATA}"))?,
            wanted_by_secret_tool: Mutex::new(with_tools(SECRET)?),
        })
    }

    pub(crate) fn require_scope(&self, name: &str) -> Result<(), Error> {
        *self.required_scope() = with_tools(name)?;
        Ok(())
    }

    fn required_scope(&self) -> MutexGuard<'_, Scope> {
        let required = self.wanted_by_secret_tool.lock();
        required.unwrap_or_else(PoisonError::into_inner)
    }

    /// The response to a request that must not pass.
    async fn refusal(&self, headers: &HeaderMap, body: &[u8]) -> Result<Option<ApiRefusal>, Error> {
        let scope = if calls_secret_tool(body) {
            self.required_scope().clone()
        } else {
            Scope::parse(TOOLS)?
        };
        let verifier = self.client.introspecting_verifier(self.url.as_str());
        let verifier = verifier.require_scope(scope);
        let verifier = verifier.with_resource_metadata(self.metadata.clone());
        let Some(token) = bearer(headers) else {
            return Ok(Some(verifier.refuse_missing()));
        };
        let verified = self.driver.run(verifier.verify(token)).await;
        Ok(verified
            .err()
            .map(|error| verifier.refuse(Scheme::Bearer, &error)))
    }
}

fn with_tools(name: &str) -> Result<Scope, Error> {
    Scope::parse(&format!("{name} {TOOLS}"))
}

/// The layer before the MCP server.
pub(crate) async fn check(State(shared): State<Shared>, request: Request, next: Next) -> Response {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, REQUEST_LIMIT).await else {
        return error_response(StatusCode::PAYLOAD_TOO_LARGE, None);
    };
    match shared.guard.refusal(&head.headers, &body).await {
        Ok(None) => next.run(Request::from_parts(head, Body::from(body))).await,
        Ok(Some(refusal)) => match StatusCode::from_u16(refusal.status) {
            Ok(status) => error_response(status, refusal.challenge),
            Err(_) => error_response(StatusCode::INTERNAL_SERVER_ERROR, None),
        },
        Err(_) => error_response(StatusCode::INTERNAL_SERVER_ERROR, None),
    }
}

fn error_response(status: StatusCode, challenge: Option<String>) -> Response {
    let mut response = Response::new(Body::from(Bytes::new()));
    *response.status_mut() = status;
    if let Some(Ok(value)) = challenge.map(HeaderValue::try_from) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

fn calls_secret_tool(body: &[u8]) -> bool {
    let message: Value = serde_json::from_slice(body).unwrap_or_default();
    message["method"] == "tools/call" && message["params"]["name"] == "secret_tool"
}
