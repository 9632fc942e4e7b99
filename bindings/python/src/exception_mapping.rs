//! Maps the exceptions of a caller's HTTP client to the cause of a lost request: whether it was sent, and why there is
//! no reply.

use oauth_core::error::{Cause, Loss};
use pyo3::exceptions::{
    PyBaseException, PyConnectionError, PyConnectionRefusedError, PyTimeoutError,
};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// So many exceptions are looked at, each the cause of the one before.
const DEPTH: usize = 8;

/// HTTP clients whose exceptions mean what their names say.
const LIBRARIES: [&str; 7] = [
    "httpx",
    "httpx2",
    "httpcore",
    "httpcore2",
    "urllib3",
    "requests",
    "aiohttp",
];

/// The cause of an error, named after the exception and what it came of. Their names only: their
/// texts may hold a URL.
pub(crate) fn cause(exception: &Bound<'_, PyAny>) -> PyResult<Cause> {
    let mut names = Vec::new();
    let mut known: Option<(Loss, Sent)> = None;
    let mut next = Some(exception.clone());
    // They may go round in a circle.
    for _ in 0..DEPTH {
        let Some(one) = next else { break };
        let name = one.get_type().fully_qualified_name()?.to_string();
        if let Some((loss, sent)) = loss_of(&one)? {
            known = Some(match known {
                None => (loss, sent),
                // Why there was no connection is known best at the bottom.
                Some((Loss::Connect, sent)) if is_of_connecting(loss) => (loss, sent),
                Some(known) => known,
            });
        }
        next = beneath(&one)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let text = names.join(" of ");
    // Its cause is that of the last of possibly several attempts, and an earlier one may have been sent.
    let is_unsent = matches!(loss_of(exception)?, Some((_, Sent::Not)));
    let cause = match is_unsent {
        true => Cause::unsent(text),
        false => Cause::unknown(text),
    };
    Ok(match known {
        Some((loss, _)) => cause.because(loss),
        None => cause,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sent {
    /// There was no connection it could have gone over.
    Not,
    Perhaps,
}

const fn is_of_connecting(loss: Loss) -> bool {
    matches!(loss, Loss::Dns | Loss::Tls | Loss::Proxy)
}

/// The cause that one exception shows, without its own causes.
fn loss_of(one: &Bound<'_, PyAny>) -> PyResult<Option<(Loss, Sent)>> {
    let py = one.py();
    let is_a = |module: &str, name: &str| -> PyResult<bool> {
        one.is_instance(&py.import(module)?.getattr(name)?)
    };
    if is_a("socket", "gaierror")? {
        return Ok(Some((Loss::Dns, Sent::Not)));
    }
    if is_a("ssl", "SSLCertVerificationError")? {
        return Ok(Some((Loss::Tls, Sent::Not)));
    }
    // Any other may come of a connection that was in use.
    if is_a("ssl", "SSLError")? {
        return Ok(Some((Loss::Tls, Sent::Perhaps)));
    }
    if one.is_instance_of::<PyConnectionRefusedError>() {
        return Ok(Some((Loss::Connect, Sent::Not)));
    }
    for kind in one.get_type().mro().iter() {
        if let Some(told) = named(&kind.cast_into::<PyType>()?)? {
            return Ok(Some(told));
        }
    }
    if one.is_instance_of::<PyTimeoutError>() {
        return Ok(Some((Loss::Timeout, Sent::Perhaps)));
    }
    let is_closed = one.is_instance_of::<PyConnectionError>();
    Ok(is_closed.then_some((Loss::Closed, Sent::Perhaps)))
}

/// The cause that the name of a library's exception shows.
fn named(kind: &Bound<'_, PyType>) -> PyResult<Option<(Loss, Sent)>> {
    let module = kind.module()?.to_string();
    let library = module.split('.').next().unwrap_or_default();
    if !LIBRARIES.contains(&library) {
        return Ok(None);
    }
    Ok(match kind.name()?.to_string().as_str() {
        "ProxyError" => Some((Loss::Proxy, Sent::Perhaps)),
        "NameResolutionError" | "ClientConnectorDNSError" => Some((Loss::Dns, Sent::Not)),
        "ClientConnectorCertificateError" => Some((Loss::Tls, Sent::Not)),
        // No connection was free in time.
        "PoolTimeout" => Some((Loss::Unsent, Sent::Not)),
        "ConnectError"
        | "ConnectTimeout"
        | "ConnectTimeoutError"
        | "NewConnectionError"
        | "ConnectionTimeoutError"
        | "ClientConnectorError" => Some((Loss::Connect, Sent::Not)),
        "TimeoutException" | "Timeout" | "TimeoutError" | "ServerTimeoutError" => {
            Some((Loss::Timeout, Sent::Perhaps))
        }
        "NetworkError"
        | "ProtocolError"
        | "ClientPayloadError"
        | "ServerDisconnectedError"
        | "ChunkedEncodingError" => Some((Loss::Closed, Sent::Perhaps)),
        _ => None,
    })
}

/// What the exception was raised from: said with `from`, or handed over in its place. What was merely
/// being handled meanwhile says nothing of this request.
fn beneath<'py>(one: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let said = one.getattr("__cause__")?;
    if !said.is_none() {
        return Ok(Some(said));
    }
    let is_exception = |it: &Bound<'py, PyAny>| it.is_instance_of::<PyBaseException>();
    if let Some(reason) = one.getattr_opt("reason")?.filter(is_exception) {
        return Ok(Some(reason));
    }
    let first = one.getattr("args")?.get_item(0).ok();
    Ok(first.filter(is_exception))
}
