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

/// The largest iteration count that is accepted: some seconds of work. OpenSSL uses 2048 by default, and recommended
/// values are below a million.
const MAX_ITERATIONS: u32 = 10_000_000;

/// Decrypts a private key in PEM: PKCS#8 that is encrypted with PBES2, by PBKDF2 of HMAC with SHA-2 and AES-CBC. A string
/// that is not encrypted is returned unchanged.
///
/// The file sets the iteration count. A file with more than ten million iterations is refused.
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
/// `Passphrase` for a wrong one; `Encryption` for another encryption method, such as that of old PEM files;
/// `Malformed`.
pub fn decrypt_pem(text: &str, passphrase: &Secret<String>) -> Result<Secret<String>, KeyError> {
    let Some(encrypted) = der::encrypted_key_der(text)? else {
        return Ok(Secret::from(text));
    };
    // If the library does not know the structure, only check that it is valid DER.
    AnyRef::from_der(&encrypted).map_err(|_| KeyError::Malformed)?;
    let info =
        EncryptedPrivateKeyInfoRef::from_der(&encrypted).map_err(|_| KeyError::Encryption)?;
    match &info.encryption_algorithm {
        EncryptionScheme::Pbes2(how) if is_supported(how) => {}
        _ => return Err(KeyError::Encryption),
    }
    // A wrong passphrase passes the padding check in one of 256 cases. The result is then not DER, which is reported as
    // the same error.
    let decrypted = info.decrypt(passphrase.expose());
    let decrypted = decrypted.map_err(|_| KeyError::Passphrase)?;
    let der = Zeroizing::new(decrypted.as_bytes().to_vec());
    Ok(Secret::from(der::to_pem("PRIVATE KEY", &der).as_str()))
}

/// Whether the method is supported, with an acceptable iteration count.
fn is_supported(how: &Parameters) -> bool {
    let is_cbc = matches!(
        how.encryption,
        Cipher::Aes128Cbc { .. } | Cipher::Aes192Cbc { .. } | Cipher::Aes256Cbc { .. }
    );
    match &how.kdf {
        // A file that names no HMAC means HMAC with SHA-1, which is refused too.
        Kdf::Pbkdf2(kdf) if kdf.prf != Pbkdf2Prf::HmacWithSha1 => {
            is_cbc && kdf.iteration_count <= MAX_ITERATIONS
        }
        _ => false,
    }
}
