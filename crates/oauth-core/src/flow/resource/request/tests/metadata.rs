//! What a refusal says of the metadata of the API (RFC 9728 section 5.2) is noted for the connection.

use super::*;

const NAMED: &str = "Bearer error=\"invalid_token\", resource_metadata=\"https://api.example/m\"";

/// What is noted of this refusal of the first token, and of the second.
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
fn a_refusal_that_names_the_metadata_is_noted_once_per_request() {
    let silent = "Bearer error=\"invalid_token\"";
    let both = vec![b"Negotiate".to_vec(), NAMED.as_bytes().to_vec()];
    assert_eq!(noted_metadata(NAMED, silent), Some(both.clone()));
    let other = NAMED.replace("/m", "/n");
    assert_eq!(noted_metadata(NAMED, &other), Some(both));
    assert_eq!(noted_metadata(silent, NAMED), None);
}

#[test]
fn other_replies_say_nothing_of_the_metadata() {
    let noted = MetadataChallenge::default();
    let mut request = get(&api().with_metadata_challenge(noted.clone()), "/things");
    sent(&mut request, &at(0.0));
    let short = NAMED.replace("invalid_token", "insufficient_scope");
    let refused = fields(&[("www-authenticate", &short)]);
    let step = reply(&mut request, &at(1.0), 403, &refused);
    assert!(matches!(step, Ok(Step::Done)), "{step:?}");
    assert!(!noted.is_noted());
}
