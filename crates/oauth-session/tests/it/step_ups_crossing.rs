//! A logout concurrent with the sign-in of a step-up whose tokens are being stored; workers die between any two steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use oauth_core::error::Error;
use oauth_core::flow::keeper::GrantId;
use oauth_core::moment::UnixTime;
use oauth_core::{Secret, json};
use oauth_session::Grants;
use oauth_session::store::{
    Answer, Entry, Lease, MemoryStore, Page, RecordTimes, SaveOutcome, Store, is_grant,
};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::sessions::{Rotating, client, new_grants, person, tokens};
use crate::step_ups::{required_acr, stepped_up};

/// The leases of other workers.
enum Leases {
    Held,
    Expired,
}

/// A worker's handle on the store, whose operations each wait for a permit.
struct SteppedStore {
    store: Arc<MemoryStore>,
    waiting: AtomicUsize,
    turns: Semaphore,
    leases: Leases,
}

/// A waiting operation, which may be cancelled.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl SteppedStore {
    async fn wait_for_turn(&self) {
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let _waiting = Waiting(&self.waiting);
        self.turns.acquire().await.expect("open").forget();
    }

    /// Permits the worker's next operation. Returns false if it has ended instead.
    async fn step(&self, worker: &JoinHandle<Result<(), Error>>) -> bool {
        while self.waiting.load(Ordering::SeqCst) == 0 {
            if worker.is_finished() {
                return false;
            }
            // It may be waiting for a lease.
            sleep(Duration::from_millis(100)).await;
        }
        self.turns.add_permits(1);
        // Time only advances when no task can make progress.
        sleep(Duration::from_millis(1)).await;
        true
    }
}

impl Store for SteppedStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            self.wait_for_turn().await;
            self.store.load(key).await
        })
    }

    fn save<'a>(
        &'a self,
        key: &'a str,
        record: &'a Secret<String>,
        version: u64,
        times: RecordTimes,
    ) -> Answer<'a, SaveOutcome> {
        Box::pin(async move {
            self.wait_for_turn().await;
            self.store.save(key, record, version, times).await
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            self.wait_for_turn().await;
            match self.leases {
                Leases::Expired => Ok(Lease::Won),
                Leases::Held => self.store.lease(key, holder, ttl).await,
            }
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            self.wait_for_turn().await;
            self.store.remove(key).await
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        self.store.scan(cursor)
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        self.store.due(before, limit)
    }
}

fn worker(server: &Rotating, store: &Arc<MemoryStore>) -> (Arc<SteppedStore>, Grants) {
    worker_with(server, store, 0, Leases::Held)
}

fn worker_with(
    server: &Rotating,
    store: &Arc<MemoryStore>,
    turns: usize,
    leases: Leases,
) -> (Arc<SteppedStore>, Grants) {
    let turns = Arc::new(SteppedStore {
        store: Arc::clone(store),
        waiting: AtomicUsize::new(0),
        turns: Semaphore::new(turns),
        leases,
    });
    let store: Arc<dyn Store> = Arc::clone(&turns) as _;
    (turns, Grants::new(server.clone(), &client("id"), store))
}

/// The names in the list of this user's step-ups.
async fn listed_step_ups(store: &MemoryStore, ann: &GrantId) -> Vec<String> {
    let key = format!("step-ups:{}", client("id").keeper(ann.clone()).key());
    let entry = store.load(&key).await.expect("read");
    let Some(entry) = entry.filter(|entry| !entry.is_removed()) else {
        return Vec::new();
    };
    let listed: Vec<oauth_core::token::step_up_requirement::StepUp> =
        json::from_text(entry.record.expose()).expect("a list");
    listed.into_iter().flat_map(|one| one.acr_values).collect()
}

/// Checks that every stored grant of a step-up is listed, so that a logout ends it even after a crash.
async fn check(server: &Rotating, store: &Arc<MemoryStore>, ann: &GrantId, when: &str) {
    let names = listed_step_ups(store, ann).await;
    let grants = new_grants(server, store).list(None).await.expect("listed");
    for grant in grants.grants {
        for acr in grant.id.step_up.into_iter().flat_map(|one| one.acr_values) {
            assert!(
                names.contains(&acr),
                "{acr} is stored and not listed: {when}"
            );
        }
    }
}

/// The record stored under the name of the step-up beforehand.
#[derive(Debug, Clone, Copy)]
enum Before {
    Nothing,
    Login,
    Logout,
}

/// Ann signs in for a step-up and logs out, in two workers that take turns of this many operations.
async fn log_in_during_logout(before: Before, turns: [usize; 4]) {
    let message = format!("{before:?}, {turns:?}");
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (ann, other_worker) = (person(1), new_grants(&server, &store));
    let phr = ann.clone().stepped_up(&required_acr("phr"));
    if !matches!(before, Before::Nothing) {
        let earlier = stepped_up("earlier", "phr");
        other_worker.log_in(&ann, earlier).await.expect("stored");
    }
    if matches!(before, Before::Logout) {
        other_worker.log_out(&phr).await.expect("logged out");
    }
    let ordinary = tokens("ordinary", Duration::ZERO);
    other_worker.log_in(&ann, ordinary).await.expect("stored");
    let ((first, coming), (second, leaving)) = (worker(&server, &store), worker(&server, &store));
    let id = ann.clone();
    let login = tokio::spawn(async move { coming.log_in(&id, stepped_up("phr", "phr")).await });
    let id = ann.clone();
    let logout = tokio::spawn(async move { leaving.log_out(&id).await });
    for (position, count) in turns.into_iter().chain([usize::MAX; 2]).enumerate() {
        let (turns, worker) = match position % 2 {
            0 => (&first, &login),
            _ => (&second, &logout),
        };
        for _ in 0..count {
            if !turns.step(worker).await {
                break;
            }
            check(&server, &store, &ann, &message).await;
        }
    }
    logout.await.expect("no panic").expect("logged out");
    let stored = login.await.expect("no panic");
    let revoked = server.0.revoked.lock().expect("no panic").join(" ");
    if let Err(error) = stored {
        assert_eq!(error.code(), "grant.no_refresh_token", "{message}");
        assert!(revoked.contains("rt-phr"), "{message}: {revoked}");
    }
    // The next logout ends whatever is left.
    other_worker.log_out(&ann).await.expect("logged out");
    let keys = store.scan(None).await.expect("listed").keys;
    assert!(!keys.iter().any(|key| is_grant(key)), "{message}");
    assert_eq!(
        listed_step_ups(&store, &ann).await,
        Vec::<String>::new(),
        "{message}"
    );
}

#[tokio::test(start_paused = true)]
async fn no_step_up_tokens_survive_a_concurrent_logout() {
    for before in [Before::Nothing, Before::Login, Before::Logout] {
        for first in 0..5 {
            for second in 0..9 {
                for third in [1, 2, 4] {
                    for fourth in [1, 2, 6] {
                        log_in_during_logout(before, [first, second, third, fourth]).await;
                    }
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn another_worker_completes_a_logout_or_replacement_after_a_crash() {
    let ann = person(1);
    for is_logout in [true, false] {
        for steps in 0..40 {
            let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
            let other_sources = new_grants(&server, &store);
            let count = if is_logout { 2 } else { 8 };
            for number in 0..count {
                let acr = format!("acr-{number}");
                other_sources
                    .log_in(&ann, stepped_up(&acr, &acr))
                    .await
                    .expect("stored");
            }
            let ((turns, grants), id) = (worker(&server, &store), ann.clone());
            let dying = tokio::spawn(async move {
                if is_logout {
                    grants.log_out(&id).await
                } else {
                    grants.log_in(&id, stepped_up("new", "new")).await
                }
            });
            for step in 0..steps {
                if !turns.step(&dying).await {
                    break;
                }
                let when = format!("after {step} steps of a logout: {is_logout}");
                check(&server, &store, &ann, &when).await;
            }
            dying.abort();
            let (_, later) = worker_with(&server, &store, 1000, Leases::Expired);
            later.log_out(&ann).await.expect("logged out");
            assert_eq!(listed_step_ups(&store, &ann).await, Vec::<String>::new());
            let keys = store.scan(None).await.expect("listed").keys;
            assert!(!keys.iter().any(|key| is_grant(key)), "{steps}");
        }
    }
}

/// Makes the stored tokens of a step-up expire.
async fn expire(store: &Arc<MemoryStore>, id: &GrantId) {
    let key = client("id").keeper(id.clone()).key();
    let entry = store.load(&key).await.expect("read").expect("stored");
    let record = entry.record.expose().replacen(
        r#""refresh_token":"rt-earlier""#,
        r#""refresh_token":null"#,
        1,
    );
    let (record, _) = (
        record.replace(r#""received_at":"#, r#""received_at":1,"was":"#),
        (),
    );
    let record = Secret::new(record);
    let saved = store
        .save(&key, &record, entry.version, RecordTimes::NONE)
        .await;
    assert!(matches!(saved, Ok(SaveOutcome::At(_))));
}

/// Ann signs in again for an expired step-up while another worker evicts a step-up to store a new one.
async fn log_in_during_eviction(before: Before, turns: [usize; 4]) {
    let message = format!("{before:?}, {turns:?}");
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (ann, others) = (person(1), new_grants(&server, &store));
    let phr = ann.clone().stepped_up(&required_acr("phr"));
    others
        .log_in(&ann, stepped_up("earlier", "phr"))
        .await
        .expect("stored");
    match before {
        Before::Nothing => {
            let key = client("id").keeper(phr.clone()).key();
            assert!(store.remove(&key).await.expect("removed"));
        }
        _ => expire(&store, &phr).await,
    }
    let ((here, coming), (there, ninth)) = (worker(&server, &store), worker(&server, &store));
    let id = ann.clone();
    let coming = tokio::spawn(async move { coming.log_in(&id, stepped_up("phr", "phr")).await });
    let id = ann.clone();
    let ninth = tokio::spawn(async move { ninth.log_in(&id, stepped_up("mfa", "mfa")).await });
    for (position, count) in turns.into_iter().chain([usize::MAX; 2]).enumerate() {
        let (turns, worker) = match position % 2 {
            0 => (&here, &coming),
            _ => (&there, &ninth),
        };
        for _ in 0..count {
            if !turns.step(worker).await {
                break;
            }
            check(&server, &store, &ann, &message).await;
        }
        // Operations after the end of the login need no turns.
        turns
            .turns
            .add_permits(if worker.is_finished() { 100 } else { 0 });
    }
    ninth.await.expect("no panic").expect("stored");
    let stored = coming.await.expect("no panic");
    stored.unwrap_or_else(|error| panic!("{message}: {error}"));
    let token = new_grants(&server, &store).get(&phr).token().await;
    let token = token.unwrap_or_else(|error| panic!("{message}: {error}"));
    assert_eq!(token.access_token.expose(), "of-phr", "{message}");
    let revoked = server.0.revoked.lock().expect("no panic").join(" ");
    assert!(!revoked.contains("phr"), "{message}: {revoked}");
}

#[tokio::test(start_paused = true)]
async fn replacing_a_step_up_does_not_end_a_concurrent_login() {
    for before in [Before::Nothing, Before::Login] {
        for first in 0..8 {
            for second in 0..14 {
                for third in [0, 2, 9] {
                    log_in_during_eviction(before, [first, second, third, 2]).await;
                }
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn entries_that_a_crashed_worker_listed_but_never_stored_are_evicted_first() {
    let (server, store) = (Rotating::default(), Arc::new(MemoryStore::new()));
    let (ann, others) = (person(1), new_grants(&server, &store));
    let first = stepped_up("first", "first");
    others.log_in(&ann, first).await.expect("stored");
    for number in 0..7 {
        let ((turns, grants), id) = (worker(&server, &store), ann.clone());
        let acr = format!("dead-{number}");
        let dying = stepped_up(&acr, &acr);
        let dying = tokio::spawn(async move { grants.log_in(&id, dying).await });
        while !listed_step_ups(&store, &ann).await.contains(&acr) {
            assert!(turns.step(&dying).await);
        }
        dying.abort();
    }
    assert_eq!(listed_step_ups(&store, &ann).await.len(), 8);
    // The leases of dead workers remain for a while.
    let next = stepped_up("soon", "soon");
    others.log_in(&ann, next).await.expect("stored");
    assert_eq!(listed_step_ups(&store, &ann).await.len(), 9);
    let (_, later) = worker_with(&server, &store, 1000, Leases::Expired);
    let next = stepped_up("next", "next");
    later.log_in(&ann, next).await.expect("stored");
    let left = listed_step_ups(&store, &ann).await;
    assert_eq!(left, ["first", "soon", "next"]);
    let of_first = ann.clone().stepped_up(&required_acr("first"));
    let token = others.get(&of_first).token().await.expect("kept");
    assert_eq!(token.access_token.expose(), "of-first");
}
