//! Helpers that run the command, and inspect its results.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use oauth_testkit::{Served, Twin};
use serde_json::Value;

pub(crate) const SECRET: &str = "s3cr+t/%: ~";

/// The options for this twin, with the secret in a variable.
fn options(served: &Served) -> Vec<String> {
    let base = served.base();
    [
        "--issuer",
        base,
        "--loopback-http",
        "--client-id",
        "twin-client",
    ]
    .into_iter()
    .chain(["--client-secret-env", "TWIN_SECRET"])
    .map(str::to_owned)
    .collect()
}

/// A command against this twin.
pub(crate) fn command_at(served: &Served, command: &[&str]) -> Run {
    let options = options(served);
    let arguments = command
        .iter()
        .copied()
        .chain(options.iter().map(String::as_str));
    oauth(&arguments.collect::<Vec<_>>()).env("TWIN_SECRET", SECRET)
}

pub(crate) fn start_twin() -> Served {
    Served::start(Twin::generic).unwrap()
}

/// An empty folder for this test.
pub(crate) fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{name}"));
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// The command with these arguments, in its own environment.
pub(crate) fn oauth(arguments: &[&str]) -> Run {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    // Only commands with a profile create it.
    let state = format!(
        "{}/cli-state-{}-{count}",
        env!("CARGO_TARGET_TMPDIR"),
        std::process::id()
    );
    let mut command = Command::new(env!("CARGO_BIN_EXE_oauth"));
    command
        .args(arguments)
        .env_clear()
        .env("XDG_CONFIG_HOME", "/nonexistent")
        .env("XDG_STATE_HOME", state)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Run {
        command,
        stdin: String::new(),
    }
}

pub(crate) struct Run {
    pub(crate) command: Command,
    stdin: String,
}

pub(crate) struct RunResult {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Run {
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub(crate) fn stdin(mut self, text: &str) -> Self {
        self.stdin = text.to_owned();
        self
    }

    pub(crate) fn run(self) -> RunResult {
        self.start().wait()
    }

    /// Starts the command without waiting.
    pub(crate) fn start(mut self) -> Started {
        let mut child = self.command.stdin(Stdio::piped()).spawn().unwrap();
        // It may end without reading.
        let _ = child.stdin.take().unwrap().write_all(self.stdin.as_bytes());
        Started(child)
    }
}

/// A command under way.
pub(crate) struct Started(Child);

impl Started {
    #[cfg(unix)]
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }

    pub(crate) fn wait(self) -> RunResult {
        let output = self.0.wait_with_output().unwrap();
        RunResult {
            code: output.status.code().unwrap_or(KILLED),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// The exit code of a killed command.
pub(crate) const KILLED: i32 = -1;

impl RunResult {
    /// The output of a successful command.
    pub(crate) fn ok(self) -> String {
        assert_eq!(self.code, 0, "{}{}", self.stdout, self.stderr);
        self.stdout
    }

    pub(crate) fn json(self) -> Value {
        serde_json::from_str(&self.ok()).unwrap()
    }
}

/// A login, with a browser that follows the server's redirects.
pub(crate) fn log_in(served: &Served, more: &[&str]) -> RunResult {
    let done = try_log_in(served, more, 1);
    assert_eq!(done.code, 0, "{}", done.stderr);
    done
}

/// A login that may fail; the user opens the URL this many times.
pub(crate) fn try_log_in(served: &Served, more: &[&str], visits: usize) -> RunResult {
    let base = [
        "login",
        "--no-browser",
        "--issuer",
        served.base(),
        "--loopback-http",
    ];
    let client = [
        "--client-id",
        "twin-client",
        "--client-secret-env",
        "TWIN_SECRET",
    ];
    let run = oauth(&[&base[..], &client, more].concat()).env("TWIN_SECRET", SECRET);
    visit(run, visits)
}

/// Completes a login: the user opens its URL this many times.
pub(crate) fn visit(mut run: Run, visits: usize) -> RunResult {
    let mut child = run.command.stdin(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut seen = String::new();
    let url = loop {
        let start = seen.len();
        assert_ne!(stderr.read_line(&mut seen).unwrap(), 0, "{seen}");
        let line = seen[start..].trim_end();
        // With --json it is a member of an object.
        let output: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
        let line = output["authorization_url"].as_str().unwrap_or(line);
        if line.starts_with("http") {
            break line.to_owned();
        }
    };
    for _ in 0..visits {
        let answer = get(&url);
        let location = answer
            .lines()
            .find_map(|line| line.strip_prefix("location: "));
        get(location.unwrap());
    }
    stderr.read_to_string(&mut seen).unwrap();
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    let code = child.wait().unwrap().code().unwrap();
    RunResult {
        code,
        stdout,
        stderr: seen,
    }
}

/// A minimal `GET` request.
pub(crate) fn get(url: &str) -> String {
    let rest = url.strip_prefix("http://").unwrap();
    let (host, path) = rest.split_once('/').unwrap();
    let mut stream = TcpStream::connect(host).unwrap();
    write!(
        stream,
        "GET /{path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
