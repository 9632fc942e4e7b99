//! Verification of a request to an API: which token it carries and by which scheme, and its DPoP proof, whose rules are
//! in `dpop/proof_verification.rs`. The characters of a bearer token (`b64token`, RFC 6750 section 2.1) are checked where
//! one is sent, in `flow/resource.rs`, as is the rule that a client sends a token by only one method (section 2). A
//! request with several `Authorization` fields is refused here (section 3.1).
//!
//! RFC 9449 <https://www.rfc-editor.org/rfc/rfc9449#section-7>

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{AccessTokenVerifier, ApiRefusal, Scheme};
use crate::dpop::{DPOP, DpopNonceKey, ProvenRequest, UnverifiedProof, VerifiedDpopProof};
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Input, Step, host_step};
use crate::http::header::AUTHORIZATION;
use crate::http::{HeaderMap, HeaderName};
use crate::jose::Validity;
use crate::moment::Moment;
use crate::secret::Secret;
use crate::token::access_token::{ProvenKeys, VerifiedAccessToken};
use crate::token::logout_token::ReplayProtection;

/// The parts of a request to an API that say which token it carries, and prove possession of the token's key.
#[derive(Clone)]
pub struct ReceivedRequest {
    method: String,
    url: String,
    authorization: Vec<Secret<String>>,
    dpop: Vec<String>,
    x5t_s256: Option<String>,
}

impl ReceivedRequest {
    /// A request with this method to this URL: the absolute one to which the client sent it. Behind a proxy it is not the one
    /// that the application receives. Take scheme and host from your configuration, because the client writes the
    /// `Host` header. Query and fragment are ignored.
    pub fn new(method: impl Into<String>, url: impl Into<String>) -> Self {
        Self {
            method: method.into(),
            url: url.into(),
            authorization: Vec::new(),
            dpop: Vec::new(),
            x5t_s256: None,
        }
    }

    /// Adds the `Authorization` and `DPoP` fields of these headers.
    #[must_use]
    pub fn with_headers(self, headers: &HeaderMap) -> Self {
        let texts = |name: HeaderName| {
            let values = headers.get_all(name).iter();
            let texts = values.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
            texts.collect::<Vec<_>>()
        };
        let request = texts(AUTHORIZATION)
            .into_iter()
            .fold(self, Self::with_authorization);
        let proofs = texts(HeaderName::from_static(DPOP));
        proofs.into_iter().fold(request, Self::with_dpop)
    }

    /// Adds the value of one `Authorization` field.
    #[must_use]
    pub fn with_authorization(mut self, field: impl Into<String>) -> Self {
        self.authorization.push(Secret::new(field.into()));
        self
    }

    /// Adds the value of one `DPoP` field.
    #[must_use]
    pub fn with_dpop(mut self, field: impl Into<String>) -> Self {
        self.dpop.push(field.into());
        self
    }

    /// Adds the thumbprint of the client's certificate of this TLS connection (`x5t#S256`, RFC 8705 section 3.1).
    #[must_use]
    pub fn with_certificate(mut self, x5t_s256: impl Into<String>) -> Self {
        self.x5t_s256 = Some(x5t_s256.into());
        self
    }

    /// The token, and the scheme by which it was presented.
    ///
    /// # Errors
    /// `access_token.missing`, `access_token.duplicate` for several fields (RFC 6750 section 3.1),
    /// `access_token.malformed`.
    fn token(&self) -> Result<(Scheme, Secret<String>), Error> {
        let field = match self.authorization.as_slice() {
            [] => return Err(ValidationFailure::AccessTokenMissing.into()),
            [field] => field.expose().trim_matches([' ', '\t']),
            _ => return Err(ValidationFailure::AccessTokenDuplicate.into()),
        };
        let (scheme, token) = field.split_once(' ').unwrap_or((field, ""));
        let schemes = [Scheme::Bearer, Scheme::Dpop];
        let scheme = schemes
            .into_iter()
            .find(|candidate| candidate.as_str().eq_ignore_ascii_case(scheme));
        let scheme = scheme.ok_or_else(|| Error::from(ValidationFailure::AccessTokenMissing))?;
        match token.trim_start_matches(' ') {
            "" => Err(ProtocolViolation::AccessTokenShape.into()),
            token => Ok((scheme, Secret::from(token))),
        }
    }
}

impl fmt::Debug for ReceivedRequest {
    /// Shows neither token nor proofs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReceivedRequest")
            .field("method", &self.method)
            .finish_non_exhaustive()
    }
}

impl AccessTokenVerifier {
    /// Sets how old a DPoP proof may be, in addition to the [clock skew](Self::with_clock_skew): a minute by default,
    /// five at most.
    #[must_use]
    pub fn with_dpop_max_age(mut self, age: Duration) -> Self {
        Arc::make_mut(&mut self.proofs).set_max_age(age);
        self
    }

    /// Requires in each DPoP proof a nonce that this API has issued, which limits how long a proof that was made in
    /// advance can be used (RFC 9449 section 9). A client gets its first one with the refusal `use_dpop_nonce`, and
    /// later ones with responses: send [`VerifiedDpopProof::next_nonce`] with each. A nonce is accepted for five minutes.
    #[must_use]
    pub fn with_dpop_nonces(mut self, key: DpopNonceKey) -> Self {
        Arc::make_mut(&mut self.proofs).nonce_key = Some(key);
        self
    }

    /// Sets where the DPoP proofs received are remembered, so that each is accepted once: by default in this process, by
    /// all clones of this verifier.
    #[must_use]
    pub fn with_dpop_replay(mut self, replay: ReplayProtection) -> Self {
        Arc::make_mut(&mut self.proofs).replay = replay;
        self
    }

    /// Verifies the token of a request, presented with the scheme `Bearer` or `DPoP`, and for `DPoP` also the proof of
    /// the request (RFC 9449 section 7). A token that is bound to a key is accepted only by the scheme `DPoP` with a
    /// proof of this key; a token that is not bound, only by `Bearer`.
    ///
    /// # Errors
    /// `dpop_proof.*` for a proof that is refused, `access_token.missing` for a request without a token, and those of
    /// [`Self::verify`]. [`Error::refusal`] is the response to each. `url.syntax` if the URL is not absolute.
    pub fn verify_request(
        &self,
        request: ReceivedRequest,
    ) -> impl Exchange<Output = VerifiedAccessToken> + Send + use<> {
        RequestVerification {
            verifier: self.clone(),
            scheme: Scheme::Bearer,
            state: State::Fresh(request),
        }
    }
}

/// The verification of one request: first the proof, which needs no other server, then the token.
struct RequestVerification {
    verifier: AccessTokenVerifier,
    scheme: Scheme,
    state: State,
}

enum State {
    Fresh(ReceivedRequest),
    /// With the token, and the thumbprint of the client's certificate.
    Proof(Box<UnverifiedProof>, Secret<String>, Option<String>),
    Token(Boxed<VerifiedAccessToken>, Option<VerifiedDpopProof>),
    Over,
}

impl RequestVerification {
    fn begin(
        &mut self,
        at: &Moment,
        request: ReceivedRequest,
    ) -> Result<Step<VerifiedAccessToken>, Error> {
        let token = request.token();
        let (scheme, token) = token.map_err(|error| error.at_endpoint("access_token"))?;
        self.scheme = scheme;
        if scheme == Scheme::Bearer {
            return self.verify_token(at, &token, None, request.x5t_s256);
        }
        let target = ProvenRequest {
            method: &request.method,
            url: &request.url,
            token: &token,
        };
        let verifier = &self.verifier;
        let validity = Validity {
            now: at.now(),
            clock_skew: verifier.checks.clock_skew,
        };
        let algs = verifier.proof_algs();
        let proof = verifier
            .proofs
            .check(&request.dpop, &target, &algs, &validity)
            .map_err(|error| error.at_endpoint("dpop_proof"))?;
        let job = proof.job();
        self.state = State::Proof(Box::new(proof), token, request.x5t_s256);
        Ok(Step::Verify(job))
    }

    fn verify_token(
        &mut self,
        at: &Moment,
        token: &Secret<String>,
        proof: Option<VerifiedDpopProof>,
        x5t_s256: Option<String>,
    ) -> Result<Step<VerifiedAccessToken>, Error> {
        let proven = ProvenKeys {
            jkt: proof.as_ref().map(|proof| proof.jkt().to_owned()),
            x5t_s256,
        };
        let exchange = self.verifier.verification(token.expose(), proven).boxed();
        self.resume_token(at, exchange, proof, Input::Begin)
    }

    fn resume_token(
        &mut self,
        at: &Moment,
        mut exchange: Boxed<VerifiedAccessToken>,
        mut proof: Option<VerifiedDpopProof>,
        input: Input,
    ) -> Result<Step<VerifiedAccessToken>, Error> {
        let mut token = match exchange.resume(at, input)? {
            Step::Done(token) => token,
            step => {
                self.state = State::Token(exchange, proof);
                return host_step(step);
            }
        };
        if let Some(proof) = &mut proof {
            // Last, so that only the holder of a valid token can fill the memory.
            let AccessTokenVerifier { proofs, config, .. } = &self.verifier;
            proofs
                .remember(proof, &config.shared.proofs, at.now())
                .map_err(|error| error.at_endpoint("dpop_proof"))?;
            if proofs.replay == ReplayProtection::Caller {
                let replayed = ValidationFailure::ProofReplayed.code();
                proof.replay_refusal = Some(self.refusal(at, replayed));
            }
        }
        token.proof = proof;
        Ok(Step::Done(token))
    }

    /// The error with the response to the request.
    fn refused(&self, at: &Moment, error: Error) -> Error {
        let refusal = match error.refusal() {
            Some(refusal) => self.with_nonce(at, refusal.clone()),
            None => self.refusal(at, error.code()),
        };
        error.with_refusal(refusal)
    }

    /// The response to the request if it fails with the error of this code.
    fn refusal(&self, at: &Moment, code: &str) -> ApiRefusal {
        let algs = self.verifier.proof_algs();
        let refusal = self.verifier.refuse_request(self.scheme, code, &algs);
        self.with_nonce(at, refusal)
    }

    fn with_nonce(&self, at: &Moment, mut refusal: ApiRefusal) -> ApiRefusal {
        if self.scheme == Scheme::Dpop && refusal.challenge.is_some() {
            let key = self.verifier.proofs.nonce_key.as_ref();
            refusal.dpop_nonce = key.map(|key| key.nonce(at.now()));
        }
        refusal
    }
}

impl Exchange for RequestVerification {
    type Output = VerifiedAccessToken;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<VerifiedAccessToken>, Error> {
        let step = match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh(request), Input::Begin) => self.begin(at, request),
            (State::Proof(proof, token, x5t_s256), Input::Verified(true)) => {
                self.verify_token(at, &token, Some(proof.verified()), x5t_s256)
            }
            (State::Proof(..), Input::Verified(false)) => {
                Err(Error::from(ValidationFailure::ProofSignature).at_endpoint("dpop_proof"))
            }
            (State::Proof(..), Input::Lost(cause)) => Err(Error::lost(cause)),
            (State::Token(exchange, proof), input) => self.resume_token(at, exchange, proof, input),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        };
        step.map_err(|error| self.refused(at, error))
    }
}
