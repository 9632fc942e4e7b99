use super::*;

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
fn limits_have_codes_of_their_own() {
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
fn values_and_members_are_counted_wherever_they_stand() {
    let list = |count: usize| format!("[{}]", vec!["0"; count].join(","));
    assert_eq!(code(&list(MAX_VALUES)), Ok(()));
    assert_eq!(code(&list(MAX_VALUES + 1)), Err("reply.too_many_values"));
    // Two for each element: the object and its member.
    let objects = |count: usize| format!("[{}]", vec![r#"{"":0}"#; count].join(","));
    assert_eq!(code(&objects(MAX_VALUES / 2)), Ok(()));
    assert_eq!(
        code(&objects(MAX_VALUES / 2 + 1)),
        Err("reply.too_many_values")
    );
}

#[test]
fn duplicates_are_found_among_many_members() {
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
fn numbers_out_of_range_saturate() {
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
fn a_number_handed_over_as_its_text_is_a_number() {
    // As serde_json writes it once its feature `arbitrary_precision` is on.
    for (text, seconds) in [("3600.0", 3600), ("1e999", u64::MAX)] {
        let text = format!(r#"{{"$serde_json::private::Number":"{text}"}}"#);
        let value = parse(&text);
        assert_eq!(
            value.ok().and_then(|value| value.as_seconds()),
            Some(seconds)
        );
    }
}

#[test]
fn an_owned_copy_is_bounded() {
    let Ok(Json::Object(object)) = parse(r#"{"a":"xxxxxxxxxx","b":[{"c":1}],"d":1}"#) else {
        unreachable!()
    };
    let names = |limit| {
        let (map, is_whole) = object.to_map_within(limit);
        (map.keys().cloned().collect::<Vec<_>>().join(","), is_whole)
    };
    assert_eq!(names(4096), ("a,b,d".to_owned(), true));
    assert_eq!(names(400), ("a,d".to_owned(), false));
    assert_eq!(names(0), (String::new(), false));
}

#[test]
fn booleans_and_times_are_read_from_what_can_be_one() {
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
