//! Replies as HTTP clients of other languages return them.

use oauth_facade::{
    Discover, ErasedExchange, ErasedStep, Moment, PreferredDocument, Reply, Resource, Server,
    Transport, UnixTime,
};

fn at() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_750_000_000), [1; 32])
}

fn reply(status: u16, name: &str, value: &[u8], body: &str) -> Reply {
    Reply {
        status,
        headers: vec![(name.to_owned(), value.to_vec())],
        body: body.as_bytes().to_vec(),
    }
}

fn requested_url(exchange: &mut ErasedExchange) -> String {
    match exchange.begin(&at()) {
        Ok(ErasedStep::Send(request)) => request.url,
        other => panic!("a request, got {other:?}"),
    }
}

#[test]
fn whitespace_around_header_values_is_ignored() {
    let send = || Server::discover("https://as.example", Transport::Https).expect("an issuer");
    let body = r#"{"issuer":"https://as.example"}"#;
    for value in [
        &b" application/json"[..],
        b"application/json\t ",
        b" \tapplication/json",
    ] {
        let mut exchange = send();
        requested_url(&mut exchange);
        let done = exchange.reply(&at(), reply(200, "Content-Type", value, body));
        assert!(matches!(done, Ok(ErasedStep::Done(_))), "{done:?}");
    }
    for value in [&b""[..], b" ", b"\t \t"] {
        let mut exchange = send();
        requested_url(&mut exchange);
        let next = exchange.reply(&at(), reply(404, "X-Empty", value, ""));
        assert!(matches!(next, Ok(ErasedStep::Send(_))), "{next:?}");
    }
    let mut exchange = send();
    requested_url(&mut exchange);
    let error = exchange
        .reply(&at(), reply(429, "Retry-After", b" 5 ", ""))
        .expect_err("a refusal");
    assert_eq!(error.advice().after().map(|pause| pause.as_secs()), Some(5));
}

#[test]
fn unreadable_header_does_not_affect_other_headers() {
    let bearer = "Bearer error=\"insufficient_scope\", scope=\"write\"";
    for odd in [
        "Custom realm=\"a\u{7}\"",
        "Custom realm=https://x/",
        "\u{0}",
        "\u{e9}",
    ] {
        for name in ["www-authenticate", "WWW-Authenticate"] {
            let fields = [odd, bearer].map(|value| (name.to_owned(), value.to_owned()));
            let verdict = Resource::verdict(403, &fields);
            assert_eq!(verdict.ok(), Some("widen_scope"), "{odd:?}");
        }
    }
    let other = [("x".to_owned(), bearer.to_owned())];
    assert_eq!(Resource::verdict(403, &other).ok(), Some("pass"));
    assert!(Resource::verdict(7, &[]).is_err());
}

#[test]
fn discovery_options_select_the_first_url() {
    let place = |how: Discover| {
        let exchange = Server::discover_with("https://as.example/t", Transport::Https, how);
        requested_url(&mut exchange.expect("an issuer"))
    };
    let openid = "https://as.example/t/.well-known/openid-configuration";
    assert_eq!(
        place(Discover::default()),
        "https://as.example/.well-known/oauth-authorization-server/t"
    );
    let prefer = Discover {
        prefer: PreferredDocument::OpenId,
        ..Discover::default()
    };
    assert_eq!(place(prefer), openid);
    let scope = Discover {
        scope: "read openid".to_owned(),
        ..Discover::default()
    };
    assert_eq!(place(scope), openid);
    let document = Discover {
        document: Some("https://elsewhere.example/document".to_owned()),
        ..Discover::default()
    };
    assert_eq!(place(document), "https://elsewhere.example/document");
    let loopback = Server::discover("http://localhost:9998", Transport::LoopbackHttp);
    let place = requested_url(&mut loopback.expect("localhost"));
    assert_eq!(
        place,
        "http://localhost:9998/.well-known/oauth-authorization-server"
    );
    assert!(Server::discover("http://localhost:9998", Transport::Https).is_err());
}
