//! The default values of faults.

use crate::twin::IdTokenFlaw;

pub(super) fn expires_in() -> String {
    "expires_in".to_owned()
}

pub(super) fn invalid_request() -> String {
    "invalid_request".to_owned()
}

pub(super) fn wrong_nonce() -> IdTokenFlaw {
    IdTokenFlaw::WrongNonce
}

pub(super) fn wrong_audience() -> IdTokenFlaw {
    IdTokenFlaw::WrongAudience
}

pub(super) fn unavailable() -> u16 {
    503
}

pub(super) fn ok() -> u16 {
    200
}

pub(super) fn token_expired() -> String {
    r#"{"ok":false,"error":"token_expired"}"#.to_owned()
}

pub(super) fn two_mebibytes() -> usize {
    2 << 20
}

pub(super) fn cloud_metadata() -> String {
    "http://169.254.169.254/latest/meta-data".to_owned()
}

pub(super) fn other_origin() -> String {
    "https://elsewhere.example/".to_owned()
}

pub(super) fn temporary_redirect() -> u16 {
    307
}

pub(super) fn fifty_millis() -> u64 {
    50
}

pub(super) fn ten_thousand() -> usize {
    10_000
}

pub(super) fn one_gibibyte() -> u64 {
    1 << 30
}
