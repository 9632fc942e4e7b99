#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::expect_used,
    clippy::indexing_slicing
)] // tests may panic

use serde_json::json as value;

mod sign_in;

use super::access::MAX_POLLS;
use super::*;
use crate::base64::url_safe;
use crate::client::Client;
use crate::client_auth::ClientAuth;
use crate::client_config::ClientId;
use crate::exchange::{Exchange, Input, Step};
use crate::issuer::Issuer;
use crate::moment::Moment;
use crate::server::EndpointKind;
use crate::testing::{NOW, at, client, error_code, json};

const OTHER: &str = "https://other.example";

/// The server that the assertion is for.
fn other() -> Client {
    let server = Server::new(Issuer::parse(OTHER).unwrap());
    let server = server.with_endpoint(EndpointKind::Token, "https://other.example/token");
    let id = ClientId::new("there");
    Client::new(server.unwrap(), id, ClientAuth::basic("s")).unwrap()
}

fn jwt(typ: &str, claims: &serde_json::Value) -> String {
    let header = url_safe(value!({ "typ": typ, "alg": "RS256" }).to_string());
    format!("{header}.{}.c2ln", url_safe(claims.to_string()))
}

fn id_token(seconds: u64) -> String {
    jwt(
        "JWT",
        &value!({ "aud": "id", "exp": NOW + seconds, "sub": "u" }),
    )
}

fn assertion(changes: &serde_json::Value) -> String {
    let mut claims = value!({ "aud": OTHER, "exp": NOW + 60, "sub": "u" });
    for (name, change) in changes.as_object().unwrap() {
        claims[name] = change.clone();
    }
    jwt("oauth-id-jag+jwt", &claims)
}

fn issued_reply(assertion: &str) -> String {
    value!({
        "access_token": assertion, "token_type": "N_A", "expires_in": 300,
        "issued_token_type": "urn:ietf:params:oauth:token-type:id-jag",
    })
    .to_string()
}

fn login_tokens(id_token: &str) -> Tokens {
    let body = value!({
        "access_token": "a", "token_type": "Bearer", "refresh_token": "r", "id_token": id_token,
    });
    let tokens_exchange = client().client_credentials(Scope::none());
    crate::testing::run_with_reply(tokens_exchange, json(200, &body.to_string())).unwrap()
}

/// Runs an exchange with these replies; returns the requests and the result.
fn run_with_replies<T>(
    mut exchange: impl Exchange<Output = T>,
    moment: &Moment,
    replies: &[(u16, String)],
) -> (Vec<String>, Result<T, &'static str>) {
    let (mut requests, mut replies, mut input) = (Vec::new(), replies.iter(), Input::Begin);
    loop {
        match exchange.resume(moment, input) {
            Ok(Step::Send(request)) => {
                let form = String::from_utf8(request.body().to_vec()).unwrap();
                let grant = form
                    .split('&')
                    .find_map(|pair| pair.strip_prefix("grant_type="));
                let grant = grant.unwrap().rsplit("%3A").next().unwrap().to_owned();
                requests.push(format!("{} {grant}", request.uri().host().unwrap()));
                let (status, body) = replies.next().expect("a request too many");
                input = Input::Reply(json(*status, body));
            }
            Ok(Step::Done(output)) => return (requests, Ok(output)),
            Ok(step) => panic!("{step:?}"),
            Err(error) => return (requests, Err(error.code())),
        }
    }
}

const EXCHANGE: &str = "as.example token-exchange";
const REDEEM: &str = "other.example jwt-bearer";
const REFRESH: &str = "as.example refresh_token";

fn granted_reply() -> (u16, String) {
    (
        200,
        r#"{"access_token":"t","token_type":"Bearer"}"#.to_owned(),
    )
}

fn refused() -> (u16, String) {
    (400, r#"{"error":"invalid_grant"}"#.to_owned())
}

#[test]
fn id_token_is_exchanged_for_an_assertion_that_is_used_once() {
    let access = client().identity_access(&login_tokens(&id_token(300)), &other(), Scope::none());
    let replies = [
        (200, issued_reply(&assertion(&value!({})))),
        granted_reply(),
    ];
    for _ in 0..2 {
        let (requests, tokens) = run_with_replies(access.tokens(), &at(), &replies);
        assert_eq!(requests, [EXCHANGE, REDEEM]);
        assert_eq!(tokens.unwrap().access_token.expose(), "t");
    }
}

#[test]
fn kept_assertion_is_used_first_and_replaced_once_if_refused() {
    let access = client().identity_access(&login_tokens(&id_token(300)), &other(), Scope::none());
    let stored = || IdentityAssertion::parse(assertion(&value!({}))).unwrap();
    access.keep(stored());
    assert_eq!(
        run_with_replies(access.tokens(), &at(), &[granted_reply()]).0,
        [REDEEM]
    );
    access.keep(stored());
    let new = (200, issued_reply(&assertion(&value!({ "jti": "2" }))));
    let replies = [refused(), new.clone(), granted_reply()];
    let (requests, tokens) = run_with_replies(access.tokens(), &at(), &replies);
    assert_eq!(requests, [REDEEM, EXCHANGE, REDEEM]);
    assert!(tokens.is_ok());
    access.keep(stored());
    let (requests, tokens) = run_with_replies(access.tokens(), &at(), &[refused(), new, refused()]);
    assert_eq!(requests, [REDEEM, EXCHANGE, REDEEM]);
    assert_eq!(tokens.map(drop), Err("denied.invalid_grant"));
}

#[test]
fn expired_id_token_is_refreshed_or_fails_without_a_refresh_token() {
    let ended = Moment::fixed(UnixTime::from_secs(NOW + 301), [9; 32]);
    let fresh = jwt(
        "JWT",
        &value!({ "iss": "https://as.example", "aud": "id", "sub": "u",
        "iat": NOW + 301, "exp": NOW + 900 }),
    );
    let refreshed = value!({ "access_token": "b", "token_type": "Bearer", "refresh_token": "r2",
        "id_token": fresh });
    let new = assertion(&value!({ "exp": NOW + 900 }));
    let replies = [
        (200, refreshed.to_string()),
        (200, issued_reply(&new)),
        granted_reply(),
    ];
    let whole = jwt(
        "JWT",
        &value!({ "iss": "https://as.example", "aud": "id", "sub": "u",
        "iat": NOW, "exp": NOW + 300 }),
    );
    let whole = client().identity_access(&login_tokens(&whole), &other(), Scope::none());
    let (requests, tokens) = run_with_replies(whole.tokens(), &ended, &replies);
    assert_eq!(
        (requests.as_slice(), tokens.is_ok()),
        (
            [REFRESH, EXCHANGE, REDEEM].map(str::to_owned).as_slice(),
            true
        )
    );
    assert_eq!(whole.refresh_token().unwrap().secret().expose(), "r2");
    let mut without = login_tokens(&id_token(300));
    without.refresh_token = None;
    let access = client().identity_access(&without, &other(), Scope::none());
    let (requests, tokens) = run_with_replies(access.tokens(), &ended, &[]);
    assert_eq!(requests, Vec::<String>::new());
    assert_eq!(tokens.map(drop), Err("grant.no_refresh_token"));
}

/// "it might not contain an id_token" (OpenID Connect Core section 12.2): the refresh token then identifies the user.
#[test]
fn refresh_token_is_the_subject_if_a_refresh_returns_no_id_token() {
    let ended = Moment::fixed(UnixTime::from_secs(NOW + 301), [9; 32]);
    let refreshed = value!({ "access_token": "b", "token_type": "Bearer", "refresh_token": "r2" });
    let new = assertion(&value!({ "exp": NOW + 900 }));
    let replies = [
        (200, refreshed.to_string()),
        (200, issued_reply(&new)),
        granted_reply(),
    ];
    let access = client().identity_access(&login_tokens(&id_token(300)), &other(), Scope::none());
    let (requests, tokens) = run_with_replies(access.tokens(), &ended, &replies);
    let requests: Vec<_> = requests.iter().map(String::as_str).collect();
    assert_eq!(requests, [REFRESH, EXCHANGE, REDEEM]);
    assert!(tokens.is_ok());

    let now = UnixTime::from_secs(NOW + 301);
    let mut login = login_tokens(&id_token(300));
    let kind = |login: &Tokens| error_code(IdentitySubject::from_renewed_login(login, now));
    let refresh = |subject| matches!(subject, Ok(IdentitySubject::RefreshToken(token)) if token.expose() == "r");
    assert!(refresh(kind(&login)));
    login.id_token = None;
    assert!(refresh(kind(&login)));
    // An access token that renews itself does not identify a user.
    let token = login.refresh_token.as_mut().unwrap();
    token.renews = crate::token::RenewalTokenKind::AsAccessToken(None);
    assert_eq!(
        kind(&login).map(drop),
        Err("identity_assertion.no_id_token")
    );
    login.refresh_token = None;
    assert_eq!(
        kind(&login).map(drop),
        Err("identity_assertion.no_id_token")
    );
    login.id_token = Some(Secret::new(id_token(900)));
    assert!(matches!(kind(&login), Ok(IdentitySubject::IdToken(_))));
}

/// A server with rotation revokes the grant if a refresh token is reused.
#[test]
fn only_one_of_two_concurrent_runs_spends_the_refresh_token() {
    let at = |seconds| Moment::fixed(UnixTime::from_secs(NOW + seconds), [9; 32]);
    let claims = |from: u64, to: u64| {
        let (iat, exp) = (NOW + from, NOW + to);
        let iss = "https://as.example";
        jwt(
            "JWT",
            &value!({ "iss": iss, "aud": "id", "sub": "u", "iat": iat, "exp": exp }),
        )
    };
    let access = client().identity_access(&login_tokens(&claims(0, 300)), &other(), Scope::none());
    let refreshed = value!({ "access_token": "b", "token_type": "Bearer", "refresh_token": "r2",
        "id_token": claims(301, 900) });
    let (mut first, mut second) = (access.tokens(), access.clone().tokens());
    let step = first.resume(&at(301), Input::Begin);
    assert!(matches!(step, Ok(Step::Send(_))));
    for input in [Input::Begin, Input::Elapsed] {
        let step = second.resume(&at(301), input);
        assert!(matches!(step, Ok(Step::Sleep(_))), "{step:?}");
    }
    let reply = Input::Reply(json(200, &refreshed.to_string()));
    let step = first.resume(&at(301), reply);
    assert!(matches!(step, Ok(Step::Send(_))), "{step:?}");
    // Both runs can use the new ID token.
    let sent = match second.resume(&at(301), Input::Elapsed) {
        Ok(Step::Send(request)) => String::from_utf8(request.body().to_vec()).unwrap(),
        step => panic!("{step:?}"),
    };
    assert!(sent.contains("token-exchange"), "{sent}");

    // When a run is dropped, the next one proceeds.
    let (mut third, mut fourth) = (access.tokens(), access.tokens());
    assert!(matches!(
        third.resume(&at(901), Input::Begin),
        Ok(Step::Send(_))
    ));
    assert!(matches!(
        fourth.resume(&at(901), Input::Begin),
        Ok(Step::Sleep(_))
    ));
    drop(third);
    let sent = match fourth.resume(&at(901), Input::Elapsed) {
        Ok(Step::Send(request)) => String::from_utf8(request.body().to_vec()).unwrap(),
        step => panic!("{step:?}"),
    };
    assert!(sent.contains("refresh_token=r2"), "{sent}");
    // The wait is limited.
    let mut fifth = access.tokens();
    let mut step = fifth.resume(&at(901), Input::Begin);
    let mut polls = 0;
    while let Ok(Step::Sleep(_)) = step {
        polls += 1;
        step = fifth.resume(&at(901), Input::Elapsed);
    }
    assert_eq!(
        (polls, error_code(step).map(drop)),
        (MAX_POLLS, Err("lost.unsent"))
    );
}

/// While the refresh token is the subject of an exchange, no other run may refresh it.
#[test]
fn no_refresh_starts_while_the_refresh_token_is_being_exchanged() {
    let ended = Moment::fixed(UnixTime::from_secs(NOW + 301), [9; 32]);
    let refreshed = value!({ "access_token": "b", "token_type": "Bearer", "refresh_token": "r2" });
    let access = client().identity_access(&login_tokens(&id_token(300)), &other(), Scope::none());
    let (mut first, mut second) = (access.tokens(), access.tokens());
    assert!(matches!(
        first.resume(&ended, Input::Begin),
        Ok(Step::Send(_))
    ));
    let reply = Input::Reply(json(200, &refreshed.to_string()));
    let sent = match first.resume(&ended, reply) {
        Ok(Step::Send(request)) => String::from_utf8(request.body().to_vec()).unwrap(),
        step => panic!("{step:?}"),
    };
    assert!(sent.contains("subject_token=r2"), "{sent}");
    for input in [Input::Begin, Input::Elapsed] {
        let step = second.resume(&ended, input);
        assert!(matches!(step, Ok(Step::Sleep(_))), "{step:?}");
    }
    let new = assertion(&value!({ "exp": NOW + 900 }));
    let step = first.resume(&ended, Input::Reply(json(200, &issued_reply(&new))));
    assert!(matches!(step, Ok(Step::Send(_))), "{step:?}");
    // The exchange has ended, and the next run proceeds.
    let sent = match second.resume(&ended, Input::Elapsed) {
        Ok(Step::Send(request)) => String::from_utf8(request.body().to_vec()).unwrap(),
        step => panic!("{step:?}"),
    };
    assert!(sent.contains("refresh_token=r2"), "{sent}");
}

#[test]
fn issued_assertion_with_wrong_claims_or_type_is_refused() {
    let send = |answer: String| {
        let subject = IdentitySubject::IdToken(id_token(300).into());
        let request = IdentityAssertionRequest::new(subject, OTHER, Scope::none()).unwrap();
        let (_, got) = run_with_replies(
            client().identity_assertion(request),
            &at(),
            &[(200, answer)],
        );
        got.map(drop)
    };
    assert_eq!(send(issued_reply(&assertion(&value!({})))), Ok(()));
    let foreign = value!({ "aud": "https://third.example" });
    assert_eq!(
        send(issued_reply(&assertion(&foreign))),
        Err("jwt.audience")
    );
    let several = value!({ "aud": [OTHER, "https://third.example"] });
    assert_eq!(
        send(issued_reply(&assertion(&several))),
        Err("jwt.untrusted_audience")
    );
    let plain = jwt("JWT", &value!({ "aud": OTHER }));
    assert_eq!(send(issued_reply(&plain)), Err("jwt.typ"));
    let usable = issued_reply(&assertion(&value!({}))).replace("N_A", "Bearer");
    assert_eq!(send(usable), Err("token.unsupported_token_type"));
    let untyped = issued_reply(&assertion(&value!({}))).replace("issued_token_type", "other");
    assert_eq!(send(untyped), Err("token.missing_issued_token_type"));
    // An encrypted assertion is checked by the other server.
    let issued_encrypted = issued_reply("e30.a2V5.aXY.dGV4dA.dGFn");
    assert_eq!(send(issued_encrypted), Ok(()));
}

#[test]
fn id_token_of_another_client_or_expired_is_not_sent() {
    let send = |token: String| {
        let subject = IdentitySubject::IdToken(token.into());
        let request = IdentityAssertionRequest::new(subject, OTHER, Scope::none()).unwrap();
        let (requests, got) = run_with_replies(client().identity_assertion(request), &at(), &[]);
        assert!(requests.is_empty());
        got.map(drop)
    };
    let foreign = jwt("JWT", &value!({ "aud": "other", "exp": NOW + 300 }));
    assert_eq!(send(foreign), Err("jwt.audience"));
    let ended = jwt("JWT", &value!({ "aud": "id", "exp": NOW - 300 }));
    assert_eq!(send(ended), Err("jwt.expired"));
}

#[test]
fn assertion_is_sent_only_to_its_audience_before_it_expires() {
    let present = |client: Client, seconds: u64| {
        let stored = IdentityAssertion::parse(assertion(&value!({}))).unwrap();
        let moment = Moment::fixed(UnixTime::from_secs(NOW + seconds), [9; 32]);
        let (requests, got) = run_with_replies(
            client.redeem_identity_assertion(stored, Scope::none()),
            &moment,
            &[granted_reply()],
        );
        (requests.len(), got.map(drop))
    };
    assert_eq!(present(other(), 0), (1, Ok(())));
    assert_eq!(present(client(), 0), (0, Err("jwt.audience")));
    assert_eq!(present(other(), 60), (0, Err("jwt.expired")));
    let refused = error_code(IdentityAssertion::parse("a.b").map(drop));
    assert_eq!(refused, Err("jws.malformed"));
}

#[test]
fn assertion_must_have_the_id_jag_type() {
    let parsed = |typ: &str| {
        let token = jwt(
            typ,
            &value!({ "aud": "https://other.example", "exp": NOW + 60 }),
        );
        error_code(IdentityAssertion::parse(token).map(drop))
    };
    for typ in [
        "oauth-id-jag+jwt",
        "OAuth-ID-JAG+JWT",
        "application/oauth-id-jag+jwt",
        "Application/oauth-id-jag+JWT",
    ] {
        assert_eq!(parsed(typ), Ok(()), "{typ}");
    }
    for typ in ["JWT", "at+jwt", "", "x/oauth-id-jag+jwt"] {
        assert_eq!(parsed(typ), Err("jwt.typ"), "{typ}");
    }
}
