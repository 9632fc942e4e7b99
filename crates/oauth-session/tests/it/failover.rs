//! Failover of Redis servers, and clusters.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use oauth_core::Secret;
use oauth_core::moment::UnixTime;
use oauth_session::Store;
use oauth_session::store::{Lease, RecordTimes, RedisStore, SaveOutcome, contract};
use tokio::net::{TcpListener, TcpStream};

use crate::nodes::{Cluster, Replicated, Watched, until};
use crate::servers::PASSWORD;
use crate::workers::version;

const KEY: &str = "a-key";
const MINUTE: Duration = Duration::from_secs(60);

fn store(url: &str) -> RedisStore {
    let store = RedisStore::new(url).expect("a store");
    store.with_timeout(Duration::from_secs(2))
}

async fn save(
    store: &RedisStore,
    text: &str,
    version: u64,
) -> Result<SaveOutcome, oauth_core::Error> {
    store
        .save(KEY, &Secret::from(text), version, RecordTimes::NONE)
        .await
}

/// Retries a save during a failover until it succeeds; returns the new version. A save reported as lost may have
/// been executed, so the record is read first, as the keeper does.
async fn save_eventually(store: &RedisStore, text: &str) -> u64 {
    let start = Instant::now();
    while start.elapsed() < MINUTE {
        if let Ok(entry) = store.load(KEY).await {
            let version = entry.map_or(0, |entry| entry.version);
            match save(store, text, version).await {
                Ok(SaveOutcome::At(version)) => return version,
                Ok(SaveOutcome::Conflict) => {}
                Err(error) => assert!(error.code().starts_with("lost"), "{error}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("no replica takes over");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_contract_holds_with_sentinels() {
    let sentinels = Watched::start(1);
    let first = store(&sentinels.url());
    let stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(first.clone()),
        Arc::new(first),
        Arc::new(store(&sentinels.url()).with_replicas(1)),
    ];
    contract::assert(&stores).await;
}

/// The primary and a sentinel are killed: acknowledged saves are still there, and the same handle continues
/// with versions that were never used.
#[tokio::test]
async fn a_failover_loses_no_acknowledged_save() {
    let mut sentinels = Watched::start(1);
    let store = store(&sentinels.url());
    let replicated = store.clone().with_replicas(1);
    let mut versions = Vec::new();
    let mut last = 0;
    for number in 0..20 {
        let saved = save(&replicated, &format!("record {number}"), last).await;
        last = version(saved.expect("saved"));
        versions.push(last);
    }
    sentinels.lose_sentinel();
    sentinels.lose_primary();
    let next = save_eventually(&store, "after").await;
    assert!(next > last);
    // The save replaced the last record, not an older one.
    let conflict = save(&store, "late", last).await.expect("an answer");
    assert_eq!(conflict, SaveOutcome::Conflict);
    assert!(versions.iter().all(|version| *version < next));
    let lease = store.lease(KEY, "one", MINUTE).await.expect("leased");
    assert_eq!(lease, Lease::Won);
    assert_eq!(store.scan(None).await.expect("told").keys, [KEY]);
    // No replica is left to acknowledge it.
    let error = save(&replicated, "alone", next).await.expect_err("too few");
    assert_eq!((error.code(), error.endpoint()), ("lost", Some("store")));
    let entry = store.load(KEY).await.expect("loaded").expect("a record");
    assert_eq!(entry.record.expose(), "alone");
}

/// Primary and replica change places during writes.
#[tokio::test]
async fn a_failover_is_followed() {
    let watched = Watched::start(1);
    let store = store(&watched.url());
    let mut last = version(save(&store, "before", 0).await.expect("saved"));
    watched.switch();
    until("the replica is the primary", || {
        watched
            .servers
            .replica()
            .redis_says(&["role"])
            .starts_with("master")
    });
    for _ in 0..5 {
        let next = save_eventually(&store, "after").await;
        assert!(next > last);
        last = next;
    }
    assert!(
        watched
            .servers
            .replica()
            .redis_says(&["dbsize"])
            .starts_with('2')
    );
}

/// A proxy in front of the primary and its successors, like a DNS name: only new connections reach
/// the new one.
struct Front {
    port: u16,
    target: Arc<Mutex<u16>>,
}

impl Front {
    async fn start(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let target = Arc::new(Mutex::new(port));
        let port = listener.local_addr().expect("its address").port();
        let to = Arc::clone(&target);
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let address = SocketAddr::from(([127, 0, 0, 1], *to.lock().expect("no panic")));
                tokio::spawn(async move {
                    let mut server = TcpStream::connect(address).await?;
                    tokio::io::copy_bidirectional(&mut client, &mut server).await
                });
            }
        });
        Self { port, target }
    }

    fn redirect_to(&self, port: u16) {
        *self.target.lock().expect("no panic") = port;
    }
}

/// A primary that has become a replica answers, but refuses writes. The store reconnects at the first
/// refusal, without an error for the caller.
#[tokio::test]
async fn a_demoted_primary_is_abandoned_immediately() {
    let servers = Replicated::start(1);
    let proxy = Front::start(servers.primary.port).await;
    let store = store(&format!("redis://:{PASSWORD}@127.0.0.1:{}", proxy.port));
    let first = version(save(&store, "text", 0).await.expect("saved"));
    let lease = store.lease(KEY, "one", MINUTE).await.expect("leased");
    assert_eq!(lease, Lease::Won);
    until("the replica has it", || {
        servers.replica().redis_says(&["dbsize"]).starts_with('2')
    });
    assert!(
        servers
            .replica()
            .redis_says(&["replicaof", "no", "one"])
            .starts_with("OK")
    );
    // It finds no primary there, so its data stay old.
    let demote = ["replicaof", "127.0.0.1", "1"];
    assert!(servers.primary.redis_says(&demote).starts_with("OK"));
    proxy.redirect_to(servers.replica().port);
    let second = version(save(&store, "after", first).await.expect("saved"));
    assert!(second > first);
    let lease = store.lease(KEY, "one", MINUTE).await.expect("leased");
    assert_eq!(lease, Lease::Won);
    // The error for a server that only refuses is that it did nothing, neither a version conflict nor a held
    // lease from its old data.
    proxy.redirect_to(servers.primary.port);
    let fresh = self::store(&format!("redis://:{PASSWORD}@127.0.0.1:{}", proxy.port));
    let saved = save(&fresh, "late", second).await.expect_err("a replica");
    let leased = fresh.lease(KEY, "two", MINUTE).await;
    for error in [saved, leased.expect_err("a replica")] {
        let code = (error.code(), error.endpoint());
        assert_eq!(code, ("lost.unsent", Some("store")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_contract_holds_in_a_cluster() {
    let cluster = Cluster::start();
    let first = store(&cluster.url());
    let stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(first.clone()),
        Arc::new(first),
        Arc::new(store(&cluster.url())),
    ];
    contract::assert(&stores).await;
}

#[tokio::test]
async fn records_are_distributed_over_cluster_nodes_and_listed_in_order() {
    let cluster = Cluster::start();
    let store = store(&cluster.url());
    let due = |number: u64| Some(UnixTime::from_secs(1000 - number));
    for number in 0..60 {
        let (key, record) = (format!("key-{number}"), Secret::from("text"));
        let saved = store
            .save(
                &key,
                &record,
                0,
                RecordTimes {
                    due: due(number),
                    until: None,
                },
            )
            .await;
        version(saved.expect("saved"));
    }
    assert!(cluster.sizes().iter().all(|size| *size > 5));
    // The records of all nodes are returned in order.
    let first = store.due(UnixTime::from_secs(2000), 3).await.expect("told");
    assert_eq!(first, ["key-59", "key-58", "key-57"]);
    let replicated = store.clone().with_replicas(1);
    let error = save(&replicated, "text", 0).await.expect_err("no replicas");
    assert_eq!((error.code(), error.endpoint()), ("lost", Some("store")));
}
