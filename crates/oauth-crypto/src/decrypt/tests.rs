#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // tests may panic

use super::*;
use crate::encrypt::key_wrap_by_blocks;
use aws_lc_rs::rand;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text
        .bytes()
        .filter(u8::is_ascii_hexdigit)
        .map(|digit| (digit as char).to_digit(16).unwrap() as u8)
        .collect();
    digits
        .chunks(2)
        .map(|pair| pair[0] << 4 | pair[1])
        .collect()
}

/// RFC 3394 section 4: the vectors whose keys JWE uses.
#[test]
fn key_unwrap_matches_the_rfc_3394_vectors() {
    let kek = hex("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");
    let text = hex("00112233445566778899AABBCCDDEEFF0001020304050607");
    let whole = hex("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F");
    for (key_bytes, wrapped, text) in [
        (
            16,
            "1FA68B0A8112B447 AEF34BD8FB5A7B82 9D3E862371D2CFE5",
            &text[..16],
        ),
        (
            24,
            "96778B25AE6CA435 F92B5B97C050AED2 468AB8A17AD84E5D",
            &text[..16],
        ),
        (
            32,
            "64E8C3F9CE0F5BA2 63E9777905818A2A 93C8191E7D6E8AE7",
            &text[..16],
        ),
        (
            24,
            "031D33264E15D332 68F24EC260743EDC E1C6C7DDEE725A93 6BA814915C6762D2",
            &text,
        ),
        (
            32,
            "A8F9BC1612C68B3F F6E6F4FBE30E71E4 769C8B80A32CB895 8CD5D17D6B254DA1",
            &text,
        ),
        (
            32,
            "28C9F404C4B810F4 CBCCB35CFB87F826 3F5786E2D80ED326 CBC7F0E71A99F43B FB988B9B7A02DD21",
            &whole,
        ),
    ] {
        let (key, wrapped) = (&kek[..key_bytes], hex(wrapped));
        assert_eq!(key_wrap_by_blocks(key, text).unwrap(), wrapped);
        assert_eq!(*key_unwrap(key, &wrapped).unwrap(), text);
        assert_eq!(*key_unwrap_by_blocks(key, &wrapped).unwrap(), text);
    }
}

#[test]
fn modified_or_truncated_wrapped_key_is_refused() {
    for key_bytes in [16, 24, 32] {
        let mut key = vec![0; key_bytes];
        let mut text = [0; 32];
        rand::fill(&mut key).unwrap();
        rand::fill(&mut text).unwrap();
        let wrapped = key_wrap_by_blocks(&key, &text).unwrap();
        for at in 0..wrapped.len() * 8 {
            let mut other = wrapped.clone();
            other[at / 8] ^= 1 << (at % 8);
            assert!(key_unwrap(&key, &other).is_err());
            assert!(key_unwrap_by_blocks(&key, &other).is_err());
        }
        for length in 0..wrapped.len() {
            assert!(key_unwrap(&key, &wrapped[..length]).is_err());
            assert!(key_unwrap_by_blocks(&key, &wrapped[..length]).is_err());
        }
    }
}

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

const KERCKHOFFS: &str = "A cipher system must not be required to be secret, and it must be able to fall \
                          into the hands of the enemy without inconvenience";

/// RFC 7518 appendix B: one plaintext by three algorithms.
#[test]
fn aes_cbc_hmac_matches_rfc_7518() {
    let key: Vec<u8> = (0..64).collect();
    for (enc, ciphertext, tag) in [
        (
            Enc::A128CbcHs256,
            "c80edfa32ddf39d5ef00c0b468834279a2e46a1b8049f792f76bfe54b903a9c9
             a94ac9b47ad2655c5f10f9aef71427e2fc6f9b3f399a221489f16362c7032336
             09d45ac69864e3321cf82935ac4096c86e133314c54019e8ca7980dfa4b9cf1b
             384c486f3a54c51078158ee5d79de59fbd34d848b3d69550a67646344427ade5
             4b8851ffb598f7f80074b9473c82e2db",
            "652c3fa36b0a7c5b3219fab3a30bc1c4",
        ),
        (
            Enc::A192CbcHs384,
            "ea65da6b59e61edb419be62d19712ae5d303eeb50052d0dfd6697f77224c8edb
             000d279bdc14c1072654bd30944230c657bed4ca0c9f4a8466f22b226d174621
             4bf8cfc2400add9f5126e479663fc90b3bed787a2f0ffcbf3904be2a641d5c21
             05bfe591bae23b1d7449e532eef60a9ac8bb6c6b01d35d49787bcd57ef484927
             f280adc91ac0c4e79c7b11efc60054e3",
            "8490ac0e58949bfe51875d733f93ac2075168039ccc733d7",
        ),
        (
            Enc::A256CbcHs512,
            "4affaaadb78c31c5da4b1b590d10ffbd3dd8d5d302423526912da037ecbcc7bd
             822c301dd67c373bccb584ad3e9279c2e6d12a1374b77f077553df829410446b
             36ebd97066296ae6427ea75c2e0846a11a09ccf5370dc80bfecbad28c73f09b3
             a3b75e662a2594410ae496b2e2e6609e31e6e02cc837f053d21f37ff4f51950b
             be2638d09dd7a4930930806d0703b1f6",
            "4dd3b4c088a7f45c216839645b2012bf2e6269a8c56a816dbc1b267761955bc5",
        ),
    ] {
        let job = DecryptionJob {
            additional_data: b"The second principle of Auguste Kerckhoffs".to_vec(),
            iv: hex("1af38c2dc2b96ffdd86694092341bc04"),
            ciphertext: hex(ciphertext),
            tag: hex(tag),
            ..job(JweAlg::Dir, enc)
        };
        let key = &key[..enc.key_bytes()];
        let text = decrypt_content(key, &job).unwrap();
        assert_eq!(std::str::from_utf8(&text).unwrap(), KERCKHOFFS);
        let mut other = job.clone();
        other.additional_data.push(0);
        assert!(decrypt_content(key, &other).is_err(), "additional data");
        for part in [0, 1, 2] {
            let mut other = job.clone();
            let part = [&mut other.iv, &mut other.ciphertext, &mut other.tag][part].as_mut_slice();
            part[0] ^= 1;
            assert_eq!(decrypt_content(key, &other).err(), Some(DecryptionFailed));
        }
        let mut other = job.clone();
        other.tag.truncate(8);
        assert!(decrypt_content(key, &other).is_err(), "half a tag");
    }
}

/// RFC 7518 appendix C: what Alice and Bob agree on, from the secret that they share.
#[test]
fn derived_key_matches_rfc_7518() {
    let secret = [
        158, 86, 217, 29, 129, 113, 53, 211, 114, 131, 66, 131, 191, 132, 38, 156, 251, 49, 110,
        163, 218, 128, 106, 72, 246, 218, 167, 121, 140, 254, 144, 196,
    ];
    let job = DecryptionJob {
        apu: b"Alice".to_vec(),
        apv: b"Bob".to_vec(),
        ..job(JweAlg::EcdhEs, Enc::A128Gcm)
    };
    let expected = [
        86, 170, 141, 234, 248, 35, 109, 32, 92, 34, 40, 205, 113, 167, 16, 26,
    ];
    assert_eq!(*derive_content_key(&secret, &job).unwrap(), expected);
}
