//! The PostgreSQL store on a real server.

use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Delivery, Error};
use oauth_session::Store;
use oauth_session::store::{Lease, PostgresStore, RecordTimes, SaveOutcome, contract};

use crate::servers::{PASSWORD, Server};
use crate::workers::{increment_from_workers, version, worker};

const KEY: &str = "a-key";
const MINUTE: Duration = Duration::from_secs(60);

fn store(server: &Server) -> PostgresStore {
    PostgresStore::new(&server.postgres_url()).expect("a store")
}

async fn migrate_store(server: &Server) -> PostgresStore {
    let store = store(server);
    migrate(&store).await;
    store
}

/// Creates the table, retrying because a server answers a moment after it listens.
pub(crate) async fn migrate(store: &PostgresStore) {
    for _ in 0..200 {
        match store.migrate().await {
            Ok(()) => return,
            Err(error) if error.code().starts_with("lost") => {
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    panic!("the server does not answer");
}

async fn save(store: &PostgresStore, text: &str, version: u64) -> Result<SaveOutcome, Error> {
    store
        .save(KEY, &Secret::from(text), version, RecordTimes::NONE)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_postgres_store_meets_the_contract() {
    let server = Server::postgres();
    let first = migrate_store(&server).await;
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
    let server = Server::postgres();
    let store = migrate_store(&server).await;
    let counted =
        increment_from_workers(|arguments| worker(&server.postgres_url(), arguments), KEY);
    let entry = store.load(KEY).await.expect("loaded").expect("a record");
    counted.check(entry.record.expose());
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_migrations_lose_no_record() {
    let server = Server::postgres();
    drop(migrate_store(&server).await);
    let mut workers = tokio::task::JoinSet::new();
    for _ in 0..8 {
        let store = store(&server);
        workers.spawn(async move { store.migrate().await });
    }
    while let Some(done) = workers.join_next().await {
        done.expect("no panic").expect("migrated");
    }
    let store = store(&server);
    let first = version(save(&store, "text", 0).await.expect("saved"));
    store.migrate().await.expect("migrated");
    let entry = store.load(KEY).await.expect("loaded").expect("a record");
    assert_eq!(entry.record.expose(), "text");
    assert!(store.remove(KEY).await.expect("removed"));
    assert!(!store.remove(KEY).await.expect("removed"));
    let entry = store
        .load(KEY)
        .await
        .expect("loaded")
        .expect("a word of it");
    assert!(entry.is_removed() && entry.version > first);
}

#[tokio::test]
async fn removals_are_remembered_for_thirty_days() {
    let server = Server::postgres();
    let store = migrate_store(&server).await;
    // Also if there was nothing, or only a lease: a worker may have the tokens.
    assert!(!store.remove(KEY).await.expect("removed"));
    assert!(
        store
            .load(KEY)
            .await
            .expect("loaded")
            .expect("a word of it")
            .is_removed()
    );
    store.lease("leased", "one", MINUTE).await.expect("leased");
    assert!(!store.remove("leased").await.expect("removed"));
    let entry = store.load("leased").await.expect("loaded");
    assert!(entry.expect("a word of it").is_removed());
    let client = connect(&server).await;
    for (days, is_told) in [(29, true), (2, false)] {
        let age = format!(
            "update oauth_core_grant set version = version - {days} * 86400 * 1000000::bigint \
             where key = '{KEY}'"
        );
        client.batch_execute(&age).await.expect("aged");
        store.remove("another").await.expect("removed");
        let entry = store.load(KEY).await.expect("loaded");
        assert_eq!(entry.is_some(), is_told, "{days} more days");
    }
    let first = version(save(&store, "text", 0).await.expect("saved"));
    let second = save(&store, "more", first).await.expect("saved");
    assert!(version(second) > first);
}

#[tokio::test]
async fn a_missing_table_is_reported() {
    let server = Server::postgres();
    let store = migrate_store(&server).await;
    let client = connect(&server).await;
    let dropped = client.batch_execute("drop table oauth_core_grant").await;
    dropped.expect("dropped");
    let error = store.load(KEY).await.expect_err("no table");
    assert_eq!(
        (error.code(), error.endpoint()),
        ("store.setup", Some("store"))
    );
    assert!(error.to_string().contains("migrate()"), "{error}");
}

/// The same store reconnects to a restarted server, which still has the records.
#[tokio::test]
async fn the_store_reconnects_to_a_restarted_server() {
    let mut server = Server::postgres();
    let store = migrate_store(&server).await;
    let first = version(save(&store, "text", 0).await.expect("saved"));
    server.stop();
    let error = store.load(KEY).await.expect_err("no server");
    assert_eq!(
        (error.code(), error.endpoint()),
        ("lost.unsent", Some("store"))
    );
    assert_eq!(error.cause().expect("a cause").delivery(), Delivery::Unsent);
    server.start();
    let entry = migrate_store(&server).await.load(KEY).await;
    assert_eq!(entry.expect("loaded").expect("a record").version, first);
    // Also with a connection from before the restart.
    let entry = store.load(KEY).await.expect("loaded").expect("a record");
    assert_eq!(entry.version, first);
}

/// A connection that broke while idle does not cause an error: a renewal begins with a call that may be
/// repeated.
#[tokio::test]
async fn a_connection_broken_while_idle_causes_no_error() {
    let server = Server::postgres();
    let store = migrate_store(&server).await;
    let client = connect(&server).await;
    let cut = "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'oauth-core'";
    client.batch_execute(cut).await.expect("cut");
    assert!(store.load(KEY).await.expect("loaded").is_none());
    client.batch_execute(cut).await.expect("cut");
    let lease = store.lease(KEY, "one", MINUTE).await;
    assert_eq!(lease.expect("leased"), Lease::Won);
}

/// Waiting for a locked row, or for a server that never answers, has a timeout.
#[tokio::test]
async fn waiting_for_the_server_times_out() {
    let server = Server::postgres();
    let saved = save(&migrate_store(&server).await, "text", 0).await;
    let first = version(saved.expect("saved"));
    let client = connect(&server).await;
    client
        .batch_execute("begin; select 1 from oauth_core_grant for update")
        .await
        .expect("locked");
    let hasty = PostgresStore::with_timeout(&server.postgres_url(), Duration::from_secs(1));
    let hasty = hasty.expect("a store");
    // More calls than connections.
    for _ in 0..5 {
        let error = save(&hasty, "new", first).await.expect_err("locked");
        assert_eq!((error.code(), error.endpoint()), ("lost", Some("store")));
    }
    // None of them is left waiting in the server.
    let waiting = "select count(*) from pg_stat_activity where wait_event_type = 'Lock'";
    let mut count = 5_i64;
    for _ in 0..200 {
        let row = client.query_one(waiting, &[]).await.expect("told");
        count = row.get(0);
        if count == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(count, 0);
    client.batch_execute("rollback").await.expect("unlocked");
    let saved = save(&migrate_store(&server).await, "new", first).await;
    assert!(version(saved.expect("saved")) > first);

    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let port = silent.local_addr().expect("its address").port();
    let url = format!("postgres://tester:{PASSWORD}@127.0.0.1:{port}/postgres");
    let store = PostgresStore::with_timeout(&url, Duration::from_millis(50)).expect("a store");
    let error = save(&store, "text", 0).await.expect_err("silence");
    assert_eq!(
        (error.code(), error.endpoint()),
        ("lost.unsent", Some("store"))
    );
}

#[tokio::test]
async fn errors_show_no_secret() {
    let server = Server::postgres();
    let store = migrate_store(&server).await;
    let url = |user: &str, password: &str, database: &str| {
        format!(
            "postgres://{user}:{password}@127.0.0.1:{}/{database}?sslmode=disable",
            server.port
        )
    };
    let at = |url: String| PostgresStore::new(&url).expect("a store");
    let wrong = save(&at(url("tester", "wrong-S3CR3T", "postgres")), "S3CR3T", 0).await;
    let absent = save(&at(url("tester", PASSWORD, "absent")), "S3CR3T", 0).await;
    let (wrong, absent) = (wrong.expect_err("refused"), absent.expect_err("refused"));
    assert_eq!(
        (wrong.code(), absent.code()),
        ("store.setup", "store.setup")
    );
    let no_url = PostgresStore::new("postgres://user:S3CR3T@host:port/x").expect_err("no URL");
    assert_eq!(no_url.code(), "store.setup");
    // A server whose error messages repeat the query's values.
    let spoil = "alter table oauth_core_grant add check (record = 'good')";
    connect(&server)
        .await
        .batch_execute(spoil)
        .await
        .expect("altered");
    let check = save(&store, "S3CR3T", 0).await.expect_err("refused");
    let zero = save(&store, "S3CR3T\0", 0).await.expect_err("refused");
    for error in [wrong, absent, no_url, check, zero] {
        assert_eq!(error.endpoint(), Some("store"));
        let shown = format!("{error} {error:?} {:?}", error.cause());
        assert!(!shown.contains("S3CR3T"), "{shown}");
    }
    assert!(!format!("{store:?}").contains("S3CR3T"));
}

async fn connect(server: &Server) -> tokio_postgres::Client {
    let url = server.postgres_url();
    let (client, connection) = tokio_postgres::connect(&url, tokio_postgres::NoTls)
        .await
        .expect("connected");
    tokio::spawn(connection);
    client
}
