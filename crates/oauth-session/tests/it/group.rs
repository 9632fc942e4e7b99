//! Files shared by the users of a group, as containers share a Kubernetes volume: `fsGroup` gives the folder
//! to the group, with mode 2770, and adds each container's user to that group.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::Command;

use oauth_session::Store;
use oauth_session::store::{Access, FileStore, SqliteStore};
use tempfile::TempDir;

use crate::workers::increment_from_workers;

const KEY: &str = "a-key";

/// The group of the volume; its users have their own primary group too.
const GROUP: u32 = 6100;
const ANN: u32 = 6101;
const BEN: u32 = 6102;

struct Volume {
    folder: TempDir,
    worker: PathBuf,
    kind: &'static str,
}

impl Volume {
    /// A volume for several users. Changing the user requires root; otherwise all processes run as one user.
    fn new(kind: &'static str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        set_mode(folder.path(), 0o755);
        // Other users might not have access to the build folder.
        let worker = folder.path().join("worker");
        // In a separate process: a child started by this one meanwhile would keep the copy open for writing, and then
        // it could not be executed.
        let copied = Command::new("cp")
            .arg(env!("CARGO_BIN_EXE_oauth-session-worker"))
            .arg(&worker)
            .status();
        assert!(copied.is_ok_and(|status| status.success()));
        set_mode(&worker, 0o755);
        let volume = Self {
            folder,
            worker,
            kind,
        };
        fs::create_dir(volume.path()).expect("made");
        if is_root() {
            chown(volume.path(), Some(0), Some(GROUP)).expect("given");
        }
        set_mode(&volume.path(), 0o2770);
        volume
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("volume")
    }

    fn store_argument(&self) -> String {
        let path = self.path();
        let path = match self.kind {
            "group-sqlite" | "sqlite" => path.join("grants.db"),
            _ => path,
        };
        format!("{}:{}", self.kind, path.display())
    }

    /// A process of this user.
    fn worker(&self, user: u32, groups: &str, arguments: &[&str]) -> Command {
        let mut command = if is_root() {
            let mut command = Command::new("setpriv");
            let user = user.to_string();
            command.args(["--reuid", &user, "--regid", &user, "--groups", groups]);
            command.arg(&self.worker);
            command
        } else {
            Command::new(&self.worker)
        };
        command.arg(self.store_argument()).args(arguments);
        command
    }

    fn member(&self, user: u32, arguments: &[&str]) -> Command {
        self.worker(user, &GROUP.to_string(), arguments)
    }

    fn run_command(&self, user: u32, arguments: &[&str]) -> String {
        output_of(&mut self.member(user, arguments)).expect("done")
    }

    fn files(&self) -> Vec<PathBuf> {
        let files = fs::read_dir(self.path()).expect("the folder");
        files.map(|file| file.expect("a file").path()).collect()
    }
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
}

/// The output of a worker, or its error.
fn output_of(command: &mut Command) -> Result<String, String> {
    let output = command.output().expect("a worker");
    let text = |bytes| String::from_utf8(bytes).expect("text");
    if output.status.success() {
        Ok(text(output.stdout))
    } else {
        Err(text(output.stderr))
    }
}

fn refused(command: &mut Command, reason: &str) {
    let error = output_of(command).expect_err("refused");
    assert!(error.contains("store.setup"), "{error}");
    assert!(error.contains(reason), "{error}");
}

fn share(kind: &'static str) {
    let volume = Volume::new(kind);
    let send = |user, arguments: &[&str]| volume.run_command(user, arguments);
    let version = |loaded: &str| loaded.split(' ').next().expect("a version").to_owned();
    assert_eq!(send(ANN, &["load", KEY]), "None\n");
    send(ANN, &["save", KEY, "0", "of-ann"]);
    let first = send(BEN, &["load", KEY]);
    assert!(first.ends_with(" of-ann\n"), "{first}");
    assert_eq!(send(BEN, &["lease", KEY, "ben", "60000"]), "Won\n");
    assert!(send(ANN, &["lease", KEY, "ann", "60000"]).starts_with("Held"));
    assert_eq!(send(BEN, &["lease", KEY, "ben", "0"]), "Won\n");
    assert_eq!(send(ANN, &["lease", KEY, "ann", "60000"]), "Won\n");
    send(BEN, &["save", KEY, &version(&first), "of-ben"]);
    let second = send(ANN, &["load", KEY]);
    assert!(second.ends_with(" of-ben\n"), "{second}");
    for file in volume.files() {
        let data = fs::metadata(&file).expect("a file");
        assert_eq!(data.mode() & 0o777, 0o660, "{}", file.display());
        assert!(!is_root() || data.gid() == GROUP, "{}", file.display());
    }
    assert_eq!(send(BEN, &["remove", KEY]), "true\n");
    let removed = send(ANN, &["load", KEY]);
    assert!(removed.ends_with(" \n"), "{removed}");
    assert_eq!(send(ANN, &["lease", KEY, "ann", "60000"]), "Won\n");

    let turn = Cell::new(ANN);
    let counted = increment_from_workers(
        |arguments| volume.member(turn.replace(ANN + BEN - turn.get()), arguments),
        "count",
    );
    let text = send(BEN, &["load", "count"]);
    let (_, text) = text.trim().split_once(' ').expect("a version and a string");
    counted.check(text);
}

#[test]
fn two_users_share_a_file_store() {
    share("group-file");
}

#[test]
fn two_users_share_a_sqlite_store() {
    share("group-sqlite");
}

#[test]
fn files_shared_with_a_group_are_refused_unless_configured() {
    for kind in ["file", "sqlite"] {
        let volume = Volume::new(kind);
        let reason = if is_root() {
            "another user's folder"
        } else {
            "others may write to it"
        };
        refused(&mut volume.member(ANN, &["load", KEY]), reason);
    }
}

#[test]
fn files_and_folders_with_wrong_modes_are_refused() {
    for kind in ["group-file", "group-sqlite"] {
        let volume = Volume::new(kind);
        let save = |key| volume.member(ANN, &["save", key, "0", "text"]);
        output_of(&mut save(KEY)).expect("saved");
        let files = volume.files().into_iter();
        let mut files = files.filter(|file| !file.to_string_lossy().contains("lock-"));
        let file = files.next().expect("a file");
        for wide in [0o664, 0o662, 0o661] {
            set_mode(&file, wide);
            refused(&mut volume.member(BEN, &["load", KEY]), "chmod 660");
        }
        set_mode(&file, 0o660);
        volume.run_command(BEN, &["load", KEY]);
        for (wide, reason) in [
            (0o2772, "all may write"),
            (0o2750, "its group may not write"),
            (0o2740, "its group may not write"),
        ] {
            set_mode(&volume.path(), wide);
            refused(&mut volume.member(ANN, &["load", KEY]), reason);
        }
    }
}

#[test]
fn users_outside_the_group_are_refused() {
    if !is_root() {
        // Without root the refused folder is one that all may write to, instead of another user's.
        let volume = Volume::new("group-file");
        set_mode(&volume.path(), 0o2777);
        return refused(&mut volume.member(ANN, &["load", KEY]), "all may write");
    }
    let volume = Volume::new("group-file");
    volume.run_command(ANN, &["save", KEY, "0", "text"]);
    let stranger = BEN.to_string();
    let mut outside = volume.worker(BEN, &stranger, &["load", KEY]);
    refused(&mut outside, "a group that this process is not in");

    // New files in it would get the primary group of their creator.
    set_mode(&volume.path(), 0o770);
    refused(&mut volume.member(ANN, &["load", KEY]), "chmod 2770");
    set_mode(&volume.path(), 0o2770);

    // A file of a different group, from before the folder was shared.
    let record = volume.path().join(format!("grant-{KEY}.json"));
    chown(&record, Some(ANN), Some(ANN)).expect("given");
    refused(
        &mut volume.member(ANN, &["load", KEY]),
        "another group's file",
    );
    set_mode(&record, 0o600);
    assert!(volume.run_command(ANN, &["load", KEY]).ends_with("text\n"));
}

/// New files belong to the group regardless of the umask; root's would deny the group write access.
#[tokio::test]
async fn created_files_are_shared_with_the_group_whatever_the_umask() {
    let volume = Volume::new("group-file");
    let deep = volume.path().join("deep/grants");
    let files = FileStore::open(&deep, Access::Group).expect("a store");
    files.remove(KEY).await.expect("removed");
    let base = deep.join("base/grants.db");
    let base = SqliteStore::open(base, Access::Group).expect("a store");
    base.remove(KEY).await.expect("removed");
    let mut seen = 0;
    for made in ["deep", "deep/grants", "deep/grants/base"] {
        let folder = volume.path().join(made);
        let data = fs::metadata(&folder).expect("a folder");
        assert_eq!(data.mode() & 0o7777, 0o2770, "{made}");
        for file in fs::read_dir(&folder).expect("the folder") {
            let data = file.expect("an entry").metadata().expect("a file");
            if data.is_file() {
                seen += 1;
                assert_eq!(data.mode() & 0o777, 0o660);
            }
            assert!(!is_root() || data.gid() == GROUP);
        }
    }
    // A lock and a tombstone; the database and its two side files.
    assert_eq!(seen, 5);
}

/// Anyone who may write to a parent folder could replace the store's folder.
#[test]
fn a_world_writable_parent_folder_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let above = folder.path().join("above");
    let path = above.join("between/grants");
    let files = || FileStore::new(&path).map(drop);
    let base = || SqliteStore::new(path.join("grants.db")).map(drop);
    files().expect("a store");
    for (mode, is_taken) in [
        (0o777, false),
        (0o757, false),
        (0o1777, true),
        (0o775, true),
    ] {
        set_mode(&above, mode);
        for opened in [files(), base()] {
            assert_eq!(opened.is_ok(), is_taken, "{mode:o}");
            if let Err(error) = opened {
                assert_eq!(error.code(), "store.setup");
                let named = error.to_string();
                assert!(
                    named.contains("above: every user can write to it"),
                    "{named}"
                );
            }
        }
    }
}
