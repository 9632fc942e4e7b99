//! Unit tests of the keeper, one rule each. Complete histories are simulated in the test kit.
#![allow(clippy::unwrap_used, clippy::panic)] // tests may panic

mod breaker;
mod certificates;
mod clocks;
mod conflicts;
mod decision;
mod failures;
mod login;
mod logout;
mod naming;
mod reconcile;
mod record_order;
mod renew_unsaved;
mod renewing;
mod storing;
mod unconfirmed_refusal;
mod upkeep;

use super::*;
use crate::client_auth::ClientAuth;
use crate::client_config::ClientId;
use crate::error::{Advice, Cause, Misuse, ServerError, ValidationFailure};
use crate::exchange::{Exchange as _, Input, Step as Move};
use crate::issuer::Issuer;
use crate::scope::Scope;
use crate::server::{EndpointKind, Server};

/// The time at which every test begins.
const START: u64 = 1_750_000_000;

/// A store and a clock that log every call.
struct TestStore {
    /// The key of its record.
    id: GrantId,
    now: u64,
    draws: u64,
    entry: Option<Entry>,
    /// Whether another worker holds the lease.
    is_held: bool,
    /// Whether the store only returns errors.
    is_down: bool,
    log: Vec<&'static str>,
}

impl TestStore {
    fn new() -> Self {
        Self::of(person())
    }

    fn of(id: GrantId) -> Self {
        Self {
            id,
            now: START,
            draws: 0,
            entry: None,
            is_held: false,
            is_down: false,
            log: Vec::new(),
        }
    }

    /// A store with these tokens at version 1.
    fn with(tokens: Tokens) -> Self {
        let mut store = Self::new();
        store.save_elsewhere(&Record::from_tokens(Arc::new(tokens)));
        store
    }

    /// Another worker saves.
    fn save_elsewhere(&mut self, record: &Record) {
        let (config, id) = (config(), self.id.clone());
        self.entry = Some(Entry {
            version: self.version() + 1,
            record: record.to_json(&config, &id),
        });
    }

    /// A user logs out.
    fn remove(&mut self) {
        self.entry = Some(Entry {
            version: self.version() + 1,
            record: Secret::new(String::new()),
        });
    }

    /// Rolls the store back to an earlier entry.
    fn lose(&mut self, entry: Option<Entry>) {
        self.entry = entry;
    }

    fn record(&self) -> Record {
        let record = &self.entry.as_ref().unwrap().record;
        Record::read(record.expose(), &config(), &self.id).unwrap()
    }

    fn version(&self) -> u64 {
        self.entry.as_ref().map_or(0, |entry| entry.version)
    }

    fn now(&self) -> UnixTime {
        UnixTime::from_secs(self.now)
    }

    fn at(&mut self) -> Moment {
        self.draws += 1;
        let mut seed = [0; 32];
        seed[..8].copy_from_slice(&self.draws.to_be_bytes());
        seed[24..].copy_from_slice(&self.draws.to_be_bytes());
        Moment::fixed(self.now(), seed)
    }

    fn save(&mut self, record: Secret<String>, version: u64) -> SaveOutcome {
        if version != self.version() {
            self.log.push("conflict");
            return SaveOutcome::Conflict;
        }
        self.log.push("save");
        let version = version + 1;
        self.entry = Some(Entry { version, record });
        SaveOutcome::At(version)
    }

    fn decide(&self, keeper: &mut Keeper) -> Decision {
        keeper.ask(self.now(), None)
    }

    /// Answers the store's steps until another kind of step.
    fn run(&mut self, keeper: &mut Keeper, event: Event) -> Step {
        let mut step = keeper.resume(&self.at(), event);
        loop {
            let event = match step {
                Step::Load | Step::Lease { .. } | Step::Save { .. } if self.is_down => {
                    self.log.push("failure");
                    Event::Failed(Error::lost(Cause::unknown("down")))
                }
                Step::Load => {
                    self.log.push("load");
                    Event::Loaded(self.entry.clone())
                }
                Step::Lease { ttl, .. } => {
                    self.log
                        .push(if ttl.is_zero() { "release" } else { "lease" });
                    Event::Leased(if self.is_held && !ttl.is_zero() {
                        Lease::Held(Duration::from_secs(9))
                    } else {
                        Lease::Won
                    })
                }
                Step::Save {
                    record, version, ..
                } => Event::Saved(self.save(record, version)),
                Step::Run(_) => {
                    self.log.push("run");
                    return step;
                }
                Step::Wait(_) | Step::Done(_) => return step,
            };
            step = keeper.resume(&self.at(), event);
        }
    }

    /// The request of a renewal.
    fn renewal_request(&mut self, keeper: &mut Keeper) -> crate::http::Request<bytes::Bytes> {
        let Step::Run(mut exchange) = self.run(keeper, Event::Begin) else {
            panic!("no request");
        };
        match exchange.resume(&self.at(), Input::Begin) {
            Ok(Move::Send(request)) => request,
            step => panic!("nothing is sent but {step:?}"),
        }
    }

    /// Runs a complete renewal with this reply of the server.
    fn renew(&mut self, keeper: &mut Keeper, answer: Result<Tokens, Error>) -> Outcome {
        match self.run(keeper, Event::Begin) {
            Step::Run(_) => {}
            step => panic!("no request but {step:?}"),
        }
        self.complete(keeper, answer)
    }

    fn complete(&mut self, keeper: &mut Keeper, answer: Result<Tokens, Error>) -> Outcome {
        outcome_of(self.run(keeper, Event::Completed(answer)))
    }
}

type Outcome = Result<Arc<Tokens>, Error>;

fn outcome_of(step: Step) -> Outcome {
    match step {
        Step::Done(outcome) => outcome,
        step => panic!("not done but {step:?}"),
    }
}

fn config() -> Arc<ClientConfig> {
    let server = Server::new(Issuer::parse("https://as.example").unwrap())
        .with_endpoint(EndpointKind::Token, "https://as.example/token")
        .unwrap();
    let auth = ClientAuth::basic("secret");
    Arc::new(ClientConfig::new(server, ClientId::new("id"), auth).unwrap())
}

/// A keeper without a store.
fn unshared_keeper() -> Keeper {
    Keeper::new(config(), GrantId::unnamed_person())
}

fn person() -> GrantId {
    GrantId::user("alice")
}

fn keeper() -> Keeper {
    Keeper::new(config(), person()).shared()
}

fn keeper_for(reuse: Reuse) -> Keeper {
    keeper().with_policy(Policy {
        reuse,
        ..Policy::default()
    })
}

/// `a1` and `r1` for 1, received at the start and valid for 600 seconds.
fn tokens(number: u32) -> Tokens {
    tokens_from(number, START)
}

fn tokens_from(number: u32, received_at: u64) -> Tokens {
    let text = format!(
        r#"{{"version":1,"issuer":"https://as.example","client_id":"id","access_token":"a{number}",
        "received_at":{received_at},"expires_in":600,"scope":"","refresh_token":"r{number}",
        "refresh_scope":null,"id_token":null}}"#
    );
    Tokens::from_json(&text).unwrap()
}

fn access(tokens: &Tokens) -> &str {
    tokens.access_token.expose()
}

fn access_of_decision(decision: Decision) -> String {
    match decision {
        Decision::UseToken(tokens) => access(&tokens).to_owned(),
        decision => panic!("no token but {decision:?}"),
    }
}

fn access_of_outcome(outcome: Outcome) -> String {
    access(&outcome.unwrap()).to_owned()
}

fn code(outcome: Outcome) -> &'static str {
    outcome.unwrap_err().code()
}

fn lost_reply() -> Error {
    Error::lost(Cause::unknown("no answer in time"))
}

fn unsent_request() -> Error {
    Error::lost(Cause::unsent("no connection"))
}

fn invalid_grant() -> Error {
    ServerError::from_code("invalid_grant").into()
}

/// A nonce is stored with the tokens of a bound grant: the first request after a restart has it.
#[test]
fn authorization_server_nonce_of_a_bound_grant_is_stored_and_restored() {
    let url = config().token_url().cloned().unwrap();
    let side = crate::dpop::ServerRole::AuthorizationServer;
    let bound = person().with_dpop_jkt("jkt");
    let nonce_after_restart = |id: &GrantId, known: Option<&str>, stored: Option<&str>| {
        let before = config();
        if let Some(nonce) = stored {
            before.shared.nonces.store_nonce(side, &url, nonce);
        }
        let text = Record::default().to_json(&before, id);
        let after = config();
        if let Some(nonce) = known {
            after.shared.nonces.store_nonce(side, &url, nonce);
        }
        Record::read(text.expose(), &after, id).unwrap();
        after.shared.nonces.newest_nonce(side, &url)
    };
    assert_eq!(
        nonce_after_restart(&bound, None, Some("n1")).as_deref(),
        Some("n1")
    );
    assert_eq!(
        nonce_after_restart(&bound, Some("newer"), Some("n1")).as_deref(),
        Some("newer")
    );
    assert_eq!(nonce_after_restart(&bound, None, None), None);
    // Bearer tokens need no nonce, and an invalid stored nonce is ignored.
    assert_eq!(nonce_after_restart(&person(), None, Some("n1")), None);
    assert_eq!(nonce_after_restart(&bound, None, Some("a b")), None);
}

/// The newest nonces of APIs are stored too.
#[test]
fn newest_api_nonces_of_a_bound_grant_are_stored_and_restored() {
    use crate::dpop::ServerRole;
    let url = |n: usize| crate::url::Url::parse(&format!("https://api{n}.example/a")).unwrap();
    let bound = person().with_dpop_jkt("jkt");
    let before = config();
    for n in 0..6 {
        let nonces = &before.shared.nonces;
        nonces.store_nonce(ServerRole::ResourceServer, &url(n), &format!("n{n}"));
    }
    let text = Record::default().to_json(&before, &bound);
    let after = config();
    let nonces = &after.shared.nonces;
    nonces.store_nonce(ServerRole::ResourceServer, &url(5), "newer");
    Record::read(text.expose(), &after, &bound).unwrap();
    let known: Vec<_> = (0..6)
        .map(|n| nonces.newest_nonce(ServerRole::ResourceServer, &url(n)))
        .collect();
    let known: Vec<_> = known.iter().map(Option::as_deref).collect();
    let newest = [
        None,
        None,
        Some("n2"),
        Some("n3"),
        Some("n4"),
        Some("newer"),
    ];
    assert_eq!(known, newest);
    assert_eq!(
        nonces.newest_nonce(ServerRole::AuthorizationServer, &url(2)),
        None
    );
    let bearer = Record::default().to_json(&before, &person());
    assert!(!bearer.expose().contains("nonce"));
}
