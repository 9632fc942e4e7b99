#![allow(clippy::unwrap_used)] // tests may panic

use serde_json::json;

use super::*;
use crate::authorization_details::AuthorizationDetails;
use crate::redirect_uri::RedirectUri;
use crate::testing::{at, client, client_of, server};
use crate::{Client, PendingAuthorization};

const CB: &str = "https://app.example/cb";

#[test]
fn unsupported_acr_values_and_unprotected_details_are_warned_about() {
    let codes = |client: &Client, request: AuthorizationRequest| {
        let (_, pending) = client.authorize(&at(), request).unwrap();
        let stored = PendingAuthorization::from_json(pending.to_json().expose()).unwrap();
        assert_eq!(stored.warnings(), []);
        let warnings = pending.warnings().iter();
        warnings.map(|warning| warning.code()).collect::<Vec<_>>()
    };
    let request = || AuthorizationRequest::new(RedirectUri::parse(CB).unwrap());
    let knows_mfa = json!({"acr_values_supported": ["mfa", "phr"]});
    let knows_mfa = client_of(server().with_metadata(knows_mfa.as_object().cloned().unwrap()));
    let pays = AuthorizationDetails::parse(r#"[{"type":"payment"}]"#).unwrap();
    let (acr, details) = (
        "acr_values_unsupported",
        "authorization_details_unprotected",
    );
    assert_eq!(
        codes(&knows_mfa, request().acr_values(["gold", "silver"])),
        [acr]
    );
    assert!(codes(&knows_mfa, request().acr_values(["gold", "phr"])).is_empty());
    assert!(codes(&knows_mfa, request()).is_empty());
    // A server that lists no values may support any.
    assert!(codes(&client(), request().acr_values(["gold"])).is_empty());
    assert_eq!(
        codes(&client(), request().authorization_details(&pays)),
        [details]
    );
    let extra = ("authorization_details".to_owned(), pays.to_json());
    let mut free = request();
    free.extra.push(extra);
    assert_eq!(codes(&client(), free), [details]);
    let both = request().authorization_details(&pays).acr_values(["gold"]);
    assert_eq!(codes(&knows_mfa, both), [acr, details]);
}
