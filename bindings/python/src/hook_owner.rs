//! Whose hooks run, so that a call that would wait for one of them is refused in it.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use oauth_core::error::Misuse;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use crate::errors;
use crate::fork_safety::PerProcess;

/// What hooks belong to, and calls wait for: a source, a connection, a pool of grants, or those of one user.
#[derive(Clone, Debug)]
pub(crate) struct HookOwner(Arc<Identity>);

#[derive(Clone, Debug)]
struct Identity {
    id: u64,
    /// The user, or the client itself, if not the whole pool.
    subject: Option<Option<String>>,
    /// The key of the record in a store, whose lease is held while the hook runs.
    key: Option<String>,
}

impl HookOwner {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(Arc::new(Identity {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            subject: None,
            key: None,
        }))
    }

    pub(crate) fn with_key(&self, key: Option<String>) -> Self {
        let identity = (*self.0).clone();
        Self(Arc::new(Identity { key, ..identity }))
    }

    /// One user of this pool, or the client itself.
    pub(crate) fn with_subject(&self, subject: Option<&str>) -> Self {
        let subject = Some(subject.map(str::to_owned));
        let identity = (*self.0).clone();
        Self(Arc::new(Identity {
            subject,
            ..identity
        }))
    }

    fn overlaps(&self, other: &Self) -> bool {
        let (this, other) = (&self.0, &other.0);
        let same_part = this.subject.is_none() || other.subject.is_none();
        (this.id == other.id && (same_part || this.subject == other.subject))
            || (this.key.is_some() && this.key == other.key)
    }

    /// Runs a hook of this owner.
    pub(crate) fn in_hook<T>(
        self,
        py: Python<'_>,
        hook: impl FnOnce() -> PyResult<T>,
    ) -> PyResult<T> {
        let variable = variable(py)?;
        let outer = RunningHook::innermost(py)?;
        let running = RunningHook {
            owner: self,
            is_over: AtomicBool::new(false),
            outer,
        };
        let running = Bound::new(py, running)?;
        let token = variable.call_method1("set", (&running,))?;
        HOOKS.fetch_add(1, Ordering::SeqCst);
        let result = hook();
        HOOKS.fetch_sub(1, Ordering::SeqCst);
        running.get().is_over.store(true, Ordering::SeqCst);
        variable.call_method1("reset", (token,))?;
        result
    }
}

/// The number of hooks that run: usually none, and then nothing has to be looked up.
static HOOKS: AtomicUsize = AtomicUsize::new(0);

/// A hook that runs, or has run in this context. Tasks and threads that the hook starts inherit the context.
#[pyclass(frozen)]
struct RunningHook {
    owner: HookOwner,
    is_over: AtomicBool,
    outer: Option<Py<Self>>,
}

impl RunningHook {
    fn innermost(py: Python<'_>) -> PyResult<Option<Py<Self>>> {
        Ok(variable(py)?.call_method1("get", (py.None(),))?.extract()?)
    }

    /// The owners of the hooks in which this is called.
    fn owners(py: Python<'_>) -> PyResult<Vec<HookOwner>> {
        let mut owners = Vec::new();
        let mut next = Self::innermost(py)?;
        while let Some(hook) = next {
            let hook = hook.get();
            if !hook.is_over.load(Ordering::SeqCst) {
                owners.push(hook.owner.clone());
            }
            next = hook.outer.as_ref().map(|outer| outer.clone_ref(py));
        }
        Ok(owners)
    }
}

/// A context variable rather than one of the thread: greenlets share a thread, and a hook may wait for a task.
fn variable(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static VARIABLE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let variable = VARIABLE.get_or_try_init(py, || {
        let class = py.import("contextvars")?.getattr("ContextVar")?;
        Ok::<_, PyErr>(class.call1(("oauth_core_hook",))?.unbind())
    })?;
    Ok(variable.bind(py))
}

/// The owners whose hooks a call waits for.
#[derive(Clone)]
pub(crate) enum WaitsFor {
    Owners(Vec<HookOwner>),
    /// Only the application's code knows.
    Anything,
}

impl WaitsFor {
    pub(crate) fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Owners(mut owners), Self::Owners(more)) => {
                owners.extend(more);
                Self::Owners(owners)
            }
            _ => Self::Anything,
        }
    }

    /// Begins to wait, until the result is dropped.
    ///
    /// # Errors
    /// `misuse.deadlock` in a hook for which the call would wait.
    pub(crate) fn begin(self, py: Python<'_>) -> PyResult<Option<Wait>> {
        if HOOKS.load(Ordering::SeqCst) == 0 {
            return Ok(None);
        }
        let hooks = RunningHook::owners(py)?;
        if hooks.is_empty() {
            return Ok(None);
        }
        let deadlock = || errors::raise(py, &Misuse::Deadlock.into());
        let Self::Owners(targets) = self else {
            return Err(deadlock());
        };
        let waits = process_waits();
        let mut list = lock(&waits);
        // What the hooks of these owners wait for has to be waited for, too.
        let mut reached = targets.clone();
        let mut next = 0;
        while let Some(target) = reached.get(next).cloned() {
            next += 1;
            if hooks.iter().any(|hook| hook.overlaps(&target)) {
                return Err(deadlock());
            }
            for edge in list.iter().filter(|edge| edge.hook.overlaps(&target)) {
                if !reached
                    .iter()
                    .any(|known| Arc::ptr_eq(&known.0, &edge.target.0))
                {
                    reached.push(edge.target.clone());
                }
            }
        }
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        for hook in hooks {
            list.extend(targets.iter().map(|target| Edge {
                id,
                hook: hook.clone(),
                target: target.clone(),
            }));
        }
        drop(list);
        Ok(Some(Wait { id, waits }))
    }
}

/// A hook waits for an owner.
struct Edge {
    id: u64,
    hook: HookOwner,
    target: HookOwner,
}

type Waits = Arc<Mutex<Vec<Edge>>>;

fn process_waits() -> Waits {
    static WAITS: PerProcess<Waits> = PerProcess::new();
    let Ok(waits) = WAITS.with(|| Ok::<_, Infallible>(Waits::default()), Arc::clone);
    waits
}

fn lock(waits: &Waits) -> MutexGuard<'_, Vec<Edge>> {
    waits.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A call in a hook that waits.
pub(crate) struct Wait {
    id: u64,
    waits: Waits,
}

impl Drop for Wait {
    fn drop(&mut self) {
        lock(&self.waits).retain(|edge| edge.id != self.id);
    }
}
