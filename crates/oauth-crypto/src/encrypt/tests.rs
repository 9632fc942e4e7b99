#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // tests may panic

use super::*;

/// RFC 3394 section 4.2: 128 bits of key data with a KEK of 192.
#[test]
fn key_wrap_matches_the_rfc_3394_vector() {
    let key: Vec<u8> = (0..24).collect();
    let text: Vec<u8> = (0..16).map(|n| n * 0x11).collect();
    let wrapped = key_wrap(&key, &text).unwrap();
    let hex: String = wrapped.iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(hex, "96778b25ae6ca435f92b5b97c050aed2468ab8a17ad84e5d");
    // Where the library has its own implementation, both agree.
    let key: Vec<u8> = (0..16).collect();
    assert_eq!(key_wrap(&key, &text), key_wrap_by_blocks(&key, &text));
    for wrong in [&text[..12], &text[..8]] {
        assert!(key_wrap_by_blocks(&key, wrong).is_err());
    }
}

#[test]
fn wrong_key_types_lengths_and_points_are_refused() {
    let ed25519 =
        r#"{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}"#;
    let key = PublicJwk::parse(ed25519).unwrap();
    for alg in [JweAlg::EcdhEs, JweAlg::RsaOaep] {
        let wrapped = PublicKeyEncrypter.wrap(alg, Enc::A128Gcm, &key);
        assert!(wrapped.is_err());
    }
    let short = Secret::new(vec![0; 15]);
    let sealed = PublicKeyEncrypter.encrypt(Enc::A128Gcm, &short, b"", b"");
    assert!(sealed.is_err());
    // A point that does not lie on its curve.
    let off = r#"{"kty":"EC","crv":"P-256","x":"weNJy2HscCSM6AEDTDg04biOvhFhyyWvOHQfeF_PxMQ",
        "y":"f8lnCO-AlStT-NJVX-crhB7QRYhiix03illJOVAOyck"}"#;
    let key = PublicJwk::parse(off).unwrap();
    let wrapped = PublicKeyEncrypter.wrap(JweAlg::EcdhEs, Enc::A128Gcm, &key);
    assert!(wrapped.is_err());
}
