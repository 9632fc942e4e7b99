//! Selects the client authentication method from the client's credentials and the server's metadata (RFC 8414 section
//! 2). The default for a server that lists no methods is in `server.rs`.

use super::{ClientAssertion, ClientAuth, ClientJwt as _, FederatedAssertion};
use crate::error::{Error, Misuse};
use crate::secret::Secret;
use crate::server::Server;

/// The credentials with which a client could authenticate. The client uses only one of them (RFC 6749 section 2.3).
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct Credentials {
    /// A client secret.
    pub secret: Option<Secret<String>>,
    /// A key that signs assertions, registered with the server.
    pub assertion: Option<ClientAssertion>,
    /// The tokens of a workload, such as JWT-SVIDs.
    pub workload: Option<FederatedAssertion>,
    /// The kind of certificate that the HTTP client presents.
    pub certificate: Option<Certificate>,
}

/// The way in which the server knows the client's certificate (RFC 8705 section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certificate {
    /// By its subject, attested by an authority that the server trusts (RFC 8705 section 2.1).
    Pki,
    /// By its registered key; it is self-signed (RFC 8705 section 2.2).
    SelfSigned,
    /// By the SPIFFE ID in it, which is the client id: it is an X.509-SVID (`spiffe_x509`, OAuth SPIFFE Client
    /// Authentication section 3.2). The server's own certificate is verified as any other, and not with the trust
    /// bundle.
    Svid,
}

impl Credentials {
    /// Credentials with a client secret.
    pub fn secret(secret: impl Into<Secret<String>>) -> Self {
        Self {
            secret: Some(secret.into()),
            ..Self::default()
        }
    }

    /// Authentication by the method of this registered name, and no other.
    ///
    /// # Errors
    /// `client_auth.no_usable_method`, naming it, if there are no credentials for it.
    pub(crate) fn for_method(self, name: &str) -> Result<ClientAuth, Error> {
        let assertion = self.assertion.map(ClientAuth::assertion);
        let workload = self.workload.map(ClientAuth::federated);
        let tls = self.certificate.map(ClientAuth::tls);
        let auth = match name {
            "none" => Some(ClientAuth::none()),
            "client_secret_basic" => self.secret.map(ClientAuth::basic),
            "client_secret_post" => self.secret.map(ClientAuth::post),
            _ => [assertion, workload, tls]
                .into_iter()
                .flatten()
                .find(|auth| auth.name() == name),
        };
        auth.ok_or_else(|| Error::from(Misuse::NoUsableMethod).about(name))
    }
}

impl ClientAuth {
    /// The strongest method that the server accepts according to its `token_endpoint_auth_methods_supported`
    /// (RFC 8414 section 2) and for which there are credentials: a key before a workload's token before a certificate
    /// before a secret, and a secret by `client_secret_basic` before `client_secret_post`. A server that lists none
    /// accepts `client_secret_basic`. Without credentials the client is a public one.
    ///
    /// # Errors
    /// `client_auth.no_usable_method`, which names the methods that the server accepts.
    pub fn negotiate(credentials: Credentials, server: &Server) -> Result<Self, Error> {
        let methods = server.token_endpoint_auth_methods();
        let accepts = |name: &str| methods.iter().any(|method| method == name);
        let Credentials {
            secret,
            assertion,
            workload,
            certificate,
        } = credentials;
        if let Some(assertion) = assertion.filter(|assertion| accepts(assertion.name())) {
            return Ok(Self::assertion(assertion));
        }
        if let Some(workload) = workload.filter(|workload| accepts(workload.method())) {
            return Ok(Self::federated(workload));
        }
        let tls = certificate.map(Self::tls);
        if let Some(tls) = tls.filter(|tls| accepts(tls.name())) {
            return Ok(tls);
        }
        match secret {
            Some(secret) if accepts("client_secret_basic") => return Ok(Self::basic(secret)),
            Some(secret) if accepts("client_secret_post") => return Ok(Self::post(secret)),
            None if accepts("none") => return Ok(Self::none()),
            _ => {}
        }
        let accepted = if methods.is_empty() {
            "none".to_owned()
        } else {
            methods.join(", ")
        };
        Err(Error::from(Misuse::NoUsableMethod).about(&accepted))
    }
}
