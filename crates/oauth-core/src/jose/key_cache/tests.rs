use super::*;

const NOW: UnixTime = UnixTime::from_secs(1_750_000_000);

fn later(seconds: u64) -> UnixTime {
    NOW.after(Duration::from_secs(seconds))
}

fn kept(max_age: Option<u64>) -> KeyCache {
    let cache = KeyCache::default();
    cache.keep(NOW, Arc::default(), max_age.map(Duration::from_secs));
    cache
}

fn is_fresh(cache: &KeyCache, now: UnixTime) -> bool {
    matches!(cache.lookup(now), Lookup::Fresh(_))
}

#[test]
fn keys_are_kept_as_long_as_the_server_says_within_bounds() {
    for (said, good) in [
        (None, 900),
        (Some(0), 60),
        (Some(3600), 3600),
        (Some(u64::MAX), 86_400),
    ] {
        let cache = kept(said);
        assert!(is_fresh(&cache, later(good - 1)), "{said:?}");
        assert!(!is_fresh(&cache, later(good)), "{said:?}");
        // They will do if no others are to be had.
        assert!(
            matches!(cache.lookup(later(good)), Lookup::Stale(Some(_))),
            "{said:?}"
        );
    }
    assert!(matches!(
        KeyCache::default().lookup(NOW),
        Lookup::Stale(None)
    ));
}

#[test]
fn a_clock_that_is_set_back_keeps_no_keys_for_ever() {
    let cache = kept(Some(86_400));
    assert!(is_fresh(&cache, NOW.before(Duration::from_secs(60))));
    assert!(!is_fresh(&cache, NOW.before(Duration::from_secs(61))));
}

#[test]
fn keys_are_fetched_before_their_time_once_a_minute() {
    let cache = kept(None);
    assert!(cache.may_refetch(NOW));
    assert!(!cache.may_refetch(later(59)));
    assert!(cache.may_refetch(later(60)));
    // A clock that is set back does not forbid it for longer.
    assert!(cache.may_refetch(NOW));
}
