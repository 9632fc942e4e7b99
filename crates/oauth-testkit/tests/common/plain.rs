//! Requests of the generic twin's clients.

use bytes::Bytes;
use oauth_testkit::{Twin, TwinDriver};

use super::{encoded_basic, param, post_as, visit_authorization_endpoint};

pub(crate) const REDIRECT: &str = "https://app.example/callback";

pub(crate) fn driver() -> TwinDriver {
    TwinDriver::new(Twin::generic("https://as.test"))
}

pub(crate) fn basic_credentials(driver: &mut TwinDriver) -> String {
    let twin = driver.twin();
    encoded_basic(twin.client_id(), twin.client_secret())
}

pub(crate) fn authorize(
    driver: &mut TwinDriver,
    client: &str,
    extra_parameters: &[(&str, &str)],
) -> Option<String> {
    let mut query = vec![
        ("response_type", "code"),
        ("client_id", client),
        ("redirect_uri", REDIRECT),
        ("state", "s t&a=te"),
    ];
    query.extend(extra_parameters);
    let url = visit_authorization_endpoint(driver, "/authorize", &query);
    driver.browse(&url)
}

/// A code for the confidential client, without PKCE.
pub(crate) fn code(driver: &mut TwinDriver) -> String {
    param(&authorize(driver, "twin-client", &[]).unwrap(), "code").unwrap()
}

pub(crate) fn redeem(driver: &mut TwinDriver, code: &str) -> http::Response<Bytes> {
    let auth = basic_credentials(driver);
    let form = [
        ("grant_type", "authorization_code"),
        ("code", code),
        ("redirect_uri", REDIRECT),
    ];
    post_as(driver, "/token", Some(&auth), &form)
}

pub(crate) fn refresh(driver: &mut TwinDriver, token: &str) -> http::Response<Bytes> {
    let auth = basic_credentials(driver);
    post_as(
        driver,
        "/token",
        Some(&auth),
        &[("grant_type", "refresh_token"), ("refresh_token", token)],
    )
}
