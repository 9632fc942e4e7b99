//! `--dpop-key`, against a FAPI 2.0 server.

use oauth_testkit::twin::DpopNonces;
use oauth_testkit::{Served, Twin};

use crate::common::{folder, oauth, visit};
use crate::store::assert_exit;

/// A bank, and a folder with the keys of its client and a profile that names them.
struct Bank {
    served: Served,
    folder: std::path::PathBuf,
}

impl Bank {
    fn new(name: &str, rules: &str) -> Self {
        let served = Served::start(Twin::fapi).unwrap();
        served.with(|twin| twin.set_dpop_nonces(DpopNonces::Once));
        let folder = folder(name);
        let key = served.with(|twin| twin.client_key());
        std::fs::write(folder.join("client.jwk"), key).unwrap();
        let bank = Self { served, folder };
        bank.make_key("dpop.pem");
        bank.write("dpop.pem", rules);
        bank
    }

    fn make_key(&self, name: &str) {
        let path = self.folder.join(name);
        let path = path.to_str().unwrap();
        oauth(&["key", "new", "--alg", "ES256", "--output", path])
            .run()
            .ok();
    }

    fn write(&self, dpop: &str, rules: &str) {
        let base = self.served.base();
        let text = format!(
            "[profile.bank]\nissuer = \"{base}\"\nloopback_http = true\nclient_id = \"twin-client\"\n\
             client_key_file = \"client.jwk\"\ndpop_key_file = \"{dpop}\"\nprofile_rules = \"{rules}\"\n\
             origins = [\"{base}\"]\nscope = \"openid read\"\nstore = \"file\"\n"
        );
        std::fs::write(self.folder.join("config.toml"), text).unwrap();
    }

    fn run(&self, command: &[&str]) -> crate::common::Run {
        let config = self.folder.join("config.toml");
        let global = ["--config", config.to_str().unwrap(), "--profile", "bank"];
        oauth(&[command, &global].concat()).env("XDG_STATE_HOME", self.folder.to_str().unwrap())
    }

    fn call(&self) -> crate::common::Run {
        let url = format!("{}/api/echo", self.served.base());
        self.run(&["call", &url])
    }
}

#[test]
fn a_login_is_bound_to_the_dpop_key_of_the_profile() {
    for (name, rules) in [
        ("dpop-security", "fapi2_security"),
        ("dpop-signing", "fapi2_message_signing"),
    ] {
        let bank = Bank::new(name, rules);
        visit(bank.run(&["login", "--no-browser"]), 1).ok();
        let output = bank.call().run().ok();
        assert!(output.contains("user-248289761001"), "{output}");
        // The access token has expired: it is renewed with the same key.
        bank.served.with(Twin::expire_access_tokens);
        bank.call().run().ok();
        bank.served.with(|twin| {
            assert_eq!(twin.counters().refreshes, 1);
            let sent = twin.log().iter().filter(|entry| entry.path == "/api/echo");
            assert!(sent.clone().count() >= 3);
            for entry in sent {
                let scheme = entry.header("authorization").unwrap();
                assert!(scheme.starts_with("DPoP "), "{name}");
                assert!(entry.header("dpop").is_some(), "{name}");
            }
        });
        bank.run(&["userinfo"]).run().ok();
        // A different key has no login.
        bank.make_key("other.pem");
        bank.write("other.pem", rules);
        let done = bank.run(&["status"]).run();
        assert!(!done.ok().contains("user-248289761001"));
        assert_exit(&bank.run(&["userinfo"]).run(), 2, &[]);
    }
}

#[test]
fn an_invalid_or_missing_dpop_key_is_reported() {
    let bank = Bank::new("dpop-broken", "fapi2_security");
    for text in [
        "no key",
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
    ] {
        std::fs::write(bank.folder.join("dpop.pem"), text).unwrap();
        assert_exit(
            &bank.run(&["token", "--grant", "client_credentials"]).run(),
            2,
            &["usage.key", "dpop.pem"],
        );
    }
    std::fs::remove_file(bank.folder.join("dpop.pem")).unwrap();
    assert_exit(&bank.run(&["token"]).run(), 2, &["dpop.pem"]);
    assert!(bank.served.with(|twin| twin.counters().token_requests == 0));
}

#[test]
fn a_dpop_bound_token_is_not_given_out_as_a_password() {
    let bank = Bank::new("dpop-helper", "fapi2_security");
    visit(bank.run(&["login", "--no-browser"]), 1).ok();
    let (protocol, host) = bank.served.base().split_once("://").unwrap();
    let query = format!("protocol={protocol}\nhost={host}\n");
    let done = bank.run(&["credential", "git", "get"]).stdin(&query).run();
    assert_exit(&done, 1, &["error[credential.bound_token]"]);
    assert_eq!(done.stdout, "");
    // kubectl would send it as a bearer token, which it is not.
    let done = bank.run(&["token", "--format", "exec-credential"]).run();
    assert_exit(&done, 1, &["error[credential.bound_token]"]);
    assert_eq!(done.stdout, "");
    let done = bank.run(&["token", "--format", "header"]).run();
    assert!(done.stdout.starts_with("Authorization: DPoP "));
    assert!(
        done.stderr.contains("requires a DPoP proof"),
        "{}",
        done.stderr
    );
}
