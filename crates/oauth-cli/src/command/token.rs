//! `oauth token`: client credentials (RFC 6749 section 4.4).

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use oauth_core::Tokens;
use serde_json::{Value, json};

use crate::Global;
use crate::output::{Failure, Output};
use crate::setup::{Need, ServerArgs, Setup};
use crate::time::rfc3339;
use crate::token_file::TokenFile;

pub(super) const EXAMPLES: &str = "\
Only the access token is printed, so that it can be used at once:
  oauth token --provider usertesting --client-id 0oa1 --client-secret-file secret.txt
  oauth token --provider uservoice --var subdomain=acme --client-id key --client-secret-env UV_SECRET
  curl -H \"Authorization: Bearer $(oauth --profile acme token)\" https://api.acme.example/";

/// Gets a token for the client itself.
#[derive(Debug, Args)]
pub(crate) struct Token {
    #[command(flatten)]
    server: ServerArgs,
    /// How to get the token
    #[arg(long, value_enum, default_value_t = GrantType::ClientCredentials)]
    grant: GrantType,
    /// What to ask for, names separated by spaces
    #[arg(long)]
    scope: Option<String>,
    /// Write the tokens to this file as well, readable by this user alone
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// The grants that need nobody at a browser.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum GrantType {
    /// The client's own credentials
    ClientCredentials,
}

impl Token {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let setup = Setup::new(self.server, global, Need::Secret, false)?;
        let scope = setup.scope(self.scope.as_ref())?;
        let draft = self.save.map(|path| TokenFile(path).draft()).transpose()?;
        let tokens = setup.net.run(match self.grant {
            GrantType::ClientCredentials => setup.client.client_credentials(scope),
        })?;
        if let Some(draft) = draft {
            draft.commit(&tokens)?;
        }
        print(&tokens, output)
    }
}

/// Prints the access token alone, or what is known about it.
pub(super) fn print(tokens: &Tokens, output: Output) -> Result<(), Failure> {
    for warning in &tokens.warnings {
        output.note(format_args!("warning: {}", warning.code()));
    }
    output.result(tokens.access_token.expose(), &record(tokens))
}

/// What is known about an access token.
pub(super) fn record(tokens: &Tokens) -> Value {
    json!({
        "access_token": tokens.access_token.expose(),
        "token_type": tokens.token_type(),
        "expires_in": tokens.expires_in,
        "expires_at": tokens.expires_at().map(rfc3339),
        "scope": tokens.scope.as_str(),
        "refresh_token_present": tokens.refresh_token.is_some(),
    })
}

/// What people want to know about new tokens, in one line and without a secret.
pub(super) fn summary(tokens: &Tokens) -> String {
    let end = match tokens.expires_at() {
        Some(end) => format!("until {}", rfc3339(end)),
        None => "until the server refuses it".to_owned(),
    };
    let scope = match tokens.scope.is_empty() {
        true => String::new(),
        false => format!(" for {}", tokens.scope),
    };
    let refresh = match tokens.refresh_token {
        Some(_) => "can be refreshed",
        None => "no refresh token",
    };
    format!("token{scope}, good {end}, {refresh}")
}
