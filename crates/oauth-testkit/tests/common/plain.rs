//! The plain twin's clients at work.

use bytes::Bytes;
use oauth_testkit::{Pair, Twin};

use super::{ask, encoded_basic, param, post_as};

pub(crate) const REDIRECT: &str = "https://app.example/callback";

pub(crate) fn pair() -> Pair {
    Pair::new(Twin::generic("https://as.test"))
}

pub(crate) fn confidential(pair: &mut Pair) -> String {
    let twin = pair.twin();
    encoded_basic(twin.client_id(), twin.client_secret())
}

pub(crate) fn authorize(pair: &mut Pair, client: &str, more: &[(&str, &str)]) -> Option<String> {
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("state", "s t&a=te"),
    ];
    query.extend(more);
    let url = ask(pair, "/authorize", &query);
    pair.browse(&url)
}

/// A code for the confidential client, without PKCE.
pub(crate) fn code(pair: &mut Pair) -> String {
    param(&authorize(pair, "twin-client", &[]).unwrap(), "code").unwrap()
}

pub(crate) fn redeem(pair: &mut Pair, code: &str) -> http::Response<Bytes> {
    let auth = confidential(pair);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
    ];
    post_as(pair, "/token", Some(&auth), &form)
}

pub(crate) fn refresh(pair: &mut Pair, token: &str) -> http::Response<Bytes> {
    let auth = confidential(pair);
    post_as(
        pair,
        "/token",
        Some(&auth),
        &[("grant_type", "refresh_token"), ("refresh_token", token)],
    )
}
