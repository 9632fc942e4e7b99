//! The simulated callers, which request tokens, use them, give up, and log in again.

use std::sync::Arc;

use oauth_core::danger;
use oauth_core::error::{Advice, Error};
use oauth_core::exchange::{Exchange as _, Input, Step as Move};
use oauth_core::flow::keeper::{Decision, SaveOutcome};
use oauth_core::{Scope, Secret, Tokens};

use super::simulation::{Scheduled, Simulation, millis};
use super::slot::Message;
use super::{Breach, Flaw, Rule};

/// The time that a caller with a valid token waits for a newer one, in milliseconds.
const GOOD_ENOUGH: u64 = 1000;

/// A caller of a worker, which needs a token to use it once.
pub(super) struct Caller {
    pub(super) worker: usize,
    pub(super) grant: usize,
    pub(super) asked_at: u64,
    wait_limit: CallerPatience,
    held: Option<Arc<Tokens>>,
    refused: Option<Arc<Tokens>>,
    is_open: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum CallerPatience {
    /// Gives up at the first error, and at the second token that does not work.
    Hasty,
    /// Does not give up.
    Patient,
}

impl Caller {
    pub(super) const fn is_open(&self) -> bool {
        self.is_open
    }

    /// The caller's full state, including secrets, for digests of states.
    pub(super) fn describe(&self) -> String {
        let access = |tokens: &Option<Arc<Tokens>>| {
            let tokens = tokens.as_ref();
            tokens.map(|tokens| tokens.access_token.expose().clone())
        };
        let (held, refused) = (access(&self.held), access(&self.refused));
        format!(
            "{:?} {} {held:?} {refused:?}",
            self.wait_limit, self.is_open
        )
    }

    pub(super) fn close(&mut self) {
        self.is_open = false;
        self.held = None;
        self.refused = None;
    }
}

impl Simulation {
    /// One or several callers come to the worker, and the next visit is scheduled.
    pub(super) fn visit(&mut self, worker: usize) {
        let is_idle = self
            .setup
            .idle_after
            .is_some_and(|idle| millis(idle) <= self.now);
        if self.calm || is_idle {
            return;
        }
        let count = if self.rng.chance(1500) {
            self.rng.between(2, 5)
        } else {
            1
        };
        let grant = self.rng.index(self.grants.len());
        if self.workers[worker].is_up {
            for _ in 0..count {
                self.add_caller(worker, grant, CallerPatience::Hasty);
            }
        }
        let next = self.rng.between(1000, 30_000);
        self.post(next, Scheduled::Visit(worker));
    }

    pub(super) fn add_caller(&mut self, worker: usize, grant: usize, wait_limit: CallerPatience) {
        let caller = self.callers.len();
        self.callers.push(Caller {
            worker,
            grant,
            asked_at: self.now,
            wait_limit,
            held: None,
            refused: None,
            is_open: true,
        });
        self.report.callers += 1;
        self.notify(0, worker, grant, Message::Ask(caller));
    }

    pub(super) fn request_token(&mut self, caller: usize) -> Result<(), Breach> {
        let Caller { worker, grant, .. } = self.callers[caller];
        if !self.callers[caller].is_open {
            return Ok(());
        }
        let refused = self.callers[caller].refused.clone();
        let now = self.clock(worker);
        let refused_token = refused.as_ref().map(|tokens| &tokens.access_token);
        self.trace_text(
            worker,
            "ask",
            refused_token.map_or("", |token| token.expose()),
        );
        let slot = self.slot(worker, grant);
        let decision = slot.keeper.ask(now, refused.as_deref());
        self.note_for(worker, grant, |ledger| {
            let about = refused.as_ref().map_or(String::new(), |tokens| {
                format!(
                    ", {} was refused",
                    ledger.name(tokens.access_token.expose())
                )
            });
            format!(
                "caller {caller} asks{about}: {}",
                ledger.decision(&decision)
            )
        });
        match decision {
            Decision::UseToken(tokens) => {
                self.check_hand_out(worker, grant, &tokens)?;
                self.hand_out(caller, &tokens)?;
            }
            Decision::UseAndRenew(tokens) => {
                self.begin(worker, grant);
                self.check_hand_out(worker, grant, &tokens)?;
                self.hand_out(caller, &tokens)?;
            }
            Decision::Renew => {
                self.begin(worker, grant);
                self.slot(worker, grant).leader = Some(caller);
                self.wait(caller);
            }
            Decision::Wait => self.wait(caller),
            Decision::Fail(error) => {
                self.check_refusal(worker, grant, &error, true)?;
                self.refuse(caller, &error)?;
            }
        }
        Ok(())
    }

    pub(super) fn begin(&mut self, worker: usize, grant: usize) {
        let round = self.slot(worker, grant).round;
        self.notify(0, worker, grant, Message::Begin(round));
    }

    fn wait(&mut self, caller: usize) {
        let Caller { worker, grant, .. } = self.callers[caller];
        self.slot(worker, grant).waiting.push(caller);
        self.notify(GOOD_ENOUGH, worker, grant, Message::Impatient(caller));
        if !self.calm && self.rng.chance(self.setup.odds.cancel) {
            let after = self.rng.between(10, 5000);
            self.notify(after, worker, grant, Message::Cancel(caller));
        }
    }

    /// A caller takes the current token, if it is valid. The renewal continues.
    pub(super) fn lose_patience(&mut self, caller: usize) -> Result<(), Breach> {
        let Caller { worker, grant, .. } = self.callers[caller];
        let now = self.clock(worker);
        let slot = self.slot(worker, grant);
        let position = slot.waiting.iter().position(|waiting| *waiting == caller);
        let (Some(place), Some(tokens)) = (position, slot.keeper.usable_tokens(now)) else {
            return Ok(());
        };
        let refused = self.callers[caller].refused.as_ref();
        let access = tokens.access_token.expose();
        if refused.is_some_and(|refused| refused.access_token.expose() == access) {
            return Ok(());
        }
        self.slot(worker, grant).waiting.remove(place);
        self.report.impatient += 1;
        self.note_for(worker, grant, |ledger| {
            format!("caller {caller} takes {}", ledger.tokens(&tokens))
        });
        self.check_hand_out(worker, grant, &tokens)?;
        self.hand_out(caller, &tokens)
    }

    /// A caller gives up during the renewal, which continues.
    pub(super) fn cancel(&mut self, caller: usize) -> Result<(), Breach> {
        let Caller { worker, grant, .. } = self.callers[caller];
        let slot = self.slot(worker, grant);
        let Some(position) = slot.waiting.iter().position(|waiting| *waiting == caller) else {
            return Ok(());
        };
        slot.waiting.remove(position);
        let is_leader = slot.leader == Some(caller);
        self.callers[caller].close();
        self.report.cancelled += 1;
        self.note_for(worker, grant, |_| format!("caller {caller} gives up"));
        if is_leader && self.setup.flaw == Some(Flaw::DropOnCancel) {
            self.drop_request_of_caller(worker, grant);
        }
        Ok(())
    }

    /// Hands a token to a caller, which uses it soon.
    pub(super) fn hand_out(&mut self, caller: usize, tokens: &Arc<Tokens>) -> Result<(), Breach> {
        let Caller { worker, grant, .. } = self.callers[caller];
        if !self.callers[caller].is_open {
            return Ok(());
        }
        let refused = self.callers[caller].refused.as_ref();
        let access = tokens.access_token.expose();
        if refused.is_some_and(|refused| refused.access_token.expose() == access) {
            let text = format!(
                "worker {worker} hands out {}, which this caller has just reported as refused",
                self.ledger.name(access)
            );
            return Err(Breach(Rule::Newest, text));
        }
        self.copy(grant, tokens);
        self.callers[caller].held = Some(Arc::clone(tokens));
        let after = self.rng.between(1, 2000);
        self.notify(after, worker, grant, Message::Use(caller));
        Ok(())
    }

    /// Hands an error to a caller.
    pub(super) fn refuse(&mut self, caller: usize, error: &Error) -> Result<(), Breach> {
        let Caller { worker, grant, .. } = self.callers[caller];
        if !self.callers[caller].is_open {
            return Ok(());
        }
        self.note_for(worker, grant, |_| {
            format!("caller {caller} gets an error: {}", error.code())
        });
        self.report.errors += 1;
        let mut pause = 0;
        match error.advice() {
            Advice::Reauthorize => self.expect_login(grant),
            Advice::Retry { after } => {
                pause = after.map_or(0, |pause| pause.as_secs() * 1000);
            }
            _ => {
                let text = format!("an error that advises to give up: {error}");
                return Err(Breach(Rule::Answered, text));
            }
        }
        match self.callers[caller].wait_limit {
            CallerPatience::Hasty => self.callers[caller].close(),
            CallerPatience::Patient => {
                let after = pause.max(self.rng.between(1000, 3000));
                self.notify(after, worker, grant, Message::Ask(caller));
            }
        }
        Ok(())
    }

    pub(super) fn use_token(&mut self, caller: usize) -> Result<(), Breach> {
        let Caller { worker, grant, .. } = self.callers[caller];
        let Some(tokens) = self.callers[caller].held.take() else {
            return Ok(());
        };
        if !self.calm && self.rng.chance(self.setup.odds.access_tokens_revoked) {
            self.twin.expire_access_tokens();
            self.record_in_transcript(|| "the server ends all access tokens".to_owned());
        }
        if self.call_api(worker, &tokens) == 200 {
            self.report.served += 1;
            self.callers[caller].close();
            return Ok(());
        }
        self.report.refused += 1;
        let caller_state = &mut self.callers[caller];
        if caller_state.wait_limit == CallerPatience::Hasty && caller_state.refused.is_some() {
            caller_state.close();
            return Ok(());
        }
        caller_state.refused = Some(tokens);
        let after = self.rng.between(0, 200);
        self.notify(after, worker, grant, Message::Ask(caller));
        Ok(())
    }

    /// Schedules a login, unless one is due already.
    pub(super) fn expect_login(&mut self, grant: usize) {
        if !self.grants[grant].is_login_due {
            self.grants[grant].is_login_due = true;
            let after = self.rng.between(1000, 30_000);
            self.post(after, Scheduled::Login(grant));
        }
    }

    /// A user logs in, at any worker that answers.
    pub(super) fn log_in(&mut self, grant: usize) -> Result<(), Breach> {
        let awake: Vec<_> = (0..self.workers.len())
            .filter(|worker| self.is_awake(*worker))
            .collect();
        if awake.is_empty() || self.server_down_until > self.now {
            self.post(5000, Scheduled::Login(grant));
            return Ok(());
        }
        let worker = self.rng.pick(&awake);
        let Some(tokens) = self.login(worker)? else {
            self.post(5000, Scheduled::Login(grant));
            return Ok(());
        };
        self.grants[grant].is_login_due = false;
        self.ledger.login(grant, &tokens);
        self.report.logins += 1;
        let after = self.rng.between(1, 100);
        self.notify(after, worker, grant, Message::Login(tokens));
        Ok(())
    }

    /// A user returns from the login page to this worker now.
    pub(super) fn log_in_at(&mut self, worker: usize, grant: usize) -> Result<(), Breach> {
        if self.server_down_until > self.now {
            return Ok(());
        }
        let Some(tokens) = self.login(worker)? else {
            return Ok(());
        };
        self.ledger.login(grant, &tokens);
        self.report.logins += 1;
        self.bring(worker, grant, tokens)
    }

    /// A user logs out in a program without a keeper of the grant: it removes the record and does not
    /// notify the workers.
    pub(super) fn log_out(&mut self, grant: usize) {
        let key = self.grants[grant].key.clone();
        let version = self.store.load(&key).map_or(0, |entry| entry.version);
        let saved = self.store.save(&key, &Secret::new(String::new()), version);
        if let SaveOutcome::At(version) = saved {
            self.report.logouts += 1;
            self.ledger.removed(grant, version);
            self.record_in_transcript(|| {
                format!("grant {grant}: a user logs out, record at version {version}")
            });
        }
    }

    pub(super) fn login(&mut self, worker: usize) -> Result<Option<Tokens>, Breach> {
        let (name, password) = self.twin.resource_owner();
        let grant = danger::password(name, password);
        // The tokens are bound to the key or the certificate of the worker that the user returns to.
        let is_bound = self.setup.dpop.is_some() || self.setup.certificates.is_some();
        let client = if is_bound {
            &self.workers[worker].client
        } else {
            &self.client
        };
        let mut exchange = client.token(grant, Scope::none());
        let at = self.moment(worker);
        let mut step = exchange.resume(&at, Input::Begin);
        loop {
            match step {
                Ok(Move::Send(mut request)) => {
                    self.certificates.present(worker, &mut request);
                    let reply = self.note_reply(self.known_client(&request)?);
                    self.bind(&request, &reply);
                    step = exchange.resume(&at, Input::Reply(reply));
                }
                Ok(Move::Done(tokens)) => return Ok(Some(tokens)),
                _ => return Ok(None),
            }
        }
    }

    /// Brings the tokens of a login to the worker that the user returned to.
    pub(super) fn bring(
        &mut self,
        worker: usize,
        grant: usize,
        tokens: Tokens,
    ) -> Result<(), Breach> {
        let access = tokens.access_token.expose().clone();
        let at = self.moment(worker);
        self.note_for(worker, grant, |ledger| {
            format!("a user has logged in: {}", ledger.tokens(&tokens))
        });
        self.trace_text(worker, "login", &access);
        let slot = self.slot(worker, grant);
        slot.logins.push(access);
        slot.keeper
            .replace(&at, tokens)
            .map_err(|error| Breach(Rule::Answered, format!("a login is refused: {error}")))?;
        self.add_caller(worker, grant, CallerPatience::Hasty);
        Ok(())
    }
}
