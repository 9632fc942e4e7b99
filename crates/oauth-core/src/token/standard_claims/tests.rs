#![allow(clippy::unwrap_used)] // tests may panic

use super::*;

fn claims(text: &str) -> Claims {
    Claims::from_json(text).unwrap()
}

/// The example of OpenID Connect Core section 5.3.2, and the address of section 5.1.1.
#[test]
fn standard_claims_are_parsed_and_hidden_in_debug() {
    let claims = claims(
        r#"{"sub":"248289761001","name":"Jane Doe","given_name":"Jane","family_name":"Doe",
            "preferred_username":"j.doe","email":"janedoe@example.com","email_verified":true,
            "picture":"http://example.com/janedoe/me.jpg","updated_at":1311280970,
            "phone_number_verified":false,"name#ja":"太郎",
            "address":{"street_address":"1234 Hollywood Blvd.","locality":"Los Angeles","region":"CA",
                       "postal_code":"90210","country":"US"}}"#,
    );
    let person = claims.standard();
    assert_eq!(person.name, Some("Jane Doe"));
    assert_eq!(person.email, Some("janedoe@example.com"));
    assert_eq!(person.email_verified, Some(true));
    assert_eq!(person.phone_number_verified, Some(false));
    assert_eq!(person.updated_at, Some(UnixTime::from_secs(1_311_280_970)));
    assert_eq!(person.nickname, None);
    let address = person.address.unwrap();
    assert_eq!(address.street_address, Some("1234 Hollywood Blvd."));
    assert_eq!(address.country, Some("US"));
    assert_eq!(address.formatted, None);
    assert_eq!(claims.text("name#ja").unwrap(), Some("太郎"));
    let shown = format!("{person:?} {address:?}");
    assert!(
        !shown.contains("Jane") && !shown.contains("90210"),
        "{shown}"
    );
}

/// "a JSON number" in any notation.
#[test]
fn updated_at_accepts_any_finite_json_number() {
    for (written, seconds) in [
        ("1.31128097e9", 1_311_280_970),
        ("1311280970.5", 1_311_280_970),
        ("-1", 0),
    ] {
        let claims = claims(&format!(r#"{{"updated_at":{written}}}"#));
        let updated_at = claims.standard().updated_at;
        assert_eq!(updated_at, Some(UnixTime::from_secs(seconds)), "{written}");
    }
    assert_eq!(
        claims(r#"{"updated_at":1e400}"#).standard().updated_at,
        None
    );
}

/// CVE-2026-55076: the string "false" is truthy in some languages.
#[test]
fn standard_claim_of_the_wrong_type_is_absent() {
    let claims = claims(
        r#"{"sub":"a","email_verified":"false","phone_number_verified":1,"name":7,"email":null,
            "address":"Berlin","updated_at":"yesterday"}"#,
    );
    assert_eq!(claims.standard(), StandardClaims::default());
    assert!(claims.get("email_verified").is_some());
}

/// The example of section 5.6.2.
#[test]
fn aggregated_and_distributed_claim_sources_are_listed_without_fetching() {
    let claims = claims(
        r#"{"sub":"jane","name":"Jane Doe",
            "_claim_names":{"address":"src1","phone_number":"src1","credit_score":"src2"},
            "_claim_sources":{
                "src1":{"JWT":"jwt_header.jwt_part2.jwt_part3"},
                "src2":{"endpoint":"https://creditagency.example.com/claims","access_token":"ksj3n283dke"},
                "src3":{"endpoint":"https://bank.example.com/claims"}}}"#,
    );
    let mut sources = claims.sources().unwrap();
    sources.sort_by_key(|source| source.name);
    let [first, second, third] = sources.as_slice() else {
        unreachable!("three sources")
    };
    let mut names = first.claims.clone();
    names.sort_unstable();
    assert_eq!(names, ["address", "phone_number"]);
    assert!(
        matches!(&first.location, ClaimsPlace::Aggregated(jwt) if jwt.expose() == "jwt_header.jwt_part2.jwt_part3")
    );
    assert_eq!(second.claims, ["credit_score"]);
    assert!(matches!(
        &second.location,
        ClaimsPlace::Distributed { endpoint: "https://creditagency.example.com/claims", access_token: Some(token) }
            if token.expose() == "ksj3n283dke"
    ));
    assert!(third.claims.is_empty());
    assert!(matches!(
        &third.location,
        ClaimsPlace::Distributed {
            access_token: None,
            ..
        }
    ));
    assert!(!format!("{sources:?}").contains("ksj3n283dke"));
    assert!(self::claims(r#"{"sub":"a"}"#).sources().unwrap().is_empty());
}

#[test]
fn claim_sources_that_do_not_match_their_names_are_refused() {
    for text in [
        r#"{"_claim_names":{"a":"s"}}"#,
        r#"{"_claim_sources":{"s":{"JWT":"t"}}}"#,
        r#"{"_claim_names":{"a":"s"},"_claim_sources":{}}"#,
        r#"{"_claim_names":{"a":1},"_claim_sources":{"s":{"JWT":"t"}}}"#,
        r#"{"_claim_names":["a"],"_claim_sources":{"s":{"JWT":"t"}}}"#,
        r#"{"_claim_names":{"a":"s"},"_claim_sources":{"s":{}}}"#,
        r#"{"_claim_names":{"a":"s"},"_claim_sources":{"s":{"JWT":1}}}"#,
        r#"{"_claim_names":{"a":"s"},"_claim_sources":{"s":{"JWT":"t","endpoint":"https://e.example"}}}"#,
        r#"{"_claim_names":{"a":"s"},"_claim_sources":{"s":{"endpoint":"https://e.example","access_token":1}}}"#,
    ] {
        let code = claims(text).sources().map(drop).unwrap_err().code();
        assert_eq!(code, "jwt.malformed_claim", "{text}");
    }
}
