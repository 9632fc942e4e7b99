//! Client authentication: one class for each method.

use std::path::PathBuf;

use oauth_core::client_auth::AssertionRequest as Wanted;
use oauth_core::crypto::KeyUse;
use oauth_core::error::{Cause, Misuse};
use oauth_core::moment::UnixTime;
use oauth_core::workload::WorkloadToken;
use oauth_facade::{
    AssertionProfile, Auth, Certificate, ClientIdParameter, FederatedAssertion as Federated,
    PrivateKeyJwt as KeyJwt, Secret, SecretJwt,
};
use oauth_reqwest::AssertionFile;
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::PyString;
use pyo3::{PyClass, PyClassInitializer};
use tokio::runtime::Handle;

use crate::custom_source::raised_cause;
use crate::keys::result_of_callback;
use crate::text::text;
use crate::{errors, runtime, secret, value};

/// The client authentication method at the token endpoint (RFC 6749 section 2.3).
#[pyclass(frozen, subclass, module = "oauth_core")]
pub(crate) struct ClientAuth(pub(crate) Auth);

/// Selects the client authentication from `client_auth` and `client_secret`, of which at most one may be given.
///
/// # Errors
/// `TypeError` for both.
pub(crate) fn chosen(
    client_auth: Option<&Bound<'_, ClientAuth>>,
    client_secret: Option<String>,
) -> PyResult<Auth> {
    match (client_auth, client_secret) {
        (Some(_), Some(_)) => {
            let both = "client_secret and client_auth cannot be given together";
            Err(PyTypeError::new_err(both))
        }
        (Some(auth), None) => Ok(auth.get().0.clone()),
        (None, Some(empty)) if empty.is_empty() => {
            let text =
                "client_secret must not be empty: for a public client, set client_auth=Public()";
            Err(PyValueError::new_err(text))
        }
        (None, documented) => Ok(Auth::Documented(documented.map(secret))),
    }
}

/// client_secret_post: id and secret in the form (RFC 6749 section 2.3.1).
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct ClientSecretPost;

/// client_secret_basic: id and secret in the Authorization header (RFC 6749 section 2.3.1).
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct ClientSecretBasic;

/// A public client, which has no secret (RFC 6749 section 2.1).
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct Public;

/// client_secret_jwt: a JWT for each request, with an HMAC of the secret (RFC 7523 section 2.2).
///
/// alg is HS256, HS384 or HS512, and the secret at least as long as its hash: jws.key_too_small
/// otherwise. audience is what the server requires in place of its issuer, such as the URL of its
/// token endpoint.
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct ClientSecretJwt;

/// private_key_jwt: a JWT for each request, signed by a private key (RFC 7523 section 2.2).
///
/// key is PEM (PKCS#8, PKCS#1, SEC1) or a JWK, or several of them, the newest first: the newest
/// that the server supports signs, and each is named by the kid of its JWK or otherwise by its
/// thumbprint. alg is by default the first that both the key and the server support; kid is the
/// key's name at the server. certificate_thumbprint is the base64url of the SHA-256 of the key's
/// certificate (x5t#S256), for servers that find the key by it. audience is what the server requires in place of its issuer
/// (RFC 10070): a key with one serves one server, key.used_at_two_servers otherwise. Two PrivateKeyJwt with the same key are
/// not compared: use them only if the client has an id of its own at each server. passphrase decrypts keys that are
/// encrypted, as openssl genpkey -aes256 writes them (PKCS#8 with PBES2): key.encrypted without one, key.passphrase for a
/// wrong one. key.malformed for text that is not a key, key.algorithm for a key that does not support the algorithm.
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct PrivateKeyJwt;

/// A workload's token instead of a key (RFC 7521 section 4.2): Kubernetes, GitHub Actions, SPIFFE.
///
/// source is the path of a file, or a function that takes an AssertionRequest and returns the token or a coroutine that
/// does; it is read for each request, and a second time if the server refuses the token and it has been replaced
/// meanwhile. The token's only audience must be audience, by default the server's issuer:
/// client_auth.assertion_audience otherwise. client_id says whether requests also contain the client id, as Microsoft
/// Entra requires; by default they do not. With an exchange_audience the token is exchanged as that of WorkloadIdentity
/// is. Other errors of a request: client_auth.assertion_malformed, client_auth.assertion_expired, lost.unsent if there
/// is no token.
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct FederatedAssertion;

/// A Google service account, which signs with the key in its file (RFC 7523 section 2.1).
///
/// file is the text of the JSON file from Google's console; the client_id of the client is its
/// client_email. The tokens of client_credentials() are the account's; with a subject they are
/// for this user, whose organization has allowed the account to act for its members. provider.data for an
/// invalid file, client_auth.key_file_path for its path, key.* for its key.
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct ServiceAccount;

/// tls_client_auth: the certificate of the connection, attested by an authority (RFC 8705 section 2.1).
///
/// The Network has the certificate.
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct TlsClientAuth;

/// self_signed_tls_client_auth: a certificate that is registered itself (RFC 8705 section 2.2).
///
/// The Network has the certificate.
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct SelfSignedTlsClientAuth;

/// spiffe_x509: the certificate of the connection is an X.509-SVID, and the SPIFFE ID in it the client id.
///
/// The Network has the certificate. misuse.setup for a client id that is not a SPIFFE ID.
#[pyclass(frozen, extends = ClientAuth, module = "oauth_core")]
pub(crate) struct SpiffeX509;

impl ClientAuth {
    pub(crate) fn with<T: PyClass<BaseType = Self>>(self, kind: T) -> PyClassInitializer<T> {
        PyClassInitializer::from(self).add_subclass(kind)
    }
}

/// One whose values are valid, to the extent possible without a server.
fn checked<T: PyClass<BaseType = ClientAuth>>(
    py: Python<'_>,
    auth: Auth,
    kind: T,
) -> PyResult<PyClassInitializer<T>> {
    auth.check().map_err(|error| errors::raise(py, &error))?;
    Ok(ClientAuth(auth).with(kind))
}

#[pymethods]
impl ClientSecretPost {
    #[new]
    #[pyo3(signature = (secret, /))]
    fn new(#[pyo3(from_py_with = text)] secret: String) -> PyClassInitializer<Self> {
        ClientAuth(Auth::Post(Secret::new(secret))).with(Self)
    }

    fn __repr__(&self) -> &'static str {
        "ClientSecretPost([redacted])"
    }
}

#[pymethods]
impl ClientSecretBasic {
    #[new]
    #[pyo3(signature = (secret, /))]
    fn new(#[pyo3(from_py_with = text)] secret: String) -> PyClassInitializer<Self> {
        ClientAuth(Auth::Basic(Secret::new(secret))).with(Self)
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

#[pymethods]
impl ClientSecretJwt {
    #[new]
    #[pyo3(signature = (secret, /, *, alg = "HS256", audience = None))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = text)] secret: String,
        alg: &str,
        #[pyo3(from_py_with = text)] audience: Option<String>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let jwt = SecretJwt {
            secret: self::secret(secret),
            alg: alg.to_owned(),
            audience,
        };
        checked(py, Auth::SecretJwt(jwt), Self)
    }

    fn __repr__(&self) -> &'static str {
        "ClientSecretJwt([redacted])"
    }
}

#[pymethods]
impl PrivateKeyJwt {
    #[new]
    #[pyo3(signature = (key, /, *, alg = None, kid = None, certificate_thumbprint = None,
                        audience = None, passphrase = None))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = keys)] key: Vec<Secret<String>>,
        #[pyo3(from_py_with = text)] alg: Option<String>,
        #[pyo3(from_py_with = text)] kid: Option<String>,
        #[pyo3(from_py_with = text)] certificate_thumbprint: Option<String>,
        #[pyo3(from_py_with = text)] audience: Option<String>,
        #[pyo3(from_py_with = text)] passphrase: Option<String>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let jwt = KeyJwt {
            passphrase: passphrase.map(secret),
            keys: key,
            alg,
            kid,
            certificate_thumbprint,
            audience,
            used: KeyUse::default(),
        };
        checked(py, Auth::PrivateKeyJwt(jwt), Self)
    }

    /// The public halves of all keys as a JWK Set (RFC 7517 section 5).
    ///
    /// Register them as jwks, or serve them at the client's jwks_uri. key.* for an invalid key; client_auth.keys
    /// for no key and for two keys with the same kid, arguments.inconsistent for the kid option with several keys.
    fn public_jwks<'py>(self_: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        let py = self_.py();
        let Auth::PrivateKeyJwt(jwt) = &self_.as_super().get().0 else {
            return Err(errors::raise(py, &Misuse::Setup.into()));
        };
        let set = jwt.public_jwks();
        let set = set.map_err(|error| errors::raise(py, &error))?;
        py.import("json")?.call_method1("loads", (set,))
    }

    fn __repr__(&self) -> &'static str {
        "PrivateKeyJwt([redacted])"
    }
}

/// One key, or the keys of a rotation.
fn keys(argument: &Bound<'_, PyAny>) -> PyResult<Vec<Secret<String>>> {
    let keys = match argument.cast::<PyString>() {
        Ok(_) => text(argument).map(|key| vec![key]),
        Err(_) => text::<Vec<String>>(argument),
    };
    let keys = keys.map_err(|error| {
        if error.is_instance_of::<PyTypeError>(argument.py()) {
            PyTypeError::new_err("key must be a private key as a str, or a list of them")
        } else {
            error
        }
    })?;
    Ok(keys.into_iter().map(secret).collect())
}

#[pymethods]
impl FederatedAssertion {
    #[new]
    #[pyo3(signature = (source, /, *, audience = None, profile = "jwt", client_id = None,
                        exchange_audience = None))]
    fn new(
        source: Bound<'_, PyAny>,
        #[pyo3(from_py_with = text)] audience: Option<String>,
        profile: &str,
        client_id: Option<&str>,
        #[pyo3(from_py_with = text)] exchange_audience: Option<String>,
    ) -> PyResult<PyClassInitializer<Self>> {
        let token = if source.is_callable() {
            from_function(source.unbind())
        } else {
            let path: PathBuf = source.extract().map_err(|_| {
                PyTypeError::new_err("source must be a path or a function that returns a token")
            })?;
            WorkloadToken::new(AssertionFile::new(path))
        };
        let profile = match profile {
            "jwt" => AssertionProfile::Jwt,
            "spiffe_jwt" => AssertionProfile::SpiffeJwt,
            _ => return Err(PyValueError::new_err("profile must be jwt or spiffe_jwt")),
        };
        let client_id_parameter = match client_id {
            None => None,
            Some("omitted") => Some(ClientIdParameter::Omitted),
            Some("sent") => Some(ClientIdParameter::Sent),
            Some(_) => return Err(PyValueError::new_err("client_id must be omitted or sent")),
        };
        if let Some(exchange_audience) = exchange_audience {
            if profile != AssertionProfile::Jwt {
                let reason = "profile is of tokens in place of a key, and not of exchanged ones";
                return Err(PyValueError::new_err(reason));
            }
            let auth = Auth::exchanging(token, exchange_audience, audience, client_id_parameter);
            return Ok(ClientAuth(auth).with(Self));
        }
        let mut assertion = Federated::from_workload_token(token).profile(profile);
        assertion = assertion.client_id(client_id_parameter.unwrap_or_default());
        if let Some(audience) = audience {
            assertion = assertion.audience(audience);
        }
        Ok(ClientAuth(Auth::Federated(assertion)).with(Self))
    }

    fn __repr__(&self) -> &'static str {
        "FederatedAssertion([redacted])"
    }
}

/// An assertion from a function of the application, or from the coroutine that it returns. It may run on a thread of
/// the runtime, and may itself make calls that need the runtime.
fn from_function(function: Py<PyAny>) -> WorkloadToken {
    WorkloadToken::new(
        move |assertion_request: &Wanted<'_>| -> Result<Secret<String>, Cause> {
            let request = AssertionRequest {
                audience: assertion_request.audience.to_owned(),
                expires_at: assertion_request.expires_at,
            };
            let mut outcome = None;
            let call = || {
                runtime::call_python(|py| {
                    let result = function.bind(py).call1((request,));
                    let result = result.and_then(|result| result_of_callback(&result)?.extract());
                    outcome = Some(result.map(secret).map_err(raised_cause));
                });
            };
            match Handle::try_current() {
                Ok(_) => tokio::task::block_in_place(call),
                Err(_) => call(),
            }
            outcome.unwrap_or_else(|| Err(Cause::unsent("the interpreter is shutting down")))
        },
    )
}

/// The argument of a FederatedAssertion's function: the requirements of the assertion.
#[pyclass(frozen, module = "oauth_core")]
pub(crate) struct AssertionRequest {
    audience: String,
    expires_at: UnixTime,
}

#[pymethods]
impl AssertionRequest {
    /// The only audience (aud) that the assertion may have.
    #[getter]
    fn audience(&self) -> &str {
        &self.audience
    }

    /// The time until which the assertion must be valid: the exp of one created for this request.
    #[getter]
    fn expires_at<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        value::time_to_py(py, self.expires_at)
    }

    fn __repr__(&self) -> String {
        let until = self.expires_at.as_secs();
        format!("AssertionRequest({:?}, until {until})", self.audience)
    }
}

#[pymethods]
impl ServiceAccount {
    #[new]
    #[pyo3(signature = (file, /, *, subject = None))]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = text)] file: String,
        #[pyo3(from_py_with = text)] subject: Option<String>,
    ) -> PyResult<PyClassInitializer<Self>> {
        checked(py, Auth::ServiceAccount(secret(file), subject), Self)
    }

    fn __repr__(&self) -> &'static str {
        "ServiceAccount([redacted])"
    }
}

#[pymethods]
impl TlsClientAuth {
    #[new]
    fn new() -> PyClassInitializer<Self> {
        ClientAuth(Auth::Tls(Certificate::Pki)).with(Self)
    }

    fn __repr__(&self) -> &'static str {
        "TlsClientAuth()"
    }
}

#[pymethods]
impl SpiffeX509 {
    #[new]
    fn new() -> PyClassInitializer<Self> {
        ClientAuth(Auth::Tls(Certificate::Svid)).with(Self)
    }

    fn __repr__(&self) -> &'static str {
        "SpiffeX509()"
    }
}

#[pymethods]
impl SelfSignedTlsClientAuth {
    #[new]
    fn new() -> PyClassInitializer<Self> {
        ClientAuth(Auth::Tls(Certificate::SelfSigned)).with(Self)
    }

    fn __repr__(&self) -> &'static str {
        "SelfSignedTlsClientAuth()"
    }
}
