//! The keys of records, and what they depend on.

use super::*;
use crate::grant::TokenRequest;

/// The same client, whose server has moved its token endpoint.
fn moved() -> Arc<ClientConfig> {
    let server = Server::new(Issuer::parse("https://as.example").unwrap())
        .with_endpoint(EndpointKind::Token, "https://as.example/v2/token")
        .unwrap();
    let auth = ClientAuth::basic("secret");
    Arc::new(ClientConfig::new(server, ClientId::new("id"), auth).unwrap())
}

#[test]
fn a_server_that_moves_its_token_endpoint_logs_nobody_out() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = Keeper::new(moved(), person()).shared();
    assert_eq!(keeper.key(), super::keeper().key());
    store.now = START + 601;
    assert!(matches!(store.ask(&mut keeper), Decision::Renew));
    let request = store.sends(&mut keeper);
    assert_eq!(request.uri(), "https://as.example/v2/token");
}

pub(super) fn asking_for(names: &[(&str, &str)]) -> GrantId {
    let parameters = names
        .iter()
        .try_fold(TokenRequest::new(), |all, (name, value)| {
            all.extra(*name, *value)
        });
    person().requesting(parameters.unwrap())
}

#[test]
fn what_is_asked_for_names_a_grant_in_whatever_order_and_is_asked_for_again() {
    let (a, b) = (
        ("resource", "https://a.example/"),
        ("resource", "https://b.example/"),
    );
    let c = ("audience", "c");
    let named = |names: &[(&str, &str)]| Keeper::new(config(), asking_for(names)).shared();
    let keys = [&[][..], &[a], &[b], &[a, b], &[c], &[a, c]].map(|names| named(names).key());
    let all: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(all.len(), keys.len());
    assert_eq!(named(&[b, a]).key(), named(&[a, b]).key());
    // A record of one is none of the other, and read by anyone who asks for the same.
    let record = Record::of(Arc::new(tokens(1))).to_json(&config(), &asking_for(&[a, b]));
    let read = |id: GrantId| Record::read(record.expose(), &config(), &id).map(drop);
    assert!(read(asking_for(&[b, a])).is_ok());
    let error = read(asking_for(&[a])).unwrap_err();
    assert_eq!(
        (error.code(), error.detail()),
        ("stored.grant", Some("parameters"))
    );
    // And each renewal asks for it, in the order in which it was given.
    let mut store = TestStore::new();
    store.now = START + 601;
    store.entry = Some(Entry { version: 1, record });
    let mut keeper = named(&[b, a]);
    assert!(matches!(store.ask(&mut keeper), Decision::Renew));
    let request = store.sends(&mut keeper);
    let body = String::from_utf8_lossy(request.body());
    let added = "&resource=https%3A%2F%2Fb.example%2F&resource=https%3A%2F%2Fa.example%2F";
    assert!(body.contains(added), "{body}");
}
