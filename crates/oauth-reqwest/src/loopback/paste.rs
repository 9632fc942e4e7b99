//! A callback URL that the user pastes, for a listener that the browser cannot reach.

use oauth_core::PendingAuthorization;
use tokio::sync::mpsc;

use super::expected_callback::ExpectedCallback;

/// A way to pass a callback to a [`Listener`](super::Listener) that the browser cannot reach: over SSH the listener is
/// on another machine, and the browser ends at an address that shows an error. That address is the callback.
#[derive(Debug, Clone)]
pub struct Paste(pub(super) mpsc::UnboundedSender<String>);

impl Paste {
    /// Passes on what a user pasted: the whole address, or its query. Returns whether a login still waits for it.
    pub fn give(&self, text: &str) -> bool {
        self.0.send(text.to_owned()).is_ok()
    }

    /// Gives this text to the login if it is a callback of this flow. Returns whether it is, and a login waits for it.
    pub fn give_callback(&self, text: &str, pending: &PendingAuthorization) -> bool {
        callback(text, ExpectedCallback::Login(pending))
            .is_some_and(|callback| self.give(&callback))
    }
}

/// A request or text that is not a callback of the pending login. The listener keeps waiting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnexpectedCallback {
    /// A browser called the redirect URI with a `state` that is not this login's, or with none.
    Callback,
    /// A browser brought a refusal without a state: it may be this login's, but anyone can send one.
    Refusal,
    /// A pasted text that is not a callback of this login.
    Paste,
}

/// The callback in a pasted text. Address bars hide the scheme, and some users copy only the query.
pub(super) fn callback(text: &str, awaited: ExpectedCallback<'_>) -> Option<String> {
    let text = text.trim();
    let uri = awaited.redirect_uri();
    let query = text.strip_prefix('?').unwrap_or(text);
    let joint = if uri.contains('?') { '&' } else { '?' };
    let url = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let readings = [url, format!("{uri}{joint}{query}")];
    readings
        .into_iter()
        .find(|reading| awaited.recognizes(reading))
}
