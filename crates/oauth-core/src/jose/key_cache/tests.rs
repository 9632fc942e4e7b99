#![allow(clippy::unwrap_used)] // tests may panic

use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_750_000_000);

fn later(seconds: u64) -> UnixTime {
    NOW.after(Duration::from_secs(seconds))
}

fn cache_with_keys(max_age: Option<u64>) -> KeyCache {
    let cache = KeyCache::default();
    cache.store_keys(NOW, Arc::default(), max_age.map(Duration::from_secs));
    cache
}

fn is_fresh(cache: &KeyCache, now: UnixTime) -> bool {
    matches!(cache.lookup(now), Lookup::Fresh(_))
}

#[test]
fn keys_are_fresh_for_the_servers_max_age_within_bounds() {
    for (header_age, valid) in [
        (None, 900),
        (Some(0), 60),
        (Some(3600), 3600),
        (Some(u64::MAX), 86_400),
    ] {
        let cache = cache_with_keys(header_age);
        assert!(is_fresh(&cache, later(valid - 1)), "{header_age:?}");
        assert!(!is_fresh(&cache, later(valid)), "{header_age:?}");
        // They remain usable for a day if no others are available, and no longer.
        for (after, will_do) in [(valid, valid < 86_400), (86_399, true), (86_400, false)] {
            let found = match cache.lookup(later(after)) {
                Lookup::Fresh(_) => true,
                Lookup::Stale(found) => found.is_some(),
            };
            assert_eq!(found, will_do, "{header_age:?} {after}");
        }
    }
    assert!(matches!(
        KeyCache::default().lookup(NOW),
        Lookup::Stale(None)
    ));
}

#[test]
fn clock_set_back_does_not_keep_keys_fresh() {
    let cache = cache_with_keys(Some(86_400));
    assert!(is_fresh(&cache, NOW.before(Duration::from_secs(60))));
    assert!(!is_fresh(&cache, NOW.before(Duration::from_secs(61))));
}

#[test]
fn unknown_key_causes_at_most_one_fetch_per_minute() {
    let cache = cache_with_keys(None);
    assert_eq!(cache.on_unknown_key(NOW), OnUnknownKey::Fetch);
    // While they are being fetched, for at most ten seconds.
    assert_eq!(cache.on_unknown_key(NOW), OnUnknownKey::Wait);
    assert_eq!(cache.on_unknown_key(later(9)), OnUnknownKey::Wait);
    assert_eq!(cache.on_unknown_key(later(10)), OnUnknownKey::GiveUp);
    cache.store_keys(NOW, Arc::default(), None);
    assert_eq!(cache.on_unknown_key(later(1)), OnUnknownKey::GiveUp);
    assert_eq!(cache.on_unknown_key(later(59)), OnUnknownKey::GiveUp);
    assert_eq!(cache.on_unknown_key(later(60)), OnUnknownKey::Fetch);
    cache.fetch_failed();
    assert_eq!(cache.on_unknown_key(later(61)), OnUnknownKey::GiveUp);
    // A clock that is set back does not prolong the pause.
    assert_eq!(cache.on_unknown_key(NOW), OnUnknownKey::Fetch);
}

const SET: &str = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"one","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
const ISSUER: &str = "https://as.example";

fn with_keys(at: UnixTime, max_age: u64) -> KeyCache {
    let cache = KeyCache::default();
    let set = Arc::new(KeySet::parse(SET).unwrap());
    cache.store_keys(at, set, Some(Duration::from_secs(max_age)));
    cache
}

#[test]
fn imported_keys_keep_their_expiry() {
    let text = with_keys(NOW, 3600).export(ISSUER).unwrap();
    let cache = KeyCache::default();
    cache.import(ISSUER, &text).unwrap();
    assert!(is_fresh(&cache, later(3599)));
    assert!(!is_fresh(&cache, later(3600)));
    let known = cache.cached_keys().unwrap();
    assert_eq!(known.ids().collect::<Vec<_>>(), ["one"]);
    assert_eq!(cache.export(ISSUER).unwrap(), text);
    assert!(KeyCache::default().export(ISSUER).is_none());
}

#[test]
fn older_imported_keys_do_not_replace_newer_ones() {
    let old = with_keys(NOW, 3600).export(ISSUER).unwrap();
    let cache = with_keys(later(10), 60);
    cache.import(ISSUER, &old).unwrap();
    assert!(!is_fresh(&cache, later(70)));
    let new = with_keys(later(20), 3600).export(ISSUER).unwrap();
    cache.import(ISSUER, &new).unwrap();
    assert!(is_fresh(&cache, later(70)));
}

#[test]
fn import_requires_the_same_issuer_and_limits_the_lifetime() {
    let text = with_keys(NOW, 3600).export(ISSUER).unwrap();
    let cache = KeyCache::default();
    let refused = |text: &str| cache.import(ISSUER, text).unwrap_err().code();
    let of_others = with_keys(NOW, 3600)
        .export("https://other.example")
        .unwrap();
    assert_eq!(refused(&of_others), "stored.issuer");
    assert_eq!(
        refused(&text.replace("\"version\":1", "\"version\":2")),
        "stored.malformed"
    );
    assert_eq!(refused(SET), "stored.malformed");
    assert_eq!(refused(""), "stored.malformed");
    assert!(cache.cached_keys().is_none());

    let until = later(3600).as_secs().to_string();
    let forever = text.replace(&until, &later(1 << 40).as_secs().to_string());
    assert_ne!(forever, text);
    cache.import(ISSUER, &forever).unwrap();
    assert!(!is_fresh(&cache, later(86_400)));
}
