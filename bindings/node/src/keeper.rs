//! The life of one grant: the decisions. The waiting, and the store, are the event loop's.

use std::sync::Arc;
use std::time::Duration;

use napi::Result;
use napi::bindgen_prelude::Undefined;
use napi_derive::napi;
use oauth_core::moment::Moment;
use oauth_core::{Error, Secret, Tokens};
use oauth_facade::{Ask, Client, Keep, Keeper, Task};

use crate::error::fail;
use crate::exchange::NativeExchange;
use crate::runtime::millis;
use crate::store::{NativeFailure, whole};
use crate::tokens::NativeTokens;

/// How a grant is kept, and which one it is.
#[napi(object, object_to_js = false)]
#[derive(Default)]
pub struct NativeKeep {
    /// Whether there is a store.
    pub shared: bool,
    /// Whose grant it is.
    pub subject: Option<String>,
    /// The scope that was asked for.
    pub scope: String,
    /// The resources that were asked for.
    pub resource: Option<Vec<String>>,
    /// `unknown`, `revokes` or `tolerated`.
    pub reuse: Option<String>,
    /// For how long a lease is taken, in milliseconds.
    pub lease_ms: Option<f64>,
}

impl From<NativeKeep> for Keep {
    fn from(keep: NativeKeep) -> Self {
        Self {
            subject: keep.subject,
            scope: keep.scope,
            resource: keep.resource.unwrap_or_default(),
            reuse: keep.reuse,
            lease: keep.lease_ms.map(millis),
        }
    }
}

/// What a caller is to do.
#[napi(object, object_from_js = false)]
pub struct NativeTurn {
    /// `hand_out`, `hand_out_and_renew`, `renew` or `follow`.
    pub kind: &'static str,
    /// What the caller holds is still good.
    pub held: bool,
    /// What is handed out, if the caller does not hold it.
    pub tokens: Option<NativeTokens>,
}

/// What the event loop is to do next; which members there are depends on `kind`.
#[napi(object, object_from_js = false)]
#[derive(Default)]
pub struct NativeTask {
    /// `load`, `lease`, `save`, `run`, `wait` or `over`.
    pub kind: &'static str,
    /// Of a lease.
    pub holder: Option<String>,
    /// Of a lease, or of a pause.
    pub ms: Option<f64>,
    /// What to save.
    pub record: Option<String>,
    /// The version it replaces.
    pub version: Option<f64>,
    /// What to run.
    pub exchange: Option<NativeExchange>,
    /// The end.
    pub tokens: Option<NativeTokens>,
}

/// One grant, kept fresh.
#[napi]
pub struct NativeKeeper(Arc<Keeper>);

impl NativeKeeper {
    pub(crate) fn client_credentials(
        client: &Client,
        scope: &str,
        keep: NativeKeep,
    ) -> std::result::Result<Self, Error> {
        let (is_shared, keep) = (keep.shared, keep.into());
        Self::of(
            Keeper::client_credentials(client, scope, &keep)?,
            is_shared,
            &keep,
        )
    }

    pub(crate) fn refreshing(
        client: &Client,
        tokens: Option<&Tokens>,
        keep: NativeKeep,
    ) -> std::result::Result<Self, Error> {
        let (is_shared, keep) = (keep.shared, keep.into());
        let keeper = Keeper::refreshing(client, Moment::system()?, tokens.cloned(), &keep)?;
        Self::of(keeper, is_shared, &keep)
    }

    fn of(keeper: Keeper, is_shared: bool, keep: &Keep) -> std::result::Result<Self, Error> {
        let keeper = match is_shared {
            true => keeper.shared(keep)?,
            false => keeper,
        };
        Ok(Self(Arc::new(keeper)))
    }

    fn step(
        &self,
        answer: impl FnOnce(&Keeper, Moment) -> std::result::Result<Task, Error>,
    ) -> Result<NativeTask> {
        let at = Moment::system().map_err(fail)?;
        answer(&self.0, at).map(task).map_err(fail)
    }
}

#[napi]
impl NativeKeeper {
    /// The name of the record in a store.
    #[napi(getter)]
    pub fn key(&self) -> String {
        self.0.key()
    }

    /// One caller asks for a token, knowing perhaps of one that was refused, and holding perhaps
    /// the one that is good.
    #[napi]
    pub fn ask(
        &self,
        refused: Option<&NativeTokens>,
        held: Option<&NativeTokens>,
    ) -> Result<NativeTurn> {
        let at = Moment::system().map_err(fail)?;
        let ask = self
            .0
            .ask(at, refused.map(|refused| &*refused.0))
            .map_err(fail)?;
        let (kind, tokens) = match ask {
            Ask::HandOut(tokens) => ("hand_out", Some(tokens)),
            Ask::HandOutAndRenew(tokens) => ("hand_out_and_renew", Some(tokens)),
            Ask::Renew => ("renew", None),
            Ask::Follow => ("follow", None),
        };
        let is_held = |tokens: &Arc<Tokens>| held.is_some_and(|held| is_same(&held.0, tokens));
        Ok(NativeTurn {
            kind,
            held: tokens.as_ref().is_some_and(is_held),
            tokens: tokens.filter(|tokens| !is_held(tokens)).map(NativeTokens),
        })
    }

    /// Forgets exactly this token.
    #[napi]
    pub fn refuse(&self, refused: &NativeTokens) {
        self.0.refuse(&refused.0);
    }

    /// Takes the tokens of a new login.
    #[napi]
    pub fn replace(&self, tokens: &NativeTokens) -> Result<()> {
        let at = Moment::system().map_err(fail)?;
        self.0.replace(at, (*tokens.0).clone()).map_err(fail)
    }

    /// Whether the store has the newest tokens.
    #[napi(getter)]
    pub fn is_stored(&self) -> bool {
        self.0.is_stored()
    }

    /// Throws what the last attempt failed with, if it did.
    #[napi]
    pub fn throw_trouble(&self) -> Result<Undefined> {
        self.0.trouble().map_or(Ok(()), |error| Err(fail(error)))
    }

    /// The event loop gives up in the midst of a renewal.
    #[napi]
    pub fn abandon(&self) -> Result<()> {
        self.0.abandon(Moment::system().map_err(fail)?);
        Ok(())
    }

    /// The first task of a renewal.
    #[napi]
    pub fn begin(&self) -> Result<NativeTask> {
        self.step(Keeper::begin)
    }

    /// The record and its version; neither if there is none.
    #[napi]
    pub fn loaded(&self, version: Option<f64>, record: Option<String>) -> Result<NativeTask> {
        let entry = version.zip(record);
        let entry = entry.map(|(version, record)| (whole(version), Secret::new(record)));
        self.step(|keeper, at| keeper.loaded(at, entry))
    }

    /// For how many milliseconds another holds the lease; 0 if it was won.
    #[napi]
    pub fn leased(&self, held_ms: f64) -> Result<NativeTask> {
        let held = (held_ms > 0.0).then(|| millis(held_ms));
        self.step(|keeper, at| keeper.leased(at, held))
    }

    /// The new version, or nothing if the record was at another.
    #[napi]
    pub fn saved(&self, version: Option<f64>) -> Result<NativeTask> {
        self.step(|keeper, at| keeper.saved(at, version.map(whole)))
    }

    /// The exchange was run to its end, or dropped.
    #[napi]
    pub fn flown(&self) -> Result<NativeTask> {
        self.step(Keeper::flown)
    }

    /// The pause is over.
    #[napi]
    pub fn elapsed(&self) -> Result<NativeTask> {
        self.step(Keeper::elapsed)
    }

    /// The store gave no answer.
    #[napi]
    pub fn failed(&self, why: String) -> Result<NativeTask> {
        self.step(|keeper, at| keeper.failed(at, &why))
    }

    /// One of our stores gave no answer.
    #[napi]
    pub fn failed_with(&self, failure: &NativeFailure) -> Result<NativeTask> {
        let error = failure.0.clone();
        self.step(|keeper, at| keeper.failed_with(at, error))
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
        Task::Save { record, version } => NativeTask {
            record: Some(record.expose().clone()),
            // Versions count renewals: they stay far below 2^53.
            version: Some(version as f64),
            ..kind("save")
        },
        Task::Run(machine) => NativeTask {
            exchange: Some(NativeExchange::new(machine)),
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

fn is_same(one: &Tokens, other: &Tokens) -> bool {
    let is_same_refresh = match (&one.refresh_token, &other.refresh_token) {
        (Some(one), Some(other)) => one.secret().matches(other.secret().expose()),
        (None, None) => true,
        _ => false,
    };
    is_same_refresh && one.access_token.matches(other.access_token.expose())
}
