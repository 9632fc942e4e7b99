//! Access to another server with the user's existing sign-in (draft-ietf-oauth-identity-assertion-authz-grant).

use oauth_core::flow::identity_assertion as core;
use oauth_core::grant::IdentitySubject;
use oauth_core::moment::UnixTime;
use oauth_core::{Scope, Secret, Tokens};

use super::{arguments, outcome};
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;

arguments! {
    /// Requests an assertion for another server from the identity provider
    /// (draft-ietf-oauth-identity-assertion-authz-grant section 4.3).
    ///
    /// Call this on the client that is registered at the identity provider. `scope` and `resource` are for the other
    /// server.
    ///
    /// `jwt.audience` and `jwt.expired` for an ID token that is not for this client or has expired, before anything is
    /// sent; `identity_assertion.*` for an invalid request; `token.*` and `jwt.*` for a response that is not an
    /// assertion for that server; `denied.*` if the identity provider refuses.
    pub struct RequestIdentityAssertion {
        /// The subject token: an ID token, a refresh token or a SAML assertion of this server.
        pub subject_token: Secret<String>,
        /// The type of the subject token: id_token by default, refresh_token or saml2.
        pub subject_token_type: Option<String>,
        /// The issuer of the server for which the assertion is requested.
        pub issuer: String,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let token_type = self.subject_token_type.as_deref().unwrap_or("id_token");
        let subject = IdentitySubject::from_parts(self.subject_token, token_type)?;
        let request =
            core::IdentityAssertionRequest::new(subject, self.issuer, self.request.to_core()?)?;
        let exchange = client.core().identity_assertion(request);
        Ok(ErasedExchange::with_record::<_, IdentityAssertion>(exchange))
    }
}

arguments! {
    /// Presents an identity assertion to this server, for which it was issued
    /// (draft-ietf-oauth-identity-assertion-authz-grant section 4.4).
    ///
    /// This client is the one that is registered at this server. Present each assertion only once: servers may refuse
    /// one that they have already seen.
    ///
    /// `jwt.audience` for an assertion for another server, and `jwt.expired`, before anything is sent; `jws.malformed`
    /// for a malformed one; `denied.*` if the server refuses.
    pub struct RedeemIdentityAssertion {
        /// The assertion.
        pub assertion: Secret<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let assertion = core::IdentityAssertion::parse(self.assertion)?;
        let request = self.request.to_core()?;
        let tokens = client.core().redeem_identity_assertion(assertion, request);
        Ok(ErasedExchange::with_record::<_, Tokens>(tokens))
    }
}

outcome! {
    /// An assertion for one other server. It is a secret, but not an access token.
    pub struct IdentityAssertion from core::IdentityAssertion {
        /// The assertion, to be presented to that server and nowhere else.
        pub assertion: Secret<String>,
        /// The issuer of the server that the assertion is for.
        pub audience: String,
        /// When the assertion expires, if known.
        pub expires_at: Option<UnixTime>,
        /// The scope that the identity provider allows, which may be narrower than requested.
        pub scope: Scope,
    }
}
