#![allow(clippy::unwrap_used)] // tests may panic

use super::*;
use crate::testing::{client, error_code, json, run_with_reply};

#[test]
fn metadata_is_accepted_only_with_status_200() {
    for (status, outcome) in [
        (200, Ok(())),
        (201, Err("denied.http_status")),
        (206, Err("denied.http_status")),
        (302, Err("reply.redirect")),
        (404, Err("denied.http_status")),
    ] {
        let issuer = Issuer::parse("https://as.example").unwrap();
        let metadata_url = issuer.well_known_urls().remove(0);
        let exchange = client().call(Metadata::new(issuer, metadata_url));
        let read = run_with_reply(exchange, json(status, r#"{"issuer":"https://as.example"}"#));
        assert_eq!(error_code(read).map(drop), outcome, "{status}");
    }
}
