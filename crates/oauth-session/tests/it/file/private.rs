//! Files and folders that others could read or write.

use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, PermissionsExt as _, chown, symlink,
};

use super::*;

fn mode(path: &Path) -> u32 {
    fs::symlink_metadata(path).expect("it is there").mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("changed");
}

#[tokio::test]
async fn store_files_are_readable_only_by_the_owner() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    save(&store, "text", 0).await.expect("saved");
    store.lease(KEY, "one", MINUTE).await.expect("leased");
    assert_eq!(mode(&temp_folder.path()), 0o700);
    for entry in fs::read_dir(temp_folder.path()).expect("the folder") {
        let path = entry.expect("an entry").path();
        assert_eq!(mode(&path), 0o600, "{}", path.display());
    }
}

#[tokio::test]
async fn a_record_accessible_to_others_is_refused() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let first = version(save(&store, "text", 0).await.expect("saved"));
    for wide in [0o640, 0o620, 0o604, 0o602] {
        set_mode(&temp_folder.record(), wide);
        for error in [
            load(&store).await.expect_err("refused"),
            save(&store, "new", first).await.expect_err("refused"),
        ] {
            assert_eq!(error.code(), "store.setup");
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
        assert_eq!(mode(&temp_folder.record()), wide);
    }
    set_mode(&temp_folder.record(), 0o600);
    assert_eq!(
        load(&store).await.expect("loaded"),
        Some((first, "text".to_owned()))
    );
}

#[tokio::test]
async fn a_symlink_in_place_of_a_record_is_refused() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    save(&store, "text", 0).await.expect("saved");
    let aside = temp_folder.folder.path().join("aside");
    fs::rename(temp_folder.record(), &aside).expect("moved");
    symlink(&aside, temp_folder.record()).expect("a link");
    let error = load(&store).await.expect_err("refused");
    assert_eq!(error.code(), "store.setup");
    let error = save(&store, "new", 1).await.expect_err("refused");
    assert_eq!(error.code(), "store.setup");
    let lock = fs::read_dir(temp_folder.path()).expect("the folder");
    let lock = lock.map(|entry| entry.expect("an entry").path());
    let lock = lock
        .into_iter()
        .find(|path| path.display().to_string().contains("lock-"));
    let lock = lock.expect("a lock");
    fs::remove_file(&lock).expect("removed");
    symlink(&aside, &lock).expect("a link");
    let error = load(&store).await.expect_err("refused");
    assert_eq!(error.code(), "store.setup");
    assert!(error.to_string().contains("symbolic link"), "{error}");
    let text = fs::read_to_string(&aside).expect("the file");
    assert!(text.contains("text"), "it was written through a link");
}

/// A symbolic link in place of the temporary file is not followed.
#[tokio::test]
async fn a_symlink_in_place_of_the_temporary_file_is_not_followed() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    let aside = temp_folder.folder.path().join("aside");
    fs::write(&aside, "theirs").expect("written");
    symlink(
        &aside,
        temp_folder.path().join(format!("grant-{KEY}.json.tmp")),
    )
    .expect("a link");
    save(&store, "text", 0).await.expect("saved");
    assert_eq!(fs::read_to_string(&aside).expect("the file"), "theirs");
    assert!(
        !fs::symlink_metadata(temp_folder.record())
            .expect("a file")
            .is_symlink()
    );
}

#[tokio::test]
async fn anything_but_a_regular_file_is_refused() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    fs::create_dir(temp_folder.record()).expect("a folder");
    let error = load(&store).await.expect_err("refused");
    assert_eq!(error.code(), "store.setup");
    fs::remove_dir(temp_folder.record()).expect("removed");
    let made = std::process::Command::new("mkfifo")
        .arg(temp_folder.record())
        .status();
    assert!(made.expect("mkfifo").success());
    let error = load(&store).await.expect_err("refused");
    assert_eq!(error.code(), "store.setup");
}

#[tokio::test]
async fn a_folder_writable_by_others_is_refused() {
    let temp_folder = TempStore::new();
    for (mode, is_ours) in [
        (0o777, false),
        (0o1777, false),
        (0o770, false),
        (0o702, false),
        (0o755, true),
    ] {
        let path = temp_folder.folder.path().join(format!("{mode:o}"));
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .expect("a folder");
        set_mode(&path, mode);
        match FileStore::new(&path) {
            Ok(_) => assert!(is_ours, "{mode:o}"),
            Err(error) => {
                assert!(!is_ours, "{mode:o}: {error}");
                assert_eq!(error.code(), "store.setup");
            }
        }
    }
    fs::write(temp_folder.folder.path().join("file"), "").expect("written");
    let error = FileStore::new(temp_folder.folder.path().join("file")).expect_err("refused");
    assert_eq!(error.code(), "store.setup");
}

/// Only root can change a file's owner, so this only tests the rule as root. Other users cannot create
/// files owned by us.
#[tokio::test]
async fn a_file_of_another_user_is_refused() {
    let temp_folder = TempStore::new();
    let store = temp_folder.store();
    save(&store, "text", 0).await.expect("saved");
    match chown(temp_folder.record(), Some(12_345), None) {
        Ok(()) => {
            let error = load(&store).await.expect_err("refused");
            assert_eq!(error.code(), "store.setup");
            assert!(error.to_string().contains("another user"), "{error}");
        }
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied),
    }
}

#[test]
fn the_error_for_a_refused_folder_names_it_and_how_to_fix_it() {
    let temp_folder = tempfile::tempdir().expect("a folder");
    let folder = temp_folder.path().join("store");
    fs::create_dir(&folder).expect("made");
    for (wide, advice) in [(0o1777, "of your own below it"), (0o777, "chmod 700")] {
        set_mode(&folder, wide);
        let error = FileStore::new(&folder).expect_err("refused").to_string();
        assert!(error.contains(&*folder.to_string_lossy()), "{error}");
        assert!(error.contains(advice), "{error}");
        assert_eq!(mode(&folder), wide);
    }
}
