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
        // They will do for a day if no others are to be had, and not longer.
        for (after, will_do) in [(good, good < 86_400), (86_399, true), (86_400, false)] {
            let found = match cache.lookup(later(after)) {
                Lookup::Fresh(_) => true,
                Lookup::Stale(found) => found.is_some(),
            };
            assert_eq!(found, will_do, "{said:?} {after}");
        }
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
    assert_eq!(cache.unsigned(NOW), Unsigned::Fetch);
    // While they are fetched, for ten seconds at most.
    assert_eq!(cache.unsigned(NOW), Unsigned::Wait);
    assert_eq!(cache.unsigned(later(9)), Unsigned::Wait);
    assert_eq!(cache.unsigned(later(10)), Unsigned::GiveUp);
    cache.keep(NOW, Arc::default(), None);
    assert_eq!(cache.unsigned(later(1)), Unsigned::GiveUp);
    assert_eq!(cache.unsigned(later(59)), Unsigned::GiveUp);
    assert_eq!(cache.unsigned(later(60)), Unsigned::Fetch);
    cache.give_up();
    assert_eq!(cache.unsigned(later(61)), Unsigned::GiveUp);
    // A clock that is set back does not forbid it for longer.
    assert_eq!(cache.unsigned(NOW), Unsigned::Fetch);
}
