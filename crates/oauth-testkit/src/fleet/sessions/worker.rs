//! The workers: each a runtime of its own, and all of them in turns.

use std::sync::Arc;
use std::time::Duration;

use oauth_session::{Session, simulated};
use tokio::runtime::{Builder, Runtime};
use tokio::time::Instant;

use super::super::people::Mood;
use super::super::world::{client, millis, window};
use super::super::{Breach, Rule};
use super::caller;
use super::host::{Driver, Line, Store};
use super::rules::TURN;
use super::stage::{Member, Shared, lock};

const MINUTE: u64 = 60_000;

/// So long a worker may take to end in good order, in milliseconds.
const DRAIN: u64 = 10_000;

pub(super) struct Crew {
    stage: Shared,
    workers: Vec<Worker>,
    now: u64,
    weather_at: u64,
}

struct Worker {
    runtime: Option<Runtime>,
    lines: Vec<(Line, Session)>,
    /// When one that died comes back.
    up_at: u64,
    asleep_until: u64,
    visit_at: u64,
    /// When a worker that ends in good order is gone.
    ends_at: Option<u64>,
}

impl Crew {
    pub(super) fn new(stage: Shared) -> Self {
        let count = lock(&stage).setup.workers;
        let worker = |_| Worker {
            runtime: None,
            lines: Vec::new(),
            up_at: 0,
            asleep_until: 0,
            visit_at: 0,
            ends_at: None,
        };
        Self {
            stage,
            workers: (0..count).map(worker).collect(),
            now: 0,
            weather_at: MINUTE,
        }
    }

    pub(super) fn play(&mut self) -> Result<(), Breach> {
        let (trouble, attempt) = {
            let stage = lock(&self.stage);
            (
                millis(stage.setup.trouble),
                millis(stage.setup.policy.lease),
            )
        };
        let last_round = trouble + 5 * attempt;
        let mut is_last_round = false;
        loop {
            self.turns()?;
            let mut stage = lock(&self.stage);
            if self.now >= trouble && !stage.calm {
                stage.calm = true;
                stage.note(|| "all is well from now on".to_owned());
            }
            if is_last_round && stage.open.is_empty() {
                return Ok(());
            }
            if self.now >= last_round + 2 * MINUTE {
                let left = stage.open.values().min().cloned().unwrap_or_default();
                let text = format!("{left}, has no answer when all trouble was over");
                return Err(Breach(Rule::Answered, text));
            }
            drop(stage);
            if self.now >= last_round && !is_last_round {
                is_last_round = true;
                for worker in 0..self.workers.len() {
                    for (line, session) in self.workers[worker].lines.clone() {
                        self.spawn(worker, caller::call(line, session, Mood::Patient));
                    }
                }
            }
        }
    }

    /// A turn of each worker, in an order that is drawn.
    fn turns(&mut self) -> Result<(), Breach> {
        let (span, first) = {
            let mut stage = lock(&self.stage);
            let longest = stage.dice.pick(&[20, 200, TURN]);
            (
                stage.dice.between(1, longest),
                stage.dice.index(self.workers.len()),
            )
        };
        self.now += span;
        self.weather();
        for number in 0..self.workers.len() {
            self.turn((first + number) % self.workers.len(), span);
            if let Some(breach) = lock(&self.stage).breach.take() {
                return Err(breach);
            }
        }
        lock(&self.stage).catch_up();
        self.log_ins();
        Ok(())
    }

    fn turn(&mut self, worker: usize, span: u64) {
        let stage = Arc::clone(&self.stage);
        simulated::set(Box::new(move || lock(&stage).moment(worker)));
        let us = &mut self.workers[worker];
        if us.runtime.is_none() {
            lock(&self.stage).clocks[worker].at = self.now;
            if us.up_at <= self.now {
                self.start(worker);
            }
            return;
        }
        if us.asleep_until > self.now {
            return;
        }
        self.catch_up(worker, self.now - span);
        self.trouble(worker);
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

    /// A worker that has stood still: all that it waited for is due at once.
    fn catch_up(&self, worker: usize, to: u64) {
        let mut stage = lock(&self.stage);
        let behind = to.saturating_sub(stage.clocks[worker].at);
        if behind == 0 {
            return;
        }
        stage.clocks[worker].awake_since = to;
        drop(stage);
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
                lock(&self.stage).clocks[worker].since = Some(Instant::now());
                wait(Duration::from_millis(span)).await;
            });
        }
        let clock = &mut lock(&self.stage).clocks[worker];
        clock.since = None;
        clock.at += span;
    }

    fn spawn(&self, worker: usize, task: impl Future<Output = ()> + Send + 'static) {
        if let Some(runtime) = &self.workers[worker].runtime {
            runtime.spawn(task);
        }
    }

    /// A worker begins, with nothing in its hands: two sessions of each grant.
    fn start(&mut self, worker: usize) {
        self.new_runtime(worker);
        let grants = lock(&self.stage).grants.len();
        // What the sessions of one process share.
        let client = client(&lock(&self.stage).twin);
        for grant in (0..grants).chain(0..grants) {
            let mut stage = lock(&self.stage);
            let member = stage.members.len();
            stage.members.push(Member::new(worker, grant));
            let (keeper, id) = (stage.keeper(&client), stage.grants[grant].id.clone());
            drop(stage);
            let line = Line {
                stage: Arc::clone(&self.stage),
                member,
                worker,
                grant,
            };
            let store = Arc::new(Store(line.clone()));
            let hook = line.clone();
            let session = Session::shared(Driver(line.clone()), keeper, id, store);
            let session = session.on_tokens(move |tokens| {
                hook.act(|stage| stage.hooked(hook.member, tokens));
            });
            caller::register(member, &session);
            self.workers[worker].lines.push((line, session));
        }
    }

    fn new_runtime(&mut self, worker: usize) {
        let runtime = Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build();
        self.workers[worker].runtime = Some(runtime.expect("a runtime without sockets"));
    }

    /// A worker ends: its tasks first, and then its sessions.
    fn end(&mut self, worker: usize) {
        let us = &mut self.workers[worker];
        us.ends_at = None;
        us.asleep_until = 0;
        for (line, _) in &us.lines {
            lock(&self.stage).members[line.member].is_alive = false;
        }
        drop(us.runtime.take());
        for (line, _) in std::mem::take(&mut us.lines) {
            caller::forget(line.member);
        }
    }

    fn trouble(&mut self, worker: usize) {
        let mut stage = lock(&self.stage);
        let odds = stage.setup.odds;
        let spans = [millis(stage.setup.policy.lease), window(&stage.setup)];
        // The odds are those of a step, and there are more turns than that.
        if self.workers[worker].ends_at.is_some() || !stage.dice.hits(1000) {
            return;
        }
        if stage.hits(odds.crash) {
            stage.report.crashes += 1;
            let down = stage.dice.between(100, MINUTE);
            stage.note(|| format!("worker {worker} dies"));
            drop(stage);
            self.end(worker);
            self.workers[worker].up_at = self.now + down;
        } else if stage.hits(odds.abandon) {
            stage.report.abandoned += 1;
            stage.note(|| format!("the runtime of worker {worker} ends, its sessions go on"));
            drop(stage);
            drop(self.workers[worker].runtime.take());
            for (line, _) in &self.workers[worker].lines {
                let us = &mut lock(&self.stage).members[line.member];
                us.logging_in = 0;
                us.has_lost_tasks = true;
            }
            self.new_runtime(worker);
        } else if stage.hits(odds.abandon) {
            stage.note(|| format!("worker {worker} ends in good order"));
            drop(stage);
            self.workers[worker].ends_at = Some(self.now + DRAIN + TURN);
            for (line, session) in self.workers[worker].lines.clone() {
                self.spawn(worker, async move {
                    if session.drain(Duration::from_millis(DRAIN)).await.is_ok() {
                        line.act(|stage| {
                            let result = stage.drained(line.member);
                            stage.judge(result);
                        });
                    }
                });
            }
        } else if stage.hits(odds.pause) {
            let longest = 3 * stage.dice.pick(&spans);
            let span = stage.dice.between(100, longest);
            stage.report.pauses += 1;
            stage.note(|| format!("worker {worker} stands still for {span} ms"));
            self.workers[worker].asleep_until = self.now + span;
        }
    }

    /// Callers come, some of whom do not stay.
    fn visit(&mut self, worker: usize) {
        let mut stage = lock(&self.stage);
        if self.workers[worker].visit_at > self.now || stage.calm {
            return;
        }
        self.workers[worker].visit_at = self.now + stage.dice.between(1000, 30_000);
        let count = match stage.dice.hits(1500) {
            true => stage.dice.between(2, 5),
            false => 1,
        };
        let lines = &self.workers[worker].lines;
        if lines.is_empty() {
            return;
        }
        let line = stage.dice.index(lines.len());
        drop(stage);
        for _ in 0..count {
            let (line, session) = self.workers[worker].lines[line].clone();
            let leaves = line.act(|stage| {
                let odds = stage.setup.odds.cancel;
                stage.hits(odds).then(|| stage.dice.between(10, 5000))
            });
            let stage = Arc::clone(&self.stage);
            self.spawn(worker, async move {
                let call = caller::call(line, session, Mood::Hasty);
                let Some(patience) = leaves else {
                    return call.await;
                };
                let patience = Duration::from_millis(patience);
                if tokio::time::timeout(patience, call).await.is_err() {
                    lock(&stage).report.cancelled += 1;
                }
            });
        }
    }

    /// People who are due to log in come back to any worker that is awake.
    fn log_ins(&mut self) {
        let grants = lock(&self.stage).grants.len();
        for grant in 0..grants {
            let mut stage = lock(&self.stage);
            if stage.grants[grant].login_at.is_none_or(|at| at > self.now) {
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
            stage.grants[grant].login_at = None;
            let (line, session) = awake[stage.dice.index(awake.len())].clone();
            drop(stage);
            self.spawn(line.worker, caller::log_in(line, session));
        }
    }

    fn weather(&mut self) {
        let mut stage = lock(&self.stage);
        if stage.calm || self.now < self.weather_at {
            return;
        }
        self.weather_at += MINUTE;
        let (odds, own) = (stage.setup.odds, stage.setup.own);
        if stage.hits(odds.outage) {
            stage.server_down_until = self.now + stage.dice.between(5000, 2 * MINUTE);
            stage.note(|| "the token endpoint goes down".to_owned());
        }
        if stage.hits(odds.store_outage) {
            stage.store_down_until = self.now + stage.dice.between(5000, 2 * MINUTE);
            stage.note(|| "the store goes down".to_owned());
        }
        if stage.hits(odds.withdrawn) {
            stage.twin.revoke_all();
            stage.note(|| "the server ends all grants, as a person wished".to_owned());
        }
        for grant in 0..stage.grants.len() {
            if !own && stage.hits(odds.login) {
                stage.expect_login(grant);
            }
            if !own && stage.hits(odds.logout) {
                let after = stage.dice.between(0, MINUTE);
                stage.later(after, move |stage| stage.log_out(grant));
            }
        }
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        for worker in 0..self.workers.len() {
            let stage = Arc::clone(&self.stage);
            simulated::set(Box::new(move || lock(&stage).moment(worker)));
            self.end(worker);
        }
    }
}
