//! The verdict on a reply of a protected resource: what it requires of the client (RFC 6750 section 3.1, RFC 9470
//! section 3, RFC 9449 section 9). Its challenges are parsed in `challenge.rs`, and those for a step-up read in
//! `step_up_challenge.rs`; that a request is sent again only once, is in `request/retry.rs`.

use std::time::Duration;

use crate::challenge::{self, Challenge};
use crate::dpop;
use crate::error::{Denial, Error, ServerError};
use crate::http::header::WWW_AUTHENTICATE;
use crate::http::{HeaderMap, HeaderValue, StatusCode};
use crate::scope::Scope;
use crate::token::step_up_requirement::StepUp;

use super::step_up_challenge::{read_step_up, scope};

/// The consequence of a resource server's reply.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Verdict {
    /// Not about the token: return the reply to the caller.
    Pass,
    /// The token is invalid or has expired: get a new one and repeat the request once, if its body can be repeated.
    Renew,
    /// The scope of the token is insufficient: the user must be asked for this scope too. A refresh would
    /// not help.
    WidenScope(Option<Scope>),
    /// The user must log in again, in this way (RFC 9470). A refresh would not help.
    StepUp(StepUp),
    /// The proof of possession needs the nonce in the reply (RFC 9449 section 9): make another
    /// proof and repeat the request once, if its body can be repeated.
    UseDpopNonce,
    /// The server refuses for a reason that no token can change.
    Refused,
}

impl Verdict {
    /// The step-up that the reply requires, if one would help: another login, or a wider scope.
    pub fn step_up(self) -> Option<StepUp> {
        match self {
            Self::StepUp(step_up) => Some(step_up),
            Self::WidenScope(Some(scope)) => Some(StepUp {
                scope: Some(scope),
                ..StepUp::default()
            }),
            _ => None,
        }
    }
}

/// Whether a reply of this status can be about the token: the verdict on any other is [`Verdict::Pass`], regardless of
/// its headers.
pub const fn may_be_about_the_token(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::BAD_REQUEST
    )
}

/// What a reply to a request with a token requires (RFC 6750 section 3.1, RFC 9470 section 3).
pub fn verdict(status: StatusCode, headers: &HeaderMap) -> Verdict {
    let fields = headers.get_all(WWW_AUTHENTICATE).iter();
    verdict_of_fields(status, fields.map(HeaderValue::as_bytes))
}

/// Like [`verdict`], for hosts whose HTTP client accepts more than [`HeaderValue`] can hold: `fields` are the values of
/// `WWW-Authenticate`. A control character invalidates only its own challenge.
pub fn verdict_of_fields<'a>(
    status: StatusCode,
    fields: impl IntoIterator<Item = &'a [u8]>,
) -> Verdict {
    verdict_for_schemes(status, fields, &["bearer"])
}

/// Like [`verdict`], for a request whose token was bound to a key: its challenge has the scheme `DPoP`, and a server
/// that accepts both kinds of token may respond with a `Bearer` challenge (RFC 9449 sections 7.1 and 7.2).
pub fn verdict_with_dpop(status: StatusCode, headers: &HeaderMap) -> Verdict {
    let fields = headers.get_all(WWW_AUTHENTICATE).iter();
    let fields = fields.map(HeaderValue::as_bytes);
    verdict_for_schemes(status, fields, &[dpop::DPOP, "bearer"])
}

/// The proof algorithms that an API accepts, from a reply that refused a proof (`algs`, RFC 9449 section
/// 7.1).
pub(super) fn refused_algs(status: StatusCode, headers: &HeaderMap) -> Option<Vec<String>> {
    if status != StatusCode::UNAUTHORIZED {
        return None;
    }
    let fields = headers.get_all(WWW_AUTHENTICATE).iter();
    let (challenges, _) = challenge::valid_challenges_in(fields.map(HeaderValue::as_bytes));
    let refuses_proof = |challenge: &&Challenge| {
        let error = challenge.param("error");
        challenge.scheme == dpop::DPOP
            && matches!(error, Some(dpop::USE_NONCE | dpop::INVALID_PROOF))
    };
    let algs = challenges.iter().find(refuses_proof)?.param("algs")?;
    Some(algs.split_whitespace().map(str::to_owned).collect())
}

/// Whether a reply refuses the proof for any reason.
pub(super) fn refuses_proof(status: StatusCode, headers: &HeaderMap) -> bool {
    let fields = headers.get_all(WWW_AUTHENTICATE).iter();
    let (challenges, _) = challenge::valid_challenges_in(fields.map(HeaderValue::as_bytes));
    let is_refused = |challenge: &Challenge| {
        challenge.scheme == dpop::DPOP && challenge.param("error") == Some(dpop::INVALID_PROOF)
    };
    status == StatusCode::UNAUTHORIZED && challenges.iter().any(is_refused)
}

/// What an API requires of the user, for any kind of token ("any OAuth scheme", RFC 9470 section 3): `fields` are the
/// values of `WWW-Authenticate` of its reply.
pub fn step_up<'a>(
    status: StatusCode,
    fields: impl IntoIterator<Item = &'a [u8]>,
) -> Option<StepUp> {
    verdict_for_schemes(status, fields, &[dpop::DPOP, "bearer"]).step_up()
}

/// The verdict of the challenges of these schemes; if two have an error, that of the first scheme counts.
fn verdict_for_schemes<'a>(
    status: StatusCode,
    fields: impl IntoIterator<Item = &'a [u8]>,
    schemes: &[&'a str],
) -> Verdict {
    if !may_be_about_the_token(status) {
        return Verdict::Pass;
    }
    let (challenges, all_parsed) = challenge::valid_challenges_in(fields);
    let with_scheme = |scheme: &'a str| {
        challenges
            .iter()
            .filter(move |challenge| challenge.scheme == scheme)
    };
    let token_challenges = || schemes.iter().copied().flat_map(with_scheme);
    let with_error = token_challenges().find(|challenge| challenge.param("error").is_some());
    match with_error.and_then(|challenge| Some((challenge, challenge.param("error")?))) {
        Some((_, "invalid_token")) => Verdict::Renew,
        Some((challenge, dpop::USE_NONCE)) if challenge.scheme == dpop::DPOP => {
            Verdict::UseDpopNonce
        }
        Some((challenge, "insufficient_scope")) => Verdict::WidenScope(scope(challenge)),
        Some((challenge, code @ ("insufficient_user_authentication" | "insufficient_claims"))) => {
            let step_up = read_step_up(challenge, code);
            // The challenge names no requirement: another login would end the same way.
            if step_up.is_empty() {
                Verdict::Refused
            } else {
                Verdict::StepUp(step_up)
            }
        }
        Some(_) => Verdict::Refused,
        // A 401 without an error code: UserVoice sends no more than that, and RFC 6750 section 3.1 advises against a
        // code if the request carried no token.
        None if status == StatusCode::UNAUTHORIZED => {
            // A challenge that cannot be read may have been a Bearer challenge.
            let is_token_challenge =
                challenges.is_empty() || !all_parsed || token_challenges().next().is_some();
            if is_token_challenge {
                Verdict::Renew
            } else {
                Verdict::Refused
            }
        }
        None => Verdict::Pass,
    }
}

/// The error of a reply, if its status is 400 or above: `denied.http_status`, `denied.busy` if the status asks to retry
/// later, or the code that a Bearer challenge names (RFC 6750 section 3.1). `pause` is what the reply asks for before
/// the next request.
pub fn refusal(status: StatusCode, headers: &HeaderMap, pause: Option<Duration>) -> Option<Error> {
    if !(status.is_client_error() || status.is_server_error()) {
        return None;
    }
    let server = ServerError::from_status(status.as_u16()).retry_after(pause);
    let fields = headers.get_all(WWW_AUTHENTICATE).iter();
    let (challenges, _) = challenge::valid_challenges_in(fields.map(HeaderValue::as_bytes));
    // The server's own text is not kept, because it may repeat the token.
    let code = challenges
        .iter()
        .filter(|challenge| ["bearer", dpop::DPOP].contains(&challenge.scheme.as_str()))
        .find_map(|challenge| challenge.param("error"))
        .filter(|code| Denial::ALL.iter().any(|denial| denial.text() == *code));
    let server = match code {
        Some(code) => server.with_code(code),
        None => server,
    };
    Some(Error::from(server).at_endpoint("resource"))
}
