//! The accepted values of template variables, and the URLs they become.

use oauth_core::Error;
use oauth_core::server::EndpointKind;
use oauth_providers::{Provider, VariableKind, provider};
use proptest::prelude::*;

/// One provider with a variable of every type.
fn every_type() -> Provider {
    let text = r#"
        name = "every"
        title = "Every type"
        issuer = "https://{label}.as.example/{id}/{guid}/{segment}/{tenant}"
        client_auth = "post"
        grants = ["client_credentials"]
        api = ["https://{host}/"]
        [variables.label]
        type = "dns_label"
        description = "-"
        example = "a"
        [variables.id]
        type = "issuer_id"
        description = "-"
        example = "a"
        [variables.guid]
        type = "guid"
        description = "-"
        example = "9188040d-6c67-4c5b-b112-36a304b66dad"
        [variables.segment]
        type = "path_segment"
        description = "-"
        example = "a"
        [variables.tenant]
        type = "tenant"
        description = "-"
        example = "common"
        values = ["common"]
        [variables.host]
        type = "host"
        description = "-"
        example = "a.example"
    "#;
    Provider::from_toml(text).expect("the file is good")
}

const TYPES: [&str; 6] = ["label", "id", "guid", "segment", "tenant", "host"];

fn accepts(variable: &str, value: &str) -> bool {
    match every_type().with(variable, value) {
        Ok(_) => true,
        Err(error) => {
            assert_eq!(error.code(), "provider.variable");
            assert!(error.detail().is_some_and(|d| d.starts_with(variable)));
            false
        }
    }
}

#[test]
fn hostile_values_are_refused_for_every_type() {
    for value in [
        "",
        " ",
        "a b",
        "a\n",
        "\ta",
        "a/b",
        "a\\b",
        "a@evil.example",
        "evil.example#",
        "evil.example?",
        "evil.example/",
        "%2e",
        "a%2fb",
        "..",
        ".",
        "a\u{e4}",
        "\u{ff41}",
        "a\0",
        "{label}",
        "{issuer}",
        "a;b",
        "a,b",
        "a'b",
        "[::1]",
    ] {
        for variable in TYPES {
            assert!(!accepts(variable, value), "{variable} = {value:?}");
        }
    }
}

#[test]
fn each_variable_type_accepts_only_its_form() {
    let long = "a".repeat(64);
    let label = &long[..63];
    for (variable, valid, bad) in [
        (
            "label",
            vec!["a", "acme", "ACME", "a-1", "1", "xn--bcher-kva", label],
            vec!["-a", "a-", "a.b", "a_b", "a~", "xn--", &long, "a:1"],
        ),
        (
            "id",
            vec!["default", "aus1p3vtd8vtm4Bxv0h8", "a_b-c", &long],
            vec!["a.b", "a~", "a:b"],
        ),
        (
            "guid",
            vec!["9188040d-6c67-4c5b-b112-36a304b66dad"],
            vec![
                "9188040d6c674c5bb11236a304b66dad",
                "{9188040d-6c67-4c5b-b112-36a304b66dad}",
                "9188040d-6c67-4c5b-b112-36a304b66dag",
                "9188040d-6c67-4c5b-b112-36a304b66dad-",
            ],
        ),
        (
            "segment",
            vec!["staff", "a.b", "~a", "...", "A_b-c"],
            vec!["a:b", "a+b"],
        ),
        (
            "tenant",
            vec![
                "common",
                "contoso.onmicrosoft.com",
                "9188040D-6c67-4c5b-b112-36a304b66dad",
            ],
            vec!["contoso", "organizations", "a..b", ".a", "a."],
        ),
        (
            "host",
            vec![
                "a.example",
                "A.example:8443",
                "intranet",
                "192.0.2.1",
                "localhost",
            ],
            vec![
                "a.example:443",
                "a.example:",
                "a.example:0",
                "a.example:080",
                "a.example:65536",
                "a.example.",
                "a..example",
                "127.1",
                "0x7f.1",
                "a.example:1:2",
                ":1",
            ],
        ),
    ] {
        for value in valid {
            assert!(accepts(variable, value), "{variable} = {value:?}");
        }
        for value in bad {
            assert!(!accepts(variable, value), "{variable} = {value:?}");
        }
    }
}

#[test]
fn missing_or_unknown_variable_is_named() -> Result<(), Error> {
    let uservoice = provider("uservoice")?;
    for error in [
        uservoice.issuer().map(drop),
        uservoice.server().map(drop),
        uservoice.api_origins().map(drop),
    ] {
        let error = error.expect_err("no subdomain was given");
        assert_eq!(error.code(), "provider.variable");
        assert!(error.detail().is_some_and(|d| d.contains("subdomain")));
    }
    let unknown = uservoice.with("sub", "acme").expect_err("no such variable");
    assert_eq!(
        unknown.detail(),
        Some("no variable `sub`: there is subdomain")
    );
    Ok(())
}

#[test]
fn variable_has_a_description_kind_and_default() -> Result<(), Error> {
    let gitlab = provider("gitlab")?;
    let host = gitlab.variables().next().expect("one variable");
    assert_eq!(host.name, "host");
    assert_eq!(host.kind, VariableKind::Host);
    assert_eq!(host.kind.as_str(), "host");
    assert_eq!(host.default.as_deref(), Some("gitlab.com"));
    assert_eq!(host.example, "gitlab.example.com");
    assert_eq!(gitlab.issuer()?.as_str(), "https://gitlab.com");
    let self_hosted = gitlab.with("host", "Git.Example:8443")?;
    assert_eq!(self_hosted.issuer()?.as_str(), "https://git.example:8443");
    Ok(())
}

/// Strings close to valid labels, and arbitrary strings.
fn candidates() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-zA-Z0-9.@/#?%:_-]{0,12}",
        "[a-z0-9-]{1,70}",
        "(xn--)?[A-Z0-9-]{1,8}[.]?[a-z]{0,8}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    #[test]
    fn subdomain_value_cannot_change_the_domain(value in candidates()) {
        let uservoice = provider("uservoice").expect("built in");
        if let Ok(uservoice) = uservoice.with("subdomain", &value) {
            let server = uservoice.server().expect("an accepted label makes good URLs");
            let issuer = server.issuer().url().clone();
            let token = server.endpoint(EndpointKind::Token).expect("a token endpoint").clone();
            for (url, path) in [(issuer, ""), (token, "/api/v2/oauth/token")] {
                prop_assert!(url.host().ends_with(".uservoice.com"));
                prop_assert_eq!(url.host().split('.').count(), 3);
                prop_assert_eq!(url.path_and_query(), path);
                prop_assert_eq!((url.scheme(), url.port()), ("https", 443));
            }
        }
    }

    #[test]
    fn path_variable_cannot_add_a_segment(value in candidates()) {
        for variable in ["id", "segment", "tenant", "guid"] {
            let Ok(filled) = every_type().with(variable, &value) else { continue };
            let filled = TYPES.iter().filter(|name| **name != variable).try_fold(filled, |filled, name| {
                let known = every_type();
                let example = known.variables().find(|v| v.name == *name).expect("known").example.clone();
                filled.with(name, &example)
            }).expect("examples are good");
            let issuer = filled.issuer().expect("an accepted value makes a good URL");
            prop_assert_eq!(issuer.url().host(), "a.as.example");
            prop_assert_eq!(issuer.url().path().split('/').count(), 5);
        }
    }

    #[test]
    fn host_variable_cannot_add_a_path(value in candidates()) {
        if let Ok(filled) = every_type().with("host", &value) {
            let roots = filled.api_roots().expect("an accepted host makes a good URL");
            prop_assert_eq!(roots[0].as_str(), format!("https://{}/", value.to_ascii_lowercase()));
            prop_assert_eq!(roots[0].path_and_query(), "/");
        }
    }
}
