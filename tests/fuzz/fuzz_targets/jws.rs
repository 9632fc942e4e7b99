#![no_main]
//! Any text as a signed token: a returned payload was signed.

use libfuzzer_sys::fuzz_target;
use oauth_core::Secret;
use oauth_core::jose::{Alg, Unverified};
use oauth_fuzz::{Signatures, client, run};

fuzz_target!(|text: &str| {
    let exchange = client().verify_signature(Secret::from(text), vec![Alg::Es256]);
    let _ = run(exchange, Signatures::Verified);
    let _ = Unverified::parse(text);
});
