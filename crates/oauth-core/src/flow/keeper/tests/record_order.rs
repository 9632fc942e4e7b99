//! Which of two records of a grant is newer.

use super::*;

#[test]
fn restored_backup_of_the_same_login_is_not_newer_despite_its_version() {
    let mut store = TestStore::new();
    let mut keeper = keeper();
    keeper.replace(&store.at(), tokens(1)).unwrap();
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    let old = store.entry.clone().unwrap();
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let fresh = tokens_from(2, store.now);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
    // A backup is restored and saved with a new version.
    let version = store.version() + 1000;
    let record = old.record;
    store.entry = Some(Entry { version, record });
    store.now += 700;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let request = store.renewal_request(&mut keeper);
    let body = String::from_utf8_lossy(request.body());
    assert!(body.contains("refresh_token=r2"), "{body}");
    assert!(store.version() > version);
}

#[test]
fn stored_record_with_the_same_refresh_token_is_taken() {
    let mut store = TestStore::new();
    let mut keeper = keeper();
    keeper.replace(&store.at(), tokens(1)).unwrap();
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    let old = store.record();
    for number in 2..4 {
        store.now += 601;
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let mut fresh = tokens_from(number, store.now);
        fresh.refresh_token = tokens(1).refresh_token;
        store.renew(&mut keeper, Ok(fresh)).unwrap();
    }
    // The store has lost that, and another worker has renewed the remaining record.
    let mut other = tokens_from(9, store.now + 500);
    other.refresh_token = tokens(1).refresh_token;
    let mut record = Record::from_tokens(Arc::new(other));
    (record.login, record.renewals) = (old.login, Some(1));
    let version = store.version() + 1;
    store.save_elsewhere(&record);
    store.entry.as_mut().unwrap().version = version;
    store.now += 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a9"
    );
    assert_eq!(store.version(), version);
}

#[test]
fn version_decides_between_records_without_a_renewal_count() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = keeper();
    assert_eq!(store.record().renewals, None);
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(tokens_from(2, store.now)))),
        "a2"
    );
    assert_eq!(store.record().renewals, None);
    // A worker of an earlier version has renewed, with a clock that is behind.
    let mut other = store.record();
    other.tokens = Some(Arc::new(tokens_from(3, START + 300)));
    store.save_elsewhere(&other);
    store.now += 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let request = store.renewal_request(&mut keeper);
    let body = String::from_utf8_lossy(request.body());
    assert!(body.contains("refresh_token=r3"), "{body}");
}

/// With a refresh token that the server does not rotate.
fn tokens_with_same_refresh_token(number: u32, received_at: u64) -> Tokens {
    let mut renewed = tokens_from(number, received_at);
    renewed.refresh_token = tokens(1).refresh_token;
    renewed
}

#[test]
fn the_token_with_more_renewals_is_newer_if_the_refresh_token_is_the_same() {
    let mut store = TestStore::new();
    let mut keeper = keeper();
    keeper.replace(&store.at(), tokens(1)).unwrap();
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_)
    ));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    // Other workers have renewed it twice while this request was in flight; their clocks are behind.
    let mut other = store.record();
    other.tokens = Some(Arc::new(tokens_with_same_refresh_token(3, START + 590)));
    other.renewals = Some(2);
    store.save_elsewhere(&other);
    store.now += 1;
    assert_eq!(
        access_of_outcome(store.complete(
            &mut keeper,
            Ok(tokens_with_same_refresh_token(2, store.now))
        )),
        "a3"
    );
    assert_eq!(access(store.record().tokens.as_deref().unwrap()), "a3");
    // With equal renewal counts, the later time wins.
    for (received_at, newest) in [(START + 1300, "a5"), (START + 1200, "a4")] {
        let mut store = TestStore::new();
        let mut keeper = super::keeper();
        keeper.replace(&store.at(), tokens(1)).unwrap();
        assert!(matches!(
            store.decide(&mut keeper),
            Decision::UseAndRenew(_)
        ));
        drop(store.run(&mut keeper, Event::Begin));
        store.now = START + 601;
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
        let mut other = store.record();
        other.tokens = Some(Arc::new(tokens_with_same_refresh_token(4, START + 1250)));
        other.renewals = Some(1);
        store.save_elsewhere(&other);
        store.now = START + 1260;
        drop(store.complete(
            &mut keeper,
            Ok(tokens_with_same_refresh_token(5, received_at)),
        ));
        assert_eq!(access(store.record().tokens.as_deref().unwrap()), newest);
    }
}
