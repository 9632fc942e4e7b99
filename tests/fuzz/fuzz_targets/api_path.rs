#![no_main]
//! Any text as the path of a forwarded call: it stays below the API's URL, as the sender's parser
//! reads it.

use libfuzzer_sys::fuzz_target;
use oauth_fuzz::site::{API, End, session_cookie, visit};

fuzz_target!(|rest: &str| {
    let Some(End::Forwarded(sent)) = visit(&format!("/auth/api/shop{rest}"), session_cookie())
    else {
        return;
    };
    let url = url::Url::parse(&sent).expect("a URL");
    let api = url::Url::parse(API).expect("a URL");
    assert_eq!(url.origin(), api.origin());
    assert!(url.username().is_empty() && url.password().is_none() && url.fragment().is_none());
    assert!(
        url.path() == "/v1" || url.path().starts_with("/v1/"),
        "{sent}"
    );
    // The parser that sends it changes nothing but an apostrophe in the query (URL Standard, special-query percent-encode
    // set).
    let (path, query) = sent.split_once('?').unwrap_or((&sent, ""));
    let separator = if sent.contains('?') { "?" } else { "" };
    let expected = format!("{path}{separator}{}", query.replace('\'', "%27"));
    assert_eq!(url.as_str(), expected);
});
