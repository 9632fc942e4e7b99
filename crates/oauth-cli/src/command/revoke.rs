//! `oauth revoke` and `oauth logout`: ask the server to forget tokens (RFC 7009).

use clap::Args;
use oauth_core::Tokens;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::token::TokenKind;
use serde_json::json;

use super::{Given, Hint, TokenArgs};
use crate::Global;
use crate::login_record::LoginRecord;
use crate::output::{Failure, Output};
use crate::profile::Who;
use crate::profile_tokens::{Owner, ProfileTokens, Stored};
use crate::setup::{Need, Plan, ServerArgs, Setup};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth revoke --profile acme
  oauth revoke --profile acme --as client
  oauth revoke --profile acme --tokens tokens.json
  oauth revoke --profile acme --token-env TOKEN --hint access_token

Without a token, it is oauth logout: the profile's login is forgotten here, even if the server \
cannot be reached, and its tokens are revoked. Of a login and of --tokens both are revoked, the \
refresh token first. Servers answer alike for tokens they know and tokens they never saw.";

pub(super) const LOGOUT_EXAMPLES: &str = "\
Examples:
  oauth logout --profile acme
  oauth logout --profile acme --client

The login is forgotten here, even if the server cannot be reached, and its tokens are revoked \
there. The profile stays that person's: until the next login, oauth token and oauth call say that \
nobody is logged in, unless they are told to act for the client. The person may still be logged in \
at the server, with the browser.";

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
    /// Whose stored tokens to forget [default: the person's]
    #[arg(long = "as", value_enum, conflicts_with_all = ["tokens", "token_env", "token_file", "hint"])]
    who: Option<Who>,
}

/// Forgets a login here and at the server.
#[derive(Debug, Args)]
pub(crate) struct Logout {
    #[command(flatten)]
    server: ServerArgs,
    /// Forget the client's own tokens, and keep the login
    #[arg(long)]
    client: bool,
}

impl Logout {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let plan = Plan::new(self.server, global)?;
        let grants = ProfileTokens::of(&plan.profile, global)?;
        let grants = grants.ok_or_else(|| {
            Failure::usage(
                "usage.no_login",
                "no login is kept: no profile is in force, or its tokens are not stored",
                "name the profile of a login with --profile; oauth revoke takes a token",
            )
        })?;
        let revoked = match self.client {
            true => forget_clients(plan, &grants, output),
            false => {
                let stored = grants.find(&plan, &Owner::Login);
                log_out(plan, &grants, stored, output)
            }
        };
        match revoked {
            // All that could be done is done.
            Err(failure) if failure.is("endpoint.missing") => {
                output.note("the server has no revocation endpoint: its tokens stay good there until they end");
                output.result("nothing was revoked", &json!({ "revoked": [] }))
            }
            revoked => revoked,
        }
    }
}

impl Revoke {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let reads_stdin = self.token.reads_stdin();
        let plan = Plan::new(self.server, global)?;
        if self.who == Some(Who::Client) {
            let grants = ProfileTokens::of(&plan.profile, global)?;
            return forget_clients(plan, &grants.ok_or_else(no_token)?, output);
        }
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
                revoke(
                    &set_up(plan)?,
                    vec![Revocation::new(token).hint(hint)],
                    output,
                )
            }
        }
    }
}

/// Forgets a login here first: then it is gone whatever becomes of the rest. A shell that renews it
/// at this very moment finds that out, and stores nothing.
fn log_out(
    plan: Plan,
    grants: &ProfileTokens,
    stored: Result<Option<Stored>, Failure>,
    output: Output,
) -> Result<(), Failure> {
    let profile = grants.profile().to_owned();
    let stored = match stored {
        Ok(stored) => stored.ok_or_else(|| grants.nobody())?,
        // It can be forgotten all the same.
        Err(failure) if failure.is_of_record() => {
            LoginRecord::default().save(&profile)?;
            grants.remove(&grants.key(&plan.reader()?, &Owner::Login))?;
            return Err(unread(&profile));
        }
        Err(failure) => return Err(failure),
    };
    // Before the login is gone: whoever comes then must not act for the client.
    let kept = LoginRecord::default().save(&profile);
    let removed = grants.remove(&stored.key);
    let tokens = stored.tokens().map(|tokens| both(&tokens));
    let revoked = plan
        .set_up(Need::Perhaps, false)
        .and_then(|setup| revoke(&setup, tokens.unwrap_or_default(), output));
    removed?;
    kept?;
    output.note(format_args!(
        "the login of profile `{profile}` is forgotten"
    ));
    revoked.map_err(still_good)
}

/// Forgets the client's own tokens, of all scopes.
fn forget_clients(plan: Plan, grants: &ProfileTokens, output: Output) -> Result<(), Failure> {
    let all = grants.clients(&plan)?;
    if all.is_empty() {
        return Err(no_token());
    }
    let mut revocations = Vec::new();
    for own in &all {
        grants.remove(&own.key)?;
        revocations.extend(own.tokens.iter().flat_map(|tokens| both(tokens)));
    }
    let client = plan.client_id().to_owned();
    output.note(format_args!("what `{client}` had of its own is forgotten"));
    let setup = plan.set_up(Need::Perhaps, false);
    let revoked = setup.and_then(|setup| revoke(&setup, revocations, output));
    revoked.map_err(still_good)
}

fn still_good(failure: Failure) -> Failure {
    failure.and_hint("its tokens may be good at the server")
}

fn no_token() -> Failure {
    Failure::usage(
        "usage.no_token",
        "nothing is stored of the client's own",
        "see what is stored: oauth status",
    )
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
    let text = match revoked.is_empty() {
        true => "nothing to revoke".to_owned(),
        false => format!("revoked: {}", revoked.join(", ")),
    };
    output.result(text, &json!({ "revoked": revoked }))
}

/// Both tokens of a grant, the one that makes others first.
fn both(tokens: &Tokens) -> Vec<Revocation> {
    let refresh = tokens
        .refresh_token
        .as_ref()
        .map(|token| Revocation::new(token.secret().clone()).hint(TokenKind::Refresh));
    let access = Revocation::new(tokens.access_token.clone()).hint(TokenKind::Access);
    refresh.into_iter().chain([access]).collect()
}
