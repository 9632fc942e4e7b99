//! Users and their browsers, and the provider's pages.

use bytes::Bytes;
use http::StatusCode;
use http::header::LOCATION;
use oauth_web::{Access, Reply};

use super::state::{Event, PROVIDER, SHOP, Simulation};
use super::tab::{Browser, RequestKind, Sender, ShownPage, Tab, query_parameter};
use super::task::{Visiting, Work};
use super::{Breach, WebRule};

/// The number of redirects that a browser follows.
const MAX_REDIRECTS: u32 = 12;

impl Simulation {
    /// A user takes one action, or several at once.
    pub(super) fn act(&mut self, browser: usize) {
        let count = self.rng.pick(&[1, 1, 1, 2, 2, 3, 4]);
        for _ in 0..count {
            let after = self.rng.between(0, 40);
            self.act_once(browser, after);
        }
        let next = self
            .rng
            .between(500, self.rng.clone().pick(&[3_000, 20_000, 90_000]));
        self.schedule(next, Event::Act(browser));
    }

    fn act_once(&mut self, browser: usize, after: u64) {
        match self.rng.index(20) {
            0..=6 => self.open(browser, after, "/me", RequestKind::Typed),
            7..=12 => self.open(browser, after, "/data", RequestKind::Fetch),
            13 | 14 => self.open(browser, after, "/auth/logout", RequestKind::Click),
            15 => {
                let person = self.rng.index(self.people);
                self.change_person(browser, person);
                self.open(
                    browser,
                    after,
                    "/auth/login?return_to=/me",
                    RequestKind::Typed,
                );
            }
            16 => self.sign_out_at_provider(browser, after),
            17 => self.browsers[browser].copy = Some(self.browsers[browser].jar.clone()),
            _ => {
                let tab = Tab::new(Sender::Copy(browser), "/data", RequestKind::Fetch);
                self.schedule(after, Event::Request(tab));
            }
        }
    }

    pub(super) fn open(&mut self, browser: usize, after: u64, target: &str, kind: RequestKind) {
        let tab = Tab::new(Sender::Browser(browser), target, kind);
        self.schedule(after, Event::Request(tab));
    }

    /// A different user takes over the browser, not signed in at the provider.
    pub(super) fn change_person(&mut self, browser: usize, person: usize) {
        self.record_in_transcript(|| format!("browser {browser} is person {person}'s"));
        let browser = &mut self.browsers[browser];
        (browser.person, browser.sid) = (person, None);
    }

    /// The provider ends one of its sessions, and notifies the site.
    fn sign_out_at_provider(&mut self, browser: usize, after: u64) {
        let Browser { person, sid, .. } = self.browsers[browser];
        let Some(sid) = sid else { return };
        self.browsers[browser].sid = None;
        self.notify_site(person, sid, 0, after);
    }

    fn notify_site(&mut self, person: usize, sid: u64, tries: u32, after: u64) {
        let from = Sender::Provider { person, sid, tries };
        let tab = Tab::new(from, "/auth/backchannel-logout", RequestKind::Post);
        self.schedule(after, Event::Request(tab));
    }

    /// A request reaches one of the workers.
    pub(super) fn receive_request(&mut self, mut tab: Tab) {
        let worker = self.rng.index(self.workers.len());
        if !self.workers[worker].is_up {
            return self.unanswered(&tab);
        }
        let now = self.unix_time().as_secs();
        let jar = match tab.from {
            Sender::Browser(browser) => Some(&self.browsers[browser].jar),
            Sender::Copy(browser) => self.browsers[browser].copy.as_ref(),
            Sender::Provider { .. } => None,
        };
        let sent = jar.and_then(|jar| jar.session_cookie(now));
        let sent = sent.and_then(|value| self.ledger.session_for_cookie(value));
        let cookie_header = jar.and_then(|jar| jar.cookie_header(now));
        let form = match tab.from {
            Sender::Provider { person, sid, .. } => self.logout_form(person, sid),
            _ => None,
        };
        let request = tab.request(cookie_header, form);
        tab.request = Some(request.clone());
        self.report.requests += 1;
        let access = match tab.path() {
            "/" => Access::Open,
            _ => Access::SignedIn,
        };
        let visit = self.workers[worker].site.visit(request, access);
        let login =
            query_parameter(&tab.target, "code").and_then(|code| self.ledger.login_for_code(&code));
        let visiting = Visiting {
            visit,
            exchange: None,
            began: self.now,
            sent,
            login,
            begun: None,
            cleared: Vec::new(),
            session: None,
            is_over: false,
            has_failed: false,
            put_off: Vec::new(),
            tab,
        };
        let path = visiting.tab.path().to_owned();
        let from = visiting.tab.from;
        let id = self.start_task(worker, Work::Visit(Box::new(visiting)));
        self.record_in_transcript(|| {
            format!("{from:?} asks for {path} at worker {worker}: visit {id}")
        });
    }

    fn logout_form(&mut self, person: usize, sid: u64) -> Option<Bytes> {
        self.mention_session(person, sid);
        let token = self.twin.logout_token(self.unix_time(), None)?;
        let form = serde_urlencoded::to_string([("logout_token", token)]).ok()?;
        Some(Bytes::from(form))
    }

    /// Sets the user and the session of the provider's next tokens.
    pub(super) fn mention_session(&mut self, person: usize, sid: u64) {
        self.twin.set_claim("sub", format!("person-{person}"));
        self.twin.set_claim("sid", format!("sid-{sid}"));
    }

    pub(super) fn unanswered(&mut self, tab: &Tab) {
        match tab.from {
            Sender::Browser(browser) => self.browsers[browser].last_page = Some(ShownPage::Nothing),
            Sender::Copy(_) => {}
            // The provider retries a few times.
            Sender::Provider { person, sid, tries } if tries < 5 => {
                self.notify_site(person, sid, tries + 1, 5_000);
            }
            Sender::Provider { .. } => {}
        }
    }

    /// A response of the site reaches its sender.
    pub(super) fn handle_reply(&mut self, tab: &Tab, reply: &Reply) -> Result<(), Breach> {
        match tab.from {
            Sender::Browser(browser) => {
                let now = self.unix_time().as_secs();
                self.browsers[browser].jar.store_cookies(now, reply);
                self.follow(browser, tab, reply)
            }
            Sender::Copy(_) => Ok(()),
            Sender::Provider { .. } if reply.status == StatusCode::OK => Ok(()),
            Sender::Provider { .. } => {
                self.unanswered(tab);
                Ok(())
            }
        }
    }

    fn follow(&mut self, browser: usize, tab: &Tab, reply: &Reply) -> Result<(), Breach> {
        let location = reply.headers.get(LOCATION);
        let location = location.and_then(|location| location.to_str().ok());
        let Some(location) = location.filter(|_| tab.hops < MAX_REDIRECTS) else {
            let code = reply.problem.as_ref().map_or("", |problem| problem.code);
            let status = reply.status.as_u16();
            self.record_in_transcript(|| format!("browser {browser} is shown {status} {code}"));
            self.browsers[browser].last_page = Some(ShownPage::Status(status));
            return Ok(());
        };
        let (target, kind, after) = match location.strip_prefix(PROVIDER) {
            None => (
                location.to_owned(),
                tab.kind.after_redirect(),
                self.rng.between(1, 50),
            ),
            Some(_) => {
                let back = self.visit_provider(browser, location)?;
                (back, RequestKind::FromProvider, self.rng.between(20, 8_000))
            }
        };
        let target = target.strip_prefix(SHOP).unwrap_or(&target);
        let next = Tab {
            hops: tab.hops + 1,
            ..Tab::new(tab.from, target, kind)
        };
        self.schedule(after, Event::Request(next));
        Ok(())
    }

    /// The user approves the request at the provider, or is signed out there.
    fn visit_provider(&mut self, browser: usize, url: &str) -> Result<String, Breach> {
        let is_logout = url.starts_with(&format!("{PROVIDER}/logout"));
        if !is_logout && self.browsers[browser].sid.is_none() {
            self.browsers[browser].sid = Some(self.ledger.next_sid());
        }
        let request = http::Request::get(url).body(Bytes::new());
        let request = request.map_err(|_| broken("an invalid URL"))?;
        let at = self.moment();
        let reply = self.twin.answer(&at, request);
        let back = reply.headers().get(LOCATION);
        let back = back.and_then(|back| back.to_str().ok());
        let back = back.ok_or_else(|| broken("the provider does not redirect"))?;
        let Browser { person, sid, .. } = self.browsers[browser];
        if is_logout {
            self.browsers[browser].sid = None;
        }
        if let (Some(code), Some(sid)) = (query_parameter(back, "code"), sid) {
            self.ledger.approved(code, person, sid);
        }
        Ok(back.to_owned())
    }
}

fn broken(text: &str) -> Breach {
    Breach(WebRule::Answered, text.to_owned())
}
