//! Signing of a client's assertions (RFC 7523 section 2.2).

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;
use oauth_core::client_auth::{ClientAssertion, Credentials, PRIVATE_KEY_ALGS};
use oauth_core::crypto::{Signer, SigningKey};
use oauth_core::error::{Cause, Misuse, ValidationFailure};
use oauth_core::jose::Alg;
use oauth_core::server::Server;
use oauth_core::{ClientAuth, Error, Secret};

use crate::{KeyError, PrivateKey, mac};

/// `client_secret_jwt`: assertions with an HMAC, whose key is the client secret.
///
/// # Errors
/// `key.algorithm` for an algorithm that is not an HMAC; `jws.key_too_small` for a secret that is shorter than
/// its hash (RFC 7518 section 3.2).
pub fn client_secret_jwt(
    secret: impl Into<Secret<String>>,
    alg: Alg,
) -> Result<ClientAssertion, Error> {
    let secret = secret.into();
    let key = mac_key(&secret, alg)?;
    ClientAssertion::with_shared_secret(secret, key)
}

/// The secret as the key of an HMAC.
fn mac_key(secret: &Secret<String>, alg: Alg) -> Result<SigningKey, Error> {
    let min_bytes = alg.signature_bytes().unwrap_or_default();
    if alg.is_symmetric() && secret.expose().len() < min_bytes {
        let detail = format!("{} needs {min_bytes} bytes", alg.as_str());
        return Err(Error::from(ValidationFailure::JwsKeyTooSmall).about(&detail));
    }
    let secret = secret.clone();
    Ok(SigningKey::local("", alg, Arc::new(Hmac { alg, secret })))
}

/// Reads the key that signs a client's assertions: a private key in PEM or as a JWK, named `kid`, or for an HMAC the
/// client secret itself.
///
/// # Errors
/// The errors of [`PrivateKey::read_for`]; `jws.key_too_small` for a secret that is shorter than its hash (RFC 7518
/// section 3.2).
pub fn client_signing_key(
    server: &Server,
    text: &Secret<String>,
    kid: &str,
    alg: Option<Alg>,
) -> Result<SigningKey, Error> {
    match alg {
        Some(alg) if alg.is_symmetric() => mac_key(text, alg),
        _ => Ok(PrivateKey::read_for(server, text.expose(), alg)?.signing_key(kid)),
    }
}

/// The method of authenticating with a secret at this server: as [`ClientAuth::negotiate`] selects it, or by
/// `client_secret_jwt` if the server accepts secrets in no other way, with [`ClientAssertion::mac_alg_at`].
///
/// # Errors
/// `client_auth.no_usable_method`; those of [`client_secret_jwt`].
pub fn client_secret_auth(
    secret: impl Into<Secret<String>>,
    server: &Server,
) -> Result<ClientAuth, Error> {
    let secret = secret.into();
    let secret_auth = ClientAuth::negotiate(Credentials::secret(secret.clone()), server);
    let mut methods = server.token_endpoint_auth_methods().into_iter();
    if secret_auth.is_ok() || !methods.any(|method| method == "client_secret_jwt") {
        return secret_auth;
    }
    let alg = ClientAssertion::mac_alg_at(server, secret.expose().len());
    client_secret_jwt(secret, alg).map(ClientAuth::assertion)
}

struct Hmac {
    alg: Alg,
    secret: Secret<String>,
}

impl Signer for Hmac {
    fn sign(&self, input: &[u8]) -> Result<Bytes, Cause> {
        let tag = mac(self.alg, self.secret.expose().as_bytes(), input);
        tag.map(Bytes::from)
            .ok_or_else(|| Cause::unsent("the algorithm is not an HMAC"))
    }
}

impl fmt::Debug for Hmac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hmac")
            .field("alg", &self.alg)
            .finish_non_exhaustive()
    }
}

impl PrivateKey {
    /// Reads a client's private key in PEM or as a JWK. The key signs with `alg`, or else with the first algorithm of
    /// the server's metadata that it supports.
    ///
    /// # Errors
    /// `key.malformed`; `key.algorithm`, which names what was tried, if the key supports none of it.
    pub fn read_for(server: &Server, text: &str, alg: Option<Alg>) -> Result<Self, Error> {
        Self::read_one_of(
            text,
            &alg.map_or_else(|| ClientAssertion::algs_at(server), |alg| vec![alg]),
        )
    }

    /// Reads a private key in PEM or as a JWK. The key signs with `alg`, or else with an algorithm that suits the key.
    ///
    /// # Errors
    /// `key.malformed`; `key.algorithm`, which names what was tried, if the key supports none of it.
    pub fn read_with(text: &str, alg: Option<Alg>) -> Result<Self, Error> {
        Self::read_one_of(
            text,
            &alg.map_or_else(|| PRIVATE_KEY_ALGS.to_vec(), |alg| vec![alg]),
        )
    }

    fn read_one_of(text: &str, candidates: &[Alg]) -> Result<Self, Error> {
        Self::read(text, candidates).map_err(|error| match error {
            KeyError::Algorithm => {
                let names: Vec<_> = candidates.iter().map(|alg| alg.as_str()).collect();
                Error::from(Misuse::KeyAlgorithm).about(&names.join(" "))
            }
            other => other.into(),
        })
    }

    /// `private_key_jwt`: assertions signed by this key, which the server knows by this `kid`. An empty `kid` is left
    /// out.
    pub fn client_assertion(&self, kid: impl Into<String>) -> ClientAssertion {
        ClientAssertion::new(self.signing_key(kid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use oauth_core::issuer::Issuer;
    use oauth_core::json::{Map, Value};

    #[test]
    fn hmac_client_key_must_be_long_enough_and_needs_an_explicit_algorithm() -> Result<(), Error> {
        let server = Server::new(Issuer::parse("https://as.example")?);
        let key = |text: &str, alg| {
            let text = Secret::new(text.to_owned());
            client_signing_key(&server, &text, "k", alg).map(|key| (key.alg(), key.id().to_owned()))
        };
        let secret = "s".repeat(48);
        assert_eq!(key(&secret, Some(Alg::Hs384))?, (Alg::Hs384, String::new()));
        let code = |result: Result<_, Error>| result.err().map(|error| error.code());
        assert_eq!(
            code(key(&secret, Some(Alg::Hs512))),
            Some("jws.key_too_small")
        );
        assert_eq!(code(key(&secret, None)), Some("key.malformed"));
        Ok(())
    }

    #[test]
    fn client_secret_jwt_is_used_only_if_the_server_accepts_no_other_secret_method()
    -> Result<(), Error> {
        let issuer = Issuer::parse("https://as.example")?;
        let server = |methods: &[&str], algs: &[&str]| {
            let member = |name: &str, values: &[&str]| (name.to_owned(), Value::from(values));
            Server::new(issuer.clone()).with_metadata(Map::from_iter([
                member("token_endpoint_auth_methods_supported", methods),
                member("token_endpoint_auth_signing_alg_values_supported", algs),
            ]))
        };
        let chosen = |methods: &[&str], algs: &[&str]| {
            let server = server(methods, algs);
            let auth = client_secret_auth("s".repeat(64), &server)?;
            Ok::<_, Error>((auth.name(), ClientAssertion::mac_alg_at(&server, 64)))
        };
        let methods = chosen(&["client_secret_jwt", "client_secret_post"], &[])?;
        assert_eq!(methods.0, "client_secret_post");
        let signed = ["private_key_jwt", "client_secret_jwt"];
        assert_eq!(chosen(&signed, &[])?, ("client_secret_jwt", Alg::Hs256));
        let listed = chosen(&signed, &["ES256", "HS512"])?;
        assert_eq!(listed, ("client_secret_jwt", Alg::Hs512));
        // The first for which the secret is long enough (RFC 7518 section 3.2).
        let server = server(&signed, &["HS512", "HS256"]);
        assert_eq!(ClientAssertion::mac_alg_at(&server, 32), Alg::Hs256);
        assert_eq!(ClientAssertion::mac_alg_at(&server, 31), Alg::Hs512);
        Ok(())
    }
}
