//! The issuers that a twin trusts: keys of service accounts, identity providers and publishers, and the servers for
//! which it issues identity assertions.

use oauth_core::error::Error;
use oauth_core::jose::{Alg, PublicJwk};
use serde_json::{Map, Value};

use super::Twin;
use super::jwt::Jwt;

/// The algorithms that assertions may be signed with.
pub(super) const ALGS: &[Alg] = &[Alg::Rs256, Alg::Es256];

/// The issuers of assertions, ID-JAGs and software statements that are accepted.
#[derive(Default)]
pub(super) struct Trust {
    /// Service accounts and clients, which sign assertions about themselves or others.
    signers: Vec<Signer>,
    /// Identity providers, which sign identity assertions about users.
    identity_providers: Vec<Signer>,
    /// Publishers, which sign software statements.
    publishers: Vec<Signer>,
    /// Other servers, by their issuer, with the client id of this twin's client there.
    audiences: Vec<(String, String)>,
}

struct Signer {
    issuer: String,
    keys: Vec<PublicJwk>,
}

impl Signer {
    fn of(issuer: &str, jwks: &Value) -> Result<Self, Error> {
        let keys = jwks["keys"].as_array().into_iter().flatten();
        let keys = keys.map(|jwk| PublicJwk::parse(&jwk.to_string()));
        Ok(Self {
            issuer: issuer.to_owned(),
            keys: keys.collect::<Result<_, _>>()?,
        })
    }
}

impl Trust {
    /// Verifies a JWT that must be issued and signed by this signer.
    pub(super) fn signed_by(&self, issuer: &str, token: &str) -> Result<Jwt, &'static str> {
        verified(&self.signers, Jwt::read(token)?, issuer)
    }

    /// Verifies a JWT of any signer.
    pub(super) fn signed(&self, jwt: Jwt) -> Result<Jwt, &'static str> {
        let issuer = jwt.text("iss").unwrap_or_default().to_owned();
        verified(&self.signers, jwt, &issuer)
    }

    /// Verifies a JWT of any identity provider.
    pub(super) fn verify_trusted(&self, jwt: Jwt) -> Result<Jwt, &'static str> {
        let issuer = jwt.text("iss").unwrap_or_default().to_owned();
        verified(&self.identity_providers, jwt, &issuer)
    }

    /// The verified claims of a software statement (RFC 7591 section 2.3).
    pub(super) fn verify_software_statement(
        &self,
        statement: &str,
    ) -> Result<Map<String, Value>, (&'static str, &'static str)> {
        let wrong = |description| ("invalid_software_statement", description);
        let jwt = Jwt::read(statement).map_err(wrong)?;
        let issuer = jwt.text("iss").unwrap_or_default().to_owned();
        if !self
            .publishers
            .iter()
            .any(|publisher| publisher.issuer == issuer)
        {
            let description = "this issuer may not issue software statements";
            return Err(("unapproved_software_statement", description));
        }
        let jwt = verified(&self.publishers, jwt, &issuer).map_err(wrong)?;
        let claims = jwt.claims.as_object().into_iter().flatten();
        let metadata =
            claims.filter(|(name, _)| !["iss", "iat", "exp", "jti"].contains(&name.as_str()));
        Ok(metadata
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect())
    }

    /// The client's id at this server, if it is known.
    pub(super) fn client_id_for(&self, audience: &str) -> Option<&str> {
        let mut audiences = self.audiences.iter();
        let found = audiences.find(|(issuer, _)| issuer == audience);
        found.map(|(_, client_id)| client_id.as_str())
    }
}

fn verified(signers: &[Signer], jwt: Jwt, issuer: &str) -> Result<Jwt, &'static str> {
    if jwt.text("iss") != Some(issuer) {
        return Err("iss must be the signer");
    }
    let matching = signers.iter().filter(|signer| signer.issuer == issuer);
    let keys = matching.flat_map(|signer| &signer.keys);
    // A `kid` is only a hint: a signature by any of the keys is valid.
    let mut problem = "the issuer is unknown";
    for key in keys {
        match jwt.check_signature(key, ALGS) {
            Ok(()) => return Ok(jwt),
            Err(description) => problem = description,
        }
    }
    Err(problem)
}

impl Twin {
    /// Registers the public JWK with which assertions of this issuer are signed: a service account with any name,
    /// or the confidential client, which may then sign its backchannel requests as well.
    ///
    /// # Errors
    /// If it is not a public key.
    pub fn register_assertion_key(&mut self, issuer: &str, jwk: &str) -> Result<(), Error> {
        let keys = vec![PublicJwk::parse(jwk)?];
        let issuer = issuer.to_owned();
        self.authority.trust.signers.push(Signer { issuer, keys });
        Ok(())
    }

    /// Accepts the identity assertions of this issuer, which are signed with one of the keys of this JWK Set
    /// (draft-ietf-oauth-identity-assertion-authz-grant section 4.4).
    ///
    /// # Errors
    /// If one of them is not a public key.
    pub fn trust_identity_provider(&mut self, issuer: &str, jwks: &Value) -> Result<(), Error> {
        let signer = Signer::of(issuer, jwks)?;
        self.authority.trust.identity_providers.push(signer);
        Ok(())
    }

    /// Accepts the software statements of this issuer, which are signed with one of the keys of this JWK Set (RFC 7591
    /// section 2.3). Their values take precedence over the client's own.
    ///
    /// # Errors
    /// If one of them is not a public key.
    pub fn trust_publisher(&mut self, issuer: &str, jwks: &Value) -> Result<(), Error> {
        let signer = Signer::of(issuer, jwks)?;
        self.authority.trust.publishers.push(signer);
        Ok(())
    }

    /// Issues identity assertions for the server of this issuer, where the confidential client has this client id
    /// (draft-ietf-oauth-identity-assertion-authz-grant section 4.3).
    pub fn vouch_to(&mut self, issuer: &str, client_id: &str) {
        let audiences = &mut self.authority.trust.audiences;
        audiences.push((issuer.to_owned(), client_id.to_owned()));
    }
}
