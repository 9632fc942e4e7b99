//! The keeper of one grant: decides when to renew it. JavaScript carries out its tasks on the event loop.

use std::sync::Arc;

use js_sys::Object;
use oauth_core::flow::keeper::GrantSummary;
use oauth_core::moment::Moment;
use oauth_core::{Error, Secret};
use oauth_facade::{Client, Decision, GrantSettings, Keeper, Task, TokenRequest, Upkeep};
use serde::Deserialize;
use serde_json::json;
use wasm_bindgen::prelude::*;

use crate::error::{NativeFailure, fail};
use crate::exchange::NativeExchange;
use crate::moment::moment;
use crate::plain::{millis, object, read, to_millis, to_u64, unix_millis, with};
use crate::tokens::{self, NativeTokens};

/// The settings of a keeper, and the subject of its grant.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct KeeperArguments {
    shared: bool,
    subject: Option<String>,
    reuse: Option<String>,
    lease_ms: Option<f64>,
    longest_request_ms: Option<f64>,
    keep_alive_ms: Option<f64>,
    notice_ms: Option<f64>,
    step_up: Option<String>,
}

/// Reads the summary of a record.
#[wasm_bindgen]
pub fn outline(record: String) -> Result<Object, JsValue> {
    let outline = GrantSummary::read(&Secret::new(record)).map_err(fail)?;
    let parameters = &outline.id.token_request;
    let values_of = |name| -> Vec<String> {
        let values = parameters.values_of(name);
        values.map(|value| value.expose().clone()).collect()
    };
    let (resource, audience) = (values_of("resource"), values_of("audience"));
    let extra = parameters.without(&["resource", "audience"]);
    let extra = extra.iter().map(|(name, value)| (name, value.expose()));
    Ok(object(&[
        ("issuer", json!(outline.issuer)),
        ("clientId", json!(outline.client_id)),
        ("subject", json!(outline.id.subject())),
        ("scope", json!(parameters.scope.as_str())),
        ("resource", json!(resource)),
        ("audience", json!(audience)),
        (
            "stepUp",
            json!(outline.id.step_up.as_ref().map(oauth_core::json::to_text)),
        ),
        ("extra", json!(extra.collect::<Vec<_>>())),
        (
            "granted",
            json!(outline.scope.as_ref().map(|scope| scope.as_str())),
        ),
        ("expiresAt", json!(outline.expires_at.map(unix_millis))),
        ("hasRefreshToken", json!(outline.has_refresh_token)),
        (
            "refreshTokenExpiresAt",
            json!(outline.refresh_token_expires_at.map(unix_millis)),
        ),
        (
            "authorizationExpiresAt",
            json!(outline.authorization_expires_at.map(unix_millis)),
        ),
        ("ended", json!(outline.ended.map(|error| error.code()))),
    ]))
}

/// One grant, kept fresh.
#[wasm_bindgen]
pub struct NativeKeeper(pub(crate) Arc<Keeper>);

impl NativeKeeper {
    pub(crate) fn new(
        client: &Client,
        at: &Moment,
        grant_type: &str,
        tokens: &JsValue,
        request: TokenRequest,
        settings: &JsValue,
    ) -> Result<Self, JsValue> {
        let arguments: KeeperArguments = read(
            settings,
            "the settings of a keeper must be strings, and times in milliseconds",
        )?;
        let is_shared = arguments.shared;
        let grant_settings = GrantSettings {
            subject: arguments.subject,
            request,
            reuse: arguments.reuse,
            lease: arguments.lease_ms.map(millis),
            longest_request: arguments.longest_request_ms.map(millis),
            keep_alive: arguments.keep_alive_ms.map(millis),
            notice: arguments.notice_ms.map(millis),
            step_up: arguments.step_up,
        };
        let keeper = Keeper::for_grant_type(
            client,
            at,
            grant_type,
            tokens::from_js(tokens),
            &grant_settings,
        );
        let keeper = keeper.and_then(|keeper| {
            if is_shared {
                keeper.shared()
            } else {
                Ok(keeper)
            }
        });
        Ok(Self(Arc::new(keeper.map_err(fail)?)))
    }

    fn decide(
        &self,
        at: &Moment,
        refused: &JsValue,
        held: &JsValue,
    ) -> Result<(&'static str, Object), JsValue> {
        let refused = tokens::from_js(refused);
        let decision = self.0.ask(at, refused.as_ref()).map_err(fail)?;
        let (kind, tokens) = match decision {
            Decision::UseToken(tokens) => ("use_token", Some(tokens)),
            Decision::UseAndRenew(tokens) => ("use_and_renew", Some(tokens)),
            Decision::Renew => ("renew", None),
            Decision::Wait => ("wait", None),
        };
        let held = tokens::from_js(held);
        let is_held = tokens.as_ref().zip(held.as_ref());
        let is_held = is_held.is_some_and(|(tokens, held)| tokens::are_same(tokens, held));
        let turn = object(&[("kind", json!(kind)), ("held", json!(is_held))]);
        let turn = match tokens.filter(|_| !is_held) {
            Some(tokens) => with(turn, "tokens", NativeTokens(tokens)),
            None => turn,
        };
        Ok((kind, turn))
    }

    fn step(
        &self,
        at: &JsValue,
        input: impl FnOnce(&Keeper, &Moment) -> Result<Task, Error>,
    ) -> Result<Object, JsValue> {
        input(&self.0, &moment(at)?).map(task).map_err(fail)
    }
}

fn upkeep_object(upkeep: &Upkeep) -> Object {
    let ends = match upkeep {
        Upkeep::AuthorizationEnds(end) => Some(unix_millis(*end)),
        _ => None,
    };
    object(&[("ends", json!(ends))])
}

/// Each method that depends on the time takes a moment as its first argument.
#[wasm_bindgen]
impl NativeKeeper {
    /// The key of the grant's record in a store.
    #[wasm_bindgen(getter)]
    pub fn key(&self) -> String {
        self.0.key()
    }

    /// Decides for a caller that needs a token: `refused` is one that an API has refused, `held` one that it has
    /// already. JavaScript keeps the latter if it is still the one to use.
    pub fn ask(&self, at: &JsValue, refused: &JsValue, held: &JsValue) -> Result<Object, JsValue> {
        self.decide(&moment(at)?, refused, held)
            .map(|(_, turn)| turn)
    }

    /// Decides for a caller of a grant that is not shared: one that has to renew gets the renewal as one exchange.
    #[wasm_bindgen(js_name = askAlone)]
    pub fn ask_alone(
        &self,
        at: &JsValue,
        refused: &JsValue,
        held: &JsValue,
    ) -> Result<Object, JsValue> {
        let at = moment(at)?;
        let (kind, turn) = self.decide(&at, refused, held)?;
        Ok(match kind {
            "renew" | "use_and_renew" => {
                with(turn, "exchange", NativeExchange::new(self.0.renewal(&at)))
            }
            _ => turn,
        })
    }

    /// Discards these tokens if they are the current ones: an API has refused them.
    pub fn refuse(&self, refused: &NativeTokens) {
        self.0.refuse(&refused.0);
    }

    /// Replaces the grant's tokens with those of a new login.
    pub fn replace(&self, at: &JsValue, tokens: &NativeTokens) -> Result<(), JsValue> {
        let replaced = self.0.replace(&moment(at)?, (*tokens.0).clone());
        replaced.map_err(fail)
    }

    /// Adopts a record that the store reported on its own.
    pub fn learn(&self, at: &JsValue, version: f64, record: String) -> Result<(), JsValue> {
        let record = Secret::new(record);
        let learned = self.0.learn(&moment(at)?, to_u64(version), record);
        learned.map_err(fail)
    }

    /// The newest tokens, valid or not.
    #[wasm_bindgen(getter)]
    pub fn tokens(&self) -> Option<NativeTokens> {
        self.0.tokens().map(NativeTokens)
    }

    /// Whether the store has the newest tokens.
    #[wasm_bindgen(getter, js_name = isStored)]
    pub fn is_stored(&self) -> bool {
        self.0.is_stored()
    }

    /// Whether the record is loaded only to be replaced by a new login.
    #[wasm_bindgen(getter, js_name = isSavingLogin)]
    pub fn is_saving_login(&self) -> bool {
        self.0.is_saving_login()
    }

    /// The state of the grant.
    #[wasm_bindgen(getter)]
    pub fn standing(&self) -> String {
        self.0.standing().to_owned()
    }

    /// The error of the last attempt, if it failed.
    #[wasm_bindgen(getter, js_name = lastError)]
    pub fn last_error(&self) -> Option<NativeFailure> {
        self.0.last_error().map(NativeFailure)
    }

    /// The lease to extend while an exchange runs.
    #[wasm_bindgen(js_name = leaseExtension)]
    pub fn lease_extension(&self) -> Option<Object> {
        let (holder, ttl, every) = self.0.lease_extension()?;
        Some(object(&[
            ("holder", json!(holder)),
            ("ms", json!(to_millis(ttl))),
            ("every", json!(to_millis(every))),
        ]))
    }

    /// The milliseconds until the next attempt to save unsaved tokens.
    #[wasm_bindgen(js_name = retryAfter)]
    pub fn retry_after(&self, at: &JsValue) -> Result<Option<f64>, JsValue> {
        Ok(self.0.retry_after(&moment(at)?).map(to_millis))
    }

    /// The milliseconds until upkeep is due; `None` for never.
    #[wasm_bindgen(js_name = upkeepAfter)]
    pub fn upkeep_after(&self, at: &JsValue) -> Result<Option<f64>, JsValue> {
        Ok(self.0.upkeep_after(&moment(at)?).map(to_millis))
    }

    /// The upkeep that is due now: a renewal or a notice, if any.
    pub fn upkeep(&self, at: &JsValue) -> Result<Option<Object>, JsValue> {
        Ok(self
            .0
            .upkeep(&moment(at)?)
            .map(|upkeep| upkeep_object(&upkeep)))
    }

    /// The upkeep of a grant that is not shared: the renewal is one exchange.
    #[wasm_bindgen(js_name = upkeepAlone)]
    pub fn upkeep_alone(&self, at: &JsValue) -> Result<Option<Object>, JsValue> {
        let at = moment(at)?;
        Ok(self.0.upkeep(&at).map(|upkeep| match &upkeep {
            Upkeep::AuthorizationEnds(_) => upkeep_object(&upkeep),
            _ => {
                let renewal = NativeExchange::new(self.0.renewal(&at));
                with(upkeep_object(&upkeep), "exchange", renewal)
            }
        }))
    }

    /// Whether there are unsaved tokens to save again: then call `begin`.
    #[wasm_bindgen(js_name = saveAgain)]
    pub fn save_again(&self) -> bool {
        self.0.save_again()
    }

    /// Begins no renewal from now on.
    pub fn drain(&self) {
        self.0.drain();
    }

    /// Abandons a renewal that the event loop no longer carries out.
    pub fn abandon(&self, at: &JsValue) -> Result<(), JsValue> {
        self.0.abandon(&moment(at)?);
        Ok(())
    }

    /// The first task of a renewal.
    pub fn begin(&self, at: &JsValue) -> Result<Object, JsValue> {
        self.step(at, Keeper::begin)
    }

    /// Continues with the record and its version; both absent if there is no record.
    pub fn loaded(
        &self,
        at: &JsValue,
        version: Option<f64>,
        record: Option<String>,
    ) -> Result<Object, JsValue> {
        let entry = version.zip(record);
        let entry = entry.map(|(version, record)| (to_u64(version), Secret::new(record)));
        self.step(at, |keeper, at| keeper.loaded(at, entry))
    }

    /// Continues with the milliseconds until the other holder's lease ends; 0 if the lease was acquired.
    pub fn leased(&self, at: &JsValue, held_ms: f64) -> Result<Object, JsValue> {
        let held = (held_ms > 0.0).then(|| millis(held_ms));
        self.step(at, |keeper, at| keeper.leased(at, held))
    }

    /// Continues with the new version; nothing if the stored version was not the expected one.
    pub fn saved(&self, at: &JsValue, version: Option<f64>) -> Result<Object, JsValue> {
        self.step(at, |keeper, at| keeper.saved(at, version.map(to_u64)))
    }

    /// Continues after the exchange, which was run to its end or dropped.
    pub fn completed(&self, at: &JsValue) -> Result<Object, JsValue> {
        self.step(at, Keeper::completed)
    }

    /// Continues after the pause.
    pub fn elapsed(&self, at: &JsValue) -> Result<Object, JsValue> {
        self.step(at, Keeper::elapsed)
    }

    /// Continues after a failed call of the store.
    pub fn failed(&self, at: &JsValue, reason: &str) -> Result<Object, JsValue> {
        self.step(at, |keeper, at| keeper.failed(at, reason))
    }

    /// Continues after a failed call of a built-in store.
    #[wasm_bindgen(js_name = failedWith)]
    pub fn failed_with(&self, at: &JsValue, failure: &NativeFailure) -> Result<Object, JsValue> {
        let error = failure.0.clone();
        self.step(at, |keeper, at| keeper.failed_with(at, error))
    }
}

/// The next task of the event loop; which members are set depends on `kind`.
fn task(task: Task) -> Object {
    let kind = |kind: &str| ("kind", json!(kind));
    match task {
        Task::Load => object(&[kind("load")]),
        Task::Lease { holder, ttl } => object(&[
            kind("lease"),
            ("holder", json!(holder)),
            ("ms", json!(to_millis(ttl))),
        ]),
        Task::Save {
            record,
            version,
            due,
            until,
        } => object(&[
            kind("save"),
            ("due", json!(due.map(unix_millis))),
            ("until", json!(until.map(unix_millis))),
            ("record", json!(record.expose())),
            ("version", json!(version)),
        ]),
        Task::Run(exchange) => with(
            object(&[kind("run")]),
            "exchange",
            NativeExchange::new(exchange),
        ),
        Task::Wait(pause) => object(&[kind("wait"), ("ms", json!(to_millis(pause)))]),
        Task::Over(tokens) => with(object(&[kind("over")]), "tokens", NativeTokens(tokens)),
    }
}
