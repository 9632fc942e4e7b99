#![no_main]
//! Any text as the metadata of a server: accepted metadata is of the requested issuer, and its endpoints are https.

use bytes::Bytes;
use http::Response;
use libfuzzer_sys::fuzz_target;
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::server::EndpointKind;
use oauth_core::{Exchange as _, Input, Moment, Step, discover};
use oauth_fuzz::{NOW, check_error};

const KINDS: [EndpointKind; 5] = [
    EndpointKind::Authorization,
    EndpointKind::Token,
    EndpointKind::Jwks,
    EndpointKind::Revocation,
    EndpointKind::Userinfo,
];

fuzz_target!(|text: &str| {
    let at = Moment::fixed(UnixTime::from_secs(NOW), [3; 32]);
    let mut exchange = discover(Issuer::parse("https://as.example").expect("an issuer"));
    let mut input = Input::Begin;
    for _ in 0..4 {
        match exchange.resume(&at, input) {
            Ok(Step::Send(_)) => {
                let reply = Response::builder().header("content-type", "application/json");
                let body = Bytes::copy_from_slice(text.as_bytes());
                input = Input::Reply(reply.body(body).expect("a reply"));
            }
            Ok(Step::Sleep(_)) => input = Input::Elapsed,
            Ok(Step::Done(server)) => {
                assert_eq!(server.issuer().as_str(), "https://as.example");
                for kind in KINDS {
                    if let Ok(endpoint) = server.endpoint(kind) {
                        assert!(endpoint.as_str().starts_with("https://"), "{endpoint:?}");
                    }
                }
                return;
            }
            Ok(_) => panic!("nothing is signed"),
            Err(error) => return check_error(&error),
        }
    }
});
