//! The events of grants as events of `tracing`.

use super::{Notice, Observe};

/// An observer that emits `tracing` events at target `oauth_session`: warnings for what ends or
/// endangers a grant, debug for the rest. The field `grant` is the key of the record, `code` that of an
/// error, `wait` a pause in seconds, `end` a time in seconds since 1970.
#[derive(Debug, Clone, Copy, Default)]
pub struct Traced;

impl Observe for Traced {
    fn observe(&self, key: Option<&str>, notice: &Notice<'_>) {
        let (grant, what) = (key, notice.name());
        match notice {
            Notice::Renewed | Notice::StoredLate => {
                tracing::debug!(target: "oauth_session", grant, "{what}");
            }
            Notice::Waits(pause) => {
                let wait = pause.as_secs_f64();
                tracing::debug!(target: "oauth_session", grant, wait, "{what}");
            }
            Notice::Failed(error) | Notice::Suspect(error) | Notice::Ended(error) => {
                let code = error.code();
                tracing::warn!(target: "oauth_session", grant, code, %error, "{what}");
            }
            Notice::AuthorizationEnds(end) => {
                let end = end.as_secs();
                tracing::warn!(target: "oauth_session", grant, end, "{what}");
            }
            Notice::Unsaved | Notice::LeaseLost => {
                tracing::warn!(target: "oauth_session", grant, "{what}");
            }
        }
    }
}
