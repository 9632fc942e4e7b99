//! An authorization under way, as the hosts of other languages hold it: in one object, which may be
//! shared by threads, kept as text, and redeemed once.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oauth_core::error::{Error, Misuse};
use oauth_core::flow::authorization::Arrival;
use oauth_core::moment::UnixTime;
use oauth_core::{Pending, Secret};

use crate::client::Client;
use crate::machine::Machine;

/// A flow between its authorization URL and its callback.
pub struct Flow {
    issuer: String,
    redirect_uri: String,
    state: Secret<String>,
    started_at: UnixTime,
    /// The flow as text; nothing once it is spent.
    pending: Mutex<Option<Secret<String>>>,
}

impl Flow {
    /// Of a flow that has begun.
    pub fn new(pending: &Pending) -> Self {
        Self {
            issuer: pending.issuer().to_owned(),
            redirect_uri: pending.redirect_uri().as_str().to_owned(),
            state: pending.state().clone(),
            started_at: pending.started_at(),
            pending: Mutex::new(Some(pending.to_json())),
        }
    }

    /// Reads what [`Self::to_json`] wrote.
    ///
    /// # Errors
    /// `stored.malformed`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        Pending::from_json(text).map(|pending| Self::new(&pending))
    }

    /// The issuer the person was sent to.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// Where the callback must come to.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The key to find this flow by when several wait in one session.
    pub const fn state(&self) -> &Secret<String> {
        &self.state
    }

    /// When the flow began, for callers that let old flows lapse.
    pub const fn started_at(&self) -> UnixTime {
        self.started_at
    }

    /// Whether a callback carries this flow's state. Never, once it is spent.
    pub fn recognizes(&self, callback: &str) -> bool {
        self.pending()
            .is_ok_and(|pending| pending.recognizes(callback))
    }

    /// The flow as text, to be kept where secrets belong.
    ///
    /// # Errors
    /// `misuse.over` once it is spent.
    pub fn to_json(&self) -> Result<Secret<String>, Error> {
        self.held().clone().ok_or_else(spent)
    }

    /// A copy of the flow, for whoever waits for its callback.
    ///
    /// # Errors
    /// `misuse.over` once it is spent.
    pub fn pending(&self) -> Result<Pending, Error> {
        Pending::from_json(self.to_json()?.expose())
    }

    /// Judges a callback and redeems its code. One that carries this flow's state spends the flow,
    /// whatever the verdict: its code, if it has one, can be good only once. Any other is turned
    /// away and the flow waits on, for anyone can make up a callback. So does it for a client that it is not of.
    ///
    /// # Errors
    /// `misuse.over` once it is spent, and those of [`oauth_core::Client::redeem`].
    pub fn redeem(&self, client: &Client, callback: &str) -> Result<Machine, Error> {
        self.redeem_at(client, callback, None, Arrival::default())
    }

    /// The same for a callback that arrived there, and for a token that is good at these of the resources that were
    /// asked for, and at no others (RFC 8707 section 2.2).
    ///
    /// # Errors
    /// `callback.context` and `callback.user` for another place than the one that the flow was begun in;
    /// `resource.exceeds_grant` for a resource that was not asked for, and the flow waits on; else as
    /// [`Self::redeem`].
    pub fn redeem_at(
        &self,
        client: &Client,
        callback: &str,
        resources: Option<&[String]>,
        arrival: Arrival,
    ) -> Result<Machine, Error> {
        let mut held = self.held();
        let text = held.as_ref().ok_or_else(spent)?;
        let mut pending = Pending::from_json(text.expose())?;
        let is_ours = client.recognizes(&pending, callback);
        if let Some(resources) = resources {
            pending = pending.for_resources(resources.iter().map(String::as_str))?;
        }
        let machine = client.redeem_pending(pending.arrived(arrival), callback);
        // A client that the flow is not of learns nothing and sends nothing: its code is as good as before.
        let is_another_clients = machine
            .as_ref()
            .is_err_and(|error| error.code() == "stored.issuer");
        if is_ours && !is_another_clients {
            *held = None;
        }
        machine
    }

    fn held(&self) -> MutexGuard<'_, Option<Secret<String>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a callback arrived, as hosts say it: in this context, in the session of this person.
pub fn arrival(context: Option<String>, user: Option<String>) -> Arrival {
    let arrival = match context {
        Some(context) => Arrival::default().in_context(context),
        None => Arrival::default(),
    };
    match user {
        Some(user) => arrival.of_user(user),
        None => arrival,
    }
}

fn spent() -> Error {
    Error::from(Misuse::Over).about("this flow was redeemed before")
}

impl fmt::Debug for Flow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flow")
            .field("issuer", &self.issuer)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}
