//! How a client authenticates, in plain values.

use oauth_core::client_auth::{Certificate, ClientAuth, Credentials, FederatedAssertion};
use oauth_core::error::Error;
use oauth_core::{Secret, server};

/// How the client authenticates.
#[derive(Debug, Clone)]
pub enum Auth {
    /// As the preset documents it, with this secret; without one, as a public client. A server
    /// without a preset gets it as its metadata say, `client_secret_basic` where they say nothing.
    Documented(Option<Secret<String>>),
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
    /// A workload's token.
    Federated(FederatedAssertion),
    /// The certificate of the connection (RFC 8705).
    Tls(Certificate),
}

/// Assertions with an HMAC of the client secret.
#[cfg(feature = "crypto")]
#[derive(Debug, Clone)]
pub struct SecretJwt {
    /// The secret.
    pub secret: Secret<String>,
    /// `HS256`, `HS384` or `HS512`.
    pub alg: String,
    /// The `aud`, where it is not the issuer.
    pub audience: Option<String>,
}

/// Assertions signed by a private key.
#[cfg(feature = "crypto")]
#[derive(Debug, Clone)]
pub struct PrivateKeyJwt {
    /// The key: PEM (PKCS#8, PKCS#1, SEC1) or a JWK.
    pub key: Secret<String>,
    /// The algorithm; by default one that the key and the server both know.
    pub alg: Option<String>,
    /// The `kid` of the header.
    pub kid: Option<String>,
    /// The `x5t#S256` of the header: the base64url of the certificate's SHA-256.
    pub certificate_thumbprint: Option<String>,
    /// The `aud`, where it is not the issuer.
    pub audience: Option<String>,
}

impl Auth {
    /// The method at this server, which is none of a preset.
    ///
    /// # Errors
    /// `client_auth.no_usable_method`, `key.*`, `jws.key_too_small`.
    pub(crate) fn at(self, server: &server::Server) -> Result<ClientAuth, Error> {
        Ok(match self {
            Self::Documented(Some(secret)) => {
                return ClientAuth::negotiate(Credentials::secret(secret), server);
            }
            Self::Documented(None) | Self::None => ClientAuth::none(),
            Self::Basic(secret) => ClientAuth::basic(secret),
            Self::Post(secret) => ClientAuth::post(secret),
            #[cfg(feature = "crypto")]
            Self::SecretJwt(jwt) => ClientAuth::assertion(jwt.assertion()?),
            #[cfg(feature = "crypto")]
            Self::PrivateKeyJwt(jwt) => ClientAuth::assertion(jwt.assertion(server)?),
            Self::Federated(assertion) => ClientAuth::federated(assertion),
            Self::Tls(certificate) => ClientAuth::tls(certificate),
        })
    }
}

#[cfg(feature = "crypto")]
mod assertion {
    use oauth_core::client_auth::{AssertionAudience, ClientAssertion};
    use oauth_core::error::{Error, Misuse};
    use oauth_core::jose::Alg;
    use oauth_core::server::Server;
    use oauth_crypto::PrivateKey;

    use super::{PrivateKeyJwt, SecretJwt};

    impl SecretJwt {
        pub(super) fn assertion(self) -> Result<ClientAssertion, Error> {
            let alg = named(&self.alg)?;
            let assertion = oauth_crypto::client_secret_jwt(self.secret, alg)?;
            Ok(for_audience(assertion, self.audience))
        }
    }

    impl PrivateKeyJwt {
        pub(super) fn assertion(self, server: &Server) -> Result<ClientAssertion, Error> {
            let alg = self.alg.as_deref().map(named).transpose()?;
            let key = PrivateKey::read_for(server, self.key.expose(), alg)?;
            let mut assertion = key.client_assertion(self.kid.unwrap_or_default());
            if let Some(thumbprint) = self.certificate_thumbprint {
                assertion = assertion.certificate_thumbprint(thumbprint);
            }
            Ok(for_audience(assertion, self.audience))
        }
    }

    fn named(name: &str) -> Result<Alg, Error> {
        Alg::named(name).ok_or_else(|| Error::from(Misuse::KeyAlgorithm).about(name))
    }

    fn for_audience(assertion: ClientAssertion, audience: Option<String>) -> ClientAssertion {
        match audience {
            Some(text) => assertion.audience(AssertionAudience::Other(text)),
            None => assertion,
        }
    }
}
