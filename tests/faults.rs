//! Kills a process at each point between a reply and its save: the next process gets a token, or is
//! told that the user must log in again, and the store stays readable.

#[path = "interop/oidc_provider.rs"]
#[allow(dead_code, reason = "shared with the interoperability tests")]
mod oidc_provider;
#[path = "interop/server_process.rs"]
mod server_process;

use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use oauth_core::flow::keeper::{Event, GrantId, Step};
use oauth_core::{AuthorizationRequest, Client, Moment, Scope, Tokens};
use oauth_reqwest::blocking::Listener;
use oauth_session::store::{FAULT_POINTS, FileStore, RecordTimes};
use oauth_session::{Store as _, blocking};
use serde_json::{Value, json};

use oidc_provider::{OidcProvider, driver, open};

const SESSION_POINTS: [&str; 4] = [
    "session.run",
    "session.completed",
    "session.save",
    "session.saved",
];

/// A server that accepts each refresh token once, and a store with a login whose access token has expired.
struct Scene {
    server: OidcProvider,
    folder: tempfile::TempDir,
    reuse: &'static str,
}

impl Scene {
    fn set(reuse: &'static str) -> Self {
        let server = OidcProvider::start();
        let driver = driver();
        let client = server.client(&driver, "native").expect("a client");
        let listener = Listener::bind().expect("a port");
        let request = AuthorizationRequest::new(listener.redirect_uri().clone())
            .scope(Scope::parse("openid").expect("a scope"));
        let login = listener
            .login(&driver, &client, request, open, Duration::from_secs(30))
            .expect("a login");
        let scene = Self {
            server,
            folder: tempfile::tempdir().expect("a folder"),
            reuse,
        };
        scene.store(&client, login.tokens);
        scene
    }

    fn grants(&self) -> std::path::PathBuf {
        self.folder.path().join("grants")
    }

    /// Stores an old login, as a session would have.
    fn store(&self, client: &Client, tokens: Tokens) {
        let mut old: Value = serde_json::from_str(tokens.to_json().expose()).expect("JSON");
        let received_at = old["received_at"].as_u64().expect("a time");
        old["received_at"] = (received_at - 10_000).into();
        let old = Tokens::from_json(&old.to_string()).expect("tokens");
        let store = FileStore::new(self.grants()).expect("a store");
        let at = Moment::system().expect("a moment");
        let mut keeper = client
            .keeper(GrantId::user("somebody"))
            .with_tokens(&at, old)
            .expect("our own")
            .shared();
        let key = keeper.key();
        // The first two steps of a keeper with a new login: loading the record, and replacing it.
        let _ = keeper.ask(at.now(), None);
        let Step::Load = keeper.resume(&at, Event::Begin) else {
            panic!("it looks first")
        };
        let Step::Save {
            record,
            version,
            due,
            until,
        } = keeper.resume(&at, Event::Loaded(None))
        else {
            panic!("then it saves")
        };
        blocking::wait(store.save(&key, &record, version, RecordTimes { due, until }))
            .expect("a runtime")
            .expect("saved");
    }

    /// Runs a process that requests one token, and dies at the given point.
    fn run_request(&self, fault: Option<&str>) -> Output {
        let work = json!({
            "issuer": self.server.issuer(),
            "client_id": self.server.client_id("native"),
            "place": { "File": self.grants() },
            "callers": { "Tasks": 1 },
            "reuse": self.reuse,
            "tokens": "Nothing",
        });
        let mut command = Command::new(env!("CARGO_BIN_EXE_workers"));
        command.args(["once", &work.to_string()]);
        if let Some(fault) = fault {
            command.env("OAUTH_SESSION_FAULT", fault);
        }
        command.output().expect("it runs")
    }

    fn counters(&self) -> Value {
        let url = format!("{}/_counters", self.server.issuer());
        let text = reqwest::blocking::get(url).and_then(reqwest::blocking::Response::text);
        serde_json::from_str(&text.expect("counters")).expect("JSON")
    }
}

/// Kills a process at this point; returns the next one's output, and the number of reused tokens.
fn killed_at(point: &str, reuse: &'static str) -> (String, u64) {
    let scene = Scene::set(reuse);
    let dead = scene.run_request(Some(point));
    assert!(
        !dead.status.success() && dead.stdout.is_empty(),
        "{point}: the process should have died: {dead:?}"
    );
    readable(&scene.grants(), point);
    let next = scene.run_request(None);
    let outcome = String::from_utf8(next.stdout)
        .expect("text")
        .trim()
        .to_owned();
    readable(&scene.grants(), point);
    (
        outcome,
        scene.counters()["reuse_events"].as_u64().expect("a count"),
    )
}

fn readable(folder: &Path, point: &str) {
    let store = FileStore::new(folder).expect("the folder");
    let keys = blocking::wait(store.list())
        .expect("a runtime")
        .expect("a list");
    assert_eq!(keys.len(), 1, "{point}");
    let entry = blocking::wait(store.load(&keys[0])).expect("a runtime");
    assert!(entry.expect("it can be read").is_some(), "{point}");
}

/// The results of a kill at each point, run concurrently because they wait for leases.
fn killed_at_each(reuse: &'static str) -> Vec<(&'static str, String, u64)> {
    // No worker removes a record: the store's own tests die there.
    let is_passed = |point: &&&str| !point.starts_with("removed.");
    let points = FAULT_POINTS.iter().filter(is_passed);
    let points = SESSION_POINTS.iter().chain(points);
    std::thread::scope(|scope| {
        let all: Vec<_> = points
            .map(|point| scope.spawn(move || (*point, killed_at(point, reuse))))
            .collect();
        all.into_iter()
            .map(|one| one.join().expect("it ends"))
            .map(|(point, (outcome, reuse_events))| (point, outcome, reuse_events))
            .collect()
    })
}

#[test]
fn wherever_a_worker_dies_a_revoking_server_sees_no_refresh_token_twice() {
    for (point, outcome, reuse_events) in killed_at_each("Revokes") {
        let is_outcome_unknown = outcome == "grant.outcome_unknown reauthorize";
        // A process that dies while it takes the lease has not sent a token.
        let may_be_told = !point.starts_with("lease.");
        assert!(
            outcome == "token" || (is_outcome_unknown && may_be_told),
            "{point}: {outcome}"
        );
        assert_eq!(reuse_events, 0, "{point}");
    }
}

#[test]
fn wherever_a_worker_dies_the_grant_is_kept_if_possible() {
    for (point, outcome, reuse_events) in killed_at_each("Unknown") {
        let is_grant_revoked = outcome == "denied.invalid_grant reauthorize" && reuse_events == 1;
        // Tokens can be lost only between the reply and its save.
        let may_be_over = ["session.completed", "session.save"].contains(&point);
        assert!(
            (outcome == "token" && reuse_events == 0) || (is_grant_revoked && may_be_over),
            "{point}: {outcome}, {reuse_events}"
        );
    }
}
