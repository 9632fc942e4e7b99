#![allow(clippy::unwrap_used)] // tests may panic

use super::*;

#[test]
fn control_and_bidi_characters_are_removed_from_peer_text() {
    for odd in [
        '\u{0}',
        '\u{7}',
        '\u{1b}',
        '\n',
        '\u{7f}',
        '\u{9b}',
        '\u{ad}',
        '\u{61c}',
        '\u{180e}',
        '\u{200b}',
        '\u{200c}',
        '\u{200d}',
        '\u{200e}',
        '\u{200f}',
        '\u{2028}',
        '\u{2029}',
        '\u{202a}',
        '\u{202e}',
        '\u{2060}',
        '\u{2066}',
        '\u{2069}',
        '\u{206f}',
        '\u{feff}',
        '\u{fff9}',
        '\u{e0001}',
        '\u{e007f}',
    ] {
        let text = format!("a{odd}b");
        assert_eq!(printable(&text), "ab", "{odd:?}");
        let server_error = ServerError::from_code(&text).with_description(Some(&text), Some(&text));
        assert_eq!(
            (
                server_error.error(),
                server_error.description(),
                server_error.uri()
            ),
            (Some("ab"), Some("ab"), Some("ab"))
        );
        assert_eq!(
            Error::from(ProtocolViolation::TokenShape)
                .about(&text)
                .detail(),
            Some("ab")
        );
    }
    assert_eq!(
        printable("h\u{e9} \u{4e2d}\u{6587} \u{1f600}"),
        "h\u{e9} \u{4e2d}\u{6587} \u{1f600}"
    );
}

#[test]
fn error_detail_is_truncated_to_200_characters() {
    let error = Error::from(ProtocolViolation::TokenShape).about(&"\u{e9}".repeat(500));
    assert_eq!(
        error.detail().map(|detail| detail.chars().count()),
        Some(200)
    );
}

#[test]
fn once_only_failure_advises_reauthorization_instead_of_retry() {
    let busy = || Error::from(ServerError::from_status(503));
    assert_eq!(busy().advice().as_str(), "retry");
    assert_eq!(busy().once_only().advice().as_str(), "reauthorize");
}

/// A temporary failure does not mean that the refresh token is invalid.
#[test]
fn temporary_failure_during_refresh_advises_retry() {
    for status in [408, 425, 429, 500, 501, 502, 503, 504, 520, 599] {
        let error = || Error::from(ServerError::from_status(status));
        assert_eq!(
            error().during_refresh().advice().as_str(),
            "retry",
            "{status}"
        );
    }
    let error = Error::from(ServerError::from_status(404));
    assert_eq!(error.during_refresh().advice().as_str(), "give_up");
}

#[test]
fn lost_once_only_request_warns_that_the_code_may_be_used() {
    let unknown = || Error::lost(Cause::unknown("no answer"));
    let spent = "the code may have been used";
    assert!(unknown().once_only().to_string().contains(spent));
    assert!(!unknown().to_string().contains(spent));
    // The request was never sent, or it was answered.
    let unsent = Error::lost(Cause::unsent("no connection"));
    for error in [unsent, ServerError::from_status(503).into()] {
        assert!(!error.once_only().to_string().contains(spent));
    }
}

#[test]
fn error_shows_the_request_url_without_its_query() {
    let refused = || Error::from(ServerError::from_status(404));
    let error = refused()
        .at_url("GET", "https://as.example:8443/a/b?code=s3cret")
        .at_endpoint("metadata");
    assert_eq!(error.url(), Some("https://as.example:8443/a/b"));
    let text = "metadata: GET https://as.example:8443/a/b: the server refused (HTTP 404) \
                [denied.http_status]";
    assert_eq!(error.to_string(), text);
    assert!(!format!("{error:?}{}", serde_json::json!(error)).contains("s3cret"));
    let record = serde_json::json!(error);
    assert_eq!(
        record.get("url"),
        Some(&serde_json::json!("https://as.example:8443/a/b"))
    );
    // The first URL is kept; a request that was not sent has none.
    let again = error.at_url("POST", "https://other.example/");
    assert_eq!(again.url(), Some("https://as.example:8443/a/b"));
    assert_eq!(refused().url(), None);
    // A long endpoint name is truncated in the error.
    let long = format!("https://as.example/{}", "a".repeat(5000));
    let error = refused().at_url("POST", &long).redact(&[]);
    assert_eq!(error.url().map(str::len), Some(300));
}

#[test]
fn api_error_shows_the_origin_without_control_characters() {
    let error = Error::lost(Cause::unsent("refused")).at_origin("https://api.example");
    assert_eq!(error.url(), Some("https://api.example"));
    let text = error.to_string();
    assert!(text.starts_with("https://api.example: "), "{text}");
    // Text from a caller cannot add a line to the log.
    let odd = Error::lost(Cause::unsent("refused")).at_origin("https://a\n\u{1b}[0m\u{202e}b");
    assert_eq!(odd.url(), Some("https://a[0mb"));
}
