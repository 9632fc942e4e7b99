//! `oauth revoke`: revokes tokens (RFC 7009).

use clap::Args;
use oauth_core::Tokens;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::token::TokenKind;
use serde_json::{Value, json};

use super::logout::end_login;
use super::{Hint, TokenArgs, TokenInput};
use crate::Global;
use crate::output::{Failure, Output};
use crate::profile::ActsFor;
use crate::profile_tokens::ProfileTokens;
use crate::setup::{ClientPlan, SecretRequirement, ServerArgs, Setup};
use crate::token_request::TokenRequestArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth revoke --profile acme
  oauth revoke --profile acme --as client
  oauth revoke --profile acme --tokens tokens.json
  oauth revoke --profile acme --token-env TOKEN --hint access_token

Without a token option, this is the same as oauth logout: the stored login of the profile is removed, \
even if the server cannot be reached, and its tokens are revoked. For a login and for --tokens, both \
tokens are revoked, the refresh token first. Servers respond alike to known and unknown tokens.";

/// Revokes tokens, or a login.
#[derive(Debug, Args)]
pub(crate) struct Revoke {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    token: TokenArgs,
    /// Type of the token, to help the server find it
    #[arg(long, conflicts_with = "tokens")]
    hint: Option<Hint>,
    /// Revoke the stored tokens of the user or of the client itself [default: user]
    #[arg(long = "as", value_enum, conflicts_with_all = ["token", "hint"])]
    acts_for: Option<ActsFor>,
}

impl Revoke {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let reads_stdin = self.token.reads_stdin();
        let plan = ClientPlan::new(self.server, global)?;
        if self.acts_for == Some(ActsFor::Client) {
            let grants = ProfileTokens::for_profile(&plan.profile, global)?;
            let revoked = remove_clients(plan, &grants.ok_or_else(no_token)?, output)?;
            return revoked?.report(output);
        }
        let input = self.token.read(&plan, global)?;
        let set_up = |plan: ClientPlan| plan.set_up(SecretRequirement::Optional, reads_stdin);
        match input {
            TokenInput::Login(grants, stored) => {
                end_login(plan, &grants, stored, output)?.report_revoked(output)
            }
            TokenInput::File(file) => {
                let setup = set_up(plan)?;
                let tokens = file.load()?;
                // They are sent only to the server that issued them.
                setup.client.check_owner(&tokens)?;
                Revoked::at_server(revoke(&setup, revocations_of(&tokens))?).report(output)
            }
            TokenInput::Bare(token) => {
                let hint = self.hint.map(TokenKind::from);
                let revocation = Revocation::new(token).token_type_hint(hint);
                Revoked::at_server(revoke(&set_up(plan)?, vec![revocation])?).report(output)
            }
        }
    }
}

/// The result of a revocation at the server.
#[derive(Debug, Default)]
pub(super) struct Revoked {
    /// The kinds of the revoked tokens.
    pub(super) kinds: Vec<&'static str>,
    /// Whether others were not revoked, because the server cannot, or because they could not be read.
    pub(super) may_still_be_valid: bool,
}

impl Revoked {
    const fn at_server(kinds: Vec<&'static str>) -> Self {
        Self {
            kinds,
            may_still_be_valid: false,
        }
    }

    pub(super) fn text(&self) -> String {
        match self.kinds.as_slice() {
            [] if self.may_still_be_valid => "nothing was revoked".to_owned(),
            [] => "nothing to revoke".to_owned(),
            kinds => format!("revoked: {}", kinds.join(", ")),
        }
    }

    pub(super) fn record(&self) -> Value {
        json!({ "revoked": self.kinds, "may_still_be_valid": self.may_still_be_valid })
    }

    pub(super) fn report(&self, output: Output) -> Result<(), Failure> {
        output.result(self.text(), &self.record())
    }
}

/// Removes the client's own tokens, of all scopes.
///
/// The outer error is a local one: then no token that can be read is removed.
pub(super) fn remove_clients(
    plan: ClientPlan,
    grants: &ProfileTokens,
    output: Output,
) -> Result<Result<Revoked, Failure>, Failure> {
    let (readable, malformed): (Vec<_>, Vec<_>) = grants
        .client_tokens(&plan)?
        .into_iter()
        .partition(|client_token| client_token.tokens.is_some());
    let mut was_malformed = grants.remove_malformed(&plan, &TokenRequestArgs::default())?;
    for client_token in malformed {
        was_malformed |= grants.remove(&client_token.key)?;
    }
    if was_malformed {
        output.note("removed a token that could not be read: it may still be valid at the server");
    }
    let mut revoked = Revoked {
        may_still_be_valid: was_malformed,
        ..Revoked::default()
    };
    if readable.is_empty() {
        return if was_malformed {
            Ok(Ok(revoked))
        } else {
            Err(no_token())
        };
    }
    let mut revocations = Vec::new();
    for client_token in &readable {
        grants.remove(&client_token.key)?;
        revocations.extend(
            client_token
                .tokens
                .iter()
                .flat_map(|tokens| revocations_of(tokens)),
        );
    }
    let client = plan.client_id().to_owned();
    output.note(format_args!("removed the tokens of client `{client}`"));
    let setup = plan.set_up(SecretRequirement::Optional, false);
    let at_server = setup.and_then(|setup| revoke_where_supported(&setup, revocations, output));
    Ok(at_server.map_err(still_valid).map(|at_server| {
        revoked.kinds = at_server.kinds;
        revoked.may_still_be_valid |= at_server.may_still_be_valid;
        revoked
    }))
}

pub(super) fn still_valid(failure: Failure) -> Failure {
    failure.and_hint("the tokens may still be valid at the server")
}

fn no_token() -> Failure {
    Failure::usage(
        "usage.no_token",
        "no tokens of the client itself are stored",
        "oauth status lists what is stored",
    )
}

/// [`revoke`] at a logout, which has succeeded already: a kind of token that the server does not revoke (RFC 7009 section
/// 2.2.1), such as JWTs, is not a failure.
pub(super) fn revoke_where_supported(
    setup: &Setup,
    revocations: Vec<Revocation>,
    output: Output,
) -> Result<Revoked, Failure> {
    let mut revoked = Revoked::default();
    for revocation in revocations {
        match revoke(setup, vec![revocation]) {
            Err(failure) if failure.has_code("denied.unsupported_token_type") => {
                output.note(
                    "the server does not revoke tokens of this kind: the token remains valid until it expires",
                );
                revoked.may_still_be_valid = true;
            }
            kinds => revoked.kinds.extend(kinds?),
        }
    }
    Ok(revoked)
}

/// Asks the server to revoke these tokens, and returns their kinds.
pub(super) fn revoke(
    setup: &Setup,
    revocations: Vec<Revocation>,
) -> Result<Vec<&'static str>, Failure> {
    let mut revoked = Vec::new();
    for revocation in revocations {
        revoked.push(
            revocation
                .token_type_hint
                .map_or("token", TokenKind::as_str),
        );
        setup.net.run(setup.client.revoke(revocation))?;
    }
    Ok(revoked)
}

/// Both tokens of a grant, the refresh token first.
pub(super) fn revocations_of(tokens: &Tokens) -> Vec<Revocation> {
    let refresh = tokens
        .refresh_token
        .as_ref()
        .map(|token| Revocation::new(token.secret().clone()).token_type_hint(TokenKind::Refresh));
    let access = Revocation::new(tokens.access_token.clone()).token_type_hint(TokenKind::Access);
    refresh.into_iter().chain([access]).collect()
}
