//! Client authentication: the settings from JavaScript as a method.

use std::sync::Arc;

use napi::Result;
use napi_derive::napi;
use oauth_core::client_auth::AssertionRequest;
use oauth_core::workload::WorkloadToken;
use oauth_core::{Secret, crypto::KeyUse, error::Misuse};
use oauth_facade::{
    AssertionProfile, Auth, Certificate, ClientIdParameter, FederatedAssertion, PrivateKeyJwt,
    SecretJwt,
};
use oauth_reqwest::AssertionFile;

use crate::assertion_callback::NativeAssertionSource;
use crate::error::{fail, invalid};
use crate::settings::NativeWorkload;

/// The settings of a client's assertions.
#[napi(object, object_to_js = false)]
pub struct NativeAssertion {
    /// `client_secret_jwt`, `private_key_jwt`, `service_account`, `workload`, `file` or `function`.
    pub method: String,
    /// The secret, the path, or the text of a service account's file; empty for keys and for a function.
    pub source: String,
    /// The keys, the newest first.
    pub keys: Option<Vec<String>>,
    /// The passphrase of encrypted keys.
    pub passphrase: Option<String>,
    /// The algorithm.
    pub alg: Option<String>,
    /// The `kid` of the header.
    pub kid: Option<String>,
    /// The `x5t#S256` of the header.
    pub certificate_thumbprint: Option<String>,
    /// The `aud` claim, if it is not the issuer.
    pub audience: Option<String>,
    /// `jwt` or `spiffe_jwt`.
    pub profile: Option<String>,
    /// `omitted` or `sent`.
    pub client_id: Option<String>,
    /// The user for whom a service account acts.
    pub subject: Option<String>,
    /// The workload whose token is the assertion.
    pub workload: Option<NativeWorkload>,
    /// The audience of a token exchange, if the token of a file or function is exchanged.
    pub exchange_audience: Option<String>,
}

/// The public halves of the keys of a `private_key_jwt`, as a JWK Set in JSON.
#[napi]
pub(crate) fn public_jwks(assertion: NativeAssertion) -> Result<String> {
    let jwt = assertion.private_key_jwt(KeyUse::default());
    jwt.public_jwks().map_err(fail)
}

/// Checks the values of an assertion to the extent possible without a server.
#[napi]
pub(crate) fn check_assertion(assertion: NativeAssertion) -> Result<()> {
    assertion.auth(None, None)?.check().map_err(fail)
}

/// Records the servers for which the keys of a `private_key_jwt` have signed, across the clients that read the same keys.
#[napi]
pub struct NativeKeyUse(KeyUse);

#[napi]
impl NativeKeyUse {
    /// Keys that have signed for no server yet.
    #[napi(constructor)]
    pub fn new() -> Self {
        Self(KeyUse::default())
    }
}

impl NativeAssertion {
    fn private_key_jwt(self, used: KeyUse) -> PrivateKeyJwt {
        let keys = self.keys.into_iter().flatten();
        PrivateKeyJwt {
            keys: keys.map(Secret::new).collect(),
            passphrase: self.passphrase.map(Secret::new),
            alg: self.alg,
            kid: self.kid,
            certificate_thumbprint: self.certificate_thumbprint,
            audience: self.audience,
            used,
        }
    }

    fn auth(
        self,
        function: Option<&NativeAssertionSource>,
        used: Option<&NativeKeyUse>,
    ) -> Result<Auth> {
        if self.method == "private_key_jwt" {
            let used = used.map(|used| used.0.clone()).unwrap_or_default();
            return Ok(Auth::PrivateKeyJwt(self.private_key_jwt(used)));
        }
        if let Some(workload) = self.workload {
            return workload.auth(self.audience, self.client_id.as_deref());
        }
        let Self { alg, audience, .. } = self;
        match self.method.as_str() {
            "client_secret_jwt" => Ok(Auth::SecretJwt(SecretJwt {
                secret: Secret::new(self.source),
                alg: alg.unwrap_or_else(|| "HS256".to_owned()),
                audience,
            })),
            "service_account" => {
                let file = Secret::new(self.source);
                Ok(Auth::ServiceAccount(file, self.subject))
            }
            "file" | "function" => {
                let token = match function {
                    None => WorkloadToken::new(AssertionFile::new(self.source)),
                    Some(function) => {
                        let called = Arc::clone(&function.0);
                        WorkloadToken::new(move |wanted: &AssertionRequest<'_>| {
                            called.assertion(wanted)
                        })
                    }
                };
                let client_id = self.client_id.as_deref();
                if let Some(exchanged) = self.exchange_audience {
                    let client_id = client_id
                        .map(|name| client_id_parameter(Some(name)))
                        .transpose()?;
                    return Ok(Auth::exchanging(token, exchanged, audience, client_id));
                }
                let mut assertion = FederatedAssertion::from_workload_token(token);
                assertion = assertion.profile(match self.profile.as_deref() {
                    None | Some("jwt") => AssertionProfile::Jwt,
                    Some("spiffe_jwt") => AssertionProfile::SpiffeJwt,
                    Some(_) => return Err(invalid("profile must be jwt or spiffe_jwt")),
                });
                assertion = assertion.client_id(client_id_parameter(client_id)?);
                if let Some(audience) = audience {
                    assertion = assertion.audience(audience);
                }
                Ok(Auth::Federated(assertion))
            }
            _ => Err(invalid(
                "clientAuth must be a name, or the result of privateKeyJwt, clientSecretJwt, assertionFile or \
                 assertionFunction",
            )),
        }
    }
}

/// Parses the `clientId` option of assertions: whether requests contain the `client_id` besides the assertion.
pub(crate) fn client_id_parameter(name: Option<&str>) -> Result<ClientIdParameter> {
    match name {
        None | Some("omitted") => Ok(ClientIdParameter::Omitted),
        Some("sent") => Ok(ClientIdParameter::Sent),
        Some(_) => Err(invalid("clientId must be omitted or sent")),
    }
}

/// The authentication method, from its settings or by its registered name.
pub(crate) fn auth(
    assertion: Option<NativeAssertion>,
    chosen: Option<&str>,
    secret: Option<Secret<String>>,
    function: Option<&NativeAssertionSource>,
    used: Option<&NativeKeyUse>,
) -> Result<Auth> {
    match (assertion, secret) {
        (Some(assertion), None) => assertion.auth(function, used),
        (Some(_), Some(_)) => Err(invalid(
            "clientSecret cannot be combined with this clientAuth",
        )),
        (None, secret) => by_name(chosen, secret),
    }
}

/// The authentication method with this registered name, or the one that the server documents.
fn by_name(chosen: Option<&str>, secret: Option<Secret<String>>) -> Result<Auth> {
    let with = |auth: fn(Secret<String>) -> Auth, secret: Option<Secret<String>>| {
        let secret = secret.ok_or_else(|| fail(Misuse::SecretMissing.into()))?;
        Ok::<_, napi::Error>(auth(secret))
    };
    let without = |auth: Auth, secret: Option<Secret<String>>| match secret {
        None => Ok(auth),
        Some(_) => Err(fail(Misuse::SecretNotAllowed.into())),
    };
    match chosen {
        None => Ok(Auth::Documented(secret)),
        Some("none") => without(Auth::None, secret),
        Some("tls_client_auth") => without(Auth::Tls(Certificate::Pki), secret),
        Some("self_signed_tls_client_auth") => without(Auth::Tls(Certificate::SelfSigned), secret),
        Some("spiffe_x509") => without(Auth::Tls(Certificate::Svid), secret),
        Some("client_secret_basic") => with(Auth::Basic, secret),
        Some("client_secret_post") => with(Auth::Post, secret),
        Some(_) => Err(invalid(
            "clientAuth must be client_secret_basic, client_secret_post, none, tls_client_auth, \
             self_signed_tls_client_auth, spiffe_x509, or the result of privateKeyJwt, clientSecretJwt, \
             assertionFile or assertionFunction",
        )),
    }
}
