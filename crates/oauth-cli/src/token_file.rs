//! Tokens in a file: readable only by this user, never half written, renewed by one process at a
//! time.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use oauth_core::Tokens;

use crate::output::Failure;

/// A file that holds the tokens of one grant, as `Tokens::to_json` writes them.
#[derive(Debug, Clone)]
pub(crate) struct TokenFile(pub(crate) PathBuf);

impl TokenFile {
    pub(crate) fn load(&self) -> Result<Tokens, Failure> {
        let text = std::fs::read_to_string(&self.0).map_err(|error| self.failed(&error))?;
        Tokens::from_json(&text).map_err(Failure::from)
    }

    /// Renews the tokens and stores them before they are used.
    ///
    /// A refresh token can be used once, and using it twice can revoke the whole grant: so the file is locked, read
    /// again (another process may have renewed it in the meantime; then its tokens are used), and space for the new
    /// tokens is reserved before the old ones are used.
    pub(crate) fn renew(
        &self,
        dead: Option<&Tokens>,
        refresh: impl FnOnce(&Tokens) -> Result<Tokens, Failure>,
    ) -> Result<Tokens, Failure> {
        let lock = private(
            &sibling_path(&self.0, ".lock"),
            OpenOptions::new().create(true),
        )
        .and_then(|file| file.lock().map(|()| file))
        .map_err(|error| self.failed(&error))?;
        let stored = self.load()?;
        let is_newer = |dead: &Tokens| !stored.access_token.matches(dead.access_token.expose());
        if dead.is_some_and(is_newer) {
            return Ok(stored);
        }
        let draft = self.draft()?;
        let tokens = refresh(&stored)?;
        draft.commit(&tokens)?;
        drop(lock);
        Ok(tokens)
    }

    /// An empty file in the same folder, which proves that the tokens can be stored.
    pub(crate) fn draft(&self) -> Result<Draft, Failure> {
        let path = sibling_path(&self.0, &format!(".{}.tmp", std::process::id()));
        let file = private(&path, OpenOptions::new().create_new(true));
        Ok(Draft {
            file: file.map_err(|error| self.failed(&error))?,
            target: self.clone(),
            path,
        })
    }

    fn failed(&self, reason: &io::Error) -> Failure {
        Failure::usage(
            "usage.token_file",
            format_args!("{}: {reason}", self.0.display()),
            "choose a file that you can read and write",
        )
    }
}

/// A file that will replace another one.
pub(crate) struct Draft {
    file: File,
    path: PathBuf,
    target: TokenFile,
}

impl Draft {
    pub(crate) fn commit(mut self, tokens: &Tokens) -> Result<(), Failure> {
        let json = tokens.to_json();
        self.file
            .write_all(json.expose().as_bytes())
            .and_then(|()| self.file.sync_all())
            .and_then(|()| std::fs::rename(&self.path, &self.target.0))
            .map_err(|error| self.target.failed(&error))
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        // After the renaming there is nothing left to remove.
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The name of a file in the same folder: hidden, and unique to this process.
pub(crate) fn sibling_path(path: &Path, suffix: &str) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(suffix);
    path.with_file_name(name)
}

/// Creates a folder that no other user may read, if it does not exist.
pub(crate) fn private_folder(path: Option<&Path>) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::DirBuilderExt as _;
        builder.mode(0o700);
    }
    path.map_or(Ok(()), |path| builder.create(path))
}

/// Opens a file; if it is new, no other user may read it.
pub(crate) fn private(path: &Path, how: &mut OpenOptions) -> io::Result<File> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        how.mode(0o600);
    }
    how.write(true).open(path)
}
