//! The ledger of a simulation: every token, request and record version. Its checks need the global view, which no worker has.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use bytes::Bytes;
use oauth_core::Tokens;
use oauth_core::error::Delivery;
use oauth_core::exchange::Input;
use oauth_core::flow::keeper::{Decision, Event, Step};
use oauth_core::moment::UnixTime;
use serde::Deserialize;

use super::net::is_proof_refused;

pub(super) struct Ledger {
    tokens: HashMap<String, Token>,
    pub(super) sends: Vec<Send>,
    /// The worker that saved each in-flight marker, its epoch, and when, by the id of the attempt.
    marks: HashMap<String, (usize, u32, u64)>,
    /// The refresh tokens that the server refused without ending the grant.
    pub(super) suspects: HashSet<String>,
    /// Every stored version of each grant.
    pub(super) history: Vec<Vec<Version>>,
    /// The time, in milliseconds.
    pub(super) now: u64,
    /// The access tokens of copies that applications have brought.
    pub(super) copies: HashSet<String>,
    /// The grants of which the store lost saves, with the time.
    pub(super) losses: Vec<(usize, u64)>,
    generations: u64,
    calls: u64,
}

/// A token that the server issued.
pub(super) struct Token {
    name: String,
    /// The order of issue: higher for later tokens.
    number: usize,
    /// The time of issue, in milliseconds.
    at: u64,
    pub(super) grant: usize,
    /// The login it comes from.
    pub(super) generation: u64,
    /// The refresh token it was issued for.
    pub(super) parent: Option<String>,
}

/// A token request.
pub(super) struct Send {
    pub(super) worker: usize,
    pub(super) epoch: u32,
    pub(super) grant: usize,
    pub(super) refresh: Option<String>,
    pub(super) at: u64,
    /// The expiry of the lease under which it was sent; `None` once that was released.
    pub(super) lease: Option<u64>,
    /// The time from which its attempt counts as finished, for a worker that finds its marker.
    pub(super) window_end: u64,
    /// The outcome, according to its sender.
    pub(super) end: Option<End>,
    /// Whether it was or may still be processed by the server.
    pub(super) may_count: bool,
    /// Whether the server processed the request itself, not a copy made by the network.
    pub(super) is_processed: bool,
    /// For a refresh token sent again: whether that is excused, or why not.
    pub(super) excuse: Result<(), String>,
    /// Whether the store has lost saves since it was sent before.
    pub(super) is_after_loss: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// It was certainly not processed.
    Unspent,
    Unknown,
    Answered,
}

/// A version of a record.
pub(super) struct Version {
    pub(super) version: u64,
    pub(super) access: String,
    /// The access tokens for other certificates.
    pub(super) other_tokens: Vec<String>,
    pub(super) refresh: Option<String>,
    pub(super) generation: u64,
    pub(super) is_over: bool,
    pub(super) is_removed: bool,
    /// The id of the attempt under way.
    pub(super) attempt: Option<String>,
    /// The refresh token is not sent before this time, by the writer's clock.
    pub(super) suspect_until: Option<UnixTime>,
}

impl Version {
    /// Whether the record has this access token, for any certificate.
    pub(super) fn has_access_token(&self, access: &str) -> bool {
        self.access == access || self.other_tokens.iter().any(|token| token == access)
    }
}

/// The part of a stored record that the ledger needs.
#[derive(Deserialize)]
pub(super) struct Peek {
    pub(super) tokens: Option<PeekTokens>,
    #[serde(default, rename = "beside")]
    pub(super) other_tokens: Vec<PeekTokens>,
    ended: Option<serde_json::Value>,
    pub(super) attempt: Option<PeekAttempt>,
    suspicion: Option<PeekSuspicion>,
}

#[derive(Deserialize)]
struct PeekSuspicion {
    since: UnixTime,
    seconds: u64,
}

#[derive(Deserialize)]
pub(super) struct PeekAttempt {
    pub(super) id: String,
}

#[derive(Deserialize)]
pub(super) struct PeekTokens {
    pub(super) access_token: String,
    pub(super) refresh_token: Option<String>,
}

fn is_json(reply: &http::Response<Bytes>) -> bool {
    reply.body().starts_with(b"{")
}

impl Peek {
    pub(super) const fn is_over(&self) -> bool {
        self.ended.is_some()
    }

    pub(super) fn suspect_until(&self) -> Option<UnixTime> {
        let suspicion = self.suspicion.as_ref()?;
        Some(
            suspicion
                .since
                .after(Duration::from_secs(suspicion.seconds)),
        )
    }
}

/// The maximum time until a response of the server arrives, in milliseconds.
const MAX_ARRIVAL_MS: u64 = 35_000;

impl Ledger {
    pub(super) fn new(grants: usize) -> Self {
        Self {
            tokens: HashMap::new(),
            sends: Vec::new(),
            marks: HashMap::new(),
            suspects: HashSet::new(),
            history: (0..grants).map(|_| Vec::new()).collect(),
            now: 0,
            copies: HashSet::new(),
            losses: Vec::new(),
            generations: 0,
            calls: 0,
        }
    }

    /// A new number for a call whose answer is awaited.
    pub(super) const fn call(&mut self) -> u64 {
        self.calls += 1;
        self.calls
    }

    pub(super) fn token(&self, token: &str) -> Option<&Token> {
        self.tokens.get(token)
    }

    fn record_tokens(
        &mut self,
        grant: usize,
        generation: u64,
        parent: Option<&str>,
        new: PeekTokens,
    ) {
        let (number, now) = (self.tokens.len(), self.now);
        let mut enter = |kind: char, token: String| {
            let entry = Token {
                name: format!("{kind}{number}"),
                number,
                at: now,
                grant,
                generation,
                parent: parent.map(str::to_owned),
            };
            // A server that does not replace a refresh token may repeat it.
            self.tokens.entry(token).or_insert(entry);
        };
        enter('A', new.access_token);
        if let Some(refresh) = new.refresh_token {
            enter('R', refresh);
        }
    }

    /// A person has logged out: what was there until now is not to come back.
    pub(super) fn removed(&mut self, grant: usize, version: u64) {
        let history = &mut self.history[grant];
        let generation = history.iter().map(|saved| saved.generation).max();
        history.push(Version {
            version,
            access: String::new(),
            other_tokens: Vec::new(),
            refresh: None,
            generation: generation.unwrap_or(0),
            is_over: false,
            is_removed: true,
            attempt: None,
            suspect_until: None,
        });
    }

    /// The tokens of a login.
    pub(super) fn login(&mut self, grant: usize, tokens: &Tokens) {
        self.generations += 1;
        let refresh = tokens.refresh_token.as_ref();
        let new = PeekTokens {
            access_token: tokens.access_token.expose().clone(),
            refresh_token: refresh.map(|token| token.secret().expose().clone()),
        };
        self.record_tokens(grant, self.generations, None, new);
    }

    /// The number of the last login.
    pub(super) const fn newest_login(&self) -> u64 {
        self.generations
    }

    /// Whether tokens of this login were ever stored.
    pub(super) fn is_stored(&self, grant: usize, login: u64) -> bool {
        let mut history = self.history[grant].iter();
        history.any(|saved| saved.generation == login && !saved.is_removed)
    }

    /// Whether the record comes from the login that was stored last. A login that was brought earlier
    /// may be stored later.
    pub(super) fn ends_with_the_last_login(&self, grant: usize) -> bool {
        let is_login = |version: &&Version| {
            let token = self.token(&version.access);
            token.is_some_and(|token| token.parent.is_none())
        };
        let history = &self.history[grant];
        let login = history.iter().rfind(is_login).map(|saved| saved.generation);
        login == history.last().map(|saved| saved.generation)
    }

    pub(super) fn sender(&self, send: usize) -> (usize, u32, usize) {
        let send = &self.sends[send];
        (send.worker, send.epoch, send.grant)
    }

    pub(super) fn is_closed(&self, send: usize) -> bool {
        self.sends[send].end.is_some()
    }

    /// Records that the sender has an answer, or knows that there will be none.
    pub(super) fn close(&mut self, send: usize, input: &Input) {
        self.sends[send].end = Some(match input {
            Input::Lost(cause) if cause.delivery() == Delivery::Unsent => End::Unspent,
            Input::Lost(_) => End::Unknown,
            Input::Reply(reply) if reply.status() == 429 || is_proof_refused(reply) => End::Unspent,
            // The server itself says so; a gateway's 503 may hide a processed request.
            Input::Reply(reply) if reply.status() == 503 && is_json(reply) => End::Unspent,
            Input::Reply(reply) if reply.status().is_server_error() => End::Unknown,
            _ => End::Answered,
        });
    }

    pub(super) fn never_arrives(&mut self, send: usize) {
        self.sends[send].may_count = false;
    }

    /// Records that the server did nothing.
    pub(super) fn refused(&mut self, send: usize, is_copy: bool) {
        let send = &mut self.sends[send];
        send.may_count = send.is_processed || (is_copy && send.may_count);
    }

    /// Records that the server has refused the token of this request without ending the grant.
    pub(super) fn refused_in_words(&mut self, send: usize) {
        self.suspects.extend(self.sends[send].refresh.clone());
    }

    /// Records that the server has processed the request.
    pub(super) fn processed(&mut self, send: usize, reply: &http::Response<Bytes>, is_copy: bool) {
        let send = &mut self.sends[send];
        send.is_processed |= !is_copy;
        send.may_count = true;
        if reply.status() != 200 {
            return;
        }
        let (grant, parent) = (send.grant, send.refresh.clone());
        let generation = parent
            .as_ref()
            .and_then(|parent| self.token(parent))
            .map_or(0, |token| token.generation);
        if let Ok(new) = serde_json::from_slice::<PeekTokens>(reply.body()) {
            self.record_tokens(grant, generation, parent.as_deref(), new);
        }
    }

    /// Records that a worker has saved an in-flight marker.
    pub(super) fn mark(&mut self, attempt: &str, worker: usize, epoch: u32, now: u64) {
        let mark = (worker, epoch, now);
        self.marks.entry(attempt.to_owned()).or_insert(mark);
    }

    /// Records that a worker has abandoned its request.
    pub(super) fn forget(&mut self, worker: usize, epoch: u32) {
        for mark in self.marks.values_mut() {
            if (mark.0, mark.1) == (worker, epoch) {
                mark.0 = usize::MAX;
            }
        }
    }

    /// Whether this worker knows that an attempt had no effect: it is its own, and was not sent
    /// or certainly not processed.
    pub(super) fn knows_unspent(&self, worker: usize, epoch: u32, attempt: Option<&str>) -> bool {
        let mark = attempt.and_then(|attempt| self.marks.get(attempt));
        mark.is_some_and(|&(marker, marked, since)| {
            let is_own = |send: &&Send| (send.worker, send.epoch) == (worker, epoch);
            (marker, marked) == (worker, epoch)
                && self
                    .sends
                    .iter()
                    .filter(is_own)
                    .filter(|send| send.at >= since)
                    .all(|send| send.end == Some(End::Unspent))
        })
    }

    /// Records that the lease under which this was sent is released.
    pub(super) fn give_back(&mut self, worker: usize, epoch: u32, grant: usize) {
        for send in self.sends.iter_mut().rev().take(20) {
            if (send.worker, send.epoch, send.grant) == (worker, epoch, grant) {
                send.lease = None;
            }
        }
    }

    /// Whether `token` descends from `elder`.
    pub(super) fn descends(&self, token: &str, elder: &str) -> bool {
        let mut next = self.token(token);
        while let Some(parent) = next.and_then(|token| token.parent.as_deref()) {
            if parent == elder {
                return true;
            }
            next = self
                .token(parent)
                .filter(|next| next.parent.as_deref() != Some(parent));
        }
        false
    }

    /// Whether the tokens of one version descend from the other's: they are newer, whichever was saved last.
    pub(super) fn grew_from(&self, new: &Version, old: &Version) -> bool {
        let number =
            |version: &Version| self.token(&version.access).map_or(0, |token| token.number);
        // Tokens of `client_credentials` have no refresh token to descend from: the later ones are newer.
        let descends = |elder: &str| self.descends(&new.access, elder);
        number(new) > number(old) && old.refresh.as_deref().is_none_or(descends)
    }

    /// Whether the clocks of the receivers, which differ by at most `apart`, show that the tokens of one
    /// version are newer than the other's.
    pub(super) fn is_clearly_newer(&self, new: &Version, old: &Version, apart: Duration) -> bool {
        let at = |version: &Version| self.token(&version.access).map_or(0, |token| token.at);
        Duration::from_millis(at(new)) > Duration::from_millis(at(old)) + apart
    }

    /// Whether the record is an application's own copy, brought after a logout or a later login.
    pub(super) fn is_copied_over(&self, grant: usize, refresh: &str) -> bool {
        let history = &self.history[grant];
        history.last().is_some_and(|last| {
            let is_copy = last.refresh.as_deref() == Some(refresh);
            let is_copy = is_copy && self.copies.contains(&last.access);
            let is_other =
                |version: &Version| version.is_removed || version.generation != last.generation;
            is_copy && history.iter().any(is_other)
        })
    }

    /// Whether this is an application's own copy of tokens that the server issued later, or one brought
    /// after a logout: it cannot be told from a new login.
    pub(super) fn is_later_copy(&self, new: &Version, old: &Version) -> bool {
        let number =
            |version: &Version| self.token(&version.access).map_or(0, |token| token.number);
        // The login itself may still wait to be stored, and will replace the one that is stored.
        let is_login = self
            .token(&new.access)
            .is_some_and(|saved| saved.parent.is_none());
        // Tokens count from their arrival, and the response may have been slow.
        let at = |version: &Version| self.token(&version.access).map_or(0, |token| token.at);
        let may_be_later = at(new) + MAX_ARRIVAL_MS >= at(old);
        let is_later = old.is_removed || is_login || number(new) > number(old) || may_be_later;
        self.copies.contains(&new.access) && is_later
    }

    /// A name for a token that reveals no secret.
    pub(super) fn name(&self, token: &str) -> &str {
        self.token(token).map_or("?", |token| token.name.as_str())
    }

    pub(super) fn tokens(&self, tokens: &Tokens) -> String {
        let refresh = tokens.refresh_token.as_ref();
        let refresh = refresh.map_or("no refresh token", |token| {
            self.name(token.secret().expose())
        });
        format!("{} {refresh}", self.name(tokens.access_token.expose()))
    }

    fn record(&self, text: &str) -> String {
        if text.is_empty() {
            return "removed".to_owned();
        }
        let Ok(peek) = serde_json::from_str::<Peek>(text) else {
            return "unreadable".to_owned();
        };
        let mut description = peek.tokens.as_ref().map_or("nothing".to_owned(), |tokens| {
            let refresh = tokens.refresh_token.as_deref();
            let refresh = refresh.map_or("no refresh token", |token| self.name(token));
            format!("{} {refresh}", self.name(&tokens.access_token))
        });
        if peek.attempt.is_some() {
            description += ", on its way";
        }
        if peek.suspicion.is_some() {
            description += ", suspect";
        }
        if peek.is_over() {
            description += ", over";
        }
        description
    }

    pub(super) fn event(&self, event: &Event) -> String {
        match event {
            Event::Begin => "begin".to_owned(),
            Event::Loaded(None) => "no record".to_owned(),
            Event::Loaded(Some(entry)) => {
                let record = self.record(entry.record.expose());
                format!("record at version {}: {record}", entry.version)
            }
            Event::Leased(lease) => format!("lease: {lease:?}"),
            Event::Completed(Ok(tokens)) => format!("completed: {}", self.tokens(tokens)),
            Event::Completed(Err(error)) => format!("completed: {}", error.code()),
            Event::Saved(saved) => format!("saved: {saved:?}"),
            Event::Elapsed => "elapsed".to_owned(),
            Event::Failed(error) => format!("failed: {}", error.code()),
        }
    }

    pub(super) fn step(&self, step: &Step) -> String {
        match step {
            Step::Save {
                record, version, ..
            } => {
                format!(
                    "save over version {version}: {}",
                    self.record(record.expose())
                )
            }
            Step::Done(outcome) => format!("over: {}", self.outcome(outcome.as_deref())),
            Step::Lease { holder, ttl } if ttl.is_zero() => {
                format!("release lease {}", &holder[..6.min(holder.len())])
            }
            Step::Lease { holder, ttl } => {
                format!("take lease {} for {ttl:?}", &holder[..6.min(holder.len())])
            }
            step => format!("{step:?}").to_lowercase(),
        }
    }

    pub(super) fn decision(&self, turn: &Decision) -> String {
        match turn {
            Decision::UseToken(tokens) => format!("has {}", self.tokens(tokens)),
            Decision::UseAndRenew(tokens) => format!("has {}; renew", self.tokens(tokens)),
            Decision::Renew => "renew".to_owned(),
            Decision::Wait => "follow".to_owned(),
            Decision::Fail(error) => format!("give up: {}", error.code()),
        }
    }

    fn outcome(&self, outcome: Result<&Tokens, &oauth_core::Error>) -> String {
        match outcome {
            Ok(tokens) => self.tokens(tokens),
            Err(error) => error.code().to_owned(),
        }
    }
}
