//! `oauth userinfo`: prints the claims of the person who signed in (OpenID Connect Core section 5.3).

use std::sync::Arc;

use clap::Args;
use oauth_core::Tokens;
use oauth_core::error::Error;
use oauth_core::jose::Claims;
use serde_json::Value;

use super::{Given, TokenArgs};
use crate::Global;
use crate::login_record::LoginRecord;
use crate::output::{self, Failure, Output};
use crate::profile_tokens::{Owner, ProfileTokens};
use crate::setup::{ClientPlan, Need, ServerArgs, Setup};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth userinfo --profile acme
  oauth userinfo --profile acme --json | jq -r .email
  oauth userinfo --profile acme --tokens tokens.json --subject 248289761001

Without a token it is the one of the profile's login, renewed when it has to be. An access token says \
nothing about whom it is for, and a wrong one can be slipped in: so the answer has to be about the person \
whose ID token was verified when they logged in, which is remembered of a login with the scope \
`openid`. Of any other token, say with --subject whom you expect (`sub` of the ID token): an \
answer about anybody else is refused, and not shown.";

/// Asks the server about the person who signed in.
#[derive(Debug, Args)]
pub(crate) struct UserInfo {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    token: TokenArgs,
    /// Whom the answer has to be about [default: who logged in with the profile]
    #[arg(long, value_name = "SUB")]
    subject: Option<String>,
}

impl UserInfo {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let reads_stdin = self.token.reads_stdin();
        let plan = ClientPlan::new(self.server, global)?;
        let claims = match self.token.read(&plan, global)? {
            Given::Login(grants, stored) => {
                stored?.ok_or_else(|| grants.nobody())?;
                let subject = match self.subject {
                    Some(subject) => subject,
                    None => verified(&plan, &grants)?,
                };
                of_login(plan, &grants, &subject, output)?
            }
            Given::File(file) => {
                let subject = self.subject.ok_or_else(nobody_known)?;
                let setup = plan.set_up(Need::Perhaps, reads_stdin)?;
                let tokens = file.load()?;
                setup.client.check_owner(&tokens)?;
                ask(&setup, tokens.into(), &subject)?
            }
            Given::Bare(token) => {
                let subject = self.subject.ok_or_else(nobody_known)?;
                let setup = plan.set_up(Need::Perhaps, reads_stdin)?;
                ask(&setup, Tokens::bearer(token).into(), &subject)?
            }
        };
        let members = claims.as_map();
        let rows = members
            .iter()
            .map(|(name, value)| (name.clone(), output::plain(value)));
        let rows: Vec<_> = rows.collect();
        output.result(output::table(&rows), &Value::Object(members.clone()))
    }
}

/// Whom the ID token of the profile's login named.
fn verified(plan: &ClientPlan, grants: &ProfileTokens) -> Result<String, Failure> {
    let record = LoginRecord::load(grants.profile())?;
    let (issuer, client_id) = (plan.issuer()?, plan.client_id());
    let subject = record.and_then(|record| record.verified_subject(&issuer, client_id));
    subject.ok_or_else(nobody_known)
}

/// Asks with the token of a login; once more if the server no longer knows it.
fn of_login(
    plan: ClientPlan,
    grants: &ProfileTokens,
    subject: &str,
    output: Output,
) -> Result<Claims, Failure> {
    let setup = plan.set_up(Need::Perhaps, false)?;
    let grant = grants.open(&setup, Owner::Login, output);
    let tokens = grant.token()?;
    match ask(&setup, Arc::clone(&tokens), subject) {
        Err(error) if error.code() == "denied.invalid_token" => {
            Ok(ask(&setup, grant.renew(&tokens)?, subject)?)
        }
        asked => Ok(asked?),
    }
}

fn ask(setup: &Setup, tokens: Arc<Tokens>, subject: &str) -> Result<Claims, Error> {
    setup
        .net
        .run(setup.client.userinfo(tokens, subject.to_owned()))
}

fn nobody_known() -> Failure {
    Failure::usage(
        "usage.subject",
        "the subject of this token is unknown, so the response could be about anyone",
        "log in with a profile whose scope has `openid`, or say with --subject whom you expect",
    )
}
