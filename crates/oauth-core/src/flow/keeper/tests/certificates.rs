//! Workers with different certificates share a grant but no token bound to one of them (RFC 8705 section 3).

use super::*;
use crate::certificate::KnownCertificate;

/// As issued to a worker with this certificate.
fn bound_to(certificate: &str, number: u32) -> Tokens {
    let mut tokens = tokens(number);
    tokens.certificate = KnownCertificate::from_thumbprint(certificate);
    tokens
}

/// A worker that presents this certificate.
fn worker(certificate: &str) -> Keeper {
    let mut config = config();
    Arc::make_mut(&mut config).certificate = KnownCertificate::from_thumbprint(certificate);
    Keeper::new(config, person()).shared()
}

#[test]
fn token_bound_to_another_certificate_is_renewed_instead_of_returned() {
    let mut store = TestStore::with(bound_to("old", 1));
    let mut keeper = worker("new");
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(bound_to("new", 2)))),
        "a2"
    );
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a2");
}

#[test]
fn failed_renewal_does_not_fall_back_to_a_token_of_another_certificate() {
    let mut store = TestStore::with(bound_to("old", 1));
    let mut keeper = worker("new");
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(store.renew(&mut keeper, Err(unsent_request())).is_err());
    assert!(keeper.fresh().is_none());
}

#[test]
fn initial_tokens_are_used_only_if_bound_to_the_workers_certificate() {
    for (certificate, is_told) in [("old", true), ("new", false)] {
        let keeper = worker(certificate);
        let at = Moment::fixed(UnixTime::from_secs(START), [1; 32]);
        let keeper = keeper.with_tokens(&at, bound_to("old", 1)).unwrap();
        assert_eq!(keeper.usable_tokens(at.now()).is_some(), is_told);
    }
}

/// A token of unknown binding is sent to the API: it was stored by an earlier release or by a program without
/// a configured certificate.
#[test]
fn token_of_unknown_binding_is_returned() {
    for (tokens, mut keeper) in [
        (tokens(1), worker("new")),
        (bound_to("old", 1), keeper()),
        (bound_to("new", 1), worker("new")),
    ] {
        let mut store = TestStore::with(tokens);
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        assert!(matches!(
            store.run(&mut keeper, Event::Begin),
            Step::Done(Ok(_))
        ));
        assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
    }
}

/// Otherwise two workers would keep replacing each other's tokens.
#[test]
fn worker_keeps_its_token_when_the_store_has_one_for_another_certificate() {
    let entry = |version, tokens: Tokens| Entry {
        version,
        record: Record::from_tokens(Arc::new(tokens)).to_json(&config(), &person()),
    };
    let mut store = TestStore::with(bound_to("old", 1));
    let mut keeper = worker("old");
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert!(matches!(
        store.run(&mut keeper, Event::Begin),
        Step::Done(Ok(_))
    ));
    let at = Moment::fixed(UnixTime::from_secs(START), [1; 32]);
    keeper.learn(&at, entry(2, bound_to("new", 2))).unwrap();
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a1");
    keeper.learn(&at, entry(3, bound_to("old", 3))).unwrap();
    assert_eq!(access_of_decision(store.decide(&mut keeper)), "a3");
}

/// During a certificate rotation each generation renews once and then uses its own token, also after a restart.
#[test]
fn workers_with_different_certificates_share_a_record_and_use_their_own_tokens() {
    let mut store = TestStore::with(bound_to("old", 1));
    let mut keeper = worker("new");
    assert!(matches!(store.decide(&mut keeper), Decision::Renew));
    assert_eq!(
        access_of_outcome(store.renew(&mut keeper, Ok(bound_to("new", 2)))),
        "a2"
    );
    for _ in 0..4 {
        for (certificate, token) in [("old", "a1"), ("new", "a2")] {
            let mut keeper = worker(certificate);
            assert!(matches!(store.decide(&mut keeper), Decision::Renew));
            assert_eq!(
                access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
                token
            );
            // The newest refresh token is shared, since the previous one is spent.
            let tokens = keeper.tokens().unwrap();
            let refresh = tokens.refresh_token.as_ref().unwrap().secret();
            assert_eq!(refresh.expose(), "r2");
        }
    }
    assert_eq!(store.log.iter().filter(|what| **what == "run").count(), 1);
    // Each worker renews its own token and keeps the other's.
    store.now = START + 601;
    for (certificate, spent, number) in [("old", "r2", 3), ("new", "r3", 4)] {
        let mut keeper = worker(certificate);
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        let request = store.renewal_request(&mut keeper);
        let form = String::from_utf8(request.body().to_vec()).unwrap();
        assert!(form.contains(&format!("refresh_token={spent}")), "{form}");
        let mut tokens = tokens_from(number, store.now);
        tokens.certificate = KnownCertificate::from_thumbprint(certificate);
        assert_eq!(
            access_of_outcome(store.complete(&mut keeper, Ok(tokens))),
            format!("a{number}")
        );
    }
    for (certificate, token) in [("old", "a3"), ("new", "a4")] {
        let mut keeper = worker(certificate);
        assert!(matches!(store.decide(&mut keeper), Decision::Renew));
        assert_eq!(
            access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
            token
        );
    }
}

#[test]
fn record_keeps_few_unexpired_tokens_of_other_certificates_of_the_same_login() {
    let names = |record: &Record| -> Vec<String> {
        let beside = record.other_certificate_tokens.0.iter();
        beside
            .map(|tokens| tokens.access_token.expose().clone())
            .collect()
    };
    let mut record = Record::from_tokens(Arc::new(bound_to("c1", 1)));
    for number in 2..=6_u32 {
        let mut next = tokens_from(number, START + u64::from(number));
        next.certificate = KnownCertificate::from_thumbprint(&format!("c{number}"));
        let mut next = Record::from_tokens(Arc::new(next));
        next.keep_other_certificates(&record, UnixTime::from_secs(START + 10));
        record = next;
    }
    assert_eq!(names(&record), ["a5", "a4", "a3"]);
    // Only the access token is kept; it is renewed with the newest refresh token.
    assert!(
        record
            .other_certificate_tokens
            .0
            .iter()
            .all(|tokens| tokens.refresh_token.is_none())
    );
    let mut later = Record::from_tokens(Arc::new(bound_to("c7", 7)));
    later.keep_other_certificates(&record, UnixTime::from_secs(START + 604));
    assert_eq!(names(&later), ["a6", "a5"]);
    let mut other = Record {
        login: Some("other".to_owned()),
        ..Record::from_tokens(Arc::new(bound_to("c7", 7)))
    };
    other.keep_other_certificates(&record, UnixTime::from_secs(START));
    assert!(names(&other).is_empty());
}

/// Its refresh token is also bound (RFC 8705 section 4), so another certificate cannot use it.
#[test]
fn public_client_does_not_use_tokens_of_another_certificate() {
    let mut record = Record::from_tokens(Arc::new(bound_to("new", 2)));
    record.keep_other_certificates(
        &Record::from_tokens(Arc::new(bound_to("old", 1))),
        UnixTime::from_secs(START),
    );
    let server = config().server.clone();
    let mut public = ClientConfig::new(server, ClientId::new("id"), ClientAuth::none()).unwrap();
    public.certificate = KnownCertificate::from_thumbprint("old");
    record.choose_certificate(&public);
    assert_eq!(access(record.tokens.as_ref().unwrap()), "a2");
}

/// The application's copy is older than the tokens stored by a worker with another certificate.
#[test]
fn older_copy_does_not_replace_newer_tokens_of_another_certificate() {
    let mut newest = tokens_from(3, START + 20);
    newest.certificate = KnownCertificate::from_thumbprint("new");
    let mut record = Record::from_tokens(Arc::new(newest));
    record.keep_other_certificates(
        &Record::from_tokens(Arc::new(bound_to("old", 1))),
        UnixTime::from_secs(START),
    );
    let mut store = TestStore::new();
    store.save_elsewhere(&record);
    store.now = START + 30;
    let mut copy = tokens_from(2, START + 10);
    copy.certificate = KnownCertificate::from_thumbprint("old");
    let mut keeper = worker("old").with_tokens(&store.at(), copy).unwrap();
    assert!(matches!(
        store.decide(&mut keeper),
        Decision::UseAndRenew(_) | Decision::Renew
    ));
    assert_eq!(
        access_of_outcome(outcome_of(store.run(&mut keeper, Event::Begin))),
        "a1"
    );
    let refresh = keeper.tokens().unwrap().refresh_token.clone().unwrap();
    assert_eq!(refresh.secret().expose(), "r3");
}

#[test]
fn certificate_thumbprint_is_stored_with_the_tokens() {
    let text = bound_to("x5t", 1).to_json();
    assert!(text.expose().contains(r#""x5t_s256":"x5t""#));
    let again = Tokens::from_json(text.expose()).unwrap();
    assert_eq!(again.certificate, KnownCertificate::from_thumbprint("x5t"));
    assert!(!tokens(1).to_json().expose().contains("x5t"));
}
