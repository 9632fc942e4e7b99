//! Detects login loops: a browser that signs in repeatedly without a session being accepted gets an error page.
//!
//! Only logins that succeeded are counted, not those that began: ten tabs opened at once begin ten logins, which is not
//! a loop.

use oauth_core::error::{Error, ValidationFailure};
use oauth_core::moment::UnixTime;
use serde::{Deserialize, Serialize};

use crate::cookie::{CookieSameSite, Purpose};
use crate::request_context::RequestContext;

/// How long logins are remembered, in seconds.
const WINDOW_SECONDS: u64 = 60;

/// How many logins may succeed within that time without a session being accepted.
const MAX_REMEMBERED: usize = 3;

/// The longest reason that is stored, in characters.
const MAX_REASON_CHARS: usize = 60;

/// The cookie of the recent logins.
const RECENT_LOGINS_COOKIE: &str = "tries";

/// The recent logins of this browser.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct RecentLogins {
    /// When logins succeeded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    signed_in: Vec<UnixTime>,
    /// When a login was restarted because of a callback without a flow.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    restarted: Vec<UnixTime>,
    /// The reasons why sessions were not accepted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    refused: Vec<String>,
}

impl RecentLogins {
    pub(crate) fn from_cookie(context: &RequestContext) -> Result<Self, Error> {
        let jar = context.jar()?;
        let stored = jar.read(
            &context.cookies,
            Purpose::RecentLogins,
            &jar.name_of(RECENT_LOGINS_COOKIE),
        );
        let mut recent_logins: Self = stored.unwrap_or_default();
        let now = context.io.now();
        let is_recent = |at: &UnixTime| now.since(*at).as_secs() < WINDOW_SECONDS;
        recent_logins.signed_in.retain(is_recent);
        recent_logins.restarted.retain(is_recent);
        Ok(recent_logins)
    }

    /// Whether a login was restarted within the window, and the browser has kept the cookie.
    pub(crate) fn is_restarted(&self) -> bool {
        !self.restarted.is_empty()
    }

    pub(crate) fn record_login(mut self, now: UnixTime) -> Self {
        self.signed_in.push(now);
        let surplus = self.signed_in.len().saturating_sub(MAX_REMEMBERED);
        self.signed_in.drain(..surplus);
        self
    }

    pub(crate) fn record_restart(mut self, now: UnixTime) -> Self {
        self.restarted = vec![now];
        self
    }

    /// Called when a sign-in begins although others have just succeeded. Returns the logins to remember, if any.
    ///
    /// # Errors
    /// `web.loop`, which says why each session was not accepted.
    pub(crate) fn record_rejected_session(mut self, reason: &str) -> Result<Option<Self>, Error> {
        if self.signed_in.is_empty() {
            return Ok(None);
        }
        let reason: String = reason.chars().take(MAX_REASON_CHARS).collect();
        self.refused.push(reason);
        if self.signed_in.len() >= MAX_REMEMBERED {
            let reason = self.refused.join("; ");
            return Err(Error::from(ValidationFailure::WebLoop).about(&reason));
        }
        let surplus = self.refused.len().saturating_sub(MAX_REMEMBERED);
        self.refused.drain(..surplus);
        Ok(Some(self))
    }

    pub(crate) fn cookie(&self, context: &RequestContext) -> Result<String, Error> {
        let jar = context.jar()?;
        let name = jar.name_of(RECENT_LOGINS_COOKIE);
        let plain = serde_json::to_vec(self).unwrap_or_default();
        let value = jar.seal(&context.io.moment(), Purpose::RecentLogins, &name, &plain)?;
        Ok(jar.set_cookie(&name, &value, WINDOW_SECONDS, CookieSameSite::Lax))
    }
}
