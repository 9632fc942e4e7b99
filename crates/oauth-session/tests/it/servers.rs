//! Real servers, each for one test: on a free port, in a folder of its own, stopped at the end.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// What a server asks its clients for; no error may show it.
pub(crate) const PASSWORD: &str = "p-S3CR3T";

/// For how long a server may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) struct Server {
    start: fn(&Path, u16) -> Command,
    process: Option<Child>,
    folder: TempDir,
    pub(crate) port: u16,
}

impl Server {
    /// Redis, which forgets nothing when it is stopped.
    pub(crate) fn redis() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::begin(folder, |folder, port| {
            let mut command = Command::new("redis-server");
            command
                .args(["--port", &port.to_string(), "--bind", "127.0.0.1"])
                .args([
                    "--appendonly",
                    "yes",
                    "--save",
                    "",
                    "--requirepass",
                    PASSWORD,
                ])
                .arg("--dir")
                .arg(folder);
            command
        })
    }

    pub(crate) fn redis_url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    fn begin(folder: TempDir, start: fn(&Path, u16) -> Command) -> Self {
        let mut server = Self {
            start,
            process: None,
            folder,
            port: 0,
        };
        // Whoever else looks for a free port may find the same one.
        for _ in 0..5 {
            server.port = free_port();
            if server.try_start() {
                return server;
            }
        }
        let log = fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
        panic!("the server does not start: cargo xtask setup installs it\n{log}");
    }

    /// Starts it anew where it was.
    pub(crate) fn start(&mut self) {
        assert!(self.try_start(), "the server does not start again");
    }

    fn try_start(&mut self) -> bool {
        let log = self.folder.path().join("log");
        let log = fs::File::create(log).expect("a log");
        let mut command = (self.start)(self.folder.path(), self.port);
        command
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a log"))
            .stderr(log);
        let program = command.get_program().display().to_string();
        let mut process = command
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}: cargo xtask setup installs it"));
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if process.try_wait().expect("its state").is_some() {
                return false;
            }
            if TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok() {
                self.process = Some(process);
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        process.kill().expect("to kill it");
        process.wait().expect("its end");
        false
    }

    /// Stops it at once; what it has answered it must still know when it starts again.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A server with processes of its own takes them along.
            let pid = rustix::process::Pid::from_child(&process);
            rustix::process::kill_process(pid, rustix::process::Signal::QUIT).expect("to stop it");
            process.wait().expect("its end");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    listener.local_addr().expect("its address").port()
}
