//! A server in its own process, which prints its URL in one line of JSON, and stops when its standard
//! input closes.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;

use serde_json::Value;

/// A running server; it stops when this is dropped.
pub(crate) struct ServerProcess {
    process: Child,
    /// The server stops when its standard input closes, even if this process is killed.
    alive: Option<ChildStdin>,
    pub(crate) info: Value,
}

impl ServerProcess {
    /// Starts it, and waits until it listens.
    pub(crate) fn start(command: &mut Command) -> Self {
        let started = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        let mut process = started.unwrap_or_else(|reason| {
            panic!("{command:?} starts: install it with `cargo xtask setup`: {reason}")
        });
        let output = process.stdout.take().expect("a pipe");
        let mut lines = BufReader::new(output).lines().map_while(Result::ok);
        let line = lines
            .find(|line| line.starts_with('{'))
            .expect("the server says where it listens");
        let info = serde_json::from_str(&line).expect("JSON");
        let alive = process.stdin.take();
        // Other output must not fill the pipe.
        thread::spawn(move || lines.for_each(drop));
        Self {
            process,
            alive,
            info,
        }
    }

    pub(crate) fn issuer(&self) -> &str {
        self.info["issuer"].as_str().expect("an issuer")
    }

    /// A member of a client's description, such as its `client_id`.
    pub(crate) fn of_client(&self, which: &str, member: &str) -> &str {
        let client = &self.info["clients"][which];
        let text = client[member].as_str();
        text.unwrap_or_else(|| panic!("{member} of {which}"))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // It removes its files.
        drop(self.alive.take());
        let _ = self.process.wait();
    }
}
