//! Clients created from a stored registration (RFC 7591 section 3.2.1). A client is registered in `op/register.rs`.

use oauth_core::client_auth::Credentials;
use oauth_core::error::{Error, Misuse};
use oauth_core::{RegisteredClient, Secret};

use crate::client::Client;
use crate::client_auth::Auth;
use crate::server::Server;

impl Client {
    /// Creates a client as it was registered with `server`: with its id, its redirect URIs, the algorithm of its ID
    /// tokens, and authenticated by its registered method. `auth` is the key or the certificate, if the method uses one;
    /// a secret comes from the registration.
    ///
    /// # Errors
    /// `stored.malformed`; `stored.issuer` for a client of another server; `client_auth.no_usable_method` if `auth` is
    /// not what the method needs, `key.*`; `arguments.inconsistent` for a secret that does not come from the registration.
    pub fn registered(
        server: &Server,
        stored: &Secret<String>,
        auth: Option<Auth>,
    ) -> Result<Self, Error> {
        let client = RegisteredClient::from_json(stored.expose(), &server.core)?;
        let credentials = match auth {
            Some(auth) => auth.own_credentials(&server.core)?,
            None => by_secret(&client)?,
        };
        oauth_core::Client::registered(server.core.clone(), &client, credentials).map(Self::from)
    }
}

impl Auth {
    /// The credentials with the client's own key or certificate.
    fn own_credentials(self, server: &oauth_core::server::Server) -> Result<Credentials, Error> {
        let mut credentials = Credentials::default();
        match self {
            #[cfg(feature = "crypto")]
            Self::PrivateKeyJwt(jwt) => credentials.assertion = Some(jwt.assertion(server)?),
            #[cfg(feature = "crypto")]
            Self::SecretJwt(jwt) => credentials.assertion = Some(jwt.assertion()?),
            Self::Tls(certificate) => credentials.certificate = Some(certificate),
            _ => {
                let reason =
                    "the registration says how the client authenticates, and has the secret for it";
                return Err(Error::from(Misuse::ArgumentsInconsistent).about(reason));
            }
        }
        #[cfg(not(feature = "crypto"))]
        let _ = server;
        Ok(credentials)
    }
}

/// The credentials that use the registered secret otherwise than by sending it.
#[cfg(feature = "crypto")]
fn by_secret(client: &RegisteredClient) -> Result<Credentials, Error> {
    let mut credentials = Credentials::default();
    if client.metadata.auth_method() == "client_secret_jwt"
        && let Some(secret) = client.client_secret.clone()
    {
        let alg = client.metadata.extra.get("token_endpoint_auth_signing_alg");
        let jwt = crate::client_auth::SecretJwt {
            secret,
            alg: alg
                .and_then(|alg| alg.as_str())
                .unwrap_or("HS256")
                .to_owned(),
            audience: None,
        };
        credentials.assertion = Some(jwt.assertion()?);
    }
    Ok(credentials)
}

#[cfg(not(feature = "crypto"))]
fn by_secret(_: &RegisteredClient) -> Result<Credentials, Error> {
    Ok(Credentials::default())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use super::*;
    use crate::client_auth::SecretJwt;
    use crate::server::Transport;
    use oauth_core::client_auth::Certificate;

    fn method_of_credential(
        method: &str,
        auth: Option<Auth>,
    ) -> Result<&'static str, &'static str> {
        let issuer = "https://as.example";
        let metadata = format!(r#"{{"issuer":"{issuer}","token_endpoint":"{issuer}/token"}}"#);
        let server = Server::from_metadata(issuer, &metadata, Transport::Https).unwrap();
        let stored = format!(
            r#"{{"version":1,"issuer":"{issuer}","client_id":"c","client_secret":"{}",
            "client_secret_expires_at":0,"metadata":{{"redirect_uris":["https://app.example/cb"],
            "token_endpoint_auth_method":"{method}"}}}}"#,
            "s".repeat(32)
        );
        let client = Client::registered(&server, &Secret::new(stored), auth);
        let client = client.map_err(|error| error.code())?;
        Ok(client.core().auth().name())
    }

    #[test]
    fn registered_method_is_used_with_the_registered_secret() {
        for method in [
            "none",
            "client_secret_basic",
            "client_secret_post",
            "client_secret_jwt",
        ] {
            assert_eq!(method_of_credential(method, None), Ok(method));
        }
        let other = method_of_credential("client_secret_basic", Some(Auth::Post("other".into())));
        assert_eq!(other, Err("arguments.inconsistent"));
        let jwt = SecretJwt {
            secret: "s".repeat(32).into(),
            alg: "HS256".to_owned(),
            audience: None,
        };
        let jwt = method_of_credential("client_secret_jwt", Some(Auth::SecretJwt(jwt)));
        assert_eq!(jwt, Ok("client_secret_jwt"));
    }

    #[test]
    fn key_or_certificate_methods_require_matching_credentials() {
        assert_eq!(
            method_of_credential("tls_client_auth", None),
            Err("client_auth.no_usable_method")
        );
        let own = |certificate| Some(Auth::Tls(certificate));
        assert_eq!(
            method_of_credential("tls_client_auth", own(Certificate::Pki)),
            Ok("tls_client_auth")
        );
        let another = method_of_credential("tls_client_auth", own(Certificate::SelfSigned));
        assert_eq!(another, Err("client_auth.no_usable_method"));
    }
}
