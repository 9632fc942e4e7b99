//! Checks, after each save, rules 3 and 6 of those listed in `fleet.rs`: `Rule::Kept`, `Rule::OwnGrant` and
//! `Rule::OneRecord`.

use super::ledger::{Ledger, Peek, Version};
use super::{Breach, Rule};

/// The record that a save replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Replaced {
    /// The one that was saved last.
    Newest,
    /// An older one: the store has lost saves, and the saving worker cannot know which.
    Older,
}

fn breach<T>(rule: Rule, text: String) -> Result<T, Breach> {
    Err(Breach(rule, text))
}

impl Ledger {
    /// Checks a save, and records it.
    pub(super) fn store(
        &mut self,
        (worker, epoch, now): (usize, u32, u64),
        grant: usize,
        record: &str,
        version: u64,
        over: Replaced,
    ) -> Result<(), Breach> {
        let Ok(peek) = serde_json::from_str::<Peek>(record) else {
            return breach(Rule::OwnGrant, "an unreadable record".to_owned());
        };
        let is_over = peek.is_over();
        let suspect_until = peek.suspect_until();
        let Some(tokens) = peek.tokens else {
            // A grant ends that never had tokens.
            return Ok(());
        };
        let token = self.token(&tokens.access_token);
        let Some(token) = token.filter(|token| token.grant == grant) else {
            let text = format!("worker {worker} stores a token of another grant");
            return breach(Rule::OwnGrant, text);
        };
        let version = Version {
            version,
            generation: token.generation,
            access: tokens.access_token,
            other_tokens: peek
                .other_tokens
                .into_iter()
                .map(|tokens| tokens.access_token)
                .collect(),
            refresh: tokens.refresh_token,
            is_over,
            is_removed: false,
            attempt: peek.attempt.map(|attempt| attempt.id),
            suspect_until,
        };
        self.check_place(worker, grant, &version, over)?;
        if let Some(attempt) = &version.attempt {
            // Tokens that the store failed to save are sent without a marker, which is saved with the outcome.
            let sent = self.sends.iter().rev().find(|send| {
                (send.worker, send.epoch) == (worker, epoch) && send.refresh == version.refresh
            });
            let since = sent.map_or(now, |send| send.at);
            self.mark(attempt, worker, epoch, since);
        }
        self.history[grant].push(version);
        Ok(())
    }

    /// Checks that this version may replace the last one saved.
    fn check_place(
        &self,
        worker: usize,
        grant: usize,
        new: &Version,
        over: Replaced,
    ) -> Result<(), Breach> {
        let history = &self.history[grant];
        let Some(last) = history.last() else {
            return Ok(());
        };
        if last.version >= new.version {
            let text = format!("the store assigns version {} twice", new.version);
            return breach(Rule::OneRecord, text);
        }
        if over == Replaced::Older || self.is_later_copy(new, last) {
            return Ok(());
        }
        let is_same_login =
            |saved: &Version| saved.generation == new.generation && !saved.is_removed;
        let was_saved_before = history.iter().any(is_same_login);
        if last.is_removed && was_saved_before {
            let text = format!("worker {worker} restores a record that a user has removed");
            return breach(Rule::Kept, text);
        }
        // A login whose save was slow may have been the newest record, until the store lost it.
        let first = |version: &Version| {
            let is_same_login =
                |saved: &Version| saved.generation == version.generation && !saved.is_removed;
            history.iter().position(is_same_login)
        };
        let was_newer = first(new) > first(last) && self.has_lost(grant, 0);
        if new.generation < last.generation && was_saved_before && !was_newer {
            let text = format!("worker {worker} replaces a login by an older grant");
            return breach(Rule::Kept, text);
        }
        if let (Some(new), Some(old)) = (&new.refresh, &last.refresh)
            && self.descends(old, new)
        {
            let text = format!(
                "worker {worker} saves {} over its successor {}",
                self.name(new),
                self.name(old)
            );
            return breach(Rule::Kept, text);
        }
        Ok(())
    }
}
