//! Tokens in files encrypted with a key in the keyring.

use crate::bus::Bus;
use crate::common::{Run, visit};
use crate::store::Home;

/// The keyring may need a moment before it answers.
const MAX_KEYRING_TRIES: u32 = 200;

struct Session {
    bus: Bus,
    home: Home,
}

impl Session {
    fn new(name: &str) -> Self {
        let session = Self {
            bus: Bus::new(),
            home: Home::with(name, "store = \"keyring\""),
        };
        for _ in 0..MAX_KEYRING_TRIES {
            let token = session.command_with_profile(&["token", "--grant", "client_credentials"]);
            if token.run().code == 0 {
                return session;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("the keyring does not answer");
    }

    fn command_with_profile(&self, arguments: &[&str]) -> Run {
        let environment = self.bus.environment();
        environment.iter().fold(
            self.home.command_with_profile(arguments),
            |run, (name, value)| run.env(name, value.to_str().unwrap()),
        )
    }

    /// The contents of all files.
    fn files(&self) -> String {
        let sealed = self.home.folder.join("state/oauth/sealed");
        let files = std::fs::read_dir(sealed).unwrap();
        files
            .map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap())
            .collect()
    }
}

#[test]
fn a_login_in_the_keyring_is_encrypted_and_shared() {
    let session = Session::new("keyring");
    let login = visit(session.command_with_profile(&["login", "--no-browser"]), 1);
    assert_eq!(login.code, 0, "{}", login.stderr);
    let before = session.home.counts();
    let token = session.command_with_profile(&["token"]).run().ok();
    assert_eq!(session.command_with_profile(&["token"]).run().ok(), token);
    assert_eq!(session.home.counts(), before, "nobody was asked");
    assert!(!session.files().contains(token.trim()));
    let renewed = session
        .command_with_profile(&["token", "--renew"])
        .run()
        .ok();
    assert_ne!(renewed, token);
    assert_eq!(session.command_with_profile(&["token"]).run().ok(), renewed);
    let status = session.command_with_profile(&["status"]).run().ok();
    assert!(status.contains("can be refreshed"), "{status}");
    session.command_with_profile(&["revoke"]).run().ok();
    let status = session.command_with_profile(&["status"]).run().ok();
    assert!(!status.contains("can be refreshed"), "{status}");
}

#[test]
fn without_the_keyring_nothing_is_read_or_stored_elsewhere() {
    let session = Session::new("keyring-gone");
    visit(session.command_with_profile(&["login", "--no-browser"]), 1);
    let nobody = session
        .home
        .command_with_profile(&["token"])
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
        .run();
    assert_ne!(nobody.code, 0);
    assert_eq!(nobody.stdout, "");
    assert!(!session.home.folder.join("state/oauth/grants").exists());
}

#[test]
fn a_missing_keyring_is_reported_before_the_user_is_asked_to_consent() {
    let home = Home::with("keyring-none", "store = \"keyring\"");
    let login = home.command_with_profile(&["login", "--no-browser"]);
    let done = login
        .env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
        .run();
    assert_eq!(done.code, 2, "{}", done.stderr);
    assert!(
        done.stderr.contains("no keyring can be reached"),
        "{}",
        done.stderr
    );
    assert!(!done.stderr.contains("/authorize?"), "{}", done.stderr);
}
