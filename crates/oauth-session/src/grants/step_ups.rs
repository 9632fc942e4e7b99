//! The tokens of step-up logins (RFC 9470), each kept beside those of the ordinary login. One record per user lists
//! what they were required for, so that a logout ends them too.

use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::flow::keeper::{GrantId, GrantOwner};
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::{Secret, Tokens, json};

use super::Grants;
use crate::store::{ENDPOINT, Entry, STEP_UPS, Saved, Times};

/// The number of grants beside an ordinary one. The oldest gives way to a new one.
const BESIDE: usize = 8;

/// The number of attempts to save the list against concurrent workers.
const TRIES: usize = 16;

/// The id under which these tokens are kept: that of their step-up, if they come from one.
pub(super) fn id_of(id: &GrantId, tokens: &Tokens) -> GrantId {
    let is_ordinary = id.step_up.is_none() && matches!(id.owner, GrantOwner::Person(_));
    match tokens.step_up().filter(|_| is_ordinary) {
        Some(required) => id.clone().stepped_up(required),
        None => id.clone(),
    }
}

/// The id of the ordinary grant of the same user.
fn ordinary(id: &GrantId) -> GrantId {
    let mut id = id.clone();
    id.step_up = None;
    id
}

/// The list of an entry.
///
/// # Errors
/// `stored.malformed`
fn read(entry: Option<&Entry>) -> Result<Vec<StepUp>, Error> {
    let Some(entry) = entry.filter(|entry| !entry.is_removed()) else {
        return Ok(Vec::new());
    };
    let listed: Option<Vec<StepUp>> = json::from_text(entry.record.expose());
    let malformed = || Error::from(Misuse::StoredForm).at_endpoint(ENDPOINT);
    let mut listed = listed.ok_or_else(malformed)?;
    listed.truncate(BESIDE);
    Ok(listed)
}

impl Grants {
    fn list_of(&self, id: &GrantId) -> String {
        let key = self.0.client.keeper(ordinary(id)).key();
        format!("{STEP_UPS}{key}")
    }

    /// Lists a grant beside the ordinary one before it is stored, and returns those that give way to it.
    pub(super) async fn list_beside(&self, id: &GrantId) -> Result<Vec<GrantId>, Error> {
        let Some(step_up) = &id.step_up else {
            return Ok(Vec::new());
        };
        let key = self.list_of(id);
        for _ in 0..TRIES {
            let entry = self.0.store.load(&key).await?;
            // A list that cannot be read is written anew: a logout has reported it, or will report the new one.
            let mut listed = read(entry.as_ref()).unwrap_or_default();
            listed.retain(|other| other != step_up);
            listed.push(step_up.clone());
            let over = listed.len().saturating_sub(BESIDE);
            let ousted: Vec<_> = listed.drain(..over).collect();
            let text = Secret::new(json::to_text(&listed));
            let version = entry.map_or(0, |entry| entry.version);
            let saved = self.0.store.save(&key, &text, version, Times::NONE).await?;
            if let Saved::At(_) = saved {
                let ousted = ousted.iter();
                return Ok(ousted
                    .map(|step_up| id.clone().stepped_up(step_up))
                    .collect());
            }
        }
        let cause = Cause::unsent_as("every save met another").because(Loss::Contended);
        Err(Error::lost(cause).at_endpoint(ENDPOINT))
    }

    /// Takes the list away, and returns the ids of its grants.
    pub(super) async fn take_beside(&self, id: &GrantId) -> Result<Vec<GrantId>, Error> {
        if id.step_up.is_some() || id.owner == GrantOwner::Client {
            return Ok(Vec::new());
        }
        let key = self.list_of(id);
        let Some(entry) = self.0.store.load(&key).await? else {
            return Ok(Vec::new());
        };
        let listed = read(Some(&entry));
        if !entry.is_removed() {
            self.0.store.remove(&key).await?;
        }
        let listed = listed?;
        let listed = listed.iter();
        Ok(listed
            .map(|step_up| id.clone().stepped_up(step_up))
            .collect())
    }
}
