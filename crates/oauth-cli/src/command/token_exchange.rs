//! `oauth exchange`: exchanges one token for another (RFC 8693).

use clap::Args;
use oauth_core::Secret;
use oauth_core::grant::TokenExchange;

use super::format::Format;
use super::token;
use crate::Global;
use crate::output::{Failure, Output};
use crate::secret_source::{Source, secret_args};
use crate::setup::{ClientPlan, SecretRequirement, ServerArgs};
use crate::token_request::TokenRequestArgs;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth exchange --profile acme --subject-token-env TOKEN \\
    --audience https://backend.example
  oauth exchange --issuer https://as.example --client-id api --key api.pem \\
    --subject-token-file - --actor-token-file actor.jwt --actor-token-type jwt \\
    --scope read < incoming-token
  oauth exchange --profile idp --subject-token-file id_token \\
    --subject-token-type id_token --requested-token-type id-jag \\
    --audience https://as.chat.example --resource https://api.chat.example/

Token types are access_token, refresh_token, id_token, saml1, saml2, jwt, id-jag, or any URI. Only the issued \
token is printed; --json also prints its type. A token with the token_type N_A cannot be used to call an \
API.";

secret_args!(
    /// The source of the subject token.
    SubjectToken,
    "subject-token",
    "subject-token",
    "Token",
    "the subject token"
);
secret_args!(
    /// The source of the actor token.
    ActorToken,
    "actor-token",
    "actor-token",
    "Token",
    "the actor token, of the party that acts for the subject,"
);

/// Exchanges one token for another.
#[derive(Debug, Args)]
#[command(mut_arg("token_parameters", |arg| arg.visible_alias("param")))]
pub(crate) struct Exchange {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    subject: SubjectToken,
    /// Type of the subject token
    #[arg(
        long,
        value_name = "TYPE",
        help_heading = "Token",
        default_value = "access_token"
    )]
    subject_token_type: String,
    #[command(flatten)]
    actor: ActorToken,
    /// Type of the actor token
    #[arg(long, value_name = "TYPE", help_heading = "Token")]
    actor_token_type: Option<String>,
    /// Type of token to request [default: chosen by the server]
    #[arg(long, value_name = "TYPE", help_heading = "Token")]
    requested_token_type: Option<String>,
    #[command(flatten)]
    request_args: TokenRequestArgs,
    /// Output format
    #[arg(long, value_enum)]
    format: Option<Format>,
}

const OPTIONS: &str = "use --subject-token-env VAR or --subject-token-file PATH (- for stdin), and --actor-token-env or --actor-token-file for an actor token";

impl Exchange {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let plan = ClientPlan::new(self.server, global)?;
        let token_request = plan.token_request(&self.request_args)?;
        let (subject, actor) = (self.subject.source(), self.actor.source());
        let all = [subject.as_ref(), actor.as_ref()];
        let from_stdin = all
            .iter()
            .flatten()
            .filter(|source| source.is_stdin())
            .count();
        if from_stdin > 1 {
            return Err(Failure::usage(
                "usage.stdin",
                "only one token can be read from stdin",
                OPTIONS,
            ));
        }
        let read =
            |source: Option<Source>, label: &str| -> Result<Option<Secret<String>>, Failure> {
                source.map(|source| source.read(label, OPTIONS)).transpose()
            };
        let missing = || Failure::usage("usage.token", "no subject token is given", OPTIONS);
        let subject = read(subject, "the subject token")?.ok_or_else(missing)?;
        let actor = read(actor, "the actor token")?;
        let grant = TokenExchange::new(subject, &self.subject_token_type)?;
        let mut grant = grant.actor(actor, self.actor_token_type.as_deref())?;
        if let Some(name) = &self.requested_token_type {
            grant = grant.requested_token_type(name)?;
        }
        let setup = plan.set_up(SecretRequirement::Optional, from_stdin > 0)?;
        let tokens = setup.net.run(setup.client.token(grant, token_request));
        let tokens = tokens.map_err(|error| {
            Failure::from(error).without_login(
                "the server does not accept the subject token or the actor token; check their types, and whether they are valid and meant for this server",
            )
        })?;
        if let Some(format) = self.format {
            return format.print(&tokens, output);
        }
        token::warn(&tokens, output);
        let mut record = token::record(&tokens);
        if let Some(members) = record.as_object_mut() {
            let issued = tokens.issued_token_type();
            members.insert("issued_token_type".to_owned(), issued.into());
        }
        output.result(tokens.access_token.expose(), &record)
    }
}
