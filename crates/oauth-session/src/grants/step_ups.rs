//! The tokens of step-up logins (RFC 9470), each stored separately from those of the ordinary login. One record per
//! user lists what they were required for, so that a logout ends them too.
//!
//! No grant is ever stored that the list does not name, whichever worker dies or sleeps between two steps:
//!
//! - a login reads the version of its record, then saves the list with its entry, then saves the record: at that version,
//!   or over another login, but over no later removal ([`Keeper::replace_at_version`](oauth_core::flow::keeper::Keeper));
//! - what is taken off the list was ended after the list was read, which removes its record even if there is none, and the
//!   list is saved only over the version that was read.
//!
//! So if a login has saved the list before it was read, the removal follows the reading of its record, and the login
//! ends; if later, the shorter list cannot be saved.
//!
//! A logout may end a login that it crosses, but what only makes room for others must not: the login holds a lease of
//! its own, the *turn*, until it is stored. Without the turn nothing is taken off the list to make room, and with it
//! only the grant that was found before.

use std::time::Duration;

use oauth_core::error::{Cause, Error, Loss, Misuse};
use oauth_core::flow::keeper::{GrantId, GrantOwner, GrantSummary};
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::{Secret, Tokens, json};

use super::Grants;
use crate::clock;
use crate::hold::HeldLease;
use crate::store::{ENDPOINT, Entry, RecordTimes, STEP_UPS, SaveOutcome};

/// The maximum number of step-up grants per user. The oldest gives way to a new one.
const MAX_STEP_UP_GRANTS: usize = 8;

/// The longest list: the oldest stay on it until they have been ended.
const LISTED: usize = 2 * MAX_STEP_UP_GRANTS;

/// The number of attempts to save against concurrent workers.
pub(super) const MAX_SAVE_ATTEMPTS: usize = 16;

/// The longest time for which a login waits for its turn. Without it, another worker may end the login to make room.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The longest time for which a turn is held.
const LONGEST_TURN: Duration = Duration::from_secs(60);

/// Which of the listed grants to end.
#[derive(Clone, Copy)]
pub(super) enum EndSelection<'a> {
    All,
    One(&'a StepUp),
    /// The oldest beyond [`MAX_STEP_UP_GRANTS`], those that have ended or expired, and those whose login was never
    /// stored.
    Surplus,
}

/// What is stored of a listed grant.
#[derive(PartialEq, Eq)]
pub(super) enum Found {
    Nothing,
    /// The key may be that of a grant.
    Unreadable,
    /// The tokens of this login; earlier versions gave logins no id.
    Login(Option<String>),
}

impl Found {
    pub(super) fn of(entry: Option<&Entry>) -> Self {
        match entry.filter(|entry| !entry.is_removed()) {
            None => Self::Nothing,
            Some(entry) => match GrantSummary::read(&entry.record) {
                Ok(summary) => Self::Login(summary.login),
                Err(_) => Self::Unreadable,
            },
        }
    }
}

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
fn read(entry: &Entry) -> Result<Vec<StepUp>, Error> {
    if entry.is_removed() {
        return Ok(Vec::new());
    }
    let listed: Option<Vec<StepUp>> = json::from_text(entry.record.expose());
    let malformed = || Error::from(Misuse::StoredForm).at_endpoint(ENDPOINT);
    let mut listed = listed.ok_or_else(malformed)?;
    // One that requires nothing would be the ordinary grant.
    listed.retain(|step_up| GrantId::client().stepped_up(step_up).step_up.is_some());
    listed.truncate(LISTED);
    Ok(listed)
}

/// The record of a list; an empty one is removed.
fn to_record(listed: &Vec<StepUp>) -> Secret<String> {
    Secret::new(if listed.is_empty() {
        String::new()
    } else {
        json::to_text(listed)
    })
}

pub(super) fn contended() -> Error {
    let cause =
        Cause::unsent_as("every save conflicted with another writer's").because(Loss::Contended);
    Error::lost(cause).at_endpoint(ENDPOINT)
}

impl Grants {
    fn list_key(&self, id: &GrantId) -> String {
        let key = self.0.client.keeper(ordinary(id)).key();
        format!("{STEP_UPS}{key}")
    }

    /// Adopts the tokens of a step-up, stores them in addition to the ordinary ones, and ends the grants that they
    /// supersede.
    pub(super) async fn log_in_beside(
        &self,
        id: &GrantId,
        step_up: &StepUp,
        tokens: Tokens,
    ) -> Result<(), Error> {
        let key = self.0.client.keeper(id.clone()).key();
        let turn = self.take_turn(id, LONGEST_WAIT).await?;
        let known_version = self.load_version(&key).await?;
        // A failed revocation of a superseded grant must not lose the new tokens, so it is reported after they are
        // stored.
        let mut superseded = Ok(());
        self.list_beside(id, step_up, &mut superseded).await?;
        self.get(id)
            .log_in_at_version(tokens, known_version)
            .await?;
        drop(turn);
        superseded.and(self.end_beside(id, EndSelection::Surplus).await)
    }

    /// The turn of a grant, unless another worker still has it after `wait`.
    async fn take_turn(&self, id: &GrantId, wait: Duration) -> Result<Option<HeldLease>, Error> {
        let keeper = self.0.client.keeper(id.clone());
        let lease = keeper.lease_for(clock::moment()?.ticket()?);
        let name = format!("{STEP_UPS}{}", keeper.key());
        HeldLease::take(&self.0.store, &name, lease, (wait, LONGEST_TURN), || ()).await
    }

    /// The version of a record. One that cannot be read is removed, as any login does.
    async fn load_version(&self, key: &str) -> Result<u64, Error> {
        let store = &self.0.store;
        let entry = match store.load(key).await {
            Err(error) if error.is_unreadable_record() => {
                store.remove(key).await?;
                store.load(key).await
            }
            loaded => loaded,
        };
        Ok(entry?.map_or(0, |entry| entry.version))
    }

    /// Adds a step-up grant to the list, as the newest.
    async fn list_beside(
        &self,
        id: &GrantId,
        step_up: &StepUp,
        gave_way: &mut Result<(), Error>,
    ) -> Result<(), Error> {
        let key = self.list_key(id);
        for _ in 0..MAX_SAVE_ATTEMPTS {
            let entry = self.0.store.load(&key).await?;
            // A list that cannot be read is rewritten: a logout has reported it, or will report the new one.
            let listed = entry.as_ref().map(read).transpose();
            let mut listed = listed.ok().flatten().unwrap_or_default();
            listed.retain(|listed_step_up| listed_step_up != step_up);
            if listed.len() >= LISTED {
                match self.end_beside(id, EndSelection::Surplus).await {
                    Err(error) if error.endpoint() == Some(ENDPOINT) => return Err(error),
                    Err(error) if gave_way.is_ok() => *gave_way = Err(error),
                    Ok(()) | Err(_) => {}
                }
                continue;
            }
            listed.push(step_up.clone());
            let version = entry.map_or(0, |entry| entry.version);
            let text = to_record(&listed);
            let saved = self
                .0
                .store
                .save(&key, &text, version, RecordTimes::NONE)
                .await?;
            if let SaveOutcome::At(_) = saved {
                return Ok(());
            }
        }
        Err(contended())
    }

    /// Ends some of the user's step-up grants, and removes them from the list.
    ///
    /// # Errors
    /// The first of a revocation: the others are ended, too. Those of the store: what was not ended is still listed.
    pub(super) async fn end_beside(
        &self,
        id: &GrantId,
        ending: EndSelection<'_>,
    ) -> Result<(), Error> {
        if id.owner == GrantOwner::Client {
            return Ok(());
        }
        let key = self.list_key(id);
        let mut outcome = Ok(());
        for _ in 0..MAX_SAVE_ATTEMPTS {
            let entry = self.0.store.load(&key).await?;
            let Some(entry) = entry.filter(|entry| !entry.is_removed()) else {
                return outcome;
            };
            let mut listed = match (read(&entry), ending) {
                (Ok(listed), _) => listed,
                (Err(error), EndSelection::All) => {
                    outcome = outcome.and(Err(error));
                    Vec::new()
                }
                (Err(error), _) => return outcome.and(Err(error)),
            };
            let ended = match ending {
                EndSelection::All => self.end_each(id, listed.clone(), &mut outcome).await?,
                EndSelection::One(step_up) => {
                    let mut one = listed.clone();
                    one.retain(|listed_step_up| listed_step_up == step_up);
                    self.end_each(id, one, &mut outcome).await?
                }
                EndSelection::Surplus => self.make_room(id, &listed, &mut outcome).await?,
            };
            if ended.is_empty() && !listed.is_empty() {
                return outcome;
            }
            listed.retain(|step_up| !ended.contains(step_up));
            let (text, version) = (to_record(&listed), entry.version);
            let saved = self
                .0
                .store
                .save(&key, &text, version, RecordTimes::NONE)
                .await?;
            if let SaveOutcome::At(_) = saved {
                return outcome;
            }
        }
        outcome.and(Err(contended()))
    }

    /// Ends these, whatever is stored of them by now.
    async fn end_each(
        &self,
        id: &GrantId,
        step_ups: Vec<StepUp>,
        outcome: &mut Result<(), Error>,
    ) -> Result<Vec<StepUp>, Error> {
        for step_up in &step_ups {
            let ended = self.end(&id.clone().stepped_up(step_up)).await;
            note_revocation(ended, outcome)?;
        }
        Ok(step_ups)
    }

    /// Ends the expired grants and the oldest beyond [`MAX_STEP_UP_GRANTS`], and returns those it ended. A grant that
    /// another worker stores or renews meanwhile is left to the next login.
    async fn make_room(
        &self,
        id: &GrantId,
        listed: &[StepUp],
        outcome: &mut Result<(), Error>,
    ) -> Result<Vec<StepUp>, Error> {
        let now = clock::now()?;
        let (mut chosen, mut kept) = (Vec::new(), Vec::new());
        for step_up in listed {
            let one = id.clone().stepped_up(step_up);
            let entry = match self
                .0
                .store
                .load(&self.0.client.keeper(one.clone()).key())
                .await
            {
                Err(error) if error.is_unreadable_record() => Err(()),
                entry => Ok(entry?),
            };
            let found = entry
                .as_ref()
                .map_or(Found::Unreadable, |entry| Found::of(entry.as_ref()));
            let summary = entry
                .ok()
                .flatten()
                .map(|entry| GrantSummary::read(&entry.record));
            let is_over = match found {
                // The login was never stored: its worker has died or sleeps, unless it holds the turn.
                Found::Nothing => true,
                Found::Login(_) => {
                    summary.is_some_and(|read| read.is_ok_and(|read| read.is_over(now)))
                }
                Found::Unreadable => false,
            };
            if is_over { &mut chosen } else { &mut kept }.push((one, step_up, found));
        }
        let excess = kept.len().saturating_sub(MAX_STEP_UP_GRANTS);
        chosen.extend(kept.into_iter().take(excess));
        let mut all_ended = Vec::new();
        for (one, step_up, found) in chosen {
            // A login of this worker that waits for the store: its tokens are not those that were found.
            if !self.get(&one).is_stored() {
                continue;
            }
            let Some(turn) = self.take_turn(&one, Duration::ZERO).await? else {
                continue;
            };
            let ended = match found {
                Found::Unreadable => self.end(&one).await.map(|()| true),
                found => self.end_found(&one, &found).await,
            };
            drop(turn);
            if note_revocation(ended, outcome)? != Some(false) {
                all_ended.push(step_up.clone());
            }
        }
        Ok(all_ended)
    }
}

/// Splits the result of an ending: an error of the store is returned, because the grant has not ended; an error of the
/// revocation is recorded in `outcome`.
fn note_revocation<T>(
    ended: Result<T, Error>,
    outcome: &mut Result<(), Error>,
) -> Result<Option<T>, Error> {
    match ended {
        Ok(ended) => Ok(Some(ended)),
        Err(error) if error.endpoint() == Some(ENDPOINT) => Err(error),
        Err(error) => {
            if outcome.is_ok() {
                *outcome = Err(error);
            }
            Ok(None)
        }
    }
}
