//! Integration tests over real sockets, against the twins of `oauth-testkit`.

mod addresses;
mod authorized;
#[cfg(feature = "blocking")]
mod blocking;
mod browser;
mod connection;
mod connection_bound;
mod connection_client_replaced;
mod connection_clients;
mod connection_moved;
mod connection_open;
mod connection_replaced;
mod connection_resource;
mod connection_siblings;
mod connection_store;
mod connection_ways;
mod custom_scheme;
mod device_fallback;
mod driver;
#[cfg(feature = "blocking")]
mod expired_token_replies;
mod flows;
mod identity;
mod listener;
mod localhost;
mod losses;
mod obliging;
mod possession;
mod public;
mod registered;
mod session;
mod support;
mod transport;
#[cfg(feature = "providers")]
mod workload;
