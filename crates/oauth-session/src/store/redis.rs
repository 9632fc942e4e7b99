//! Records in Redis, for machines that share a server.

use std::fmt;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{
    Client, ErrorKind, FromRedisValue, RedisError, Script, ScriptInvocation, ServerErrorKind,
};
use tokio::sync::OnceCell;

use super::{Answer, ENDPOINT, Entry, Lease, REMOVAL_SHOWS, Saved, Store, malformed, micros};

/// For how long one waits for an answer, unless told otherwise.
const PATIENCE: Duration = Duration::from_secs(5);

/// The scripts see nobody come between: Redis runs one at a time. To Lua a number is a double, which
/// is exact up to 2^53: a time in microseconds stays below that until the year 2255.
static SAVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/save.lua")));
static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/remove.lua")));
static LEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("redis/lease.lua")));

/// Records in Redis 5 or newer, or what speaks like it, for all who use the server.
///
/// Each key is a hash of `version`, `record`, `holder` and `until` (of the lease, in microseconds of
/// the server's clock). The verbs are a read and scripts, each on one key, so a cluster's proxy
/// will do. Clones share one connection, which is made when it is first needed, made anew when it
/// breaks, and belongs to the tokio runtime it was first used in.
///
/// A record is as safe as the server: turn `appendonly` on, see that memory is no reason to evict
/// (`maxmemory-policy noeviction`), and know that a replica that takes over may lack the last save.
/// Whatever is lost there may cost a login.
#[derive(Clone)]
pub struct RedisStore {
    place: Arc<Place>,
    prefix: Arc<str>,
    patience: Duration,
}

struct Place {
    client: Client,
    connection: OnceCell<ConnectionManager>,
}

impl RedisStore {
    /// The server at this URL, `redis://user:password@host:6379/0`; with the feature `redis-tls`
    /// also `rediss://`, where the certificates that the system trusts are trusted. (Where the
    /// process has chosen no cryptography for rustls, aws-lc-rs is installed for it.)
    ///
    /// # Errors
    /// `misuse.setup` if it is no such URL. Whether there is a server is seen later.
    pub fn new(url: &str) -> Result<Self, Error> {
        #[cfg(feature = "redis-tls")]
        if url.starts_with("rediss:") && rustls::crypto::CryptoProvider::get_default().is_none() {
            // Whoever was faster has chosen.
            let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        }
        // What is wrong with it could show a part of it.
        let client = Client::open(url).map_err(|_| setup("not a URL of a Redis server"))?;
        Ok(Self {
            place: Arc::new(Place {
                client,
                connection: OnceCell::new(),
            }),
            prefix: "oauth-core:grant:".into(),
            patience: PATIENCE,
        })
    }

    /// Puts this before every key, instead of `oauth-core:grant:`.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<Arc<str>>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Waits so long for a connection and so long for an answer, instead of 5 s each.
    #[must_use]
    pub const fn with_timeout(mut self, timeout: Duration) -> Self {
        self.patience = timeout;
        self
    }

    /// Removes a record and its lease; whether there was either.
    ///
    /// Whoever still has the record learns that it was removed, within the next 30 days.
    ///
    /// # Errors
    /// As for the verbs of [`Store`].
    pub async fn remove(&self, key: &str) -> Result<bool, Error> {
        let mut script = REMOVE.key(self.name(key));
        script.arg(REMOVAL_SHOWS.as_millis().to_string());
        let connection = self.connection().await?;
        self.answer(invoke(script, connection)).await
    }

    fn name(&self, key: &str) -> String {
        format!("{}{key}", self.prefix)
    }

    async fn connection(&self) -> Result<ConnectionManager, Error> {
        let connect = async || {
            let config = ConnectionManagerConfig::new()
                .set_connection_timeout(Some(self.patience))
                .set_response_timeout(Some(self.patience))
                .set_number_of_retries(1)
                .set_max_delay(Duration::from_millis(200));
            self.place.client.get_connection_manager_lazy(config)
        };
        let connection = self.place.connection.get_or_try_init(connect).await;
        connection.cloned().map_err(|error| lost(&error))
    }

    /// The server's answer. Connecting and waiting have limits of their own; this one is for what
    /// none of them sees.
    async fn answer<T>(
        &self,
        query: impl Future<Output = Result<T, RedisError>>,
    ) -> Result<T, Error> {
        match tokio::time::timeout(self.patience * 4, query).await {
            Ok(answer) => answer.map_err(|error| lost(&error)),
            Err(late) => Err(Error::lost(Cause::unknown(late)).at_endpoint(ENDPOINT)),
        }
    }

    /// Asks a second time if the connection was found broken, as one is that nobody used for long:
    /// only for what may be done twice.
    async fn again<T, F>(&self, query: impl Fn(ConnectionManager) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, RedisError>>,
    {
        let connection = self.connection().await?;
        let query = async || match query(connection.clone()).await {
            Err(error) if error.is_connection_dropped() => query(connection.clone()).await,
            answer => answer,
        };
        self.answer(query()).await
    }
}

async fn invoke<T: FromRedisValue>(
    script: ScriptInvocation<'_>,
    mut connection: ConnectionManager,
) -> Result<T, RedisError> {
    script.invoke_async(&mut connection).await
}

impl Store for RedisStore {
    fn load<'a>(&'a self, key: &'a str) -> Answer<'a, Option<Entry>> {
        Box::pin(async move {
            let mut command = redis::cmd("HMGET");
            command.arg(self.name(key)).arg("version").arg("record");
            let read = async |mut connection| command.query_async(&mut connection).await;
            let stored: (Option<String>, Option<String>) = self.again(read).await?;
            let (Some(version), record) = stored else {
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
    ) -> Answer<'a, Saved> {
        Box::pin(async move {
            let mut script = SAVE.key(self.name(key));
            script.arg(version).arg(record.expose());
            let connection = self.connection().await?;
            let saved: Option<String> = self.answer(invoke(script, connection)).await?;
            let Some(version) = saved else {
                return Ok(Saved::Conflict);
            };
            let version = version.parse().map_err(|_| malformed("no version"))?;
            Ok(Saved::At(version))
        })
    }

    fn lease<'a>(&'a self, key: &'a str, holder: &'a str, ttl: Duration) -> Answer<'a, Lease> {
        Box::pin(async move {
            let take = |connection| async {
                let mut script = LEASE.key(self.name(key));
                script.arg(holder).arg(micros(ttl));
                invoke(script, connection).await
            };
            match self.again(take).await? {
                0 => Ok(Lease::Won),
                rest => Ok(Lease::Held(Duration::from_micros(rest))),
            }
        })
    }
}

fn setup(what: &str) -> Error {
    Error::from(Misuse::Setup).at_endpoint(ENDPOINT).about(what)
}

/// A server may repeat what it was asked in what it answers, so only the kind of that is told.
fn lost(error: &RedisError) -> Error {
    let kind = error.kind();
    match kind {
        ErrorKind::AuthenticationFailed
        | ErrorKind::InvalidClientConfig
        | ErrorKind::Server(ServerErrorKind::NoPerm) => {
            return setup(
                error
                    .code()
                    .unwrap_or("the credentials or the URL are refused"),
            );
        }
        _ => {}
    }
    let cause = match kind {
        ErrorKind::Io if error.is_connection_refusal() => Cause::unsent(error.to_string()),
        ErrorKind::Io => Cause::unknown(error.to_string()),
        _ => Cause::unknown(format!(
            "{}: {}",
            error.category(),
            error.code().unwrap_or("no code")
        )),
    };
    Error::lost(cause).at_endpoint(ENDPOINT)
}

impl fmt::Debug for RedisStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisStore")
            .field("prefix", &self.prefix)
            .finish_non_exhaustive()
    }
}
