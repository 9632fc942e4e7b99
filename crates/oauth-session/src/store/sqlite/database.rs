//! The file of the database, and the connection to it.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use oauth_core::error::{Cause, Error};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, Transaction, TransactionBehavior};

use super::Failure;
use crate::store::folder::ownership::Trusted;
use crate::store::folder::{create_folder, io_error, ownership, setup_error};
use crate::store::{Access, ENDPOINT, malformed};

/// The time for which a call waits for others, which write for milliseconds.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The format of the table.
const SCHEMA_VERSION: i64 = 1;

const SCHEMA: &str = include_str!("schema.sql");

pub(super) struct Database {
    path: PathBuf,
    trusted: Trusted,
    reuse: ConnectionReuse,
    open: Mutex<Option<OpenDatabase>>,
}

/// Whether the connection is kept between two calls.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionReuse {
    /// The connection stays open.
    KeepOpen,
    /// Each call opens the file again.
    ReopenEachCall,
}

struct OpenDatabase {
    connection: Connection,
    file: Identity,
}

/// The identity of the open file, to detect that another file is at its path.
#[derive(PartialEq, Eq)]
struct Identity(Option<(u64, u64)>);

impl Identity {
    #[cfg(unix)]
    fn from_metadata(data: &Metadata) -> Self {
        use std::os::unix::fs::MetadataExt as _;
        Self(Some((data.dev(), data.ino())))
    }

    /// There, a file that is open cannot be replaced.
    #[cfg(not(unix))]
    fn from_metadata(_: &Metadata) -> Self {
        Self(None)
    }
}

impl Database {
    pub(super) fn open(
        path: PathBuf,
        access: Access,
        reuse: ConnectionReuse,
    ) -> Result<Self, Error> {
        let (path, trusted) = resolve_path(&path, access)?;
        let open =
            Some(open(&path, trusted, reuse)?).filter(|_| reuse == ConnectionReuse::KeepOpen);
        Ok(Self {
            path,
            trusted,
            reuse,
            open: Mutex::new(open),
        })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn read<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        self.in_transaction(TransactionBehavior::Deferred, |within| Ok(work(within)?))
    }

    pub(super) fn write<T>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        self.in_transaction(TransactionBehavior::Immediate, work)
    }

    fn in_transaction<T>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
    ) -> Result<T, Error> {
        // A call that panicked has rolled back its transaction.
        let mut connection_slot = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let file_metadata = fs::symlink_metadata(&self.path).ok();
        let mut open = match (connection_slot.take(), file_metadata) {
            (Some(open), Some(data)) if Identity::from_metadata(&data) == open.file => open,
            _ => open(&self.path, self.trusted, self.reuse)?,
        };
        let result = run(&mut open.connection, behavior, work);
        // After an error the connection is closed, because it may be broken.
        if result.is_ok() && self.reuse == ConnectionReuse::KeepOpen {
            *connection_slot = Some(open);
        }
        result
    }
}

fn run<T>(
    connection: &mut Connection,
    behavior: TransactionBehavior,
    work: impl FnOnce(&Transaction<'_>) -> Result<T, Failure>,
) -> Result<T, Error> {
    let transaction = connection.transaction_with_behavior(behavior);
    let transaction = transaction.map_err(|error| not_done(&error))?;
    let output = work(&transaction).map_err(|failure| match failure {
        Failure::Sqlite(error) => not_done(&error),
        Failure::Ours(error) => error,
    })?;
    transaction.commit().map_err(|error| {
        if is_busy(&error) {
            not_done(&error)
        } else {
            Error::lost(Cause::unknown(description(&error))).at_endpoint(ENDPOINT)
        }
    })?;
    Ok(output)
}

/// The absolute path, independent of the working directory, with links of folders resolved. The file itself must not be
/// a link, which SQLite would refuse.
fn resolve_path(path: &Path, access: Access) -> Result<(PathBuf, Trusted), Error> {
    let path = std::path::absolute(path).map_err(|error| io_error("the path", error))?;
    let (Some(folder), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(setup_error("the path", "not a file"));
    };
    let trusted = create_folder(folder, access)?;
    let folder = fs::canonicalize(folder).map_err(|error| io_error("the folder", error))?;
    Ok((folder.join(name), trusted))
}

/// Only one open at a time in this process: see the comment on locks in `open`.
static OPENING: Mutex<()> = Mutex::new(());

fn open(path: &Path, trusted: Trusted, reuse: ConnectionReuse) -> Result<OpenDatabase, Error> {
    let _opening = OPENING.lock().unwrap_or_else(PoisonError::into_inner);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let io_failed = |error: io::Error| io_error(&name, error);
    // As private as SQLite makes the other files. An existing file is not even opened, because a process loses
    // all its locks on a file when it closes it anywhere (POSIX `fcntl`), those of connections too.
    ownership::ensure(path, trusted).map_err(io_failed)?;
    let data = fs::symlink_metadata(path).map_err(io_failed)?;
    ownership::check_file(&data, trusted).map_err(|reason| setup_error(&name, reason))?;
    for suffix in ["-wal", "-shm"] {
        let mut path = path.as_os_str().to_owned();
        path.push(suffix);
        let name = format!("{name}{suffix}");
        // SQLite would create them with the umask and set the mode afterwards: another user of the group who opens them
        // in between could not write.
        if trusted != Trusted::Owner {
            ownership::ensure(path.as_ref(), trusted).map_err(|error| io_error(&name, error))?;
        }
        if let Ok(data) = fs::symlink_metadata(path) {
            ownership::check_file(&data, trusted).map_err(|reason| setup_error(&name, reason))?;
        }
    }
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX
        | OpenFlags::SQLITE_OPEN_NOFOLLOW;
    let mut connection = Connection::open_with_flags(path, flags).map_err(|e| not_done(&e))?;
    prepare(&mut connection)?;
    // A process that is often the last to close would checkpoint the log each time, which costs more than the call.
    let is_last_to_move = reuse == ConnectionReuse::KeepOpen;
    connection
        .set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, !is_last_to_move)
        .map_err(|error| not_done(&error))?;
    Ok(OpenDatabase {
        connection,
        file: Identity::from_metadata(&data),
    })
}

/// Creates the table, in the process that opens the file first.
fn prepare(connection: &mut Connection) -> Result<(), Error> {
    let started = Instant::now();
    loop {
        let result = create_schema(connection);
        match result {
            // SQLite does not wait for others that change the mode at the same time.
            Err(Failure::Sqlite(error)) if is_busy(&error) && started.elapsed() < LOCK_TIMEOUT => {
                thread::sleep(Duration::from_millis(5));
            }
            Err(Failure::Sqlite(error)) => return Err(not_done(&error)),
            Err(Failure::Ours(error)) => return Err(error),
            Ok(()) => return Ok(()),
        }
    }
}

fn create_schema(connection: &mut Connection) -> Result<(), Failure> {
    connection.busy_timeout(LOCK_TIMEOUT)?;
    let version = |connection: &Connection| {
        connection.query_row("pragma user_version", [], |row| row.get::<_, i64>(0))
    };
    match version(connection)? {
        0 | SCHEMA_VERSION => {}
        _ => return Err(malformed("the database has another format").into()),
    }
    // Committed data is on the disk, and replaced data is overwritten there.
    connection.execute_batch(
        "pragma journal_mode = wal; pragma synchronous = full; pragma secure_delete = on;",
    )?;
    if version(connection)? == SCHEMA_VERSION && has_ends(connection)? {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if version(&transaction)? == 0 {
        let tables = "select count(*) from sqlite_schema";
        let count: i64 = transaction.query_row(tables, [], |row| row.get(0))?;
        if count > 0 {
            return Err(malformed("the database is somebody else's").into());
        }
        transaction.execute_batch(SCHEMA)?;
    }
    if !has_ends(&transaction)? {
        transaction.execute_batch(
            "alter table oauth_core_grant add column ends integer; \
            create index oauth_core_grant_ends on oauth_core_grant (ends) where ends is not null;",
        )?;
    }
    transaction.commit()?;
    Ok(())
}

/// Tables of earlier versions lack it, and those versions may run at the same time: they name their columns.
fn has_ends(connection: &Connection) -> rusqlite::Result<bool> {
    let column = "select count(*) from pragma_table_info('oauth_core_grant') where name = 'ends'";
    connection.query_row(column, [], |row| Ok(row.get::<_, i64>(0)? > 0))
}

fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
    )
}

/// The error of something that was rolled back, or never begun. SQLite's text is not included, because it may contain a
/// part of a statement's values.
fn not_done(error: &rusqlite::Error) -> Error {
    use ErrorCode::{CannotOpen, DatabaseCorrupt, NotADatabase, PermissionDenied, ReadOnly};
    match error.sqlite_error_code() {
        Some(NotADatabase | DatabaseCorrupt) => malformed("the file is no SQLite database"),
        Some(CannotOpen | PermissionDenied | ReadOnly) => {
            setup_error("the database", &description(error))
        }
        Some(_) => Error::lost(Cause::unsent(description(error))).at_endpoint(ENDPOINT),
        None => malformed("not a record"),
    }
}

fn description(error: &rusqlite::Error) -> String {
    match error.sqlite_error() {
        Some(code) => format!("SQLite error {}", code.extended_code),
        None => "SQLite".to_owned(),
    }
}
