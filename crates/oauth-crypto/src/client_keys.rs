//! The keys of a client, with rotation: the newest signs, and all are published.

use oauth_core::client_auth::{ClientAssertion, PRIVATE_KEY_ALGS};
use oauth_core::error::{Kind, Misuse};
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::server::Server;
use oauth_core::{Error, Secret};
use serde_json::{Value, json};

use crate::jwk::{PrivateJwk, is_jwk};
use crate::{KeyError, PrivateKey};

/// The private keys of a client, the newest first. The newest that the server supports signs; the public halves of all
/// are published, so that signatures of an older one stay valid until it is removed.
///
/// ```
/// use oauth_core::jose::Alg;
/// use oauth_crypto::{ClientKeys, PrivateKey};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let new = PrivateKey::generate(Alg::Es256)?.to_pem()?;
/// let old = PrivateKey::generate(Alg::Rs256)?.to_pem()?;
/// let keys = ClientKeys::read([new.as_str(), old.as_str()])?;
/// // To register as `jwks`, or to serve at the client's `jwks_uri`.
/// assert!(keys.public_jwks().starts_with(r#"{"keys":[{"#));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ClientKeys {
    keys: Vec<ClientKey>,
}

#[derive(Debug, Clone)]
struct ClientKey {
    text: Secret<String>,
    public: PublicJwk,
    kid: String,
    /// The `alg` of the JWK, if any.
    alg: Option<String>,
}

impl ClientKeys {
    /// Reads private keys in PEM or as JWKs, the newest first. A key is named by the `kid` of its JWK, or else by its
    /// thumbprint (RFC 7638).
    ///
    /// # Errors
    /// `key.malformed` for a string that is not a key, `key.algorithm` for a key without a supported algorithm;
    /// `client_auth.keys` if there is no key, or two keys have the same name.
    pub fn read<'a>(texts: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let keys = texts.into_iter().map(ClientKey::read);
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        let misuse = |detail: &str| Err(Error::from(Misuse::ClientKeys).about(detail));
        if keys.is_empty() {
            return misuse("none is given");
        }
        // A server that finds a key by its name would find either.
        let mut kids: Vec<_> = keys.iter().map(|key| &key.kid).collect();
        kids.sort_unstable();
        if kids.windows(2).any(|pair| pair.first() == pair.last()) {
            misuse("two keys have one kid")
        } else {
            Ok(Self { keys })
        }
    }

    /// Sets the name by which the server knows the newest key.
    #[must_use]
    pub fn with_kid(mut self, kid: impl Into<String>) -> Self {
        if let Some(newest) = self.keys.first_mut() {
            newest.kid = kid.into();
        }
        self
    }

    /// `private_key_jwt` at this server: assertions signed by the newest key that supports `alg`, or else an
    /// algorithm of the server's metadata.
    ///
    /// # Errors
    /// `key.algorithm`, which names what was tried, if no key supports any of it.
    pub fn client_assertion(
        &self,
        server: &Server,
        alg: Option<Alg>,
    ) -> Result<ClientAssertion, Error> {
        let mut unfit = Error::from(Misuse::KeyAlgorithm);
        for key in &self.keys {
            match PrivateKey::read_for(server, key.text.expose(), alg) {
                Ok(private_key) => return Ok(private_key.client_assertion(&key.kid)),
                Err(error) if matches!(error.kind(), Kind::Misuse(Misuse::KeyAlgorithm)) => {
                    unfit = error
                }
                Err(error) => return Err(error),
            }
        }
        Err(unfit)
    }

    /// The public halves, the newest first, as a JWK Set in JSON (RFC 7517 section 5): to register as `jwks`, or to
    /// serve at the client's `jwks_uri`. Nothing in it is secret.
    pub fn public_jwks(&self) -> String {
        let keys: Vec<_> = self.keys.iter().map(ClientKey::public_jwks).collect();
        json!({ "keys": keys }).to_string()
    }
}

impl ClientKey {
    fn read(text: &str) -> Result<Self, Error> {
        let public = PrivateKey::read(text, &PRIVATE_KEY_ALGS)?
            .public_jwk()
            .clone();
        let (kid, alg) = if is_jwk(text) {
            let jwk = PrivateJwk::parse(text)?;
            (member(&jwk, "kid")?, member(&jwk, "alg")?)
        } else {
            (None, None)
        };
        Ok(Self {
            text: Secret::from(text),
            kid: kid.unwrap_or_else(|| public.thumbprint()),
            public,
            alg,
        })
    }

    fn public_jwks(&self) -> Value {
        let mut jwk = self.public.to_value();
        if let Value::Object(members) = &mut jwk {
            members.insert("kid".to_owned(), self.kid.as_str().into());
            members.insert("use".to_owned(), "sig".into());
            if let Some(alg) = &self.alg {
                members.insert("alg".to_owned(), alg.as_str().into());
            }
        }
        jwk
    }
}

/// A member that is a non-empty string.
fn member(jwk: &PrivateJwk, name: &str) -> Result<Option<String>, KeyError> {
    match jwk.text(name) {
        Some("") => Err(KeyError::Malformed),
        text => Ok(text.map(str::to_owned)),
    }
}
