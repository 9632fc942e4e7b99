//! Sources of secrets: the environment, a file, stdin or a hidden prompt. Never argv, which every user of the machine
//! can read.

use std::io::{self, IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};

use oauth_core::Secret;

use crate::output::Failure;

/// The largest secret that is read, in bytes: JWTs can be long.
const MAX_SECRET_BYTES: u64 = 1 << 20;

/// The source of one secret.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// This environment variable.
    Env(String),
    /// This file; `-` is stdin.
    File(PathBuf),
    /// The user, at a prompt that shows nothing.
    Prompt,
}

/// The two options for one secret, a variable and a file. They exclude each other and all options of the same
/// group.
macro_rules! secret_args {
    ($(#[$doc:meta])* $name:ident, $option:literal, $group:literal, $heading:literal, $what:literal $(, $more:literal)?) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Default, clap::Args)]
        #[group(skip)]
        pub(crate) struct $name {
            #[arg(
                id = concat!($option, "-env"), long = concat!($option, "-env"), value_name = "VAR",
                group = $group, help_heading = $heading,
                help = concat!("Read ", $what, " from this environment variable" $(, " [profile: `", $more, "_env`]")?)
            )]
            pub(crate) env: Option<String>,
            #[arg(
                id = concat!($option, "-file"), long = concat!($option, "-file"), value_name = "PATH",
                group = $group, help_heading = $heading, value_hint = clap::ValueHint::FilePath,
                help = concat!("Read ", $what, " from this file (- for stdin)" $(, " [profile: `", $more, "_file`]")?)
            )]
            pub(crate) file: Option<std::path::PathBuf>,
        }

        impl $name {
            /// The source, if one is given.
            pub(crate) fn source(&self) -> Option<$crate::secret_source::Source> {
                $crate::secret_source::Source::selected(self.env.as_ref(), self.file.as_ref())
            }
        }
    };
}
pub(crate) use secret_args;

impl Source {
    /// The source that was chosen, if any: a variable takes precedence over a file.
    pub(crate) fn selected(env: Option<&String>, file: Option<&PathBuf>) -> Option<Self> {
        let env = env.cloned().map(Self::Env);
        env.or_else(|| file.cloned().map(Self::File))
    }

    /// Whether the source is stdin, which can be read only once.
    pub(crate) fn is_stdin(&self) -> bool {
        matches!(self, Self::File(path) if path == Path::new("-"))
    }

    /// Reads the secret. `label` names it, and `options` lists the ways to pass it.
    pub(crate) fn read(&self, label: &str, options: &str) -> Result<Secret<String>, Failure> {
        let fail = |reason: String| Err(Failure::usage("usage.secret", reason, options));
        let text = match self {
            Self::Env(name) => match std::env::var(name) {
                Ok(text) => text,
                Err(_) => return fail(format!("{label}: {name} is not set, or is not UTF-8")),
            },
            Self::File(path) => match read_file(path) {
                Ok(text) => text,
                Err(reason) => return fail(format!("{label}: {}: {reason}", path.display())),
            },
            Self::Prompt if !io::stdin().is_terminal() => {
                return fail(format!(
                    "{label} is required, and there is no terminal to prompt for it"
                ));
            }
            Self::Prompt => match rpassword::prompt_password(format!("{label}: ")) {
                Ok(text) => text,
                Err(reason) => return fail(format!("cannot prompt for {label}: {reason}")),
            },
        };
        let text = Secret::new(text);
        // Editors and `echo` end a file with a line break that is not part of the secret.
        let line = text.expose().strip_suffix('\n').unwrap_or(text.expose());
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.is_empty() {
            return fail(format!("{label} is empty"));
        }
        // Probably pasted by mistake; the server would only report a wrong secret.
        let is_stray = |c: char| c.is_whitespace() || c == '\u{feff}';
        if line.starts_with(is_stray) || line.ends_with(is_stray) {
            return fail(format!(
                "{label} starts or ends with whitespace or a byte order mark"
            ));
        }
        Ok(Secret::from(line))
    }
}

/// The text of a file, up to the limit; `-` is stdin.
pub(crate) fn read_file(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    if path == Path::new("-") {
        io::stdin()
            .take(MAX_SECRET_BYTES)
            .read_to_string(&mut text)?;
    } else {
        let file = std::fs::File::open(path)?;
        file.take(MAX_SECRET_BYTES).read_to_string(&mut text)?;
    }
    Ok(text)
}
