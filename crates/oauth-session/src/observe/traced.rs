//! The events of grants as events of `tracing`.

use super::{GrantEvent, Observe};

/// An observer that emits `tracing` events at target `oauth_session`: warnings for events that end or endanger a grant,
/// debug for the rest. The field `grant` is the key of the record, `code` that of an error, `wait` a pause in seconds,
/// `end` a time in seconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traced;

impl Observe for Traced {
    fn observe(&self, key: Option<&str>, notice: &GrantEvent<'_>) {
        let (grant, event) = (key, notice.name());
        match notice {
            GrantEvent::Renewed | GrantEvent::StoredLate => {
                tracing::debug!(target: "oauth_session", grant, "{event}");
            }
            GrantEvent::Waits(pause) => {
                let wait = pause.as_secs_f64();
                tracing::debug!(target: "oauth_session", grant, wait, "{event}");
            }
            GrantEvent::Failed(error) | GrantEvent::Suspect(error) | GrantEvent::Ended(error) => {
                let code = error.code();
                tracing::warn!(target: "oauth_session", grant, code, %error, "{event}");
            }
            GrantEvent::AuthorizationEnds(end) => {
                let end = end.as_secs();
                tracing::warn!(target: "oauth_session", grant, end, "{event}");
            }
            GrantEvent::Unsaved | GrantEvent::LeaseLost => {
                tracing::warn!(target: "oauth_session", grant, "{event}");
            }
        }
    }
}
