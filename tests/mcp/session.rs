//! The part of the Model Context Protocol that calls a tool.

use reqwest::blocking::{RequestBuilder, Response};
use serde_json::{Value, json};

use crate::plain_client::{Refused, http, text};
use crate::servers::Server;

/// The last version of the protocol with sessions, and the first without.
const WITH_SESSIONS: &str = "2025-11-25";
const WITHOUT: &str = "2026-07-28";

/// A session, and the token that it sends.
#[derive(Debug)]
pub(crate) struct Session {
    url: String,
    token: Option<String>,
    /// None in the version without sessions.
    id: Option<String>,
    version: &'static str,
}

impl Session {
    pub(crate) fn begin(server: &Server, token: Option<&str>) -> Result<Self, Refused> {
        let mut session = Self::new(server, token, WITH_SESSIONS);
        let params = json!({
            "protocolVersion": WITH_SESSIONS,
            "capabilities": {},
            "clientInfo": { "name": "test", "version": "1.0.0" },
        });
        let reply = session.send(&message("initialize", &params, Some(1)))?;
        let id = reply.headers().get("mcp-session-id");
        let id = id.and_then(|id| id.to_str().ok()).expect("a session");
        session.id = Some(id.to_owned());
        session.send(&message("notifications/initialized", &json!({}), None))?;
        Ok(session)
    }

    /// Calls without a session.
    pub(crate) fn none(server: &Server, tokens: &Value) -> Self {
        Self::new(server, Some(text(tokens, "access_token")), WITHOUT)
    }

    fn new(server: &Server, token: Option<&str>, version: &'static str) -> Self {
        Self {
            url: server.url().to_owned(),
            token: token.map(str::to_owned),
            id: None,
            version,
        }
    }

    /// Continues with a different token.
    pub(crate) fn with_token(mut self, tokens: &Value) -> Self {
        self.token = Some(text(tokens, "access_token").to_owned());
        self
    }

    /// The text that a tool returns.
    pub(crate) fn call(&self, tool: &str, arguments: Value) -> Result<String, Refused> {
        let mut params = json!({ "name": tool, "arguments": arguments });
        if self.version == WITHOUT {
            params["_meta"] = json!({
                "io.modelcontextprotocol/protocolVersion": self.version,
                "io.modelcontextprotocol/clientInfo": { "name": "test", "version": "1.0.0" },
                "io.modelcontextprotocol/clientCapabilities": {},
            });
        }
        let reply = self.send(&message("tools/call", &params, Some(2)))?;
        // JSON, or a stream of events.
        let body = reply.text().expect("a string");
        let lines = body.lines();
        let data = lines.map(|line| line.strip_prefix("data:").unwrap_or(line));
        let mut rpc_messages = data.filter_map(|data| serde_json::from_str::<Value>(data).ok());
        let rpc_response = rpc_messages.find(|answer| answer["id"] == 2);
        let answer = rpc_response.unwrap_or_else(|| panic!("no answer: {body}"));
        Ok(text(&answer["result"]["content"][0], "text").to_owned())
    }

    pub(crate) fn echo(&self, text: &str) -> Result<String, Refused> {
        self.call("echo", json!({ "text": text }))
    }

    fn send(&self, message: &Value) -> Result<Response, Refused> {
        let request = http().post(&self.url).body(message.to_string());
        let request = request
            .header("accept", "application/json, text/event-stream")
            .header("content-type", "application/json");
        let field = |request: RequestBuilder, (name, value): (&str, Option<&str>)| match value {
            Some(value) => request.header(name, value),
            None => request,
        };
        let token = self.token.as_ref().map(|token| format!("Bearer {token}"));
        let is_negotiated = self.id.is_some() || self.version == WITHOUT;
        let fields = [
            ("authorization", token.as_deref()),
            ("mcp-session-id", self.id.as_deref()),
            (
                "mcp-protocol-version",
                is_negotiated.then_some(self.version),
            ),
            ("mcp-method", message["method"].as_str()),
            ("mcp-name", message["params"]["name"].as_str()),
        ];
        let request = fields.into_iter().fold(request, field);
        let reply = request.send().expect("a reply");
        if reply.status().is_success() {
            Ok(reply)
        } else {
            Err(Refused::read(&reply))
        }
    }
}

fn message(method: &str, params: &Value, id: Option<u64>) -> Value {
    let mut message = json!({ "jsonrpc": "2.0", "method": method, "params": params });
    if let Some(id) = id {
        message["id"] = id.into();
    }
    message
}
