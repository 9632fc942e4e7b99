//! The typed standard claims about a user, and aggregated and distributed claims.

use oauth_facade::{Record, claims_sources as sources_of, user_claims as user_of};
use pyo3::prelude::*;

use crate::{errors, value};

/// A source of claims asserted by a different party (OpenID Connect Core section 5.6.2).
///
/// For aggregated claims, jwt contains them: that party has signed it, and the signature is not verified here.
/// For distributed claims, endpoint returns them, also as a JWT. Its URL comes from the token, so fetch it only if
/// you trust the party.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct ClaimsSource(oauth_facade::ClaimsSource);

#[pymethods]
impl ClaimsSource {
    /// The source's name in the token.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// The names of the claims that the source supplies.
    #[getter]
    fn claims(&self) -> Vec<&str> {
        self.0.claims.iter().map(String::as_str).collect()
    }

    /// The JWT with the claims, if they are aggregated.
    #[getter]
    fn jwt(&self) -> Option<&str> {
        self.0.jwt.as_ref().map(|jwt| jwt.expose().as_str())
    }

    /// The URL of the endpoint that returns the claims, if they are distributed.
    #[getter]
    fn endpoint(&self) -> Option<&str> {
        self.0.endpoint.as_deref()
    }

    /// The token to send to the endpoint; without one, it needs credentials of your own.
    #[getter]
    fn access_token(&self) -> Option<&str> {
        let token = self.0.access_token.as_ref();
        token.map(|token| token.expose().as_str())
    }

    fn __repr__(&self) -> String {
        let kind = match self.0.endpoint {
            Some(_) => "distributed",
            None => "aggregated",
        };
        let claims = self.0.claims.join(", ");
        format!("<oauth_core.ClaimsSource {kind}: {claims}>")
    }
}

/// The sources of aggregated and distributed claims.
///
/// claims are those of a verified ID token or of UserInfo. Nothing is fetched, and the signatures of the
/// sources are not verified.
///
/// jwt.malformed_claim if _claim_names and _claim_sources are not what OpenID Connect Core section 5.6.2
/// describes, or do not match.
#[pyfunction]
#[pyo3(signature = (claims, /))]
pub(crate) fn claims_sources(claims: &Bound<'_, PyAny>) -> PyResult<Vec<ClaimsSource>> {
    let sources = sources_of(&claims_text(claims)?);
    let sources = sources.map_err(|error| errors::raise(claims.py(), &error))?;
    Ok(sources.into_iter().map(ClaimsSource).collect())
}

/// The standard claims of a verified ID token or of UserInfo, by type. A claim of a different type than the
/// standard defines is absent here, and unchanged in claims. jwt.missing_claim without a sub.
#[pyfunction]
#[pyo3(signature = (claims, /))]
pub(crate) fn user_claims(claims: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let py = claims.py();
    let user = user_of(&claims_text(claims)?).map_err(|error| errors::raise(py, &error))?;
    value::record_to_py(py, Record::from(user))
}

/// Converts any mapping to JSON.
fn claims_text(claims: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = claims.py();
    let plain = py.import("builtins")?.getattr("dict")?.call1((claims,))?;
    py.import("json")?
        .call_method1("dumps", (plain,))?
        .extract()
}
