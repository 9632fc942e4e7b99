//! The store in PostgreSQL, for machines that share a server.

#![cfg_attr(
    not(feature = "postgres-tls"),
    allow(clippy::clone_on_copy, reason = "the connector with TLS is not `Copy`")
)]

mod errors;
mod tls;

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use deadpool_postgres::{Manager, Object, Pool, PoolError, Runtime};
use oauth_core::Secret;
use oauth_core::error::Error;
use oauth_core::moment::UnixTime;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Config, Row};

use super::{
    Answer, ENDPOINT, Entry, Lease, PAGE_KEYS, Page, RecordTimes, SaveOutcome, Store,
    TOMBSTONE_LIFETIME, malformed, micros,
};
use errors::{database_error, description, is_broken, setup, timeout_error, unsent_error};
use tls::Tls;

/// The default timeout for an answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of connections of one store. A call uses one for about a millisecond, so more would not help.
const MAX_CONNECTIONS: usize = 4;

/// The key of the advisory lock: an arbitrary number.
const MIGRATION_LOCK: i64 = 0x6f61_7574_6863_6f72;

/// The condition for a record that has not expired.
macro_rules! live {
    () => {
        "(ends is null or ends > extract(epoch from clock_timestamp()))"
    };
}

const LOAD: &str = concat!(
    "select version, record from oauth_core_grant where key = $1 and version > 0 and ",
    live!()
);

/// The server's clock in microseconds since 1970.
macro_rules! now {
    () => {
        "(extract(epoch from clock_timestamp()) * 1000000)::bigint"
    };
}

/// A row at version 0 has a lease only, and an expired one counts as absent.
const CREATE: &str = concat!(
    "insert into oauth_core_grant as stored (key, version, record, due, ends) values ($1, ",
    now!(),
    ", $2, $3, $4) on conflict (key) do update \
    set version = greatest(stored.version + 1, excluded.version), record = excluded.record, \
        due = excluded.due, ends = excluded.ends \
    where stored.version = 0 or stored.ends <= extract(epoch from clock_timestamp()) returning version"
);

/// Deletes at most this many expired records when another is added, except those with an active lease.
const DELETE_EXPIRED: &str = "delete from oauth_core_grant where key in ( \
    select key from oauth_core_grant where ends <= extract(epoch from clock_timestamp()) \
        and (until is null or until <= clock_timestamp()) \
    order by ends limit 16 for update skip locked)";

const REPLACE: &str = concat!(
    "update oauth_core_grant set version = greatest(version + 1, ",
    now!(),
    "), record = $2, due = $3, ends = $4 where key = $1 and version = $5 and ",
    live!(),
    " returning version"
);

const SCAN: &str = "select key from oauth_core_grant \
    where key > $1 and version > 0 and record <> '' order by key limit $2";

const DUE: &str =
    "select key from oauth_core_grant where due < $1 and record <> '' order by due, key limit $2";

/// Reads the clock after the row is locked, not at the beginning of the statement, which may have waited for the row.
/// If another holder has the lease, the second column is its remaining time; null if the lease was acquired after the
/// statement began, because the snapshot does not contain it.
const TAKE: &str = "with taken as ( \
        insert into oauth_core_grant as stored (key, holder, until) \
        values ($1, $2, clock_timestamp() + $3 * interval '1 microsecond') \
        on conflict (key) do update \
        set holder = $2, until = clock_timestamp() + $3 * interval '1 microsecond' \
        where stored.holder is null or stored.holder = $2 or stored.until <= clock_timestamp() \
        returning 1) \
    select exists (select from taken), \
        (select (extract(epoch from until - clock_timestamp()) * 1000000)::bigint \
            from oauth_core_grant where key = $1)";

const RELEASE_LEASE: &str = "update oauth_core_grant set holder = null, until = null \
    where key = $1 and holder = $2";

/// Leaves an empty record as a tombstone, even if there was no record, because a worker may still have one.
const REMOVE: &str = concat!(
    "with removed as ( \
        update oauth_core_grant set version = greatest(version + 1, ",
    now!(),
    "), record = '', due = null, ends = null, holder = null, until = null \
        where key = $1 and record <> '' returning 1), \
    marked as ( \
        insert into oauth_core_grant as stored (key, version, record) \
        select $1, ",
    now!(),
    ", '' where not exists (select from removed) \
        on conflict (key) do update set version = greatest(stored.version + 1, excluded.version), \
            record = '', holder = null, until = null \
        where stored.record is null or stored.record = '') \
    select exists (select from removed)"
);

/// Deletes expired tombstones.
const DELETE_TOMBSTONES: &str = concat!(
    "delete from oauth_core_grant where record = '' and version < ",
    now!(),
    " - $1"
);

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A store in a table of PostgreSQL 9.6 or newer.
///
/// Each call is one statement without a transaction around it, sent in one round trip and without
/// a prepared statement. Nothing is set on a connection, and no startup option is sent, so PgBouncer can be used, also
/// in transaction mode. The table is found as the connection's `search_path` says: [`SCHEMA`](Self::SCHEMA), which
/// [`migrate`](Self::migrate) runs.
///
/// Clones share up to four connections, or as many as [`with_connections`](Self::with_connections) says. A pool serves
/// concurrent renewals and statements that wait for a row better than one connection, and it replaces connections that
/// break, or whose server has become a standby. It belongs to the tokio runtime in which it is first used.
///
/// A statement that is not answered in time is cancelled, so that none keeps waiting for a row in the server.
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    timeout: Duration,
    /// Only for the store's own pool.
    tls: Option<Tls>,
}

impl PostgresStore {
    /// The table of the records, for applications with their own migrations.
    pub const SCHEMA: &str = include_str!("postgres/schema.sql");

    /// Uses the server at this URL, `postgres://user:password@host/database`, or any other form that tokio-postgres
    /// reads. With the feature `postgres-tls`, TLS is used if the server offers it, and required with
    /// `sslmode=require`; in both cases the server must present a certificate for its name that the system trusts.
    /// Without the feature, or with `sslmode=disable`, everything is sent unencrypted. If a standby may take over, name
    /// all hosts and `target_session_attrs=read-write`.
    ///
    /// # Errors
    /// `store.setup` if it is not such a URL. Whether there is a server is only checked later.
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::with_timeout(url, DEFAULT_TIMEOUT)
    }

    /// Uses the server at this URL like [`new`](Self::new), with this timeout for a connection and for a answer
    /// instead of 5 s each.
    ///
    /// # Errors
    /// The errors of [`new`](Self::new).
    pub fn with_timeout(url: &str, timeout: Duration) -> Result<Self, Error> {
        // The parser's error could show a part of the URL.
        let mut config =
            Config::from_str(url).map_err(|_| setup("not a URL of a PostgreSQL server"))?;
        if config.get_application_name().is_none() {
            config.application_name("oauth-core");
        }
        config.connect_timeout(timeout).tcp_user_timeout(timeout);
        let tls = tls::connector()?;
        let pool = Pool::builder(Manager::new(config, tls.clone()))
            .max_size(MAX_CONNECTIONS)
            .wait_timeout(Some(timeout))
            .create_timeout(Some(timeout))
            .recycle_timeout(Some(timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| setup("no pool of connections"))?;
        Ok(Self {
            pool,
            timeout,
            tls: Some(tls),
        })
    }

    /// Uses the application's own pool (of deadpool-postgres 0.14), with this timeout for a connection and for an
    /// answer.
    ///
    /// Its connections are not changed. A statement that is not answered in time is not cancelled, only its connection
    /// is closed: set a `statement_timeout` if that matters.
    pub const fn with_pool(pool: Pool, timeout: Duration) -> Self {
        Self {
            pool,
            timeout,
            tls: None,
        }
    }

    /// Allows up to this many connections at a time, at least one, for all clones.
    #[must_use]
    pub fn with_connections(self, count: usize) -> Self {
        self.pool.resize(count.max(1));
        self
    }

    /// Creates the table, unless it exists.
    ///
    /// # Errors
    /// `store.setup` if the database user may not create tables; `lost` as for the methods of [`Store`].
    pub async fn migrate(&self) -> Result<(), Error> {
        let mut client = self.client().await?;
        let migration = async {
            let transaction = client.transaction().await?;
            // Two workers that create the same table at the same time can fail.
            let lock = format!("select pg_advisory_xact_lock({MIGRATION_LOCK})");
            transaction.batch_execute(&lock).await?;
            transaction.batch_execute(Self::SCHEMA).await?;
            transaction.commit().await
        };
        match tokio::time::timeout(self.timeout, migration).await {
            Ok(result) => result.map_err(|error| database_error(&error)),
            Err(elapsed) => Err(timeout_error(elapsed)),
        }
    }

    async fn client(&self) -> Result<Object, Error> {
        // The application's pool may have no timeouts.
        let client = tokio::time::timeout(self.timeout * 2, self.pool.get());
        let client = client
            .await
            .map_err(|_| unsent_error("no connection in time".to_owned()))?;
        client.map_err(|error| match error {
            PoolError::Backend(error) if error.code().is_some() => database_error(&error),
            // Nothing has been sent yet.
            PoolError::Backend(error) => unsent_error(description(&error)),
            PoolError::Timeout(_) => unsent_error("no connection in time".to_owned()),
            error => unsent_error(error.to_string()),
        })
    }

    async fn query(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        self.execute(text, parameters)
            .await?
            .map_err(|error| database_error(&error))
    }

    /// Sends a statement a second time if the connection was broken, as a long unused one may be: only for statements
    /// that may be executed twice.
    async fn execute_with_retry(
        &self,
        text: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Vec<Row>, Error> {
        match self.execute(text, parameters).await? {
            Err(error) if is_broken(&error) => self.query(text, parameters).await,
            result => result.map_err(|error| database_error(&error)),
        }
    }

    async fn execute(
        &self,
        text: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Result<Vec<Row>, tokio_postgres::Error>, Error> {
        let client = self.client().await?;
        let query = client.query_typed(text, parameters);
        match tokio::time::timeout(self.timeout, query).await {
            Ok(Ok(rows)) => Ok(Ok(rows)),
            Ok(Err(error)) => {
                if is_broken(&error) && self.tls.is_some() {
                    // The idle connections are probably broken too.
                    self.pool.retain(|_, _| false);
                }
                // A broken connection must not be returned to the pool.
                drop(Object::take(client));
                Ok(Err(error))
            }
            Err(elapsed) => {
                self.cancel(client);
                Err(timeout_error(elapsed))
            }
        }
    }

    /// Cancels the statement of a connection, then closes it, because a server detects a closed connection only when it
    /// sends data.
    fn cancel(&self, client: Object) {
        let client = Object::take(client);
        if let Some(tls) = self.tls.clone() {
            let timeout = self.timeout;
            tokio::spawn(async move {
                let cancel = client.cancel_token();
                // If this fails, the statement ends on its own.
                let _ = tokio::time::timeout(timeout, cancel.cancel_query(tls)).await;
                drop(client);
            });
        }
    }
}

impl Store for PostgresStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let rows = self.execute_with_retry(LOAD, &[(&key, Type::TEXT)]).await?;
            let Some(row) = rows.first() else {
                return Ok(None);
            };
            let version: i64 = column(row, 0)?;
            let record: String = column(row, 1)?;
            Ok(Some(Entry {
                version: version.cast_unsigned(),
                record: Secret::new(record),
            }))
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
            let record = record.expose();
            // A removed record is not due.
            let due = times.due.filter(|_| !record.is_empty()).map(seconds);
            let expires_at = times.until.filter(|_| !record.is_empty()).map(seconds);
            let rows = match i64::try_from(version) {
                // No record ever reaches this version.
                Err(_) | Ok(i64::MAX) => return Ok(SaveOutcome::Conflict),
                Ok(0) => {
                    if expires_at.is_some() {
                        self.execute_with_retry(DELETE_EXPIRED, &[]).await?;
                    }
                    let parameters: [Parameter<'_>; 4] = [
                        (&key, Type::TEXT),
                        (record, Type::TEXT),
                        (&due, Type::INT8),
                        (&expires_at, Type::INT8),
                    ];
                    self.query(CREATE, &parameters).await?
                }
                Ok(version) => {
                    let parameters: [Parameter<'_>; 5] = [
                        (&key, Type::TEXT),
                        (record, Type::TEXT),
                        (&due, Type::INT8),
                        (&expires_at, Type::INT8),
                        (&version, Type::INT8),
                    ];
                    self.query(REPLACE, &parameters).await?
                }
            };
            let Some(row) = rows.first() else {
                return Ok(SaveOutcome::Conflict);
            };
            let version: i64 = column(row, 0)?;
            Ok(SaveOutcome::At(version.cast_unsigned()))
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            let ttl = micros(ttl).cast_signed();
            if ttl == 0 {
                let parameters: [Parameter<'_>; 2] = [(&key, Type::TEXT), (&holder, Type::TEXT)];
                self.execute_with_retry(RELEASE_LEASE, &parameters).await?;
                return Ok(Lease::Won);
            }
            let parameters: [Parameter<'_>; 3] = [
                (&key, Type::TEXT),
                (&holder, Type::TEXT),
                (&ttl, Type::INT8),
            ];
            let rows = self.execute_with_retry(TAKE, &parameters).await?;
            let row = rows.first().ok_or_else(|| malformed("no answer"))?;
            if column(row, 0)? {
                return Ok(Lease::Won);
            }
            let remaining: Option<i64> = column(row, 1)?;
            let remaining = remaining.and_then(|remaining| u64::try_from(remaining).ok());
            Ok(Lease::Held(Duration::from_micros(
                remaining.unwrap_or(0).max(1),
            )))
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let rows = self.query(REMOVE, &[(&key, Type::TEXT)]).await?;
            let age = micros(TOMBSTONE_LIFETIME).cast_signed();
            self.query(DELETE_TOMBSTONES, &[(&age, Type::INT8)]).await?;
            rows.first().map_or(Ok(false), |row| column(row, 0))
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let (last_key, limit) = (cursor.unwrap_or_default(), row_limit(PAGE_KEYS));
            let parameters: [Parameter<'_>; 2] = [(&last_key, Type::TEXT), (&limit, Type::INT8)];
            let keys = names(&self.execute_with_retry(SCAN, &parameters).await?)?;
            let next = keys.last().filter(|_| keys.len() == PAGE_KEYS).cloned();
            Ok(Page { keys, next })
        })
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let (before, limit) = (seconds(before), row_limit(limit));
            let parameters: [Parameter<'_>; 2] = [(&before, Type::INT8), (&limit, Type::INT8)];
            names(&self.execute_with_retry(DUE, &parameters).await?)
        })
    }
}

fn names(rows: &[Row]) -> Result<Vec<String>, Error> {
    rows.iter().map(|row| column(row, 0)).collect()
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn row_limit(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    index: usize,
) -> Result<T, Error> {
    row.try_get(index).map_err(|_| malformed("not a record"))
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}
