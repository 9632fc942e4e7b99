#![allow(clippy::unwrap_used)] // tests may panic

mod resources;
mod user_parameters;

use serde_json::json;

use super::prepare::{RESERVED, SECRETS};
use super::*;
use crate::client::Client;
use crate::client_auth::ClientAuth;
use crate::client_config::ClientId;
use crate::danger;
use crate::error::Error;
use crate::exchange::{Exchange as _, Input, Step};
use crate::form;
use crate::grant::TokenRequest;
use crate::pkce::PkceRequirement;
use crate::quirk::Quirk;
use crate::quirk::{Rules, Strictness};
use crate::redirect_uri::RedirectUri;
use crate::scope::Scope;
use crate::server::Server;
use crate::testing::{at, client, client_of, client_with_quirks, error_code, server};
use crate::url::Url;

const CB: &str = "https://app.example/cb";

fn authorization_request() -> AuthorizationRequest {
    AuthorizationRequest::new(RedirectUri::parse(CB).unwrap())
}

fn server_with_iss() -> Server {
    let metadata = json!({"authorization_response_iss_parameter_supported": true});
    server().with_metadata(metadata.as_object().cloned().unwrap())
}

/// The result of a callback with these parameters and the flow's own state.
fn redeem_callback(
    client: &Client,
    request: AuthorizationRequest,
    parameters: &str,
) -> Result<(), Error> {
    let (_, pending) = client.authorize(&at(), request)?;
    let state = pending.state().expose().clone();
    let callback = format!("{CB}?state={state}&{parameters}");
    client.redeem(pending, &callback).map(drop)
}

fn parameter(url: &Url, name: &str) -> Option<String> {
    let pairs = form::parse(url.query().unwrap_or_default()).unwrap();
    let found = pairs.into_iter().find(|(known, _)| known == name);
    found.map(|(_, value)| value.into_owned())
}

#[test]
fn callback_without_iss_is_refused_if_the_caller_or_server_requires_it() {
    let demanding = || AuthorizationRequest {
        issuer_required: true,
        ..authorization_request()
    };
    let client = client();
    assert_eq!(
        error_code(redeem_callback(&client, authorization_request(), "code=c")),
        Ok(())
    );
    assert_eq!(
        error_code(redeem_callback(&client, demanding(), "code=c")),
        Err("callback.missing_issuer")
    );
    assert_eq!(
        error_code(redeem_callback(
            &client,
            demanding(),
            "code=c&iss=https://as.example"
        )),
        Ok(())
    );
    assert_eq!(
        error_code(redeem_callback(
            &client_of(server_with_iss()),
            authorization_request(),
            "code=c"
        )),
        Err("callback.missing_issuer")
    );
}

#[test]
fn unverified_error_callback_reports_the_issuer_failure_with_the_error() {
    let refused = "error=access_denied&error_description=no";
    let error = redeem_callback(
        &client_of(server_with_iss()),
        authorization_request(),
        refused,
    )
    .unwrap_err();
    assert_eq!(error.code(), "callback.missing_issuer");
    assert_eq!(error.detail(), Some("it says error=access_denied"));
    let other = format!("{refused}&iss=https://evil.example");
    let error = redeem_callback(
        &client_of(server_with_iss()),
        authorization_request(),
        &other,
    )
    .unwrap_err();
    assert_eq!(error.code(), "callback.issuer");
    assert_eq!(error.detail(), Some("it says error=access_denied"));
}

#[test]
fn errors_without_issuer_quirk_accepts_errors_without_iss_only() {
    let rules = Rules {
        quirks: vec![Quirk::ErrorsWithoutIssuer],
        ..Rules::default()
    };
    let client = client_of(server_with_iss().with_rules(rules));
    let refused = "error=access_denied&error_description=no";
    let error = redeem_callback(&client, authorization_request(), refused).unwrap_err();
    assert_eq!(error.code(), "denied.access_denied");
    let server_error = error.server_error().unwrap();
    assert_eq!(server_error.description(), Some("no"));
    let other = format!("{refused}&iss=https://evil.example");
    assert_eq!(
        error_code(redeem_callback(&client, authorization_request(), &other)),
        Err("callback.issuer")
    );
    assert_eq!(
        error_code(redeem_callback(&client, authorization_request(), "code=c")),
        Err("callback.missing_issuer")
    );
}

#[test]
fn callbacks_without_issuer_quirk_accepts_a_missing_but_not_a_wrong_iss() {
    let rules = Rules {
        quirks: vec![Quirk::CallbacksWithoutIssuer],
        ..Rules::default()
    };
    let client = client_of(server_with_iss().with_rules(rules));
    assert_eq!(
        error_code(redeem_callback(&client, authorization_request(), "code=c")),
        Ok(())
    );
    assert_eq!(
        error_code(redeem_callback(
            &client,
            authorization_request(),
            "code=c&iss=https://evil.example"
        )),
        Err("callback.issuer")
    );
}

#[test]
fn error_uri_of_an_error_callback_is_kept() {
    let refused = "error=access_denied&error_description=no&error_uri=https://as.example/why";
    let error = redeem_callback(&client(), authorization_request(), refused).unwrap_err();
    assert_eq!(
        error
            .server_error()
            .and_then(crate::error::ServerError::uri),
        Some("https://as.example/why")
    );
}

#[test]
fn without_pkce_quirk_applies_only_to_clients_with_a_secret() {
    let rules = Rules {
        quirks: vec![Quirk::WithoutPkce],
        ..Rules::default()
    };
    let with = |auth: ClientAuth| {
        let server = server().with_rules(rules.clone());
        Client::new(server, ClientId::new("id"), auth).unwrap()
    };
    let secret = with(ClientAuth::post("secret"));
    let (url, pending) = secret.authorize(&at(), authorization_request()).unwrap();
    assert_eq!(parameter(&url, "code_challenge"), None);
    assert_eq!(parameter(&url, "code_challenge_method"), None);
    assert!(pending.code_verifier.is_none());
    assert!(parameter(&url, "state").is_some());

    // Without client authentication, anyone who has the code could redeem it.
    let public = with(ClientAuth::none());
    let (url, pending) = public.authorize(&at(), authorization_request()).unwrap();
    assert!(parameter(&url, "code_challenge").is_some() && pending.code_verifier.is_some());

    // A profile that requires PKCE raises no warning about its absence.
    let demanding = AuthorizationRequest {
        pkce_requirement: PkceRequirement::Advertised,
        ..authorization_request()
    };
    assert_eq!(
        error_code(secret.authorize(&at(), demanding).map(drop)),
        Err("pkce.unsupported")
    );

    let other = Client::new(server(), ClientId::new("id"), ClientAuth::post("secret")).unwrap();
    let (url, _) = other.authorize(&at(), authorization_request()).unwrap();
    assert!(parameter(&url, "code_challenge").is_some());
}

#[test]
fn code_verifier_is_never_put_into_the_url() {
    let quirky = client_with_quirks([Quirk::ChallengeAsVerifier]);
    let (url, pending) = quirky.authorize(&at(), authorization_request()).unwrap();
    let challenge = parameter(&url, "code_challenge");
    assert_eq!(parameter(&url, "code_verifier"), challenge);
    let verifier = pending
        .code_verifier
        .as_ref()
        .map(|secret| secret.expose().to_owned());
    assert!(challenge.is_some() && challenge != verifier);

    // With `plain` the challenge is the verifier, which is not sent a second time.
    let (url, pending) = quirky
        .authorize(&at(), danger::plain_challenge(authorization_request()))
        .unwrap();
    let verifier = pending
        .code_verifier
        .as_ref()
        .map(|secret| secret.expose().to_owned());
    assert_eq!(parameter(&url, "code_challenge"), verifier);
    assert_eq!(
        parameter(&url, "code_challenge_method").as_deref(),
        Some("plain")
    );
    assert_eq!(parameter(&url, "code_verifier"), None);

    let (url, _) = client().authorize(&at(), authorization_request()).unwrap();
    assert_eq!(parameter(&url, "code_verifier"), None);
    assert_eq!(
        parameter(&url, "code_challenge_method").as_deref(),
        Some("S256")
    );

    let (url, pending) = client()
        .authorize(&at(), danger::without_pkce(authorization_request()))
        .unwrap();
    assert_eq!(parameter(&url, "code_challenge"), None);
    assert!(pending.code_verifier.is_none());
}

#[test]
fn reserved_secret_or_invalid_extra_parameters_are_refused() {
    let with = |name: &str, value: &str| {
        error_code(client().authorize(&at(), authorization_request().extra(name, value))).map(drop)
    };
    for prompt in ["login", "none", "login consent", "nonesuch login"] {
        assert_eq!(with("prompt", prompt), Ok(()), "{prompt}");
    }
    for prompt in ["none login", "login none"] {
        assert_eq!(
            with("prompt", prompt),
            Err("form.malformed_parameter"),
            "{prompt}"
        );
    }
    assert_eq!(with("", "x"), Err("form.reserved_parameter"));
    for name in RESERVED {
        assert_eq!(with(name, "x"), Err("form.reserved_parameter"), "{name}");
    }
    for name in SECRETS {
        assert_eq!(with(name, "x"), Err("form.secret_in_url"), "{name}");
    }
    assert_eq!(with("hint", "is hunter22"), Err("form.secret_in_url"));
    let twice = authorization_request()
        .extra("prompt", "login")
        .extra("prompt", "none");
    assert_eq!(
        error_code(client().authorize(&at(), twice)).map(drop),
        Err("form.duplicate_parameter")
    );
    // Every text contains the empty string.
    let auth = ClientAuth::basic("");
    let empty = Client::new(server(), ClientId::new("id"), auth).unwrap();
    let extra = authorization_request().extra("prompt", "login");
    assert_eq!(error_code(empty.authorize(&at(), extra)).map(drop), Ok(()));
}

#[test]
fn plain_url_is_refused_where_the_server_requires_par_or_request_objects() {
    for (member, error) in [
        (
            "require_pushed_authorization_requests",
            "authorization.push_required",
        ),
        (
            "require_signed_request_object",
            "authorization.request_object_required",
        ),
    ] {
        for (arguments, outcome) in [(true, Err(error)), (false, Ok(()))] {
            let metadata = json!({ member: arguments }).as_object().cloned().unwrap();
            let client = client_of(server().with_metadata(metadata));
            assert_eq!(
                error_code(client.authorize(&at(), authorization_request())).map(drop),
                outcome,
                "{member}"
            );
        }
    }
}

#[test]
fn pending_flow_round_trips_through_storage() {
    let openid = authorization_request().scope(Scope::parse("openid read").unwrap());
    let (url, pending) = client().authorize(&at(), openid).unwrap();
    let again = PendingAuthorization::from_json(pending.to_json().expose()).unwrap();
    for flow in [&pending, &again] {
        assert_eq!(flow.issuer(), "https://as.example");
        assert_eq!(flow.redirect_uri().as_str(), CB);
        assert_eq!(flow.started_at(), at().now());
        let nonce = flow.nonce().map(|nonce| nonce.expose().clone());
        assert!(nonce.is_some());
        assert_eq!(nonce, parameter(&url, "nonce"));
        assert_eq!(
            Some(flow.state().expose().clone()),
            parameter(&url, "state")
        );
    }
    let (_, plain) = client().authorize(&at(), authorization_request()).unwrap();
    assert!(plain.nonce().is_none());
}

#[test]
fn stored_flow_of_another_version_or_without_state_is_refused() {
    let (_, pending) = client().authorize(&at(), authorization_request()).unwrap();
    let text = pending.to_json();
    let read = |name: &str, value: serde_json::Value| {
        let mut stored: serde_json::Value = serde_json::from_str(text.expose()).unwrap();
        *stored.get_mut(name).unwrap() = value;
        error_code(PendingAuthorization::from_json(&stored.to_string())).map(drop)
    };
    assert_eq!(read("version", json!(1)), Ok(()));
    assert_eq!(read("version", json!(2)), Err("stored.malformed"));
    assert_eq!(read("version", json!(0)), Err("stored.malformed"));
    assert_eq!(read("state", json!("")), Err("stored.malformed"));
    assert_eq!(
        error_code(PendingAuthorization::from_json("{}")).map(drop),
        Err("stored.malformed")
    );
}

/// The body of the token request after a callback of this flow.
fn token_request_body(
    mode: ResponseMode,
    callback: impl Fn(&str) -> String,
) -> Result<String, &'static str> {
    let authorization = AuthorizationRequest {
        response_mode: mode,
        ..authorization_request()
    };
    let (_, pending) = client().authorize(&at(), authorization).unwrap();
    let callback = callback(pending.state().expose());
    assert_eq!(
        pending.recognizes(&callback),
        error_code(Callback::read(&callback, pending.redirect_uri(), mode)).is_ok()
    );
    let mut exchange = error_code(client().redeem(pending, &callback))?;
    match exchange.resume(&at(), Input::Begin) {
        Ok(Step::Send(request)) => Ok(String::from_utf8_lossy(request.body()).into_owned()),
        other => unreachable!("{other:?}"),
    }
}

#[test]
fn callback_is_accepted_as_url_path_query_form_or_fragment() {
    use ResponseMode::{FormPost, Fragment, Query};

    type Form = fn(&str) -> String;
    let forms: [(ResponseMode, Form); 12] = [
        (Query, |state| format!("{CB}?code=c1&state={state}")),
        (Query, |state| format!("{CB}?code=c1&state={state}#_=_")),
        (Query, |state| format!("/cb?code=c1&state={state}")),
        (Query, |state| format!("?code=c1&state={state}")),
        (Query, |state| format!("code=c1&state={state}")),
        (Query, |state| {
            format!("state={state}&code=c1&iss=https://as.example#_=_")
        }),
        (FormPost, |state| format!("code=c1&state={state}")),
        (FormPost, |state| format!("{CB}?code=c1&state={state}")),
        (FormPost, |state| format!("/cb?code=c1&state={state}")),
        (Fragment, |state| format!("{CB}#code=c1&state={state}")),
        (Fragment, |state| format!("#code=c1&state={state}")),
        (Fragment, |state| format!("code=c1&state={state}")),
    ];
    for (mode, callback) in forms {
        let body = token_request_body(mode, callback);
        let is_spent = body.as_ref().is_ok_and(|body| body.contains("&code=c1&"));
        assert!(is_spent, "{mode:?} {} {body:?}", callback("S"));
    }
}

#[test]
fn callback_at_another_uri_is_refused_naming_it_without_credentials() {
    for elsewhere in [
        "http://app.example/cb",
        "https://evil.example/cb",
        "/other",
        "//app.example/cb",
    ] {
        let (_, pending) = client().authorize(&at(), authorization_request()).unwrap();
        let state = pending.state().expose().clone();
        let error = client().redeem(pending, &format!("{elsewhere}?code=c1&state={state}"));
        let error = error.map(drop).unwrap_err();
        assert_eq!(error.code(), "callback.redirect_uri");
        let detail = error.detail().unwrap_or_default();
        assert_eq!(
            detail,
            format!("it arrived at {elsewhere}, this flow's is {CB}")
        );
        assert!(!detail.contains("c1"));
    }
    for (elsewhere, named) in [
        ("https://ann:pw@app.example/cb", "https://app.example/cb"),
        ("https://ann:p@w@app.example", "https://app.example"),
        ("//ann@app.example/a@b", "//app.example/a@b"),
        ("https://app.example/a@b", "https://app.example/a@b"),
    ] {
        let (_, pending) = client().authorize(&at(), authorization_request()).unwrap();
        let error = client().redeem(pending, elsewhere).map(drop).unwrap_err();
        let detail = error.detail().unwrap_or_default();
        assert_eq!(
            detail,
            format!("it arrived at {named}, this flow's is {CB}")
        );
    }
}

#[test]
fn non_ascii_code_is_accepted_only_by_lenient_rules() {
    let strict = client_of(server().with_rules(Rules {
        strictness: Strictness::Strict,
        ..Rules::default()
    }));
    assert_eq!(
        error_code(redeem_callback(
            &strict,
            authorization_request(),
            "code=abc"
        )),
        Ok(())
    );
    assert_eq!(
        error_code(redeem_callback(
            &strict,
            authorization_request(),
            "code=%C3%A9"
        )),
        Err("callback.encoding")
    );
    assert_eq!(
        error_code(redeem_callback(
            &client(),
            authorization_request(),
            "code=%C3%A9"
        )),
        Ok(())
    );
    assert_eq!(
        error_code(redeem_callback(
            &client(),
            authorization_request(),
            "code=a%0Ab"
        )),
        Err("callback.encoding")
    );
}

#[test]
fn redirect_uri_is_sent_in_the_token_request_unless_the_omit_quirk_is_set() {
    let body = |client: Client| {
        let (_, pending) = client.authorize(&at(), authorization_request()).unwrap();
        let callback = format!("{CB}?code=c1&state={}", pending.state().expose());
        let mut exchange = client.redeem(pending, &callback).unwrap();
        match exchange.resume(&at(), Input::Begin) {
            Ok(Step::Send(request)) => String::from_utf8_lossy(request.body()).into_owned(),
            other => unreachable!("{other:?}"),
        }
    };
    assert!(body(client()).contains("&redirect_uri="));
    assert!(!body(client_with_quirks([Quirk::OmitRedirectUri])).contains("redirect_uri"));
}
