//! Authorization requests that satisfy a step-up challenge of an API. The challenge is read in
//! `flow/resource/challenge_verdict.rs`; the refused request is made again in
//! `flow/resource/request/retry_after_step_up.rs`.

#[cfg(all(test, feature = "sha2"))]
mod tests;

use std::sync::Arc;

use super::AuthorizationRequest;
use crate::error::{Error, Misuse};
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::token::Tokens;
use crate::token::step_up_requirement::{MAX_IN_A_ROW, StepUp, StepUpLogin};

/// The requirements of an API, and the scope and login of the insufficient tokens.
#[derive(Debug, Clone)]
pub(crate) struct StepUpRequirements {
    pub(super) required: StepUp,
    granted: Scope,
    step_up_login: Option<Arc<StepUpLogin>>,
}

impl StepUpRequirements {
    /// The number of consecutive step-up logins before this one.
    pub(super) fn consecutive_logins(&self, now: UnixTime) -> u64 {
        let step_up_login = self.step_up_login.as_ref();
        step_up_login.map_or(0, |step_up_login| step_up_login.consecutive_step_ups(now))
    }
}

impl AuthorizationRequest {
    /// Requests the step-up that an API requires beyond these tokens (RFC 9470 section 4): its `acr_values`, `max_age`
    /// and `claims` instead of those of this request, and its scope in addition to what was granted.
    ///
    /// The authorization is refused with `step_up.empty` if the API requires nothing that could be requested, and with
    /// `step_up.repeated` if these tokens come from a login that was made for the same step-up: the user would be asked
    /// again and again. The same would happen to the user of an API that keeps requiring something else:
    /// `step_up.limit` after five such logins, each required within a minute of the one before.
    #[must_use]
    pub fn step_up(mut self, required: StepUp, tokens: &Tokens) -> Self {
        self.step_up = Some(Box::new(StepUpRequirements {
            required,
            granted: tokens.scope.clone(),
            step_up_login: tokens.step_up_login.clone(),
        }));
        self
    }
}

/// Adds the requirements of the API to the request.
///
/// # Errors
/// `step_up.empty`, `step_up.repeated`, `step_up.limit`.
pub(super) fn apply(request: &mut AuthorizationRequest, now: UnixTime) -> Result<(), Error> {
    let Some(requirements) = request.step_up.clone() else {
        return Ok(());
    };
    if requirements.consecutive_logins(now) >= MAX_IN_A_ROW {
        return Err(Misuse::StepUpLimit.into());
    }
    let StepUpRequirements {
        required,
        granted,
        step_up_login,
    } = *requirements;
    if required.is_empty() {
        return Err(Misuse::StepUpEmpty.into());
    }
    if step_up_login.is_some_and(|step_up_login| step_up_login.repeats(&required, now)) {
        return Err(Misuse::StepUpRepeated.into());
    }
    let scope = request.token_request.scope.union(&granted);
    request.token_request.scope = match &required.scope {
        Some(required_scope) => scope.union(required_scope),
        None => scope,
    };
    let extra = &mut request.extra;
    extra.retain(|(name, _)| !["acr_values", "max_age", "claims"].contains(&name.as_str()));
    let mut set_parameter = |name: &str, value: String| extra.push((name.to_owned(), value));
    if !required.acr_values.is_empty() {
        set_parameter("acr_values", required.acr_values.join(" "));
    }
    if let Some(seconds) = required.max_age {
        set_parameter("max_age", seconds.to_string());
    }
    if let Some(claims) = required.claims {
        set_parameter("claims", claims);
    }
    Ok(())
}
