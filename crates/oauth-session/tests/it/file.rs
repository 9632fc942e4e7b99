//! The file store: files changed by other programs, and the remains of a killed process.

#[cfg(unix)]
mod private;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use oauth_core::Secret;
use oauth_core::error::Error;
use oauth_session::Store;
use oauth_session::store::{FAULT_POINTS, FileStore, Lease, RecordTimes, SaveOutcome, contract};

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
        self.folder.path().join("deep/grants")
    }

    fn store(&self) -> FileStore {
        FileStore::new(self.path()).expect("a store")
    }

    fn record(&self) -> PathBuf {
        self.path().join(format!("grant-{KEY}.json"))
    }

    /// The store as an argument of a worker.
    fn store_argument(&self) -> String {
        format!("file:{}", self.path().display())
    }

    fn file_names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path()).expect("the folder");
        let names = entries.map(|entry| entry.expect("an entry").file_name());
        let mut names: Vec<_> = names
            .map(|name| name.into_string().expect("a name"))
            .filter(|name| !name.starts_with("lock-"))
            .collect();
        names.sort();
        names
    }
}

async fn load(store: &FileStore) -> Result<Option<(u64, String)>, Error> {
    let entry = store.load(KEY).await?;
    Ok(entry.map(|entry| (entry.version, entry.record.expose().clone())))
}

async fn save(store: &FileStore, text: &str, version: u64) -> Result<SaveOutcome, Error> {
    store
        .save(KEY, &Secret::from(text), version, RecordTimes::NONE)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_store_meets_the_contract() {
    let temp_folder = TempStore::new();
    let stores: Vec<Arc<dyn Store>> = vec![
        Arc::new(temp_folder.store()),
        Arc::new(temp_folder.store()),
        Arc::new(temp_folder.store().clone()),
    ];
    contract::assert(&stores).await;
}

#[test]
fn the_file_store_works_without_a_runtime() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let mut saving = std::pin::pin!(save(&store, "text", 0));
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match saving.as_mut().poll(&mut context) {
        std::task::Poll::Ready(saved) => assert!(version(saved.expect("saved")) > 0),
        std::task::Poll::Pending => panic!("it would never be woken"),
    }
}

/// Other programs may read the file: its format must stay stable.
#[tokio::test]
async fn the_file_format_is_stable() {
    let temp_folder = TempStore::new();
    let saved = save(&temp_folder.store(), r#"{"a":"b"}"#, 0).await;
    let version = version(saved.expect("saved")).to_string();
    let text = fs::read_to_string(temp_folder.record()).expect("a file");
    let want = r#"{"format":"oauth-core grant 1","version":VERSION,"record":"{\"a\":\"b\"}"}"#;
    assert_eq!(text, want.replace("VERSION", &version));
    fs::write(temp_folder.record(), want.replace("VERSION", "41")).expect("written");
    let entry = load(&temp_folder.store()).await.expect("loaded");
    assert_eq!(entry, Some((41, r#"{"a":"b"}"#.to_owned())));
}

#[tokio::test]
async fn records_are_listed_and_removed() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    assert!(store.list().await.expect("a list").is_empty());
    for key in ["b/../c", "A", KEY] {
        store
            .save(key, &Secret::from("text"), 0, RecordTimes::NONE)
            .await
            .expect("saved");
    }
    fs::write(temp_folder.path().join("another.json"), "{}").expect("written");
    store.lease("leased", "one", MINUTE).await.expect("leased");
    store.lease(KEY, "one", MINUTE).await.expect("leased");
    assert_eq!(store.list().await.expect("a list"), ["A", KEY, "b/../c"]);
    assert!(store.remove(KEY).await.expect("removed"));
    assert!(!store.remove(KEY).await.expect("removed"));
    assert_eq!(store.list().await.expect("a list"), ["A", "b/../c"]);
    let entry = store
        .load(KEY)
        .await
        .expect("loaded")
        .expect("a word of it");
    assert!(entry.is_removed());
    let lease = store.lease(KEY, "two", MINUTE).await;
    assert_eq!(lease.expect("leased"), Lease::Won);
}

#[tokio::test]
async fn removals_are_remembered_for_thirty_days() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let first = version(save(&store, "first", 0).await.expect("saved"));
    store.remove(KEY).await.expect("removed");
    assert_eq!(temp_folder.file_names(), [format!("grant-{KEY}.removed")]);
    let removed = store
        .load(KEY)
        .await
        .expect("loaded")
        .expect("a word of it");
    assert!(removed.is_removed() && removed.version > first);
    assert_eq!(
        save(&store, "new", 0).await.expect("asked"),
        SaveOutcome::Conflict
    );
    let again = save(&store, "again", removed.version).await;
    assert!(version(again.expect("saved")) > removed.version);
    assert_eq!(temp_folder.file_names(), [format!("grant-{KEY}.json")]);

    // The time is in its version.
    store.remove(KEY).await.expect("removed");
    let path = temp_folder.path().join(format!("grant-{KEY}.removed"));
    let text = fs::read_to_string(&path).expect("a file");
    let removed = store
        .load(KEY)
        .await
        .expect("loaded")
        .expect("a word of it");
    let day = 24 * 3600 * 1_000_000;
    for (days, is_told) in [(29, true), (31, false)] {
        let then = (removed.version - days * day).to_string();
        fs::write(&path, text.replace(&removed.version.to_string(), &then)).expect("written");
        let entry = temp_folder.store().load(KEY).await.expect("loaded");
        assert_eq!(entry.is_some(), is_told, "after {days} days");
    }
    let anew = save(&store, "anew", 0).await.expect("saved");
    assert!(version(anew) > removed.version);
}

#[tokio::test]
async fn a_file_that_is_not_a_record_is_neither_read_nor_overwritten() {
    let whole = r#"{"format":"oauth-core grant 1","version":3,"record":"SECRET"}"#;
    let mut broken: Vec<String> = (0..whole.len())
        .map(|end| whole[..end].to_owned())
        .collect();
    broken.extend([
        whole.replace("grant 1", "grant 2"),
        whole.replace(":3", ":0"),
        whole.replace(":3", ":-3"),
        whole.replace("\"SECRET\"", "{\"SECRET\":1}"),
        whole.replace("}", ",\"more\":1}"),
        format!("{whole}{whole}"),
        "\0".repeat(4096),
        "[".repeat(100_000),
    ]);
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    save(&store, "text", 0).await.expect("saved");
    for text in broken {
        fs::write(temp_folder.record(), &text).expect("written");
        let errors = [
            load(&store).await.expect_err("no record"),
            save(&store, "new", 0).await.expect_err("no record"),
            save(&store, "new", 3).await.expect_err("no record"),
        ];
        for error in errors {
            assert_eq!(error.code(), "stored.malformed");
            assert!(error.to_string().contains("grant-a-key.json"), "{error}");
            assert!(
                !format!("{error} {error:?}").contains("SECRET"),
                "{error:?}"
            );
        }
        assert_eq!(
            fs::read_to_string(temp_folder.record()).expect("a file"),
            text
        );
        // A lease is a separate file.
        store.lease(KEY, "one", MINUTE).await.expect("leased");
    }
    assert!(store.remove(KEY).await.expect("removed"));
    let removed = store
        .load(KEY)
        .await
        .expect("loaded")
        .expect("a word of it");
    let saved = save(&store, "new", removed.version).await;
    assert!(version(saved.expect("saved")) > removed.version);
}

#[tokio::test]
async fn an_unreadable_lease_is_reported() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    store.lease(KEY, "one", MINUTE).await.expect("leased");
    let path = temp_folder.path().join(format!("grant-{KEY}.lease"));
    fs::write(&path, "{\"format\":").expect("written");
    let error = store.lease(KEY, "two", MINUTE).await.expect_err("no lease");
    assert_eq!(error.code(), "stored.malformed");
    store.remove(KEY).await.expect("removed");
    let lease = store.lease(KEY, "two", MINUTE).await;
    assert_eq!(lease.expect("leased"), Lease::Won);
}

#[tokio::test]
async fn a_record_over_the_size_limit_is_not_written() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let first = version(save(&store, "text", 0).await.expect("saved"));
    let large = "x".repeat(17 * 1024 * 1024);
    let error = save(&store, &large, first).await.expect_err("too large");
    assert_eq!(error.code(), "stored.malformed");
    assert_eq!(
        load(&store).await.expect("loaded"),
        Some((first, "text".to_owned()))
    );
    fs::write(temp_folder.record(), large).expect("written");
    let error = load(&store).await.expect_err("too large");
    assert_eq!(error.code(), "stored.malformed");
}

#[tokio::test]
async fn a_missing_folder_is_reported() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    fs::remove_dir_all(temp_folder.path()).expect("removed");
    let error = load(&store).await.expect_err("no folder");
    assert_eq!(error.code(), "store.setup");
    assert_eq!(error.endpoint(), Some("store"));
}

#[test]
fn a_file_in_place_of_the_directory_is_reported_as_such() {
    let temp_folder = tempfile::tempdir().expect("a folder");
    let path = temp_folder.path().join("store");
    fs::write(&path, "x").expect("written");
    let error = FileStore::new(&path).expect_err("a file");
    assert_eq!(error.code(), "store.setup");
    let said = format!(
        "{}: this is a file; the store needs a directory",
        path.display()
    );
    assert!(error.to_string().contains(&said), "{error}");
    assert!(error.hint().is_some());
}

/// The remains of a killed writer are deleted, but not the files of an active one.
#[tokio::test]
async fn temporary_files_of_killed_writers_are_removed() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    // Creates the lock file of its stripe.
    store.load("x").await.expect("loaded");
    for name in [
        "grant-x.json.tmp",
        "grant-a.lease.tmp",
        "another.tmp",
        "grant-%zz.json.tmp",
    ] {
        fs::write(temp_folder.path().join(name), "left").expect("written");
    }
    let lock = fs::File::open(temp_folder.path().join("lock-7")).expect("the lock of x");
    lock.lock().expect("locked");
    temp_folder.store();
    let others = ["another.tmp", "grant-%zz.json.tmp"];
    assert_eq!(
        temp_folder.file_names(),
        [others[0], others[1], "grant-x.json.tmp"]
    );
    drop(lock);
    temp_folder.store();
    assert_eq!(temp_folder.file_names(), others);
}

/// `kill -9` at each point leaves the old or the new record, never neither, and no lock.
#[cfg(unix)]
#[tokio::test]
async fn a_process_killed_at_any_point_leaves_the_old_or_the_new_record() {
    for point in FAULT_POINTS {
        let temp_folder = TempStore::new();
        let is_done = point.ends_with("renamed") || point.ends_with("folder_synced");
        let (what, _) = point.split_once('.').expect("a point");
        let (is_record, is_lease) = (what == "json", what == "lease");
        let old = version(save(&temp_folder.store(), "old", 0).await.expect("saved"));
        let number = old.to_string();
        let arguments: &[&str] = match what {
            "json" => &["save", KEY, &number, "new"],
            "lease" => &["lease", KEY, "victim", "60000"],
            _ => &["remove", KEY],
        };
        let mut victim = worker(&temp_folder.store_argument(), arguments);
        let output = victim
            .env("OAUTH_SESSION_FAULT", point)
            .output()
            .expect("a worker");
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        assert_eq!(signal, Some(9), "{point}: {output:?}");
        assert!(output.stdout.is_empty(), "{point}: it was not killed");

        let store = temp_folder.store();
        assert!(
            !temp_folder
                .file_names()
                .iter()
                .any(|name| name.ends_with(".tmp")),
            "{point}"
        );
        let (now, text) = load(&store).await.expect("readable").expect("a record");
        let want = match is_done && !is_lease {
            true if is_record => "new",
            true => "",
            false => "old",
        };
        assert_eq!(text, want, "{point}");
        assert_eq!(now > old, is_done && !is_lease, "{point}");
        let lease = store.lease(KEY, "heir", MINUTE).await.expect("leased");
        if is_done && is_lease {
            assert_ne!(lease, Lease::Won, "{point}")
        } else {
            assert_eq!(lease, Lease::Won, "{point}")
        }
        let saved = save(&store, "next", now).await.expect("saved");
        assert!(version(saved) > now, "{point}");
        let (_, text) = load(&store).await.expect("readable").expect("a record");
        assert_eq!(text, "next", "{point}");
    }
}

/// The next writer cleans up, without another store doing so in between.
#[cfg(unix)]
#[tokio::test]
async fn the_next_writer_cleans_up_after_a_killed_one() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    save(&store, "old", 0).await.expect("saved");
    for point in FAULT_POINTS
        .iter()
        .filter(|point| point.starts_with("json."))
    {
        let (old, _) = load(&store).await.expect("readable").expect("a record");
        let mut victim = worker(
            &temp_folder.store_argument(),
            &["save", KEY, &old.to_string(), "new"],
        );
        victim
            .env("OAUTH_SESSION_FAULT", point)
            .output()
            .expect("a worker");
        let (now, _) = load(&store).await.expect("readable").expect("a record");
        let saved = save(&store, "next", now).await.expect("saved");
        assert!(version(saved) > now, "{point}");
        assert_eq!(
            temp_folder.file_names(),
            [format!("grant-{KEY}.json")],
            "{point}"
        );
    }
}

#[tokio::test]
async fn concurrent_processes_lose_no_update() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let counted = increment_from_workers(
        |arguments| worker(&temp_folder.store_argument(), arguments),
        KEY,
    );
    let (last, text) = load(&store).await.expect("readable").expect("a record");
    counted.check(&text);
    assert!(version(save(&store, "on", last).await.expect("saved")) > last);
}

#[tokio::test]
async fn a_save_whose_future_is_dropped_still_completes() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let mut saving = Box::pin(save(&store, "text", 0));
    // Started, and dropped.
    std::future::poll_fn(|context| {
        let _ = saving.as_mut().poll(context);
        std::task::Poll::Ready(())
    })
    .await;
    drop(saving);
    for _ in 0..2_000 {
        if load(&store).await.expect("readable").is_some() {
            return;
        }
    }
    panic!("it was never saved");
}
