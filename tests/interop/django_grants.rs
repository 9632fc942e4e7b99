//! Tokens of `django-oauth-toolkit`: of clients and users, renewed, introspected and revoked.

use std::thread;

use oauth_core::endpoint::device_authorization::DeviceAuthorization;
use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse};
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::flow::discovery::PreferredDocument;
use oauth_core::flow::poll::PollTiming;
use oauth_core::grant::DeviceCode;
use oauth_core::quirk::Quirk;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::EndpointKind;
use oauth_core::token::TokenKind;
use oauth_core::url::Url;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Moment, PendingAuthorization, Scope,
};
use oauth_reqwest::blocking::Driver;
use serde_json::Value;

use crate::django::{authorization_request, shared};
use crate::oidc_provider::driver;

fn scope(names: &str) -> Scope {
    Scope::parse(names).expect("a scope")
}

fn state(
    driver: &Driver,
    client: &Client,
    token: &oauth_core::Secret<String>,
) -> IntrospectionResponse {
    let introspection = Introspection::new(token.clone()).token_type_hint(TokenKind::Access);
    driver
        .run(client.introspect(introspection))
        .expect("an answer")
}

fn code<T>(result: Result<T, Error>) -> &'static str {
    result.map(drop).expect_err("a refusal").code()
}

#[test]
fn openid_and_oauth_metadata_list_different_endpoints() {
    let (server, driver) = (shared(), driver());
    let [openid, oauth] = [PreferredDocument::OpenId, PreferredDocument::OAuth]
        .map(|prefer| server.discovered(&driver, prefer, &[]).expect("metadata"));
    let preset = server.server().expect("a preset");
    assert_eq!(preset.issuer(), openid.issuer());
    let names = |found: &oauth_core::server::Server| {
        assert_eq!(found.issuer().as_str(), server.issuer());
        assert!(found.authorization_response_iss_supported());
        let methods = found.code_challenge_methods();
        assert_eq!(methods, Some(vec!["S256".to_owned()]));
        let present_endpoints = EndpointKind::ALL.iter();
        let present_endpoints = present_endpoints.filter(|kind| found.endpoint(**kind).is_ok());
        let present_endpoints = present_endpoints.inspect(|kind| {
            // Registration is off unless a server turns it on, as this one does: the preset leaves it out.
            if **kind == EndpointKind::Registration {
                return;
            }
            let by_preset = preset.endpoint(**kind).expect("an endpoint").as_str();
            let published = found.endpoint(**kind).map(Url::as_str);
            assert_eq!(published.expect("an endpoint"), by_preset);
        });
        present_endpoints
            .copied()
            .map(EndpointKind::member)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        names(&openid),
        [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
            "end_session_endpoint",
        ]
    );
    assert_eq!(
        names(&oauth),
        [
            "authorization_endpoint",
            "token_endpoint",
            "revocation_endpoint",
            "introspection_endpoint",
            "jwks_uri",
            "registration_endpoint",
        ]
    );
}

#[test]
fn client_credentials_with_special_characters_are_accepted() {
    let (server, driver) = (shared(), driver());
    let found = server.server().expect("metadata");
    let secret = server.secret("machine");
    for auth in [ClientAuth::basic(secret), ClientAuth::post(secret)] {
        let id = ClientId::new(server.client_id("machine"));
        let client = Client::new(found.clone(), id, auth).expect("a client");
        let tokens = driver.run(client.client_credentials(scope("read write")));
        let tokens = tokens.expect("a token");
        assert_eq!(tokens.scope, scope("read write"));
        assert_eq!(tokens.expires_in, Some(60));
        let IntrospectionResponse::Active(introspection) =
            state(&driver, &client, &tokens.access_token)
        else {
            panic!("it is active");
        };
        assert_eq!(
            introspection.client_id.as_deref(),
            Some(server.client_id("machine"))
        );
        assert_eq!(introspection.scope, Some(scope("read write")));
        let unknown = driver.run(client.client_credentials(scope("unheard-of")));
        assert_eq!(code(unknown), "denied.invalid_scope");
    }
}

#[test]
fn a_wrong_secret_is_refused_with_invalid_client() {
    let (server, driver) = (shared(), driver());
    let found = server.server().expect("metadata");
    let wrong = "wrong: +%/";
    for auth in [ClientAuth::basic(wrong), ClientAuth::post(wrong)] {
        let id = ClientId::new(server.client_id("machine"));
        let client = Client::new(found.clone(), id, auth).expect("a client");
        let refused = driver.run(client.client_credentials(Scope::none()));
        let refused = refused.map(drop).expect_err("a refusal");
        assert_eq!(refused.code(), "denied.invalid_client");
        let status = refused
            .server_error()
            .and_then(|server_error| server_error.status());
        assert_eq!(status, Some(401));
        assert!(!refused.to_string().contains(wrong));
        // This endpoint returns neither JSON nor an error code, and 403 where RFC 7662 requires 401.
        let refused = driver.run(client.introspect(Introspection::new("never-issued")));
        let refused = refused.map(drop).expect_err("a refusal");
        assert_eq!(refused.code(), "denied.http_status");
        let status = refused
            .server_error()
            .and_then(|server_error| server_error.status());
        assert_eq!(status, Some(403));
    }
}

#[test]
fn a_code_with_pkce_is_redeemed_and_refreshed_with_rotation() {
    let (server, driver) = (shared(), driver());
    for which in ["native", "web"] {
        let client = server.client(which).expect("a client");
        let login = server.person().sign_in(&driver, &client, "read", &[]);
        let first = login
            .unwrap_or_else(|error| panic!("{which}: {error}"))
            .tokens;
        assert_eq!(first.scope, scope("read"));
        let spent = first.refresh_token.clone().expect("a refresh token");
        let second = driver.run(client.refresh(&spent)).expect("a refresh");
        let next = second.refresh_token.clone().expect("a refresh token");
        assert!(!next.secret().matches(spent.secret().expose()), "{which}");
        assert!(!second.access_token.matches(first.access_token.expose()));

        // The server detects the reuse of a token, and ends the grant.
        let replayed = driver.run(client.refresh(&spent)).map(drop);
        let replayed = replayed.expect_err("a refusal");
        assert_eq!(replayed.code(), "denied.invalid_grant");
        assert_eq!(replayed.advice().as_str(), "reauthorize");
        let ended = driver.run(client.refresh(&next));
        assert_eq!(code(ended), "denied.invalid_grant", "{which}");
    }
}

#[test]
fn a_token_is_revoked_and_an_unknown_one_accepted() {
    let (server, driver) = (shared(), driver());
    let client = server.client("web").expect("a client");
    let sign_in = || {
        let login = server.person().sign_in(&driver, &client, "read", &[]);
        login.expect("a login").tokens
    };
    let revoke = |token| driver.run(client.revoke(Revocation::new(token)));
    let tokens = sign_in();
    let IntrospectionResponse::Active(introspection) =
        state(&driver, &client, &tokens.access_token)
    else {
        panic!("it is active");
    };
    assert_eq!(introspection.username.as_deref(), Some("somebody"));
    revoke(tokens.access_token.clone()).expect("revoked");
    let removed = state(&driver, &client, &tokens.access_token);
    assert!(matches!(removed, IntrospectionResponse::Inactive));
    revoke("never-issued".into()).expect("an unknown token is no error");

    let tokens = sign_in();
    let refresh = tokens.refresh_token.expect("a refresh token");
    revoke(refresh.secret().clone()).expect("revoked");
    let refused = driver.run(client.refresh(&refresh));
    assert_eq!(code(refused), "denied.invalid_grant");
}

#[test]
fn an_unregistered_redirect_uri_gives_an_error_page() {
    let server = shared();
    let client = server.client("web").expect("a client");
    let other = RedirectUri::parse("http://127.0.0.1/elsewhere").expect("a URI");
    let moment = Moment::system().expect("a moment");
    let authorization = client.authorize(
        &moment,
        AuthorizationRequest::new(other).scope(scope("read")),
    );
    let (url, _) = authorization.expect("a URL");
    let page = server.person().visit(url.as_str()).expect_err("a page");
    assert!(page.starts_with("400"), "{page}");
}

#[test]
fn the_verifier_of_another_flow_is_refused() {
    let (server, driver) = (shared(), driver());
    for which in ["native", "web"] {
        let client = server.client(which).expect("a client");
        let moment = || Moment::system().expect("a moment");
        let (url, pending) = client
            .authorize(&moment(), authorization_request("read"))
            .expect("a URL");
        let (_, other) = client
            .authorize(&moment(), authorization_request("read"))
            .expect("a URL");
        // The other flow's verifier with this flow's state: as with an injected code.
        let mut stolen: Value = serde_json::from_str(other.to_json().expose()).expect("JSON");
        stolen["state"] = Value::from(pending.state().expose().as_str());
        let stolen = PendingAuthorization::from_json(&stolen.to_string()).expect("a flow");
        let callback = server.person().visit(url.as_str()).expect("a callback");
        let refused = driver.run(client.redeem(stolen, &callback).expect("judged"));
        assert_eq!(code(refused), "denied.invalid_grant", "{which}");
    }
}

/// The result of a denied login, with these answers of the user and this additional parameter.
fn denied(
    quirks: &[Quirk],
    form_values: &[(&str, &str)],
    extra: Option<(&str, &str)>,
) -> &'static str {
    let (server, driver) = (shared(), driver());
    let found = server.discovered(&driver, PreferredDocument::OpenId, quirks);
    let client = server.client_for(found.expect("metadata"), "web");
    let client = client.expect("a client");
    let moment = Moment::system().expect("a moment");
    let request = extra
        .iter()
        .fold(authorization_request("read"), |ask, (name, value)| {
            ask.extra(*name, *value)
        });
    let (url, pending) = client.authorize(&moment, request).expect("a URL");
    let home = server.person().visit_with(url.as_str(), form_values);
    code(client.redeem(pending, &home.expect("a callback")))
}

/// The server's metadata says that every callback names the issuer.
#[test]
fn a_denial_without_iss_is_accepted_only_with_the_quirk() {
    let (no, silent) = ([("allow", "")], Some(("prompt", "none")));
    assert_eq!(denied(&[], &no, None), "callback.missing_issuer");
    assert_eq!(denied(&[], &[], silent), "callback.missing_issuer");
    let quirks = [Quirk::ErrorsWithoutIssuer];
    assert_eq!(denied(&quirks, &no, None), "denied.access_denied");
    assert_eq!(denied(&quirks, &[], silent), "denied.login_required");
}

#[test]
fn a_device_signs_in_once_the_user_approves() {
    let (server, driver) = (shared(), driver());
    let client = server.client("device").expect("a client");
    let device = driver.run(client.call(DeviceAuthorization::new(scope("read"))));
    let device = device.expect("a code");
    assert_eq!(device.interval, 5);
    assert!(
        device
            .verification_uri
            .as_str()
            .starts_with(server.issuer())
    );
    let grant = || DeviceCode::new(device.device_code.clone());
    let early = driver.run(client.sign_in(grant(), scope("read"), None));
    assert_eq!(code(early), "denied.authorization_pending");
    let pace = PollTiming {
        interval: device.interval,
        expires_at: device.expires_at,
    };
    let login = thread::scope(|threads| {
        let waits =
            threads.spawn(|| driver.run(client.sign_in(grant(), scope("read"), Some(pace))));
        let form_values = [("user_code", device.user_code.as_str())];
        let page = server.person();
        let page = page.visit_with(device.verification_uri.as_str(), &form_values);
        let page = page.expect_err("a page without a form");
        assert!(page.contains("Authorized"), "{page}");
        waits.join().expect("an end")
    });
    let tokens = login.expect("tokens").tokens;
    assert_eq!(tokens.scope, scope("read"));
    assert!(tokens.refresh_token.is_some());
}
