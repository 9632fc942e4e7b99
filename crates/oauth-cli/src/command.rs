//! The commands, each in its own file.

mod call;
mod client_id_metadata;
mod completions;
mod connect;
mod credential;
mod demo;
mod device;
mod discover;
mod extension_grant;
mod format;
mod inspect;
mod introspect;
mod key;
mod login;
mod logout;
mod permissions;
mod profile;
mod providers;
mod refresh;
mod register;
mod revoke;
mod serve;
mod status;
mod test_session;
mod token;
mod token_exchange;
mod userinfo;

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueHint};
use oauth_core::Secret;
use oauth_core::token::TokenKind;

use crate::Global;
use crate::output::{Failure, Output};
use crate::profile_tokens::{Owner, ProfileTokens, StoredGrant};
use crate::secret_source::secret_args;
use crate::setup::ClientPlan;
use crate::token_file::TokenFile;

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run every documented flow of four systems against local test servers
    #[command(after_help = demo::EXAMPLES)]
    Demo(demo::Demo),
    /// Print an access token, for the logged-in user or for the client itself
    #[command(after_help = token::EXAMPLES)]
    Token(token::Token),
    /// Log in with the browser
    #[command(after_help = login::EXAMPLES)]
    Login(login::Login),
    /// Log in with a code entered on another device (RFC 8628)
    #[command(after_help = device::EXAMPLES)]
    Device(device::Device),
    /// Get a token for an API by its URL, discovering its authorization server (MCP, RFC 9728)
    #[command(after_help = connect::EXAMPLES)]
    Connect(connect::Connect),
    /// Exchange one token for another (RFC 8693)
    #[command(after_help = token_exchange::EXAMPLES)]
    Exchange(token_exchange::Exchange),
    /// Call an API with an access token
    #[command(after_help = call::EXAMPLES)]
    Call(call::Call),
    /// Refresh the tokens of a login, or redeem a refresh token
    #[command(after_help = refresh::EXAMPLES)]
    Refresh(refresh::Refresh),
    /// Log out, and revoke the tokens of the login
    #[command(after_help = logout::EXAMPLES)]
    Logout(logout::Logout),
    /// Revoke a token, or log out and revoke the tokens of the login (RFC 7009)
    #[command(after_help = revoke::EXAMPLES)]
    Revoke(revoke::Revoke),
    /// List stored logins and tokens, without the tokens themselves
    #[command(after_help = status::EXAMPLES)]
    Status(status::Status),
    /// Ask the server whether a token is active (RFC 7662)
    #[command(after_help = introspect::EXAMPLES)]
    Introspect(introspect::Introspect),
    /// Print the claims of the logged-in user (OpenID Connect)
    #[command(after_help = userinfo::EXAMPLES)]
    Userinfo(userinfo::UserInfo),
    /// Decode and verify a JWT
    #[command(after_help = inspect::EXAMPLES)]
    Inspect(inspect::Inspect),
    /// Print the metadata of an authorization server or an API
    #[command(after_help = discover::EXAMPLES)]
    Discover(discover::Discover),
    /// Register a client with a server (RFC 7591)
    #[command(after_help = register::EXAMPLES)]
    Register(register::Register),
    /// Check and print a client ID metadata document
    #[command(after_help = client_id_metadata::EXAMPLES)]
    ClientIdMetadata(client_id_metadata::ClientIdMetadata),
    /// Generate keys, and print public keys and thumbprints
    #[command(after_help = key::EXAMPLES)]
    Key(key::Key),
    /// Act as a credential helper for git and docker
    #[command(after_help = credential::EXAMPLES)]
    Credential(credential::Credential),
    /// Create a signed-in session of a web application for a test, without a provider
    #[command(after_help = test_session::EXAMPLES)]
    TestSession(test_session::TestSession),
    /// List the built-in providers
    #[command(after_help = providers::EXAMPLES)]
    Providers(providers::Providers),
    /// List, add and remove profiles
    #[command(after_help = profile::EXAMPLES)]
    Profile(profile::Profile),
    /// Print a shell completion script
    #[command(after_help = completions::EXAMPLES)]
    Completions(completions::Completions),
    /// Run a local test server
    #[command(after_help = serve::EXAMPLES)]
    Serve(serve::Serve),
}

/// Runs a command to its end.
pub(crate) fn run(command: Command, global: &Global, output: Output) -> Result<(), Failure> {
    match command {
        Command::Demo(demo) => demo.run(output),
        Command::Token(token) => token.run(global, output),
        Command::Login(login) => login.run(global, output),
        Command::Device(device) => device.run(global, output),
        Command::Connect(connect) => connect.run(global, output),
        Command::Exchange(exchange) => exchange.run(global, output),
        Command::Call(call) => call.run(global, output),
        Command::Refresh(refresh) => refresh.run(global, output),
        Command::Logout(logout) => logout.run(global, output),
        Command::Register(register) => register.run(global, output),
        Command::ClientIdMetadata(document) => document.run(output),
        Command::Key(key) => key.run(output),
        Command::TestSession(session) => session.run(output),
        Command::Credential(credential) => credential.run(global, output),
        Command::Providers(providers) => providers.run(output),
        Command::Profile(profile) => profile.run(global, output),
        Command::Completions(completions) => completions.run(),
        Command::Revoke(revoke) => revoke.run(global, output),
        Command::Status(status) => status.run(global, output),
        Command::Introspect(introspect) => introspect.run(global, output),
        Command::Userinfo(userinfo) => userinfo.run(global, output),
        Command::Inspect(inspect) => inspect.run(global, output),
        Command::Discover(discover) => discover.run(global, output),
        Command::Serve(serve) => serve.run(output),
    }
}

/// The source of the token; by default, the login of the profile.
#[derive(Debug, Args)]
#[group(skip)]
struct TokenArgs {
    /// Read the tokens from a file written by --save
    #[arg(long, value_name = "FILE", help_heading = "Token", group = "token", value_hint = ValueHint::FilePath)]
    tokens: Option<PathBuf>,
    #[command(flatten)]
    bare: BareToken,
}

secret_args!(
    /// The source of a single token.
    BareToken,
    "token",
    "token",
    "Token",
    "the token"
);

impl TokenArgs {
    fn reads_stdin(&self) -> bool {
        let source = self.bare.source();
        source.is_some_and(|source| source.is_stdin())
    }

    fn read(self, plan: &ClientPlan, global: &Global) -> Result<TokenInput, Failure> {
        match (self.bare.source(), self.tokens) {
            (_, Some(path)) => Ok(TokenInput::File(TokenFile(path))),
            (Some(source), None) => source.read("token", OPTIONS).map(TokenInput::Bare),
            (None, None) => {
                let grants = ProfileTokens::for_profile(&plan.profile, global)?;
                let grants = grants
                    .ok_or_else(|| Failure::usage("usage.token", "no token is given", OPTIONS))?;
                let stored = grants.find(plan, &Owner::Login);
                Ok(TokenInput::Login(grants, stored))
            }
        }
    }
}

/// The hint for options that provide a token.
const OPTIONS: &str = "use --tokens FILE, --token-env VAR or --token-file PATH (- for stdin), or select a profile with a login";

/// The token from the options or the profile.
enum TokenInput {
    /// All tokens of one grant.
    File(TokenFile),
    /// A single token.
    Bare(Secret<String>),
    /// The tokens of the profile's login, if there is one that can be read.
    Login(ProfileTokens, Result<Option<StoredGrant>, Failure>),
}

/// The type of a token, as an option value.
#[derive(Debug, Clone, Copy, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
enum Hint {
    /// Access token
    AccessToken,
    /// Refresh token
    RefreshToken,
}

impl From<Hint> for TokenKind {
    fn from(hint: Hint) -> Self {
        match hint {
            Hint::AccessToken => Self::Access,
            Hint::RefreshToken => Self::Refresh,
        }
    }
}
