//! Assertions that the client signs itself to obtain tokens, as service accounts do. Assertions that authenticate a
//! client are in `client_auth/assertion.rs`; the grant that presents an assertion is in `grant/jwt_bearer.rs`.
//!
//! RFC 7523 <https://www.rfc-editor.org/rfc/rfc7523#section-3>, RFC 10070 (whose rule about the audience applies to
//! client authentication; for a grant the caller names the audience that the server expects)

#[cfg(not(all(feature = "js", target_family = "wasm")))]
mod requirements;

use std::fmt;
use std::sync::Arc;

use crate::crypto::SigningKey;
use crate::error::{Error, Misuse};
use crate::jose;
use crate::json::Members;
use crate::moment::{Moment, UnixTime};
use crate::scope::Scope;
use crate::value::{Map, Value, writer};

#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub use requirements::AssertionRequirements;

/// The default lifetime of an assertion, in seconds.
const DEFAULT_LIFETIME_SECONDS: u32 = 300;
/// The claims that [`Assertion::claim`] must not set.
const RESERVED_CLAIMS: [&str; 7] = ["iss", "sub", "aud", "exp", "iat", "nbf", "jti"];

/// Whether callers cannot set a claim of this name.
fn is_reserved(name: &str) -> bool {
    name.is_empty() || RESERVED_CLAIMS.contains(&name)
}

/// An assertion to be signed: its issuer, subject and audience. Each request gets a new one.
#[derive(Debug, Clone)]
pub struct Assertion {
    key: SigningKey,
    content: Content,
}

#[derive(Clone)]
enum Content {
    Claims(Claims),
    Text(Arc<WriteAssertion>),
}

/// Header and claims at this time, as JSON.
type WriteAssertion = dyn Fn(UnixTime) -> (String, String) + Send + Sync;

#[derive(Debug, Clone)]
struct Claims {
    issuer: String,
    subject: String,
    audience: String,
    lifetime: u32,
    extra_claims: Map<String, Value>,
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claims(claims) => claims.fmt(f),
            Self::Text(_) => f.write_str("Text(..)"),
        }
    }
}

/// A function that builds the assertion for a requested scope.
pub(crate) type MakeAssertion = dyn Fn(&Scope) -> Result<Assertion, Error> + Send + Sync;

/// The means by which a client gets its own tokens.
#[derive(Clone)]
pub(crate) enum ClientGrantMethod {
    /// Assertions that it signs itself.
    Assertion(Arc<MakeAssertion>),
    /// The token of a workload (RFC 8693). Not in browser builds: a web page has no workload token.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    Exchange(Box<crate::workload::SubjectToken>),
    /// A sign-in at an identity provider. The value is opaque here; `flow/identity_assertion` interprets it.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    Identity {
        sign_in: Arc<dyn std::any::Any + Send + Sync>,
        /// The identity provider's issuer, and the client there.
        identity_provider: [String; 2],
    },
}

impl ClientGrantMethod {
    /// The identity provider's issuer and the client there, if the client and its users get their tokens by a sign-in
    /// at one.
    pub(crate) const fn identity_provider(&self) -> Option<&[String; 2]> {
        match self {
            Self::Assertion(_) => None,
            #[cfg(not(all(feature = "js", target_family = "wasm")))]
            Self::Exchange(_) => None,
            #[cfg(not(all(feature = "js", target_family = "wasm")))]
            Self::Identity {
                identity_provider, ..
            } => Some(identity_provider),
        }
    }
}

impl fmt::Debug for ClientGrantMethod {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClientGrantMethod(..)")
    }
}

impl Assertion {
    /// An assertion signed with `key`, whose name, if it has one, is the `kid`. `issuer` is the owner of the key as the
    /// server knows it, such as a service account; `subject` is the party that the token is issued for, often the same
    /// as the issuer; `audience` is the server's issuer or its token endpoint, as its documentation says. For a server
    /// whose requirements are known, such as one of a preset, [`Server::assertion`](crate::server::Server::assertion) sets it.
    ///
    /// # Errors
    /// `assertion.claim` if one of them is empty.
    pub fn new(
        key: SigningKey,
        issuer: impl Into<String>,
        subject: impl Into<String>,
        audience: impl Into<String>,
    ) -> Result<Self, Error> {
        let claims = Claims {
            issuer: issuer.into(),
            subject: subject.into(),
            audience: audience.into(),
            lifetime: DEFAULT_LIFETIME_SECONDS,
            extra_claims: Map::new(),
        };
        let texts = [
            ("iss", &claims.issuer),
            ("sub", &claims.subject),
            ("aud", &claims.audience),
        ];
        match texts.iter().find(|(_, value)| value.is_empty()) {
            Some((name, _)) => Err(Error::from(Misuse::AssertionClaim).about(name)),
            None => Ok(Self {
                key,
                content: Content::Claims(claims),
            }),
        }
    }

    /// An assertion whose header and claims the caller writes as JSON, given the current time. For servers that require
    /// the exact bytes that their own libraries produce.
    pub fn of_text(
        key: SigningKey,
        write: impl Fn(UnixTime) -> (String, String) + Send + Sync + 'static,
    ) -> Self {
        let content = Content::Text(Arc::new(write));
        Self { key, content }
    }

    /// Sets the audience.
    ///
    /// # Errors
    /// `assertion.claim` if it is empty, and for an assertion that the caller writes itself ([`Self::of_text`]).
    pub fn audience(mut self, audience: impl Into<String>) -> Result<Self, Error> {
        let audience = audience.into();
        match &mut self.content {
            Content::Claims(claims) if !audience.is_empty() => {
                claims.audience = audience;
                Ok(self)
            }
            _ => Err(Error::from(Misuse::AssertionClaim).about("aud")),
        }
    }

    /// Sets how many seconds each assertion is valid: 300 by default. Servers usually allow an hour at most.
    #[must_use]
    pub fn lifetime(mut self, seconds: u32) -> Self {
        if let Content::Claims(claims) = &mut self.content {
            claims.lifetime = seconds;
        }
        self
    }

    /// Adds a claim that the server documents; it replaces one of the same name.
    ///
    /// # Errors
    /// `assertion.claim` for a name that has a parameter of its own, and for an assertion that the caller writes itself
    /// ([`Self::of_text`]).
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Result<Self, Error> {
        match &mut self.content {
            Content::Claims(claims) if !is_reserved(name) => {
                claims.extra_claims.insert(name.to_owned(), value.into());
                Ok(self)
            }
            _ => Err(Error::from(Misuse::AssertionClaim).about(name)),
        }
    }

    /// The scope in the `scope` claim; empty if there is no such claim, or the caller writes the assertion.
    pub(crate) fn claimed_scope(&self) -> Scope {
        let scope = match &self.content {
            Content::Claims(claims) => claims.extra_claims.get("scope").and_then(Value::as_str),
            Content::Text(_) => None,
        };
        let scope = scope.and_then(|text| Scope::parse(text).ok());
        scope.unwrap_or_else(Scope::none)
    }

    /// The signing key.
    pub(crate) const fn key(&self) -> &SigningKey {
        &self.key
    }

    pub(crate) fn signing_input(&self, at: &Moment) -> Result<String, Error> {
        let (header, claims) = match &self.content {
            Content::Claims(claims) => (self.header(), claims.text(at)?),
            Content::Text(write) => write(at.now()),
        };
        Ok(jose::signing_input(&header, &claims))
    }

    fn header(&self) -> String {
        let mut header = String::new();
        let mut members = Members::begin(&mut header);
        members.text("alg", self.key.alg().as_str());
        if !self.key.id().is_empty() {
            members.text("kid", self.key.id());
        }
        members.text("typ", "JWT");
        members.end();
        header
    }
}

impl Claims {
    fn text(&self, at: &Moment) -> Result<String, Error> {
        let now = at.now().as_secs();
        let mut claims = String::new();
        let mut members = Members::begin(&mut claims);
        members.text("aud", &self.audience);
        members.number("exp", now.saturating_add(self.lifetime.into()));
        members.number("iat", now);
        members.text("iss", &self.issuer);
        // "The JWT MAY contain a jti": each assertion has its own, for servers that accept each only once.
        members.text("jti", &format!("grant-{}", at.ticket()?));
        members.text("sub", &self.subject);
        for (name, value) in self.extra_claims.iter() {
            writer::value(value, members.next(name));
        }
        members.end();
        Ok(claims)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

    use super::*;
    use crate::base64::{Alphabet, decode};
    use crate::client::Client;
    use crate::client_auth::ClientAuth;
    use crate::client_config::ClientId;
    use crate::crypto::Signer;
    use crate::error::Cause;
    use crate::exchange::{Exchange as _, Input, Step};
    use crate::flow::keeper;
    use crate::flow::keeper::{Decision, Event, GrantId};
    use crate::jose::Alg;
    use crate::testing::{NOW, at, error_code, server};
    use bytes::Bytes;

    struct Zeros;

    impl Signer for Zeros {
        fn sign(&self, _: &[u8]) -> Result<Bytes, Cause> {
            Ok(vec![0; 64].into())
        }
    }

    fn key() -> SigningKey {
        SigningKey::local("k", Alg::Es256, Arc::new(Zeros))
    }

    fn assertion() -> Assertion {
        Assertion::new(key(), "account", "person", "https://as.example/token").unwrap()
    }

    fn parts(body: &[u8]) -> (String, String, String) {
        let body = std::str::from_utf8(body).unwrap();
        let jwt = body
            .split('&')
            .find_map(|pair| pair.strip_prefix("assertion="))
            .unwrap();
        let part = |number: usize| {
            let part = jwt.split('.').nth(number).unwrap();
            String::from_utf8(decode(part, Alphabet::UrlSafe).unwrap()).unwrap()
        };
        (body.to_owned(), part(0), part(1))
    }

    #[test]
    fn own_assertion_carries_iss_sub_aud_times_and_a_fresh_jti() {
        let assertion = assertion().lifetime(60).claim("scope", "a b").unwrap();
        let mut exchange =
            server_client(ClientAuth::none()).tokens_for_own_assertion(assertion, Scope::none());
        let Step::Send(request) = exchange.resume(&at(), Input::Begin).unwrap() else {
            panic!("a request")
        };
        let (body, header, claims) = parts(request.body());
        assert!(body.ends_with("&client_id=id"), "{body}");
        assert_eq!(header, r#"{"alg":"ES256","kid":"k","typ":"JWT"}"#);
        let claims: serde_json::Value = serde_json::from_str(&claims).unwrap();
        let get = |name: &str| claims.get(name).cloned().unwrap_or_default();
        assert_eq!(get("iss"), "account");
        assert_eq!(get("sub"), "person");
        assert_eq!(get("aud"), "https://as.example/token");
        assert_eq!((get("iat"), get("exp")), (NOW.into(), (NOW + 60).into()));
        assert_eq!(get("scope"), "a b");
        assert!(get("jti").is_string());
    }

    #[test]
    fn assertions_with_empty_or_reserved_claims_are_refused() {
        for (issuer, subject, audience) in [("", "s", "a"), ("i", "", "a"), ("i", "s", "")] {
            let refused = Assertion::new(key(), issuer, subject, audience);
            assert_eq!(error_code(refused.map(drop)), Err("assertion.claim"));
        }
        for name in ["", "iss", "exp", "jti"] {
            assert_eq!(
                error_code(assertion().claim(name, "x").map(drop)),
                Err("assertion.claim")
            );
        }
    }

    fn server_client(auth: ClientAuth) -> Client {
        Client::new(server(), ClientId::new("id"), auth).unwrap()
    }

    /// A client that is known only by its assertions.
    fn account() -> Client {
        let client = server_client(ClientAuth::without_client_id());
        client.with_own_assertion(|requested_scope| {
            let scope = requested_scope.as_str().to_owned();
            Ok(Assertion::of_text(key(), move |now| {
                (
                    "{}".to_owned(),
                    format!("{{\"scope\": \"{scope}\", \"iat\": {}}}", now.as_secs()),
                )
            }))
        })
    }

    #[test]
    fn own_assertion_client_sends_no_client_id_and_renews_with_jwt_bearer() {
        let scope = Scope::parse("a b").unwrap();
        let mut exchange = account().client_credentials(scope.clone());
        let Step::Send(request) = exchange.resume(&at(), Input::Begin).unwrap() else {
            panic!("a request")
        };
        let (body, _, claims) = parts(request.body());
        assert_eq!(claims, format!("{{\"scope\": \"a b\", \"iat\": {NOW}}}"));
        assert!(
            !body.contains("client_id") && !body.contains("&scope="),
            "{body}"
        );
        let mut keeper = account().keeper(GrantId::client().requesting(scope));
        assert!(matches!(keeper.ask(at().now(), None), Decision::Renew));
        let keeper::Step::Run(mut request) = keeper.resume(&at(), Event::Begin) else {
            panic!("a request")
        };
        let Step::Send(request) = request.resume(&at(), Input::Begin).unwrap() else {
            panic!("a request")
        };
        assert!(
            request
                .body()
                .starts_with(b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Ajwt-bearer")
        );
    }
}
