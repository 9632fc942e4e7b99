//! `oauth introspect`: asks the server about a token (RFC 7662).

use clap::Args;
use oauth_core::endpoint::introspection::{ActiveToken, Introspection, IntrospectionResponse};
use oauth_core::moment::UnixTime;
use oauth_core::token::TokenKind;
use oauth_core::{Scope, Secret, Tokens};
use serde_json::{Map, Value, json};

use super::{Hint, TokenArgs, TokenInput};
use crate::Global;
use crate::output::{self, Failure, Output};
use crate::profile::{ActsFor, Profile};
use crate::profile_tokens::ProfileTokens;
use crate::setup::{ClientPlan, SecretRequirement, ServerArgs};
use crate::time::rfc3339;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth introspect --profile acme
  oauth introspect --profile acme --tokens tokens.json
  oauth token --profile acme | oauth introspect --profile acme --token-file -
  oauth introspect --profile hydra \\
    --endpoint introspection=https://admin.example/oauth2/introspect

Without a token option, the access token of the profile's login is used. An inactive token is not an \
error: the exit code is 0, and `active` is false.";

/// Asks the server whether a token is active.
#[derive(Debug, Args)]
pub(crate) struct Introspect {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    token: TokenArgs,
    /// Type of the token; with --tokens or a login, also selects which of the two is sent
    #[arg(long)]
    hint: Option<Hint>,
}

impl Introspect {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let reads_stdin = self.token.reads_stdin();
        let plan = ClientPlan::new(self.server, global)?;
        let input = self.token.read(&plan, global)?;
        let setup = plan.set_up(SecretRequirement::Secret, reads_stdin)?;
        let hint = self.hint.map(TokenKind::from);
        let token = match input {
            TokenInput::Bare(token) => token,
            TokenInput::File(file) => {
                let tokens = file.load()?;
                setup.client.check_owner(&tokens)?;
                one_of(&tokens, hint)
            }
            TokenInput::Login(grants, stored) => {
                let tokens = stored?.and_then(|stored| stored.tokens());
                one_of(
                    &*tokens.ok_or_else(|| no_token(&grants, &setup.profile))?,
                    hint,
                )
            }
        };
        let mut introspection = Introspection::new(token).token_type_hint(hint);
        introspection.signed = setup.profile.registered.introspection()?;
        let state = setup.net.run(setup.client.introspect(introspection))?;
        let record = match state {
            IntrospectionResponse::Active(token) => active(*token),
            _ => Map::from_iter([("active".to_owned(), false.into())]),
        };
        let rows: Vec<(String, String)> = record
            .iter()
            .map(|(name, value)| (name.clone(), readable(name, value)))
            .collect();
        output.result(output::table(&rows), &Value::Object(record))
    }
}

/// The failure that no user is logged in. A token of the client itself is not looked up: there may be several.
fn no_token(grants: &ProfileTokens, profile: &Profile) -> Failure {
    let name = grants.profile();
    let own = format!(
        "pass the token of the client itself: oauth token --profile {name} --as client | oauth introspect --profile {name} --token-file -"
    );
    let failure = grants.not_logged_in();
    if profile.acts_for == Some(ActsFor::Client) {
        failure.with_hint(own)
    } else {
        failure.with_hint(format_args!(
            "log in with oauth login --profile {name}, or {own}"
        ))
    }
}

/// The token that the hint selects.
fn one_of(tokens: &Tokens, hint: Option<TokenKind>) -> Secret<String> {
    match (hint, &tokens.refresh_token) {
        (Some(TokenKind::Refresh), Some(refresh)) => refresh.secret().clone(),
        _ => tokens.access_token.clone(),
    }
}

/// The members as RFC 7662 names them, without those that the server omits.
fn active(token: ActiveToken) -> Map<String, Value> {
    let seconds = |time: Option<UnixTime>| time.map(UnixTime::as_secs);
    let members = [
        ("active", json!(true)),
        ("scope", json!(token.scope.as_ref().map(Scope::as_str))),
        ("client_id", json!(token.client_id)),
        ("username", json!(token.username)),
        ("token_type", json!(token.token_type)),
        ("exp", json!(seconds(token.expires_at))),
        ("iat", json!(seconds(token.issued_at))),
        ("nbf", json!(seconds(token.not_before))),
        // The server sends lifetimes, which are useless in printed output.
        (
            "refresh_token_expires_at",
            json!(seconds(token.refresh_token_expires_at)),
        ),
        (
            "authorization_expires_at",
            json!(seconds(token.authorization_expires_at)),
        ),
        ("sub", json!(token.subject)),
        ("iss", json!(token.issuer)),
    ];
    let members = members.into_iter().filter(|(_, value)| !value.is_null());
    let mut record: Map<String, Value> = members
        .map(|(name, value)| (name.to_owned(), value))
        .collect();
    if !token.audience.is_empty() {
        record.insert("aud".to_owned(), json!(token.audience));
    }
    record.extend(token.extra);
    record
}

/// Times in a readable form.
fn readable(name: &str, value: &Value) -> String {
    match (name, value.as_u64()) {
        (
            "exp" | "iat" | "nbf" | "refresh_token_expires_at" | "authorization_expires_at",
            Some(seconds),
        ) => rfc3339(UnixTime::from_secs(seconds)),
        _ => output::plain(value),
    }
}
