//! The result of an exchange, and the members of an error, as plain data.

use std::sync::Arc;

use oauth_core::Tokens;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use oauth_core::error::ApiRefusal;
use oauth_core::error::{Class, Error, ServerError};
use oauth_core::flow::redeem::Login;
use oauth_core::json::{self, JsonForm as _, Members};
use oauth_core::json::{Map, Value};

use crate::arg::Arg;
use crate::json_numbers::for_doubles;
use crate::op::StartedAuthorization;
use crate::server::Server;

/// The output of any exchange. A binding that forgets a case does not compile.
#[derive(Debug)]
pub enum Record {
    /// Tokens of a grant.
    Tokens(Arc<Tokens>),
    /// Tokens of a sign-in, and the user who signed in.
    Login(Box<Login>),
    /// An authorization that has begun.
    Authorization(Box<StartedAuthorization>),
    /// A server found by discovery.
    Server(Box<Server>),
    /// Any other outcome of an operation: its name, and its members in the order of the description.
    Plain(&'static str, Vec<Arg>),
    /// No value.
    Nothing,
}

impl Record {
    /// The tokens, if the record contains tokens.
    pub fn tokens(&self) -> Option<&Tokens> {
        match self {
            Self::Tokens(tokens) => Some(tokens),
            Self::Login(login) => Some(&login.tokens),
            Self::Authorization(_) | Self::Server(_) | Self::Plain(..) | Self::Nothing => None,
        }
    }
}

impl From<Tokens> for Record {
    fn from(tokens: Tokens) -> Self {
        Self::Tokens(Arc::new(tokens))
    }
}

impl From<Arc<Tokens>> for Record {
    fn from(tokens: Arc<Tokens>) -> Self {
        Self::Tokens(tokens)
    }
}

impl From<Login> for Record {
    fn from(login: Login) -> Self {
        Self::Login(Box::new(login))
    }
}

impl From<()> for Record {
    fn from((): ()) -> Self {
        Self::Nothing
    }
}

impl From<oauth_core::server::Server> for Record {
    fn from(server: oauth_core::server::Server) -> Self {
        Self::Server(Box::new(Server::from_core(server)))
    }
}

/// An error as plain data.
#[derive(Debug, Clone)]
#[cfg_attr(
    not(all(feature = "js", target_family = "wasm")),
    derive(serde::Serialize)
)]
pub struct ErrorRecord {
    /// The class of the error: which party caused it.
    pub kind: Class,
    /// The stable code.
    pub code: &'static str,
    /// One line for people.
    pub message: String,
    /// `retry`, `reauthorize` or `give_up`.
    pub advice: &'static str,
    /// Seconds to wait before trying again, if `advice` is `retry`: the pause that the server named, or the rest of the
    /// backoff after failures.
    pub retry_after: Option<u64>,
    /// Whether it is the error of an earlier attempt, reported without another one.
    pub repeated: bool,
    /// The endpoint that was called.
    pub endpoint: Option<&'static str>,
    /// The URL that was requested, without its query; of an API its origin.
    pub url: Option<String>,
    /// The HTTP status of a refusal.
    pub status: Option<u16>,
    /// The OAuth `error` of a refusal.
    pub error: Option<String>,
    /// The `error_description` of a refusal.
    pub error_description: Option<String>,
    /// Members of a refusal that OAuth does not define.
    pub extra: Map<String, Value>,
    /// The HTTP status with which an API responds to the access token that caused this error.
    pub response_status: Option<u16>,
    /// The `WWW-Authenticate` of that response.
    pub challenge: Option<String>,
    /// The header fields of that response: `WWW-Authenticate`, and `DPoP-Nonce` if the API requires nonces.
    pub response_headers: Map<String, Value>,
}

impl Record {
    /// The member of a plain record that is JSON, for hosts that use nothing else of it.
    pub fn json(&self) -> Option<String> {
        let Self::Plain(_, members) = self else {
            return None;
        };
        members.iter().find_map(|member| match member {
            Arg::Json(value) => Some(json::value_text(value)),
            _ => None,
        })
    }
}

impl ErrorRecord {
    /// The record as JSON for languages in which every number is a double, with the cause of an error.
    pub fn to_json(&self, cause: Option<String>) -> String {
        let mut out = String::new();
        let mut members = Members::begin(&mut out);
        let owned = |text: &str| text.to_owned();
        owned(self.kind.as_str()).write(members.next("kind"));
        owned(self.code).write(members.next("code"));
        self.message.write(members.next("message"));
        owned(self.advice).write(members.next("advice"));
        self.retry_after.write(members.next("retry_after"));
        self.repeated.write(members.next("repeated"));
        self.endpoint.map(owned).write(members.next("endpoint"));
        self.url.write(members.next("url"));
        self.status.write(members.next("status"));
        self.error.write(members.next("error"));
        self.error_description
            .write(members.next("error_description"));
        let extra = for_doubles(Value::Object(self.extra.clone()));
        members.next("extra").push_str(&json::value_text(&extra));
        if self.response_status.is_some() {
            self.response_status.write(members.next("response_status"));
            self.challenge.write(members.next("challenge"));
            let headers = json::map_text(&self.response_headers);
            members.next("response_headers").push_str(&headers);
        }
        if cause.is_some() {
            cause.write(members.next("cause"));
        }
        members.end();
        out
    }
}

impl ErrorRecord {
    /// Adds the response of an API. A web page verifies no access tokens, so its build leaves this out.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    fn answering(mut self, error: &Error) -> Self {
        let refusal = error.refusal();
        self.response_status = refusal.map(|refusal| refusal.status);
        self.challenge = refusal.and_then(|refusal| refusal.challenge.clone());
        let headers = refusal.into_iter().flat_map(ApiRefusal::headers);
        let headers = headers.map(|(name, value)| (name.to_owned(), Value::from(value)));
        self.response_headers = headers.collect();
        self
    }

    #[cfg(all(feature = "js", target_family = "wasm"))]
    const fn answering(self, _: &Error) -> Self {
        self
    }
}

impl From<&Error> for ErrorRecord {
    fn from(error: &Error) -> Self {
        let server = error.server_error();
        let advice = error.advice();
        Self {
            kind: error.kind().row().class(),
            code: error.code(),
            message: error.to_string(),
            advice: advice.as_str(),
            retry_after: error.retry_after().map(|pause| pause.as_secs()),
            repeated: error.is_repeated(),
            endpoint: error.endpoint(),
            url: error.url().map(str::to_owned),
            status: server.and_then(ServerError::status),
            error: server.and_then(ServerError::error).map(str::to_owned),
            error_description: server.and_then(ServerError::description).map(str::to_owned),
            extra: server
                .map(|server| server.extra().clone())
                .unwrap_or_default(),
            response_status: None,
            challenge: None,
            response_headers: Map::new(),
        }
        .answering(error)
    }
}
