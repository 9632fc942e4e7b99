#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

use super::*;
use crate::issuer::Issuer;
use crate::quirk::Rules;
use crate::redirect_uri::RedirectUri;
use crate::testing::{error_code, server};

const BODY: &str = r#""client_id":"c","client_secret":"S3CR3T","client_secret_expires_at":2893276800,
    "redirect_uris":["https://app.example/cb"],"token_endpoint_auth_method":"client_secret_basic",
    "registration_access_token":"R3GT0K3N","registration_client_uri":"https://as.example/r/c""#;

fn requested_metadata() -> ClientMetadata {
    ClientMetadata::with_redirect_uris([RedirectUri::parse("https://app.example/cb").unwrap()])
}

fn read(text: &str, before: RegistrationContext<'_>) -> Result<RegisteredClient, Error> {
    let Ok(Json::Object(object)) = json::parse(text) else {
        panic!("{text}")
    };
    RegisteredClient::read(&server(), object, before)
}

fn parse_registration(members: &str) -> Result<RegisteredClient, Error> {
    read(
        &format!("{{{members}}}"),
        RegistrationContext::Requested(&requested_metadata()),
    )
}

fn registered_client() -> RegisteredClient {
    parse_registration(BODY).unwrap()
}

#[test]
fn registration_response_overrides_the_request_and_omitted_members_are_kept() {
    let client = parse_registration(
        r#""client_id":"c","redirect_uris":["https://app.example/cb"],"grant_types":["authorization_code"],
        "token_endpoint_auth_method":"none","client_name":"Other","application_type":"odd","x":1"#,
    );
    let client = client.unwrap();
    assert_eq!(client.metadata.client_name.as_deref(), Some("Other"));
    assert_eq!(client.metadata.auth_method(), "none");
    // The member is ignored here and sent back in an update.
    assert_eq!(
        client.metadata.extra.get("application_type"),
        Some(&"odd".into())
    );
    assert_eq!(client.metadata.extra.get("x"), Some(&1.into()));

    let silent =
        parse_registration(r#""client_id":"c","token_endpoint_auth_method":"none""#).unwrap();
    assert_eq!(
        silent.metadata.redirect_uris,
        requested_metadata().redirect_uris
    );
}

#[test]
fn secret_expiry_is_read_and_its_absence_is_warned_about() {
    let with = |end: &str| {
        parse_registration(&format!(
            r#""client_id":"c","client_secret":"s","token_endpoint_auth_method":"client_secret_post"{end}"#
        ))
    };
    let end = |end: &str| error_code(with(end).map(|client| client.client_secret_expires_at));
    assert_eq!(end(r#","client_secret_expires_at":0"#), Ok(None));
    let at = UnixTime::from_secs(5);
    assert_eq!(end(r#","client_secret_expires_at":5"#), Ok(Some(at)));
    assert_eq!(end(""), Ok(None));
    let unsaid = with("").unwrap();
    assert_eq!(unsaid.warnings, [Warning::SecretExpiryMissing]);
    assert!(!unsaid.is_secret_expired(UnixTime::from_secs(u64::MAX)));
    assert_eq!(
        end(r#","client_secret_expires_at":"soon""#),
        Err("registration.malformed")
    );
    // A number in a string is accepted as in other replies, and `client_id_issued_at` is ignored.
    assert_eq!(end(r#","client_secret_expires_at":"5""#), Ok(Some(at)));
    assert_eq!(end(r#","client_secret_expires_at":"0""#), Ok(None));
    let issued = r#","client_secret_expires_at":0,"client_id_issued_at":"2026-11-29T09:00:00Z""#;
    assert_eq!(end(issued), Ok(None));
    let strict = server().with_rules(Rules {
        strictness: Strictness::Strict,
        ..Rules::default()
    });
    for (member, text) in [
        (
            "client_secret_expires_at",
            r#"{"client_id":"c","client_secret_expires_at":"5"}"#,
        ),
        (
            "client_secret_expires_at",
            r#"{"client_id":"c","client_secret":"s"}"#,
        ),
        (
            "client_id_issued_at",
            r#"{"client_id":"c","client_id_issued_at":"5"}"#,
        ),
    ] {
        let Ok(Json::Object(object)) = json::parse(text) else {
            panic!("{text}")
        };
        let read = RegisteredClient::read(
            &strict,
            object,
            RegistrationContext::Requested(&requested_metadata()),
        );
        assert_eq!(read.unwrap_err().detail(), Some(member));
    }
    let client = with(r#","client_secret_expires_at":5"#).unwrap();
    assert!(!client.is_secret_expired(UnixTime::from_secs(4)));
    assert!(client.is_secret_expired(at));
}

#[test]
fn secret_is_ignored_for_public_clients_and_required_for_secret_methods() {
    let public = parse_registration(
        r#""client_id":"c","client_secret":"S3CR3T","client_secret_expires_at":9,"token_endpoint_auth_method":"none""#,
    )
    .unwrap();
    assert!(public.client_secret.is_none() && public.client_secret_expires_at.is_none());
    assert_eq!(public.warnings, [Warning::SecretIgnored]);
    assert!(!public.to_json().expose().contains("S3CR3T"));
    let credentials = Credentials::secret("hunter22");
    assert_eq!(public.auth(credentials).unwrap().name(), "none");

    let without = parse_registration(r#""client_id":"c""#).unwrap_err();
    assert_eq!(
        (without.code(), without.detail()),
        ("registration.malformed", Some("client_secret"))
    );
}

#[test]
fn unrequested_or_empty_redirect_uris_are_refused() {
    for uris in [
        "[]",
        r#"["https://evil.example/"]"#,
        r#"["https://app.example/cb","https://evil.example/"]"#,
        r#"["https://app.example/cb/"]"#,
    ] {
        let members = format!(
            r#""client_id":"c","token_endpoint_auth_method":"none","redirect_uris":{uris}"#
        );
        assert_eq!(
            error_code(parse_registration(&members).map(|_| ())),
            Err("registration.redirect_uri"),
            "{uris}"
        );
    }
    let no_list = r#""client_id":"c","token_endpoint_auth_method":"none","redirect_uris":"x""#;
    assert_eq!(
        error_code(parse_registration(no_list).map(|_| ())),
        Err("registration.malformed")
    );
}

/// A loopback address without a port covers every port (RFC 8252 section 7.3), so a server may leave out the one that was
/// requested.
#[test]
fn a_loopback_redirect_uri_may_be_registered_without_its_port() {
    let requested = RedirectUri::parse("http://127.0.0.1:4711/callback").unwrap();
    let requested = ClientMetadata::with_redirect_uris([requested]);
    let register = |uri: &str| {
        let members = format!(
            r#"{{"client_id":"c","token_endpoint_auth_method":"none","redirect_uris":["{uri}"]}}"#
        );
        error_code(read(&members, RegistrationContext::Requested(&requested)).map(drop))
    };
    for uri in [
        "http://127.0.0.1:4711/callback",
        "http://127.0.0.1/callback",
    ] {
        assert_eq!(register(uri), Ok(()), "{uri}");
    }
    for uri in [
        "http://127.0.0.1:4712/callback",
        "http://127.0.0.1/other",
        "http://localhost/callback",
        "http://[::1]/callback",
        "https://127.0.0.1/callback",
    ] {
        assert_eq!(register(uri), Err("registration.redirect_uri"), "{uri}");
    }
}

#[test]
fn registration_client_uri_must_be_a_valid_endpoint() {
    let with = |uri: &str| {
        let members = format!(
            r#""client_id":"c","token_endpoint_auth_method":"none","registration_access_token":"t",
            "registration_client_uri":{uri}"#
        );
        error_code(parse_registration(&members).map(|client| client.management().is_ok()))
    };
    assert_eq!(with(r#""https://as.example/r""#), Ok(true));
    assert_eq!(with("null"), Ok(false));
    assert_eq!(
        with(r#""http://as.example/r""#),
        Err("metadata.endpoint_not_https")
    );
    assert_eq!(with(r#""/r""#), Err("metadata.endpoint_not_absolute"));
    assert_eq!(with("7"), Err("registration.malformed"));
}

#[test]
fn registration_access_token_must_be_valid_in_a_header() {
    let with = |token: &str| {
        let members = format!(
            r#""client_id":"c","token_endpoint_auth_method":"none","registration_access_token":"{token}",
            "registration_client_uri":"https://as.example/r""#
        );
        error_code(parse_registration(&members).map(|client| client.management().is_ok()))
    };
    assert_eq!(with("a.b~c!"), Ok(true));
    assert_eq!(with(""), Ok(false));
    for token in [r"a\r\nX: y", "a b", r"a\u0000", "t\u{f6}k"] {
        assert_eq!(with(token), Err("registration.malformed"), "{token}");
    }
}

#[test]
fn renewed_credentials_replace_the_old_and_omitted_ones_are_kept() {
    let known = registered_client();
    let answer = r#"{"client_id":"c","registration_access_token":"t2","token_endpoint_auth_method":"client_secret_basic"}"#;
    let client = read(answer, RegistrationContext::Known(&known)).unwrap();
    let text = client.to_json();
    assert!(
        text.expose()
            .contains(r#""registration_access_token":"t2""#)
    );
    assert!(text.expose().contains(r#""client_secret":"S3CR3T""#));
    assert_eq!(
        client.client_secret_expires_at,
        known.client_secret_expires_at
    );
    assert_eq!(
        client.registration_client_uri,
        known.registration_client_uri
    );

    let answer = r#"{"client_id":"c","client_secret":"s2","client_secret_expires_at":0}"#;
    let client = read(
        answer,
        RegistrationContext::Replaced(&known, &known.metadata),
    )
    .unwrap();
    assert!(client.client_secret.unwrap().matches("s2"));
    assert_eq!(client.client_secret_expires_at, None);

    let other = read(r#"{"client_id":"d"}"#, RegistrationContext::Known(&known));
    assert_eq!(error_code(other.map(|_| ())), Err("registration.client_id"));
}

#[test]
fn registration_round_trips_through_storage_for_its_server_only() {
    let client = registered_client();
    let text = client.to_json();
    let again = RegisteredClient::from_json(text.expose(), &server()).unwrap();
    assert_eq!(again.to_json().expose(), text.expose());
    assert_eq!(again.metadata.redirect_uris, client.metadata.redirect_uris);

    let other = Server::new(Issuer::parse("https://other.example").unwrap());
    let foreign = RegisteredClient::from_json(text.expose(), &other);
    assert_eq!(error_code(foreign.map(|_| ())), Err("stored.issuer"));
    let newer = text.expose().replace(r#""version":1"#, r#""version":2"#);
    for odd in [
        "",
        "[]",
        "{}",
        &newer,
        &text
            .expose()
            .replace(r#""client_id":"c""#, r#""client_id":7"#),
        &text
            .expose()
            .replace(r#""redirect_uris":["#, r#""redirect_uris":[7,"#),
    ] {
        let read = RegisteredClient::from_json(odd, &server());
        assert_eq!(
            error_code(read.map(|_| ())),
            Err("stored.malformed"),
            "{odd}"
        );
    }
}

#[test]
fn debug_and_errors_show_no_registration_secret() {
    let shown = format!("{:?} {:#?}", registered_client(), registered_client());
    assert!(!shown.contains("S3CR3T") && !shown.contains("R3GT0K3N"));
    let error = parse_registration(&BODY.replace("2893276800", r#""S3CR3T""#)).unwrap_err();
    assert!(!format!("{error} {error:?}").contains("S3CR3T"));
}
