//! Attacks on transport, metadata and token lifecycles, by the ids of the project's list of attacks on OAuth clients.

use bytes::Bytes;
use http::Response;
use oauth_core::client_auth::Credentials;
use oauth_core::endpoint::registration::Registration;
use oauth_core::exchange::{Exchange, Input, Step};
use oauth_core::flow::discovery::DiscoveryRequest;
use oauth_core::flow::keeper::{GrantId, Policy, Reuse};
use oauth_core::issuer::Issuer;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::url::Url;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, ClientMetadata, Error, Moment, Scope,
    Tokens, danger, discover_with, register,
};
use oauth_reqwest::{Authorized, GrantSource};
use oauth_testkit::Fault;

use crate::Party;

fn code<T>(result: Result<T, Error>) -> Option<&'static str> {
    result.err().map(|error| error.code())
}

/// Base URL override: whatever is joined to an API's URL, the token is sent only to the API's origin.
#[tokio::test]
async fn c2_paths_joined_to_the_api_url_cannot_redirect_the_token() {
    let (party, evil) = (Party::new().await, Party::new().await);
    let base = party.served.base();
    let resource = danger::loopback_resource([base]).expect("an origin");
    let read = Scope::parse("read").expect("a scope");
    let session = GrantSource::client_credentials(party.driver.clone(), &party.client, read);
    let api = Authorized::new(party.driver.clone(), session, resource);
    let there = evil.served.base().replace("http://", "");
    let base_url = url::Url::parse(base).expect("a URL");
    let (mut kept_origins, mut refused) = (0, 0);
    for path in [
        "api/echo".to_owned(),
        "/api/echo?x=//evil.example".to_owned(),
        format!("//{there}/api/echo"),
        format!("\\\\{there}/api/echo"),
        format!("/\\{there}/api/echo"),
        format!("http://{there}/api/echo"),
        format!("http:{there}/api/echo"),
        format!("//x@{there}/api/echo"),
        format!("@{there}/api/echo"),
    ] {
        for url in [
            base_url.join(&path).map(String::from).unwrap_or_default(),
            format!("{base}{path}"),
        ] {
            let sent = api.get(&url).send().await;
            let is_same_origin =
                url::Url::parse(&url).is_ok_and(|url| url.origin() == base_url.origin());
            match sent {
                Ok(_) => assert!(is_same_origin, "{url}"),
                Err(error) => {
                    assert!(
                        ["resource.origin_not_allowed", "url.syntax"].contains(&error.code()),
                        "{url}: {error}"
                    );
                    refused += 1;
                }
            }
            kept_origins += usize::from(is_same_origin);
        }
    }
    assert!(
        kept_origins >= 2 && refused >= 10,
        "{kept_origins} {refused}"
    );
    assert_eq!(evil.requests("/api/echo"), 0);
    evil.served.with(|twin| {
        let is_shown = twin
            .log()
            .iter()
            .any(|entry| entry.header("authorization").is_some());
        assert!(!is_shown, "no token, no secret");
    });
}

/// Metadata of a different issuer is not used, wherever it was found.
#[tokio::test]
async fn c4_metadata_with_another_issuer_is_not_used() {
    let (honest, evil) = (Party::new().await, Party::new().await);
    let issuer = |text: &str| danger::loopback_issuer(text).expect("an issuer");
    let at_evil = format!("{}/.well-known/openid-configuration", evil.served.base());
    let discovery = [
        DiscoveryRequest::new(issuer(honest.served.base()))
            .document(Url::parse(&at_evil).expect("a URL")),
        DiscoveryRequest::new(issuer(&format!("{}/", honest.served.base()))),
    ];
    for request in discovery {
        let found = discover_with(danger::loopback_discovery(request));
        assert_eq!(
            code(honest.driver.run(found).await),
            Some("metadata.issuer")
        );
    }
    for text in [
        "https://as.example?x=y",
        "https://as.example#x",
        "https://ann@as.example",
        "http://as.example",
        "https://AS.example",
        "https://as.example:443",
        "https://as.example/.well-known/openid-configuration",
    ] {
        let refused = code(Issuer::parse(text));
        assert!(
            refused.is_some_and(|code| code.starts_with("issuer.")),
            "{text}"
        );
    }
}

/// Host confusion: equivalent URLs are equal, similar hosts differ, and URLs that parsers read differently are refused.
#[test]
fn c9_ambiguous_hosts_are_rejected() {
    for text in [
        "https://as.ex\u{e4}mple",
        "https://\u{ff41}s.example",
        "https://as\u{3002}example",
        "https://as.example\\@evil.example",
        "https://as.example%2eevil.example",
        "https://127.1",
        "https://0x7f.0.0.1",
        "https://2130706433",
        "https://[::ffff:127.0.0.1%25eth0]",
        "https://as example",
        "https://as.example:99999",
        "https://as.example:0443",
        "https://as.example.",
    ] {
        assert_eq!(code(Url::parse(text)), Some("url.syntax"), "{text}");
    }
    let origin = |text: &str| Url::parse(text).expect(text).origin();
    assert_eq!(
        origin("https://AS.example:443/x"),
        origin("https://as.example")
    );
    assert_ne!(
        origin("https://xn--s-1ga.example"),
        origin("https://s.example")
    );
    // The transport's URL parser agrees, and is of a release without CVE-2024-12224.
    for text in ["https://xn--s-1ga.example/a", "https://[::1]:8443/"] {
        let theirs = url::Url::parse(text)
            .expect(text)
            .origin()
            .ascii_serialization();
        assert_eq!(origin(text), theirs);
    }
    let lock = include_str!("../../Cargo.lock");
    let (_, idna) = lock
        .split_once("name = \"idna\"\nversion = \"")
        .expect("a release");
    let mut parts = idna
        .split(['.', '"'])
        .map_while(|part| part.parse::<u32>().ok());
    let release = (parts.next(), parts.next(), parts.next());
    assert!(release >= (Some(1), Some(0), Some(3)), "{release:?}");
}

/// Endless bodies: reading stops at the limit, compressed or not.
#[tokio::test]
async fn c10_responses_are_limited_in_size() {
    let party = Party::new().await;
    for (fault, expected) in [
        ("oversized_json", "reply.too_large"),
        ("gzip_bomb", "reply.too_large"),
        ("nested_json", "reply.nesting"),
    ] {
        for _ in 0..4 {
            let fault = Fault::parse(fault).expect("a fault");
            party.served.with(|twin| twin.inject(fault));
        }
        let issuer = danger::loopback_issuer(party.served.base()).expect("an issuer");
        let found = danger::discover_on_loopback(issuer, oauth_core::quirk::Rules::default());
        assert_eq!(
            code(party.driver.run(found).await),
            Some(expected),
            "{fault}"
        );
        party.served.with(oauth_testkit::Twin::clear_faults);
        let fault = Fault::parse(fault).expect("a fault");
        party.served.with(|twin| twin.inject(fault));
        let exchange = party.client.client_credentials(Scope::none());
        assert_eq!(code(party.driver.run(exchange).await), Some(expected));
    }
}

fn server() -> Server {
    let server = Server::new(Issuer::parse("https://as.example").expect("an issuer"));
    [
        (EndpointKind::Token, "https://as.example/token"),
        (EndpointKind::Authorization, "https://as.example/authorize"),
        (EndpointKind::Registration, "https://as.example/register"),
    ]
    .into_iter()
    .try_fold(server, |server, (kind, url)| {
        server.with_endpoint(kind, url)
    })
    .expect("endpoints")
}

/// The result of an exchange with one request that gets this response.
fn resume_with<E: Exchange>(
    mut exchange: E,
    status: u16,
    body: &[u8],
) -> (String, Result<E::Output, Error>) {
    let at = Moment::system().expect("a clock");
    let request = match exchange.resume(&at, Input::Begin) {
        Ok(Step::Send(request)) => request,
        Ok(_) => panic!("the first step is a request"),
        Err(error) => panic!("{error}"),
    };
    let sent = format!(
        "{:?} {:?}",
        request.headers().get("authorization"),
        request.body()
    );
    let reply = Response::builder()
        .status(status)
        .header("content-type", "application/json");
    let reply = reply.body(Bytes::copy_from_slice(body)).expect("a reply");
    let done = exchange.resume(&at, Input::Reply(reply));
    let done = done.map(|step| match step {
        Step::Done(output) => output,
        _ => panic!("the exchange is finished"),
    });
    (sent, done)
}

fn token(scope: &str, body: &[u8]) -> Result<Tokens, Error> {
    let client = Client::new(server(), ClientId::new("id"), ClientAuth::basic("secret"));
    let scope = Scope::parse(scope).expect("a scope");
    resume_with(
        client.expect("a client").client_credentials(scope),
        200,
        body,
    )
    .1
}

/// JSON that parsers read differently is refused.
#[test]
fn c11_ambiguous_json_is_refused() {
    let valid_response = br#"{"access_token":"a","token_type":"Bearer","expires_in":60}"#;
    assert!(token("read", valid_response).is_ok());
    for body in [
        &br#"{"access_token":"a","access_token":"b","token_type":"Bearer"}"#[..],
        br#"{"access_token":"a","acc\u0065ss_token":"b","token_type":"Bearer"}"#,
        br#"{"access_token":"a","token_type":"Bearer","x":{"y":1,"y":2}}"#,
        br#"{"access_token":"a","token_type":"Bearer","expires_in":NaN}"#,
        br#"{"access_token":"a","token_type":"Bearer","expires_in":Infinity}"#,
        br#"{"access_token":"a","token_type":"Bearer","expires_in":060}"#,
        br#"{"access_token":"a","token_type":"Bearer","expires_in":0x60}"#,
        br#"{"access_token":"a","token_type":"Bearer",}"#,
        br#"{"access_token":"a","token_type":"Bearer"}{"access_token":"b"}"#,
        br#"{"access_token":"a","token_type":"Bearer"} x"#,
        br#"{'access_token':'a','token_type':'Bearer'}"#,
        br#"{"access_token":"a"/**/,"token_type":"Bearer"}"#,
        br#"{"access_token":"\ud800","token_type":"Bearer"}"#,
        b"{\"access_token\":\"\xff\",\"token_type\":\"Bearer\"}",
        b"{\"access_token\":\"a\nb\",\"token_type\":\"Bearer\"}",
        br#"[{"access_token":"a","token_type":"Bearer"}]"#,
    ] {
        let refused = token("read", body);
        assert!(refused.is_err(), "{}", String::from_utf8_lossy(body));
    }
}

/// The refresh race: a hundred callers use a refresh token once, and it is not sent again after a lost reply.
#[tokio::test(flavor = "multi_thread")]
async fn d2_a_refresh_token_is_used_once() {
    let party = Party::new().await;
    let login = party
        .login(party.authorization_request("openid read"))
        .await
        .expect("a login");
    // The server revokes the grant of a reused refresh token.
    let mut policy = Policy::default();
    policy.reuse = Reuse::Revokes;
    let at = Moment::system().expect("a clock");
    let keeper = party
        .client
        .keeper(GrantId::user("alice"))
        .with_policy(policy);
    let keeper = keeper.with_tokens(&at, login.tokens).expect("tokens");
    let session = GrantSource::new(party.driver.clone(), keeper);
    let old = session.latest().expect("tokens");
    let before = party.requests("/token");
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let (session, old) = (session.clone(), old.clone());
            tokio::spawn(async move { session.renew(&old).await.map(drop) })
        })
        .collect();
    for caller in callers {
        assert_eq!(code(caller.await.expect("an answer")), None);
    }
    assert_eq!(party.requests("/token"), before + 1);
    let new = session.latest().expect("tokens");
    assert_ne!(old.access_token.expose(), new.access_token.expose());

    party.served.with(|twin| twin.inject(Fault::LostReply));
    for _ in 0..3 {
        let lost = code(session.renew(&new).await);
        let lost = lost.expect("an error, because there is no other token");
        assert!(
            ["lost.closed", "grant.outcome_unknown"].contains(&lost),
            "{lost}"
        );
    }
    let (reused, refreshes) = party.served.with(|twin| {
        let counters = twin.counters();
        (counters.reuse_events, counters.refreshes)
    });
    assert_eq!(
        (reused, refreshes),
        (0, 2),
        "the earlier request, and the one whose reply was lost"
    );
}

/// Scope defaulting: an empty `scope` grants nothing; it does not mean the requested scope.
#[test]
fn d3_an_empty_scope_grants_nothing() {
    let empty = br#"{"access_token":"a","token_type":"Bearer","scope":""}"#;
    assert_eq!(
        token("read write", empty).expect("a token").scope,
        Scope::none()
    );
    let less = br#"{"access_token":"a","token_type":"Bearer","scope":"read"}"#;
    let read = Scope::parse("read").expect("a scope");
    assert_eq!(token("read write", less).expect("a token").scope, read);
    // "OPTIONAL, if identical to the scope requested by the client" (RFC 6749 section 5.1)
    let absent = br#"{"access_token":"a","token_type":"Bearer"}"#;
    assert_eq!(token("read", absent).expect("a token").scope, read);
}

/// Registration confusion: a secret assigned to a public client is ignored.
#[test]
fn d6_a_secret_assigned_to_a_public_client_is_never_sent() {
    let uri = RedirectUri::parse("http://127.0.0.1/callback").expect("a redirect URI");
    let mut metadata = ClientMetadata::with_redirect_uris([uri]);
    metadata.token_endpoint_auth_method = Some("none".to_owned());
    let body = |method: &str| {
        format!(
            r#"{{"client_id":"id","client_secret":"S3CR3T","client_secret_expires_at":0,
                "token_endpoint_auth_method":"{method}","redirect_uris":["http://127.0.0.1/callback"]}}"#
        )
    };
    for (method, name, is_sent) in [
        ("none", "none", false),
        ("client_secret_post", "client_secret_post", true),
    ] {
        let exchange = register(server(), Registration::new(metadata.clone()));
        let registration = resume_with(exchange, 201, body(method).as_bytes())
            .1
            .expect("a registration");
        assert_eq!(registration.client_secret.is_some(), is_sent);
        assert_eq!(registration.warnings.len(), usize::from(!is_sent));
        let client =
            Client::registered(server(), &registration, Credentials::default()).expect("a client");
        // The method in the server's response counts, not the requested one.
        assert_eq!(client.auth().name(), name);
        let at = Moment::system().expect("a clock");
        let uri = metadata.redirect_uris.first().expect("one").clone();
        let authorization = client.authorize(&at, AuthorizationRequest::new(uri));
        let (_, pending) = authorization.expect("a URL");
        let state = pending.state().expose();
        let callback = format!("http://127.0.0.1/callback?code=c&state={state}");
        let redeemed = client.redeem(pending, &callback).expect("a callback");
        let (sent, _) = resume_with(redeemed, 200, b"{}");
        assert_eq!(sent.contains("S3CR3T"), is_sent, "{method}");
    }
}
