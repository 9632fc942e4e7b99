//! `oauth credential`: git and docker get a profile's token only for that profile's hosts.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use oauth_testkit::Twin;
use serde_json::json;

use crate::common::{RunResult, oauth};
use crate::store::{Home, assert_exit};

/// Git's description of a host.
fn git_request(url: &str) -> String {
    let (protocol, host) = url.split_once("://").unwrap();
    format!("protocol={protocol}\nhost={host}\n")
}

fn git(home: &Home, operation: &str, request: &str) -> RunResult {
    let command = ["--profile", "p", "credential", "git", operation];
    home.oauth(&command).stdin(request).run()
}

fn docker(home: &Home, operation: &str, request: &str) -> RunResult {
    let command = ["--profile", "p", "credential", "docker", operation];
    home.oauth(&command).stdin(request).run()
}

fn answer_for<'a>(answer: &'a str, name: &str) -> Option<&'a str> {
    let mut lines = answer.lines().filter_map(|line| line.split_once('='));
    lines.find_map(|(found, value)| (found == name).then_some(value))
}

#[test]
fn git_get_returns_the_token_and_its_expiration_for_the_profiles_host() {
    let home = Home::new("git-get");
    let token = home.run_profile(&["token"]).ok();
    let answer = git(&home, "get", &git_request(home.base())).ok();
    assert_eq!(answer_for(&answer, "password"), Some(token.trim()));
    assert_eq!(answer_for(&answer, "username"), Some("oauth2"));
    let end: u64 = answer_for(&answer, "password_expiry_utc")
        .unwrap()
        .parse()
        .unwrap();
    let now = oauth_core::Moment::system().unwrap().now().as_secs();
    assert!(end > now && end < now + 100_000, "{end}");
    // Git gets the user it asks for; attributes unknown to git are left out.
    let query = git_request(home.base())
        + "username=anna\nwwwauth[]=Basic realm=x\ncapability[]=authtype\n\nhost=evil\n";
    let answer = git(&home, "get", &query).ok();
    assert_eq!(answer_for(&answer, "username"), Some("anna"));
    assert_eq!(answer_for(&answer, "password"), Some(token.trim()));
    home.served.with(Twin::hide_access_token_lifetime);
    home.run_profile(&["token", "--renew"]).ok();
    assert_eq!(
        answer_for(
            &git(&home, "get", &git_request(home.base())).ok(),
            "password_expiry_utc"
        ),
        None
    );
}

#[test]
fn other_hosts_get_no_token() {
    let home = Home::new("helper-other");
    let port = home.base().rsplit_once(':').unwrap().1;
    for url in [
        "https://evil.example".to_owned(),
        // A different scheme, port, or name of the same machine, and a host with the same prefix.
        home.base().replace("http://", "https://"),
        "http://127.0.0.1:1".to_owned(),
        format!("http://localhost:{port}"),
        format!("http://127.0.0.1.evil.example:{port}"),
        format!("{}@evil.example", home.base()),
        format!("{}\0", home.base()),
        "ssh://127.0.0.1".to_owned(),
        "cert://".to_owned(),
    ] {
        let done = git(&home, "get", &git_request(&url));
        assert_eq!(
            (done.code, done.stdout.as_str()),
            (0, ""),
            "{url}: {}",
            done.stderr
        );
        let done = docker(&home, "get", &url);
        let words = "credentials not found in native keychain\n";
        assert_eq!((done.code, done.stdout.as_str()), (1, words), "{url}");
        assert_eq!(done.stderr, "");
    }
    assert_eq!(home.requests(), 0);
    let long = format!(
        "{}padding={}\n",
        git_request(home.base()),
        "a".repeat(70_000)
    );
    assert_exit(
        &git(&home, "get", &long),
        2,
        &["error[usage.credential_request]"],
    );
    assert_eq!(home.requests(), 0);
}

#[test]
fn a_token_erased_by_git_is_renewed_once_and_git_stores_nothing() {
    let home = Home::new("git-erase");
    home.log_in("p");
    let first = git(&home, "get", &git_request(home.base())).ok();
    git(
        &home,
        "store",
        &format!("{}{first}", git_request(home.base())),
    )
    .ok();
    let refresh = || home.counts().0;
    assert_eq!(refresh(), 0);
    // Credentials of other helpers are ignored.
    git(
        &home,
        "erase",
        &format!("{}password=other\n", git_request(home.base())),
    )
    .ok();
    git(
        &home,
        "erase",
        &format!("{}{first}", git_request("https://evil.example")),
    )
    .ok();
    git(&home, "erase", &git_request(home.base())).ok();
    assert_eq!(refresh(), 0);
    for _ in 0..2 {
        git(
            &home,
            "erase",
            &format!("{}{first}", git_request(home.base())),
        )
        .ok();
        assert_eq!(refresh(), 1);
    }
    let second = git(&home, "get", &git_request(home.base())).ok();
    assert_ne!(
        answer_for(&second, "password"),
        answer_for(&first, "password")
    );
    // Operations that git may add in the future.
    assert_eq!(git(&home, "capability", "").ok(), "");
}

#[test]
fn the_profile_is_selected_by_its_origins() {
    let home = Home::new("helper-which");
    let config = home.folder.join("config.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let send = |more: &[&str]| {
        let command = [more, &["credential", "git", "get"]].concat();
        home.oauth(&command).stdin(&git_request(home.base())).run()
    };
    // Both profiles have the host.
    assert_exit(&send(&[]), 2, &["error[usage.credential_profile]", "p, q"]);
    home.oauth(&["--profile", "q", "credential", "git", "get"])
        .stdin(&git_request(home.base()))
        .run()
        .ok();
    std::fs::write(&config, format!("default_profile = \"q\"\n{text}")).unwrap();
    assert!(answer_for(&send(&[]).ok(), "password").is_some());
    // A broken profile only matters if it is selected.
    let one = text.split("[profile.q]").next().unwrap().to_owned();
    let broken = "[profile.x]\nprovider = \"nobody\"\n";
    std::fs::write(
        &config,
        format!("{one}credential_username = \"anna\"\n{broken}"),
    )
    .unwrap();
    assert_eq!(answer_for(&send(&[]).ok(), "username"), Some("anna"));
    let output = home.oauth(&["credential", "git", "--username", "x-token-auth", "get"]);
    let output = output.stdin(&git_request(home.base())).run().ok();
    assert_eq!(answer_for(&output, "username"), Some("x-token-auth"));
    assert_exit(&send(&["--profile", "x"]), 2, &["error[provider.unknown]"]);
    // Without profiles there are no credentials.
    let none = oauth(&["credential", "git", "get"])
        .stdin(&git_request(home.base()))
        .run();
    assert_eq!(none.ok(), "");
}

#[test]
fn after_a_logout_git_and_docker_get_an_error_and_no_credential() {
    let home = Home::new("helper-out");
    home.log_in("p");
    home.run_profile(&["logout"]).ok();
    let done = git(&home, "get", &git_request(home.base()));
    assert_exit(
        &done,
        2,
        &["error[usage.no_login]", "oauth login --profile p"],
    );
    assert_eq!(done.stdout, "");
    let done = docker(&home, "get", home.base());
    assert_eq!((done.code, done.stderr.as_str()), (1, ""));
    assert!(
        done.stdout.contains("usage.no_login") && done.stdout.lines().count() == 1,
        "{}",
        done.stdout
    );
}

#[test]
fn docker_receives_json_and_is_referred_to_login_and_logout() {
    let home = Home::with("docker", "credential_username = \"oauth2accesstoken\"");
    let token = home.run_profile(&["token"]).ok();
    let host = home.base().strip_prefix("http://").unwrap().to_owned();
    for server in [home.base().to_owned(), format!("{}/v2/", home.base()), host] {
        let output = docker(&home, "get", &format!("{server}\n")).json();
        let expected =
            json!({ "ServerURL": server, "Username": "oauth2accesstoken", "Secret": token.trim() });
        assert_eq!(output, expected);
    }
    let listed = docker(&home, "list", "").json();
    assert_eq!(listed, json!({ home.base(): "oauth2accesstoken" }));
    let password =
        json!({ "ServerURL": home.base(), "Username": "a", "Secret": "S3CR3T" }).to_string();
    for (operation, request, words) in [
        ("store", password.as_str(), "oauth login"),
        ("erase", home.base(), "oauth logout"),
    ] {
        let done = docker(&home, operation, request);
        assert_eq!((done.code, done.stderr.as_str()), (1, ""));
        assert!(
            done.stdout.contains(words) && !done.stdout.contains("S3CR3T"),
            "{}",
            done.stdout
        );
    }
    home.run_profile(&["token"]).ok();
}

/// The environment of a helper that git or docker starts.
fn set_environment(command: &mut Command, home: &Home, path: &Path) {
    command
        .env_clear()
        .env("HOME", &home.folder)
        .env("PATH", format!("{}:/usr/bin:/bin", path.display()))
        .env("OAUTH_CONFIG", home.folder.join("config.toml"))
        .env("OAUTH_PROFILE", "p")
        .env("XDG_STATE_HOME", home.folder.join("state"))
        .env("TWIN_SECRET", crate::common::SECRET);
}

fn program_folder() -> PathBuf {
    let program = PathBuf::from(env!("CARGO_BIN_EXE_oauth"));
    program.parent().unwrap().to_owned()
}

#[cfg(unix)]
#[test]
fn git_gets_the_token_and_a_rejected_one_is_replaced() {
    let home = Home::new("git-itself");
    home.log_in("p");
    let run = |operation: &str, request: &str| {
        let mut command = Command::new("git");
        set_environment(&mut command, &home, &program_folder());
        command
            .args([
                "-c",
                "credential.helper=",
                "-c",
                "credential.helper=!oauth credential git",
            ])
            .args(["credential", operation])
            .env("GIT_TERMINAL_PROMPT", "0")
            .current_dir(&home.folder);
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), request.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    };
    let filled = run("fill", &git_request(home.base()));
    let filled = String::from_utf8(filled.stdout).unwrap();
    assert_eq!(answer_for(&filled, "username"), Some("oauth2"));
    let token = home.run_profile(&["token"]).ok();
    assert_eq!(answer_for(&filled, "password"), Some(token.trim()));
    assert!(run("approve", &filled).status.success());
    assert!(run("reject", &filled).status.success());
    assert_eq!(home.counts().0, 1);
    let again = String::from_utf8(run("fill", &git_request(home.base())).stdout).unwrap();
    assert_ne!(
        answer_for(&again, "password"),
        answer_for(&filled, "password")
    );
    let other = run("fill", &git_request("https://other.example"));
    assert!(!other.status.success() && other.stdout.is_empty());
}

/// Docker calls the helper by its own name for it, with only the operation as argument.
#[cfg(unix)]
#[test]
fn a_symlink_named_docker_credential_oauth_speaks_the_docker_protocol() {
    let home = Home::new("docker-link");
    let link = home.folder.join("docker-credential-oauth");
    std::os::unix::fs::symlink(env!("CARGO_BIN_EXE_oauth"), &link).unwrap();
    let mut command = Command::new(&link);
    set_environment(&mut command, &home, &home.folder);
    let mut child = command
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), home.base().as_bytes()).unwrap();
    let done = child.wait_with_output().unwrap();
    let output: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        output["Secret"].as_str(),
        Some(home.run_profile(&["token"]).ok().trim())
    );
}
