#![allow(clippy::unwrap_used)] // tests may panic

use serde_json::json;

use super::*;
use crate::json::Value;
use crate::testing::{NOW, client, error_code, json as json_reply, run_with_reply};

fn tokens(members: &str) -> Tokens {
    let body = format!(r#"{{"access_token":"a","token_type":"Bearer"{members}}}"#);
    let exchange = client().client_credentials(Scope::none());
    run_with_reply(exchange, json_reply(200, &body)).unwrap()
}

#[test]
fn stored_tokens_of_another_version_are_refused() {
    let text = tokens("").to_json();
    let read = |version: u32| {
        let mut stored: Value = serde_json::from_str(text.expose()).unwrap();
        *stored.get_mut("version").unwrap() = json!(version);
        error_code(Tokens::from_json(&stored.to_string())).map(drop)
    };
    assert_eq!(read(1), Ok(()));
    assert_eq!(read(0), Err("stored.malformed"));
    assert_eq!(read(3), Err("stored.malformed"));
    assert_eq!(
        error_code(Tokens::from_json("{}")).map(drop),
        Err("stored.malformed")
    );
}

#[test]
fn missing_member_of_stored_tokens_is_named_in_the_error() {
    let read = |text: &str| Tokens::from_json(text).unwrap_err().to_string();
    let text = tokens("").to_json();
    let stored: Value = serde_json::from_str(text.expose()).unwrap();
    let needed = [
        "version",
        "issuer",
        "client_id",
        "access_token",
        "received_at",
        "scope",
    ];
    for name in stored.as_object().unwrap().keys() {
        let mut less = stored.clone();
        less.as_object_mut().unwrap().remove(name);
        if needed.contains(&name.as_str()) {
            let outcome = read(&less.to_string());
            assert!(
                outcome.contains(&format!(": {name} is missing [")),
                "{outcome}"
            );
        } else {
            assert!(Tokens::from_json(&less.to_string()).is_ok(), "{name}")
        }
    }
    for text in ["", "[]", "{\"version\":1", "a-token"] {
        let outcome = read(text);
        assert!(
            outcome.contains("not a JSON object") && !outcome.contains("a-token"),
            "{outcome}"
        );
    }
}

/// A reader that only knows version 1 would send any token as a bearer token.
#[test]
fn dpop_tokens_are_stored_as_version_2_that_older_readers_refuse() {
    let mut bound = tokens("");
    bound.token_type = TokenType::Dpop;
    let text = bound.to_json();
    let mut stored: Value = serde_json::from_str(text.expose()).unwrap();
    assert_eq!(
        (
            stored.get("version").unwrap(),
            stored.get("token_type").unwrap()
        ),
        (&json!(2), &json!("DPoP"))
    );
    let again = Tokens::from_json(text.expose()).unwrap();
    assert_eq!(again.token_type, TokenType::Dpop);
    *stored.get_mut("version").unwrap() = json!(1);
    let read = Tokens::from_json(&stored.to_string());
    assert_eq!(error_code(read).map(drop), Err("stored.malformed"));
    // Earlier records have no type.
    let mut old: Value = serde_json::from_str(tokens("").to_json().expose()).unwrap();
    assert_eq!(old.get("version"), Some(&json!(1)));
    old.as_object_mut().unwrap().remove("token_type");
    let read = |old: &Value| Tokens::from_json(&old.to_string());
    assert_eq!(read(&old).unwrap().token_type, TokenType::Bearer);
    *old.get_mut("version").unwrap() = json!(2);
    assert_eq!(error_code(read(&old)).map(drop), Err("stored.malformed"));
}

#[test]
fn token_is_fresh_until_its_leeway_begins() {
    let leeway = Duration::from_secs(10);
    let sixty = tokens(r#","expires_in":60"#);
    let at = |second| sixty.freshness(UnixTime::from_secs(NOW + second), leeway);
    assert_eq!(sixty.expires_at(), Some(UnixTime::from_secs(NOW + 60)));
    assert_eq!((at(0), at(49)), (Freshness::Fresh, Freshness::Fresh));
    assert_eq!((at(50), at(60)), (Freshness::Stale, Freshness::Stale));
    let endless = tokens("");
    assert_eq!(
        endless.freshness(UnixTime::from_secs(u64::MAX), leeway),
        Freshness::Unknown
    );
}

#[test]
fn extra_members_are_stored_and_only_their_names_are_shown() {
    let tokens = tokens(r#","user_id":17841400000000001,"session":"SECRET""#);
    let again = Tokens::from_json(tokens.to_json().expose()).unwrap();
    for tokens in [tokens, again] {
        assert_eq!(
            tokens.extra.get("user_id"),
            Some(&json!(17_841_400_000_000_001_u64))
        );
        assert_eq!(tokens.extra.get("other"), None);
        let text = format!("{:?} {tokens:?}", tokens.extra);
        assert!(
            text.contains(r#"{"session", "user_id"}"#) && !text.contains("SECRET"),
            "{text}"
        );
        assert_eq!(tokens.extra.into_iter().count(), 2);
    }
}
