//! The rate limit of an API, and the handling of its responses that request a pause.

use std::time::Duration;

use oauth_facade::{Allowance, OnRateLimit, RateLimitChoice};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;

use crate::hooks::Hook;

/// The rate limit of an API, and the handling of its responses that request a pause.
pub(crate) struct Limits {
    pub(crate) on_rate_limit: OnRateLimit,
    pub(crate) keeping: RateLimitChoice,
    pub(crate) on_wait: Option<Hook>,
}

impl Limits {
    pub(crate) fn new(
        on_rate_limit: &str,
        longest_wait: f64,
        allowance: Option<&Bound<'_, PyAny>>,
        on_wait: Option<Hook>,
    ) -> PyResult<Self> {
        let invalid_allowance =
            || PyValueError::new_err("allowance must be \"documented\" or (requests, seconds)");
        let keeping = match allowance {
            None => RateLimitChoice::Nothing,
            Some(value) if value.eq("documented").is_ok_and(|is_equal| is_equal) => {
                RateLimitChoice::Documented
            }
            Some(value) => {
                let (requests, seconds) = value
                    .extract::<(u32, u32)>()
                    .map_err(|_| invalid_allowance())?;
                RateLimitChoice::Allowance(Allowance::new(requests, seconds))
            }
        };
        Ok(Self {
            on_rate_limit: policy_from_name(on_rate_limit, longest_wait)?,
            keeping,
            on_wait,
        })
    }
}

pub(crate) fn policy_from_name(on_rate_limit: &str, longest_wait: f64) -> PyResult<OnRateLimit> {
    let longest = Duration::try_from_secs_f64(longest_wait)
        .map_err(|_| PyValueError::new_err("longest_wait must be a number of seconds"))?;
    match on_rate_limit {
        "error" => Ok(OnRateLimit::Error),
        "wait" => Ok(OnRateLimit::Wait { longest }),
        "pass" => Ok(OnRateLimit::Pass),
        _ => Err(PyValueError::new_err(
            "on_rate_limit must be error, wait or pass",
        )),
    }
}
