//! Opens a page in the user's browser.
//!
//! The URL is passed as a separate argument, never through a shell (CVE-2025-6514, RUSTSEC-2026-0257); its type ensures
//! that it is an `http` or `https` URL.

use std::process::{Command, Stdio};

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::url::Url;

#[cfg(target_os = "macos")]
const PROGRAM: (&str, &[&str]) = ("open", &[]);
#[cfg(windows)]
const PROGRAM: (&str, &[&str]) = ("rundll32", &["url.dll,FileProtocolHandler"]);
#[cfg(not(any(target_os = "macos", windows)))]
const PROGRAM: (&str, &[&str]) = ("xdg-open", &[]);

/// Opens `url` with the system's own opener: `xdg-open`, `open` or `rundll32`.
///
/// # Errors
/// `browser.unavailable` if there is no such program. That it started does not prove that a page was shown: print the URL as
/// well, for users without a browser on this machine.
pub fn open(url: &Url) -> Result<(), Error> {
    let (program, arguments) = PROGRAM;
    start(Command::new(program).args(arguments), url)
}

/// Opens `url` with a program of the caller's choice, with the URL as its only argument.
///
/// # Errors
/// `browser.unavailable` if the program cannot be started.
pub fn open_with(program: &str, url: &Url) -> Result<(), Error> {
    start(&mut Command::new(program), url)
}

/// Whether a page can be shown on this machine, and [`open`] has a program for it: see [`has_display`].
pub fn is_there() -> bool {
    has_display() && (cfg!(any(target_os = "macos", windows)) || has_opener())
}

/// Whether a page can be shown on this machine: not in an SSH session whose display is elsewhere, not on a Unix other than
/// macOS without a display, and not if `BROWSER` is `none`.
pub fn has_display() -> bool {
    is_shown(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
}

fn is_shown(variable: impl Fn(&str) -> Option<String>) -> bool {
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(is_set);
    let is_remote = ["SSH_CONNECTION", "SSH_TTY"].into_iter().any(is_set);
    let is_refused = variable("BROWSER").is_some_and(|value| value == "none");
    !is_refused && (has_display || (cfg!(any(target_os = "macos", windows)) && !is_remote))
}

fn has_opener() -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(PROGRAM.0).is_file())
}

fn start(command: &mut Command, url: &Url) -> Result<(), Error> {
    let child = detach(command)
        .arg(url.as_str())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let failed = |reason: std::io::Error| {
        let program = command.get_program().to_string_lossy().into_owned();
        Error::from(Misuse::BrowserUnavailable)
            .about(&format!("cannot start {program}"))
            .caused_by(Cause::unsent(reason))
    };
    let mut child = child.map_err(failed)?;
    // Some openers run as long as the browser, so they are waited for in another thread.
    // Without a thread to wait it stays a zombie until this process ends, which does no harm.
    let _ = std::thread::Builder::new().spawn(move || child.wait());
    Ok(())
}

/// Ctrl-C ends what is in the foreground of a terminal: it should end the login, but not the user's browser, which some
/// openers become.
#[cfg(unix)]
fn detach(command: &mut Command) -> &mut Command {
    use std::os::unix::process::CommandExt as _;
    command.process_group(0)
}

#[cfg(windows)]
fn detach(command: &mut Command) -> &mut Command {
    use std::os::windows::process::CommandExt as _;
    const CREATE_NEW_PROCESS_GROUP: u32 = 0x200;
    command.creation_flags(CREATE_NEW_PROCESS_GROUP)
}

#[cfg(not(any(unix, windows)))]
fn detach(command: &mut Command) -> &mut Command {
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_shown_where_there_is_a_display() {
        let among = |set: &'static [&str]| {
            is_shown(move |name| set.contains(&name).then(|| "something".to_owned()))
        };
        assert!(among(&["DISPLAY"]) && among(&["WAYLAND_DISPLAY", "SSH_TTY"]));
        let has_a_desktop = cfg!(any(target_os = "macos", windows));
        assert_eq!(among(&[]), has_a_desktop);
        assert!(!among(&["SSH_CONNECTION"]) && !among(&["SSH_TTY"]));
        // An empty variable is not set, and `none` is not the name of a program.
        assert_eq!(is_shown(|_| Some(String::new())), has_a_desktop);
        assert!(among(&["BROWSER", "DISPLAY"]));
        assert!(!is_shown(|_| Some("none".to_owned())));
    }
}
