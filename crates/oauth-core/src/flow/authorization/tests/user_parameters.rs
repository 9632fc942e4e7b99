//! Parameters about the user, in a URL and in a pushed request.

use super::*;

/// OpenID Connect Core sections 3.1.2.1 and 5.5: sent unchanged in a URL and in a pushed request.
#[test]
fn prompt_login_hint_ui_locales_and_claims_are_sent_unchanged() {
    let claims =
        json!({"id_token": {"auth_time": {"essential": true}}, "userinfo": {"email": null}});
    let authorization_request = || {
        authorization_request()
            .prompt("login consent")
            .login_hint("ann+1@example.com & co")
            .ui_locales(["de-CH", "fr", "en"])
            .claims(claims.as_object().unwrap())
    };
    let expected = [
        ("prompt", "login consent"),
        ("login_hint", "ann+1@example.com & co"),
        ("ui_locales", "de-CH fr en"),
        (
            "claims",
            r#"{"id_token":{"auth_time":{"essential":true}},"userinfo":{"email":null}}"#,
        ),
    ];
    let (url, _) = client().authorize(&at(), authorization_request()).unwrap();
    for (name, value) in expected {
        assert_eq!(parameter(&url, name).as_deref(), Some(value), "{name}");
    }
    let par = "https://as.example/par";
    let kind = crate::server::EndpointKind::PushedAuthorizationRequest;
    let client = client_of(server().with_endpoint(kind, par).unwrap());
    let mut begin = client.begin_authorization(authorization_request().pushed());
    let Ok(Step::Send(request)) = begin.resume(&at(), Input::Begin) else {
        unreachable!("nothing is pushed");
    };
    let pushed = form::parse(std::str::from_utf8(request.body()).unwrap()).unwrap();
    for (name, value) in expected {
        let found: Vec<_> = pushed.iter().filter(|(known, _)| known == name).collect();
        let found: Vec<_> = found.iter().map(|(_, value)| value.as_ref()).collect();
        assert_eq!(found, [value], "{name}");
    }
    // Each parameter is sent once, however it was set.
    let twice = authorization_request()
        .prompt("none")
        .extra("prompt", "login");
    let refused = self::client().authorize(&at(), twice);
    assert_eq!(
        error_code(refused).map(drop),
        Err("form.duplicate_parameter")
    );
    let refused = self::client().authorize(&at(), authorization_request().extra("claims", "[]"));
    assert!(error_code(refused).is_err());
}
