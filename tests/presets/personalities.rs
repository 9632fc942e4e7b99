//! A whole sign-in with each preset, at a twin that has the deviations of its provider: each is handled as
//! required, and without the preset's rules the sign-in, or a later step, fails.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use oauth_core::flow::authorization::ResponseMode;
use oauth_core::flow::logout::LogoutRequest;
use oauth_core::jose::Alg;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::EndpointKind;
use oauth_core::{Client, ClientAuth, ClientId, Scope, Tokens};
use oauth_testkit::{Fault, Twin};
use serde_json::Value;

use crate::party::parameter;
use crate::scene::{ID, Scene};

/// Each signs in, is renewed, and requests the user's claims if it has an endpoint for them.
#[test]
fn every_preset_signs_in_at_its_twin() {
    for (name, scope) in [
        ("google", "openid email profile"),
        ("apple", "openid email"),
        ("microsoft-entra", "openid profile offline_access"),
        ("microsoft-entra-b2c", "openid offline_access twin-client"),
        ("gitlab", "openid read_user"),
        ("okta", "openid profile offline_access"),
        ("auth0", "openid profile offline_access"),
        ("keycloak", "openid profile"),
        ("cognito", "openid email"),
        ("linkedin", "openid profile email"),
        ("slack-signin", "openid profile email"),
        ("paypal", "openid"),
        ("salesforce", "openid api"),
        ("twitch", "openid user:read:email"),
        ("line", "openid profile"),
    ] {
        let mut scene = Scene::new(name);
        if name == "line" {
            scene.client = scene.client.with_id_token_algs([Alg::Hs256]);
        }
        let mode = match name {
            "apple" => ResponseMode::FormPost,
            _ => ResponseMode::Query,
        };
        let login = scene.sign_in(scope, mode);
        let login = login.unwrap_or_else(|code| panic!("{name}: {code}"));
        assert!(login.id_token.is_some(), "{name}");
        assert_eq!(scene.renewed(&login, None), Ok(()), "{name}");
        if scene
            .client
            .server()
            .endpoint(EndpointKind::Userinfo)
            .is_ok()
        {
            assert_eq!(scene.userinfo(login), Ok(()), "{name}");
        }
    }
    assert!(Twin::personality("nobody", &Value::Null).is_none());
}

#[test]
fn google_grants_scopes_by_their_long_names() {
    let (scope, long) = (
        "openid email profile",
        "https://www.googleapis.com/auth/userinfo.email",
    );
    for (mut scene, expected) in [
        (Scene::new("google"), Ok(())),
        (
            Scene::by_the_standards("google"),
            Err("scope.exceeds_grant"),
        ),
    ] {
        let login = scene.by_query(scope).expect("a login");
        assert!(login.tokens.scope.contains(long));
        // The granted scope can be renewed by its long name; the preset knows that it corresponds to the short one.
        let stored = scene.client.refresh_token(
            login
                .tokens
                .refresh_token
                .as_ref()
                .expect("a refresh token")
                .secret()
                .expose()
                .clone(),
            login.tokens.scope.clone(),
        );
        assert_eq!(scene.renewed_with(&stored, Some("email")), expected);
    }
}

#[test]
fn apple_requires_form_post_and_a_signed_secret() {
    let mut scene = Scene::new("apple");
    // The preset's default scope omits these, because they are refused without `form_post`.
    assert_eq!(
        scene.outcome("openid name email"),
        Err("denied.invalid_request")
    );
    assert!(
        scene
            .sign_in("openid name email", ResponseMode::FormPost)
            .is_ok()
    );
    let secret = scene
        .last_request("/auth/token")
        .form("client_secret")
        .expect("a secret");
    let claims = secret
        .split('.')
        .nth(1)
        .and_then(|claims| URL_SAFE_NO_PAD.decode(claims).ok());
    let claims: Value = serde_json::from_slice(&claims.expect("claims")).expect("JSON");
    assert_eq!(claims["aud"], "https://appleid.apple.com");
    let server = scene.client.server().clone();
    let plain = ClientAuth::post(scene.twin.client_secret());
    scene.client = Client::new(server, ClientId::new(ID), plain).expect("a client");
    let refused = scene
        .sign_in("openid email", ResponseMode::FormPost)
        .map(drop);
    assert_eq!(refused, Err("denied.invalid_client"));
}

#[test]
fn entra_signs_in_users_of_every_tenant_and_requires_a_scope_for_refreshes() {
    let scope = "openid profile offline_access";
    let mut scene = Scene::new("microsoft-entra");
    let login = scene.by_query(scope).expect("a login");
    let issuer = login
        .id_token
        .as_ref()
        .and_then(|token| token.claims().text("iss").ok()?);
    assert_ne!(issuer, Some(scene.client.server().issuer().as_str()));
    assert_eq!(scene.renewed(&login, None), Ok(()));
    let sent = scene.last_request("/token").form("scope");
    assert!(sent.is_some_and(|scope| scope.contains("offline_access")));
    // By the standards, users of another tenant are refused.
    assert_eq!(
        Scene::by_the_standards("microsoft-entra").outcome(scope),
        Err("jwt.issuer")
    );
    // The scope of a refresh is also a rule of the preset.
    let quirks = scene.client.server().rules().quirks.iter();
    let quirks = quirks.filter(|quirk| matches!(quirk, Quirk::TenantIssuer(_)));
    let quirks = quirks.cloned().collect();
    let mut less = Scene::with_rules(
        "microsoft-entra",
        Rules {
            quirks,
            ..Rules::default()
        },
    );
    let login = less.by_query(scope).expect("a login");
    assert_eq!(less.renewed(&login, None), Err("denied.invalid_request"));
}

#[test]
fn b2c_issues_an_access_token_only_for_the_client_id_as_scope() {
    let mut scene = Scene::new("microsoft-entra-b2c");
    let refused = scene.outcome("openid offline_access");
    assert_eq!(refused, Err("token.missing_access_token"));
    let login = scene.by_query("openid offline_access twin-client");
    assert!(login.expect("a login").tokens.refresh_token.is_some());
}

#[test]
fn keycloak_sends_iss_and_older_releases_do_not() {
    let mut scene = Scene::new("keycloak");
    assert_eq!(scene.outcome("openid"), Ok(()));
    scene.twin.inject(Fault::MissingIssuerInCallback);
    assert_eq!(scene.outcome("openid"), Err("callback.missing_issuer"));
    let mut older = Scene::with_options("keycloak", &["callbacks_without_issuer"]);
    older.twin.inject(Fault::MissingIssuerInCallback);
    assert_eq!(older.outcome("openid"), Ok(()));
}

#[test]
fn cognito_uses_its_own_logout_parameter() {
    let mut scene = Scene::new("cognito");
    assert_eq!(scene.outcome("openid"), Ok(()));
    let page = "https://acme.auth.eu-central-1.amazoncognito.com/logout";
    let home = "https%3A%2F%2Fapp.example%2F";
    let standard = scene.get(&format!(
        "{page}?client_id={ID}&post_logout_redirect_uri={home}"
    ));
    assert!(!standard.headers().contains_key("location"));
    let logout_page = scene.get(&format!("{page}?client_id={ID}&logout_uri={home}"));
    assert_eq!(logout_page.headers()["location"], "https://app.example/");
    // So the endpoint cannot be used as the standard end session endpoint.
    let at = scene.moment();
    let home = RedirectUri::parse("https://app.example/").expect("a URI");
    let request = LogoutRequest::returning_to(home, &at).expect("a request");
    let refused = scene.client.end_session_url(&request).map(drop);
    assert_eq!(
        refused.map_err(|error| error.code()),
        Err("endpoint.missing")
    );
}

#[test]
fn linkedin_supports_neither_nonce_nor_pkce() {
    let scope = "openid profile email";
    let login = Scene::new("linkedin").by_query(scope).expect("a login");
    assert_eq!(login.tokens.scope, Scope::parse(scope).expect("a scope"));
    assert!(
        login
            .id_token
            .is_some_and(|token| token.claims().get("nonce").is_none())
    );
    let refused = Scene::by_the_standards("linkedin").outcome(scope);
    assert_eq!(refused, Err("denied.invalid_client"));
    let quirks = vec![Quirk::WithoutPkce];
    let mut without_pkce = Scene::with_rules(
        "linkedin",
        Rules {
            quirks,
            ..Rules::default()
        },
    );
    assert!(without_pkce.outcome(scope).is_err());
    let quirks = vec![Quirk::WithoutPkce, Quirk::ReplyScopeDelimiter(',')];
    let mut with_nonce = Scene::with_rules(
        "linkedin",
        Rules {
            quirks,
            ..Rules::default()
        },
    );
    assert_eq!(with_nonce.outcome(scope), Err("jwt.missing_claim"));
}

#[test]
fn slack_refuses_requests_with_status_200() {
    for (mut scene, expected) in [
        (Scene::new("slack-signin"), "denied.invalid_grant"),
        (Scene::by_the_standards("slack-signin"), "denied.other"),
    ] {
        assert_eq!(scene.outcome("openid"), Ok(()));
        let (pending, callback) = scene.authorized("openid", ResponseMode::Query);
        let (_, query) = callback.split_once('?').expect("a query");
        let code = parameter(query, "code").expect("a code");
        let spoiled = callback.replace(&code, "another");
        let exchange = scene.client.redeem(pending, &spoiled).expect("a callback");
        let refused = scene.run(exchange).map(drop).map_err(|error| error.code());
        assert_eq!(refused, Err(expected));
        assert_eq!(scene.last_request("/api/openid.connect.token").status, 200);
    }
}

#[test]
fn paypal_sends_numbers_as_strings_and_requires_a_schema() {
    let mut scene = Scene::new("paypal");
    let login = scene.by_query("openid").expect("a login");
    assert!(login.tokens.expires_at().is_some());
    let tokens = Tokens::bearer(login.tokens.access_token.expose().as_str());
    let subject = login
        .id_token
        .as_ref()
        .map(|token| token.subject().to_owned());
    assert_eq!(scene.userinfo(login), Ok(()));
    assert_eq!(
        scene.last_request("/userinfo").query("schema"),
        Some("openid")
    );
    let strict = Scene::to_the_letter("paypal").outcome("openid");
    assert_eq!(strict, Err("token_response.malformed"));
    // Without its schema it identifies no user.
    let plain = "https://api.paypal.com/v1/identity/openidconnect/userinfo";
    let server = scene.client.server().clone();
    let server = server
        .with_endpoint(EndpointKind::Userinfo, plain)
        .expect("an endpoint");
    let auth = scene.client.auth().clone();
    scene.client = Client::new(server, ClientId::new(ID), auth).expect("a client");
    let userinfo_exchange = scene
        .client
        .userinfo(Arc::new(tokens), subject.expect("somebody"));
    let refused = scene
        .run(userinfo_exchange)
        .map(drop)
        .map_err(|error| error.code());
    assert_eq!(refused, Err("userinfo.malformed"));
}

#[test]
fn salesforce_is_busy_during_a_renewal_and_returns_the_instance_url() {
    for (mut scene, expected) in [
        (Scene::new("salesforce"), "denied.temporarily_unavailable"),
        (
            Scene::by_the_standards("salesforce"),
            "denied.invalid_grant",
        ),
    ] {
        let login = scene.by_query("openid api").expect("a login");
        let extra = login.tokens.extra.as_map();
        assert_eq!(extra["instance_url"], "https://acme.my.salesforce.com");
        assert_eq!(scene.renewed(&login, None), Ok(()));
        let token = login
            .tokens
            .refresh_token
            .as_ref()
            .expect("a refresh token");
        assert_eq!(scene.renewed_with(token, None), Err(expected));
    }
}

#[test]
fn twitch_returns_the_scope_as_a_list() {
    let scope = "openid user:read:email";
    let login = Scene::new("twitch").by_query(scope).expect("a login");
    assert_eq!(login.tokens.scope, Scope::parse(scope).expect("a scope"));
    let strict = Scene::to_the_letter("twitch").outcome(scope);
    assert_eq!(strict, Err("token_response.malformed"));
}

#[test]
fn line_signs_with_the_secret_unless_a_key_is_requested() {
    let mut scene = Scene::new("line");
    assert_eq!(scene.outcome("openid"), Err("jws.alg_not_allowed"));
    scene.client = scene.client.with_id_token_algs([Alg::Hs256]);
    assert_eq!(scene.outcome("openid"), Ok(()));
    let mut keyed = Scene::with_options("line", &["asymmetric_id_tokens"]);
    assert_eq!(keyed.outcome("openid"), Ok(()));
    assert_eq!(
        keyed.last_request("/token").form("id_token_key_type"),
        Some("JWK")
    );
}
