//! The tally of a round: what the server counted, what the callers got, and what is wrong with it.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use oauth_core::flow::keeper::Policy;
use serde_json::Value;

use crate::hold::Hold;
use crate::pool::LONG;
use crate::round::LIFE;
use crate::worker::LONGEST_REQUEST;

/// How long callers may wait, after the kill of a worker as well as without one: for the end of its
/// lease of 10 s, for the next look of another worker, and for its renewal.
const PATIENCE: u64 = 15_000;

/// How long callers may be told that the store is lost, once another server has taken the place of
/// its primary: an attempt on the old one has its time, and so has the pause before the next.
const SETTLING: u64 = 6000;

/// What has happened, as the workers told it. Times are milliseconds since 1970.
#[derive(Default)]
pub(crate) struct History {
    pub(crate) tokens: u64,
    /// How long no worker ran: one that replaces another has to start first.
    pub(crate) idle: Duration,
    pub(crate) kills: Vec<Kill>,
    pub(crate) stops: Vec<Stop>,
    pub(crate) waits: Vec<Wait>,
    pub(crate) failures: Vec<Failure>,
    /// When each new login was stored.
    pub(crate) logins: Vec<u64>,
    /// When the store had no primary.
    pub(crate) outage: Option<Outage>,
    /// Workers that ended otherwise than they should.
    pub(crate) wrong: Vec<String>,
}

/// The store had no primary from the one time to the other.
#[derive(Clone, Copy)]
pub(crate) struct Outage {
    pub(crate) lost: u64,
    pub(crate) back: u64,
}

impl Outage {
    /// How long it may be felt.
    const fn felt(self) -> RangeInclusive<u64> {
        self.lost..=self.back + SETTLING
    }
}

/// A worker was killed, with that in hand.
pub(crate) struct Kill {
    pub(crate) at: u64,
    pub(crate) hold: Hold,
}

impl Kill {
    /// Until when others may have to wait for it. Whoever was killed with a refresh token in flight
    /// may have got the reply: since that token is never sent again, all that can be done is to wait
    /// until nobody can come back with it, and to log in anew. A second for the next look, and some
    /// for the person.
    fn waited_for(&self) -> u64 {
        let mut policy = Policy::default();
        policy.longest_request = LONGEST_REQUEST;
        self.at
            + match self.hold {
                Hold::Nothing => 0,
                Hold::Lease => PATIENCE,
                Hold::Mark => millis(policy.attempt_window() + Duration::from_secs(5)),
            }
    }
}

/// A worker was told to end.
pub(crate) struct Stop {
    /// It renewed when it was told.
    pub(crate) renewed: bool,
    /// When it was gone.
    pub(crate) gone: u64,
    /// What it had in hand then.
    pub(crate) left: Hold,
}

/// A caller waited for so long, in milliseconds, until then at least.
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
    /// Whether a caller who failed at that time cannot have known of a login that there has been.
    pub(crate) fn is_logged_in_by(&self, at: u64) -> bool {
        self.logins.iter().any(|&done| at <= done + 1000)
    }

    fn is_outage(&self, at: u64) -> bool {
        self.outage
            .is_some_and(|outage| outage.felt().contains(&at))
    }

    /// Kills may cost that, and an outage of the store. That a worker was told to end may not.
    fn is_excused(&self, failure: &Failure) -> bool {
        let Failure { at, code, .. } = failure;
        let is_told = code == "grant.outcome_unknown";
        let is_due = |kill: &Kill| {
            let login = self.logins.iter().find(|&&done| done > kill.at);
            let until = login.map_or(u64::MAX, |done| done + 1000);
            kill.hold == Hold::Mark && (kill.at..=kill.waited_for().min(until)).contains(at)
        };
        is_told && self.kills.iter().any(is_due) || code.starts_with("lost") && self.is_outage(*at)
    }

    fn is_bounded(&self, wait: &Wait) -> bool {
        let is_due = |kill: &Kill| (kill.at..=kill.waited_for()).contains(&wait.at);
        // A store that is away is not waited for longer than that once it is back.
        let is_away = |outage: Outage| (outage.lost..=outage.back + PATIENCE).contains(&wait.at);
        wait.length <= PATIENCE || self.kills.iter().any(is_due) || self.outage.is_some_and(is_away)
    }

    fn kills_with(&self, hold: Hold) -> u64 {
        let kills = self.kills.iter().filter(|kill| kill.hold == hold);
        kills.count() as u64
    }
}

/// The figures of a part.
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
    /// In milliseconds; peers do not tell.
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
    /// What the server counted since a person logged in, so long ago.
    pub(crate) fn of_server(issuer: &str, since: Duration) -> Self {
        let reply = reqwest::blocking::get(format!("{issuer}/_counters"));
        let said: Value = reply
            .and_then(reqwest::blocking::Response::text)
            .map(|text| serde_json::from_str(&text).expect("JSON"))
            .expect("counters");
        Self {
            refreshes: said["refreshes"].as_u64().expect("a count"),
            reuse_events: said["reuse_events"].as_u64().expect("a count"),
            expiries: since.as_secs() / LIFE.as_secs(),
            ..Self::default()
        }
    }

    /// The same with what the workers told, and what is wrong.
    pub(crate) fn judged(self, history: &History, length: Duration) -> (Self, Vec<String>) {
        let excused = |failure: &&Failure| !history.is_excused(failure);
        let failed: Vec<&Failure> = history.failures.iter().filter(excused).collect();
        let renewed = history.stops.iter().filter(|stop| stop.renewed);
        let tally = Self {
            tokens: history.tokens,
            failed: failed.len() as u64,
            kills: history.kills.len() as u64,
            kills_at_work: history.kills_with(Hold::Lease) + history.kills_with(Hold::Mark),
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
            let (longest, most) = (seconds(longest), seconds(PATIENCE));
            wrong.push(format!(
                "a caller waited for {longest}, at most {most} are due"
            ));
        }
        let left = history.stops.iter().filter(|stop| {
            // A store that is away takes nothing back.
            stop.left != Hold::Nothing && !history.is_outage(stop.gone)
        });
        let left = left.count();
        if left > 0 {
            wrong.push(format!("{left} workers told to end left others to wait"));
        }
        wrong.extend_from_slice(&history.wrong);
        (tally, wrong)
    }

    fn miscounts(&self, history: &History, length: Duration) -> Vec<String> {
        let mut wrong = Vec::new();
        let failovers = u64::from(history.outage.is_some());
        // One expiry more may fall on either end. A worker that is killed while it renews may take
        // new tokens along; and those that come once it was waited for, or once the store is back,
        // begin between two seconds, and are counted from the second before on. A worker that is
        // killed otherwise costs no refresh. Nor does one that is told to end: what it has begun is
        // stored, and others use it.
        let most = self.expiries + 1 + self.kills_at_work + failovers;
        if self.refreshes > most {
            let refreshes = self.refreshes;
            wrong.push(format!("{refreshes} refreshes, at most {most} are due"));
        }
        // Others wait for one that was killed while it renewed, and for the store; and whoever takes the
        // place of the only one has to begin first. Nothing else may delay a refresh by a whole life.
        let stalled = |kill: &Kill| kill.waited_for() - kill.at;
        let away = |outage: Outage| outage.back + SETTLING - outage.lost;
        let away = history.outage.map_or(0, away);
        let stalled = history.kills.iter().map(stalled).sum::<u64>();
        let stalled = stalled + away + millis(history.idle);
        let least = millis(length).saturating_sub(stalled) / millis(LIFE) / 2;
        if self.refreshes < least {
            let refreshes = self.refreshes;
            wrong.push(format!("only {refreshes} refreshes: nobody was at work"));
        }
        if self.reuse_events > 0 {
            wrong.push(format!("{} refresh tokens came twice", self.reuse_events));
        }
        let lost = history.kills_with(Hold::Mark);
        if self.logins > lost {
            let logins = self.logins;
            wrong.push(format!("{logins} logins, where kills have cost {lost}"));
        }
        if self.tokens == 0 {
            wrong.push("no token was handed out".to_owned());
        }
        // What was not tried is not proved.
        if length >= LONG && self.stops_at_work == 0 {
            wrong.push("no worker was told to end while it renewed".to_owned());
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
