use super::*;

#[test]
fn origin_is_normalized() {
    let origin = |text: &str| Url::parse(text).map(|url| url.origin());
    assert_eq!(
        origin("https://API.example:443/x").ok().as_deref(),
        Some("https://api.example")
    );
    assert_eq!(
        origin("https://a.example:8443").ok().as_deref(),
        Some("https://a.example:8443")
    );
    assert_eq!(
        origin("http://[::1]:80/").ok().as_deref(),
        Some("http://[::1]")
    );
}

#[test]
fn ambiguous_or_invalid_urls_are_refused() {
    for text in [
        "https://a.example\\@evil.example/",
        "https://a.example/../b",
        "https://a.example/%2e%2E/b",
        "https://127.1/",
        "https://0x7f.0.0.1/",
        "https://2130706433/",
        "https://a.example:080/",
        "https://a.example:70000/",
        "https://user@a.example/",
        "https://a.example /",
        "https:a.example",
        "https:///a.example",
        "//a.example",
        "/a",
        "",
        "https://a%2eexample/",
        "https://exa\u{e4}.example/",
        "https://a..example/",
        "https://[::1/",
        "https://[0:0::1]/",
        "https://a.example/%zz",
        "https://a.example/\t",
        "https://a.example/#f",
        "ftp://a.example/",
    ] {
        assert!(Url::parse(text).is_err(), "{text}");
    }
}

#[test]
fn loopback_requires_an_ip_address() {
    let loopback = |text: &str| Url::parse(text).is_ok_and(|url| url.is_loopback());
    assert!(loopback("http://127.0.0.1:8080/"));
    assert!(loopback("http://[::1]/"));
    assert!(!loopback("http://localhost/"));
    assert!(!loopback("http://127.0.0.1.evil.example/"));
}

#[test]
fn plain_http_is_allowed_only_for_loopback_addresses_and_localhost() {
    let may =
        |text: &str, transport| Url::parse(text).is_ok_and(|url| url.require(transport).is_ok());
    for (text, is_allowed) in [
        ("http://127.0.0.1:80/", true),
        ("http://127.255.0.9/", true),
        ("http://[::1]:8080/", true),
        ("http://localhost:9998/", true),
        ("http://LOCALHOST/", true),
        ("http://localhost./", false),
        ("http://a.localhost/", false),
        ("http://localhost.evil.example/", false),
        ("http://[2001:db8::1]/", false),
        ("http://[::]/", false),
        ("http://128.0.0.1/", false),
        ("http://10.0.0.1/", false),
        ("http://as.example/", false),
    ] {
        assert_eq!(may(text, Transport::LoopbackHttp), is_allowed, "{text}");
        assert!(!may(text, Transport::Https), "{text}");
    }
    assert!(may("https://as.example/", Transport::Https));
}

#[test]
fn same_origin_compares_scheme_host_and_port() {
    let same = |one: &str, other: &str| {
        let (one, other) = (Url::parse(one), Url::parse(other));
        matches!((one, other), (Ok(one), Ok(other)) if one.same_origin(&other))
    };
    assert!(same("https://h.example/a", "https://H.example:443/b?c"));
    assert!(!same("http://h.example:8443/", "https://h.example:8443/"));
    assert!(!same("https://h.example/", "https://h.example:8443/"));
    assert!(!same("https://h.example/", "https://i.example/"));
}

#[test]
fn noncanonical_hosts_ports_and_paths_are_refused() {
    let name = |length: usize| {
        let labels = "a".repeat(60) + ".";
        let name: String = labels.repeat(5).chars().take(length).collect();
        format!("https://{name}/")
    };
    assert!(Url::parse(&name(253)).is_ok());
    for text in [
        "https://[::1]x/",
        "https://[::1]80/",
        "https://h.example:+443/",
        "https://h.example:-1/",
        "https://h.example:0/",
        "https://h.example:/",
        "https://[::ffff:127.0.0.1]/",
        "https://[::ffff:7f00:1]/",
        "https://0x/",
        "https://a.0x7/",
        "https://a.example/./b",
        "https://a.example/b/.",
        "https://a.example/%2E",
        &name(254),
        &format!("https://{}.example/", "a".repeat(64)),
    ] {
        assert!(Url::parse(text).is_err(), "{text}");
    }
    let upper = Url::parse("https://[2001:DB8::A]/").map(|url| url.origin());
    assert_eq!(upper.ok().as_deref(), Some("https://[2001:db8::a]"));
    assert!(Url::parse("https://a.example/...").is_ok());
    assert!(Url::parse("https://a.example/.well-known/x").is_ok());
}
