//! The connection to the server, and when it is replaced.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, RoutingInfo, SingleNodeRoutingInfo, SlotAddr};
use redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, RedisError, RedisFuture,
    ServerErrorKind, Value,
};
use tokio::sync::Mutex;

use super::address::{Address, Sentinels};

/// The connection that all handles share.
pub(super) struct Connections {
    address: Address,
    open: Mutex<Option<NumberedConnection>>,
    numbers: AtomicU64,
}

/// A connection with a unique number.
#[derive(Clone)]
pub(super) struct NumberedConnection {
    number: u64,
    pub(super) link: ServerConnection,
}

/// A connection to one server, or to a cluster.
#[derive(Clone)]
pub(super) enum ServerConnection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connections {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            open: Mutex::default(),
            numbers: AtomicU64::new(0),
        }
    }

    pub(super) const fn is_cluster(&self) -> bool {
        matches!(self.address, Address::Cluster(_))
    }

    /// The current connection, or a new one.
    pub(super) async fn link(&self, timeout: Duration) -> Result<NumberedConnection, RedisError> {
        let mut current = self.open.lock().await;
        if let Some(numbered) = &*current {
            return Ok(numbered.clone());
        }
        let link = connect(&self.address, timeout).await?;
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        Ok(current.insert(NumberedConnection { number, link }).clone())
    }

    /// Stops using this connection.
    pub(super) async fn discard(&self, used: &NumberedConnection) {
        let mut current = self.open.lock().await;
        if current
            .as_ref()
            .is_some_and(|current| current.number == used.number)
        {
            *current = None;
        }
    }
}

async fn connect(address: &Address, timeout: Duration) -> Result<ServerConnection, RedisError> {
    match address {
        Address::Single(client) => Ok(ServerConnection::One(open(client, timeout).await?)),
        Address::Sentinels(sentinels) => {
            Ok(ServerConnection::One(primary(sentinels, timeout).await?))
        }
        Address::Cluster(nodes) => {
            let builder = ClusterClient::builder(nodes.clone())
                .connection_timeout(timeout)
                .response_timeout(timeout)
                // A failover takes longer than a caller should wait: the keeper retries.
                .retries(2);
            let cluster = builder.build()?.get_async_connection().await?;
            Ok(ServerConnection::Cluster(cluster))
        }
    }
}

async fn open(client: &Client, timeout: Duration) -> Result<MultiplexedConnection, RedisError> {
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(timeout))
        .set_response_timeout(Some(timeout));
    client
        .get_multiplexed_async_connection_with_config(&config)
        .await
}

/// The primary named by the first sentinel that knows one, if that server confirms it ("Guidelines
/// for Redis clients with support for Redis Sentinel", steps 1 to 3).
async fn primary(
    sentinels: &Sentinels,
    timeout: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    // Unreachable ones must leave time for the others.
    let timeout = timeout
        / u32::try_from(sentinels.nodes.len())
            .unwrap_or(u32::MAX)
            .max(1);
    let mut last = None;
    for sentinel in &sentinels.nodes {
        match query(sentinel, sentinels, timeout).await {
            Ok(connection) => return Ok(connection),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| no_primary("there are no sentinels")))
}

async fn query(
    sentinel: &Client,
    sentinels: &Sentinels,
    timeout: Duration,
) -> Result<MultiplexedConnection, RedisError> {
    let mut sentinel = open(sentinel, timeout).await?;
    let mut name = redis::cmd("SENTINEL");
    name.arg("GET-MASTER-ADDR-BY-NAME").arg(&sentinels.primary);
    let address: Option<(String, u16)> = name.query_async(&mut sentinel).await?;
    let (host, port) = address.ok_or_else(|| no_primary("no sentinel knows this primary"))?;
    let client = Client::open(sentinels.primary_at(host, port))?;
    let mut connection = open(&client, timeout).await?;
    let role: Vec<Value> = redis::cmd("ROLE").query_async(&mut connection).await?;
    let is_primary = match role.first() {
        Some(Value::BulkString(role)) => role == b"master",
        Some(Value::SimpleString(role)) => role == "master",
        _ => false,
    };
    if is_primary {
        Ok(connection)
    } else {
        Err(no_primary("the sentinels' primary is none yet"))
    }
}

fn no_primary(reason: &'static str) -> RedisError {
    RedisError::from((ErrorKind::MasterNameNotFoundBySentinel, reason))
}

impl ServerConnection {
    /// How many replicas have what this connection has written to the partition of a key, as soon as there are this
    /// many, or this time has passed.
    pub(super) async fn replicas(
        &mut self,
        key: &str,
        count: usize,
        limit: Duration,
    ) -> Result<usize, RedisError> {
        let mut wait = redis::cmd("WAIT");
        wait.arg(count)
            .arg(u64::try_from(limit.as_millis()).unwrap_or(u64::MAX));
        match self {
            Self::One(connection) => wait.query_async(connection).await,
            Self::Cluster(cluster) => {
                let route = Route::with_key(key, SlotAddr::Master);
                let routing = RoutingInfo::SingleNode(SingleNodeRoutingInfo::SpecificNode(route));
                let replica_count = cluster.route_command(wait, routing).await?;
                Ok(redis::from_redis_value(replica_count)?)
            }
        }
    }
}

impl ConnectionLike for ServerConnection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(cmd),
            Self::Cluster(cluster) => cluster.req_packed_command(cmd),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            Self::Cluster(cluster) => cluster.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
            Self::Cluster(cluster) => cluster.get_db(),
        }
    }
}

/// Whether the server reported that it is not the right one, and so did nothing: it has become a replica, has not
/// loaded its data yet, or the key is elsewhere.
pub(super) fn is_elsewhere(error: &RedisError) -> bool {
    use ServerErrorKind::{Ask, BusyLoading, ClusterDown, MasterDown, Moved, ReadOnly, TryAgain};
    match error.kind() {
        ErrorKind::Server(
            Ask | BusyLoading | ClusterDown | MasterDown | Moved | ReadOnly | TryAgain,
        ) => true,
        // Before Redis 7, a script's error was wrapped in another.
        ErrorKind::Server(ServerErrorKind::ResponseError) => error
            .detail()
            .is_some_and(|detail| detail.contains("-READONLY ")),
        _ => false,
    }
}

/// Whether the connection can no longer be used: also if it does not respond, for example because the other machine
/// has failed.
pub(super) fn is_broken(error: &RedisError) -> bool {
    is_elsewhere(error) || error.is_io_error() || error.is_unrecoverable_error()
}
