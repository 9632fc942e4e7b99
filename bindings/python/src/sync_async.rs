//! Defines each call once, as a blocking method and as a coroutine.

/// Defines methods of a class twice: blocking under the first name, as a coroutine under the second. The block creates
/// the pending call.
macro_rules! twins {
    (impl $class:ident { $(
        $(#[doc = $text:expr])*
        #[pyo3(signature = $signature:tt)]
        fn $name:ident / $later:ident($this:ident, $py:ident $(, $(#[$read:meta])* $given:ident: $type:ty)* $(,)?) $work:block
    )* }) => {
        #[pymethods]
        impl $class { $(
            $(#[doc = $text])*
            #[pyo3(signature = $signature)]
            #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
            fn $name(&$this, $py: Python<'_> $(, $(#[$read])* $given: $type)*) -> PyResult<Py<PyAny>> {
                let begin = || -> PyResult<$crate::pending_call::PendingCall> { $work };
                begin()?.wait($py)
            }

            #[doc = concat!(stringify!($name), "(), in a coroutine.")]
            #[pyo3(signature = $signature)]
            #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
            fn $later<'py>(
                &$this,
                $py: Python<'py>
                $(, $(#[$read])* $given: $type)*
            ) -> PyResult<Bound<'py, PyAny>> {
                let begin = || -> PyResult<$crate::pending_call::PendingCall> { $work };
                let name = pyo3::intern!($py, concat!(stringify!($class), ".", stringify!($later)));
                begin()?.into_coroutine($py, name)
            }
        )* }
    };
}

pub(crate) use twins;
