//! Records with an expiration time: every store of this crate removes them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use oauth_core::Secret;
use oauth_core::moment::UnixTime;
use oauth_session::Store;
use oauth_session::store::seal::{Key, Keys};
use oauth_session::store::{
    FileStore, MemoryStore, RecordTimes, SaveOutcome, SealedStore, SqliteStore,
};

use crate::postgres::migrate;
use crate::servers::Server;

/// An expiration time in the past.
pub(crate) const PAST: RecordTimes = RecordTimes::until(UnixTime::from_secs(1));

fn later() -> RecordTimes {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock");
    RecordTimes::until(UnixTime::from_secs(now.as_secs()).after(Duration::from_secs(3600)))
}

async fn save(store: &dyn Store, key: &str, times: RecordTimes) -> u64 {
    let saved = store.save(key, &Secret::from("text"), 0, times).await;
    match saved.expect("saved") {
        SaveOutcome::At(version) => version,
        SaveOutcome::Conflict => panic!("a conflict at {key}"),
    }
}

/// Saves forty expired records, and one that has not expired.
async fn records_end(store: &dyn Store) {
    let version = save(store, "later", later()).await;
    for number in 0..40 {
        let key = format!("past-{number}");
        let first = save(store, &key, PAST).await;
        assert!(store.load(&key).await.expect("loaded").is_none(), "{key}");
        let stale = store
            .save(&key, &Secret::from("stale"), first, RecordTimes::NONE)
            .await;
        assert_eq!(stale.expect("an answer"), SaveOutcome::Conflict);
        assert!(!store.remove("never").await.expect("removed"));
    }
    let later = store
        .load("later")
        .await
        .expect("loaded")
        .expect("a record");
    assert_eq!(later.version, version);
    // A later save with a different expiration time, or none, replaces the first one.
    let saved = store
        .save("later", &Secret::from("text"), version, RecordTimes::NONE)
        .await;
    assert!(matches!(saved.expect("saved"), SaveOutcome::At(_)));
    for number in 40..80 {
        save(store, &format!("past-{number}"), PAST).await;
    }
    assert!(store.load("later").await.expect("loaded").is_some());
}

#[tokio::test]
async fn expired_records_are_removed_from_memory() {
    let store = MemoryStore::new();
    records_end(&store).await;
    let names = store.scan(None).await.expect("a page").keys;
    assert_eq!(names, ["later"]);
}

#[tokio::test]
async fn expired_records_are_removed_from_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = FileStore::new(folder.path().join("store")).expect("a store");
    records_end(&store).await;
    let remaining = store.list().await.expect("names").len();
    assert!(remaining < 40, "{remaining} of 81 are left");
}

#[tokio::test]
async fn expired_records_are_removed_from_sqlite_also_in_old_tables() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("store/grants.db");
    let store = SqliteStore::new(&path).expect("a store");
    records_end(&store).await;
    let other = rusqlite::Connection::open(&path).expect("a connection");
    let count = || -> i64 {
        let rows = "select count(*) from oauth_core_grant where record <> ''";
        other
            .query_row(rows, [], |row| row.get(0))
            .expect("a count")
    };
    assert!(count() < 20, "{} of 81 are left", count());
    // A table from before records had an expiration time.
    let before = "drop index oauth_core_grant_ends; alter table oauth_core_grant drop column ends;";
    other.execute_batch(before).expect("as before");
    drop(store);
    let store = SqliteStore::new(&path).expect("a store");
    assert!(store.load("later").await.expect("loaded").is_some());
    save(&store, "new", PAST).await;
    assert!(store.load("new").await.expect("loaded").is_none());
}

#[tokio::test]
async fn expired_records_are_removed_from_redis() {
    let server = Server::redis();
    let store = oauth_session::store::RedisStore::new(&server.redis_url()).expect("a store");
    records_end(&store).await;
    let client = redis::Client::open(server.redis_url()).expect("a client");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("connected");
    let count = async |key: &str, connection: &mut redis::aio::MultiplexedConnection| -> u64 {
        let mut command = redis::cmd("ZCARD");
        let name = format!("oauth-core:grant:\0{key}");
        command
            .arg(name)
            .query_async(connection)
            .await
            .expect("a count")
    };
    assert!(count("due", &mut connection).await < 20);
    assert!(count("ends", &mut connection).await < 20);
    // The server deletes the record by itself.
    save(&store, "soon", later()).await;
    let mut remaining = redis::cmd("PTTL");
    remaining.arg("oauth-core:grant:soon");
    let remaining: i64 = remaining
        .query_async(&mut connection)
        .await
        .expect("a time");
    assert!(
        (3_500_000..=3_600_000).contains(&remaining),
        "{remaining} ms"
    );
}

#[tokio::test]
async fn expired_records_are_removed_from_postgres() {
    let server = Server::postgres();
    let store = oauth_session::store::PostgresStore::new(&server.postgres_url()).expect("a store");
    migrate(&store).await;
    records_end(&store).await;
    let names = store.scan(None).await.expect("a page").keys;
    assert!(names.len() < 20, "{} of 81 are left", names.len());
}

/// Resealing keeps a record's expiration time, which is only known from the record.
#[tokio::test]
async fn a_resealed_record_keeps_its_expiry() {
    let memory = MemoryStore::new();
    let (old, new) = (Key::new([1; 32]), Key::new([2; 32]));
    let before = SealedStore::new(memory.clone(), Keys::new(old.clone()));
    let record = Secret::from("{\"until\":1}");
    before
        .save("session", &record, 0, later())
        .await
        .expect("saved");
    let after = SealedStore::new(memory.clone(), Keys::new(new).with_previous(old));
    assert_eq!(after.reseal().await.expect("sealed").count, 1);
    assert!(memory.load("session").await.expect("loaded").is_none());
}
