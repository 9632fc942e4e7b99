//! Sites that share a key, a host, a store or a base URL.

use http::Method;
use oauth_core::issuer::Issuer;
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, ClientId, discover};
use oauth_testkit::{Twin, TwinDriver};
use oauth_web::{Access, Config, Lookup, Provider, SessionStorage};

use crate::world::{Browser, Ended, From, SHOP, World, client, location};

/// Another client of the same issuer.
fn other_client(world: &mut World) -> Client {
    let issuer = Issuer::parse(world.provider.twin().issuer()).unwrap();
    let server = world.provider.run(discover(issuer)).unwrap();
    Client::new(
        server,
        ClientId::new("another"),
        ClientAuth::basic("secret"),
    )
    .unwrap()
}

/// The client of this name at another issuer.
fn other_issuer() -> Client {
    client(&mut TwinDriver::new(Twin::generic("https://test.example")))
}

fn with(client: Client) -> Provider {
    Provider::new("twin", client).unwrap()
}

fn at(path: &str) -> Url {
    Url::parse(&format!("{SHOP}{path}")).unwrap()
}

fn is_signed_out(world: &mut World, browser: &mut Browser, target: &str) -> bool {
    let request = browser.request(world, Method::GET, target, From::Own);
    matches!(
        browser.send(world, request, Access::Open),
        Ended::Passed(None)
    )
}

const KEEPS: [SessionStorage; 3] = [
    SessionStorage::Identity,
    SessionStorage::AccessToken,
    SessionStorage::Store,
];

fn world(keep: SessionStorage) -> World {
    World::with(|config| {
        let mut config = match keep {
            SessionStorage::Store => config.in_store(),
            _ => config,
        };
        config.keep = keep;
        config.providers[0].scope = oauth_core::Scope::parse("openid read").unwrap();
        config
    })
}

#[test]
fn a_session_of_another_client_or_issuer_is_not_accepted() {
    for keep in KEEPS {
        let mut ours = world(keep);
        let known = ours.config.providers.clone();
        let mut ann = Browser::new();
        ann.open(&mut ours, "/me").session();
        let client = other_client(&mut ours);
        for provider in [with(client), with(other_issuer())] {
            ours.change(|config| config.providers = vec![provider]);
            assert!(is_signed_out(&mut ours, &mut ann, "/me"), "{keep:?}");
            let request = ann.request(&ours, Method::GET, "/auth/session", From::Own);
            let reply = ann.send(&mut ours, request, Access::Open).reply();
            assert!(reply.body.contains("\"signed_in\":false"), "{}", reply.body);
        }
        assert!(ours.log().contains("another issuer or client") || ours.notes.is_empty());
        // There is no provider with this id any more.
        ours.change(|config| {
            config.providers = known.clone();
            config.providers[0].id = "renamed".to_owned();
        });
        assert!(is_signed_out(&mut ours, &mut ann, "/me"), "{keep:?}");
        ours.change(|config| config.providers = known);
        assert!(!is_signed_out(&mut ours, &mut ann, "/me"), "{keep:?}");
    }
}

#[test]
fn a_provider_without_metadata_yet_accepts_only_its_own_sessions() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let twin = world.config.providers[0].client.clone().unwrap();
    let (issuer, client_id) = (twin.server().issuer().as_str(), twin.client_id().as_str());
    let later = || Provider::later("twin").unwrap();
    let registered = later().registered(issuer, client_id);
    world.change(|config| {
        let scope = config.providers[0].scope.clone();
        config.providers = vec![registered.clone().scope(scope)];
    });
    world.connected = Some(Ok(twin.clone()));
    ann.open(&mut world, "/me").session();
    // Another worker, while the provider is down.
    world.connected = None;
    world.change(|config| config.providers = vec![registered]);
    assert!(!is_signed_out(&mut world, &mut ann, "/me"));
    for moved in [
        later().registered("https://other.example", client_id),
        later().registered(issuer, "another"),
    ] {
        world.change(|config| config.providers = vec![moved]);
        assert!(is_signed_out(&mut world, &mut ann, "/me"));
    }
}

#[test]
fn sessions_of_a_looked_up_provider_are_valid_while_it_exists() {
    let mut world = world(SessionStorage::Identity);
    let mut ann = Browser::new();
    let provider = world.config.providers[0].clone();
    world.directory.push(provider.clone());
    world.change(|config| {
        config.providers.clear();
        config.lookup = Lookup::Asked;
    });
    let login = "/auth/login?provider=twin&return_to=/me";
    ann.open(&mut world, login).session();
    assert!(!is_signed_out(&mut world, &mut ann, "/me"));
    let client = other_client(&mut world);
    world.directory = vec![with(client)];
    assert!(is_signed_out(&mut world, &mut ann, "/me"));
    world.directory.clear();
    assert!(is_signed_out(&mut world, &mut ann, "/me"));
    world.directory.push(provider);
    assert!(!is_signed_out(&mut world, &mut ann, "/me"));
}

#[test]
fn a_sign_in_started_by_another_client_is_not_completed() {
    let (mut world, mut ann) = (World::new(), Browser::new());
    let url = location(&ann.get(&mut world, "/me").reply());
    let callback = Browser::provider(&mut world, &url);
    let client = other_client(&mut world);
    world.change(|config| config.providers = vec![with(client)]);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let back = location(&ann.send(&mut world, request, Access::Open).reply());
    assert!(back.starts_with("/auth/login"), "{back}");
    assert!(world.log().contains("another issuer or client"));
}

/// A site at this path; everything else is the same, the names of cookies too where `name` says so.
fn site_at(world: &mut World, path: &str, name: Option<&str>) {
    let uri = format!("{SHOP}{path}/auth/callback");
    world.provider.twin().register_redirect_uri(&uri);
    let provider = world.config.providers[0].clone();
    let at = Config::new(at(path), world.config.keys.clone(), provider);
    world.change(|config| {
        config.base_urls = at.base_urls;
        config.name = name.map_or(at.name, str::to_owned);
    });
}

#[test]
fn a_cookie_of_another_path_of_the_host_is_not_accepted() {
    for keep in KEEPS {
        let (mut world, mut ann) = (world(keep), Browser::new());
        site_at(&mut world, "/a", Some("one"));
        ann.open(&mut world, "/a/me").session();
        site_at(&mut world, "/b", Some("one"));
        assert!(is_signed_out(&mut world, &mut ann, "/b/me"), "{keep:?}");
        site_at(&mut world, "/a/", Some("one"));
        assert!(!is_signed_out(&mut world, &mut ann, "/a/me"), "{keep:?}");
    }
}

#[test]
fn sites_at_different_paths_of_a_host_keep_each_others_sessions() {
    let paths = [
        "",
        "/a",
        "/b",
        "/a/b",
        "/a-b",
        "/a_much_longer_path_of_a_site",
    ];
    let (mut world, mut ann) = (World::new(), Browser::new());
    for path in paths {
        site_at(&mut world, path, None);
        ann.open(&mut world, &format!("{path}/me")).session();
    }
    for path in paths {
        site_at(&mut world, path, None);
        assert!(!is_signed_out(&mut world, &mut ann, &format!("{path}/me")));
        // Beginning a sign-in does not clear another site's cookies.
        let before = ann.cookies.len();
        for _ in 0..6 {
            ann.get(&mut world, &format!("{path}/auth/login"));
        }
        assert!(ann.cookies.len() >= before, "{path}");
    }
    for path in paths {
        site_at(&mut world, path, None);
        assert!(!is_signed_out(&mut world, &mut ann, &format!("{path}/me")));
    }
}
