//! Claims that the ID token lacks, from the UserInfo endpoint.

use http::StatusCode;
use oauth_core::issuer::Issuer;
use oauth_core::scope::Scope;
use oauth_core::server::EndpointKind;
use oauth_core::{Client, ClientAuth, ClientId, discover};
use oauth_testkit::{Fault, Twin, TwinDriver};
use oauth_web::{Admission, Config, Session, SessionStorage, Userinfo};
use std::sync::Arc;

use crate::world::{Browser, SESSION, TWIN, World, code};

/// The twin's endpoint for UserInfo.
const ENDPOINT: &str = "/userinfo";

fn scope(scope: &str) -> Scope {
    Scope::parse(scope).unwrap()
}

fn world(change: impl FnOnce(Config) -> Config) -> World {
    World::with(|mut config| {
        config.providers[0].scope = scope("openid profile email");
        change(config)
    })
}

/// A site whose provider's UserInfo endpoint has this path.
fn world_with_endpoint(endpoint: &str) -> World {
    let mut provider = TwinDriver::new(Twin::generic(TWIN));
    let issuer = Issuer::parse(TWIN).unwrap();
    let server = provider.run(discover(issuer)).unwrap();
    let url = format!("{TWIN}{endpoint}");
    let server = server.with_endpoint(EndpointKind::Userinfo, &url).unwrap();
    let twin = provider.twin();
    let auth = ClientAuth::basic(twin.client_secret());
    let client = Client::new(server, ClientId::new(twin.client_id()), auth).unwrap();
    World::at(provider, client, |mut config| {
        config.providers[0].scope = scope("openid profile email");
        config
    })
}

fn requests(world: &mut World) -> usize {
    let log = world.provider.twin().log().iter();
    log.filter(|entry| entry.path == ENDPOINT).count()
}

fn sign_in(world: &mut World) -> Arc<Session> {
    let mut ann = Browser::new();
    ann.open(world, "/me").session()
}

#[test]
fn claims_only_in_userinfo_are_added_to_the_session() {
    let in_cookie = |mut config: Config| {
        config.keep = SessionStorage::AccessToken;
        config
    };
    for change in [|config| config, in_cookie, Config::in_store] {
        let mut world = world(change);
        let session = sign_in(&mut world);
        assert_eq!(session.identity.text("name"), Some("Alice Liddell"));
        assert!(session.identity.text("email").is_some());
        assert_eq!(session.identity.claims["email_verified"], true);
        assert_eq!(requests(&mut world), 1);
        assert!(world.notes.is_empty(), "{}", world.log());
    }
}

#[test]
fn the_application_receives_userinfo_before_it_admits_the_user() {
    let mut world = world(|config| config);
    world.admission = Box::new(|identity| match identity.text("name") {
        Some("Alice Liddell") => Admission::default(),
        _ => Admission::Refused("nobody".to_owned()),
    });
    sign_in(&mut world);
}

#[test]
fn userinfo_is_requested_only_for_missing_and_granted_claims() {
    let request_count = |scope: &str, claims: &[&str], change: fn(&mut Config)| {
        let mut world = World::with(|mut config| {
            config.providers[0].scope = Scope::parse(scope).unwrap();
            config.claims = claims.iter().map(|claim| (*claim).to_owned()).collect();
            change(&mut config);
            config
        });
        world.provider.twin().set_claim("name", "Ann");
        sign_in(&mut world);
        requests(&mut world)
    };
    let unchanged: fn(&mut Config) = |_| {};
    assert_eq!(
        request_count("openid profile email", &["name"], unchanged),
        0
    );
    assert_eq!(
        request_count("openid profile email", &["name", "email"], unchanged),
        1
    );
    // The requested scopes give no access to it, so the endpoint is not called.
    assert_eq!(
        request_count("openid profile", &["name", "email"], unchanged),
        0
    );
    assert_eq!(request_count("openid", &["name", "groups"], unchanged), 1);
    assert_eq!(request_count("openid", &[], unchanged), 0);
    let with_parameter: fn(&mut Config) = |config| {
        let claims = r#"{"userinfo":{"email":null}}"#;
        let parameter = ("claims".to_owned(), claims.to_owned());
        config.providers[0].parameters = vec![parameter];
    };
    assert_eq!(request_count("openid", &["email"], with_parameter), 1);
    let never: fn(&mut Config) = |config| config.providers[0].userinfo = Userinfo::Never;
    assert_eq!(request_count("openid email", &["email"], never), 0);
}

#[test]
fn userinfo_overrides_no_id_token_claim_and_adds_no_authentication_claims() {
    let mut world = world(|mut config| {
        config
            .claims
            .extend(["acr", "sid", "amr"].map(str::to_owned));
        config
    });
    let subject = world.provider.twin().person();
    let claims = serde_json::json!({ "acr": "mfa", "sid": "s-1", "amr": ["otp"], "auth_time": 1, "nickname": "Al" });
    let claims = claims.as_object().unwrap().clone();
    world.provider.twin().describe_person(&subject, claims);
    for name in ["acr", "sid", "amr", "auth_time"] {
        world
            .provider
            .twin()
            .set_claim(name, serde_json::Value::Null);
    }
    world.provider.twin().set_claim("name", "Ann");
    let session = sign_in(&mut world);
    assert_eq!(requests(&mut world), 1);
    assert_eq!(session.identity.text("name"), Some("Ann"));
    let identity = &session.identity;
    assert_eq!(
        (&identity.acr, &identity.sid, identity.auth_time),
        (&None, &None, None)
    );
    for name in ["acr", "sid", "amr"] {
        assert!(!identity.claims.contains_key(name), "{name}");
    }
}

#[test]
fn userinfo_about_another_user_fails_the_sign_in_and_revokes_its_tokens() {
    for change in [|config| config, Config::in_store] {
        let (mut world, mut ann) = (world(change), Browser::new());
        // The subject is the ID token's; the access token is still that of the user who approved.
        world.provider.twin().set_claim("sub", "somebody-else");
        let reply = ann.open(&mut world, "/me").reply();
        assert_eq!(code(&reply), "userinfo.subject");
        assert_eq!(reply.status, StatusCode::BAD_REQUEST);
        assert!(ann.cookie(SESSION).is_none() && world.records().is_empty());
        assert_eq!(world.notes_of("userinfo.subject").len(), 1);
        assert_eq!(world.provider.twin().counters().revocations, 1);
    }
}

#[test]
fn a_failing_userinfo_endpoint_is_logged_and_sign_in_succeeds() {
    for (endpoint, noted) in [
        ("/nowhere", "denied."),
        ("/.well-known/openid-configuration", "userinfo.malformed"),
    ] {
        let mut world = world_with_endpoint(endpoint);
        let session = sign_in(&mut world);
        assert_eq!(session.identity.text("name"), None);
        let codes: Vec<_> = world.notes.iter().map(|note| note.code).collect();
        assert!(
            codes.len() == 1 && codes[0].starts_with(noted),
            "{endpoint}: {codes:?}"
        );
        assert!(!world.log().contains("Bearer"), "{}", world.log());
    }
    let mut world = world(|config| config);
    // The keys are known after the first sign-in, so that the token request is followed by UserInfo.
    sign_in(&mut world);
    world.provider.twin().inject(Fault::TokenTypeCase);
    for _ in 0..8 {
        world.provider.twin().inject(Fault::LostReply);
    }
    let session = sign_in(&mut world);
    assert_eq!(session.identity.text("name"), None);
    assert!(world.notes[0].code.starts_with("lost"), "{}", world.log());
    assert!(world.notes[0].is_site_fault);
}

#[test]
fn without_a_userinfo_endpoint_userinfo_is_not_requested() {
    let mut provider = TwinDriver::new(Twin::generic(TWIN));
    let found = provider
        .run(discover(Issuer::parse(TWIN).unwrap()))
        .unwrap();
    let mut server = oauth_core::server::Server::new(found.issuer().clone());
    for kind in [
        EndpointKind::Authorization,
        EndpointKind::Token,
        EndpointKind::Jwks,
    ] {
        let url = found.endpoint(kind).unwrap().as_str();
        server = server.with_endpoint(kind, url).unwrap();
    }
    let twin = provider.twin();
    let auth = ClientAuth::basic(twin.client_secret());
    let client = Client::new(server, ClientId::new(twin.client_id()), auth).unwrap();
    let mut world = World::at(provider, client, |mut config| {
        config.providers[0].scope = scope("openid profile email");
        config
    });
    let session = sign_in(&mut world);
    assert_eq!(session.identity.text("name"), None);
    assert!(world.notes.is_empty(), "{}", world.log());
}
