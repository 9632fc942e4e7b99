//! Selects the scope to request, and limits how often more is requested (Model Context Protocol, "Scope Selection
//! Strategy").

use crate::error::{Error, Misuse};
use crate::scope::Scope;

/// How many authorizations may be made because the API wanted more.
const STEP_UPS: u8 = 2;

/// What there is to choose a scope from.
#[derive(Debug, Clone, Copy)]
pub struct ScopeSource<'a> {
    /// What was granted before.
    pub granted: &'a Scope,
    /// What the challenge names: it is authoritative for what was tried, and no part of `supported` needs to hold it.
    pub challenged: Option<&'a Scope>,
    /// What the metadata of the resource list.
    pub supported: Option<&'a Scope>,
}

impl ScopeSource<'_> {
    /// What is challenged, beside what was granted; without a challenge what was granted, or else all that is
    /// supported; nothing where nobody says, and the parameter is left out.
    pub fn scope(&self) -> Option<Scope> {
        match (self.challenged, self.granted.is_empty()) {
            (Some(challenged), _) => Some(self.granted.union(challenged)),
            (None, false) => Some(self.granted.clone()),
            (None, true) => Scope::choose(None, self.supported),
        }
    }
}

/// What was asked for because an API answered `insufficient_scope`, so that the person is not asked again and again.
#[derive(Debug, Clone)]
pub struct StepUpBudget {
    requested: Scope,
    left: u8,
}

impl StepUpBudget {
    /// After an authorization for this scope.
    pub const fn new(requested: Scope) -> Self {
        Self {
            requested,
            left: STEP_UPS,
        }
    }

    /// The scope to ask for next: all that was asked for before, and what the API wants now.
    ///
    /// # Errors
    /// `step_up.empty` if the API does not say what it wants, `step_up.repeated` if just that was asked for already,
    /// `step_up.limit` after two authorizations.
    pub fn next(&mut self, challenged: Option<&Scope>) -> Result<Scope, Error> {
        let challenged = challenged.filter(|scope| !scope.is_empty());
        let challenged = challenged.ok_or(Misuse::StepUpEmpty)?;
        if self.requested.covers(challenged) {
            return Err(Misuse::StepUpRepeated.into());
        }
        self.spend()?;
        self.requested = self.requested.union(challenged);
        Ok(self.requested.clone())
    }

    /// One authorization, for something else than a scope.
    ///
    /// # Errors
    /// `step_up.limit`, as [`Self::next`].
    pub fn spend(&mut self) -> Result<(), Error> {
        self.left = self.left.checked_sub(1).ok_or(Misuse::StepUpLimit)?;
        Ok(())
    }
}
