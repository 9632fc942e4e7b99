//! Classifies the exceptions of HTTP clients: whether the request was sent, and why there is no response.

use oauth_core::error::{Cause, Loss};
use pyo3::exceptions::{
    PyBaseException, PyConnectionError, PyConnectionRefusedError, PyTimeoutError,
};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// The most exceptions examined in a chain of causes.
const MAX_DEPTH: usize = 8;

/// The HTTP clients whose exceptions are recognized by name.
const LIBRARIES: [&str; 7] = [
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "urllib3",
    "requests",
    "aiohttp",
];

/// The cause of a lost request, described by the names of the exceptions in the chain. Their messages are left
/// out, because they may contain a URL.
pub(crate) fn cause(exception: &Bound<'_, PyAny>) -> PyResult<Cause> {
    let mut names = Vec::new();
    let mut found_loss: Option<(Loss, RequestSent)> = None;
    let mut next = Some(exception.clone());
    // The chain may be circular.
    for _ in 0..MAX_DEPTH {
        let Some(exception) = next else { break };
        let name = exception.get_type().fully_qualified_name()?.to_string();
        if let Some((loss, sent)) = classify_exception(&exception)? {
            found_loss = Some(match found_loss {
                None => (loss, sent),
                // The innermost exception says best why there was no connection.
                Some((Loss::Connect, sent)) if is_connection_loss(loss) => (loss, sent),
                Some(found_loss) => found_loss,
            });
        }
        next = exception_cause(&exception)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let text = names.join(" of ");
    // A deeper cause may be that of the last of several attempts, and an earlier attempt may have been sent.
    let is_unsent = matches!(classify_exception(exception)?, Some((_, RequestSent::No)));
    let cause = if is_unsent {
        Cause::unsent(text)
    } else {
        Cause::unknown(text)
    };
    Ok(match found_loss {
        Some((loss, _)) => cause.because(loss),
        None => cause,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RequestSent {
    /// There was no connection.
    No,
    Maybe,
}

const fn is_connection_loss(loss: Loss) -> bool {
    matches!(loss, Loss::Dns | Loss::Tls | Loss::Proxy)
}

/// The loss that one exception means, ignoring its causes.
fn classify_exception(exception: &Bound<'_, PyAny>) -> PyResult<Option<(Loss, RequestSent)>> {
    let py = exception.py();
    let is_a = |module: &str, name: &str| -> PyResult<bool> {
        exception.is_instance(&py.import(module)?.getattr(name)?)
    };
    if is_a("socket", "gaierror")? {
        return Ok(Some((Loss::Dns, RequestSent::No)));
    }
    if is_a("ssl", "SSLCertVerificationError")? {
        return Ok(Some((Loss::Tls, RequestSent::No)));
    }
    // Any other TLS error may have occurred on an established connection.
    if is_a("ssl", "SSLError")? {
        return Ok(Some((Loss::Tls, RequestSent::Maybe)));
    }
    if exception.is_instance_of::<PyConnectionRefusedError>() {
        return Ok(Some((Loss::Connect, RequestSent::No)));
    }
    for kind in exception.get_type().mro().iter() {
        if let Some(loss) = loss_by_name(&kind.cast_into::<PyType>()?)? {
            return Ok(Some(loss));
        }
    }
    if exception.is_instance_of::<PyTimeoutError>() {
        return Ok(Some((Loss::Timeout, RequestSent::Maybe)));
    }
    let is_closed = exception.is_instance_of::<PyConnectionError>();
    Ok(is_closed.then_some((Loss::Closed, RequestSent::Maybe)))
}

/// The loss that the name of a library's exception means.
fn loss_by_name(kind: &Bound<'_, PyType>) -> PyResult<Option<(Loss, RequestSent)>> {
    let module = kind.module()?.to_string();
    let library = module.split('.').next().unwrap_or_default();
    if !LIBRARIES.contains(&library) {
        return Ok(None);
    }
    Ok(match kind.name()?.to_string().as_str() {
        "ProxyError" => Some((Loss::Proxy, RequestSent::Maybe)),
        "NameResolutionError" | "ClientConnectorDNSError" => Some((Loss::Dns, RequestSent::No)),
        "ClientConnectorCertificateError" => Some((Loss::Tls, RequestSent::No)),
        // No connection was free in time.
        "PoolTimeout" => Some((Loss::Unsent, RequestSent::No)),
        "ConnectError"
        | "ConnectTimeout"
        | "ConnectTimeoutError"
        | "NewConnectionError"
        | "ConnectionTimeoutError"
        | "ClientConnectorError" => Some((Loss::Connect, RequestSent::No)),
        "TimeoutException" | "Timeout" | "TimeoutError" | "ServerTimeoutError" => {
            Some((Loss::Timeout, RequestSent::Maybe))
        }
        "NetworkError"
        | "ProtocolError"
        | "ClientPayloadError"
        | "ServerDisconnectedError"
        | "ChunkedEncodingError" => Some((Loss::Closed, RequestSent::Maybe)),
        _ => None,
    })
}

/// The cause of an exception: from `raise ... from`, or passed as an argument. `__context__` is ignored, because it
/// may be unrelated to this request.
fn exception_cause<'py>(exception: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let cause = exception.getattr("__cause__")?;
    if !cause.is_none() {
        return Ok(Some(cause));
    }
    let is_exception =
        |candidate: &Bound<'py, PyAny>| candidate.is_instance_of::<PyBaseException>();
    if let Some(reason) = exception.getattr_opt("reason")?.filter(is_exception) {
        return Ok(Some(reason));
    }
    let first = exception.getattr("args")?.get_item(0).ok();
    Ok(first.filter(is_exception))
}
