//! `oauth connect`: from the URL of an API to its token, once for all shells.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use oauth_testkit::Served;
use serde_json::{Value, json};

use crate::common::{Run, folder, get, oauth, start_twin};

fn api(served: &Served) -> String {
    format!("{}/api/echo", served.base())
}

fn connect(served: &Served, state: &str, more: &[&str]) -> Run {
    let url = api(served);
    let command = [
        "connect",
        &url,
        "--loopback-http",
        "--no-browser",
        "--timeout",
        "60",
    ];
    oauth(&[&command[..], more].concat()).env("XDG_STATE_HOME", state)
}

/// Signs in at the page that the command prints; returns its exit code, stdout and stderr.
fn signed_in(mut run: Run) -> (Option<i32>, String, String) {
    let mut child = run.command.stdin(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let mut output = String::new();
    loop {
        let start = output.len();
        assert_ne!(stderr.read_line(&mut output).unwrap(), 0, "{output}");
        let line = output[start..].trim();
        let output: Value = serde_json::from_str(line).unwrap_or_default();
        let page = output["authorization_url"].as_str().unwrap_or(line);
        if page.starts_with("http://") {
            let reply = get(page);
            let location = reply
                .lines()
                .find_map(|line| line.strip_prefix("location: "));
            get(location.unwrap().trim());
            break;
        }
    }
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

/// What the user has to open or enter, and the result.
fn json_lines(stdout: &str) -> [Value; 2] {
    let lines = stdout.lines().map(serde_json::from_str);
    let lines: Vec<_> = lines.collect::<Result<_, _>>().unwrap();
    lines.try_into().unwrap()
}

/// The API's response to a token.
fn echo(served: &Served, token: &str) -> Value {
    let mut stream = TcpStream::connect(served.base().strip_prefix("http://").unwrap()).unwrap();
    let head = format!(
        "GET /api/echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    serde_json::from_str(reply.split_once("\r\n\r\n").unwrap().1).unwrap()
}

#[test]
fn connect_signs_in_once_and_then_prints_the_stored_token() {
    let (served, state) = (start_twin(), folder("connect"));
    let state = state.to_str().unwrap();
    let (code, stdout, stderr) = signed_in(connect(&served, state, &["--name", "Notes"]));
    assert_eq!(code, Some(0), "{stderr}");
    let token = stdout.trim();
    assert!(!stderr.contains(token));
    assert_eq!(echo(&served, token)["scope"], "read write offline_access");
    let body = served.with(|twin| {
        let mut log = twin.log().iter();
        let entry = log.find(|entry| entry.path == "/register").unwrap();
        String::from_utf8(entry.body.to_vec()).unwrap()
    });
    assert!(body.contains(r#""client_name":"Notes""#), "{body}");

    let again = connect(&served, state, &[]).run().ok();
    assert_eq!(again.trim(), token);
    served.with(|twin| twin.expire_access_tokens());
    // The command does not know that the token was revoked.
    let header = connect(&served, state, &["--format", "header"]).run().ok();
    assert_eq!(header.trim(), format!("Authorization: Bearer {token}"));
    // The grant is listed, but the connection's record is not a grant.
    let status = oauth(&["status", "--json"])
        .env("XDG_STATE_HOME", state)
        .run();
    let grants = status.json()["grants"].clone();
    assert_eq!(grants.as_array().map(Vec::len), Some(1), "{grants}");
    assert_eq!(grants[0]["profile"], Value::Null);
    assert_eq!(grants[0]["resource"][0], api(&served).as_str());
    let status = oauth(&["status"]).env("XDG_STATE_HOME", state).run().ok();
    let client = grants[0]["client_id"].as_str().unwrap();
    assert!(status.starts_with(client), "{status}");

    let forgotten = connect(&served, state, &["--forget"]).run().ok();
    assert_eq!(forgotten.trim(), format!("forgotten: {}", api(&served)));
    let (code, stdout, stderr) = signed_in(connect(&served, state, &["--json"]));
    assert_eq!(code, Some(0), "{stderr}");
    // What to open, on both, and then the token.
    let [page, result] = json_lines(&stdout);
    assert!(
        page["authorization_url"]
            .as_str()
            .unwrap()
            .contains("/authorize?"),
        "{page}"
    );
    assert!(stderr.contains(&page.to_string()), "{stderr}");
    assert!(
        result["access_token"].as_str().unwrap() != token,
        "{result}"
    );
    // Nothing has to be opened.
    let stored = connect(&served, state, &["--json"]).run().json();
    assert_eq!(stored["access_token"], result["access_token"]);

    connect(&served, state, &["--forget"]).run().ok();
    let (code, stdout, stderr) = signed_in(connect(&served, state, &["--json", "--format", "raw"]));
    assert_eq!((code, stdout.lines().count()), (Some(0), 1), "{stderr}");
}

/// Microsoft Entra refuses `resource` (B80), which the first attempt reports.
#[test]
fn without_resource_omits_the_resource_parameter() {
    let (served, state) = (start_twin(), folder("connect-without-resource"));
    served.with(|twin| twin.refuse_resources());
    let state = state.to_str().unwrap();
    let (code, _, stderr) = signed_in(connect(&served, state, &[]));
    assert_ne!(code, Some(0));
    assert!(stderr.contains("denied.invalid_target"), "{stderr}");

    let without = ["--without-resource"];
    let (code, stdout, stderr) = signed_in(connect(&served, state, &without));
    assert_eq!(code, Some(0), "{stderr}");
    let again = connect(&served, state, &without).run().ok();
    assert_eq!(again, stdout);
    let sent = served.with(|twin| {
        let tokens = twin.log().iter().filter(|entry| entry.path == "/token");
        let sent = tokens.map(|entry| entry.form("resource").is_some());
        sent.collect::<Vec<_>>()
    });
    assert_eq!(sent, [false]);
}

#[test]
fn the_resource_option_is_sent_to_a_server_that_knows_the_api_by_another_name() {
    let (served, state) = (start_twin(), folder("connect-resource"));
    served.with(|twin| twin.rename_resource());
    let state = state.to_str().unwrap();
    let (code, _, stderr) = signed_in(connect(&served, state, &[]));
    assert_ne!(code, Some(0));
    assert!(stderr.contains("denied.invalid_target"), "{stderr}");

    let named = ["--resource", "api://echo"];
    let (code, stdout, stderr) = signed_in(connect(&served, state, &named));
    assert_eq!(code, Some(0), "{stderr}");
    assert_eq!(connect(&served, state, &named).run().ok(), stdout);
}

#[test]
fn a_preregistered_client_gets_a_token_of_its_own() {
    let (served, state) = (start_twin(), folder("connect-by-hand"));
    let base = served.base().to_owned();
    let client = [
        "--client-id",
        "twin-client",
        "--issuer",
        &base,
        "--as-client",
    ];
    let secret = ["--client-secret-env", "TWIN_SECRET"];
    let run = connect(
        &served,
        state.to_str().unwrap(),
        &[&client[..], &secret].concat(),
    );
    let token = run.env("TWIN_SECRET", crate::common::SECRET).run().ok();
    assert_eq!(echo(&served, token.trim())["client_id"], "twin-client");
}

#[test]
fn connect_with_a_device_code_traces_no_secret() {
    let (served, state) = (start_twin(), folder("connect-device"));
    served.with(|twin| twin.set_polling_interval(1));
    let url = api(&served);
    let command = [
        "connect",
        &url,
        "--loopback-http",
        "--device",
        "--trace",
        "--json",
    ];
    let mut run = oauth(&command).env("XDG_STATE_HOME", state.to_str().unwrap());
    let mut child = run.command.stdin(Stdio::null()).spawn().unwrap();
    let mut stderr = BufReader::new(child.stderr.take().unwrap());
    let (mut output, mut code) = (String::new(), Value::Null);
    while code.is_null() {
        let start = output.len();
        assert_ne!(stderr.read_line(&mut output).unwrap(), 0, "{output}");
        let output: Value = serde_json::from_str(output[start..].trim()).unwrap_or_default();
        if output["user_code"].is_string() {
            code = output["verification_uri_complete"].clone();
        }
    }
    get(code.as_str().unwrap());
    stderr.read_to_string(&mut output).unwrap();
    let mut stdout = String::new();
    let mut out = child.stdout.take().unwrap();
    out.read_to_string(&mut stdout).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{output}");
    let [prompt, reply] = json_lines(&stdout);
    assert_eq!(prompt["verification_uri_complete"], code);
    let token = reply["access_token"].as_str().unwrap();
    assert_eq!(echo(&served, token)["scope"], "read write offline_access");
    for place in ["/api/echo", "/register", "/device_authorization", "/token"] {
        assert!(output.contains(place), "{place}: {output}");
    }
    assert!(!output.contains(token), "{output}");
}

#[test]
fn an_api_without_an_authorization_server_and_an_insecure_url_are_reported() {
    let served = start_twin();
    served.with(|twin| twin.inject(oauth_testkit::Fault::NoAuthorizationServer));
    let state = folder("connect-nobody");
    let failed = connect(&served, state.to_str().unwrap(), &[]).run();
    let code = "resource_metadata.no_authorization_server";
    assert!(failed.stderr.contains(code), "{}", failed.stderr);
    let failed = oauth(&["connect", "http://mcp.example/mcp"]).run();
    assert!(failed.stderr.contains("url.insecure"), "{}", failed.stderr);
}

#[test]
fn tokens_are_bound_to_a_key_if_the_api_requires_it() {
    let (served, state) = (start_twin(), folder("connect-bound"));
    served.with(|twin| twin.require_dpop());
    let (key, state) = (state.join("key.pem"), state.to_str().unwrap());
    let key = key.to_str().unwrap();
    // Without a file the key is generated, and stored with the tokens.
    let (code, stdout, stderr) = signed_in(connect(&served, state, &["--json"]));
    assert_eq!(code, Some(0), "{stderr}");
    let [_, output] = json_lines(&stdout);
    assert_eq!(output["token_type"], "DPoP");
    let again = connect(&served, state, &[]).run();
    assert!(
        again.stderr.contains("requires a DPoP proof"),
        "{}",
        again.stderr
    );
    let first = again.stdout.trim().to_owned();
    assert_eq!(first, output["access_token"].as_str().unwrap());
    let made = oauth(&["key", "new", "--alg", "ES256", "--output", key]).run();
    made.ok();
    let (code, stdout, stderr) = signed_in(connect(&served, state, &["--dpop-key", key]));
    assert_eq!(code, Some(0), "{stderr}");
    assert_ne!(stdout.trim(), first);
}

#[test]
fn the_user_chooses_among_several_authorization_servers() {
    let (served, state) = (start_twin(), folder("connect-several"));
    let state = state.to_str().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let api = format!("http://{}/mcp", listener.local_addr().unwrap());
    let servers = ["http://127.0.0.1:1".to_owned(), served.base().to_owned()];
    let body = json!({ "resource": api, "authorization_servers": servers }).to_string();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]).unwrap();
            let length = body.len();
            let reply = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
                 Connection: close\r\n\r\n{body}"
            );
            stream.write_all(reply.as_bytes()).unwrap();
        }
    });
    let connect = |more: &[&str]| {
        let command = ["connect", &api, "--loopback-http", "--no-browser"];
        oauth(&[&command[..], more].concat()).env("XDG_STATE_HOME", state)
    };
    let refused = connect(&[]).run();
    assert_eq!(refused.code, 2, "{}", refused.stderr);
    for part in [&servers[0], &servers[1]] {
        assert!(refused.stderr.contains(part), "{}", refused.stderr);
    }
    let (code, stdout, stderr) = signed_in(connect(&["--allow-issuer", &servers[1]]));
    assert_eq!(code, Some(0), "{stderr}");
    // The client is registered there: no options are needed.
    assert_eq!(connect(&[]).run().ok().trim(), stdout.trim());
}
