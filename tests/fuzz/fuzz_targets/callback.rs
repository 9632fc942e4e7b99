#![no_main]
//! Any text as an authorization response: a code is sent only for the state of the flow, and to its token endpoint.

use libfuzzer_sys::fuzz_target;
use oauth_core::flow::authorization::ResponseMode;
use oauth_core::moment::UnixTime;
use oauth_core::{Exchange as _, Input, Moment, PendingAuthorization, Step};
use oauth_fuzz::{NOW, TOKEN, check_error, client};

const STATE: &str = "0123456789abcdef";

fn pending(mode: ResponseMode) -> PendingAuthorization {
    let stored = serde_json::json!({
        "version": 1, "issuer": "https://as.example", "client_id": "client1", "issuer_required": false,
        "redirect_uri": "https://app.example/cb", "state": STATE, "nonce": null, "code_verifier": null,
        "scope": "", "response_mode": mode.as_str(), "started_at": NOW,
    });
    PendingAuthorization::from_json(&stored.to_string()).expect("a flow")
}

fuzz_target!(|rest: &str| {
    let modes = [
        (
            ResponseMode::Query,
            format!("https://app.example/cb?{rest}"),
        ),
        (
            ResponseMode::Fragment,
            format!("https://app.example/cb#{rest}"),
        ),
        (ResponseMode::FormPost, rest.to_owned()),
        (ResponseMode::Query, rest.to_owned()),
    ];
    for (mode, callback) in modes {
        let flow = pending(mode);
        let is_recognized = flow.recognizes(&callback);
        let mut exchange = match client().redeem(flow, &callback) {
            Ok(exchange) => exchange,
            Err(error) => {
                check_error(&error);
                continue;
            }
        };
        assert!(is_recognized, "{callback:?}");
        assert!(callback.contains("code="), "{callback:?}");
        let at = Moment::fixed(UnixTime::from_secs(NOW), [3; 32]);
        match exchange.resume(&at, Input::Begin) {
            Ok(Step::Send(request)) => assert_eq!(request.uri().to_string(), TOKEN),
            Ok(_) => panic!("a request comes first"),
            Err(error) => check_error(&error),
        }
    }
});
