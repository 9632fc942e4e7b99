//! Adds claims that the ID token lacks from the provider's UserInfo endpoint. The request, the comparison of `sub`
//! and the verification of signed and encrypted responses are in `flow/userinfo.rs` of oauth-core.

use std::sync::Arc;

use oauth_core::Client;
use oauth_core::error::{Error, Kind};
use oauth_core::flow::redeem::Login;
use oauth_core::server::EndpointKind;
use serde_json::{Map, Value};

use crate::provider::Provider;
use crate::request_context::RequestContext;
use crate::session::Identity;
use crate::userinfo::Userinfo;
use crate::visit::{ExchangeOutput, wrong_output};

/// The claims that a scope gives access to (OpenID Connect Core section 5.4).
const CLAIMS_OF_SCOPES: [(&str, &[&str]); 4] = [
    (
        "profile",
        &[
            "name",
            "family_name",
            "given_name",
            "middle_name",
            "nickname",
            "preferred_username",
            "profile",
            "picture",
            "website",
            "gender",
            "birthdate",
            "zoneinfo",
            "locale",
            "updated_at",
        ],
    ),
    ("email", &["email", "email_verified"]),
    ("phone", &["phone_number", "phone_number_verified"]),
    ("address", &["address"]),
];

/// Claims about the authentication or about a token: they are taken only from the verified ID token.
const ID_TOKEN_ONLY_CLAIMS: [&str; 18] = [
    "iss",
    "sub",
    "aud",
    "azp",
    "exp",
    "nbf",
    "iat",
    "jti",
    "nonce",
    "auth_time",
    "acr",
    "amr",
    "sid",
    "at_hash",
    "c_hash",
    "s_hash",
    "events",
    "cnf",
];

/// Claims that belong together: `email_verified` of one response must not be combined with the `email` of the other.
const PAIRS: [[&str; 2]; 3] = [
    ["email", "email_verified"],
    ["phone_number", "phone_number_verified"],
    ["_claim_names", "_claim_sources"],
];

/// The identity, with the claims of the UserInfo endpoint if they are needed.
///
/// # Errors
/// The errors of a response that cannot be trusted, such as `userinfo.subject`, and mistakes of the host.
pub(crate) async fn complete(
    context: &RequestContext,
    (provider, client): (&Provider, &Client),
    login: &Login,
    identity: Identity,
) -> Result<Identity, Error> {
    let has_endpoint = client.server().endpoint(EndpointKind::Userinfo).is_ok();
    if !has_endpoint || !needs_userinfo(context, provider, login, &identity) {
        return Ok(identity);
    }
    let tokens = Arc::new(login.tokens.clone());
    let exchange = client.userinfo(tokens, identity.subject.clone());
    let output = context.io.run(exchange, |claims| {
        ExchangeOutput::UserInfo(Box::new(claims))
    });
    match output.await {
        Ok(ExchangeOutput::UserInfo(claims)) => {
            let claims = serde_json::from_str(&claims.to_json()).unwrap_or_default();
            Ok(with_userinfo(identity, claims))
        }
        Ok(_) => Err(wrong_output()),
        Err(error) => match error.kind() {
            Kind::Denied(_) | Kind::Malformed(_) | Kind::Lost(_) => {
                context.io.note_error(&error);
                Ok(identity)
            }
            // A check failed, or the settings are wrong.
            _ => Err(error),
        },
    }
}

fn needs_userinfo(
    context: &RequestContext,
    provider: &Provider,
    login: &Login,
    identity: &Identity,
) -> bool {
    // Without OpenID Connect there is no UserInfo: an API of the provider has identified the user.
    if provider.userinfo == Userinfo::Never || provider.identity.is_some() {
        return false;
    }
    let asks_for_claims = |(name, _): &(String, String)| name == "claims";
    let claims_are_requested = provider.parameters.iter().any(asks_for_claims);
    let is_accessible = |claim: &str| {
        let mut scopes = CLAIMS_OF_SCOPES.iter();
        let covering = scopes.find(|(_, claims)| claims.contains(&claim));
        covering.is_none_or(|(scope, _)| login.tokens.scope.contains(scope))
    };
    let mut configured = context.config().claims.iter();
    configured.any(|claim| {
        !identity.claims.contains_key(claim) && (claims_are_requested || is_accessible(claim))
    })
}

/// Adds the claims that the ID token lacks.
fn with_userinfo(mut identity: Identity, userinfo: Map<String, Value>) -> Identity {
    let contradicts_pair = |name: &str| {
        let mut pairs = PAIRS.iter().filter(|pair| pair.contains(&name));
        pairs.any(|pair| {
            let mut pair = pair.iter();
            let claims = &identity.claims;
            pair.any(|name| claims.contains_key(*name) && claims.get(*name) != userinfo.get(*name))
        })
    };
    let is_missing = |name: &str| {
        !identity.claims.contains_key(name)
            && !ID_TOKEN_ONLY_CLAIMS.contains(&name)
            && !contradicts_pair(name)
    };
    let missing = userinfo.iter();
    let missing: Vec<_> = missing
        .filter(|(name, value)| !value.is_null() && is_missing(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    identity.claims.extend(missing);
    identity
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn map(value: &Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[track_caller]
    fn assert_completed(id_token: &Value, userinfo: &Value, expected: &Value) {
        let mut identity = Identity::new("login", "https://as.example", "ann");
        identity.claims = map(id_token);
        assert_eq!(with_userinfo(identity, map(userinfo)).claims, map(expected));
    }

    #[test]
    fn userinfo_claims_are_added_but_replace_none() {
        assert_completed(
            &json!({ "sub": "ann", "name": "Ann" }),
            &json!({ "sub": "ann", "name": "Eve", "picture": null, "groups": ["staff"] }),
            &json!({ "sub": "ann", "name": "Ann", "groups": ["staff"] }),
        );
    }

    #[test]
    fn authentication_claims_are_taken_only_from_the_id_token() {
        let claims = ID_TOKEN_ONLY_CLAIMS.iter().map(|name| (*name, json!("x")));
        let claims = Value::Object(
            claims
                .map(|(name, value)| (name.to_owned(), value))
                .collect(),
        );
        assert_completed(&json!({}), &claims, &json!({}));
    }

    #[test]
    fn email_verified_is_kept_only_with_the_same_email() {
        let (ann, eve) = (json!("ann@as.example"), json!("eve@as.example"));
        assert_completed(
            &json!({ "email": ann }),
            &json!({ "email": ann, "email_verified": true }),
            &json!({ "email": ann, "email_verified": true }),
        );
        assert_completed(
            &json!({ "email": eve }),
            &json!({ "email": ann, "email_verified": true }),
            &json!({ "email": eve }),
        );
        assert_completed(
            &json!({ "email": eve }),
            &json!({ "email_verified": true }),
            &json!({ "email": eve }),
        );
        assert_completed(
            &json!({ "email_verified": true }),
            &json!({ "email": eve }),
            &json!({ "email_verified": true }),
        );
        assert_completed(
            &json!({}),
            &json!({ "email": ann, "email_verified": true }),
            &json!({ "email": ann, "email_verified": true }),
        );
    }
}
