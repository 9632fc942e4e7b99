//! Parameters of token requests: resources, audiences, and a provider's own.

use std::path::PathBuf;

use crate::common::{Run, folder, oauth, visit};
use crate::store::assert_exit;
use crate::tiny::TinyServer;
use oauth_testkit::Twin;

/// A profile of the tiny server, with additional lines.
struct Home {
    tiny: TinyServer,
    folder: PathBuf,
}

impl Home {
    fn new(name: &str, more: &str) -> Self {
        let (tiny, folder) = (TinyServer::start(), folder(&format!("asked-{name}")));
        let home = Self { tiny, folder };
        home.write(more);
        home
    }

    fn write(&self, more: &str) {
        let text = format!(
            "[profile.p]\nissuer = \"{}\"\nloopback_http = true\nclient_id = \"app\"\n\
             client_secret_env = \"S\"\n{more}\n",
            self.tiny.base
        );
        std::fs::write(self.folder.join("config.toml"), text).unwrap();
    }

    fn run(&self, arguments: &[&str]) -> Run {
        let config = self.folder.join("config.toml");
        let profile = ["--config", config.to_str().unwrap(), "--profile", "p"];
        let state = self.folder.join("state");
        oauth(&[arguments, &profile].concat())
            .env("XDG_STATE_HOME", state.to_str().unwrap())
            .env("S", "s3cret")
    }

    /// The parameters of the last token request beyond its grant.
    fn sent_parameters(&self) -> String {
        let state = self.tiny.state();
        let mut bodies = state.log.iter().rev();
        let (_, body) = bodies.find(|(path, _)| path == "/token").unwrap();
        let of_grant = [
            "grant_type",
            "client_id",
            "client_secret",
            "code",
            "code_verifier",
            "redirect_uri",
            "refresh_token",
            "scope",
        ];
        let pairs = body.split('&').filter(|pair| {
            let name = pair.split('=').next().unwrap();
            !of_grant.contains(&name)
        });
        pairs.collect::<Vec<_>>().join("&")
    }
}

const PROFILE_PARAMETERS: &str = "resource = [\"https://a.example/\", \"urn:b\"]\naudience = [\"c\"]\n\
    token_parameters = { expiring = \"1\", tag = [\"x\", \"y\"] }";

const SENT_PARAMETERS: &str =
    "resource=https%3A%2F%2Fa.example%2F&resource=urn%3Ab&audience=c&expiring=1&tag=x&tag=y";

#[test]
fn token_parameters_come_from_the_profile_or_the_command_line() {
    let home = Home::new("own", PROFILE_PARAMETERS);
    let profile_token = home.run(&["token"]).run().ok();
    assert_eq!(home.sent_parameters(), SENT_PARAMETERS);
    // The parameters identify the grant: different ones do not get a stored token.
    let request_options = [
        "token",
        "--resource",
        "urn:d",
        "--audience",
        "e",
        "--token-param",
        "f=g",
    ];
    let command_line_token = home.run(&request_options).run().ok();
    assert_eq!(home.sent_parameters(), "resource=urn%3Ad&audience=e&f=g");
    assert_ne!(profile_token, command_line_token);
    let request_count = home.tiny.request_count("/token");
    assert_eq!(home.run(&["token"]).run().ok(), profile_token);
    assert_eq!(home.run(&request_options).run().ok(), command_line_token);
    let in_another_order = [
        "token",
        "--audience",
        "e",
        "--token-param",
        "f=g",
        "--resource",
        "urn:d",
    ];
    assert_eq!(home.run(&in_another_order).run().ok(), command_line_token);
    assert_eq!(home.tiny.request_count("/token"), request_count);
    // They are sent without a store, too.
    home.run(&[&request_options[..], &["--no-store"]].concat())
        .run()
        .ok();
    assert_eq!(home.sent_parameters(), "resource=urn%3Ad&audience=e&f=g");
    // All of them are the client's own tokens, which `logout --client` removes.
    home.run(&["logout", "--client"]).run().ok();
    assert_ne!(home.run(&request_options).run().ok(), command_line_token);
}

#[test]
fn a_login_and_its_renewals_send_the_same_token_parameters() {
    let home = Home::new("login", PROFILE_PARAMETERS);
    let login = visit(home.run(&["login", "--no-browser"]), 1);
    assert_exit(&login, 0, &["saved the login"]);
    assert!(
        login
            .stderr
            .contains("resource=https%3A%2F%2Fa.example%2F&resource=urn%3Ab")
    );
    assert!(login.stderr.contains("audience=c"), "{}", login.stderr);
    assert!(!login.stderr.contains("expiring=1"), "{}", login.stderr);
    assert_eq!(home.sent_parameters(), SENT_PARAMETERS);
    home.run(&["refresh"]).run().ok();
    assert_eq!(home.sent_parameters(), SENT_PARAMETERS);
    // A caller that needs a token for a different resource gets none.
    home.write("resource = [\"urn:other\"]");
    assert_exit(&home.run(&["token"]).run(), 2, &["usage.no_login"]);
    home.write(PROFILE_PARAMETERS);
    home.run(&["token"]).run().ok();
}

#[test]
fn invalid_token_requests_are_reported_before_anything_is_sent() {
    let home = Home::new("wrong", "");
    for (arguments, code) in [
        (["--token-param", "grant_type=x"], "form.reserved_parameter"),
        (
            ["--token-param", "client_secret=x"],
            "form.reserved_parameter",
        ),
        (["--resource", "no uri"], "resource.syntax"),
        (["--resource", "https://a.example/#part"], "resource.syntax"),
    ] {
        let done = home.run(&[&["token"][..], &arguments].concat()).run();
        assert_exit(&done, 2, &[code]);
    }
    assert_eq!(home.tiny.request_count("/token"), 0);
    home.write("token_parameters = { scope = \"x\" }");
    assert_exit(&home.run(&["token"]).run(), 2, &["form.reserved_parameter"]);
}

#[test]
fn min_valid_renews_a_token_once_and_fails_if_no_token_lasts_long_enough() {
    let home = crate::store::Home::new("min-valid");
    let token = |more: &[&str]| {
        let command = [&["--profile", "p", "token", "--as", "client"], more].concat();
        home.oauth(&command).run()
    };
    let requests = || home.served.with(|twin| twin.counters().token_requests);
    home.served.with(|twin| twin.set_access_token_lifetime(600));
    let first = token(&[]).ok();
    assert_eq!(token(&["--min-valid", "60"]).ok(), first);
    assert_eq!(requests(), 1);

    home.served
        .with(|twin| twin.set_access_token_lifetime(7200));
    // By its known lifetime, a new token would expire too soon as well.
    let short = token(&["--min-valid", "3600"]);
    assert_eq!((short.code, short.stdout.as_str()), (1, ""));
    assert!(
        short.stderr.contains("error[token.short_lived]"),
        "{}",
        short.stderr
    );
    assert_eq!(requests(), 1);

    let second = token(&["--renew"]).ok();
    assert_ne!(second, first);
    home.age_by(60);
    assert_eq!(token(&["--min-valid", "3600"]).ok(), second);
    assert_eq!(requests(), 2);
    let both = token(&["--min-valid", "1", "--renew"]);
    assert_eq!(both.code, 2, "{}", both.stderr);

    // The expiration of this token is unknown.
    home.served.with(Twin::hide_access_token_lifetime);
    let third = token(&["--renew"]).ok();
    assert_eq!(token(&["--min-valid", "86400"]).ok(), third);
}

#[test]
fn a_stored_token_that_expires_too_soon_is_replaced() {
    let home = crate::store::Home::new("min-valid-left");
    let token = |more: &[&str]| {
        let command = [&["--profile", "p", "token", "--as", "client"], more].concat();
        home.oauth(&command).run().ok()
    };
    home.served
        .with(|twin| twin.set_access_token_lifetime(3600));
    let first = token(&[]);
    home.age_by(1800);
    assert_eq!(token(&["--min-valid", "1700"]), first);
    let second = token(&["--min-valid", "1900"]);
    assert_ne!(second, first);
    assert_eq!(token(&["--min-valid", "1900"]), second);
    assert_eq!(home.served.with(|twin| twin.counters().token_requests), 2);
}

#[test]
fn tokens_of_one_client_are_distinguished_by_api() {
    let home = Home::new("status", "");
    let one = "https://one.example/";
    home.run(&["token", "--resource", one]).run().ok();
    home.run(&["token", "--audience", "two"]).run().ok();
    let output = home.run(&["status"]).run().ok();
    for target in ["resource https://one.example/", "audience two"] {
        let line = output
            .lines()
            .filter(|line| line.contains(&format!(", {target},")));
        assert_eq!(line.count(), 1, "{output}");
    }
    let output = home.run(&["status", "--json"]).run().json();
    let grants = output["grants"].as_array().unwrap();
    assert!(
        grants
            .iter()
            .any(|grant| grant["resource"] == serde_json::json!([one])),
        "{output}"
    );
}
