//! The keys with which clients sign, read from files.

use std::path::Path;

use oauth_core::Secret;
use oauth_core::dpop;
use oauth_core::error::Misuse;
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::server::Server;
use oauth_crypto::{DpopKey, KeyError, PrivateKey, decrypt_pem};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::output::Failure;
use crate::secret_source::{Source, read_file, secret_args};

/// The options for the passphrase of a key.
const PASSPHRASE_OPTIONS: &str = "use --key-passphrase-env VAR, --key-passphrase-file PATH (- for stdin), \
     `client_key_passphrase_env` or `client_key_passphrase_file` in the profile, or the prompt of a terminal";

secret_args!(
    /// The source of the passphrase of an encrypted key.
    Passphrase,
    "key-passphrase",
    "passphrase",
    "Client",
    "the passphrase of an encrypted key",
    "client_key_passphrase"
);

impl Passphrase {
    /// The text of a key, decrypted if it is encrypted. Only then is the passphrase read.
    pub(crate) fn decrypt(
        &self,
        path: &Path,
        text: Secret<String>,
    ) -> Result<Secret<String>, Failure> {
        // Any other error is reported where the key is used.
        if PrivateKey::from_pem(text.expose(), RSA).err() != Some(KeyError::Encrypted) {
            return Ok(text);
        }
        let source = self.source().unwrap_or(Source::Prompt);
        let passphrase = source.read("passphrase of the key", PASSPHRASE_OPTIONS)?;
        decrypt_pem(text.expose(), &passphrase).map_err(|reason| match reason {
            KeyError::Passphrase => Failure::usage(
                "usage.key_passphrase",
                format_args!("{}: {reason}", path.display()),
                PASSPHRASE_OPTIONS,
            ),
            reason => unusable_key(path, reason),
        })
    }
}

/// One of each kind of key, to find out the kind of a key.
const KINDS: [Alg; 5] = [Alg::Es256, Alg::Es384, Alg::Es512, Alg::EdDsa, RSA];

/// Represents all algorithms of an RSA key.
const RSA: Alg = Alg::Rs256;

/// The public part of a key, and the other members of its file.
pub(crate) struct KeyFile {
    pub(crate) public: PublicJwk,
    /// `alg` of a JWK.
    alg: Option<Alg>,
    /// `kid` of a JWK.
    kid: Option<String>,
}

/// The members of a JWK that are not the key itself.
#[derive(Deserialize)]
struct Jwk {
    alg: Option<String>,
    kid: Option<String>,
    /// Only a private key has it.
    d: Option<IgnoredAny>,
}

impl KeyFile {
    /// Reads a private key in PEM, or a JWK with or without its private half; `-` is stdin.
    pub(crate) fn read(path: &Path, passphrase: &Passphrase) -> Result<Self, Failure> {
        let text = passphrase.decrypt(path, read_text(path)?)?;
        let trimmed = text.expose().trim();
        let read = if trimmed.starts_with('{') {
            Self::from_jwk(trimmed)
        } else {
            public_key_of_any_kind(|alg| PrivateKey::from_pem(trimmed, alg)).map(|public| Self {
                public,
                alg: None,
                kid: None,
            })
        };
        read.map_err(|error| unusable_key(path, error))
    }

    fn from_jwk(text: &str) -> Result<Self, KeyError> {
        let jwk: Jwk = serde_json::from_str(text).map_err(|_| KeyError::Malformed)?;
        let alg = match &jwk.alg {
            None => None,
            Some(name) => Some(Alg::from_name(name).ok_or(KeyError::Algorithm)?),
        };
        let public = match (&jwk.d, alg) {
            (None, _) => PublicJwk::parse(text).map_err(|_| KeyError::Malformed)?,
            (Some(_), Some(alg)) => PrivateKey::from_jwk(text, alg)?.public_jwk().clone(),
            (Some(_), None) => public_key_of_any_kind(|alg| PrivateKey::from_jwk(text, alg))?,
        };
        if alg.is_none_or(|alg| public.fits(alg)) {
            Ok(Self {
                public,
                alg,
                kid: jwk.kid,
            })
        } else {
            Err(KeyError::Algorithm)
        }
    }

    /// The key's name: its `kid`, or else its thumbprint.
    pub(crate) fn kid(&self) -> String {
        let kid = self.kid.clone();
        kid.unwrap_or_else(|| self.public.thumbprint())
    }

    /// The algorithm: the given one, that of the JWK, or the only one for this kind of key. `None` for an RSA key
    /// without either.
    pub(crate) fn alg(&self, requested: Option<Alg>) -> Option<Alg> {
        let mut kinds = KINDS.into_iter().filter(|kind| *kind != RSA);
        let only = kinds.find(|kind| self.public.fits(*kind));
        let requested = requested.filter(|given| self.public.fits(*given));
        self.alg.or(requested).or(only)
    }
}

/// The text of a key's file; `-` is stdin.
pub(crate) fn read_text(path: &Path) -> Result<Secret<String>, Failure> {
    let text = read_file(path).map_err(|error| {
        let is_missing = error.kind() == std::io::ErrorKind::NotFound;
        let failure = unusable_key(path, error);
        if !is_missing {
            return failure;
        }
        let path = path.display();
        failure.with_hint(format_args!(
            "create it with oauth key new --output {path}, or correct the path: in a profile, a relative one is beside the profile file"
        ))
    })?;
    Ok(Secret::new(text))
}

/// A client's private key for this server, and the `kid` of its JWK. All errors are about the file, except for a server
/// that does not support any algorithm of the key.
pub(crate) fn private_key(
    path: &Path,
    text: &Secret<String>,
    server: &Server,
    alg: Option<Alg>,
) -> Result<(PrivateKey, Option<String>), Failure> {
    let text = text.expose().trim();
    let key = PrivateKey::read_for(server, text, alg);
    let key = key.map_err(|error| {
        if error.code() == Misuse::KeyMalformed.code() {
            unusable_key(path, error.detail().unwrap_or("not a private key"))
        } else {
            error.into()
        }
    })?;
    // A string that is not a JWK has no name.
    let kid = serde_json::from_str(text).ok().and_then(|jwk: Jwk| jwk.kid);
    Ok((key, kid))
}

/// The key to which tokens are bound.
pub(crate) fn dpop_key(path: &Path) -> Result<dpop::DpopKey, Failure> {
    let text = read_text(path)?;
    let key = DpopKey::read(text.expose().trim(), None).and_then(|key| key.to_core());
    key.map_err(|error| {
        unusable_key(
            path,
            error.detail().unwrap_or("not a private key that can sign"),
        )
    })
}

/// The public half of a key whose kind is not known.
fn public_key_of_any_kind(
    read: impl Fn(Alg) -> Result<PrivateKey, KeyError>,
) -> Result<PublicJwk, KeyError> {
    for alg in KINDS {
        match read(alg) {
            Ok(key) => return Ok(key.public_jwk().clone()),
            Err(KeyError::Algorithm) => {}
            Err(other) => return Err(other),
        }
    }
    Err(KeyError::Algorithm)
}

/// Why a file has no usable key; never its content.
pub(crate) fn unusable_key(path: &Path, reason: impl std::fmt::Display) -> Failure {
    Failure::usage(
        "usage.key",
        format_args!("{}: {reason}", path.display()),
        "use a private key in PEM or JWK format; oauth key new generates one",
    )
}
