#![no_main]
//! Any bytes as the claims of a logout token with a valid signature.

use libfuzzer_sys::fuzz_target;
use oauth_core::Secret;
use oauth_core::token::logout_token::LogoutTokenChecks;
use oauth_fuzz::{Signatures, client, run, token};

fuzz_target!(|payload: &[u8]| {
    let token = Secret::new(token("logout+jwt", payload));
    let checks = LogoutTokenChecks::default();
    if let Ok(verified) = run(
        client().verify_logout_token(token, checks),
        Signatures::Taken,
    ) {
        assert_eq!(verified.issuer(), "https://as.example");
        assert!(verified.subject().is_some() || verified.sid().is_some());
    }
});
