//! The native half of `oauth_core.Client`: an OAuth client of one authorization server.

use std::sync::Arc;

use oauth_core::error::Error;
use oauth_facade::{
    Args, Authorize, CallbackContext, ErasedExchange, GrantSettings, Operation as _, Registration,
    callback_context, operation_name,
};
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;

use crate::authorization::PendingAuthorization;
use crate::client_auth::{self, ClientAuth};
use crate::dpop::DpopKey;
use crate::hooks::Hook;
use crate::identity::SignInArguments;
use crate::keeper::Keeper;
use crate::moment::OwnMoment;
use crate::network::{Network, RequestSettings, seconds};
use crate::pending_call::{CallResult, PendingCall};
use crate::server::Server;
use crate::shared_client::SharedClient;
use crate::source::{GrantSource, SourceSettings};
use crate::store::Store;
use crate::sync_async::twins;
use crate::text::{client_auth_argument, filled, server_argument, text};
use crate::token_request::{Details, token_request};
use crate::value::{self, OperationArg, Pairs};
use crate::{errors, secret, tokens::Tokens};

/// The native half of oauth_core.Client.
#[pyclass(frozen, subclass, module = "oauth_core")]
pub(crate) struct Client {
    pub(crate) inner: Arc<SharedClient>,
    pub(crate) server: Py<Server>,
}

impl Client {
    fn run(
        &self,
        py: Python<'_>,
        name: &'static str,
        exchange: Result<ErasedExchange, Error>,
    ) -> PyResult<PendingCall> {
        let exchange = exchange.map_err(|error| errors::raise(py, &error))?;
        let driver = self.inner.driver();
        Ok(PendingCall::new(name, async move {
            driver.exchange(exchange).await.map(CallResult::Record)
        }))
    }

    fn redeeming(
        &self,
        py: Python<'_>,
        flow: &PendingAuthorization,
        callback: &str,
        resource: Option<Vec<String>>,
        callback_context: CallbackContext,
    ) -> PyResult<PendingCall> {
        let client = &self.inner.client;
        let exchange = flow
            .0
            .redeem_at(client, callback, resource.as_deref(), callback_context);
        self.run(py, "redeem", exchange)
    }

    fn operating(
        &self,
        py: Python<'_>,
        number: u32,
        arguments: Vec<OperationArg>,
    ) -> PyResult<PendingCall> {
        let exchange = self.begin(py, number, arguments)?;
        match operation_name(number) {
            name if name.starts_with("verify_") => Ok(self.verification(name, exchange)),
            name => self.run(py, name, Ok(exchange)),
        }
    }

    pub(crate) fn verification(&self, name: &'static str, exchange: ErasedExchange) -> PendingCall {
        PendingCall::verification(name, exchange, self.inner.driver())
    }

    /// Begins the operation with this number.
    pub(crate) fn begin(
        &self,
        py: Python<'_>,
        number: u32,
        arguments: Vec<OperationArg>,
    ) -> PyResult<ErasedExchange> {
        let arguments: Vec<_> = arguments.into_iter().map(|argument| argument.0).collect();
        let exchange = self.inner.client.begin(number, arguments);
        exchange.map_err(|error| value::refused(py, error))
    }
}

#[pymethods]
impl Client {
    #[new]
    #[pyo3(signature = (server, *, client_id = None, registered = None, client_secret = None, client_auth = None,
                        redirect_uris = None, headers = None, timeout = None, network = None,
                        id_token_signed_response_alg = None, trusted_audiences = None,
                        id_token_encrypted_response_alg = None, id_token_encrypted_response_enc = None,
                        userinfo_signed_response_alg = None, userinfo_encrypted_response_alg = None,
                        userinfo_encrypted_response_enc = None, decryption_keys = None, profile = None,
                        authorization_signed_response_alg = None, authorization_encrypted_response_alg = None,
                        authorization_encrypted_response_enc = None, request_object_signing_alg = None,
                        request_object_signing_key = None, request_object_encryption_alg = None,
                        request_object_encryption_enc = None, access_token_encryption_alg = None,
                        access_token_encryption_enc = None, tls_client_certificate_bound_access_tokens = false,
                        dpop_key = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn new(
        py: Python<'_>,
        #[pyo3(from_py_with = server_argument)] server: Py<Server>,
        #[pyo3(from_py_with = text)] client_id: Option<String>,
        #[pyo3(from_py_with = text)] registered: Option<String>,
        #[pyo3(from_py_with = text)] client_secret: Option<String>,
        #[pyo3(from_py_with = client_auth_argument)] client_auth: Option<Bound<'_, ClientAuth>>,
        #[pyo3(from_py_with = text)] redirect_uris: Option<Vec<String>>,
        headers: Option<Pairs>,
        timeout: Option<f64>,
        network: Option<&Bound<'_, Network>>,
        #[pyo3(from_py_with = text)] id_token_signed_response_alg: Option<String>,
        #[pyo3(from_py_with = text)] trusted_audiences: Option<Vec<String>>,
        #[pyo3(from_py_with = text)] id_token_encrypted_response_alg: Option<String>,
        #[pyo3(from_py_with = text)] id_token_encrypted_response_enc: Option<String>,
        #[pyo3(from_py_with = text)] userinfo_signed_response_alg: Option<String>,
        #[pyo3(from_py_with = text)] userinfo_encrypted_response_alg: Option<String>,
        #[pyo3(from_py_with = text)] userinfo_encrypted_response_enc: Option<String>,
        #[pyo3(from_py_with = text)] decryption_keys: Option<Vec<String>>,
        #[pyo3(from_py_with = text)] profile: Option<String>,
        #[pyo3(from_py_with = text)] authorization_signed_response_alg: Option<String>,
        #[pyo3(from_py_with = text)] authorization_encrypted_response_alg: Option<String>,
        #[pyo3(from_py_with = text)] authorization_encrypted_response_enc: Option<String>,
        #[pyo3(from_py_with = text)] request_object_signing_alg: Option<String>,
        #[pyo3(from_py_with = text)] request_object_signing_key: Option<String>,
        #[pyo3(from_py_with = text)] request_object_encryption_alg: Option<String>,
        #[pyo3(from_py_with = text)] request_object_encryption_enc: Option<String>,
        #[pyo3(from_py_with = text)] access_token_encryption_alg: Option<String>,
        #[pyo3(from_py_with = text)] access_token_encryption_enc: Option<String>,
        tls_client_certificate_bound_access_tokens: bool,
        dpop_key: Option<&Bound<'_, DpopKey>>,
    ) -> PyResult<Self> {
        let registration = Registration {
            authorization_signed_response_alg,
            authorization_encrypted_response_alg,
            authorization_encrypted_response_enc,
            request_object_signing_alg,
            request_object_signing_key: request_object_signing_key.map(secret),
            request_object_encryption_alg,
            request_object_encryption_enc,
            tls_client_certificate_bound_access_tokens,
            certificate_thumbprint: network
                .and_then(|network| network.get().certificate_thumbprint()),
            userinfo_signed_response_alg,
            id_token_encrypted_response_alg,
            id_token_encrypted_response_enc,
            userinfo_encrypted_response_alg,
            userinfo_encrypted_response_enc,
            access_token_encryption_alg,
            access_token_encryption_enc,
            decryption_keys: decryption_keys.into_iter().flatten().map(secret).collect(),
        };
        let identification = match (client_id, registered) {
            (Some(_), Some(_)) => {
                let message = "client_id and registered cannot be given together";
                return Err(PyTypeError::new_err(message));
            }
            (_, Some(_)) if client_secret.is_some() => {
                let message = "client_secret and registered cannot be given together";
                return Err(PyTypeError::new_err(message));
            }
            // Usually an environment variable that is not set.
            (None, None) if client_secret.is_some() || client_auth.is_some() => {
                let none = "client_id must be given with client_secret or client_auth, and must not be None";
                return Err(PyTypeError::new_err(none));
            }
            (id, stored) => (id, stored.map(secret)),
        };
        let chosen_auth = client_auth.as_ref().map(|auth| auth.get().0.clone());
        let auth = client_auth::chosen(client_auth.as_ref(), client_secret)?;
        let native_server = server.get().0.clone();
        let build = || {
            let mut client = match identification {
                (Some(id), _) => oauth_facade::Client::new(&native_server, &id, auth)?,
                (None, Some(stored)) => {
                    oauth_facade::Client::registered(&native_server, &stored, chosen_auth)?
                }
                (None, None) => oauth_facade::Client::unregistered(&native_server),
            };
            if let Some(uris) = &redirect_uris {
                client = client.with_redirect_uris(uris)?;
            }
            if let Some(alg) = id_token_signed_response_alg {
                client = client.with_id_token_signed_response_alg(&alg)?;
            }
            if let Some(audiences) = trusted_audiences {
                client = client.with_trusted_audiences(audiences);
            }
            client = client.with_registration(&registration)?;
            if let Some(name) = &profile {
                client = client.with_profile(name)?;
            }
            if let Some(key) = dpop_key {
                client = client.with_dpop_key(&key.get().0);
            }
            for (name, value) in headers.iter().flat_map(|headers| &headers.0) {
                client = client.with_header(name, value)?;
            }
            Ok(client)
        };
        let client = build().map_err(|error: Error| errors::raise(py, &error))?;
        let inner = Arc::new(SharedClient {
            client,
            server: native_server,
            sign_in: None,
            request_settings: RequestSettings::new(network.map(Bound::get), timeout)?,
        });
        Ok(Self { inner, server })
    }

    /// The server of this client.
    #[getter]
    fn server<'py>(&self, py: Python<'py>) -> Bound<'py, Server> {
        self.server.bind(py).clone()
    }

    /// The client's identifier (RFC 6749 section 2.2).
    #[getter]
    fn client_id(&self) -> &str {
        self.inner.client.core().client_id().as_str()
    }

    /// Begins an authorization that needs no request to the server; `_ops.py` calls this.
    fn _authorize(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] arguments: Vec<OperationArg>,
        moment: Option<Py<PyAny>>,
    ) -> PyResult<PendingAuthorization> {
        let arguments: Vec<_> = arguments.into_iter().map(|argument| argument.0).collect();
        let request = Authorize::read(&mut Args::from(arguments));
        let request = request.map_err(|error| value::refused(py, error))?;
        let at = OwnMoment(moment).take(py)?;
        let begun = self.inner.client.authorize(&at, &request);
        begun
            .map(PendingAuthorization::begun)
            .map_err(|error| errors::raise(py, &error))
    }

    /// The cached public keys of the server as JSON, with the time of the request; None if there are none.
    ///
    /// Stored, they spare a new process the request. They are not secret, but whoever can change them decides whose
    /// signatures are accepted: store them where only you can write.
    fn export_keys(&self) -> Option<String> {
        self.inner.client.export_keys()
    }

    /// Adds the keys that export_keys() wrote, unless newer ones are cached.
    ///
    /// stored.malformed for any other text, stored.issuer for the keys of a different server.
    fn import_keys(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] text: String,
    ) -> PyResult<()> {
        let imported = self.inner.client.import_keys(&text);
        imported.map_err(|error| errors::raise(py, &error))
    }

    /// The tokens of a refresh token that another library obtained for this client: the first use renews them.
    ///
    /// scope is the granted scope, if known. argument.invalid for an empty token.
    #[pyo3(signature = (refresh_token, /, *, scope = None))]
    fn tokens_from_refresh_token(
        &self,
        py: Python<'_>,
        #[pyo3(from_py_with = text)] refresh_token: String,
        scope: Option<OperationArg>,
    ) -> PyResult<Tokens> {
        let request = token_request(py, scope, None, None, None, None)?;
        let client = &self.inner.client;
        let tokens = client.tokens_from_refresh_token(secret(refresh_token), &request);
        let tokens = tokens.map_err(|error| errors::raise(py, &error))?;
        Ok(Tokens::of(Arc::new(tokens)))
    }

    /// Tokens for the client itself, fetched when first needed and kept fresh.
    ///
    /// RFC 6749 section 4.4. Nothing is sent yet. store, lease and on_tokens are as for source().
    #[pyo3(signature = (*, scope = None, resource = None, audience = None, extra = None,
                        authorization_details = None, store = None, lease = None, on_tokens = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn client_credentials(
        &self,
        py: Python<'_>,
        scope: Option<OperationArg>,
        resource: Option<OperationArg>,
        audience: Option<OperationArg>,
        extra: Option<OperationArg>,
        authorization_details: Option<Details>,
        store: Option<Store>,
        lease: Option<f64>,
        on_tokens: Option<Hook>,
    ) -> PyResult<GrantSource> {
        let source_settings = SourceSettings {
            grant: GrantSettings {
                request: token_request(
                    py,
                    scope,
                    resource,
                    audience,
                    extra,
                    authorization_details,
                )?,
                lease: lease.map(seconds).transpose()?,
                ..GrantSettings::default()
            },
            store,
            on_tokens,
        };
        GrantSource::client_credentials(py, Arc::clone(&self.inner), source_settings)
    }

    /// Tokens of a user, kept fresh with their refresh token.
    ///
    /// They come from a login, or from the store.
    ///
    /// With a store, all workers that name the same subject, scope and parameters share one grant,
    /// and one of them renews it; without tokens it is read from there. reuse is what the server
    /// does with a refresh token that is used twice: "unknown", "revokes" or "tolerated". lease
    /// is the number of seconds for which one worker holds a renewal, 10 by default. on_tokens(tokens)
    /// is called with new tokens before any caller sees them, in a thread of the library. It is a plain function, and must
    /// not wait for a token; callers that waited for the tokens get what it raises, later ones the tokens.
    ///
    /// keep_alive is the number of seconds before its unused refresh token expires at which the grant is renewed,
    /// even without a caller, once a token was requested: at most a fifth of that time.
    /// Without it nothing is sent for an unused grant. With identity_provider and sign_in, each renewal requests
    /// an assertion for this server (ID-JAG) from an organization's identity provider, over this client's network.
    /// sign_in is read each time: a source of the user's tokens there, a function that returns an ID token, or a
    /// file's path; subject_token_type is for tokens of other types. identity_assertion.no_id_token or jwt.expired
    /// if the user has to sign in there again.
    ///
    /// grant.no_refresh_token and stored.* for tokens that cannot be kept fresh here; token() raises
    /// the other errors.
    #[pyo3(signature = (tokens = None, *, store = None, subject = None, scope = None,
                        resource = None, audience = None, extra = None,
                        authorization_details = None, reuse = None, lease = None, keep_alive = None, on_tokens = None,
                        identity_provider = None, sign_in = None, subject_token_type = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn source(
        &self,
        py: Python<'_>,
        tokens: Option<&Tokens>,
        store: Option<Store>,
        #[pyo3(from_py_with = filled)] subject: Option<String>,
        scope: Option<OperationArg>,
        resource: Option<OperationArg>,
        audience: Option<OperationArg>,
        extra: Option<OperationArg>,
        authorization_details: Option<Details>,
        #[pyo3(from_py_with = text)] reuse: Option<String>,
        lease: Option<f64>,
        keep_alive: Option<f64>,
        on_tokens: Option<Hook>,
        identity_provider: Option<&Bound<'_, Self>>,
        sign_in: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = text)] subject_token_type: Option<String>,
    ) -> PyResult<GrantSource> {
        let sign_in = SignInArguments {
            identity_provider,
            sign_in,
            subject_token_type,
        };
        let inner = sign_in.client(py, &self.inner, tokens.is_some())?;
        let source_settings = SourceSettings {
            grant: GrantSettings {
                subject,
                request: token_request(
                    py,
                    scope,
                    resource,
                    audience,
                    extra,
                    authorization_details,
                )?,
                reuse,
                lease: lease.map(seconds).transpose()?,
                keep_alive: keep_alive.map(seconds).transpose()?,
                ..GrantSettings::default()
            },
            store,
            on_tokens,
        };
        let tokens = tokens.map(|tokens| Arc::clone(&tokens.0));
        GrantSource::refreshing(py, inner, tokens, source_settings)
    }

    /// One grant, kept fresh by your own driver: source() without transport and store.
    ///
    /// grant_type is refresh_token, for tokens of a user: those given, or those in a store;
    /// or client_credentials, without a subject. A keeper that is not shared needs no store.
    /// longest_request is the longest time of your token requests in seconds, 30
    /// by default: after that and the lease, another worker may send the refresh token again.
    /// keep_alive and sign_in are as for source(). notice is the number of seconds before the end of a user's
    /// authorization at which it is reported, a week by default. upkeep() does both.
    /// moment is for tests and replays, as in exchange.
    #[pyo3(signature = (tokens = None, *, grant_type = "refresh_token", shared = true,
                        subject = None, scope = None, resource = None, audience = None,
                        extra = None, authorization_details = None, reuse = None,
                        lease = None, longest_request = None,
                        keep_alive = None, notice = None, moment = None,
                        identity_provider = None, sign_in = None, subject_token_type = None))]
    #[allow(clippy::too_many_arguments, reason = "they are keywords in Python")]
    fn keeper(
        &self,
        py: Python<'_>,
        tokens: Option<&Tokens>,
        grant_type: &str,
        shared: bool,
        #[pyo3(from_py_with = filled)] subject: Option<String>,
        scope: Option<OperationArg>,
        resource: Option<OperationArg>,
        audience: Option<OperationArg>,
        extra: Option<OperationArg>,
        authorization_details: Option<Details>,
        #[pyo3(from_py_with = text)] reuse: Option<String>,
        lease: Option<f64>,
        longest_request: Option<f64>,
        keep_alive: Option<f64>,
        notice: Option<f64>,
        moment: Option<Py<PyAny>>,
        identity_provider: Option<&Bound<'_, Self>>,
        sign_in: Option<&Bound<'_, PyAny>>,
        #[pyo3(from_py_with = text)] subject_token_type: Option<String>,
    ) -> PyResult<Keeper> {
        let sign_in = SignInArguments {
            identity_provider,
            sign_in,
            subject_token_type,
        };
        let inner = sign_in.client(py, &self.inner, tokens.is_some())?;
        let grant_settings = GrantSettings {
            subject,
            request: token_request(py, scope, resource, audience, extra, authorization_details)?,
            reuse,
            lease: lease.map(seconds).transpose()?,
            longest_request: longest_request.map(seconds).transpose()?,
            keep_alive: keep_alive.map(seconds).transpose()?,
            notice: notice.map(seconds).transpose()?,
            step_up: None,
        };
        let grant = (&grant_settings, shared);
        Keeper::new(py, &inner, grant_type, tokens, grant, moment)
    }

    fn __repr__(&self) -> String {
        let (id, issuer) = (self.client_id(), self.inner.server.issuer());
        format!("<oauth_core.Client {id:?} of {issuer}>")
    }
}

twins! {
    impl Client {
        /// Runs the operation with this number; `_ops.py` calls this.
        #[pyo3(signature = (number, arguments, timeout = None, /))]
        fn _call / _acall(self, py, number: u32, #[pyo3(from_py_with = text)] arguments: Vec<OperationArg>, timeout: Option<f64>) {
            Ok(self.operating(py, number, arguments)?.within(timeout.map(seconds).transpose()?))
        }

        /// Checks the callback and redeems its code for tokens (RFC 6749 section 4.1.3).
        ///
        /// callback_url is the whole URL or its query. A callback with this flow's state consumes the flow, regardless
        /// of the result; any other is rejected with UntrustedError callback.state, and the flow stays pending.
        /// UntrustedError callback.* (RFC 9207) and MalformedError callback.* mean that nothing was sent; DeniedError,
        /// that the server or the user refused; LostError, that no response arrived; misuse.already_finished, that the
        /// flow was redeemed before.
        ///
        /// The token is for all requested resources, or for resource, a subset of them (RFC 8707 section 2.2);
        /// MisuseError resource.exceeds_grant for any other.
        ///
        /// context and user are the tool or tenant and the user in whose session the callback arrived, as your
        /// application knows them: never take them from the callback. They must equal those with which the flow was
        /// begun, otherwise UntrustedError callback.context or callback.user.
        #[pyo3(signature = (flow, callback_url, *, resource = None, context = None, user = None))]
        fn redeem / aredeem(
            self,
            py,
            flow: &PendingAuthorization,
            #[pyo3(from_py_with = text)] callback_url: String,
            #[pyo3(from_py_with = text)] resource: Option<Vec<String>>,
            #[pyo3(from_py_with = text)] context: Option<String>,
            #[pyo3(from_py_with = text)] user: Option<String>,
        ) {
            self.redeeming(py, flow, &callback_url, resource, callback_context(context, user))
        }
    }
}
