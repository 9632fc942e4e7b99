//! `Tokens`: the tokens of one grant.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oauth_core::flow::redeem::Login;
use oauth_core::jose::Claims;
use oauth_core::token::Warning;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet};

use crate::text::text;
use crate::{errors, no_pickle, value};

/// Whether Tokens may be pickled.
static MAY_BE_PICKLED: AtomicBool = AtomicBool::new(false);

/// Lets Tokens be pickled in this process, from now on.
///
/// A pickle of tokens is a secret: see oauth_core.pickling.
#[pyfunction]
pub(crate) fn allow_pickling() {
    MAY_BE_PICKLED.store(true, Ordering::Relaxed);
}

/// The tokens of one grant, bound to the server and client they belong to.
///
/// They are immutable, and equal if their stored form is equal. repr shows no token;
/// they can be copied, but pickled only after oauth_core.pickling.allow().
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct Tokens(pub(crate) Arc<oauth_core::Tokens>, Option<Arc<Claims>>);

impl Tokens {
    pub(crate) const fn of(tokens: Arc<oauth_core::Tokens>) -> Self {
        Self(tokens, None)
    }

    pub(crate) fn of_login(login: Login) -> Self {
        let claims = login
            .id_token
            .map(|id_token| Arc::new(id_token.claims().clone()));
        Self(Arc::new(login.tokens), claims)
    }
}

#[pymethods]
impl Tokens {
    /// A bearer token without a grant, for your own sources and for tests.
    ///
    /// It belongs to no client.
    ///
    /// expires_at is a Unix time in seconds or an aware datetime; ValueError for a datetime without a zone.
    #[staticmethod]
    #[pyo3(signature = (access_token, *, expires_at = None))]
    fn bearer(
        #[pyo3(from_py_with = text)] access_token: String,
        expires_at: Option<Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let tokens = oauth_core::Tokens::bearer(crate::secret(access_token));
        let end = expires_at.map(|end| value::to_time(&end)).transpose()?;
        Ok(Self::of(Arc::new(match end {
            Some(end) => tokens.expiring_at(end),
            None => tokens,
        })))
    }

    /// The access token; opaque to the client (RFC 6749 section 1.4).
    #[getter]
    fn access_token(&self) -> &str {
        self.0.access_token.expose()
    }

    /// "Bearer" (RFC 6750) or "DPoP" (RFC 9449).
    #[getter]
    fn token_type(&self) -> &str {
        self.0.token_type.as_str()
    }

    /// The lifetime in seconds, counted from received_at, if the server named one.
    #[getter]
    fn expires_in(&self) -> Option<u64> {
        self.0.expires_in
    }

    /// The expiry of the access token, in UTC, if the server stated a lifetime; at most the end of the authorization.
    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let end = self.0.expires_at();
        end.map(|end| value::time_to_py(py, end)).transpose()
    }

    /// The expiry of the refresh token unless it is used before, in UTC, if the server states it.
    ///
    /// draft-ietf-oauth-refresh-token-expiration. It may be revoked earlier, at any time.
    #[getter]
    fn refresh_token_expires_at<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let end = self.0.refresh_token_expires_at();
        end.map(|end| value::time_to_py(py, end)).transpose()
    }

    /// The end of the user's authorization regardless of renewals, in UTC, if the server states it.
    ///
    /// Only the user can extend it.
    #[getter]
    fn authorization_expires_at<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let end = self.0.authorization_expires_at;
        end.map(|end| value::time_to_py(py, end)).transpose()
    }

    /// The time when the response arrived, in UTC; 1970 for those of bearer().
    #[getter]
    fn received_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::time_to_py(py, self.0.received_at)
    }

    /// The granted scope: as the server stated, or as requested if it stated none.
    ///
    /// RFC 6749 section 5.1.
    #[getter]
    fn scope<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyFrozenSet>> {
        PyFrozenSet::new(py, self.0.scope.iter())
    }

    /// The refresh token: a new one, or on refresh the old one if the server sent none.
    ///
    /// RFC 6749 section 6. None if there never was one.
    #[getter]
    fn refresh_token(&self) -> Option<&str> {
        let token = self.0.refresh_token.as_ref();
        token.map(|token| token.secret().expose().as_str())
    }

    /// The verified claims of the ID token of redeem() and login(); a new dict each time.
    ///
    /// OpenID Connect Core section 2. None without the scope openid, and for tokens that
    /// were refreshed or read from a store. iss and sub together identify the user.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let claims = self.1.as_ref();
        claims
            .map(|claims| value::map_to_py(py, claims.as_map()))
            .transpose()
    }

    /// The ID Token as received. Its verified content is in claims.
    ///
    /// For use as id_token_hint, or to pass on.
    #[getter]
    fn id_token(&self) -> Option<&str> {
        self.0
            .id_token
            .as_ref()
            .map(|token| token.expose().as_str())
    }

    /// Members of the response that OAuth does not define; a new dict each time.
    #[getter]
    fn extra<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        value::map_to_py(py, self.0.extra.as_map())
    }

    /// The granted authorization_details, each a dict with a type; None if the server does not state them.
    ///
    /// RFC 9396 section 7. The server may have enriched the requested ones. They have the type AuthorizationDetail: read
    /// a member that only your type defines with get(), or through a class of your own. MalformedError,
    /// token_response.malformed, if they are invalid.
    #[getter]
    fn authorization_details<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let granted = oauth_facade::authorization_details(&self.0);
        let granted = granted.map_err(|error| errors::raise(py, &error))?;
        granted.map(|list| value::json_to_py(py, &list)).transpose()
    }

    /// The requested authorization_details that were not granted: none has this type, or one lacks
    /// a value of a common member (RFC 9396 section 2.2).
    ///
    /// Your program has to compare the members that a type itself defines, such as an amount. A login automatically
    /// compares those it requested: "authorization_details_missing" is in warnings. MisuseError,
    /// authorization_details.malformed, if requested is invalid; MalformedError, token_response.malformed, if the granted are.
    #[pyo3(signature = (requested, /))]
    fn missing_authorization_details<'py>(
        &self,
        py: Python<'py>,
        requested: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let requested = py.import("json")?.call_method1("dumps", (requested,))?;
        let requested: String = requested.extract()?;
        let missing = oauth_facade::missing_authorization_details(&self.0, &requested);
        let missing = missing.map_err(|error| errors::raise(py, &error))?;
        value::json_to_py(py, &missing)
    }

    /// Flaws of the response, as stable names such as "malformed_expires_in".
    #[getter]
    fn warnings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyTuple>> {
        let codes = self
            .0
            .warnings
            .iter()
            .map(|warning: &Warning| warning.code());
        pyo3::types::PyTuple::new(py, codes.collect::<Vec<_>>())
    }

    /// The issuer of the tokens; empty for those of bearer().
    #[getter]
    fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// The client to which the tokens were issued; empty for those of bearer().
    #[getter]
    fn client_id(&self) -> &str {
        self.0.client_id()
    }

    /// The tokens as text, to continue with after a restart. It is secret.
    fn serialize(&self) -> String {
        self.0.to_json().expose().clone()
    }

    /// Parses the result of serialize(); stored.malformed for any other text.
    #[staticmethod]
    fn deserialize(py: Python<'_>, #[pyo3(from_py_with = text)] text: String) -> PyResult<Self> {
        let tokens = oauth_core::Tokens::from_json(&text).map_err(|e| errors::raise(py, &e))?;
        Ok(Self::of(Arc::new(tokens)))
    }

    fn __repr__(&self) -> String {
        let lifetime = match self.0.expires_in {
            Some(seconds) => seconds.to_string(),
            None => "None".to_owned(),
        };
        format!(
            "<oauth_core.Tokens of {}, expires_in={lifetime}, scope={:?}, refresh_token={}>",
            self.0.issuer(),
            self.0.scope.as_str(),
            if self.0.refresh_token.is_some() {
                "[redacted]"
            } else {
                "None"
            },
        )
    }

    /// Compares the stored form of the tokens.
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| {
            let other = &other.get().0;
            Arc::ptr_eq(&self.0, other) || self.0.to_json().matches(other.to_json().expose())
        })
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        // Python's own hash, which is salted, so it reveals nothing about the token.
        self.access_token().into_pyobject(py)?.hash()
    }

    /// Tokens are immutable, so a copy shares them.
    fn __copy__(&self) -> Self {
        Self(Arc::clone(&self.0), self.1.clone())
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Self {
        self.__copy__()
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        if MAY_BE_PICKLED.load(Ordering::Relaxed) {
            let rebuild = py.import("oauth_core.pickling")?.getattr("_rebuild")?;
            Ok((rebuild, (self.serialize(),))
                .into_pyobject(py)?
                .into_any()
                .unbind())
        } else {
            no_pickle("Tokens")
        }
    }
}
