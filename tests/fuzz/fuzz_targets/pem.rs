#![no_main]
//! Any text as a private key, in PEM or as a JWK.

use libfuzzer_sys::fuzz_target;
use oauth_core::jose::{Alg, JweAlg};
use oauth_crypto::{DecryptionKey, PrivateKey};

fuzz_target!(|text: &str| {
    if let Ok(key) = PrivateKey::read(text, Alg::ALL) {
        let pem = key.to_pem().expect("a key can be written");
        let again = PrivateKey::from_pem(&pem, key.alg()).expect("what was written can be read");
        assert_eq!(again.public_jwk(), key.public_jwk());
    }
    for alg in [JweAlg::RsaOaep, JweAlg::EcdhEs, JweAlg::Dir] {
        let _ = DecryptionKey::from_pem(text, alg);
        let _ = DecryptionKey::from_jwk(text, alg);
    }
});
