//! The store in Redis, for machines that share a server.

mod address;
mod connection;

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_core::moment::UnixTime;
use redis::{
    Cmd, ErrorKind, FromRedisValue, RedisError, Script, ScriptInvocation, ServerErrorKind,
};

use super::{
    Answer, ENDPOINT, Entry, Lease, PAGE_KEYS, Page, RecordTimes, SaveOutcome, Store,
    TOMBSTONE_LIFETIME, malformed, micros,
};
use address::Address;
use connection::{Connections, NumberedConnection, ServerConnection, is_broken, is_elsewhere};

/// The default timeout for an answer.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// The number of partitions of the records in a cluster: more than it has primaries.
const PARTITIONS: u32 = 64;

/// The scripts are atomic: Redis runs one at a time. To Lua a number is a double, which
/// is exact up to 2^53: a time in microseconds stays below that until the year 2255.
static SAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/save.lua")));
static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/remove.lua")));
static LEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/lease.lua")));

/// A store in Redis 5 or newer, or a compatible server.
///
/// Each key is a hash of `version`, `record`, `holder` and `until` (of the lease, in microseconds of
/// the server's clock). In addition, a sorted set has all names by when they are due, and another has the names of
/// expiring records by their expiry (`PEXPIREAT`). The methods are reads and scripts. Clones share one connection,
/// which is made when it is first needed, and belongs to the tokio runtime in which it was first used. It is replaced
/// when it breaks or gives no answer, and when the server reports that it is not the right one: `READONLY` after a
/// failover, `LOADING`, `MOVED`, `CLUSTERDOWN`.
///
/// | URL | server |
/// |---|---|
/// | `redis://user:password@host:6379/0` | one server |
/// | `redis+sentinel://user:password@host:26379,host/primary/0` | the primary that the sentinels name, at each connection again; their own password as `?sentinel_password=` (and `sentinel_username`) |
/// | `redis+cluster://user:password@host:6379,host` | a cluster; these nodes name the others |
///
/// With the feature `redis-tls` also `rediss://`, `rediss+sentinel://` and `rediss+cluster://`, with the certificates
/// that the system trusts. (If the process has installed no cryptography provider for rustls, aws-lc-rs is installed.)
///
/// In a cluster, records are divided into 64 partitions, and everything of one record is in one slot.
///
/// A record is as safe as the server: turn `appendonly` on, prevent eviction (`maxmemory-policy noeviction`), and note
/// that a replica that takes over may lack the last save, unless it is [waited for](Self::with_replicas). Lost data may
/// require a new login.
#[derive(Clone)]
pub struct RedisStore {
    connections: Arc<Connections>,
    prefix: Arc<str>,
    timeout: Duration,
    replicas: usize,
}

/// The errors after which a query may be sent again.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RetryPolicy {
    /// Only a response that the query had no effect.
    Undone,
    /// Also a broken connection, such as one that was idle for long.
    Always,
}

impl RedisStore {
    /// Uses Redis at this URL, see above.
    ///
    /// # Errors
    /// `store.setup` if it is not such a URL. Whether there is a server is only checked later.
    pub fn new(url: &str) -> Result<Self, Error> {
        #[cfg(feature = "redis-tls")]
        if url.starts_with("rediss") && rustls::crypto::CryptoProvider::get_default().is_none() {
            // An error means that another thread has installed a provider, which is sufficient.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        Ok(Self {
            connections: Arc::new(Connections::new(Address::parse(url)?)),
            prefix: "oauth-core:grant:".into(),
            timeout: DEFAULT_TIMEOUT,
            replicas: 0,
        })
    }

    /// Sets the prefix of every key, instead of `oauth-core:grant:`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Sets the timeout for a connection and for an answer, instead of 5 s each.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Counts a record as saved, or removed, once this many replicas have it too (`WAIT`), so that it is not lost when
    /// one of them takes over. If there are fewer after half the timeout, the error is `lost`: the record is saved at
    /// the primary, but may be lost.
    #[must_use]
    pub const fn with_replicas(mut self, count: usize) -> Self {
        self.replicas = count;
        self
    }

    /// The prefix of the names in a partition. A cluster hashes only what is in braces, so all of a partition is in one
    /// slot.
    fn key_prefix(&self, partition: u32) -> String {
        if self.connections.is_cluster() {
            format!("{}{{{partition}}}:", self.prefix)
        } else {
            self.prefix.to_string()
        }
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.key_prefix(partition_of(key)))
    }

    /// The index of a partition. No record can have its name, because no key contains U+0000.
    fn index(&self, partition: u32) -> String {
        format!("{}\0due", self.key_prefix(partition))
    }

    /// The expiry times of the records of a partition: the server deletes the records automatically, but not their
    /// names in the index.
    fn expiry_index(&self, partition: u32) -> String {
        format!("{}\0ends", self.key_prefix(partition))
    }

    fn partitions(&self) -> u32 {
        if self.connections.is_cluster() {
            PARTITIONS
        } else {
            1
        }
    }

    async fn connection(&self) -> Result<NumberedConnection, Error> {
        // Another caller may be connecting; this one waits for it, but not forever.
        let link = self.connections.link(self.timeout);
        match tokio::time::timeout(self.timeout * 2, link).await {
            Ok(Ok(numbered)) => Ok(numbered),
            Ok(Err(error)) if is_refused(&error) => Err(lost_error(&error)),
            Ok(Err(error)) => Err(unsent_error(description(&error))),
            Err(_) => Err(unsent_error("no connection in time".to_owned())),
        }
    }

    /// Sends a query. If the server is not the right one, reconnects and sends it again. Also returns the connection
    /// that was used.
    async fn send_query<T: FromRedisValue>(
        &self,
        resend: RetryPolicy,
        query: Query<'_>,
    ) -> Result<(T, NumberedConnection), Error> {
        let mut is_first = true;
        loop {
            let mut used = self.connection().await?;
            // The connection limits the wait for each answer; this timeout limits everything else.
            let result = tokio::time::timeout(self.timeout * 4, query.run(&mut used.link)).await;
            let Ok(result) = result else {
                self.connections.discard(&used).await;
                return Err(Error::lost(Cause::unknown("no answer in time")).at_endpoint(ENDPOINT));
            };
            let error = match result {
                Ok(result) => return Ok((result, used)),
                Err(error) => error,
            };
            if is_broken(&error) {
                self.connections.discard(&used).await;
            }
            let may_ask = is_elsewhere(&error)
                || (resend == RetryPolicy::Always && error.is_connection_dropped());
            if !(is_first && may_ask) {
                return Err(lost_error(&error));
            }
            is_first = false;
        }
    }

    /// Waits until enough replicas have the last write.
    async fn wait_for_replicas(
        &self,
        mut used: NumberedConnection,
        name: &str,
    ) -> Result<(), Error> {
        if self.replicas == 0 {
            return Ok(());
        }
        let limit = self.timeout / 2;
        let count = used.link.replicas(name, self.replicas, limit).await;
        // The record was written, so the error must not claim that nothing was done.
        if count.is_ok_and(|count| count >= self.replicas) {
            Ok(())
        } else {
            let reason = "it is saved, but not on as many replicas as it should be";
            Err(Error::lost(Cause::unknown(reason)).at_endpoint(ENDPOINT))
        }
    }
}

/// A query to the server.
enum Query<'a> {
    Command(Cmd),
    Script(ScriptInvocation<'a>),
}

impl Query<'_> {
    async fn run<T: FromRedisValue>(&self, link: &mut ServerConnection) -> Result<T, RedisError> {
        match self {
            Self::Command(command) => command.query_async(link).await,
            Self::Script(script) => script.invoke_async(link).await,
        }
    }
}

/// The partition of a key, the same in every version and language.
fn partition_of(key: &str) -> u32 {
    // FNV-1a.
    let hash = key.bytes().fold(0x811c_9dc5_u32, |hash, byte| {
        (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193)
    });
    hash % PARTITIONS
}

impl Store for RedisStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let mut command = redis::cmd("HMGET");
            command.arg(self.name(key)).arg("version").arg("record");
            let query = Query::Command(command);
            let (stored, _) = self.send_query(RetryPolicy::Always, query).await?;
            let (Some(version), record): (Option<String>, Option<String>) = stored else {
                return Ok(None);
            };
            let version = version.parse().ok().filter(|version| *version > 0);
            match (version, record.map(Secret::new)) {
                (Some(version), Some(record)) => Ok(Some(Entry { version, record })),
                _ => Err(malformed("not a record")),
            }
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
            let name = self.name(key);
            let seconds = |time: Option<UnixTime>, if_none: &str| {
                time.map_or_else(|| if_none.to_owned(), |time| time.as_secs().to_string())
            };
            let mut script = SAVE.key(&name);
            script.key(self.index(partition_of(key)));
            script.key(self.expiry_index(partition_of(key)));
            script.arg(version).arg(record.expose());
            script.arg(seconds(times.due, "+inf"));
            script.arg(key).arg(removal_shows());
            script.arg(seconds(times.until, ""));
            let (saved, used) = self
                .send_query(RetryPolicy::Undone, Query::Script(script))
                .await?;
            let Some(version): Option<String> = saved else {
                return Ok(SaveOutcome::Conflict);
            };
            self.wait_for_replicas(used, &name).await?;
            let version = version.parse().map_err(|_| malformed("no version"))?;
            Ok(SaveOutcome::At(version))
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            let mut script = LEASE.key(self.name(key));
            script.arg(holder).arg(micros(ttl));
            match self
                .send_query(RetryPolicy::Always, Query::Script(script))
                .await?
            {
                (0, _) => Ok(Lease::Won),
                (remaining, _) => Ok(Lease::Held(Duration::from_micros(remaining))),
            }
        })
    }

    fn remove<'a>(&'a self, key: &'a str) -> Answer<'a, bool> {
        Box::pin(async move {
            let name = self.name(key);
            let mut script = REMOVE.key(&name);
            script.key(self.index(partition_of(key)));
            script.key(self.expiry_index(partition_of(key)));
            script.arg(removal_shows()).arg(key);
            let (existed, used) = self
                .send_query(RetryPolicy::Undone, Query::Script(script))
                .await?;
            self.wait_for_replicas(used, &name).await?;
            Ok(existed)
        })
    }

    fn scan<'a>(&'a self, cursor: Option<&'a str>) -> Answer<'a, Page> {
        Box::pin(async move {
            let (partition, position) = cursor
                .unwrap_or("0/0")
                .split_once('/')
                .and_then(|(partition, position)| {
                    Some((
                        partition.parse::<u32>().ok()?,
                        position.parse::<u64>().ok()?,
                    ))
                })
                .ok_or_else(|| setup("not a cursor of this store"))?;
            let mut command = redis::cmd("ZSCAN");
            command.arg(self.index(partition)).arg(position);
            command.arg("COUNT").arg(PAGE_KEYS);
            let (members, _) = self
                .send_query(RetryPolicy::Always, Query::Command(command))
                .await?;
            let (position, members): (u64, Vec<(String, String)>) = members;
            let keys = members.into_iter().map(|(key, _)| key).collect();
            let (partition, position) = match position {
                0 => (partition + 1, 0),
                position => (partition, position),
            };
            let next = (partition < self.partitions()).then(|| format!("{partition}/{position}"));
            Ok(Page { keys, next })
        })
    }

    fn due<'a>(&'a self, before: UnixTime, limit: usize) -> Answer<'a, Vec<String>> {
        Box::pin(async move {
            let mut due_keys: Vec<(u64, String)> = Vec::new();
            for partition in 0..self.partitions() {
                let mut command = redis::cmd("ZRANGEBYSCORE");
                command.arg(self.index(partition)).arg("-inf");
                command
                    .arg(format!("({}", before.as_secs()))
                    .arg("WITHSCORES");
                command.arg("LIMIT").arg(0).arg(limit);
                let (members, _) = self
                    .send_query(RetryPolicy::Always, Query::Command(command))
                    .await?;
                let members: Vec<(String, u64)> = members;
                due_keys.extend(members.into_iter().map(|(key, due)| (due, key)));
            }
            due_keys.sort();
            Ok(due_keys
                .into_iter()
                .map(|(_, key)| key)
                .take(limit)
                .collect())
        })
    }
}

fn removal_shows() -> String {
    TOMBSTONE_LIFETIME.as_millis().to_string()
}

fn setup(detail: &str) -> Error {
    Error::from(Misuse::StoreSetup)
        .at_endpoint(ENDPOINT)
        .about(detail)
}

fn unsent_error(reason: String) -> Error {
    Error::lost(Cause::unsent(reason)).at_endpoint(ENDPOINT)
}

/// Whether the error is permanent, so that a retry does not help.
fn is_refused(error: &RedisError) -> bool {
    matches!(
        error.kind(),
        ErrorKind::AuthenticationFailed
            | ErrorKind::InvalidClientConfig
            | ErrorKind::Server(ServerErrorKind::NoPerm)
    )
}

/// A server may repeat a query in its answer, so only the kind of error is reported.
fn lost_error(error: &RedisError) -> Error {
    if is_refused(error) {
        let code = error.code();
        return setup(code.unwrap_or("the credentials or the URL are refused"));
    }
    if error.is_connection_refusal() || is_elsewhere(error) {
        unsent_error(description(error))
    } else {
        Error::lost(Cause::unknown(description(error))).at_endpoint(ENDPOINT)
    }
}

fn description(error: &RedisError) -> String {
    match error.kind() {
        ErrorKind::Io => error.to_string(),
        _ => {
            let code = error.code().unwrap_or("no code");
            format!("{}: {code}", error.category())
        }
    }
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
