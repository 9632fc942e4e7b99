//! [`GrantSettings`]: the identity of a grant and its policy, as plain values.

use std::time::Duration;

use oauth_core::error::{Error, Misuse};
use oauth_core::flow::keeper::{GrantId, Policy, Reuse};
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use oauth_core::{json, token::step_up_requirement::StepUp};

use crate::request::TokenRequest;

/// The identity of a grant, and how it is kept fresh.
#[derive(Debug, Clone, Default)]
pub struct GrantSettings {
    /// The subject of the grant.
    pub subject: Option<String>,
    /// The token request, repeated at each renewal.
    pub request: TokenRequest,
    /// What the server does with a reused refresh token: `unknown`, `revokes` or
    /// `tolerated`. `None` means `unknown`.
    pub reuse: Option<String>,
    /// The length of a lease, if not 10 s. A session extends it while a request runs.
    pub lease: Option<Duration>,
    /// The longest time that a token request may take, if not 30 s: the host must ensure that none takes
    /// longer. Only resending a token that may have been used waits for it.
    pub longest_request: Option<Duration>,
    /// How long before its unused refresh token expires an idle grant is refreshed, see
    /// [`Policy::keep_alive`]; `None` means never.
    pub keep_alive: Option<Duration>,
    /// How long before the end of a user's authorization a notice is given, if not 7 days.
    pub notice: Option<Duration>,
    /// What an API required of the user, as JSON with the members of [`step_up`](crate::step_up): the grant of that
    /// login, which is stored separately from the ordinary one.
    pub step_up: Option<String>,
}

impl GrantSettings {
    /// The id of the client's own grant.
    ///
    /// # Errors
    /// The errors of [`TokenRequest`]; `arguments.inconsistent` if a subject is named.
    pub fn client_grant(&self) -> Result<GrantId, Error> {
        match (&self.subject, &self.step_up) {
            (None, None) => Ok(GrantId::client().requesting(self.request.to_core()?)),
            (Some(_), _) => {
                let detail = "subject: the client's own grant has none";
                Err(Error::from(Misuse::ArgumentsInconsistent).about(detail))
            }
            (None, Some(_)) => {
                let detail = "step_up: the client's own grant has no login";
                Err(Error::from(Misuse::ArgumentsInconsistent).about(detail))
            }
        }
    }

    /// The id of a user's grant.
    ///
    /// # Errors
    /// The errors of [`TokenRequest`].
    pub fn person_grant(&self) -> Result<GrantId, Error> {
        let id = match &self.subject {
            Some(subject) => GrantId::user(subject),
            None => GrantId::unnamed_person(),
        };
        let id = id.requesting(self.request.to_core()?);
        // A page has one login.
        #[cfg(not(all(feature = "js", target_family = "wasm")))]
        if let Some(text) = &self.step_up {
            return Ok(id.stepped_up(&parse_step_up(text)?));
        }
        Ok(id)
    }

    /// The policy of the grant's keeper.
    ///
    /// # Errors
    /// `argument.invalid` for an unknown word.
    pub fn policy(&self) -> Result<Policy, Error> {
        let mut policy = Policy::default();
        policy.reuse = match self.reuse.as_deref() {
            None | Some("unknown") => Reuse::Unknown,
            Some("revokes") => Reuse::Revokes,
            Some("tolerated") => Reuse::Tolerated,
            Some(_) => {
                let detail = "reuse is unknown, revokes or tolerated";
                return Err(Error::from(Misuse::ArgumentInvalid).about(detail));
            }
        };
        policy.lease = self.lease.unwrap_or(policy.lease);
        policy.keep_alive = self.keep_alive;
        policy.notice = self.notice.unwrap_or(policy.notice);
        policy.longest_request = self.longest_request.unwrap_or(policy.longest_request);
        Ok(policy)
    }
}

#[cfg(not(all(feature = "js", target_family = "wasm")))]
fn parse_step_up(text: &str) -> Result<StepUp, Error> {
    let wrong =
        || Error::from(Misuse::ArgumentInvalid).about("step_up must be what step_up() returns");
    json::from_text(text).ok_or_else(wrong)
}

/// The members of a step-up that distinguish its grant, as JSON; `None` if it has none.
///
/// # Errors
/// `argument.invalid` if it is not what [`step_up`](crate::step_up) returns.
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub fn distinguishing_step_up(text: &str) -> Result<Option<String>, Error> {
    let id = GrantId::unnamed_person().stepped_up(&parse_step_up(text)?);
    Ok(id.step_up.as_ref().map(json::to_text))
}

/// The step-ups of a stored list, as JSON each. An empty record is an empty list.
///
/// # Errors
/// `stored.malformed`.
#[cfg(not(all(feature = "js", target_family = "wasm")))]
pub fn listed_step_ups(record: &str) -> Result<Vec<String>, Error> {
    if record.is_empty() {
        return Ok(Vec::new());
    }
    let listed: Option<Vec<StepUp>> = json::from_text(record);
    let listed = listed.ok_or(Misuse::StoredForm)?;
    // One that requires nothing would be the ordinary grant.
    let is_distinguishing = |step_up: &&StepUp| {
        let id = GrantId::unnamed_person().stepped_up(step_up);
        id.step_up.is_some()
    };
    let listed = listed.iter().filter(is_distinguishing);
    Ok(listed.map(json::to_text).collect())
}
