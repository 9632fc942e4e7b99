//! `oauth device`, and `oauth login --device`, which is the same: what the person is told, and what comes of it.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use crate::common::{at, get, oauth, served};
use oauth_testkit::Served;
use serde_json::Value;

/// Logs in with this command, and enters the code once it is shown: the exit code, stdout and stderr.
fn log_in(served: &Served, command: &[&str], more: &[&str]) -> (Option<i32>, String, String) {
    served.with(|twin| twin.set_polling_interval(1));
    let command = [command, more].concat();
    let mut run = at(served, &command);
    let mut child = run.command.stdin(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut said = String::new();
    let code = loop {
        let start = said.len();
        assert_ne!(stderr.read_line(&mut said).unwrap(), 0, "{said}");
        let line = &said[start..];
        if let Ok(Value::Object(members)) = serde_json::from_str(line) {
            break members["user_code"].as_str().unwrap().to_owned();
        }
        if let Some((_, rest)) = line.split_once("enter the code ") {
            break rest.split_once(". ").unwrap().0.to_owned();
        }
    };
    let page = format!("{}/device?user_code={code}", served.base());
    assert!(get(&page).starts_with("HTTP/1.1 200"));
    stderr.read_to_string(&mut said).unwrap();
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    (child.wait().unwrap().code(), stdout, said)
}

#[test]
fn a_person_enters_the_code_elsewhere_and_is_signed_in_here() {
    for command in [&["device"][..], &["login", "--device"]] {
        signs_in(command);
    }
}

fn signs_in(command: &[&str]) {
    let served = served();
    let (code, stdout, stderr) = log_in(&served, command, &["--scope", "openid read"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("signed in: "), "{stderr}");
    // What it is for, and that nobody else may send one.
    assert!(
        stderr.contains("let the client `twin-client` act for you"),
        "{stderr}"
    );
    assert!(
        stderr.contains("only if you started this yourself"),
        "{stderr}"
    );
    let token = stdout.trim().to_owned();
    assert!(served.with(|twin| twin.honours(oauth_core::Moment::system().unwrap().now(), &token)));
    // Nothing but the code goes over the wire again.
    let asked = served.with(|twin| twin.log().to_vec());
    let polls: Vec<_> = asked
        .iter()
        .filter(|entry| entry.path == "/token")
        .collect();
    let names: Vec<_> = polls[0]
        .form
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    assert_eq!(names, ["grant_type", "device_code"]);
}

#[test]
fn programs_are_told_the_code_as_json_and_a_refusal_is_an_error() {
    let served = served();
    served.with(|twin| twin.deny_next());
    let (code, stdout, stderr) = log_in(&served, &["device"], &["--json"]);
    assert_eq!((code, stdout.as_str()), (Some(1), ""), "{stderr}");
    assert!(stderr.contains("denied.access_denied"), "{stderr}");
}

#[test]
fn a_server_without_device_codes_is_named_and_nothing_of_a_browser_goes_with_it() {
    let served = Served::start(oauth_testkit::Twin::socios).unwrap();
    let done = oauth(&[
        "login",
        "--device",
        "--provider",
        "socios",
        "--client-id",
        "k",
        "--client-secret-env",
        "S",
    ]);
    let done = done.env("S", "secret").run();
    assert!(
        done.stderr.contains("error[endpoint.missing]"),
        "{}",
        done.stderr
    );
    let both = at(&served, &["login", "--device", "--port", "1"]).run();
    assert_eq!(both.code, 2, "{}", both.stderr);
}
