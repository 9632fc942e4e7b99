//! How a client authenticates, as one class for each way.

use oauth_facade::Auth;
use pyo3::prelude::*;
use pyo3::{PyClass, PyClassInitializer};

/// How a client authenticates at the token endpoint (RFC 6749 section 2.3).
#[pyclass(frozen, subclass, module = "oauth_core")]
pub(crate) struct ClientAuth(pub(crate) Auth);

/// client_secret_post: id and secret in the form (RFC 6749 section 2.3.1).
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct ClientSecretPost;

/// client_secret_basic: id and secret in the Authorization header (RFC 6749 section 2.3.1).
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct ClientSecretBasic;

/// A public client, which has no secret (RFC 6749 section 2.1).
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct Public;

impl ClientAuth {
    fn with<T: PyClass<BaseType = Self>>(self, kind: T) -> PyClassInitializer<T> {
        PyClassInitializer::from(self).add_subclass(kind)
    }
}

#[pymethods]
impl ClientSecretPost {
    #[new]
    #[pyo3(signature = (secret, /))]
    fn new(secret: String) -> PyClassInitializer<Self> {
        ClientAuth(Auth::Post(crate::secret(secret))).with(Self)
    }

    fn __repr__(&self) -> &'static str {
        "ClientSecretPost([redacted])"
    }
}

#[pymethods]
impl ClientSecretBasic {
    #[new]
    #[pyo3(signature = (secret, /))]
    fn new(secret: String) -> PyClassInitializer<Self> {
        ClientAuth(Auth::Basic(crate::secret(secret))).with(Self)
    }

    fn __repr__(&self) -> &'static str {
        "ClientSecretBasic([redacted])"
    }
}

#[pymethods]
impl Public {
    #[new]
    fn new() -> PyClassInitializer<Self> {
        ClientAuth(Auth::None).with(Self)
    }

    fn __repr__(&self) -> &'static str {
        "Public()"
    }
}
