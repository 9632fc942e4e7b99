//! Decides what follows a reply: a renewal, a nonce, a pause, a redirect, or the end. What a challenge in it requires
//! is read in `flow/resource/challenge_verdict.rs`.

use crate::browser_build::IS_BROWSER_BUILD;
use crate::error::{Error, ProtocolViolation};
use crate::http::header::LOCATION;
use crate::http::{HeaderMap, Method, StatusCode};

use super::super::ended_token::{MAX_PEEKED_BYTES, TokenVerdict};
use super::super::{Redirect, Verdict, challenge_verdict};
use super::{Clock, MAX_HOPS, OnRateLimit, ResourceRequest, State, Step, TokenPresentation};
use crate::call::Retry;
use crate::url::Url;

impl ResourceRequest {
    /// Handles a response: at most one renewal, one DPoP nonce retry and 20 redirects. A body that
    /// can be sent only once is never sent again.
    pub(super) fn reply(
        &mut self,
        at: &Clock,
        status: StatusCode,
        headers: &HeaderMap,
    ) -> Result<Step, Error> {
        let has_nonce = self.update_from_reply(headers);
        let ticket = self.ticket.as_ref();
        if let Some(pause) = ticket.and_then(|ticket| ticket.note_reply(at, status, headers)) {
            return match self.on_rate_limit {
                OnRateLimit::Wait { longest } if self.may_repeat(status) => {
                    let owner = self.owner()?;
                    if self.waited.saturating_add(pause) > longest {
                        return Err(self.rate_limit_error(pause, Some(status)));
                    }
                    self.queue(at, owner, false)
                }
                _ => Err(self.rate_limit_error(pause, Some(status))),
            };
        }
        let can_repeat = self.bytes().is_some();
        let verdict = self.verdict(status, headers);
        if let (TokenPresentation::WithProof, Some(proof_maker)) =
            (self.presented, self.api.proof_maker())
        {
            // No other proof of this key would be accepted.
            proof_maker.check(challenge_verdict::refused_algs(status, headers).as_deref())?;
        }
        let wants_nonce = verdict == Verdict::UseDpopNonce;
        let may_retry = wants_nonce && has_nonce && self.nonce == Retry::Unused;
        if can_repeat && (may_retry || self.corrects_clock(at, status, headers)) {
            if may_retry {
                self.nonce = Retry::Used;
            }
            let owner = self.owner()?;
            return self.queue(at, owner, false);
        }
        if wants_nonce {
            return Ok(self.end_with(Step::Done));
        }
        if verdict == Verdict::Renew {
            // A second refusal has no further effect within this request.
            #[cfg(not(target_family = "wasm"))]
            if let (false, Some(metadata_challenge)) =
                (self.is_renewed, &self.api.metadata_challenge)
            {
                metadata_challenge.record(headers);
            }
            return self.renew_ended_token(at);
        }
        // A second renewal would not help, so the body is not read for one.
        if !self.is_renewed {
            match self.api.ended.by_head(status, headers) {
                TokenVerdict::Nothing => {}
                TokenVerdict::Ended => return self.renew_ended_token(at),
                TokenVerdict::PerhapsInTheBody => {
                    self.state = State::Peeking(status);
                    return Ok(Step::Peek(MAX_PEEKED_BYTES));
                }
            }
        }
        let redirect = self.redirect(status, headers);
        if !self.follows {
            // The host keeps the token on redirects, and must not send it to another owner's route.
            if let Some(url) = redirect
                && self.api.owner(&url)? != self.owner()?
            {
                return Err(Error::from(ProtocolViolation::ResourceRedirect).about(url.path()));
            }
            return Ok(self.end_with(Step::Done));
        }
        // 307 and 308 preserve the method and the body (RFC 9110 sections 15.4.8 and 15.4.9); with the others, a
        // request with an unsafe method may already have been carried out.
        let keeps_method = matches!(status.as_u16(), 307 | 308);
        let is_safe_method = self.method == Method::GET || self.method == Method::HEAD;
        match redirect.filter(|_| is_safe_method || keeps_method) {
            Some(url) if can_repeat && self.hops < MAX_HOPS => {
                self.hops += 1;
                self.url = Ok(url);
                let owner = self.owner()?;
                self.queue(at, owner, false)
            }
            _ => Ok(self.end_with(Step::Done)),
        }
    }

    /// Handles the beginning of a body of a reply that may report an expired token. The reply is neither a redirect nor
    /// a pause, so it is returned to the caller otherwise.
    pub(super) fn after_peek(
        &mut self,
        at: &Clock,
        status: StatusCode,
        body: &[u8],
    ) -> Result<Step, Error> {
        if self.api.ended.by_body(status, body) {
            self.renew_ended_token(at)
        } else {
            Ok(self.end_with(Step::Done))
        }
    }

    /// The token has expired: it is renewed once.
    fn renew_ended_token(&mut self, at: &Clock) -> Result<Step, Error> {
        match (self.is_renewed, self.bytes().is_some()) {
            // The renewed token was refused too. A second renewal would not help, so the token is kept.
            (true, _) => Ok(self.end_with(Step::Done)),
            (false, false) => Ok(self.end_with(Step::DoneRefused)),
            (false, true) => {
                self.is_renewed = true;
                let owner = self.owner()?;
                self.queue(at, owner, true)
            }
        }
    }

    pub(super) fn verdict(&self, status: StatusCode, headers: &HeaderMap) -> Verdict {
        match self.presented {
            TokenPresentation::Not | TokenPresentation::AsBearer => {
                challenge_verdict::verdict(status, headers)
            }
            TokenPresentation::WithProof => challenge_verdict::verdict_with_dpop(status, headers),
        }
    }

    /// Whether the proof was refused because of its time.
    fn corrects_clock(&mut self, at: &Clock, status: StatusCode, headers: &HeaderMap) -> bool {
        let (Some(proof_maker), Ok(url)) = (self.api.proof_maker(), &self.url) else {
            return false;
        };
        if (self.presented, self.clock) != (TokenPresentation::WithProof, Retry::Unused) {
            return false;
        }
        let is_refused = challenge_verdict::refuses_proof(status, headers);
        if is_refused && proof_maker.corrects_clock(&at.moment, url, headers, self.proved_at) {
            self.clock = Retry::Used;
        }
        self.clock == Retry::Used
    }

    /// Keeps the nonce of a reply with any status ("200 OK" in RFC 9449 section 8.2), whether or not the request had a
    /// proof, and returns whether there is one.
    fn update_from_reply(&self, headers: &HeaderMap) -> bool {
        match (self.api.proof_maker(), &self.url) {
            (Some(proof_maker), Ok(url)) => proof_maker.update_from_reply(url, headers),
            _ => false,
        }
    }

    /// Whether the request may be repeated. After a 429, nothing was done. A 503 may come after something was done: a
    /// non-idempotent request is then not repeated (RFC 9110 section 9.2.2).
    fn may_repeat(&self, status: StatusCode) -> bool {
        let is_idempotent = self.method.is_idempotent();
        self.bytes().is_some() && (status == StatusCode::TOO_MANY_REQUESTS || is_idempotent)
    }

    /// The target of a redirect, if it stays within the origin. Browsers hide it from a page.
    fn redirect(&self, status: StatusCode, headers: &HeaderMap) -> Option<Url> {
        let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        if IS_BROWSER_BUILD || !is_redirect {
            return None;
        }
        let mut locations = headers.get_all(LOCATION).iter();
        let (Some(location), None) = (locations.next(), locations.next()) else {
            return None;
        };
        let resource = &self.api.resource;
        match resource.redirect(self.url.as_ref().ok()?, location.to_str().ok()?) {
            Redirect::Follow(url) => Some(url),
            Redirect::Refuse => None,
        }
    }
}
