//! `oauth refresh`: refreshes the tokens of a login, or redeems a refresh token (RFC 6749 section 6).

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use oauth_core::error::{Error, Misuse};
use oauth_core::token::RefreshToken;
use oauth_core::{Client, Scope, Tokens};

use super::{TokenArgs, TokenInput, token};
use crate::Global;
use crate::net::Net;
use crate::output::{Failure, Output};
use crate::profile_tokens::Owner;
use crate::setup::{ClientPlan, SecretRequirement, ServerArgs};
use crate::token_file::TokenFile;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth refresh --profile acme
  oauth refresh --profile acme --tokens tokens.json
  oauth refresh --profile acme --token-file - --save tokens.json < token.txt

Prints the new access token. Without a token option, the tokens of the profile's login are refreshed, \
even if they are still valid. The store or the --tokens file is updated before it is printed. Many servers accept \
a refresh token only once: if you pass one yourself, store the new one with --save, or print it with --json.";

/// Refreshes the tokens of a login, or redeems a refresh token.
#[derive(Debug, Args)]
pub(crate) struct Refresh {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    token: TokenArgs,
    /// Write the new tokens to this file, readable only by you
    #[arg(long, value_name = "FILE", conflicts_with = "tokens")]
    save: Option<PathBuf>,
}

impl Refresh {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let reads_stdin = self.token.reads_stdin();
        let plan = ClientPlan::new(self.server, global)?;
        let input = self.token.read(&plan, global)?;
        let setup = plan.set_up(SecretRequirement::Optional, reads_stdin)?;
        let (net, client) = (&setup.net, &setup.client);
        let mut unsaved_refresh_token = None;
        let tokens: Arc<Tokens> = match input {
            TokenInput::Login(..) if self.save.is_some() => return Err(token::not_copied()),
            TokenInput::Login(grants, stored) => {
                let stored = stored?.ok_or_else(|| grants.not_logged_in())?;
                let grant = grants.open(&setup, Owner::Login, output);
                grant.renew_stored(Some(&stored))?
            }
            TokenInput::File(file) => file
                .renew(None, |old| {
                    client.check_owner(old)?;
                    renewed(net, client, old)
                })?
                .into(),
            TokenInput::Bare(bare) => {
                let draft = self.save.map(|path| TokenFile(path).draft()).transpose()?;
                let old = client.refresh_token(bare, Scope::none());
                let tokens = net.run(client.refresh(&old))?;
                match draft {
                    Some(draft) => draft.commit(&tokens)?,
                    None => unsaved_refresh_token = tokens.refresh_token.clone(),
                }
                let is_replaced = |new: &RefreshToken| !new.secret().matches(old.secret().expose());
                if unsaved_refresh_token.as_ref().is_some_and(is_replaced) {
                    output.note("warning: the server issued a new refresh token, which is lost without --save or --json");
                }
                tokens.into()
            }
        };
        output.note(token::summary(&tokens));
        let mut record = token::record(&tokens);
        // Nothing has stored the new refresh token, so it is part of the output.
        if let (Some(members), Some(unsaved)) = (record.as_object_mut(), unsaved_refresh_token) {
            let unsaved = unsaved.secret().expose().as_str();
            members.insert("refresh_token".to_owned(), unsaved.into());
        }
        output.result(tokens.access_token.expose(), &record)
    }
}

/// Refreshes these tokens.
pub(super) fn renewed(net: &Net, client: &Client, old: &Tokens) -> Result<Tokens, Failure> {
    let token = old.refresh_token.as_ref();
    let token = token.ok_or_else(|| Error::from(Misuse::NoRefreshToken))?;
    net.run(client.refresh(token)).map_err(Failure::from)
}
