//! `oauth revoke`: asks the server to forget tokens (RFC 7009).

use clap::Args;
use oauth_core::Tokens;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::Error;
use oauth_core::token::TokenKind;
use serde_json::json;

use super::{Given, Hint, TokenArgs};
use crate::Global;
use crate::output::{Failure, Output};
use crate::setup::{Need, ServerArgs, Setup};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth --profile acme revoke --tokens tokens.json
  oauth --profile acme revoke --token-env TOKEN --hint access_token

With --tokens both are revoked, the refresh token first. Servers answer alike for tokens they know
and tokens they never saw.";

/// Asks the server to forget tokens.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    token: TokenArgs,
    /// The kind of the token, to save the server a search
    #[arg(long, conflicts_with = "tokens")]
    hint: Option<Hint>,
}

impl Revoke {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let reads_stdin = self.token.reads_stdin();
        let given = self.token.read()?;
        let setup = Setup::new(self.server, global, Need::Perhaps, reads_stdin)?;
        let revocations = match given {
            Given::File(file) => of_file(&file.load()?, &setup)?,
            Given::Bare(token) => vec![Revocation {
                token,
                hint: self.hint.map(TokenKind::from),
            }],
        };
        let mut revoked = Vec::new();
        for revocation in revocations {
            revoked.push(revocation.hint.map_or("token", TokenKind::as_str));
            setup.net.run(setup.client.revoke(revocation))?;
        }
        output.result(
            format_args!("revoked: {}", revoked.join(", ")),
            &json!({ "revoked": revoked }),
        )
    }
}

/// Both tokens of a file. They are sent to nobody but the server they came from.
fn of_file(tokens: &Tokens, setup: &Setup) -> Result<Vec<Revocation>, Error> {
    setup.client.check_owner(tokens)?;
    let refresh = tokens.refresh_token.as_ref().map(|token| Revocation {
        token: token.secret().clone(),
        hint: Some(TokenKind::Refresh),
    });
    let access = Revocation {
        token: tokens.access_token.clone(),
        hint: Some(TokenKind::Access),
    };
    Ok(refresh.into_iter().chain([access]).collect())
}
