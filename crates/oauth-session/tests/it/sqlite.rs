//! The SQLite store: databases changed by other programs, and many processes with one database.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::Error;
use oauth_core::moment::UnixTime;
use oauth_session::Store;
use oauth_session::store::{RecordTimes, SaveOutcome, SqliteStore, contract};

use crate::workers::{increment_from_workers, version, worker};

const KEY: &str = "a-key";
const MINUTE: Duration = Duration::from_secs(60);

struct TempStore {
    folder: tempfile::TempDir,
}

impl TempStore {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("deep/grants.db")
    }

    fn store(&self) -> SqliteStore {
        SqliteStore::new(self.path()).expect("a store")
    }

    fn open_error(&self) -> Error {
        SqliteStore::new(self.path()).expect_err("refused")
    }

    fn file_with_suffix(&self, ending: &str) -> PathBuf {
        self.folder.path().join(format!("deep/grants.db{ending}"))
    }

    /// A connection of another program.
    fn foreign_connection(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path()).expect("a connection")
    }
}

async fn save(store: &SqliteStore, text: &str, version: u64) -> Result<SaveOutcome, Error> {
    store
        .save(KEY, &Secret::from(text), version, RecordTimes::NONE)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sqlite_store_meets_the_contract() {
    let temp_folder = TempStore::new();
    let first = temp_folder.store();
    let stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(first.clone()),
        Arc::new(first),
        Arc::new(temp_folder.store()),
        Arc::new(temp_folder.store()),
    ];
    contract::assert(&stores).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_contract_holds_across_forks() {
    let temp_folder = TempStore::new();
    let store = SqliteStore::across_forks(temp_folder.path()).expect("a store");
    contract::assert(&[
        Arc::new(store.clone()),
        Arc::new(store),
        Arc::new(temp_folder.store()),
    ])
    .await;
}

#[tokio::test]
async fn concurrent_processes_lose_no_update() {
    let temp_folder = TempStore::new();
    let name = format!("sqlite:{}", temp_folder.path().display());
    let counted = increment_from_workers(|arguments| worker(&name, arguments), KEY);
    let entry = temp_folder.store().load(KEY).await.expect("loaded");
    counted.check(entry.expect("a record").record.expose());
}

/// Of many concurrent first users, one creates the table.
#[tokio::test(flavor = "multi_thread")]
async fn concurrent_first_users_create_the_table_once() {
    let temp_folder = TempStore::new();
    let name = format!("sqlite:{}", temp_folder.path().display());
    let start = |_| {
        let mut command = worker(&name, &["count", KEY, "1"]);
        command.stdout(std::process::Stdio::piped());
        command.spawn().expect("a worker")
    };
    let workers: Vec<_> = (0..8).map(start).collect();
    for worker in workers {
        let output = worker.wait_with_output().expect("its end");
        assert!(output.status.success(), "{output:?}");
    }
    let entry = temp_folder.store().load(KEY).await.expect("loaded");
    assert_eq!(entry.expect("a record").record.expose(), "8");
}

#[test]
fn the_sqlite_store_works_without_a_runtime() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let mut saving = std::pin::pin!(save(&store, "text", 0));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match saving.as_mut().poll(&mut context) {
        std::task::Poll::Ready(saved) => assert!(version(saved.expect("saved")) > 0),
        std::task::Poll::Pending => panic!("it would never be woken"),
    }
}

#[tokio::test]
async fn a_save_waits_for_another_writer() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let other = temp_folder.foreign_connection();
    other.execute_batch("begin immediate").expect("begun");
    let saving = tokio::spawn({
        let store = store.clone();
        async move { save(&store, "text", 0).await }
    });
    // Others may read meanwhile.
    assert!(
        temp_folder
            .store()
            .load(KEY)
            .await
            .expect("loaded")
            .is_none()
    );
    assert!(!saving.is_finished());
    other.execute_batch("rollback").expect("ended");
    let saved = saving.await.expect("no panic").expect("saved");
    assert!(version(saved) > 0);
}

#[tokio::test]
async fn removals_are_remembered_for_thirty_days() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let first = version(save(&store, "text", 0).await.expect("saved"));
    assert!(store.remove(KEY).await.expect("removed"));
    let other = temp_folder.foreign_connection();
    for (days, is_told) in [(29, true), (2, false)] {
        let age = format!("update oauth_core_grant set version = version - {days} * 86400000000");
        other.execute_batch(&age).expect("aged");
        store.remove("another").await.expect("removed");
        let entry = store.load(KEY).await.expect("loaded");
        assert_eq!(entry.is_some(), is_told, "{days} more days");
    }
    let again = version(save(&store, "text", 0).await.expect("saved"));
    assert!(again > first);
}

/// Replaced records are not left on the disk after a checkpoint of the log.
#[tokio::test]
async fn a_replaced_record_leaves_no_trace_in_the_file() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let first = version(
        save(&store, &"S3CR3T".repeat(5000), 0)
            .await
            .expect("saved"),
    );
    save(&store, "short", first).await.expect("saved");
    let checkpoint = "pragma wal_checkpoint(truncate)";
    let other = temp_folder.foreign_connection();
    let busy: i64 = other
        .query_row(checkpoint, [], |row| row.get(0))
        .expect("moved");
    assert_eq!(busy, 0);
    for ending in ["", "-wal"] {
        let bytes = fs::read(temp_folder.file_with_suffix(ending)).expect("a file");
        assert!(!bytes.windows(6).any(|part| part == b"S3CR3T"), "{ending}");
    }
}

/// Processes with an open database notice that its file was deleted or replaced.
#[tokio::test]
async fn a_replaced_database_file_is_detected() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    save(&store, "text", 0).await.expect("saved");
    fs::remove_file(temp_folder.path()).expect("deleted");
    assert!(store.load(KEY).await.expect("loaded").is_none());
    let first = version(save(&store, "new", 0).await.expect("saved"));
    let entry = temp_folder.store().load(KEY).await.expect("loaded");
    assert_eq!(entry.expect("a record").version, first);
}

#[tokio::test]
async fn foreign_newer_and_invalid_databases_are_reported() {
    let temp_folder = TempStore::new();
    drop(temp_folder.store());
    let write = |bytes: &[u8]| {
        for ending in ["-wal", "-shm"] {
            // They may be gone with the last connection.
            let _ = fs::remove_file(temp_folder.file_with_suffix(ending));
        }
        fs::write(temp_folder.path(), bytes).expect("written");
    };
    write(&b"S3CR3T, and no database ".repeat(100));
    let no_database = temp_folder.open_error();
    write(b"");
    let others = "create table theirs (a text)";
    temp_folder
        .foreign_connection()
        .execute_batch(others)
        .expect("made");
    let other = temp_folder.open_error();
    write(b"");
    let later = "pragma user_version = 2";
    temp_folder
        .foreign_connection()
        .execute_batch(later)
        .expect("made");
    let later = temp_folder.open_error();
    for error in [no_database, other, later] {
        let code = (error.code(), error.endpoint());
        assert_eq!(code, ("stored.malformed", Some("store")));
        assert!(!format!("{error:?}").contains("S3CR3T"));
    }
    write(b"");
    let store = temp_folder.store();
    save(&store, "text", 0).await.expect("saved");
    let spoil = "update oauth_core_grant set record = null";
    temp_folder
        .foreign_connection()
        .execute_batch(spoil)
        .expect("spoilt");
    let error = store.load(KEY).await.expect_err("no record");
    assert_eq!(error.code(), "stored.malformed");
}

#[tokio::test]
async fn errors_show_no_secret() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let spoil = "drop table oauth_core_grant; \
        create table oauth_core_grant (key, version, record check (record = 'good'), due)";
    temp_folder
        .foreign_connection()
        .execute_batch(spoil)
        .expect("spoilt");
    let error = save(&store, "S3CR3T", 0).await.expect_err("refused");
    let shown = format!("{error} {error:?} {:?} {store:?}", error.cause());
    assert!(!shown.contains("S3CR3T"), "{shown}");
}

/// An index finds what is due and what comes next, no matter how many records there are.
#[tokio::test]
async fn due_grants_are_found_by_an_index() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let due = Some(UnixTime::from_secs(7));
    let record = Secret::from("text");
    store
        .save(KEY, &record, 0, RecordTimes { due, until: None })
        .await
        .expect("saved");
    let other = temp_folder.foreign_connection();
    for query in [
        "select key from oauth_core_grant where due < 9 order by due, key limit 5",
        "select key from oauth_core_grant where key > 'a' and version > 0 and record <> '' \
         order by key limit 5",
    ] {
        let plan = format!("explain query plan {query}");
        let step: String = other
            .query_row(&plan, [], |row| row.get(3))
            .expect("a plan");
        assert!(
            step.starts_with("SEARCH") && !step.contains("TEMP"),
            "{step}"
        );
    }
}

#[cfg(unix)]
mod unix {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).expect("a file").permissions().mode() & 0o777
    }

    fn set_mode(path: &Path, mode: u32) {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
    }

    #[tokio::test]
    async fn database_files_are_readable_only_by_the_owner() {
        let temp_folder = TempStore::new();
        let store = temp_folder.store();
        store.lease(KEY, "one", MINUTE).await.expect("leased");
        for ending in ["", "-wal", "-shm"] {
            assert_eq!(
                mode(&temp_folder.file_with_suffix(ending)),
                0o600,
                "{ending}"
            );
        }
        let folder = temp_folder.path();
        assert_eq!(mode(folder.parent().expect("a folder")), 0o700);
    }

    #[tokio::test]
    async fn a_file_accessible_to_other_users_is_refused() {
        let temp_folder = TempStore::new();
        let store = temp_folder.store();
        save(&store, "text", 0).await.expect("saved");
        let folder = temp_folder.path().parent().expect("a folder").to_owned();
        for (path, bad, valid) in [
            (temp_folder.path(), 0o640, 0o600),
            (temp_folder.file_with_suffix("-wal"), 0o644, 0o600),
            (temp_folder.file_with_suffix("-shm"), 0o660, 0o600),
            (folder, 0o777, 0o700),
        ] {
            set_mode(&path, bad);
            let error = temp_folder.open_error();
            assert_eq!(error.code(), "store.setup", "{}", path.display());
            set_mode(&path, valid);
            assert!(
                temp_folder
                    .store()
                    .load(KEY)
                    .await
                    .expect("loaded")
                    .is_some()
            );
        }
    }

    #[tokio::test]
    async fn a_symlink_to_the_folder_is_followed_and_one_to_the_file_refused() {
        let temp_folder = TempStore::new();
        save(&temp_folder.store(), "text", 0).await.expect("saved");
        let linked = temp_folder.folder.path().join("linked");
        symlink(temp_folder.path().parent().expect("a folder"), &linked).expect("linked");
        let store = SqliteStore::new(linked.join("grants.db")).expect("a store");
        assert!(store.load(KEY).await.expect("loaded").is_some());
        let link = temp_folder.folder.path().join("deep/link.db");
        symlink(temp_folder.path(), &link).expect("linked");
        let error = SqliteStore::new(link).expect_err("a link");
        assert_eq!(error.code(), "store.setup");
    }
}
