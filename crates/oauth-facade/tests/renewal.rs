//! A renewal as one exchange: the result that the keeper learns, however the exchange ends.

use std::sync::Arc;

use oauth_core::Moment;
use oauth_core::error::Cause;
use oauth_core::moment::UnixTime;
use oauth_facade::{
    Auth, Client, Decision, ErasedExchange, ErasedStep, Error, GrantSettings, Keeper, Record,
    Reply, Server, Tokens,
};

fn keeper() -> Arc<Keeper> {
    let metadata = r#"{"issuer":"https://as.example","token_endpoint":"https://as.example/token"}"#;
    let server = Server::from_metadata("https://as.example", metadata, Default::default());
    let server = server.expect("a server");
    let client = Client::new(&server, "id", Auth::Basic("secret".to_owned().into()));
    let client = client.expect("a client");
    Arc::new(Keeper::client_credentials(&client, &GrantSettings::default()).expect("a keeper"))
}

fn at(seconds: u64) -> Moment {
    Moment::fixed(UnixTime::from_secs(1_750_000_000 + seconds), [7; 32])
}

fn reply(status: u16, body: &str) -> Reply {
    Reply {
        status,
        headers: vec![("content-type".into(), b"application/json".to_vec())],
        body: body.as_bytes().to_vec(),
    }
}

fn tokens(name: &str) -> Reply {
    let body = format!(r#"{{"access_token":"{name}","token_type":"Bearer","expires_in":3600}}"#);
    reply(200, &body)
}

fn begin_renewal(keeper: &Arc<Keeper>, seconds: u64) -> ErasedExchange {
    let mut renewal = keeper.renewal(&at(seconds));
    let step = renewal.begin(&at(seconds)).expect("a step");
    assert!(matches!(step, ErasedStep::Send(_)), "{step:?}");
    renewal
}

fn outcome(step: Result<ErasedStep, Error>) -> Result<Arc<Tokens>, Error> {
    match step? {
        ErasedStep::Done(Record::Tokens(tokens)) => Ok(tokens),
        step => panic!("not the end: {step:?}"),
    }
}

fn must_renew(keeper: &Keeper, seconds: u64) -> bool {
    matches!(keeper.ask(&at(seconds), None), Ok(Decision::Renew))
}

#[test]
fn callers_wait_for_the_renewal_and_get_its_tokens() {
    let keeper = keeper();
    assert!(must_renew(&keeper, 0));
    let mut renewal = begin_renewal(&keeper, 0);
    assert!(matches!(keeper.ask(&at(0), None), Ok(Decision::Wait)));
    let brought = outcome(renewal.reply(&at(1), tokens("one"))).expect("tokens");
    let Ok(Decision::UseToken(held)) = keeper.ask(&at(1), None) else {
        panic!("no token at hand");
    };
    assert!(Arc::ptr_eq(&held, &brought));
    drop(renewal);
    assert!(matches!(
        keeper.ask(&at(1), None),
        Ok(Decision::UseToken(_))
    ));
}

#[test]
fn dropped_renewal_is_abandoned() {
    let keeper = keeper();
    assert!(must_renew(&keeper, 0));
    drop(keeper.renewal(&at(0)));
    assert!(must_renew(&keeper, 0));
    drop(begin_renewal(&keeper, 0));
    assert!(must_renew(&keeper, 0));
    let mut renewal = begin_renewal(&keeper, 0);
    assert!(outcome(renewal.reply(&at(0), tokens("one"))).is_ok());
}

#[test]
fn out_of_order_input_ends_the_renewal() {
    let keeper = keeper();
    for is_begun in [true, false] {
        assert!(must_renew(&keeper, 0));
        let mut renewal = if is_begun {
            begin_renewal(&keeper, 0)
        } else {
            keeper.renewal(&at(0))
        };
        let error = outcome(renewal.elapsed(&at(0))).expect_err("out of order");
        assert_eq!(error.code(), "misuse.out_of_order");
        let error = outcome(renewal.reply(&at(0), tokens("late"))).expect_err("over");
        assert_eq!(error.code(), "misuse.already_finished");
    }
    assert!(must_renew(&keeper, 0));
}

#[test]
fn refusal_is_available_as_the_last_error() {
    let keeper = keeper();
    assert!(must_renew(&keeper, 0));
    let mut renewal = begin_renewal(&keeper, 0);
    let refused = reply(401, r#"{"error":"invalid_client"}"#);
    let error = outcome(renewal.reply(&at(0), refused)).expect_err("refused");
    assert_eq!(error.code(), "denied.invalid_client");
    let last_error = keeper.last_error().expect("the same");
    assert_eq!(last_error.code(), "denied.invalid_client");
}

#[test]
fn failed_renewal_returns_the_still_valid_tokens() {
    let keeper = keeper();
    assert!(must_renew(&keeper, 0));
    let mut renewal = begin_renewal(&keeper, 0);
    let first = outcome(renewal.reply(&at(0), tokens("one"))).expect("tokens");
    let mut near = 0;
    while !matches!(keeper.ask(&at(near), None), Ok(Decision::UseAndRenew(_))) {
        near += 1;
        assert!(near < 3600, "never renewed in time");
    }
    let mut renewal = begin_renewal(&keeper, near);
    let cause = Cause::unsent("no connection");
    let tokens = outcome(renewal.lost(&at(near), cause)).expect("the old tokens");
    assert!(Arc::ptr_eq(&tokens, &first));
    assert_eq!(
        keeper.last_error().map(|error| error.code()),
        Some("lost.unsent")
    );
}

#[test]
fn shared_grant_without_a_store_is_refused() {
    let keeper = Arc::into_inner(keeper()).expect("no one else has it");
    let keeper = Arc::new(keeper.shared().expect("shared"));
    assert!(must_renew(&keeper, 0));
    let error = outcome(keeper.renewal(&at(0)).begin(&at(0))).expect_err("no store");
    assert_eq!(error.code(), "misuse.setup");
    assert!(must_renew(&keeper, 0));
}

#[test]
fn retry_after_headers_of_a_reply_are_respected() {
    for field in ["Retry-After", "X-RateLimit-Reset"] {
        let keeper = keeper();
        assert!(must_renew(&keeper, 0));
        let mut renewal = begin_renewal(&keeper, 0);
        let mut busy = reply(503, "");
        busy.headers.push((field.to_owned(), b"70".to_vec()));
        busy.headers.push(("x-other".to_owned(), b"1".to_vec()));
        let error = outcome(renewal.reply(&at(0), busy)).expect_err("busy");
        let pause = error.retry_after().expect("a pause").as_secs();
        assert!((70..=71).contains(&pause), "{field}: {pause} s");
        let error = keeper.ask(&at(60), None).expect_err("still busy");
        assert!(error.is_repeated(), "{field}");
    }
}
