#![allow(clippy::unwrap_used)] // tests may panic

use super::*;

#[test]
fn redirect_uri_must_be_https_loopback_or_a_reverse_domain_scheme() {
    for (text, is_good) in [
        ("https://app.example/cb?x=1", true),
        ("http://127.0.0.1/cb", true),
        ("http://[::1]:7/cb", true),
        ("http://localhost:18777/callback", true),
        ("http://[2001:db8::1]/cb", false),
        ("http://app.example/cb", false),
        ("http://localhost.evil.example/cb", false),
        ("https://app.example/cb#f", false),
        ("com.example.app:/cb", true),
        ("com.example.app:cb", false),
        ("com.example.app://cb", true),
        ("example:/cb", false),
        ("javascript:/cb", false),
    ] {
        assert_eq!(RedirectUri::parse(text).is_ok(), is_good, "{text}");
    }
}

fn match_callback(
    ours: &'static str,
    callback: &'static str,
) -> Result<CallbackForm<'static>, &'static str> {
    let uri = RedirectUri::parse(ours).unwrap_or_else(|error| unreachable!("{error}"));
    uri.match_callback(callback)
}

fn at(added: &str) -> Result<CallbackForm<'_>, &'static str> {
    Ok(CallbackForm::Complete { added })
}

#[test]
fn callback_at_another_uri_is_refused() {
    let plain = "https://app.example/cb";
    let with_query = "https://app.example/cb?x=1";
    assert_eq!(
        match_callback(plain, "https://app.example/cb?code=c"),
        at("code=c")
    );
    assert_eq!(
        match_callback(plain, "HTTPS://APP.example:443/cb?code=c#_=_"),
        at("code=c")
    );
    assert_eq!(
        match_callback(with_query, "https://app.example/cb?x=1&code=c"),
        at("code=c")
    );
    assert_eq!(
        match_callback(with_query, "https://app.example/cb?x=1"),
        at("")
    );
    assert_eq!(
        match_callback("https://app.example", "https://app.example/?code=c"),
        at("code=c")
    );
    for (ours, callback) in [
        (plain, "https://evil.example/cb?code=c"),
        (plain, "http://app.example/cb?code=c"),
        (plain, "https://app.example:8443/cb?code=c"),
        (plain, "https://app.example/other?code=c"),
        (plain, "https://app.example/cb/?code=c"),
        (plain, "//app.example/cb?code=c"),
        (plain, "ftp://app.example/cb?code=c"),
        (with_query, "https://evil.example/cb?x=1&code=c"),
        (with_query, "https://app.example/other?x=1&code=c"),
        (with_query, "https://app.example/cb?code=c"),
        (with_query, "https://app.example/cb?x=11&code=c"),
        (with_query, "https://evil.example/cb?x=1"),
        ("com.example.app:/cb", "com.example.other:/cb?code=c"),
        ("com.example.app:/cb", "com.example.app:/other?code=c"),
    ] {
        assert!(match_callback(ours, callback).is_err(), "{ours} {callback}");
    }
    assert_eq!(
        match_callback(plain, "http://app.example/cb?code=c"),
        Err("http://app.example/cb")
    );
}

#[test]
fn only_the_present_parts_of_a_callback_are_compared() {
    let plain = "https://app.example/cb";
    let with_query = "https://app.example/cb?x=1";
    assert_eq!(match_callback(plain, "/cb?code=c"), at("code=c"));
    assert_eq!(match_callback(with_query, "/cb?x=1&code=c"), at("code=c"));
    assert_eq!(
        match_callback("https://app.example", "/?code=c"),
        at("code=c")
    );
    assert_eq!(
        match_callback("com.example.app:/cb", "/cb?code=c"),
        at("code=c")
    );
    for callback in ["/other?code=c", "/cb/?code=c", "/?code=c", "//cb?code=c"] {
        assert!(match_callback(plain, callback).is_err(), "{callback}");
    }
    assert!(match_callback(with_query, "/cb?code=c").is_err());
    let bare = "code=c&iss=https://as.example/a?b";
    assert_eq!(
        match_callback(plain, bare),
        Ok(CallbackForm::ParametersOnly(bare))
    );
    assert_eq!(
        match_callback(plain, "?code=c"),
        Ok(CallbackForm::ParametersOnly("?code=c"))
    );
    assert_eq!(
        match_callback(with_query, "?x=1&code=c"),
        Ok(CallbackForm::ParametersOnly("code=c"))
    );
    assert_eq!(
        match_callback(with_query, "x=1&code=c"),
        Ok(CallbackForm::ParametersOnly("code=c"))
    );
    assert_eq!(
        match_callback(with_query, "code=c"),
        Ok(CallbackForm::ParametersOnly("code=c"))
    );
}

#[test]
fn return_target_must_stay_on_its_origin() {
    let registered =
        Url::parse("https://app.example/x").unwrap_or_else(|error| unreachable!("{error}"));
    let stays = |target: &str| check_return_target(target, &registered).is_ok();
    for valid in [
        "/a",
        "/a?b=c#d",
        "https://app.example/a",
        "https://app.example:443/a",
    ] {
        assert!(stays(valid), "{valid}");
    }
    for bad in [
        "//evil.example",
        "///evil.example",
        "/\\evil.example",
        "\\\\evil.example",
        "https://evil.example/",
        "http://app.example/",
        "https://app.example:8443/",
        "https:evil.example",
        "javascript:alert(1)",
        "/a/../b",
        "/a\tb",
        "",
        "a",
    ] {
        assert!(!stays(bad), "{bad}");
    }
}

#[test]
fn loopback_redirect_uri_without_a_port_allows_any_port() {
    let covers = |registered: &str, named: &str| {
        let uri = |text| RedirectUri::parse(text).unwrap();
        uri(registered).allows_request_uri(&uri(named))
    };
    for (registered, named) in [
        ("http://127.0.0.1/cb", "http://127.0.0.1/cb"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:51004/cb"),
        ("http://[::1]/cb", "http://[::1]:7/cb"),
        ("http://127.0.0.1/cb?a=b", "http://127.0.0.1:7/cb?a=b"),
        ("http://127.0.0.1:7/cb", "http://127.0.0.1:7/cb"),
    ] {
        assert!(covers(registered, named), "{registered} {named}");
    }
    for (registered, named) in [
        ("http://127.0.0.1/cb", "http://127.0.0.1:7/other"),
        ("http://127.0.0.1/cb", "http://127.0.0.1:7/cb?a=b"),
        ("http://127.0.0.1/cb", "http://127.0.0.2:7/cb"),
        ("http://127.0.0.1/cb", "http://[::1]:7/cb"),
        ("http://127.0.0.1:7/cb", "http://127.0.0.1:8/cb"),
        ("http://127.0.0.1:80/cb", "http://127.0.0.1:8/cb"),
        ("http://localhost/cb", "http://localhost:7/cb"),
        ("https://127.0.0.1/cb", "https://127.0.0.1:7/cb"),
        ("https://app.example/cb", "https://app.example:7/cb"),
        ("com.example.app:/cb", "com.example.app:/other"),
    ] {
        assert!(!covers(registered, named), "{registered} {named}");
    }
}
