//! Sites without a store whose sessions have an access token.

use http::{Method, StatusCode};
use oauth_core::scope::Scope;
use oauth_core::url::Url;
use oauth_web::{Access, Config, SameSite, SessionStorage, Site, Upstream};

use crate::world::{Browser, Ended, From, SESSION, TWIN, World, code, location, put};

fn keeping(mut config: Config) -> Config {
    config.keep = SessionStorage::AccessToken;
    config.providers[0].scope = Scope::parse("openid read").unwrap();
    let url = Url::parse("https://api.example/v1/").unwrap();
    config.api = vec![Upstream::new("shop", url)];
    config.same_site = Some(SameSite::Lax);
    config
}

fn world() -> World {
    let mut world = World::with(keeping);
    world.provider.twin().set_access_token_lifetime(600);
    world
}

fn call(world: &mut World, browser: &mut Browser) -> Ended {
    let mut request = browser.request(world, Method::GET, "/auth/api/shop/cart", From::Own);
    put(&mut request.headers, "sec-fetch-mode", "cors");
    put(&mut request.headers, "sec-fetch-dest", "empty");
    put(&mut request.headers, "x-csrf-protection", "1");
    browser.send(world, request, Access::SignedIn)
}

#[test]
fn a_session_has_only_its_access_token() {
    let (mut world, mut ann) = (world(), Browser::new());
    let session = ann.open(&mut world, "/me").session();
    let tokens = session.tokens().unwrap();
    assert!(tokens.refresh_token.is_none() && tokens.id_token.is_none());
    assert!(session.grant().is_none());
    // Only the cookie of a session contains the token, no other serialization.
    let secret = tokens.access_token.expose();
    let written = serde_json::to_string(&*session).unwrap();
    assert!(!written.contains(secret.as_str()));
    assert!(!format!("{session:?}").contains(secret.as_str()));
    let sealed = &ann.cookie(SESSION).unwrap().value;
    assert!(!sealed.contains(secret.as_str()));
    let Ended::Forwarded(forward) = call(&mut world, &mut ann) else {
        panic!("not passed on");
    };
    assert_eq!(
        forward.session.tokens().unwrap().access_token.expose(),
        secret
    );
}

#[test]
fn an_expired_token_is_replaced_by_a_silent_sign_in() {
    let (mut world, mut ann) = (world(), Browser::new());
    let first = ann.open(&mut world, "/me").session();
    world.advance(600);
    // A script gets an error; the user of the session is unchanged.
    let reply = ann.fetch(&mut world, Method::GET, "/me").reply();
    assert_eq!(
        (reply.status, code(&reply)),
        (StatusCode::UNAUTHORIZED, "web.signed_out")
    );
    assert!(reply.problem.unwrap().sign_in.is_some());
    let reply = call(&mut world, &mut ann).reply();
    assert_eq!(code(&reply), "web.signed_out");
    assert!(ann.cookie(SESSION).is_some());
    // Open pages and submitted forms do not need the token.
    let request = ann.request(&world, Method::GET, "/", From::Own);
    ann.send(&mut world, request, Access::Open).session();
    let request = ann.request(&world, Method::POST, "/me", From::Own);
    ann.send(&mut world, request, Access::SignedIn).session();
    let url = location(&ann.click(&mut world, "/me").reply());
    assert!(url.contains("prompt=none"), "{url}");
    let next = ann.open(&mut world, "/me").session();
    let token = |session: &oauth_web::Session| {
        let tokens = session.tokens().unwrap();
        tokens.access_token.expose().clone()
    };
    assert_ne!(token(&first), token(&next));
    assert_eq!(world.provider.twin().counters().refreshes, 0);
}

#[test]
fn a_user_signed_out_at_the_provider_signs_in_again_after_the_token_expires() {
    let (mut world, mut ann) = (world(), Browser::new());
    ann.open(&mut world, "/me").session();
    world.advance(600);
    world.provider.twin().sign_out();
    let url = location(&ann.click(&mut world, "/me").reply());
    let callback = Browser::provider(&mut world, &url);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let back = location(&ann.send(&mut world, request, Access::SignedIn).reply());
    assert_eq!(back, "/me");
    let url = location(&ann.click(&mut world, "/me").reply());
    assert!(
        url.starts_with(TWIN) && !url.contains("prompt=none"),
        "{url}"
    );
}

#[test]
fn tokens_that_expire_at_once_do_not_cause_a_redirect_loop() {
    let (mut world, mut ann) = (world(), Browser::new());
    world.provider.twin().set_access_token_lifetime(0);
    let reply = ann.open(&mut world, "/me").reply();
    assert_eq!(code(&reply), "web.loop");
}

#[test]
fn the_token_is_revoked_at_logout() {
    let (mut world, mut ann) = (world(), Browser::new());
    ann.open(&mut world, "/me").session();
    let reply = ann.click(&mut world, "/auth/logout").reply();
    assert!(location(&reply).starts_with(TWIN));
    assert!(ann.cookie(SESSION).is_none());
    assert_eq!(world.provider.twin().counters().revocations, 1);
}

#[test]
fn offline_access_is_refused_if_only_the_access_token_is_kept() {
    let mut config = World::with(keeping).config;
    config.providers[0].scope = Scope::parse("openid offline_access").unwrap();
    assert_eq!(Site::new(config).unwrap_err().code(), "web.setup");
}
