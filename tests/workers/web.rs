//! Runs web servers over one store, which are killed during logins, renewals and logouts.
//!
//! There are several processes of an axum application, a provider whose access tokens live for a second, and browsers
//! whose users sign in, open their page, call an API and sign out, sending each request to the next server. One of the
//! servers is killed again and again, some milliseconds after such a request. The run fails if a user is taken for
//! another, if any copy of the cookies is accepted after the response to a logout, or if a session or a grant is left
//! in the store after the provider has signed out all users.

use std::fmt;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use oauth_core::error::Error;
use oauth_core::moment::UnixTime;
use oauth_reqwest::oauth_session::blocking;
use oauth_testkit::{Served as ServedTwin, Twin};
use serde_json::Value;

use crate::StoreLocation;
use crate::round::Kind;
use crate::web_browser::{Browser, Shared};
use crate::web_worker::Served;
use crate::worker;

/// The number of servers.
const SERVERS: usize = 3;
/// The number of users, each with two browsers.
const USERS: usize = 3;

/// The pause after a kill.
const PAUSE_AFTER_KILL: Duration = Duration::from_millis(100);
/// The maximum time into a request at which its server is killed, in milliseconds.
const MAX_KILL_DELAY_MS: u8 = 30;

/// The public base URL of the site. No server listens there; each browser picks one.
const BASE: &str = "http://127.0.0.1:8999";

/// A round with one store.
pub(crate) struct WebRound {
    pub(crate) name: &'static str,
    store: Kind,
}

/// The counts of the browsers.
#[derive(Debug, Default)]
pub(crate) struct Count {
    pub(crate) logins: u64,
    pub(crate) seen: u64,
    pub(crate) calls: u64,
    /// Calls of the API that did not get the API's own response.
    pub(crate) refused: u64,
    pub(crate) logouts: u64,
    /// The logouts that had to be repeated.
    pub(crate) logouts_again: u64,
    /// Requests that were cut short by the death of their server.
    pub(crate) cut_short: u64,
    pub(crate) wrong: Vec<String>,
    kills: u64,
    refreshes: u64,
    /// Grants without a session, before the provider signed all users out.
    signed_out: usize,
}

pub(crate) fn all() -> [WebRound; 2] {
    let round = |name, store| WebRound { name, store };
    [
        round("3 web servers on PostgreSQL", Kind::Postgres),
        round("3 web servers on Redis", Kind::Redis),
    ]
}

impl WebRound {
    pub(crate) fn run(&self, length: Duration) -> (Count, Vec<String>) {
        let folder = tempfile::tempdir().expect("a folder");
        let (place, _servers) = self.store.place(folder.path());
        let twin = ServedTwin::start(Twin::generic).expect("a provider");
        twin.with(|twin| {
            twin.register_redirect_uri(&format!("{BASE}/auth/callback"));
            twin.set_access_token_lifetime(1);
            (0..USERS).for_each(|person| twin.add_person(&subject(person)));
        });
        let work = Served {
            base: BASE.to_owned(),
            issuer: twin.base().to_owned(),
            client_id: twin.with(|twin| twin.client_id().to_owned()),
            client_secret: twin.with(|twin| twin.client_secret().to_owned()),
            place: place.clone(),
        };
        let (begins, begun) = channel();
        let shared = Arc::new(Shared {
            base: BASE.to_owned(),
            provider: twin.base().to_owned(),
            ports: Mutex::default(),
            count: Mutex::default(),
            begins,
        });
        let mut servers = Servers::start(&work, &shared);
        let until = Instant::now() + length;
        let people: Vec<_> = (0..2 * USERS)
            .map(|browser| {
                let person = subject(browser % USERS);
                let mut browser = Browser::new(&shared, person, browser);
                thread::spawn(move || browser.live(until))
            })
            .collect();
        let mut kills = 0;
        while Instant::now() < until {
            thread::sleep(PAUSE_AFTER_KILL);
            begun.try_iter().for_each(drop);
            if let Ok(port) = begun.recv_timeout(Duration::from_millis(500)) {
                thread::sleep(Duration::from_millis(any(MAX_KILL_DELAY_MS)));
                kills += u64::from(servers.kill(port));
            }
        }
        for person in people {
            person.join().expect("a browser's thread does not panic");
        }
        let refreshes = twin.with(|twin| twin.counters().refreshes);
        let before = records(&place).expect("the store");
        let notifications = (0..USERS).map(|person| notify_logout(&twin, &shared, person));
        let untold = notifications.filter(|was_notified| !was_notified).count();
        let after = records(&place).expect("the store");
        drop(servers);
        let count = &mut *shared.count.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = std::mem::take(count);
        (count.kills, count.refreshes) = (kills, refreshes);
        count.signed_out = before.grants.saturating_sub(before.sessions);
        let mut wrong = std::mem::take(&mut count.wrong);
        if untold > 0 {
            wrong.push(format!("{untold} logout tokens were not accepted"));
        }
        if (after.sessions, after.grants) != (0, 0) {
            wrong.push(format!(
                "records left after all users were signed out: {after:?}"
            ));
        }
        let is_idle = [count.logins, count.logouts, count.calls, count.refreshes];
        if is_idle.contains(&0) || count.cut_short == 0 {
            wrong.push("one of the counts is 0".to_owned());
        }
        (count, wrong)
    }
}

fn any(below: u8) -> u64 {
    let mut seed = [0];
    getrandom::fill(&mut seed).expect("chance");
    u64::from(seed[0] % below)
}

fn subject(person: usize) -> String {
    format!("person-{person}")
}

/// Posts a logout token of a user to a server; returns whether it was accepted.
fn notify_logout(twin: &ServedTwin, shared: &Shared, person: usize) -> bool {
    let token = twin.with(|twin| {
        twin.set_claim("sub", subject(person));
        let token = twin.logout_token(UnixTime::system().expect("a clock"), None);
        twin.set_claim("sub", Value::Null);
        token
    });
    let form = [("logout_token", token.expect("a logout token"))];
    let form = serde_urlencoded::to_string(form).expect("a form");
    let http = reqwest::blocking::Client::builder().no_proxy().build();
    let http = http.expect("a provider's client");
    shared.ports().iter().any(|port| {
        let url = format!("http://127.0.0.1:{port}/auth/backchannel-logout");
        let post = http.post(url).body(form.clone());
        let reply = post.header("content-type", "application/x-www-form-urlencoded");
        let reply = reply.send();
        reply.is_ok_and(|reply| reply.status() == 200)
    })
}

/// The numbers of stored sessions and grants.
#[derive(Debug, Default)]
struct Records {
    sessions: usize,
    grants: usize,
}

fn records(place: &StoreLocation) -> Result<Records, Error> {
    blocking::wait(async {
        let store = worker::store(place).await?;
        let (mut records, mut cursor) = (Records::default(), None);
        loop {
            let page = store.scan(cursor.as_deref()).await?;
            for key in &page.keys {
                let entry = store.load(key).await?;
                let text = entry.map(|entry| entry.record.expose().clone());
                let text = text.unwrap_or_default();
                records.sessions += usize::from(text.contains("\"started_at\""));
                records.grants += usize::from(text.contains("\"refresh_token\""));
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(records);
            }
        }
    })?
}

/// The server processes.
struct Servers<'a> {
    work: String,
    shared: &'a Shared,
    running: Vec<(Child, u16)>,
}

impl<'a> Servers<'a> {
    fn start(work: &Served, shared: &'a Shared) -> Self {
        let mut servers = Self {
            work: serde_json::to_string(work).expect("JSON"),
            shared,
            running: Vec::new(),
        };
        for _ in 0..SERVERS {
            servers.start_one();
        }
        servers
    }

    fn start_one(&mut self) {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args(["serve", &self.work])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a server");
        let mut line = String::new();
        let out = process.stdout.take().expect("a pipe");
        BufReader::new(out).read_line(&mut line).expect("its port");
        let startup_info: Value = serde_json::from_str(&line).expect("JSON");
        let port = startup_info["port"]
            .as_u64()
            .and_then(|port| u16::try_from(port).ok());
        self.running.push((process, port.expect("a port")));
        self.publish();
    }

    fn publish(&self) {
        let ports = self.running.iter().map(|(_, port)| *port).collect();
        let shared_ports = &self.shared.ports;
        *shared_ports.lock().unwrap_or_else(PoisonError::into_inner) = ports;
    }

    /// Kills the server at this port, if it still runs, and starts a replacement. Browsers still send requests to it
    /// when it dies.
    fn kill(&mut self, port: u16) -> bool {
        let Some(at) = self
            .running
            .iter()
            .position(|(_, other_port)| *other_port == port)
        else {
            return false;
        };
        let (mut process, _) = self.running.remove(at);
        process.kill().expect("it was alive");
        process.wait().expect("it is dead");
        self.start_one();
        true
    }
}

impl Drop for Servers<'_> {
    fn drop(&mut self) {
        for (process, _) in &mut self.running {
            // It may have ended by itself.
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl fmt::Display for Count {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} kills, {} requests cut short; {} logins, {} pages, {} calls ({} refused), {} refreshes; {} logouts \
             ({} asked for again); {} grants left by the dead",
            self.kills,
            self.cut_short,
            self.logins,
            self.seen,
            self.calls,
            self.refused,
            self.refreshes,
            self.logouts,
            self.logouts_again,
            self.signed_out,
        )
    }
}
