//! The request of a call: its URL, signatures and credentials. No code here is generic, so that it is compiled once and
//! not once per endpoint.

use std::borrow::Cow;
use std::sync::Arc;

use crate::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE};
use crate::http::{HeaderMap, HeaderValue, Method, Request, Response};
use bytes::Bytes;

use super::sent::Sent;
use crate::address::RequestAddressPolicy;
use crate::client_auth::{self, ClientJwtOutcome, Remote, RequestFacts};
use crate::client_config::ClientConfig;
use crate::crypto::SigningKey;
use crate::dpop::{self, ServerRole};
use crate::endpoint::{Auth, Body, EndpointRequest, ProofOfPossession, Target};
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::exchange::SigningJob;
use crate::form::{self, Form};
use crate::json;
use crate::moment::{Moment, UnixTime};
use crate::secret::{self, Secret};
use crate::token::{self, TokenType, Tokens};
use crate::url::Url;

const JSON: HeaderValue = HeaderValue::from_static("application/json");

/// A checked request that is not signed yet.
#[derive(Debug)]
pub(super) struct Unsent {
    method: Method,
    url: Url,
    accept: &'static str,
    body: Body,
    auth: Auth,
    proves_key: bool,
    client_jwt: Option<Secret<String>>,
    proof: Option<Secret<String>>,
    /// The `iat` of the DPoP proof.
    proved_at: UnixTime,
}

/// A signature that is still missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MissingSignature {
    /// The JWT by which the client authenticates.
    ClientJwt,
    /// The DPoP proof.
    Proof,
}

/// The result of [`Unsent::sign`].
pub(super) enum SigningStep {
    /// Nothing: the signature was added.
    Complete,
    /// The host has to sign this.
    Sign(SigningJob, SigningKey),
    /// The host has to send this request to another server first.
    Request(Box<Request<Bytes>>, Remote),
}

impl Unsent {
    /// `client_jwt` is the JWT that authenticates the client, if it is available already.
    ///
    /// # Errors
    /// The reason why the request must not be sent.
    pub(super) fn new(
        config: &ClientConfig,
        request: EndpointRequest,
        client_jwt: Option<Secret<String>>,
    ) -> Result<Self, Error> {
        let EndpointRequest {
            method,
            target,
            accept,
            body,
            auth,
            proof,
        } = request;
        if matches!(auth, Auth::Client { .. } | Auth::ConfidentialClient { .. }) {
            config.client_id.check()?;
        }
        if !matches!(auth, Auth::None) {
            config.check_profile()?;
        }
        let url = target_url(config, target)?;
        url.require(config.server.transport())?;
        let (mut body, proves_key) = match &auth {
            Auth::ConfidentialClient { .. } if !config.auth.is_confidential() => {
                return Err(Misuse::SecretMissing.into());
            }
            Auth::Token(tokens) => (body, needs_proof(config, tokens)?),
            Auth::None | Auth::Client { .. } | Auth::ConfidentialClient { .. } => (
                body,
                config.dpop.is_some() && proof == ProofOfPossession::Dpop,
            ),
        };
        if let Some(key) = config.dpop.as_ref().filter(|_| proves_key) {
            let accepted = "dpop_signing_alg_values_supported";
            key.check_algorithm(config.server.named_list(accepted).as_deref())?;
        }
        if let Body::Form(form) | Body::Query(form) | Body::FormAsJson(form) = &mut body {
            form.check()?;
        }
        Ok(Self {
            method,
            url,
            accept,
            body,
            auth,
            proves_key,
            client_jwt,
            proof: None,
            proved_at: UnixTime::from_secs(0),
        })
    }

    /// The next missing signature.
    pub(super) fn next_signature(&self, config: &ClientConfig) -> Option<MissingSignature> {
        let is_client = matches!(
            self.auth,
            Auth::Client { .. } | Auth::ConfidentialClient { .. }
        );
        if is_client && config.auth.jwt().is_some() && self.client_jwt.is_none() {
            Some(MissingSignature::ClientJwt)
        } else if self.proves_key && self.proof.is_none() {
            Some(MissingSignature::Proof)
        } else {
            None
        }
    }

    /// Adds this signature, or returns what the host has to do for it.
    pub(super) fn sign(
        &mut self,
        config: &ClientConfig,
        at: &Moment,
        missing: MissingSignature,
    ) -> Result<SigningStep, Error> {
        let (key, mut input) = match missing {
            MissingSignature::ClientJwt => {
                let jwt = config.auth.jwt().ok_or(Misuse::KeyMissing)?;
                match jwt.make(&assertion_facts(config, &self.url, at))? {
                    ClientJwtOutcome::Unsigned(key, input) => (key, input),
                    ClientJwtOutcome::Ready(jwt) => {
                        self.set_signature(missing, jwt);
                        return Ok(SigningStep::Complete);
                    }
                    ClientJwtOutcome::Remote(exchange, remote) => {
                        return Ok(SigningStep::Request(exchange, remote));
                    }
                }
            }
            MissingSignature::Proof => {
                let (role, shared) = (self.server_role(), &config.shared);
                let nonce = shared.nonces.newest_nonce(role, &self.url);
                self.proved_at = shared.clocks.server_time(role, &self.url, at.now());
                let proof = self.proof_input(config, at, nonce)?;
                let (key, input) = proof.ok_or(Misuse::KeyMissing)?;
                (Cow::Borrowed(key), input)
            }
        };
        if key.sign_in_place(&mut input)? {
            self.set_signature(missing, Secret::new(input));
            Ok(SigningStep::Complete)
        } else {
            Ok(SigningStep::Sign(key.job(input), key.into_owned()))
        }
    }

    /// Reads the JWT from the response of the other server.
    pub(super) fn receive_client_jwt(
        &mut self,
        config: &ClientConfig,
        at: &Moment,
        reply: &Response<Bytes>,
    ) -> Result<(), Error> {
        let jwt = config.auth.jwt().ok_or(Misuse::KeyMissing)?;
        let jwt = jwt.received(&assertion_facts(config, &self.url, at), reply)?;
        self.set_signature(MissingSignature::ClientJwt, jwt);
        Ok(())
    }

    /// Adds the signature that the host made.
    pub(super) fn with_signature(
        mut self,
        missing: MissingSignature,
        key: &SigningKey,
        job: &SigningJob,
        signature: &Bytes,
    ) -> Result<Self, Error> {
        let input = std::str::from_utf8(&job.signing_input).map_err(|_| Misuse::OutOfOrder)?;
        let jws = key.finish(input, signature)?;
        self.set_signature(missing, jws);
        Ok(self)
    }

    fn set_signature(&mut self, missing: MissingSignature, jws: Secret<String>) {
        match missing {
            MissingSignature::ClientJwt => self.client_jwt = Some(jws),
            MissingSignature::Proof => self.proof = Some(jws),
        }
    }

    #[cfg(feature = "sha2")]
    fn proof_input<'a>(
        &self,
        config: &'a ClientConfig,
        at: &Moment,
        nonce: Option<String>,
    ) -> Result<Option<(&'a SigningKey, String)>, Error> {
        let proof = dpop::Proof {
            method: self.method.as_str(),
            url: &self.url,
            token: match &self.auth {
                Auth::Token(tokens) => Some(&tokens.access_token),
                _ => None,
            },
            nonce,
            issued_at: self.proved_at,
        };
        let input = |key: &'a dpop::DpopKey| {
            let input = key.signing_input(&proof, at)?;
            Ok((key.signing_key(), input))
        };
        config.dpop.as_ref().map(input).transpose()
    }

    /// Without the hash there is no [`crate::dpop::DpopKey`].
    #[cfg(not(feature = "sha2"))]
    fn proof_input<'a>(
        &self,
        _: &'a ClientConfig,
        _: &Moment,
        _: Option<String>,
    ) -> Result<Option<(&'a SigningKey, String)>, Error> {
        Ok(None)
    }

    const fn server_role(&self) -> ServerRole {
        match self.auth {
            Auth::Token(_) => ServerRole::ResourceServer,
            _ => ServerRole::AuthorizationServer,
        }
    }

    /// The request with its credentials, and the values that are needed to process its reply.
    pub(super) fn into_request(
        mut self,
        config: &ClientConfig,
    ) -> Result<(Request<Bytes>, Sent), Error> {
        let role = self.server_role();
        let mut headers = config.headers.clone();
        if self.accept != "application/json" {
            headers.insert(ACCEPT, HeaderValue::from_static(self.accept));
        }
        self.authenticate(config, &mut headers)?;
        if let Some(proof) = self.proof.take() {
            let proof = client_auth::header_value(proof.expose().clone())?;
            headers.insert(dpop::PROOF_FIELD, proof);
        }
        let mut in_query = false;
        let body = match self.body {
            Body::None => {
                headers.remove(CONTENT_TYPE);
                Bytes::new()
            }
            Body::Form(form) => {
                form.check()?;
                form.into_body()
            }
            Body::Query(form) => {
                headers.remove(CONTENT_TYPE);
                form.check()?;
                in_query = true;
                form.into_body()
            }
            Body::FormAsJson(form) => {
                headers.insert(CONTENT_TYPE, JSON);
                form.check()?;
                json_body(&form)?
            }
            Body::Json(text) => {
                headers.insert(CONTENT_TYPE, JSON);
                secret::zeroizing_bytes(text.expose().clone())
            }
        };
        let (request_body, uri) = if in_query {
            (Bytes::new(), with_query(&self.url, &body)?.uri()?)
        } else {
            (body.clone(), self.url.uri()?)
        };
        let sent = Sent {
            body,
            authorization: headers.get(AUTHORIZATION).cloned(),
            client_jwt: self.client_jwt,
            role,
            proved_at: self.proves_key.then_some(self.proved_at),
            method: self.method.clone(),
            url: self.url,
        };
        let mut request = Request::new(request_body);
        *request.method_mut() = self.method;
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        if config.server.address_policy_for(&sent.url) == RequestAddressPolicy::PublicOnly {
            request
                .extensions_mut()
                .insert(RequestAddressPolicy::PublicOnly);
        }
        Ok((request, sent))
    }

    fn authenticate(
        &mut self,
        config: &ClientConfig,
        headers: &mut HeaderMap,
    ) -> Result<(), Error> {
        let purpose = match &self.auth {
            Auth::None => {
                headers.remove(AUTHORIZATION);
                return Ok(());
            }
            Auth::Client { purpose } | Auth::ConfidentialClient { purpose } => *purpose,
            Auth::Token(tokens) => {
                let value = token::authorization_header(&tokens.token_type, &tokens.access_token)?;
                headers.insert(AUTHORIZATION, value);
                return Ok(());
            }
        };
        if config.basic(purpose).is_some() {
            return Ok(());
        }
        headers.remove(AUTHORIZATION);
        let form = match &mut self.body {
            Body::Form(form) | Body::Query(form) | Body::FormAsJson(form) => form,
            Body::None | Body::Json(_) => return Err(Misuse::NeedsForm.into()),
        };
        let signed = self.client_jwt.as_ref();
        config.write_credentials(form, signed.map(|jwt| jwt.expose().as_str()));
        Ok(())
    }
}

/// The URL with these parameters.
fn with_query(url: &Url, form: &[u8]) -> Result<Url, Error> {
    let form = std::str::from_utf8(form).map_err(|_| Misuse::UrlSyntax)?;
    let sign = match url.query() {
        Some(_) => '&',
        None => '?',
    };
    Url::parse(&format!("{}{sign}{form}", url.as_str()))
}

/// The URL to which a request is sent.
fn target_url(config: &ClientConfig, target: Target) -> Result<Url, Error> {
    match target {
        Target::Url(url) => Ok(url),
        Target::Endpoint(kind) if config.shows_certificate() => {
            config.server.mtls_endpoint(kind).cloned()
        }
        Target::Endpoint(kind) => config.server.endpoint(kind).cloned(),
    }
}

/// Whether this token requires a proof; an error if it must not be sent at all.
fn needs_proof(config: &ClientConfig, tokens: &Arc<Tokens>) -> Result<bool, Error> {
    if !tokens.has_no_issuer() && tokens.binding != config.binding {
        return Err(ValidationFailure::StoredIssuer.into());
    }
    match &tokens.token_type {
        TokenType::Bearer => Ok(false),
        TokenType::Dpop if config.dpop.is_some() => Ok(true),
        TokenType::Dpop => Err(Misuse::KeyMissing.into()),
        TokenType::Other(name) => Err(Error::from(ProtocolViolation::TokenTypeUnknown).about(name)),
    }
}

pub(super) const fn assertion_facts<'a>(
    config: &'a ClientConfig,
    url: &'a Url,
    at: &'a Moment,
) -> RequestFacts<'a> {
    RequestFacts {
        server: &config.server,
        client_id: &config.client_id,
        url,
        at,
    }
}

/// A form as a JSON object, in which no name can occur twice.
fn json_body(form: &Form) -> Result<Bytes, Error> {
    let mut object = json::Map::new();
    // Cannot fail: the text was encoded from UTF-8.
    for (name, value) in form::parse(form.as_str()).unwrap_or_default() {
        if object
            .insert(name.clone().into_owned(), value.into_owned().into())
            .is_some()
        {
            return Err(Error::from(Misuse::ParameterTwice).about(&name));
        }
    }
    Ok(secret::zeroizing_bytes(json::map_text(&object)))
}
