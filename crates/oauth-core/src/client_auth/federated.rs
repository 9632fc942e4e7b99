//! Client authentication with an assertion signed by another party: the token of a workload (Kubernetes, GitHub
//! Actions, SPIFFE), read again for each request.
//!
//! RFC 7521 <https://www.rfc-editor.org/rfc/rfc7521#section-4.2>

use std::fmt;

use bytes::Bytes;

use super::jwt_methods::JWT_BEARER;
use super::{ClientJwt, ClientJwtOutcome, Origin, RequestFacts};
use crate::error::{Error, Kind, Misuse};
use crate::form::Form;
use crate::http::Response;
use crate::jose::{Claims, Unverified};
use crate::json::Value;
use crate::moment::UnixTime;
use crate::secret::Secret;
use crate::server::Server;
use crate::workload::{AssertionSource, TokenLookup, WorkloadToken};

/// The kind of token that authenticates the workload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum AssertionProfile {
    /// A JWT of an issuer that the server trusts (RFC 7523 section 2.2).
    #[default]
    Jwt,
    /// A JWT-SVID, whose subject is a SPIFFE ID (OAuth SPIFFE Client Authentication section 3.1).
    SpiffeJwt,
}

/// Authentication by a workload's token.
#[derive(Clone)]
pub struct FederatedAssertion {
    token: WorkloadToken,
    profile: AssertionProfile,
    audience: Option<String>,
    client_id: ClientIdParameter,
}

/// Whether the request names the client besides the assertion.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ClientIdParameter {
    /// The server knows the client by the assertion's subject (RFC 7521 section 4.2).
    #[default]
    Omitted,
    /// The request has a `client_id`, as Microsoft Entra requires.
    Sent,
}

impl FederatedAssertion {
    /// Authentication by the tokens of this source, whose audience must be the server's issuer. A token that does not
    /// expire is refused (RFC 7523 section 3).
    pub fn new(source: impl AssertionSource + 'static) -> Self {
        Self::from_workload_token(WorkloadToken::new(source))
    }

    /// Authentication by the tokens that a platform provides. A service that issues tokens is asked for one with the
    /// [expected](Self::audience) audience.
    pub fn from_workload_token(token: WorkloadToken) -> Self {
        Self {
            token,
            profile: AssertionProfile::default(),
            audience: None,
            client_id: ClientIdParameter::default(),
        }
    }

    /// Sets the kind of token.
    #[must_use]
    pub const fn profile(mut self, profile: AssertionProfile) -> Self {
        self.profile = profile;
        self
    }

    /// Expects tokens for this audience instead of the issuer, such as `api://AzureADTokenExchange`. A token with any
    /// other audience is never sent.
    #[must_use]
    pub fn audience(mut self, audience: impl Into<String>) -> Self {
        self.audience = Some(audience.into());
        self
    }

    /// Sets whether requests name the client too.
    #[must_use]
    pub const fn client_id(mut self, parameter: ClientIdParameter) -> Self {
        self.client_id = parameter;
        self
    }

    /// The registered name of the method. A workload's JWT has no name of its own: servers list it as
    /// `private_key_jwt`.
    pub(super) const fn method(&self) -> &'static str {
        match self.profile {
            AssertionProfile::Jwt => "private_key_jwt",
            AssertionProfile::SpiffeJwt => "spiffe_jwt",
        }
    }

    fn expected<'a>(&'a self, server: &'a Server) -> &'a str {
        let audience = self.audience.as_deref();
        audience.unwrap_or_else(|| server.issuer().as_str())
    }

    fn read_token(&self, server: &Server, now: UnixTime) -> Result<ClientJwtOutcome<'_>, Error> {
        match self.token.find(self.expected(server), now)? {
            TokenLookup::Token(token) => self
                .checked(token, server, now)
                .map(ClientJwtOutcome::Ready),
            TokenLookup::Request(request) => ClientJwtOutcome::remote(request),
        }
    }

    /// The token, if it may be sent.
    fn checked(
        &self,
        token: Secret<String>,
        server: &Server,
        now: UnixTime,
    ) -> Result<Secret<String>, Error> {
        let malformed = |reason: &str| Error::from(Misuse::AssertionMalformed).about(reason);
        // The error names the flaw, and never contains the token.
        let jwt = Unverified::parse(token.expose()).map_err(|error| {
            let flaw = error.detail().filter(|flaw| !flaw.is_empty());
            malformed(flaw.unwrap_or("not a JWS of a JSON object"))
        })?;
        let claims = jwt.claims().ok_or_else(|| malformed("it is encrypted"))?;
        // "The JWT MUST be digitally signed or have a Message Authentication Code" (RFC 7523 section 3): anyone could
        // have written another.
        let alg = jwt.header().get("alg").and_then(Value::as_str);
        let is_signed = alg.is_some_and(|alg| !alg.is_empty() && !alg.eq_ignore_ascii_case("none"));
        if !is_signed || token.expose().ends_with('.') {
            return Err(malformed("it is not signed"));
        }
        self.check(server, now, claims)?;
        Ok(token)
    }

    fn check(&self, server: &Server, now: UnixTime, claims: &Claims) -> Result<(), Error> {
        let malformed = |reason: &str| Error::from(Misuse::AssertionMalformed).about(reason);
        let malformed_claim = |error: Error| malformed(error.detail().unwrap_or_default());
        let expires = claims.time("exp").map_err(malformed_claim)?;
        if let Some(expires) = expires.filter(|at| *at <= now) {
            let detail = format!("at {}, now {}", expires.as_secs(), now.as_secs());
            return Err(Error::from(Misuse::AssertionExpired).about(&detail));
        }
        let audience = claims.audience().map_err(malformed_claim)?;
        let expected_audience = self.expected(server);
        // A server that receives a token for several audiences could use it at the others (RFC 10070).
        if audience != [expected_audience] {
            let detail = format!(
                "it names {}, expected {expected_audience}",
                audience.join(" ")
            );
            return Err(Error::from(Misuse::AssertionAudience).about(&detail));
        }
        // "The JWT MUST contain an "exp" (expiration time) claim" (RFC 7523 section 3): a leaked token without it could
        // be used forever.
        if expires.is_none() {
            let detail = format!("the token of {} has no exp", self.token.location());
            return Err(malformed(&detail));
        }
        claims.text("iss").map_err(malformed_claim)?;
        let subject = claims
            .text("sub")
            .map_err(malformed_claim)?
            .unwrap_or_default();
        match self.profile {
            AssertionProfile::SpiffeJwt if !is_spiffe_id(subject) => Err(malformed("sub")),
            _ => Ok(()),
        }
    }
}

impl ClientJwt for FederatedAssertion {
    fn name(&self) -> &'static str {
        self.method()
    }

    /// The current token, if it may be sent. An expired token is read again, because it may be about to be replaced.
    fn make(&self, facts: &RequestFacts<'_>) -> Result<ClientJwtOutcome<'_>, Error> {
        match self.read_token(facts.server, facts.at.now()) {
            Err(error) if matches!(error.kind(), Kind::Misuse(Misuse::AssertionExpired)) => {
                self.read_token(facts.server, facts.at.now())
            }
            read => read,
        }
    }

    fn received(
        &self,
        facts: &RequestFacts<'_>,
        reply: &Response<Bytes>,
    ) -> Result<Secret<String>, Error> {
        let token = self.token.read_reply(reply)?;
        self.checked(token, facts.server, facts.at.now())
    }

    fn write(&self, (parameter, id): (&str, &str), jwt: &str, form: &mut Form) {
        if self.client_id == ClientIdParameter::Sent {
            form.push(parameter, id);
        }
        let kind = match self.profile {
            AssertionProfile::Jwt => JWT_BEARER,
            AssertionProfile::SpiffeJwt => "urn:ietf:params:oauth:client-assertion-type:jwt-spiffe",
        };
        form.push("client_assertion_type", kind);
        form.push("client_assertion", jwt);
    }

    fn audience_is_issuer(&self) -> bool {
        self.audience.is_none()
    }

    fn origin(&self) -> Origin {
        Origin::Foreign
    }
}

/// `spiffe://trust-domain/path` (SPIFFE-ID section 2), at most 2048 bytes, of which the trust domain has at most 255
/// (section 2.3).
pub(crate) fn is_spiffe_id(subject: &str) -> bool {
    let Some(rest) = subject.strip_prefix("spiffe://") else {
        return false;
    };
    let mut segments = rest.split('/');
    let domain = segments.next().unwrap_or_default();
    let is_part = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'.' | b'-' | b'_');
    let is_segment = |segment: &str| {
        !["", ".", ".."].contains(&segment)
            && segment
                .bytes()
                .all(|byte| is_part(byte.to_ascii_lowercase()))
    };
    let is_bounded = subject.len() <= 2048 && (1..=255).contains(&domain.len());
    is_bounded && domain.bytes().all(is_part) && segments.all(is_segment)
}

impl fmt::Debug for FederatedAssertion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FederatedAssertion")
            .field("token", &self.token)
            .field("profile", &self.profile)
            .field("audience", &self.audience)
            .finish_non_exhaustive()
    }
}
