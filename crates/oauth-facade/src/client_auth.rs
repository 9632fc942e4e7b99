//! How a client authenticates, in plain values.

use oauth_core::client_auth::{Certificate, ClientAuth, FederatedAssertion};
#[cfg(feature = "crypto")]
use oauth_core::crypto::KeyUse;
use oauth_core::error::Error;
use oauth_core::{Secret, server};
#[cfg(feature = "providers")]
use oauth_core::{
    client_auth::ClientIdParameter,
    grant::token_type,
    workload::{SubjectToken, WorkloadToken},
};

#[cfg(feature = "held-keys")]
use crate::held_key::{HeldKeyJwt, HeldSecretJwt};
#[cfg(feature = "held-keys")]
use oauth_core::exchange::Holder;

/// How the client authenticates.
#[derive(Debug, Clone)]
pub enum Auth {
    /// As the preset documents it, with this secret; without one, as a public client. For a server without a preset,
    /// its metadata determines the method; `client_secret_basic` if it lists none.
    Documented(Option<Secret<String>>),
    /// Like [`Documented`](Self::Documented) with a secret, but the host makes the HMACs if the server accepts only
    /// `client_secret_jwt`.
    #[cfg(feature = "held-keys")]
    DocumentedHolding(Secret<String>, Holder),
    /// A public client.
    None,
    /// `client_secret_basic`.
    Basic(Secret<String>),
    /// `client_secret_post`.
    Post(Secret<String>),
    /// `client_secret_jwt`.
    #[cfg(feature = "crypto")]
    SecretJwt(SecretJwt),
    /// `private_key_jwt`.
    #[cfg(feature = "crypto")]
    PrivateKeyJwt(PrivateKeyJwt),
    /// `private_key_jwt` with keys that the host holds.
    #[cfg(feature = "held-keys")]
    HeldKeyJwt(HeldKeyJwt),
    /// `client_secret_jwt`, whose HMACs the host makes.
    #[cfg(feature = "held-keys")]
    HeldSecretJwt(HeldSecretJwt),
    /// A service account of Google, with the text of its file; its own tokens are for the account, or for this
    /// user.
    #[cfg(all(feature = "crypto", feature = "providers"))]
    ServiceAccount(Secret<String>, Option<String>),
    /// As configured by a client file or environment variables.
    #[cfg(feature = "providers")]
    Settings(Box<oauth_providers::ClientSettings>),
    /// A workload's token, which is exchanged for the client's own tokens; and whether the client is named.
    #[cfg(feature = "providers")]
    Exchange(SubjectToken, ClientIdParameter),
    /// A workload's token as the client assertion.
    Federated(FederatedAssertion),
    /// The certificate of the connection (RFC 8705).
    Tls(Certificate),
}

/// Assertions with an HMAC of the client secret.
#[cfg(feature = "crypto")]
#[derive(Debug, Clone)]
pub struct SecretJwt {
    /// The client secret.
    pub secret: Secret<String>,
    /// `HS256`, `HS384` or `HS512`.
    pub alg: String,
    /// The `aud`, if it is not the issuer.
    pub audience: Option<String>,
}

/// Assertions signed by a private key.
#[cfg(feature = "crypto")]
#[derive(Debug, Clone)]
pub struct PrivateKeyJwt {
    /// The keys, the newest first: PEM (PKCS#8, PKCS#1, SEC1) or JWKs. The newest that the server supports signs.
    pub keys: Vec<Secret<String>>,
    /// The passphrase of the encrypted keys (PKCS#8 with PBES2).
    pub passphrase: Option<Secret<String>>,
    /// The algorithm; by default one that both the key and the server support.
    pub alg: Option<String>,
    /// The `kid` in the header, if there is one key. Several keys are named by their JWKs, or by their thumbprints.
    pub kid: Option<String>,
    /// The `x5t#S256` in the header, if there is one key: the base64url of the certificate's SHA-256.
    pub certificate_thumbprint: Option<String>,
    /// The `aud`, if it is not the issuer.
    pub audience: Option<String>,
    /// For which servers the keys sign, as long as this value or a clone is used: each client reads the keys again.
    /// Keys are compared by `kid`, and not with those of another value, even of the same text: a client may use one key
    /// at two servers that require an `audience` if it has an id of its own at each.
    pub used: KeyUse,
}

impl Auth {
    /// Checks tokens of a workload, exchanged for the client's own (RFC 8693). The audience of the workload's own tokens is
    /// `audience`, if it differs from that of the exchange; requests name the client unless told otherwise.
    #[cfg(feature = "providers")]
    pub fn exchanging(
        token: WorkloadToken,
        exchange_audience: String,
        audience: Option<String>,
        client_id: Option<ClientIdParameter>,
    ) -> Self {
        let subject = SubjectToken::new(token, token_type::JWT, exchange_audience);
        let subject = match audience {
            Some(audience) => subject.platform_audience(audience),
            None => subject,
        };
        Self::Exchange(subject, client_id.unwrap_or(ClientIdParameter::Sent))
    }

    /// Checks the keys and secrets as far as possible without a server, so that an error is reported where the value is given.
    ///
    /// # Errors
    /// `key.*`, `jws.key_too_small`, `client_auth.keys`, `arguments.inconsistent`, naming the argument; `provider.data` and
    /// `client_auth.key_file_path` for the file of a service account.
    pub fn check(&self) -> Result<(), Error> {
        match self {
            #[cfg(feature = "crypto")]
            Self::PrivateKeyJwt(jwt) => jwt.check(),
            #[cfg(feature = "crypto")]
            Self::SecretJwt(jwt) => jwt.check(),
            #[cfg(all(feature = "crypto", feature = "providers"))]
            Self::ServiceAccount(file, _) => check_service_account(file),
            _ => Ok(()),
        }
    }

    /// The method at this server, which does not come from a preset.
    ///
    /// # Errors
    /// `client_auth.no_usable_method`, `key.*`, `jws.key_too_small`.
    pub(crate) fn at(self, server: &server::Server) -> Result<ClientAuth, Error> {
        Ok(match self {
            Self::Documented(Some(secret)) => {
                return by_secret(secret, server);
            }
            #[cfg(feature = "held-keys")]
            Self::DocumentedHolding(secret, holder) => {
                return crate::held_key::by_secret(secret, holder, server);
            }
            Self::Documented(None) | Self::None => ClientAuth::none(),
            Self::Basic(secret) => ClientAuth::basic(secret),
            Self::Post(secret) => ClientAuth::post(secret),
            #[cfg(feature = "crypto")]
            Self::SecretJwt(jwt) => ClientAuth::assertion(jwt.assertion()?),
            #[cfg(feature = "crypto")]
            Self::PrivateKeyJwt(jwt) => ClientAuth::assertion(jwt.assertion(server)?),
            #[cfg(feature = "held-keys")]
            Self::HeldKeyJwt(jwt) => ClientAuth::assertion(jwt.assertion(server)?),
            #[cfg(feature = "held-keys")]
            Self::HeldSecretJwt(jwt) => ClientAuth::assertion(jwt.assertion()?),
            #[cfg(feature = "providers")]
            Self::Exchange(_, ClientIdParameter::Sent) => ClientAuth::none(),
            #[cfg(all(feature = "crypto", feature = "providers"))]
            Self::ServiceAccount(..) => ClientAuth::without_client_id(),
            #[cfg(feature = "providers")]
            Self::Settings(_) | Self::Exchange(..) => ClientAuth::without_client_id(),
            Self::Federated(assertion) => ClientAuth::federated(assertion),
            Self::Tls(certificate) => ClientAuth::tls(certificate),
        })
    }
}

/// The method for a secret, which the server's metadata determines.
fn by_secret(secret: Secret<String>, server: &server::Server) -> Result<ClientAuth, Error> {
    #[cfg(feature = "crypto")]
    let auth = oauth_crypto::client_secret_auth(secret, server);
    #[cfg(not(feature = "crypto"))]
    let auth = ClientAuth::negotiate(oauth_core::client_auth::Credentials::secret(secret), server);
    auth
}

/// The settings of assertions by a key, whether the key is in this process or held by the host.
#[cfg(any(feature = "crypto", feature = "held-keys"))]
pub(crate) mod by_key {
    use oauth_core::client_auth::{AssertionAudience, ClientAssertion};
    use oauth_core::error::{Error, Misuse};
    use oauth_core::jose::Alg;

    /// The algorithm of this name.
    pub(crate) fn alg_from_name(name: &str) -> Result<Alg, Error> {
        Alg::from_name(name).ok_or_else(|| Error::from(Misuse::KeyAlgorithm).about(name))
    }

    /// Assertions for this audience, if one is given.
    pub(crate) fn for_audience(
        assertion: ClientAssertion,
        audience: Option<String>,
    ) -> ClientAssertion {
        match audience {
            Some(text) => assertion.audience(AssertionAudience::Other(text)),
            None => assertion,
        }
    }
}

/// Checks the file of a service account, and its key.
#[cfg(all(feature = "crypto", feature = "providers"))]
fn check_service_account(file: &Secret<String>) -> Result<(), Error> {
    let account = oauth_providers::ServiceAccount::from_json(file.expose())?;
    let alg = Some(oauth_core::jose::Alg::Rs256);
    oauth_crypto::PrivateKey::read_with(account.private_key().expose(), alg).map(drop)
}

#[cfg(feature = "crypto")]
mod assertion {
    use oauth_core::Secret;
    use oauth_core::client_auth::ClientAssertion;
    use oauth_core::error::{Error, Misuse};
    use oauth_core::server::Server;
    use oauth_crypto::{ClientKeys, PrivateKey};

    use super::by_key::{alg_from_name, for_audience};
    use super::{PrivateKeyJwt, SecretJwt};

    impl SecretJwt {
        /// Checks the values to the extent possible without a server.
        ///
        /// # Errors
        /// `key.algorithm`, `jws.key_too_small`, naming the argument.
        pub(super) fn check(&self) -> Result<(), Error> {
            let alg = alg_from_name(&self.alg).map_err(|error| of_argument("alg", error))?;
            if !alg.is_symmetric() {
                let error = Error::from(Misuse::KeyAlgorithm).about(&self.alg);
                return Err(of_argument("alg", error));
            }
            let assertion = oauth_crypto::client_secret_jwt(self.secret.clone(), alg);
            assertion
                .map(drop)
                .map_err(|error| of_argument("secret", error))
        }

        pub(crate) fn assertion(self) -> Result<ClientAssertion, Error> {
            let alg = alg_from_name(&self.alg)?;
            let assertion = oauth_crypto::client_secret_jwt(self.secret, alg)?;
            Ok(for_audience(assertion, self.audience))
        }
    }

    /// The error with the name of the argument that is at fault.
    fn of_argument(name: &str, error: Error) -> Error {
        let detail = match error.detail() {
            Some(detail) => format!("{name}: {detail}"),
            None => name.to_owned(),
        };
        error.about(&detail)
    }

    impl PrivateKeyJwt {
        /// Checks the values to the extent possible without a server: each key is one, and one of them supports the
        /// algorithm.
        ///
        /// # Errors
        /// `key.*`, `client_auth.keys`, `arguments.inconsistent`, naming the argument.
        pub(super) fn check(&self) -> Result<(), Error> {
            let alg = self.alg.as_deref().map(alg_from_name).transpose();
            let alg = alg.map_err(|error| of_argument("alg", error))?;
            self.all().map_err(|error| {
                let name = match error.code() {
                    "key.passphrase" => "passphrase",
                    "arguments.inconsistent" => "kid",
                    _ => "key",
                };
                of_argument(name, error)
            })?;
            let mut unfit = None;
            for key in &self.keys {
                let read = self
                    .decrypted(key)
                    .and_then(|key| PrivateKey::read_with(key.expose(), alg));
                match read {
                    Ok(_) => return Ok(()),
                    Err(error) => unfit = Some(of_argument("alg", error)),
                }
            }
            unfit.map_or(Ok(()), Err)
        }

        pub(crate) fn assertion(self, server: &Server) -> Result<ClientAssertion, Error> {
            let alg = self.alg.as_deref().map(alg_from_name).transpose()?;
            let mut assertion = match &*self.keys {
                [key] => PrivateKey::read_for(server, self.decrypted(key)?.expose(), alg)?
                    .client_assertion(self.kid.clone().unwrap_or_default()),
                _ => self.all()?.client_assertion(server, alg)?,
            };
            assertion = assertion.noting_use(&self.used);
            if let Some(thumbprint) = self.certificate_thumbprint {
                assertion = assertion.certificate_thumbprint(thumbprint);
            }
            Ok(for_audience(assertion, self.audience))
        }
    }

    impl PrivateKeyJwt {
        /// The public halves of all keys as a JWK Set in JSON (RFC 7517 section 5): to register as `jwks`, or to
        /// serve at the client's `jwks_uri`.
        ///
        /// # Errors
        /// `key.*`; `client_auth.keys` if there is no key, or if two have the same name; `arguments.inconsistent` if a
        /// setting for one key is given with several.
        pub fn public_jwks(&self) -> Result<String, Error> {
            let keys = self.all()?;
            Ok(match &self.kid {
                Some(kid) => keys.with_kid(kid).public_jwks(),
                None => keys.public_jwks(),
            })
        }

        fn all(&self) -> Result<ClientKeys, Error> {
            let is_for_one_key = self.kid.is_some() || self.certificate_thumbprint.is_some();
            if self.keys.len() > 1 && is_for_one_key {
                let reason = "a kid and a certificate can be given for one key only: set the kid of several keys in their JWKs";
                return Err(Error::from(Misuse::ArgumentsInconsistent).about(reason));
            }
            let keys = self.keys.iter().map(|key| self.decrypted(key));
            let keys = keys.collect::<Result<Vec<_>, _>>()?;
            ClientKeys::read(keys.iter().map(|key| key.expose().as_str()))
        }

        fn decrypted(&self, key: &Secret<String>) -> Result<Secret<String>, Error> {
            match &self.passphrase {
                Some(passphrase) => Ok(oauth_crypto::decrypt_pem(key.expose(), passphrase)?),
                None => Ok(key.clone()),
            }
        }
    }
}
