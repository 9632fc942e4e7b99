//! A flow is redeemed once, and only by its own callback.

use std::sync::Arc;

use oauth_core::Moment;
use oauth_core::moment::UnixTime;
use oauth_facade::{
    Auth, AuthorizationFlow, Authorize, CallbackContext, Client, ErasedStep, Error, Server,
};

fn client() -> Client {
    client_of("id")
}

fn client_of(id: &str) -> Client {
    let metadata = r#"{"issuer":"https://as.example",
        "authorization_endpoint":"https://as.example/authorize",
        "token_endpoint":"https://as.example/token"}"#;
    let server = Server::from_metadata("https://as.example", metadata, Default::default());
    Client::new(&server.expect("metadata"), id, Auth::None).expect("a client")
}

fn at() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_750_000_000), [7; 32])
}

fn begun(client: &Client) -> AuthorizationFlow {
    let request = Authorize::new("https://app.example/cb");
    let begun = client.authorize(&at(), &request).expect("a flow");
    AuthorizationFlow::new(&begun.pending)
}

fn callback(flow: &AuthorizationFlow, rest: &str) -> String {
    format!(
        "https://app.example/cb?state={}&{rest}",
        flow.state().expose()
    )
}

fn code<T>(outcome: Result<T, Error>) -> &'static str {
    outcome.err().map_or("done", |error| error.code())
}

#[test]
fn foreign_callback_is_refused_and_the_flow_stays_usable() {
    let client = client();
    let flow = begun(&client);
    for strange in [
        "https://app.example/cb?state=another&code=c",
        "https://app.example/cb?code=c",
        "https://app.example/cb?error=access_denied",
        "https://app.example/cb",
        "https://evil.example/cb?code=c",
        "not a callback",
    ] {
        assert!(!flow.recognizes(strange), "{strange}");
        assert_ne!(code(flow.redeem(&client, strange)), "done", "{strange}");
    }
    let own_callback = callback(&flow, "code=c");
    assert!(flow.recognizes(&own_callback));
    let mut exchange = flow.redeem(&client, &own_callback).expect("a request");
    assert!(matches!(exchange.begin(&at()), Ok(ErasedStep::Send(_))));
}

#[test]
fn flow_stays_usable_after_redemption_with_another_client() {
    let client = client();
    let flow = begun(&client);
    let own_callback = callback(&flow, "code=c");
    assert_eq!(
        code(flow.redeem(&client_of("another"), &own_callback)),
        "stored.issuer"
    );
    let mut exchange = flow.redeem(&client, &own_callback).expect("a request");
    assert!(matches!(exchange.begin(&at()), Ok(ErasedStep::Send(_))));
    assert_eq!(
        code(flow.redeem(&client, &own_callback)),
        "misuse.already_finished"
    );
}

#[test]
fn code_is_redeemed_for_a_subset_of_the_resources() {
    let client = client();
    let [one, other] = ["https://one.example/", "https://other.example/"].map(str::to_owned);
    let authorize = Authorize {
        resource: vec![one.clone(), other.clone()],
        ..Authorize::new("https://app.example/cb")
    };
    let begun = client.authorize(&at(), &authorize).expect("a flow");
    let flow = AuthorizationFlow::new(&begun.pending);
    let own_callback = callback(&flow, "code=c");
    let third = ["https://third.example/".to_owned()];
    let refused = flow.redeem_at(
        &client,
        &own_callback,
        Some(&third),
        CallbackContext::default(),
    );
    assert_eq!(code(refused), "resource.exceeds_grant");
    // The flow is still pending.
    let expected = [other];
    let exchange = flow.redeem_at(
        &client,
        &own_callback,
        Some(&expected),
        CallbackContext::default(),
    );
    let Ok(ErasedStep::Send(request)) = exchange.expect("a request").begin(&at()) else {
        panic!("no request")
    };
    let body = String::from_utf8_lossy(&request.body).into_owned();
    assert!(
        body.contains("resource=https%3A%2F%2Fother.example%2F"),
        "{body}"
    );
    assert!(!body.contains("one.example"), "{body}");
    assert_eq!(
        code(flow.redeem_at(
            &client,
            &own_callback,
            Some(&[one]),
            CallbackContext::default()
        )),
        "misuse.already_finished"
    );
}

#[test]
fn callback_in_another_context_or_for_another_user_is_refused_and_spends_the_flow() {
    let client = client();
    let begin = || {
        CallbackContext::default()
            .in_context("tool-a")
            .for_user("user-1")
    };
    let judged = |callback_context: CallbackContext| {
        let request = Authorize {
            context: Some("tool-a".to_owned()),
            user: Some("user-1".into()),
            ..Authorize::new("https://app.example/cb")
        };
        let begun = client.authorize(&at(), &request).expect("a flow");
        let stored = begun.pending.to_json();
        let flow = AuthorizationFlow::parse(stored.expose()).expect("a flow");
        let own_callback = callback(&flow, "code=c");
        let first = code(flow.redeem_at(&client, &own_callback, None, callback_context));
        // The state matched, so the flow is spent regardless of the result.
        let again = code(flow.redeem_at(&client, &own_callback, None, begin()));
        (first, again)
    };
    assert_eq!(judged(begin()), ("done", "misuse.already_finished"));
    let elsewhere = begin().in_context("tool-b");
    assert_eq!(
        judged(elsewhere),
        ("callback.context", "misuse.already_finished")
    );
    let of_another = begin().for_user("user-2");
    assert_eq!(
        judged(of_another),
        ("callback.user", "misuse.already_finished")
    );
    assert_eq!(
        judged(CallbackContext::default()),
        ("callback.context", "misuse.already_finished")
    );
}

#[test]
fn matching_callback_spends_the_flow_even_on_error() {
    let client = client();
    for (rest, expected) in [
        ("code=c", "done"),
        ("error=access_denied", "denied.access_denied"),
    ] {
        let flow = begun(&client);
        let own_callback = callback(&flow, rest);
        assert_eq!(code(flow.redeem(&client, &own_callback)), expected);
        assert_eq!(
            code(flow.redeem(&client, &own_callback)),
            "misuse.already_finished"
        );
        assert_eq!(code(flow.to_json()), "misuse.already_finished");
        assert_eq!(code(flow.pending()), "misuse.already_finished");
        assert!(!flow.recognizes(&own_callback));
        assert_eq!(
            flow.issuer(),
            "https://as.example",
            "what it was can still be told"
        );
    }
}

#[test]
fn concurrent_redemption_succeeds_in_exactly_one_thread() {
    let client = Arc::new(client());
    let flow = Arc::new(begun(&client));
    let own_callback = callback(&flow, "code=c");
    let threads: Vec<_> = (0..8)
        .map(|_| {
            let (client, flow, own) =
                (Arc::clone(&client), Arc::clone(&flow), own_callback.clone());
            std::thread::spawn(move || flow.redeem(&client, &own).is_ok())
        })
        .collect();
    let won = threads
        .into_iter()
        .map(|thread| thread.join().expect("no panic"));
    assert_eq!(won.filter(|won| *won).count(), 1);
}

#[test]
fn flow_round_trips_through_storage_and_debug_hides_its_state() {
    let client = client();
    let flow = begun(&client);
    let text = flow.to_json().expect("not spent");
    let again = AuthorizationFlow::parse(text.expose()).expect("a flow");
    assert!(again.state().matches(flow.state().expose()));
    assert_eq!(again.redirect_uri(), "https://app.example/cb");
    assert_eq!(again.started_at(), flow.started_at());
    assert_eq!(code(AuthorizationFlow::parse("{}")), "stored.malformed");
    let shown = format!("{flow:?}");
    assert!(!shown.contains(flow.state().expose().as_str()), "{shown}");
}
