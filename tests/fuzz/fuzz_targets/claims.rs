#![no_main]
//! Any bytes as the claims of an ID token with a valid signature.

use libfuzzer_sys::fuzz_target;
use oauth_core::Secret;
use oauth_core::token::id_token::IdTokenChecks;
use oauth_fuzz::{Signatures, client, run, token};

fuzz_target!(|payload: &[u8]| {
    let token = Secret::new(token("JWT", payload));
    let mut checks = IdTokenChecks::default();
    checks.nonce = Some(Secret::from("n"));
    if let Ok(verified) = run(client().verify_id_token(token, checks), Signatures::Taken) {
        assert_eq!(verified.issuer(), "https://as.example");
        assert!(!verified.subject().is_empty());
        let audience = verified.claims().audience().expect("it was checked");
        assert!(audience.contains(&"client1"));
    }
});
