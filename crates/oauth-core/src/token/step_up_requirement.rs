//! [`StepUp`]: the authentication that an API requires beyond the current token, and the rule against repetitions. The
//! challenge is read in `flow/resource/step_up_challenge.rs`. An API checks `acr` and `auth_time` in `access_token.rs`.
//!
//! RFC 9470 <https://www.rfc-editor.org/rfc/rfc9470#section-3>, RFC 6750 section 3.1 (`insufficient_scope`)

use crate::json_form;
use crate::moment::UnixTime;
use crate::scope::Scope;

/// The requirement of an API: another authentication method, a more recent login, or a wider scope. A refresh cannot
/// meet it; a new authorization can, see [`AuthorizationRequest::step_up`](crate::AuthorizationRequest::step_up).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct StepUp {
    /// `acr_values`: how the user has to authenticate, best first.
    pub acr_values: Vec<String>,
    /// `max_age`: the user must have authenticated within this many seconds.
    pub max_age: Option<u64>,
    /// `scope`: the scope that the request requires.
    pub scope: Option<Scope>,
    /// The `claims` parameter of the next authorization (OpenID Connect Core section 5.5), as JSON: Microsoft's
    /// resource servers send it with `insufficient_claims`.
    pub claims: Option<String>,
}

impl StepUp {
    /// Whether nothing is required: another login of the same kind would change nothing.
    pub fn is_empty(&self) -> bool {
        self.acr_values.is_empty()
            && self.max_age.is_none()
            && self.claims.is_none()
            && self.scope.as_ref().is_none_or(Scope::is_empty)
    }
}

json_form! { StepUp { acr_values: default, max_age: skip, scope: skip, claims: skip } }

/// Whether `acr` is one of these values; true if there are none.
pub(crate) fn acr_suffices(acr: Option<&str>, required: &[String]) -> bool {
    required.is_empty() || acr.is_some_and(|acr| required.iter().any(|required| required == acr))
}

/// A step-up login: what the API had required, and when the user logged in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StepUpLogin {
    pub(crate) step_up: StepUp,
    pub(crate) at: UnixTime,
    /// The number of consecutive step-up logins, including this one. Records of earlier versions have no such member.
    pub(crate) in_a_row: u64,
}

json_form! { StepUpLogin { step_up, at, in_a_row: skip } }

/// A step-up within this many seconds of another counts as consecutive.
const MAX_SECONDS_BETWEEN: u64 = 60;
/// The largest number of consecutive step-ups, regardless of what they require.
pub(crate) const MAX_IN_A_ROW: u64 = 5;

impl StepUpLogin {
    /// The number of consecutive step-up logins before one that begins now.
    pub(crate) fn consecutive_step_ups(&self, now: UnixTime) -> u64 {
        if now.since(self.at).as_secs() <= MAX_SECONDS_BETWEEN {
            self.in_a_row
        } else {
            0
        }
    }

    /// Whether this login was already made for the same requirement, so that another would be pointless. Not if its
    /// `max_age` has passed since.
    pub(crate) fn repeats(&self, required: &StepUp, now: UnixTime) -> bool {
        let earlier = &self.step_up;
        let is_fresh = required.max_age.is_none_or(|age| {
            earlier
                .max_age
                .is_some_and(|earlier_age| earlier_age <= age)
                && now.since(self.at).as_secs() <= age
        });
        let has = |name: &str| {
            earlier
                .scope
                .as_ref()
                .is_some_and(|scope| scope.contains(name))
        };
        let covers = required
            .scope
            .as_ref()
            .is_none_or(|scope| scope.iter().all(has));
        // Any one of the values is sufficient, so their order does not matter.
        let (earlier_acr, required_acr) = (&earlier.acr_values, &required.acr_values);
        let is_same = earlier_acr.len() == required_acr.len()
            && required_acr
                .iter()
                .all(|acr| acr_suffices(Some(acr), earlier_acr));
        is_fresh && covers && is_same && earlier.claims == required.claims
    }
}
