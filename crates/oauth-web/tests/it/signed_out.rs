//! Notifications of signed-out users, and logout tokens without `exp`.

use std::time::Duration;

use http::{Method, StatusCode};
use oauth_core::scope::Scope;
use oauth_testkit::twin::LogoutTokenFlaw;
use oauth_web::{Access, Config, Event, Lookup, Provider, Reply};

use crate::world::{Browser, From, SHOP, SUBJECT, TWIN, World, code, form};

/// A site whose only provider is looked up at run time.
fn world(change: impl FnOnce(&mut Provider)) -> World {
    let mut world = World::with(|config| {
        let mut config = config.in_store();
        config.lookup = Lookup::Asked;
        config
    });
    let uri = format!("{SHOP}/auth/callback/acme");
    world.provider.twin().register_redirect_uri(&uri);
    let client = world.config.providers[0].client.clone().unwrap();
    let mut provider = Provider::new("acme", client).unwrap();
    provider.scope = Scope::parse("openid read").unwrap();
    provider.tenant = Some("acme".to_owned());
    change(&mut provider);
    world.directory.push(provider);
    world.change(|config| config.providers.clear());
    world.provider.twin().set_claim("sid", "one");
    world
}

fn sign_in(world: &mut World) -> Browser {
    let mut ann = Browser::new();
    ann.open(world, "/t/acme/me").session();
    ann
}

fn post_logout_token(world: &mut World) -> Reply {
    let token = logout_token(world, None);
    post_token(world, &token)
}

fn logout_token(world: &mut World, flaw: Option<LogoutTokenFlaw>) -> String {
    let now = world.provider.now();
    world.provider.twin().logout_token(now, flaw).unwrap()
}

fn post_token(world: &mut World, token: &str) -> Reply {
    let target = "/auth/backchannel-logout/acme";
    let mut provider = Browser::new();
    let mut request = provider.request(world, Method::POST, target, From::Elsewhere);
    request.headers.clear();
    form(&mut request, &[("logout_token", token)]);
    provider.send(world, request, Access::SignedIn).reply()
}

fn load_logout_frame(world: &mut World) -> Reply {
    let target = format!("/auth/frontchannel-logout/acme?iss={TWIN}&sid=one");
    let request = Browser::new().request(world, Method::GET, &target, From::Elsewhere);
    Browser::new().send(world, request, Access::Open).reply()
}

#[track_caller]
fn assert_ann_signed_out(reply: &Reply) {
    let identity = reply.signed_out.as_ref().expect("the person");
    assert_eq!(identity.subject, SUBJECT);
    assert_eq!(identity.provider, "acme");
}

#[test]
fn the_application_is_notified_once_of_a_user_signed_out_of_a_tenant() {
    let mut world = world(|_| ());
    let mut ann = sign_in(&mut world);
    assert_ann_signed_out(&ann.click(&mut world, "/auth/logout").reply());
    assert_eq!(
        ann.click(&mut world, "/auth/logout").reply().signed_out,
        None
    );
    // Once, no matter how many sessions end.
    let (mut ann, mut other) = (sign_in(&mut world), sign_in(&mut world));
    assert_ann_signed_out(&post_logout_token(&mut world));
    assert!(ann.click(&mut world, "/t/acme/me").is_status(303));
    assert!(other.click(&mut world, "/t/acme/me").is_status(303));
    assert_eq!(post_logout_token(&mut world).signed_out, None);
    sign_in(&mut world);
    assert_ann_signed_out(&load_logout_frame(&mut world));
    assert_eq!(load_logout_frame(&mut world).signed_out, None);
}

#[test]
fn the_application_is_notified_even_if_the_store_fails_afterwards() {
    let mut world = world(|_| ());
    sign_in(&mut world);
    // The session is removed; the token's own record cannot be saved.
    world.saves_left = Some(0);
    let reply = post_logout_token(&mut world);
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_ann_signed_out(&reply);
}

#[test]
fn a_front_channel_logout_notifies_the_application_even_if_the_store_fails_afterwards() {
    let mut world = world(|_| ());
    // Two browsers, in one session at the provider.
    sign_in(&mut world);
    sign_in(&mut world);
    let target = format!("/auth/frontchannel-logout/acme?iss={TWIN}&sid=one");
    let request = Browser::new().request(&world, Method::GET, &target, From::Elsewhere);
    let mut visit = world.site.visit(request, Access::Open);
    let (mut event, records) = (Event::Begin, world.records().len());
    let ended = loop {
        match world.step(&mut visit, event) {
            Ok(next) => event = next,
            Err(ended) => break ended,
        }
        // The first session is partly removed.
        world.is_store_down |= world.records().len() < records;
    };
    let reply = ended.reply();
    assert_eq!(reply.status, StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(reply.headers["content-type"], "text/html; charset=utf-8");
    assert!(reply.body.starts_with("<!doctype html>"), "{}", reply.body);
    assert_ann_signed_out(&reply);
}

#[test]
fn a_logout_token_without_expiry_is_valid_for_the_configured_age() {
    let minutes = |minutes: Option<u64>| {
        let allowed = minutes.map(|minutes| Duration::from_secs(60 * minutes));
        let mut world = world(|provider| provider.logout_max_age_without_expiry = allowed);
        sign_in(&mut world);
        world
    };
    let missing = Some(LogoutTokenFlaw::MissingExpiry);
    let mut world = minutes(None);
    let sent = logout_token(&mut world, missing);
    let reply = post_token(&mut world, &sent);
    assert_eq!(code(&reply), "jwt.missing_claim");
    assert!(reply.signed_out.is_none());
    let mut world = minutes(Some(5));
    let sent = logout_token(&mut world, missing);
    assert_ann_signed_out(&post_token(&mut world, &sent));
    // Five minutes, and the clock skew.
    let mut world = minutes(Some(5));
    let sent = logout_token(&mut world, missing);
    world.advance(7 * 60);
    assert_eq!(code(&post_token(&mut world, &sent)), "jwt.too_old");
}

#[test]
fn a_zero_logout_token_age_is_refused() {
    let world = World::with(Config::in_store);
    let mut config = world.config;
    config.providers[0].logout_max_age_without_expiry = Some(Duration::ZERO);
    let error = oauth_web::Site::new(config).map(drop).unwrap_err();
    assert_eq!(error.code(), "web.setup");
}
