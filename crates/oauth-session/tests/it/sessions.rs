//! Many grants of one client.

mod limits;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::exchange::{Boxed, Exchange as _, Input, Step};
use oauth_core::flow::keeper::GrantId;
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{Client, ClientAuth, ClientId, Moment, Secret, Tokens};
use oauth_session::store::{Answer, MemoryStore, RecordTimes};
use oauth_session::{GrantSource, Grants, Store, TokenDriver, simulated};
use tokio::time::{Instant, sleep};

use crate::session::unsaved::Failing;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// A server that rotates refresh tokens, and records the revoked ones.
#[derive(Clone, Default)]
pub(crate) struct Rotating(pub(crate) Arc<ServerState>);

#[derive(Default)]
pub(crate) struct ServerState {
    requests: AtomicUsize,
    at: Mutex<Vec<Instant>>,
    pub(crate) revoked: Mutex<Vec<String>>,
    /// Refresh tokens that contain this text are refused.
    pub(crate) refuses: Mutex<Option<&'static str>>,
    /// The error code of refusals; `invalid_grant` by default.
    word: Mutex<&'static str>,
    pub(crate) is_gone: Mutex<bool>,
    /// The store that goes down during an answer, for twenty calls.
    breaks: Mutex<Option<Failing>>,
}

impl Rotating {
    fn forget(&self, form: &[u8]) -> Result<Misuse, Error> {
        if *self.0.is_gone.lock().expect("no panic") {
            return Err(Error::lost(Cause::unsent("no way")));
        }
        let form = String::from_utf8(form.to_vec()).expect("a form");
        self.0.revoked.lock().expect("no panic").push(form);
        Ok(Misuse::NoRefreshToken)
    }
}

impl TokenDriver for Rotating {
    fn run(&self, mut exchange: Boxed<Tokens>) -> Answer<'_, Tokens> {
        Box::pin(async move {
            let Step::Send(request) = exchange.resume(&Moment::system()?, Input::Begin)? else {
                panic!("no request");
            };
            if request.uri().path() == "/revoke" {
                return Err(self.forget(request.body())?.into());
            }
            let number = self.0.requests.fetch_add(1, Ordering::SeqCst);
            self.0.at.lock().expect("no panic").push(Instant::now());
            sleep(Duration::from_millis(100)).await;
            if let Some(store) = &*self.0.breaks.lock().expect("no panic") {
                store.1.store(20, Ordering::SeqCst);
            }
            let form = String::from_utf8(request.body().to_vec()).expect("a form");
            let refused = self.0.refuses.lock().expect("no panic");
            let is_refused = refused.is_some_and(|name| form.contains(name));
            let (status, body) = if is_refused {
                let error_code = *self.0.word.lock().expect("no panic");
                let word = if error_code.is_empty() {
                    "invalid_grant"
                } else {
                    error_code
                };
                (400, format!(r#"{{"error":"{word}"}}"#))
            } else {
                (
                    200,
                    format!(
                        r#"{{"access_token":"new-{number}","token_type":"Bearer","expires_in":600,"refresh_token":"next-{number}"}}"#
                    ),
                )
            };
            let reply = http::Response::builder()
                .status(status)
                .header("content-type", "application/json")
                .body(body.into())
                .expect("a reply");
            match exchange.resume(&Moment::system()?, Input::Reply(reply))? {
                Step::Done(tokens) => Ok(tokens),
                _ => panic!("not done"),
            }
        })
    }

    fn revoke(&self, mut exchange: Boxed<()>) -> Answer<'_, ()> {
        Box::pin(async move {
            let Step::Send(request) = exchange.resume(&Moment::system()?, Input::Begin)? else {
                panic!("no request");
            };
            self.forget(request.body()).map(drop)
        })
    }
}

pub(crate) fn client(id: &str) -> Client {
    let server = Server::new(Issuer::parse("https://as.example").expect("an issuer"));
    let server = [EndpointKind::Token, EndpointKind::Revocation]
        .into_iter()
        .try_fold(server, |server, kind| {
            let path = match kind {
                EndpointKind::Token => "token",
                _ => "revoke",
            };
            server.with_endpoint(kind, &format!("https://as.example/{path}"))
        });
    let secret = ClientAuth::post("secret");
    Client::new(server.expect("a server"), ClientId::new(id), secret).expect("a client")
}

/// Tokens of this user, received this long ago and valid for an hour.
pub(crate) fn tokens(name: &str, age: Duration) -> Tokens {
    let at = Moment::system()
        .expect("a clock")
        .now()
        .before(age)
        .as_secs();
    let text = format!(
        r#"{{"version":1,"issuer":"https://as.example","client_id":"id","received_at":{at},
        "access_token":"of-{name}","expires_in":3600,"scope":"","refresh_token":"rt-{name}",
        "refresh_scope":null,"id_token":null}}"#
    );
    Tokens::from_json(&text).expect("tokens")
}

pub(crate) fn person(number: usize) -> GrantId {
    GrantId::user(format!("person-{number}"))
}

pub(crate) fn new_grants(server: &Rotating, store: &Arc<MemoryStore>) -> Grants {
    Grants::new(server.clone(), &client("id"), store.clone())
}

/// This many users who logged in two days ago, and have no session in memory.
pub(crate) async fn store_stale_logins(server: &Rotating, store: &dyn Store, count: usize) {
    for number in 0..count {
        let keeper = client("id").keeper(person(number)).shared();
        let fresh = tokens(&number.to_string(), Duration::ZERO);
        let (new, old) = (fresh.received_at, fresh.received_at.before(2 * DAY));
        let memory = Arc::new(MemoryStore::new());
        let session = GrantSource::with_store(
            server.clone(),
            client("id").keeper(person(number)),
            memory.clone(),
        );
        session.log_in(fresh).await.expect("stored");
        let record = memory
            .load(&keeper.key())
            .await
            .expect("read")
            .expect("a record")
            .record;
        let received_at_member = |at: UnixTime| format!(r#""received_at":{}"#, at.as_secs());
        let aged = Secret::new(
            record
                .expose()
                .replace(&received_at_member(new), &received_at_member(old)),
        );
        assert_ne!(aged.expose(), record.expose());
        let due = Some(old.after(Duration::from_secs(3600)));
        store
            .save(&keeper.key(), &aged, 0, RecordTimes { due, until: None })
            .await
            .expect("saved");
    }
}

pub(crate) fn requests(server: &Rotating) -> usize {
    server.0.requests.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn callers_of_a_thousand_grants_cause_one_request_per_grant() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = new_grants(&server, &store);
    store_stale_logins(&server, &*store, 1000).await;
    let callers: Vec<_> = (0..1000)
        .flat_map(|number| [person(number), person(number), person(number)])
        .map(|id| {
            let sessions = sessions.clone();
            tokio::spawn(async move { sessions.get(&id).token().await })
        })
        .collect();
    for caller in callers {
        caller.await.expect("no panic").expect("a token");
    }
    assert_eq!(requests(&server), 1000);
    let counts = sessions.counters().counts();
    assert!(counts.contains(&("renewed", 1000)), "{counts:?}");
}

#[tokio::test(start_paused = true)]
async fn unused_sources_beyond_the_capacity_are_dropped() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = new_grants(&server, &store).capacity(10);
    let held: Vec<GrantSource> = (0..5).map(|number| sessions.get(&person(number))).collect();
    store_stale_logins(&server, &*store, 200).await;
    assert!(
        sessions.in_memory() <= 10 + held.len(),
        "{}",
        sessions.in_memory()
    );
    // A session that is held is shared with later callers.
    let first = held.first().expect("held");
    let (a, b) = tokio::join!(first.token(), async {
        sessions.get(&person(0)).token().await
    });
    assert!(
        a.expect("a token")
            .access_token
            .matches(b.expect("a token").access_token.expose())
    );
    assert_eq!(requests(&server), 1);
    for number in 100..200 {
        sessions.get(&person(number));
    }
    // A new session would have to read the store first.
    assert!(sessions.get(&person(0)).latest().is_some());
    // The tokens of a dropped session are read from the store again, not requested.
    let stored = sessions.get(&person(150)).token().await.expect("a token");
    for number in 0..200 {
        sessions.get(&person(number));
    }
    let again = sessions.get(&person(150)).token().await.expect("a token");
    assert!(again.access_token.matches(stored.access_token.expose()));
    assert_eq!(requests(&server), 2);
}

#[tokio::test(start_paused = true)]
async fn unstored_tokens_are_kept_despite_the_capacity_limit() {
    let server = Rotating::default();
    let store = Failing::default();
    let sessions = Grants::new(server.clone(), &client("id"), Arc::new(store.clone())).capacity(1);
    store_stale_logins(&server, &store, 1).await;
    *server.0.breaks.lock().expect("no panic") = Some(store.clone());
    let fresh = sessions
        .get(&person(0))
        .token()
        .await
        .expect("handed out unsaved");
    for number in 1..100 {
        sessions.get(&person(number));
    }
    let again = sessions.get(&person(0)).token().await.expect("a token");
    assert!(again.access_token.matches(fresh.access_token.expose()));
    assert_eq!(requests(&server), 1);
    let counts = sessions.counters().counts();
    assert!(counts.contains(&("unsaved", 1)), "{counts:?}");
    sleep(Duration::from_secs(3600)).await;
    let counts = sessions.counters().counts();
    assert!(counts.contains(&("stored_late", 1)), "{counts:?}");
}

#[tokio::test]
async fn list_returns_only_grants_of_this_client_and_unreadable_records() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = new_grants(&server, &store);
    store_stale_logins(&server, &*store, 250).await;
    sessions.log_out(&person(7)).await.expect("logged out");
    let garbled = Secret::from("S3CR3T");
    store
        .save("garbled", &garbled, 0, RecordTimes::NONE)
        .await
        .expect("saved");
    let other = client("other").keeper(GrantId::client());
    let other = GrantSource::with_store(server.clone(), other, store.clone());
    other.token().await.expect("a token");
    let (mut count, mut subjects) = (0, Vec::new());
    let (mut unreadable, mut cursor) = (Vec::new(), None);
    loop {
        let page = sessions.list(cursor.as_deref()).await.expect("a page");
        count += page.grants.len();
        subjects.extend(
            page.grants
                .into_iter()
                .filter_map(|grant| grant.id.subject().map(str::to_owned)),
        );
        unreadable.extend(page.unreadable);
        match page.next {
            Some(next) => cursor = Some(next),
            None => break,
        }
    }
    subjects.sort_unstable();
    subjects.dedup();
    // The other client's grant is not among them.
    assert_eq!((count, subjects.len()), (249, 249));
    assert!(!subjects.contains(&"person-7".to_owned()));
    let [(name, error)] = &unreadable[..] else {
        panic!("{unreadable:?}");
    };
    assert_eq!(
        (name.as_str(), error.code()),
        ("garbled", "stored.malformed")
    );
    assert!(!format!("{error:?}").contains("S3CR3T"));
}

#[tokio::test(start_paused = true)]
async fn unused_grants_are_kept_alive() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let ended = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&ended);
    let sessions = new_grants(&server, &store).on_ended(move |id, error| {
        hook.lock()
            .expect("no panic")
            .push((id.subject().map(str::to_owned), error.code()));
    });
    store_stale_logins(&server, &*store, 250).await;
    let fresh = GrantId::user("in use");
    sessions
        .log_in(&fresh, tokens("used", Duration::ZERO))
        .await
        .expect("stored");
    *server.0.refuses.lock().expect("no panic") = Some("rt-13&");
    let idle = sessions.renew_idle(DAY).await.expect("renewed");
    assert_eq!(idle.renewed, 249);
    assert_eq!(
        idle.failed
            .iter()
            .map(|(_, error)| error.code())
            .collect::<Vec<_>>(),
        ["denied.invalid_grant"]
    );
    assert_eq!(requests(&server), 250);
    assert_eq!(
        *ended.lock().expect("no panic"),
        [(Some("person-13".to_owned()), "denied.invalid_grant")]
    );
    // All of them are fresh now, and the expired grant is no longer due.
    let again = sessions.renew_idle(DAY).await.expect("renewed");
    assert_eq!((again.renewed, again.failed.len()), (0, 0));
    assert_eq!(requests(&server), 250);
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_grant_is_reported_once() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = new_grants(&server, &store);
    store_stale_logins(&server, &*store, 1).await;
    *server.0.refuses.lock().expect("no panic") = Some("rt-0");
    for minutes in 0..3 {
        let now = UnixTime::system().expect("a clock");
        let now = now.after(Duration::from_secs(60 * minutes));
        simulated::set(Box::new(move || Moment::fixed(now, [7; 32])));
        sessions.get(&person(0)).token().await.expect_err("over");
    }
    simulated::unset();
    let counts = sessions.counters().counts();
    assert!(counts.contains(&("ended", 1)), "{counts:?}");
    assert!(counts.contains(&("failed", 2)), "{counts:?}");
    assert_eq!(requests(&server), 1);
}

/// The session's task ended with the runtime, and no caller holds it: only the registry has the tokens.
#[test]
fn unsaved_tokens_of_a_stopped_runtime_are_not_dropped() {
    let runtime = || {
        let mut paused = tokio::runtime::Builder::new_current_thread();
        paused
            .enable_all()
            .start_paused(true)
            .build()
            .expect("a runtime")
    };
    let (server, store) = (Rotating::default(), Failing::default());
    let sessions = Grants::new(server.clone(), &client("id"), Arc::new(store.clone())).capacity(1);
    let first = runtime();
    let fresh = first.block_on(async {
        store_stale_logins(&server, &store, 1).await;
        *server.0.breaks.lock().expect("no panic") = Some(store.clone());
        let token = sessions.get(&person(0)).token().await.expect("unsaved");
        token.access_token.expose().clone()
    });
    drop(first);
    for number in 1..10 {
        sessions.get(&person(number));
    }
    let again = runtime().block_on(async { sessions.get(&person(0)).token().await });
    assert!(again.expect("a token").access_token.matches(&fresh));
    assert_eq!(requests(&server), 1);
}

#[tokio::test(start_paused = true)]
async fn suspect_or_unknown_grants_do_not_count_as_ended() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let ended = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&ended);
    let sessions = new_grants(&server, &store).on_ended(move |id, _| {
        hook.lock()
            .expect("no panic")
            .push(id.subject().map(str::to_owned));
    });
    let nobody = GrantId::user("nobody");
    let error = sessions.get(&nobody).token().await.expect_err("no login");
    assert_eq!(error.advice(), oauth_core::error::Advice::Reauthorize);
    let counts = sessions.counters().counts();
    assert!(counts.contains(&("failed", 1)), "{counts:?}");

    store_stale_logins(&server, &*store, 1).await;
    *server.0.refuses.lock().expect("no panic") = Some("rt-0");
    *server.0.word.lock().expect("no panic") = "unauthorized_client";
    for _ in 0..2 {
        let error = sessions.get(&person(0)).token().await.expect_err("refused");
        assert_eq!(error.advice(), oauth_core::error::Advice::Reauthorize);
    }
    // It stays due, and one pass tries it once.
    let idle = sessions.renew_idle(DAY).await.expect("a pass");
    assert_eq!((idle.renewed, idle.failed.len()), (0, 1));
    let counts = sessions.counters().counts();
    assert!(counts.contains(&("suspect", 1)), "{counts:?}");
    assert!(counts.contains(&("ended", 0)), "{counts:?}");
    assert_eq!(
        *ended.lock().expect("no panic"),
        Vec::<Option<String>>::new()
    );
}

#[tokio::test(start_paused = true)]
async fn the_hook_receives_new_tokens_before_any_caller() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let events = Arc::new(Mutex::new(Vec::new()));
    let hook = Arc::clone(&events);
    let sessions = new_grants(&server, &store).on_renewed(move |id, tokens| {
        let text = tokens.access_token.expose().clone();
        hook.lock()
            .expect("no panic")
            .push((id.subject().map(str::to_owned), text));
        Ok(())
    });
    store_stale_logins(&server, &*store, 1).await;
    let token = sessions.get(&person(0)).token().await.expect("a token");
    let expected = (
        Some("person-0".to_owned()),
        token.access_token.expose().clone(),
    );
    assert_eq!(*events.lock().expect("no panic"), [expected]);
}

#[tokio::test(start_paused = true)]
async fn drain_waits_for_the_renewals_of_all_grants() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let sessions = new_grants(&server, &store);
    store_stale_logins(&server, &*store, 20).await;
    for number in 0..20 {
        let session = sessions.get(&person(number));
        tokio::spawn(async move { session.token().await });
    }
    while requests(&server) < 20 {
        tokio::task::yield_now().await;
    }
    sessions
        .drain(Duration::from_secs(10))
        .await
        .expect("drained");
    for grant in sessions.list(None).await.expect("listed").grants {
        assert!(grant.expires_at > Some(Moment::system().expect("a clock").now()));
    }
}
