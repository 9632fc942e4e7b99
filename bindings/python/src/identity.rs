//! The subject tokens of identity assertion grants: those of a sign-in at the identity provider.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::error::{Cause, Error};
use oauth_core::exchange::Boxed;
use oauth_core::grant::IdentitySubject;
use oauth_core::moment::UnixTime;
use oauth_core::workload::{AssertionRequest, AssertionSource as _};
use oauth_facade::SubjectSlot;
use oauth_reqwest::AssertionFile;
use oauth_session::store::Answer;
use oauth_session::{HeldTokens, SubjectTokenSource, TokenDriver};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use tokio::runtime::Handle;

use crate::api::Source;
use crate::client::Client;
use crate::custom_source::raised;
use crate::keys::result_of_callback;
use crate::network::LazyDriver;
use crate::shared_client::SharedClient;
use crate::text::text;
use crate::{errors, runtime, secret};

/// A subject token; and if it is a refresh token, the hold on its grant.
type Subject = (IdentitySubject, Option<HeldTokens>);

/// The time for which a sign-in is held beyond that of its two requests.
const HOLD_MARGIN: Duration = Duration::from_secs(5);

/// The time for which a caller waits for a sign-in whose request a custom driver makes.
const HELD_BY_HAND: Duration = Duration::from_secs(60);

/// The origin of the subject token, which is read again for each request.
enum Origin {
    Source(Source),
    Function(Py<PyAny>),
    File(AssertionFile),
}

/// The sign-in arguments of a call.
pub(crate) struct SignInArguments<'a, 'py> {
    pub(crate) identity_provider: Option<&'a Bound<'py, Client>>,
    pub(crate) sign_in: Option<&'a Bound<'py, PyAny>>,
    pub(crate) subject_token_type: Option<String>,
}

impl SignInArguments<'_, '_> {
    /// The client, which obtains tokens by identity assertion if a sign-in is given.
    ///
    /// # Errors
    /// `TypeError` if only one of both arguments is given; `identity_assertion.subject_token_type`.
    pub(crate) fn client(
        self,
        py: Python<'_>,
        client: &Arc<SharedClient>,
        has_tokens: bool,
    ) -> PyResult<Arc<SharedClient>> {
        let (provider, sign_in) = match (self.identity_provider, self.sign_in) {
            (None, None) if self.subject_token_type.is_none() => return Ok(Arc::clone(client)),
            (Some(_), Some(_)) if has_tokens => {
                let both = "tokens and sign_in cannot be given together";
                return Err(PyTypeError::new_err(both));
            }
            (Some(provider), Some(sign_in)) => (provider.get(), sign_in),
            _ => {
                let both = "identity_provider and sign_in must be given together";
                return Err(PyTypeError::new_err(both));
            }
        };
        let kind = self.subject_token_type;
        let kind = kind.unwrap_or_else(|| "id_token".to_owned());
        let checked_subject = IdentitySubject::from_parts(secret("any".to_owned()), &kind);
        checked_subject.map_err(|error| errors::raise(py, &error))?;
        let reader = Arc::new(SignInReader {
            origin: Origin::of(sign_in)?,
            idp: provider.inner.client.clone(),
            issuer: provider.inner.server.issuer().to_owned(),
            kind,
            slot: SubjectSlot::default(),
        });
        let read = Arc::clone(&reader);
        Ok(Arc::new(SharedClient {
            client: client
                .client
                .with_identity(&provider.inner.client, move |now| read.take(now)),
            server: client.server.clone(),
            request_settings: Arc::clone(&client.request_settings),
            sign_in: Some(reader),
        }))
    }
}

/// Reads the subject token for a request.
pub(crate) struct SignInReader {
    origin: Origin,
    idp: oauth_facade::Client,
    issuer: String,
    kind: String,
    /// The subject token that was read before the request began.
    slot: SubjectSlot,
}

impl SignInReader {
    /// With the hold on the sign-in, if it is its refresh token: for the time of the request, at most `limit`.
    fn read(&self, now: UnixTime, limit: Duration) -> Result<Subject, Error> {
        let issuer_and_kind = (&*self.issuer, &*self.kind);
        self.origin.read(&self.idp, issuer_and_kind, now, limit)
    }

    /// The subject token that was read before; reads it now for the caller's own driver, which has not. It is unknown
    /// when its request ends, so it should be the only one that uses the sign-in.
    fn take(&self, now: UnixTime) -> Result<IdentitySubject, Error> {
        let read = || self.read(now, HELD_BY_HAND).map(|(subject, _)| subject);
        self.slot.take().unwrap_or_else(read)
    }
}

/// Reads the subject token before each request of a source, on a thread that may block. The timeout of the request and its
/// lease include this time.
pub(crate) struct IdentityAssertionDriver {
    pub(crate) driver: LazyDriver,
    pub(crate) sign_in: Arc<SignInReader>,
}

impl TokenDriver for IdentityAssertionDriver {
    fn run(&self, exchange: Boxed<oauth_core::Tokens>) -> Answer<'_, oauth_core::Tokens> {
        Box::pin(async move {
            let sign_in = Arc::clone(&self.sign_in);
            let limit = self.driver.longest().saturating_mul(2) + HOLD_MARGIN;
            let read = move || sign_in.read(UnixTime::system()?, limit);
            let read = tokio::task::spawn_blocking(read);
            let stopped = |_| Err(Error::lost(Cause::unsent("the sign-in was stopped")));
            let (subject, held) = match read.await.unwrap_or_else(stopped) {
                Ok((subject, held)) => (Ok(subject), held),
                Err(error) => (Err(error), None),
            };
            self.sign_in.slot.leave(subject);
            let outcome = self.driver.exchange(exchange).await;
            drop(held);
            outcome
        })
    }

    fn revoke(&self, exchange: Boxed<()>) -> Answer<'_, ()> {
        self.driver.revoke(exchange)
    }

    /// The time for the sign-in, the exchange, and the request with the assertion.
    fn longest(&self) -> Duration {
        self.driver.longest().saturating_mul(3)
    }
}

impl Origin {
    fn of(sign_in: &Bound<'_, PyAny>) -> PyResult<Self> {
        if sign_in.hasattr("token")? {
            return sign_in.extract().map(Self::Source);
        }
        if sign_in.is_callable() {
            return Ok(Self::Function(sign_in.clone().unbind()));
        }
        let path: PathBuf = text(sign_in).map_err(|_| {
            let message =
                "sign_in must be a token source, a function that returns a token, or a path";
            PyTypeError::new_err(message)
        })?;
        Ok(Self::File(AssertionFile::new(path)))
    }

    fn read(
        &self,
        idp: &oauth_facade::Client,
        (issuer, kind): (&str, &str),
        now: UnixTime,
        limit: Duration,
    ) -> Result<Subject, Error> {
        let token = match self {
            Self::Source(source) => return subject_of_source(source, idp, limit),
            Self::Function(function) => call_python(|py| {
                let result = function.bind(py).call0();
                result
                    .and_then(|result| text(&result_of_callback(&result)?))
                    .map(secret)
            })?,
            Self::File(file) => {
                let request = AssertionRequest::new(issuer, now);
                file.assertion(&request).map_err(Error::lost)?
            }
        };
        // A token read from a file ends with a line break.
        let subject = IdentitySubject::from_parts(secret(token.expose().trim().to_owned()), kind)?;
        Ok((subject, None))
    }
}

/// The subject token of a source, which renews an expired ID token.
fn subject_of_source(
    source: &Source,
    idp: &oauth_facade::Client,
    limit: Duration,
) -> Result<Subject, Error> {
    let source = call_python(|py| source.native(py))?;
    let sign_in = SubjectTokenSource::new(idp.core(), source);
    match Handle::try_current() {
        Ok(runtime) => tokio::task::block_in_place(|| runtime.block_on(sign_in.subject(limit))),
        // A step of the caller's own driver, which holds the GIL.
        Err(_) => call_python(|py| {
            let runtime = runtime::handle()?;
            Ok(py.detach(|| runtime.block_on(sign_in.subject(limit))))
        })?,
    }
}

/// Calls Python, which may itself make calls that need the runtime to which this thread belongs.
fn call_python<T>(function: impl FnOnce(Python<'_>) -> PyResult<T>) -> Result<T, Error> {
    let mut outcome = None;
    let call = || {
        runtime::call_python(|py| outcome = Some(function(py).map_err(|error| raised(py, error))));
    };
    match Handle::try_current() {
        Ok(_) => tokio::task::block_in_place(call),
        Err(_) => call(),
    }
    let closed = || Error::lost(Cause::unsent("the interpreter is shutting down"));
    outcome.unwrap_or_else(|| Err(closed()))
}
