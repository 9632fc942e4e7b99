//! The errors of PostgreSQL, and whether a statement that failed may have taken effect.

use oauth_core::error::{Cause, Error, Misuse};
use tokio_postgres::error::SqlState;

use super::ENDPOINT;

pub(super) fn setup(detail: &str) -> Error {
    Error::from(Misuse::StoreSetup)
        .at_endpoint(ENDPOINT)
        .about(detail)
}

pub(super) fn unsent_error(reason: String) -> Error {
    Error::lost(Cause::unsent(reason)).at_endpoint(ENDPOINT)
}

pub(super) fn timeout_error(elapsed: tokio::time::error::Elapsed) -> Error {
    Error::lost(Cause::unknown(elapsed)).at_endpoint(ENDPOINT)
}

pub(super) fn is_broken(error: &tokio_postgres::Error) -> bool {
    let code = error.code();
    // The server has announced its shutdown.
    let is_goodbye =
        code == Some(&SqlState::ADMIN_SHUTDOWN) || code == Some(&SqlState::CRASH_SHUTDOWN);
    is_standby(error) || error.is_closed() || is_goodbye || io_error(error).is_some()
}

/// Whether the server has become read-only, and so did nothing.
pub(super) fn is_standby(error: &tokio_postgres::Error) -> bool {
    error.code() == Some(&SqlState::READ_ONLY_SQL_TRANSACTION)
}

pub(super) fn io_error(error: &tokio_postgres::Error) -> Option<&std::io::Error> {
    std::error::Error::source(error)?.downcast_ref()
}

/// The server's message may contain a part of the statement, so only its code is reported.
pub(super) fn database_error(error: &tokio_postgres::Error) -> Error {
    let Some(code) = error.code() else {
        return Error::lost(Cause::unknown(description(error))).at_endpoint(ENDPOINT);
    };
    if *code == SqlState::UNDEFINED_TABLE || *code == SqlState::UNDEFINED_COLUMN {
        return setup("there is no table oauth_core_grant, or another one: migrate() makes it");
    }
    // Invalid authorization, invalid catalog name, insufficient privilege.
    if code.code().starts_with("28") || ["3D000", "42501"].contains(&code.code()) {
        return setup(&format!("the server refuses this user: {}", code.code()));
    }
    if is_standby(error) {
        return unsent_error(description(error));
    }
    Error::lost(Cause::unknown(description(error))).at_endpoint(ENDPOINT)
}

pub(super) fn description(error: &tokio_postgres::Error) -> String {
    match (error.code(), io_error(error)) {
        (Some(code), _) => format!("{error}: {}", code.code()),
        (None, Some(io)) => format!("{error}: {io}"),
        (None, None) => error.to_string(),
    }
}
