//! How a binding drives every operation: one table, one argument format, one state machine.
//! `cargo run -p oauth-facade --example waist`.

use oauth_facade::{
    Auth, Client, ErasedStep, Error, Moment, Record, Reply, Server, TABLE, TokenRequest, UnixTime,
};

const METADATA: &str = r#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token",
    "revocation_endpoint":"https://as.example/revoke"}"#;

/// The operations, as a binding's generator reads them.
fn operations() -> Vec<String> {
    let entries = TABLE.iter();
    entries.map(|entry| entry.name.to_owned()).collect()
}

fn token() -> Result<Record, Error> {
    let server = Server::from_metadata("https://as.example", METADATA, Default::default())?;
    let client = Client::new(&server, "id", Auth::Post("secret".into()))?;
    let at = Moment::fixed(UnixTime::from_secs(1_750_000_000), [7; 32]);
    let request = TokenRequest::default();
    let mut exchange = client.client_credentials(oauth_facade::ClientCredentials { request })?;
    let mut turn = exchange.begin(&at)?;
    loop {
        turn = match turn {
            // Only strings, numbers and bytes cross to the other language.
            ErasedStep::Send(request) => {
                println!("{} {}", request.method, request.url);
                exchange.reply(&at, reply())?
            }
            ErasedStep::Sleep(_) => exchange.elapsed(&at)?,
            ErasedStep::Sign(_) => exchange.lost(&at, oauth_facade::Cause::unsent("no key"))?,
            // Only without the feature `crypto`, where the host provides the algorithms.
            ErasedStep::Verify(_) => exchange.verified(&at, false)?,
            ErasedStep::Done(record) => return Ok(record),
        };
    }
}

fn reply() -> Reply {
    Reply {
        status: 200,
        headers: vec![("content-type".into(), b"application/json".to_vec())],
        body: br#"{"access_token":"abc","token_type":"Bearer","expires_in":60}"#.to_vec(),
    }
}

fn main() -> Result<(), Error> {
    println!("operations: {}", operations().join(", "));
    let lifetime = token()?.tokens().and_then(|tokens| tokens.expires_in);
    println!("a token for {} s", lifetime.unwrap_or_default());
    Ok(())
}

#[test]
fn facade_lists_introspect_and_returns_tokens() -> Result<(), Error> {
    assert!(operations().iter().any(|name| name == "introspect"));
    assert_eq!(
        token()?.tokens().and_then(|tokens| tokens.expires_in),
        Some(60)
    );
    Ok(())
}
