//! oauth2, and openidconnect on top of it, through their interface for a function as HTTP client.

use std::convert::Infallible;
use std::hint::black_box;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use oauth2::basic::BasicClient;
use oauth2::{
    AuthUrl, ClientId, ClientSecret, CsrfToken, HttpRequest, HttpResponse, PkceCodeChallenge,
    RedirectUrl, Scope, TokenResponse as _, TokenUrl,
};
use openidconnect::core::{CoreAuthenticationFlow, CoreClient};
use openidconnect::{IssuerUrl, Nonce};

use crate::{AUTHORIZE_URI, ID, ISSUER, REDIRECT_URI, SECRET, Side, TOKEN_URI, scopes, sent};

fn stub(reply: &Bytes) -> impl Fn(HttpRequest) -> Result<HttpResponse, Infallible> + '_ {
    |request| {
        sent::take(black_box(&request));
        let mut response = HttpResponse::new(reply.to_vec());
        let json = HeaderValue::from_static("application/json");
        response.headers_mut().insert(CONTENT_TYPE, json);
        Ok(response)
    }
}

fn words(scope: &str) -> impl Iterator<Item = Scope> + '_ {
    scope.split(' ').map(|word| Scope::new(word.to_owned()))
}

fn token_url() -> TokenUrl {
    TokenUrl::new(TOKEN_URI.to_owned()).expect("a URL")
}

fn auth_url() -> AuthUrl {
    AuthUrl::new(AUTHORIZE_URI.to_owned()).expect("a URL")
}

fn redirect_url() -> RedirectUrl {
    RedirectUrl::new(REDIRECT_URI.to_owned()).expect("a URL")
}

fn openid() -> CoreClient {
    let issuer = IssuerUrl::new(ISSUER.to_owned()).expect("a URL");
    CoreClient::new(ClientId::new(ID.to_owned()), issuer, Default::default())
        .set_client_secret(ClientSecret::new(SECRET.to_owned()))
}

pub(crate) fn grant(replies: Vec<Bytes>) -> Side {
    let client = BasicClient::new(ClientId::new(ID.to_owned()))
        .set_client_secret(ClientSecret::new(SECRET.to_owned()))
        .set_token_uri(token_url());
    let scopes = scopes();
    Side::new("oauth2", move |n, visit| {
        let ask = client
            .exchange_client_credentials()
            .add_scopes(words(&scopes[n % 16]));
        let tokens = ask.request(&stub(&replies[n % 16])).expect("tokens");
        let expires_in = tokens.expires_in().unwrap_or_default();
        visit(tokens.access_token().secret(), expires_in.as_secs());
    })
}

pub(crate) fn openid_grant(replies: Vec<Bytes>) -> Side {
    let client = openid().set_token_uri(token_url());
    let scopes = scopes();
    Side::new("openidconnect", move |n, visit| {
        let ask = client
            .exchange_client_credentials()
            .add_scopes(words(&scopes[n % 16]));
        let tokens = ask.request(&stub(&replies[n % 16])).expect("tokens");
        let expires_in = tokens.expires_in().unwrap_or_default();
        visit(tokens.access_token().secret(), expires_in.as_secs());
    })
}

/// As many random bytes as ours uses.
fn state() -> CsrfToken {
    CsrfToken::new_random_len(32)
}

pub(crate) fn url() -> Side {
    let client = BasicClient::new(ClientId::new(ID.to_owned()))
        .set_auth_uri(auth_url())
        .set_redirect_uri(redirect_url());
    let scopes = scopes();
    Side::new("oauth2", move |n, visit| {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let ask = client
            .authorize_url(state)
            .add_scopes(words(&scopes[n % 16]));
        let (url, state) = ask.set_pkce_challenge(challenge).url();
        drop(black_box((state, verifier)));
        visit(url.as_str(), 0);
    })
}

pub(crate) fn openid_url() -> Side {
    let client = openid()
        .set_auth_uri(auth_url())
        .set_redirect_uri(redirect_url())
        .disable_openid_scope();
    let scopes = scopes();
    Side::new("openidconnect", move |n, visit| {
        let (challenge, verifier) = PkceCodeChallenge::new_random_sha256();
        let flow = CoreAuthenticationFlow::AuthorizationCode;
        let ask = client.authorize_url(flow, state, Nonce::new_random);
        let ask = ask.add_scopes(words(&scopes[n % 16]));
        let (url, state, nonce) = ask.set_pkce_challenge(challenge).url();
        drop(black_box((state, nonce, verifier)));
        visit(url.as_str(), 0);
    })
}
