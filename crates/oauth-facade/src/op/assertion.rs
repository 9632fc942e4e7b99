//! Tokens for an assertion (RFC 7521 section 4.1): one of another party, or one that the client signs.

use oauth_core::{Secret, Tokens, grant};

use super::arguments;
use crate::arg::JsonText;
use crate::erased_exchange::ErasedExchange;
use crate::request::TokenRequest;
use crate::self_signed_assertion::{AssertionInput, assertion};

arguments! {
    /// Requests tokens with a JWT assertion of another party (RFC 7523 section 2.1).
    ///
    /// `client_auth.assertion_malformed` if the assertion is malformed, `denied.invalid_grant` if the server does not
    /// accept it, `lost.*` if no reply arrives.
    pub struct JwtBearer {
        /// The JWT.
        pub assertion: Secret<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        client.token(grant::JwtBearer::new(self.assertion)?, &self.request)
    }
}

arguments! {
    /// Requests tokens with a SAML 2.0 assertion (RFC 7522 section 2.1).
    ///
    /// `denied.invalid_grant` if the server does not accept the assertion, `lost.*` if no reply arrives.
    pub struct SamlBearer {
        /// The assertion: its XML, or the base64url of it.
        pub assertion: Secret<String>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        client.token(grant::SamlBearer::new(self.assertion), &self.request)
    }
}

arguments! {
    /// Requests tokens with a JWT that this client signs itself, as service accounts do (RFC 7523 section 2.1).
    ///
    /// A preset knows what the server's documentation demands: the audience, the lifetime, the algorithms, and the
    /// claims that must be passed; the scope is a claim where it has to be one.
    ///
    /// `key.*` for a key that cannot sign it, `assertion.claim` for claims that are missing or must not be set,
    /// `denied.invalid_grant` if the server does not accept the assertion, `lost.*` if no reply arrives.
    pub struct JwtBearerWithKey {
        /// The private key: PEM (PKCS#8, PKCS#1, SEC1) or a JWK.
        pub key: Secret<String>,
        /// The passphrase of the key.
        pub passphrase: Option<Secret<String>>,
        /// The algorithm; by default, one that suits the key.
        pub alg: Option<String>,
        /// The name by which the server knows the key.
        pub kid: Option<String>,
        /// The issuer (`iss`): the service account, or the client id.
        pub issuer: String,
        /// The subject (`sub`) of the token; by default the issuer of the assertion.
        pub subject: Option<String>,
        /// The audience (`aud`): the server's issuer or its token endpoint, as its documentation says; by
        /// default that of the preset, or the issuer.
        pub audience_claim: Option<String>,
        /// The lifetime of the assertion in seconds: by default that of the preset, or 300.
        pub lifetime: Option<u64>,
        /// Further claims that the server documents, as an object.
        pub claims: Option<JsonText>,
        ..request: TokenRequest,
    }

    fn start(self, client: &Client) -> Result<ErasedExchange, Error> {
        let signed = AssertionInput {
            key: self.key,
            passphrase: self.passphrase,
            alg: self.alg,
            kid: self.kid,
            issuer: self.issuer,
            subject: self.subject,
            audience: self.audience_claim,
            lifetime: self.lifetime,
            claims: self.claims.map(|text| text.0),
        };
        let tokens = client.core().tokens_for_own_assertion(assertion(client, signed)?, self.request.to_core()?);
        Ok(ErasedExchange::with_record::<_, Tokens>(tokens))
    }
}
