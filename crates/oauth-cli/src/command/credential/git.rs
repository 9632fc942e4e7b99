//! git's side: lines of `key=value` on stdin and stdout
//! (<https://git-scm.com/docs/gitcredentials#_custom_helpers>, <https://git-scm.com/docs/git-credential#IOFMT>).

use clap::Args;
use oauth_core::url::Url;

use super::{password, profile_for, replace, request, username};
use crate::Global;
use crate::output::{self, Failure, Output};

pub(super) const EXAMPLES: &str = "\
Examples:
  git config --global credential.https://gitlab.example.helper \\
    '!oauth credential git'
  git config --global credential.helper \\
    '!oauth --profile code credential git --username x-token-auth'
  printf 'protocol=https\\nhost=gitlab.example\\n' | oauth credential git get

get prints the token of the profile that lists the host in `origins`, with its expiry time, and nothing for \
other hosts. erase, which git calls after a 401, refreshes the rejected token. store does nothing, because logins are \
already stored. GitLab expects the user name oauth2, which is the default, Bitbucket expects \
x-token-auth, and GitHub accepts any.";

/// Responds to git.
#[derive(Debug, Args)]
pub(crate) struct Git {
    /// User name to return [default: the one that git requests, the profile's
    /// `credential_username`, or oauth2]
    #[arg(long, value_name = "NAME")]
    username: Option<String>,
    /// Operation that git requests: get, store or erase; others are ignored, as git requires
    operation: String,
}

/// The description of a credential that git sends.
#[derive(Default)]
struct CredentialQuery<'a> {
    protocol: &'a str,
    host: &'a str,
    username: Option<&'a str>,
    password: Option<&'a str>,
}

impl<'a> CredentialQuery<'a> {
    /// Reads lines up to an empty one. Unknown names are ignored, as git requires.
    fn read(text: &'a str) -> Self {
        let mut query = Self::default();
        let lines = text.lines().take_while(|line| !line.is_empty());
        for (name, value) in lines.filter_map(|line| line.split_once('=')) {
            match name {
                "protocol" => query.protocol = value,
                "host" => query.host = value,
                "username" => query.username = Some(value).filter(|name| !name.is_empty()),
                "password" => query.password = Some(value),
                _ => {}
            }
        }
        query
    }

    /// `None` unless protocol and host form a URL.
    fn url(&self) -> Option<Url> {
        Url::parse(&format!("{}://{}/", self.protocol, self.host)).ok()
    }
}

impl Git {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        match self.operation.as_str() {
            "get" => self.get(global, output),
            "erase" => erase(global, output),
            // Nothing is stored, but git's write would fail if the pipe were closed.
            "store" => request().map(drop),
            _ => Ok(()),
        }
    }

    fn get(self, global: &Global, output: Output) -> Result<(), Failure> {
        let text = request()?;
        let query = CredentialQuery::read(text.expose());
        let Some(url) = query.url() else {
            return Ok(());
        };
        let Some(profile) = profile_for(&url, global)? else {
            return Ok(());
        };
        let requested_name = self.username.or_else(|| query.username.map(str::to_owned));
        let name = username(requested_name, &profile);
        let tokens = password(profile, global, output)?;
        let password = tokens.access_token.expose();
        output::print(format_args!("username={name}\npassword={password}"))?;
        match tokens.expires_at() {
            Some(end) => output::print(format_args!("password_expiry_utc={}", end.as_secs())),
            None => Ok(()),
        }
    }
}

/// The host has rejected this password.
fn erase(global: &Global, output: Output) -> Result<(), Failure> {
    let text = request()?;
    let query = CredentialQuery::read(text.expose());
    let (Some(url), Some(password)) = (query.url(), query.password) else {
        return Ok(());
    };
    match profile_for(&url, global)? {
        Some(profile) => replace(profile, password, global, output),
        None => Ok(()),
    }
}
