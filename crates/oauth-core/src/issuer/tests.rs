use super::*;

fn code(text: &str) -> Result<(), &'static str> {
    Issuer::parse(text).map(drop).map_err(|error| error.code())
}

#[test]
fn one_issuer_has_one_spelling() {
    assert_eq!(code("https://as.example"), Ok(()));
    assert_eq!(code("https://as.example:8443/t/"), Ok(()));
    assert_eq!(code("https://AS.example"), Err("issuer.not_canonical"));
    assert_eq!(code("https://as.example:443"), Err("issuer.not_canonical"));
    assert_eq!(
        code("https://as.example:443/t"),
        Err("issuer.not_canonical")
    );
    assert_eq!(
        code("https://as.example/a/../b"),
        Err("issuer.not_canonical")
    );
    assert_eq!(code("https://"), Err("issuer.no_host"));
    assert_eq!(code(""), Err("issuer.not_absolute"));
}

#[test]
fn a_tenant_is_a_guid() {
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let rules = Rules {
        quirks: vec![crate::quirk::Quirk::TenantIssuer(template.to_owned())],
        ..Rules::default()
    };
    let common = Issuer::parse("https://login.microsoftonline.com/common/v2.0");
    let common = common.unwrap_or_else(|error| unreachable!("{error}"));
    assert!(
        !common.is(template, &rules),
        "the template itself is nobody"
    );
    assert!(common.is(
        "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        &rules
    ));
    assert!(!common.is("https://login.microsoftonline.com/evil/v2.0", &rules));
    assert!(!common.is(template, &Rules::default()));
}

#[test]
fn a_guid_is_five_groups_of_hexadecimal_digits() {
    for good in [
        "9188040d-6c67-4c5b-b112-36a304b66dad",
        "9188040D-6C67-4C5B-B112-36A304B66DAD",
    ] {
        assert!(is_guid(good), "{good}");
    }
    for bad in [
        "",
        "9188040g-6c67-4c5b-b112-36a304b66dad",
        "9188040d-6c67-4c5b-b112-36a304b66dag",
        "9188040d0-6c67-4c5b-b112-36a304b66dad",
        "9188040d-6c670-4c5b-b112-36a304b66dad",
        "9188040d-6c67-4c5b0-b112-36a304b66dad",
        "9188040d-6c67-4c5b-b1120-36a304b66dad",
        "9188040d-6c67-4c5b-b112-36a304b66dad0",
        "9188040-6c67-4c5b-b112-36a304b66dad",
        "9188040d-6c67-4c5b-b112",
        "9188040d-6c67-4c5b-b112-36a304b66dad-0000",
        "9188040d6c674c5bb11236a304b66dad",
        "----",
    ] {
        assert!(!is_guid(bad), "{bad}");
    }
}

#[test]
fn the_url_of_a_document_is_no_issuer_and_says_whose_it_is() {
    for (text, issuer) in [
        (
            "https://as.example/.well-known/openid-configuration",
            "https://as.example",
        ),
        (
            "https://as.example/t/.well-known/openid-configuration",
            "https://as.example/t",
        ),
        (
            "https://as.example/.well-known/oauth-authorization-server/t",
            "https://as.example/t",
        ),
    ] {
        let error = Issuer::parse(text)
            .map_err(|error| (error.code(), error.detail().unwrap_or_default().to_owned()));
        assert_eq!(
            error.map(drop),
            Err(("issuer.metadata_url", issuer.to_owned()))
        );
    }
    assert!(Issuer::parse("https://as.example/.well-known/openid-configurations").is_ok());
    assert!(Issuer::parse("https://as.example/.well-known").is_ok());
}

#[test]
fn localhost_is_an_issuer_where_loopback_is_asked_for() {
    let over = |text: &str| {
        let issuer = Issuer::parse_over(text, Transport::LoopbackHttp);
        issuer.map(drop).map_err(|error| error.code())
    };
    assert_eq!(over("http://localhost:9998/"), Ok(()));
    assert_eq!(over("http://127.0.0.1:9998"), Ok(()));
    assert_eq!(
        over("http://localhost.evil.example"),
        Err("issuer.not_https")
    );
    assert_eq!(code("http://localhost:9998/"), Err("issuer.not_https"));
}

#[test]
fn a_redirect_uri_is_https_or_on_this_machine_or_of_a_domain() {
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

fn arrived(ours: &'static str, callback: &'static str) -> Result<Arrived<'static>, &'static str> {
    let uri = RedirectUri::parse(ours).unwrap_or_else(|error| unreachable!("{error}"));
    uri.arrived(callback)
}

fn at(added: &str) -> Result<Arrived<'_>, &'static str> {
    Ok(Arrived::At { added })
}

#[test]
fn a_callback_at_another_place_is_refused() {
    let plain = "https://app.example/cb";
    let with_query = "https://app.example/cb?x=1";
    assert_eq!(
        arrived(plain, "https://app.example/cb?code=c"),
        at("code=c")
    );
    assert_eq!(
        arrived(plain, "HTTPS://APP.example:443/cb?code=c#_=_"),
        at("code=c")
    );
    assert_eq!(
        arrived(with_query, "https://app.example/cb?x=1&code=c"),
        at("code=c")
    );
    assert_eq!(arrived(with_query, "https://app.example/cb?x=1"), at(""));
    assert_eq!(
        arrived("https://app.example", "https://app.example/?code=c"),
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
        assert!(arrived(ours, callback).is_err(), "{ours} {callback}");
    }
    assert_eq!(
        arrived(plain, "http://app.example/cb?code=c"),
        Err("http://app.example/cb")
    );
}

#[test]
fn of_a_callback_only_what_is_there_is_compared() {
    let plain = "https://app.example/cb";
    let with_query = "https://app.example/cb?x=1";
    assert_eq!(arrived(plain, "/cb?code=c"), at("code=c"));
    assert_eq!(arrived(with_query, "/cb?x=1&code=c"), at("code=c"));
    assert_eq!(arrived("https://app.example", "/?code=c"), at("code=c"));
    assert_eq!(arrived("com.example.app:/cb", "/cb?code=c"), at("code=c"));
    for callback in ["/other?code=c", "/cb/?code=c", "/?code=c", "//cb?code=c"] {
        assert!(arrived(plain, callback).is_err(), "{callback}");
    }
    assert!(arrived(with_query, "/cb?code=c").is_err());
    let bare = "code=c&iss=https://as.example/a?b";
    assert_eq!(arrived(plain, bare), Ok(Arrived::Bare(bare)));
    assert_eq!(arrived(plain, "?code=c"), Ok(Arrived::Bare("?code=c")));
    assert_eq!(
        arrived(with_query, "?x=1&code=c"),
        Ok(Arrived::Bare("code=c"))
    );
    assert_eq!(
        arrived(with_query, "x=1&code=c"),
        Ok(Arrived::Bare("code=c"))
    );
    assert_eq!(arrived(with_query, "code=c"), Ok(Arrived::Bare("code=c")));
}

#[test]
fn a_return_target_stays_on_its_origin() {
    let own = Url::parse("https://app.example/x").unwrap_or_else(|error| unreachable!("{error}"));
    let stays = |target: &str| return_target(target, &own).is_ok();
    for good in [
        "/a",
        "/a?b=c#d",
        "https://app.example/a",
        "https://app.example:443/a",
    ] {
        assert!(stays(good), "{good}");
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
