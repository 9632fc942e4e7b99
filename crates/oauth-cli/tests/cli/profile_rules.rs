//! `--profile-rules`: what a security profile turns on, and what it refuses.

use serde_json::json;

use crate::common::{folder, oauth, visit};
use crate::store::assert_exit;
use crate::tiny::TinyServer;

#[test]
fn requests_that_a_security_profile_forbids_are_refused_with_the_clause() {
    let tiny = TinyServer::start();
    for (rules, clause) in [
        ("fapi2_security", "FAPI 2.0 Security Profile section"),
        ("fapi2_message_signing", "FAPI 2.0 Security Profile section"),
    ] {
        let done = tiny.run(&["token", "--profile-rules", rules]).run();
        assert_exit(&done, 2, &["profile.forbidden", clause]);
    }
    assert_eq!(tiny.request_count("/token"), 0);
    tiny.run(&["token", "--profile-rules", "oauth21"])
        .run()
        .ok();
    let unknown = tiny.run(&["token", "--profile-rules", "fapi"]).run();
    assert_exit(&unknown, 2, &["fapi2_security", "oauth21"]);
}

#[test]
fn profile_rules_in_the_config_file_apply() {
    let tiny = TinyServer::start();
    tiny.state().metadata = json!({
        "pushed_authorization_request_endpoint": format!("{}/par", tiny.base),
        "code_challenge_methods_supported": ["S256"],
    });
    let folder = folder("rules");
    let config = folder.join("config.toml");
    let login = |more: &str| {
        let text = format!(
            "[profile.p]\nissuer = \"{}\"\nloopback_http = true\nclient_id = \"app\"\n\
             client_secret_env = \"S\"\nstore = \"none\"\n{more}\n",
            tiny.base
        );
        std::fs::write(&config, text).unwrap();
        let command = [
            "login",
            "--no-browser",
            "--config",
            config.to_str().unwrap(),
        ];
        let run = oauth(&[&command[..], &["--profile", "p"]].concat()).env("S", "s3cret");
        visit(run, 1).ok()
    };
    login("");
    assert_eq!(tiny.request_count("/par"), 0);
    login("profile_rules = \"oauth21\"");
    assert_eq!(tiny.request_count("/par"), 1);
}
