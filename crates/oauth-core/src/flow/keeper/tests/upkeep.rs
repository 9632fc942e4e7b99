//! Upkeep of a grant whose token no caller requests.

use super::*;

const DAY: u64 = 24 * 3600;
const WEEK: u64 = 7 * DAY;

/// Its refresh token expires unused after a week, and its authorization ends at this time.
fn idle(number: u32, received_at: u64, authorization_expires_at: Option<u64>) -> Tokens {
    let expires_at = received_at + WEEK;
    let until = authorization_expires_at.map_or(String::new(), |until| {
        format!(r#""authorization_until":{until},"#)
    });
    let text = format!(
        r#"{{"version":1,"issuer":"https://as.example","client_id":"id","access_token":"a{number}",
        "received_at":{received_at},"expires_in":600,"scope":"","refresh_token":"r{number}",
        "refresh_scope":null,"id_token":null,{until}"refresh_token_use_by":{expires_at}}}"#
    );
    Tokens::from_json(&text).unwrap()
}

fn keeper_with_keep_alive() -> Keeper {
    keeper().with_policy(Policy {
        keep_alive: Some(Duration::from_secs(DAY)),
        ..Policy::default()
    })
}

/// A keeper that has read the store, as after its first request.
fn read_store(store: &mut TestStore, keeper: &mut Keeper) {
    let entry = store.entry.clone().unwrap();
    keeper.learn(&store.at(), entry).unwrap();
}

fn after(store: &TestStore, keeper: &Keeper) -> Option<u64> {
    keeper.upkeep_after(store.now()).map(|wait| wait.as_secs())
}

#[test]
fn idle_grant_is_renewed_before_its_refresh_token_expires() {
    let mut store = TestStore::with(idle(1, START, None));
    let mut keeper = keeper_with_keep_alive();
    read_store(&mut store, &mut keeper);
    assert_eq!(keeper.upkeep(store.now()), None, "not yet");
    let wait = after(&store, &keeper).unwrap();
    assert!(
        (WEEK - DAY - DAY / 2..=WEEK - DAY).contains(&wait),
        "{wait}"
    );
    store.now = START + wait;
    assert_eq!(keeper.upkeep(store.now()), Some(Upkeep::Renew));
    assert_eq!(after(&store, &keeper), None, "it is under way");
    let fresh = idle(2, store.now, None);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
    assert_eq!(store.record().tokens.as_deref().map(access), Some("a2"));
    assert!(after(&store, &keeper).unwrap() > WEEK - 2 * DAY);
}

#[test]
fn idle_grant_is_not_renewed_unless_keep_alive_is_enabled() {
    let mut store = TestStore::with(idle(1, START, None));
    let mut keeper = keeper();
    read_store(&mut store, &mut keeper);
    store.now = START + WEEK - 1;
    assert_eq!(
        (after(&store, &keeper), keeper.upkeep(store.now())),
        (None, None)
    );
}

#[test]
fn keep_alive_sends_nothing_if_another_worker_has_renewed() {
    let mut store = TestStore::with(idle(1, START, None));
    let mut keeper = keeper_with_keep_alive();
    read_store(&mut store, &mut keeper);
    let late = START + WEEK - DAY;
    // Another worker was first, and its access token is already stale.
    store.save_elsewhere(&Record::from_tokens(Arc::new(idle(
        2,
        late - DAY / 3,
        None,
    ))));
    store.now = late;
    assert_eq!(keeper.upkeep(store.now()), Some(Upkeep::Renew));
    let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
    assert_eq!(access_of_outcome(outcome), "a2");
    assert_eq!(store.log, ["load"]);
    assert!(after(&store, &keeper).unwrap() > 4 * DAY);
}

#[test]
fn caller_during_a_keep_alive_gets_a_token_if_another_worker_has_renewed() {
    let mut store = TestStore::with(idle(1, START, None));
    let mut keeper = keeper_with_keep_alive();
    read_store(&mut store, &mut keeper);
    store.now = START + WEEK - DAY;
    assert_eq!(keeper.upkeep(store.now()), Some(Upkeep::Renew));
    let load = keeper.resume(&store.at(), Event::Begin);
    assert!(matches!(load, Step::Load), "{load:?}");
    let lease = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
    assert!(matches!(lease, Step::Lease { .. }), "{lease:?}");
    let load = keeper.resume(&store.at(), Event::Leased(Lease::Won));
    assert!(matches!(load, Step::Load), "{load:?}");
    store.save_elsewhere(&Record::from_tokens(Arc::new(idle(2, START + DAY, None))));
    let release = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
    assert!(matches!(&release, Step::Lease { ttl, .. } if ttl.is_zero()));
    assert!(matches!(store.decide(&mut keeper), Decision::Wait));
    // The stored token is stale: it is renewed for the waiting callers.
    let step = store.run(&mut keeper, Event::Leased(Lease::Won));
    assert!(matches!(step, Step::Run(_)), "{step:?}");
    let fresh = idle(3, store.now, None);
    assert_eq!(
        access_of_outcome(store.complete(&mut keeper, Ok(fresh))),
        "a3"
    );
}

#[test]
fn keep_alive_renews_even_if_the_access_token_is_fresh() {
    let long = idle(1, START, None).expiring_at(UnixTime::from_secs(START + 2 * WEEK));
    let mut store = TestStore::with(long);
    let mut keeper = keeper_with_keep_alive();
    read_store(&mut store, &mut keeper);
    store.now = START + WEEK - DAY;
    assert_eq!(keeper.upkeep(store.now()), Some(Upkeep::Renew));
    let fresh = idle(2, store.now, None);
    assert_eq!(access_of_outcome(store.renew(&mut keeper, Ok(fresh))), "a2");
}

#[test]
fn failed_keep_alive_is_retried_after_a_pause_but_not_for_an_ended_grant() {
    let mut store = TestStore::with(idle(1, START, None));
    let mut keeper = keeper_with_keep_alive();
    read_store(&mut store, &mut keeper);
    store.now = START + WEEK - DAY;
    assert_eq!(keeper.upkeep(store.now()), Some(Upkeep::Renew));
    assert_eq!(
        code(store.renew(&mut keeper, Err(unsent_request()))),
        "lost.unsent"
    );
    assert_eq!(keeper.upkeep(store.now()), None);
    assert_eq!(after(&store, &keeper), Some(60));
    store.now += 60;
    assert_eq!(keeper.upkeep(store.now()), Some(Upkeep::Renew));
    let refused = store.renew(&mut keeper, Err(invalid_grant()));
    assert_eq!(code(refused), "denied.invalid_grant");
    store.now += DAY;
    assert_eq!(
        (after(&store, &keeper), keeper.upkeep(store.now())),
        (None, None)
    );
}

#[test]
fn keep_alive_is_tried_after_the_refresh_token_timeout_has_passed() {
    let mut store = TestStore::with(idle(1, START, None));
    let mut keeper = keeper_with_keep_alive();
    store.now = START + 2 * WEEK;
    read_store(&mut store, &mut keeper);
    assert_eq!(keeper.upkeep(store.now()), Some(Upkeep::Renew));
    let fresh = idle(2, store.now, None);
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(fresh))),
        "a2",
        "it was not the end"
    );
}

#[test]
fn grant_is_not_kept_alive_until_the_end_of_its_authorization() {
    let end = START + WEEK;
    let mut store = TestStore::with(idle(1, START, Some(end)));
    let mut keeper = keeper_with_keep_alive();
    read_store(&mut store, &mut keeper);
    let ends = Upkeep::AuthorizationEnds(UnixTime::from_secs(end));
    assert_eq!(keeper.upkeep(store.now()), Some(ends));
    store.now = end - 1;
    assert_eq!(
        (after(&store, &keeper), keeper.upkeep(store.now())),
        (None, None)
    );
}

#[test]
fn end_of_authorization_is_reported_once_and_again_after_an_extension() {
    let end = START + 10 * DAY;
    let mut store = TestStore::with(idle(1, START, Some(end)));
    let mut keeper = keeper();
    read_store(&mut store, &mut keeper);
    assert_eq!(after(&store, &keeper), Some(3 * DAY));
    store.now = START + 3 * DAY;
    let ends = |end| Some(Upkeep::AuthorizationEnds(UnixTime::from_secs(end)));
    assert_eq!(keeper.upkeep(store.now()), ends(end));
    assert_eq!(
        (after(&store, &keeper), keeper.upkeep(store.now())),
        (None, None)
    );
    // The same expiry, reported one second later by the next response.
    store.save_elsewhere(&Record::from_tokens(Arc::new(idle(
        2,
        store.now,
        Some(end + 1),
    ))));
    read_store(&mut store, &mut keeper);
    assert_eq!(keeper.upkeep(store.now()), None);
    let extended = store.now + 20 * DAY;
    store.save_elsewhere(&Record::from_tokens(Arc::new(idle(
        3,
        store.now,
        Some(extended),
    ))));
    read_store(&mut store, &mut keeper);
    assert_eq!(after(&store, &keeper), Some(13 * DAY));
    store.now += 13 * DAY;
    assert_eq!(keeper.upkeep(store.now()), ends(extended));
    store.now = extended;
    assert_eq!(keeper.upkeep(store.now()), None, "it has ended");
}

#[test]
fn refresh_token_timeout_below_one_minute_is_not_kept_alive() {
    for (timeout, is_kept) in [(59, false), (60, true)] {
        let mut tokens = idle(1, START, None);
        let token = tokens.refresh_token.as_mut().unwrap();
        token.expires_at = Some(UnixTime::from_secs(START + timeout));
        let mut store = TestStore::with(tokens);
        let mut keeper = keeper_with_keep_alive();
        read_store(&mut store, &mut keeper);
        assert_eq!(after(&store, &keeper).is_some(), is_kept, "{timeout}");
    }
}

#[test]
fn closed_keeper_does_not_keep_grants_alive() {
    let mut store = TestStore::with(idle(1, START, None));
    let mut keeper = keeper_with_keep_alive();
    read_store(&mut store, &mut keeper);
    keeper.drain();
    store.now = START + WEEK - 1;
    assert_eq!(keeper.upkeep(store.now()), None);
}

#[test]
fn record_is_due_before_an_idle_refresh_token_expires_with_keep_alive() {
    let policy = keeper_with_keep_alive().policy;
    let due = |tokens: Tokens, policy: &Policy| {
        let due = Record::from_tokens(Arc::new(tokens)).due(policy);
        due.map(|due| due.as_secs() - START)
    };
    assert_eq!(due(idle(1, START, None), &Policy::default()), Some(600));
    assert_eq!(
        due(idle(1, START, None), &policy),
        Some(WEEK - DAY - DAY / 2)
    );
    assert_eq!(due(tokens(1), &policy), Some(600), "no end is known");
}

#[test]
fn access_token_is_not_used_after_the_end_of_the_authorization() {
    let mut store = TestStore::with(idle(1, START, Some(START + 300)));
    let mut keeper = keeper();
    read_store(&mut store, &mut keeper);
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
    store.now = START + 300;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
}
