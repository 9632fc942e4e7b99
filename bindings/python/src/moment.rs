//! The time and random bytes of a step: the system's, or those of the caller's `moment` callable.

use oauth_core::Moment;
use oauth_core::moment::UnixTime;
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors;

/// The caller's callable that returns `(now, seed)`; without one, the system's clock and random bytes are used.
pub(crate) struct OwnMoment(pub(crate) Option<Py<PyAny>>);

impl OwnMoment {
    /// The same callable, for an exchange.
    pub(crate) fn callable(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        self.0.as_ref().map(|callable| callable.clone_ref(py))
    }

    /// The moment of one step.
    pub(crate) fn take(&self, py: Python<'_>) -> PyResult<Moment> {
        let Some(callable) = &self.0 else {
            return Moment::system().map_err(|error| errors::raise(py, &error));
        };
        let moment = callable.bind(py).call0()?;
        let (now, seed): (f64, Bound<'_, PyBytes>) = moment.extract()?;
        let seed = <[u8; 32]>::try_from(seed.as_bytes())
            .map_err(|_| PyValueError::new_err("the moment's seed must be 32 bytes"))?;
        if !(now.is_finite() && now >= 0.0) {
            return Err(PyValueError::new_err(
                "the moment's time must be a number of seconds since 1970",
            ));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole seconds are wanted, and the cast saturates"
        )]
        let now = UnixTime::from_secs(now as u64);
        Ok(Moment::fixed(now, seed))
    }
}
