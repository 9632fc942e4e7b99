//! The event loop of a history.

use super::state::{Event, Odds, Simulation, Worker};
use super::task::Work;
use super::{Breach, WebRule};

/// The maximum time until a dead worker restarts, in milliseconds.
const MAX_RESTART_MS: u64 = 20_000;

/// The time after which sessions left half created by a dead worker may be cleaned up, in milliseconds.
const LEFT_BEHIND: u64 = 400_000;

impl Simulation {
    pub(super) fn run(&mut self) -> Result<(), Breach> {
        let trouble = self.rng.between(200_000, 700_000);
        for browser in 0..self.browsers.len() {
            let after = self.rng.between(0, 5_000);
            self.schedule(after, Event::Act(browser));
        }
        self.run_until(trouble)?;
        self.record_in_transcript(|| "no more faults from now on".to_owned());
        self.odds = Odds::default();
        self.queue
            .retain(|_, event| !matches!(event, Event::Act(_)));
        self.run_to_completion()?;
        self.now += LEFT_BEHIND;
        self.last_round()?;
        self.check_end()
    }

    fn run_until(&mut self, end: u64) -> Result<(), Breach> {
        while self
            .queue
            .first_key_value()
            .is_some_and(|((at, _), _)| *at < end)
        {
            self.happen_next()?;
        }
        self.now = self.now.max(end);
        Ok(())
    }

    /// Runs until nothing is under way.
    pub(super) fn run_to_completion(&mut self) -> Result<(), Breach> {
        let limit = self.now + 600_000;
        while !self.queue.is_empty() {
            self.happen_next()?;
            if self.now > limit {
                let text = "the events never end".to_owned();
                return Err(Breach(WebRule::Answered, text));
            }
        }
        if self.tasks.is_empty() {
            Ok(())
        } else {
            Err(Breach(WebRule::Answered, "somebody waits".to_owned()))
        }
    }

    fn happen_next(&mut self) -> Result<(), Breach> {
        let Some(((at, _), event)) = self.queue.pop_first() else {
            return Ok(());
        };
        self.now = self.now.max(at);
        self.happen(event)
    }

    fn happen(&mut self, event: Event) -> Result<(), Breach> {
        match event {
            Event::Act(browser) => {
                self.act(browser);
                Ok(())
            }
            Event::Request(tab) => {
                self.receive_request(tab);
                Ok(())
            }
            Event::Restart(worker) => {
                self.workers[worker].is_up = true;
                self.record_in_transcript(|| format!("worker {worker} is back"));
                Ok(())
            }
            Event::Store(id, order, reply_arrival) => {
                self.execute_order(id, order, reply_arrival);
                Ok(())
            }
            Event::Provider(id, request, reply_arrival) => {
                self.reach_provider(id, request, reply_arrival);
                Ok(())
            }
            Event::Extend(id) => {
                self.extend(id);
                Ok(())
            }
            Event::Answer(id, outcome) => {
                let Some(task) = self.tasks.get(&id) else {
                    return Ok(());
                };
                if self.rng.chance(self.odds.crash) {
                    self.crash(task.worker);
                    return Ok(());
                }
                if self.is_delayed(id) {
                    let pause = self.rng.between(5_000, 60_000);
                    self.schedule(pause, Event::Answer(id, outcome));
                    return Ok(());
                }
                self.proceed(id, outcome)
            }
        }
    }

    /// Whether this step of a task is delayed. Requests under way still time out.
    fn is_delayed(&mut self, id: u64) -> bool {
        let is_flying = matches!(
            self.tasks.get(&id).map(|task| &task.work),
            Some(Work::Renewal(renewing)) if renewing.exchange.is_some()
        );
        let stalls = !is_flying && self.rng.chance(self.odds.stall);
        self.report.stalls += u64::from(stalls);
        stalls
    }

    fn crash(&mut self, worker: usize) {
        self.record_in_transcript(|| format!("worker {worker} dies"));
        self.report.crashes += 1;
        let dead: Vec<u64> = self
            .tasks
            .iter()
            .filter(|(_, task)| task.worker == worker)
            .map(|(id, _)| *id)
            .collect();
        for id in dead {
            self.report.cut_short += 1;
            let Some(task) = self.tasks.remove(&id) else {
                continue;
            };
            self.ledger.record_death(&task.work);
        }
        let away = self.rng.between(100, MAX_RESTART_MS);
        self.workers[worker] = Worker {
            is_up: false,
            ..Worker::new()
        };
        self.schedule(away, Event::Restart(worker));
    }
}
