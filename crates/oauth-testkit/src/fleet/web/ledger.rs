//! The ledger of a history: what each worker, browser and server has observed and done, for checks that no part of the
//! fleet can make.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::tab::Sender;
use super::task::{Renewing, Work};
use super::{Breach, WebRule};

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) logins: Vec<Login>,
    /// Logins by their codes.
    pub(super) codes: BTreeMap<String, usize>,
    /// Logins by the tokens issued for them.
    pub(super) tokens: BTreeMap<String, usize>,
    /// Sessions by their keys.
    pub(super) sessions: BTreeMap<String, StoredSession>,
    /// Sessions by the values of their cookies.
    pub(super) cookies: BTreeMap<String, String>,
    /// The time at which each session was listed in each of the records by which the provider finds it.
    pub(super) listed: BTreeMap<String, BTreeMap<String, u64>>,
    /// The provider's sessions whose end it has announced, with the time.
    pub(super) announced: Vec<((usize, u64), u64)>,
    pub(super) sids: u64,
    /// Leases of token requests under way, by the grant's record: the task, and the end of the lease.
    pub(super) flights: BTreeMap<String, BTreeMap<u64, u64>>,
    /// The holders to which the store has granted a lease.
    pub(super) holders: BTreeSet<String>,
}

/// A login that a user has approved at the provider.
pub(super) struct Login {
    pub(super) person: usize,
    pub(super) sid: u64,
    pub(super) refresh: Vec<String>,
    /// Whether a fault excuses its tokens remaining valid at the provider.
    pub(super) may_leave_tokens: bool,
}

/// A session that was stored.
pub(super) struct StoredSession {
    pub(super) login: usize,
    pub(super) grant: String,
    /// The time at which it was listed in all records by which the provider finds it.
    pub(super) listed_at: u64,
    /// The time from which it must not be found.
    pub(super) ended_at: Option<u64>,
    /// The time at which its tokens were removed.
    pub(super) grant_removed_at: Option<u64>,
}

pub(super) fn breach<T>(rule: WebRule, text: String) -> Result<T, Breach> {
    Err(Breach(rule, text))
}

impl Ledger {
    pub(super) const fn next_sid(&mut self) -> u64 {
        self.sids += 1;
        self.sids
    }

    pub(super) fn approved(&mut self, code: String, person: usize, sid: u64) {
        self.codes.insert(code, self.logins.len());
        self.logins.push(Login {
            person,
            sid,
            refresh: Vec::new(),
            may_leave_tokens: false,
        });
    }

    pub(super) fn login_for_code(&self, code: &str) -> Option<usize> {
        self.codes.get(code).copied()
    }

    pub(super) fn person(&self, login: usize) -> Option<(usize, u64)> {
        let login = self.logins.get(login)?;
        Some((login.person, login.sid))
    }

    /// The login that a form sent to the provider belongs to.
    pub(super) fn login_for_form(&self, form: &[(String, String)]) -> Option<usize> {
        form.iter().find_map(|(name, value)| match name.as_str() {
            "code" => self.login_for_code(value),
            "refresh_token" | "token" => self.tokens.get(value).copied(),
            _ => None,
        })
    }

    pub(super) fn issued(&mut self, login: usize, body: &[u8]) {
        let reply: Value = serde_json::from_slice(body).unwrap_or_default();
        for name in ["access_token", "refresh_token"] {
            if let Some(token) = reply[name].as_str() {
                self.tokens.insert(token.to_owned(), login);
                if name == "refresh_token" {
                    self.logins[login].refresh.push(token.to_owned());
                }
            }
        }
    }

    pub(super) fn began(&mut self, key: &str, grant: String, login: usize, now: u64) {
        let listed = self.listed.get(key).into_iter().flatten();
        let listed_at = listed.map(|(_, at)| *at).max().unwrap_or(now);
        let user = self.person(login);
        let mut announced = self.announced.iter();
        // It was signed out before it was stored.
        let is_announced =
            announced.any(|(announced, since)| Some(*announced) == user && listed_at < *since);
        let stored = StoredSession {
            login,
            grant,
            listed_at,
            ended_at: is_announced.then_some(now),
            grant_removed_at: None,
        };
        self.sessions.insert(key.to_owned(), stored);
    }

    pub(super) fn removed(&mut self, record: &str, now: u64) {
        for stored in self.sessions.values_mut() {
            if stored.grant == record {
                stored.grant_removed_at = Some(now);
            }
        }
    }

    /// The login that the tokens in a record belong to.
    pub(super) fn login_of_grant(&self, record: &str) -> Option<usize> {
        let mut sessions = self.sessions.values();
        let stored = sessions.find(|known| known.grant == record)?;
        Some(stored.login)
    }

    /// Records that a session's cookie was set.
    pub(super) fn note_cookie(&mut self, value: String, session: &str) {
        self.cookies.insert(value, session.to_owned());
    }

    pub(super) fn session_for_cookie(&self, cookie: &str) -> Option<String> {
        self.cookies.get(cookie).cloned()
    }

    pub(super) fn end(&mut self, session: &str, now: u64) {
        if let Some(stored) = self.sessions.get_mut(session) {
            stored.ended_at.get_or_insert(now);
        }
    }

    /// Records the sessions listed in this record.
    pub(super) fn list(&mut self, name: &str, record: &str, now: u64) {
        let list: Value = serde_json::from_str(record).unwrap_or_default();
        for listed in list["sessions"].as_array().into_iter().flatten() {
            if let Some(key) = listed["key"].as_str() {
                let lists = self.listed.entry(key.to_owned()).or_default();
                lists.entry(name.to_owned()).or_insert(now);
            }
        }
    }

    /// Ends the sessions of a logout token received at `since` and accepted at `now`.
    pub(super) fn end_all(&mut self, person: usize, sid: u64, since: u64, now: u64) {
        self.announced.push(((person, sid), since));
        for stored in self.sessions.values_mut() {
            let login = &self.logins[stored.login];
            if (login.person, login.sid) == (person, sid) && stored.listed_at < since {
                stored.ended_at.get_or_insert(now);
            }
        }
    }

    pub(super) fn excuse_leftover_tokens(&mut self, login: usize) {
        if let Some(login) = self.logins.get_mut(login) {
            login.may_leave_tokens = true;
        }
    }

    /// Records a failed call: the tokens that this task works on may remain at the provider.
    pub(super) fn record_failure(&mut self, work: &Work) {
        match work {
            Work::Visit(visiting) => {
                let sent = visiting
                    .sent
                    .as_ref()
                    .and_then(|key| self.sessions.get(key));
                let sent = sent.map(|stored| stored.login);
                let cleared = visiting.cleared.iter().copied();
                for login in sent.into_iter().chain(visiting.login).chain(cleared) {
                    self.excuse_leftover_tokens(login);
                }
                if let Sender::Provider { person, sid, .. } = visiting.tab.from {
                    for login in &mut self.logins {
                        login.may_leave_tokens |= (login.person, login.sid) == (person, sid);
                    }
                }
            }
            Work::Renewal(renewing) => {
                if let Some(stored) = self.sessions.get(&renewing.key) {
                    self.excuse_leftover_tokens(stored.login);
                }
            }
        }
    }

    /// Records that the worker of this task has died.
    pub(super) fn record_death(&mut self, work: &Work) {
        self.record_failure(work);
        self.end_flight(work);
    }

    fn end_flight(&mut self, work: &Work) {
        if let Work::Renewal(renewing) = work {
            // A dead worker sends nothing more, and its lease expires by itself.
            self.flights.remove(&renewing.record);
        }
    }

    /// Records that the store has granted a lease to this holder.
    pub(super) fn leased(&mut self, holder: String) {
        self.holders.insert(holder);
    }

    /// Checks rule 3 for a token request: it has a lease, and no other request for this grant is under an unexpired one.
    pub(super) fn begin_flight(
        &mut self,
        renewing: &Renewing,
        task: u64,
        now: u64,
    ) -> Result<(), Breach> {
        // A refresh token that was never replaced yet may be sent while the store does not answer.
        if !self.holders.contains(&renewing.holder) && !renewing.has_failed {
            let text = format!("{task} renews a grant without a lease");
            return breach(WebRule::OneRenewal, text);
        }
        let flights = self.flights.entry(renewing.record.clone()).or_default();
        let other = flights.iter().find(|(_, until)| now < **until);
        if let Some((other, until)) = other {
            let text = format!("{task} renews the grant while {other} has its lease until {until}");
            return breach(WebRule::OneRenewal, text);
        }
        flights.insert(task, renewing.leased_until);
        Ok(())
    }
}
