//! The expiry times in a token response other than that of the access token.
#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::moment::UnixTime;
use crate::testing::at;

fn expirations(tokens: &Tokens) -> (Option<u64>, Option<u64>) {
    let since = |end: Option<UnixTime>| end.map(|end| end.as_secs() - tokens.received_at.as_secs());
    (
        since(tokens.refresh_token_expires_at()),
        since(tokens.authorization_expires_at),
    )
}

fn read(client: &Client, members: &str) -> Result<Tokens, Error> {
    tokens_from_reply(client, "", &format!(r#","refresh_token":"r"{members}"#))
}

#[test]
fn refresh_timeout_and_authorization_expiry_are_read_and_stored() {
    let members = r#","refresh_token_timeout":60,"authorization_expires_in":"90.5""#;
    let tokens = read(&client(), members).unwrap();
    assert_eq!(expirations(&tokens), (Some(60), Some(90)));
    assert!(tokens.extra.get("refresh_token_timeout").is_none());
    let stored = Tokens::from_json(tokens.to_json().expose()).unwrap();
    assert_eq!(expirations(&stored), (Some(60), Some(90)));
    // Tokens without these times keep their storage format.
    let text = read(&client(), "").unwrap().to_json();
    assert!(!text.expose().contains("until") && !text.expose().contains("use_by"));
}

#[test]
fn malformed_lifetime_is_warned_about_or_refused_by_strict_rules() {
    for malformed in ["-1", "[]", "\"soon\"", "1700000000"] {
        let members = format!(
            r#","refresh_token_timeout":{malformed},"authorization_expires_in":{malformed}"#
        );
        let tokens = read(&client(), &members).unwrap();
        assert_eq!(expirations(&tokens), (None, None), "{malformed}");
        let codes: Vec<_> = tokens
            .warnings
            .iter()
            .map(|warning| warning.code())
            .collect();
        let expected = [
            "malformed_refresh_token_timeout",
            "malformed_authorization_expires_in",
        ];
        assert_eq!(codes, expected, "{malformed}");
    }
    for malformed in ["-1", "\"60\""] {
        let members = format!(r#","authorization_expires_in":{malformed}"#);
        let error = read(&strict_client(), &members).unwrap_err();
        let facts = (error.code(), error.detail());
        assert_eq!(
            facts,
            ("token_response.malformed", Some("authorization_expires_in"))
        );
    }
    let beyond_limit = read(&client(), r#","refresh_token_timeout":1e300"#).unwrap();
    assert_eq!(
        expirations(&beyond_limit).0,
        Some(crate::token::MAX_LIFETIME)
    );
}

#[test]
fn earlier_of_timeout_and_authorization_expiry_applies() {
    let members = r#","refresh_token_timeout":90,"authorization_expires_in":60"#;
    let tokens = read(&client(), members).unwrap();
    assert_eq!(expirations(&tokens), (Some(60), Some(60)));
    assert_eq!(
        tokens.warnings,
        [Warning::RefreshTokenTimeoutExceedsAuthorization]
    );
    let members = r#","expires_in":3600,"authorization_expires_in":60"#;
    let tokens = read(&client(), members).unwrap();
    assert_eq!(
        tokens.expires_at(),
        tokens.authorization_expires_at,
        "no access token outlives it"
    );
    assert_eq!(tokens.expires_in, Some(3600), "as it came");
}

fn refresh_without_rotation(expires_at: Option<u64>, until: Option<u64>, members: &str) -> Tokens {
    let client = client();
    let mut token = client.refresh_token("r0", Scope::none());
    token.expires_at = expires_at.map(UnixTime::from_secs);
    token.authorization_expires_at = until.map(UnixTime::from_secs);
    let body = format!(r#"{{"access_token":"a","token_type":"Bearer"{members}}}"#);
    run_with_reply(client.refresh(&token), json(200, &body)).unwrap()
}

#[test]
fn refresh_without_rotation_replaces_or_clears_stored_lifetimes() {
    let now = at().now().as_secs();
    let until = Some(now + 500);
    let both = r#","refresh_token_timeout":60,"authorization_expires_in":90"#;
    assert_eq!(
        expirations(&refresh_without_rotation(Some(now + 10), until, both)),
        (Some(60), Some(90))
    );
    // The refresh token was just used, so the earlier idle timeout no longer applies.
    assert_eq!(
        expirations(&refresh_without_rotation(Some(now + 10), until, "")),
        (None, Some(500))
    );
    let idle = r#","refresh_token_timeout":900"#;
    assert_eq!(
        expirations(&refresh_without_rotation(None, until, idle)),
        (Some(500), Some(500))
    );
    // The successful refresh disproves the stored expiry.
    assert_eq!(
        expirations(&refresh_without_rotation(None, Some(now), "")),
        (None, None)
    );
}

#[test]
fn rotated_refresh_token_does_not_inherit_lifetimes() {
    let now = at().now().as_secs();
    let members = r#","refresh_token":"r1""#;
    let tokens = refresh_without_rotation(Some(now + 10), Some(now + 10), members);
    assert_eq!(expirations(&tokens), (None, None));
}

#[test]
fn custom_lifetime_member_is_read_only_under_its_quirk() {
    let member = || "refresh_token_expires_in".to_owned();
    let idle = client_with_quirks([Quirk::RefreshTokenTimeoutMember(member())]);
    let fixed = client_with_quirks([Quirk::AuthorizationExpiresInMember(member())]);
    let members = r#","refresh_token_expires_in":"60""#;
    assert_eq!(
        expirations(&read(&client(), members).unwrap()),
        (None, None)
    );
    let tokens = read(&idle, members).unwrap();
    assert_eq!(expirations(&tokens), (Some(60), None));
    assert!(
        tokens.extra.get("refresh_token_expires_in").is_some(),
        "what the program reads already stays where it is"
    );
    assert_eq!(
        expirations(&read(&fixed, members).unwrap()),
        (None, Some(60))
    );
    // The standard member takes precedence; zero means no expiry.
    let both = r#","refresh_token_expires_in":60,"refresh_token_timeout":30"#;
    assert_eq!(expirations(&read(&idle, both).unwrap()).0, Some(30));
    let without_expiry = read(&idle, r#","refresh_token_expires_in":0"#).unwrap();
    assert_eq!(
        (expirations(&without_expiry).0, without_expiry.warnings),
        (None, vec![])
    );
    let malformed = read(&idle, r#","refresh_token_expires_in":"soon""#).unwrap();
    assert_eq!(malformed.warnings, [Warning::MalformedRefreshTokenTimeout]);
}

#[test]
fn camel_case_lifetime_members_are_read_under_their_quirk() {
    let camel = client_with_quirks([Quirk::CamelCaseResponse]);
    let tokens = read(&camel, r#","refreshTokenTimeout":60"#).unwrap();
    assert_eq!(expirations(&tokens).0, Some(60));
}
