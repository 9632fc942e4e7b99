//! Starts real servers, each for one test: on a free port, in its own folder, stopped at the end.

use std::fs;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The servers' password, which no error may contain.
pub(crate) const PASSWORD: &str = "p-S3CR3T";

/// The maximum time for a server to start.
const MAX_WAIT: Duration = Duration::from_secs(30);

/// A function that starts a server in a folder, on a port.
type Start = Box<dyn Fn(&Path, u16) -> Command + Send + Sync>;

pub(crate) struct Server {
    start: Start,
    process: Option<Child>,
    folder: TempDir,
    pub(crate) port: u16,
}

impl Server {
    /// Redis, which persists all writes.
    pub(crate) fn redis() -> Self {
        Self::redis_with(&[])
    }

    /// [`redis`](Self::redis) with more options.
    pub(crate) fn redis_with(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
        Self::begin(folder, move |folder, port| {
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
                .arg(folder)
                .args(&options);
            command
        })
    }

    /// A server with a configuration file, which it may change.
    pub(crate) fn redis_of(
        settings: impl Fn(u16) -> String + Send + Sync + 'static,
        option: &'static str,
    ) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self::begin(folder, move |folder, port| {
            let file = folder.join("redis.conf");
            fs::write(&file, settings(port)).expect("written");
            let mut command = Command::new("redis-server");
            command.arg(file).arg(option).current_dir(folder);
            command
        })
    }

    /// Runs `redis-cli` with this command; returns its output.
    pub(crate) fn redis_says(&self, command: &[&str]) -> String {
        let mut cli = Command::new("redis-cli");
        cli.env("REDISCLI_AUTH", PASSWORD);
        cli.args(["-p", &self.port.to_string()]).args(command);
        let output = cli
            .output()
            .expect("redis-cli: cargo xtask setup installs it");
        String::from_utf8(output.stdout).expect("text")
    }

    /// Redis behind TLS only, with a certificate for `localhost`.
    pub(crate) fn redis_tls() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        certify(folder.path());
        Self::begin(folder, |folder, port| {
            let mut command = Command::new("redis-server");
            command
                .args(["--tls-port", &port.to_string(), "--port", "0", "--save", ""])
                .args(["--bind", "127.0.0.1", "--requirepass", PASSWORD])
                .args(["--tls-auth-clients", "no", "--tls-cert-file", "cert.pem"])
                .args([
                    "--tls-key-file",
                    "key.pem",
                    "--tls-ca-cert-file",
                    "cert.pem",
                ])
                .current_dir(folder);
            command
        })
    }

    /// The certificate of a server behind TLS, for clients to trust.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.folder.path().join("cert.pem")
    }

    pub(crate) fn redis_url(&self) -> String {
        format!("redis://:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// PostgreSQL without a table, with optional TLS as `localhost`.
    pub(crate) fn postgres() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let (certificate, key) = certify(folder.path());
        let password = folder.path().join("password");
        fs::write(&password, PASSWORD).expect("written");
        let user = server_user();
        if let Some((uid, gid)) = user {
            for path in [folder.path(), &password, &certificate, &key] {
                chown(path, Some(uid), Some(gid)).expect("given away");
            }
        }
        let made = as_user(program("initdb"), user)
            .args(["--username=tester", "--auth=scram-sha-256", "--no-sync"])
            .args(["--encoding=UTF8", "--locale=C"])
            .arg("--pwfile")
            .arg(&password)
            .arg("--pgdata")
            .arg(folder.path().join("data"))
            .output()
            .expect("initdb");
        let output = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "initdb: {output}");
        Self::begin(folder, |folder, port| {
            let mut command = as_user(program("postgres"), server_user());
            command
                .args(["-p", &port.to_string(), "-c", "listen_addresses=127.0.0.1"])
                .args(["-c", "fsync=off", "-c", "unix_socket_directories="])
                .args(["-c", "ssl=on", "-c"])
                .arg(format!(
                    "ssl_cert_file={}",
                    folder.join("cert.pem").display()
                ))
                .arg("-c")
                .arg(format!("ssl_key_file={}", folder.join("key.pem").display()))
                .arg("-D")
                .arg(folder.join("data"));
            command
        })
    }

    /// PgBouncer in front of a PostgreSQL, in transaction mode, with two connections in all.
    pub(crate) fn pgbouncer(postgres: &Self) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let users = folder.path().join("users");
        fs::write(&users, format!("\"tester\" \"{PASSWORD}\"")).expect("written");
        let behind = postgres.port;
        let user = server_user();
        let give = move |path: &Path| {
            if let Some((uid, gid)) = user {
                chown(path, Some(uid), Some(gid)).expect("given away");
            }
        };
        give(folder.path());
        give(&users);
        Self::begin(folder, move |folder, port| {
            let settings = format!(
                "[databases]\npostgres = host=127.0.0.1 port={behind} password={PASSWORD}\n\
                 [pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n\
                 unix_socket_dir =\nauth_type = plain\nauth_file = {}\n\
                 pool_mode = transaction\ndefault_pool_size = 2\nmax_client_conn = 200\n",
                folder.join("users").display()
            );
            let file = folder.join("pgbouncer.ini");
            fs::write(&file, settings).expect("written");
            give(&file);
            let mut command = as_user(program("pgbouncer"), user);
            command.arg(file);
            command
        })
    }

    pub(crate) fn postgres_url(&self) -> String {
        format!(
            "postgres://tester:{PASSWORD}@127.0.0.1:{}/postgres?sslmode=disable",
            self.port
        )
    }

    fn begin(
        folder: TempDir,
        start: impl Fn(&Path, u16) -> Command + Send + Sync + 'static,
    ) -> Self {
        let mut server = Self {
            start: Box::new(start),
            process: None,
            folder,
            port: 0,
        };
        // Another process may have taken the same free port.
        for _ in 0..5 {
            server.port = free_port();
            if server.try_start() {
                return server;
            }
        }
        let log = fs::read_to_string(server.folder.path().join("log")).unwrap_or_default();
        panic!("the server does not start: cargo xtask setup installs it\n{log}");
    }

    /// Restarts it on the same port.
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
        while start.elapsed() < MAX_WAIT {
            if process.try_wait().expect("its state").is_some() {
                return false;
            }
            let is_open = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).is_ok();
            if is_open && !self.is_loading() {
                self.process = Some(process);
                return true;
            }
            thread::sleep(Duration::from_millis(20));
        }
        process.kill().expect("to kill it");
        process.wait().expect("its end");
        false
    }

    /// Redis takes connections before it has read what it stored, and answers with `LOADING` until then.
    fn is_loading(&self) -> bool {
        let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        log.contains("Server initialized") && !log.contains("Ready to accept connections")
    }

    /// Kills it, as a power failure would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("to kill it");
            process.wait().expect("its end");
        }
    }

    /// Stops it at once; acknowledged writes must still be there after a restart.
    pub(crate) fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            // A server with child processes stops them too.
            let pid = rustix::process::Pid::from_child(&process);
            rustix::process::kill_process(pid, rustix::process::Signal::QUIT).expect("to stop it");
            // A shell's background job ignores that signal, and so do its children that handle none.
            let start = Instant::now();
            while process.try_wait().expect("its state").is_none() {
                if start.elapsed() > Duration::from_secs(3) {
                    process.kill().expect("to kill it");
                    break;
                }
                thread::sleep(Duration::from_millis(10));
            }
            process.wait().expect("its end");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop();
    }
}

/// A self-signed certificate, and its key.
fn certify(folder: &Path) -> (PathBuf, PathBuf) {
    let names = ["localhost".to_owned()];
    let made = rcgen::generate_simple_self_signed(names).expect("a certificate");
    let (certificate, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&certificate, made.cert.pem()).expect("written");
    fs::write(&key, made.signing_key.serialize_pem()).expect("written");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).expect("private");
    (certificate, key)
}

/// The user for PostgreSQL, which does not run as root; Debian creates one.
fn server_user() -> Option<(u32, u32)> {
    let id = |arguments: &[&str]| {
        let output = Command::new("id").args(arguments).output().expect("id");
        let text = String::from_utf8(output.stdout).expect("a number");
        text.trim()
            .parse()
            .expect("a user: cargo xtask setup installs PostgreSQL")
    };
    (id(&["-u"]) == 0).then(|| (id(&["-u", "postgres"]), id(&["-g", "postgres"])))
}

fn as_user(program: PathBuf, user: Option<(u32, u32)>) -> Command {
    let mut command = Command::new(program);
    // That user might not have access to the tests' folder.
    command.current_dir("/").env("LC_ALL", "C");
    if let Some((uid, gid)) = user {
        command.uid(uid).gid(gid);
    }
    command
}

/// The path of a PostgreSQL program or PgBouncer: from `PATH`, or the newest version in Debian's
/// folders.
fn program(name: &str) -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let in_path = std::env::split_paths(&path).map(|folder| folder.join(name));
    let versions = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .flatten();
    let mut debians: Vec<_> = versions
        .map(|version| version.path().join("bin").join(name))
        .collect();
    debians.sort();
    let sbin = PathBuf::from("/usr/sbin").join(name);
    in_path
        .chain(debians.into_iter().rev())
        .chain([sbin])
        .find(|path| path.exists())
        .unwrap_or_else(|| panic!("there is no {name}: cargo xtask setup installs it"))
}

/// A port that is free and was not returned before in this process. It is below the range of ephemeral ports, and
/// concurrent processes begin at different ports.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let ports = 15_000..32_768_u32;
    let begin = std::process::id().wrapping_mul(7919);
    loop {
        let step = begin.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = (ports.start + step % (ports.end - ports.start)) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
