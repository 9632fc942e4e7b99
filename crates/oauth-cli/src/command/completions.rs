//! `oauth completions`: completion scripts for shells.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::Cli;
use crate::output::{self, Failure};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth completions bash > ~/.local/share/bash-completion/completions/oauth
  oauth completions zsh > ~/.zfunc/_oauth
  oauth completions fish > ~/.config/fish/completions/oauth.fish

For zsh, the folder must be in your `fpath`.";

/// Prints a shell completion script.
#[derive(Debug, Args)]
pub(crate) struct Completions {
    /// Shell to generate the script for
    shell: Shell,
}

impl Completions {
    pub(super) fn run(self) -> Result<(), Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "oauth", &mut script);
        output::print(String::from_utf8_lossy(&script).trim_end())
    }
}
