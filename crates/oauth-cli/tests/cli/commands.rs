//! Each command against a plain server.

use crate::common::{SECRET, command_at, folder, oauth, start_twin};
use oauth_testkit::Fault;
use serde_json::Value;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::Stdio;

#[test]
fn the_help_of_each_command_has_an_example() {
    for command in [
        "demo",
        "token",
        "login",
        "call",
        "refresh",
        "revoke",
        "status",
        "introspect",
        "inspect",
        "userinfo",
        "discover",
        "key",
        "serve",
    ] {
        let help = oauth(&[command, "--help"]).run().ok();
        let example = format!("oauth {command}");
        let examples = help
            .lines()
            .skip_while(|line| !line.contains("Example") && !line.ends_with(':'));
        let shown = examples.filter(|line| line.contains("oauth ") && line.contains(command));
        assert!(shown.count() > 0, "{example}: {help}");
    }
    assert!(oauth(&["--help"]).run().ok().contains("Exit codes"));
}

#[test]
fn the_token_is_printed_on_a_single_line() {
    let served = start_twin();
    let token = command_at(&served, &["token"]).run().ok();
    assert_eq!(token.trim_end().len(), 43, "{token}");
    assert_eq!(token.lines().count(), 1);

    let record = command_at(&served, &["token", "--json", "--scope", "read write"])
        .run()
        .json();
    assert_eq!(record["token_type"], "Bearer");
    assert_eq!(record["expires_in"], 3600);
    assert_eq!(record["scope"], "read write");
    assert_eq!(record["refresh_token_present"], false);
    let end = record["expires_at"].as_str().unwrap();
    assert!(
        end.starts_with("20") && end.ends_with('Z') && end.len() == 20,
        "{end}"
    );
}

#[test]
fn the_client_secret_can_come_from_a_file_or_stdin() {
    let served = start_twin();
    let path = folder("secret").join("secret.txt");
    std::fs::write(&path, format!("{SECRET}\n")).unwrap();
    let base = [
        "token",
        "--issuer",
        served.base(),
        "--loopback-http",
        "--client-id",
        "twin-client",
    ];
    for (file, stdin) in [(path.to_str().unwrap(), ""), ("-", SECRET)] {
        let arguments = [&base[..], &["--client-secret-file", file]].concat();
        oauth(&arguments).stdin(stdin).run().ok();
    }
}

#[test]
fn stray_characters_around_a_secret_are_reported_before_anything_is_sent() {
    let served = start_twin();
    for stray in [
        "s3cret ",
        " s3cret",
        "s3cret\t",
        "s3cret\n\n",
        "\u{feff}s3cret",
        " ",
    ] {
        let done = command_at(&served, &["token"])
            .env("TWIN_SECRET", stray)
            .run();
        assert_eq!(done.code, 2, "{stray:?}");
        assert!(
            done.stderr.contains("error[usage.secret]"),
            "{}",
            done.stderr
        );
        assert!(!done.stderr.contains("s3cret"), "{}", done.stderr);
    }
    assert!(served.with(|twin| twin.log().is_empty()));
    // Spaces in a secret are kept, and one trailing line end is removed.
    let own = format!("{SECRET}\r\n");
    command_at(&served, &["token"])
        .env("TWIN_SECRET", &own)
        .run()
        .ok();
}

#[test]
fn a_missing_secret_is_a_usage_error_that_explains_how_to_give_it() {
    let served = start_twin();
    let arguments = [
        "token",
        "--issuer",
        served.base(),
        "--loopback-http",
        "--client-id",
        "a",
    ];
    let done = oauth(&arguments).run();
    assert_eq!(done.code, 2);
    assert!(
        done.stderr.contains("error[usage.secret]"),
        "{}",
        done.stderr
    );
    assert!(
        done.stderr.contains("--client-secret-env"),
        "{}",
        done.stderr
    );
    assert!(done.stdout.is_empty());
    assert!(
        served.with(|twin| twin.log().is_empty()),
        "reported before anything is sent"
    );

    let done = oauth(&[&arguments[..], &["--json"]].concat()).run();
    let record: Value = serde_json::from_str(&done.stderr).unwrap();
    assert_eq!((done.code, &record["code"]), (2, &"usage.secret".into()));
    assert!(
        record["hint"]
            .as_str()
            .unwrap()
            .contains("--client-secret-file")
    );
}

#[test]
fn a_call_prints_the_body_and_fails_on_4xx() {
    let served = start_twin();
    let url = |path| format!("{}{path}", served.base());
    let call = |path, more: &[&str]| {
        let url = url(path);
        command_at(
            &served,
            &[&["call", &url, "--origin", served.base()], more].concat(),
        )
        .run()
    };
    assert!(call("/api/echo", &[]).ok().contains("\"method\":\"GET\""));
    let posted = call(
        "/api/echo",
        &["-d", "{\"a\":1}", "--scope", "write", "-H", "X-A: b"],
    );
    assert!(posted.ok().contains("\"method\":\"POST\""));
    let refused = call("/api/echo", &["-X", "POST"]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stdout.contains("insufficient_scope"),
        "{}",
        refused.stdout
    );
    assert!(
        refused.stderr.contains("error[call.status]"),
        "{}",
        refused.stderr
    );
    let record = call("/api/echo", &["--json"]).json();
    assert_eq!(
        (&record["status"], &record["body"]["scope"]),
        (&200.into(), &"read".into())
    );
    let twice = call("/api/echo", &["-H", "Authorization: Bearer x"]);
    assert!(
        twice.stderr.contains("token.more_than_one_method"),
        "{}",
        twice.stderr
    );
}

#[test]
fn discovery_prints_a_table_or_the_document() {
    let served = start_twin();
    let table = oauth(&["discover", served.base(), "--loopback-http"])
        .run()
        .ok();
    assert!(
        table.contains("token_endpoint") && table.contains("/introspect"),
        "{table}"
    );
    let document = oauth(&["--json", "discover", served.base(), "--loopback-http"])
        .run()
        .json();
    assert_eq!(document["issuer"], served.base());
    let named = ["discover", "--issuer", served.base(), "--loopback-http"];
    assert_eq!(oauth(&named).run().ok(), table);
    let both = [&named[..], &[served.base()]].concat();
    assert_eq!(oauth(&both).run().code, 2, "one of the two");
    let done = oauth(&["discover", served.base()]).run();
    assert_eq!(done.code, 2, "plain http requires an option");
    assert!(done.stderr.contains("--loopback-http"), "{}", done.stderr);
}

#[test]
fn discover_shows_the_authorization_servers_of_an_api() {
    let served = start_twin();
    let base = served.base();
    let discover = |more: &[&str]| {
        let all = [&["discover", "--loopback-http"], more].concat();
        oauth(&all).run()
    };
    let echo = format!("{base}/api/echo");
    let table = discover(&["--resource", &echo]).ok();
    assert!(
        table.contains(&echo) && table.contains("authorization_servers"),
        "{table}"
    );
    let document = discover(&["--json", "--resource", &echo]).json();
    assert_eq!(document["authorization_servers"][0], base);
    // There is no metadata at its own URL, and the metadata at the origin's URL is about the origin.
    let other = format!("{base}/api");
    let refused = discover(&["--resource", &other]);
    assert_eq!(refused.code, 1);
    assert!(
        refused.stderr.contains("error[denied.http_status]"),
        "{}",
        refused.stderr
    );
    let parent = discover(&["--json", "--parent", "--resource", &other]).json();
    assert_eq!(parent["resource"], base);
    served.with(|twin| twin.inject(Fault::OtherResource));
    let refused = discover(&["--resource", &echo]);
    assert!(
        refused.stderr.contains("error[resource_metadata.resource]"),
        "{}",
        refused.stderr
    );
    for arguments in [
        &["--parent"][..],
        &[],
        &["https://as.example", "--resource", &echo],
    ] {
        assert_eq!(discover(arguments).code, 2, "{arguments:?}");
    }
}

#[test]
fn exit_codes_distinguish_usage_errors_from_failures() {
    let served = start_twin();
    assert_eq!(oauth(&["token"]).run().code, 2);
    assert_eq!(oauth(&["--nonsense"]).run().code, 2);
    assert_eq!(
        oauth(&["token", "--provider", "gogle", "--client-id", "a"])
            .run()
            .code,
        2
    );
    assert_eq!(
        command_at(&served, &["token", "--scope", "unknown"])
            .run()
            .code,
        1
    );
    let wrong = command_at(&served, &["token", "--json"])
        .env("TWIN_SECRET", "wrong")
        .run();
    let record: Value = serde_json::from_str(&wrong.stderr).unwrap();
    assert_eq!(
        (wrong.code, &record["code"]),
        (1, &"denied.invalid_client".into())
    );
    assert_eq!(record["status"], 401);
    let base = served.base().to_owned();
    drop(served);
    let gone = oauth(&["discover", &base, "--loopback-http"]).run();
    assert_eq!(gone.code, 1);
    assert!(
        gone.stderr.contains("error[lost.connect]"),
        "{}",
        gone.stderr
    );
    let arguments = oauth(&["call", "--json"]).run();
    let record: Value = serde_json::from_str(&arguments.stderr).unwrap();
    assert_eq!(
        (arguments.code, &record["code"]),
        (2, &"usage.arguments".into())
    );
}

/// Only pages of the origin in `--cors` may read the replies, and have a redirect URI.
#[test]
fn serve_with_cors_permits_only_the_given_origin() {
    let page = "http://127.0.0.1:5173";
    let mut run = oauth(&["serve", "--cors", page, "--json"]);
    let mut server = run.command.stdin(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let output: Value = serde_json::from_str(&line).unwrap();
    let redirect_uris = output["redirect_uris"].as_array().unwrap();
    assert!(redirect_uris.contains(&format!("{page}/callback").into()));
    let host = output["base"]
        .as_str()
        .unwrap()
        .trim_start_matches("http://");
    let allowed = |origin: &str| {
        let mut stream = TcpStream::connect(host).unwrap();
        let path = "/.well-known/oauth-authorization-server";
        let head = format!("Host: {host}\r\nOrigin: {origin}\r\nConnection: close");
        write!(stream, "GET {path} HTTP/1.1\r\n{head}\r\n\r\n").unwrap();
        let mut reply = String::new();
        stream.read_to_string(&mut reply).unwrap();
        reply
            .to_lowercase()
            .contains(&format!("access-control-allow-origin: {page}\r\n"))
    };
    let (ours, others) = (allowed(page), allowed("http://127.0.0.1:5174"));
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!((ours, others), (true, false));

    let path = oauth(&["serve", "--cors", &format!("{page}/callback")]).run();
    assert_eq!(path.code, 2);
    assert!(path.stderr.contains("an origin has no path"));
}

/// With `--dpop` the printed commands create a key, and get a token bound to it.
#[test]
fn serve_with_dpop_binds_tokens_to_keys() {
    let mut run = oauth(&["serve", "--dpop", "--json"]);
    let mut server = run.command.stdin(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    let output: Value = serde_json::from_str(&line).unwrap();
    let folder = folder("serve-dpop");
    let command = output["commands"].as_array().unwrap().iter();
    let script: Vec<_> = command.map(|line| line.as_str().unwrap()).collect();
    let script = script
        .join("\n")
        .replace("oauth token", "oauth token --json");
    let own = std::path::Path::new(env!("CARGO_BIN_EXE_oauth"));
    let path = format!("{}:/usr/bin:/bin", own.parent().unwrap().display());
    let done = std::process::Command::new("/bin/sh")
        .args(["-c", &script])
        .current_dir(&folder)
        .env_clear()
        .env("PATH", path)
        .output()
        .unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let output = String::from_utf8_lossy(&done.stdout);
    assert!(output.contains("\"token_type\":\"DPoP\""), "{done:?}");

    let other = oauth(&["serve", "--dpop", "--system", "socios"]).run();
    assert_eq!(other.code, 2);
    assert!(other.stderr.contains("for the generic server only"));
}

/// `oauth serve --web` prints the environment of an application to which users can sign in.
#[test]
fn serve_with_web_prints_the_environment_of_a_web_application() {
    let web = "http://127.0.0.1:8000";
    let other = "http://127.0.0.1:9000/back";
    let mut run = oauth(&[
        "serve",
        "--web",
        &format!("{web}/"),
        "--redirect-uri",
        other,
        "--json",
    ]);
    let mut server = run.command.stdin(Stdio::null()).spawn().unwrap();
    let mut line = String::new();
    let mut stdout = BufReader::new(server.stdout.take().unwrap());
    stdout.read_line(&mut line).unwrap();
    server.kill().unwrap();
    server.wait().unwrap();
    let output: Value = serde_json::from_str(&line).unwrap();
    let redirect_uris = output["redirect_uris"].as_array().unwrap();
    assert!(redirect_uris.contains(&format!("{web}/auth/callback").into()));
    assert!(redirect_uris.contains(&other.into()));
    let environment = &output["environment"];
    assert_eq!(environment["OAUTH_BASE_URL"], web);
    assert_eq!(environment["OAUTH_ISSUER"], output["issuer"]);
    assert_eq!(environment["OAUTH_CLIENT_SECRET"], output["client_secret"]);
    let key = oauth_core::Secret::new(environment["OAUTH_KEY"].as_str().unwrap().to_owned());
    assert!(oauth_seal::Keys::parse(&key).is_ok());
}

#[test]
fn the_issuer_is_discovered_from_the_identifier_of_a_user() {
    let served = start_twin();
    let base = served.base();
    let typed = format!("{base}/alice");
    let discover = |typed: &str, more: &[&str]| {
        let all = [
            &["discover", "--loopback-http", "--identifier", typed],
            more,
        ]
        .concat();
        oauth(&all).run()
    };
    let table = discover(&typed, &[]).ok();
    assert!(table.contains("issuer") && table.contains(base), "{table}");
    let document = discover(&typed, &["--json"]).json();
    assert_eq!(document["issuer"], base);
    for (typed, refused) in [
        (format!("{base}/bob"), "error[webfinger.subject]"),
        (
            "mailto:alice@example.com".to_owned(),
            "error[webfinger.identifier]",
        ),
    ] {
        let done = discover(&typed, &[]);
        assert_ne!(done.code, 0);
        assert!(done.stderr.contains(refused), "{}", done.stderr);
    }
}

#[test]
fn served_users_without_a_valid_subject_are_refused() {
    for wrong in ["name=Ann", "ann", "sub=ann,sub=bob"] {
        let refused = oauth(&["serve", "--user", wrong]).run();
        assert_eq!(refused.code, 2, "{wrong}");
    }
    let file = folder("serve-users").join("users.json");
    let path = file.to_str().unwrap();
    for wrong in ["{}", r#"[{"name": "Ann"}]"#, "[1]"] {
        std::fs::write(&file, wrong).unwrap();
        let refused = oauth(&["serve", "--users", path]).run();
        assert!(refused.stderr.contains("usage.users"), "{}", refused.stderr);
    }
}
