//! Groups of Redis servers: replicated with sentinels, or as a cluster.

use std::thread;
use std::time::{Duration, Instant};

use crate::servers::{PASSWORD, Server, free_port};

/// The maximum time for servers to find each other.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// Waits until the condition holds.
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < MAX_WAIT, "not within a minute: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A primary and its replicas.
pub(crate) struct Replicated {
    pub(crate) primary: Server,
    pub(crate) replicas: Vec<Server>,
}

impl Replicated {
    pub(crate) fn start(count: usize) -> Self {
        let primary = Server::redis_with(&["--masterauth", PASSWORD]);
        let primary_address = format!("127.0.0.1 {}", primary.port);
        let replica =
            |_| Server::redis_with(&["--masterauth", PASSWORD, "--replicaof", &primary_address]);
        let replicas: Vec<Server> = (0..count).map(replica).collect();
        until("the replicas have what the primary has", || {
            replicas.iter().all(|replica| {
                let server_reply = replica.redis_says(&["info", "replication"]);
                server_reply.contains("master_link_status:up")
            })
        });
        Self { primary, replicas }
    }

    pub(crate) fn replica(&self) -> &Server {
        &self.replicas[0]
    }
}

/// Replicated servers with three sentinels, which replace the primary a second after it is gone.
pub(crate) struct Watched {
    pub(crate) servers: Replicated,
    pub(crate) sentinels: Vec<Server>,
}

impl Watched {
    pub(crate) fn start(replicas: usize) -> Self {
        let servers = Replicated::start(replicas);
        let watched = servers.primary.port;
        let settings = move |port| {
            format!(
                "port {port}\nbind 127.0.0.1\nsentinel monitor main 127.0.0.1 {watched} 2\n\
                 sentinel auth-pass main {PASSWORD}\n\
                 sentinel down-after-milliseconds main 1000\n\
                 sentinel failover-timeout main 5000\n"
            )
        };
        let sentinels: Vec<Server> = (0..3)
            .map(|_| Server::redis_of(settings, "--sentinel"))
            .collect();
        let watched = Self { servers, sentinels };
        let count = replicas.to_string();
        until("the sentinels know each other", || {
            watched.sentinels.iter().all(|sentinel| {
                let server_reply = sentinel.redis_says(&["sentinel", "master", "main"]);
                let lines: Vec<&str> = server_reply.lines().collect();
                let is = |name, value: &str| lines.windows(2).any(|pair| pair == [name, value]);
                is("num-other-sentinels", "2") && is("num-slaves", &count)
            })
        });
        watched
    }

    pub(crate) fn url(&self) -> String {
        let hosts = self.sentinels.iter();
        let hosts: Vec<String> = hosts
            .map(|sentinel| format!("127.0.0.1:{}", sentinel.port))
            .collect();
        format!("redis+sentinel://:{PASSWORD}@{}/main/0", hosts.join(","))
    }

    /// Kills the primary.
    pub(crate) fn lose_primary(&mut self) {
        self.servers.primary.kill();
    }

    /// Makes the replica the primary, and the primary a replica.
    pub(crate) fn switch(&self) {
        let server_reply = self.sentinels[0].redis_says(&["sentinel", "failover", "main"]);
        assert!(server_reply.starts_with("OK"), "{server_reply}");
    }

    /// Kills one sentinel; the others are still a majority.
    pub(crate) fn lose_sentinel(&mut self) {
        self.sentinels[0].kill();
    }
}

/// Three primaries that share the slots.
pub(crate) struct Cluster(Vec<Server>);

impl Cluster {
    pub(crate) fn start() -> Self {
        let nodes: Vec<(Server, String)> = (0..3)
            .map(|_| {
                let bus = free_port().to_string();
                let node = Server::redis_with(&[
                    "--cluster-enabled",
                    "yes",
                    "--cluster-port",
                    &bus,
                    "--cluster-node-timeout",
                    "2000",
                ]);
                (node, bus)
            })
            .collect();
        let slots = [("0", "5000"), ("5001", "11000"), ("11001", "16383")];
        for ((node, _), (first, last)) in nodes.iter().zip(slots) {
            let server_reply = node.redis_says(&["cluster", "addslotsrange", first, last]);
            assert!(server_reply.starts_with("OK"), "{server_reply}");
        }
        for (node, bus) in &nodes[1..] {
            let port = node.port.to_string();
            let server_reply = nodes[0]
                .0
                .redis_says(&["cluster", "meet", "127.0.0.1", &port, bus]);
            assert!(server_reply.starts_with("OK"), "{server_reply}");
        }
        let nodes: Vec<Server> = nodes.into_iter().map(|(node, _)| node).collect();
        until("the nodes know each other", || {
            nodes.iter().all(|node| {
                let server_reply = node.redis_says(&["cluster", "info"]);
                server_reply.contains("cluster_state:ok")
                    && server_reply.contains("cluster_known_nodes:3")
            })
        });
        Self(nodes)
    }

    /// The URLs of two nodes, which know the third.
    pub(crate) fn url(&self) -> String {
        let (one, two) = (self.0[0].port, self.0[1].port);
        format!("redis+cluster://:{PASSWORD}@127.0.0.1:{one},127.0.0.1:{two}")
    }

    /// The number of keys on each node.
    pub(crate) fn sizes(&self) -> Vec<u64> {
        let sizes = self.0.iter().map(|node| node.redis_says(&["dbsize"]));
        sizes
            .map(|size| size.trim().parse().expect("a number"))
            .collect()
    }
}
