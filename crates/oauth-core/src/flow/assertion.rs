//! Tokens for an assertion that the client signs itself, as service accounts do.
//!
//! RFC 7523 <https://www.rfc-editor.org/rfc/rfc7523#section-3>, RFC 10070 (whose rule about the audience is for
//! client authentication: of a grant the caller says which one the server wants)

use crate::crypto::SigningKey;
use crate::error::{Error, Misuse};
use crate::jose;
use crate::json::Members;
use crate::moment::Moment;
use crate::value::{Map, Value, writer};

/// How long an assertion is good by default, in seconds.
const LIFETIME: u32 = 300;
/// The claims that have parameters of their own.
const OWN: [&str; 7] = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"];

/// An assertion to be signed: who says it, about whom, to whom. Each request gets one of its own.
#[derive(Debug, Clone)]
pub struct Assertion {
    key: SigningKey,
    issuer: String,
    subject: String,
    audience: String,
    lifetime: u32,
    claims: Map<String, Value>,
}

impl Assertion {
    /// Signed with `key`, whose name, if it has one, is the `kid`. `issuer` is who the server knows as the owner of
    /// the key, such as a service account; `subject` for whom the token is, often the same; `audience` the server's
    /// issuer or its token endpoint, as its documentation says.
    ///
    /// # Errors
    /// `assertion.claim` for one that is empty.
    pub fn new(
        key: SigningKey,
        issuer: impl Into<String>,
        subject: impl Into<String>,
        audience: impl Into<String>,
    ) -> Result<Self, Error> {
        let assertion = Self {
            key,
            issuer: issuer.into(),
            subject: subject.into(),
            audience: audience.into(),
            lifetime: LIFETIME,
            claims: Map::new(),
        };
        let all = [
            ("iss", &assertion.issuer),
            ("sub", &assertion.subject),
            ("aud", &assertion.audience),
        ];
        match all.iter().find(|(_, value)| value.is_empty()) {
            Some((name, _)) => Err(Error::from(Misuse::AssertionClaim).about(name)),
            None => Ok(assertion),
        }
    }

    /// Lets each be good for so many seconds: 300 by default. Servers allow an hour at most, as a rule.
    #[must_use]
    pub const fn lifetime(mut self, seconds: u32) -> Self {
        self.lifetime = seconds;
        self
    }

    /// Adds a claim that the server documents, in place of one of this name.
    ///
    /// # Errors
    /// `assertion.claim` for a name that has a parameter of its own.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Result<Self, Error> {
        if OWN.contains(&name) || name.is_empty() {
            return Err(Error::from(Misuse::AssertionClaim).about(name));
        }
        self.claims.insert(name.to_owned(), value.into());
        Ok(self)
    }

    /// The key that signs.
    pub(crate) const fn key(&self) -> &SigningKey {
        &self.key
    }

    pub(crate) fn signing_input(&self, at: &Moment) -> Result<String, Error> {
        let now = at.now().as_secs();
        let (mut header, mut claims) = (String::new(), String::new());
        let mut members = Members::of(&mut header);
        members.text("alg", self.key.alg().as_str());
        if !self.key.id().is_empty() {
            members.text("kid", self.key.id());
        }
        members.text("typ", "JWT");
        members.end();
        let mut members = Members::of(&mut claims);
        members.text("aud", &self.audience);
        members.number("exp", now.saturating_add(self.lifetime.into()));
        members.number("iat", now);
        members.text("iss", &self.issuer);
        // "The JWT MAY contain a jti": of each its own, for servers that take one once.
        members.text("jti", &format!("grant-{}", at.ticket()?));
        members.text("sub", &self.subject);
        for (name, value) in self.claims.iter() {
            writer::value(value, members.next(name));
        }
        members.end();
        Ok(jose::signing_input(&header, &claims))
    }
}
