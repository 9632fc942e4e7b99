//! Private keys encrypted with a passphrase, such as those of `openssl genpkey -aes256`.
//!
//! RFC 8018 section 6.2 (PBES2), RFC 5958 section 3

use oauth_core::Secret;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Decode as _;
use pkcs8::der::asn1::AnyRef;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Kdf, Parameters, Pbkdf2Prf};
use zeroize::Zeroizing;

use crate::{KeyError, der};

/// What a file may ask for: some seconds of work. OpenSSL asks for 2048 unless it is told otherwise, and what is
/// recommended is below a million.
const MAX_ITERATIONS: u32 = 10_000_000;

/// Decrypts a private key in PEM: PKCS#8 that is encrypted with PBES2, by PBKDF2 of HMAC with SHA-2 and AES-CBC. A text
/// that is not encrypted is left as it is.
///
/// A file says itself how much work its passphrase is; one that asks for more than ten million iterations is
/// refused.
///
/// ```no_run
/// use oauth_core::Secret;
/// use oauth_core::jose::Alg;
/// use oauth_crypto::{PrivateKey, decrypt_pem};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let text = std::fs::read_to_string("client.pem")?;
/// let passphrase = Secret::new(std::env::var("CLIENT_KEY_PASSPHRASE")?);
/// let key = PrivateKey::from_pem(decrypt_pem(&text, &passphrase)?.expose(), Alg::Es256)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `Passphrase` for a wrong one; `Encryption` for another way to encrypt, as the one of old PEM files; `Malformed`.
pub fn decrypt_pem(text: &str, passphrase: &Secret<String>) -> Result<Secret<String>, KeyError> {
    let Some(encrypted) = der::encrypted_pem(text)? else {
        return Ok(Secret::from(text));
    };
    // What the library does not know is read no further than that it is something.
    AnyRef::from_der(&encrypted).map_err(|_| KeyError::Malformed)?;
    let info =
        EncryptedPrivateKeyInfoRef::from_der(&encrypted).map_err(|_| KeyError::Encryption)?;
    match &info.encryption_algorithm {
        EncryptionScheme::Pbes2(how) if is_bearable(how) => {}
        _ => return Err(KeyError::Encryption),
    }
    // Of wrong passphrases, one of 256 ends in what looks like padding: what it makes is no DER, which is told alike.
    let decrypted = info.decrypt(passphrase.expose());
    let decrypted = decrypted.map_err(|_| KeyError::Passphrase)?;
    let plain = Zeroizing::new(decrypted.as_bytes().to_vec());
    Ok(Secret::from(der::to_pem("PRIVATE KEY", &plain).as_str()))
}

/// Whether it is a way that is read here, and its work is not too much.
fn is_bearable(how: &Parameters) -> bool {
    let is_cbc = matches!(
        how.encryption,
        Cipher::Aes128Cbc { .. } | Cipher::Aes192Cbc { .. } | Cipher::Aes256Cbc { .. }
    );
    match &how.kdf {
        // HMAC with SHA-1 is what a file means that names none.
        Kdf::Pbkdf2(kdf) if kdf.prf != Pbkdf2Prf::HmacWithSha1 => {
            is_cbc && kdf.iteration_count <= MAX_ITERATIONS
        }
        _ => false,
    }
}
