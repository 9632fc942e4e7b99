//! Private keys that are encrypted with a passphrase. WebCrypto could decrypt them as well, but answers later: a client would
//! not know by then which algorithms its key supports. Those of Python and Node.js are in `encrypted_pem.rs` of oauth-crypto.
//!
//! RFC 8018 section 6.2 (PBES2), RFC 5958 section 3

use js_sys::Uint8Array;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::der::Decode as _;
use pkcs8::pkcs5::EncryptionScheme;
use pkcs8::pkcs5::pbes2::{EncryptionScheme as Cipher, Kdf, Parameters, Pbkdf2Prf};
use wasm_bindgen::prelude::*;

/// The largest iteration count that is accepted, as in oauth-crypto.
const MAX_ITERATIONS: u32 = 10_000_000;

/// Decrypts an `EncryptedPrivateKeyInfo` in DER: PBES2 by PBKDF2 of HMAC with SHA-2, and AES-CBC. Throws the code of the
/// error: `key.passphrase`, or `key.malformed` for anything else.
#[wasm_bindgen(js_name = decryptKey)]
pub fn decrypt_key(der: &[u8], passphrase: &str) -> Result<Uint8Array, JsValue> {
    let info = EncryptedPrivateKeyInfoRef::from_der(der).map_err(|_| "key.malformed")?;
    match &info.encryption_algorithm {
        EncryptionScheme::Pbes2(parameters) if is_supported(parameters) => {}
        _ => return Err("key.malformed".into()),
    }
    // A wrong passphrase passes the padding check in one of 256 cases: the result is then not DER, which is the same error.
    let key = info.decrypt(passphrase).map_err(|_| "key.passphrase")?;
    Ok(Uint8Array::from(key.as_bytes()))
}

/// Whether the method is supported, with an acceptable iteration count.
fn is_supported(parameters: &Parameters) -> bool {
    let is_cbc = matches!(
        parameters.encryption,
        Cipher::Aes128Cbc { .. } | Cipher::Aes192Cbc { .. } | Cipher::Aes256Cbc { .. }
    );
    match &parameters.kdf {
        // A file that names no HMAC means HMAC with SHA-1.
        Kdf::Pbkdf2(kdf) if kdf.prf != Pbkdf2Prf::HmacWithSha1 => {
            is_cbc && kdf.iteration_count <= MAX_ITERATIONS
        }
        _ => false,
    }
}
