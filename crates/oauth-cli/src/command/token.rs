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
use crate::profile::{ActsFor, Profile};
use crate::profile_tokens::{Choice, Owner, ProfileTokens};
use crate::setup::{ClientPlan, SecretRequirement, ServerArgs, pair};
use crate::time::rfc3339;
use crate::token_file::TokenFile;
use crate::token_request::TokenRequestArgs;

pub(super) const EXAMPLES: &str = "\
Only the access token is printed, so it can be used directly:
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

With a profile, tokens are stored for all shells of this user, and a valid stored token is printed \
immediately. After a login with the profile, the token is that of the login; after a logout, the command \
fails until the next login. Without any login, the token is for the client itself. --as, or `as` in the \
profile, selects one of the two.

An expired token is refreshed. If several shells need this at the same time, one of them sends the request \
and all print the new token. If that shell is killed, the others wait before they retry: for 10 seconds, or \
up to 90 seconds if the server may have received the refresh token. The store is in \
$XDG_STATE_HOME/oauth/grants; XDG_STATE_HOME defaults to ~/.local/state, or to %LOCALAPPDATA% on Windows, and \
is ignored if it is a relative path.

--renew also replaces a stored token of the client itself that cannot be read.

A profile with `token_env` or `token_file` has a fixed token, which is printed as it is.

--min-valid has no effect on a token without a known expiry. If the server's tokens have a shorter lifetime, \
the command fails.

Tokens of an extension grant in the provider file are requested in each call and not stored.

Without a profile, with --no-store, and with store = \"none\" in the profile, each call requests a new \
token for the client itself.";

/// Prints an access token.
#[derive(Debug, Args)]
#[command(mut_arg("token_parameters", |arg| arg.visible_alias("param")))]
pub(crate) struct Token {
    #[command(flatten)]
    server: ServerArgs,
    #[command(flatten)]
    selection: TokenSelection,
    /// Output format
    #[arg(long, value_enum)]
    format: Option<Format>,
}

/// The token to get; by default the stored one, refreshed if necessary.
#[derive(Debug, Default, Args)]
pub(super) struct TokenSelection {
    /// Grant to use: `client_credentials`, or an extension grant in the provider file, with its parameters in --param
    /// [default: the profile's login, or else the client's own credentials]
    #[arg(long, value_name = "GRANT")]
    grant: Option<TokenGrant>,
    /// Read a secret parameter of the extension grant from this file (- for stdin)
    #[arg(long = "secret-param", value_name = "NAME=FILE", value_parser = pair, requires = "grant")]
    secret_parameters: Vec<(String, String)>,
    /// Act as the user or as the client [default: the profile's `as`, or see below]
    #[arg(long = "as", value_enum, conflicts_with = "grant")]
    acts_for: Option<ActsFor>,
    #[command(flatten)]
    request_args: TokenRequestArgs,
    /// Request a new token even if the stored one is valid
    #[arg(long)]
    renew: bool,
    /// Refresh the stored token if it expires sooner than this [default: 30 s, or a tenth of its lifetime]
    #[arg(long, value_name = "SECONDS", conflicts_with = "renew")]
    min_valid: Option<u64>,
    /// Also write the client's own tokens to this file, readable only by you
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
}

/// The standard grants that work without a user.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
pub(super) enum GrantType {
    /// The client's own credentials
    ClientCredentials,
}

/// A grant of `GrantType`, or an extension grant in the provider file, by its name.
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

/// Selects the user's tokens or the client's own.
pub(super) fn choice(
    grant: Option<GrantType>,
    acts_for: Option<ActsFor>,
    profile: &Profile,
) -> Choice {
    match grant {
        Some(GrantType::ClientCredentials) => Choice::Client,
        None => Choice::from_args(acts_for, profile),
    }
}

impl Token {
    pub(super) fn run(self, global: &Global, output: Output) -> Result<(), Failure> {
        let profile = self.server.loaded(global)?;
        let tokens = self.selection.get(profile, global, output)?;
        match self.format {
            Some(format) => format.print(&tokens, output),
            None => print(&tokens, output),
        }
    }
}

impl TokenSelection {
    /// Gets this token of this profile.
    pub(super) fn get(
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
            && self.acts_for.is_none()
        {
            return Ok(fixed.read(None)?);
        }
        let plan = ClientPlan::for_profile(profile, global)?;
        let grant = match self.grant {
            Some(TokenGrant::Described(name)) => {
                let draft = self.save.map(|path| TokenFile(path).draft()).transpose()?;
                let tokens = extension_grant::tokens(
                    &name,
                    plan,
                    self.request_args,
                    self.secret_parameters,
                )?;
                if let Some(draft) = draft {
                    draft.commit(&tokens)?;
                }
                return Ok(tokens.into());
            }
            Some(TokenGrant::Usual(usual)) => Some(usual),
            None => None,
        };
        let choice = choice(grant, self.acts_for, &plan.profile);
        let Some(grants) = ProfileTokens::for_profile(&plan.profile, global)? else {
            choice.without_store()?;
            let token_request = plan.token_request(&self.request_args)?;
            let setup = plan.set_up(SecretRequirement::Secret, false)?;
            let draft = self.save.map(|path| TokenFile(path).draft()).transpose()?;
            let tokens = setup.client_token(token_request)?;
            if let Some(draft) = draft {
                draft.commit(&tokens)?;
            }
            return Ok(tokens.into());
        };
        if self.renew && choice != Choice::User {
            grants.remove_malformed(&plan, &self.request_args)?;
        }
        let mut chosen = grants.choose(&plan, choice, &self.request_args)?;
        if self.save.is_some() && matches!(chosen.owner, Owner::Login) {
            return Err(not_copied());
        }
        let draft = self.save.map(|path| TokenFile(path).draft()).transpose()?;
        let fresh = if self.renew {
            None
        } else {
            chosen.fresh_tokens()?.filter(|fresh| valid.keeps(fresh))
        };
        let tokens = match fresh {
            // Requires neither a secret nor a server.
            Some(tokens) => tokens,
            None => {
                let setup = grants.set_up(plan, &chosen)?;
                let grant = grants.open(&setup, chosen.owner, output);
                if self.renew {
                    grant.renew_stored(chosen.stored.as_ref())?
                } else {
                    let tokens = grant.token()?;
                    if valid.keeps(&tokens) {
                        tokens
                    } else {
                        grant.renew(&tokens)?
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

/// The required remaining lifetime of a token.
#[derive(Debug, Clone, Copy)]
struct MinValid {
    until: Option<UnixTime>,
    seconds: u64,
}

impl MinValid {
    fn new(option: Option<u64>) -> Result<Self, Failure> {
        let seconds = option.unwrap_or_default();
        let now = Moment::system()?.now();
        Ok(Self {
            until: option.map(|seconds| now.after(Duration::from_secs(seconds))),
            seconds,
        })
    }

    fn is_met(self, tokens: &Tokens) -> bool {
        let both = self.until.zip(tokens.expires_at());
        both.is_none_or(|(until, end)| until <= end)
    }

    /// Whether this token is valid long enough, or a new one would not be valid any longer.
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
                "the token expires before the {} s of --min-valid",
                self.seconds
            ),
            "the server's tokens have a shorter lifetime: use a lower value",
        ))
    }
}

/// There must be only one copy of a refresh token, which can be used only once.
pub(super) fn not_copied() -> Failure {
    Failure::usage(
        "usage.save",
        "the tokens of a login cannot be copied to a file",
        "remove --save",
    )
}

/// Prints the access token alone, or what is known about it.
pub(super) fn print(tokens: &Tokens, output: Output) -> Result<(), Failure> {
    warn(tokens, output);
    output.result(tokens.access_token.expose(), &record(tokens))
}

/// Prints the warnings about the response. A wider scope than requested is common, so it is not a warning but a note.
pub(super) fn warn(tokens: &Tokens, output: Output) {
    if tokens.token_type == TokenType::Dpop {
        output.note("the token is bound to a key: each request with it requires a DPoP proof");
    }
    for warning in &tokens.warnings {
        match warning {
            Warning::ScopeWidened => {
                output.note(format_args!(
                    "the server granted the scope: {}",
                    tokens.scope
                ));
            }
            Warning::MalformedScope => {
                output.note(
                    "warning: the server's `scope` contains malformed values, which are ignored",
                );
            }
            Warning::MalformedExpiresIn => {
                output.note("warning: the server's `expires_in` is malformed, and ignored");
            }
            Warning::IdTokenTimes => {
                output.note(
                    "warning: the new ID token is not valid at this time: check the system clock",
                );
            }
            // The login has already listed the missing ones.
            Warning::AuthorizationDetailsMissing => {
                output.note("warning: not all requested permissions were granted");
            }
            Warning::IssuedTokenTypeMissing => output.note(
                "warning: the response does not name the type of the issued token, as RFC 8693 requires",
            ),
            Warning::MalformedRefreshTokenTimeout => output.note(
                "warning: the server's lifetime of the refresh token is malformed, and ignored",
            ),
            Warning::MalformedAuthorizationExpiresIn => output.note(
                "warning: the server's lifetime of the authorization is malformed, and ignored",
            ),
            Warning::RefreshTokenTimeoutExceedsAuthorization => output.note(
                "warning: the refresh token would outlive the authorization: the earlier end counts",
            ),
            Warning::ExtraTooLarge => output.note(
                "warning: the response has more members of its own than are kept: they were left out",
            ),
            Warning::TokenNotToken68 => output.note(
                "warning: the access token contains characters that are not allowed in an Authorization header (RFC 6750)",
            ),
            Warning::AcrNotMet => output.note(
                "warning: the user did not authenticate as the API requires: it may refuse the token again",
            ),
            // A later version of the library may have more.
            other => output.note(format_args!(
                "warning: the token response is unusual ({})",
                other.code()
            )),
        }
    }
}

/// The known facts about an access token.
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

/// A description of new tokens, in one line and without secrets.
pub(super) fn summary(tokens: &Tokens) -> String {
    let end = match tokens.expires_at() {
        Some(end) => format!("expires {}", rfc3339(end)),
        None => "no known expiry".to_owned(),
    };
    let scope = if tokens.scope.is_empty() {
        String::new()
    } else {
        format!("scope {}, ", tokens.scope)
    };
    let refresh = match tokens.refresh_token {
        Some(_) => "can be refreshed",
        None => "no refresh token",
    };
    format!("access token: {scope}{end}, {refresh}")
}
