//! The store in PostgreSQL, for machines that share a server.

#![cfg_attr(
    not(feature = "postgres-tls"),
    allow(clippy::clone_on_copy, reason = "what connects with TLS is no copy")
)]

mod tls;

use std::fmt;
use std::str::FromStr as _;
use std::time::Duration;

use deadpool_postgres::{Manager, Object, Pool, PoolError, Runtime};
use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::moment::UnixTime;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{Config, Row};

use super::{
    Answer, ENDPOINT, Entry, Lease, PAGE, Page, REMOVAL_SHOWS, Saved, Store, Times, malformed,
    micros,
};
use tls::Tls;

/// How long an answer is waited for by default.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections of one store. A verb has one for a millisecond; more would only wait for each other
/// in the server.
const CONNECTIONS: usize = 4;

/// Any number that no other program uses.
const MIGRATION: i64 = 0x6f61_7574_6863_6f72;

/// What has not ended.
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

/// A row at version 0 has a lease only, and one that has ended is as absent.
const CREATE: &str = concat!(
    "insert into oauth_core_grant as stored (key, version, record, due, ends) values ($1, ",
    now!(),
    ", $2, $3, $4) on conflict (key) do update \
    set version = greatest(stored.version + 1, excluded.version), record = excluded.record, \
        due = excluded.due, ends = excluded.ends \
    where stored.version = 0 or stored.ends <= extract(epoch from clock_timestamp()) returning version"
);

/// As many as this of what has ended go as another begins; not those whose lease runs.
const END: &str = "delete from oauth_core_grant where key in ( \
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

/// The clock is read once the row is locked, and not when the statement began, which may have waited for
/// the row. If another holder has the lease, the second column says for how much longer; not if it was
/// taken since the statement began, whose second half does not see that yet.
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

const GIVE_BACK: &str = "update oauth_core_grant set holder = null, until = null \
    where key = $1 and holder = $2";

/// What was removed stays as an empty record, also where there was none: somebody may have it.
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
const FORGET: &str = concat!(
    "delete from oauth_core_grant where record = '' and version < ",
    now!(),
    " - $1"
);

type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// A store in a table of PostgreSQL 9.6 or newer.
///
/// Each verb is one statement without a transaction around it, sent in one round trip and without
/// a prepared statement. Nothing is set on a connection, and no startup option is sent, so that
/// PgBouncer may stand between, in transaction mode too. The table is found as the connection's
/// `search_path` says: [`SCHEMA`](Self::SCHEMA), which [`migrate`](Self::migrate) runs.
///
/// Clones share up to four connections, or as many as [`with_connections`](Self::with_connections) says. A pool is
/// more than a single shared connection where many grants are renewed at once, or a statement waits for a row; and it
/// replaces what breaks, and what has become a standby. It belongs to the tokio runtime it is first used in.
///
/// A statement that has no answer in time is cancelled, so that none goes on waiting in the server for
/// a row.
#[derive(Clone)]
pub struct PostgresStore {
    pool: Pool,
    patience: Duration,
    /// Only of a pool of our own.
    tls: Option<Tls>,
}

impl PostgresStore {
    /// The table of the records, for those who migrate in their own way.
    pub const SCHEMA: &str = include_str!("postgres/schema.sql");

    /// The server at this URL, `postgres://user:password@host/database`, or what else tokio-postgres
    /// reads. With the feature `postgres-tls`, TLS is used if the server offers it, and asked for with
    /// `sslmode=require`; in both cases the server has to show a certificate for its name that the
    /// system trusts. Without the feature, or with `sslmode=disable`, everything is sent in the clear.
    /// Where a standby may take over, name all hosts and `target_session_attrs=read-write`.
    ///
    /// # Errors
    /// `misuse.setup` if it is no such URL. Whether there is a server is seen later.
    pub fn new(url: &str) -> Result<Self, Error> {
        Self::with_timeout(url, PATIENCE)
    }

    /// As [`new`](Self::new), waiting so long for a connection and so long for an answer, instead of
    /// 5 s each.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn with_timeout(url: &str, timeout: Duration) -> Result<Self, Error> {
        // What is wrong with it could show a part of it.
        let mut config =
            Config::from_str(url).map_err(|_| setup("not a URL of a PostgreSQL server"))?;
        if config.get_application_name().is_none() {
            config.application_name("oauth-core");
        }
        config.connect_timeout(timeout).tcp_user_timeout(timeout);
        let tls = tls::connector()?;
        let pool = Pool::builder(Manager::new(config, tls.clone()))
            .max_size(CONNECTIONS)
            .wait_timeout(Some(timeout))
            .create_timeout(Some(timeout))
            .recycle_timeout(Some(timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|_| setup("no pool of connections"))?;
        Ok(Self {
            pool,
            patience: timeout,
            tls: Some(tls),
        })
    }

    /// The server that the application's own pool leads to (of deadpool-postgres 0.14), waiting so
    /// long for a connection and so long for an answer.
    ///
    /// Its connections are left as they were. A statement that has no answer in time is not
    /// cancelled, only its connection is closed: set a `statement_timeout` where that matters.
    pub const fn over(pool: Pool, timeout: Duration) -> Self {
        Self {
            pool,
            patience: timeout,
            tls: None,
        }
    }

    /// Up to so many connections at a time, one at least, for all clones.
    #[must_use]
    pub fn with_connections(self, count: usize) -> Self {
        self.pool.resize(count.max(1));
        self
    }

    /// Makes the table, unless it is there.
    ///
    /// # Errors
    /// `misuse.setup` if the user may not make tables; `lost` as for the verbs of [`Store`].
    pub async fn migrate(&self) -> Result<(), Error> {
        let mut client = self.client().await?;
        let work = async {
            let transaction = client.transaction().await?;
            // Two who make the same table at the same time can fail for each other.
            let lock = format!("select pg_advisory_xact_lock({MIGRATION})");
            transaction.batch_execute(&lock).await?;
            transaction.batch_execute(Self::SCHEMA).await?;
            transaction.commit().await
        };
        match tokio::time::timeout(self.patience, work).await {
            Ok(done) => done.map_err(|error| failed(&error)),
            Err(late) => Err(late_by(late)),
        }
    }

    async fn client(&self) -> Result<Object, Error> {
        // A pool of the application's may have no limits of its own.
        let client = tokio::time::timeout(self.patience * 2, self.pool.get());
        let client = client
            .await
            .map_err(|_| unsent("no connection in time".to_owned()))?;
        client.map_err(|error| match error {
            PoolError::Backend(error) if error.code().is_some() => failed(&error),
            // Nothing was asked yet.
            PoolError::Backend(error) => unsent(described(&error)),
            PoolError::Timeout(_) => unsent("no connection in time".to_owned()),
            error => unsent(error.to_string()),
        })
    }

    async fn query(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        self.ask(text, parameters)
            .await?
            .map_err(|error| failed(&error))
    }

    /// Asks a second time if the connection was found broken, as one is that nobody used for long:
    /// only for what may be done twice.
    async fn again(&self, text: &str, parameters: &[Parameter<'_>]) -> Result<Vec<Row>, Error> {
        match self.ask(text, parameters).await? {
            Err(error) if is_broken(&error) => self.query(text, parameters).await,
            answer => answer.map_err(|error| failed(&error)),
        }
    }

    async fn ask(
        &self,
        text: &str,
        parameters: &[Parameter<'_>],
    ) -> Result<Result<Vec<Row>, tokio_postgres::Error>, Error> {
        let client = self.client().await?;
        let query = client.query_typed(text, parameters);
        match tokio::time::timeout(self.patience, query).await {
            Ok(Ok(rows)) => Ok(Ok(rows)),
            Ok(Err(error)) => {
                if is_broken(&error) && self.tls.is_some() {
                    // What broke one connection broke the others that lie idle.
                    self.pool.retain(|_, _| false);
                }
                // A broken connection must not go back to the pool.
                drop(Object::take(client));
                Ok(Err(error))
            }
            Err(late) => {
                self.cancel(client);
                Err(late_by(late))
            }
        }
    }

    /// Ends what a connection waits for, and then the connection: a server sees that a client is gone
    /// only once it has something to tell it.
    fn cancel(&self, client: Object) {
        let client = Object::take(client);
        if let Some(tls) = self.tls.clone() {
            let patience = self.patience;
            tokio::spawn(async move {
                let cancel = client.cancel_token();
                // Should it fail, the statement ends by itself.
                let _ = tokio::time::timeout(patience, cancel.cancel_query(tls)).await;
                drop(client);
            });
        }
    }
}

impl Store for PostgresStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let rows = self.again(LOAD, &[(&key, Type::TEXT)]).await?;
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
        times: Times,
    ) -> Answer<'a, Saved> {
        Box::pin(async move {
            let record = record.expose();
            // What was removed is not due.
            let due = times.due.filter(|_| !record.is_empty()).map(seconds);
            let ends = times.until.filter(|_| !record.is_empty()).map(seconds);
            let rows = match i64::try_from(version) {
                // No record ever gets there.
                Err(_) | Ok(i64::MAX) => return Ok(Saved::Conflict),
                Ok(0) => {
                    if ends.is_some() {
                        self.again(END, &[]).await?;
                    }
                    let parameters: [Parameter<'_>; 4] = [
                        (&key, Type::TEXT),
                        (record, Type::TEXT),
                        (&due, Type::INT8),
                        (&ends, Type::INT8),
                    ];
                    self.query(CREATE, &parameters).await?
                }
                Ok(version) => {
                    let parameters: [Parameter<'_>; 5] = [
                        (&key, Type::TEXT),
                        (record, Type::TEXT),
                        (&due, Type::INT8),
                        (&ends, Type::INT8),
                        (&version, Type::INT8),
                    ];
                    self.query(REPLACE, &parameters).await?
                }
            };
            let Some(row) = rows.first() else {
                return Ok(Saved::Conflict);
            };
            let version: i64 = column(row, 0)?;
            Ok(Saved::At(version.cast_unsigned()))
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            let ttl = micros(ttl).cast_signed();
            if ttl == 0 {
                let parameters: [Parameter<'_>; 2] = [(&key, Type::TEXT), (&holder, Type::TEXT)];
                self.again(GIVE_BACK, &parameters).await?;
                return Ok(Lease::Won);
            }
            let parameters: [Parameter<'_>; 3] = [
                (&key, Type::TEXT),
                (&holder, Type::TEXT),
                (&ttl, Type::INT8),
            ];
            let rows = self.again(TAKE, &parameters).await?;
            let row = rows.first().ok_or_else(|| malformed("no answer"))?;
            if column(row, 0)? {
                return Ok(Lease::Won);
            }
            let rest: Option<i64> = column(row, 1)?;
            let rest = rest.and_then(|rest| u64::try_from(rest).ok());
            Ok(Lease::Held(Duration::from_micros(rest.unwrap_or(0).max(1))))
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let rows = self.query(REMOVE, &[(&key, Type::TEXT)]).await?;
            let age = micros(REMOVAL_SHOWS).cast_signed();
            self.query(FORGET, &[(&age, Type::INT8)]).await?;
            rows.first().map_or(Ok(false), |row| column(row, 0))
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let (after, limit) = (cursor.unwrap_or_default(), counted(PAGE));
            let parameters: [Parameter<'_>; 2] = [(&after, Type::TEXT), (&limit, Type::INT8)];
            let keys = names(&self.again(SCAN, &parameters).await?)?;
            let next = keys.last().filter(|_| keys.len() == PAGE).cloned();
            Ok(Page { keys, next })
        })
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let (before, limit) = (seconds(before), counted(limit));
            let parameters: [Parameter<'_>; 2] = [(&before, Type::INT8), (&limit, Type::INT8)];
            names(&self.again(DUE, &parameters).await?)
        })
    }
}

fn names(rows: &[Row]) -> Result<Vec<String>, Error> {
    rows.iter().map(|row| column(row, 0)).collect()
}

fn seconds(time: UnixTime) -> i64 {
    i64::try_from(time.as_secs()).unwrap_or(i64::MAX)
}

fn counted(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

fn column<'a, T: tokio_postgres::types::FromSql<'a>>(
    row: &'a Row,
    index: usize,
) -> Result<T, Error> {
    row.try_get(index).map_err(|_| malformed("not a record"))
}

fn setup(what: &str) -> Error {
    Error::from(Misuse::Setup).at_endpoint(ENDPOINT).about(what)
}

fn unsent(why: String) -> Error {
    Error::lost(Cause::unsent(why)).at_endpoint(ENDPOINT)
}

fn late_by(late: tokio::time::error::Elapsed) -> Error {
    Error::lost(Cause::unknown(late)).at_endpoint(ENDPOINT)
}

fn is_broken(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    // The server says goodbye as it goes down.
    let is_goodbye =
        code == Some(&SqlState::ADMIN_SHUTDOWN) || code == Some(&SqlState::CRASH_SHUTDOWN);
    is_standby(error) || error.is_closed() || is_goodbye || io_error(error).is_some()
}

/// Whether the server has become one that only reads, and so did nothing.
fn is_standby(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

fn io_error(error: &tokio_postgres::Error) -> Option<&std::io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// What the server says may hold a part of what it was asked, so only its code is told.
fn failed(error: &tokio_postgres::Error) -> Error {
    let Some(code) = error.code() else {
        return Error::lost(Cause::unknown(described(error))).at_endpoint(ENDPOINT);
    };
    if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::UNDEFINED_COLUMN {
        return setup("there is no table oauth_core_grant, or another one: migrate() makes it");
    }
    // Invalid authorization, invalid catalog name, insufficient privilege.
    if code.code().starts_with("28") || ["3D000", "42501"].contains(&code.code()) {
        return setup(&format!("the server refuses this user: {}", code.code()));
    }
    if is_standby(error) {
        return unsent(described(error));
    }
    Error::lost(Cause::unknown(described(error))).at_endpoint(ENDPOINT)
}

fn described(error: &tokio_postgres::Error) -> String {
    match (error.code(), io_error(error)) {
        (Some(code), _) => format!("{error}: {}", code.code()),
        (None, Some(io)) => format!("{error}: {io}"),
        (None, None) => error.to_string(),
    }
}

impl fmt::Debug for PostgresStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresStore").finish_non_exhaustive()
    }
}
