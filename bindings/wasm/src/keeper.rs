//! The keeper of one grant: decides when to renew it. The page has the store, and exchanges messages with other tabs.

use oauth_facade::{Decision, GrantSettings, Moment, Secret, Task as Next};
use std::sync::Arc;
use std::time::Duration;
use wasm_bindgen::prelude::*;

use crate::client::Client;
use crate::error::fail;
use crate::exchange::{NativeExchange, time};
use crate::tokens::Tokens;

/// One grant, kept fresh and shared by all tabs. `now` is the page's clock in seconds, `seed` 32
/// bytes that WebCrypto drew.
#[wasm_bindgen]
pub struct Keeper(oauth_facade::Keeper);

/// The decision for a caller that needs a token.
#[wasm_bindgen]
pub struct KeeperDecision(Decision);

/// The page's next task.
#[wasm_bindgen]
pub struct Task(Next);

#[wasm_bindgen]
impl Keeper {
    /// The grant of a user: with the tokens of a login, or without any, to take over those of other tabs.
    #[wasm_bindgen(constructor)]
    pub fn new(
        client: &Client,
        now: f64,
        seed: &[u8],
        tokens: Option<Tokens>,
    ) -> Result<Self, JsValue> {
        let grant_settings = GrantSettings {
            // Any name will do: only the tabs of one sign-in share the store.
            subject: Some("signed-in".to_owned()),
            request: client.1.clone(),
            ..GrantSettings::default()
        };
        let tokens = tokens.map(|tokens| tokens.0);
        oauth_facade::Keeper::refreshing(&client.0, &moment(now, seed), tokens, &grant_settings)
            .and_then(oauth_facade::Keeper::shared)
            .map(Self)
            .map_err(fail)
    }

    /// The newest tokens, valid or not.
    pub fn tokens(&self) -> Option<Tokens> {
        self.0.tokens().map(|tokens| Tokens::of((*tokens).clone()))
    }

    /// Adopts a record that another tab sent.
    pub fn learn(
        &self,
        now: f64,
        seed: &[u8],
        version: f64,
        record: String,
    ) -> Result<(), JsValue> {
        let record = Secret::new(record);
        self.0
            .learn(&moment(now, seed), to_version(version), record)
            .map_err(fail)
    }

    /// Decides for a caller that needs a token; `refused` is one that an API has refused.
    pub fn ask(
        &self,
        now: f64,
        seed: &[u8],
        refused: Option<Tokens>,
    ) -> Result<KeeperDecision, JsValue> {
        let refused = refused.as_ref().map(|tokens| &tokens.0);
        self.0
            .ask(&moment(now, seed), refused)
            .map(KeeperDecision)
            .map_err(fail)
    }

    /// Discards these tokens if they are the current ones: an API has refused them.
    pub fn refuse(&self, refused: &Tokens) {
        self.0.refuse(&refused.0);
    }

    /// Abandons a renewal that the page no longer carries out.
    pub fn abandon(&self, now: f64, seed: &[u8]) {
        self.0.abandon(&moment(now, seed));
    }

    /// The first task of a renewal.
    pub fn begin(&self, now: f64, seed: &[u8]) -> Result<Task, JsValue> {
        self.0.begin(&moment(now, seed)).map(Task).map_err(fail)
    }

    /// Continues with the record and its version; both absent if there is no record.
    pub fn loaded(
        &self,
        now: f64,
        seed: &[u8],
        version: Option<f64>,
        record: Option<String>,
    ) -> Result<Task, JsValue> {
        let entry = version.map(to_version).zip(record.map(Secret::new));
        self.0
            .loaded(&moment(now, seed), entry)
            .map(Task)
            .map_err(fail)
    }

    /// Continues after the lease was acquired, or released: tabs wait until they get it.
    pub fn leased(&self, now: f64, seed: &[u8]) -> Result<Task, JsValue> {
        self.0
            .leased(&moment(now, seed), None)
            .map(Task)
            .map_err(fail)
    }

    /// Continues with the new version; nothing if the stored version was not the expected one.
    pub fn saved(&self, now: f64, seed: &[u8], version: Option<f64>) -> Result<Task, JsValue> {
        let version = version.map(to_version);
        self.0
            .saved(&moment(now, seed), version)
            .map(Task)
            .map_err(fail)
    }

    /// Continues after the exchange, which was run to its end or dropped.
    pub fn completed(&self, now: f64, seed: &[u8]) -> Result<Task, JsValue> {
        self.0.completed(&moment(now, seed)).map(Task).map_err(fail)
    }

    /// Continues after the pause.
    pub fn elapsed(&self, now: f64, seed: &[u8]) -> Result<Task, JsValue> {
        self.0.elapsed(&moment(now, seed)).map(Task).map_err(fail)
    }
}

#[wasm_bindgen]
impl KeeperDecision {
    /// `use_token`, `use_and_renew`, `renew` or `wait`.
    #[wasm_bindgen(getter)]
    pub fn kind(&self) -> String {
        let kind = match &self.0 {
            Decision::UseToken(_) => "use_token",
            Decision::UseAndRenew(_) => "use_and_renew",
            Decision::Renew => "renew",
            Decision::Wait => "wait",
        };
        kind.to_owned()
    }

    /// The tokens to use.
    pub fn tokens(self) -> Option<Tokens> {
        match self.0 {
            Decision::UseToken(tokens) | Decision::UseAndRenew(tokens) => {
                Some(Tokens::of(Arc::unwrap_or_clone(tokens)))
            }
            Decision::Renew | Decision::Wait => None,
        }
    }
}

#[wasm_bindgen]
impl Task {
    /// `load`, `lease`, `save`, `run`, `wait` or `over`.
    #[wasm_bindgen(getter)]
    pub fn kind(&self) -> String {
        let kind = match &self.0 {
            Next::Load => "load",
            Next::Lease { .. } => "lease",
            Next::Save { .. } => "save",
            Next::Run(_) => "run",
            Next::Wait(_) => "wait",
            Next::Over(_) => "over",
        };
        kind.to_owned()
    }

    /// The duration of the lease or of the pause, in milliseconds.
    #[wasm_bindgen(getter)]
    pub fn millis(&self) -> f64 {
        match &self.0 {
            Next::Wait(pause) | Next::Lease { ttl: pause, .. } => {
                Duration::as_secs_f64(pause) * 1e3
            }
            _ => 0.0,
        }
    }

    /// The record to save.
    #[wasm_bindgen(getter)]
    pub fn record(&self) -> Option<String> {
        match &self.0 {
            Next::Save { record, .. } => Some(record.expose().clone()),
            _ => None,
        }
    }

    /// The version that the record replaces.
    #[wasm_bindgen(getter)]
    pub fn version(&self) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "it counts renewals")]
        match &self.0 {
            Next::Save { version, .. } => Some(*version as f64),
            _ => None,
        }
    }

    /// The exchange to run.
    pub fn exchange(self) -> Option<NativeExchange> {
        match self.0 {
            Next::Run(exchange) => Some(NativeExchange::of(exchange)),
            _ => None,
        }
    }
}

fn moment(now: f64, seed: &[u8]) -> Moment {
    Moment::fixed(time(now), seed.try_into().unwrap_or_default())
}

/// A version from JavaScript.
fn to_version(version: f64) -> u64 {
    time(version).as_secs()
}
