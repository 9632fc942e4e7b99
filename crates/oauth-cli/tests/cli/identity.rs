//! The identity a command acts for, which never changes without the user's decision.

use std::path::PathBuf;

use crate::common::{Run, RunResult, folder, oauth, visit};
use crate::store::{Home, assert_exit};
use crate::tiny::TinyServer;

#[test]
fn after_a_logout_the_client_token_is_not_used_instead_of_the_login() {
    let home = Home::new("lost-login");
    let url = format!("{}/api/echo", home.base());
    // Without any login so far, the token is the client's.
    let client_token = home.run_profile(&["token"]).ok();
    home.log_in("p");
    let login = home.run_profile(&["token"]).ok();
    assert_ne!(login, client_token);
    home.run_profile(&["logout"]).ok();
    let requests = home.counts().2;
    for command in [
        &["token"][..],
        &["call", &url],
        &["token", "--as", "user"],
        &["refresh"],
        &["introspect"],
    ] {
        let done = home.run_profile(command);
        assert_exit(&done, 2, &["usage.no_login", "oauth login --profile p"]);
        assert_eq!(done.stdout, "");
    }
    assert_eq!(home.counts().2, requests, "the server was not asked");
    // Only `--as client` acts for the client.
    assert_eq!(
        home.run_profile(&["token", "--as", "client"]).ok(),
        client_token
    );
    assert_eq!(
        home.run_profile(&["token", "--grant", "client_credentials"])
            .ok(),
        client_token
    );
    home.run_profile(&["call", &url, "--as", "client"]).ok();
    // A different profile has its own tokens.
    let of_q = ["token", "--profile", "q"];
    assert_eq!(
        home.oauth(&of_q).run().ok(),
        client_token,
        "of the same client"
    );
    home.log_in("p");
    assert_ne!(home.run_profile(&["token"]).ok(), client_token);
}

#[test]
fn a_profile_may_select_the_user_or_the_client() {
    let home = Home::with("as-person", "as = \"person\"");
    assert_exit(&home.run_profile(&["token"]), 2, &["usage.no_login"]);
    home.run_profile(&["token", "--as", "client"]).ok();
    home.log_in("p");
    let login = home.run_profile(&["token"]).ok();

    let home = Home::with("as-client", "as = \"client\"");
    let client_token = home.run_profile(&["token"]).ok();
    home.log_in("p");
    assert_eq!(home.run_profile(&["token"]).ok(), client_token);
    assert_ne!(
        home.run_profile(&["token", "--as", "person"]).ok(),
        client_token
    );
    assert_ne!(login, client_token);
}

#[test]
fn acting_as_a_user_without_a_store_is_refused() {
    let home = Home::new("as-nobody");
    let url = format!("{}/api/echo", home.base());
    for command in [&["token"][..], &["call", &url]] {
        let arguments = [command, &["--as", "user", "--no-store"]].concat();
        assert_exit(&home.run_profile(&arguments), 2, &["usage.no_login"]);
    }
    assert_eq!(home.counts().2, 0);
}

#[test]
fn the_providers_login_is_stored_separately_from_the_clients_own_tokens() {
    let home = Home::of_provider("provider");
    let token = || home.oauth(&["token"]).run();
    let client_token = token().ok();
    assert_eq!(token().ok(), client_token);
    assert_eq!(home.requests(), 1);
    home.log_in("p");
    let login = token().ok();
    assert_ne!(login, client_token);
    let renewed = home.oauth(&["refresh"]).run().ok();
    assert_ne!(renewed, login);
    assert_eq!(token().ok(), renewed);
    let (refreshes, reuses, _) = home.counts();
    assert_eq!((refreshes, reuses), (1, 0));
    home.run_profile(&["revoke"]).ok();
    assert_exit(&token(), 2, &["usage.no_login"]);
    let as_client = home.oauth(&["token", "--as", "client"]).run();
    assert_eq!(as_client.ok(), client_token);
}

#[test]
fn revoke_and_logout_remove_only_the_login_of_their_profile() {
    for command in ["revoke", "logout"] {
        let home = Home::new(command);
        home.log_in("p");
        let mine = home.record();
        home.log_in("q");
        let is_other = |path: &PathBuf| *path != mine;
        let other = home.files("json").into_iter().find(is_other).unwrap();
        let before = std::fs::read(&other).unwrap();
        let done = home.run_profile(&[command]);
        assert_eq!(done.stdout, "revoked: refresh_token, access_token\n");
        assert_exit(&done, 0, &["removed the login of profile `p`"]);
        assert_eq!(home.files("json"), std::slice::from_ref(&other));
        assert_eq!(std::fs::read(&other).unwrap(), before);
        assert_eq!(home.revocations(), 2);
        assert_exit(&home.run_profile(&[command]), 2, &["usage.no_login"]);
    }
}

#[test]
fn client_tokens_can_be_revoked_and_removed() {
    for command in [&["logout", "--client"][..], &["revoke", "--as", "client"]] {
        let home = Home::new(&format!("own-{}", command[0]));
        assert_exit(&home.run_profile(command), 2, &["usage.no_token"]);
        home.log_in("p");
        let login = home.run_profile(&["token"]).ok();
        for scope in ["read", "write"] {
            home.run_profile(&["token", "--as", "client", "--scope", scope])
                .ok();
        }
        assert_eq!(home.files("json").len(), 3);
        let done = home.run_profile(command);
        assert_eq!(done.stdout, "revoked: access_token, access_token\n");
        assert_exit(&done, 0, &["removed the tokens of client `twin-client`"]);
        assert_eq!(home.files("json").len(), 1);
        assert_eq!(home.revocations(), 2);
        assert_eq!(
            home.run_profile(&["token"]).ok(),
            login,
            "the login goes on"
        );
        let status = home.oauth(&["status"]).run().ok();
        assert!(!status.contains("client token"), "{status}");
    }
}

#[test]
fn a_stored_login_is_not_used_for_another_scope() {
    let home = Home::new("scope");
    home.log_in("p");
    home.run_profile(&["token", "--scope", "read"]).ok();
    // The scope of the login, including one that servers do not list as granted.
    home.run_profile(&["token", "--scope", "read offline_access"])
        .ok();
    let done = home.run_profile(&["token", "--scope", "write"]);
    assert_exit(&done, 2, &["usage.scope", "--grant client_credentials"]);
    let copy = home.folder.join("copy.json");
    let done = home.run_profile(&["token", "--save", copy.to_str().unwrap()]);
    assert_exit(&done, 2, &["usage.save"]);
    assert!(!copy.exists());
}

#[test]
fn without_a_store_nothing_is_saved() {
    let home = Home::with("none", "store = \"none\"");
    let first = home.run_profile(&["token"]).ok();
    assert_ne!(home.run_profile(&["token"]).ok(), first);
    let keeps_not = |arguments: &[&str]| {
        let arguments = [arguments, &["--profile", "q", "--no-store"]].concat();
        home.oauth(&arguments)
    };
    keeps_not(&["token"]).run().ok();
    let login = visit(keeps_not(&["login", "--no-browser"]), 1);
    assert_eq!(login.stdout.trim_end().len(), 43, "{}", login.stderr);
    assert_eq!(home.counts().2, 4);
    assert_exit(&home.run_profile(&["refresh"]), 2, &["usage.token"]);
    assert!(!home.folder.join("state").exists());
}

/// A profile of the tiny server, in its own home folder.
struct TinyProfile {
    tiny: TinyServer,
    folder: PathBuf,
}

impl TinyProfile {
    fn new(name: &str) -> Self {
        let (tiny, folder) = (TinyServer::start(), folder(&format!("identity-{name}")));
        let text = format!(
            "[profile.p]\nissuer = \"{}\"\nloopback_http = true\nclient_id = \"app\"\n\
             client_secret_env = \"S\"\n",
            tiny.base
        );
        std::fs::write(folder.join("config.toml"), text).unwrap();
        Self { tiny, folder }
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let config = self.folder.join("config.toml");
        let profile = ["--config", config.to_str().unwrap(), "--profile", "p"];
        let state = self.folder.join("state");
        oauth(&[arguments, &profile].concat())
            .env("XDG_STATE_HOME", state.to_str().unwrap())
            .env("S", "s3cret")
    }

    fn log_in(&self, subject: &str, more: &[&str]) -> RunResult {
        self.tiny.state().subject = subject.to_owned();
        visit(self.run(&[&["login", "--no-browser"], more].concat()), 1)
    }
}

#[test]
fn a_login_as_another_user_requires_the_replace_option() {
    let profile = TinyProfile::new("other");
    let token = || profile.run(&["token"]).run().ok();
    assert_exit(&profile.log_in("alice", &[]), 0, &["saved the login"]);
    assert_exit(&profile.log_in("alice", &[]), 0, &["saved the login"]);
    let token_of_alice = token();
    let refused = profile.log_in("bob", &[]);
    assert_exit(
        &refused,
        2,
        &["usage.other_person", "`alice`", "`bob`", "--replace"],
    );
    assert_eq!(token(), token_of_alice, "the old login is kept");
    assert_eq!(
        profile.tiny.request_count("/revoke"),
        2,
        "and the new one is none"
    );
    assert_exit(
        &profile.log_in("bob", &["--replace"]),
        0,
        &["saved the login"],
    );
    assert_ne!(token(), token_of_alice);
    // After a logout, a login does not replace anyone.
    profile.run(&["logout"]).run().ok();
    assert_exit(&profile.log_in("alice", &[]), 0, &["saved the login"]);
}

/// The server sent an ID token that was not requested, and so not verified.
#[test]
fn an_unverified_id_token_is_not_used_for_userinfo() {
    let profile = TinyProfile::new("unverified");
    assert_exit(&profile.log_in("alice", &[]), 0, &["saved the login"]);
    let done = profile.run(&["userinfo"]).run();
    assert_exit(&done, 2, &["usage.subject", "--subject"]);
}

#[cfg(unix)]
#[test]
fn on_a_terminal_the_user_confirms_the_replacement_of_a_login() {
    use crate::native::Session;
    for (answer, code) in [("y", 0), ("", 2)] {
        let profile = TinyProfile::new(&format!("asked-{code}"));
        profile.log_in("alice", &[]);
        profile.tiny.state().subject = "bob".to_owned();
        let mut session = Session::start(profile.run(&["login", "--no-browser"]));
        let callback = session.callback();
        session.type_line(&callback);
        session.read_until("`? [y/N]");
        session.type_line(answer);
        assert_eq!(session.wait().code, code);
    }
}
