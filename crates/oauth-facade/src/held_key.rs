//! Private keys that the host holds (WebCrypto, KMS, HSM), where this process has no algorithms.

use oauth_core::Secret;
use oauth_core::client_auth::{ClientAssertion, ClientAuth, Credentials};
use oauth_core::crypto::{KeyUse, SigningKey};
use oauth_core::error::{Error, Misuse, ValidationFailure};
use oauth_core::exchange::Holder;
use oauth_core::jose::Alg;
use oauth_core::server::Server;

use crate::client_auth::by_key::{alg_from_name, for_audience};

/// A private key that the host holds.
#[derive(Debug, Clone)]
pub struct HeldKey {
    /// The name among several: the `kid` of its JWK, or its thumbprint.
    pub kid: String,
    /// The algorithms with which it can sign.
    pub algs: Vec<String>,
    /// The name of the signer; each [`SigningJob`](oauth_core::exchange::SigningJob) has it.
    pub holder: Holder,
}

impl HeldKey {
    /// The key as a type of the core, for this algorithm, or else for the first of the server's metadata that it supports.
    ///
    /// # Errors
    /// `key.algorithm`, which names what was tried.
    pub(crate) fn signing_key(
        &self,
        server: &Server,
        kid: &str,
        alg: Option<Alg>,
    ) -> Result<SigningKey, Error> {
        let candidates = alg.map_or_else(|| ClientAssertion::algs_at(server), |alg| vec![alg]);
        let can_sign = |alg: &&Alg| self.algs.iter().any(|name| name == alg.as_str());
        let Some(alg) = candidates.iter().find(can_sign) else {
            let names: Vec<_> = candidates.iter().map(|alg| alg.as_str()).collect();
            return Err(Error::from(Misuse::KeyAlgorithm).about(&names.join(" ")));
        };
        Ok(SigningKey::host(kid, *alg).held_by(self.holder.clone()))
    }
}

/// Assertions signed by a private key that the host holds.
#[derive(Debug, Clone)]
pub struct HeldKeyJwt {
    /// The keys, the newest first. The newest that the server supports signs.
    pub keys: Vec<HeldKey>,
    /// The algorithm; by default one that both the key and the server support.
    pub alg: Option<String>,
    /// The `kid` in the header, if there is one key.
    pub kid: Option<String>,
    /// The `x5t#S256` in the header, if there is one key.
    pub certificate_thumbprint: Option<String>,
    /// The `aud`, if it is not the issuer.
    pub audience: Option<String>,
    /// The servers for which the keys sign, recorded across clients that read the keys again, as long as they use this
    /// value or a clone.
    pub used: KeyUse,
}

impl HeldKeyJwt {
    /// The assertions at this server.
    ///
    /// # Errors
    /// `key.algorithm`; `client_auth.keys` if there is no key, or if two have the same name; `arguments.inconsistent` if a setting for one key is given
    /// with several.
    pub(crate) fn assertion(self, server: &Server) -> Result<ClientAssertion, Error> {
        let alg = self.alg.as_deref().map(alg_from_name).transpose()?;
        let key = match &*self.keys {
            [key] => key.signing_key(server, self.kid.as_deref().unwrap_or_default(), alg)?,
            _ => self.newest(server, alg)?,
        };
        let mut assertion = ClientAssertion::new(key).noting_use(&self.used);
        if let Some(thumbprint) = self.certificate_thumbprint {
            assertion = assertion.certificate_thumbprint(thumbprint);
        }
        Ok(for_audience(assertion, self.audience))
    }

    /// The newest of several keys that the server supports.
    fn newest(&self, server: &Server, alg: Option<Alg>) -> Result<SigningKey, Error> {
        let refuse = |reason: &str| Err(Error::from(Misuse::ClientKeys).about(reason));
        if self.kid.is_some() || self.certificate_thumbprint.is_some() {
            let reason = "a kid and a certificate can be given for one key only: set the kid of several keys in their JWKs";
            return Err(Error::from(Misuse::ArgumentsInconsistent).about(reason));
        }
        let mut kids: Vec<_> = self.keys.iter().map(|key| &key.kid).collect();
        kids.sort_unstable();
        // A server that finds a key by its name would find either.
        if kids.windows(2).any(|pair| pair.first() == pair.last()) {
            return refuse("two keys have one kid");
        }
        let mut unfit = None;
        for key in &self.keys {
            match key.signing_key(server, &key.kid, alg) {
                Err(error) => unfit = Some(error),
                key => return key,
            }
        }
        match unfit {
            Some(unfit) => Err(unfit),
            None => refuse("none is given"),
        }
    }
}

/// Assertions with an HMAC of the client secret, which the host makes.
#[derive(Debug, Clone)]
pub struct HeldSecretJwt {
    /// The client secret.
    pub secret: Secret<String>,
    /// `HS256`, `HS384` or `HS512`.
    pub alg: String,
    /// The `aud`, if it is not the issuer.
    pub audience: Option<String>,
    /// The name of the holder of the HMAC key.
    pub holder: Holder,
}

impl HeldSecretJwt {
    /// The assertions.
    ///
    /// # Errors
    /// `key.algorithm` for an algorithm that is not an HMAC; `jws.key_too_small` for a secret that is shorter than its
    /// hash (RFC 7518 section 3.2).
    pub(crate) fn assertion(self) -> Result<ClientAssertion, Error> {
        let key = mac_key(&self.secret, alg_from_name(&self.alg)?, self.holder)?;
        let assertion = ClientAssertion::with_shared_secret(self.secret, key)?;
        Ok(for_audience(assertion, self.audience))
    }
}

/// The key of HMACs with this secret, which the host makes.
///
/// # Errors
/// `jws.key_too_small` for a secret that is shorter than the hash (RFC 7518 section 3.2).
pub(crate) fn mac_key(
    secret: &Secret<String>,
    alg: Alg,
    holder: Holder,
) -> Result<SigningKey, Error> {
    let least = alg.signature_bytes().unwrap_or_default();
    if alg.is_symmetric() && secret.expose().len() < least {
        let detail = format!("{} needs {least} bytes", alg.as_str());
        return Err(Error::from(ValidationFailure::JwsKeyTooSmall).about(&detail));
    }
    Ok(SigningKey::host("", alg).held_by(holder))
}

/// The method for a secret, which the server's metadata determines: the secret is sent unless the server accepts only
/// HMACs of it.
pub(crate) fn by_secret(
    secret: Secret<String>,
    holder: Holder,
    server: &Server,
) -> Result<ClientAuth, Error> {
    let sent = ClientAuth::negotiate(Credentials::secret(secret.clone()), server);
    let mut methods = server.token_endpoint_auth_methods().into_iter();
    if sent.is_ok() || !methods.any(|method| method == "client_secret_jwt") {
        return sent;
    }
    let alg = ClientAssertion::mac_alg_at(server, secret.expose().len());
    let key = mac_key(&secret, alg, holder)?;
    ClientAssertion::with_shared_secret(secret, key).map(ClientAuth::assertion)
}
