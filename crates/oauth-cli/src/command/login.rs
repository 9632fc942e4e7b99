//! `oauth login`: authorization code with PKCE, over the browser and a loopback port (RFC 8252).

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use oauth_core::{AuthorizationRequest, Moment};
use oauth_reqwest::blocking::Listener;
use oauth_reqwest::browser;

use super::token;
use crate::Global;
use crate::grants::{Grants, Owner};
use crate::output::{Failure, Output, complain};
use crate::setup::{Need, Plan, ServerArgs, pair};
use crate::token_file::TokenFile;

pub(super) const EXAMPLES: &str = "\
Examples:
  oauth login --profile acme
  oauth login --provider google --client-id 1234.apps.example --scope \"openid email\" --save tokens.json
  oauth login --issuer https://as.example --client-id app --client-auth none --no-browser
  oauth login --provider socios --client-id key --client-secret-file key.txt --param partner_tag=acme

The redirect URI is http://127.0.0.1:PORT/callback. With a profile the tokens are stored for all shells
of this user: see oauth token. With --save they go to that file only, and with neither the access
token is printed on stdout. With --json the URL to open is on stderr, as `authorization_url`.";

/// Logs a person in with the browser.
#[derive(Debug, Args)]
pub(crate) struct Login {
    #[command(flatten)]
    server: ServerArgs,
    /// What to ask for, names separated by spaces
    #[arg(long)]
    scope: Option<String>,
    /// A parameter of the provider's own, such as prompt=login
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// Print the URL instead of opening a browser
    #[arg(long)]
    no_browser: bool,
    /// The loopback port to wait at [default: the profile's, else any free one]
    #[arg(long)]
    port: Option<u16>,
    /// The path to wait at
    #[arg(long, default_value = "/callback")]
    path: String,
    /// How many seconds to wait for the browser to come back
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    timeout: u64,
    /// Write the tokens to this file, readable by this user alone
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

impl Login {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let plan = Plan::new(self.server, global)?;
        let grants = match self.save {
            Some(_) => None,
            None => Grants::of(&plan.profile, global)?,
        };
        let scope = plan.scope(self.scope.as_ref())?;
        let setup = plan.set_up(Need::Perhaps, false)?;
        let file = self.save.map(TokenFile);
        // Better now than after the login. No draft stays here while somebody may press Ctrl-C.
        file.as_ref().map(TokenFile::draft).transpose()?;
        let port = self.port.or(setup.profile.redirect_port);
        let listener = Listener::bind_on(port.unwrap_or_default())?.at_path(&self.path)?;
        let mut ask = AuthorizationRequest::new(listener.redirect_uri().clone()).scope(scope);
        ask.extra = self.parameters;
        let (url, pending) = setup.client.authorize(Moment::system()?, ask)?;
        let is_open = !self.no_browser && browser::open(&url).is_ok();
        if is_open {
            output.note("the browser shows the login; if it does not, open this URL:");
        } else {
            output.note("open this URL:");
        }
        // Programs need it too: it is no result, but somebody has to open it.
        complain(match output.json {
            true => serde_json::json!({ "authorization_url": url.as_str() }).to_string(),
            false => url.to_string(),
        });
        output.note(format_args!(
            "waiting at {} for up to {} s (Ctrl-C gives up)",
            listener.redirect_uri(),
            self.timeout
        ));
        let callback = listener.wait(&pending, Duration::from_secs(self.timeout))?;
        let tokens = setup.net.run(setup.client.redeem(pending, &callback)?)?;
        output.note(format_args!("logged in: {}", token::summary(&tokens)));
        match (file, grants) {
            (Some(file), _) => file.draft()?.commit(&tokens),
            (None, Some(grants)) => {
                let grant = grants.open(&setup, Owner::Login, output);
                grant.log_in(tokens)?;
                let profile = grants.profile();
                output.note(format_args!("stored as the login of profile `{profile}`"));
                Ok(())
            }
            (None, None) => token::print(&tokens, output),
        }
    }
}
