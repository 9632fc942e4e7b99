//! Who may act for the subject of a token.

use super::{AT_JWT, claims, token, verifier, verify};
use crate::json::{Value, value_text};
use crate::token::access_token::ProvenKeys;

/// RFC 8693 section 4.4: an object of claims that identify who may act for the subject, and nothing else.
#[test]
fn may_act_is_returned_only_if_it_is_an_object() {
    let verified_with = |more: &str| {
        let token = token(AT_JWT, &claims(more));
        let token = verify(&verifier(), &token, ProvenKeys::none()).unwrap();
        let may_act = token.may_act().cloned().map(Value::Object);
        may_act.map(|claims| value_text(&claims))
    };
    let actor_claims = r#"{"iss":"https://as.example","sub":"admin@example.com"}"#;
    // Claims inside `may_act` do not affect the token: neither an expiry in the past nor another audience.
    let idle = r#"{"aud":"https://other.example","exp":1,"nbf":9999999999,"sub":"a"}"#;
    for text in [actor_claims, idle, "{}"] {
        assert_eq!(
            verified_with(&format!(r#""may_act":{text}"#)).as_deref(),
            Some(text)
        );
    }
    for text in ["null", r#""admin""#, r#"["admin"]"#, "true", "7"] {
        assert_eq!(
            verified_with(&format!(r#""may_act":{text}"#)),
            None,
            "{text}"
        );
    }
    assert_eq!(verified_with(""), None);
    // The current actor is in another claim (`act`).
    assert_eq!(verified_with(r#""act":{"sub":"a"}"#), None);
}
