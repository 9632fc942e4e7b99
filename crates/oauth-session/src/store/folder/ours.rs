//! Which files and folders are ours: made so that only their owner can read them, and refused if
//! they are anything else.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// Opens a file, and makes it private if it makes it; never through a symbolic link.
#[cfg(unix)]
pub(in crate::store) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    use rustix::fs::OFlags;
    use rustix::io::Errno;
    use std::os::unix::fs::OpenOptionsExt as _;
    // Who opens a named pipe would wait for its other end.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let options = options.mode(0o600).custom_flags(flags.bits().cast_signed());
    options.open(path).map_err(|error| {
        let is_link = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
        if is_link { link() } else { error }
    })
}

#[cfg(not(unix))]
pub(in crate::store) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink()) {
        return Err(link());
    }
    options.open(path)
}

fn link() -> io::Error {
    let kind = io::ErrorKind::PermissionDenied;
    io::Error::new(kind, "a symbolic link is not followed")
}

/// Why this is not a file of ours.
pub(in crate::store) fn check_file(data: &Metadata) -> Result<(), &'static str> {
    if !data.is_file() {
        return Err("not a file");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if data.uid() != rustix::process::geteuid().as_raw() {
            return Err("another user's file");
        }
        if data.mode() & 0o077 != 0 {
            return Err("others may read or write it: chmod 600, and log in anew if they did");
        }
    }
    Ok(())
}

/// Why this is not a folder of ours.
pub(in crate::store) fn check_folder(data: &Metadata) -> Result<(), &'static str> {
    if !data.is_dir() {
        return Err("not a folder");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        if data.uid() != rustix::process::geteuid().as_raw() {
            return Err("another user's folder");
        }
        if data.mode() & 0o022 != 0 {
            return Err("others may write to it: chmod 700");
        }
    }
    Ok(())
}

/// Makes the folder and those above it, as far as they are not there.
pub(in crate::store) fn make_folder(path: &Path) -> io::Result<()> {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "there are no modes to set"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    builder.recursive(true).create(path)
}

/// Forces the names in a folder to the disk.
#[cfg(unix)]
pub(in crate::store) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Windows does not open folders like files; it writes their names in its own time.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as its twin")]
pub(in crate::store) const fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
