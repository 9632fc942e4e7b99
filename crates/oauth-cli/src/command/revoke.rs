//! `oauth revoke`: asks the server to forget tokens (RFC 7009).

use clap::Args;
use oauth_core::Tokens;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::token::TokenKind;
use serde_json::json;

use super::{Given, Hint, TokenArgs};
use crate::Global;
use crate::grants::{Grants, Owner, Stored};
use crate::output::{Failure, Output};
use crate::setup::{Need, Plan, ServerArgs, Setup};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth revoke --profile acme
  oauth --profile acme revoke --tokens tokens.json
  oauth --profile acme revoke --token-env TOKEN --hint access_token

Without a token, the profile's login is forgotten here, even if the server cannot be reached, and its
tokens are revoked. Of a login and of --tokens both are revoked, the refresh token first. Servers
answer alike for tokens they know and tokens they never saw.";

/// Forgets a login, and asks the server to forget tokens.
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
        let plan = Plan::new(self.server, global)?;
        let given = self.token.read(&plan, global)?;
        let set_up = |plan: Plan| plan.set_up(Need::Perhaps, reads_stdin);
        match given {
            Given::Login(grants, stored) => log_out(plan, &grants, stored, output),
            Given::File(file) => {
                let setup = set_up(plan)?;
                let tokens = file.load()?;
                // They are sent to nobody but the server they came from.
                setup.client.check_owner(&tokens)?;
                revoke(&setup, both(&tokens), output)
            }
            Given::Bare(token) => {
                let hint = self.hint.map(TokenKind::from);
                revoke(&set_up(plan)?, vec![Revocation { token, hint }], output)
            }
        }
    }
}

/// Forgets a login here first: then it is gone whatever becomes of the rest. A shell that renews it
/// at this very moment finds that out, and stores nothing.
fn log_out(
    plan: Plan,
    grants: &Grants,
    stored: Option<Stored>,
    output: Output,
) -> Result<(), Failure> {
    let profile = grants.profile().to_owned();
    let Some(stored) = stored else {
        // What cannot be read is found by its name only.
        let setup = plan.set_up(Need::Perhaps, false)?;
        return match grants.remove(&grants.key(&setup.client, &Owner::Login))? {
            true => Err(unread(&profile)),
            false => Err(grants.nobody()),
        };
    };
    let removed = grants.remove(&stored.key);
    let tokens = stored.tokens().map(|tokens| both(&tokens));
    let revoked = plan
        .set_up(Need::Perhaps, false)
        .and_then(|setup| revoke(&setup, tokens.unwrap_or_default(), output));
    removed?;
    output.note(format_args!(
        "the login of profile `{profile}` is forgotten"
    ));
    revoked.map_err(|failure| failure.and_hint("its tokens may be good at the server"))
}

fn unread(profile: &str) -> Failure {
    Failure::refused(
        "revoke.unread",
        format_args!("what was stored for profile `{profile}` could not be read, and is removed"),
        "its tokens may be good at the server: revoke them there",
    )
}

fn revoke(setup: &Setup, revocations: Vec<Revocation>, output: Output) -> Result<(), Failure> {
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

/// Both tokens of a grant, the one that makes others first.
fn both(tokens: &Tokens) -> Vec<Revocation> {
    let refresh = tokens.refresh_token.as_ref().map(|token| Revocation {
        token: token.secret().clone(),
        hint: Some(TokenKind::Refresh),
    });
    let access = Revocation {
        token: tokens.access_token.clone(),
        hint: Some(TokenKind::Access),
    };
    refresh.into_iter().chain([access]).collect()
}
