//! Integration tests: stores, with real servers where needed, and sessions over them.

mod bus;
mod contract;
mod dpop;
mod drive;
mod expiring_records;
mod failover;
mod file;
#[cfg(unix)]
mod group;
mod keyring;
mod kms;
mod logout;
mod logout_of_source;
mod nodes;
mod pooler;
mod postgres;
mod readonly;
mod redis;
mod reseal;
mod seal;
mod servers;
mod session;
mod sessions;
mod sign_in_hold;
mod sqlite;
mod step_ups;
mod step_ups_crossing;
mod store_batches;
mod tls;
mod upkeep;
mod workers;
mod wrong;
