//! Signing keys, in this process or held by the host, and the interfaces of decryption and encryption. No algorithms
//! are implemented here.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Cause, Error, Misuse};
use crate::exchange::{Holder, SigningJob};
use crate::jose::{self, Alg};
use crate::secret::Secret;

pub use crate::jose::{
    Decrypter, DecryptionFailed, DecryptionJob, Encrypted, Encrypter, EncryptionFailed, WrappedKey,
};

/// Makes signatures with a private key held in this process.
pub trait Signer: Send + Sync {
    /// Signs these bytes. The signature has the JWS format of the key's algorithm (RFC 7518 section 3).
    ///
    /// # Errors
    /// The reason why no signature was made.
    fn sign(&self, input: &[u8]) -> Result<Bytes, Cause>;
}

/// Whether the audience of a client assertion is the issuer of the server that receives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AudienceKind {
    Issuer,
    Other,
}

/// A private key: its id, its algorithm, and the signer that holds it. The core never reads the key itself.
#[derive(Clone)]
pub struct SigningKey {
    id: String,
    alg: Alg,
    signer: Option<Arc<dyn Signer>>,
    holder: Option<Holder>,
    used: KeyUse,
}

/// Records the servers for which keys sign client assertions. Clones share one record, as clones of a key do. A host
/// that reads a key again for each client stores one record with the key, see
/// [`ClientAssertion::noting_use`](crate::client_auth::ClientAssertion::noting_use).
///
/// Keys are compared by their names and only within one `KeyUse`: a private key that was read into two values with a
/// `KeyUse` each is two keys. The whole process is not searched for it, because a key may serve two such servers if the
/// client has an id of its own at each (draft-ietf-oauth-security-topics-update-03 section 2.1).
#[derive(Debug, Clone, Default)]
pub struct KeyUse(Arc<Mutex<Vec<(String, ServersOfKey)>>>);

/// The servers for which one key signs client assertions.
#[derive(Debug, Default)]
struct ServersOfKey {
    issuer: Option<String>,
    has_several: bool,
    has_other_audience: bool,
}

impl SigningKey {
    /// A key held by the host (WebCrypto, KMS, HSM): each signature is requested with [`crate::Step::Sign`]. `id` is
    /// the host's name for the key.
    pub fn host(id: impl Into<String>, alg: Alg) -> Self {
        Self {
            id: id.into(),
            alg,
            signer: None,
            holder: None,
            used: KeyUse::default(),
        }
    }

    /// A key in this process. Signing with it needs no step of an exchange.
    pub fn local(id: impl Into<String>, alg: Alg, signer: Arc<dyn Signer>) -> Self {
        Self {
            id: id.into(),
            alg,
            signer: Some(signer),
            holder: None,
            used: KeyUse::default(),
        }
    }

    /// Attaches a value of the host to the key; each [`SigningJob`] returns it.
    #[must_use]
    pub fn held_by(mut self, holder: Holder) -> Self {
        self.holder = Some(holder);
        self
    }

    pub(crate) fn record_use(&mut self, used: &KeyUse) {
        self.used = used.clone();
    }

    /// The key's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The key's algorithm.
    pub const fn alg(&self) -> Alg {
        self.alg
    }

    /// Records that the key signs client assertions for this server. An audience other than the issuer may also be
    /// accepted by another server, so with such an audience a key may be used at one server only.
    ///
    /// # Errors
    /// `key.used_at_two_servers`.
    pub(crate) fn use_at(&self, issuer: &str, audience: AudienceKind) -> Result<(), Error> {
        if IS_BROWSER_BUILD {
            // Browser builds sign no client assertions.
            return Ok(());
        }
        let mut uses = self.used.0.lock().unwrap_or_else(PoisonError::into_inner);
        let position = uses.iter().position(|(id, _)| *id == self.id);
        let position = position.unwrap_or_else(|| {
            uses.push((self.id.clone(), ServersOfKey::default()));
            uses.len() - 1
        });
        let Some((_, used)) = uses.get_mut(position) else {
            return Ok(());
        };
        let first_issuer = used.issuer.get_or_insert_with(|| issuer.to_owned());
        let is_other = first_issuer != issuer;
        used.has_several |= is_other;
        used.has_other_audience |= audience == AudienceKind::Other;
        if used.has_several && used.has_other_audience {
            Err(Error::from(Misuse::KeyShared).about(&self.id))
        } else {
            Ok(())
        }
    }

    /// The signing job for the host.
    pub(crate) fn job(&self, signing_input: String) -> SigningJob {
        SigningJob {
            key_id: self.id.clone(),
            alg: self.alg.as_str(),
            signing_input: signing_input.into(),
            holder: self.holder.clone(),
        }
    }

    /// The JWS of this input, if the key is held in this process.
    ///
    /// # Errors
    /// `lost.unsent` if there is no signature, `client_auth.signature_length`.
    pub(crate) fn sign(&self, signing_input: &str) -> Result<Option<Secret<String>>, Error> {
        let Some(signer) = &self.signer else {
            return Ok(None);
        };
        let signature = signer.sign(signing_input.as_bytes()).map_err(Error::lost)?;
        self.finish(signing_input, &signature).map(Some)
    }

    /// Appends the signature to the input in place, and returns whether it was signed: with a key held by the host, the
    /// input is unchanged.
    ///
    /// # Errors
    /// The errors of [`Self::sign`].
    pub(crate) fn sign_in_place(&self, signing_input: &mut String) -> Result<bool, Error> {
        let Some(signer) = &self.signer else {
            return Ok(false);
        };
        let signature = signer.sign(signing_input.as_bytes()).map_err(Error::lost)?;
        self.check_signature_length(&signature)?;
        jose::append_signature(signing_input, &signature);
        Ok(true)
    }

    /// The JWS of this input, with the signature that the host made.
    ///
    /// # Errors
    /// `client_auth.signature_length`.
    pub(crate) fn finish(
        &self,
        signing_input: &str,
        signature: &Bytes,
    ) -> Result<Secret<String>, Error> {
        self.check_signature_length(signature)?;
        Ok(jose::compact(signing_input, signature))
    }

    /// Checks that the signature has the length that its algorithm makes.
    ///
    /// # Errors
    /// `client_auth.signature_length`.
    fn check_signature_length(&self, signature: &[u8]) -> Result<(), Error> {
        if self
            .alg
            .signature_bytes()
            .is_some_and(|bytes| signature.len() != bytes)
            || signature.is_empty()
        {
            let signature_length = self.alg.signature_bytes().unwrap_or_default();
            let detail = format!("{} makes {signature_length} bytes", self.alg.as_str());
            return Err(Error::from(Misuse::SignatureLength).about(&detail));
        }
        Ok(())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("id", &self.id)
            .field("alg", &self.alg)
            .finish_non_exhaustive()
    }
}
