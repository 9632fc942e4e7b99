#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use crate::exchange::{Exchange as _, Input, Step};
use crate::grant::{Refresh, TokenRequest};
use crate::redirect_uri::RedirectUri;
use crate::testing::{at, client, error_code, json};
use crate::{
    AuthorizationRequest, Client, ClientAuth, ClientId, PendingAuthorization, Tokens, danger,
};

use super::*;

const CB: &str = "https://app.example/cb";

/// Tokens of a login for these resources, whose code is redeemed for some of them. Flow and tokens go through
/// storage.
fn login_for(resources: &[&str], narrowed: Option<&str>) -> Tokens {
    let request = AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    let request = resources
        .iter()
        .fold(request, |ask, uri| ask.resource(uri).unwrap());
    let (_, mut pending) = client().authorize(&at(), request).unwrap();
    if narrowed.is_some() {
        pending = pending.for_resources(narrowed).unwrap();
    }
    let pending = PendingAuthorization::from_json(pending.to_json().expose()).unwrap();
    let callback = format!("{CB}?code=c&state={}", pending.state().expose());
    let mut exchange = client().redeem(pending, &callback).unwrap();
    let _ = exchange.resume(&at(), Input::Begin).unwrap();
    let reply = r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r"}"#;
    let Ok(Step::Done(login)) = exchange.resume(&at(), Input::Reply(json(200, reply))) else {
        panic!("tokens")
    };
    Tokens::from_json(login.tokens.to_json().expose()).unwrap()
}

/// Refreshes the tokens for these resources; returns the request and the next tokens.
fn refreshed_for(tokens: &Tokens, resources: &[&str]) -> Result<(String, Tokens), &'static str> {
    let token_request = resources
        .iter()
        .fold(TokenRequest::new(), |token_request, uri| {
            token_request.resource(uri).unwrap()
        });
    let token = tokens.refresh_token.clone().unwrap();
    let mut exchange = client().token(Refresh::new(token), token_request);
    let Step::Send(request) = error_code(exchange.resume(&at(), Input::Begin))? else {
        panic!("a request")
    };
    let body = String::from_utf8_lossy(request.body()).into_owned();
    let reply = r#"{"access_token":"b","token_type":"Bearer"}"#;
    let Ok(Step::Done(tokens)) = exchange.resume(&at(), Input::Reply(json(200, reply))) else {
        panic!("tokens")
    };
    let tokens = Tokens::from_json(tokens.to_json().expose()).unwrap();
    Ok((body, tokens))
}

/// It is bound like the access token (RFC 8705 section 4).
#[test]
fn public_clients_refresh_token_is_sent_only_with_its_certificate() {
    let public = Client::new(
        client().server().clone(),
        ClientId::new("c"),
        ClientAuth::none(),
    );
    let public = public.unwrap();
    let sent = |from: &Client, to: Client| {
        let mut exchange = from.token(
            danger::password("u", Secret::new("p".into())),
            Scope::none(),
        );
        let _ = exchange.resume(&at(), Input::Begin).unwrap();
        let reply = r#"{"access_token":"a","token_type":"Bearer","refresh_token":"r"}"#;
        let Ok(Step::Done(tokens)) = exchange.resume(&at(), Input::Reply(json(200, reply))) else {
            panic!("tokens")
        };
        let stored = Tokens::from_json(tokens.to_json().expose()).unwrap();
        [tokens, stored].map(|tokens| {
            let token = tokens.refresh_token.unwrap();
            let mut exchange = to.token(Refresh::new(token), Scope::none());
            error_code(exchange.resume(&at(), Input::Begin).map(drop))
        })
    };
    let with = |client: &Client, certificate| client.clone().with_certificate(certificate);
    let old = with(&public, "old");
    assert_eq!(sent(&old, old.clone()), [Ok(()); 2]);
    assert_eq!(sent(&old, with(&public, "new")), [Err("key.mismatch"); 2]);
    // If the certificate is unknown, the server decides.
    assert_eq!(sent(&old, public.clone()), [Ok(()); 2]);
    assert_eq!(sent(&public, old), [Ok(()); 2]);
    // A client with authentication can use a new certificate.
    let confidential = with(&client(), "old");
    assert_eq!(sent(&confidential, with(&client(), "new")), [Ok(()); 2]);
}

/// "requests ... for a subset of the resources originally granted" (RFC 8707 section 2.2)
#[test]
fn refresh_for_resources_beyond_the_authorization_is_refused() {
    let [a, b, c] = [
        "https://a.example/",
        "https://b.example/",
        "https://c.example/",
    ];
    for narrowed in [None, Some(a)] {
        let tokens = login_for(&[a, b], narrowed);
        assert_eq!(tokens.refresh_token.as_ref().unwrap().resources(), [a, b]);
        let (body, next) = refreshed_for(&tokens, &[b]).unwrap();
        assert!(
            body.ends_with("&resource=https%3A%2F%2Fb.example%2F"),
            "{body}"
        );
        // A narrower refresh does not narrow the grant.
        for tokens in [tokens, next] {
            assert!(refreshed_for(&tokens, &[a, b]).is_ok());
            assert!(refreshed_for(&tokens, &[]).is_ok());
            for wider in [&[c][..], &[a, c], &["https://a.example"]] {
                let wider = refreshed_for(&tokens, wider).map(drop);
                assert_eq!(wider, Err("resource.exceeds_grant"));
            }
        }
    }
    // The server may have chosen resources itself, which only it knows.
    let tokens = login_for(&[], None);
    assert!(refreshed_for(&tokens, &[c]).is_ok());
    let from_elsewhere = client().refresh_token("r", Scope::none());
    assert!(from_elsewhere.resources().is_empty());
}

#[test]
fn imported_refresh_token_becomes_a_grant_with_an_expired_access_token() {
    let scope = crate::Scope::parse("read write").unwrap();
    let tokens = Tokens::from(client().refresh_token("r-of-another-library", scope));
    assert_eq!(
        (tokens.issuer(), tokens.client_id()),
        ("https://as.example", "id")
    );
    assert_eq!(tokens.scope.as_str(), "read write");
    assert!(tokens.access_token.expose().is_empty());
    assert!(tokens.expires_at().unwrap() < at().now());
    // It is stored and read like any other.
    let tokens = Tokens::from_json(tokens.to_json().expose()).unwrap();
    let (body, renewed) = refreshed_for(&tokens, &[]).unwrap();
    assert_eq!(
        body,
        "grant_type=refresh_token&refresh_token=r-of-another-library"
    );
    let refresh_token = renewed.refresh_token.unwrap();
    assert_eq!(refresh_token.secret().expose(), "r-of-another-library");
    assert!(!format!("{tokens:?}").contains("r-of-another"));
}
