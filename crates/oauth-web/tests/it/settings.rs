//! Refused settings, and unusual providers.

use oauth_core::scope::Scope;
use oauth_core::url::Url;
use oauth_web::{Admission, Event, Identity, IdentityEndpoint, Provider, Site, testing_key};

use crate::world::{Browser, SESSION, SUBJECT, TWIN, World, code};

#[test]
fn unsafe_settings_are_refused_at_startup() {
    let world = World::new();
    let refused = |change: &dyn Fn(&mut oauth_web::Config)| {
        let mut config = world.config.clone();
        change(&mut config);
        Site::new(config).expect_err("it is not safe").code()
    };
    let url = |text: &str| Url::parse(text).unwrap();
    assert_eq!(
        refused(&|config| config.base_urls = vec![url("http://shop.example")]),
        "url.insecure"
    );
    assert_eq!(
        refused(&|config| config.base_urls = vec![url("http://127.0.0.1:8000")]),
        "url.insecure"
    );
    assert_eq!(refused(&|config| config.base_urls.clear()), "web.setup");
    assert_eq!(refused(&|config| config.providers.clear()), "web.setup");
    assert_eq!(
        refused(&|config| config.name = "a;b".to_owned()),
        "web.setup"
    );
    assert_eq!(
        refused(&|config| config.prefix = "/".to_owned()),
        "web.setup"
    );
    assert_eq!(
        refused(&|config| config.idle = Some(std::time::Duration::from_secs(60))),
        "web.setup"
    );
    assert_eq!(
        refused(&|config| {
            let twin = config.providers[0].clone();
            config.providers.push(twin);
        }),
        "web.setup"
    );
    assert_eq!(
        refused(&|config| {
            let mut other = config.providers[0].clone();
            other.id = "other".to_owned();
            config.providers[0].callback = Some("/auth/callback/other".to_owned());
            config.providers.push(other);
        }),
        "web.setup"
    );
    assert_eq!(
        refused(&|config| config.providers[0].scope = oauth_core::Scope::none()),
        "web.setup"
    );
}

#[test]
fn a_test_session_is_created_only_under_the_testing_key() {
    for mut world in [World::new(), World::in_store()] {
        let ann = || {
            let mut ann = Identity::new("twin", TWIN, "ann");
            ann.claims.insert("name".to_owned(), "Ann".into());
            ann
        };
        let mut visit = world.site.testing(ann());
        let refused = visit.resume(&world.provider.moment(), Event::Begin);
        assert_eq!(refused.expect_err("another key").code(), "web.setup");
        world.change(|config| config.keys = oauth_seal::Keys::new(testing_key()));
        let visit = world.site.testing(ann());
        let reply = world.drive(visit).reply();
        let mut browser = Browser::new();
        browser.store_cookies(&world, &reply);
        let session = browser.click(&mut world, "/me").session();
        assert_eq!(session.identity.text("name"), Some("Ann"));
        let mut open = world.config.clone();
        open.base_urls = vec![Url::parse("https://shop.com").unwrap()];
        assert_eq!(
            Site::new(open).expect_err("everybody has it").code(),
            "web.setup"
        );
    }
}

#[test]
fn a_test_session_passes_admission_and_claim_filters() {
    for mut world in [World::new(), World::in_store()] {
        world.change(|config| config.keys = oauth_seal::Keys::new(testing_key()));
        world.admission = Box::new(|identity| match identity.text("team") {
            Some(team) => {
                let local = [("team".to_owned(), team.into())];
                Admission::Admitted(local.into_iter().collect())
            }
            None => Admission::Refused("for teams alone".to_owned()),
        });
        let mut ann = Identity::new("twin", TWIN, "ann");
        let visit = world.site.testing(ann.clone());
        let refused = world.try_drive(visit).expect_err("it has no team");
        assert_eq!(refused.code(), "web.not_admitted");
        assert_eq!(refused.detail(), Some("for teams alone"));
        for (name, value) in [("name", "Ann"), ("team", "red"), ("roles", "admin")] {
            ann.claims.insert(name.to_owned(), value.into());
        }
        let visit = world.site.testing(ann);
        let reply = world.drive(visit).reply();
        let mut browser = Browser::new();
        browser.store_cookies(&world, &reply);
        let session = browser.click(&mut world, "/me").session();
        assert_eq!(session.local["team"], "red");
        let claims: Vec<_> = session.identity.claims.keys().collect();
        assert_eq!(claims, ["name"]);
    }
}

/// A world whose provider has no ID tokens, and identifies users by this member of its API.
fn world_without_openid(member: &str) -> World {
    let endpoint = Url::parse(&format!("{TWIN}/api/echo")).unwrap();
    World::with(|mut config| {
        let client = config.providers[0].client.clone().unwrap();
        let identity = IdentityEndpoint::new(endpoint, member).claim("scope", "scope");
        let provider = Provider::without_openid("hub", client, identity).unwrap();
        config.providers = vec![provider.scope(Scope::parse("read").unwrap())];
        config
    })
}

#[test]
fn a_provider_without_id_tokens_identifies_users_by_its_api() {
    let (mut world, mut ann) = (world_without_openid("sub"), Browser::new());
    let session = ann.open(&mut world, "/me").session();
    assert_eq!(session.identity.subject, SUBJECT);
    assert_eq!(
        (
            session.identity.provider.as_str(),
            session.identity.issuer.as_str()
        ),
        ("hub", TWIN)
    );
    // Without a subject there is no sign-in.
    let (mut world, mut ann) = (world_without_openid("nothing"), Browser::new());
    let reply = ann.open(&mut world, "/me").reply();
    assert_eq!(code(&reply), "userinfo.malformed");
    assert!(ann.cookie(SESSION).is_none());
    // OpenID Connect and an identity endpoint exclude each other.
    let mut config = world.config.clone();
    config.providers[0].scope = Scope::parse("openid").unwrap();
    assert_eq!(Site::new(config).expect_err("both").code(), "web.setup");
}
