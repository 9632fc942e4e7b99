//! Keys in a key management service: the number of calls, and the effects of its failures.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::moment::UnixTime;
use oauth_core::{Moment, Secret};
use oauth_session::store::seal::{DataKey, Key, KeySource, Keys};
use oauth_session::store::{
    Answer, Entry, MemoryStore, RecordTimes, SaveOutcome, SealedStore, contract,
};
use oauth_session::{Store, simulated};
use tokio::sync::Semaphore;

use crate::session::{Rotating, of_ann, person};

const NAME: &str = "a-key";
const TEXT: &str = r#"{"access_token":"S3CR3T"}"#;
const DAY: Duration = Duration::from_secs(24 * 3600);

/// An in-memory service. It creates a new data key on each request, and wraps it by name.
#[derive(Clone)]
struct Kms(Arc<State>);

struct State {
    keys: Mutex<BTreeMap<String, [u8; 32]>>,
    created: AtomicUsize,
    unwrapped: AtomicUsize,
    failure: Mutex<Option<Error>>,
    /// The number of calls that may proceed.
    gate: Semaphore,
}

impl Kms {
    fn new() -> Self {
        Self(Arc::new(State {
            keys: Mutex::default(),
            created: AtomicUsize::new(0),
            unwrapped: AtomicUsize::new(0),
            failure: Mutex::default(),
            gate: Semaphore::new(Semaphore::MAX_PERMITS),
        }))
    }

    /// The numbers of data keys created and unwrapped.
    fn calls(&self) -> (usize, usize) {
        let count = |calls: &AtomicUsize| calls.load(Ordering::SeqCst);
        (count(&self.0.created), count(&self.0.unwrapped))
    }

    fn set_failure(&self, trouble: impl Into<Option<Error>>) {
        *self.0.failure.lock().expect("no panic") = trouble.into();
    }

    fn forget_keys(&self) {
        self.0.keys.lock().expect("no panic").clear();
    }

    fn block_calls(&self) {
        self.0.gate.forget_permits(Semaphore::MAX_PERMITS);
    }

    fn unblock_calls(&self) {
        self.0.gate.add_permits(Semaphore::MAX_PERMITS);
    }

    async fn call(&self, calls: &AtomicUsize) -> Result<usize, Error> {
        let number = calls.fetch_add(1, Ordering::SeqCst);
        drop(self.0.gate.acquire().await.expect("open"));
        let trouble = self.0.failure.lock().expect("no panic").clone();
        trouble.map_or(Ok(number), Err)
    }
}

impl KeySource for Kms {
    fn data_key(&self) -> Answer<'_, DataKey> {
        Box::pin(async {
            let number = self.call(&self.0.created).await?;
            let bytes = [u8::try_from(number + 1).expect("few"); 32];
            let id = format!("vault:v1:{number}");
            let mut keys = self.0.keys.lock().expect("no panic");
            keys.insert(id.clone(), bytes);
            Ok(DataKey::new(id, bytes))
        })
    }

    fn unwrap_key<'a>(&'a self, id: &'a str) -> Answer<'a, Option<Key>> {
        Box::pin(async move {
            self.call(&self.0.unwrapped).await?;
            let keys = self.0.keys.lock().expect("no panic");
            Ok(keys.get(id).copied().map(Key::new))
        })
    }
}

fn connection_lost() -> Error {
    Error::lost(Cause::unknown("the line is dead"))
}

/// The sealed store of a process.
fn store_of_process(memory: &MemoryStore, kms: &Kms) -> SealedStore<MemoryStore> {
    SealedStore::new(memory.clone(), Keys::from_source(kms.clone()))
}

async fn read(store: &impl Store, name: &str) -> Result<String, Error> {
    let entry = store.load(name).await?;
    Ok(entry.expect("a record").record.expose().clone())
}

/// Saves a record, regardless of its version.
async fn put(store: &impl Store, name: &str, text: &str) -> Result<(), Error> {
    let version = store.load(name).await?.map_or(0, |entry| entry.version);
    let saved = store
        .save(name, &Secret::from(text), version, RecordTimes::NONE)
        .await?;
    assert_ne!(saved, SaveOutcome::Conflict);
    Ok(())
}

async fn load_stored(memory: &MemoryStore) -> Entry {
    memory.load(NAME).await.expect("loaded").expect("a record")
}

/// Writes a record as an attacker with access to the store could, sealed with a key of this id.
async fn forge(memory: &MemoryStore, name: &str, id: &str) {
    let own_record = load_stored(memory).await.record;
    let (_, rest) = own_record
        .expose()
        .split_once("vault:v1:0")
        .expect("the id");
    let forged = format!(r#"{{"format":"oauth-core sealed 2","key":"{id}{rest}"#);
    let version = memory.load(name).await.expect("loaded");
    let version = version.map_or(0, |entry| entry.version);
    let saved = memory
        .save(name, &Secret::new(forged), version, RecordTimes::NONE)
        .await;
    assert_ne!(saved.expect("saved"), SaveOutcome::Conflict);
}

fn pass(since: UnixTime, time: Duration) {
    let now = since.after(time);
    simulated::set(Box::new(move || Moment::fixed(now, [7; 32])));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_contract_holds_with_a_kms() {
    let (memory, kms) = (MemoryStore::new(), Kms::new());
    let stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(store_of_process(&memory, &kms)),
        Arc::new(store_of_process(&memory, &kms)),
    ];
    contract::assert(&stores).await;
    assert_eq!(
        kms.calls(),
        (2, 2),
        "each created a key, and unwrapped the other's"
    );
}

#[tokio::test]
async fn each_key_is_generated_and_unwrapped_once() {
    let (memory, kms) = (MemoryStore::new(), Kms::new());
    let (one, two) = (
        store_of_process(&memory, &kms),
        store_of_process(&memory, &kms),
    );
    for name in ["a", "b", "c", "a"] {
        put(&one, name, TEXT).await.expect("saved");
    }
    assert_eq!(kms.calls(), (1, 0));
    for name in ["a", "b", "c", "a"] {
        assert_eq!(read(&two, name).await.expect("opened"), TEXT);
    }
    assert_eq!(kms.calls(), (1, 1));
    put(&two, "a", "of two").await.expect("saved");
    assert_eq!(read(&one, "a").await.expect("opened"), "of two");
    assert_eq!(kms.calls(), (2, 2));
    let shown = format!("{one:?}");
    assert!(
        shown.contains("CachedSource") && !shown.contains("[1, 1"),
        "{shown}"
    );
}

#[tokio::test]
async fn concurrent_callers_wait_for_one_kms_call() {
    let (memory, kms) = (MemoryStore::new(), Kms::new());
    put(&store_of_process(&memory, &kms), NAME, TEXT)
        .await
        .expect("saved");
    let store = store_of_process(&memory, &kms);
    kms.block_calls();
    let send = || {
        let store = store.clone();
        tokio::spawn(async move { read(&store, NAME).await })
    };
    let callers: Vec<_> = (0..50).map(|_| send()).collect();
    tokio::task::yield_now().await;
    assert_eq!(kms.calls().1, 1);
    // The requesting caller gives up, and a different one takes over.
    callers.first().expect("one").abort();
    for _ in 0..3 {
        tokio::task::yield_now().await;
    }
    assert_eq!(kms.calls().1, 2);
    kms.unblock_calls();
    let mut answers = Vec::new();
    for caller in callers {
        answers.extend(caller.await.ok());
    }
    assert_eq!(answers.len(), 49);
    assert!(
        answers
            .iter()
            .all(|text| text.as_ref().expect("opened") == TEXT)
    );
    assert_eq!(kms.calls().1, 2);
    // All callers share a failure too.
    let store = store_of_process(&memory, &kms);
    kms.set_failure(connection_lost());
    let (a, b) = tokio::join!(read(&store, NAME), read(&store, NAME));
    assert!(a.is_err() && b.is_err());
}

#[tokio::test]
async fn a_kms_failure_loses_no_record_and_is_not_cached() {
    let (memory, kms) = (MemoryStore::new(), Kms::new());
    put(&store_of_process(&memory, &kms), NAME, TEXT)
        .await
        .expect("saved");
    let before = load_stored(&memory).await;
    let store = store_of_process(&memory, &kms);
    for (trouble, code) in [
        (connection_lost(), "lost.unsent"),
        (Error::from(Misuse::Setup).about("no role"), "misuse.setup"),
    ] {
        kms.set_failure(trouble);
        let (new, version) = (Secret::from("new"), before.version);
        let save = store.save(NAME, &new, version, RecordTimes::NONE);
        for error in [
            read(&store, NAME).await.expect_err("no key"),
            save.await.expect_err("no key"),
        ] {
            assert_eq!((error.code(), error.endpoint()), (code, Some("store")));
            let shown = error.to_string();
            assert!(shown.contains("the key service"), "{shown}");
            let reason = shown.contains("the line is dead") || shown.contains("no role");
            assert!(reason, "{shown}");
        }
        let after = load_stored(&memory).await;
        assert_eq!(after.version, before.version);
        assert!(after.record.matches(before.record.expose()));
    }
    kms.set_failure(None);
    assert_eq!(read(&store, NAME).await.expect("opened"), TEXT);
    put(&store, NAME, "new").await.expect("saved");
}

/// The key id in a record may come from an attacker who can write to the store.
#[tokio::test]
async fn calls_for_unknown_key_ids_are_rate_limited() {
    let (memory, kms) = (MemoryStore::new(), Kms::new());
    put(&store_of_process(&memory, &kms), NAME, TEXT)
        .await
        .expect("saved");
    let start = UnixTime::system().expect("a clock");
    pass(start, Duration::ZERO);
    let store = store_of_process(&memory, &kms);
    let code = async |name: &str| read(&store, name).await.expect_err("no key").code();
    for (count, seconds) in [(1, 0), (1, 59), (2, 61), (2, 119), (3, 122)] {
        pass(start, Duration::from_secs(seconds));
        forge(&memory, "forged", "made-up").await;
        for _ in 0..5 {
            assert_eq!(code("forged").await, "stored.sealed");
        }
        assert_eq!(kms.calls().1, count, "after {seconds} s");
    }
    let mut codes = BTreeMap::new();
    for number in 0..1000 {
        forge(&memory, "forged", &format!("made-up-{number}")).await;
        *codes.entry(code("forged").await).or_insert(0) += 1;
    }
    // One is still unknown from before. An id that was not looked up is not reported as an unknown key, because
    // that would allow a login to replace the record.
    assert_eq!(codes, [("lost.unsent", 937), ("stored.sealed", 63)].into());
    assert_eq!(kms.calls().1, 66);
    // A caller whose key is cached is not delayed, and the others only for a time.
    assert_eq!(code(NAME).await, "lost.unsent");
    pass(start, Duration::from_secs(190));
    assert_eq!(read(&store, NAME).await.expect("opened"), TEXT);
    for number in 0..100 {
        forge(&memory, "forged", &format!("more-{number}")).await;
        code("forged").await;
    }
    assert_eq!(read(&store, NAME).await.expect("opened"), TEXT);
    // An invalid id is not looked up at all.
    pass(start, Duration::from_secs(300));
    let calls = kms.calls();
    for id in ["", " ", "a b", "\\u0000", "\u{e9}", &"x".repeat(2049)] {
        forge(&memory, "forged", id).await;
        assert_eq!(code("forged").await, "stored.sealed", "{id}");
    }
    assert_eq!(kms.calls(), calls);
    simulated::unset();
}

#[tokio::test]
async fn a_data_key_is_replaced_after_a_day() {
    let (memory, kms) = (MemoryStore::new(), Kms::new());
    let start = UnixTime::system().expect("a clock");
    let store = store_of_process(&memory, &kms);
    let second = Duration::from_secs(1);
    let seal = async |after: Duration| {
        pass(start, after);
        put(&store, NAME, TEXT).await.expect("saved");
        let record = load_stored(&memory).await.record;
        let (_, rest) = record.expose().split_once("vault:v1:").expect("the id");
        rest.split('"').next().expect("a number").to_owned()
    };
    assert_eq!(seal(Duration::ZERO).await, "0");
    assert_eq!(seal(DAY - second).await, "0");
    assert_eq!(kms.calls(), (1, 0));
    // There is no new key: the old one stays in use, and the service is called once a minute.
    kms.set_failure(connection_lost());
    assert_eq!(seal(DAY + second).await, "0");
    assert_eq!(seal(DAY + 30 * second).await, "0");
    assert_eq!(kms.calls().0, 2);
    kms.set_failure(None);
    assert_eq!(seal(DAY + 62 * second).await, "2");
    assert_eq!(seal(2 * DAY + 60 * second).await, "2");
    assert_eq!(kms.calls().0, 3);
    simulated::unset();
}

/// While one caller requests the next key, others need not wait.
#[tokio::test]
async fn the_old_key_is_used_while_a_new_one_is_requested() {
    let (memory, kms) = (MemoryStore::new(), Kms::new());
    let start = UnixTime::system().expect("a clock");
    let store = store_of_process(&memory, &kms);
    put(&store, "first", TEXT).await.expect("saved");
    pass(start, DAY + DAY);
    kms.block_calls();
    let asking = store.clone();
    let asking = tokio::spawn(async move { put(&asking, "second", TEXT).await });
    tokio::task::yield_now().await;
    assert_eq!(kms.calls().0, 2);
    let third = put(&store, "third", TEXT);
    let third = tokio::time::timeout(Duration::from_secs(10), third).await;
    third.expect("it does not wait").expect("saved");
    kms.unblock_calls();
    asking.await.expect("no panic").expect("saved");
    assert_eq!(kms.calls(), (2, 0));
    simulated::unset();
}

#[tokio::test]
async fn an_invalid_key_id_is_refused() {
    struct Odd(String);
    impl KeySource for Odd {
        fn data_key(&self) -> Answer<'_, DataKey> {
            Box::pin(async { Ok(DataKey::new(self.0.as_str(), [1; 32])) })
        }
        fn unwrap_key<'a>(&'a self, _: &'a str) -> Answer<'a, Option<Key>> {
            Box::pin(async { Ok(None) })
        }
    }
    for id in [String::new(), "a b".to_owned(), "x".repeat(2049)] {
        let store = SealedStore::new(MemoryStore::new(), Keys::from_source(Odd(id)));
        let error = put(&store, NAME, TEXT).await.expect_err("no id");
        assert_eq!(error.code(), "key.sealing");
    }
    let longest = Keys::from_source(Odd("x".repeat(2048)));
    put(&SealedStore::new(MemoryStore::new(), longest), NAME, TEXT)
        .await
        .expect("saved");
}

#[tokio::test]
async fn records_are_resealed_to_a_kms_and_back() {
    let (memory, kms, other) = (MemoryStore::new(), Kms::new(), Kms::new());
    let given = || Keys::new([99; 32]);
    put(&SealedStore::new(memory.clone(), given()), NAME, TEXT)
        .await
        .expect("saved");
    let moving = Keys::from_source(kms.clone()).with_previous([99; 32]);
    let moving = SealedStore::new(memory.clone(), moving);
    let done = moving.reseal().await.expect("resealed");
    assert_eq!((done.count, done.unopened.len()), (1, 0));
    assert_eq!(moving.reseal().await.expect("again").count, 0);
    assert_eq!(
        read(&store_of_process(&memory, &kms), NAME)
            .await
            .expect("opened"),
        TEXT
    );
    // One service does not answer, and the other has the key.
    other.set_failure(connection_lost());
    let back = given()
        .with_previous_source(other.clone())
        .with_previous_source(kms.clone());
    let back = SealedStore::new(memory.clone(), back);
    assert_eq!(back.reseal().await.expect("resealed").count, 1);
    assert_eq!(
        read(&SealedStore::new(memory.clone(), given()), NAME)
            .await
            .expect("opened"),
        TEXT
    );
    // If the service that may have the key does not answer, it is not reported as unknown.
    put(&store_of_process(&memory, &kms), "another", TEXT)
        .await
        .expect("saved");
    let two = Keys::from_source(other).with_previous_source(Kms::new());
    let error = read(&SealedStore::new(memory, two), "another")
        .await
        .expect_err("no key");
    assert_eq!(error.code(), "lost.unsent");
}

#[tokio::test]
async fn a_login_replaces_a_record_that_the_kms_permanently_refuses() {
    let (memory, kms) = (MemoryStore::new(), Kms::new());
    let first = of_ann(
        Rotating::default(),
        Arc::new(store_of_process(&memory, &kms)),
    );
    first
        .log_in(person("first").expect("tokens"))
        .await
        .expect("stored");
    kms.forget_keys();
    let anew = of_ann(
        Rotating::default(),
        Arc::new(store_of_process(&memory, &kms)),
    );
    assert_eq!(
        anew.token().await.expect_err("sealed").code(),
        "stored.sealed"
    );
    anew.log_in(person("anew").expect("tokens"))
        .await
        .expect("stored");
    let token = anew.token().await.expect("a token");
    assert_eq!(token.access_token.expose(), "anew");
}

/// A failure of the service must not cost a valid token, nor a refresh token whose successor could not
/// be stored.
#[tokio::test]
async fn failures_of_the_kms_end_no_grant() {
    let (memory, kms, driver) = (MemoryStore::new(), Kms::new(), Rotating::default());
    let session = of_ann(driver.clone(), Arc::new(store_of_process(&memory, &kms)));
    session
        .log_in(person("first").expect("tokens"))
        .await
        .expect("stored");
    kms.set_failure(connection_lost());
    let token = session.token().await.expect("a good token");
    assert_eq!(token.access_token.expose(), "first");

    let colleague = of_ann(driver.clone(), Arc::new(store_of_process(&memory, &kms)));
    let error = colleague.token().await.expect_err("no key");
    assert_eq!(
        (error.code(), error.endpoint()),
        ("lost.unsent", Some("store"))
    );
    kms.set_failure(None);
    let token = colleague.token().await.expect("a token");
    assert_eq!(token.access_token.expose(), "first");
    // The process can decrypt, but has no key to seal with.
    kms.set_failure(connection_lost());
    let error = colleague.renew(&token).await.expect_err("no key");
    assert_eq!(error.code(), "lost.unsent");
    let requests = || driver.0.load(Ordering::SeqCst);
    assert_eq!(requests(), 0, "nothing is sent that could not be stored");
    kms.set_failure(None);
    let token = colleague.renew(&token).await.expect("renewed");
    assert_eq!(token.access_token.expose(), "renewed-0");
    assert_eq!(requests(), 1);
}
