//! `oauth login` and the program that opens the browser on desktops: `xdg-open`.
#![cfg(all(unix, not(target_os = "macos")))]

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::time::Duration;

use crate::common::{Run, folder};
use crate::native::Session;
use crate::tiny::TinyServer;

/// A login whose opener runs this script.
fn login(tiny: &TinyServer, folder: &Path, script: &str) -> Run {
    let opener = folder.join("xdg-open");
    std::fs::write(&opener, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&opener, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", folder.display());
    tiny.run(&["login"]).env("PATH", &path)
}

#[test]
fn the_url_is_printed_and_the_login_continues_whatever_the_opener_does() {
    let tiny = TinyServer::start();
    let folder = folder("opener");
    let here = folder.display();
    // Openers that do nothing, fail, print output, or keep running until the login has ended: the messages are the
    // same.
    let blocking_script =
        format!("mkfifo {here}/stays; read -r _ < {here}/stays; touch {here}/gone");
    for script in [
        "exit 0",
        "exit 3",
        "echo N0ISE; echo N0ISE >&2",
        &blocking_script,
    ] {
        let mut session = Session::start(login(&tiny, &folder, script));
        session.read_until("if it does not show the login, open this URL");
        let callback = session.callback();
        assert!(crate::common::get(&callback).starts_with("HTTP/1.1 200"));
        let done = session.wait();
        assert_eq!(done.code, 0, "{script}: {}", done.stderr);
        assert!(!done.stderr.contains("N0ISE"), "{}", done.stderr);
        assert!(done.stdout.starts_with("access") && !done.stdout.contains("N0ISE"));
    }
    // The opener was still running, and is not ended.
    assert!(!folder.join("gone").exists());
    std::fs::write(folder.join("stays"), "\n").unwrap();
}

#[test]
fn over_ssh_no_browser_is_opened_and_port_forwarding_is_explained() {
    let tiny = TinyServer::start();
    let folder = folder("opener-ssh");
    let opened = folder.join("opened");
    let script = format!("touch {}", opened.display());
    let over_ssh = |run: Run| run.env("SSH_CONNECTION", "198.51.100.7 50022 203.0.113.5 22");
    let run = over_ssh(login(&tiny, &folder, &script));
    let mut session = Session::start(run);
    session.read_until("open this URL:");
    crate::common::get(&session.callback());
    let done = session.wait();
    assert_eq!(done.code, 0, "{}", done.stderr);
    let command = done.stderr.lines().find(|line| line.starts_with("ssh "));
    let command = command.unwrap();
    assert!(command.ends_with(" 203.0.113.5"), "{command}");
    let port = command.split([' ', ':']).nth(3).unwrap();
    let waiting = format!("for the callback at http://127.0.0.1:{port}/callback");
    assert!(done.stderr.contains(&waiting), "{}", done.stderr);
    assert!(!opened.exists());
    // The server has no device codes.
    assert!(!done.stderr.contains("oauth device"), "{}", done.stderr);

    // A forwarded display shows this machine's browser.
    let run = over_ssh(login(&tiny, &folder, &script)).env("DISPLAY", "localhost:10.0");
    let mut session = Session::start(run);
    session.read_until("if it does not show the login, open this URL");
    crate::common::get(&session.callback());
    assert!(!session.wait().stderr.contains("ssh -N"));
    // The login does not wait for the opener: on a busy machine it can end before the opener starts.
    for _ in 0..1000 {
        if opened.exists() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("nothing was opened");
}

#[test]
fn without_an_opener_the_url_is_printed() {
    let tiny = TinyServer::start();
    let folder = folder("opener-none");
    let path = folder.to_str().unwrap();
    let mut session = Session::start(tiny.run(&["login"]).env("PATH", path));
    session.read_until("open this URL:");
    let callback = session.callback();
    crate::common::get(&callback);
    assert_eq!(session.wait().code, 0);
}

#[test]
fn the_browser_variable_is_used_without_a_display_and_over_ssh() {
    let tiny = TinyServer::start();
    let folder = folder("opener-browser");
    let program = folder.join("code browser");
    let opened = folder.join("opened");
    let script = format!(
        "#!/bin/sh\nprintf '%s\\n' \"$@\" > {0}.new && mv {0}.new {0}\n",
        opened.display()
    );
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let browser = format!("/no/such/browser:'{}' --open=%s", program.display());
    for ssh in ["", "198.51.100.7 50022 203.0.113.5 22"] {
        let _ = std::fs::remove_file(&opened);
        let run = login(&tiny, &folder, "exit 3").env("BROWSER", &browser);
        let mut session = Session::start(run.env("SSH_CONNECTION", ssh));
        session.read_until("if it does not show the login, open this URL");
        crate::common::get(&session.callback());
        assert_eq!(session.wait().code, 0);
        let seen = (0..1000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            std::fs::read_to_string(&opened).ok()
        });
        let seen = seen.unwrap();
        assert!(
            seen.starts_with("--open=http://") && seen.lines().count() == 1,
            "{seen}"
        );
    }
}

#[test]
fn browser_none_opens_no_browser() {
    let tiny = TinyServer::start();
    let folder = folder("opener-refused");
    let opened = folder.join("opened");
    let script = format!("touch {}", opened.display());
    let run = login(&tiny, &folder, &script).env("BROWSER", "none");
    let mut session = Session::start(run.env("DISPLAY", ":1"));
    session.read_until("open this URL:");
    crate::common::get(&session.callback());
    let done = session.wait();
    assert!(
        !done.stderr.contains("opening the browser"),
        "{}",
        done.stderr
    );
    assert!(!opened.exists());
}
