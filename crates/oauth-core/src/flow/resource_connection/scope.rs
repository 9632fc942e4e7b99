//! Selects the scope to request, and limits how often more is requested (Model Context Protocol, "Scope Selection
//! Strategy").

use crate::error::{Error, Misuse};
use crate::registered_client::RegisteredClient;
use crate::scope::Scope;
use crate::server::Server;

/// The number of authorizations that may be made because the API required more.
const MAX_STEP_UPS: u8 = 2;

/// Whether to request tokens that stay valid without the user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OfflineAccess {
    /// `offline_access` is requested if the server lists it: many issue a refresh token only then, and without one the
    /// user signs in again whenever the access token expires.
    #[default]
    WhereListed,
    /// What the server issues by default.
    AsGiven,
}

/// Whether the server lists `offline_access`, and this client may request it: servers refuse scopes for which a client
/// is not registered, such as one that registered before the server listed `offline_access`.
pub(super) fn offers_offline_access(
    server: &Server,
    registration: Option<&RegisteredClient>,
) -> bool {
    let listed = server.list("scopes_supported", &[]);
    let registered = registration.and_then(|client| client.metadata.scope.as_ref());
    listed.iter().any(|name| name == "offline_access")
        && registered.is_none_or(|scope| scope.contains("offline_access"))
}

/// The sources from which a scope is chosen.
#[derive(Debug, Clone, Copy)]
pub struct ScopeSource<'a> {
    /// The scope that was granted before.
    pub granted: &'a Scope,
    /// The scope in the challenge: it is authoritative for the refused request, and need not be contained in
    /// `supported`.
    pub challenged: Option<&'a Scope>,
    /// The scope that the metadata of the resource lists.
    pub supported: Option<&'a Scope>,
}

impl ScopeSource<'_> {
    /// The scope of the challenge, in addition to what was granted; without a challenge, what was granted, or else all
    /// that is supported; `None` if nothing is known: then the parameter is left out.
    pub fn scope(&self) -> Option<Scope> {
        match (self.challenged, self.granted.is_empty()) {
            (Some(challenged), _) => Some(self.granted.union(challenged)),
            (None, false) => Some(self.granted.clone()),
            (None, true) => Scope::choose(None, self.supported),
        }
    }
}

/// Limits the authorizations made because an API responded with `insufficient_scope`, so that the user is not asked
/// again and again.
#[derive(Debug, Clone)]
pub struct StepUpBudget {
    requested: Scope,
    remaining: u8,
}

impl StepUpBudget {
    /// The budget after an authorization for this scope.
    pub const fn new(requested: Scope) -> Self {
        Self {
            requested,
            remaining: MAX_STEP_UPS,
        }
    }

    /// The scope to request next: all that was requested before, and what the API requires now.
    ///
    /// # Errors
    /// `step_up.empty` if the API does not name a scope, `step_up.repeated` if exactly that was already requested,
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

    /// Counts one authorization for something other than a scope.
    ///
    /// # Errors
    /// `step_up.limit`, as [`Self::next`].
    pub fn spend(&mut self) -> Result<(), Error> {
        self.remaining = self.remaining.checked_sub(1).ok_or(Misuse::StepUpLimit)?;
        Ok(())
    }
}
