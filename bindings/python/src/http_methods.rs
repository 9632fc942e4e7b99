//! HTTP methods such as `get` and `post`, defined once for all classes that send requests, for threads and for tasks.

/// One verb of a class, whose `pending` method sends the request; the fields in brackets are keywords of the class.
macro_rules! verb {
    ($class:ident, $method:literal, $verb:ident, $later:ident, [$($field:ident: $type:ty as $read:ident),*]) => {
        $crate::sync_async::twins! {
            impl $class {
                #[doc = concat!(
                    "request(\"", $method, "\", url): the response, with the same keywords and errors.\n\n",
                    "A status of 400 or above is not an error in itself: see Response.raise_for_status()."
                )]
                #[pyo3(signature = (url, *, headers = None, params = None, $($field = None,)* timeout = None,
                                    on_rate_limit = None, longest_wait = None))]
                fn $verb / $later(
                    self,
                    py,
                    #[pyo3(from_py_with = text)] url: String,
                    headers: Option<Pairs>,
                    params: Option<FormFields>,
                    $(#[pyo3(from_py_with = $read)] $field: $type,)*
                    timeout: Option<f64>,
                    on_rate_limit: Option<&str>,
                    longest_wait: Option<f64>,
                ) {
                    #[allow(clippy::needless_update, reason = "not every verb has every keyword")]
                    let request = ApiRequest {
                        method: $method,
                        url: &url,
                        headers,
                        params,
                        $($field,)*
                        timeout,
                        on_rate_limit,
                        longest_wait,
                        ..ApiRequest::default()
                    };
                    self.pending(py, request)
                }
            }
        }
    };
}

/// All verbs of a class; those with a request body also take `content`, `data` and `json`.
macro_rules! verbs {
    ($class:ident, [$($own:ident: $type:ty as $read:ident),*]) => {
        $crate::http_methods::verb!($class, "GET", get, aget, [$($own: $type as $read),*]);
        $crate::http_methods::verb!($class, "DELETE", delete, adelete, [$($own: $type as $read),*]);
        $crate::http_methods::verb!($class, "POST", post, apost, [
            content: Option<Vec<u8>> as text, data: Option<FormFields> as text, json: Option<Py<PyAny>> as text
            $(, $own: $type as $read)*
        ]);
        $crate::http_methods::verb!($class, "PUT", put, aput, [
            content: Option<Vec<u8>> as text, data: Option<FormFields> as text, json: Option<Py<PyAny>> as text
            $(, $own: $type as $read)*
        ]);
        $crate::http_methods::verb!($class, "PATCH", patch, apatch, [
            content: Option<Vec<u8>> as text, data: Option<FormFields> as text, json: Option<Py<PyAny>> as text
            $(, $own: $type as $read)*
        ]);
    };
}

pub(crate) use {verb, verbs};
