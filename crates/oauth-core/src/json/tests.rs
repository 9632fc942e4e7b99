use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::*;
use crate::quirk::{Quirk, Rules, Strictness};
use crate::scope::Scope;

fn code(text: &str) -> Result<(), &'static str> {
    parse(text).map(drop).map_err(|error| error.code())
}

fn seconds(number: &str) -> Option<u64> {
    match parse(&format!(r#"{{"n":{number},"s":"1e999"}}"#)) {
        Ok(Json::Object(object)) => {
            assert_eq!(object.get("s").and_then(Json::as_str), Some("1e999"));
            object.get("n")?.as_seconds()
        }
        _ => None,
    }
}

#[test]
fn nesting_duplicates_and_trailing_text_have_specific_codes() {
    let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
    assert_eq!(code(&nested(64)), Ok(()));
    assert_eq!(code(&nested(65)), Err("reply.nesting"));
    assert_eq!(code(&"[".repeat(100_000)), Err("reply.nesting"));
    assert_eq!(
        code(r#"{"a":1,"b":{"c":1,"c":2}}"#),
        Err("reply.duplicate_member")
    );
    assert_eq!(code(r#"{"a":1,"\u0061":2}"#), Err("reply.duplicate_member"));
    assert_eq!(code("{} x"), Err("reply.json"));
}

#[test]
fn values_and_members_are_limited_at_any_depth() {
    let list = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert_eq!(code(&list(MAX_VALUES)), Ok(()));
    assert_eq!(code(&list(MAX_VALUES + 1)), Err("reply.too_many_values"));
    // Each element counts twice: the object and its member.
    let objects = |count: usize| format!("[{}]", vec![r#"{"":0}"#; count].join(","));
    assert_eq!(code(&objects(MAX_VALUES / 2)), Ok(()));
    assert_eq!(
        code(&objects(MAX_VALUES / 2 + 1)),
        Err("reply.too_many_values")
    );
}

#[test]
fn duplicate_is_detected_in_objects_of_any_size() {
    let object = |names: &[String]| {
        let members: Vec<_> = names.iter().map(|name| format!(r#""{name}":0"#)).collect();
        format!("{{{}}}", members.join(","))
    };
    for count in [2, 16, 17, 18, 100] {
        let names: Vec<_> = (0..count).map(|n| format!("m{n}")).collect();
        assert_eq!(code(&object(&names)), Ok(()), "{count}");
        for (at, copied) in [(count - 1, 0), (count - 1, count - 2), (1, 0)] {
            let mut twice = names.clone();
            if let Some(place) = twice.get_mut(at) {
                *place = format!("m{copied}");
            }
            assert_eq!(
                code(&object(&twice)),
                Err("reply.duplicate_member"),
                "{count} {at} {copied}"
            );
        }
    }
}

#[test]
fn out_of_range_numbers_saturate() {
    assert_eq!(seconds("1e999"), Some(u64::MAX));
    assert_eq!(seconds(&"9".repeat(400)), Some(u64::MAX));
    assert_eq!(seconds("18446744073709551616"), Some(u64::MAX));
    assert_eq!(seconds("3600.5"), Some(3600));
    assert_eq!(seconds("-1e999"), None);
    assert_eq!(seconds("1e-999"), Some(0));
    assert_eq!(code(r#"{"n":1e999,"m":}"#), Err("reply.json"));
    assert_eq!(code(r#"{"n":1e999,"n":1}"#), Err("reply.duplicate_member"));
}

#[test]
fn owned_copy_is_limited_in_size() {
    let Ok(Json::Object(object)) = parse(r#"{"a":"xxxxxxxxxx","b":[{"c":1}],"d":1}"#) else {
        unreachable!()
    };
    let names = |limit| {
        let (map, is_complete) = object.to_map_within(limit);
        (
            map.keys().cloned().collect::<Vec<_>>().join(","),
            is_complete,
        )
    };
    assert_eq!(names(4096), ("a,b,d".to_owned(), true));
    assert_eq!(names(400), ("a,d".to_owned(), false));
    assert_eq!(names(0), (String::new(), false));
}

#[test]
fn booleans_and_times_are_read_from_compatible_values() {
    let value = |text: &'static str| parse(text).unwrap_or(Json::Null);
    assert_eq!(value("true").as_bool_or_text(), Some(true));
    assert_eq!(value(r#""true""#).as_bool_or_text(), Some(true));
    assert_eq!(value(r#""false""#).as_bool_or_text(), Some(false));
    assert_eq!(value(r#""TRUE""#).as_bool_or_text(), None);
    assert_eq!(value("1").as_bool_or_text(), None);
    assert_eq!(value("0.0").as_seconds(), Some(0));
    assert_eq!(value("-0.5").as_seconds(), None);
    assert_eq!(value("-1").as_seconds(), None);
}

#[test]
fn string_escapes_are_decoded_and_invalid_ones_refused() {
    let text = |text: &str| match parse(&format!("\"{text}\"")) {
        Ok(Json::String(text)) => Some(text.into_owned()),
        _ => None,
    };
    let read = [
        (r#"\"\\\/\b\f\n\r\t"#, Some("\"\\/\u{8}\u{c}\n\r\t")),
        (r"A\u0041\u00e9\u20AC", Some("AA\u{e9}\u{20ac}")),
        (r"\ud83d\ude00 grin", Some("\u{1f600} grin")),
        (r"\ud83d\ud83d", None),
        (r"\ud83d", None),
        (r"\ud83d\u0041", None),
        (r"\ude00", None),
        (r"\u+123", None),
        (r"\u12", None),
        (r"\x41", None),
        ("a\u{1f}b", None),
        ("0123456789\u{0}", None),
        ("0123456\u{7f}", Some("0123456\u{7f}")),
    ];
    for (written, expected) in read {
        assert_eq!(text(written).as_deref(), expected, "{written}");
    }
}

#[test]
fn quirks_are_serialized_as_in_provider_files() {
    fn assert_round_trip<
        T: JsonForm + Serialize + DeserializeOwned + PartialEq + std::fmt::Debug,
    >(
        value: T,
    ) {
        let text = to_text(&value);
        assert_eq!(serde_json::to_string(&value).ok(), Some(text.clone()));
        assert_eq!(serde_json::from_str(&text).ok().as_ref(), Some(&value));
        assert_eq!(from_text(&text), Some(value));
    }
    let one = || "one".to_owned();
    let scope = Scope::parse("a b").unwrap_or_default();
    let quirks = vec![
        Quirk::RawBasic,
        Quirk::BearerAlias(one()),
        Quirk::ScopeDelimiter(','),
        Quirk::ErrorMeans(one(), "two".to_owned()),
        Quirk::ScopeOnRefresh(scope),
    ];
    quirks.iter().cloned().for_each(assert_round_trip);
    assert_round_trip(Rules {
        strictness: Strictness::Strict,
        quirks,
    });
    for bad in [
        r#""no_such""#,
        r#"{"raw_basic":1,"bearer_alias":"a"}"#,
        r#"{"error_means":["a"]}"#,
    ] {
        assert_eq!(from_text::<Quirk>(bad), None, "{bad}");
    }
}

proptest! {
    /// serde_json reads and writes the same.
    #[test]
    fn parser_agrees_with_serde_json(text in r#"[ \[\]{},:"\\/0-9eE+.\-a-ftrunl]{0,24}"#) {
        let theirs: Option<Value> = serde_json::from_str(&text).ok();
        match (parse(&text), theirs) {
            (Ok(ours), Some(theirs)) => {
                prop_assert_eq!(value_text(&theirs), theirs.to_string());
                prop_assert_eq!(value_text(&ours.to_value()), theirs.to_string());
            }
            // serde_json accepts duplicate members and rejects numbers out of range.
            (Err(error), Some(_)) => prop_assert_eq!(error.code(), "reply.duplicate_member"),
            (Ok(_), None) => prop_assert!(text.contains(['e', 'E'])),
            (Err(_), None) => {}
        }
    }

    #[test]
    fn written_values_are_read_back_unchanged(text in any::<String>(), float in any::<f64>(), whole in any::<i64>()) {
        let value = serde_json::json!([text, float, whole, { text.as_str(): null }]);
        prop_assert_eq!(value_text(&value), value.to_string());
        prop_assert_eq!(parse(&value.to_string()).ok().map(|json| json.to_value()), Some(value));
    }
}
