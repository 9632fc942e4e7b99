//! Hybrid flows: the modules of OpenID's plans about an ID token beside the code. After a faulty one nothing
//! is sent, not even the code.

use oauth_core::AuthorizationRequest;
use oauth_core::flow::authorization::{ResponseMode, ResponseType};
use oauth_testkit::Fault;
use oauth_testkit::twin::IdTokenFlaw;

use crate::{Party, module, print_row};

fn authorization_request(party: &Party) -> AuthorizationRequest {
    let request = party.authorization_request("openid read");
    request.response_type(ResponseType::CodeIdToken)
}

fn expected(flaw: IdTokenFlaw) -> Option<&'static str> {
    match flaw {
        IdTokenFlaw::WrongCodeHash => Some("id_token.c_hash"),
        IdTokenFlaw::MissingCodeHash => Some("jwt.missing_claim"),
        // There is no access token beside it.
        IdTokenFlaw::WrongAccessTokenHash => None,
        // The ID token from the token endpoint is about a different user.
        IdTokenFlaw::OtherSubject => Some("id_token.subject_changed"),
        other => crate::expected(other),
    }
}

#[tokio::test]
async fn every_flaw_of_a_hybrid_id_token_is_detected_before_the_code_is_sent() {
    println!("{:<48} {:<22} {:<26} seen", "module", "flaw", "expected");
    for flaw in IdTokenFlaw::ALL {
        let party = Party::new().await;
        let fault = Fault::IdTokenInCallback { flaw: *flaw };
        party.served.with(|twin| twin.inject(fault));
        let seen = party
            .login(authorization_request(&party))
            .await
            .map(drop)
            .err();
        let expected_code = expected(*flaw);
        print_row(module(*flaw), &format!("{flaw:?}"), expected_code, seen);
        assert_eq!(seen, expected_code, "{flaw:?}");
        let is_accepted = expected_code.is_none() || *flaw == IdTokenFlaw::OtherSubject;
        assert_eq!(
            party.requests("/token"),
            usize::from(is_accepted),
            "{flaw:?}"
        );
        assert_eq!(party.requests("/api/echo"), 0, "{flaw:?}");
        assert!(
            party.login(authorization_request(&party)).await.is_ok(),
            "{flaw:?}"
        );
    }
}

#[tokio::test]
async fn a_hybrid_response_is_returned_in_the_fragment_and_refused_in_the_query() {
    let party = Party::new().await;
    assert!(party.login(authorization_request(&party)).await.is_ok());
    assert_eq!(party.requests("/token"), 1);
    let in_query = authorization_request(&party).response_mode(ResponseMode::Query);
    let at = oauth_core::Moment::system().expect("a clock");
    let refused = party.client.authorize(&at, in_query).map(drop);
    let code = refused.map_err(|error| error.code());
    assert_eq!(code, Err("form.malformed_parameter"));
}
