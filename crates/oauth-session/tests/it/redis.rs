//! The Redis store on a real server.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::Delivery;
use oauth_session::Store;
use oauth_session::store::{Lease, RecordTimes, RedisStore, contract};

use crate::servers::{PASSWORD, Server};
use crate::workers::{increment_from_workers, version, worker};

const KEY: &str = "a-key";
const MINUTE: Duration = Duration::from_secs(60);

fn store(server: &Server) -> RedisStore {
    RedisStore::new(&server.redis_url()).expect("a store")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_redis_store_meets_the_contract() {
    let server = Server::redis();
    let first = store(&server);
    let stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(first.clone()),
        Arc::new(first),
        Arc::new(store(&server)),
        Arc::new(store(&server)),
    ];
    contract::assert(&stores).await;
}

#[tokio::test]
async fn concurrent_processes_lose_no_update() {
    let server = Server::redis();
    let counted = increment_from_workers(|arguments| worker(&server.redis_url(), arguments), KEY);
    let entry = store(&server)
        .load(KEY)
        .await
        .expect("loaded")
        .expect("a record");
    counted.check(entry.record.expose());
}

#[tokio::test]
async fn different_prefixes_are_separate_stores() {
    let server = Server::redis();
    let ours = store(&server).with_prefix("ours:");
    let theirs = store(&server).with_prefix("theirs:");
    let saved = ours
        .save(KEY, &Secret::from("text"), 0, RecordTimes::NONE)
        .await;
    let first = version(saved.expect("saved"));
    assert!(theirs.load(KEY).await.expect("loaded").is_none());
    assert!(!theirs.remove(KEY).await.expect("removed"));
    assert!(ours.load(KEY).await.expect("loaded").is_some());
    assert!(ours.remove(KEY).await.expect("removed"));
    let entry = ours.load(KEY).await.expect("loaded").expect("a tombstone");
    assert!(entry.is_removed() && entry.version > first);
    assert!(!ours.remove(KEY).await.expect("removed"));
}

/// The server deletes tombstones by itself, but not while there is a lease.
#[tokio::test]
async fn removals_are_remembered_for_thirty_days() {
    const DAY: u64 = 24 * 3600;
    let server = Server::redis();
    let store = store(&server);
    let saved = store
        .save(KEY, &Secret::from("text"), 0, RecordTimes::NONE)
        .await;
    let first = version(saved.expect("saved"));
    store.remove(KEY).await.expect("removed");
    let client = redis::Client::open(server.redis_url()).expect("a client");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("connected");
    let mut remaining = async || -> i64 {
        let mut command = redis::cmd("TTL");
        command.arg(format!("oauth-core:grant:{KEY}"));
        command.query_async(&mut connection).await.expect("a time")
    };
    let month = remaining().await.cast_unsigned();
    assert!((29 * DAY..=30 * DAY).contains(&month), "{month}");
    let year = Duration::from_secs(365 * DAY);
    store.lease(KEY, "one", year).await.expect("leased");
    assert!(remaining().await.cast_unsigned() > 364 * DAY);
    store.remove(KEY).await.expect("removed");
    let entry = store
        .load(KEY)
        .await
        .expect("loaded")
        .expect("a word of it");
    let saved = store
        .save(
            KEY,
            &Secret::from("again"),
            entry.version,
            RecordTimes::NONE,
        )
        .await;
    assert!(version(saved.expect("saved")) > entry.version.max(first));
    assert_eq!(remaining().await, -1, "a record does not expire");
}

/// The same store reconnects to a restarted server, which still has the records.
#[tokio::test]
async fn the_store_reconnects_to_a_restarted_server() {
    let mut server = Server::redis();
    let store = store(&server);
    let saved = store
        .save(KEY, &Secret::from("text"), 0, RecordTimes::NONE)
        .await;
    let first = version(saved.expect("saved"));
    server.stop();
    let error = store.load(KEY).await.expect_err("no server");
    assert_eq!(
        (error.code(), error.endpoint()),
        ("lost.unsent", Some("store"))
    );
    server.start();
    for _ in 0..100 {
        if let Ok(entry) = store.load(KEY).await {
            assert_eq!(entry.expect("a record").version, first);
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("the store did not reconnect");
}

/// A connection that broke while idle, for example by a restart or a firewall, does not cause an error: a
/// renewal begins with a call that may be repeated.
#[tokio::test]
async fn a_connection_broken_while_idle_causes_no_error() {
    let mut server = Server::redis();
    let store = store(&server);
    let saved = store
        .save(KEY, &Secret::from("text"), 0, RecordTimes::NONE)
        .await;
    let first = version(saved.expect("saved"));
    server.stop();
    server.start();
    let entry = store.load(KEY).await.expect("loaded").expect("a record");
    assert_eq!(entry.version, first);
    server.stop();
    server.start();
    let lease = store.lease(KEY, "one", MINUTE).await;
    assert_eq!(lease.expect("leased"), Lease::Won);
}

#[tokio::test]
async fn an_unreachable_server_is_reported_as_unsent() {
    let mut server = Server::redis();
    server.stop();
    let error = store(&server).load(KEY).await.expect_err("no server");
    assert_eq!(
        (error.code(), error.endpoint()),
        ("lost.unsent", Some("store"))
    );
    assert_eq!(error.cause().expect("a cause").delivery(), Delivery::Unsent);
}

/// Waiting for a server that accepts the connection and never answers has a timeout.
#[tokio::test]
async fn waiting_for_a_silent_server_times_out() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let store = RedisStore::new(&format!("redis://:{PASSWORD}@127.0.0.1:{port}")).expect("a store");
    let store = store.with_timeout(Duration::from_millis(50));
    let error = store
        .save(KEY, &Secret::from("text"), 0, RecordTimes::NONE)
        .await
        .expect_err("silence");
    assert_eq!(
        (error.code(), error.endpoint()),
        ("lost.unsent", Some("store"))
    );
}

#[tokio::test]
async fn errors_show_no_secret() {
    let server = Server::redis();
    let record = Secret::from("S3CR3T-record");
    let wrong = format!("redis://user:wrong-S3CR3T@127.0.0.1:{}", server.port);
    let wrong = RedisStore::new(&wrong).expect("a store");
    let refused = wrong
        .save(KEY, &record, 0, RecordTimes::NONE)
        .await
        .expect_err("refused");
    assert_eq!(refused.code(), "store.setup");
    let anonymous =
        RedisStore::new(&format!("redis://127.0.0.1:{}", server.port)).expect("a store");
    let unknown = anonymous
        .save(KEY, &record, 0, RecordTimes::NONE)
        .await
        .expect_err("refused");
    let no_url = RedisStore::new("redis://user:S3CR3T@host:port/x").expect_err("no URL");
    assert_eq!(no_url.code(), "store.setup");
    // The key has a value of a different type.
    let store = store(&server);
    let client = redis::Client::open(server.redis_url()).expect("a client");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("connected");
    let () = redis::cmd("SET")
        .arg("oauth-core:grant:text")
        .arg("S3CR3T")
        .query_async(&mut connection)
        .await
        .expect("set");
    let other = store
        .save("text", &record, 0, RecordTimes::NONE)
        .await
        .expect_err("another type");
    let read = store.load("text").await.expect_err("another type");
    for error in [refused, unknown, no_url, other, read] {
        assert_eq!(error.endpoint(), Some("store"));
        let shown = format!("{error} {error:?} {:?}", error.cause());
        assert!(!shown.contains("S3CR3T"), "{shown}");
    }
    let shown = format!("{store:?} {wrong:?}");
    assert!(!shown.contains("S3CR3T"), "{shown}");
}

#[tokio::test]
async fn a_value_that_is_not_a_record_is_reported() {
    let server = Server::redis();
    let store = store(&server);
    let client = redis::Client::open(server.redis_url()).expect("a client");
    let mut connection = client
        .get_multiplexed_async_connection()
        .await
        .expect("connected");
    for (key, fields) in [
        ("word", ["version", "one", "record", "text"]),
        ("zero", ["version", "0", "record", "text"]),
        ("half", ["version", "1", "other", "text"]),
    ] {
        let () = redis::cmd("HSET")
            .arg(format!("oauth-core:grant:{key}"))
            .arg(&fields[..])
            .query_async(&mut connection)
            .await
            .expect("set");
        let error = store.load(key).await.expect_err("no record");
        assert_eq!(error.code(), "stored.malformed");
    }
}
