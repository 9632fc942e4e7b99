//! The table covers the whole of `Config`, and refuses what it does not understand.

use oauth_core::flow::authorization::{self, ResponseType};
use serde_json::json;

use super::*;
use crate::{ResponseMode, testing_key};

fn read(settings: &Value, storage: Storage) -> Result<Config, SettingError> {
    let provider = Provider::later("login").expect("a provider");
    Config::read(
        &settings.to_string(),
        Keys::new(testing_key()),
        vec![provider],
        storage,
    )
}

fn refusal(settings: &Value) -> String {
    match read(settings, Storage::Cookie) {
        Ok(_) => "accepted".to_owned(),
        Err(SettingError::Type { name, expected }) => SettingError::type_text(&name, &expected),
        Err(SettingError::Value(name, error)) => format!("{name}: {}", error.code()),
        Err(SettingError::Refused(error)) => error.code().to_owned(),
    }
}

#[test]
fn every_site_setting_can_be_read() {
    let document = json!({
        "client_id": "https://shop.example/shop/client.json", "client_name": "Shop", "token_endpoint_auth_method": "none",
        "redirect_uris": ["https://shop.example/shop/auth/callback"],
    });
    let config = read(
        &json!({
            "transport": "loopback_http", "base_url": ["https://shop.example/shop", "https://other.example/shop"],
            "keep": "store", "lookup": "asked", "name": "own", "prefix": "/in", "lifetime": 60.5, "idle": 30,
            "flow_lifetime": 20, "flows": 2, "same_site": "strict", "home": "/start",
            "return_origins": ["https://app.example"], "claims": ["name"],
            "api": { "mail": { "url": "https://mail.example/v1", "methods": ["GET", "PUT"] } },
            "client_metadata": document,
        }),
        Storage::Store,
    );
    // Exhaustive on purpose: a new field needs a row in the table, unless the host passes it as an object.
    let Config {
        base_urls,
        transport,
        keys: _,
        keep,
        name,
        prefix,
        providers,
        lifetime,
        idle,
        flow_lifetime,
        flows,
        same_site,
        home,
        return_origins,
        claims,
        api,
        lookup,
        client_metadata,
    } = config.expect("settings");
    assert_eq!((base_urls.len(), return_origins.len(), flows), (2, 1, 2));
    assert_eq!(transport, oauth_core::url::Transport::LoopbackHttp);
    assert_eq!((keep, lookup), (SessionStorage::Store, Lookup::Asked));
    assert_eq!(
        (&*name, &*prefix, &*home, &claims),
        ("own", "/in", "/start", &vec!["name".to_owned()])
    );
    assert_eq!(providers.len(), 1);
    assert_eq!(lifetime, Duration::from_millis(60_500));
    assert_eq!(
        (idle, flow_lifetime),
        (Some(Duration::from_secs(30)), Duration::from_secs(20))
    );
    assert_eq!(same_site, Some(crate::SameSite::Strict));
    assert_eq!((&*api[0].name, api[0].methods.len()), ("mail", 2));
    assert!(client_metadata.is_some());
}

#[test]
fn absent_settings_have_the_rust_defaults() {
    let site = json!({ "base_url": "https://shop.example", "idle": null });
    let cookie = read(&site, Storage::Cookie).expect("settings");
    assert_eq!(
        (cookie.keep, cookie.lifetime, cookie.idle),
        (
            SessionStorage::Identity,
            Duration::from_secs(8 * 3600),
            None
        )
    );
    let store = read(&site, Storage::Store).expect("settings");
    let hours = |hours: u64| Duration::from_secs(hours * 3600);
    assert_eq!(
        (store.keep, store.lifetime, store.idle),
        (SessionStorage::Store, hours(24), Some(hours(2)))
    );
    let never = json!({ "base_url": "https://shop.example", "idle": f64::MAX });
    let store = read(&never, Storage::Store).expect("settings");
    assert_eq!(store.idle, None);
}

#[test]
fn a_setting_of_the_wrong_type_is_named_without_its_value() {
    let at = |name: &str, value: Value| {
        let mut settings = json!({ "base_url": "https://shop.example" });
        settings[name] = value;
        refusal(&settings)
    };
    for setting in SITE_SETTINGS {
        let expected = SettingError::type_text(setting.name, &setting.shape.expected());
        assert_eq!(at(setting.name, json!(true)), expected);
        if let Shape::Word(words) = setting.shape {
            assert!(
                words.iter().all(|word| expected.contains(word)),
                "{}",
                setting.name
            );
            assert_eq!(at(setting.name, json!("another")), expected);
        }
    }
    assert_eq!(
        at("lifetime", json!(-1)),
        "lifetime: expected a positive time span"
    );
    assert_eq!(at("flows", json!(1.5)), "flows: expected an integer");
    assert_eq!(
        at("redirect", json!("/me")),
        "redirect: expected the name of a setting"
    );
    assert_eq!(
        at("base_url", json!("http://shop.example")),
        "base_url: url.insecure"
    );
    assert_eq!(at("keep", json!("store")), "web.setup");
    assert_eq!(
        at(
            "api",
            json!({ "a": { "url": "https://a.example", "methods": ["a b"] } })
        ),
        "api: expected APIs by their names"
    );
    assert_eq!(refusal(&json!([])), "settings: expected a JSON object");
}

#[test]
fn a_provider_with_an_identity_endpoint_has_no_default_scope() {
    let made = |settings: &Value| {
        let settings: ProviderSettings =
            serde_json::from_value(settings.clone()).expect("settings");
        settings.provider(None)
    };
    let plain = made(&json!({ "id": "login" })).expect("a provider");
    assert_eq!(plain.scope.to_string(), "openid profile email");
    assert_eq!(plain.title, "login");
    let endpoint =
        json!({ "url": "https://api.example/me", "subject": "id", "claims": [["name", "login"]] });
    let with_endpoint =
        made(&json!({ "id": "hub", "identity": endpoint, "responseMode": "form_post" }));
    let with_endpoint = with_endpoint.expect("a provider");
    assert!(with_endpoint.scope.is_empty() && with_endpoint.identity.is_some());
    assert_eq!(with_endpoint.response_mode, crate::ResponseMode::FormPost);
}

#[test]
fn every_response_mode_except_fragments_is_accepted() {
    let made = |mode: &str| {
        let settings = json!({ "id": "login", "responseMode": mode });
        let settings: ProviderSettings = serde_json::from_value(settings).expect("settings");
        settings.provider(None)
    };
    for mode in authorization::ResponseMode::ALL {
        let name = mode.as_str();
        let is_fragment =
            mode.location(ResponseType::Code) == authorization::ResponseMode::Fragment;
        match made(name) {
            Ok(provider) => assert_eq!(
                (provider.response_mode.as_str(), is_fragment),
                (name, false)
            ),
            Err(SettingError::Type { name, expected }) => {
                let words = r#"one of "query", "form_post", "jwt", "query.jwt", "form_post.jwt""#;
                let reason = "browsers do not send a fragment to servers";
                assert_eq!((name.as_str(), is_fragment), ("response_mode", true));
                assert_eq!(expected, format!("{words}: {reason}"));
            }
            Err(error) => panic!("{error:?}"),
        }
    }
    let unknown = made("s3cret").expect_err("no such mode");
    let text = format!("{unknown:?}");
    assert!(
        text.contains("form_post.jwt") && !text.contains("s3cret") && !text.contains("fragment")
    );
}

#[test]
fn form_post_response_modes_require_https() {
    for mode in ResponseMode::ALL {
        let settings = json!({ "id": "login", "responseMode": mode.as_str() });
        let settings: ProviderSettings = serde_json::from_value(settings).expect("settings");
        let provider = settings.provider(None).expect("a provider");
        let site = r#"{ "base_url": "http://127.0.0.1", "transport": "loopback_http" }"#;
        let keys = Keys::new([7; 32]);
        let config = Config::read(site, keys, vec![provider], Storage::Cookie).expect("a config");
        let made = crate::Site::new(config)
            .map(drop)
            .map_err(|error| error.code());
        let expected = if mode.is_posted() {
            Err("web.setup")
        } else {
            Ok(())
        };
        assert_eq!(made, expected, "{mode:?}");
    }
}

#[test]
fn userinfo_and_logout_token_age_can_be_configured() {
    let made = |settings: &serde_json::Value| {
        let settings: ProviderSettings =
            serde_json::from_value(settings.clone()).expect("settings");
        settings.provider(None)
    };
    let plain = made(&json!({ "id": "login" })).expect("a provider");
    assert_eq!(plain.userinfo, crate::Userinfo::WhenMissing);
    assert_eq!(plain.logout_max_age_without_expiry, None);
    for value in crate::Userinfo::ALL {
        let given =
            json!({ "id": "login", "userinfo": value.as_str(), "logoutMaxAgeWithoutExpiry": 90 });
        let provider = made(&given).expect("a provider");
        assert_eq!(provider.userinfo, *value);
        let age = provider.logout_max_age_without_expiry;
        assert_eq!(age, Some(std::time::Duration::from_secs(90)));
    }
    let (words, span) = (r#"one of "never", "when_missing""#, "a positive time span");
    for (name, value, expected) in [
        ("userinfo", json!("s3cret"), ("userinfo", words)),
        (
            "logoutMaxAgeWithoutExpiry",
            json!(0),
            ("logout_max_age_without_expiry", span),
        ),
        (
            "logoutMaxAgeWithoutExpiry",
            json!(-1.5),
            ("logout_max_age_without_expiry", span),
        ),
    ] {
        match made(&json!({ "id": "login", name: value })) {
            Err(SettingError::Type {
                name,
                expected: actual,
            }) => {
                assert_eq!((name.as_str(), actual.as_str()), expected);
            }
            other => panic!("{other:?}"),
        }
    }
}
