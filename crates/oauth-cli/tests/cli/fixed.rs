//! Tokens created by hand, and waiting for rate limits.

use oauth_core::Moment;
use oauth_testkit::{Served, Twin};

use crate::common::{Run, folder, oauth, start_twin};

fn console_token(served: &Served) -> String {
    let now = Moment::system().unwrap().now();
    served.with(|twin| twin.console_token(now))
}

/// `oauth call` against a UserVoice twin.
fn call(served: &Served, more: &[&str]) -> Run {
    let url = format!("{}/api/v2/admin/suggestions", served.base());
    let server = ["--provider", "uservoice", "--var", "subdomain=acme"];
    let loopback_options = ["--on-loopback", served.base()];
    oauth(
        &[
            &["call", url.as_str()][..],
            &server,
            &loopback_options,
            more,
        ]
        .concat(),
    )
}

#[test]
fn a_fixed_token_is_read_from_a_variable_a_file_or_stdin() {
    let served = Served::start(Twin::uservoice).unwrap();
    let token = console_token(&served);
    let by_env = call(&served, &["--token-env", "T"]).env("T", &token);
    assert!(by_env.run().ok().contains("suggestions"));

    let path = folder("fixed-file").join("token");
    std::fs::write(&path, format!("{token}\n")).unwrap();
    let by_file = call(&served, &["--token-file", path.to_str().unwrap()]);
    assert!(by_file.run().ok().contains("suggestions"));

    let by_stdin = call(&served, &["--token-file", "-"]).stdin(&token);
    assert!(by_stdin.run().ok().contains("suggestions"));
    assert_eq!(served.with(|twin| twin.counters().token_requests), 0);
}

#[test]
fn a_revoked_fixed_token_is_reported_with_the_advice_to_create_a_new_one() {
    let served = Served::start(Twin::uservoice).unwrap();
    let token = console_token(&served);
    served.with(Twin::revoke_all);
    let done = call(&served, &["--token-env", "T"]).env("T", &token).run();
    assert_eq!(done.code, 1);
    assert!(done.stderr.contains("[grant.revoked]"), "{}", done.stderr);
    assert!(
        done.stderr.contains("create a new token"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains(&token), "{}", done.stderr);
    let counters = served.with(|twin| twin.counters());
    assert_eq!((counters.api_calls, counters.token_requests), (1, 0));

    let unset = call(&served, &["--token-env", "T"]).run();
    assert_eq!(unset.code, 2);
    assert!(unset.stderr.contains("T is not set"), "{}", unset.stderr);
}

#[test]
fn a_profile_may_have_a_fixed_token() {
    let served = Served::start(Twin::uservoice).unwrap();
    let token = console_token(&served);
    let folder = folder("fixed-profile");
    let config = folder.join("config.toml");
    std::fs::write(folder.join("token"), &token).unwrap();
    let text = format!(
        "[profile.uv]\nprovider = \"uservoice\"\nvariables = {{ subdomain = \"acme\" }}\n\
         on_loopback = \"{}\"\ntoken_file = \"token\"\n",
        served.base()
    );
    std::fs::write(&config, text).unwrap();
    let with = |arguments: &[&str]| {
        let profile = ["--config", config.to_str().unwrap(), "--profile", "uv"];
        oauth(&[&profile[..], arguments].concat()).run()
    };
    assert_eq!(with(&["token"]).ok().trim_end(), token);
    let url = format!("{}/api/v2/admin/suggestions", served.base());
    assert!(with(&["call", &url]).ok().contains("suggestions"));
    let elsewhere = with(&["call", "https://evil.example/"]);
    assert!(elsewhere.stderr.contains("resource.origin_not_allowed"));
    for command in ["login", "refresh", "revoke"] {
        let done = with(&[command]);
        assert_eq!(done.code, 2, "{command}");
        let stderr = done.stderr;
        assert!(
            stderr.contains("[usage.fixed_token]"),
            "{command}: {stderr}"
        );
    }
}

#[test]
fn a_rate_limit_is_reported_or_waited_for() {
    let served = start_twin();
    let token = console_token(&served);
    served.with(|twin| {
        twin.set_rate_limit(1);
        twin.set_rate_window(1);
    });
    let call = |more: &[&str]| {
        let url = format!("{}/api/echo", served.base());
        let options = [
            "--loopback-http",
            "--origin",
            served.base(),
            "--token-env",
            "T",
        ];
        oauth(&[&["call", url.as_str()][..], &options, more].concat()).env("T", &token)
    };
    call(&["--wait"]).run().ok();
    let waited = call(&["--wait=20"]).run();
    let output = waited
        .stderr
        .contains("rate limited by the API: retrying in");
    // By the twin's clock the window may have ended in between.
    let is_limited = served.with(|twin| twin.counters().api_429) > 0;
    assert_eq!(output, is_limited, "{}", waited.stderr);
    waited.ok();

    // The call of this window has been made.
    served.with(|twin| twin.set_rate_window(3600));
    let refused = call(&["--wait=1"]).run();
    assert_eq!(refused.code, 1);
    let code = "[resource.rate_limited]";
    assert!(refused.stderr.contains(code), "{}", refused.stderr);
    let handed_back = call(&[]).run();
    assert!(handed_back.stderr.contains("--wait does so automatically"));
    assert!(!handed_back.stdout.is_empty(), "the body is printed");
}
