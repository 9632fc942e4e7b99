//! PostgreSQL behind PgBouncer, and through a connection pool of the application.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Manager, Pool};
use oauth_core::Secret;
use oauth_session::Store;
use oauth_session::store::{PostgresStore, RecordTimes, contract};

use crate::postgres::migrate;
use crate::servers::Server;
use crate::workers::{increment_from_workers, version, worker};

const KEY: &str = "a-key";

/// A server behind a pooler.
struct Pooled {
    bouncer: Server,
    postgres: Server,
}

impl Pooled {
    async fn start() -> Self {
        let postgres = Server::postgres();
        let bouncer = Server::pgbouncer(&postgres);
        migrate(&PostgresStore::new(&bouncer.postgres_url()).expect("a store")).await;
        Self { bouncer, postgres }
    }

    fn store(&self) -> PostgresStore {
        PostgresStore::new(&self.bouncer.postgres_url()).expect("a store")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_contract_holds_behind_pgbouncer() {
    let pooled = Pooled::start().await;
    let first = pooled.store();
    let direct = PostgresStore::new(&pooled.postgres.postgres_url()).expect("a store");
    let stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(first.clone()),
        Arc::new(first),
        Arc::new(pooled.store().with_connections(16)),
        Arc::new(direct),
    ];
    contract::assert(&stores).await;
}

#[tokio::test]
async fn concurrent_processes_behind_pgbouncer_lose_no_update() {
    let pooled = Pooled::start().await;
    let url = pooled.bouncer.postgres_url();
    let counted = increment_from_workers(|arguments| worker(&url, arguments), KEY);
    let entry = pooled.store().load(KEY).await.expect("loaded");
    counted.check(entry.expect("a record").record.expose());
}

/// PgBouncer drops its clients; the next operation reconnects.
#[tokio::test]
async fn the_store_reconnects_to_a_restarted_pgbouncer() {
    let mut pooled = Pooled::start().await;
    let store = pooled.store();
    let saved = store
        .save(KEY, &Secret::from("text"), 0, RecordTimes::NONE)
        .await;
    let first = version(saved.expect("saved"));
    pooled.bouncer.stop();
    let error = store.load(KEY).await.expect_err("nobody there");
    assert_eq!(
        (error.code(), error.endpoint()),
        ("lost.unsent", Some("store"))
    );
    pooled.bouncer.start();
    let entry = store.load(KEY).await.expect("loaded").expect("a record");
    assert_eq!(entry.version, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_contract_holds_with_the_pool_of_an_application() {
    let pooled = Pooled::start().await;
    let config = pooled.bouncer.postgres_url().parse().expect("a URL");
    let manager = Manager::new(config, tokio_postgres::NoTls);
    let pool = Pool::builder(manager).max_size(3).build().expect("a pool");
    let store = PostgresStore::with_pool(pool.clone(), Duration::from_secs(5));
    contract::assert(&[Arc::new(store.clone()), Arc::new(store)]).await;
    // The application can still use the connection.
    let client = pool.get().await.expect("a connection");
    let rows = client.query_typed("select 1", &[]).await;
    assert_eq!(rows.expect("an answer").len(), 1);
    assert!(pool.status().max_size == 3);
}
