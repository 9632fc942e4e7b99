//! Parameters about the user, in a URL and in a pushed request.

use super::*;

/// OpenID Connect Core sections 3.1.2.1 and 5.5: as they were given, in a URL and in a pushed request.
#[test]
fn what_is_asked_of_the_person_and_about_them_is_in_the_request() {
    let claims =
        json!({"id_token": {"auth_time": {"essential": true}}, "userinfo": {"email": null}});
    let asked = || {
        ask()
            .prompt("login consent")
            .login_hint("ann+1@example.com & co")
            .ui_locales(["de-CH", "fr", "en"])
            .claims(claims.as_object().unwrap())
    };
    let wanted = [
        ("prompt", "login consent"),
        ("login_hint", "ann+1@example.com & co"),
        ("ui_locales", "de-CH fr en"),
        (
            "claims",
            r#"{"id_token":{"auth_time":{"essential":true}},"userinfo":{"email":null}}"#,
        ),
    ];
    let (url, _) = client().authorize(&at(), asked()).unwrap();
    for (name, value) in wanted {
        assert_eq!(parameter(&url, name).as_deref(), Some(value), "{name}");
    }
    let par = "https://as.example/par";
    let kind = crate::server::EndpointKind::PushedAuthorizationRequest;
    let client = of(server().with_endpoint(kind, par).unwrap());
    let mut begin = client.begin_authorization(asked().pushed());
    let Ok(Step::Send(request)) = begin.resume(&at(), Input::Begin) else {
        unreachable!("nothing is pushed");
    };
    let pushed = form::parse(std::str::from_utf8(request.body()).unwrap()).unwrap();
    for (name, value) in wanted {
        let found: Vec<_> = pushed.iter().filter(|(known, _)| known == name).collect();
        let found: Vec<_> = found.iter().map(|(_, value)| value.as_ref()).collect();
        assert_eq!(found, [value], "{name}");
    }
    // Each is said once, whichever way it is said.
    let twice = ask().prompt("none").extra("prompt", "login");
    let refused = self::client().authorize(&at(), twice);
    assert_eq!(code(refused).map(drop), Err("form.duplicate_parameter"));
    let refused = self::client().authorize(&at(), ask().extra("claims", "[]"));
    assert!(code(refused).is_err());
}
