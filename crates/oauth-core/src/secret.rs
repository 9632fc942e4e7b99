//! Text that must not be seen: redacted, zeroized on drop, compared in constant time.

use std::fmt;

use bytes::Bytes;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

/// Memory that can be overwritten before it is freed.
pub trait Wipe {
    /// Overwrites the value; what stays is empty.
    fn wipe(&mut self);
}

impl Wipe for Vec<u8> {
    /// As one block, where `Vec::zeroize` goes byte by byte.
    fn wipe(&mut self) {
        self.spare_capacity_mut().zeroize();
        self.as_mut_slice().zeroize();
        self.clear();
    }
}

impl Wipe for String {
    fn wipe(&mut self) {
        std::mem::take(self).into_bytes().wipe();
    }
}

/// Bytes that are overwritten once nobody holds them any more.
pub(crate) fn wiped(text: String) -> Bytes {
    struct Owner(Vec<u8>);

    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }

    impl Drop for Owner {
        fn drop(&mut self) {
            self.0.wipe();
        }
    }

    Bytes::from_owner(Owner(text.into_bytes()))
}

/// A value that never prints itself.
///
/// It has no `Display`, no `Serialize` and no `PartialEq`; `Debug` says `[redacted]`. The memory
/// is overwritten on drop. Copies made by an HTTP client or a garbage-collected host are beyond
/// its reach.
#[derive(Clone)]
pub struct Secret<T: Wipe>(T);

impl<T: Wipe> Secret<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every call is a place where a secret leaves its wrapper.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl Secret<String> {
    /// Whether this is `other`, in time that depends on the lengths only.
    pub fn matches(&self, other: &str) -> bool {
        self.0.as_bytes().ct_eq(other.as_bytes()).into()
    }
}

impl<T: Wipe> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.wipe();
    }
}

impl<T: Wipe> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<String> for Secret<String> {
    fn from(value: String) -> Self {
        Self(value)
    }
}

impl From<&str> for Secret<String> {
    fn from(value: &str) -> Self {
        Self(value.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_is_redacted() {
        let secret = Secret::from("S3CR3T");
        assert_eq!(format!("{secret:?}"), "[redacted]");
    }

    #[test]
    fn matches_compares_whole_values() {
        let secret = Secret::from("xyz");
        assert!(secret.matches("xyz"));
        assert!(!secret.matches("xyZ"));
        assert!(!secret.matches("xy"));
        assert!(!secret.matches(""));
    }
}
