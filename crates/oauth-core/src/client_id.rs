//! The client identifier. A URL as client id is resolved in `client_id_metadata_document.rs`.

use std::fmt;

use crate::error::{Error, Misuse};

/// The identifier by which the server knows the client. An opaque string that is unique only at that server (RFC 6749
/// section 2.2).
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct ClientId(String);

impl ClientId {
    /// Wraps the identifier.
    pub fn new(id: impl Into<String>) -> Self {
        Self(id.into())
    }

    /// Refuses a client id that is empty, has white space at either end, or contains a control character: the server
    /// would only respond with `invalid_client`. Other characters outside `VSCHAR` (RFC 6749 appendix A.1) are
    /// accepted.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let is_valid =
            !self.0.is_empty() && !has_blank_ends(&self.0) && !self.0.chars().any(char::is_control);
        if is_valid {
            Ok(())
        } else {
            Err(Misuse::ClientIdSyntax.into())
        }
    }

    /// The identifier.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for ClientId {
    fn from(id: &str) -> Self {
        Self::new(id)
    }
}

impl From<String> for ClientId {
    fn from(id: String) -> Self {
        Self::new(id)
    }
}

impl AsRef<str> for ClientId {
    fn as_ref(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientId({})", self.0)
    }
}

/// Whether a client id or secret starts or ends with whitespace, or a byte order mark: what stands around it in a file.
pub(crate) fn has_blank_ends(text: &str) -> bool {
    let is_blank = |c: char| c.is_whitespace() || c == '\u{feff}';
    text.trim_matches(is_blank).len() != text.len()
}
