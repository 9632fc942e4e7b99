//! Handwritten requests, which use none of oauth-core's forms, URLs or JSON.
#![allow(dead_code)] // each test file uses its part

pub(crate) mod jws;
pub(crate) mod plain;
pub(crate) mod toy;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use bytes::Bytes;
use http::{Request, Response};
use oauth_testkit::TwinDriver;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

pub(crate) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

pub(crate) fn challenge() -> String {
    URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER))
}

pub(crate) fn pairs(of: &[(&str, &str)]) -> String {
    serde_urlencoded::to_string(of).unwrap()
}

pub(crate) fn post(driver: &mut TwinDriver, path: &str, form: &[(&str, &str)]) -> Response<Bytes> {
    post_as(driver, path, None, form)
}

pub(crate) fn post_as(
    driver: &mut TwinDriver,
    path: &str,
    authorization: Option<&str>,
    form: &[(&str, &str)],
) -> Response<Bytes> {
    let mut request = Request::post(format!("{}{path}", driver.twin().base()))
        .header("content-type", "application/x-www-form-urlencoded");
    if let Some(value) = authorization {
        request = request.header("authorization", value);
    }
    driver.send(request.body(pairs(form).into()).unwrap())
}

pub(crate) fn get(driver: &mut TwinDriver, path: &str, token: Option<&str>) -> Response<Bytes> {
    call(driver, "GET", path, token)
}

pub(crate) fn call(
    driver: &mut TwinDriver,
    method: &str,
    path: &str,
    token: Option<&str>,
) -> Response<Bytes> {
    let mut request = Request::builder()
        .method(method)
        .uri(format!("{}{path}", driver.twin().base()));
    if let Some(token) = token {
        request = request.header("authorization", format!("Bearer {token}"));
    }
    driver.send(request.body(Bytes::new()).unwrap())
}

/// The URL of an authorization request.
pub(crate) fn visit_authorization_endpoint(
    driver: &mut TwinDriver,
    path: &str,
    query: &[(&str, &str)],
) -> String {
    format!("{}{path}?{}", driver.twin().base(), pairs(query))
}

/// A parameter of a callback.
pub(crate) fn param(url: &str, name: &str) -> Option<String> {
    let query = url.split_once('?')?.1;
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).unwrap();
    pairs
        .into_iter()
        .find(|(n, _)| n == name)
        .map(|(_, value)| value)
}

pub(crate) fn json(reply: &Response<Bytes>) -> Value {
    serde_json::from_slice(reply.body()).unwrap()
}

pub(crate) fn text(value: &Value, name: &str) -> String {
    value[name]
        .as_str()
        .unwrap_or_else(|| panic!("no {name} in {value}"))
        .to_owned()
}

/// Asserts a refusal of RFC 6749 section 5.2.
#[track_caller]
pub(crate) fn refused(reply: &Response<Bytes>, status: u16, error: &str) {
    assert_eq!(
        (reply.status().as_u16(), json(reply)["error"].as_str()),
        (status, Some(error))
    );
}

pub(crate) fn raw_basic(id: &str, secret: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{id}:{secret}")))
}

pub(crate) fn encoded_basic(id: &str, secret: &str) -> String {
    let encode = |text: &str| pairs(&[("v", text)])[2..].to_owned();
    raw_basic(&encode(id), &encode(secret))
}
