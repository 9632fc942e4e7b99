#![no_main]
//! Any bytes as `WWW-Authenticate`, `Retry-After` and `DPoP-Nonce` of a resource's refusal.

use http::{HeaderMap, HeaderValue, StatusCode};
use libfuzzer_sys::fuzz_target;
use oauth_core::flow::resource;
use oauth_core::moment::UnixTime;
use oauth_core::{challenge, retry_after};
use oauth_fuzz::NOW;

fuzz_target!(|bytes: &[u8]| {
    let mut headers = HeaderMap::new();
    for line in bytes.split(|byte| *byte == b'\n') {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            for name in ["www-authenticate", "retry-after", "dpop-nonce"] {
                headers.append(name, value.clone());
            }
        }
    }
    let now = UnixTime::from_secs(NOW);
    for status in [
        StatusCode::UNAUTHORIZED,
        StatusCode::FORBIDDEN,
        StatusCode::BAD_REQUEST,
    ] {
        let _ = resource::verdict(status, &headers);
    }
    if let Some(wait) = retry_after::read(&headers, now, retry_after::CAP) {
        assert!(wait <= retry_after::CAP);
    }
    if let Ok(text) = std::str::from_utf8(bytes) {
        let _ = challenge::parse([text]);
    }
});
