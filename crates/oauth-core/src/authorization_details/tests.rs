use super::*;

fn parse(text: &str) -> Result<AuthorizationDetails, &'static str> {
    AuthorizationDetails::parse(text).map_err(|error| error.code())
}

#[test]
fn details_round_trip_through_json_and_debug_hides_values() {
    let detail = AuthorizationDetail::new("account_information")
        .location("https://api.example")
        .action("read")
        .action("list")
        .datatype("balance")
        .privilege("admin")
        .identifier("a1")
        .member("recurring", true);
    let all: AuthorizationDetails = [detail.clone()].into_iter().collect();
    assert_eq!(parse(&all.to_json()), Ok(all.clone()));
    assert_eq!(detail.kind(), "account_information");
    assert_eq!(detail.get("recurring"), Some(&Value::from(true)));
    let shown = format!("{all:?}");
    assert!(
        shown.contains("identifier") && !shown.contains("a1"),
        "{shown}"
    );
}

#[test]
fn malformed_authorization_details_are_refused() {
    for text in [
        "",
        "{}",
        "[1]",
        "[{}]",
        r#"[{"type":""}]"#,
        r#"[{"type":1}]"#,
        r#"[{"type":"a","actions":"read"}]"#,
        r#"[{"type":"a","actions":[1]}]"#,
        r#"[{"type":"a","identifier":1}]"#,
        r#"[{"type":"a"},{"actions":["read"]}]"#,
        r#"[{"type":"a","type":"b"}]"#,
    ] {
        assert_eq!(
            parse(text),
            Err("authorization_details.malformed"),
            "{text}"
        );
    }
    assert_eq!(parse("[]").map(|all| all.is_empty()), Ok(true));
}

#[test]
fn missing_from_lists_the_details_not_granted() -> Result<(), &'static str> {
    let expected = parse(
        r#"[{"type":"payment","actions":["initiate","status"],"identifier":"p1"},{"type":"accounts"}]"#,
    )?;
    let remaining = |granted: &str| -> Result<Vec<String>, &'static str> {
        let granted = parse(granted)?;
        let remaining = expected
            .missing_from(&granted)
            .map(|detail| detail.kind().to_owned());
        Ok(remaining.collect())
    };
    // In any order, with more than was asked for, and with members that the server added.
    let all = r#"[{"type":"accounts","ids":[1]},{"type":"payment","actions":["status","initiate","cancel"],"identifier":"p1"}]"#;
    assert_eq!(remaining(all)?, Vec::<String>::new());
    assert_eq!(remaining("[]")?, ["payment", "accounts"]);
    for less in [
        r#"[{"type":"accounts"},{"type":"payment","actions":["status"],"identifier":"p1"}]"#,
        r#"[{"type":"accounts"},{"type":"payment","actions":["initiate","status"],"identifier":"p2"}]"#,
        r#"[{"type":"accounts"},{"type":"payment","actions":["initiate","status"]}]"#,
    ] {
        assert_eq!(remaining(less)?, ["payment"], "{less}");
    }
    Ok(())
}
