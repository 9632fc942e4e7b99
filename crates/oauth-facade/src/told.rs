//! Turns an error code that a host language hands back into an [`Error`] again.

use std::error;
use std::fmt;
use std::time::Duration;

use oauth_core::error::{Cause, Error, Row};

/// The message that a host language gave an error.
#[derive(Debug)]
struct Told(String);

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl error::Error for Told {}

/// The error of this code, for hosts that were handed one as their language has it. A refusal, and an unknown code,
/// ours, is the loss of an answer. `pause` is how long it said to wait.
pub fn told(code: &str, why: &str, pause: Option<Duration>) -> Error {
    let cause = || Cause::unknown(Told(why.to_owned()));
    let error = match Row::all().find(|row| row.code() == code) {
        Some(Row::Malformed(fault)) => Error::from(fault).caused_by(cause()),
        Some(Row::Untrusted(check)) => Error::from(check).caused_by(cause()),
        Some(Row::Misuse(misuse)) => Error::from(misuse).about(why),
        Some(Row::Lost(loss)) => Error::lost(cause().because(loss)),
        Some(Row::Denied(_)) | None => Error::lost(cause()),
    };
    error.pausing(pause.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use oauth_core::error::{Class, Row};

    use super::told;

    #[test]
    fn an_error_comes_back_as_it_went() {
        for row in Row::all() {
            let error = told(row.code(), "why", None);
            match row.class() {
                Class::Denied => assert_eq!(error.code(), "lost"),
                _ => assert_eq!(error.code(), row.code()),
            }
        }
        let lost = told("lost.connect", "nobody listens", None);
        assert!(lost.to_string().contains("nobody listens"), "{lost}");
        assert_eq!(told("anything", "why", None).code(), "lost");
    }

    #[test]
    fn the_pause_of_a_busy_server_is_kept() {
        let pause = Duration::from_secs(70);
        for code in ["denied.busy", "lost.connect", "endpoint.status"] {
            let told = |pause| told(code, "why", pause).retry_after();
            assert_eq!(told(Some(pause)), Some(pause), "{code}");
            assert_ne!(told(None), Some(pause), "{code}");
        }
    }
}
