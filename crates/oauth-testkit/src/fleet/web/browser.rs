//! People and their browsers, and the provider's pages.

use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use oauth_web::{Access, Reply, Request};

use super::simulation::{Event, PROVIDER, SHOP, Simulation, Visiting, Work};
use super::{Breach, WebRule};

pub(super) const SESSION: &str = "__Host-Http-session";

/// How many redirects a browser follows.
const MOST_HOPS: u32 = 12;

/// A browser, and who sits before it.
pub(super) struct Browser {
    pub(super) person: usize,
    /// The session at the provider, of which each has a number.
    pub(super) sid: Option<u64>,
    pub(super) jar: Jar,
    /// What somebody has copied from it.
    copy: Option<Jar>,
    /// How its last page ended.
    pub(super) last: Option<Shown>,
}

/// Cookies: name, value, and their end in seconds.
#[derive(Debug, Clone, Default)]
pub(super) struct Jar(Vec<(String, String, u64)>);

/// What a browser shows at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Shown {
    /// The application's page, for this person.
    Page(usize),
    /// The page for everybody.
    Home,
    /// Another answer.
    Status(u16),
    /// The worker died.
    Nothing,
}

/// A request of a browser, or of the provider.
#[derive(Clone)]
pub(super) struct Tab {
    pub(super) from: Sender,
    pub(super) target: String,
    pub(super) kind: Kind,
    pub(super) hops: u32,
    /// The request, once it was sent.
    pub(super) request: Option<Request>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sender {
    Browser(usize),
    /// Cookies that were copied from a browser.
    Copy(usize),
    /// The provider, about this session there, so many times before.
    Provider {
        person: usize,
        sid: u64,
        tries: u32,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Somebody opens an address.
    Typed,
    /// Somebody clicks on a page of the site.
    Click,
    /// A script fetches.
    Fetch,
    /// The browser comes back from the provider.
    Elsewhere,
    /// A logout token is posted.
    Post,
}

impl Browser {
    pub(super) fn new(person: usize) -> Self {
        Self {
            person,
            sid: None,
            jar: Jar::default(),
            copy: None,
            last: None,
        }
    }
}

impl Jar {
    fn line(&self, now: u64) -> Option<String> {
        let good = self.0.iter().filter(|(_, _, until)| now < *until);
        let pairs: Vec<_> = good
            .map(|(name, value, _)| format!("{name}={value}"))
            .collect();
        (!pairs.is_empty()).then(|| pairs.join("; "))
    }

    fn session(&self, now: u64) -> Option<&str> {
        let mut all = self.0.iter();
        all.find(|(name, _, until)| name == SESSION && now < *until)
            .map(|(_, value, _)| value.as_str())
    }

    fn keep(&mut self, now: u64, reply: &Reply) {
        for (name, value, age) in cookies(reply) {
            self.0.retain(|(known, _, _)| *known != name);
            if age > 0 {
                self.0.push((name, value, now + age));
            }
        }
    }
}

/// The cookies that a reply sets: name, value, seconds.
fn cookies(reply: &Reply) -> Vec<(String, String, u64)> {
    let lines = reply.headers.get_all(SET_COOKIE).iter();
    let read = lines.filter_map(|line| {
        let mut parts = line.to_str().ok()?.split("; ");
        let (name, value) = parts.next()?.split_once('=')?;
        let age = parts.find_map(|part| part.strip_prefix("Max-Age="))?;
        Some((name.to_owned(), value.to_owned(), age.parse().ok()?))
    });
    read.collect()
}

/// The session's cookie that a reply sets, if it sets one.
pub(super) fn session_set(reply: &Reply) -> Option<String> {
    let mut all = cookies(reply).into_iter();
    all.find(|(name, _, age)| name == SESSION && *age > 0)
        .map(|(_, value, _)| value)
}

impl Simulation {
    /// A person does something, or several things at once.
    pub(super) fn act(&mut self, browser: usize) {
        let count = self.rng.pick(&[1, 1, 1, 2, 2, 3, 4]);
        for _ in 0..count {
            let after = self.rng.between(0, 40);
            self.act_once(browser, after);
        }
        let next = self
            .rng
            .between(500, self.rng.clone().pick(&[3_000, 20_000, 90_000]));
        self.post(next, Event::Act(browser));
    }

    fn act_once(&mut self, browser: usize, after: u64) {
        match self.rng.index(20) {
            0..=6 => self.open(browser, after, "/me", Kind::Typed),
            7..=12 => self.open(browser, after, "/data", Kind::Fetch),
            13 | 14 => self.open(browser, after, "/auth/logout", Kind::Click),
            15 => {
                let person = self.rng.index(self.people);
                self.change_person(browser, person);
                self.open(browser, after, "/auth/login?return_to=/me", Kind::Typed);
            }
            16 => self.sign_out_at_provider(browser, after),
            17 => self.browsers[browser].copy = Some(self.browsers[browser].jar.clone()),
            _ => {
                let tab = Tab::new(Sender::Copy(browser), "/data", Kind::Fetch);
                self.post(after, Event::Request(tab));
            }
        }
    }

    pub(super) fn open(&mut self, browser: usize, after: u64, target: &str, kind: Kind) {
        let tab = Tab::new(Sender::Browser(browser), target, kind);
        self.post(after, Event::Request(tab));
    }

    /// Somebody else sits down, and is not signed in at the provider.
    pub(super) fn change_person(&mut self, browser: usize, person: usize) {
        self.note(|| format!("browser {browser} is person {person}'s"));
        let browser = &mut self.browsers[browser];
        (browser.person, browser.sid) = (person, None);
    }

    /// The provider ends a session of its own, and tells the site.
    fn sign_out_at_provider(&mut self, browser: usize, after: u64) {
        let Browser { person, sid, .. } = self.browsers[browser];
        let Some(sid) = sid else { return };
        self.browsers[browser].sid = None;
        self.tell_site(person, sid, 0, after);
    }

    fn tell_site(&mut self, person: usize, sid: u64, tries: u32, after: u64) {
        let from = Sender::Provider { person, sid, tries };
        let tab = Tab::new(from, "/auth/backchannel-logout", Kind::Post);
        self.post(after, Event::Request(tab));
    }

    /// A request comes to one of the workers.
    pub(super) fn arrive(&mut self, mut tab: Tab) {
        let worker = self.rng.index(self.workers.len());
        if !self.workers[worker].is_up {
            return self.unanswered(&tab);
        }
        let now = self.unix().as_secs();
        let jar = match tab.from {
            Sender::Browser(browser) => Some(&self.browsers[browser].jar),
            Sender::Copy(browser) => self.browsers[browser].copy.as_ref(),
            Sender::Provider { .. } => None,
        };
        let sent = jar.and_then(|jar| jar.session(now));
        let sent = sent.and_then(|value| self.ledger.session_of(value));
        let line = jar.and_then(|jar| jar.line(now));
        let form = match tab.from {
            Sender::Provider { person, sid, .. } => self.logout_form(person, sid),
            _ => None,
        };
        let request = tab.request(line, form);
        tab.request = Some(request.clone());
        self.report.requests += 1;
        let access = match tab.path() {
            "/" => Access::Open,
            _ => Access::SignedIn,
        };
        let visit = self.workers[worker].site.visit(request, access);
        let login = parameter(&tab.target, "code").and_then(|code| self.ledger.login_of(&code));
        let visiting = Visiting {
            visit,
            exchange: None,
            began: self.now,
            sent,
            login,
            begun: None,
            session: None,
            is_over: false,
            has_failed: false,
            put_off: Vec::new(),
            tab,
        };
        let path = visiting.tab.path().to_owned();
        let from = visiting.tab.from;
        let id = self.begin(worker, Work::Visit(Box::new(visiting)));
        self.note(|| format!("{from:?} asks for {path} at worker {worker}: visit {id}"));
    }

    fn logout_form(&mut self, person: usize, sid: u64) -> Option<Bytes> {
        self.speak_of(person, sid);
        let token = self.twin.logout_token(self.unix(), None)?;
        let form = serde_urlencoded::to_string([("logout_token", token)]).ok()?;
        Some(Bytes::from(form))
    }

    /// Whom the provider's next tokens are of.
    pub(super) fn speak_of(&mut self, person: usize, sid: u64) {
        self.twin.set_claim("sub", format!("person-{person}"));
        self.twin.set_claim("sid", format!("sid-{sid}"));
    }

    pub(super) fn unanswered(&mut self, tab: &Tab) {
        match tab.from {
            Sender::Browser(browser) => self.browsers[browser].last = Some(Shown::Nothing),
            Sender::Copy(_) => {}
            // It tries again, for a while.
            Sender::Provider { person, sid, tries } if tries < 5 => {
                self.tell_site(person, sid, tries + 1, 5_000);
            }
            Sender::Provider { .. } => {}
        }
    }

    /// An answer of the site comes to whoever asked.
    pub(super) fn answered(&mut self, tab: &Tab, reply: &Reply) -> Result<(), Breach> {
        match tab.from {
            Sender::Browser(browser) => {
                let now = self.unix().as_secs();
                self.browsers[browser].jar.keep(now, reply);
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
        let Some(location) = location.filter(|_| tab.hops < MOST_HOPS) else {
            let code = reply.problem.as_ref().map_or("", |problem| problem.code);
            let status = reply.status.as_u16();
            self.note(|| format!("browser {browser} is shown {status} {code}"));
            self.browsers[browser].last = Some(Shown::Status(status));
            return Ok(());
        };
        let (target, kind, after) = match location.strip_prefix(PROVIDER) {
            None => (
                location.to_owned(),
                tab.kind.next(),
                self.rng.between(1, 50),
            ),
            Some(_) => {
                let back = self.visit_provider(browser, location)?;
                (back, Kind::Elsewhere, self.rng.between(20, 8_000))
            }
        };
        let target = target.strip_prefix(SHOP).unwrap_or(&target);
        let next = Tab {
            hops: tab.hops + 1,
            ..Tab::new(tab.from, target, kind)
        };
        self.post(after, Event::Request(next));
        Ok(())
    }

    /// The person says yes at the provider, or is signed out there.
    fn visit_provider(&mut self, browser: usize, url: &str) -> Result<String, Breach> {
        let is_logout = url.starts_with(&format!("{PROVIDER}/logout"));
        if !is_logout && self.browsers[browser].sid.is_none() {
            self.browsers[browser].sid = Some(self.ledger.next_sid());
        }
        let request = http::Request::get(url).body(Bytes::new());
        let request = request.map_err(|_| broken("an address that is none"))?;
        let at = self.moment();
        let reply = self.twin.answer(&at, request);
        let back = reply.headers().get(LOCATION);
        let back = back.and_then(|back| back.to_str().ok());
        let back = back.ok_or_else(|| broken("the provider shows a page"))?;
        let Browser { person, sid, .. } = self.browsers[browser];
        if is_logout {
            self.browsers[browser].sid = None;
        }
        if let (Some(code), Some(sid)) = (parameter(back, "code"), sid) {
            self.ledger.approved(code, person, sid);
        }
        Ok(back.to_owned())
    }
}

impl Tab {
    fn new(from: Sender, target: &str, kind: Kind) -> Self {
        Self {
            from,
            target: target.to_owned(),
            kind,
            hops: 0,
            request: None,
        }
    }

    pub(super) fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    fn request(&self, cookies: Option<String>, form: Option<Bytes>) -> Request {
        let mut headers = HeaderMap::new();
        let mut put = |name: HeaderName, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        };
        if let Some(cookies) = cookies {
            put(COOKIE, &cookies);
        }
        let (site, mode, dest) = match self.kind {
            Kind::Typed => ("none", "navigate", "document"),
            Kind::Click => ("same-origin", "navigate", "document"),
            Kind::Fetch => ("same-origin", "cors", "empty"),
            Kind::Elsewhere => ("cross-site", "navigate", "document"),
            Kind::Post => ("", "", ""),
        };
        if self.kind != Kind::Post {
            put(HeaderName::from_static("sec-fetch-site"), site);
            put(HeaderName::from_static("sec-fetch-mode"), mode);
            put(HeaderName::from_static("sec-fetch-dest"), dest);
        }
        Request {
            method: match self.kind {
                Kind::Post => Method::POST,
                _ => Method::GET,
            },
            host: "shop.example".to_owned(),
            target: self.target.clone(),
            headers,
            form,
        }
    }
}

impl Kind {
    /// Of a redirect by the site itself.
    const fn next(self) -> Self {
        match self {
            Self::Elsewhere => Self::Elsewhere,
            _ => Self::Click,
        }
    }
}

/// A parameter of a URL's query.
pub(super) fn parameter(url: &str, name: &str) -> Option<String> {
    let (_, query) = url.split_once('?')?;
    let pairs: Vec<(String, String)> = serde_urlencoded::from_str(query).ok()?;
    let mut pairs = pairs.into_iter();
    pairs
        .find(|(known, _)| known == name)
        .map(|(_, value)| value)
}

fn broken(text: &str) -> Breach {
    Breach(WebRule::Answered, text.to_owned())
}
