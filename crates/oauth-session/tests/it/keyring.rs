//! The keyring store: with GNOME's daemon on its own bus, and with an in-memory keyring that fails on demand.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use tempfile::TempDir;

use crate::bus::Bus;
use crate::workers::{increment_from_workers, version, worker};
use keyring_core::{CredentialStore, Error as Trouble, mock};
use oauth_core::Secret;
use oauth_core::error::Error;
use oauth_session::Store;
use oauth_session::store::seal::Key;
use oauth_session::store::{Entry, KeyringStore, Lease, RecordTimes, SaveOutcome, contract};

const KEY: &str = "a-key";
const MINUTE: Duration = Duration::from_secs(60);

/// A desktop session with an unlocked keyring, in which workers run.
struct DesktopSession(Bus);

impl DesktopSession {
    fn new() -> Self {
        Self(Bus::new())
    }

    fn store_argument(&self) -> String {
        format!("keyring:{}", self.0.folder().join("state").display())
    }

    fn worker(&self, arguments: &[&str]) -> Command {
        self.0.in_session(worker(&self.store_argument(), arguments))
    }

    /// The output of a worker. The daemon may need a moment before it answers.
    fn run_worker(&self, arguments: &[&str]) -> String {
        for _ in 0..200 {
            let output = self.worker(arguments).output().expect("a worker");
            if output.status.success() {
                return String::from_utf8(output.stdout).expect("text");
            }
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(
                error.contains("ServiceUnknown") || error.contains("not provided"),
                "{error}"
            );
            thread::sleep(Duration::from_millis(25));
        }
        panic!("the keyring does not answer");
    }
}

#[test]
fn the_store_contract_holds_with_the_gnome_keyring() {
    let session = DesktopSession::new();
    assert_eq!(session.run_worker(&["load", KEY]), "None\n");
    let output = session.run_worker(&["contract"]);
    assert!(
        output.contains("a record comes back as it was saved"),
        "{output}"
    );
}

#[test]
fn concurrent_processes_lose_no_update() {
    let session = DesktopSession::new();
    assert_eq!(session.run_worker(&["load", KEY]), "None\n");
    let counted = increment_from_workers(|arguments| session.worker(arguments), KEY);
    let output = session.run_worker(&["load", KEY]);
    let (_, text) = output
        .trim()
        .split_once(' ')
        .expect("a version and a string");
    counted.check(text);
}

/// A process outside of any desktop session gets an error at once.
#[test]
fn a_missing_desktop_session_is_reported() {
    let session = DesktopSession::new();
    let mut outside = session.worker(&["load", KEY]);
    outside.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    let output = outside.output().expect("a worker");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && error.contains("store.setup"),
        "{error}"
    );
}

/// The first process generates the key, and all concurrent ones get the same.
#[test]
fn concurrent_processes_get_the_same_key() {
    let session = DesktopSession::new();
    assert_eq!(session.run_worker(&["load", KEY]), "None\n");
    let start = |name: &str| {
        let mut command = session.worker(&["key", name]);
        command.stdout(Stdio::piped()).spawn().expect("a worker")
    };
    let mut key_ids = Vec::new();
    for name in ["one", "two"] {
        let workers: Vec<_> = (0..6).map(|_| start(name)).collect();
        let mut ids: Vec<_> = workers
            .into_iter()
            .map(|worker| worker.wait_with_output().expect("a worker's end"))
            .map(|output| String::from_utf8(output.stdout).expect("an id"))
            .collect();
        ids.push(session.run_worker(&["key", name]));
        ids.dedup();
        assert_eq!(ids.len(), 1, "{ids:?}");
        key_ids.extend(ids);
    }
    assert_ne!(key_ids.first(), key_ids.last());
}

/// A bus that accepts the connection and never answers does not block its clients.
#[test]
fn an_unresponsive_bus_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bus");
    let _silent = std::os::unix::net::UnixListener::bind(&path).expect("a socket");
    let place = format!("keyring:{}", folder.path().join("state").display());
    let output = worker(&place, &["key", "seal"])
        .env(
            "DBUS_SESSION_BUS_ADDRESS",
            format!("unix:path={}", path.display()),
        )
        .output()
        .expect("a worker");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success(), "{error}");
    assert!(error.contains("store.setup"), "{error}");
    assert!(
        error.contains("no keyring can be reached: it gives no answer"),
        "{error}"
    );
}

struct Mock {
    keyring: Arc<CredentialStore>,
    folder: TempDir,
}

impl Mock {
    fn new() -> Self {
        let keyring = mock::Store::new().expect("a keyring");
        let folder = tempfile::tempdir().expect("a folder");
        Self { keyring, folder }
    }

    fn store(&self) -> KeyringStore {
        let folder = self.folder.path().join("state");
        KeyringStore::with_keyring(Arc::clone(&self.keyring), folder).expect("a store")
    }

    /// Has the next call on the key's item fail with this error.
    fn fail_next_call(&self, error: Trouble) {
        let item = self.item();
        let item: &mock::Cred = item.as_any().downcast_ref().expect("a mock");
        item.set_error(error);
    }

    fn item(&self) -> keyring_core::Entry {
        self.keyring
            .build("oauth-core", KEY, None)
            .expect("an item")
    }
}

async fn load(store: &KeyringStore) -> Result<Option<Entry>, Error> {
    store.load(KEY).await
}

async fn save(store: &KeyringStore, text: &str, version: u64) -> Result<SaveOutcome, Error> {
    store
        .save(KEY, &Secret::from(text), version, RecordTimes::NONE)
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_keyring_store_meets_the_contract() {
    let mock = Mock::new();
    contract::assert(&[Arc::new(mock.store()), Arc::new(mock.store())]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sealing_key_is_generated_once() {
    let mock = Mock::new();
    let send = |name: &'static str| {
        let store = mock.store();
        tokio::spawn(async move { store.seal_key(name).await })
    };
    let mut ids = Vec::new();
    for asking in (0..20).map(|_| send(KEY)).collect::<Vec<_>>() {
        let key = asking.await.expect("no panic").expect("a key");
        ids.push(key.id().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 1, "{ids:?}");
    let other = mock.store().seal_key("other").await.expect("a key");
    assert_ne!(ids, [other.id()]);
    // This is the item that the command stores.
    let entry = load(&mock.store()).await.expect("loaded").expect("a key");
    let key = Key::parse(&entry.record).expect("a key");
    assert_eq!(ids, [key.id()]);

    // A removed key is generated again, and an invalid one is left unchanged.
    assert!(mock.store().remove(KEY).await.expect("removed"));
    let again = mock.store().seal_key(KEY).await.expect("a key");
    assert_ne!(ids, [again.id()]);
    let entry = load(&mock.store()).await.expect("loaded").expect("a key");
    save(&mock.store(), "S3CR3T", entry.version)
        .await
        .expect("saved");
    let error = mock.store().seal_key(KEY).await.expect_err("no key");
    assert_eq!(
        (error.code(), error.endpoint()),
        ("stored.malformed", Some("store"))
    );
    assert!(
        !format!("{error} {error:?}").contains("S3CR3T"),
        "{error:?}"
    );
    let entry = load(&mock.store())
        .await
        .expect("loaded")
        .expect("it is there");
    assert_eq!(entry.record.expose(), "S3CR3T");
}

#[tokio::test]
async fn different_services_are_separate_stores() {
    let mock = Mock::new();
    let (ours, theirs) = (mock.store(), mock.store().with_service("theirs"));
    let first = version(save(&ours, "text", 0).await.expect("saved"));
    assert!(load(&theirs).await.expect("loaded").is_none());
    assert!(!theirs.remove(KEY).await.expect("removed"));
    assert!(ours.remove(KEY).await.expect("removed"));
    let entry = load(&ours).await.expect("loaded").expect("a word of it");
    assert!(entry.is_removed() && entry.version > first);
    assert!(mock.item().get_secret().is_err(), "the tokens are gone");
}

/// The folder contains only locks and leases.
#[tokio::test]
async fn files_contain_no_secret() {
    let mock = Mock::new();
    save(&mock.store(), "S3CR3T", 0).await.expect("saved");
    let lease = mock.store().lease(KEY, "one", MINUTE).await;
    assert_eq!(lease.expect("leased"), Lease::Won);
    for entry in fs::read_dir(mock.folder.path().join("state")).expect("the folder") {
        let text = fs::read_to_string(entry.expect("an entry").path()).expect("a file");
        assert!(!text.contains("S3CR3T"), "{text}");
    }
}

#[tokio::test]
async fn an_item_that_is_not_a_record_is_neither_read_nor_overwritten() {
    let mock = Mock::new();
    let store = mock.store();
    mock.item().set_secret(b"S3CR3T").expect("set");
    for error in [
        load(&store).await.expect_err("no record"),
        save(&store, "new", 0).await.expect_err("no record"),
    ] {
        assert_eq!(
            (error.code(), error.endpoint()),
            ("stored.malformed", Some("store"))
        );
    }
    assert_eq!(mock.item().get_secret().expect("it is there"), b"S3CR3T");
    assert!(store.remove(KEY).await.expect("removed"));
    let removed = load(&store).await.expect("loaded").expect("a word of it");
    let saved = save(&store, "new", removed.version).await;
    assert!(version(saved.expect("saved")) > removed.version);
}

#[tokio::test]
async fn errors_are_reported_without_secrets() {
    let mock = Mock::new();
    let store = mock.store();
    let first = version(save(&store, "text", 0).await.expect("saved"));
    let secret = || b"S3CR3T".to_vec();
    let troubles = [
        (Trouble::PlatformFailure("gone".into()), "lost"),
        (Trouble::NoStorageAccess("locked".into()), "lost.unsent"),
        (Trouble::TooLong("secret".to_owned(), 2560), "store.setup"),
        (Trouble::BadEncoding(secret()), "stored.malformed"),
        (
            Trouble::BadDataFormat(secret(), "odd".into()),
            "stored.malformed",
        ),
        (
            Trouble::Invalid("user".to_owned(), "S3CR3T".to_owned()),
            "store.setup",
        ),
        (Trouble::NotSupportedByStore("no".to_owned()), "store.setup"),
    ];
    for (trouble, code) in troubles {
        mock.fail_next_call(trouble);
        let error = save(&store, "new", first).await.expect_err("trouble");
        assert_eq!((error.code(), error.endpoint()), (code, Some("store")));
        let shown = format!("{error} {error:?} {:?}", error.cause());
        assert!(
            !shown.contains("S3CR3T") && !shown.contains("83, 51"),
            "{shown}"
        );
    }
    let entry = load(&store).await.expect("loaded").expect("a record");
    assert_eq!(
        (entry.version, entry.record.expose().as_str()),
        (first, "text")
    );
}
