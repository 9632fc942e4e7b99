//! The parameters of a token request, from keyword arguments.

use oauth_facade::{Arg, Args, TokenRequest};
use pyo3::prelude::*;

use crate::value::{self, Given};

/// The keywords of a request for a token.
pub(crate) fn token_request(
    py: Python<'_>,
    scope: Option<Given>,
    resource: Option<Given>,
    audience: Option<Given>,
    extra: Option<Given>,
) -> PyResult<TokenRequest> {
    let given = [scope, resource, audience, extra];
    let given = given.map(|given| given.map_or(Arg::Null, |given| given.0));
    TokenRequest::read(&mut Args::from(Vec::from(given))).map_err(|why| value::refused(py, why))
}
