//! The workers: each a tokio runtime, run in turns.

use std::sync::Arc;
use std::time::Duration;

use oauth_session::{GrantSource, simulated};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::super::callers::CallerPatience;
use super::super::simulation::{millis, window};
use super::super::{Breach, Rule};
use super::caller;
use super::endpoints::{Driver, SessionLink, Store};
use super::rules::MAX_CLOCK_DIFFERENCE_MS;
use super::simulation::{Member, Shared, lock};

const MINUTE_MS: u64 = 60_000;

/// The time limit of a graceful shutdown, in milliseconds.
const DRAIN_TIMEOUT_MS: u64 = 10_000;

pub(super) struct Workers {
    sim: Shared,
    workers: Vec<Worker>,
    now: u64,
    minute_faults_at: u64,
}

struct Worker {
    runtime: Option<Runtime>,
    lines: Vec<(SessionLink, GrantSource)>,
    /// The time at which a dead worker restarts.
    up_at: u64,
    asleep_until: u64,
    visit_at: u64,
    /// The end of a graceful shutdown.
    ends_at: Option<u64>,
    /// The time at which it restarts with the next certificate.
    renewed_at: Option<u64>,
}

impl Workers {
    pub(super) fn new(sim: Shared) -> Self {
        let count = lock(&sim).setup.workers;
        let worker = |_| Worker {
            runtime: None,
            lines: Vec::new(),
            up_at: 0,
            asleep_until: 0,
            visit_at: 0,
            ends_at: None,
            renewed_at: None,
        };
        Self {
            sim,
            workers: (0..count).map(worker).collect(),
            now: 0,
            minute_faults_at: MINUTE_MS,
        }
    }

    pub(super) fn run_history(&mut self) -> Result<(), Breach> {
        let (fault_end, attempt) = {
            let sim = lock(&self.sim);
            (
                millis(sim.setup.fault_duration),
                millis(sim.setup.policy.lease),
            )
        };
        let last_round = fault_end + 5 * attempt;
        let mut is_last_round = false;
        loop {
            self.run_turns()?;
            let mut sim = lock(&self.sim);
            if self.now >= fault_end && !sim.calm {
                sim.calm = true;
                sim.record_in_transcript(|| "no more faults from now on".to_owned());
            }
            if is_last_round && sim.open.is_empty() {
                return Ok(());
            }
            if self.now >= last_round + 2 * MINUTE_MS {
                let unanswered = sim.open.values().min().cloned().unwrap_or_default();
                let text = format!("{unanswered}, has no answer after the faults have ended");
                return Err(Breach(Rule::Answered, text));
            }
            drop(sim);
            if self.now >= last_round && !is_last_round {
                is_last_round = true;
                for worker in 0..self.workers.len() {
                    for (line, session) in self.workers[worker].lines.clone() {
                        self.spawn(worker, caller::call(line, session, CallerPatience::Patient));
                    }
                }
            }
        }
    }

    /// Runs a turn of each worker, in random order.
    fn run_turns(&mut self) -> Result<(), Breach> {
        let (span, first) = {
            let mut sim = lock(&self.sim);
            let longest = sim.rng.pick(&[20, 200, MAX_CLOCK_DIFFERENCE_MS]);
            (
                sim.rng.between(1, longest),
                sim.rng.index(self.workers.len()),
            )
        };
        self.now += span;
        self.draw_minute_faults();
        for number in 0..self.workers.len() {
            self.take_turn((first + number) % self.workers.len(), span);
            if let Some(breach) = lock(&self.sim).breach.take() {
                return Err(breach);
            }
        }
        lock(&self.sim).catch_up();
        self.log_ins();
        Ok(())
    }

    fn take_turn(&mut self, worker: usize, span: u64) {
        let sim = Arc::clone(&self.sim);
        simulated::set(Box::new(move || lock(&sim).moment(worker)));
        let worker_state = &mut self.workers[worker];
        if worker_state.runtime.is_none() {
            lock(&self.sim).clocks[worker].at = self.now;
            if worker_state.up_at <= self.now {
                self.start(worker);
            }
            return;
        }
        if worker_state.asleep_until > self.now {
            return;
        }
        self.catch_up(worker, self.now - span);
        if self.workers[worker]
            .renewed_at
            .is_some_and(|at| at <= self.now)
        {
            self.workers[worker].renewed_at = None;
            lock(&self.sim).record_in_transcript(|| format!("worker {worker} restarts"));
            self.end(worker);
            self.workers[worker].up_at = self.now;
            return;
        }
        self.inject_faults(worker);
        self.visit(worker);
        self.run(worker, span);
        if self.workers[worker]
            .ends_at
            .is_some_and(|at| at <= self.now)
        {
            self.end(worker);
            self.workers[worker].up_at = self.now;
        }
    }

    /// Advances the clock of a suspended worker: all that it waited for is due at once.
    fn catch_up(&self, worker: usize, target: u64) {
        let mut sim = lock(&self.sim);
        let behind = target.saturating_sub(sim.clocks[worker].at);
        if behind == 0 {
            return;
        }
        sim.clocks[worker].awake_since = target;
        drop(sim);
        self.block_on(worker, behind, tokio::time::advance);
    }

    fn run(&self, worker: usize, span: u64) {
        let asleep = self.workers[worker].asleep_until > self.now;
        if !asleep {
            self.block_on(worker, span, tokio::time::sleep);
        }
    }

    fn block_on<F: Future<Output = ()>>(
        &self,
        worker: usize,
        span: u64,
        wait: impl FnOnce(Duration) -> F,
    ) {
        if let Some(runtime) = &self.workers[worker].runtime {
            runtime.block_on(async {
                lock(&self.sim).clocks[worker].since = Some(Instant::now());
                wait(Duration::from_millis(span)).await;
            });
        }
        let clock = &mut lock(&self.sim).clocks[worker];
        clock.since = None;
        clock.at += span;
    }

    fn spawn(&self, worker: usize, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.workers[worker].runtime {
            runtime.spawn(task);
        }
    }

    /// Starts a worker without state, with two sessions of each grant.
    fn start(&mut self, worker: usize) {
        self.new_runtime(worker);
        let grants = lock(&self.sim).grants.len();
        // The client that the sessions of one process share.
        let client = lock(&self.sim).make_client(worker);
        for grant in (0..grants).chain(0..grants) {
            let mut sim = lock(&self.sim);
            let member = sim.members.len();
            sim.members.push(Member::new(worker, grant));
            let keeper = sim.keeper(&client, sim.grants[grant].id.clone());
            drop(sim);
            let link = SessionLink {
                sim: Arc::clone(&self.sim),
                member,
                worker,
                grant,
            };
            let store = Arc::new(Store(link.clone()));
            let hook = link.clone();
            let session = GrantSource::with_store(Driver(link.clone()), keeper, store);
            let session = session.on_tokens(move |tokens| {
                hook.act(|sim| sim.note_hook(hook.member, tokens));
                Ok(())
            });
            caller::register(member, &session);
            self.workers[worker].lines.push((link, session));
        }
    }

    fn new_runtime(&mut self, worker: usize) {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        self.workers[worker].runtime = Some(runtime.expect("a runtime without sockets"));
    }

    /// Ends a worker: its tasks first, and then its sessions.
    fn end(&mut self, worker: usize) {
        let worker_state = &mut self.workers[worker];
        worker_state.ends_at = None;
        worker_state.asleep_until = 0;
        for (line, _) in &worker_state.lines {
            lock(&self.sim).members[line.member].is_alive = false;
        }
        drop(worker_state.runtime.take());
        for (line, _) in std::mem::take(&mut worker_state.lines) {
            caller::forget(line.member);
        }
    }

    fn inject_faults(&mut self, worker: usize) {
        let mut sim = lock(&self.sim);
        let odds = sim.setup.odds;
        let spans = [millis(sim.setup.policy.lease), window(&sim.setup)];
        // The odds are per step, and there are more turns than steps.
        if self.workers[worker].ends_at.is_some() || !sim.rng.chance(1000) {
            return;
        }
        if sim.fault_occurs(odds.crash) {
            sim.report.crashes += 1;
            let down = sim.rng.between(100, MINUTE_MS);
            sim.record_in_transcript(|| format!("worker {worker} dies"));
            drop(sim);
            self.end(worker);
            self.workers[worker].up_at = self.now + down;
        } else if sim.fault_occurs(odds.abandon) {
            sim.report.abandoned += 1;
            sim.record_in_transcript(|| {
                format!("the runtime of worker {worker} ends, its sessions continue")
            });
            drop(sim);
            drop(self.workers[worker].runtime.take());
            for (line, _) in &self.workers[worker].lines {
                let session = &mut lock(&self.sim).members[line.member];
                session.logging_in = 0;
                session.has_lost_tasks = true;
            }
            self.new_runtime(worker);
        } else if sim.fault_occurs(odds.abandon) {
            sim.record_in_transcript(|| format!("worker {worker} shuts down gracefully"));
            for (line, _) in &self.workers[worker].lines {
                sim.members[line.member].is_closed = true;
            }
            drop(sim);
            self.workers[worker].ends_at =
                Some(self.now + DRAIN_TIMEOUT_MS + MAX_CLOCK_DIFFERENCE_MS);
            for (line, session) in self.workers[worker].lines.clone() {
                self.spawn(worker, async move {
                    if session
                        .drain(Duration::from_millis(DRAIN_TIMEOUT_MS))
                        .await
                        .is_ok()
                    {
                        line.act(|sim| {
                            let result = sim.drained(line.member);
                            sim.record_breach(result);
                        });
                    }
                });
            }
        } else if sim.fault_occurs(odds.pause) {
            let longest = 3 * sim.rng.pick(&spans);
            let span = sim.rng.between(100, longest);
            sim.report.pauses += 1;
            sim.record_in_transcript(|| format!("worker {worker} is suspended for {span} ms"));
            self.workers[worker].asleep_until = self.now + span;
        }
    }

    /// Starts callers, some of which will be cancelled.
    fn visit(&mut self, worker: usize) {
        let mut sim = lock(&self.sim);
        if self.workers[worker].visit_at > self.now || sim.calm {
            return;
        }
        self.workers[worker].visit_at = self.now + sim.rng.between(1000, 30_000);
        let count = if sim.rng.chance(1500) {
            sim.rng.between(2, 5)
        } else {
            1
        };
        let lines = &self.workers[worker].lines;
        if lines.is_empty() {
            return;
        }
        let link_index = sim.rng.index(lines.len());
        drop(sim);
        for _ in 0..count {
            let (line, session) = self.workers[worker].lines[link_index].clone();
            let leaves = line.act(|sim| {
                let odds = sim.setup.odds.cancel;
                sim.fault_occurs(odds).then(|| sim.rng.between(10, 5000))
            });
            let sim = Arc::clone(&self.sim);
            self.spawn(worker, async move {
                let call = caller::call(line, session, CallerPatience::Hasty);
                let Some(leaves_after) = leaves else {
                    return call.await;
                };
                let leaves_after = Duration::from_millis(leaves_after);
                if tokio::time::timeout(leaves_after, call).await.is_err() {
                    lock(&sim).report.cancelled += 1;
                }
            });
        }
    }

    /// Logs in the users who are due, at any worker that is awake.
    fn log_ins(&mut self) {
        let grants = lock(&self.sim).grants.len();
        for grant in 0..grants {
            let mut sim = lock(&self.sim);
            if sim.grants[grant].login_at.is_none_or(|at| at > self.now) {
                continue;
            }
            let awake = self.workers.iter().flat_map(|worker| {
                let is_awake = worker.asleep_until <= self.now && worker.ends_at.is_none();
                let lines = worker.lines.iter().filter(move |_| is_awake);
                lines.filter(|(line, _)| line.grant == grant)
            });
            let awake: Vec<_> = awake.collect();
            if awake.is_empty() {
                continue;
            }
            sim.grants[grant].login_at = None;
            let (line, session) = awake[sim.rng.index(awake.len())].clone();
            drop(sim);
            self.spawn(line.worker, caller::log_in(line, session));
        }
    }

    fn draw_minute_faults(&mut self) {
        let mut sim = lock(&self.sim);
        if sim.calm || self.now < self.minute_faults_at {
            return;
        }
        self.minute_faults_at += MINUTE_MS;
        if let Some(longest) = sim.setup.certificates
            && sim.rng.chance(5000)
        {
            sim.issue_certificate();
            for worker in &mut self.workers {
                worker.renewed_at = Some(self.now + sim.rng.between(0, millis(longest)));
            }
        }
        let (odds, per_worker_keys) = (sim.setup.odds, sim.setup.is_client_grant);
        if sim.fault_occurs(odds.outage) {
            sim.server_down_until = self.now + sim.rng.between(5000, 2 * MINUTE_MS);
            sim.record_in_transcript(|| "the token endpoint goes down".to_owned());
        }
        if sim.fault_occurs(odds.store_outage) {
            sim.store_down_until = self.now + sim.rng.between(5000, 2 * MINUTE_MS);
            sim.record_in_transcript(|| "the store goes down".to_owned());
        }
        if sim.fault_occurs(odds.user_revokes) {
            sim.twin.revoke_all();
            sim.record_in_transcript(|| "a user revokes all grants at the server".to_owned());
        }
        for grant in 0..sim.grants.len() {
            if !per_worker_keys && sim.fault_occurs(odds.login) {
                sim.expect_login(grant);
            }
            if !per_worker_keys && sim.fault_occurs(odds.logout) {
                let after = sim.rng.between(0, MINUTE_MS);
                sim.later(after, move |sim| sim.log_out(grant));
            }
        }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        for worker in 0..self.workers.len() {
            let sim = Arc::clone(&self.sim);
            simulated::set(Box::new(move || lock(&sim).moment(worker)));
            self.end(worker);
        }
    }
}
