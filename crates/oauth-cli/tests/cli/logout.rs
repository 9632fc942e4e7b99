//! `oauth logout --sign-out`: the local login is removed regardless of what the server does, and the browser's return
//! must belong to this logout.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::PathBuf;
use std::process::Stdio;

use serde_json::{Value, json};

use crate::common::{Run, RunResult, folder, get, oauth, visit};
use crate::store::assert_exit;
use crate::tiny::TinyServer;

const SIGN_OUT: [&str; 3] = ["logout", "--sign-out", "--no-browser"];
const BACK: [&str; 2] = ["--post-logout-redirect-uri", "http://127.0.0.1/out"];

struct Person {
    tiny: TinyServer,
    folder: PathBuf,
}

impl Person {
    /// A user who is logged in.
    fn new(name: &str) -> Self {
        let (tiny, folder) = (TinyServer::start(), folder(&format!("logout-{name}")));
        let text = format!(
            "[profile.p]\nissuer = \"{}\"\nloopback_http = true\nclient_id = \"app\"\nclient_auth = \"none\"\n",
            tiny.base
        );
        std::fs::write(folder.join("config.toml"), text).unwrap();
        tiny.state().metadata = json!({ "end_session_endpoint": format!("{}/logout", tiny.base) });
        tiny.state().subject = "alice".to_owned();
        let person = Self { tiny, folder };
        let login = visit(person.run(&["login", "--no-browser"]), 1);
        assert_exit(&login, 0, &["saved the login"]);
        person
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let config = self.folder.join("config.toml");
        let profile = ["--config", config.to_str().unwrap(), "--profile", "p"];
        let state = self.folder.join("state");
        oauth(&[arguments, &profile].concat()).env("XDG_STATE_HOME", state.to_str().unwrap())
    }

    fn is_logged_in(&self) -> bool {
        self.run(&["token"]).run().code == 0
    }

    /// Runs a sign-out whose browser handles its URL like this.
    fn sign_out(&self, more: &[&str], browser: impl FnOnce(&str)) -> RunResult {
        let mut run = self.run(&[&SIGN_OUT[..], more].concat());
        let mut child = run.command.stdin(Stdio::null()).spawn().unwrap();
        let mut stderr = BufReader::new(child.stderr.take().unwrap());
        let mut seen = String::new();
        let url = loop {
            let start = seen.len();
            assert_ne!(stderr.read_line(&mut seen).unwrap(), 0, "{seen}");
            let line = seen[start..].trim_end();
            if line.starts_with("http") {
                break line.to_owned();
            }
        };
        browser(&url);
        stderr.read_to_string(&mut seen).unwrap();
        let output = child.wait_with_output().unwrap();
        RunResult {
            code: output.status.code().unwrap(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: seen,
        }
    }
}

fn parameters(url: &str) -> BTreeMap<String, String> {
    let query = url.split_once('?').unwrap().1;
    let pairs = oauth_core::form::parse(query).unwrap();
    let owned = pairs.into_iter();
    owned
        .map(|(name, value)| (name.to_string(), value.to_string()))
        .collect()
}

#[test]
fn sign_out_opens_the_end_session_endpoint() {
    let person = Person::new("browser");
    let mut url = String::new();
    let done = person.sign_out(&[], |opened| url = opened.to_owned());
    assert_exit(&done, 0, &["removed the login of profile `p`"]);
    assert_eq!(
        done.stdout,
        "revoked: refresh_token, access_token\ncomplete the sign-out on the server's page\n"
    );
    let sent = parameters(&url);
    assert_eq!(sent["client_id"], "app");
    // The login's ID token is the only one.
    assert!(sent["id_token_hint"].starts_with("e30."), "{url}");
    assert_eq!(sent.len(), 2, "{url}");
    assert!(!person.is_logged_in());
}

#[test]
fn sign_out_waits_for_the_return_with_its_own_state() {
    let person = Person::new("return");
    let done = person.sign_out(&BACK, |url| {
        let sent = parameters(url);
        let back = &sent["post_logout_redirect_uri"];
        assert!(back.ends_with("/out"), "{back}");
        for foreign in ["", "?state=other", "?state="] {
            let answer = get(&format!("{back}{foreign}"));
            assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
            assert!(answer.contains("the logout that is waiting"), "{answer}");
        }
        assert!(!person.is_logged_in(), "before the server has answered");
        let answer = get(url);
        let location = answer
            .lines()
            .find_map(|line| line.strip_prefix("location: "));
        let answer = get(location.unwrap());
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    });
    assert_exit(&done, 0, &["does not belong to this logout"]);
    assert!(
        done.stdout.ends_with("signed out at the server\n"),
        "{}",
        done.stdout
    );
}

#[test]
fn json_output_reports_whether_the_browser_returned() {
    let person = Person::new("json");
    let done = person.run(&[&SIGN_OUT[..], &["--json"]].concat()).run();
    let lines = done.stderr.lines();
    let mut lines = lines.filter_map(|line| serde_json::from_str::<Value>(line).ok());
    let url = lines.find_map(|line| line["end_session_url"].as_str().map(str::to_owned));
    assert!(url.unwrap().contains("/logout?"), "{}", done.stderr);
    let record = done.json();
    assert_eq!(record["signed_out"], false, "{record}");
    assert_eq!(record["revoked"], json!(["refresh_token", "access_token"]));
}

#[test]
fn json_output_says_whether_tokens_may_still_be_valid() {
    for (name, endpoint, unrevoked, may_still_be_valid) in [
        ("revoked", None, false, false),
        ("no-revocation", Some(Value::Null), false, true),
        ("unsupported", None, true, true),
    ] {
        let person = Person::new(name);
        person.tiny.state().refuses_revocations = unrevoked;
        if let Some(endpoint) = endpoint {
            person.tiny.state().metadata = json!({ "revocation_endpoint": endpoint });
        }
        let record = person.run(&["logout", "--json"]).run().json();
        assert_eq!(
            record["may_still_be_valid"], may_still_be_valid,
            "{name}: {record}"
        );

        let config = person.folder.join("config.toml");
        let text = std::fs::read_to_string(&config).unwrap();
        let text = text.replace("client_auth = \"none\"", "client_secret_env = \"S\"");
        std::fs::write(config, text).unwrap();
        let with_secret = |arguments: &[&str]| person.run(arguments).env("S", "s").run();
        with_secret(&["token", "--as", "client"]).ok();
        let record = with_secret(&["logout", "--client", "--json"]).json();
        assert_eq!(
            record["may_still_be_valid"], may_still_be_valid,
            "{name}: {record}"
        );
    }
}

#[test]
fn an_invalid_logout_command_removes_no_tokens() {
    let person = Person::new("usage");
    for uri in ["https://app.example/out", "http://app.example/out", "no"] {
        let more = ["--post-logout-redirect-uri", uri];
        let done = person.run(&[&SIGN_OUT[..], &more].concat()).run();
        assert_exit(&done, 2, &["post_logout_redirect_uris"]);
    }
    let done = person.run(&["logout", "--no-browser"]).run();
    assert_exit(&done, 2, &["--sign-out"]);
    assert!(person.is_logged_in());
    assert_eq!(person.tiny.request_count("/revoke"), 0);
}

#[test]
fn a_failing_server_does_not_prevent_the_logout() {
    let person = Person::new("revoke-fails");
    person.tiny.state().broken = Some("/revoke");
    let done = person.sign_out(&BACK, |url| {
        let location = get(url);
        let location = location
            .lines()
            .find_map(|line| line.strip_prefix("location: "));
        get(location.unwrap());
    });
    // The browser was sent there anyway.
    assert_eq!(person.tiny.request_count("/logout"), 1);
    assert_exit(
        &done,
        1,
        &[
            "removed the login of profile `p`",
            "may still be valid at the server",
        ],
    );
    assert!(!person.is_logged_in());

    let person = Person::new("all-fails");
    person.tiny.state().broken = Some("/.well-known/oauth-authorization-server");
    let done = person.run(&SIGN_OUT).run();
    assert_exit(
        &done,
        1,
        &[
            "removed the login of profile `p`",
            "may still be valid at the server",
        ],
    );
    person.tiny.state().broken = None;
    assert!(!person.is_logged_in());
}

#[test]
fn a_server_without_a_logout_endpoint_is_reported() {
    let person = Person::new("no-endpoint");
    person.tiny.state().metadata = json!({});
    let done = person.run(&SIGN_OUT).run();
    assert_exit(
        &done,
        2,
        &[
            "endpoint.missing",
            "--endpoint end_session=URL",
            "may still be signed in",
        ],
    );
    assert!(!person.is_logged_in());
    assert_eq!(person.tiny.request_count("/revoke"), 2);
}
