//! The tally of a round: the server's counts, the callers' results, and what is wrong with them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use oauth_core::flow::keeper::Policy;
use serde_json::Value;

use crate::hold::Hold;
use crate::pool::LONG_ROUND;
use crate::round::ACCESS_TOKEN_LIFETIME;
use crate::worker::LONGEST_REQUEST;

/// The maximum wait of a caller in milliseconds, after the kill of a worker as well as without one: for
/// the end of its lease of 10 s, for the next poll by another worker, and for that worker's renewal.
const MAX_WAIT: u64 = 15_000;

/// How long callers may get errors of the store after a failover, in milliseconds: the timeout of an
/// attempt on the old primary, and the pause before the next one.
const FAILOVER_SETTLING_MS: u64 = 6000;

/// The history of a round as reported by the workers. Times are milliseconds since 1970.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) tokens: u64,
    /// The time in which no worker ran, because a replacement has to start first.
    pub(crate) idle: Duration,
    pub(crate) kills: Vec<Kill>,
    pub(crate) stops: Vec<Stop>,
    pub(crate) waits: Vec<Wait>,
    pub(crate) failures: Vec<Failure>,
    /// When each new login was stored.
    pub(crate) logins: Vec<u64>,
    /// The time in which the store had no primary.
    pub(crate) outage: Option<Outage>,
    /// The workers that ended in an unexpected way.
    pub(crate) wrong: Vec<String>,
}

/// The time in which the store had no primary.
#[derive(Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) lost: u64,
    pub(crate) back: u64,
}

impl Outage {
    /// The time in which callers may notice it.
    const fn affected_period(self) -> RangeInclusive<u64> {
        self.lost..=self.back + FAILOVER_SETTLING_MS
    }
}

/// A kill of a worker, and what it held.
pub(crate) struct Kill {
    pub(crate) at: u64,
    pub(crate) hold: Hold,
}

impl Kill {
    /// The time until which others may have to wait. A worker killed with a refresh token in flight may
    /// have got the reply. Since that token is never sent again, the others wait until no worker can
    /// return with the reply, and then a user logs in again. This includes a second for the next poll, and
    /// some for the login.
    fn others_wait_until(&self) -> u64 {
        let mut policy = Policy::default();
        policy.longest_request = LONGEST_REQUEST;
        self.at
            + match self.hold {
                Hold::Nothing => 0,
                Hold::Lease => MAX_WAIT,
                Hold::Marker => millis(policy.attempt_window() + Duration::from_secs(5)),
            }
    }
}

/// The termination of a worker.
pub(crate) struct Stop {
    /// Whether it was renewing at that time.
    pub(crate) renewed: bool,
    /// When it had ended.
    pub(crate) stopped_at: u64,
    /// What it still held then.
    pub(crate) still_held: Hold,
}

/// A wait of a caller: its length in milliseconds, and when it was reported.
pub(crate) struct Wait {
    pub(crate) at: u64,
    pub(crate) length: u64,
}

/// A caller got an error.
pub(crate) struct Failure {
    pub(crate) at: u64,
    pub(crate) code: String,
    pub(crate) text: String,
}

impl History {
    /// Whether a login was stored by that time.
    pub(crate) fn is_logged_in_by(&self, at: u64) -> bool {
        self.logins.iter().any(|&done| at <= done + 1000)
    }

    fn is_outage(&self, at: u64) -> bool {
        self.outage
            .is_some_and(|outage| outage.affected_period().contains(&at))
    }

    /// Whether a kill or an outage of the store explains the failure. A termination does not.
    fn is_excused(&self, failure: &Failure) -> bool {
        let Failure { at, code, .. } = failure;
        let is_outcome_unknown = code == "grant.outcome_unknown";
        let is_due = |kill: &Kill| {
            let login = self.logins.iter().find(|&&done| done > kill.at);
            let until = login.map_or(u64::MAX, |done| done + 1000);
            kill.hold == Hold::Marker
                && (kill.at..=kill.others_wait_until().min(until)).contains(at)
        };
        is_outcome_unknown && self.kills.iter().any(is_due)
            || code.starts_with("lost") && self.is_outage(*at)
    }

    fn is_bounded(&self, wait: &Wait) -> bool {
        let is_due = |kill: &Kill| (kill.at..=kill.others_wait_until()).contains(&wait.at);
        // Waits for an unavailable store end soon after it is back.
        let is_away = |outage: Outage| (outage.lost..=outage.back + MAX_WAIT).contains(&wait.at);
        wait.length <= MAX_WAIT || self.kills.iter().any(is_due) || self.outage.is_some_and(is_away)
    }

    fn kills_with(&self, hold: Hold) -> u64 {
        let kills = self.kills.iter().filter(|kill| kill.hold == hold);
        kills.count() as u64
    }
}

/// The figures of a round.
#[derive(Default)]
pub(crate) struct Tally {
    pub(crate) refreshes: u64,
    pub(crate) reuse_events: u64,
    pub(crate) tokens: u64,
    pub(crate) failed: u64,
    expiries: u64,
    kills: u64,
    kills_at_work: u64,
    stops: u64,
    stops_at_work: u64,
    logins: u64,
    /// In milliseconds; other libraries do not report it.
    longest_wait: Option<u64>,
}

impl Tally {
    pub(crate) const HEAD: &str = "expiries  refreshes  kills  at work  stops  at work  reuse  tokens handed out  failed callers  new logins  longest wait";
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            refreshes,
            reuse_events,
            tokens,
            failed,
            expiries,
            kills,
            kills_at_work,
            stops,
            stops_at_work,
            logins,
            longest_wait,
        } = self;
        let wait = longest_wait.map_or_else(|| "-".to_owned(), seconds);
        write!(
            f,
            "{expiries:>8}  {refreshes:>9}  {kills:>5}  {kills_at_work:>7}  {stops:>5}  {stops_at_work:>7}  {reuse_events:>5}  {tokens:>17}  {failed:>14}  {logins:>10}  {wait:>12}"
        )
    }
}

impl Tally {
    /// The server's counts, for a login that was this long ago.
    pub(crate) fn of_server(issuer: &str, since: Duration) -> Self {
        let reply = reqwest::blocking::get(format!("{issuer}/_counters"));
        let counters: Value = reply
            .and_then(reqwest::blocking::Response::text)
            .map(|text| serde_json::from_str(&text).expect("JSON"))
            .expect("counters");
        Self {
            refreshes: counters["refreshes"].as_u64().expect("a count"),
            reuse_events: counters["reuse_events"].as_u64().expect("a count"),
            expiries: since.as_secs() / ACCESS_TOKEN_LIFETIME.as_secs(),
            ..Self::default()
        }
    }

    /// Adds the workers' history; returns what is wrong as well.
    pub(crate) fn with_history(self, history: &History, length: Duration) -> (Self, Vec<String>) {
        let excused = |failure: &&Failure| !history.is_excused(failure);
        let failed: Vec<&Failure> = history.failures.iter().filter(excused).collect();
        let renewed = history.stops.iter().filter(|stop| stop.renewed);
        let tally = Self {
            tokens: history.tokens,
            failed: failed.len() as u64,
            kills: history.kills.len() as u64,
            kills_at_work: history.kills_with(Hold::Lease) + history.kills_with(Hold::Marker),
            stops: history.stops.len() as u64,
            stops_at_work: renewed.count() as u64,
            logins: history.logins.len() as u64,
            longest_wait: history.waits.iter().map(|wait| wait.length).max(),
            ..self
        };
        let mut wrong = tally.miscounts(history, length);
        let mut codes = BTreeMap::<&str, (usize, &str)>::new();
        for failure in failed {
            codes.entry(&failure.code).or_default().0 += 1;
            codes.entry(&failure.code).or_default().1 = &failure.text;
        }
        for (code, (count, text)) in codes {
            wrong.push(format!("{count} callers failed with {code}: {text}"));
        }
        let unbounded = history
            .waits
            .iter()
            .filter(|wait| !history.is_bounded(wait));
        if let Some(longest) = unbounded.map(|wait| wait.length).max() {
            let (longest, most) = (seconds(longest), seconds(MAX_WAIT));
            wrong.push(format!(
                "a caller waited for {longest}, more than the maximum of {most}"
            ));
        }
        let left_holding = history.stops.iter().filter(|stop| {
            // An unavailable store cannot release leases.
            stop.still_held != Hold::Nothing && !history.is_outage(stop.stopped_at)
        });
        let left_holding = left_holding.count();
        if left_holding > 0 {
            wrong.push(format!(
                "{left_holding} terminated workers left others waiting"
            ));
        }
        wrong.extend_from_slice(&history.wrong);
        (tally, wrong)
    }

    fn miscounts(&self, history: &History, length: Duration) -> Vec<String> {
        let mut wrong = Vec::new();
        let failovers = u64::from(history.outage.is_some());
        // There may be one more expiry at either end. A worker killed while it renews may lose new
        // tokens; and tokens issued after the wait for it, or after the store is back, begin between two
        // seconds, and count from the previous second. Other kills cost no refresh, nor do terminations:
        // what the worker has begun is stored, and others use it.
        let most = self.expiries + 1 + self.kills_at_work + failovers;
        if self.refreshes > most {
            let refreshes = self.refreshes;
            wrong.push(format!("{refreshes} refreshes, at most {most} are due"));
        }
        // Others wait for a worker killed while it renewed, and for the store; and the replacement of a
        // single worker has to start first. Nothing else may delay a refresh by a whole lifetime.
        let stall_of_kill = |kill: &Kill| kill.others_wait_until() - kill.at;
        let outage_length = |outage: Outage| outage.back + FAILOVER_SETTLING_MS - outage.lost;
        let away = history.outage.map_or(0, outage_length);
        let stalled = history.kills.iter().map(stall_of_kill).sum::<u64>();
        let stalled = stalled + away + millis(history.idle);
        let least = millis(length).saturating_sub(stalled) / millis(ACCESS_TOKEN_LIFETIME) / 2;
        if self.refreshes < least {
            let refreshes = self.refreshes;
            wrong.push(format!("only {refreshes} refreshes: the workers were idle"));
        }
        if self.reuse_events > 0 {
            wrong.push(format!("{} refresh tokens were reused", self.reuse_events));
        }
        let lost = history.kills_with(Hold::Marker);
        if self.logins > lost {
            let logins = self.logins;
            wrong.push(format!("{logins} logins, although kills lost only {lost}"));
        }
        if self.tokens == 0 {
            wrong.push("no token was handed out".to_owned());
        }
        // A round without such a termination proves nothing about it.
        if length >= LONG_ROUND && self.stops_at_work == 0 {
            wrong.push("no worker was terminated while it renewed".to_owned());
        }
        wrong
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn seconds(millis: u64) -> String {
    format!("{}.{:02} s", millis / 1000, millis % 1000 / 10)
}
