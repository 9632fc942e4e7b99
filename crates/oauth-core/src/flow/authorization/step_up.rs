//! An authorization that answers what an API wants of the person.

#[cfg(all(test, feature = "sha2"))]
mod tests;

use super::AuthorizationRequest;
use crate::error::{Error, Misuse};
use crate::moment::UnixTime;
use crate::token::Tokens;
use crate::token::step_up::StepUp;

impl AuthorizationRequest {
    /// Asks the person for what an API wants, beyond these tokens (RFC 9470 section 4): its `acr_values`, `max_age`
    /// and `claims` in place of those of this request, and its scope beside what was granted. `now` is the time by
    /// this clock.
    ///
    /// # Errors
    /// `step_up.empty` if it wants nothing that could be asked for, and `step_up.repeated` if these tokens are from
    /// a login that was made for the same: it would be asked again and again.
    pub fn step_up(
        mut self,
        wanted: &StepUp,
        tokens: &Tokens,
        now: UnixTime,
    ) -> Result<Self, Error> {
        if wanted.is_empty() {
            return Err(Misuse::StepUpEmpty.into());
        }
        let answered = tokens.answered.as_ref();
        if answered.is_some_and(|answered| answered.repeats(wanted, now)) {
            return Err(Misuse::StepUpRepeated.into());
        }
        self.extra
            .retain(|(name, _)| !["acr_values", "max_age", "claims"].contains(&name.as_str()));
        let granted = self.token_request.scope.union(&tokens.scope);
        self.token_request.scope = match &wanted.scope {
            Some(more) => granted.union(more),
            None => granted,
        };
        if !wanted.acr_values.is_empty() {
            self = self.acr_values(wanted.acr_values.iter().map(String::as_str));
        }
        if let Some(seconds) = wanted.max_age {
            self = self.max_age(seconds);
        }
        if let Some(claims) = &wanted.claims {
            self = self.extra("claims", claims);
        }
        self.step_up = Some(wanted.clone());
        Ok(self)
    }
}
