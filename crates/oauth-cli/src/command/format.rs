//! The output formats of an access token for other programs.

use clap::ValueEnum;
use oauth_core::Tokens;
use oauth_core::token::TokenType;
use serde_json::{Value, json};

use super::credential::bound;
use super::token;
use crate::output::{self, Failure, Output};
use crate::shell::quote;
use crate::time::rfc3339;

/// The output format of an access token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Shell command that exports OAUTH_ACCESS_TOKEN, for `eval`
    Env,
    /// HTTP `Authorization` header
    Header,
    /// Line for `curl --config -`, which keeps the token out of the process list
    Curl,
    /// Same as --json
    Json,
    /// Only the token
    Raw,
    /// ExecCredential of a kubectl credential plugin, with the expiry time
    ExecCredential,
}

/// The versions of ExecCredential.
const VERSIONS: [&str; 2] = [
    "client.authentication.k8s.io/v1",
    "client.authentication.k8s.io/v1beta1",
];

/// The ExecCredential version that kubectl requests with `KUBERNETES_EXEC_INFO`; it accepts no other.
fn exec_credential_version() -> &'static str {
    let requested = std::env::var("KUBERNETES_EXEC_INFO").unwrap_or_default();
    let requested: Value = serde_json::from_str(&requested).unwrap_or_default();
    let requested = requested.get("apiVersion").and_then(Value::as_str);
    let [default_version, ..] = VERSIONS;
    let supported = VERSIONS.into_iter().find(|known| Some(*known) == requested);
    supported.unwrap_or(default_version)
}

/// <https://kubernetes.io/docs/reference/access-authn-authz/authentication/#client-go-credential-plugins>
fn exec_credential(tokens: &Tokens) -> Value {
    let mut status = json!({ "token": tokens.access_token.expose() });
    if let (Some(end), Some(status)) = (tokens.expires_at(), status.as_object_mut()) {
        status.insert("expirationTimestamp".to_owned(), rfc3339(end).into());
    }
    json!({
        "apiVersion": exec_credential_version(),
        "kind": "ExecCredential",
        "status": status,
    })
}

impl Format {
    pub(super) fn print(self, tokens: &Tokens, output: Output) -> Result<(), Failure> {
        let token = tokens.access_token.expose();
        let header = format!("Authorization: {} {token}", tokens.token_type.as_str());
        token::warn(tokens, output);
        match self {
            Self::Env => output::print(format_args!("export OAUTH_ACCESS_TOKEN={}", quote(token))),
            Self::Header => output::print(header),
            Self::Curl => {
                let header = header.replace('\\', "\\\\").replace('"', "\\\"");
                output::print(format_args!("header = \"{header}\""))
            }
            Self::Json => output::print(token::record(tokens)),
            Self::Raw => output::print(token),
            // kubectl would send it as a bearer token, but it is bound to a key.
            Self::ExecCredential if tokens.token_type != TokenType::Bearer => Err(bound()),
            Self::ExecCredential => output::print(exec_credential(tokens)),
        }
    }
}
