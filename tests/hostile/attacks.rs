//! Attacks on requests, responses and bound tokens, by the ids of the project's list of attacks on OAuth clients.

use std::sync::Arc;

use oauth_core::exchange::{self, Exchange as _, Input};
use oauth_core::flow::authorization::ResponseMode;
use oauth_core::flow::keeper::GrantId;
use oauth_core::flow::poll::PollTiming;
use oauth_core::flow::resource::{Api, Clock, Event, Resource, ResourceRequest, Step};
use oauth_core::grant::Ciba;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::{AuthorizationRequest, Moment, Scope};
use oauth_crypto::DpopKey;
use oauth_testkit::twin::IdTokenFlaw;
use oauth_testkit::{Fault, Twin};

use crate::Party;
use crate::fapi::{Bank, USUAL, Variant, browse};

const CALLBACK: &str = "https://app.example/callback";

fn system_clock() -> Clock {
    Clock::system().expect("a clock")
}

/// CSRF on the redirect, and a response to a different flow: each flow has its own `state`.
#[test]
fn a1_a_response_of_another_flow_is_refused() {
    let bank = Bank::of(USUAL);
    let begin = || {
        bank.driver.run(
            bank.client
                .begin_authorization(bank.authorization_request()),
        )
    };
    let (ours, theirs) = (begin().expect("a flow"), begin().expect("a flow"));
    let callback = browse(&bank.tls, theirs.url.as_str());
    assert!(!ours.pending.recognizes(&callback));
    let refused = bank.client.redeem(ours.pending, &callback).err();
    assert_eq!(refused.map(|e| e.code()), Some("callback.state"));
    assert_eq!(bank.requests("/token"), 0);
}

/// Weak randomness: a flow's secrets are 256 bits from the system's generator, and unique to that flow.
#[test]
fn a3_random_values_of_flows_are_unique() {
    let bank = Bank::of(USUAL);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..20 {
        let authorization = bank.driver.run(
            bank.client
                .begin_authorization(bank.authorization_request()),
        );
        let flow = authorization.expect("a flow").pending.to_json();
        let flow: serde_json::Value = serde_json::from_str(flow.expose()).expect("JSON");
        for member in ["state", "nonce", "code_verifier"] {
            let drawn = flow[member].as_str().expect(member).to_owned();
            assert_eq!(drawn.len(), 43, "{member}");
            assert!(seen.insert(drawn), "{member}");
        }
    }
}

/// Code injection: a code from a different flow cannot be redeemed, because the verifier does not match.
#[test]
fn a4_a_code_of_another_flow_is_refused() {
    let bank = Bank::of(USUAL);
    let begin = || {
        bank.driver.run(
            bank.client
                .begin_authorization(bank.authorization_request()),
        )
    };
    let (ours, theirs) = (begin().expect("a flow"), begin().expect("a flow"));
    let stolen = browse(&bank.tls, theirs.url.as_str());
    let callback_url = browse(&bank.tls, ours.url.as_str());
    let parameter = |callback: &str, name: &str| {
        let (_, query) = callback.split_once('?').expect("a query");
        let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).expect("pairs");
        let found = pairs.into_iter().find(|(key, _)| key == name);
        found.expect(name).1
    };
    let injected = callback_url.replace(
        &parameter(&callback_url, "code"),
        &parameter(&stolen, "code"),
    );
    let exchange = bank
        .client
        .redeem(ours.pending, &injected)
        .expect("a callback");
    let refused = bank.driver.run(exchange).err();
    assert_eq!(refused.map(|e| e.code()), Some("denied.invalid_grant"));
}

/// PKCE downgrade: a refused request is not repeated, least of all without a challenge.
#[tokio::test]
async fn a5_every_request_has_a_challenge() {
    let party = Party::new().await;
    party.served.with(Twin::deny_next);
    let refused = party
        .login(party.authorization_request("openid"))
        .await
        .err();
    assert_eq!(refused, Some("denied.access_denied"));
    party.served.with(|twin| {
        let requests: Vec<_> = twin
            .log()
            .iter()
            .filter(|e| e.path == "/authorize")
            .collect();
        assert_eq!(requests.len(), 1);
        let method = requests
            .first()
            .and_then(|entry| entry.query("code_challenge_method"));
        assert_eq!(method, Some("S256"));
    });
    assert_eq!(party.requests("/token"), 0);
}

/// The classic mix-up: the user was redirected to an honest server, whose response arrives in the flow of the
/// attacker's server. The code is not sent to the attacker's.
#[tokio::test]
async fn a6_a_code_from_the_honest_server_is_not_sent_to_the_attacker() {
    let (attacker, honest) = (Party::new().await, Party::new().await);
    let at = Moment::system().expect("a clock");
    let (url, pending) = attacker
        .client
        .authorize(&at, attacker.authorization_request("openid read"))
        .expect("a URL");
    let sent_on = url
        .as_str()
        .replace(attacker.served.base(), honest.served.base());
    let browser = oauth_reqwest::reqwest::Client::builder()
        .no_proxy()
        .redirect(oauth_reqwest::reqwest::redirect::Policy::none());
    let reply = browser
        .build()
        .expect("a browser")
        .get(sent_on)
        .send()
        .await;
    let reply = reply.expect("a reply");
    let callback = reply.headers()["location"].to_str().expect("a URL");
    let refused = attacker.client.redeem(pending, callback).err();
    assert_eq!(refused.map(|e| e.code()), Some("callback.issuer"));
    assert_eq!(attacker.requests("/token"), 0);
}

/// Mix-up by redirect URIs: a response at a different server's redirect URI belongs to a different flow.
#[test]
fn a6_a_response_at_another_redirect_uri_is_refused() {
    let bank = Bank::of(USUAL);
    let authorization = bank.driver.run(
        bank.client
            .begin_authorization(bank.authorization_request()),
    );
    let authorization = authorization.expect("a flow");
    let callback = browse(&bank.tls, authorization.url.as_str());
    let elsewhere = callback.replace("app.example/callback", "app.example/callback/other");
    let refused = bank.client.redeem(authorization.pending, &elsewhere).err();
    assert_eq!(refused.map(|e| e.code()), Some("callback.redirect_uri"));
    assert_eq!(bank.requests("/token"), 0);
}

/// Mix-up by a resource server: a token is sent only to the origins it is meant for.
#[test]
fn a6_a_token_is_not_sent_to_another_api() {
    let bank = Bank::of(USUAL);
    let tokens = bank.sign_in().expect("a login").tokens;
    let api = bank.api(tokens).expect("an API");
    let refused = api.get("https://api.attacker.example/echo").send().err();
    assert_eq!(
        refused.map(|e| e.code()),
        Some("resource.origin_not_allowed")
    );
}

/// An error response is accepted only with the flow's `state` and issuer.
#[test]
fn a7_a_forged_error_response_is_refused() {
    let bank = Bank::of(USUAL);
    let begin = || {
        bank.driver.run(
            bank.client
                .begin_authorization(bank.authorization_request()),
        )
    };
    for (query, code) in [
        ("error=access_denied", "callback.state"),
        ("error=access_denied&state=af0if", "callback.state"),
    ] {
        let authorization = begin().expect("a flow");
        let callback = format!("{CALLBACK}?{query}");
        let refused = bank.client.redeem(authorization.pending, &callback).err();
        assert_eq!(refused.map(|e| e.code()), Some(code), "{query}");
    }
    let authorization = begin().expect("a flow");
    let state = authorization.pending.state().expose();
    let callback =
        format!("{CALLBACK}?error=access_denied&state={state}&iss=https://other.example");
    let refused = bank.client.redeem(authorization.pending, &callback).err();
    assert_eq!(refused.map(|e| e.code()), Some("callback.issuer"));
}

/// Extra parameters of the caller never replace the flow's own.
#[test]
fn a8_extra_parameters_cannot_override_parameters_of_the_flow() {
    let bank = Bank::of(USUAL);
    for name in [
        "client_id",
        "state",
        "code_challenge",
        "redirect_uri",
        "request",
        "dpop_jkt",
    ] {
        let request = bank.authorization_request().extra(name, "another");
        let refused = bank
            .driver
            .run(bank.client.begin_authorization(request))
            .err();
        assert_eq!(
            refused.map(|e| e.code()),
            Some("form.reserved_parameter"),
            "{name}"
        );
    }
    assert_eq!(bank.requests("/par"), 0);
}

/// A signed response is not accepted as an ID token, nor vice versa, although one key signs both.
#[test]
fn b16_a_token_of_one_kind_is_not_accepted_as_another() {
    let profile = oauth_core::SecurityProfile::Fapi2MessageSigning;
    let bank = Bank::of(Variant { profile, ..USUAL });
    let id_token = bank
        .sign_in()
        .expect("a login")
        .tokens
        .id_token
        .expect("an ID token");
    let authorization = bank.driver.run(
        bank.client
            .begin_authorization(bank.authorization_request()),
    );
    let authorization = authorization.expect("a flow");
    let callback = format!("{CALLBACK}?response={}", id_token.expose());
    let exchange = bank
        .client
        .redeem(authorization.pending, &callback)
        .expect("a response");
    let refused = bank.driver.run(exchange).map(drop).err();
    assert_eq!(refused.map(|e| e.code()), Some("callback.missing_code"));
    let flaw = IdTokenFlaw::ForeignType;
    bank.tls.with(|twin| twin.inject(Fault::IdToken { flaw }));
    assert_eq!(bank.sign_in().err().map(|e| e.code()), Some("jwt.typ"));
}

/// Audience injection: whatever endpoints a server's metadata lists, the audience of an assertion is its issuer.
#[test]
fn c8_an_assertion_has_only_the_issuer_as_audience() {
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let bank = Bank::of(USUAL);
    bank.sign_in().expect("a login");
    let sent = bank.tls.with(|twin| {
        let log = twin.log().iter();
        let sent = log.filter_map(|entry| entry.form("client_assertion").map(str::to_owned));
        sent.collect::<Vec<_>>()
    });
    assert!(sent.len() >= 2, "one to /par, one to /token");
    for assertion in sent {
        let claims = assertion.split('.').nth(1).expect("claims");
        let claims = URL_SAFE_NO_PAD.decode(claims).expect("base64url");
        let claims: serde_json::Value = serde_json::from_slice(&claims).expect("JSON");
        assert_eq!(claims["aud"], bank.tls.base.as_str());
    }
}

/// Header injection: neither a token nor a nonce can add a header field.
#[test]
fn c12_tokens_and_nonces_cannot_inject_header_fields() {
    let bank = Bank::of(USUAL);
    let tokens = bank.sign_in().expect("a login").tokens;
    let url = format!("{}/api/echo", bank.tls.mutual);
    let api = || {
        let api = Api::new(Resource::new([bank.tls.mutual.as_str()]).expect("an origin"));
        api.with_dpop(&bank.client).expect("a key")
    };
    for text in ["a\r\nx-admin: 1", "a\nb", "a b", "a\0b"] {
        let mut forged = tokens.clone();
        forged.access_token = text.into();
        let mut request = ResourceRequest::new(&api(), http::Method::GET, &url);
        request
            .resume(&system_clock(), Event::Begin)
            .expect("a step");
        let step = request.resume(&system_clock(), Event::Token(&Arc::new(forged)));
        let refused = step.err().map(|error| error.code());
        assert_eq!(refused, Some("token.not_token68"), "{text:?}");
    }
    let tokens = Arc::new(tokens);
    for nonce in ["a b", "a\"b", "a\\b", "a\tb"] {
        let sent = refused_by_nonce(&api(), &url, &tokens, |_| nonce.to_owned());
        // The value is not a valid nonce, so the request is not repeated.
        assert_eq!(sent, 1, "{nonce:?}");
    }
}

/// The number of requests sent to an API that requires a new nonce each time.
fn refused_by_nonce(
    api: &Api,
    url: &str,
    tokens: &Arc<oauth_core::Tokens>,
    nonce: impl Fn(usize) -> String,
) -> usize {
    let mut request = ResourceRequest::new(api, http::Method::GET, url);
    let (mut sent, mut headers) = (0, http::HeaderMap::new());
    let mut step = request.resume(&system_clock(), Event::Begin);
    loop {
        step = match step.expect("a step") {
            Step::Token(_) | Step::Renew(_) => {
                request.resume(&system_clock(), Event::Token(tokens))
            }
            Step::Send { .. } => {
                sent += 1;
                let challenge = "DPoP error=\"use_dpop_nonce\"".parse();
                headers.insert("www-authenticate", challenge.expect("a value"));
                headers.insert("dpop-nonce", nonce(sent).parse().expect("a value"));
                let status = http::StatusCode::UNAUTHORIZED;
                request.resume(&system_clock(), Event::Reply(status, &headers))
            }
            Step::Done => return sent,
            step => panic!("{step:?}"),
        };
    }
}

/// Retry storms: a request is sent only twice to a server that always requires a new nonce, and is not repeated at
/// once if the server names no pause.
#[test]
fn c13_retries_are_limited() {
    let bank = Bank::of(USUAL);
    let tokens = Arc::new(bank.sign_in().expect("a login").tokens);
    let url = format!("{}/api/echo", bank.tls.mutual);
    let api = Api::new(Resource::new([bank.tls.mutual.as_str()]).expect("an origin"));
    let api = api.with_dpop(&bank.client).expect("a key");
    let sent = refused_by_nonce(&api, &url, &tokens, |number| format!("n{number}"));
    assert_eq!(sent, 2);

    let read = Scope::parse("read").expect("a scope");
    let mut exchange = bank.client.client_credentials(read);
    let (mut request_count, mut input) = (0, Input::Begin);
    let refused = loop {
        let at = Moment::system().expect("a clock");
        input = match exchange.resume(&at, input) {
            Ok(exchange::Step::Send(_)) => {
                request_count += 1;
                let reply = http::Response::builder()
                    .status(400)
                    .header("content-type", "application/json")
                    .header("dpop-nonce", format!("n{request_count}"));
                Input::Reply(
                    reply
                        .body(r#"{"error":"use_dpop_nonce"}"#.into())
                        .expect("a reply"),
                )
            }
            Ok(step) => panic!("{step:?}"),
            Err(error) => break error,
        };
    };
    assert_eq!(
        (request_count, refused.code()),
        (2, "denied.use_dpop_nonce")
    );

    let pace = PollTiming {
        interval: 0,
        expires_at: Moment::system().expect("a clock").now().after(HOUR),
    };
    let mut poll = bank.client.poll(Ciba::new("1c2"), Scope::none(), pace);
    let first = poll.resume(&Moment::system().expect("a clock"), Input::Begin);
    assert!(matches!(first, Ok(exchange::Step::Sleep(pause)) if pause >= HOUR / 3600));
}

const HOUR: std::time::Duration = std::time::Duration::from_secs(3600);

/// A wrong token from a cache: the keys of grants distinguish the user, the purpose and the DPoP key.
#[test]
fn d1_different_grants_have_different_keys() {
    let bank = Bank::of(USUAL);
    let scope = |text| GrantId::client().requesting(Scope::parse(text).expect("a scope"));
    let other = DpopKey::generate(oauth_core::jose::Alg::Es256).and_then(|key| key.to_core());
    let rebound = bank.client.clone().with_dpop(other.expect("a key"));
    let mut keys = vec![
        bank.client.keeper(scope("read")).key(),
        bank.client.keeper(scope("write")).key(),
        bank.client.keeper(GrantId::user("alice")).key(),
        bank.client.keeper(GrantId::user("bob")).key(),
        rebound.keeper(scope("read")).key(),
        rebound.keeper(GrantId::user("alice")).key(),
    ];
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), count);
}

/// Sender-constraint downgrade: a bound token never becomes a bearer token, neither by the server nor by losing the key.
#[test]
fn d5_a_bound_token_is_never_used_as_a_bearer_token() {
    let bank = Bank::of(USUAL);
    bank.tls.with(|twin| twin.inject(Fault::BearerTokenType));
    let refused = bank.sign_in().err().map(|error| error.code());
    assert_eq!(refused, Some("token.not_sender_constrained"));
    // A caller without the key sends nothing.
    let tokens = bank.sign_in().expect("a login").tokens;
    let api = Api::new(Resource::new([bank.tls.mutual.as_str()]).expect("an origin"));
    let url = format!("{}/api/echo", bank.tls.mutual);
    let mut request = ResourceRequest::new(&api, http::Method::GET, &url);
    request
        .resume(&system_clock(), Event::Begin)
        .expect("a step");
    let step = request.resume(&system_clock(), Event::Token(&Arc::new(tokens)));
    assert!(
        matches!(&step, Err(error) if error.code() == "key.missing"),
        "{step:?}"
    );
    assert!(!matches!(step, Ok(Step::Send { .. })));
}

/// Request integrity: the server answers the request that was pushed to it, regardless of what is changed in the
/// browser.
#[test]
fn modified_authorization_urls_do_not_change_a_pushed_request() {
    let bank = Bank::of(USUAL);
    let authorization = bank.driver.run(
        bank.client
            .begin_authorization(bank.authorization_request()),
    );
    let authorization = authorization.expect("a flow");
    let changed = format!(
        "{}&scope=write&redirect_uri=https://attacker.example/",
        authorization.url.as_str()
    );
    let callback = browse(&bank.tls, &changed);
    assert!(callback.starts_with(CALLBACK), "{callback}");
    let login = bank.client.redeem(authorization.pending, &callback);
    let login = login.and_then(|exchange| bank.driver.run(exchange));
    let granted = login.expect("a login").tokens.scope;
    assert_eq!(granted, Scope::parse("openid read").expect("a scope"));
    // The response mode is part of the pushed request.
    let uri = RedirectUri::parse(CALLBACK).expect("a URI");
    let request = AuthorizationRequest::new(uri).response_mode(ResponseMode::Fragment);
    let authorization = bank
        .driver
        .run(bank.client.begin_authorization(request))
        .expect("a flow");
    let changed = format!("{}&response_mode=query", authorization.url.as_str());
    assert!(browse(&bank.tls, &changed).contains("#code="));
}
