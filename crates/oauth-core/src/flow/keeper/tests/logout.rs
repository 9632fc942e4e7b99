//! Logouts while a renewal is in flight.

use super::*;

/// Of a server that revokes tokens.
fn forgetting() -> Keeper {
    let mut config = config();
    let server = config.server.clone();
    let server = server
        .with_endpoint(EndpointKind::Revocation, "https://as.example/revoke")
        .unwrap();
    Arc::make_mut(&mut config).server = server;
    Keeper::new(config, person()).shared()
}

/// A renewal that was sent.
fn sent(mut keeper: Keeper) -> (Keeper, TestStore) {
    let mut store = TestStore::with(tokens(1));
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(store.go(&mut keeper, Event::Begin), Step::Run(_)));
    (keeper, store)
}

#[test]
fn what_comes_after_a_logout_is_revoked() {
    let mut bare = tokens(2);
    bare.refresh_token = None;
    for (fresh, form) in [
        (tokens(2), "token=r2&token_type_hint=refresh_token"),
        (bare, "token=a2&token_type_hint=access_token"),
    ] {
        let (mut keeper, mut store) = sent(forgetting());
        store.remove();
        let Step::Run(mut revocation) = store.go(&mut keeper, Event::Completed(Ok(fresh))) else {
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
        over(store.go(&mut keeper, Event::Completed(Err(error)))).unwrap_err();
        assert_eq!(store.log, ["release"]);
        assert!(store.entry.as_ref().unwrap().is_removed());
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let outcome = over(store.go(&mut keeper, Event::Begin));
        assert_eq!(code(outcome), "grant.no_refresh_token");
    }
}

#[test]
fn a_server_that_revokes_nothing_or_does_not_answer_changes_nothing() {
    let (mut keeper, mut store) = sent(keeper());
    store.remove();
    store.complete(&mut keeper, Ok(tokens(2))).unwrap_err();
    assert!(store.entry.as_ref().unwrap().is_removed());
    let (mut keeper, mut store) = sent(forgetting());
    store.remove();
    let step = store.go(&mut keeper, Event::Completed(Ok(tokens(2))));
    assert!(matches!(step, Step::Run(_)));
    store.complete(&mut keeper, Err(lost_reply())).unwrap_err();
    assert!(store.entry.as_ref().unwrap().is_removed());
}

/// With some servers a revocation ends every grant of the person, and so the new login as well.
#[test]
fn what_a_login_has_replaced_is_not_revoked() {
    let (mut keeper, mut store) = sent(forgetting());
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

/// The tokens of a step-up are listed before they are stored, and a logout may have ended what was listed.
#[test]
fn a_login_ends_with_a_logout_after_its_host_read_the_record() {
    let (first, stepped_up) = (tokens(1), tokens_from(7, START + 1));
    // Nothing was stored, or the tombstone of an earlier logout; then the user logs out.
    for is_removed_before in [false, true] {
        let mut store = TestStore::new();
        if is_removed_before {
            store.remove();
        }
        let seen = store.entry.as_ref().map_or(0, |entry| entry.version);
        let mut keeper = forgetting();
        let at = store.at();
        keeper
            .replace_at_version(&at, stepped_up.clone(), seen)
            .unwrap();
        store.remove();
        assert!(keeper.save_again());
        let Step::Run(mut revocation) = store.go(&mut keeper, Event::Begin) else {
            panic!("nothing is revoked");
        };
        let Ok(Move::Send(request)) = revocation.resume(&at, Input::Begin) else {
            panic!("nothing is sent");
        };
        assert_eq!(request.uri(), "https://as.example/revoke");
        let step = store.go(&mut keeper, Event::Completed(Err(lost_reply())));
        assert_eq!(code(over(step)), "grant.no_refresh_token");
        assert!(store.entry.as_ref().unwrap().is_removed());
        assert!(keeper.is_stored() && keeper.tokens().is_none());
        let error = keeper.last_error().unwrap();
        assert_eq!(error.code(), "grant.no_refresh_token");
        // A login after the logout is another.
        keeper
            .replace(&store.at(), tokens_from(8, START + 2))
            .unwrap();
        assert!(keeper.save_again());
        over(store.go(&mut keeper, Event::Begin)).unwrap();
    }
    // The tombstone that the host has read, and another worker's record, are replaced as ever.
    for others in [false, true] {
        let mut store = TestStore::with(first.clone());
        store.remove();
        let seen = store.entry.as_ref().unwrap().version;
        let mut keeper = forgetting();
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
        let stored = over(store.go(&mut keeper, Event::Begin)).unwrap();
        assert!(
            stored
                .access_token
                .matches(stepped_up.access_token.expose())
        );
        assert!(!store.entry.as_ref().unwrap().is_removed());
    }
}
