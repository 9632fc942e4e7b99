//! Starts the servers, and steers them.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use reqwest::blocking::Client as Http;

use crate::server_process::ServerProcess;

/// The SDK of an MCP server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sdk {
    /// PyPI's `mcp`.
    Python,
    /// npm's `@modelcontextprotocol/sdk`.
    TypeScript,
    /// The crate `rmcp`.
    Rust,
}

/// A running server; it stops when this is dropped.
pub(crate) struct Server(ServerProcess);

/// The server shared by tests that do not change it. It stops when the test program ends.
pub(crate) fn shared(sdk: Sdk) -> &'static Server {
    static PYTHON: LazyLock<Server> = LazyLock::new(|| Server::start(Sdk::Python));
    static TYPESCRIPT: LazyLock<Server> = LazyLock::new(|| Server::start(Sdk::TypeScript));
    static RUST: LazyLock<Server> = LazyLock::new(|| Server::start(Sdk::Rust));
    match sdk {
        Sdk::Python => &PYTHON,
        Sdk::TypeScript => &TYPESCRIPT,
        Sdk::Rust => &RUST,
    }
}

impl Server {
    pub(crate) fn start(sdk: Sdk) -> Self {
        let place = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("mcp");
        let mut command = match sdk {
            Sdk::Python => {
                let place = place.join("python");
                let mut python = Command::new(place.join(".venv/bin/python"));
                python.args(["-B", "server.py"]).current_dir(place);
                python
            }
            Sdk::TypeScript => {
                let mut node = Command::new("node");
                node.arg("server.mjs").current_dir(place.join("typescript"));
                node
            }
            Sdk::Rust => Command::new(env!("CARGO_BIN_EXE_mcp-server")),
        };
        Self(ServerProcess::start(&mut command))
    }

    /// The URL of the MCP endpoint, which is also the resource of tokens.
    pub(crate) fn url(&self) -> &str {
        self.0.info["url"].as_str().expect("a URL")
    }

    fn control(&self, what: &str) -> String {
        format!("{}/{what}", self.0.info["control"].as_str().expect("a URL"))
    }

    /// Calls a test-only function of the server.
    pub(crate) fn steer(&self, what: &str) {
        let done = Http::new().post(self.control(what)).send();
        assert!(done.is_ok_and(|reply| reply.status() == 204), "{what}");
    }

    /// The counts of events, without those that are zero.
    pub(crate) fn counts(&self) -> BTreeMap<String, u64> {
        let response = Http::new().get(self.control("counts")).send();
        let response = response.and_then(|reply| reply.text()).expect("counts");
        let mut counts: BTreeMap<String, u64> = serde_json::from_str(&response).expect("numbers");
        counts.retain(|_, count| *count > 0);
        counts
    }
}
