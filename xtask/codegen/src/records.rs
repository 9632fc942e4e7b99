//! One error of every code, as the bindings get it, with its hint, for the tests of their classes.

use std::error::Error;
use std::time::Duration;

use oauth_core::error::{Cause, Denial, Loss, Row, ServerError};
use oauth_facade::{
    Auth, Client, ClientCredentials, ErasedExchange, ErasedStep, ErrorRecord, Moment, Reply,
    Server, TokenRequest, UnixTime,
};

use crate::ops::javascript_names;

/// A list of records, one a line.
pub(crate) fn file(_: &str) -> Result<String, Box<dyn Error>> {
    let mut lines = Vec::new();
    for row in Row::all() {
        let error = sample(row)?;
        let record = ErrorRecord::from(&error);
        if (record.code, record.kind) != (row.code(), row.class()) {
            return Err(format!("{} came out as {}", row.code(), record.code).into());
        }
        let mut record = serde_json::to_value(&record)?;
        // Not a member of the record: the bindings look it up by the code.
        record["hint"] = row.hint().into();
        record["javascript_hint"] = row.hint().map(javascript_names).into();
        lines.push(record.to_string());
    }
    Ok(format!("[\n{}\n]\n", lines.join(",\n")))
}

/// An error of this code.
fn sample(row: Row) -> Result<oauth_core::Error, Box<dyn Error>> {
    Ok(match row {
        Row::Denied(Denial::RateLimited) => {
            ServerError::rate_limited(Duration::from_secs(7), Some(429)).into()
        }
        Row::Denied(Denial::Revoked) => ServerError::revoked().into(),
        Row::Denied(denial) => refusal(denial)?,
        Row::Malformed(fault) => fault.into(),
        Row::Untrusted(check) => check.into(),
        Row::Lost(Loss::Unsent) => oauth_core::Error::lost(Cause::unsent("connection refused")),
        Row::Lost(loss) => {
            oauth_core::Error::lost(Cause::unknown("connection reset").because(loss))
        }
        Row::Misuse(misuse) => misuse.into(),
    })
}

/// Only a server sends refusals: this one, at the token endpoint.
fn refusal(denial: Denial) -> Result<oauth_core::Error, Box<dyn Error>> {
    let named = |error: &str| (400, format!(r#"{{"error":"{error}"}}"#));
    let (status, body) = match denial {
        Denial::Other => named("unheard_of"),
        Denial::Challenge => (401, "{}".to_owned()),
        Denial::Busy => (503, "{}".to_owned()),
        Denial::Status => (404, "{}".to_owned()),
        other => named(other.text()),
    };
    let mut headers = vec![("content-type".to_owned(), b"application/json".to_vec())];
    if status == 401 {
        headers.push(("www-authenticate".to_owned(), b"Basic".to_vec()));
    }
    let metadata = r#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#;
    let server = Server::from_metadata("https://as.example", metadata, Default::default())?;
    let client = Client::new(&server, "id", Auth::Post("secret".into()))?;
    let at = Moment::fixed(UnixTime::from_secs(1_750_000_000), [7; 32]);
    let mut machine: ErasedExchange = client.client_credentials(ClientCredentials {
        request: TokenRequest::default(),
    })?;
    let reply = Reply {
        status,
        headers,
        body: body.into_bytes(),
    };
    let ErasedStep::Send(_) = machine.begin(&at)? else {
        return Err("no request".into());
    };
    match machine.reply(&at, reply) {
        Err(error) => Ok(error),
        Ok(turn) => Err(format!("{denial:?} is no refusal: {turn:?}").into()),
    }
}
