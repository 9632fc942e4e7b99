//! A browser in which a user stays signed in between logins.

use oauth_core::flow::redeem::Login;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{AuthorizationRequest, Client, Error, Moment, Scope};
use oauth_reqwest::blocking::Driver;
use reqwest::blocking::{Client as Browser, ClientBuilder, Response};
use reqwest::redirect::Policy;

pub(crate) const CALLBACK: &str = "http://127.0.0.1/callback";

/// A user's browser. It follows redirects up to the redirect URI of a login or a logout.
pub(crate) fn browser() -> Browser {
    builder().build().expect("a browser")
}

/// The builder of such a browser.
pub(crate) fn builder() -> ClientBuilder {
    let stop = Policy::custom(|attempt| match attempt.url().path() {
        "/callback" | "/signed-out" => attempt.stop(),
        _ => attempt.follow(),
    });
    Browser::builder().cookie_store(true).redirect(stop)
}

/// The target of a redirect that the browser did not follow.
pub(crate) fn redirect_target(response: &Response) -> &str {
    assert_eq!(response.status(), 303);
    let location = response.headers().get("location").expect("a redirect");
    location.to_str().expect("a URL")
}

/// A login in this browser, with the user's answers to the server's prompts.
pub(crate) fn sign_in(
    browser: &Browser,
    driver: &Driver,
    client: &Client,
    prompt: Option<&str>,
) -> Result<Login, Error> {
    let request = AuthorizationRequest::new(RedirectUri::parse(CALLBACK)?);
    let request = request.scope(Scope::parse("openid read").expect("a scope"));
    let request = prompt
        .into_iter()
        .fold(request, |ask, prompt| ask.extra("prompt", prompt));
    let moment = Moment::system().expect("a moment");
    let (url, pending) = client.authorize(&moment, request)?;
    let came = browser.get(url.as_str()).send().expect("an answer");
    driver.run(client.redeem(pending, redirect_target(&came))?)
}
