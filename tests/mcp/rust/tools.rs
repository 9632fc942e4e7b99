//! The MCP server itself.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rmcp::handler::server::wrapper::Parameters;
use rmcp::{ServerHandler, schemars, tool, tool_handler, tool_router};

pub(crate) struct Tools {
    calls: Arc<AtomicU64>,
}

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Echo {
    text: String,
}

#[tool_router]
impl Tools {
    pub(crate) fn new(calls: Arc<AtomicU64>) -> Self {
        Self { calls }
    }

    #[tool(description = "Says what it is told.")]
    fn echo(&self, Parameters(Echo { text }): Parameters<Echo>) -> String {
        self.calls.fetch_add(1, Ordering::SeqCst);
        text
    }

    #[tool(description = "Says a secret to whoever may hear it.")]
    fn secret_tool(&self) -> String {
        self.calls.fetch_add(1, Ordering::SeqCst);
        "a secret".to_owned()
    }
}

#[tool_handler]
impl ServerHandler for Tools {}
