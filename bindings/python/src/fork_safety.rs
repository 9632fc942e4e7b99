//! Values that belong to one process: threads and sockets do not survive `os.fork()`.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

/// A value that each process creates for itself.
///
/// It uses no lock: a lock that a different thread holds during a fork would stay locked in the child.
pub(crate) struct PerProcess<T>(ArcSwapOption<ProcessValue<T>>);

struct ProcessValue<T> {
    pid: u32,
    value: T,
}

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self(ArcSwapOption::const_empty())
    }

    /// Whether this process has a value.
    pub(crate) fn is_made(&self) -> bool {
        let held = self.0.load();
        held.as_ref()
            .is_some_and(|existing| existing.pid == std::process::id())
    }

    /// The value of this process, which `make` creates if it does not exist.
    pub(crate) fn with<R, E>(
        &self,
        make: impl FnOnce() -> Result<T, E>,
        read: impl FnOnce(&T) -> R,
    ) -> Result<R, E> {
        let pid = std::process::id();
        let held = self.0.load_full();
        if let Some(existing) = held.as_ref().filter(|existing| existing.pid == pid) {
            return Ok(read(&existing.value));
        }
        let new = Arc::new(ProcessValue {
            pid,
            value: make()?,
        });
        let before = self.0.compare_and_swap(&held, Some(Arc::clone(&new)));
        let is_stored = match (&*before, &held) {
            (None, None) => true,
            (Some(before), Some(held)) => Arc::ptr_eq(before, held),
            _ => false,
        };
        if is_stored {
            // The parent's value is leaked: its threads do not exist in this process, so dropping it is unsafe.
            std::mem::forget(held);
        }
        // If a different thread was faster, all threads use its value.
        Ok(read(&self.0.load_full().unwrap_or(new).value))
    }
}
