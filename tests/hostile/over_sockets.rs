//! Attacks and mistakes against a whole client, over sockets: the number of requests they cost, and whose tokens are
//! returned. Tests with an id are from the project's list of attacks on OAuth clients.

use std::collections::HashMap;
use std::sync::Arc;

use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse, SignedResponse};
use oauth_core::flow::keeper::GrantId;
use oauth_core::jose::Alg;
use oauth_core::{Scope, danger};
use oauth_reqwest::Authorized;
use oauth_reqwest::oauth_session::Grants;
use oauth_reqwest::oauth_session::store::MemoryStore;
use oauth_testkit::Fault;

use crate::Party;
use crate::fapi::{Bank, USUAL};

/// PKCE downgrade at a server that refuses S256: `invalid_request`, in the callback or from the pushed request, ends the
/// login, and no request without a challenge or with a plain one follows.
#[tokio::test]
async fn a5_a_refused_challenge_is_not_retried() {
    let party = Party::new().await;
    party.served.with(|twin| twin.inject(Fault::RefusedS256));
    let refused = party
        .login(party.authorization_request("openid"))
        .await
        .err();
    assert_eq!(refused, Some("denied.invalid_request"));
    let request_counts = ["/authorize", "/token"].map(|path| party.requests(path));
    assert_eq!(request_counts, [1, 0]);
    // The server accepts the next request.
    assert!(party.sign_in().await.is_ok());
}

#[test]
fn a5_a_refused_pushed_challenge_is_not_retried() {
    let bank = Bank::of(USUAL);
    let error = "invalid_request".to_owned();
    bank.tls.with(|twin| twin.inject(Fault::Refusal { error }));
    let refused = bank.driver.run(
        bank.client
            .begin_authorization(bank.authorization_request()),
    );
    let refused = refused.err().map(|error| error.code());
    assert_eq!(refused, Some("denied.invalid_request"));
    let request_counts = ["/par", "/authorize", "/token"].map(|path| bank.requests(path));
    assert_eq!(request_counts, [1, 0, 0]);
}

/// A wrong token from a cache: two users, with two scopes each, call through one client at once, over sockets and
/// while their tokens are renewed. Each reply is about the calling user, and each token has the requested scope.
#[tokio::test]
async fn d1_concurrent_users_and_scopes_get_their_own_tokens() {
    let party = Party::new().await;
    let api = format!("{}/api/echo", party.served.base());
    let grants = Grants::new(
        party.driver.clone(),
        &party.client,
        Arc::new(MemoryStore::new()),
    );
    let mut owners = Vec::new();
    for (name, scope) in [
        ("alice", "read"),
        ("alice", "read write"),
        ("bob", "read"),
        ("bob", "read write"),
    ] {
        party.served.with(|twin| twin.add_person(name));
        let request = party.authorization_request(&format!("openid offline_access {scope}"));
        let login = party
            .login(request.login_hint(name))
            .await
            .expect("a login");
        let scope = Scope::parse(scope).expect("a scope");
        let id = GrantId::user(name).requesting(scope.clone());
        let adopted = grants.log_in(&id, login.tokens).await;
        adopted.expect("a grant");
        owners.push((name, scope, id));
    }
    let mut calls = tokio::task::JoinSet::new();
    for round in 0..8 {
        for (name, scope, id) in owners.clone() {
            let source = grants.get(&id);
            let resource = danger::loopback_resource([party.served.base()]).expect("an origin");
            let (driver, api) = (party.driver.clone(), api.clone());
            calls.spawn(async move {
                let token = source.token().await.expect("a token");
                let token = match round % 2 {
                    0 => token,
                    _ => source.renew(&token).await.expect("a new token"),
                };
                let reply = Authorized::new(driver, source, resource)
                    .get(&api)
                    .send()
                    .await;
                let reply = reply.expect("a reply").text().await.expect("a string");
                (name, scope, token, reply)
            });
        }
    }
    let mut seen = HashMap::new();
    while let Some(call) = calls.join_next().await {
        let (name, scope, token, reply) = call.expect("a call");
        assert!(reply.contains(name), "{name}: {reply}");
        assert_eq!(token.scope.contains("write"), scope.contains("write"));
        let access = token.access_token.expose().clone();
        let recorded = seen.entry(access).or_insert((name, scope.clone()));
        assert_eq!(*recorded, (name, scope));
    }
    assert!(seen.len() >= owners.len());
}

/// Signed introspection responses (RFC 9701), which FAPI 2.0 Message Signing requires of APIs.
#[test]
fn introspection_responses_must_be_signed_if_requested() {
    let bank = Bank::of(USUAL);
    let tokens = bank.sign_in().expect("a login").tokens;
    let introspect = |token: &str, alg| {
        let mut signed = SignedResponse::default();
        signed.algs = vec![alg];
        let introspection_request = Introspection::new(token).signed(signed);
        let introspection = bank
            .driver
            .run(bank.client.introspect(introspection_request));
        introspection.map_err(|error| error.code())
    };
    let access = tokens.access_token.expose();
    let introspection = introspect(access, Alg::Ps256);
    let Ok(IntrospectionResponse::Active(introspection)) = introspection else {
        panic!("{introspection:?}");
    };
    assert_eq!(introspection.scope, Some(tokens.scope.clone()));
    let introspection = introspect("never issued", Alg::Ps256);
    assert!(
        matches!(introspection, Ok(IntrospectionResponse::Inactive)),
        "{introspection:?}"
    );
    // The metadata lists no other algorithm.
    let other = introspect(access, Alg::Es256).err();
    assert_eq!(other, Some("introspection.alg_not_supported"));
    // A page in place of the response is refused.
    bank.tls.with(|twin| twin.inject(Fault::Html));
    let unsigned = introspect(access, Alg::Ps256).err();
    assert_eq!(unsigned, Some("reply.content_type"));
}
