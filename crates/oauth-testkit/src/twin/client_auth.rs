//! Client authentication at the twin.
//!
//! RFC 6749 section 2.3, RFC 7523 section 2.2, RFC 8705 section 2

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use oauth_core::moment::UnixTime;

use super::authority::Authority;
use super::fapi::{self, CredentialKind};
use super::jwt::Jwt;
use super::personality;
use super::rules::Basic;
use super::wire::{self, ReceivedRequest, Reply};
use super::workload;

/// The type of JWT client assertions.
const JWT_BEARER: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// A client that has authenticated, or a public one that has sent its id.
pub(super) struct Client {
    pub(super) id: String,
    pub(super) is_public: bool,
}

impl Authority {
    /// Authenticates the client (RFC 6749 section 2.3), by the methods this system accepts for this purpose: a grant
    /// type, `revocation`, `introspection` or `device_authorization`.
    pub(super) fn authenticate(
        &mut self,
        at: UnixTime,
        request: &ReceivedRequest,
        purpose: &str,
    ) -> Result<Client, Box<Reply>> {
        let accepts = (self.rules.accepts)(purpose);
        let header = request.headers.get(AUTHORIZATION);
        let secret = request.form("client_secret");
        let claimed = request.form("client_id");
        if request.query("client_secret").is_some() {
            return Err(refused(
                "invalid_request",
                "credentials must not be in the URL",
            ));
        }
        // "The client MUST NOT use more than one authentication method in each request."
        if header.is_some() && secret.is_some() {
            return Err(refused(
                "invalid_request",
                "more than one authentication method",
            ));
        }
        if let Some(header) = header {
            let pair = header.to_str().ok().and_then(basic_credentials);
            let (id, secret) = match (accepts.basic, pair) {
                (Basic::Encoded, Some(pair)) => form_decoded(&pair),
                (Basic::Raw, Some(pair)) => Some(pair),
                _ => None,
            }
            .ok_or_else(|| challenged("this use of the Authorization header is not supported"))?;
            if claimed.is_some_and(|claimed| claimed != id) {
                return Err(refused(
                    "invalid_request",
                    "client_id differs from the one in the Authorization header",
                ));
            }
            return self
                .authenticate_by_secret(&id, &secret, "client_secret_basic")
                .ok_or_else(|| challenged("wrong credentials"));
        }
        if let Some(secret) = secret {
            let client = accepts
                .body
                .then(|| self.authenticate_by_secret(claimed?, secret, "client_secret_post"))
                .flatten();
            return client.ok_or_else(|| refused("invalid_client", "wrong credentials"));
        }
        if let (None, true, Some(assertion)) = (
            &self.rules.fapi,
            accepts.body,
            request.form("client_assertion"),
        ) {
            let client = workload::client(self, at, request, assertion);
            return client.map_err(|description| refused("invalid_client", description));
        }
        match claimed {
            _ if self.rules.fapi.is_some() => self.authenticate_by_key(at, request),
            Some(id) if accepts.public && self.is_public(id) => Ok(Client {
                id: id.to_owned(),
                is_public: true,
            }),
            _ => Err(refused(
                "invalid_client",
                "client authentication is missing",
            )),
        }
    }

    fn authenticate_by_secret(&self, id: &str, secret: &str, method: &str) -> Option<Client> {
        let is_right_secret = match personality::signed_secret(self, secret) {
            Some(is_right) => is_right,
            None => secret == self.rules.client_secret,
        };
        let is_built_in = id == self.rules.client_id && is_right_secret;
        let is_registered = || self.registrations.is_secret(id, secret, method);
        (is_built_in || is_registered()).then(|| Client {
            id: id.to_owned(),
            is_public: false,
        })
    }

    /// Authenticates a client by an assertion, or by its certificate.
    fn authenticate_by_key(
        &mut self,
        at: UnixTime,
        request: &ReceivedRequest,
    ) -> Result<Client, Box<Reply>> {
        let client = Client {
            id: self.rules.client_id.to_owned(),
            is_public: false,
        };
        let claimed = request.form("client_id");
        let missing = || refused("invalid_client", "client authentication is missing");
        let fapi = self.rules.fapi.as_ref().ok_or_else(missing)?;
        let is_presented =
            |(thumbprint, _): &&(String, String)| Some(thumbprint) == request.certificate.as_ref();
        let svid = fapi.svids.iter().find(is_presented);
        let id = svid.map_or(&client.id, |(_, spiffe_id)| spiffe_id);
        if claimed.is_some_and(|claimed| claimed != id) {
            return Err(refused("invalid_client", "there is no such client"));
        }
        match (fapi.client_auth, request.form("client_assertion")) {
            // The TLS front has verified the certificate.
            (CredentialKind::Certificate, None)
                if claimed.is_some() && request.certificate.is_some() => {}
            (CredentialKind::Key, Some(assertion)) => {
                if request.form("client_assertion_type") != Some(JWT_BEARER) {
                    return Err(refused(
                        "invalid_client",
                        "unsupported client_assertion_type",
                    ));
                }
                let verified = self.verify_client_assertion(at, assertion);
                verified.map_err(|description| refused("invalid_client", description))?;
            }
            _ => return Err(missing()),
        }
        Ok(client)
    }

    /// Verifies a client assertion. Its audience is the issuer, as one string (FAPI 2.0 Security Profile section
    /// 5.3.2.1).
    fn verify_client_assertion(
        &mut self,
        at: UnixTime,
        assertion: &str,
    ) -> Result<(), &'static str> {
        let jwt = Jwt::verified(assertion, &fapi::client_public_key()?, fapi::ALGS)?;
        let id = self.rules.client_id;
        if jwt.text("iss") != Some(id) || jwt.text("sub") != Some(id) {
            return Err("iss and sub of an assertion must be the client");
        }
        if jwt.text("aud") != Some(&self.rules.issuer) {
            return Err("aud of an assertion must be the issuer");
        }
        jwt.check_validity_period(at)?;
        match jwt.text("jti") {
            Some(jti) if self.seen.insert(format!("assertion {jti}")) => Ok(()),
            Some(_) => Err("the assertion was used before"),
            None => Err("an assertion must have a jti"),
        }
    }
}

/// The user id and the password of a Basic header (RFC 7617 section 2), split at the first colon.
fn basic_credentials(header: &str) -> Option<(String, String)> {
    let (scheme, credentials) = header.split_once(' ')?;
    let credentials = STANDARD.decode(credentials).ok()?;
    let (id, secret) = std::str::from_utf8(&credentials).ok()?.split_once(':')?;
    scheme
        .eq_ignore_ascii_case("basic")
        .then(|| (id.to_owned(), secret.to_owned()))
}

/// Decodes both parts: they are "encoded using the 'application/x-www-form-urlencoded' encoding algorithm" (RFC 6749
/// section 2.3.1).
fn form_decoded((id, secret): &(String, String)) -> Option<(String, String)> {
    let text = |encoded: &str| {
        // More than one pair means an unencoded '&'.
        let pairs: Vec<(String, String)> =
            serde_urlencoded::from_str(&format!("v={encoded}")).ok()?;
        match <[_; 1]>::try_from(pairs).ok()? {
            [(_, value)] => Some(value),
        }
    };
    Some((text(id)?, text(secret)?))
}

/// "If the client attempted to authenticate via the Authorization request header field, the
/// authorization server MUST respond with [...] the WWW-Authenticate response header field".
fn challenged(description: &str) -> Box<Reply> {
    let reply = wire::refusal("invalid_client", description);
    Box::new(wire::with(reply, WWW_AUTHENTICATE, "Basic realm=\"twin\""))
}

fn refused(error: &str, description: &str) -> Box<Reply> {
    Box::new(wire::refusal(error, description))
}
