//! Shared by the fuzz targets: a client whose server has one key, a site that signs users in at it, and hosts that
//! answer their requests.

pub mod site;

use std::sync::OnceLock;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::Response;
use oauth_core::issuer::Issuer;
use oauth_core::jose::{Alg, KeySet};
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Error, Exchange, Input, Moment, Step};

/// The time at which every token is verified, in seconds since 1970.
pub const NOW: u64 = 1_750_000_000;

/// The token endpoint.
pub const TOKEN: &str = "https://as.example/token";

/// RFC 7515 appendix A.3.
const KEYS: &str = r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"k",
"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
"y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#;

/// A client that knows its server's keys.
pub fn client() -> &'static Client {
    static CLIENT: OnceLock<Client> = OnceLock::new();
    CLIENT.get_or_init(|| {
        let server = Server::new(Issuer::parse("https://as.example").expect("an issuer"))
            .with_endpoint(EndpointKind::Jwks, "https://as.example/jwks")
            .and_then(|server| server.with_endpoint(EndpointKind::Token, TOKEN))
            .and_then(|server| {
                server.with_endpoint(EndpointKind::Authorization, "https://as.example/authorize")
            })
            .expect("an endpoint");
        let client = Client::new(server, ClientId::new("client1"), ClientAuth::basic("a secret of the client"));
        let client = client.expect("a client").with_id_token_algs([Alg::Es256]);
        let keys = KeySet::parse(KEYS).expect("keys");
        client.keep_keys(UnixTime::from_secs(NOW), keys);
        client
    })
}

/// A token with this payload, whose signature is valid if [`run`] reports so.
pub fn token(typ: &str, payload: &[u8]) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"ES256","kid":"k","typ":"{typ}"}}"#));
    let signature = URL_SAFE_NO_PAD.encode([0; 64]);
    format!("{header}.{}.{signature}", URL_SAFE_NO_PAD.encode(payload))
}

/// The reported validity of signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signatures {
    /// The actual validity.
    Verified,
    /// Always valid, to reach the code behind.
    Taken,
}

/// Runs a verification that needs no input from outside.
pub fn run<E: Exchange>(mut exchange: E, signatures: Signatures) -> Result<E::Output, Error> {
    let at = Moment::without_randomness(UnixTime::from_secs(NOW));
    let mut input = Input::Begin;
    loop {
        input = match exchange.resume(&at, input)? {
            Step::Verify(job) => Input::Verified(match signatures {
                Signatures::Verified => oauth_crypto::verify(&job),
                Signatures::Taken => true,
            }),
            Step::Done(output) => return Ok(output),
            Step::Sleep(_) => Input::Elapsed,
            Step::Send(_) | Step::Sign(_) => {
                Input::Lost(oauth_core::error::Cause::unsent("there is no network here"))
            }
        };
    }
}

/// An error has a code, and its text is one line regardless of what a server wrote.
pub fn check_error(error: &Error) {
    let text = error.to_string();
    assert!(!error.code().is_empty());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

/// The reply to the first request of an exchange, and the result.
pub fn answered<E: Exchange>(mut exchange: E, reply: Response<Bytes>) -> Result<(), Error> {
    let at = Moment::fixed(UnixTime::from_secs(NOW), [3; 32]);
    match exchange.resume(&at, Input::Begin)? {
        Step::Send(_) => exchange.resume(&at, Input::Reply(reply)).map(drop),
        _ => unreachable!("a request comes first"),
    }
}

/// A reply: the first byte chooses the status, the second the media type, and the rest is the body.
pub fn reply(bytes: &[u8]) -> Option<Response<Bytes>> {
    const STATUSES: [u16; 8] = [200, 201, 302, 400, 401, 403, 429, 503];
    const TYPES: [&str; 4] = [
        "application/json",
        "application/x-www-form-urlencoded",
        "text/html",
        "application/jwt",
    ];
    let [status, media, body @ ..] = bytes else {
        return None;
    };
    let status = STATUSES[usize::from(*status) % STATUSES.len()];
    let media = TYPES[usize::from(*media) % TYPES.len()];
    let reply = Response::builder().status(status);
    let reply = reply.header("content-type", media);
    reply.body(Bytes::copy_from_slice(body)).ok()
}
