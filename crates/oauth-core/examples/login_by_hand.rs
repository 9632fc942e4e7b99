//! A user's login from its URL to its tokens, over a driver of fifteen lines and a network that is one function: `cargo
//! run -p oauth-core --example login_by_hand`.

use bytes::Bytes;
use oauth_core::error::{Cause, Error};
use oauth_core::issuer::Issuer;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Exchange, Input, Moment,
    PendingAuthorization, Scope, Step, Tokens,
};

/// Runs any exchange. Replace `network` with your HTTP client.
fn run<E: Exchange>(mut exchange: E) -> Result<E::Output, Error> {
    let mut input = Input::Begin;
    loop {
        input = match exchange.resume(&Moment::system()?, input)? {
            Step::Send(request) => network(&request).map_or_else(Input::Lost, Input::Reply),
            Step::Sleep(pause) => {
                std::thread::sleep(pause);
                Input::Elapsed
            }
            Step::Sign(job) => Input::Lost(Cause::unsent(format!("no key {}", job.key_id))),
            // Only needed for ID tokens: `Input::Verified(oauth_crypto::verify(&job))`.
            Step::Verify(_) => Input::Lost(Cause::unsent("no algorithms here")),
            Step::Done(output) => return Ok(output),
        };
    }
}

/// Stands in for a token endpoint.
fn network(request: &http::Request<Bytes>) -> Result<http::Response<Bytes>, Cause> {
    println!("{} {}", request.method(), request.uri());
    let reply = r#"{"access_token":"abc","token_type":"Bearer","expires_in":3600,
        "refresh_token":"def","scope":"read offline_access"}"#;
    http::Response::builder()
        .header("content-type", "application/json")
        .body(reply.into())
        .map_err(Cause::unsent)
}

fn login() -> Result<Tokens, Error> {
    let server = Server::new(Issuer::parse("https://as.example")?)
        .with_endpoint(EndpointKind::Authorization, "https://as.example/authorize")?
        .with_endpoint(EndpointKind::Token, "https://as.example/token")?;
    let client = Client::new(server, ClientId::new("my-app"), ClientAuth::none())?;

    // On /login: the URL for the browser, and the flow to keep in the user's session until the callback.
    let request = AuthorizationRequest::new(RedirectUri::parse("https://app.example/callback")?)
        .scope(Scope::parse("read offline_access")?);
    let (url, pending) = client.authorize(&Moment::system()?, request)?;
    println!("open {url}");
    let session = pending.to_json();

    // On /callback: the URL that the browser requested.
    let state = pending.state().expose();
    let callback = format!("https://app.example/callback?code=xyz&state={state}");
    let pending = PendingAuthorization::from_json(session.expose())?;
    // Without the scope `openid` there is no ID token: `Login::id_token` is `None`.
    Ok(run(client.redeem(pending, &callback)?)?.tokens)
}

fn main() -> Result<(), Error> {
    let tokens = login()?;
    println!(
        "tokens for {}, which do not print: {tokens:?}",
        tokens.scope
    );
    Ok(())
}

#[test]
fn login_returns_access_and_refresh_tokens() -> Result<(), Error> {
    let tokens = login()?;
    assert!(tokens.access_token.matches("abc") && tokens.refresh_token.is_some());
    Ok(())
}
