//! `oauth device`, and the equivalent `oauth login --device`: the messages for the user, and the results.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

use crate::common::{command_at, get, oauth, start_twin};
use oauth_testkit::Served;
use serde_json::Value;

/// Logs in with this command, and enters the code once it is shown: the exit code, stdout and stderr.
fn log_in(served: &Served, command: &[&str], more: &[&str]) -> (Option<i32>, String, String) {
    log_in_with(served, command, more, ("X", "1"))
}

/// [`log_in`] with this environment variable.
fn log_in_with(
    served: &Served,
    command: &[&str],
    more: &[&str],
    (name, value): (&str, &str),
) -> (Option<i32>, String, String) {
    served.with(|twin| twin.set_polling_interval(1));
    let command = [command, more].concat();
    let mut run = command_at(served, &command).env(name, value);
    let mut child = run.command.stdin(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut output = String::new();
    let code = loop {
        let start = output.len();
        assert_ne!(stderr.read_line(&mut output).unwrap(), 0, "{output}");
        let line = &output[start..];
        if let Ok(Value::Object(members)) = serde_json::from_str(line) {
            break members["user_code"].as_str().unwrap().to_owned();
        }
        if let Some((_, rest)) = line.split_once("enter the code ") {
            break rest.split_once(". ").unwrap().0.to_owned();
        }
    };
    let page = format!("{}/device?user_code={code}", served.base());
    assert!(get(&page).starts_with("HTTP/1.1 200"));
    stderr.read_to_string(&mut output).unwrap();
    let mut stdout = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    (child.wait().unwrap().code(), stdout, output)
}

#[test]
fn a_user_enters_the_code_on_another_device_and_is_signed_in() {
    for command in [&["device"][..], &["login", "--device"]] {
        signs_in(command);
    }
}

fn signs_in(command: &[&str]) {
    let served = start_twin();
    let (code, stdout, stderr) = log_in(&served, command, &["--scope", "openid read"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stderr.contains("logged in as "), "{stderr}");
    // The purpose of the code, and the warning against codes from others.
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
    // Only the device code is sent again.
    let logged = served.with(|twin| twin.log().to_vec());
    let polls: Vec<_> = logged
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
fn login_falls_back_to_a_device_code_without_a_browser() {
    // Without a display, in an SSH session; then with a display but no opener.
    for (name, value) in [("X", "1"), ("SSH_TTY", "/dev/pts/7"), ("DISPLAY", ":1")] {
        let served = start_twin();
        let (code, stdout, stderr) = log_in_with(&served, &["login"], &[], (name, value));
        assert_eq!(code, Some(0), "{name}: {stderr}");
        assert!(!stderr.contains("/authorize?"), "{name}: {stderr}");
        let token = stdout.trim().to_owned();
        let now = oauth_core::Moment::system().unwrap().now();
        assert!(served.with(|twin| twin.honours(now, &token)), "{name}");
    }
}

/// The member tells a program whether to open a URL or to show a code. No login has both.
#[test]
fn json_output_has_either_a_url_or_a_device_code() {
    let members = |output: &str| {
        let read = output.lines().map(serde_json::from_str);
        let lines: Vec<serde_json::Map<String, Value>> = read.filter_map(Result::ok).collect();
        assert_eq!(lines.len(), 1, "{output}");
        let mut names: Vec<_> = lines[0].keys().cloned().collect();
        names.sort_unstable();
        names.join(" ")
    };
    let first = start_twin();
    let (code, _, stderr) = log_in_with(&first, &["login"], &["--json"], ("X", "1"));
    assert_eq!(code, Some(0), "{stderr}");
    let of_a_code = "expires_at user_code verification_uri verification_uri_complete";
    assert_eq!(members(&stderr), of_a_code);
    let second = start_twin();
    let output = until_shown(command_at(&second, &["login", "--no-browser", "--json"]));
    assert_eq!(members(&output), "authorization_url");
}

/// The output up to a URL or a code; the login is not completed.
fn until_shown(mut run: crate::common::Run) -> String {
    let mut child = run.command.stdin(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut output = String::new();
    while !["/authorize?", "enter the code"]
        .iter()
        .any(|words| output.contains(words))
    {
        assert_ne!(stderr.read_line(&mut output).unwrap(), 0, "{output}");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    output
}

#[test]
fn login_uses_the_browser_if_requested_or_without_device_codes() {
    let served = start_twin();
    let urls_of = |more: &[&str]| {
        let output = until_shown(command_at(&served, &[&["login"], more].concat()));
        assert!(output.contains("/authorize?"), "{more:?}: {output}");
    };
    urls_of(&["--no-browser"]);
    urls_of(&["--port", "0"]);
    urls_of(&["--param", "prompt=login"]);
    let codes = |served: &Served| {
        served.with(|twin| {
            twin.log()
                .iter()
                .filter(|entry| entry.path.contains("device"))
                .count()
        })
    };
    assert_eq!(codes(&served), 0, "nobody asked for a code");
    // The server issues no device codes to this client: the URL remains, to be opened by hand.
    let output = until_shown(command_at(&served, &["login"]).env("TWIN_SECRET", "wrong"));
    assert!(output.contains("/authorize?"), "{output}");
    assert!(
        output.contains("no device code for this client: denied."),
        "{output}"
    );
}

/// A terminal's image for a QR reader: each character is two modules, one above the other, four pixels wide.
#[cfg(unix)]
fn read_by_camera(lines: &[&str]) -> String {
    const PIXELS: usize = 4;
    let lines: Vec<Vec<char>> = lines.iter().map(|line| line.chars().collect()).collect();
    let (width, height) = (lines[0].len() * PIXELS, lines.len() * 2 * PIXELS);
    let mut seen = rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| {
        let row = y / PIXELS;
        match (lines[row / 2][x / PIXELS], row % 2) {
            ('█', _) | ('▀', 0) | ('▄', 1) => 255,
            (' ' | '▀' | '▄', _) => 0,
            (other, _) => unreachable!("{other}"),
        }
    });
    let grids = seen.detect_grids();
    assert_eq!(grids.len(), 1);
    grids[0].decode().unwrap().1
}

#[cfg(unix)]
#[test]
fn a_terminal_shows_a_qr_code() {
    let served = start_twin();
    served.with(|twin| twin.set_polling_interval(1));
    let (ours, theirs) = crate::native::terminal();
    let mut run = command_at(&served, &["device"]);
    let child = run.command.stdin(Stdio::null()).stderr(theirs).spawn();
    let mut child = child.unwrap();
    // From here on only the child has its end of the terminal.
    drop(run);
    let mut output = String::new();
    let mut terminal = BufReader::new(ours);
    while !output.contains("waiting until") {
        assert_ne!(terminal.read_line(&mut output).unwrap(), 0, "{output}");
    }
    let is_drawn = |line: &&str| line.starts_with(['█', '▄', '▀']);
    let drawn: Vec<&str> = output
        .lines()
        .map(|line| line.trim_end_matches('\r'))
        .filter(is_drawn)
        .collect();
    let page = read_by_camera(&drawn);
    assert!(
        page.starts_with(&format!("{}/device?user_code=", served.base())),
        "{page}"
    );
    assert!(output.contains(&page), "{output}");
    assert!(get(&page).starts_with("HTTP/1.1 200"));
    assert!(child.wait().unwrap().success());
}

#[test]
fn json_output_of_a_device_login_is_the_code_and_then_the_result() {
    let served = start_twin();
    let file = crate::common::folder("device-json").join("tokens.json");
    let save = ["--json", "--scope", "openid read", "--save"];
    let save = [&save[..], &[file.to_str().unwrap()]].concat();
    let (code, stdout, stderr) = log_in(&served, &["device"], &save);
    assert_eq!(code, Some(0), "{stderr}");
    let [prompt, result]: [Value; 2] = json_lines(&stdout).try_into().unwrap();
    let link = prompt["verification_uri_complete"].as_str().unwrap();
    assert!(link.ends_with(prompt["user_code"].as_str().unwrap()));
    assert!(stderr.contains(&prompt.to_string()), "{stderr}");
    assert!(result["subject"].is_string(), "{result}");
    assert_eq!(result["scope"], "openid read");
    assert!(result["expires_at"].is_string(), "{result}");
    // The tokens are in the file, and nowhere else.
    let tokens = std::fs::read_to_string(file).unwrap();
    let tokens: Value = serde_json::from_str(&tokens).unwrap();
    let secret = tokens["access_token"].as_str().unwrap();
    assert!(!stdout.contains(secret) && !stderr.contains(secret));
}

/// Each line of the output.
fn json_lines(output: &str) -> Vec<Value> {
    let lines = output.lines().map(serde_json::from_str);
    lines.map(Result::unwrap).collect()
}

#[test]
fn a_refused_device_login_is_an_error_without_a_result() {
    let served = start_twin();
    served.with(|twin| twin.deny_next());
    let (code, stdout, stderr) = log_in(&served, &["device"], &["--json"]);
    assert_eq!(code, Some(1), "{stderr}");
    let [prompt]: [Value; 1] = json_lines(&stdout).try_into().unwrap();
    assert!(prompt["user_code"].is_string(), "{prompt}");
    assert!(stderr.contains("denied.access_denied"), "{stderr}");
}

#[test]
fn device_login_without_the_endpoint_or_with_browser_options_is_refused() {
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
    let both = command_at(&served, &["login", "--device", "--port", "1"]).run();
    assert_eq!(both.code, 2, "{}", both.stderr);
}
