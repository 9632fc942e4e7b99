//! Sessions over stores that misbehave, and the other sources.

use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::exchange::Boxed;
use oauth_core::flow::keeper::{GrantId, Upkeep};
use oauth_core::issuer::Issuer;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Moment, Scope, Secret, Tokens};
use oauth_session::store::{Answer, Entry, Lease, Memory, Saved};
use oauth_session::{Drive, FixedToken, Session, Store, TokenSource, blocking};

/// Hands out one token after the other, and counts them.
#[derive(Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Drive for Counting {
    fn run(&self, _: Boxed<Tokens>) -> Answer<'_, Tokens> {
        let number = self.0.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            // Long enough for others to come.
            tokio::time::sleep(Duration::from_millis(20)).await;
            tokens(&format!("token-{number}"))
        })
    }
}

fn client() -> Client {
    let server = Server::new(Issuer::parse("https://as.example").expect("an issuer"))
        .with_endpoint(EndpointKind::Token, "https://as.example/token")
        .expect("an endpoint");
    Client::new(server, ClientId::new("id"), ClientAuth::basic("secret")).expect("a client")
}

fn tokens(access_token: &str) -> Result<Tokens, Error> {
    let now = Moment::system()?.now().as_secs();
    Tokens::from_json(&format!(
        r#"{{"version":1,"issuer":"https://as.example","client_id":"id","received_at":{now},
        "access_token":"{access_token}","expires_in":3600,"scope":"read"}}"#
    ))
}

fn machine(driver: &Counting, store: Arc<dyn Store>) -> Session {
    let upkeep = Upkeep::ClientCredentials(Scope::none());
    Session::shared(
        driver.clone(),
        client().keeper(upkeep),
        GrantId::default(),
        store,
    )
}

/// It takes what it is given, and never says a word.
struct Silent;

impl Store for Silent {
    fn load<'a>(&'a self, _: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(pending())
    }

    fn save<'a>(&'a self, _: &'a str, _: &'a Secret<String>, _: u64) -> Answer<'a, Saved> {
        Box::pin(pending())
    }

    fn lease<'a>(&'a self, _: &'a str, _: &'a str, _: Duration) -> Answer<'a, Lease> {
        Box::pin(pending())
    }
}

#[tokio::test(start_paused = true)]
async fn a_store_that_never_answers_hangs_nobody() {
    let driver = Counting::default();
    let error = machine(&driver, Arc::new(Silent))
        .token()
        .await
        .expect_err("no store");
    assert_eq!((error.code(), error.endpoint()), ("lost", Some("store")));
    assert_eq!(
        driver.0.load(Ordering::SeqCst),
        0,
        "nothing is sent without a lease"
    );
}

#[tokio::test]
async fn workers_with_one_store_make_one_request() {
    let (driver, store) = (Counting::default(), Arc::new(Memory::default()));
    let workers: Vec<_> = (0..20).map(|_| machine(&driver, store.clone())).collect();
    let all = workers.iter().map(|worker| async move {
        let token = worker.token().await.expect("a token");
        token.access_token.expose().clone()
    });
    let mut all: Vec<_> = join_all(all).await;
    all.dedup();
    assert_eq!(all, ["token-0"]);
    assert_eq!(driver.0.load(Ordering::SeqCst), 1);
}

/// Runs them beside each other.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut futures: Vec<_> = futures.map(|future| Some(Box::pin(future))).collect();
    let mut outputs = Vec::new();
    std::future::poll_fn(|context| {
        for slot in &mut futures {
            if let Some(future) = slot
                && let std::task::Poll::Ready(output) = future.as_mut().poll(context)
            {
                outputs.push(output);
                *slot = None;
            }
        }
        match futures.iter().all(Option::is_none) {
            true => std::task::Poll::Ready(()),
            false => std::task::Poll::Pending,
        }
    })
    .await;
    outputs
}

#[test]
fn threads_share_a_session_without_a_runtime_of_their_own() {
    let driver = Counting::default();
    let session = blocking::Session::client_credentials(driver.clone(), &client(), Scope::none());
    let tokens: Vec<_> = std::thread::scope(|scope| {
        let all: Vec<_> = (0..50).map(|_| scope.spawn(|| session.token())).collect();
        all.into_iter()
            .map(|one| one.join().expect("a thread"))
            .collect()
    });
    assert!(tokens.iter().all(Result::is_ok));
    assert_eq!(driver.0.load(Ordering::SeqCst), 1);
    let first = session.token().expect("a token");
    let second = session.renew(&first).expect("another");
    assert_ne!(first.access_token.expose(), second.access_token.expose());
}

#[tokio::test]
async fn a_fixed_token_is_given_until_it_is_refused() {
    let source: Arc<dyn TokenSource> =
        Arc::new(FixedToken::of_tokens(tokens("only").expect("tokens")));
    let token = source.token(None).await.expect("the token");
    assert_eq!(token.access_token.expose(), "only");
    let error = source.token(Some(&token)).await.expect_err("no other");
    assert_eq!(error.code(), "grant.revoked");
}
