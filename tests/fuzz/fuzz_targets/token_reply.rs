#![no_main]
//! Any bytes as the reply of a token endpoint: accepted tokens survive a round trip through storage.

use libfuzzer_sys::fuzz_target;
use oauth_core::moment::UnixTime;
use oauth_core::{Exchange as _, Input, Moment, Scope, Step, Tokens};
use oauth_fuzz::{NOW, check_error, client, reply};

fuzz_target!(|bytes: &[u8]| {
    let Some(reply) = reply(bytes) else { return };
    let at = Moment::fixed(UnixTime::from_secs(NOW), [3; 32]);
    let mut exchange = client().client_credentials(Scope::none());
    let began = exchange.resume(&at, Input::Begin);
    assert!(matches!(began, Ok(Step::Send(_))));
    match exchange.resume(&at, Input::Reply(reply)) {
        Ok(Step::Done(tokens)) => {
            let written = tokens.to_json();
            let again = Tokens::from_json(written.expose()).expect("what was written can be read");
            assert_eq!(again.to_json().expose(), written.expose());
            // A short text may occur anywhere, and a server may repeat the token in displayed parts of its reply.
            let token = tokens.access_token.expose().as_str();
            let is_repeated = written.expose().matches(token).count() > 1;
            let shows_token = token.len() >= 16 && format!("{tokens:?}").contains(token);
            assert!(is_repeated || !shows_token);
        }
        Ok(_) => {}
        Err(error) => check_error(&error),
    }
});
