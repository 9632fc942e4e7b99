//! Tenants that are added and removed while the site runs, whose providers are looked up.

use http::Method;
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::scope::Scope;
use oauth_core::{Client, ClientAuth};
use oauth_testkit::{Twin, TwinDriver};
use oauth_web::{Access, Config, Lookup, PageRequirements, Provider, ResponseMode};

use crate::callbacks::{pairs, posted};
use crate::world::{Browser, Ended, From, SHOP, TWIN, World, code, form, location};

/// A site of two tenants: both are clients of one provider, as the customers of a large one are.
fn world(change: impl FnOnce(Config) -> Config) -> World {
    let mut world = World::with(|config| {
        let mut config = change(config);
        config.lookup = Lookup::Asked;
        config
    });
    for id in ["acme", "globex"] {
        let uri = format!("{SHOP}/auth/callback/{id}");
        world.provider.twin().register_redirect_uri(&uri);
        let one = tenant(&world, id);
        world.directory.push(one);
    }
    world.change(|config| config.providers.clear());
    world
}

fn tenant(world: &World, id: &str) -> Provider {
    let client: &Client = world.config.providers[0].client.as_ref().unwrap();
    let mut provider = Provider::new(id, client.clone()).unwrap();
    provider.scope = Scope::parse("openid read").unwrap();
    provider.tenant = Some(id.to_owned());
    provider
}

fn needing(tenant: &str) -> Option<PageRequirements> {
    Some(PageRequirements::tenant(tenant))
}

fn open(world: &mut World, browser: &mut Browser, tenant: &str) -> Ended {
    let target = format!("/t/{tenant}/me");
    let request = browser.request(world, Method::GET, &target, From::Typed);
    browser.send_needing(world, request, Access::SignedIn, needing(tenant))
}

/// Signs in at this tenant.
fn sign_in(world: &mut World, browser: &mut Browser, tenant: &str) {
    let url = location(&open(world, browser, tenant).reply());
    assert!(url.contains(&format!("callback%2F{tenant}")), "{url}");
    let callback = Browser::provider(world, &url);
    let request = browser.request(world, Method::GET, &callback, From::Elsewhere);
    let back = location(&browser.send(world, request, Access::SignedIn).reply());
    assert_eq!(back, format!("/t/{tenant}/me"));
}

#[test]
fn a_tenant_from_the_database_signs_in_at_its_own_provider() {
    let (mut world, mut ann) = (world(Config::in_store), Browser::new());
    sign_in(&mut world, &mut ann, "acme");
    let session = open(&mut world, &mut ann, "acme").session();
    assert_eq!(session.tenant.as_deref(), Some("acme"));
    assert_eq!(session.identity.provider, "acme");
    // A new tenant, without a restart.
    world
        .provider
        .twin()
        .register_redirect_uri(&format!("{SHOP}/auth/callback/initech"));
    let mut new = world.directory[0].clone();
    (new.id, new.tenant) = ("initech".to_owned(), Some("initech".to_owned()));
    world.directory.push(new);
    let mut bob = Browser::new();
    sign_in(&mut world, &mut bob, "initech");
    open(&mut world, &mut bob, "initech").session();
    // A removed tenant.
    world.directory.retain(|provider| provider.id != "initech");
    let reply = open(&mut world, &mut Browser::new(), "initech").reply();
    assert!(location(&reply).starts_with("/auth/login"));
    // Without an explicit tenant, the page determines it.
    let mut carl = Browser::new();
    let url = location(&carl.get(&mut world, "/t/globex/me").reply());
    assert!(url.starts_with(TWIN) && url.contains("callback%2Fglobex"));
    let login = "/auth/login?return_to=/t/globex/me%3Fx";
    let url = location(&carl.get(&mut world, login).reply());
    assert!(url.starts_with(TWIN) && url.contains("callback%2Fglobex"));
    assert!(
        world
            .requests
            .iter()
            .any(|request| request.path == "/t/globex/me" && request.host == "shop.example")
    );
}

#[test]
fn a_session_of_another_tenant_is_not_accepted() {
    let (mut world, mut ann) = (world(|config| config), Browser::new());
    sign_in(&mut world, &mut ann, "acme");
    open(&mut world, &mut ann, "acme").session();
    // Another tenant's page requires a user of that tenant.
    let url = location(&open(&mut world, &mut ann, "globex").reply());
    assert!(url.contains("callback%2Fglobex"), "{url}");
    let mut request = ann.request(&world, Method::GET, "/t/globex/me", From::Own);
    crate::world::put(&mut request.headers, "sec-fetch-mode", "cors");
    crate::world::put(&mut request.headers, "sec-fetch-dest", "empty");
    let outcome = ann.send_needing(&mut world, request, Access::SignedIn, needing("globex"));
    let reply = outcome.reply();
    assert_eq!(code(&reply), "web.step_up");
    let sign_in = reply.problem.unwrap().sign_in.unwrap();
    assert!(sign_in.ends_with("provider=globex"), "{sign_in}");
    // A sign-in at another tenant's provider does not suffice.
    world.directory[1].tenant = Some("acme".to_owned());
    let callback = Browser::provider(&mut world, &url);
    let request = ann.request(&world, Method::GET, &callback, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(code(&reply), "web.step_up_failed");
}

#[test]
fn a_callback_at_another_tenant_is_refused() {
    let (mut world, mut ann) = (world(|config| config), Browser::new());
    let url = location(&open(&mut world, &mut ann, "acme").reply());
    let callback = Browser::provider(&mut world, &url);
    assert!(callback.starts_with("/auth/callback/acme?"));
    // A provider that sends its users' responses to the callback of another.
    let elsewhere = callback.replacen("acme", "globex", 1);
    let request = ann.request(&world, Method::GET, &elsewhere, From::Elsewhere);
    let reply = ann.send(&mut world, request, Access::SignedIn).reply();
    assert_eq!(location(&reply), "/auth/login?stage=restart");
    // The request, not the form, contains the URL it was posted to.
    world.directory[0].response_mode = ResponseMode::FormPost;
    let url = location(&open(&mut world, &mut ann, "acme").reply());
    let fields = posted(&mut world, &url);
    for (path, back) in [
        ("globex", "/auth/login?stage=restart"),
        ("acme", "/t/acme/me"),
    ] {
        let path = format!("/auth/callback/{path}");
        let mut request = ann.request(&world, Method::POST, &path, From::Elsewhere);
        form(&mut request, &pairs(&fields));
        let reply = ann.send(&mut world, request, Access::SignedIn).reply();
        assert_eq!(location(&reply), back);
    }
    let reason = world.notes_of("web.callback_unknown");
    assert!(reason[1].contains("another provider"), "{reason:?}");
    // If the application fails, no session is created.
    let mut wrong = world.directory[1].clone();
    wrong.id = "acme".to_owned();
    wrong.tenant = Some("globex".to_owned());
    world.directory = vec![wrong];
    let reply = open(&mut world, &mut ann, "globex").reply();
    assert!(location(&reply).contains("callback%2Facme"));
    world.directory[0].callback = Some("/elsewhere".to_owned());
    let reply = open(&mut world, &mut ann, "globex").reply();
    assert_eq!(code(&reply), "web.unknown_provider");
}

#[test]
fn a_tenant_session_ends_at_its_own_provider_and_by_its_logout_tokens() {
    let (mut world, mut ann) = (world(Config::in_store), Browser::new());
    sign_in(&mut world, &mut ann, "acme");
    let reply = ann.click(&mut world, "/auth/logout").reply();
    assert!(location(&reply).starts_with(TWIN));
    assert!(world.records().is_empty());
    sign_in(&mut world, &mut ann, "acme");
    let now = world.provider.now();
    let token = world.provider.twin().logout_token(now, None).unwrap();
    let mut provider = Browser::new();
    let target = "/auth/backchannel-logout/acme";
    let mut request = provider.request(&world, Method::POST, target, From::Elsewhere);
    request.headers.clear();
    form(&mut request, &[("logout_token", &token)]);
    assert!(
        provider
            .send(&mut world, request, Access::Open)
            .is_status(200)
    );
    let reply = open(&mut world, &mut ann, "acme").reply();
    assert!(location(&reply).starts_with(TWIN));
}

const ISSUER_OF_TENANT: &str = "https://twin.example/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0";

/// A site at a server for all tenants, which has an issuer for each in ID tokens.
fn world_for_all_tenants() -> World {
    let mut provider = TwinDriver::new(Twin::generic(TWIN));
    let client = for_all(&crate::world::client(&mut provider), &mut provider);
    let twin = provider.twin();
    twin.set_claim("iss", ISSUER_OF_TENANT);
    twin.set_claim("tid", "9188040d-6c67-4c5b-b112-36a304b66dad");
    twin.set_claim("sid", "one");
    World::at(provider, client, Config::in_store)
}

fn for_all(client: &Client, provider: &mut TwinDriver) -> Client {
    let template = format!("{TWIN}/{{tenantid}}/v2.0");
    let rules = Rules {
        quirks: vec![Quirk::TenantIssuer(template)],
        ..Rules::default()
    };
    let server = client.server().clone().with_rules(rules);
    let auth = ClientAuth::basic(provider.twin().client_secret());
    Client::new(server, client.client_id().clone(), auth).unwrap()
}

#[test]
fn a_front_channel_logout_ends_the_session_of_the_tenant_named_by_its_issuer() {
    let (mut world, mut ann) = (world_for_all_tenants(), Browser::new());
    let session = ann.open(&mut world, "/me").session();
    assert_eq!(session.identity.issuer, ISSUER_OF_TENANT);
    let frame = |issuer: &str, world: &mut World| {
        let target = format!("/auth/frontchannel-logout?iss={issuer}&sid=one");
        let request = Browser::new().request(world, Method::GET, &target, From::Elsewhere);
        Browser::new().send(world, request, Access::Open).reply()
    };
    // The server's, another tenant's, and issuers of other servers.
    let other = ISSUER_OF_TENANT.replace("9188040d", "00000000");
    frame(TWIN, &mut world);
    frame(&other, &mut world);
    for foreign in ["https://eve.example", "https://twin.example/x/v2.0"] {
        assert_eq!(code(&frame(foreign, &mut world)), "jwt.issuer");
    }
    ann.click(&mut world, "/me").session();
    assert_eq!(frame(ISSUER_OF_TENANT, &mut world).status.as_u16(), 200);
    assert!(ann.click(&mut world, "/me").is_status(303));
}

#[test]
fn a_sign_in_can_be_started_by_the_issuer_of_a_tenant() {
    let (mut world, mut ann) = (world_for_all_tenants(), Browser::new());
    let login = format!("/auth/login?iss={ISSUER_OF_TENANT}");
    let url = location(&ann.get(&mut world, &login).reply());
    assert!(url.starts_with(TWIN), "{url}");
    let reply = ann.get(&mut world, "/auth/login?iss=https://twin.example/x/v2.0");
    assert_eq!(code(&reply.reply()), "web.unknown_provider");
    // A provider for this tenant alone comes first, in the settings and from the application.
    let tenant_client = world.config.providers[0].client.clone().unwrap();
    let server = oauth_core::server::Server::new(ISSUER_OF_TENANT.parse().unwrap());
    let server = server
        .with_endpoint(
            oauth_core::server::EndpointKind::Authorization,
            "https://tenant.example/authorize",
        )
        .unwrap();
    let auth = ClientAuth::basic("secret");
    let client = Client::new(server, tenant_client.client_id().clone(), auth).unwrap();
    let one = Provider::new("one", client).unwrap();
    let mut both = world.config.providers.clone();
    both.push(one.clone());
    world.change(|config| config.providers = both);
    let url = location(&ann.get(&mut world, &login).reply());
    assert!(url.starts_with("https://tenant.example/"), "{url}");
    world.change(|config| {
        config.providers.pop();
        config.lookup = Lookup::Asked;
    });
    let url = location(&ann.get(&mut world, &login).reply());
    assert!(url.starts_with(TWIN), "{url}");
    world.directory.push(one);
    let url = location(&ann.get(&mut world, &login).reply());
    assert!(url.starts_with("https://tenant.example/"), "{url}");
}
