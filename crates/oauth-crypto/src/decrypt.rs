//! The algorithms of JWE decryption (RFC 7518 sections 4 and 5), and the key derivation of ECDH-ES (section 4.6.2).
//! After an RSA failure, decryption continues with a random key (RFC 7516 section 11.5): see `decryption_key.rs`.

use aws_lc_rs::aead::{AES_128_GCM, AES_192_GCM, AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::cipher::{
    self, AES_128, AES_192, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey,
};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::key_wrap::{self, AesKek, KeyWrap as _};
use aws_lc_rs::{digest, hmac};
use oauth_core::crypto::{DecryptionFailed, DecryptionJob};
use oauth_core::jose::{Enc, JweAlg};
use zeroize::{Zeroize as _, Zeroizing};

/// Bytes of a key or a plaintext.
pub(crate) type Bytes = Zeroizing<Vec<u8>>;

fn decryption_failed<E>(_: E) -> DecryptionFailed {
    DecryptionFailed
}

/// Decrypts the content with its key.
pub(crate) fn decrypt_content(key: &[u8], job: &DecryptionJob) -> Result<Bytes, DecryptionFailed> {
    let enc = job.enc;
    let has_right_lengths = key.len() == enc.key_bytes()
        && job.iv.len() == enc.iv_bytes()
        && job.tag.len() == enc.tag_bytes();
    if !has_right_lengths {
        return Err(DecryptionFailed);
    }
    match Mac::for_enc(enc) {
        None => gcm(
            key,
            &job.iv,
            &job.additional_data,
            &job.ciphertext,
            &job.tag,
        ),
        Some(mac) => cbc_hmac(key, job, mac),
    }
}

/// The HMAC that is used with AES CBC (RFC 7518 section 5.2.2).
#[derive(Clone, Copy)]
pub(crate) struct Mac {
    algorithm: hmac::Algorithm,
    tag_bytes: usize,
}

impl Mac {
    /// The HMAC of a content encryption, if it uses one.
    pub(crate) fn for_enc(enc: Enc) -> Option<Self> {
        let algorithm = match enc {
            Enc::A128CbcHs256 => hmac::HMAC_SHA256,
            Enc::A192CbcHs384 => hmac::HMAC_SHA384,
            Enc::A256CbcHs512 => hmac::HMAC_SHA512,
            _ => return None,
        };
        let tag_bytes = enc.tag_bytes();
        Some(Self {
            algorithm,
            tag_bytes,
        })
    }

    /// The authentication tag.
    pub(crate) fn tag(
        self,
        key: &[u8],
        additional_data: &[u8],
        iv: &[u8],
        ciphertext: &[u8],
    ) -> Option<Vec<u8>> {
        let bits = u64::try_from(additional_data.len()).ok()? * 8;
        let mut mac = hmac::Context::with_key(&hmac::Key::new(self.algorithm, key));
        for part in [additional_data, iv, ciphertext, &bits.to_be_bytes()] {
            mac.update(part);
        }
        let full_tag = mac.sign();
        full_tag.as_ref().get(..self.tag_bytes).map(<[u8]>::to_vec)
    }
}

/// AES GCM with a tag of 128 bits (RFC 7518 section 5.3).
fn gcm(
    key: &[u8],
    iv: &[u8],
    additional_data: &[u8],
    ciphertext: &[u8],
    tag: &[u8],
) -> Result<Bytes, DecryptionFailed> {
    let algorithm = match key.len() {
        16 => &AES_128_GCM,
        24 => &AES_192_GCM,
        _ => &AES_256_GCM,
    };
    // The library takes the last bytes of the input as the tag, so its length is checked first.
    if tag.len() != algorithm.tag_len() {
        return Err(DecryptionFailed);
    }
    let key = LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(decryption_failed)?);
    let nonce = Nonce::try_assume_unique_for_key(iv).map_err(decryption_failed)?;
    let mut text = Zeroizing::new([ciphertext, tag].concat());
    let length = key
        .open_in_place(nonce, Aad::from(additional_data), &mut text)
        .map_err(decryption_failed)?
        .len();
    text.truncate(length);
    Ok(text)
}

/// AES CBC with HMAC (RFC 7518 section 5.2.2.2): nothing is decrypted before the tag is verified, so padding reveals
/// nothing to an attacker.
fn cbc_hmac(key: &[u8], job: &DecryptionJob, mac: Mac) -> Result<Bytes, DecryptionFailed> {
    let (mac_key, enc_key) = key.split_at(key.len() / 2);
    let tag = mac.tag(mac_key, &job.additional_data, &job.iv, &job.ciphertext);
    let tag = tag.ok_or(DecryptionFailed)?;
    verify_slices_are_equal(&tag, &job.tag).map_err(decryption_failed)?;
    let key = UnboundCipherKey::new(aes(enc_key.len()), enc_key).map_err(decryption_failed)?;
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(key).map_err(decryption_failed)?;
    let iv = FixedLength::<16>::try_from(job.iv.as_slice()).map_err(decryption_failed)?;
    let mut text = Zeroizing::new(job.ciphertext.clone());
    let length = key
        .decrypt(&mut text, DecryptionContext::Iv128(iv))
        .map_err(decryption_failed)?
        .len();
    text.truncate(length);
    Ok(text)
}

pub(crate) const fn aes(key_bytes: usize) -> &'static cipher::Algorithm {
    match key_bytes {
        16 => &AES_128,
        24 => &AES_192,
        _ => &AES_256,
    }
}

/// Unwraps the content's key from the token, with the key that wraps it.
pub(crate) fn unwrap_content_key(
    key: &[u8],
    job: &DecryptionJob,
) -> Result<Bytes, DecryptionFailed> {
    if Some(key.len()) != job.alg.wrapping_bytes() {
        return Err(DecryptionFailed);
    }
    match job.alg {
        JweAlg::A128GcmKw | JweAlg::A192GcmKw | JweAlg::A256GcmKw => {
            gcm(key, &job.key_iv, &[], &job.encrypted_key, &job.key_tag)
        }
        _ => key_unwrap(key, &job.encrypted_key),
    }
}

/// AES Key Wrap (RFC 3394 section 2.2.2).
fn key_unwrap(key: &[u8], wrapped: &[u8]) -> Result<Bytes, DecryptionFailed> {
    let algorithm = match key.len() {
        16 => &key_wrap::AES_128,
        32 => &key_wrap::AES_256,
        _ => return key_unwrap_by_blocks(key, wrapped),
    };
    let mut output = Zeroizing::new(vec![0; wrapped.len()]);
    let length = AesKek::new(algorithm, key)
        .map_err(decryption_failed)?
        .unwrap(wrapped, &mut output)
        .map_err(decryption_failed)?
        .len();
    output.truncate(length);
    Ok(output)
}

/// AES Key Wrap by single blocks (RFC 3394 section 2.2.2), for AES-192, which the library's key wrap does not offer.
fn key_unwrap_by_blocks(key: &[u8], wrapped: &[u8]) -> Result<Bytes, DecryptionFailed> {
    let (blocks, remainder) = wrapped.as_chunks::<8>();
    let ([first, blocks @ ..], []) = (blocks, remainder) else {
        return Err(DecryptionFailed);
    };
    if blocks.len() < 2 {
        return Err(DecryptionFailed);
    }
    let key = UnboundCipherKey::new(aes(key.len()), key).map_err(decryption_failed)?;
    let key = cipher::DecryptingKey::ecb(key).map_err(decryption_failed)?;
    let mut integrity = *first;
    let mut registers = Zeroizing::new(blocks.concat());
    let mut step = 6 * blocks.len() as u64;
    for _ in 0..6 {
        for register in registers.chunks_exact_mut(8).rev() {
            let masked = (u64::from_be_bytes(integrity) ^ step).to_be_bytes();
            step -= 1;
            let mut block = [0; 16];
            let (left, right) = block.split_at_mut(8);
            left.copy_from_slice(&masked);
            right.copy_from_slice(register);
            key.decrypt(&mut block, DecryptionContext::None)
                .map_err(decryption_failed)?;
            let (left, right) = block.split_at(8);
            integrity.copy_from_slice(left);
            register.copy_from_slice(right);
            block.zeroize();
        }
    }
    // The default initial value (RFC 3394 section 2.2.3.1).
    verify_slices_are_equal(&integrity, &[0xa6; 8]).map_err(decryption_failed)?;
    Ok(registers)
}

/// The key that ECDH-ES derives for a received token, from the agreed secret.
pub(crate) fn derive_content_key(
    secret: &[u8],
    job: &DecryptionJob,
) -> Result<Bytes, DecryptionFailed> {
    concat_kdf(secret, job.alg, job.enc, [&job.apu, &job.apv])
}

/// Derives a key from the agreed secret, by Concat KDF (RFC 7518 section 4.6.2).
pub(crate) fn concat_kdf(
    secret: &[u8],
    alg: JweAlg,
    enc: Enc,
    [apu, apv]: [&[u8]; 2],
) -> Result<Bytes, DecryptionFailed> {
    let (name, bytes) = match alg.wrapping_bytes() {
        None => (enc.as_str(), enc.key_bytes()),
        Some(bytes) => (alg.as_str(), bytes),
    };
    let bits = u32::try_from(bytes * 8).map_err(decryption_failed)?;
    let mut key = Zeroizing::new(Vec::with_capacity(96));
    for round in 1u32.. {
        if key.len() >= bytes {
            break;
        }
        let mut hash = digest::Context::new(&digest::SHA256);
        hash.update(&round.to_be_bytes());
        hash.update(secret);
        for part in [name.as_bytes(), apu, apv] {
            hash.update(
                &u32::try_from(part.len())
                    .map_err(decryption_failed)?
                    .to_be_bytes(),
            );
            hash.update(part);
        }
        hash.update(&bits.to_be_bytes());
        key.extend_from_slice(hash.finish().as_ref());
    }
    key.truncate(bytes);
    Ok(key)
}

#[cfg(test)]
mod tests;
