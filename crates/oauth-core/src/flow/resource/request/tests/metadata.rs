//! The resource metadata named by a refusal (RFC 9728 section 5.2) is recorded for the connection.

use super::*;

const NAMED: &str = "Bearer error=\"invalid_token\", resource_metadata=\"https://api.example/m\"";

/// What is recorded for these refusals of the first and the second token.
fn noted_metadata(challenge: &str, second: &str) -> Option<Vec<Vec<u8>>> {
    let noted = MetadataChallenge::default();
    let mut request = get(&api().with_metadata_challenge(noted.clone()), "/things");
    sent(&mut request, &at(0.0));
    let refused = fields(&[
        ("www-authenticate", "Negotiate"),
        ("www-authenticate", challenge),
    ]);
    let step = reply(&mut request, &at(1.0), 401, &refused);
    assert!(matches!(step, Ok(Step::Renew(_))), "{step:?}");
    retry(&mut request, &at(1.0));
    let refused = fields(&[("www-authenticate", second)]);
    let step = reply(&mut request, &at(2.0), 401, &refused);
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");
    noted.take()
}

#[test]
fn resource_metadata_challenge_is_recorded_once_per_request() {
    let silent = "Bearer error=\"invalid_token\"";
    let both = vec![b"Negotiate".to_vec(), NAMED.as_bytes().to_vec()];
    assert_eq!(noted_metadata(NAMED, silent), Some(both.clone()));
    let other = NAMED.replace("/m", "/n");
    assert_eq!(noted_metadata(NAMED, &other), Some(both));
    assert_eq!(noted_metadata(silent, NAMED), None);
}

#[test]
fn resource_metadata_in_other_challenges_is_ignored() {
    let noted = MetadataChallenge::default();
    let mut request = get(&api().with_metadata_challenge(noted.clone()), "/things");
    sent(&mut request, &at(0.0));
    let short = NAMED.replace("invalid_token", "insufficient_scope");
    let refused = fields(&[("www-authenticate", &short)]);
    let step = reply(&mut request, &at(1.0), 403, &refused);
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");
    assert!(!noted.is_noted());
}
