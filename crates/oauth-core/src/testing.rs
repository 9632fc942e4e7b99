//! Helpers shared by the unit tests.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use crate::http::{HeaderName, HeaderValue, Response, StatusCode};
use bytes::Bytes;

use crate::client::Client;
use crate::client_auth::ClientAuth;
use crate::client_config::ClientId;
use crate::error::Error;
use crate::exchange::{Exchange, Input, Step};
use crate::issuer::Issuer;
use crate::moment::{Moment, UnixTime};
use crate::quirk::{Quirk, Rules, Strictness};
use crate::server::{EndpointKind, Server};

/// The time used by every test.
pub(crate) const NOW: u64 = 1_750_000_000;

pub(crate) fn at() -> Moment {
    Moment::fixed(UnixTime::from_secs(NOW), [9; 32])
}

pub(crate) fn server() -> Server {
    let kinds = [
        (EndpointKind::Authorization, "authorize"),
        (EndpointKind::Token, "token"),
        (EndpointKind::Revocation, "revoke"),
        (EndpointKind::Introspection, "introspect"),
    ];
    let server = Server::new(Issuer::parse("https://as.example").unwrap());
    kinds.into_iter().fold(server, |server, (kind, path)| {
        let url = format!("https://as.example/{path}");
        server.with_endpoint(kind, &url).unwrap()
    })
}

pub(crate) fn client() -> Client {
    client_of(server())
}

pub(crate) fn client_of(server: Server) -> Client {
    Client::new(server, ClientId::new("id"), ClientAuth::basic("hunter22")).unwrap()
}

/// A client of a server with these quirks.
pub(crate) fn client_with_quirks(quirks: impl Into<Vec<Quirk>>) -> Client {
    let quirks = quirks.into();
    client_of(server().with_rules(Rules {
        quirks,
        ..Rules::default()
    }))
}

/// A client with strict rules.
pub(crate) fn strict_client() -> Client {
    client_of(server().with_rules(Rules {
        strictness: Strictness::Strict,
        ..Rules::default()
    }))
}

/// A reply in JSON.
pub(crate) fn json(status: u16, body: &str) -> Response<Bytes> {
    reply(status, &[("content-type", "application/json")], body)
}

pub(crate) fn reply(
    status: u16,
    headers: &[(&'static str, &str)],
    body: impl AsRef<[u8]>,
) -> Response<Bytes> {
    let mut reply = Response::new(Bytes::copy_from_slice(body.as_ref()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap();
    for (name, value) in headers {
        // Non-ASCII bytes are allowed in a header as in a reply.
        let value = HeaderValue::from_bytes(value.as_bytes()).unwrap();
        reply
            .headers_mut()
            .append(HeaderName::from_static(name), value);
    }
    reply
}

/// Begins the exchange and answers its only request with this reply.
pub(crate) fn run_with_reply<E: Exchange>(
    mut exchange: E,
    reply: Response<Bytes>,
) -> Result<E::Output, Error> {
    let Step::Send(_) = exchange.resume(&at(), Input::Begin)? else {
        panic!("a request")
    };
    match exchange.resume(&at(), Input::Reply(reply))? {
        Step::Done(output) => Ok(output),
        step => panic!("{step:?}"),
    }
}

/// Replaces an error by its code.
pub(crate) fn error_code<T>(result: Result<T, Error>) -> Result<T, &'static str> {
    result.map_err(|error| error.code())
}
