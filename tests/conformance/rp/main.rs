//! A relying party for OpenID's conformance suite, run once against any issuer: discovery, a sign-in through
//! a login page that needs no user, the token request, the ID token, and UserInfo on request.
//!
//! Each login is one line of JSON on stdout: the stage that was reached, the user's claims, and the error
//! that ended it. The exit code is 0 on success, 1 if a login ended with an error, and 2 if the command line
//! is wrong. Only requests that the flow needs are sent.

mod browser;
mod ciba;
mod fapi;
mod form;
mod party;

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use oauth_core::error::Error;
use serde_json::{Value, json};

use party::Party;

/// Run a sign-in as a relying party, and print its result.
#[derive(Debug, Parser)]
#[command(name = "rp", max_term_width = 100)]
struct Cli {
    /// The exact issuer
    issuer: String,
    #[arg(long, value_name = "ID")]
    client_id: String,
    /// The environment variable with the client secret; if it is not set, the client is public
    #[arg(long, value_name = "VAR", default_value = "RP_CLIENT_SECRET")]
    client_secret_env: String,
    /// The client authentication method [default: chosen from the server's metadata]
    #[arg(long, value_enum, value_name = "METHOD")]
    client_auth: Option<Method>,
    #[arg(long, default_value = "openid")]
    scope: String,
    /// The registered redirect URI; nothing listens there
    #[arg(long, value_name = "URI", required_unless_present_any = ["backchannel", "client_credentials"])]
    redirect_uri: Option<String>,
    /// The response type
    #[arg(long, value_enum, default_value = "code")]
    response_type: Type,
    /// The response mode [default: that of the response type]
    #[arg(long, value_enum)]
    response_mode: Option<Mode>,
    /// A parameter of the authorization request, such as max_age=0; may be repeated
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = pair)]
    parameters: Vec<(String, String)>,
    /// The registered signing algorithm of ID tokens; may be repeated
    #[arg(long = "id-token-alg", value_name = "ALG")]
    id_token_algs: Vec<String>,
    /// Refresh the tokens after the login, once
    #[arg(long)]
    refresh: bool,
    /// Request UserInfo after the login, and after the refresh if there is one
    #[arg(long)]
    userinfo: bool,
    /// Stop after this stage
    #[arg(long, value_enum)]
    stop_after: Option<Stage>,
    /// The number of consecutive logins by one client
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=20))]
    logins: u8,
    /// Allow plain http, to loopback addresses only
    #[arg(long)]
    loopback_http: bool,
    #[command(flatten)]
    fapi: fapi::Fapi,
    #[command(flatten)]
    ciba: ciba::Ciba,
}

/// The authentication method of a client with a secret.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Method {
    /// client_secret_basic
    Basic,
    /// client_secret_post
    Post,
}

/// The response type.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Type {
    /// code
    Code,
    /// code id_token (a hybrid flow)
    #[value(name = "code id_token")]
    CodeIdToken,
}

/// The response mode.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Mode {
    Query,
    Fragment,
    FormPost,
}

/// The stages of a flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Stage {
    /// The server's metadata
    Discovery,
    /// The server's keys, which are fetched separately only to stop here
    Keys,
    /// The authorization response; no token request is made
    Authorization,
    /// The backchannel authentication request, and a ping
    #[value(skip)]
    Backchannel,
    /// Tokens, and a verified ID token
    #[value(skip)]
    Token,
    /// Refreshed tokens, and an ID token that continues the login's if there is a new one
    #[value(skip)]
    Refresh,
    /// The user's claims
    #[value(skip)]
    Userinfo,
    /// The response of an API
    #[value(skip)]
    Resource,
}

impl Stage {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::Keys => "keys",
            Self::Authorization => "authorization",
            Self::Backchannel => "backchannel",
            Self::Token => "token",
            Self::Refresh => "refresh",
            Self::Userinfo => "userinfo",
            Self::Resource => "resource",
        }
    }
}

/// The error that ended a flow, and its stage.
struct FlowFailure {
    stage: Stage,
    reason: Why,
}

enum Why {
    Library(Box<Error>),
    /// The login page could not be completed.
    Page(String),
}

impl Stage {
    fn failed(self) -> impl Fn(Error) -> FlowFailure {
        move |error| FlowFailure {
            stage: self,
            reason: Why::Library(Box::new(error)),
        }
    }

    fn lost(self, reason: impl Into<String>) -> FlowFailure {
        FlowFailure {
            stage: self,
            reason: Why::Page(reason.into()),
        }
    }
}

impl FlowFailure {
    fn record(&self) -> Value {
        let error = match &self.reason {
            Why::Library(error) => serde_json::to_value(error).unwrap_or_default(),
            Why::Page(reason) => json!({ "code": "rp.login_page", "message": reason }),
        };
        json!({ "stage": self.stage.as_str(), "error": error })
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("must be NAME=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let mut is_good = true;
    let mut print = |ended: Result<Value, FlowFailure>| {
        is_good &= ended.is_ok();
        println!("{}", ended.unwrap_or_else(|ended| ended.record()));
    };
    match Party::discover(&cli) {
        Err(ended) => print(Err(ended)),
        Ok(party) => match cli.stop_after {
            Some(Stage::Discovery) => print(Ok(party.server())),
            Some(Stage::Keys) => print(party.keys()),
            _ => (0..cli.logins).for_each(|_| print(party.log_in(&cli))),
        },
    }
    ExitCode::from(u8::from(!is_good))
}
