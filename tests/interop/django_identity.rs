//! Identity at `django-oauth-toolkit`: ID tokens, UserInfo, and the end of a session.

use std::collections::BTreeSet;
use std::sync::Arc;

use oauth_core::Secret;
use oauth_core::flow::discovery::PreferredDocument;
use oauth_core::flow::logout::{LogoutRequest, check_return};
use oauth_core::jose::Alg;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::token::id_token::IdTokenChecks;
use serde_json::{Value, json};

use crate::django::{Django, shared};
use crate::oidc_provider::driver;

const HOME: &str = "http://127.0.0.1/signed-out";

#[test]
fn id_tokens_signed_with_a_key_or_the_secret_are_verified() {
    let (server, driver) = (shared(), driver());
    for (which, alg, other) in [
        ("web", Alg::Rs256, Alg::Hs256),
        ("native", Alg::Rs256, Alg::Es256),
        ("hs256", Alg::Hs256, Alg::Rs256),
    ] {
        let client = server.client(which).expect("a client");
        let agreed = client.clone().with_id_token_algs([alg]);
        let sign_in = |client| {
            server
                .person()
                .sign_in(&driver, client, "openid email", &[])
        };
        let login = sign_in(&agreed).unwrap_or_else(|error| panic!("{which}: {error}"));
        let id_token = login.id_token.expect("openid was asked for");
        let claim = |name| id_token.claims().get(name).and_then(Value::as_str);
        assert_eq!(id_token.issuer(), server.issuer());
        assert_eq!(claim("aud"), Some(server.client_id(which)));
        assert_eq!(claim("email"), Some("somebody@app.example"));
        assert!(claim("nonce").is_some() && claim("at_hash").is_some());

        let refused = sign_in(&client.with_id_token_algs([other])).map(drop);
        let refused = refused.expect_err("another algorithm");
        assert_eq!(refused.code(), "jws.alg_not_allowed", "{which}");
    }
}

#[test]
fn userinfo_is_verified_to_be_about_the_signed_in_user() {
    let (server, driver) = (shared(), driver());
    let client = server.client("web").expect("a client");
    let login = server.person();
    let login = login.sign_in(&driver, &client, "openid profile email", &[]);
    let login = login.expect("a login");
    let subject = login.id_token.expect("an ID token").subject().to_owned();
    let tokens = Arc::new(login.tokens);
    let userinfo = |subject| driver.run(client.userinfo(Arc::clone(&tokens), subject));
    let claims = userinfo(subject).expect("claims");
    assert_eq!(claims.get("name"), Some(&json!("Some Body")));
    let other = userinfo("somebody else".to_owned()).map(drop);
    assert_eq!(other.expect_err("a refusal").code(), "userinfo.subject");
}

/// The server describes the latest login, not the one that is continued (OpenID Connect Core section
/// 12.2): without the preset's quirk, a sign-in anywhere else would end all other grants of the user.
#[test]
fn the_preset_accepts_a_refreshed_id_token_of_a_later_login() {
    let (server, driver) = (Django::start(), driver());
    let found = server.discovered(&driver, PreferredDocument::OpenId, &[]);
    let plain = server.client_for(found.expect("metadata"), "web");
    let clients = [plain, server.client("native")].map(|client| client.expect("a client"));
    let person = server.person();
    let sign_in = |client| {
        let login = person.sign_in(&driver, client, "openid", &[]);
        let tokens = login.expect("a login").tokens;
        let refresh = tokens.refresh_token.expect("a refresh token");
        let next = driver.run(client.refresh(&refresh)).expect("a refresh");
        assert!(next.id_token.is_some());
        next
    };
    // The session of this browser is an hour old when the user signs in to the clients.
    person
        .sign_in(&driver, &clients[0], "openid", &[])
        .expect("a login");
    server.steer("/_pass_an_hour");
    let before = clients.each_ref().map(sign_in);
    let elsewhere = server.person();
    elsewhere
        .sign_in(&driver, &clients[0], "openid", &[])
        .expect("another login");
    let [plain, by_preset] = [0, 1].map(|which: usize| {
        let refresh = before[which].refresh_token.as_ref();
        let refresh = clients[which].refresh(refresh.expect("a refresh token"));
        driver.run(refresh).map(drop)
    });
    let refused = plain.expect_err("another login");
    assert_eq!(refused.code(), "id_token.auth_time_changed");
    by_preset.expect("the last login");
}

#[test]
fn signing_keys_are_rotated_while_clients_run() {
    let (server, driver) = (Django::start(), driver());
    let client = server.client("web").expect("a client");
    let person = server.person();
    let sign_in = || {
        let login = person.sign_in(&driver, &client, "openid", &[]);
        let id_token = login.expect("a login").id_token.expect("an ID token");
        id_token.text().clone()
    };
    let kids = || {
        let keys = client.keys().expect("keys").to_json();
        let keys: Value = serde_json::from_str(&keys).expect("JSON");
        let keys = keys["keys"].as_array().expect("keys").iter();
        keys.map(|key| key["kid"].as_str().expect("a kid").to_owned())
            .collect::<BTreeSet<_>>()
    };
    let first = sign_in();
    let before = kids();
    assert_eq!(before.len(), 2, "one signs, one did");
    server.steer("/_rotate");
    let second = sign_in();
    let after = kids();
    assert!(after.len() == 3 && after.is_superset(&before));

    let verify = |token: &Secret<String>| {
        let checks = IdTokenChecks::default();
        driver
            .run(client.verify_id_token(token.clone(), checks))
            .map(drop)
    };
    verify(&first).expect("the key before is published still");
    server.steer("/_retire");
    let fresh = server.client("web").expect("a client");
    let checks = IdTokenChecks::default();
    let refused = driver.run(fresh.verify_id_token(first, checks)).map(drop);
    assert_eq!(
        refused.expect_err("a refusal").code(),
        "jws.no_matching_key"
    );
    verify(&second).expect("the key that signs");
}

#[test]
fn a_user_signs_out_at_the_server_and_returns() {
    let (server, driver) = (Django::start(), driver());
    let client = server.client("web").expect("a client");
    let person = server.person();
    let login = person.sign_in(&driver, &client, "openid", &[]);
    let login = login.expect("a login");

    let state = Secret::from("drawn for this logout: +%/&");
    let mut request = LogoutRequest::new();
    request.id_token_hint = login.tokens.id_token.clone();
    request.post_logout_redirect_uri = Some(RedirectUri::parse(HOME).expect("a URI"));
    request.state = Some(state.clone());
    let url = client.end_session_url(&request).expect("an endpoint");
    assert!(url.as_str().starts_with(server.issuer()));
    let home = person.visit(url.as_str()).expect("the way home");
    assert!(home.starts_with(HOME), "{home}");
    check_return(&home, &state).expect("the state of this logout");

    // The session is gone, and the grant has ended with it. (For a request for `openid` without a prompt, this server
    // returns status 500: it does not implement a required hook of its library.)
    let silent = person.sign_in(&driver, &client, "read", &[("prompt", "none")]);
    let error = silent.map(drop).expect_err("the session is gone");
    assert_eq!(error.code(), "denied.login_required");
    let refresh = login.tokens.refresh_token.expect("a refresh token");
    let dead = driver.run(client.refresh(&refresh)).map(drop);
    assert_eq!(dead.expect_err("a refusal").code(), "denied.invalid_grant");

    request.post_logout_redirect_uri = RedirectUri::parse("http://127.0.0.1/elsewhere").ok();
    let url = client.end_session_url(&request).expect("an endpoint");
    let page = person.visit(url.as_str()).expect_err("a page");
    assert!(page.starts_with("400"), "{page}");
}
