use super::*;

fn code(text: &str) -> Result<(), &'static str> {
    Issuer::parse(text).map(drop).map_err(|error| error.code())
}

#[test]
fn issuer_must_be_a_canonical_https_url() {
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
fn tenant_issuer_matches_only_a_guid_in_its_template() {
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let rules = Rules {
        quirks: vec![crate::quirk::Quirk::TenantIssuer(template.to_owned())],
        ..Rules::default()
    };
    let common = Issuer::parse("https://login.microsoftonline.com/common/v2.0");
    let common = common.unwrap_or_else(|error| unreachable!("{error}"));
    assert!(
        !common.matches(template, &rules),
        "the template itself is nobody"
    );
    assert!(common.matches(
        "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
        &rules
    ));
    assert!(!common.matches("https://login.microsoftonline.com/evil/v2.0", &rules));
    assert!(!common.matches(template, &Rules::default()));
    assert!(!common.matches("", &Rules::default()));
}

#[test]
fn guid_requires_five_groups_of_hexadecimal_digits() {
    for valid in [
        "9188040d-6c67-4c5b-b112-36a304b66dad",
        "9188040D-6C67-4C5B-B112-36A304B66DAD",
    ] {
        assert!(is_guid(valid), "{valid}");
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
fn metadata_url_is_refused_as_issuer_naming_the_issuer() {
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
fn http_localhost_is_an_issuer_only_with_loopback_transport() {
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
