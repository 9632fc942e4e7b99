//! Logouts while a renewal is in flight.

use super::*;
use crate::json;
use crate::quirk::Rules;
use crate::testing::{at, error_code};

/// A keeper of a server with a revocation endpoint.
fn keeper_with_revocation() -> Keeper {
    let mut config = config();
    let server = config.server.clone();
    let server = server
        .with_endpoint(EndpointKind::Revocation, "https://as.example/revoke")
        .unwrap();
    Arc::make_mut(&mut config).server = server;
    Keeper::new(config, person()).shared()
}

#[test]
fn revocation_fails_at_an_unusable_endpoint_and_is_absent_without_one() {
    let revocation = |member: &str| {
        let document = format!(
            r#"{{"issuer":"https://as.example","token_endpoint":"https://as.example/token"{member}}}"#
        );
        let Ok(json::Json::Object(document)) = json::parse(&document) else {
            panic!("an object")
        };
        let mut config = config();
        let issuer = Issuer::parse("https://as.example").unwrap();
        let server = Server::read(&issuer, &document, Rules::default());
        Arc::make_mut(&mut config).server = server.unwrap();
        let revocation = Keeper::new(config, person()).revocation(&tokens(1));
        revocation.map(|mut call| error_code(call.resume(&at(), Input::Begin).map(drop)))
    };
    assert_eq!(revocation(""), None);
    let usable = r#","revocation_endpoint":"https://as.example/revoke""#;
    assert_eq!(revocation(usable), Some(Ok(())));
    let insecure = r#","revocation_endpoint":"http://as.example/revoke""#;
    let refused = Some(Err("metadata.endpoint_not_https"));
    assert_eq!(revocation(insecure), refused);
}

/// A renewal in flight.
fn sent(mut keeper: Keeper) -> (Keeper, TestStore) {
    let mut store = TestStore::with(tokens(1));
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(store.run(&mut keeper, Event::Begin), Step::Run(_)));
    (keeper, store)
}

#[test]
fn tokens_received_after_a_logout_are_revoked() {
    let mut bare = tokens(2);
    bare.refresh_token = None;
    for (fresh, form) in [
        (tokens(2), "token=r2&token_type_hint=refresh_token"),
        (bare, "token=a2&token_type_hint=access_token"),
    ] {
        let (mut keeper, mut store) = sent(keeper_with_revocation());
        store.remove();
        let Step::Run(mut revocation) = store.run(&mut keeper, Event::Completed(Ok(fresh))) else {
            panic!("nothing is revoked");
        };
        let Ok(Move::Send(request)) = revocation.resume(&store.at(), Input::Begin) else {
            panic!("nothing is sent");
        };
        assert_eq!(request.uri(), "https://as.example/revoke");
        let sent = String::from_utf8(request.body().to_vec()).unwrap();
        assert!(sent.starts_with(form), "{sent}");
        assert!(keeper.lease_extension().is_none());
        let reply = crate::http::Response::new(bytes::Bytes::new());
        let Err(error) = revocation.resume(&store.at(), Input::Reply(reply)) else {
            panic!("no tokens come of it");
        };
        store.log.clear();
        outcome_of(store.run(&mut keeper, Event::Completed(Err(error)))).unwrap_err();
        assert_eq!(store.log, ["release"]);
        assert!(store.entry.as_ref().unwrap().is_removed());
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let outcome = outcome_of(store.run(&mut keeper, Event::Begin));
        assert_eq!(code(outcome), "grant.no_refresh_token");
    }
}

#[test]
fn missing_or_failing_revocation_leaves_the_record_removed() {
    let (mut keeper, mut store) = sent(keeper());
    store.remove();
    store.complete(&mut keeper, Ok(tokens(2))).unwrap_err();
    assert!(store.entry.as_ref().unwrap().is_removed());
    let (mut keeper, mut store) = sent(keeper_with_revocation());
    store.remove();
    let step = store.run(&mut keeper, Event::Completed(Ok(tokens(2))));
    assert!(matches!(step, Step::Run(_)));
    store.complete(&mut keeper, Err(lost_reply())).unwrap_err();
    assert!(store.entry.as_ref().unwrap().is_removed());
}

/// On some servers a revocation ends all grants of the user, including the new login.
#[test]
fn tokens_replaced_by_a_new_login_are_not_revoked() {
    let (mut keeper, mut store) = sent(keeper_with_revocation());
    store.remove();
    let login = Record {
        login: Some("two".to_owned()),
        ..Record::from_tokens(Arc::new(tokens_from(7, store.now)))
    };
    store.save_elsewhere(&login);
    assert_eq!(
        access_of_outcome(store.complete(&mut keeper, Ok(tokens(2)))),
        "a7"
    );
}

/// The tokens of a step-up are listed before they are stored, and a logout may have ended the listed record.
#[test]
fn logout_after_the_record_was_read_prevents_the_login_from_being_stored() {
    let (first, stepped_up) = (tokens(1), tokens_from(7, START + 1));
    // Nothing was stored, or the tombstone of an earlier logout; then the user logs out.
    for is_removed_before in [false, true] {
        let mut store = TestStore::new();
        if is_removed_before {
            store.remove();
        }
        let seen = store.entry.as_ref().map_or(0, |entry| entry.version);
        let mut keeper = keeper_with_revocation();
        let at = store.at();
        keeper
            .replace_at_version(&at, stepped_up.clone(), seen)
            .unwrap();
        store.remove();
        assert!(keeper.save_again());
        let Step::Run(mut revocation) = store.run(&mut keeper, Event::Begin) else {
            panic!("nothing is revoked");
        };
        let Ok(Move::Send(request)) = revocation.resume(&at, Input::Begin) else {
            panic!("nothing is sent");
        };
        assert_eq!(request.uri(), "https://as.example/revoke");
        let step = store.run(&mut keeper, Event::Completed(Err(lost_reply())));
        assert_eq!(code(outcome_of(step)), "grant.no_refresh_token");
        assert!(store.entry.as_ref().unwrap().is_removed());
        assert!(keeper.is_stored() && keeper.tokens().is_none());
        let error = keeper.last_error().unwrap();
        assert_eq!(error.code(), "grant.no_refresh_token");
        // A login after the logout is a new one.
        keeper
            .replace(&store.at(), tokens_from(8, START + 2))
            .unwrap();
        assert!(keeper.save_again());
        outcome_of(store.run(&mut keeper, Event::Begin)).unwrap();
    }
    // The tombstone that the host has read, and another worker's record, are replaced as usual.
    for others in [false, true] {
        let mut store = TestStore::with(first.clone());
        store.remove();
        let seen = store.entry.as_ref().unwrap().version;
        let mut keeper = keeper_with_revocation();
        keeper
            .replace_at_version(&store.at(), stepped_up.clone(), seen)
            .unwrap();
        if others {
            store.entry = TestStore::with(first.clone()).entry.map(|entry| Entry {
                version: seen + 1,
                ..entry
            });
        }
        assert!(keeper.save_again());
        let stored = outcome_of(store.run(&mut keeper, Event::Begin)).unwrap();
        assert!(
            stored
                .access_token
                .matches(stepped_up.access_token.expose())
        );
        assert!(!store.entry.as_ref().unwrap().is_removed());
    }
}

/// A tombstone of this time, from a store whose versions are timestamps or plain counters.
fn tombstone(second: u64, version: u64) -> Option<Entry> {
    Some(Entry {
        version: second * 1_000_000 + version,
        record: Secret::new(String::new()),
    })
}

/// The result of saving a login now.
fn saved_late(keeper: &mut Keeper, store: &mut TestStore) -> Result<String, &'static str> {
    assert!(keeper.save_again());
    let outcome = match store.run(keeper, Event::Begin) {
        Step::Run(_) => store.complete(keeper, Err(lost_reply())),
        step => outcome_of(step),
    };
    let error = outcome.map_err(|error| error.code());
    error.map(|tokens| tokens.access_token.expose().clone())
}

#[test]
fn unsaved_login_is_not_stored_over_a_later_logout() {
    let at = START + 100;
    for (removed, outcome) in [
        (tombstone(at + 1, 0), Err("grant.no_refresh_token")),
        // The user had logged out before, or the store's versions contain no time.
        (tombstone(at - 1, 0), Ok("a7".to_owned())),
        (tombstone(0, 9), Ok("a7".to_owned())),
        (None, Ok("a7".to_owned())),
    ] {
        let (mut store, mut keeper) = (TestStore::new(), keeper_with_revocation());
        (store.now, store.is_down) = (at, true);
        keeper.replace(&store.at(), tokens_from(7, at)).unwrap();
        assert_eq!(saved_late(&mut keeper, &mut store), Ok("a7".to_owned()));
        (store.now, store.is_down) = (at + 60, false);
        store.entry = removed.clone();
        assert_eq!(saved_late(&mut keeper, &mut store), outcome, "{removed:?}");
        let is_stored = store.entry.is_some_and(|entry| !entry.is_removed());
        assert_eq!(is_stored, outcome.is_ok());
        assert_eq!(store.log.contains(&"run"), outcome.is_err(), "revoked");
    }
}

#[test]
fn failed_login_save_is_revoked_after_a_later_logout_and_kept_after_an_earlier_one() {
    for is_removed_before in [false, true] {
        let mut store = TestStore::new();
        if is_removed_before {
            store.remove();
        }
        let mut keeper = keeper_with_revocation();
        keeper.replace(&store.at(), tokens(7)).unwrap();
        assert!(keeper.save_again());
        let _ = keeper.resume(&store.at(), Event::Begin);
        let step = keeper.resume(&store.at(), Event::Loaded(store.entry.clone()));
        assert!(matches!(step, Step::Save { .. }));
        outcome_of(store.run(&mut keeper, Event::Failed(lost_reply()))).unwrap();
        if is_removed_before {
            assert_eq!(saved_late(&mut keeper, &mut store).as_deref(), Ok("a7"));
            continue;
        }
        store.remove();
        let outcome = saved_late(&mut keeper, &mut store);
        assert_eq!(outcome, Err("grant.no_refresh_token"));
        assert!(store.log.contains(&"run"), "revoked");
        assert!(store.entry.as_ref().unwrap().is_removed());
    }
}

#[test]
fn login_during_a_renewal_is_not_stored_over_a_later_logout() {
    let (mut keeper, mut store) = sent(keeper_with_revocation());
    store.now += 5;
    let login = tokens_from(7, store.now);
    keeper.replace(&store.at(), login).unwrap();
    store.now += 5;
    store.entry = tombstone(store.now, 0);
    // The renewal fails.
    let _ = store.complete(&mut keeper, Err(lost_reply()));
    let outcome = saved_late(&mut keeper, &mut store);
    assert_eq!(outcome, Err("grant.no_refresh_token"));
    assert!(store.entry.as_ref().unwrap().is_removed());
}

/// The logout of a worker whose own login is not stored yet.
#[test]
fn logout_ends_a_login_that_is_not_stored_yet() {
    let (mut store, mut keeper) = (TestStore::new(), keeper_with_revocation());
    store.is_down = true;
    keeper.replace(&store.at(), tokens(7)).unwrap();
    saved_late(&mut keeper, &mut store).unwrap();
    let ended = keeper.end_unsaved_login(&store.at());
    assert_eq!(ended.as_deref().map(access), Some("a7"));
    assert!(keeper.tokens().is_none() && !keeper.save_again());
    assert!(keeper.end_unsaved_login(&store.at()).is_none());
}

/// Without a store, no login is ever stored.
#[test]
fn logout_ends_a_login_without_a_store_unless_a_renewal_is_running() {
    let mut store = TestStore::new();
    let mut keeper = Keeper::new(config(), GrantId::unnamed_person());
    keeper.replace(&store.at(), tokens(7)).unwrap();
    let refused = tokens(7);
    let now = store.at().now();
    assert!(matches!(keeper.ask(now, Some(&refused)), Decision::Renew));
    assert!(keeper.end_unsaved_login(&store.at()).is_none());
    let step = keeper.resume(&store.at(), Event::Begin);
    assert!(matches!(step, Step::Run(_)));
    assert!(keeper.end_unsaved_login(&store.at()).is_none());
    let step = keeper.resume(&store.at(), Event::Completed(Err(invalid_grant())));
    assert_eq!(code(outcome_of(step)), "denied.invalid_grant");
    let ended = keeper.end_unsaved_login(&store.at());
    assert_eq!(ended.as_deref().map(access), Some("a7"));
    assert!(keeper.tokens().is_none());
    // Callers do not get the error of that renewal.
    assert!(matches!(keeper.ask(now, None), Decision::Renew));
    let step = keeper.resume(&store.at(), Event::Begin);
    assert_eq!(code(outcome_of(step)), "grant.no_refresh_token");
    assert!(keeper.end_unsaved_login(&store.at()).is_none());
}

/// Its save is in progress and may complete before or after the removal.
#[test]
fn logout_during_a_save_in_conflict_revokes_the_login_and_keeps_the_stored_record() {
    for is_another_stored in [false, true] {
        let (mut store, mut keeper) = (TestStore::new(), keeper_with_revocation());
        keeper.replace(&store.at(), tokens(7)).unwrap();
        assert!(keeper.save_again());
        let _ = keeper.resume(&store.at(), Event::Begin);
        let step = keeper.resume(&store.at(), Event::Loaded(None));
        assert!(matches!(step, Step::Save { .. }));
        assert!(keeper.end_unsaved_login(&store.at()).is_none());
        store.remove();
        if is_another_stored {
            store.save_elsewhere(&Record::from_tokens(Arc::new(tokens(8))));
        }
        let step = store.run(&mut keeper, Event::Saved(SaveOutcome::Conflict));
        assert!(matches!(step, Step::Run(_)), "nothing is revoked");
        let outcome = store.complete(&mut keeper, Err(lost_reply()));
        assert_eq!(code(outcome), "grant.no_refresh_token");
        let known = keeper.tokens().map(|tokens| access(tokens));
        assert_eq!(known, is_another_stored.then_some("a8"));
        assert!(keeper.is_stored());
    }
}

/// A dropped driver does not know the state of the store.
#[test]
fn login_whose_save_was_abandoned_is_not_stored_over_a_later_logout() {
    let (mut store, mut keeper) = (TestStore::new(), keeper_with_revocation());
    keeper.replace(&store.at(), tokens(7)).unwrap();
    assert!(keeper.save_again());
    let _ = keeper.resume(&store.at(), Event::Begin);
    keeper.abandon(&store.at());
    store.now += 5;
    store.entry = tombstone(store.now, 0);
    let outcome = saved_late(&mut keeper, &mut store);
    assert_eq!(outcome, Err("grant.no_refresh_token"));
    assert!(store.entry.as_ref().unwrap().is_removed());
}

#[test]
fn after_an_unsaved_login_is_ended_the_stored_login_can_be_read() {
    let (mut store, mut keeper) = (TestStore::with(tokens(1)), keeper_with_revocation());
    let stored = store.entry.clone().unwrap();
    keeper.learn(&store.at(), stored.clone()).unwrap();
    keeper.replace(&store.at(), tokens(7)).unwrap();
    store.is_down = true;
    saved_late(&mut keeper, &mut store).unwrap();
    let ended = keeper.end_unsaved_login(&store.at());
    assert_eq!(ended.as_deref().map(access), Some("a7"));
    keeper.learn(&store.at(), stored).unwrap();
    assert_eq!(keeper.tokens().map(|tokens| access(tokens)), Some("a1"));
}

#[test]
fn login_whose_save_completes_after_its_logout_is_revoked() {
    let (mut store, mut keeper) = (TestStore::new(), keeper_with_revocation());
    keeper.replace(&store.at(), tokens(7)).unwrap();
    assert!(keeper.save_again());
    let _ = keeper.resume(&store.at(), Event::Begin);
    let step = keeper.resume(&store.at(), Event::Loaded(None));
    assert!(matches!(step, Step::Save { .. }));
    assert!(
        keeper.end_unsaved_login(&store.at()).is_none(),
        "the save is on its way"
    );
    let step = keeper.resume(&store.at(), Event::Saved(SaveOutcome::At(1)));
    assert!(matches!(step, Step::Run(_)), "it is revoked");
    let outcome = store.complete(&mut keeper, Err(lost_reply()));
    assert_eq!(code(outcome), "grant.no_refresh_token");
    assert!(keeper.tokens().is_none());
}
