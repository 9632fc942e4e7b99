//! Resource indicators (RFC 8707) and audiences.

use super::*;

#[test]
fn resources_and_audience_are_sent_in_both_requests() {
    let expiring = TokenRequest::new().extra("expiring", "1").unwrap();
    let authorization_request = authorization_request()
        .requesting(expiring)
        .resource("https://a.example/")
        .and_then(|authorization_request| authorization_request.resource("https://b.example/"))
        .map(|authorization_request| authorization_request.audience("x"))
        .unwrap();
    let (url, pending) = client().authorize(&at(), authorization_request).unwrap();
    let query = url.query().unwrap();
    let targets =
        "resource=https%3A%2F%2Fa.example%2F&resource=https%3A%2F%2Fb.example%2F&audience=x";
    assert!(
        query.contains(targets) && !query.contains("expiring"),
        "{query}"
    );
    let again = PendingAuthorization::from_json(pending.to_json().expose()).unwrap();
    for pending in [pending, again] {
        let callback = format!("{CB}?code=c1&state={}", pending.state().expose());
        let mut exchange = client().redeem(pending, &callback).unwrap();
        let Ok(Step::Send(request)) = exchange.resume(&at(), Input::Begin) else {
            unreachable!()
        };
        let body = String::from_utf8_lossy(request.body()).into_owned();
        assert!(body.ends_with(&format!("&expiring=1&{targets}")), "{body}");
    }
}

#[test]
fn invalid_resources_are_refused_and_flows_without_any_store_no_parameters() {
    for bad in ["api", "https://a.example/#f"] {
        let error = authorization_request().resource(bad).map(drop);
        assert_eq!(error_code(error), Err("resource.syntax"), "{bad}");
        let error = client()
            .authorize(&at(), authorization_request().extra("resource", bad))
            .map(drop);
        assert_eq!(error_code(error), Err("resource.syntax"), "{bad}");
    }
    let leak = client()
        .authorize(&at(), authorization_request().audience("hunter22"))
        .map(drop);
    assert_eq!(error_code(leak), Err("form.secret_in_url"));
    let (_, pending) = client().authorize(&at(), authorization_request()).unwrap();
    assert!(!pending.to_json().expose().contains("parameters"));
}
