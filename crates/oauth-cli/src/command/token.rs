//! `oauth token`: prints the token of a login, or one for the client (RFC 6749 section 4.4).

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};
use oauth_core::moment::UnixTime;
use oauth_core::token::{TokenType, Warning};
use oauth_core::{Moment, Tokens};
use serde_json::{Value, json};

use super::extension_grant;
use super::format::Format;
use crate::Global;
use crate::fixed_token;
use crate::output::{Failure, Output};
use crate::profile::{Profile, Who};
use crate::profile_tokens::{Choice, Owner, ProfileTokens};
use crate::setup::{ClientPlan, Need, ServerArgs, pair};
use crate::time::rfc3339;
use crate::token_file::TokenFile;
use crate::token_request::TokenRequestArgs;

pub(super) const EXAMPLES: &str = "\
Only the access token is printed, so that it can be used at once:
  oauth token --profile acme
  oauth token --profile acme --format curl | \\
    curl --config - https://api.acme.example/
  oauth token --profile acme --as client --scope read
  oauth token --profile acme --min-valid 600
  oauth token --profile acme --audience https://api.example --param tenant=42
  oauth token --provider usertesting --client-id 0oa1 \\
    --client-secret-file secret.txt
  oauth token --provider uservoice --var subdomain=acme --client-id key \\
    --client-secret-env UV_SECRET
  oauth token --provider-file acme.toml --client-id app --grant impersonation \\
    --param user_id=42 --secret-param pin=pin.txt
  oauth token --issuer https://as.example --client-id app --key client.pem
  oauth token --issuer https://as.example --client-id app \\
    --assertion-file /var/run/secrets/tokens/as
  oauth token --issuer https://as.example --client-id app \\
    --client-auth tls --client-cert client.pem

With a profile, tokens are stored for all shells of this user, and one that is good is printed at \
once. A profile with which somebody has ever logged in is that person's: the token is that of the \
login, and if the login is gone, the command says so. All other profiles are the client's own. \
--as, and `as` in the profile, say it expressly.

A token that is over is renewed, and if several shells find that out, one of them asks and all \
print the answer. One that was killed in the midst of it is waited for: for 10 seconds, or for up \
to a minute and a half if the server may have had the refresh token. \
The store is in $XDG_STATE_HOME/oauth/grants (in ~/.local/state if unset; in %LOCALAPPDATA% on \
Windows).

A profile with `token_env` or `token_file` has a token that was made by hand, and that one is \
printed.

A token of which nobody knows when it ends is good for any --min-valid. If the server's tokens do not \
last that long, the command says so and prints none.

The tokens of a grant that the provider file describes are asked for each time, and not stored.

Without a profile, with --no-store, and with store = \"none\" in the profile, each call asks for \
a token of the client's own.";

/// Gets a token.
#[derive(Debug, Args)]
#[command(mut_arg("token_parameters", |arg| arg.visible_alias("param")))]
pub(crate) struct Token {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    wanted: Wanted,
    /// How to print it
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// Which token is wanted; by default the one that is stored, renewed if it has to be.
#[derive(Debug, Default, Args)]
pub(super) struct Wanted {
    /// How to get the token: `client_credentials`, or the name of a grant that the provider file describes, with its
    /// parameters in --param [default: from the profile's login, or else as the client itself]
    #[arg(long, value_name = "GRANT")]
    grant: Option<TokenGrant>,
    /// A parameter of a described grant that nobody is to see, out of this file; - is stdin
    #[arg(long = "secret-param", value_name = "NAME=FILE", value_parser = pair, requires = "grant")]
    secret_parameters: Vec<(String, String)>,
    /// Whose token to get [default: the profile's `as`, or see below]
    #[arg(long = "as", value_enum, conflicts_with = "grant")]
    who: Option<Who>,
    #[command(flatten)]
    asked: TokenRequestArgs,
    /// Ask for a new one, though the stored one may be good
    #[arg(long)]
    renew: bool,
    /// Renew the stored one if it ends sooner than this [default: 30 s, or a tenth of its lifetime]
    #[arg(long, value_name = "SECONDS", conflicts_with = "renew")]
    min_valid: Option<u64>,
    /// Write the client's own tokens to this file as well, readable by this user alone
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// The grants that need nobody at a browser.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum GrantType {
    /// The client's own credentials
    ClientCredentials,
}

/// The same, or a grant that the provider file describes, by its name.
#[derive(Debug, Clone)]
enum TokenGrant {
    Usual(GrantType),
    Described(String),
}

impl From<&str> for TokenGrant {
    fn from(text: &str) -> Self {
        match GrantType::from_str(text, false) {
            Ok(usual) => Self::Usual(usual),
            Err(_) => Self::Described(text.to_owned()),
        }
    }
}

/// Whose tokens are meant.
pub(super) fn choice(grant: Option<GrantType>, said: Option<Who>, profile: &Profile) -> Choice {
    match grant {
        Some(GrantType::ClientCredentials) => Choice::Client,
        None => Choice::of(said, profile),
    }
}

impl Token {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let profile = self.server.loaded(global)?;
        let tokens = self.wanted.of(profile, global, output)?;
        match self.format {
            Some(format) => format.print(&tokens, output),
            None => print(&tokens, output),
        }
    }
}

impl Wanted {
    /// This token of this profile.
    pub(super) fn of(
        self,
        profile: Profile,
        global: &Global,
        output: Output,
    ) -> Result<Arc<Tokens>, Failure> {
        let valid = MinValid::new(self.min_valid)?;
        let tokens = self.tokens(profile, valid, global, output)?;
        valid.check(&tokens)?;
        Ok(tokens)
    }

    fn tokens(
        self,
        profile: Profile,
        valid: MinValid,
        global: &Global,
        output: Output,
    ) -> Result<Arc<Tokens>, Failure> {
        if let Some(fixed) = fixed_token::read_of(&profile)?
            && self.grant.is_none()
            && self.who.is_none()
        {
            return Ok(fixed.read(None)?);
        }
        let plan = ClientPlan::of(profile, global)?;
        let grant = match self.grant {
            Some(TokenGrant::Described(name)) => {
                let draft = self.save.map(|path| TokenFile(path).draft()).transpose()?;
                let tokens =
                    extension_grant::tokens(&name, plan, self.asked, self.secret_parameters)?;
                if let Some(draft) = draft {
                    draft.commit(&tokens)?;
                }
                return Ok(tokens.into());
            }
            Some(TokenGrant::Usual(usual)) => Some(usual),
            None => None,
        };
        let choice = choice(grant, self.who, &plan.profile);
        let Some(grants) = ProfileTokens::of(&plan.profile, global)? else {
            choice.without_store()?;
            let asked = plan.asked(&self.asked)?;
            let setup = plan.set_up(Need::Secret, false)?;
            let draft = self.save.map(|path| TokenFile(path).draft()).transpose()?;
            let tokens = setup.new_one(asked)?;
            if let Some(draft) = draft {
                draft.commit(&tokens)?;
            }
            return Ok(tokens.into());
        };
        let mut chosen = grants.choose(&plan, choice, &self.asked)?;
        if self.save.is_some() && matches!(chosen.owner, Owner::Login) {
            return Err(one_home());
        }
        let draft = self.save.map(|path| TokenFile(path).draft()).transpose()?;
        let fresh = match self.renew {
            true => None,
            false => chosen.fresh()?.filter(|fresh| valid.keeps(fresh)),
        };
        let tokens = match fresh {
            // Neither a secret nor a server is needed.
            Some(tokens) => tokens,
            None => {
                let setup = grants.set_up(plan, &chosen)?;
                let grant = grants.open(&setup, chosen.owner, output);
                match self.renew {
                    true => grant.renew_stored(chosen.stored.as_ref())?,
                    false => {
                        let tokens = grant.token()?;
                        match valid.keeps(&tokens) {
                            true => tokens,
                            false => grant.renew(&tokens)?,
                        }
                    }
                }
            }
        };
        if let Some(draft) = draft {
            draft.commit(&tokens)?;
        }
        Ok(tokens)
    }
}

/// How long a token has to be good, and from when.
#[derive(Debug, Clone, Copy)]
struct MinValid {
    until: Option<UnixTime>,
    seconds: u64,
}

impl MinValid {
    fn new(said: Option<u64>) -> Result<Self, Failure> {
        let seconds = said.unwrap_or_default();
        let now = Moment::system()?.now();
        Ok(Self {
            until: said.map(|seconds| now.after(Duration::from_secs(seconds))),
            seconds,
        })
    }

    fn is_met(self, tokens: &Tokens) -> bool {
        let both = self.until.zip(tokens.expires_at());
        both.is_none_or(|(until, end)| until <= end)
    }

    /// Whether a token at hand is good enough, or another one would be no better.
    fn keeps(self, tokens: &Tokens) -> bool {
        let lifetime = tokens.expires_in.unwrap_or(u64::MAX);
        self.is_met(tokens) || lifetime < self.seconds
    }

    fn check(self, tokens: &Tokens) -> Result<(), Failure> {
        if self.is_met(tokens) {
            return Ok(());
        }
        Err(Failure::refused(
            "token.short_lived",
            format_args!(
                "the token expires in less than the {} s of --min-valid",
                self.seconds
            ),
            "the server's tokens do not last that long: ask for less",
        ))
    }
}

/// Of a refresh token there is one copy: two would be spent twice.
pub(super) fn one_home() -> Failure {
    Failure::usage(
        "usage.save",
        "a login is stored once, and not copied into a file",
        "leave out --save",
    )
}

/// Prints the access token alone, or what is known about it.
pub(super) fn print(tokens: &Tokens, output: Output) -> Result<(), Failure> {
    warn(tokens, output);
    output.result(tokens.access_token.expose(), &record(tokens))
}

/// Tells what was odd about the reply. That servers add scopes of their own to what was asked for is
/// everyday life, and no warning: what was granted is said anyway.
pub(super) fn warn(tokens: &Tokens, output: Output) {
    if tokens.token_type == TokenType::Dpop {
        output.note(
            "the token is bound to a key: each request with it needs a proof of the key (DPoP)",
        );
    }
    for warning in &tokens.warnings {
        match warning {
            Warning::ScopeWidened => {
                output.note(format_args!("the server granted: {}", tokens.scope));
            }
            Warning::MalformedScope => {
                output
                    .note("warning: some names in the server's scope are malformed, and left out");
            }
            Warning::MalformedExpiresIn => {
                output.note("warning: the server names no lifetime that can be read");
            }
            Warning::IdTokenTimes => {
                output
                    .note("warning: by this clock the new ID token is not valid: check the clock");
            }
            other => output.note(format_args!("warning: {}", other.code())),
        }
    }
}

/// What is known about an access token.
pub(super) fn record(tokens: &Tokens) -> Value {
    json!({
        "access_token": tokens.access_token.expose(),
        "token_type": tokens.token_type.as_str(),
        "expires_in": tokens.expires_in,
        "expires_at": tokens.expires_at().map(rfc3339),
        "scope": tokens.scope.as_str(),
        "refresh_token_present": tokens.refresh_token.is_some(),
    })
}

/// What people want to know about new tokens, in one line and without a secret.
pub(super) fn summary(tokens: &Tokens) -> String {
    let end = match tokens.expires_at() {
        Some(end) => format!("until {}", rfc3339(end)),
        None => "until the server refuses it".to_owned(),
    };
    let scope = match tokens.scope.is_empty() {
        true => String::new(),
        false => format!(" for {}", tokens.scope),
    };
    let refresh = match tokens.refresh_token {
        Some(_) => "can be refreshed",
        None => "no refresh token",
    };
    format!("token{scope}, good {end}, {refresh}")
}
