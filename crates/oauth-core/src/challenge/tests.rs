use super::*;

fn headers(fields: &[&[u8]]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for field in fields {
        let field = HeaderValue::from_bytes(field).unwrap_or_else(|_| unreachable!());
        headers.append(WWW_AUTHENTICATE, field);
    }
    headers
}

/// The schemes and parameters of the valid challenges, and whether all were valid.
fn summary((challenges, is_whole): (Vec<Challenge>, bool)) -> (String, bool) {
    let one = |challenge: &Challenge| {
        let params = challenge.params.iter();
        let params: Vec<_> = params
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        format!("{} {}", challenge.scheme, params.join(","))
    };
    let all: Vec<_> = challenges.iter().map(one).collect();
    (all.join("; "), is_whole)
}

fn parse_one(fields: &[&[u8]]) -> (String, bool) {
    summary(valid_challenges(&headers(fields)))
}

#[test]
fn non_ascii_byte_in_a_quoted_string_is_kept_in_the_value() {
    for (bytes, text) in [
        (
            &b"Bearer error=\"invalid_token\", error_description=\"re\xe9\""[..],
            "re\u{fffd}",
        ),
        (
            b"Bearer error=\"invalid_token\", error_description=\"re\xc3\xa9\"",
            "re\u{e9}",
        ),
    ] {
        let want = format!("bearer error=invalid_token,error_description={text}");
        assert_eq!(parse_one(&[bytes]), (want, true));
    }
}

#[test]
fn unreadable_challenge_does_not_affect_the_other_challenges() {
    let bearer = b"Bearer error=\"insufficient_scope\", scope=\"write\"";
    let want = "bearer error=insufficient_scope,scope=write";
    for odd in [
        &b"Custom realm=https://x/"[..],
        b"Custom realm=\"x",
        b"Custom re\xe9=x",
        b"=x",
        b"Custom realm=\"a\" junk",
        b"Custom; x",
        b"@@@",
    ] {
        assert_eq!(
            parse_one(&[odd, bearer]),
            (want.to_owned(), false),
            "{odd:?}"
        );
        assert_eq!(
            parse_one(&[bearer, odd]),
            (want.to_owned(), false),
            "{odd:?}"
        );
    }
    let one = b"Custom realm=https://x/, a=\"b, c\", Bearer error=\"insufficient_scope\", scope=\"write\"";
    assert_eq!(parse_one(&[one]), (want.to_owned(), false));
    let one = b"Bearer error=\"insufficient_scope\", scope=\"write\", Custom realm=https://x/, b=c";
    assert_eq!(parse_one(&[one]), (want.to_owned(), false));
    // Part of the Bearer challenge is invalid, so the whole challenge is ignored.
    let one = b"Bearer error=\"insufficient_scope\", realm=https://x/, Basic realm=\"y\"";
    assert_eq!(parse_one(&[one]), ("basic realm=y".to_owned(), false));
}

#[test]
fn control_character_invalidates_only_its_own_challenge() {
    let mut challenges = Vec::new();
    let rest = "Custom realm=\"a\u{7}b\", x=y, Bearer error=\"invalid_token\"";
    let is_whole = Reader::new(rest).read(&mut challenges);
    assert_eq!(
        summary((challenges, is_whole)),
        ("bearer error=invalid_token".to_owned(), false)
    );
    assert!(parse(["Bearer realm=\"a\nb\""]).is_err());
    assert!(parse(["Bearer realm=\"a\tb\\\t\""]).is_ok());
    // Those beyond ASCII are "obs-text" (RFC 9110 section 5.6.4).
    assert!(parse(["Bearer realm=\"a\u{85}b\\\u{93}\""]).is_ok());
    assert!(parse(["Bearer\trealm\t=\ta\t,\tb=c"]).is_ok());
}

#[test]
fn junk_after_a_scheme_or_value_is_refused() {
    for field in [
        "Bearer;x",
        "Bearer realm=\"a\"b",
        "Bearer realm=a b",
        "Bearer a=b c=d",
        "Bearer Basic realm=\"a\"",
        "Bearer a b=c",
        "Negotiate a b",
        "Negotiate a*b",
        "Bearer realm=\"\\\u{1}\"",
    ] {
        assert!(parse([field]).is_err(), "{field}");
    }
}

#[test]
fn numbers_of_challenges_and_parameters_are_limited() {
    let many = "a,".repeat(MAX_CHALLENGES);
    assert!(parse([many.as_str()]).is_ok());
    let more = "a,".repeat(100_000);
    let mut challenges = Vec::new();
    assert!(!Reader::new(&more).read(&mut challenges));
    assert_eq!(challenges.len(), MAX_CHALLENGES);
    let params = |count: usize| {
        let params: Vec<_> = (0..count).map(|n| format!("p{n}=v")).collect();
        format!("Bearer {}", params.join(", "))
    };
    assert!(parse([params(MAX_PARAMS).as_str()]).is_ok());
    assert!(parse([params(MAX_PARAMS + 1).as_str()]).is_err());
}
