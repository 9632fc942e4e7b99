//! The algorithms of JWE encryption to public keys (RFC 7518 sections 4 and 5). The key derivation of
//! ECDH-ES (section 4.6.2) is in `decrypt.rs`.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, UnparsedPublicKey};
use aws_lc_rs::cipher::{
    EncryptingKey, EncryptionContext, PaddedBlockEncryptingKey, UnboundCipherKey,
};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap as _};
use aws_lc_rs::rand;
use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey};
use oauth_core::Secret;
use oauth_core::crypto::{Encrypted, Encrypter, EncryptionFailed, WrappedKey};
use oauth_core::jose::{Curve, Enc, EphemeralKey, JweAlg, PublicJwk};
use zeroize::{Zeroize as _, Zeroizing};

use crate::decrypt::{self, Bytes, Mac, aes};
use crate::decryption_key::{ecdh, point, rsa_padding};
use crate::der;

/// Encrypts to public keys in this process: for authorization requests that only the server should be able to read
/// (RFC 9101).
///
/// ```
/// use oauth_core::Client;
/// use oauth_core::jose::{Enc, JweAlg};
/// use oauth_core::request_encryption::RequestEncryption;
/// use oauth_crypto::PublicKeyEncrypter;
///
/// /// A client that signs its requests already.
/// fn secretive(client: Client) -> Result<Client, oauth_core::Error> {
///     let encryption = RequestEncryption::new(JweAlg::EcdhEs, PublicKeyEncrypter)?;
///     Ok(client.with_request_encryption(encryption.enc(Enc::A256Gcm)))
/// }
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct PublicKeyEncrypter;

fn failed<E>(_: E) -> EncryptionFailed {
    EncryptionFailed
}

impl Encrypter for PublicKeyEncrypter {
    fn wrap(&self, alg: JweAlg, enc: Enc, key: &PublicJwk) -> Result<WrappedKey, EncryptionFailed> {
        if alg.is_rsa() {
            let content_key = random(enc.key_bytes())?;
            let encrypted_key = by_rsa(alg, key, &content_key)?;
            return Ok(wrapped(content_key, encrypted_key, None));
        }
        let curve = key.curve().ok_or(EncryptionFailed)?;
        let ephemeral_key = agreement::PrivateKey::generate(ecdh(curve)).map_err(failed)?;
        let epk = ephemeral(curve, &ephemeral_key)?;
        let (x, y) = (key.bytes("x"), key.bytes("y").unwrap_or_default());
        let peer = UnparsedPublicKey::new(ecdh(curve), point(curve, &x.unwrap_or_default(), &y));
        let agreed = agreement::agree(&ephemeral_key, peer, EncryptionFailed, |secret| {
            decrypt::concat_kdf(secret, alg, enc, [&[], &[]]).map_err(failed)
        })?;
        if alg.is_direct() {
            return Ok(wrapped(agreed, Vec::new(), Some(epk)));
        }
        let content_key = random(enc.key_bytes())?;
        let encrypted_key = key_wrap(&agreed, &content_key)?;
        Ok(wrapped(content_key, encrypted_key, Some(epk)))
    }

    fn encrypt(
        &self,
        enc: Enc,
        content_key: &Secret<Vec<u8>>,
        additional_data: &[u8],
        content: &[u8],
    ) -> Result<Encrypted, EncryptionFailed> {
        let key = content_key.expose();
        if key.len() != enc.key_bytes() {
            return Err(EncryptionFailed);
        }
        let iv = random(enc.iv_bytes())?.to_vec();
        match Mac::for_enc(enc) {
            None => gcm(key, iv, additional_data, content),
            Some(mac) => cbc_hmac(mac, key, iv, additional_data, content),
        }
    }
}

fn wrapped(
    mut content_key: Bytes,
    encrypted_key: Vec<u8>,
    ephemeral_key: Option<EphemeralKey>,
) -> WrappedKey {
    WrappedKey {
        content_key: Secret::new(std::mem::take(&mut *content_key)),
        encrypted_key,
        ephemeral_key,
    }
}

fn random(bytes: usize) -> Result<Bytes, EncryptionFailed> {
    let mut random = Zeroizing::new(vec![0; bytes]);
    rand::fill(&mut random).map_err(failed)?;
    Ok(random)
}

/// RSAES OAEP (RFC 7518 section 4.3).
fn by_rsa(alg: JweAlg, key: &PublicJwk, content_key: &[u8]) -> Result<Vec<u8>, EncryptionFailed> {
    let padding = rsa_padding(alg).ok_or(EncryptionFailed)?;
    let number = |name| key.bytes(name).ok_or(EncryptionFailed);
    let spki = der::rsa_public_key_info(&number("n")?, &number("e")?);
    let key = PublicEncryptingKey::from_der(&spki).map_err(failed)?;
    let key = OaepPublicEncryptingKey::new(key).map_err(failed)?;
    let mut output = vec![0; key.ciphertext_size()];
    let length = key
        .encrypt(padding, content_key, &mut output, None)
        .map_err(failed)?
        .len();
    output.truncate(length);
    Ok(output)
}

/// The `epk` of an ephemeral private key.
fn ephemeral(
    curve: Curve,
    private_key: &agreement::PrivateKey,
) -> Result<EphemeralKey, EncryptionFailed> {
    let public = private_key.compute_public_key().map_err(failed)?;
    let public = public.as_ref();
    let (x, y) = match curve {
        Curve::X25519 => (public, &[][..]),
        // An uncompressed point: the byte 4, then both coordinates.
        _ => {
            let coordinates = public.get(1..).unwrap_or_default();
            coordinates.split_at(coordinates.len() / 2)
        }
    };
    Ok(EphemeralKey {
        curve,
        x: x.to_vec(),
        y: y.to_vec(),
    })
}

/// AES Key Wrap (RFC 3394 section 2.2.1).
pub(crate) fn key_wrap(key: &[u8], content_key: &[u8]) -> Result<Vec<u8>, EncryptionFailed> {
    let algorithm = match key.len() {
        16 => &key_wrap::AES_128,
        32 => &key_wrap::AES_256,
        _ => return key_wrap_by_blocks(key, content_key),
    };
    let mut output = vec![0; content_key.len() + 8];
    let length = AesKek::new(algorithm, key)
        .map_err(failed)?
        .wrap(content_key, &mut output)
        .map_err(failed)?
        .len();
    output.truncate(length);
    Ok(output)
}

/// AES Key Wrap by single blocks (RFC 3394 section 2.2.1), for AES-192, which the library's key wrap does not offer.
pub(crate) fn key_wrap_by_blocks(key: &[u8], text: &[u8]) -> Result<Vec<u8>, EncryptionFailed> {
    if text.len() < 16 || !text.len().is_multiple_of(8) {
        return Err(EncryptionFailed);
    }
    let key = UnboundCipherKey::new(aes(key.len()), key).map_err(failed)?;
    let key = EncryptingKey::ecb(key).map_err(failed)?;
    // The default initial value (RFC 3394 section 2.2.3.1).
    let mut integrity = [0xa6; 8];
    let mut registers = Zeroizing::new(text.to_vec());
    let mut step = 0u64;
    for _ in 0..6 {
        for register in registers.chunks_exact_mut(8) {
            step += 1;
            let mut block = [0; 16];
            let (left, right) = block.split_at_mut(8);
            left.copy_from_slice(&integrity);
            right.copy_from_slice(register);
            key.encrypt(&mut block).map_err(failed)?;
            let (left, right) = block.split_at(8);
            integrity.copy_from_slice(left);
            integrity = (u64::from_be_bytes(integrity) ^ step).to_be_bytes();
            register.copy_from_slice(right);
            block.zeroize();
        }
    }
    Ok([&integrity[..], &registers].concat())
}

/// AES GCM with a tag of 128 bits (RFC 7518 section 5.3).
fn gcm(
    key: &[u8],
    iv: Vec<u8>,
    additional_data: &[u8],
    content: &[u8],
) -> Result<Encrypted, EncryptionFailed> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        _ => &AES_256_GCM,
    };
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(failed)?);
    let nonce = Nonce::try_assume_unique_for_key(&iv).map_err(failed)?;
    let mut ciphertext = content.to_vec();
    let tag = key
        .seal_in_place_separate_tag(nonce, Aad::from(additional_data), &mut ciphertext)
        .map_err(failed)?;
    Ok(Encrypted {
        iv,
        ciphertext,
        tag: tag.as_ref().to_vec(),
    })
}

/// AES CBC with HMAC (RFC 7518 section 5.2.2.1).
fn cbc_hmac(
    mac: Mac,
    key: &[u8],
    iv: Vec<u8>,
    additional_data: &[u8],
    content: &[u8],
) -> Result<Encrypted, EncryptionFailed> {
    let (mac_key, enc_key) = key.split_at(key.len() / 2);
    let key = UnboundCipherKey::new(aes(enc_key.len()), enc_key).map_err(failed)?;
    let key = PaddedBlockEncryptingKey::cbc_pkcs7(key).map_err(failed)?;
    let fixed_iv = FixedLength::<16>::try_from(iv.as_slice()).map_err(failed)?;
    let mut ciphertext = content.to_vec();
    key.less_safe_encrypt(&mut ciphertext, EncryptionContext::Iv128(fixed_iv))
        .map_err(failed)?;
    let tag = mac.tag(mac_key, additional_data, &iv, &ciphertext);
    Ok(Encrypted {
        iv,
        ciphertext,
        tag: tag.ok_or(EncryptionFailed)?,
    })
}

#[cfg(test)]
mod tests;
