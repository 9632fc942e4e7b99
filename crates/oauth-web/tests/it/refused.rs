//! Sign-ins that are refused at the end create no session, and their tokens are revoked.

use http::{Method, StatusCode};
use oauth_core::issuer::Issuer;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Secret, discover};
use oauth_testkit::{Fault, Twin, TwinDriver};
use oauth_web::{Access, Admission, Config, PageRequirements, SessionStorage};

use crate::world::{Browser, From, SESSION, TWIN, World, code, location};

const REVOCATION: &str = "/revoke";

fn revoked(world: &mut World) -> Vec<Option<String>> {
    let log = world.provider.twin().log().iter();
    let revocations = log.filter(|entry| entry.path == REVOCATION);
    revocations
        .map(|entry| entry.form("token_type_hint").map(str::to_owned))
        .collect()
}

fn refusing(change: impl FnOnce(Config) -> Config) -> World {
    let mut world = World::with(change);
    world.admission = Box::new(|_| Admission::Refused("Only staff.".to_owned()));
    world
}

fn with_access_token(mut config: Config) -> Config {
    config.keep = SessionStorage::AccessToken;
    config.providers[0].scope = "openid read".parse().unwrap();
    config
}

#[test]
fn the_tokens_of_a_user_who_is_not_admitted_are_revoked() {
    for (change, kind) in [
        ((|config| config) as fn(Config) -> Config, "refresh_token"),
        (Config::in_store, "refresh_token"),
        (with_access_token, "access_token"),
    ] {
        let (mut world, mut ann) = (refusing(change), Browser::new());
        if kind == "access_token" {
            world.provider.twin().withhold_refresh_tokens();
        }
        let reply = ann.open(&mut world, "/me").reply();
        assert_eq!(code(&reply), "web.not_admitted");
        assert_eq!(reply.status, StatusCode::FORBIDDEN);
        let problem = reply.problem.unwrap();
        assert_eq!(problem.detail.as_deref(), Some("Only staff."));
        assert!(ann.cookie(SESSION).is_none() && world.records().is_empty());
        // One request, for the token that ends the grant.
        assert_eq!(revoked(&mut world), [Some(kind.to_owned())]);
    }
}

#[test]
fn a_refused_silent_check_shows_no_page_and_revokes_the_tokens() {
    let (mut world, mut ann) = (refusing(|config| config), Browser::new());
    let ended = ann.click(&mut world, "/auth/check?return_to=/shop");
    let callback = Browser::provider(&mut world, &location(&ended.reply()));
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(location(&reply), "/shop");
    assert_eq!(world.notes_of("web.not_admitted").len(), 1);
    assert_eq!(revoked(&mut world).len(), 1);
}

#[test]
fn a_failed_step_up_does_not_revoke_the_grant_of_the_session() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    let request = ann.request(&world, Method::GET, "/pay", From::Own);
    let need = Some(PageRequirements::acr(["mfa"]));
    let ended = ann.send_needing(&mut world, request, Access::SignedIn, need);
    let callback = Browser::provider(&mut world, &location(&ended.reply()));
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(code(&reply), "web.step_up_failed");
    assert!(revoked(&mut world).is_empty());
    ann.click(&mut world, "/me").session();
}

#[test]
fn a_refused_login_does_not_revoke_the_grant_of_the_users_session() {
    let (mut world, mut ann) = (World::in_store(), Browser::new());
    ann.open(&mut world, "/me").session();
    world.admission = Box::new(|_| Admission::Refused("Only staff.".to_owned()));
    for (person, count) in [(None, 0), (Some("bob"), 1)] {
        if let Some(person) = person {
            world.provider.twin().approve_as(person);
        }
        let ended = ann.click(&mut world, "/auth/login?return_to=/shop");
        let callback = Browser::provider(&mut world, &location(&ended.reply()));
        let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
        let reply = ann.send(&mut world, request, Access::SignedIn).reply();
        assert_eq!(code(&reply), "web.not_admitted");
        assert_eq!(revoked(&mut world).len(), count, "{person:?}");
        ann.click(&mut world, "/me").session();
    }
}

#[test]
fn a_user_is_refused_even_if_the_revocation_fails() {
    let (mut world, mut ann) = (refusing(|config| config), Browser::new());
    ann.open(&mut world, "/me").reply();
    // The keys are known now: the token request is followed by the revocation.
    world.provider.twin().inject(Fault::TokenTypeCase);
    for _ in 0..8 {
        world.provider.twin().inject(Fault::LostReply);
    }
    let reply = ann.open(&mut world, "/me").reply();
    assert_eq!(code(&reply), "web.not_admitted");
    assert_eq!(world.notes_of("web.not_admitted").len(), 2);
    assert_eq!(world.notes_of("lost").len(), 1, "{}", world.log());
}

#[test]
fn without_a_revocation_endpoint_no_revocation_is_requested() {
    let mut provider = TwinDriver::new(Twin::generic(TWIN));
    let found = provider.run(discover(Issuer::parse(TWIN).unwrap()));
    let found = found.unwrap();
    let kinds = [
        EndpointKind::Authorization,
        EndpointKind::Token,
        EndpointKind::Jwks,
    ];
    let server = kinds
        .iter()
        .fold(Server::new(found.issuer().clone()), |server, kind| {
            let url = found.endpoint(*kind).unwrap().as_str();
            server.with_endpoint(*kind, url).unwrap()
        });
    let twin = provider.twin();
    let auth = ClientAuth::basic(Secret::new(twin.client_secret().to_owned()));
    let client = Client::new(server, ClientId::new(twin.client_id()), auth).unwrap();
    let mut world = World::at(provider, client, |config| config);
    world.admission = Box::new(|_| Admission::Refused(String::new()));
    let reply = Browser::new().open(&mut world, "/me").reply();
    assert_eq!(code(&reply), "web.not_admitted");
    assert!(revoked(&mut world).is_empty());
    assert_eq!(world.notes.len(), 1, "{}", world.log());
}
