use super::*;

#[test]
fn no_text_of_a_peer_changes_how_a_terminal_shows_it() {
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
        let said = ServerError::of_code(&text).with_description(Some(&text), Some(&text));
        assert_eq!(
            (said.error(), said.description(), said.uri()),
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
fn a_detail_is_cut_at_200_characters() {
    let error = Error::from(ProtocolViolation::TokenShape).about(&"\u{e9}".repeat(500));
    assert_eq!(
        error.detail().map(|detail| detail.chars().count()),
        Some(200)
    );
}

#[test]
fn what_cannot_be_repeated_is_never_advised_to_be() {
    let busy = || Error::from(ServerError::of_status(503));
    assert_eq!(busy().advice().as_str(), "retry");
    assert_eq!(busy().once_only().advice().as_str(), "reauthorize");
}

/// The refresh token was good before: what passes says nothing of it.
#[test]
fn what_passes_is_waited_for_where_a_refresh_token_was_refused() {
    for status in [408, 425, 429, 500, 501, 502, 503, 504, 520, 599] {
        let error = || Error::from(ServerError::of_status(status));
        assert_eq!(error().of_refresh().advice().as_str(), "retry", "{status}");
    }
    let error = Error::from(ServerError::of_status(404));
    assert_eq!(error.of_refresh().advice().as_str(), "give_up");
}

#[test]
fn what_may_be_spent_is_told_where_no_answer_came() {
    let unknown = || Error::lost(Cause::unknown("no answer"));
    let spent = "the code may be spent";
    assert!(unknown().once_only().to_string().contains(spent));
    assert!(!unknown().to_string().contains(spent));
    // It was never sent, or it was answered.
    let unsent = Error::lost(Cause::unsent("no connection"));
    for error in [unsent, ServerError::of_status(503).into()] {
        assert!(!error.once_only().to_string().contains(spent));
    }
}
