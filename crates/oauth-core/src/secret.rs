//! [`Secret`]: values that are redacted in `Debug`, zeroized on drop and compared in constant time.

use std::fmt;

use bytes::Bytes;
use subtle::ConstantTimeEq as _;
use zeroize::Zeroize as _;

/// Memory that can be overwritten before it is freed.
pub trait Wipe {
    /// Overwrites the value and leaves it empty.
    fn wipe(&mut self);
}

impl Wipe for Vec<u8> {
    /// Overwrites the memory as one block, because `Vec::zeroize` writes single bytes.
    ///
    /// A vector without memory is left alone: its pointer is to no page, and to overwrite no bytes there takes a processor
    /// with AVX-512 some 70 ns, as its masked stores have to find out that nothing is stored.
    fn wipe(&mut self) {
        if self.capacity() == 0 {
            return;
        }
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

/// Bytes that are overwritten once the last reference is dropped.
pub(crate) fn zeroizing_bytes(text: String) -> Bytes {
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

/// A value that is never printed.
///
/// A secret has no `Display`, no `Serialize` and no `PartialEq`; `Debug` shows `[redacted]`. The memory is overwritten
/// on drop, except copies made by an HTTP client or a garbage-collected host.
#[derive(Clone)]
pub struct Secret<T: Wipe>(T);

impl<T: Wipe> Secret<T> {
    /// Wraps `value`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value itself. Every call is a place where a secret leaves the wrapper, so keep such calls few.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Wipe + Default> Secret<T> {
    /// Unwraps a value that is about to be sent, and that its next owner overwrites.
    pub(crate) fn into_inner(mut self) -> T {
        std::mem::take(&mut self.0)
    }
}

impl Secret<String> {
    /// Whether this equals `other`, in time that depends only on the lengths.
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

/// The name of a file or variable for error messages. If the caller passed a JWT by mistake, it is not shown.
///
/// ```
/// use oauth_core::secret::shown_name;
///
/// assert_eq!(shown_name("/run/token"), "/run/token");
/// assert!(!shown_name("eyJhbGciOiJSUzI1NiJ9.e30.c2ln").contains("eyJ"));
/// ```
pub fn shown_name(name: &str) -> &str {
    let is_jwt = |part: &str| part.starts_with("eyJ");
    if name.split(['/', '\\']).any(is_jwt) {
        "a token, in place of the name of what holds one"
    } else {
        name
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

    /// A value that counts how often it is wiped.
    struct WipeCounter<'a>(&'a std::cell::Cell<u32>);

    impl Wipe for WipeCounter<'_> {
        fn wipe(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }

    #[test]
    fn secret_is_wiped_on_drop() {
        let wiped = std::cell::Cell::new(0);
        let secret = Secret::new(WipeCounter(&wiped));
        assert_eq!(secret.expose().0.get(), 0);
        drop(secret);
        assert_eq!(wiped.get(), 1);
    }

    /// The bytes at this address in the process's memory, read without unsafe code.
    #[cfg(target_os = "linux")]
    fn memory(at: usize, length: usize) -> Vec<u8> {
        use std::os::unix::fs::FileExt as _;
        let mut bytes = vec![0; length];
        let read = std::fs::File::open("/proc/self/mem")
            .and_then(|memory| memory.read_exact_at(&mut bytes, at as u64));
        // Memory that was returned to the system no longer holds anything.
        read.map(|()| bytes).unwrap_or_default()
    }

    #[cfg(target_os = "linux")]
    const MARK: &str = "S3CR3T-marker-S3CR3T-marker-S3CR3T-marker-S3CR3T-marker-S3CR3T.";

    /// Drops `holder`, whose bytes are at `at`, and checks whether the end of the mark remains: the allocator writes
    /// its own data only at the beginning.
    #[cfg(target_os = "linux")]
    fn remains_in_memory(holder: impl Sized, at: *const u8) -> bool {
        let (address, tail) = (at as usize, MARK.len() / 2);
        let before = memory(address, MARK.len());
        assert_eq!(before, MARK.as_bytes(), "the memory is looked at");
        drop(holder);
        memory(address + tail, MARK.len() - tail)
            .windows(8)
            .any(|part| MARK.as_bytes().windows(8).any(|window| window == part))
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn freed_memory_contains_no_secret() {
        struct Bare(#[expect(dead_code, reason = "held, not read")] String);
        let text = MARK.to_owned();
        let at = text.as_ptr();
        assert!(
            remains_in_memory(Bare(text), at),
            "an allocator that wipes makes this test worthless"
        );

        let secret = Secret::new(MARK.to_owned());
        let at = secret.expose().as_ptr();
        assert!(!remains_in_memory(secret, at), "Secret<String>");

        let secret = Secret::new(MARK.as_bytes().to_vec());
        let at = secret.expose().as_ptr();
        assert!(!remains_in_memory(secret, at), "Secret<Vec<u8>>");

        let bytes = zeroizing_bytes(MARK.to_owned());
        let (other, at) = (bytes.clone(), bytes.as_ptr());
        drop(bytes);
        assert!(!remains_in_memory(other, at), "Bytes");

        // The truncated part is as secret as the rest.
        let mut text = MARK.as_bytes().to_vec();
        let at = text.as_ptr();
        text.truncate(4);
        assert!(!remains_in_memory(Secret::new(text), at), "spare capacity");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn form_leaves_no_secret_in_freed_memory() {
        let mut form = crate::form::Form::new();
        form.push("a", MARK);
        let at = form.as_str().as_ptr().wrapping_add(2);
        let room = form.as_str().len();
        // The string is reallocated, and the old block is freed.
        let address = at as usize + MARK.len() / 2;
        for n in 0..100 {
            form.push(&format!("p{n}"), "some value that takes room");
        }
        assert_ne!(form.as_str().as_ptr().wrapping_add(2), at);
        assert!(!memory(address, 16).starts_with(b"marker"), "{room}");
        let leftover = memory(address, MARK.len() / 2);
        assert!(
            !MARK
                .as_bytes()
                .windows(8)
                .any(|part| leftover.windows(8).any(|window| window == part))
        );

        let mut form = crate::form::Form::new();
        form.push("a", MARK);
        let at = form.as_str().as_ptr().wrapping_add(2);
        assert!(!remains_in_memory(form, at), "dropped");
        let mut form = crate::form::Form::new();
        form.push("a", MARK);
        let body = form.into_body();
        let at = body.as_ptr().wrapping_add(2);
        assert!(!remains_in_memory(body, at), "sent");
    }
}
