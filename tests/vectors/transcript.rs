//! The transcript of a player: one entry with a result per turn.

use oauth_core::Error;
use oauth_facade::ErrorRecord;
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The result of one turn, and the texts that the language renders of the objects involved.
#[derive(Debug, Deserialize)]
pub(crate) struct Entry {
    #[serde(rename = "said")]
    pub(crate) output: TurnOutput,
    #[serde(default)]
    pub(crate) shown: Vec<String>,
}

/// The result of one turn.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum TurnOutput {
    /// A call was created, not begun.
    Open,
    Send(Sent),
    /// The call waits for this many seconds.
    Sleep(f64),
    /// The call asks the host for a signature, which no call of the packages does.
    Sign,
    Done(Done),
    Error(Refusal),
    /// A URL to open, and the stored flow.
    Authorized {
        url: String,
        flow: String,
    },
    Server(ServerOutput),
    /// The value of the `Authorization` header.
    Attached(String),
    /// The result of a request to an API.
    Called(Called),
    Verdict(VerdictOutput),
    /// The step-up that the API requires; null for none.
    StepUp(Value),
    /// An exception that is not an error of this library was thrown.
    Threw(String),
}

/// A finished request to an API.
#[derive(Debug, Deserialize)]
pub(crate) struct Called {
    pub(crate) sent: Vec<Sent>,
    /// The HTTP status of the response that the caller gets.
    pub(crate) status: Option<u16>,
    /// The error, if the package refused the request or the response.
    pub(crate) error: Option<Refusal>,
}

/// A request to be sent.
#[derive(Debug, Deserialize)]
pub(crate) struct Sent {
    pub(crate) method: String,
    pub(crate) url: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

/// The successful end of a call.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Done {
    Tokens(TokensOutput),
    /// The members that are set, in snake case, times in seconds.
    Record(Value),
    Server(ServerOutput),
    /// A URL to open, and its lifetime in seconds.
    Authorized {
        url: String,
        expires_in: Option<u64>,
    },
    Nothing,
}

/// Tokens: `stored` is their JSON for storage; the others are the language's own members, which
/// differ between languages.
#[derive(Debug, Deserialize)]
pub(crate) struct TokensOutput(pub(crate) Map<String, Value>);

/// A server's description.
#[derive(Debug, Deserialize)]
pub(crate) struct ServerOutput {
    pub(crate) issuer: String,
    pub(crate) metadata: Map<String, Value>,
    pub(crate) api_origins: Vec<String>,
}

/// What an API's response requires; a language may expose only whether a new token is needed.
#[derive(Debug, Deserialize)]
pub(crate) struct VerdictOutput {
    pub(crate) renews: bool,
    pub(crate) name: Option<String>,
}

/// An error, in the members every language has.
#[derive(Debug, Deserialize)]
pub(crate) struct Refusal {
    pub(crate) kind: String,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) advice: String,
    pub(crate) retry_after: Option<u64>,
    pub(crate) endpoint: Option<String>,
    pub(crate) status: Option<u16>,
    pub(crate) error: Option<String>,
    pub(crate) error_description: Option<String>,
    #[serde(default)]
    pub(crate) extra: Map<String, Value>,
    /// The HTTP status with which an API should answer a token with this error, if the language has it.
    #[serde(default)]
    pub(crate) response_status: Option<u16>,
    #[serde(default)]
    pub(crate) challenge: Option<String>,
    /// The texts that the language renders of it.
    #[serde(skip)]
    pub(crate) shown: String,
    /// The error itself, in Rust.
    #[serde(skip)]
    pub(crate) native: Option<Error>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let record = ErrorRecord::from(&error);
        let mut shown = format!(
            "{error} {error:?} {}",
            serde_json::to_string(&error).unwrap_or_default()
        );
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            shown.push_str(&format!(" {inner} {inner:?}"));
            source = inner.source();
        }
        Self {
            kind: json!(record.kind).as_str().unwrap_or_default().to_owned(),
            code: record.code.to_owned(),
            message: record.message,
            advice: record.advice.to_owned(),
            retry_after: record.retry_after,
            endpoint: record.endpoint.map(str::to_owned),
            status: record.status,
            error: record.error,
            error_description: record.error_description,
            extra: record.extra,
            response_status: record.response_status,
            challenge: record.challenge,
            shown,
            native: Some(error),
        }
    }
}

impl TokensOutput {
    /// A member's value. If both the language's object and the stored JSON have it, they must agree.
    pub(crate) fn get(&self, name: &str) -> Result<Value, String> {
        let stored = self.0.get("stored").and_then(Value::as_str);
        let stored: Value = stored
            .and_then(|text| serde_json::from_str(text).ok())
            .ok_or("tokens without their stored text")?;
        let stored_value = stored.get(name);
        match (self.0.get(name), stored_value) {
            (None, None) => Err(format!("tokens have no {name}")),
            (None, Some(stored_value)) => Ok(stored_value.clone()),
            (Some(attribute), None) => Ok(attribute.clone()),
            (Some(attribute), Some(stored_value)) if attribute == stored_value => {
                Ok(attribute.clone())
            }
            // A set of names is unordered.
            (Some(Value::Array(names)), Some(Value::String(stored_value))) => {
                let mut attribute_names: Vec<_> = names.iter().filter_map(Value::as_str).collect();
                let mut stored: Vec<_> = stored_value
                    .split(' ')
                    .filter(|name| !name.is_empty())
                    .collect();
                attribute_names.sort_unstable();
                stored.sort_unstable();
                if attribute_names == stored && attribute_names.len() == names.len() {
                    Ok(Value::from(stored_value.as_str()))
                } else {
                    Err(format!(
                        "{name} is {names:?}, but stored as {stored_value:?}"
                    ))
                }
            }
            (Some(attribute), Some(stored_value)) => Err(format!(
                "{name} is {attribute}, but stored as {stored_value}"
            )),
        }
    }

    /// A member that is left out of the stored JSON if it is not set.
    pub(crate) fn get_or_null(&self, name: &str) -> Result<Value, String> {
        let stored = self.text("stored")?.unwrap_or_default();
        let stored: Value = serde_json::from_str(&stored).map_err(|error| error.to_string())?;
        match (self.0.get(name), stored.get(name)) {
            (None, None) => Ok(Value::Null),
            (Some(Value::Null), None) => Ok(Value::Null),
            (Some(attribute), None) => Err(format!("{name} is {attribute}, but not stored")),
            _ => self.get(name),
        }
    }

    /// A member that is a number.
    pub(crate) fn number(&self, name: &str) -> Result<u64, String> {
        let value = self.get(name)?;
        value.as_u64().ok_or_else(|| format!("{name} is {value}"))
    }

    /// A member that is a string, or null.
    pub(crate) fn text(&self, name: &str) -> Result<Option<String>, String> {
        match self.get(name)? {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text)),
            other => Err(format!("{name} is {other}")),
        }
    }

    /// The granted scope.
    pub(crate) fn scope(&self) -> Result<Vec<String>, String> {
        let scope = self.text("scope")?.unwrap_or_default();
        let names = scope.split(' ').filter(|name| !name.is_empty());
        Ok(names.map(str::to_owned).collect())
    }

    /// The codes of the warnings about the response, if the language exposes them.
    pub(crate) fn warnings(&self) -> Option<Vec<String>> {
        let list = self.0.get("warnings")?.as_array()?;
        let names = list.iter().filter_map(Value::as_str);
        Some(names.map(str::to_owned).collect())
    }
}
