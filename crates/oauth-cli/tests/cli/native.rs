//! `oauth login`: its listener, pasted callbacks, and immediate errors.

use std::io::{BufRead as _, BufReader, Read as _};
use std::net::TcpListener;
use std::process::{Child, ChildStderr, Stdio};

use crate::common::{Run, RunResult, get, visit};
use crate::tiny::TinyServer;

/// A login in progress, on a terminal if the system has any.
pub(crate) struct Session {
    child: Child,
    stderr: BufReader<ChildStderr>,
    seen: String,
    #[cfg(unix)]
    terminal: std::fs::File,
}

impl Session {
    #[cfg(unix)]
    pub(crate) fn start(mut run: Run) -> Self {
        let (terminal, stdin) = terminal();
        let mut child = run.command.stdin(Stdio::from(stdin)).spawn().unwrap();
        Self {
            stderr: BufReader::new(child.stderr.take().unwrap()),
            child,
            seen: String::new(),
            terminal,
        }
    }

    #[cfg(not(unix))]
    pub(crate) fn start(mut run: Run) -> Self {
        let mut child = run.command.stdin(Stdio::null()).spawn().unwrap();
        Self {
            stderr: BufReader::new(child.stderr.take().unwrap()),
            child,
            seen: String::new(),
        }
    }

    /// The next line that contains this text.
    pub(crate) fn read_until(&mut self, words: &str) -> String {
        loop {
            let start = self.seen.len();
            let read = self.stderr.read_line(&mut self.seen).unwrap();
            assert_ne!(read, 0, "{words}: {}", self.seen);
            let line = self.seen[start..].trim_end();
            if line.contains(words) {
                return line.to_owned();
            }
        }
    }

    /// The URL to which the browser is redirected after the login.
    pub(crate) fn callback(&mut self) -> String {
        let url = self.read_until("/authorize?");
        let answer = get(&url);
        let mut lines = answer.lines();
        let location = lines.find_map(|line| line.strip_prefix("location: "));
        location.unwrap().to_owned()
    }

    #[cfg(unix)]
    pub(crate) fn type_line(&mut self, text: &str) {
        use std::io::Write as _;
        writeln!(self.terminal, "{text}").unwrap();
    }

    pub(crate) fn wait(mut self) -> RunResult {
        self.stderr.read_to_string(&mut self.seen).unwrap();
        let mut stdout = String::new();
        let out = self.child.stdout.as_mut().unwrap();
        out.read_to_string(&mut stdout).unwrap();
        RunResult {
            code: self.child.wait().unwrap().code().unwrap(),
            stdout,
            stderr: self.seen,
        }
    }
}

/// Both ends of a terminal.
#[cfg(unix)]
pub(crate) fn terminal() -> (std::fs::File, std::fs::File) {
    use rustix::fs::{Mode, OFlags};
    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap();
    let theirs = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    (ours.into(), theirs.into())
}

fn free_port() -> u16 {
    let socket = TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

fn requested_redirect_uri(tiny: &TinyServer) -> String {
    let log = &tiny.state().log;
    let body = &log.last().unwrap().1;
    let mut pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    let uri = pairs.find(|(name, _)| *name == "redirect_uri").unwrap().1;
    uri.replace("%3A", ":").replace("%2F", "/")
}

#[test]
fn a_login_listens_at_the_registered_redirect_uri() {
    let tiny = TinyServer::start();
    let login = |more: &[&str]| {
        let command = [&["login", "--no-browser"], more].concat();
        let done = visit(tiny.run(&command), 1);
        assert_eq!(done.code, 0, "{}", done.stderr);
        requested_redirect_uri(&tiny)
    };
    let port = free_port().to_string();
    let whole = format!("http://localhost:{port}/auth/callback");
    assert_eq!(login(&["--redirect-uri", &whole]), whole);
    // A redirect URI registered for any port.
    let any = login(&["--redirect-uri", "http://127.0.0.1/cb"]);
    assert!(
        any.starts_with("http://127.0.0.1:") && any.ends_with("/cb"),
        "{any}"
    );
    let chosen = format!("http://localhost:{port}/cb");
    let several = ["http://127.0.0.1/other", "http://localhost/cb"];
    let several = several.iter().flat_map(|uri| ["--redirect-uri", uri]);
    let more = ["--port", &port, "--path", "/cb"];
    let arguments: Vec<&str> = several.chain(more).collect();
    assert_eq!(login(&arguments), chosen);
    let by_hand = format!("http://127.0.0.1:{port}/x");
    assert_eq!(login(&["--port", &port, "--path", "/x"]), by_hand);
}

#[test]
fn a_profile_sets_the_address_at_which_a_login_listens() {
    let tiny = TinyServer::start();
    let folder = crate::common::folder("native-profile");
    let port = free_port();
    let login = |lines: &str| {
        let config = folder.join("config.toml");
        std::fs::write(&config, format!("[profile.p]\nscope = \"a\"\n{lines}\n")).unwrap();
        let command = ["login", "--no-browser", "--no-store", "--profile", "p"];
        let config = ["--config", config.to_str().unwrap()];
        let done = visit(tiny.run(&[&command[..], &config].concat()), 1);
        assert_eq!(done.code, 0, "{}", done.stderr);
        requested_redirect_uri(&tiny)
    };
    let whole = format!("http://127.0.0.1:{port}/a/b");
    assert_eq!(login(&format!("redirect_uri = \"{whole}\"")), whole);
    let parts = format!("redirect_port = {port}\nredirect_path = \"/a/b\"");
    assert_eq!(login(&parts), whole);
}

#[test]
fn a_redirect_uri_on_another_machine_is_reported_before_the_browser_opens() {
    let tiny = TinyServer::start();
    let command = [
        "login",
        "--no-browser",
        "--redirect-uri",
        "https://app.example/cb",
    ];
    let done = tiny.run(&command).run();
    assert_eq!(done.code, 2);
    assert!(
        done.stderr.contains("[usage.redirect_uri]"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("/authorize?"), "{}", done.stderr);
}

#[test]
fn a_refusal_is_reported_immediately() {
    let tiny = TinyServer::start();
    tiny.state().callback = Some("error=access_denied&state=STATE");
    let done = visit(tiny.run(&["login", "--no-browser"]), 1);
    assert_eq!(done.code, 1);
    assert!(
        done.stderr.contains("[denied.access_denied]"),
        "{}",
        done.stderr
    );
    assert_eq!(tiny.request_count("/token"), 0);
}

#[test]
fn a_callback_of_another_login_is_reported_while_the_login_still_waits() {
    let tiny = TinyServer::start();
    tiny.state().callback = Some("code=c0de&state=other");
    let mut session = Session::start(tiny.run(&["login", "--no-browser"]));
    let url = session.read_until("/authorize?");
    let callback = |url: &str| {
        let answer = get(url);
        let mut lines = answer.lines();
        let location = lines.find_map(|line| line.strip_prefix("location: "));
        get(location.unwrap())
    };
    let page = callback(&url);
    assert!(page.contains("The login has failed"), "{page}");
    session.read_until("warning: received a callback that does not belong to this login");
    tiny.state().callback = None;
    assert!(callback(&url).starts_with("HTTP/1.1 200"));
    assert_eq!(session.wait().code, 0);
}

#[test]
fn a_refusal_without_state_is_reported_immediately_and_at_the_end() {
    let tiny = TinyServer::start();
    tiny.state().callback = Some("error=access_denied&error_description=no");
    let done = visit(tiny.run(&["login", "--no-browser", "--timeout", "1"]), 1);
    assert_eq!(done.code, 1, "{}", done.stderr);
    for words in [
        "warning: received an error without `state`",
        "[lost.no_callback]",
        "only with an error without `state`",
    ] {
        assert!(done.stderr.contains(words), "{words}: {}", done.stderr);
    }
}

#[cfg(unix)]
#[test]
fn the_final_url_of_the_browser_can_be_pasted() {
    let tiny = TinyServer::start();
    let mut session = Session::start(tiny.run(&["login", "--no-browser"]));
    let callback = session.callback();
    session.read_until("paste the address at which it ends");
    session.type_line("");
    session.type_line("http://127.0.0.1/callback?code=a&state=b");
    session.read_until("the pasted address does not belong to this login");
    session.type_line(&callback);
    let done = session.wait();
    assert_eq!(done.code, 0, "{}", done.stderr);
    assert_eq!(done.stdout, "access1\n");
}
