//! The directory of a file store: small files that several processes read and write. Each key is
//! guarded by one of sixteen lock files.

mod expiry;
pub(super) mod fault_points;
pub(super) mod lease;
pub(super) mod ownership;
mod tombstone;

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicUsize;
use std::thread;
use std::time::{Duration, Instant};

use oauth_core::Secret;
use oauth_core::error::{Cause, Error, Misuse};

use super::{ENDPOINT, malformed};
use ownership::{Access, Trusted};

/// The time for which an operation waits for the lock. Other processes hold it for milliseconds, unless one
/// was suspended while it held the lock.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest file that is read or written, in bytes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// The longest name of a key, in a file's name of at most 255 bytes.
const LONGEST_NAME: usize = 200;

const PREFIX: &str = "grant-";
const TEMP: &str = "tmp";

#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
    trusted: Trusted,
    /// How many records have been checked for expiry: the position of the next check.
    swept: AtomicUsize,
}

/// The files of one key, locked against all other workers.
pub(super) struct LockedKey<'a> {
    folder: &'a Folder,
    name: String,
    lock: File,
}

impl Folder {
    pub(super) fn open(path: PathBuf, access: Access) -> Result<Self, Error> {
        // A relative path would mean another folder after a change of directory.
        let path = std::path::absolute(&path).map_err(|error| io_error("the folder", error))?;
        let trusted = create_folder(&path, access)?;
        Ok(Self {
            path,
            trusted,
            swept: AtomicUsize::new(0),
        })
    }

    /// Locks the key: waits until no other worker has it.
    pub(super) fn lock(&self, key: &str) -> Result<LockedKey<'_>, Error> {
        let started = Instant::now();
        let mut pause = Duration::from_micros(250);
        loop {
            if let Some(locked) = self.try_lock(key)? {
                return Ok(locked);
            }
            if started.elapsed() > LOCK_TIMEOUT {
                let reason = "the lock was not released within 10 seconds";
                return Err(Error::lost(Cause::unsent(reason)).at_endpoint(ENDPOINT));
            }
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(8));
        }
    }

    fn try_lock(&self, key: &str) -> Result<Option<LockedKey<'_>>, Error> {
        let name = encode_key(key)?;
        let file = format!("lock-{:x}", lock_number(key));
        let io_failed = |error| io_error(&file, error);
        let path = self.path.join(&file);
        ownership::ensure(&path, self.trusted).map_err(io_failed)?;
        let lock = ownership::open(&path, OpenOptions::new().write(true)).map_err(io_failed)?;
        let data = lock.metadata().map_err(io_failed)?;
        ownership::check_file(&data, self.trusted).map_err(|reason| setup_error(&file, reason))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(LockedKey {
                folder: self,
                name,
                lock,
            })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(io_failed(error)),
        }
    }

    /// Removes temporary files of killed writers. A running writer holds the lock as long as its
    /// temporary file exists.
    pub(super) fn sweep(&self) -> Result<(), Error> {
        for name in self.names()? {
            let Some(file_name) = name.strip_suffix(TEMP).and_then(|n| n.strip_suffix('.')) else {
                continue;
            };
            let Some((key, ending)) = parse_file_name(file_name) else {
                continue;
            };
            if let Some(locked) = self.try_lock(&key)? {
                locked.remove(&format!("{ending}.{TEMP}"))?;
            }
        }
        self.forget_removed()
    }

    /// The keys that have a file with this extension, sorted.
    pub(super) fn keys(&self, ending: &str) -> Result<Vec<String>, Error> {
        let names = self.names()?;
        let mut keys: Vec<_> = names
            .iter()
            .filter_map(|name| parse_file_name(name))
            .filter(|(_, file_ending)| file_ending == ending)
            .map(|(key, _)| key)
            .collect();
        keys.sort();
        Ok(keys)
    }

    /// The current content of a key's file, read without a lock.
    pub(super) fn read(&self, key: &str, ending: &str) -> Result<Option<Secret<Vec<u8>>>, Error> {
        self.read_file(&format!("{PREFIX}{}.{ending}", encode_key(key)?))
    }

    fn read_file(&self, name: &str) -> Result<Option<Secret<Vec<u8>>>, Error> {
        let io_failed = |error| io_error(name, error);
        let file = match ownership::open(&self.path.join(name), OpenOptions::new().read(true)) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_failed(error)),
        };
        let data = file.metadata().map_err(io_failed)?;
        ownership::check_file(&data, self.trusted).map_err(|reason| setup_error(name, reason))?;
        if data.len() > MAX_FILE_BYTES {
            return Err(malformed(&format!("{name}: larger than 16 MiB")));
        }
        // Reserve enough memory, because growing would leave copies behind.
        let mut bytes = Vec::with_capacity(usize::try_from(data.len()).unwrap_or(0) + 1);
        file.take(MAX_FILE_BYTES)
            .read_to_end(&mut bytes)
            .map_err(io_failed)?;
        Ok(Some(Secret::new(bytes)))
    }

    fn names(&self) -> Result<Vec<String>, Error> {
        let io_failed = |error| io_error("the folder", error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.path).map_err(io_failed)? {
            // A name that is not UTF-8 does not belong to this store.
            names.extend(entry.map_err(io_failed)?.file_name().into_string());
        }
        Ok(names)
    }
}

impl LockedKey<'_> {
    /// The name of the key's file with this extension.
    pub(super) fn name(&self, ending: &str) -> String {
        format!("{PREFIX}{}.{ending}", self.name)
    }

    fn path(&self, ending: &str) -> PathBuf {
        self.folder.path.join(self.name(ending))
    }

    pub(super) fn read(&self, ending: &str) -> Result<Option<Secret<Vec<u8>>>, Error> {
        self.folder.read_file(&self.name(ending))
    }

    /// Replaces the file atomically. Once this returns, the new file survives a power loss.
    pub(super) fn write(&self, ending: &str, bytes: &Secret<Vec<u8>>) -> Result<(), Error> {
        if bytes.expose().len() as u64 > MAX_FILE_BYTES {
            let name = self.name(ending);
            return Err(malformed(&format!("{name}: larger than 16 MiB")));
        }
        let name = self.name(ending);
        let temp = format!("{ending}.{TEMP}");
        self.remove(&temp)?;
        let result = self.write_temp(&temp, bytes, ending);
        let renamed = result.and_then(|()| fs::rename(self.path(&temp), self.path(ending)));
        if let Err(error) = renamed {
            // A file with secrets must not be left behind; the write error is returned.
            self.remove(&temp)?;
            return Err(io_error(&name, error));
        }
        fault_points::at(ending, "renamed");
        let synced = ownership::sync_folder(&self.folder.path);
        fault_points::at(ending, "folder_synced");
        synced.map_err(|error| {
            Error::lost(Cause::unknown(name_error(&name, &error))).at_endpoint(ENDPOINT)
        })
    }

    fn write_temp(&self, temp: &str, bytes: &Secret<Vec<u8>>, ending: &str) -> io::Result<()> {
        let mut file = ownership::create(&self.path(temp), self.folder.trusted)?;
        fault_points::at(ending, "created");
        // Write in two parts, so that a test can simulate a full disk between them.
        let (head, tail) = bytes.expose().split_at(bytes.expose().len() / 2);
        file.write_all(head)?;
        fault_points::at(ending, "half_written");
        file.write_all(tail)?;
        fault_points::at(ending, "written");
        file.sync_all()?;
        fault_points::at(ending, "synced");
        Ok(())
    }

    /// Removes the file, regardless of what it is, and returns whether it was there.
    pub(super) fn remove(&self, ending: &str) -> Result<bool, Error> {
        match fs::remove_file(self.path(ending)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(io_error(&self.name(ending), error)),
        }
    }
}

impl Drop for LockedKey<'_> {
    fn drop(&mut self) {
        // Unlock explicitly, because a child process that is being started may hold a copy of the descriptor. If
        // unlocking fails, closing the file releases the lock.
        let _ = self.lock.unlock();
    }
}

/// Creates a folder, unless it exists, and checks its owner; returns whose files are trusted in it.
pub(super) fn create_folder(path: &Path, access: Access) -> Result<Trusted, Error> {
    let name = path.to_string_lossy();
    if path.is_file() {
        return Err(setup_error(
            &name,
            "this is a file; the store needs a directory of its own",
        ));
    }
    let io_failed = |error| io_error(&name, error);
    ownership::make_folder(path, access).map_err(io_failed)?;
    let data = fs::metadata(path).map_err(io_failed)?;
    let trusted =
        ownership::check_folder(&data, access).map_err(|reason| setup_error(&name, reason))?;
    match ownership::open_above(path).map_err(io_failed)? {
        None => Ok(trusted),
        Some(above) => {
            let reason = "every user can write to it, and so could replace the store's directory";
            Err(setup_error(&above.to_string_lossy(), reason))
        }
    }
}

/// The number of the lock file that guards a key, the same in every version and language. There are sixteen, because
/// one file for each key could never be removed safely.
fn lock_number(key: &str) -> u8 {
    let hash = key
        .bytes()
        .fold(0_u8, |hash, byte| hash.wrapping_mul(31).wrapping_add(byte));
    hash >> 4
}

/// A key as part of a file's name, so that any two keys differ even if names are case-insensitive, and none leads out
/// of the folder: lower-case letters, digits, `-` and `_` as they are, other bytes as `%` and two hexadecimal digits.
fn encode_key(key: &str) -> Result<String, Error> {
    let mut name = String::with_capacity(2 * key.len());
    for byte in key.bytes() {
        match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => name.push(char::from(byte)),
            _ => name.push_str(&format!("%{byte:02x}")),
        }
    }
    if name.len() > LONGEST_NAME {
        let error = Error::from(Misuse::StoreSetup).at_endpoint(ENDPOINT);
        return Err(error.about("the key is too long for the name of a file"));
    }
    Ok(name)
}

/// The key and the extension in the name of a file of this store.
fn parse_file_name(name: &str) -> Option<(String, String)> {
    let (name, ending) = name.strip_prefix(PREFIX)?.split_once('.')?;
    let mut parts = name.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let (digits, rest) = part.split_at_checked(2)?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend(rest.bytes());
    }
    let key = String::from_utf8(bytes).ok()?;
    // Other names may decode to the same key.
    let is_canonical = encode_key(&key).is_ok_and(|encoded| encoded == name);
    is_canonical.then(|| (key, ending.to_owned()))
}

fn name_error(name: &str, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{name}: {error}"))
}

/// The error of an operation that certainly had no effect.
pub(super) fn io_error(name: &str, error: io::Error) -> Error {
    use io::ErrorKind::{
        AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied, ReadOnlyFilesystem,
        Unsupported,
    };
    match error.kind() {
        // A retry does not help.
        AlreadyExists | IsADirectory | NotADirectory | NotFound | PermissionDenied
        | ReadOnlyFilesystem | Unsupported => setup_error(name, &error.to_string()),
        _ => Error::lost(Cause::unsent(name_error(name, &error))).at_endpoint(ENDPOINT),
    }
}

pub(super) fn setup_error(name: &str, reason: &str) -> Error {
    let error = Error::from(Misuse::StoreSetup).at_endpoint(ENDPOINT);
    error.about(&format!("{name}: {reason}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_encoded_as_safe_file_names_and_decoded() {
        for key in [
            "",
            ".",
            "..",
            "../../etc/passwd",
            "a/b",
            "C:\\a",
            "Key",
            "k\u{e9}y",
            "%41",
        ] {
            let name = encode_key(key).expect("a name");
            let is_plain = |c: char| "abcdefghijklmnopqrstuvwxyz0123456789-_%".contains(c);
            assert!(name.chars().all(is_plain), "{name}");
            let back = parse_file_name(&format!("{PREFIX}{name}.json"));
            assert_eq!(back, Some((key.to_owned(), "json".to_owned())));
        }
    }

    #[test]
    fn non_canonical_file_names_are_ignored() {
        for name in [
            "grant-%61.json",
            "grant-A.json",
            "grant-%4.json",
            "grant-a",
            "a.json",
            "grant-%ff.json",
            "grant-%+1.json",
        ] {
            assert_eq!(parse_file_name(name), None, "{name}");
        }
    }

    #[test]
    fn a_key_too_long_for_a_file_name_is_refused() {
        assert!(encode_key(&"\u{e9}".repeat(30)).is_ok());
        let error = encode_key(&"\u{e9}".repeat(40)).expect_err("too long");
        assert_eq!(error.code(), "store.setup");
    }

    /// Every process must use the same lock, regardless of the version of this library it was built with.
    #[test]
    fn lock_stripes_are_stable_across_versions() {
        assert_eq!(lock_number(""), 0);
        assert_eq!(lock_number("a"), 6);
        assert_eq!(lock_number("oauth-core"), 1);
    }
}
