use super::*;
use crate::testing::{client, error_code, reply, run_with_reply};

#[test]
fn revocation_outcome_depends_on_the_status_only() {
    for (status, outcome) in [
        (200, Ok(())),
        (204, Ok(())),
        (302, Err("reply.redirect")),
        (400, Err("denied.http_status")),
        (503, Err("denied.busy")),
    ] {
        let exchange = client().revoke(Revocation::new("t"));
        // "The content of the response body is ignored by the client" (2.2)
        let page = reply(status, &[("content-type", "text/html")], "<p>hello</p>");
        assert_eq!(
            error_code(run_with_reply(exchange, page)),
            outcome,
            "{status}"
        );
    }
}
