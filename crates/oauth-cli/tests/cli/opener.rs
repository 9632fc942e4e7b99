//! `oauth login` and the program that opens the browser, as desktops have it: `xdg-open`.
#![cfg(all(unix, not(target_os = "macos")))]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::common::{Run, folder};
use crate::native::Session;
use crate::tiny::Tiny;

/// A login whose opener does this.
fn login(tiny: &Tiny, folder: &Path, script: &str) -> Run {
    let opener = folder.join("xdg-open");
    std::fs::write(&opener, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    tiny.run(&["login"]).env("PATH", &path)
}

#[test]
fn whatever_the_opener_does_the_url_is_printed_and_the_login_goes_on() {
    let tiny = Tiny::start();
    let folder = folder("opener");
    let here = folder.display();
    // One that does nothing, one that fails, one that is chatty, and one that stays: until the login is
    // over, for all that it shows.
    let stays = format!("mkfifo {here}/stays; read -r _ < {here}/stays; touch {here}/gone");
    for script in ["exit 0", "exit 3", "echo N0ISE; echo N0ISE >&2", &stays] {
        let mut session = Session::start(login(&tiny, &folder, script));
        session.read_until("if it does not, open this URL");
        let callback = session.callback();
        assert!(crate::common::get(&callback).starts_with("HTTP/1.1 200"));
        let done = session.end();
        assert_eq!(done.code, 0, "{script}: {}", done.stderr);
        assert!(!done.stderr.contains("N0ISE"), "{}", done.stderr);
        assert!(done.stdout.starts_with("access") && !done.stdout.contains("N0ISE"));
    }
    // It was still there, and is let go.
    assert!(!folder.join("gone").exists());
    std::fs::write(folder.join("stays"), "\n").unwrap();
}

#[test]
fn without_an_opener_the_url_is_printed() {
    let tiny = Tiny::start();
    let folder = folder("opener-none");
    let path = folder.to_str().unwrap();
    let mut session = Session::start(tiny.run(&["login"]).env("PATH", path));
    session.read_until("open this URL:");
    let callback = session.callback();
    crate::common::get(&callback);
    assert_eq!(session.end().code, 0);
}
