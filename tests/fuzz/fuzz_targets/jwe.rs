#![no_main]
//! Any text as an encrypted token.

use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use oauth_core::jose::{Enc, JweAlg, ResponseEncryption};
use oauth_crypto::DecryptionKey;

/// RFC 7516 appendix A.3.3.
const KEY: &str = r#"{"kty":"oct","k":"GawgguFyGrWKav7AX4VKUg"}"#;

fuzz_target!(|text: &str| {
    static ENCRYPTION: OnceLock<ResponseEncryption> = OnceLock::new();
    let encryption = ENCRYPTION.get_or_init(|| {
        let key = DecryptionKey::from_jwk(KEY, JweAlg::A128Kw).expect("a key");
        ResponseEncryption::new(JweAlg::A128Kw, key).encs([Enc::A128CbcHs256, Enc::A128Gcm])
    });
    let _ = encryption.decrypt(text);
});
