//! The simplest code that sends and reads the same, with every constant prepared once.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use std::hint::black_box;
use std::time::SystemTime;
use url::form_urlencoded::byte_serialize;

use crate::{AUTHORIZE_URI, FLOOR, ID, REDIRECT_URI, SECRET, Side, TOKEN_URI, scopes, sent};

#[derive(Deserialize)]
struct Reply {
    access_token: String,
    token_type: String,
    expires_in: Option<u64>,
    scope: Option<String>,
    refresh_token: Option<String>,
}

/// A copy of the reply, as a transport hands it over: `Bytes` here and in all sides that read them.
pub(crate) fn response(reply: &Bytes) -> Response<Bytes> {
    let mut response = Response::new(Bytes::copy_from_slice(reply));
    let json = HeaderValue::from_static("application/json");
    response.headers_mut().insert(CONTENT_TYPE, json);
    response
}

pub(crate) fn grant(replies: Vec<Bytes>) -> Side {
    let uri = Uri::from_static(TOKEN_URI);
    // Neither the id nor the secret needs any escape.
    let basic = format!("Basic {}", STANDARD.encode(format!("{ID}:{SECRET}")));
    let mut headers = HeaderMap::new();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    let form = HeaderValue::from_static("application/x-www-form-urlencoded");
    headers.insert(CONTENT_TYPE, form);
    headers.insert(
        AUTHORIZATION,
        HeaderValue::from_str(&basic).expect("a header value"),
    );
    let scopes = scopes();
    Side::new(FLOOR, move |n, visit| {
        let mut body = String::with_capacity(128);
        body.push_str("grant_type=client_credentials&scope=");
        body.extend(byte_serialize(scopes[n % 16].as_bytes()));
        let mut request = Request::new(Bytes::from(body));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers.clone();
        sent::take(black_box(&request));
        drop(request);
        let response = response(&replies[n % 16]);
        let read: Reply = serde_json::from_slice(response.body()).expect("a reply");
        assert!(read.token_type.eq_ignore_ascii_case("bearer"));
        black_box((&read.scope, &read.refresh_token, SystemTime::now()));
        visit(&read.access_token, read.expires_in.unwrap_or_default());
    })
}

pub(crate) fn url() -> Side {
    let redirect_uri: String = byte_serialize(REDIRECT_URI.as_bytes()).collect();
    let prefix = format!(
        "{AUTHORIZE_URI}?response_type=code&client_id={ID}&redirect_uri={redirect_uri}&code_challenge_method=S256&scope="
    );
    let scopes = scopes();
    Side::new(FLOOR, move |n, visit| {
        let mut random = [0; 64];
        getrandom::fill(&mut random).expect("randomness");
        let (state, verifier) = random.split_at(32);
        let verifier = URL_SAFE_NO_PAD.encode(verifier);
        let mut url = String::with_capacity(prefix.len() + 192);
        url.push_str(&prefix);
        url.extend(byte_serialize(scopes[n % 16].as_bytes()));
        url.push_str("&state=");
        URL_SAFE_NO_PAD.encode_string(state, &mut url);
        url.push_str("&code_challenge=");
        URL_SAFE_NO_PAD.encode_string(Sha256::digest(&verifier), &mut url);
        black_box((verifier, SystemTime::now()));
        visit(&url, 0);
    })
}
