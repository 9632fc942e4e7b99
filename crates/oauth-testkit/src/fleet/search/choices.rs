//! The choices of a search: the events that may be next.

use std::cmp::Reverse;

use oauth_core::exchange::Input;
use oauth_core::flow::keeper::{Event, Reuse};

use super::super::Breach;
use super::super::callers::CallerPatience;
use super::super::simulation::{DueEvent, Scheduled, Simulation, millis, window};
use super::super::slot::Message;

/// The troubles that have not occurred yet.
#[derive(Debug, Clone)]
pub(super) struct RemainingTroubles {
    troubles: u32,
    has_occurred: [HasOccurred; 6],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HasOccurred {
    No,
    Yes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    Login,
    Logout,
    Crash,
    LostReply,
    StoreFails,
    StandStill,
}

impl RemainingTroubles {
    pub(super) const fn new(troubles: u32) -> Self {
        Self {
            troubles,
            has_occurred: [HasOccurred::No; 6],
        }
    }

    fn is_allowed(&self, trouble: Trouble) -> bool {
        self.troubles > 0 && self.has_occurred[trouble as usize] == HasOccurred::No
    }

    const fn count(&mut self, trouble: Trouble) {
        self.troubles -= 1;
        self.has_occurred[trouble as usize] = HasOccurred::Yes;
    }

    fn has_occurred(&self, trouble: Trouble) -> bool {
        self.has_occurred[trouble as usize] == HasOccurred::Yes
    }

    /// Whether nothing has happened that can lose a grant.
    pub(super) fn has_lost_nothing(&self, reuse: &Reuse) -> bool {
        // Only the worker itself knows whether its marker is valid.
        let is_doubted = *reuse == Reuse::Revokes && self.has_occurred(Trouble::StoreFails);
        let costly = [
            Trouble::Logout,
            Trouble::Crash,
            Trouble::LostReply,
            Trouble::StandStill,
        ];
        !is_doubted && !costly.iter().any(|trouble| self.has_occurred(*trouble))
    }

    /// Whether the user has logged out.
    pub(super) fn is_removed(&self) -> bool {
        self.has_occurred(Trouble::Logout)
    }

    pub(super) fn has_died(&self) -> bool {
        self.has_occurred(Trouble::Crash)
    }

    pub(super) fn digest(&self) -> [u8; 6] {
        self.has_occurred
            .map(|occurred| u8::from(occurred == HasOccurred::Yes))
    }
}

/// One step. An event is identified by the number under which it was posted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Choice {
    /// This event happens next.
    Next(u64),
    /// A worker gives up on the store. Its order may have been executed, or will be.
    Silent(u64),
    /// The store refuses this order, and the worker gets the refusal.
    Refused {
        order: u64,
        refusal: u64,
    },
    /// A worker gives up on the server.
    LostReply(u64),
    Crash(usize),
    LogIn(usize),
    LogOut,
    /// Both workers are suspended for this many milliseconds, although events are due.
    StandStill(u64),
    /// Time passes until the next event.
    Wait(u64),
}

/// How a search treats an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// The receiver no longer exists.
    Void,
    /// Others cannot see its effect: its order does not matter.
    Private,
    /// Others cannot see its effect, but a trouble may come before it.
    Local,
    /// Others can see its effect.
    Step,
    /// The store executes an order.
    Store,
    /// The server processes a request.
    Arrival,
    /// A worker's wait for the store or the server times out.
    StoreTimeout,
    NetTimeout,
    Elapsed,
    /// It is postponed to the end.
    Later,
}

impl Simulation {
    fn kind(&self, ev: &Scheduled) -> Kind {
        match ev {
            Scheduled::Message {
                worker,
                epoch,
                grant,
                message,
            } => {
                let worker_state = &self.workers[*worker];
                let slot = &worker_state.slots[*grant];
                if worker_state.epoch != *epoch || !worker_state.is_up {
                    return Kind::Void;
                }
                match message {
                    Message::Begin(round)
                    | Message::Act(round, _)
                    | Message::Launch(round)
                    | Message::Extend(round, _)
                        if *round != slot.round =>
                    {
                        Kind::Void
                    }
                    Message::StoreAnswered { call, .. } if slot.call != Some(*call) => Kind::Void,
                    Message::StoreAnswered { event, .. } => match event {
                        Event::Failed(_) => Kind::StoreTimeout,
                        Event::Elapsed => Kind::Elapsed,
                        _ => Kind::Local,
                    },
                    Message::Net { send, .. } if self.ledger.is_closed(*send) => Kind::Void,
                    Message::Net { input, .. } => match input {
                        Input::Lost(_) => Kind::NetTimeout,
                        _ => Kind::Local,
                    },
                    Message::Act(..)
                    | Message::Answer(..)
                    | Message::Use(_)
                    | Message::Cancel(_) => Kind::Private,
                    Message::Ask(_)
                    | Message::Begin(_)
                    | Message::RetrySave
                    | Message::Login(_) => Kind::Local,
                    Message::Launch(_) => Kind::Step,
                    Message::Extend(..) | Message::Impatient(_) | Message::Upkeep => Kind::Later,
                }
            }
            Scheduled::Store { .. } => Kind::Store,
            Scheduled::Arrival { .. } => Kind::Arrival,
            Scheduled::Restart(_) => Kind::Step,
            _ => Kind::Later,
        }
    }

    /// Runs private events, and discards those without a receiver.
    pub(super) fn settle(&mut self) -> Result<(), Breach> {
        loop {
            let mut events = std::mem::take(&mut self.queue).into_vec();
            events.retain(|due| self.kind(&due.0.ev) != Kind::Void);
            let private = |due: &&Reverse<DueEvent>| self.kind(&due.0.ev) == Kind::Private;
            let first = events.iter().filter(private).map(|due| due.0.posted).min();
            self.queue = events.into();
            match first {
                Some(posted) => self.pass(posted)?,
                None => return Ok(()),
            }
        }
    }

    fn take(&mut self, posted: u64) -> Option<Scheduled> {
        let mut events = std::mem::take(&mut self.queue).into_vec();
        let position = events.iter().position(|due| due.0.posted == posted);
        let taken = position.map(|place| events.swap_remove(place).0.ev);
        self.queue = events.into();
        taken
    }

    fn pass(&mut self, posted: u64) -> Result<(), Breach> {
        match self.take(posted) {
            Some(ev) => self.handle(ev),
            None => Ok(()),
        }
    }

    /// All possible next steps, in a deterministic order.
    pub(super) fn choices(&self, remaining: &RemainingTroubles) -> Vec<Choice> {
        let mut events: Vec<_> = self.queue.iter().map(|due| &due.0).collect();
        events.sort_unstable_by_key(|due| due.posted);
        let is_local = |due: &&&DueEvent| match (self.kind(&due.ev), &due.ev) {
            (Kind::Elapsed, Scheduled::Message { worker, .. }) => self.has_view_changed(*worker),
            (kind, _) => kind == Kind::Local,
        };
        let is_seen = |due: &&DueEvent| {
            let kind = self.kind(&due.ev);
            matches!(kind, Kind::Step | Kind::Store | Kind::Arrival)
        };
        let seen = events.iter().copied().filter(is_seen);
        // Local events come first: their order relative to other workers' events does not matter.
        let mut choices: Vec<_> = match events.iter().find(is_local) {
            Some(due) => vec![Choice::Next(due.posted)],
            None => seen.map(|due| Choice::Next(due.posted)).collect(),
        };
        let is_under_way = events.iter().any(|due| {
            let kind = self.kind(&due.ev);
            matches!(kind, Kind::Store | Kind::Arrival)
        });
        let spans = [millis(self.setup.policy.lease), window(&self.setup)];
        let [lease, attempt] = spans.map(|span| span + 3000);
        let waits = |due: &&&DueEvent| self.kind(&due.ev) == Kind::Elapsed;
        if choices.is_empty() && events.iter().any(|due| waits(&due)) {
            choices.push(Choice::Wait(attempt));
        }
        for due in &events {
            match self.kind(&due.ev) {
                Kind::StoreTimeout if remaining.is_allowed(Trouble::StoreFails) => {
                    choices.push(Choice::Silent(due.posted));
                    let order = events
                        .iter()
                        .find(|other| belongs_to_timeout(&other.ev, &due.ev));
                    choices.extend(order.map(|order| Choice::Refused {
                        order: order.posted,
                        refusal: due.posted,
                    }));
                }
                Kind::NetTimeout if remaining.is_allowed(Trouble::LostReply) => {
                    choices.push(Choice::LostReply(due.posted));
                }
                _ => {}
            }
        }
        for worker in 0..self.workers.len() {
            if self.workers[worker].is_up && remaining.is_allowed(Trouble::Crash) {
                choices.push(Choice::Crash(worker));
            }
            if self.workers[worker].is_up && remaining.is_allowed(Trouble::Login) {
                choices.push(Choice::LogIn(worker));
            }
        }
        if remaining.is_allowed(Trouble::Logout) {
            choices.push(Choice::LogOut);
        }
        // The network delays no message for that long.
        if remaining.is_allowed(Trouble::StandStill) && !is_under_way {
            choices.push(Choice::StandStill(lease));
            choices.push(Choice::StandStill(attempt));
        }
        choices
    }

    pub(super) fn choose(
        &mut self,
        remaining: &mut RemainingTroubles,
        number: usize,
    ) -> Result<(), Breach> {
        let Some(choice) = self.choices(remaining).get(number).copied() else {
            return Ok(());
        };
        let trouble = match choice {
            Choice::Next(_) | Choice::Wait(_) => None,
            Choice::Silent(_) | Choice::Refused { .. } => Some(Trouble::StoreFails),
            Choice::LostReply(_) => Some(Trouble::LostReply),
            Choice::Crash(_) => Some(Trouble::Crash),
            Choice::LogIn(_) => Some(Trouble::Login),
            Choice::LogOut => Some(Trouble::Logout),
            Choice::StandStill(_) => Some(Trouble::StandStill),
        };
        if let Some(trouble) = trouble {
            remaining.count(trouble);
            self.record_in_transcript(|| format!("trouble: {trouble:?}"));
        }
        match choice {
            Choice::Refused { order, refusal } => {
                drop(self.take(order));
                self.pass(refusal)
            }
            Choice::Silent(posted) | Choice::LostReply(posted) => self.pass(posted),
            Choice::Next(posted) => match self.take(posted) {
                Some(Scheduled::Restart(worker)) => {
                    self.handle(Scheduled::Restart(worker))?;
                    self.add_caller(worker, 0, CallerPatience::Hasty);
                    Ok(())
                }
                Some(ev) => self.handle(ev),
                None => Ok(()),
            },
            Choice::Crash(worker) => {
                self.crash(worker);
                Ok(())
            }
            Choice::LogIn(worker) => self.log_in_at(worker, 0),
            Choice::LogOut => {
                self.log_out(0);
                self.trace_record("removed");
                Ok(())
            }
            Choice::StandStill(span) | Choice::Wait(span) => {
                self.now += span;
                for worker in &mut self.workers {
                    worker.awake_since = self.now;
                }
                Ok(())
            }
        }
    }
}

/// Whether `timeout` belongs to this order.
fn belongs_to_timeout(order: &Scheduled, timeout: &Scheduled) -> bool {
    match (order, timeout) {
        (
            Scheduled::Store { call, .. },
            Scheduled::Message {
                message: Message::StoreAnswered { call: awaited, .. },
                ..
            },
        ) => call == awaited,
        _ => false,
    }
}
