//! A pool of worker processes; from time to time one is killed, and another one terminated.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::Deserialize as _;
use serde_json::Value;

use crate::hold::Hold;
use crate::round::ACCESS_TOKEN_LIFETIME;
use crate::tally::{Failure, History, Kill, Stop, Wait};
use crate::{Work, now};

/// The interval between kills: slightly longer than the life of a token, so that kills fall on expiries
/// as well as between them.
const KILL_EVERY: Duration = ACCESS_TOKEN_LIFETIME.saturating_add(Duration::from_millis(37));

/// The interval between terminations.
const STOP_EVERY: Duration = Duration::from_secs(3);

/// How long every other termination waits for a worker that renews.
const RENEWAL_WAIT: Duration = ACCESS_TOKEN_LIFETIME.saturating_add(Duration::from_millis(500));

/// The time in which a terminated worker has to end.
pub(crate) const TERMINATION_TIMEOUT: Duration = Duration::from_secs(10);

/// The length from which the second kill always hits a worker that holds the lease: all others then wait
/// for its expiry, which a shorter round would miss.
pub(crate) const LONG_ROUND: Duration = Duration::from_secs(20);

/// The worker processes of one round.
pub(crate) struct WorkerPool {
    work: String,
    workers: Vec<WorkerProcess>,
    /// The terminated workers that still run, and their deadlines.
    leaving: Vec<(WorkerProcess, Instant)>,
    /// The worker that only takes the lease.
    holder: Option<WorkerProcess>,
    receiver: Receiver<(usize, Value)>,
    sender: Sender<(usize, Value)>,
    started_count: usize,
    /// The reports of each process, dead or alive.
    reports: BTreeMap<usize, WorkerReport>,
    kills: Vec<(usize, u64)>,
    /// The workers that were terminated, and when each had ended.
    stops: BTreeMap<usize, u64>,
    history: History,
}

struct WorkerProcess {
    id: usize,
    process: Child,
}

#[derive(Default)]
struct WorkerReport {
    is_ready: bool,
    tokens: u64,
    hold: Hold,
    /// Whether it was renewing when it was terminated.
    renewed: bool,
}

impl WorkerPool {
    pub(crate) fn start(count: usize, work: &Work) -> Self {
        let (sender, receiver) = channel();
        let mut pool = Self {
            work: serde_json::to_string(work).expect("JSON"),
            workers: Vec::new(),
            leaving: Vec::new(),
            holder: None,
            receiver,
            sender,
            started_count: 0,
            reports: BTreeMap::new(),
            kills: Vec::new(),
            stops: BTreeMap::new(),
            history: History::default(),
        };
        for _ in 0..count {
            pool.start_worker();
        }
        pool
    }

    fn start_worker(&mut self) {
        let worker = self.spawn("work");
        self.workers.push(worker);
    }

    fn spawn(&mut self, task: &str) -> WorkerProcess {
        let mut process = Command::new(std::env::current_exe().expect("this program"))
            .args([task, &self.work])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a worker");
        self.started_count += 1;
        let (id, sender) = (self.started_count, self.sender.clone());
        let lines = BufReader::new(process.stdout.take().expect("a pipe")).lines();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                // A killed worker may leave an incomplete line.
                if let Ok(message) = serde_json::from_str(&line)
                    && sender.send((id, message)).is_err()
                {
                    return;
                }
            }
        });
        WorkerProcess { id, process }
    }

    /// Runs the workers for this long, kills one every two seconds, and terminates one every three.
    pub(crate) fn work(&mut self, length: Duration, mut log_in: impl FnMut()) {
        let start = Instant::now();
        let mut next_kill = start + KILL_EVERY + Duration::from_millis(100);
        let mut next_stop = start + STOP_EVERY;
        let mut last_check = start;
        loop {
            let before = std::mem::replace(&mut last_check, Instant::now());
            if !self.workers.iter().any(|worker| self.is_ready(worker)) {
                self.history.idle += last_check - before;
            }
            let has_time_passed = start.elapsed() >= length;
            if has_time_passed && self.leaving.is_empty() {
                return;
            }
            match self.receiver.recv_timeout(Duration::from_millis(20)) {
                Ok((id, message)) => self.handle_message(id, &message, &mut log_in),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => unreachable!("the pool has a sender"),
            }
            self.collect_ended_workers();
            let at = Instant::now();
            if !has_time_passed && at >= next_kill {
                if length >= LONG_ROUND && self.kills.len() == 1 && self.holder.is_none() {
                    self.holder = Some(self.spawn("hold"))
                } else {
                    self.kill_one()
                }
                next_kill += KILL_EVERY;
            }
            if !has_time_passed && at >= next_stop && self.stop_one(at.duration_since(next_stop)) {
                next_stop += STOP_EVERY;
            }
        }
    }

    fn handle_message(&mut self, id: usize, message: &Value, log_in: &mut impl FnMut()) {
        let report = self.reports.entry(id).or_default();
        report.is_ready |= message["ready"] == true;
        report.renewed |= message["renews"] == true;
        if let Ok(hold) = Hold::deserialize(&message["hold"]) {
            report.hold = hold;
        }
        if let Some(count) = message["ok"].as_u64() {
            report.tokens = count;
        }
        let at = message["at"].as_u64().unwrap_or_default();
        if let Some(length) = message["wait"].as_u64() {
            self.history.waits.push(Wait { at, length });
        }
        if let Some(code) = message["failed"].as_str() {
            let code = code.to_owned();
            let is_unknown = code == "grant.outcome_unknown";
            let text = message["text"].as_str().unwrap_or_default().to_owned();
            self.history.failures.push(Failure { at, code, text });
            if is_unknown && !self.history.is_logged_in_by(at) {
                log_in();
                self.history.logins.push(now());
            }
        }
        if let Some(holder) = self.holder.take_if(|holder| holder.id == id) {
            self.kill(holder);
        }
    }

    /// Kills a random worker.
    fn kill_one(&mut self) {
        let victim = any_of(self.workers.len());
        let worker = self.workers.swap_remove(victim);
        self.kill(worker);
        self.start_worker();
    }

    fn kill(&mut self, mut worker: WorkerProcess) {
        worker.process.kill().expect("it was alive");
        self.kills.push((worker.id, now()));
        worker.process.wait().expect("it is dead");
    }

    fn is_ready(&self, worker: &WorkerProcess) -> bool {
        self.reports
            .get(&worker.id)
            .is_some_and(|report| report.is_ready)
    }

    /// Terminates a worker; returns whether there was one. It must have reported that it is ready, because before that
    /// it might not handle the signal.
    fn stop_one(&mut self, overdue: Duration) -> bool {
        let renews = |worker: &WorkerProcess| {
            let report = self.reports.get(&worker.id);
            self.is_ready(worker) && report.is_some_and(|report| report.hold != Hold::Nothing)
        };
        let is_aimed = self.stops.len().is_multiple_of(2) && overdue < RENEWAL_WAIT;
        let ready: Vec<usize> = (0..self.workers.len())
            .filter(|&worker| {
                if is_aimed {
                    renews(&self.workers[worker])
                } else {
                    self.is_ready(&self.workers[worker])
                }
            })
            .collect();
        if ready.is_empty() {
            return false;
        }
        let worker = self.workers.swap_remove(ready[any_of(ready.len())]);
        // The worker may have ended by itself.
        let _ = kill_process(Pid::from_child(&worker.process), Signal::TERM);
        self.stops.insert(worker.id, now());
        self.leaving
            .push((worker, Instant::now() + TERMINATION_TIMEOUT));
        self.start_worker();
        true
    }

    fn collect_ended_workers(&mut self) {
        let wrong = &mut self.history.wrong;
        self.leaving.retain_mut(|(worker, until)| {
            self.stops.insert(worker.id, now());
            match worker.process.try_wait().expect("its state") {
                Some(status) if status.success() => false,
                Some(status) => {
                    wrong.push(format!("a terminated worker ended with {status}"));
                    false
                }
                None if Instant::now() < *until => true,
                None => {
                    wrong.push("a terminated worker did not end".to_owned());
                    worker.process.kill().expect("it was alive");
                    worker.process.wait().expect("it is dead");
                    false
                }
            }
        });
        let before = self.workers.len();
        self.workers.retain_mut(|worker| {
            let status = worker.process.try_wait().expect("its state");
            if let Some(status) = status {
                wrong.push(format!("a worker ended by itself, with {status}"));
            }
            status.is_none()
        });
        for _ in self.workers.len()..before {
            self.start_worker();
        }
    }

    /// Ends all workers, and returns the history.
    pub(crate) fn end(mut self) -> History {
        for mut worker in self.workers.drain(..).chain(self.holder.take()) {
            // It may have ended by itself.
            let _ = worker.process.kill();
            let _ = worker.process.wait();
        }
        // Reports of dead workers may still be in the channel.
        let (sender, _) = channel();
        self.sender = sender;
        while let Ok((id, message)) = self.receiver.recv() {
            self.handle_message(id, &message, &mut || {});
        }
        let report_of = |id: &usize| self.reports.get(id);
        let hold = |id: &usize| report_of(id).map_or(Hold::Nothing, |told| told.hold);
        let mut history = self.history;
        history.tokens = self.reports.values().map(|report| report.tokens).sum();
        let kills = self.kills.iter();
        history.kills = kills
            .map(|(id, at)| Kill {
                at: *at,
                hold: hold(id),
            })
            .collect();
        let stops = self.stops.iter();
        history.stops = stops
            .map(|(id, stopped_at)| Stop {
                stopped_at: *stopped_at,
                still_held: hold(id),
                renewed: report_of(id).is_some_and(|report| report.renewed),
            })
            .collect();
        history
    }
}

fn any_of(count: usize) -> usize {
    let mut seed = [0];
    getrandom::fill(&mut seed).expect("chance");
    usize::from(seed[0]) % count
}
