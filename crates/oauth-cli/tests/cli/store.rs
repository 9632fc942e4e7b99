//! The store shared by all shells: one refresh however many shells find the token expired, and no token is lost.

use std::net::TcpListener;
use std::path::{Path, PathBuf};

use crate::common::{Run, RunResult, SECRET, Started, folder, oauth, start_twin, visit};
use oauth_testkit::{Fault, Served, Twin};
use serde_json::{Value, json};

/// A home folder with the profiles `p` and `q` of one plain server.
pub(crate) struct Home {
    pub(crate) served: Served,
    pub(crate) folder: PathBuf,
    secret: String,
}

impl Home {
    pub(crate) fn new(name: &str) -> Self {
        Self::with(name, "")
    }

    /// A home with more lines in profile `p`.
    pub(crate) fn with(name: &str, more: &str) -> Self {
        let (served, folder) = (start_twin(), folder(&format!("store-{name}")));
        let base = served.base();
        let profile = |name: &str, more: &str| {
            format!(
                "[profile.{name}]\nissuer = \"{base}\"\nloopback_http = true\n\
                 client_id = \"twin-client\"\nclient_secret_env = \"TWIN_SECRET\"\n\
                 origins = [\"{base}\"]\n{more}\n"
            )
        };
        let text = profile("p", more) + &profile("q", "");
        std::fs::write(folder.join("config.toml"), text).unwrap();
        let secret = SECRET.to_owned();
        Self {
            served,
            folder,
            secret,
        }
    }

    /// A home whose default profile `p` is of a provider with known endpoints, so that only tokens are
    /// requested.
    pub(crate) fn of_provider(name: &str) -> Self {
        let served = Served::start(Twin::socios).unwrap();
        let folder = folder(&format!("store-{name}"));
        // The server compares redirect URIs; the port should be free.
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = socket.local_addr().unwrap().port();
        drop(socket);
        let uri = format!("http://127.0.0.1:{port}/callback");
        let (id, secret) = served.with(|twin| {
            twin.register_redirect_uri(&uri);
            (twin.client_id().to_owned(), twin.client_secret().to_owned())
        });
        let text = format!(
            "default_profile = \"p\"\n[profile.p]\nprovider = \"socios\"\n\
             on_loopback = \"{}\"\nclient_id = \"{id}\"\nclient_secret_env = \"TWIN_SECRET\"\n\
             redirect_uris = [\"{uri}\"]\nredirect_port = {port}\n",
            served.base()
        );
        std::fs::write(folder.join("config.toml"), text).unwrap();
        Self {
            served,
            folder,
            secret,
        }
    }

    pub(crate) fn oauth(&self, arguments: &[&str]) -> Run {
        let config = self.folder.join("config.toml");
        oauth(&[&["--config", config.to_str().unwrap()], arguments].concat())
            .env(
                "XDG_STATE_HOME",
                self.folder.join("state").to_str().unwrap(),
            )
            .env("TWIN_SECRET", &self.secret)
    }

    /// Runs the command with profile `p`.
    pub(crate) fn run_profile(&self, arguments: &[&str]) -> RunResult {
        self.command_with_profile(arguments).run()
    }

    pub(crate) fn command_with_profile(&self, arguments: &[&str]) -> Run {
        self.oauth(&[arguments, &["--profile", "p"]].concat())
    }

    pub(crate) fn log_in(&self, profile: &str) -> RunResult {
        let login = ["login", "--no-browser", "--profile", profile];
        let done = visit(self.oauth(&login), 1);
        assert_eq!(done.code, 0, "{}", done.stderr);
        done
    }

    fn grants(&self) -> PathBuf {
        self.folder.join("state").join("oauth").join("grants")
    }

    pub(crate) fn files(&self, ending: &str) -> Vec<PathBuf> {
        let files = std::fs::read_dir(self.grants()).unwrap();
        let files = files.map(|entry| entry.unwrap().path());
        files
            .filter(|path| path.extension().is_some_and(|found| found == ending))
            .collect()
    }

    /// The only record.
    pub(crate) fn record(&self) -> PathBuf {
        let [record] = self.files("json").try_into().unwrap();
        record
    }

    /// Ages the record, so that the access token and leases have expired.
    pub(crate) fn age(&self) {
        self.age_by(10_000);
    }

    /// Ages the record by this many seconds; a negative number dates it in the future.
    pub(crate) fn age_by(&self, seconds: i64) {
        let aged = |at: &Value| json!(at.as_i64().unwrap() - seconds);
        change(&self.record(), |record| {
            let tokens = &mut record["tokens"];
            tokens["received_at"] = aged(&tokens["received_at"]);
            if record["attempt"]["at"].is_u64() {
                record["attempt"]["at"] = aged(&record["attempt"]["at"]);
            }
        });
        for lease in self.files("lease") {
            std::fs::remove_file(lease).unwrap();
        }
    }

    pub(crate) fn base(&self) -> &str {
        self.served.base()
    }

    /// The number of requests.
    pub(crate) fn requests(&self) -> usize {
        self.served.with(|twin| twin.log().len())
    }

    pub(crate) fn revocations(&self) -> u64 {
        self.served.with(|twin| twin.counters()).revocations
    }

    /// The numbers of refreshes, reuses and token requests.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let counters = self.served.with(|twin| twin.counters());
        (
            counters.refreshes,
            counters.reuse_events,
            counters.token_requests,
        )
    }
}

/// A record is JSON in JSON.
pub(crate) fn change(path: &Path, change: impl FnOnce(&mut Value)) {
    let mut file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut record: Value = serde_json::from_str(file["record"].as_str().unwrap()).unwrap();
    change(&mut record);
    file["record"] = json!(record.to_string());
    std::fs::write(path, file.to_string()).unwrap();
}

/// The tokens in a record.
fn secrets(path: &Path) -> Vec<String> {
    let mut secrets = Vec::new();
    change(path, |record| {
        let tokens = ["access_token", "refresh_token"].map(|name| &record["tokens"][name]);
        secrets.extend(
            tokens
                .iter()
                .filter_map(|token| token.as_str())
                .map(str::to_owned),
        );
    });
    secrets
}

pub(crate) fn assert_exit(done: &RunResult, code: i32, words: &[&str]) {
    assert_eq!(done.code, code, "{}{}", done.stdout, done.stderr);
    for word in words {
        assert!(done.stderr.contains(word), "{word}: {}", done.stderr);
    }
}

pub(crate) const LOG_IN: &str = "log in again with oauth login --profile p";
const DENIED: [&str; 2] = ["denied.invalid_grant", LOG_IN];

#[test]
fn shells_share_one_refresh() {
    let home = Home::of_provider("shells");
    let login = home.log_in("p");
    assert_exit(&login, 0, &["saved the login in profile `p`"]);
    assert_eq!(login.stdout, "");
    for (round, shells) in [(1, 2), (2, 8)] {
        home.age();
        // During the slow response all others find the token expired.
        let millis_per_byte = 4;
        home.served
            .with(|twin| twin.inject(Fault::SlowBody { millis_per_byte }));
        let token = || home.oauth(&["token"]).start();
        let started: Vec<Started> = (0..shells).map(|_| token()).collect();
        let printed = started.into_iter().map(|shell| shell.wait().ok());
        let mut printed: Vec<String> = printed.collect();
        printed.dedup();
        assert_eq!(printed.len(), 1, "all print the same");
        let (refreshes, reuses, _) = home.counts();
        assert_eq!((refreshes, reuses), (round, 0));
    }
}

#[test]
fn concurrent_renewals_never_reuse_a_refresh_token() {
    let home = Home::new("renewal");
    home.log_in("p");
    let first = home.run_profile(&["token"]).ok();
    let started: Vec<Started> = (0..4)
        .map(|_| home.command_with_profile(&["token", "--renew"]).start())
        .collect();
    for shell in started {
        assert_ne!(shell.wait().ok(), first);
    }
    let (refreshes, reuses, _) = home.counts();
    assert!((1..=4).contains(&refreshes) && reuses == 0, "{refreshes}");
    // `oauth refresh` behaves the same.
    let before = home.run_profile(&["token"]).ok();
    assert_ne!(home.run_profile(&["refresh"]).ok(), before);
    let after = home.counts();
    assert_eq!((after.0, after.1), (refreshes + 1, 0));
}

#[test]
fn an_unexpired_stored_token_needs_no_request_and_no_secret() {
    let home = Home::new("fresh");
    home.log_in("p");
    let first = home.run_profile(&["token"]).ok();
    let client_token_args = ["token", "--grant", "client_credentials"];
    let of_client = home.run_profile(&client_token_args).ok();
    assert_ne!(first, of_client);
    let requests = home.served.with(|twin| twin.log().len());
    let run_without_secret = |arguments: &[&str]| {
        let mut run = home.command_with_profile(&[arguments, &["--trace"]].concat());
        run.command.env_remove("TWIN_SECRET");
        run.run()
    };
    for (arguments, token) in [(&["token"][..], &first), (&client_token_args, &of_client)] {
        let done = run_without_secret(arguments);
        assert_eq!((&done.stdout, done.stderr.as_str()), (token, ""));
    }
    assert_eq!(home.served.with(|twin| twin.log().len()), requests);
}

#[test]
fn client_tokens_are_shared_per_scope() {
    let home = Home::new("own");
    let read = home.run_profile(&["token", "--scope", "read"]).ok();
    assert_eq!(home.run_profile(&["token", "--scope", "read"]).ok(), read);
    let write = home.run_profile(&["token", "--scope", "write"]).ok();
    assert_ne!(write, read);
    assert_eq!(home.counts().2, 2);
    assert_ne!(
        home.run_profile(&["token", "--scope", "write", "--renew"])
            .ok(),
        write
    );
    assert_eq!(home.counts().2, 3);
    // It is not a login.
    assert_exit(
        &home.run_profile(&["refresh"]),
        2,
        &["usage.no_login", "oauth login --profile p"],
    );
}

#[test]
fn an_error_about_an_ended_login_says_how_to_log_in_again() {
    let home = Home::new("over");
    home.log_in("p");
    home.served.with(Twin::revoke_all);
    home.age();
    assert_exit(&home.run_profile(&["token"]), 1, &DENIED);
    let requests = home.counts().2;
    let url = format!("{}/api/echo", home.served.base());
    assert_exit(&home.run_profile(&["call", &url]), 1, &DENIED);
    assert_exit(&home.run_profile(&["refresh"]), 1, &DENIED);
    assert_eq!(home.counts().2, requests, "the server was asked once");
    let status = home.run_profile(&["status", "--json"]).json();
    assert_eq!(status["grants"][0]["ended"], "denied.invalid_grant");

    change(&home.record(), |record| {
        record["ended"] = json!("outcome_unknown");
    });
    let done = home.run_profile(&["token"]);
    assert_exit(&done, 1, &["grant.outcome_unknown", LOG_IN]);

    home.log_in("p");
    change(&home.record(), |record| {
        record["tokens"]["refresh_token"] = Value::Null;
    });
    home.run_profile(&["token"]).ok();
    home.age();
    let done = home.run_profile(&["token"]);
    assert_exit(&done, 1, &["grant.no_refresh_token", LOG_IN]);
}

#[test]
fn a_call_renews_a_rejected_token_and_stores_it() {
    let home = Home::new("call");
    home.log_in("p");
    home.served.with(Twin::expire_access_tokens);
    let url = format!("{}/api/echo", home.served.base());
    let mut secrets = secrets(&home.record());
    let done = home.run_profile(&["call", &url, "--trace"]);
    assert_exit(&done, 0, &["← 401", "grant_type=refresh_token"]);
    secrets.extend(self::secrets(&home.record()));
    assert_eq!(secrets.len(), 4);
    for secret in secrets {
        assert!(!done.stderr.contains(&secret), "{}", done.stderr);
    }
    home.run_profile(&["call", &url]).ok();
    let counters = home.served.with(|twin| twin.counters());
    let seen = (counters.api_401, counters.refreshes, counters.api_calls);
    assert_eq!(seen, (1, 1, 3));
    home.run_profile(&["call", &url, "--grant", "client_credentials"])
        .ok();
    assert_eq!(home.files("json").len(), 2);
}

#[test]
fn introspect_uses_the_tokens_of_the_login() {
    let home = Home::new("introspect");
    assert_exit(&home.run_profile(&["introspect"]), 2, &["usage.no_login"]);
    home.log_in("p");
    let send = |hint| {
        home.run_profile(&["introspect", "--json", "--hint", hint])
            .json()
    };
    for hint in ["access_token", "refresh_token"] {
        assert_eq!(send(hint)["active"], true);
    }
    home.served.with(Twin::expire_access_tokens);
    assert_eq!(send("access_token")["active"], false);
    assert_eq!(send("refresh_token")["active"], true);
}

#[test]
fn revoking_removes_the_login_even_if_the_server_is_unreachable() {
    let home = Home::new("gone");
    home.log_in("p");
    let mut token = home.command_with_profile(&["token"]);
    let mut revoke = home.command_with_profile(&["revoke"]);
    let Home { served, folder, .. } = home;
    drop(served);
    // The store has a token, although the credentials are gone.
    token.command.env_remove("TWIN_SECRET");
    token.run().ok();
    revoke.command.stdin(std::process::Stdio::null());
    assert_exit(
        &revoke.run(),
        1,
        &[
            "error[lost.connect]",
            "removed the login of profile `p`",
            "may still be valid at the server",
        ],
    );
    let remaining_files = std::fs::read_dir(folder.join("state/oauth/grants")).unwrap();
    let remaining_files =
        remaining_files.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let remaining_files: Vec<_> = remaining_files
        .filter(|name| name.ends_with(".json"))
        .collect();
    assert_eq!(remaining_files, [""; 0]);
}

#[test]
fn an_unreadable_record_is_reported_and_other_records_still_work() {
    let home = Home::new("unread");
    home.log_in("p");
    let login = home.record();
    let client_token_args = ["token", "--grant", "client_credentials"];
    home.run_profile(&client_token_args).ok();
    std::fs::write(&login, "{").unwrap();
    let hint = "oauth login --profile p";
    let done = home.run_profile(&["token"]);
    assert_exit(&done, 2, &["stored.malformed", hint]);
    // Other profiles, and the client's own tokens, still work.
    home.run_profile(&client_token_args).ok();
    home.log_in("q");
    let status = home.run_profile(&["status", "--json"]).json();
    let grants = status["grants"].as_array().unwrap();
    assert!(grants.iter().any(|g| g["error"] == "stored.malformed"));
    assert_exit(&home.run_profile(&["revoke"]), 1, &["revoke.unread"]);
    assert!(!login.exists());
    home.log_in("p");
    home.run_profile(&["token"]).ok();
    // A login replaces it, too.
    std::fs::write(&login, "{").unwrap();
    home.log_in("p");
    home.run_profile(&["token"]).ok();
}

#[test]
fn status_shows_everything_but_the_tokens() {
    let home = Home::new("status");
    let nothing = home.oauth(&["status"]).run().ok();
    assert_eq!(nothing, "no tokens are stored\n");
    home.log_in("p");
    home.log_in("q");
    home.run_profile(&["token", "--grant", "client_credentials", "--scope", "write"])
        .ok();
    let base = home.served.base();
    let list = home.oauth(&["status"]).run().ok();
    let rows: Vec<&str> = list.lines().collect();
    assert_eq!(rows.len(), 3, "{list}");
    assert!(rows[0].starts_with(&format!(
        "p            login at {base}, scope read, expires 2"
    )));
    assert!(rows[0].ends_with("Z, can be refreshed"), "{list}");
    assert!(rows[2].starts_with("twin-client  client token"), "{list}");

    let record = home.run_profile(&["status", "--json"]).json();
    let grants = record["grants"].as_array().unwrap();
    let grant_of = |profile: Value| grants.iter().find(|grant| grant["profile"] == profile);
    assert_eq!(grants.len(), 2, "of p, and of its client");
    let login = grant_of(json!("p")).unwrap();
    assert_eq!(login["issuer"], base);
    assert_eq!(login["scope"], "read");
    assert_eq!(login["refresh_token_present"], true);
    assert_eq!(login["ended"], Value::Null);
    assert_eq!(grant_of(Value::Null).unwrap()["requested_scope"], "write");

    let texts = [list, record.to_string()];
    for secret in home.files("json").iter().flat_map(|path| secrets(path)) {
        assert!(texts.iter().all(|text| !text.contains(&secret)));
    }
}

#[cfg(unix)]
#[test]
fn the_store_is_readable_only_by_its_user() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = Home::new("private");
    home.log_in("p");
    home.age();
    home.run_profile(&["token"]).ok();
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
    let grants = home.grants();
    for folder in [&grants, grants.parent().unwrap()] {
        assert_eq!(mode(folder), 0o700);
    }
    let files: Vec<_> = std::fs::read_dir(&grants).unwrap().collect();
    assert!(files.len() >= 2);
    for file in files {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
    // Other users may have read the record.
    let record = home.record();
    std::fs::set_permissions(&record, std::fs::Permissions::from_mode(0o644)).unwrap();
    let done = home.run_profile(&["token"]);
    assert_exit(&done, 2, &["store.setup", "chmod 600"]);
}

/// The obstacle simulates a read-only file system.
#[test]
fn an_unusable_store_is_reported_before_the_user_consents() {
    for ending in ["json", "lease"] {
        let home = Home::new(&format!("unusable-{ending}"));
        home.log_in("p");
        let record = home.record();
        std::fs::remove_file(&record).unwrap();
        std::fs::create_dir_all(record.with_extension(ending).join("in-the-way")).unwrap();
        let done = home.run_profile(&["login", "--no-browser"]);
        assert_exit(&done, 2, &["store"]);
        assert!(!done.stderr.contains("/authorize?"), "{}", done.stderr);
    }
}

/// A token of a clock that was a day ahead may have expired, and the command has no reply of an API that shows it.
#[test]
fn a_token_from_the_future_is_renewed_once() {
    let home = Home::new("future");
    home.log_in("p");
    home.age_by(-24 * 3600);
    let (before, ..) = home.counts();
    let renewed = home.run_profile(&["token"]).ok();
    assert_eq!(home.counts().0, before + 1);
    assert_eq!(home.run_profile(&["token"]).ok(), renewed);
    // The clocks of two machines with one store differ by some seconds.
    home.age_by(-30);
    assert_eq!(home.run_profile(&["token"]).ok(), renewed);
    assert_eq!(home.counts().0, before + 1);
}
