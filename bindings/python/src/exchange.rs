//! The sans-IO interface: an exchange with an authorization server as a Python generator. (The token exchange of RFC
//! 8693 is an operation.)

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use oauth_core::Moment;
use oauth_core::error::{Cause, Error, Misuse};
use oauth_facade::{ErasedExchange, ErasedStep, Outgoing, Reply, SigningJob, callback_context};
use pyo3::exceptions::{PyException, PyStopIteration, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyTuple, PyType};

use crate::authorization::PendingAuthorization;
use crate::client::Client;
use crate::moment::OwnMoment;
use crate::server::discovery_exchange;
use crate::text::text;
use crate::value::OperationArg;
use crate::{errors, exception_mapping, held_key, value};

/// The largest response body that is passed to an exchange, in bytes.
const BODY_LIMIT: usize = 1 << 20;

/// One exchange: a generator of steps. Its result is the value of StopIteration.
///
/// Each step is a Send, a Sleep or a Sign. It opens no socket: oauth_core.drive or your own
/// driver runs it over your HTTP client. misuse.already_finished after its end.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Exchange {
    state: Mutex<State>,
    moment: OwnMoment,
}

enum State {
    Fresh(ErasedExchange),
    Begun(ErasedExchange),
    Over,
}

impl Exchange {
    pub(crate) fn new(
        py: Python<'_>,
        exchange: Result<ErasedExchange, Error>,
        moment: Option<Py<PyAny>>,
    ) -> PyResult<Self> {
        let exchange = exchange.map_err(|error| errors::raise(py, &error))?;
        Ok(Self {
            state: Mutex::new(State::Fresh(exchange)),
            moment: OwnMoment(moment),
        })
    }

    /// Takes one step; `input` is called with the exchange, the moment, and whether the exchange has begun.
    fn step(
        &self,
        py: Python<'_>,
        thrown: Option<&Bound<'_, PyAny>>,
        input: impl FnOnce(&mut ErasedExchange, Moment, bool) -> Result<ErasedStep, Error>,
    ) -> PyResult<Py<PyAny>> {
        // Before locking: the moment may be a Python function.
        let at = self.moment.take(py)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut exchange, has_begun) = match std::mem::replace(&mut *state, State::Over) {
            State::Fresh(exchange) => (exchange, false),
            State::Begun(exchange) => (exchange, true),
            State::Over => return Err(errors::raise(py, &Misuse::Over.into())),
        };
        let turn = input(&mut exchange, at, has_begun);
        *state = State::Begun(exchange);
        drop(state);
        match turn {
            Ok(ErasedStep::Send(request)) => object(py, Send(request)),
            Ok(ErasedStep::Sleep(pause)) => object(py, Sleep::of(pause)),
            Ok(ErasedStep::Sign(job)) => object(py, Sign(job)),
            // Natively, exchanges verify signatures themselves.
            Ok(ErasedStep::Verify(_)) => Err(errors::raise(py, &Misuse::OutOfOrder.into())),
            Ok(ErasedStep::Done(record)) => Err(PyStopIteration::new_err((value::record_to_py(
                py, record,
            )?,))),
            Err(error) => Err(match thrown {
                Some(cause) => errors::raise_from(py, &error, cause),
                None => errors::raise(py, &error),
            }),
        }
    }
}

/// The exception that the arguments of a generator's throw() describe.
pub(crate) fn thrown<'py>(
    typ: &Bound<'py, PyAny>,
    val: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    match (typ.cast::<PyType>(), val) {
        (Err(_), _) => Ok(typ.clone()),
        (Ok(_), Some(val)) if val.is_instance_of::<pyo3::exceptions::PyBaseException>() => Ok(val),
        (Ok(class), Some(val)) => class.call1((val,)),
        (Ok(class), None) => class.call0(),
    }
}

pub(crate) fn object<T: pyo3::PyClass<BaseType = PyAny> + Into<PyClassInitializer<T>>>(
    py: Python<'_>,
    value: T,
) -> PyResult<Py<PyAny>> {
    Ok(Bound::new(py, value)?.into_any().unbind())
}

#[pymethods]
impl Exchange {
    const fn __iter__(this: PyRef<'_, Self>) -> PyRef<'_, Self> {
        this
    }

    fn __next__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        self.send(py, &py.None().into_bound(py))
    }

    /// Continues with the result of the last step: (status, headers, body) for a Send, None after a Sleep.
    ///
    /// For a Sign, the bytes of the signature. headers are pairs of names and values, each str or
    /// bytes; the body has at most 1 MiB. Raises the errors of the exchange;
    /// misuse.out_of_order for any other result.
    #[pyo3(signature = (sent_value, /))]
    fn send(&self, py: Python<'_>, sent_value: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        if sent_value.is_none() {
            return self.step(py, None, |exchange, at, has_begun| {
                if has_begun {
                    exchange.elapsed(&at)
                } else {
                    exchange.begin(&at)
                }
            });
        }
        if let Ok(signature) = sent_value.cast::<PyBytes>() {
            let signature = signature.as_bytes().to_vec();
            return self.step(py, None, |exchange, at, _| exchange.signed(&at, signature));
        }
        let reply = read_reply(sent_value)?;
        self.step(py, None, |exchange, at, _| {
            if reply.body.len() > BODY_LIMIT {
                return exchange.lost(&at, Cause::too_large());
            }
            exchange.reply(&at, reply)
        })
    }

    /// Reports that no response arrived; a ConnectionRefusedError also means that nothing was sent.
    ///
    /// The causes of the exception are examined too: why there is no response, and whether the request can have
    /// been sent. A BaseException that is not an Exception ends the exchange.
    #[pyo3(signature = (typ, val = None, tb = None, /))]
    fn throw(
        &self,
        py: Python<'_>,
        typ: &Bound<'_, PyAny>,
        val: Option<Bound<'_, PyAny>>,
        tb: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Py<PyAny>> {
        let _ = tb;
        let exception = thrown(typ, val)?;
        if !exception.is_instance_of::<PyException>() {
            self.close();
            return Err(PyErr::from_value(exception));
        }
        let cause = exception_mapping::cause(&exception)?;
        self.step(py, Some(&exception), |exchange, at, _| {
            exchange.lost(&at, cause)
        })
    }

    /// Ends the exchange.
    fn close(&self) {
        *self.state.lock().unwrap_or_else(PoisonError::into_inner) = State::Over;
    }

    /// For annotations: Exchange[Tokens].
    #[classmethod]
    fn __class_getitem__<'py>(
        cls: &Bound<'py, PyType>,
        item: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let types = cls.py().import("types")?;
        types.call_method1("GenericAlias", (cls, item))
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.Exchange>"
    }
}

fn read_reply(sent_value: &Bound<'_, PyAny>) -> PyResult<Reply> {
    let invalid_reply = || {
        PyTypeError::new_err("the result of a step must be (status, headers, body), None or bytes")
    };
    let parts = sent_value.cast::<PyTuple>().map_err(|_| invalid_reply())?;
    let (status, fields, body): (u16, Bound<'_, PyAny>, Vec<u8>) =
        parts.extract().map_err(|_| invalid_reply())?;
    let mut headers = Vec::new();
    for field in fields.try_iter()? {
        let (name, value): (Bound<'_, PyAny>, Bound<'_, PyAny>) = field?.extract()?;
        let name = String::from_utf8(octets(&name)?).map_err(|_| invalid_reply())?;
        headers.push((name, octets(&value)?));
    }
    Ok(Reply {
        status,
        headers,
        body,
    })
}

/// The bytes of a header field: most libraries return them as text with one character for each byte.
fn octets(text: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    match text.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().to_vec()),
        Err(_) => text.call_method1("encode", ("latin-1",))?.extract(),
    }
}

/// A request to send once, without following redirects.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Send(Outgoing);

#[pymethods]
impl Send {
    /// The HTTP method: GET, POST, PUT or DELETE.
    #[getter]
    fn method(&self) -> &str {
        &self.0.method
    }

    /// The whole URL.
    #[getter]
    fn url(&self) -> &str {
        &self.0.url
    }

    /// Pairs of names and values, names in lower case. They may contain secrets.
    #[getter]
    fn headers<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let pairs = self.0.headers.iter().map(|(name, value)| (name, value));
        PyTuple::new(py, pairs.collect::<Vec<_>>())
    }

    /// The body; empty for none. It may contain secrets.
    #[getter]
    fn body<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.body)
    }

    fn __repr__(&self) -> String {
        let url_without_query = self.0.url.split('?').next().unwrap_or_default();
        format!("<oauth_core.Send {} {url_without_query}>", self.0.method)
    }
}

/// A pause. Construct one only to test your own driver.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Sleep(f64);

impl Sleep {
    pub(crate) fn of(pause: Duration) -> Self {
        Self(pause.as_secs_f64())
    }
}

#[pymethods]
impl Sleep {
    #[new]
    #[pyo3(signature = (seconds, /))]
    const fn new(seconds: f64) -> Self {
        Self(seconds)
    }

    /// The length of the pause, in seconds.
    #[getter]
    const fn seconds(&self) -> f64 {
        self.0
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Sleep {}>", self.0)
    }
}

/// Bytes to sign with your own key (RFC 7515 section 5.1).
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Sign(pub(crate) SigningJob);

#[pymethods]
impl Sign {
    /// The id of the key, as you named it.
    #[getter]
    fn key_id(&self) -> &str {
        &self.0.key_id
    }

    /// The JWS algorithm, such as ES256 (RFC 7518 section 3.1).
    #[getter]
    fn alg(&self) -> &'static str {
        self.0.alg
    }

    /// The bytes to sign. For ES256 the signature is r and s, 32 bytes each.
    #[getter]
    fn signing_input<'py>(&self, py: Python<'py>) -> Bound<'py, PyBytes> {
        PyBytes::new(py, &self.0.signing_input)
    }

    /// The signature of a key held outside this process (DpopKey.held): calls its sign function now.
    ///
    /// Raises the exceptions of that function; key.missing for a key without one.
    fn signature<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyBytes>> {
        let signature = held_key::sign(py, &self.0)?;
        Ok(PyBytes::new(py, &signature))
    }

    fn __repr__(&self) -> String {
        format!("<oauth_core.Sign {}>", self.0.alg)
    }
}

/// The native half of oauth_core.Exchanges.
#[pyclass(frozen, subclass, module = "oauth_core")]
pub(crate) struct Exchanges(Py<Client>);

#[pymethods]
impl Exchanges {
    #[new]
    #[pyo3(signature = (client, /))]
    const fn new(client: Py<Client>) -> Self {
        Self(client)
    }

    /// Begins the operation with this number; `_exchange_ops.py` calls this.
    fn _begin(
        &self,
        py: Python<'_>,
        number: u32,
        #[pyo3(from_py_with = text)] arguments: Vec<OperationArg>,
        moment: Option<Py<PyAny>>,
    ) -> PyResult<Exchange> {
        let exchange = self.0.get().begin(py, number, arguments)?;
        Exchange::new(py, Ok(exchange), moment)
    }

    /// Checks the callback and redeems its code (RFC 6749 section 4.1.3).
    #[pyo3(signature = (flow, callback_url, *, resource = None, context = None, user = None, moment = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn redeem(
        &self,
        py: Python<'_>,
        flow: &PendingAuthorization,
        #[pyo3(from_py_with = text)] callback_url: String,
        #[pyo3(from_py_with = text)] resource: Option<Vec<String>>,
        #[pyo3(from_py_with = text)] context: Option<String>,
        #[pyo3(from_py_with = text)] user: Option<String>,
        moment: Option<Py<PyAny>>,
    ) -> PyResult<Exchange> {
        let client = &self.0.get().inner.client;
        let callback_context = callback_context(context, user);
        let exchange =
            flow.0
                .redeem_at(client, &callback_url, resource.as_deref(), callback_context);
        Exchange::new(py, exchange, moment)
    }

    fn __repr__(&self) -> &'static str {
        "<oauth_core.Exchanges>"
    }
}

/// discover() without a transport: an Exchange whose result is a Server.
///
/// moment is for tests and replays: a callable that returns the Unix time in seconds and 32
/// random bytes.
#[pyfunction]
#[pyo3(signature = (issuer, *, transport = "https", prefer = "oauth", moment = None))]
pub(crate) fn discover_exchange(
    py: Python<'_>,
    #[pyo3(from_py_with = text)] issuer: String,
    transport: &str,
    prefer: &str,
    moment: Option<Py<PyAny>>,
) -> PyResult<Exchange> {
    Exchange::new(py, discovery_exchange(&issuer, transport, prefer)?, moment)
}
