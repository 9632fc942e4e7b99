#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::testing::error_code;

const X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const EC: &str = r#""kty":"EC","crv":"P-256","x":"l8tFrhx-34tV3hRICRDY9zCkDlpBhF42UQUfWVAWBFs",
    "y":"9VE4jf_Ok_o64zbTTlcuNJajHmt6v9TDVrU0CdvGRDA""#;

/// An Ed25519 key with these additional members.
fn key(more: &str) -> String {
    format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{X}"{more}}}"#)
}

fn set(keys: &[String]) -> KeySet {
    KeySet::parse(&format!(r#"{{"keys":[{}]}}"#, keys.join(","))).unwrap()
}

#[test]
fn candidates_match_kid_key_type_and_use() {
    let ec = |more: &str| format!("{{{EC}{more}}}");
    let keys = set(&[
        key(r#","kid":"a""#),
        // Decoys: the same kid with another key type, and other uses.
        ec(r#","kid":"a""#),
        key(r#","kid":"b","use":"enc""#),
        key(r#","kid":"c","key_ops":["sign"]"#),
        key(r#","kid":"d","key_ops":["verify"],"use":"sig","alg":"EdDSA""#),
        key(r#","kid":"e","alg":"ES256""#),
        key(r#","kid":7"#),
    ]);
    let found = |alg, kid: &str| keys.candidates(alg, Some(kid)).len();
    assert_eq!((found(Alg::EdDsa, "a"), found(Alg::Es256, "a")), (1, 1));
    assert_eq!((found(Alg::EdDsa, "d"), found(Alg::Ed25519, "d")), (1, 1));
    for none in ["b", "c", "e", "f", "", "../a", "A"] {
        assert_eq!(found(Alg::EdDsa, none), 0, "{none}");
    }
    assert_eq!(keys.candidates(Alg::EdDsa, None).len(), 2);
    assert!(keys.candidates(Alg::Hs256, Some("a")).is_empty());
}

#[test]
fn ids_lists_only_verification_keys() {
    let keys = set(&[
        key(r#","kid":"a""#),
        key(r#","kid":"b","alg":"Ed25519""#),
        key(r#","kid":"c","alg":"ES256""#),
        format!(r#"{{{EC},"kid":"d","alg":"ECDH-ES"}}"#),
        format!(r#"{{{EC},"kid":"e","alg":"unknown"}}"#),
        format!(r#"{{{EC},"kid":"f","alg":"ES256"}}"#),
    ]);
    assert_eq!(keys.ids().collect::<Vec<_>>(), ["a", "b", "f"]);
}

#[test]
fn unknown_kid_selects_keys_without_a_kid() {
    let keys = set(&[key(""), key(r#","kid":"a""#)]);
    assert_eq!(keys.candidates(Alg::EdDsa, Some("z")).len(), 1);
    assert_eq!(keys.candidates(Alg::EdDsa, Some("a")).len(), 1);
    assert_eq!(keys.candidates(Alg::EdDsa, None).len(), 2);
}

#[test]
fn reason_for_no_candidate_says_what_was_looked_for_and_what_there_is() {
    let named = [
        key(r#","kid":"a""#),
        key(r#","kid":"b","alg":"EdDSA""#),
        key(r#","kid":"c","alg":"unknown""#),
    ];
    let some_nameless = [key(""), key(r#","kid":"a""#)];
    for (keys, alg, kid, reason) in [
        (&[][..], Alg::Es256, None, "among 0 keys none is for ES256"),
        (&named, Alg::Es256, None, "among 3 keys none is for ES256"),
        (
            &named,
            Alg::EdDsa,
            Some("z"),
            "among 3 keys none has the kid z",
        ),
        (
            &some_nameless,
            Alg::Es256,
            Some("z"),
            "among 1 key without a kid none is for ES256, and among 2 keys none has the kid z",
        ),
        (
            &named,
            Alg::Es256,
            Some("a"),
            "for EdDSA, Ed25519, not for ES256: the key with the kid a",
        ),
        (
            &named,
            Alg::Es256,
            Some("b"),
            "for EdDSA, Ed25519, not for ES256: the key with the kid b",
        ),
        (
            &named,
            Alg::EdDsa,
            Some("c"),
            "not for EdDSA nor any known algorithm: the key with the kid c",
        ),
    ] {
        let keys = set(keys);
        assert!(keys.candidates(alg, kid).is_empty());
        assert_eq!(keys.no_candidate_reason(alg, kid), reason);
    }
}

#[test]
fn at_most_eight_candidates_are_tried() {
    let keys = set(&vec![key(""); 20]);
    assert_eq!(
        (keys.len(), keys.candidates(Alg::EdDsa, None).len()),
        (20, 8)
    );
}

#[test]
fn key_set_round_trips_through_json() {
    let keys = set(&[
        key(r#","kid":"b","alg":"EdDSA""#),
        key(r#","kid":"a""#),
        key(""),
    ]);
    let again = KeySet::parse(&keys.to_json()).unwrap();
    assert_eq!(again.to_json(), keys.to_json());
    assert_eq!(again.ids().collect::<Vec<_>>(), ["b", "a"]);
}

#[test]
fn use_of_a_key_is_preserved_in_json() {
    let keys = set(&[
        format!(r#"{{{EC},"kid":"enc","use":"enc"}}"#),
        format!(r#"{{{EC},"kid":"sig","use":"sig"}}"#),
        r#"{"kty":"OKP","crv":"X25519","x":"3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08"}"#
            .to_owned(),
    ]);
    let again = KeySet::parse(&keys.to_json()).unwrap();
    assert_eq!(again.to_json().matches("X25519").count(), 1);
    for keys in [keys, again] {
        assert_eq!(keys.ids().collect::<Vec<_>>(), ["sig"]);
        assert!(keys.candidates(Alg::Es256, Some("enc")).is_empty());
        let (key, kid) = keys.encryption_key(JweAlg::EcdhEs).unwrap();
        assert_eq!((kid, key.fits(Alg::Es256)), (Some("enc"), true));
        assert!(keys.encryption_key(JweAlg::RsaOaep).is_none());
    }
}

#[test]
fn unknown_key_types_are_skipped_and_malformed_sets_refused() {
    let odd = [
        r#"{"kty":"AKP","alg":"ML-DSA-44","pub":"AA"}"#,
        r#"{"kty":"oct","k":"AAAA"}"#,
        "{}",
    ];
    let keys = set(&odd.map(str::to_owned));
    assert!(keys.is_empty());
    for bad in ["", "[]", "{}", r#"{"keys":{}}"#, r#"{"keys":[1]}"#] {
        assert_eq!(
            error_code(KeySet::parse(bad).map(drop)),
            Err("jwks.malformed"),
            "{bad}"
        );
    }
}
