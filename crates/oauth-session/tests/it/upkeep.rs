//! Upkeep of grants whose token no caller requests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::exchange::{Boxed, Exchange as _, Input, Step};
use oauth_core::flow::keeper::{GrantId, Policy};
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Moment, Tokens};
use oauth_session::observe::{GrantEvent, Observe};
use oauth_session::store::{Answer, MemoryStore, RecordTimes, SaveOutcome};
use oauth_session::{GrantSource, Grants, Store as _, TokenDriver};
use tokio::time::sleep;

const DAY: u64 = 24 * 3600;

/// A server whose refresh tokens expire after a week without use.
#[derive(Clone, Default)]
struct Weekly(Arc<AtomicUsize>);

impl TokenDriver for Weekly {
    fn run(&self, mut exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(async move {
            let Step::Send(_) = exchange.resume(&Moment::system()?, Input::Begin)? else {
                panic!("no request");
            };
            let number = self.0.fetch_add(1, Ordering::SeqCst);
            let body = format!(
                r#"{{"access_token":"new-{number}","token_type":"Bearer","expires_in":600,
                "refresh_token":"next-{number}","refresh_token_timeout":604800}}"#
            );
            let reply = http::Response::builder()
                .header("content-type", "application/json")
                .body(body.into())
                .expect("a reply");
            match exchange.resume(&Moment::system()?, Input::Reply(reply))? {
                Step::Done(tokens) => Ok(tokens),
                _ => panic!("not done"),
            }
        })
    }
}

impl Weekly {
    fn requests(&self) -> usize {
        self.0.load(Ordering::SeqCst)
    }
}

fn client() -> Client {
    let server = Server::new(Issuer::parse("https://as.example").expect("an issuer"))
        .with_endpoint(EndpointKind::Token, "https://as.example/token")
        .expect("an endpoint");
    Client::new(server, ClientId::new("id"), ClientAuth::basic("secret")).expect("a client")
}

fn now() -> u64 {
    UnixTime::system().expect("a clock").as_secs()
}

/// Tokens received this long ago, with a valid access token and these additional members.
fn tokens(ago: u64, members: &str) -> Tokens {
    let received_at = now() - ago;
    let text = format!(
        r#"{{"version":1,"issuer":"https://as.example","client_id":"id","received_at":{received_at},
        "access_token":"first","expires_in":{},"scope":"","refresh_token":"r0",
        "refresh_scope":null,"id_token":null{members}}}"#,
        ago + 7200
    );
    Tokens::from_json(&text).expect("tokens")
}

/// Tokens whose refresh token expires in an hour, after a week without use.
fn nearly_unused() -> Tokens {
    let expires_at = now() + 3600;
    tokens(
        7 * DAY - 3600,
        &format!(r#","refresh_token_use_by":{expires_at}"#),
    )
}

fn policy() -> Policy {
    let mut policy = Policy::default();
    policy.keep_alive = Some(Duration::from_secs(DAY));
    policy
}

#[derive(Default)]
struct RecordedEvents(Mutex<Vec<(&'static str, Option<u64>)>>);

impl Observe for RecordedEvents {
    fn observe(&self, _: Option<&str>, event: &GrantEvent<'_>) {
        let end = match event {
            GrantEvent::AuthorizationEnds(end) => Some(end.as_secs()),
            _ => None,
        };
        self.0.lock().expect("no panic").push((event.name(), end));
    }
}

impl RecordedEvents {
    fn names(&self) -> Vec<&'static str> {
        let events = self.0.lock().expect("no panic");
        events.iter().map(|(name, _)| *name).collect()
    }
}

fn session(server: &Weekly, policy: Policy, tokens: Tokens) -> Result<GrantSource, Error> {
    let keeper = client()
        .keeper(GrantId::unnamed_person())
        .with_policy(policy);
    let keeper = keeper.with_tokens(&Moment::system()?, tokens)?;
    Ok(GrantSource::new(server.clone(), keeper))
}

#[tokio::test(start_paused = true)]
async fn an_idle_grant_is_kept_alive_only_if_configured() {
    let server = Weekly::default();
    let idle = session(&server, Policy::default(), nearly_unused()).expect("a session");
    assert_eq!(
        idle.token().await.expect("good").access_token.expose(),
        "first"
    );
    sleep(Duration::from_secs(2 * DAY)).await;
    assert_eq!(server.requests(), 0);
    let source = session(&server, policy(), nearly_unused()).expect("a session");
    // The access token is valid; the refresh keeps the refresh token alive.
    assert_eq!(
        source.token().await.expect("good").access_token.expose(),
        "first"
    );
    sleep(Duration::from_secs(1)).await;
    assert_eq!(server.requests(), 1);
    assert_eq!(
        source.token().await.expect("good").access_token.expose(),
        "new-0"
    );
    sleep(Duration::from_secs(2 * DAY)).await;
    assert_eq!(
        server.requests(),
        1,
        "the refresh token is valid for a week"
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_source_does_not_keep_its_grant_alive() {
    let server = Weekly::default();
    let later = now() + 6 * DAY;
    let members = format!(r#","refresh_token_use_by":{later}"#);
    let source = session(&server, policy(), tokens(DAY, &members)).expect("a session");
    source.token().await.expect("good");
    drop(source);
    sleep(Duration::from_secs(7 * DAY)).await;
    assert_eq!(server.requests(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_observer_is_notified_once_that_the_authorization_ends() {
    let (server, events) = (Weekly::default(), Arc::new(RecordedEvents::default()));
    let end = now() + DAY;
    let members = format!(r#","authorization_until":{end}"#);
    let session = session(&server, policy(), tokens(60, &members)).expect("a session");
    let session = session.observe(Arc::clone(&events));
    for _ in 0..3 {
        session.token().await.expect("good");
        sleep(Duration::from_secs(3600)).await;
    }
    let events = events.0.lock().expect("no panic").clone();
    assert_eq!(events, [("authorization_ends", Some(end))]);
    assert_eq!(
        server.requests(),
        0,
        "a refresh cannot extend the authorization"
    );
}

/// Stores tokens as a worker without upkeep: due since their access token expired, a minute ago.
async fn put_record(store: &MemoryStore, subject: &str, tokens: Tokens) {
    let (id, scratch) = (GrantId::user(subject), Arc::new(MemoryStore::new()));
    let session = GrantSource::for_grant(Weekly::default(), &client(), id, scratch.clone());
    session.log_in(tokens).await.expect("stored");
    let key = session.key().expect("a key").to_owned();
    let entry = scratch.load(&key).await.expect("read").expect("a record");
    let due = UnixTime::from_secs(now() - 60);
    let saved = store
        .save(&key, &entry.record, 0, RecordTimes::due(due))
        .await;
    assert!(matches!(saved, Ok(SaveOutcome::At(_))), "{saved:?}");
}

#[tokio::test(start_paused = true)]
async fn one_pass_of_upkeep_keeps_idle_grants_alive() {
    let (server, store) = (Weekly::default(), Arc::new(MemoryStore::new()));
    let ending = |days| format!(r#","refresh_token_use_by":{}"#, now() + days * DAY);
    put_record(&store, "near", tokens(6 * DAY, &ending(1))).await;
    put_record(&store, "far", tokens(DAY, &ending(6))).await;
    put_record(&store, "unknown", tokens(DAY, "")).await;
    let near = GrantId::user("near");
    let (notices, ends) = (
        Arc::new(RecordedEvents::default()),
        Arc::new(Mutex::new(Vec::new())),
    );
    let hook = Arc::clone(&ends);
    let sessions = Grants::new(server.clone(), &client(), store)
        .policy(policy())
        .observe(Arc::clone(&notices))
        .on_authorization_ends(move |id, end| {
            let subject = id.subject().map(str::to_owned);
            hook.lock()
                .expect("no panic")
                .push((subject, end.as_secs()));
        });
    let month = Duration::from_secs(30 * DAY);
    let idle = sessions.renew_idle(month).await.expect("a pass");
    assert_eq!(
        (idle.renewed, idle.failed.len(), server.requests()),
        (1, 0, 1)
    );
    let token = sessions.get(&near).token().await.expect("good");
    assert_eq!(token.access_token.expose(), "new-0");
    assert_eq!(notices.names(), ["renewed"]);
    let again = sessions.renew_idle(month).await.expect("a pass");
    assert_eq!((again.renewed, server.requests()), (0, 1));
    let end = now() + DAY;
    let members = format!(r#","authorization_until":{end}"#);
    let ann = GrantId::user("ann");
    sessions
        .log_in(&ann, tokens(60, &members))
        .await
        .expect("stored");
    let held = sessions.get(&ann);
    held.token().await.expect("good");
    sleep(Duration::from_secs(1)).await;
    let ends = ends.lock().expect("no panic").clone();
    assert_eq!(ends, [(Some("ann".to_owned()), end)]);
    let count = |name| {
        sessions
            .counters()
            .counts()
            .into_iter()
            .find(|entry| entry.0 == name)
    };
    assert_eq!(count("authorization_ends"), Some(("authorization_ends", 1)));
}
