//! Tokens as a Python class.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use oauth_core::flow::redeem::Login;
use oauth_core::jose::Claims;
use oauth_core::token::Warning;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFrozenSet};

use crate::text::text;
use crate::{errors, no_pickle, value};

/// Whether somebody has asked for pickles that hold tokens.
static IS_PICKLED: AtomicBool = AtomicBool::new(false);

/// Lets Tokens be pickled in this process, from now on.
///
/// A pickle of tokens is a secret: see oauth_core.pickling.
#[pyfunction]
pub(crate) fn allow_pickling() {
    IS_PICKLED.store(true, Ordering::Relaxed);
}

/// The tokens of one grant, bound to the server and client they belong to.
///
/// They do not change. Equal are those of which the same is stored. repr shows no token;
/// they can be copied, and pickled only after oauth_core.pickling.allow().
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

    /// When the access token expires, in UTC, if the server named a lifetime: not after the authorization.
    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let end = self.0.expires_at();
        end.map(|end| value::of_time(py, end)).transpose()
    }

    /// When the refresh token expires unless it is used, in UTC, if the server states it.
    ///
    /// draft-ietf-oauth-refresh-token-expiration. It may be revoked earlier, at any time.
    #[getter]
    fn refresh_token_expires_at<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let end = self.0.refresh_token_expires_at();
        end.map(|end| value::of_time(py, end)).transpose()
    }

    /// When the person's authorization ends regardless of renewals, in UTC, if the server states it.
    ///
    /// Only the person can extend it.
    #[getter]
    fn authorization_expires_at<'py>(
        &self,
        py: Python<'py>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let end = self.0.authorization_expires_at;
        end.map(|end| value::of_time(py, end)).transpose()
    }

    /// When the reply arrived, in UTC; 1970 for those of bearer().
    #[getter]
    fn received_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::of_time(py, self.0.received_at)
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

    /// Who signed in: the verified claims of the ID token of redeem() and login(); a new dict each time.
    ///
    /// OpenID Connect Core section 2. None without the scope openid, and for tokens that
    /// were refreshed or read from a store. iss and sub together identify a person.
    #[getter]
    fn claims<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyDict>>> {
        let claims = self.1.as_ref();
        claims
            .map(|claims| value::of_map(py, claims.as_map()))
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

    /// Members of the reply that OAuth does not define; a new dict each time.
    #[getter]
    fn extra<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        value::of_map(py, self.0.extra.as_map())
    }

    /// The permissions that were granted, each a dict with a type; None if the server says nothing.
    ///
    /// RFC 9396 section 7. The server may have enriched what was requested. They have the type AuthorizationDetail: a
    /// member that only your type defines is read with get(), or through a class of your own. MalformedError,
    /// token_response.malformed, if they are invalid.
    #[getter]
    fn authorization_details<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let granted = oauth_facade::authorization_details(&self.0);
        let granted = granted.map_err(|error| errors::raise(py, &error))?;
        granted.map(|list| value::of_json(py, &list)).transpose()
    }

    /// Those of the wanted authorization_details that were not granted: none of this type, or one that lacks
    /// something of what RFC 9396 section 2.2 defines.
    ///
    /// What a type itself defines, such as an amount, your program has to compare. A login automatically compares
    /// what it requested: "authorization_details_missing" is in warnings. MisuseError, authorization_details.malformed, for
    /// invalid permissions; MalformedError, token_response.malformed, for what was granted.
    #[pyo3(signature = (wanted, /))]
    fn missing_authorization_details<'py>(
        &self,
        py: Python<'py>,
        wanted: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let wanted = py.import("json")?.call_method1("dumps", (wanted,))?;
        let wanted: String = wanted.extract()?;
        let missing = oauth_facade::missing_authorization_details(&self.0, &wanted);
        let missing = missing.map_err(|error| errors::raise(py, &error))?;
        value::of_json(py, &missing)
    }

    /// Flaws of the reply, as stable names such as "malformed_expires_in".
    #[getter]
    fn warnings<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, pyo3::types::PyTuple>> {
        let codes = self
            .0
            .warnings
            .iter()
            .map(|warning: &Warning| warning.code());
        pyo3::types::PyTuple::new(py, codes.collect::<Vec<_>>())
    }

    /// The issuer whose tokens these are; empty for those of bearer().
    #[getter]
    fn issuer(&self) -> &str {
        self.0.issuer()
    }

    /// The client the tokens were issued to; empty for those of bearer().
    #[getter]
    fn client_id(&self) -> &str {
        self.0.client_id()
    }

    /// Everything needed to continue after a restart. Store it like any secret.
    fn serialize(&self) -> String {
        self.0.to_json().expose().clone()
    }

    /// Reads what serialize() wrote; stored.malformed for anything else.
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

    /// The same tokens, whoever holds them: what is stored of them is compared.
    fn __eq__(&self, other: &Bound<'_, PyAny>) -> bool {
        other.cast::<Self>().is_ok_and(|other| {
            let other = &other.get().0;
            Arc::ptr_eq(&self.0, other) || self.0.to_json().matches(other.to_json().expose())
        })
    }

    fn __hash__(&self, py: Python<'_>) -> PyResult<isize> {
        // Python's own hash, which is salted: it tells nothing of the token.
        self.access_token().into_pyobject(py)?.hash()
    }

    /// Tokens do not change, so a copy is the same.
    fn __copy__(&self) -> Self {
        Self(Arc::clone(&self.0), self.1.clone())
    }

    fn __deepcopy__(&self, _memo: &Bound<'_, PyAny>) -> Self {
        self.__copy__()
    }

    fn __reduce__(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        match IS_PICKLED.load(Ordering::Relaxed) {
            true => {
                let rebuild = py.import("oauth_core.pickling")?.getattr("_rebuild")?;
                Ok((rebuild, (self.serialize(),))
                    .into_pyobject(py)?
                    .into_any()
                    .unbind())
            }
            false => no_pickle("Tokens"),
        }
    }
}
