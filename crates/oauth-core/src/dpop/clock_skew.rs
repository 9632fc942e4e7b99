//! The clock difference of each server: a proof that seems too old or too new is refused (RFC 9449 section 11.1), and
//! the refusal carries the server's time.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::ServerRole;
use crate::http::HeaderMap;
use crate::http::header::DATE;
use crate::moment::UnixTime;
use crate::retry_after;
use crate::url::Url;

/// The error code of a refused proof, for any reason (section 12.2).
pub(crate) const INVALID_PROOF: &str = "invalid_dpop_proof";

/// Smaller differences may only be the transmission time of the reply.
const MIN_DIFFERENCE: Duration = Duration::from_secs(5);

/// The number of servers whose clocks are remembered; the oldest is dropped first.
const MAX_CLOCKS: usize = 64;

/// The clock difference of each server that has refused a proof because of its time.
#[derive(Debug, Default)]
pub(crate) struct ServerClocks(Mutex<VecDeque<(ServerRole, String, ClockOffset)>>);

/// The difference between a server's clock and the local clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClockOffset {
    Ahead(Duration),
    Behind(Duration),
}

impl ServerClocks {
    /// The current time by the server's clock.
    pub(crate) fn server_time(&self, role: ServerRole, url: &Url, now: UnixTime) -> UnixTime {
        let origin = url.origin_text();
        let differences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let difference = differences.iter().find(|(server_role, server_origin, _)| {
            *server_role == role && *server_origin == origin
        });
        match difference {
            Some((.., ClockOffset::Ahead(offset))) => now.after(*offset),
            Some((.., ClockOffset::Behind(offset))) => now.before(*offset),
            None => now,
        }
    }

    /// Updates the server's clock difference from the `Date` of the response that refused a proof with `iat` =
    /// `issued_at`. Returns whether the proof's time was wrong, so that a retry makes sense; this holds even if another
    /// response has corrected the difference since.
    pub(crate) fn correct_from_date(
        &self,
        role: ServerRole,
        url: &Url,
        headers: &HeaderMap,
        now: UnixTime,
        issued_at: UnixTime,
    ) -> bool {
        let mut fields = headers.get_all(DATE).iter();
        let (Some(field), None) = (fields.next(), fields.next()) else {
            return false;
        };
        let Some(server_date) = field.to_str().ok().and_then(retry_after::http_date) else {
            return false;
        };
        if server_date
            .since(issued_at)
            .max(issued_at.since(server_date))
            <= MIN_DIFFERENCE
        {
            return false;
        }
        let difference = if server_date >= now {
            ClockOffset::Ahead(server_date.since(now))
        } else {
            ClockOffset::Behind(now.since(server_date))
        };
        let origin = url.origin_text();
        let mut differences = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        differences.retain(|(server_role, server_origin, _)| {
            *server_role != role || *server_origin != origin
        });
        if differences.len() >= MAX_CLOCKS {
            differences.pop_front();
        }
        differences.push_back((role, origin.to_owned(), difference));
        true
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // tests may panic

    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    fn at(seconds: u64) -> UnixTime {
        UnixTime::from_secs(seconds)
    }

    fn dated(dates: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for date in dates {
            headers.append(DATE, date.parse().unwrap());
        }
        headers
    }

    #[test]
    fn clock_offset_is_kept_per_origin_and_server_role() {
        let clocks = ServerClocks::default();
        let (one, other) = (url("https://a.example/x"), url("https://b.example/x"));
        let role = ServerRole::AuthorizationServer;
        // 784111777 seconds after the epoch.
        let date = dated(&["Sun, 06 Nov 1994 08:49:37 GMT"]);
        let now = at(784_111_777 + 100);
        assert!(clocks.correct_from_date(role, &one, &date, now, now));
        assert_eq!(clocks.server_time(role, &one, now), at(784_111_777));
        assert_eq!(
            clocks.server_time(role, &one, at(784_111_977)),
            at(784_111_877)
        );
        assert_eq!(clocks.server_time(role, &other, now), now);
        assert_eq!(
            clocks.server_time(ServerRole::ResourceServer, &one, now),
            now
        );
        // A proof that was already in flight also had the wrong time.
        assert!(clocks.correct_from_date(role, &one, &date, now, now));
        assert_eq!(clocks.server_time(role, &one, now), at(784_111_777));
        // A proof with the right time was refused for another reason.
        let right = clocks.server_time(role, &one, now);
        assert!(!clocks.correct_from_date(role, &one, &date, now, right));
        let ahead = at(784_111_777 - 50);
        assert!(clocks.correct_from_date(role, &other, &date, ahead, ahead));
        assert_eq!(clocks.server_time(role, &other, ahead), at(784_111_777));
    }

    #[test]
    fn date_that_is_close_missing_or_invalid_corrects_no_clock() {
        let clocks = ServerClocks::default();
        let (url, role) = (url("https://a.example/x"), ServerRole::ResourceServer);
        let near = dated(&["Sun, 06 Nov 1994 08:49:37 GMT"]);
        for now in [784_111_772, 784_111_777, 784_111_782] {
            assert!(
                !clocks.correct_from_date(role, &url, &near, at(now), at(now)),
                "{now}"
            );
        }
        let twice = ["Sun, 06 Nov 1994 08:49:37 GMT"; 2];
        for dates in [&[][..], &["yesterday"], &twice] {
            assert!(
                !clocks.correct_from_date(role, &url, &dated(dates), at(1), at(1)),
                "{dates:?}"
            );
        }
    }
}
