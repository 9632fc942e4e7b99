//! Opens a page in the user's browser.
//!
//! The URL is passed as a separate argument, never through a shell (CVE-2025-6514, RUSTSEC-2026-0257); its type ensures
//! that it is an `http` or `https` URL.

use std::path::Path;
use std::process::{Command, Stdio};

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::url::Url;

#[cfg(target_os = "macos")]
const PROGRAM: (&str, &[&str]) = ("open", &[]);
#[cfg(windows)]
const PROGRAM: (&str, &[&str]) = ("rundll32", &["url.dll,FileProtocolHandler"]);
#[cfg(not(any(target_os = "macos", windows)))]
const PROGRAM: (&str, &[&str]) = ("xdg-open", &[]);

/// Opens `url` with a program that `BROWSER` names, or else with the system's own opener: `xdg-open`, `open` or `rundll32`.
///
/// `BROWSER` is a list of commands, separated as in `PATH`; the first that starts is used. `%s` stands for the URL, which is
/// otherwise the last argument. No shell is involved: only quotes and spaces separate arguments.
///
/// # Errors
/// `browser.unavailable` if there is no such program, or `BROWSER` is `none`. That it started does not prove that a page was
/// shown: print the URL as well, for users without a browser on this machine.
pub fn open(url: &Url) -> Result<(), Error> {
    let chosen = Choice::read(variable);
    if chosen == Choice::Refused {
        return Err(Error::from(Misuse::BrowserUnavailable).about("BROWSER is set to `none`"));
    }
    let mut failed = None;
    for (program, arguments) in chosen.commands() {
        match start(&mut with_url(&program, &arguments, url), &[]) {
            Ok(()) => return Ok(()),
            Err(error) => failed = Some(error),
        }
    }
    let (program, arguments) = PROGRAM;
    match failed {
        // Without a display, the system's opener has only text browsers to offer.
        Some(error) if !is_shown(variable, |_| false) => Err(error),
        _ => start(Command::new(program).args(arguments), &[url.as_str()]),
    }
}

/// Opens `url` with a program of the caller's choice, with the URL as its only argument.
///
/// # Errors
/// `browser.unavailable` if the program cannot be started.
pub fn open_with(program: &str, url: &Url) -> Result<(), Error> {
    start(&mut Command::new(program), &[url.as_str()])
}

/// Whether a page can be shown on this machine, and [`open`] has a program for it: see [`has_display`].
pub fn is_there() -> bool {
    let has_opener = || cfg!(any(target_os = "macos", windows)) || is_program(PROGRAM.0);
    is_chosen() || (has_display() && has_opener())
}

/// Whether a page can be shown on this machine: wherever `BROWSER` names a program that exists, as remote editors, containers
/// and the Windows Subsystem for Linux set it; and otherwise not in an SSH session whose display is elsewhere, not on a Unix
/// other than macOS without a display, and not if `BROWSER` is `none`.
pub fn has_display() -> bool {
    is_shown(variable, is_program)
}

/// Whether `BROWSER` names a program that exists, which then opens pages, wherever they are shown.
pub fn is_chosen() -> bool {
    Choice::read(variable).names(is_program)
}

fn variable(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

/// What `BROWSER` says.
#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Unset,
    /// `none`: no page is opened.
    Refused,
    /// A list of commands.
    Commands(String),
}

impl Choice {
    fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        match variable("BROWSER").filter(|value| !value.is_empty()) {
            None => Self::Unset,
            Some(value) if value == "none" => Self::Refused,
            Some(value) => Self::Commands(value),
        }
    }

    /// The programs and their arguments.
    fn commands(&self) -> impl Iterator<Item = (String, Vec<String>)> {
        let list = match self {
            Self::Commands(list) => list.as_str(),
            Self::Unset | Self::Refused => "",
        };
        let separator = if cfg!(windows) { ';' } else { ':' };
        list.split(separator).filter_map(|command| {
            let mut words = words(command)?.into_iter();
            Some((words.next()?, words.collect()))
        })
    }

    fn names(&self, is_program: impl Fn(&str) -> bool) -> bool {
        self.commands().any(|(program, _)| is_program(&program))
    }
}

/// The words of a command, without its quotes; `None` if a quote is not closed.
fn words(command: &str) -> Option<Vec<String>> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in command.chars() {
        match quote {
            Some(end) if c == end => quote = None,
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            _ => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    // Every program is started in the background.
    if words.last().is_some_and(|last| last == "&") {
        words.pop();
    }
    quote.is_none().then_some(words)
}

fn with_url(program: &str, arguments: &[String], url: &Url) -> Command {
    let mut command = Command::new(program);
    let mut has_place = false;
    for argument in arguments {
        has_place |= argument.contains("%s");
        command.arg(argument.replace("%s", url.as_str()));
    }
    if !has_place {
        command.arg(url.as_str());
    }
    command
}

fn is_shown(variable: impl Fn(&str) -> Option<String>, is_program: impl Fn(&str) -> bool) -> bool {
    let chosen = Choice::read(&variable);
    let is_set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
    let has_display = ["DISPLAY", "WAYLAND_DISPLAY"].into_iter().any(is_set);
    let is_remote = ["SSH_CONNECTION", "SSH_TTY"].into_iter().any(is_set);
    let is_here = has_display || (cfg!(any(target_os = "macos", windows)) && !is_remote);
    chosen.names(is_program) || (chosen != Choice::Refused && is_here)
}

/// Whether this is a program's file, or its name in `PATH`.
fn is_program(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let is_file =
        |file: &Path| file.is_file() || (cfg!(windows) && file.with_extension("exe").is_file());
    if Path::new(name).components().count() > 1 {
        return is_file(Path::new(name));
    }
    std::env::split_paths(&path).any(|folder| is_file(&folder.join(name)))
}

fn start(command: &mut Command, arguments: &[&str]) -> Result<(), Error> {
    let child = detach(command)
        .args(arguments)
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
    fn a_browser_is_available_with_a_display_or_on_a_local_desktop() {
        let among = |set: &'static [&str]| {
            let variable = move |name: &str| set.contains(&name).then(|| "something".to_owned());
            is_shown(variable, |_| false)
        };
        assert!(among(&["DISPLAY"]) && among(&["WAYLAND_DISPLAY", "SSH_TTY"]));
        let has_a_desktop = cfg!(any(target_os = "macos", windows));
        assert_eq!(among(&[]), has_a_desktop);
        assert!(!among(&["SSH_CONNECTION"]) && !among(&["SSH_TTY"]));
        // An empty variable is not set, and `none` is not the name of a program.
        assert_eq!(is_shown(|_| Some(String::new()), |_| true), has_a_desktop);
        assert!(among(&["BROWSER", "DISPLAY"]));
        assert!(!is_shown(|_| Some("none".to_owned()), |_| true));
    }

    #[test]
    fn the_browser_variable_makes_a_browser_available_over_ssh() {
        let over_ssh = |browser: &'static str| {
            let variable = move |name: &str| match name {
                "BROWSER" => Some(browser.to_owned()),
                "SSH_CONNECTION" => Some("198.51.100.7 50022 203.0.113.5 22".to_owned()),
                _ => None,
            };
            is_shown(variable, |program| program == "code-browser")
        };
        let separator = if cfg!(windows) { ';' } else { ':' };
        assert!(over_ssh("code-browser") && over_ssh("code-browser --open-url %s"));
        assert!(over_ssh(format!("missing{separator}code-browser").leak()));
        assert!(!over_ssh("missing") && !over_ssh("none") && !over_ssh(""));
    }

    #[test]
    fn browser_commands_are_split_without_a_shell() {
        let url = Url::parse("https://as.example/a?b=$(x)&c='%73'").unwrap();
        let built = |list: &str| {
            let chosen = Choice::Commands(list.to_owned());
            let commands = chosen.commands().map(|(program, arguments)| {
                let command = with_url(&program, &arguments, &url);
                let words = [command.get_program()]
                    .into_iter()
                    .chain(command.get_args());
                let words = words.map(|word| word.to_string_lossy().into_owned());
                words.collect::<Vec<_>>()
            });
            commands.collect::<Vec<_>>()
        };
        let text = url.as_str();
        let separator = if cfg!(windows) { ";" } else { ":" };
        let list = ["a", "'b c' -x", "d --url=%s \"e f\" &", "g 'h"].join(separator);
        let expected = [
            vec!["a".to_owned(), text.to_owned()],
            vec!["b c".to_owned(), "-x".to_owned(), text.to_owned()],
            vec!["d".to_owned(), format!("--url={text}"), "e f".to_owned()],
        ];
        assert_eq!(built(&list), expected);
    }
}
