//! Checks the rules, and records which sessions and logins an answered visit has ended.

use oauth_core::Tokens;
use oauth_web::Session;

use super::ledger::breach;
use super::state::Simulation;
use super::store_requests::short;
use super::tab::{RequestKind, Sender, ShownPage};
use super::task::Visiting;
use super::{Breach, WebRule};

impl Simulation {
    /// Checks rules 1 and 2 when the site passes a user to the application.
    pub(super) fn check_pass(&self, visiting: &Visiting, session: &Session) -> Result<(), Breach> {
        let key = session_key(session).unwrap_or_default();
        let Some(stored) = self.ledger.sessions.get(&key) else {
            return breach(WebRule::Person, "a session without a login".to_owned());
        };
        if visiting.sent.as_deref() != Some(key.as_str()) {
            let text = format!("session {} belongs to a different cookie", short(&key));
            return breach(WebRule::Person, text);
        }
        let person = self.ledger.logins[stored.login].person;
        if session.identity.subject != format!("person-{person}") {
            let text = format!("person {person} is taken for {}", session.identity.subject);
            return breach(WebRule::Person, text);
        }
        let is_before = |end: Option<u64>| end.is_some_and(|end| end < visiting.began);
        if is_before(stored.ended_at) {
            let text = format!("session {} is found after its end", short(&key));
            return breach(WebRule::SignedOut, text);
        }
        if is_before(stored.grant_removed_at) {
            let text = format!(
                "session {} is found after its tokens were removed",
                short(&key)
            );
            return breach(WebRule::SignedOut, text);
        }
        Ok(())
    }

    /// Checks rule 1 for tokens that a page of this session gets.
    pub(super) fn check_token(&self, session: &Session, tokens: &Tokens) -> Result<(), Breach> {
        let key = session_key(session).unwrap_or_default();
        let token = tokens.access_token.expose();
        let login = self.ledger.tokens.get(token);
        let stored = self.ledger.sessions.get(&key);
        if login.copied() == stored.map(|stored| stored.login) && login.is_some() {
            Ok(())
        } else {
            breach(
                WebRule::Person,
                "the token is from a different login".to_owned(),
            )
        }
    }

    /// Records the sessions and logins ended by an answered visit.
    pub(super) fn record_visit(&mut self, visiting: &Visiting, status: u16) {
        let now = self.now;
        let has_succeeded = !visiting.has_failed;
        let path = visiting.tab.path();
        match (path, visiting.tab.from) {
            ("/auth/logout", _) if status == 303 => {
                if let Some(key) = visiting.sent.as_ref().filter(|_| has_succeeded) {
                    self.report.logouts += 1;
                    self.ledger.end(key, now);
                }
            }
            ("/auth/backchannel-logout", Sender::Provider { person, sid, .. }) if status == 200 => {
                self.report.logout_tokens += 1;
                if has_succeeded {
                    self.ledger.end_all(person, sid, visiting.began, now);
                }
            }
            ("/auth/callback", _) if visiting.begun.is_some() && status == 303 => {
                self.report.logins += 1;
                if let Some(key) = visiting.sent.as_ref().filter(|_| has_succeeded) {
                    self.ledger.end(key, now);
                }
            }
            _ if visiting.is_over => {
                self.report.over += 1;
                if let Some(key) = visiting.sent.as_ref().filter(|_| has_succeeded) {
                    self.ledger.end(key, now);
                }
            }
            _ => {}
        }
    }

    /// Each user signs in again, uses a token, and signs out.
    pub(super) fn last_round(&mut self) -> Result<(), Breach> {
        for person in 0..self.people {
            self.now += 70_000;
            self.change_person(0, person);
            self.browsers[0].last_page = None;
            self.open(0, 0, "/auth/login?return_to=/me", RequestKind::Typed);
            self.run_to_completion()?;
            self.expect(&ShownPage::Page(person))?;
            self.open(0, 0, "/data", RequestKind::Fetch);
            self.run_to_completion()?;
            self.expect(&ShownPage::Page(person))?;
            self.open(0, 0, "/auth/logout", RequestKind::Click);
            self.run_to_completion()?;
            self.open(0, 0, "/data", RequestKind::Fetch);
            self.run_to_completion()?;
            self.expect(&ShownPage::Status(401))?;
        }
        Ok(())
    }

    fn expect(&mut self, expected: &ShownPage) -> Result<(), Breach> {
        let shown = self.browsers[0].last_page.take();
        if shown.as_ref() == Some(expected) {
            Ok(())
        } else {
            breach(
                WebRule::Answered,
                format!("{shown:?} is shown instead of {expected:?}"),
            )
        }
    }

    /// Checks that nothing is left of the sessions, all of which have ended.
    pub(super) fn check_end(&mut self) -> Result<(), Breach> {
        let grants = self.store.all();
        let mut grants = grants.filter(|(_, record)| record.contains("\"refresh_token\""));
        // Deterministic: the same one in each run of a history.
        if let Some(surviving) = grants.by_ref().map(|(key, _)| key).min() {
            let mut sessions = self.ledger.sessions.iter();
            let owner = sessions.find(|(_, stored)| stored.grant == surviving);
            let owner = owner.map_or("none", |(key, _)| short(key));
            let text = format!("grant {} of session {owner} outlives it", short(surviving));
            return breach(WebRule::Outlives, text);
        }
        let at = self.unix_time();
        for (key, stored) in &self.ledger.sessions {
            let login = &self.ledger.logins[stored.login];
            let mut tokens = login.refresh.iter();
            let is_live = tokens.any(|token| self.twin.honours(at, token));
            if stored.ended_at.is_some() && is_live && !login.may_leave_tokens {
                let text = format!("the tokens of session {} are still valid", short(key));
                return breach(WebRule::Outlives, text);
            }
        }
        Ok(())
    }
}

/// The key of a session, which is part of its grant's name.
pub(super) fn session_key(session: &Session) -> Option<String> {
    let grant = session.grant()?;
    grant.subject()?.strip_prefix("web:").map(str::to_owned)
}
