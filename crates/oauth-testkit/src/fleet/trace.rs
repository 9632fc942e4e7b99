//! Digests of the states of a simulation, for a search.
//!
//! A keeper is a function of its inputs, so the state of a worker is a digest of those, and likewise for the store and
//! the server. Two histories with equal digests continue alike, regardless of the order in which independent events
//! happened.

use std::hash::{DefaultHasher, Hash, Hasher as _};
use std::time::Duration;

use oauth_core::flow::keeper::{Event, Lease, SaveOutcome};

use super::rng::Rng;
use super::simulation::{DueEvent, Scheduled, Simulation};
use super::slot::{Message, Order};

#[derive(Debug, Clone, Hash)]
pub(super) struct Trace {
    record: u64,
    leases: u64,
    server: u64,
    workers: Vec<u64>,
    /// For each worker, a digest of everything that it could observe when it began to wait.
    waits: Vec<View>,
    /// Whether a worker waits because another holds the lease.
    is_barred: Vec<bool>,
}

/// Everything that a waiting worker could observe: the record, the time, and the leases if it waits for one.
type View = (u64, u64, Option<u64>);

impl Trace {
    pub(super) fn new(workers: usize) -> Self {
        Self {
            record: 0,
            leases: 0,
            server: 0,
            workers: (0..).take(workers).collect(),
            waits: vec![(0, 0, None); workers],
            is_barred: vec![false; workers],
        }
    }

    /// A worker's random numbers: the same in every history in which it got the same inputs.
    pub(super) fn seed(&self, worker: usize) -> [u8; 32] {
        Rng::new(digest(&(worker, self.workers[worker]))).seed()
    }
}

fn digest(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Simulation {
    /// Digests an input of a worker.
    pub(super) fn trace_text(&mut self, worker: usize, kind: &str, text: &str) {
        let (now, epoch) = (self.now, self.workers[worker].epoch);
        if let Some(trace) = &mut self.trace {
            let digest_so_far = &mut trace.workers[worker];
            *digest_so_far = digest(&(*digest_so_far, now, epoch, kind, text));
        }
    }

    pub(super) fn trace_event(&mut self, worker: usize, event: &Event) {
        if let Some(trace) = &mut self.trace {
            if let Event::Leased(lease) = event {
                trace.is_barred[worker] = *lease != Lease::Won;
            }
            let text = text(event);
            self.trace_text(worker, "event", &text);
        }
    }

    /// Digests a change of the record.
    pub(super) fn trace_record(&mut self, text: &str) {
        if let Some(trace) = &mut self.trace {
            trace.record = digest(&(trace.record, text));
        }
    }

    /// Digests a change of the lease.
    pub(super) fn trace_lease(&mut self, holder: &str, ttl: Duration) {
        let now = self.now;
        if let Some(trace) = &mut self.trace {
            trace.leases = digest(&(trace.leases, now, holder, ttl));
        }
    }

    /// Digests an action of the server.
    pub(super) fn trace_server(&mut self, send: usize, status: u16) {
        let token = self.ledger.sends[send].refresh.clone();
        if let Some(trace) = &mut self.trace {
            trace.server = digest(&(trace.server, token, status));
        }
    }

    fn view(&self, trace: &Trace, worker: usize) -> View {
        let leases = trace.is_barred[worker].then_some(trace.leases);
        (trace.record, self.now, leases)
    }

    /// Records that a worker begins to wait.
    pub(super) fn trace_wait(&mut self, worker: usize) {
        let view = self.trace.as_ref().map(|trace| self.view(trace, worker));
        if let (Some(trace), Some(view)) = (&mut self.trace, view) {
            trace.waits[worker] = view;
        }
    }

    /// Whether anything that a waiting worker observes has changed.
    pub(super) fn has_view_changed(&self, worker: usize) -> bool {
        let is_silent = self.workers[worker].slots[0].is_silent;
        let has_new_view = |trace: &Trace| self.view(trace, worker) != trace.waits[worker];
        is_silent || self.trace.as_ref().is_some_and(has_new_view)
    }

    /// The digest of the whole state, including pending events.
    pub(super) fn fingerprint(&self, rest: &[u8]) -> u64 {
        let mut under_way: Vec<_> = self
            .queue
            .iter()
            .map(|due| self.described(&due.0))
            .collect();
        under_way.sort_unstable();
        let workers: Vec<_> = self
            .workers
            .iter()
            .map(|worker| (worker.epoch, worker.is_up))
            .collect();
        digest(&(&self.trace, self.now, under_way, workers, rest))
    }

    fn described(&self, due: &DueEvent) -> (usize, u32, &'static str, String) {
        match &due.ev {
            Scheduled::Message {
                worker,
                epoch,
                message,
                ..
            } => {
                let (kind, text) = match message {
                    Message::Ask(caller) => ("ask", self.callers[*caller].describe()),
                    Message::Use(caller) => ("use", self.callers[*caller].describe()),
                    Message::Cancel(_) => ("cancel", String::new()),
                    Message::Begin(_) => ("begin", String::new()),
                    Message::Act(..) => ("act", String::new()),
                    Message::Launch(_) => ("launch", String::new()),
                    Message::StoreAnswered { event, .. } => ("heard", text(event)),
                    Message::Net { input, .. } => ("net", format!("{input:?}")),
                    Message::Answer(callers, outcome) => {
                        ("answer", format!("{} {}", callers.len(), outcome.is_ok()))
                    }
                    Message::Login(_) => ("login", String::new()),
                    Message::RetrySave => ("tend", String::new()),
                    Message::Upkeep => ("upkeep", String::new()),
                    Message::Extend(..) => ("extend", String::new()),
                    Message::Impatient(_) => ("impatient", String::new()),
                };
                (*worker, *epoch, kind, text)
            }
            Scheduled::Store {
                worker,
                epoch,
                order,
                ..
            } => {
                let text = match order {
                    Order::Load => "load".to_owned(),
                    Order::Lease(holder, ttl) | Order::Extend(holder, ttl) => {
                        format!("{holder} {ttl:?}")
                    }
                    Order::Save(record, version) => format!("{version} {}", record.expose()),
                };
                (*worker, *epoch, "store", text)
            }
            Scheduled::Arrival { send, .. } => {
                let send = &self.ledger.sends[*send];
                let token = send.refresh.clone().unwrap_or_default();
                (send.worker, send.epoch, "arrival", token)
            }
            Scheduled::Restart(worker) => (*worker, 0, "restart", String::new()),
            _ => (0, 0, "sim", String::new()),
        }
    }
}

/// An event in full, only for digests because it contains secrets.
fn text(event: &Event) -> String {
    match event {
        Event::Loaded(Some(entry)) => format!("{} {}", entry.version, entry.record.expose()),
        Event::Loaded(None) => "nothing".to_owned(),
        Event::Completed(Ok(tokens)) => tokens.access_token.expose().clone(),
        Event::Completed(Err(error)) | Event::Failed(error) => error.code().to_owned(),
        Event::Saved(SaveOutcome::At(version)) => format!("at {version}"),
        event => format!("{event:?}"),
    }
}
