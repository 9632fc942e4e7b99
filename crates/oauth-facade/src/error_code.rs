//! Turns an error code that a host language passes back into an [`Error`] again.

use std::error;
use std::fmt;
use std::time::Duration;

use oauth_core::error::{Cause, Error, Row};

/// The message that a host language gave an error.
#[derive(Debug)]
struct HostMessage(String);

impl fmt::Display for HostMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for HostMessage {}

/// The error with this code, for hosts that received one as an error of their language. A refusal, or an unknown code,
/// becomes the loss of an answer. `pause` is how long the host's error said to wait.
pub fn error_from_code(code: &str, reason: &str, pause: Option<Duration>) -> Error {
    let cause = || Cause::unknown(HostMessage(reason.to_owned()));
    let error = match Row::all().find(|row| row.code() == code) {
        Some(Row::Malformed(fault)) => Error::from(fault).caused_by(cause()),
        Some(Row::Untrusted(check)) => Error::from(check).caused_by(cause()),
        Some(Row::Misuse(misuse)) => Error::from(misuse).about(reason),
        Some(Row::Lost(loss)) => Error::lost(cause().because(loss)),
        Some(Row::Denied(_)) | None => Error::lost(cause()),
    };
    error.pausing(pause.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oauth_core::error::{Class, Row};

    use super::error_from_code;

    #[test]
    fn error_code_round_trips_and_denied_or_unknown_codes_become_lost() {
        for row in Row::all() {
            let error = error_from_code(row.code(), "why", None);
            match row.class() {
                Class::Denied => assert_eq!(error.code(), "lost"),
                _ => assert_eq!(error.code(), row.code()),
            }
        }
        let lost = error_from_code("lost.connect", "nobody listens", None);
        assert!(lost.to_string().contains("nobody listens"), "{lost}");
        assert_eq!(error_from_code("anything", "why", None).code(), "lost");
    }

    #[test]
    fn retry_after_is_kept_when_an_error_is_created_from_its_code() {
        let pause = Duration::from_secs(70);
        for code in ["denied.busy", "lost.connect", "endpoint.status"] {
            let wait_of = |pause| error_from_code(code, "why", pause).retry_after();
            assert_eq!(wait_of(Some(pause)), Some(pause), "{code}");
            assert_ne!(wait_of(None), Some(pause), "{code}");
        }
    }
}
