//! `oauth userinfo`: prints the claims of the logged-in user (OpenID Connect Core section 5.3).

use std::sync::Arc;

use clap::Args;
use oauth_core::Tokens;
use oauth_core::error::Error;
use oauth_core::jose::Claims;
use serde_json::Value;

use super::{TokenArgs, TokenInput};
use crate::Global;
use crate::login_record::LoginRecord;
use crate::output::{self, Failure, Output};
use crate::profile_tokens::{Owner, ProfileTokens};
use crate::setup::{ClientPlan, SecretRequirement, ServerArgs, Setup};

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth userinfo --profile acme
  oauth userinfo --profile acme --json | jq -r .email
  oauth userinfo --profile acme --tokens tokens.json --subject 248289761001

Without a token option, the token of the profile's login is used, and refreshed if necessary. An access token \
does not identify its user and could have been substituted, so the response must be about the user whose ID \
token was verified at the login; this requires a login with the scope `openid`. For any other token, pass \
the expected subject (`sub` of the ID token) with --subject. A response about another user is rejected \
and not printed.";

/// Prints the claims of the logged-in user.
#[derive(Debug, Args)]
pub(crate) struct UserInfo {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    token: TokenArgs,
    /// Subject that the response must be about [default: the user logged in with the profile]
    #[arg(long, value_name = "SUB")]
    subject: Option<String>,
}

impl UserInfo {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let reads_stdin = self.token.reads_stdin();
        let plan = ClientPlan::new(self.server, global)?;
        let claims = match self.token.read(&plan, global)? {
            TokenInput::Login(grants, stored) => {
                stored?.ok_or_else(|| grants.not_logged_in())?;
                let subject = match self.subject {
                    Some(subject) => subject,
                    None => verified(&plan, &grants)?,
                };
                fetch_with_login(plan, &grants, &subject, output)?
            }
            TokenInput::File(file) => {
                let subject = self.subject.ok_or_else(unknown_subject)?;
                let setup = plan.set_up(SecretRequirement::Optional, reads_stdin)?;
                let tokens = file.load()?;
                setup.client.check_owner(&tokens)?;
                fetch(&setup, tokens.into(), &subject)?
            }
            TokenInput::Bare(token) => {
                let subject = self.subject.ok_or_else(unknown_subject)?;
                let setup = plan.set_up(SecretRequirement::Optional, reads_stdin)?;
                fetch(&setup, Tokens::bearer(token).into(), &subject)?
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

/// The subject of the verified ID token of the profile's login.
fn verified(plan: &ClientPlan, grants: &ProfileTokens) -> Result<String, Failure> {
    let record = LoginRecord::load(grants.profile())?;
    let (issuer, client_id) = (plan.issuer()?, plan.client_id());
    let subject = record.and_then(|record| record.verified_subject(&issuer, client_id));
    subject.ok_or_else(unknown_subject)
}

/// Sends the request with the token of a login, and retries once if the server rejects the token.
fn fetch_with_login(
    plan: ClientPlan,
    grants: &ProfileTokens,
    subject: &str,
    output: Output,
) -> Result<Claims, Failure> {
    let setup = plan.set_up(SecretRequirement::Optional, false)?;
    let grant = grants.open(&setup, Owner::Login, output);
    let tokens = grant.token()?;
    match fetch(&setup, Arc::clone(&tokens), subject) {
        Err(error) if error.code() == "denied.invalid_token" => {
            Ok(fetch(&setup, grant.renew(&tokens)?, subject)?)
        }
        other => Ok(other?),
    }
}

fn fetch(setup: &Setup, tokens: Arc<Tokens>, subject: &str) -> Result<Claims, Error> {
    setup
        .net
        .run(setup.client.userinfo(tokens, subject.to_owned()))
}

fn unknown_subject() -> Failure {
    Failure::usage(
        "usage.subject",
        "the subject of this token is unknown, so the response could be about anyone",
        "log in with a profile whose scope contains `openid`, or pass the expected subject with --subject",
    )
}
