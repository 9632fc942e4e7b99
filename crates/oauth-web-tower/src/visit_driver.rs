//! Drives visits: performs each step with the HTTP driver, the store and the application's callbacks.

use std::sync::Arc;

use oauth_core::error::{Error, Misuse};
use oauth_session::store::RecordTimes;
use oauth_web::{Admission, Connect, Event, Forward, ProviderQuery, Reply, Session, Step, Visit};

use crate::host::{Host, ProviderResult};

/// The result of a visit.
#[expect(
    clippy::large_enum_variant,
    reason = "it is handed over once, and not kept"
)]
#[derive(Debug)]
pub enum Outcome {
    /// Send this response.
    Respond(Reply),
    /// Forward this call, with [`Host::forward`].
    Forward(Box<Forward>),
    /// Pass the request on to the application, with the session if there is one.
    Pass(Option<Arc<Session>>),
}

impl Host {
    /// Drives a visit to its end.
    ///
    /// # Errors
    /// `misuse.no_clock` and `misuse.no_randomness`.
    pub async fn drive(&self, mut visit: Visit) -> Result<Outcome, Error> {
        let step = self.resume(&mut visit, Event::Begin)?;
        self.drive_from(visit, step).await
    }

    /// Drives a visit to its end whose next step is this one: for hosts that resume a visit themselves, because most
    /// pass a request on with their first step.
    ///
    /// # Errors
    /// The errors of [`drive`](Self::drive).
    pub async fn drive_from(&self, mut visit: Visit, mut step: Step) -> Result<Outcome, Error> {
        loop {
            let event = match step {
                Step::Respond(reply) => {
                    if let (Some(on_signed_out), Some(identity)) =
                        (&self.signed_out, &reply.signed_out)
                    {
                        on_signed_out((**identity).clone()).await;
                    }
                    return Ok(Outcome::Respond(reply));
                }
                Step::Pass(session) => return Ok(Outcome::Pass(session)),
                Step::Forward(forward) => return Ok(Outcome::Forward(forward)),
                Step::Run(exchange) => Event::Completed(self.driver.run(exchange).await),
                Step::Wait(pause) => {
                    tokio::time::sleep(pause).await;
                    Event::Elapsed
                }
                Step::Provider(query) => match self.look_up(*query).await {
                    Ok(provider) => Event::Provider(provider.map(Box::new)),
                    Err(error) => Event::Failed(error),
                },
                Step::Connect(connect) => {
                    self.make(connect);
                    Event::Connecting
                }
                Step::Admit(identity) => Event::Admitted(match &self.admit {
                    Some(admit) => admit(*identity).await,
                    None => Admission::default(),
                }),
                stored => self
                    .run_store_step(stored)
                    .await
                    .unwrap_or_else(Event::Failed),
            };
            step = self.resume(&mut visit, event)?;
        }
    }

    fn resume(&self, visit: &mut Visit, event: Event) -> Result<Step, Error> {
        let step = visit.resume(&(self.clock)()?, event);
        if let Some(log) = &self.log {
            visit.notes().into_iter().for_each(|note| log(note));
        }
        step
    }

    /// Makes the client in a task of its own: if the request that waits is dropped, others still need the client.
    fn make(&self, connect: Connect) {
        let host = self.clone();
        tokio::spawn(async move {
            let made = match &host.connect {
                Some(make) => make(connect.provider.clone()).await,
                None => Err(Error::from(Misuse::WebSetup).about("no function creates the client")),
            };
            // Without a clock, no visit waits any more.
            if let Ok(now) = (host.clock)() {
                host.site.connected(&now, &connect, made);
            }
        });
    }

    pub(crate) async fn look_up(&self, query: ProviderQuery) -> ProviderResult {
        match &self.providers {
            Some(look) => look(query).await,
            None => Ok(None),
        }
    }

    /// Performs a step of the store.
    async fn run_store_step(&self, step: Step) -> Result<Event, Error> {
        let store = self.store.as_ref();
        let store = store.ok_or_else(|| Error::from(Misuse::NotSupported).at_endpoint("store"))?;
        Ok(match step {
            Step::Load { key } => Event::Loaded(store.load(&key).await?),
            Step::Lease { key, holder, ttl } => {
                Event::Leased(store.lease(&key, &holder, ttl).await?)
            }
            Step::Save {
                key,
                record,
                version,
                due,
                until,
            } => {
                let times = RecordTimes { due, until };
                Event::Saved(store.save(&key, &record, version, times).await?)
            }
            Step::Remove { key } => {
                store.remove(&key).await?;
                Event::Removed
            }
            Step::Respond(_)
            | Step::Forward(_)
            | Step::Pass(_)
            | Step::Run(_)
            | Step::Wait(_)
            | Step::Provider(_)
            | Step::Connect(_)
            | Step::Admit(_) => {
                return Err(Misuse::OutOfOrder.into());
            }
        })
    }
}
