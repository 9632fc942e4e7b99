//! `grant_type=urn:ietf:params:oauth:grant-type:token-exchange`: exchanges one token for another.
//!
//! RFC 8693 <https://www.rfc-editor.org/rfc/rfc8693#section-2.1>. The rest of the response is read in
//! `endpoint/token.rs`; `may_act` of a received token is read in `jose/claims.rs`; `act` has no method.

use super::Grant;
use crate::context::Context;
use crate::error::{Error, Misuse, ProtocolViolation};
use crate::form::Form;
use crate::json::{Json, Object};
use crate::quirk::Rules;
use crate::secret::Secret;
use crate::token::{ISSUED_TOKEN_TYPE, TokenType, Warning};

/// The identifiers of token types that RFC 8693 section 3 and its followers have registered.
pub mod token_type {
    /// An access token of the server.
    pub const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
    /// A refresh token of the server.
    pub const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
    /// An ID token (OpenID Connect Core section 2).
    pub const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
    /// A SAML 1.1 assertion, in base64url.
    pub const SAML1: &str = "urn:ietf:params:oauth:token-type:saml1";
    /// A SAML 2.0 assertion, in base64url.
    pub const SAML2: &str = "urn:ietf:params:oauth:token-type:saml2";
    /// A JWT of any other kind.
    pub const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
    /// An identity assertion authorization grant (draft-ietf-oauth-identity-assertion-authz-grant section 3).
    pub const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";

    /// The identifier of a type: for one of those above, from its short name; any other is a URI and stays as it is.
    pub fn identifier(name: &str) -> String {
        let short_names = [
            "access_token",
            "refresh_token",
            "id_token",
            "saml1",
            "saml2",
            "jwt",
            "id-jag",
        ];
        if short_names.contains(&name) {
            format!("urn:ietf:params:oauth:token-type:{name}")
        } else {
            name.to_owned()
        }
    }
}

/// One token to be exchanged for another: as itself (impersonation), or with an actor that acts for it (delegation).
/// The [`TokenRequest`](super::TokenRequest) names the resource, audience and scope.
///
/// The access token of the response is of the type that [`Tokens::issued_token_type`] returns, and it is only sent to
/// an API if its `token_type` allows that.
///
/// [`Tokens::issued_token_type`]: crate::Tokens::issued_token_type
#[derive(Debug, Clone)]
pub struct TokenExchange {
    subject_token: Secret<String>,
    subject_token_type: String,
    actor: Option<(Secret<String>, String)>,
    requested_token_type: Option<String>,
}

impl TokenExchange {
    /// Exchanges this token, of this type: a short name of [`token_type`], or a URI.
    ///
    /// # Errors
    /// `token_exchange.malformed` for an empty token, or a type that is not a URI.
    pub fn new(
        subject_token: impl Into<Secret<String>>,
        subject_token_type: &str,
    ) -> Result<Self, Error> {
        let subject_token = subject_token.into();
        if subject_token.expose().is_empty() {
            return Err(Error::from(Misuse::TokenExchange).about("subject_token"));
        }
        Ok(Self {
            subject_token,
            subject_token_type: check_type_identifier(subject_token_type, "subject_token_type")?,
            actor: None,
            requested_token_type: None,
        })
    }

    /// Sets the actor that acts for the subject. A token and its type are always sent together (section 2.1).
    ///
    /// # Errors
    /// `token_exchange.malformed`, which names the member that is missing or wrong.
    pub fn actor(
        mut self,
        actor_token: Option<Secret<String>>,
        actor_token_type: Option<&str>,
    ) -> Result<Self, Error> {
        let invalid = |member: &str| Error::from(Misuse::TokenExchange).about(member);
        let actor_token = actor_token.filter(|token| !token.expose().is_empty());
        self.actor = match (actor_token, actor_token_type) {
            (None, None) => None,
            (Some(token), Some(name)) => {
                Some((token, check_type_identifier(name, "actor_token_type")?))
            }
            (Some(_), None) => return Err(invalid("actor_token_type is missing")),
            (None, Some(_)) => return Err(invalid("actor_token is missing")),
        };
        Ok(self)
    }

    /// Sets the type of token to request; without it, the server chooses.
    ///
    /// # Errors
    /// `token_exchange.malformed` for a type that is not a URI.
    pub fn requested_token_type(mut self, name: &str) -> Result<Self, Error> {
        self.requested_token_type = Some(check_type_identifier(name, "requested_token_type")?);
        Ok(self)
    }
}

/// A type identifier is an absolute URI (section 3).
fn check_type_identifier(name: &str, member: &str) -> Result<String, Error> {
    let identifier = token_type::identifier(name);
    let is_uri = identifier.split_once(':').is_some_and(|(scheme, rest)| {
        let is_part = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.');
        scheme.bytes().all(is_part) && !scheme.is_empty() && !rest.is_empty()
    });
    if is_uri && identifier.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(identifier)
    } else {
        Err(Error::from(Misuse::TokenExchange).about(member))
    }
}

impl Grant for TokenExchange {
    fn grant_type(&self) -> &'static str {
        "urn:ietf:params:oauth:grant-type:token-exchange"
    }

    fn purpose(&self) -> &'static str {
        "token_exchange"
    }

    fn fill(&self, _: &Context<'_>, form: &mut Form) -> Result<(), Error> {
        form.push("subject_token", self.subject_token.expose());
        form.push("subject_token_type", &self.subject_token_type);
        if let Some((token, token_type)) = &self.actor {
            form.push("actor_token", token.expose());
            form.push("actor_token_type", token_type);
        }
        form.push_some("requested_token_type", self.requested_token_type.as_deref());
        Ok(())
    }

    /// `N_A` means that the token is not an access token (section 2.2.1).
    fn accepts(&self, token_type: &TokenType) -> bool {
        match token_type {
            TokenType::Bearer => true,
            TokenType::Other(name) => name.eq_ignore_ascii_case("N_A"),
            TokenType::Dpop => false,
        }
    }

    fn returns_issued_token_type(&self) -> bool {
        true
    }
}

/// Checks the `issued_token_type` of a response, "REQUIRED" (RFC 8693 section 2.2.1): a string, which stays in `extra`.
/// Several vendors omit it, so only strict rules refuse that.
pub(crate) fn check_issued_token_type(
    response: &Object<'_>,
    rules: &Rules,
    warnings: &mut Vec<Warning>,
) -> Result<(), Error> {
    match response.get(ISSUED_TOKEN_TYPE) {
        Some(Json::String(text)) if !text.is_empty() => Ok(()),
        Some(_) => Err(Error::from(ProtocolViolation::TokenShape).about(ISSUED_TOKEN_TYPE)),
        None if rules.is_strict() => Err(ProtocolViolation::IssuedTokenTypeMissing.into()),
        None => {
            warnings.push(Warning::IssuedTokenTypeMissing);
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

    use super::*;
    use crate::client::Client;
    use crate::exchange::{Exchange as _, Input, Step};
    use crate::grant::TokenRequest;
    use crate::testing::{at, client, error_code, json, run_with_reply, strict_client};

    fn exchange() -> TokenExchange {
        TokenExchange::new("subject", "access_token").unwrap()
    }

    #[test]
    fn exchange_sends_subject_actor_type_and_audience_parameters() {
        let grant = exchange()
            .actor(Some("actor".into()), Some("jwt"))
            .and_then(|grant| grant.requested_token_type("urn:example:type"))
            .unwrap();
        let token_request = TokenRequest::new().audience("a").audience("b");
        let Step::Send(request) = client()
            .token(grant, token_request)
            .resume(&at(), Input::Begin)
            .unwrap()
        else {
            panic!("a request")
        };
        assert_eq!(
            request.body(),
            "grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange\
             &subject_token=subject\
             &subject_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Aaccess_token\
             &actor_token=actor\
             &actor_token_type=urn%3Aietf%3Aparams%3Aoauth%3Atoken-type%3Ajwt\
             &requested_token_type=urn%3Aexample%3Atype&audience=a&audience=b"
        );
    }

    #[test]
    fn actor_token_and_type_must_be_given_together() {
        let about = |result: Result<TokenExchange, Error>| {
            let error = result.unwrap_err();
            (error.code(), error.detail().map(str::to_owned))
        };
        let refused = |detail: &str| ("token_exchange.malformed", Some(detail.to_owned()));
        let alone = exchange().actor(Some("a".into()), None);
        assert_eq!(about(alone), refused("actor_token_type is missing"));
        let alone = exchange().actor(None, Some("jwt"));
        assert_eq!(about(alone), refused("actor_token is missing"));
        assert!(exchange().actor(None, None).is_ok());
        for name in ["", "word", ":", "urn:", "urn:a b", "1:é"] {
            let typed = exchange().requested_token_type(name);
            assert_eq!(about(typed), refused("requested_token_type"), "{name}");
        }
        let empty = TokenExchange::new("", "jwt");
        assert_eq!(about(empty), refused("subject_token"));
    }

    #[test]
    fn issued_token_type_is_returned_and_required_by_strict_rules() {
        let redeem = |client: Client, body: &str| {
            run_with_reply(
                client.token(exchange(), TokenRequest::new()),
                json(200, body),
            )
        };
        let saml = r#"{"access_token":"x","token_type":"N_A",
            "issued_token_type":"urn:ietf:params:oauth:token-type:saml2"}"#;
        let tokens = redeem(client(), saml).unwrap();
        assert_eq!(tokens.issued_token_type(), Some(token_type::SAML2));
        assert_eq!(tokens.token_type, TokenType::Other("N_A".to_owned()));
        let lower = redeem(client(), &saml.replace("N_A", "n_a")).unwrap();
        assert_eq!(lower.token_type, tokens.token_type);
        let without = r#"{"access_token":"x","token_type":"Bearer"}"#;
        let missing = "token.missing_issued_token_type";
        assert_eq!(
            error_code(redeem(strict_client(), without).map(drop)),
            Err(missing)
        );
        let tokens = redeem(client(), without).unwrap();
        assert_eq!(tokens.warnings, [Warning::IssuedTokenTypeMissing]);
        assert_eq!(tokens.issued_token_type(), None);
        let number = r#"{"access_token":"x","token_type":"Bearer","issued_token_type":7}"#;
        assert_eq!(
            error_code(redeem(client(), number).map(drop)),
            Err("token_response.malformed")
        );
    }
}
