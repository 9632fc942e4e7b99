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
    assert!(matches!(store.ask(&mut keeper), Decision::Renew));
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
        assert!(matches!(store.ask(&mut keeper), Decision::Renew));
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
    store.complete(&mut keeper, Err(lost())).unwrap_err();
    assert!(store.entry.as_ref().unwrap().is_removed());
}

/// With some servers a revocation ends every grant of the person, and so the new login as well.
#[test]
fn what_a_login_has_replaced_is_not_revoked() {
    let (mut keeper, mut store) = sent(forgetting());
    store.remove();
    let login = Record {
        login: Some("two".to_owned()),
        ..Record::of(Arc::new(tokens_from(7, store.now)))
    };
    store.put(&login);
    assert_eq!(got(store.complete(&mut keeper, Ok(tokens(2)))), "a7");
}
