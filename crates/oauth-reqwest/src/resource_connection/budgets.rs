//! Limits of what an API can cause.

use oauth_core::error::Error;
use oauth_core::flow::resource_connection::{Connection, RediscoveryLimit, StepUpBudget};
use oauth_core::moment::UnixTime;
use oauth_core::token::step_up_requirement::StepUp;

use super::state::HOUR;

/// Limits how many step-ups and metadata fetches an API can cause within an hour.
#[derive(Default)]
pub(super) struct Budgets {
    /// The start of the current hour, and the step-ups that may still be made in it.
    step_ups: Option<(UnixTime, StepUpBudget)>,
    pub(super) metadata: RediscoveryLimit,
}

impl Budgets {
    /// Counts one step-up login against the budget.
    ///
    /// # Errors
    /// `step_up.*` if the user was already asked for this, or too often.
    pub(super) fn spend(
        &mut self,
        connection: &Connection,
        required: &StepUp,
    ) -> Result<(), Error> {
        let now = UnixTime::system()?;
        let (_, budget) = match &mut self.step_ups {
            Some(recent) if now.since(recent.0) < HOUR => recent,
            over => over.insert((
                now,
                StepUpBudget::new(connection.scope.clone().unwrap_or_default()),
            )),
        };
        match &required.scope {
            // The tokens of a login show whether another would be the same.
            None => budget.spend(),
            scope => budget.next(scope.as_ref()).map(drop),
        }
    }
}
