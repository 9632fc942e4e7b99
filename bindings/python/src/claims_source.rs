//! The claims about a person by type, and those that other parties vouch for.

use oauth_facade::{Record, claims_sources as sources_of, user_claims as user_of};
use pyo3::prelude::*;

use crate::{errors, value};

/// A source of claims that another party vouches for (OpenID Connect Core section 5.6.2).
///
/// jwt has them if they are aggregated: the other party has signed it, and it is not verified. Otherwise
/// they are distributed, and endpoint has them, as a JWT too: the token names this URL, so fetch it only if
/// you know the party.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct ClaimsSource(oauth_facade::ClaimsSource);

#[pymethods]
impl ClaimsSource {
    /// The source's name in the token.
    #[getter]
    fn name(&self) -> &str {
        &self.0.name
    }

    /// The names of the claims that the source has.
    #[getter]
    fn claims(&self) -> Vec<&str> {
        self.0.claims.iter().map(String::as_str).collect()
    }

    /// The JWT with the claims, if they are aggregated.
    #[getter]
    fn jwt(&self) -> Option<&str> {
        self.0.jwt.as_ref().map(|jwt| jwt.expose().as_str())
    }

    /// The URL of the endpoint that has the claims, if they are distributed.
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

/// The sources of the claims that other parties vouch for: aggregated and distributed claims.
///
/// claims are those of a verified ID token or of UserInfo. Nothing is fetched, and nothing of the other
/// parties verified.
///
/// jwt.malformed_claim if _claim_names and _claim_sources are not what OpenID Connect Core section 5.6.2
/// describes, or do not match.
#[pyfunction]
#[pyo3(signature = (claims, /))]
pub(crate) fn claims_sources(claims: &Bound<'_, PyAny>) -> PyResult<Vec<ClaimsSource>> {
    let sources = sources_of(&text_of(claims)?);
    let sources = sources.map_err(|error| errors::raise(claims.py(), &error))?;
    Ok(sources.into_iter().map(ClaimsSource).collect())
}

/// The standard claims among these, which are those of a verified ID token or of UserInfo. One of another type
/// than the standard defines is absent, and unchanged in claims. jwt.missing_claim without a sub.
#[pyfunction]
#[pyo3(signature = (claims, /))]
pub(crate) fn user_claims(claims: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
    let py = claims.py();
    let user = user_of(&text_of(claims)?).map_err(|error| errors::raise(py, &error))?;
    value::of_record(py, Record::from(user))
}

/// Any mapping, as JSON.
fn text_of(claims: &Bound<'_, PyAny>) -> PyResult<String> {
    let py = claims.py();
    let plain = py.import("builtins")?.getattr("dict")?.call1((claims,))?;
    py.import("json")?
        .call_method1("dumps", (plain,))?
        .extract()
}
