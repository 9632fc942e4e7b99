//! Clock steps, stores that lose saves, and applications that bring their own copies of tokens.

use std::sync::Arc;

use oauth_core::Tokens;

use super::ledger::Ledger;
use super::save_rules::Replaced;
use super::simulation::{Simulation, window};

/// An hour in milliseconds.
const HOUR_MS: u64 = 3_600_000;

impl Simulation {
    /// Draws the clock steps and the lost saves of a minute.
    pub(super) fn draw_losses(&mut self) {
        let odds = self.setup.odds;
        for worker in 0..self.workers.len() {
            if self.rng.chance(odds.clock_step) {
                let (back, forth) = (self.rng.chance(5000), self.rng.between(1, 5 * HOUR_MS));
                let step = i64::try_from(forth).unwrap_or_default();
                let skew = if back { -step } else { step };
                self.step_clock(worker, skew);
            }
        }
        for grant in 0..self.grants.len() {
            if self.rng.chance(odds.evicted) {
                self.lose(grant, usize::MAX);
            }
            if self.rng.chance(odds.rolled_back) {
                let saves = 1 + self.rng.index(5);
                self.lose(grant, saves);
            }
        }
    }

    fn step_clock(&mut self, worker: usize, skew: i64) {
        let worker_state = &mut self.workers[worker];
        worker_state.step = skew;
        worker_state.stepped_at = Some(self.now);
        self.report.clock_steps += 1;
        self.record_in_transcript(|| {
            format!("the clock of worker {worker} is {} s off", skew / 1000)
        });
    }

    /// Corrects all clocks.
    pub(super) fn correct_clocks(&mut self) {
        for worker in 0..self.workers.len() {
            if self.workers[worker].step != 0 {
                self.step_clock(worker, 0);
            }
        }
    }

    fn lose(&mut self, grant: usize, saves: usize) {
        let key = self.grants[grant].key.clone();
        self.store.lose(&key, saves);
        let version = self.store.load(&key).map_or(0, |entry| entry.version);
        if self.ledger.newest_version(grant) > version {
            self.report.losses += 1;
            self.ledger.lost(grant, self.now);
            self.record_in_transcript(|| {
                format!("the store loses saves of grant {grant}, back to {version}")
            });
        }
    }

    /// The record that a save replaces.
    pub(super) fn replaced_record(&mut self, grant: usize) -> Replaced {
        let key = self.grants[grant].key.clone();
        let version = self.store.load(&key).map_or(0, |entry| entry.version);
        if self.ledger.newest_version(grant) > version {
            Replaced::Older
        } else {
            Replaced::Newest
        }
    }

    /// Whether the worker's clock has stepped or been wrong since this time.
    pub(super) fn has_stepped(&self, worker: usize, since: u64) -> bool {
        let worker_state = &self.workers[worker];
        worker_state.step != 0 || worker_state.stepped_at.is_some_and(|at| at >= since)
    }

    pub(super) fn have_clocks_stepped(&self) -> bool {
        let workers = &self.workers;
        workers.iter().any(|worker| worker.stepped_at.is_some())
    }

    /// Whether the store has fallen back to a record that only wrong clocks could tell from a newer
    /// one.
    pub(super) fn is_lost_in_time(&self, grant: usize) -> bool {
        self.have_clocks_stepped() && self.may_be_lost(grant, 0)
    }

    /// Whether the marker of a request sent at this time may have been lost.
    pub(super) fn may_be_lost(&self, grant: usize, sent_at: u64) -> bool {
        let since = sent_at.saturating_sub(window(&self.setup));
        self.ledger.has_lost(grant, since)
    }

    /// The application keeps a copy of the tokens it gets.
    pub(super) fn copy(&mut self, grant: usize, tokens: &Arc<Tokens>) {
        if self.rng.chance(self.setup.odds.own_copy) {
            self.grants[grant].copy = Some(Tokens::clone(tokens));
        }
    }

    /// The worker begins with the application's copies. Only right clocks show which tokens are older.
    pub(super) fn begin_with_copies(&mut self, worker: usize) {
        let are_clocks_right = self.setup.odds.skew == 0 && self.setup.odds.clock_step == 0;
        for grant in 0..self.grants.len() {
            let copy = self.grants[grant].copy.clone();
            let Some(copy) = copy.filter(|_| are_clocks_right && !self.calm) else {
                continue;
            };
            if !self.rng.chance(self.setup.odds.own_copy) {
                continue;
            }
            let at = self.moment(worker);
            let access = copy.access_token.expose().clone();
            self.report.copies += 1;
            self.ledger.copies.insert(access.clone());
            self.note_for(worker, grant, |ledger| {
                format!("begins with a copy of {}", ledger.tokens(&copy))
            });
            let keeper = self.keeper(&self.workers[worker].client, self.grants[grant].id.clone());
            if let Ok(keeper) = keeper.with_tokens(&at, copy) {
                let slot = self.slot(worker, grant);
                slot.keeper = keeper;
                slot.logins.push(access);
            }
        }
    }
}

impl Ledger {
    pub(super) fn newest_version(&self, grant: usize) -> u64 {
        self.history[grant].last().map_or(0, |saved| saved.version)
    }

    fn lost(&mut self, grant: usize, now: u64) {
        self.losses.push((grant, now));
    }

    pub(super) fn has_lost(&self, grant: usize, since: u64) -> bool {
        let mut losses = self.losses.iter();
        losses.any(|(lost_grant, at)| *lost_grant == grant && *at >= since)
    }
}
