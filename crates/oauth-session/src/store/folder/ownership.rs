//! Checks the owner and mode of files and folders, and creates them so that only those who share them
//! can read them.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::Path;

/// The users that share the files of a store, on systems whose files have modes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Access {
    /// Only the owner of the files: the processes of one user.
    #[default]
    Owner,
    /// The group of the folder: the processes of all its members, as of containers that share a
    /// volume with `fsGroup`. Each member can read every record, and remove it.
    Group,
}

/// The owner whose files are trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Trusted {
    Owner,
    /// Any member of this group.
    #[cfg_attr(not(unix), allow(dead_code, reason = "there are no groups"))]
    Group(u32),
}

impl Trusted {
    const fn mode(self) -> u32 {
        match self {
            Self::Owner => 0o600,
            Self::Group(_) => 0o660,
        }
    }
}

/// Opens an existing file, never through a symbolic link.
#[cfg(unix)]
pub(in crate::store) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    use rustix::fs::OFlags;
    use rustix::io::Errno;
    use std::os::unix::fs::OpenOptionsExt as _;
    // Opening a named pipe would block until its other end is opened.
    let flags = OFlags::NOFOLLOW | OFlags::NONBLOCK;
    let options = options.custom_flags(flags.bits().cast_signed());
    options.open(path).map_err(|error| {
        let is_link = error.raw_os_error() == Some(Errno::LOOP.raw_os_error());
        if is_link { symlink_error() } else { error }
    })
}

#[cfg(not(unix))]
pub(in crate::store) fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    if fs::symlink_metadata(path).is_ok_and(|data| data.is_symlink()) {
        return Err(link());
    }
    options.open(path)
}

fn symlink_error() -> io::Error {
    let kind = io::ErrorKind::PermissionDenied;
    io::Error::new(kind, "a symbolic link is not followed")
}

/// Creates a file that does not exist yet, and that no other user may read.
pub(in crate::store) fn create(path: &Path, trusted: Trusted) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, trusted.mode());
    let file = open(path, &mut options)?;
    set_mode(&file, trusted)?;
    Ok(file)
}

/// Sets the mode: the process's umask may have excluded the group.
#[cfg(unix)]
fn set_mode(file: &File, trusted: Trusted) -> io::Result<()> {
    use std::os::unix::fs::PermissionsExt as _;
    match trusted {
        Trusted::Owner => Ok(()),
        Trusted::Group(_) => file.set_permissions(fs::Permissions::from_mode(trusted.mode())),
    }
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as its twin")]
const fn set_mode(_: &File, _: Trusted) -> io::Result<()> {
    Ok(())
}

/// Creates an empty file, unless it exists. It appears with its mode or not at all: another user who
/// shares it may open it immediately.
pub(in crate::store) fn ensure(path: &Path, trusted: Trusted) -> io::Result<()> {
    let created = match trusted {
        Trusted::Owner => create(path, trusted).map(drop),
        Trusted::Group(_) => ensure_whole(path, trusted),
    };
    match created {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        created => created,
    }
}

fn ensure_whole(path: &Path, trusted: Trusted) -> io::Result<()> {
    use std::sync::atomic::{AtomicU32, Ordering};
    static COUNT: AtomicU32 = AtomicU32::new(0);
    if fs::symlink_metadata(path).is_ok() {
        return Ok(());
    }
    // Each container numbers its processes from 1, so the number alone does not distinguish them.
    let since_1970 = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = since_1970.map_or(0, |time| time.as_nanos());
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}-{nanos}-{count}", std::process::id()));
    create(temporary.as_ref(), trusted)?;
    let linked = fs::hard_link(&temporary, path);
    fs::remove_file(&temporary)?;
    linked
}

/// Checks that it is a file owned by a trusted user. The error is the reason if not.
pub(in crate::store) fn check_file(data: &Metadata, trusted: Trusted) -> Result<(), &'static str> {
    if !data.is_file() {
        return Err("not a file");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let (mode, is_own_file) = (
            data.mode(),
            data.uid() == rustix::process::geteuid().as_raw(),
        );
        match trusted {
            Trusted::Owner if !is_own_file => return Err("another user's file"),
            Trusted::Owner if mode & 0o077 != 0 => {
                return Err(
                    "others may read or write it: chmod 600, and log in again if anyone did",
                );
            }
            Trusted::Group(_) if mode & 0o007 != 0 => {
                return Err("all may read or write it: chmod 660, and log in again if anyone did");
            }
            Trusted::Group(group) if data.gid() != group && (!is_own_file || mode & 0o070 != 0) => {
                return Err("another group's file");
            }
            _ => {}
        }
    }
    #[cfg(not(unix))]
    let _ = trusted;
    Ok(())
}

/// Checks the owner of a folder; returns whose files are trusted in it, or why it is refused.
pub(in crate::store) fn check_folder(
    data: &Metadata,
    access: Access,
) -> Result<Trusted, &'static str> {
    if !data.is_dir() {
        return Err("not a folder");
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let mode = data.mode();
        if access == Access::Group {
            return check_group(mode, data.gid());
        }
        if data.uid() != rustix::process::geteuid().as_raw() {
            return Err("another user's folder");
        }
        // Like /tmp, whose mode this program must not change.
        if mode & 0o1002 == 0o1002 {
            return Err("every user may write to it: take a folder of your own below it");
        }
        if mode & 0o022 != 0 {
            return Err("others may write to it: chmod 700");
        }
    }
    #[cfg(not(unix))]
    let _ = access;
    Ok(Trusted::Owner)
}

#[cfg(unix)]
fn check_group(mode: u32, group: u32) -> Result<Trusted, &'static str> {
    use rustix::process::{getegid, geteuid, getgroups};
    let own_gid = getegid().as_raw();
    let is_member = || {
        let groups = getgroups().unwrap_or_default();
        groups.iter().any(|member| member.as_raw() == group)
    };
    if own_gid != group && !geteuid().is_root() && !is_member() {
        return Err("the folder of a group that this process is not in");
    }
    if mode & 0o002 != 0 {
        return Err("all may write to it: chmod 2770");
    }
    if mode & 0o030 != 0o030 {
        return Err("its group may not write to it: chmod 2770");
    }
    // A new file in it gets the group of its creator, unless the folder's setgid bit is set.
    if mode & 0o2000 == 0 && own_gid != group {
        return Err("its files would not be its group's: chmod 2770");
    }
    Ok(Trusted::Group(group))
}

/// Looks for a parent folder in which others could replace this one: it is writable for all, and does not protect the
/// files of others (the sticky bit). `None` if there is none.
#[cfg(unix)]
pub(in crate::store) fn open_above(path: &Path) -> io::Result<Option<std::path::PathBuf>> {
    use std::os::unix::fs::MetadataExt as _;
    // A link is as safe as its target.
    let path = fs::canonicalize(path)?;
    for above in path.ancestors().skip(1) {
        if fs::metadata(above)?.mode() & 0o1002 == 0o002 {
            return Ok(Some(above.to_owned()));
        }
    }
    Ok(None)
}

#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as its twin")]
pub(in crate::store) const fn open_above(_: &Path) -> io::Result<Option<std::path::PathBuf>> {
    Ok(None)
}

/// Creates the folder and its parents, if they do not exist, so that they survive a power loss.
pub(in crate::store) fn make_folder(path: &Path, access: Access) -> io::Result<()> {
    let created = match make_one(path, access) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let parent = path.parent().ok_or(error)?;
            make_folder(parent, access)?;
            make_one(path, access)
        }
        created => created,
    };
    match created {
        Ok(()) => path.parent().map_or(Ok(()), sync_folder),
        // Another process may have been faster.
        Err(_) if path.is_dir() => Ok(()),
        Err(error) => Err(error),
    }
}

fn make_one(path: &Path, access: Access) -> io::Result<()> {
    #[cfg_attr(not(unix), allow(unused_mut, reason = "there are no modes to set"))]
    let mut builder = fs::DirBuilder::new();
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
        builder.mode(0o700);
        if access == Access::Group {
            builder.mode(0o770).create(path)?;
            return fs::set_permissions(path, fs::Permissions::from_mode(0o2770));
        }
    }
    #[cfg(not(unix))]
    let _ = access;
    builder.create(path)
}

/// Syncs the names in a folder to the disk.
#[cfg(unix)]
pub(in crate::store) fn sync_folder(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

/// Windows does not open folders like files; it writes their names later on its own.
#[cfg(not(unix))]
#[allow(clippy::unnecessary_wraps, reason = "as its twin")]
pub(in crate::store) const fn sync_folder(_: &Path) -> io::Result<()> {
    Ok(())
}
