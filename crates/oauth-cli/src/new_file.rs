//! Creates files with secrets: new files, readable by this user only, with their permissions set before the content is
//! written.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::output::Failure;
use crate::token_file;

/// A new, empty file. It is removed again unless it is filled.
pub(crate) struct NewFile {
    path: PathBuf,
    file: File,
    is_filled: bool,
}

impl NewFile {
    /// Creates the file, which must not exist.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let file = token_file::private(path, OpenOptions::new().create_new(true));
        let file = file.map_err(|error| unwritten(path, &error))?;
        Ok(Self {
            path: path.to_owned(),
            file,
            is_filled: false,
        })
    }

    /// Writes the content.
    pub(crate) fn fill(mut self, text: &str) -> Result<(), Failure> {
        let written = self.file.write_all(text.as_bytes());
        let written = written.and_then(|()| self.file.sync_all());
        written.map_err(|error| unwritten(&self.path, &error))?;
        self.is_filled = true;
        Ok(())
    }
}

impl Drop for NewFile {
    fn drop(&mut self) {
        if !self.is_filled {
            // A partly written secret is of no use.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn unwritten(path: &Path, reason: &io::Error) -> Failure {
    let hint = match reason.kind() {
        io::ErrorKind::AlreadyExists => "existing files are never overwritten: choose another file",
        _ => "choose a file that you can write to",
    };
    Failure::usage(
        "usage.output",
        format_args!("{}: {reason}", path.display()),
        hint,
    )
}
