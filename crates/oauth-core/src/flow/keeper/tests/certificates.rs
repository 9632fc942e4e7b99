//! Workers whose certificates differ share a grant, and no token that is bound to one of them (RFC 8705 section 3).

use super::*;
use crate::certificate::KnownCertificate;

/// As issued to a worker with this certificate.
fn bound_to(certificate: &str, number: u32) -> Tokens {
    let mut tokens = tokens(number);
    tokens.certificate = KnownCertificate::of(certificate);
    tokens
}

/// A worker that presents this certificate.
fn worker(certificate: &str) -> Keeper {
    let mut config = config();
    Arc::make_mut(&mut config).certificate = KnownCertificate::of(certificate);
    Keeper::new(config, person()).shared()
}

#[test]
fn a_token_for_another_certificate_is_renewed_and_not_handed_out() {
    let mut store = TestStore::with(bound_to("old", 1));
    let mut keeper = worker("new");
    assert!(matches!(store.ask(&mut keeper), Decision::Renew));
    assert_eq!(got(store.renew(&mut keeper, Ok(bound_to("new", 2)))), "a2");
    assert_eq!(handed(store.ask(&mut keeper)), "a2");
}

#[test]
fn a_token_for_another_certificate_is_not_what_is_left_after_a_failure() {
    let mut store = TestStore::with(bound_to("old", 1));
    let mut keeper = worker("new");
    assert!(matches!(store.ask(&mut keeper), Decision::Renew));
    assert!(store.renew(&mut keeper, Err(unsent())).is_err());
    assert!(keeper.fresh().is_none());
}

#[test]
fn a_worker_begins_with_a_token_for_its_own_certificate_only() {
    for (certificate, is_told) in [("old", true), ("new", false)] {
        let keeper = worker(certificate);
        let at = Moment::fixed(UnixTime::from_secs(START), [1; 32]);
        let keeper = keeper.with_tokens(&at, bound_to("old", 1)).unwrap();
        assert_eq!(keeper.usable_tokens(at.now()).is_some(), is_told);
    }
}

/// One of unknown binding is for the API to judge: it was stored by an earlier release, or by a program that does not
/// say what it presents.
#[test]
fn a_token_of_unknown_binding_is_handed_out() {
    for (tokens, mut keeper) in [
        (tokens(1), worker("new")),
        (bound_to("old", 1), keeper()),
        (bound_to("new", 1), worker("new")),
    ] {
        let mut store = TestStore::with(tokens);
        assert!(matches!(store.ask(&mut keeper), Decision::Renew));
        assert!(matches!(
            store.go(&mut keeper, Event::Begin),
            Step::Done(Ok(_))
        ));
        assert_eq!(handed(store.ask(&mut keeper)), "a1");
    }
}

/// Otherwise two workers would go on replacing each other's.
#[test]
fn a_worker_keeps_its_own_good_token_when_the_store_tells_of_one_for_another() {
    let entry = |version, tokens: Tokens| Entry {
        version,
        record: Record::of(Arc::new(tokens)).to_json(&config(), &person()),
    };
    let mut store = TestStore::with(bound_to("old", 1));
    let mut keeper = worker("old");
    assert!(matches!(store.ask(&mut keeper), Decision::Renew));
    assert!(matches!(
        store.go(&mut keeper, Event::Begin),
        Step::Done(Ok(_))
    ));
    let at = Moment::fixed(UnixTime::from_secs(START), [1; 32]);
    keeper.learn(&at, entry(2, bound_to("new", 2))).unwrap();
    assert_eq!(handed(store.ask(&mut keeper)), "a1");
    keeper.learn(&at, entry(3, bound_to("old", 3))).unwrap();
    assert_eq!(handed(store.ask(&mut keeper)), "a3");
}

#[test]
fn tokens_are_stored_with_the_certificate_that_they_are_bound_to() {
    let text = bound_to("x5t", 1).to_json();
    assert!(text.expose().contains(r#""x5t_s256":"x5t""#));
    let again = Tokens::from_json(text.expose()).unwrap();
    assert_eq!(again.certificate, KnownCertificate::of("x5t"));
    assert!(!tokens(1).to_json().expose().contains("x5t"));
}
