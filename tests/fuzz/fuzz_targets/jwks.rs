#![no_main]
//! Any text as a key set: accepted key sets survive a round trip.

use libfuzzer_sys::fuzz_target;
use oauth_core::jose::{KeySet, PublicJwk};

fuzz_target!(|text: &str| {
    if let Ok(set) = KeySet::parse(text) {
        let written = set.to_json();
        let again = KeySet::parse(&written).expect("what was written can be read");
        assert_eq!(again.to_json(), written);
    }
    if let Ok(key) = PublicJwk::parse(text) {
        let _ = oauth_crypto::check_public_key(&key);
        let again = PublicJwk::parse(&key.to_json()).expect("what was written can be read");
        assert_eq!(again, key);
    }
});
