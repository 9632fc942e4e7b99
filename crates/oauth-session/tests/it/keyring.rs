//! The keyring: GNOME's daemon on a bus of its own, and one in memory that fails on demand.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use keyring_core::{CredentialStore, Error as Trouble, mock};
use oauth_core::Secret;
use oauth_core::error::Error;
use oauth_session::Store;
use oauth_session::store::{Entry, KeyringStore, Lease, Saved, contract};
use tempfile::TempDir;

use crate::workers::{hammer, worker};

const KEY: &str = "a-key";
const MINUTE: Duration = Duration::from_secs(60);

/// A bus that starts no services by itself: a keyring that it started would be a locked one.
const BUS: &str = r#"<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
    "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=FOLDER</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"#;

/// A session with an unlocked keyring, for processes that are told of its bus.
struct Session {
    folder: TempDir,
    address: String,
    processes: Vec<Child>,
}

impl Session {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("bus.conf");
        let place = folder.path().display().to_string();
        fs::write(&config, BUS.replace("FOLDER", &place)).expect("written");
        let mut bus = Command::new("dbus-daemon");
        bus.args(["--nofork", "--print-address", "--config-file"])
            .arg(config);
        let mut bus = spawn(bus.stdout(Stdio::piped()));
        let mut address = String::new();
        let output = bus.stdout.take().expect("its address");
        BufReader::new(output)
            .read_line(&mut address)
            .expect("its address");
        let mut session = Self {
            folder,
            address: address.trim().to_owned(),
            processes: vec![bus],
        };
        let mut daemon = session.tell(Command::new("gnome-keyring-daemon"));
        daemon.args(["--foreground", "--unlock", "--components=secrets"]);
        let mut daemon = spawn(daemon.stdin(Stdio::piped()).stdout(Stdio::null()));
        // The password of a keyring that is made for it.
        let mut input = daemon.stdin.take().expect("its input");
        input.write_all(b"password\n").expect("the password");
        drop(input);
        session.processes.push(daemon);
        session
    }

    fn place(&self) -> String {
        format!("keyring:{}", self.folder.path().join("state").display())
    }

    fn worker(&self, arguments: &[&str]) -> Command {
        self.tell(worker(&self.place(), arguments))
    }

    /// What a worker says. The daemon may need a moment before it answers.
    fn ask(&self, arguments: &[&str]) -> String {
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

    fn tell(&self, mut command: Command) -> Command {
        let home = self.folder.path();
        command
            .env("DBUS_SESSION_BUS_ADDRESS", &self.address)
            .env("XDG_RUNTIME_DIR", home)
            .env("XDG_DATA_HOME", home)
            .env("HOME", home);
        command
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for process in self.processes.iter_mut().rev() {
            process.kill().expect("to kill it");
            process.wait().expect("its end");
        }
    }
}

fn spawn(command: &mut Command) -> Child {
    let program = command.get_program().display().to_string();
    command
        .stderr(Stdio::null())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}: cargo xtask setup installs it"))
}

#[test]
fn the_contract_holds_over_gnomes() {
    let session = Session::new();
    assert_eq!(session.ask(&["load", KEY]), "None\n");
    let said = session.ask(&["contract"]);
    assert!(
        said.contains("a record comes back as it was saved"),
        "{said}"
    );
}

#[test]
fn many_processes_lose_nothing() {
    let session = Session::new();
    assert_eq!(session.ask(&["load", KEY]), "None\n");
    let counted = hammer(|arguments| session.worker(arguments), KEY);
    let said = session.ask(&["load", KEY]);
    let (version, text) = said.trim().split_once(' ').expect("a version and a text");
    assert_eq!(version, text);
    let version: u64 = version.parse().expect("a number");
    assert!(version >= counted.at_least && version <= counted.at_most);
}

/// A process outside of any session is told so, and does not wait for one.
#[test]
fn no_session_is_told() {
    let session = Session::new();
    let mut outside = session.worker(&["load", KEY]);
    outside.env("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent");
    let output = outside.output().expect("a worker");
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && error.contains("misuse.setup"),
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
        KeyringStore::over(Arc::clone(&self.keyring), folder).expect("a store")
    }

    /// The next call on the key's item fails like this.
    fn fail(&self, trouble: Trouble) {
        let item = self.item();
        let item: &mock::Cred = item.as_any().downcast_ref().expect("a mock");
        item.set_error(trouble);
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

async fn save(store: &KeyringStore, text: &str, version: u64) -> Result<Saved, Error> {
    store.save(KEY, &Secret::from(text), version).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_contract_holds() {
    let mock = Mock::new();
    contract::assert(&[Arc::new(mock.store()), Arc::new(mock.store())]).await;
}

#[tokio::test]
async fn services_are_places() {
    let mock = Mock::new();
    let (ours, theirs) = (mock.store(), mock.store().with_service("theirs"));
    assert_eq!(save(&ours, "text", 0).await.expect("saved"), Saved::At(1));
    assert!(load(&theirs).await.expect("loaded").is_none());
    assert!(!theirs.remove(KEY).await.expect("removed"));
    assert!(ours.remove(KEY).await.expect("removed"));
    assert!(load(&ours).await.expect("loaded").is_none());
}

/// The folder holds locks and leases only.
#[tokio::test]
async fn no_file_holds_a_secret() {
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
async fn what_is_not_a_record_is_neither_read_nor_overwritten() {
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
    assert_eq!(save(&store, "new", 0).await.expect("saved"), Saved::At(1));
}

#[tokio::test]
async fn troubles_are_told_without_secrets() {
    let mock = Mock::new();
    let store = mock.store();
    assert_eq!(save(&store, "text", 0).await.expect("saved"), Saved::At(1));
    let secret = || b"S3CR3T".to_vec();
    let troubles = [
        (Trouble::PlatformFailure("gone".into()), "lost"),
        (Trouble::NoStorageAccess("locked".into()), "lost"),
        (Trouble::TooLong("secret".to_owned(), 2560), "misuse.setup"),
        (Trouble::BadEncoding(secret()), "stored.malformed"),
        (
            Trouble::BadDataFormat(secret(), "odd".into()),
            "stored.malformed",
        ),
        (
            Trouble::Invalid("user".to_owned(), "S3CR3T".to_owned()),
            "misuse.setup",
        ),
        (
            Trouble::NotSupportedByStore("no".to_owned()),
            "misuse.setup",
        ),
    ];
    for (trouble, code) in troubles {
        mock.fail(trouble);
        let error = save(&store, "new", 1).await.expect_err("trouble");
        assert_eq!((error.code(), error.endpoint()), (code, Some("store")));
        let shown = format!("{error} {error:?} {:?}", error.cause());
        assert!(
            !shown.contains("S3CR3T") && !shown.contains("83, 51"),
            "{shown}"
        );
    }
    let entry = load(&store).await.expect("loaded").expect("a record");
    assert_eq!((entry.version, entry.record.expose().as_str()), (1, "text"));
}
