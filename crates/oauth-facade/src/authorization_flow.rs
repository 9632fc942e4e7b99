//! A pending authorization for the hosts of other languages: one object, which threads may share, which can be stored
//! as text, and is redeemed once.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use oauth_core::error::{Error, Kind, Misuse, ValidationFailure};
use oauth_core::flow::authorization::CallbackContext;
use oauth_core::moment::UnixTime;
use oauth_core::{PendingAuthorization, Secret};

use crate::client::Client;
use crate::erased_exchange::ErasedExchange;

/// A flow between its authorization URL and its callback.
pub struct AuthorizationFlow {
    issuer: String,
    redirect_uri: String,
    state: Secret<String>,
    started_at: UnixTime,
    /// The flow as text; `None` once it is spent.
    pending: Mutex<Option<Secret<String>>>,
}

/// Whether a flow belongs to another issuer or client.
fn is_issuer_mismatch(error: &Error) -> bool {
    matches!(
        error.kind(),
        Kind::Untrusted(ValidationFailure::StoredIssuer)
    )
}

impl AuthorizationFlow {
    /// Creates the object for a flow that has begun.
    pub fn new(pending: &PendingAuthorization) -> Self {
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
        PendingAuthorization::from_json(text).map(|pending| Self::new(&pending))
    }

    /// The issuer to which the user was sent.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }

    /// The redirect URI at which the callback must arrive.
    pub fn redirect_uri(&self) -> &str {
        &self.redirect_uri
    }

    /// The key by which to find this flow if several are pending in one session.
    pub const fn state(&self) -> &Secret<String> {
        &self.state
    }

    /// When the flow began, for callers that expire old flows.
    pub const fn started_at(&self) -> UnixTime {
        self.started_at
    }

    /// Whether a callback carries this flow's state. Always false once the flow is spent.
    pub fn recognizes(&self, callback: &str) -> bool {
        self.pending()
            .is_ok_and(|pending| pending.recognizes(callback))
    }

    /// The flow as text, to be stored where secrets belong.
    ///
    /// # Errors
    /// `misuse.already_finished` once the flow is spent.
    pub fn to_json(&self) -> Result<Secret<String>, Error> {
        self.lock_pending().clone().ok_or_else(spent)
    }

    /// A copy of the flow, for the code that waits for its callback.
    ///
    /// # Errors
    /// `misuse.already_finished` once the flow is spent.
    pub fn pending(&self) -> Result<PendingAuthorization, Error> {
        PendingAuthorization::from_json(self.to_json()?.expose())
    }

    /// Checks a callback and redeems its code. A callback that carries this flow's state spends the flow, regardless of
    /// the result, because its code, if it has one, is valid only once. Any other is rejected and the flow stays
    /// pending, because anyone can forge a callback. So it does if the client is not the flow's.
    ///
    /// # Errors
    /// `misuse.already_finished` once the flow is spent, and those of [`oauth_core::Client::redeem`].
    pub fn redeem(&self, client: &Client, callback: &str) -> Result<ErasedExchange, Error> {
        self.redeem_at(client, callback, None, CallbackContext::default())
    }

    /// Redeems a callback that arrived in this context and session, for a token limited to these of the requested
    /// resources (RFC 8707 section 2.2).
    ///
    /// # Errors
    /// `callback.context` and `callback.user` if the flow was begun in another context or by another user;
    /// `resource.exceeds_grant` for a resource that was not requested, and the flow stays pending; else those of
    /// [`Self::redeem`].
    pub fn redeem_at(
        &self,
        client: &Client,
        callback: &str,
        resources: Option<&[String]>,
        callback_context: CallbackContext,
    ) -> Result<ErasedExchange, Error> {
        let mut held = self.lock_pending();
        let text = held.as_ref().ok_or_else(spent)?;
        let mut pending = PendingAuthorization::from_json(text.expose())?;
        let is_recognized = client.recognizes(&pending, callback);
        if let Some(resources) = resources {
            pending = pending.for_resources(resources.iter().map(String::as_str))?;
        }
        let exchange =
            client.redeem_pending(pending.with_callback_context(callback_context), callback);
        // A flow of another client is refused before its code is sent, so the code remains valid.
        let belongs_to_other_client = exchange.as_ref().is_err_and(is_issuer_mismatch);
        if is_recognized && !belongs_to_other_client {
            *held = None;
        }
        exchange
    }

    fn lock_pending(&self) -> MutexGuard<'_, Option<Secret<String>>> {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where a callback arrived, as hosts report it: in this context, in the session of this user.
pub fn callback_context(context: Option<String>, user: Option<String>) -> CallbackContext {
    let callback_context = match context {
        Some(context) => CallbackContext::default().in_context(context),
        None => CallbackContext::default(),
    };
    match user {
        Some(user) => callback_context.for_user(user),
        None => callback_context,
    }
}

fn spent() -> Error {
    Error::from(Misuse::Over).about("this flow has already been redeemed")
}

impl fmt::Debug for AuthorizationFlow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthorizationFlow")
            .field("issuer", &self.issuer)
            .field("redirect_uri", &self.redirect_uri)
            .finish_non_exhaustive()
    }
}
