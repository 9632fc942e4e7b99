//! Creates files with secrets: new files, readable by this user only, with their permissions set before the content is
//! written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::output::Failure;
use crate::token_file;

/// A new and empty file. It is taken away again unless it is filled.
pub(crate) struct NewFile {
    path: PathBuf,
    file: File,
    is_filled: bool,
}

impl NewFile {
    /// Makes the file, which must not be there.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let file = token_file::private(path, OpenOptions::new().create_new(true));
        let file = file.map_err(|why| unwritten(path, &why))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            is_filled: false,
        })
    }

    /// Writes what is to be in it.
    pub(crate) fn fill(mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(text.as_bytes());
        let written = written.and_then(|()| self.file.sync_all());
        written.map_err(|why| unwritten(&self.path, &why))?;
        self.is_filled = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_filled {
            // Half a secret is nobody's.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn unwritten(path: &Path, why: &io::Error) -> Failure {
    let hint = match why.kind() {
        io::ErrorKind::AlreadyExists => "nothing is overwritten: write to another file",
        _ => "give a file this user may write",
    };
    Failure::usage(
        "usage.output",
        format_args!("{}: {why}", path.display()),
        hint,
    )
}
