//! The end of a session at `oidc-provider`: requested by the user, and reported to the client.

use std::time::Duration;

use oauth_core::Secret;
use oauth_core::flow::logout::{LogoutRequest, Session, check_return};
use oauth_core::flow::redeem::Login;
use oauth_core::jose::{Enc, JweAlg};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::token::logout_token::LogoutTokenChecks;
use reqwest::blocking::{Client as Browser, Response};

use crate::browser::{browser, redirect_target, sign_in};
use crate::encryption::encryption;
use crate::mailbox::mailbox;
use crate::oidc_provider::{OidcProvider, driver};

const HOME: &str = "http://127.0.0.1/signed-out";
const MAX_WAIT: Duration = Duration::from_secs(30);

/// The text between `start` and the next quotation mark.
fn attribute<'a>(page: &'a str, start: &str) -> &'a str {
    let (_, rest) = page.split_once(start).expect("the form");
    rest.split('"').next().unwrap_or_default()
}

/// The user approves on the server's page.
pub(crate) fn sign_out(browser: &Browser, url: &str) -> Response {
    confirmed(browser, browser.get(url).send().expect("a page"))
}

/// Confirms a logout on a page that was already received.
fn confirmed(browser: &Browser, page: Response) -> Response {
    assert_eq!(page.status(), 200);
    let page = page.text().expect("a page");
    let action = attribute(&page, "action=\"");
    let xsrf = attribute(&page, "name=\"xsrf\" value=\"");
    let form = serde_urlencoded::to_string([("xsrf", xsrf), ("logout", "yes")]).expect("a form");
    let post = browser.post(action).body(form);
    let post = post.header("content-type", "application/x-www-form-urlencoded");
    post.send().expect("an answer")
}

fn logout_token(body: &str) -> Secret<String> {
    let form: Vec<(String, String)> = serde_urlencoded::from_str(body).expect("a form");
    let found = form.into_iter().find(|(name, _)| name == "logout_token");
    Secret::from(found.expect("a logout token").1)
}

#[test]
fn a_user_signs_out_at_the_server_and_returns() {
    let (server, driver, browser) = (OidcProvider::start(), driver(), browser());
    let client = server.client(&driver, "logout").expect("a client");
    let login = sign_in(&browser, &driver, &client, None).expect("a login");
    // The browser has a session now, so there is no prompt.
    sign_in(&browser, &driver, &client, Some("none")).expect("a silent login");

    let state = Secret::from("drawn for this logout: +%/&");
    let mut request = LogoutRequest::new();
    request.id_token_hint = login.tokens.id_token.clone();
    request.post_logout_redirect_uri = Some(RedirectUri::parse(HOME).expect("a URI"));
    request.state = Some(state.clone());
    let url = client.end_session_url(&request).expect("an endpoint");
    assert!(url.as_str().starts_with(server.issuer()));
    let reply = sign_out(&browser, url.as_str());
    let home = redirect_target(&reply);
    assert!(home.starts_with(HOME), "{home}");
    check_return(home, &state).expect("the state of this logout");
    let other = check_return(home, &Secret::from("another"));
    assert_eq!(other.expect_err("a refusal").code(), "logout.state");

    let silent = sign_in(&browser, &driver, &client, Some("none")).map(drop);
    let error = silent.expect_err("the session is gone");
    assert_eq!(error.code(), "denied.login_required");
    // The grant has ended with it.
    let refresh = login.tokens.refresh_token.expect("a refresh token");
    let dead = driver.run(client.refresh(&refresh)).map(drop);
    assert_eq!(dead.expect_err("a refusal").code(), "denied.invalid_grant");
}

#[test]
fn a_user_signs_out_with_a_posted_form() {
    let server = OidcProvider::start_with(&[("POST_METHODS", "1")]);
    let (driver, browser) = (driver(), browser());
    let client = server.client(&driver, "logout").expect("a client");
    let login = sign_in(&browser, &driver, &client, None).expect("a login");
    let state = Secret::from("drawn for this logout: +%/&");
    let mut request = LogoutRequest::new();
    request.id_token_hint = login.tokens.id_token;
    request.post_logout_redirect_uri = Some(RedirectUri::parse(HOME).expect("a URI"));
    request.state = Some(state.clone());
    let form = client.end_session_form(&request).expect("an endpoint");
    let fields: Vec<_> = form.fields().collect();
    let body = serde_urlencoded::to_string(fields).expect("a form");
    let post = browser.post(form.action().as_str()).body(body);
    let post = post.header("content-type", "application/x-www-form-urlencoded");
    let reply = confirmed(&browser, post.send().expect("a page"));
    check_return(redirect_target(&reply), &state).expect("the state of this logout");
    let silent = sign_in(&browser, &driver, &client, Some("none")).map(drop);
    assert_eq!(
        silent.expect_err("the session is gone").code(),
        "denied.login_required"
    );
}

#[test]
fn an_unregistered_logout_redirect_uri_is_rejected() {
    let (server, driver, browser) = (OidcProvider::start(), driver(), browser());
    let client = server.client(&driver, "logout").expect("a client");
    sign_in(&browser, &driver, &client, None).expect("a login");
    let mut request = LogoutRequest::new();
    let elsewhere = RedirectUri::parse("https://elsewhere.example/signed-out");
    request.post_logout_redirect_uri = Some(elsewhere.expect("a URI"));
    let url = client.end_session_url(&request).expect("an endpoint");
    let page = browser.get(url.as_str()).send().expect("a page");
    assert_eq!(page.status(), 400);
    sign_in(&browser, &driver, &client, Some("none")).expect("the session goes on");
}

#[test]
fn a_logout_token_is_received_and_accepted_once() {
    let (address, mailbox) = mailbox("/logout", "200 OK");
    let server = OidcProvider::start_with(&[("BACKCHANNEL_LOGOUT_URI", &address)]);
    let driver = driver();
    let agreed = encryption(&server, "logout-encrypted", JweAlg::EcdhEs, Enc::A256Gcm);
    let plain = server.client(&driver, "logout").expect("a client");
    let sealed = server.client(&driver, "logout-encrypted").expect("one");
    for client in [plain, sealed.with_id_token_encryption(agreed)] {
        let (browser, which) = (browser(), client.client_id().as_str());
        let login = sign_in(&browser, &driver, &client, None).expect("a login");
        let elsewhere =
            sign_in(&crate::browser::browser(), &driver, &client, None).expect("another");
        let session = |login: Login| Session::from_id_token(&login.id_token.expect("an ID token"));
        let mut request = LogoutRequest::new();
        let id_token = login.id_token.as_ref().expect("an ID token");
        request.id_token_hint = Some(id_token.text().clone());
        let url = client.end_session_url(&request).expect("an endpoint");
        assert_eq!(sign_out(&browser, url.as_str()).status(), 200, "{which}");

        let body = mailbox.recv_timeout(MAX_WAIT).expect("a logout token").body;
        let verify = |checks| driver.run(client.verify_logout_token(logout_token(&body), checks));
        let ended = verify(LogoutTokenChecks::default());
        let ended = ended.unwrap_or_else(|error| panic!("{which}: {error}"));
        let (session, elsewhere) = (session(login), session(elsewhere));
        assert!(session.sid.is_some(), "{which}");
        assert!(ended.ends(&session), "{which}");
        assert!(
            !ended.ends(&elsewhere),
            "{which}: another browser's goes on"
        );
        let replayed = verify(LogoutTokenChecks::default()).expect_err("a replay");
        assert_eq!(replayed.code(), "logout_token.replayed", "{which}");
    }
}
