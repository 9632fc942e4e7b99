//! The keys of records, and what they depend on.

use super::*;
use crate::grant::TokenRequest;
use crate::token::step_up_requirement::StepUp;

/// The same client, whose server has moved its token endpoint.
fn client_with_moved_endpoint() -> Arc<ClientConfig> {
    let server = Server::new(Issuer::parse("https://as.example").unwrap())
        .with_endpoint(EndpointKind::Token, "https://as.example/v2/token")
        .unwrap();
    let auth = ClientAuth::basic("secret");
    Arc::new(ClientConfig::new(server, ClientId::new("id"), auth).unwrap())
}

#[test]
fn moved_token_endpoint_keeps_the_record_key() {
    let mut store = TestStore::with(tokens(1));
    let mut keeper = Keeper::new(client_with_moved_endpoint(), person()).shared();
    assert_eq!(keeper.key(), super::keeper().key());
    store.now = START + 601;
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let request = store.renewal_request(&mut keeper);
    assert_eq!(request.uri(), "https://as.example/v2/token");
}

pub(super) fn grant_requesting(names: &[(&str, &str)]) -> GrantId {
    let parameters = names
        .iter()
        .try_fold(TokenRequest::new(), |all, (name, value)| {
            all.extra(*name, *value)
        });
    person().requesting(parameters.unwrap())
}

#[test]
fn requested_parameters_are_part_of_the_key_in_any_order_and_sent_on_renewal() {
    let (a, b) = (
        ("resource", "https://a.example/"),
        ("resource", "https://b.example/"),
    );
    let c = ("audience", "c");
    let keeper_naming =
        |names: &[(&str, &str)]| Keeper::new(config(), grant_requesting(names)).shared();
    let keys =
        [&[][..], &[a], &[b], &[a, b], &[c], &[a, c]].map(|names| keeper_naming(names).key());
    let all: std::collections::BTreeSet<_> = keys.iter().collect();
    assert_eq!(all.len(), keys.len());
    assert_eq!(keeper_naming(&[b, a]).key(), keeper_naming(&[a, b]).key());
    // Each request has its own record, which every worker with the same request reads.
    let record =
        Record::from_tokens(Arc::new(tokens(1))).to_json(&config(), &grant_requesting(&[a, b]));
    let read = |id: GrantId| Record::read(record.expose(), &config(), &id).map(drop);
    assert!(read(grant_requesting(&[b, a])).is_ok());
    let error = read(grant_requesting(&[a])).unwrap_err();
    assert_eq!(
        (error.code(), error.detail()),
        ("stored.grant", Some("parameters"))
    );
    // Each renewal sends the parameters in their original order.
    let mut store = TestStore::new();
    store.now = START + 601;
    store.entry = Some(Entry { version: 1, record });
    let mut keeper = keeper_naming(&[b, a]);
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    let request = store.renewal_request(&mut keeper);
    let body = String::from_utf8_lossy(request.body());
    let added = "&resource=https%3A%2F%2Fb.example%2F&resource=https%3A%2F%2Fa.example%2F";
    assert!(body.contains(added), "{body}");
}

/// RFC 9470: a step-up has its own grant, whose key is derived from the requirement.
#[test]
fn step_up_grant_has_its_own_key_and_record() {
    let required = |acr_values: &[&str], max_age, scope: Option<&str>| StepUp {
        acr_values: acr_values.iter().map(|acr| (*acr).to_owned()).collect(),
        max_age,
        scope: scope.map(|scope| Scope::parse(scope).unwrap()),
        claims: None,
    };
    let key_for_step_up =
        |step_up: &StepUp| Keeper::new(config(), person().stepped_up(step_up)).key();
    let phr = required(&["phr", "mfa"], Some(60), None);
    let all = [
        Keeper::new(config(), person()).key(),
        key_for_step_up(&phr),
        key_for_step_up(&required(&["phr"], Some(60), None)),
        key_for_step_up(&required(&["phr", "mfa"], None, None)),
        key_for_step_up(&required(&[], Some(60), None)),
    ];
    let distinct: std::collections::BTreeSet<_> = all.iter().collect();
    assert_eq!(distinct.len(), all.len());
    // In any order and with any scope: wider tokens replace narrower ones.
    let same = required(&["mfa", "phr", "mfa"], Some(60), Some("write"));
    assert_eq!(key_for_step_up(&same), all[1]);
    assert_eq!(key_for_step_up(&required(&[], None, Some("write"))), all[0]);
    // The record names its step-up and is not read as that of the ordinary grant.
    let id = person().stepped_up(&phr);
    let record = Record::from_tokens(Arc::new(tokens(1))).to_json(&config(), &id);
    assert_eq!(GrantSummary::read(&record).unwrap().id, id);
    let error = Record::read(record.expose(), &config(), &person()).unwrap_err();
    assert_eq!(
        (error.code(), error.detail()),
        ("stored.grant", Some("step_up"))
    );
}
