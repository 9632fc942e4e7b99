//! The keeper of one grant: decides when to renew it. JavaScript carries out its tasks on the event loop.

use std::sync::Arc;
use std::time::Duration;

use napi::Result;
use napi_derive::napi;
use oauth_core::flow::keeper::GrantSummary;
use oauth_core::moment::{Moment, UnixTime};
use oauth_core::{Error, Secret, Tokens, json};
use oauth_facade::{Client, Decision, GrantSettings, Keeper, Task, TokenRequest, Upkeep};

use crate::built_in_stores::{NativeFailure, to_u64};
use crate::error::fail;
use crate::exchange::{NativeExchange, NativeMoment, moment};
use crate::runtime::millis;
use crate::tokens::NativeTokens;

/// The settings of a keeper, and the grant that it keeps.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct NativeKeep {
    /// Whether there is a store.
    pub shared: bool,
    /// The subject of the grant.
    pub subject: Option<String>,
    /// `unknown`, `revokes` or `tolerated`.
    pub reuse: Option<String>,
    /// The length of a lease, in milliseconds.
    pub lease_ms: Option<f64>,
    /// The longest time that a request may take, in milliseconds.
    pub longest_request_ms: Option<f64>,
    /// The time before its unused refresh token expires at which an idle grant is renewed, in milliseconds.
    pub keep_alive_ms: Option<f64>,
    /// The time before the end of an authorization at which notice is given, in milliseconds.
    pub notice_ms: Option<f64>,
    /// The step-up for which the login of the grant was required, as JSON.
    pub step_up: Option<String>,
}

/// The decision for a caller.
#[napi(object, object_from_js = false)]
pub struct NativeDecision {
    /// `use_token`, `use_and_renew`, `renew` or `wait`.
    pub kind: &'static str,
    /// Whether the tokens that the caller holds are still valid.
    pub held: bool,
    /// The tokens to use, if the caller does not hold them.
    pub tokens: Option<NativeTokens>,
    /// The renewal, if the caller has to run it, and the grant is not shared.
    pub exchange: Option<NativeExchange>,
}

/// The next task of the event loop; which members are set depends on `kind`.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeTask {
    /// `load`, `lease`, `save`, `run`, `wait` or `over`.
    pub kind: &'static str,
    /// The holder of the lease to acquire.
    pub holder: Option<String>,
    /// The length of the lease or the pause, in milliseconds.
    pub ms: Option<f64>,
    /// The record to save.
    pub record: Option<String>,
    /// The version that the record replaces.
    pub version: Option<f64>,
    /// The time when the record is due for renewal, in milliseconds since 1970.
    pub due: Option<f64>,
    /// The time when the record expires, in milliseconds since 1970.
    pub until: Option<f64>,
    /// The exchange to run.
    pub exchange: Option<NativeExchange>,
    /// The tokens of a completed renewal.
    pub tokens: Option<NativeTokens>,
}

/// Upkeep of a grant whose token no caller requests.
#[napi(object, object_from_js = false)]
pub struct NativeUpkeep {
    /// The end of the authorization, in milliseconds since 1970, for a notice; absent for a renewal.
    pub ends: Option<f64>,
    /// The renewal as one exchange, if the grant is not shared.
    pub exchange: Option<NativeExchange>,
}

/// The lease to extend while a request runs.
#[napi(object, object_from_js = false)]
pub struct NativeExtension {
    /// The holder of the lease.
    pub holder: String,
    /// The length of the lease, in milliseconds.
    pub ms: f64,
    /// The interval between extensions, in milliseconds.
    pub every: f64,
}

/// The summary of a record, without secrets.
#[napi(object, object_from_js = false)]
pub(crate) struct NativeSummary {
    /// The issuer of the tokens.
    pub issuer: String,
    /// The client to which the tokens were issued.
    pub client_id: String,
    /// The subject of the grant.
    pub subject: Option<String>,
    /// The requested scope.
    pub scope: String,
    /// The requested resources.
    pub resource: Vec<String>,
    /// The requested audiences.
    pub audience: Vec<String>,
    /// The step-up for which the login of the grant was required, as JSON.
    pub step_up: Option<String>,
    /// Names and values of the other parameters that were requested, which may be secret.
    pub extra: Vec<(String, String)>,
    /// The granted scope.
    pub granted: Option<String>,
    /// The expiry of the access token, in milliseconds since 1970.
    pub expires_at: Option<f64>,
    /// Whether there is a refresh token.
    pub has_refresh_token: bool,
    /// The expiry of the refresh token if it is not used before, in milliseconds since 1970.
    pub refresh_token_expires_at: Option<f64>,
    /// The end of the user's authorization, in milliseconds since 1970.
    pub authorization_expires_at: Option<f64>,
    /// The error code with which the grant has ended.
    pub ended: Option<&'static str>,
}

/// Reads the summary of a record.
#[napi]
pub(crate) fn outline(record: String) -> Result<NativeSummary> {
    let summary = GrantSummary::read(&Secret::new(record)).map_err(fail)?;
    let parameters = &summary.id.token_request;
    let values_of = |name| {
        let values = parameters.values_of(name);
        values.map(|value| value.expose().clone()).collect()
    };
    let (resource, audience) = (values_of("resource"), values_of("audience"));
    let extra = parameters.without(&["resource", "audience"]);
    Ok(NativeSummary {
        issuer: summary.issuer,
        client_id: summary.client_id,
        subject: summary.id.subject().map(str::to_owned),
        scope: summary.id.token_request.scope.as_str().to_owned(),
        resource,
        audience,
        step_up: summary.id.step_up.as_ref().map(json::to_text),
        extra: extra
            .iter()
            .map(|(name, value)| (name.to_owned(), value.expose().clone()))
            .collect(),
        granted: summary.scope.map(|scope| scope.as_str().to_owned()),
        expires_at: summary.expires_at.map(millis_of),
        has_refresh_token: summary.has_refresh_token,
        refresh_token_expires_at: summary.refresh_token_expires_at.map(millis_of),
        authorization_expires_at: summary.authorization_expires_at.map(millis_of),
        ended: summary.ended.map(|error| error.code()),
    })
}

/// One grant, kept fresh.
#[napi]
pub struct NativeKeeper(pub(crate) Arc<Keeper>);

impl NativeKeeper {
    pub(crate) fn new(
        client: &Client,
        at: &Moment,
        grant_type: &str,
        tokens: Option<&Tokens>,
        (request, keep): (TokenRequest, NativeKeep),
    ) -> std::result::Result<Self, Error> {
        let is_shared = keep.shared;
        let keep = GrantSettings {
            subject: keep.subject,
            request,
            reuse: keep.reuse,
            lease: keep.lease_ms.map(millis),
            longest_request: keep.longest_request_ms.map(millis),
            keep_alive: keep.keep_alive_ms.map(millis),
            notice: keep.notice_ms.map(millis),
            step_up: keep.step_up,
        };
        let keeper = Keeper::for_grant_type(client, at, grant_type, tokens.cloned(), &keep)?;
        Ok(Self(Arc::new(if is_shared {
            keeper.shared()?
        } else {
            keeper
        })))
    }

    fn decide(
        &self,
        at: &Moment,
        refused: Option<&NativeTokens>,
        held: Option<&NativeTokens>,
    ) -> Result<NativeDecision> {
        let decision = self.0.ask(at, refused.map(|refused| &*refused.0));
        let (kind, tokens) = match decision.map_err(fail)? {
            Decision::UseToken(tokens) => ("use_token", Some(tokens)),
            Decision::UseAndRenew(tokens) => ("use_and_renew", Some(tokens)),
            Decision::Renew => ("renew", None),
            Decision::Wait => ("wait", None),
        };
        let is_held = |tokens: &Arc<Tokens>| held.is_some_and(|held| held.is(tokens));
        Ok(NativeDecision {
            kind,
            held: tokens.as_ref().is_some_and(is_held),
            tokens: tokens.filter(|tokens| !is_held(tokens)).map(NativeTokens),
            exchange: None,
        })
    }

    fn step(
        &self,
        at: Option<NativeMoment>,
        answer: impl FnOnce(&Keeper, &Moment) -> std::result::Result<Task, Error>,
    ) -> Result<NativeTask> {
        answer(&self.0, &moment(at)?).map(task).map_err(fail)
    }
}

fn upkeep_object(upkeep: Upkeep) -> NativeUpkeep {
    NativeUpkeep {
        ends: match upkeep {
            Upkeep::AuthorizationEnds(end) => Some(millis_of(end)),
            _ => None,
        },
        exchange: None,
    }
}

/// In milliseconds since 1970.
fn millis_of(time: UnixTime) -> f64 {
    time.as_secs() as f64 * 1000.0
}

/// Each method that depends on the time takes a moment as its first argument; without one, the system's time is used.
#[napi]
impl NativeKeeper {
    /// The key of the grant's record in a store.
    #[napi(getter)]
    pub fn key(&self) -> String {
        self.0.key()
    }

    /// Decides for a caller that needs a token: `refused` is one that an API has refused, `held` one that it has
    /// already.
    #[napi]
    pub fn ask(
        &self,
        at: Option<NativeMoment>,
        refused: Option<&NativeTokens>,
        held: Option<&NativeTokens>,
    ) -> Result<NativeDecision> {
        self.decide(&moment(at)?, refused, held)
    }

    /// Decides for a caller of a grant that is not shared: one that has to renew gets the renewal as one exchange.
    #[napi]
    pub fn ask_alone(
        &self,
        at: Option<NativeMoment>,
        refused: Option<&NativeTokens>,
        held: Option<&NativeTokens>,
    ) -> Result<NativeDecision> {
        let at = moment(at)?;
        let mut decision = self.decide(&at, refused, held)?;
        if matches!(decision.kind, "renew" | "use_and_renew") {
            decision.exchange = Some(NativeExchange::new(self.0.renewal(&at)));
        }
        Ok(decision)
    }

    /// Discards these tokens if they are the current ones: an API has refused them.
    #[napi]
    pub fn refuse(&self, refused: &NativeTokens) {
        self.0.refuse(&refused.0);
    }

    /// Replaces the grant's tokens with those of a new login.
    #[napi]
    pub fn replace(&self, at: Option<NativeMoment>, tokens: &NativeTokens) -> Result<()> {
        let replaced = self.0.replace(&moment(at)?, (*tokens.0).clone());
        replaced.map_err(fail)
    }

    /// Adopts a record that the store reported on its own.
    #[napi]
    pub fn learn(&self, at: Option<NativeMoment>, version: f64, record: String) -> Result<()> {
        let learned = self
            .0
            .learn(&moment(at)?, to_u64(version), Secret::new(record));
        learned.map_err(fail)
    }

    /// The newest tokens, valid or not.
    #[napi(getter)]
    pub fn tokens(&self) -> Option<NativeTokens> {
        self.0.tokens().map(NativeTokens)
    }

    /// Whether the store has the newest tokens.
    #[napi(getter)]
    pub fn is_stored(&self) -> bool {
        self.0.is_stored()
    }

    /// Whether the record is loaded only to be replaced by a new login.
    #[napi(getter)]
    pub fn is_saving_login(&self) -> bool {
        self.0.is_saving_login()
    }

    /// The state of the grant.
    #[napi(getter)]
    pub fn standing(&self) -> &'static str {
        self.0.standing()
    }

    /// The error of the last attempt, if it failed.
    #[napi(getter)]
    pub fn last_error(&self) -> Option<NativeFailure> {
        self.0.last_error().map(NativeFailure)
    }

    /// The lease to extend while an exchange runs.
    #[napi]
    pub fn lease_extension(&self) -> Option<NativeExtension> {
        let (holder, ttl, every) = self.0.lease_extension()?;
        let ms = |time: Duration| time.as_secs_f64() * 1000.0;
        Some(NativeExtension {
            holder,
            ms: ms(ttl),
            every: ms(every),
        })
    }

    /// The milliseconds until the next attempt to save unsaved tokens.
    #[napi]
    pub fn retry_after(&self, at: Option<NativeMoment>) -> Result<Option<f64>> {
        let pause = self.0.retry_after(&moment(at)?);
        Ok(pause.map(|pause| pause.as_secs_f64() * 1000.0))
    }

    /// The milliseconds until upkeep is due; `None` for never.
    #[napi]
    pub fn upkeep_after(&self, at: Option<NativeMoment>) -> Result<Option<f64>> {
        let pause = self.0.upkeep_after(&moment(at)?);
        Ok(pause.map(|pause| pause.as_secs_f64() * 1000.0))
    }

    /// The upkeep that is due now: a renewal or a notice, if any.
    #[napi]
    pub fn upkeep(&self, at: Option<NativeMoment>) -> Result<Option<NativeUpkeep>> {
        Ok(self.0.upkeep(&moment(at)?).map(upkeep_object))
    }

    /// The upkeep of a grant that is not shared: the renewal is one exchange.
    #[napi]
    pub fn upkeep_alone(&self, at: Option<NativeMoment>) -> Result<Option<NativeUpkeep>> {
        let at = moment(at)?;
        Ok(self
            .0
            .upkeep(&at)
            .map(upkeep_object)
            .map(|upkeep| NativeUpkeep {
                exchange: match upkeep.ends {
                    None => Some(NativeExchange::new(self.0.renewal(&at))),
                    Some(_) => None,
                },
                ..upkeep
            }))
    }

    /// Whether there are unsaved tokens to save again: then call `begin`.
    #[napi]
    pub fn save_again(&self) -> bool {
        self.0.save_again()
    }

    /// Begins no renewal from now on.
    #[napi]
    pub fn drain(&self) {
        self.0.drain();
    }

    /// Abandons a renewal that the event loop no longer carries out.
    #[napi]
    pub fn abandon(&self, at: Option<NativeMoment>) -> Result<()> {
        self.0.abandon(&moment(at)?);
        Ok(())
    }

    /// The first task of a renewal.
    #[napi]
    pub fn begin(&self, at: Option<NativeMoment>) -> Result<NativeTask> {
        self.step(at, Keeper::begin)
    }

    /// Continues with the record and its version; both absent if there is no record.
    #[napi]
    pub fn loaded(
        &self,
        at: Option<NativeMoment>,
        version: Option<f64>,
        record: Option<String>,
    ) -> Result<NativeTask> {
        let entry = version.zip(record);
        let entry = entry.map(|(version, record)| (to_u64(version), Secret::new(record)));
        self.step(at, |keeper, at| keeper.loaded(at, entry))
    }

    /// Continues with the milliseconds until the other holder's lease ends; 0 if the lease was acquired.
    #[napi]
    pub fn leased(&self, at: Option<NativeMoment>, held_ms: f64) -> Result<NativeTask> {
        let held = (held_ms > 0.0).then(|| millis(held_ms));
        self.step(at, |keeper, at| keeper.leased(at, held))
    }

    /// Continues with the new version; nothing if the stored version was not the expected one.
    #[napi]
    pub fn saved(&self, at: Option<NativeMoment>, version: Option<f64>) -> Result<NativeTask> {
        self.step(at, |keeper, at| keeper.saved(at, version.map(to_u64)))
    }

    /// Continues after the exchange, which was run to its end or dropped.
    #[napi]
    pub fn completed(&self, at: Option<NativeMoment>) -> Result<NativeTask> {
        self.step(at, Keeper::completed)
    }

    /// Continues after the pause.
    #[napi]
    pub fn elapsed(&self, at: Option<NativeMoment>) -> Result<NativeTask> {
        self.step(at, Keeper::elapsed)
    }

    /// Continues after a failed call of the store.
    #[napi]
    pub fn failed(&self, at: Option<NativeMoment>, reason: String) -> Result<NativeTask> {
        self.step(at, |keeper, at| keeper.failed(at, &reason))
    }

    /// Continues after a failed call of a built-in store.
    #[napi]
    pub fn failed_with(
        &self,
        at: Option<NativeMoment>,
        failure: &NativeFailure,
    ) -> Result<NativeTask> {
        let error = failure.0.clone();
        self.step(at, |keeper, at| keeper.failed_with(at, error))
    }
}

fn task(task: Task) -> NativeTask {
    let kind = |kind| NativeTask {
        kind,
        ..NativeTask::default()
    };
    let ms = |pause: Duration| Some(pause.as_secs_f64() * 1000.0);
    match task {
        Task::Load => kind("load"),
        Task::Lease { holder, ttl } => NativeTask {
            holder: Some(holder),
            ms: ms(ttl),
            ..kind("lease")
        },
        Task::Save {
            record,
            version,
            due,
            until,
        } => NativeTask {
            due: due.map(millis_of),
            until: until.map(millis_of),
            record: Some(record.expose().clone()),
            // `Store::save` keeps versions below 2^53, so they are exact as a double.
            version: Some(version as f64),
            ..kind("save")
        },
        Task::Run(exchange) => NativeTask {
            exchange: Some(NativeExchange::new(exchange)),
            ..kind("run")
        },
        Task::Wait(pause) => NativeTask {
            ms: ms(pause),
            ..kind("wait")
        },
        Task::Over(tokens) => NativeTask {
            tokens: Some(NativeTokens(tokens)),
            ..kind("over")
        },
    }
}
