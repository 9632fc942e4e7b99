//! A site, the provider it trusts, a store, and the browsers of people.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use oauth_core::error::{Cause, Error};
use oauth_core::flow::keeper::{Entry, Lease, Saved};
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::scope::Scope;
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, ClientId, Secret, discover};
use oauth_seal::Keys;
use oauth_testkit::{Twin, TwinDriver};
use oauth_web::{
    Access, Admission, Ask, Config, Event, Forward, Identity, Need, Note, Provider, Reply, Request,
    Session, Site, Step, Visit,
};

pub(crate) const SHOP: &str = "https://shop.example";
pub(crate) const TWIN: &str = "https://twin.example";
pub(crate) const SUBJECT: &str = "user-248289761001";

/// How a visit ended.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "it is not kept")]
pub(crate) enum Ended {
    Reply(Reply),
    Passed(Option<Arc<Session>>),
    Forwarded(Box<Forward>),
}

pub(crate) struct World {
    pub(crate) site: Site,
    pub(crate) config: Config,
    pub(crate) provider: TwinDriver,
    pub(crate) store: BTreeMap<String, Entry>,
    pub(crate) is_store_down: bool,
    /// How many records can still be saved; any number if it is not set.
    pub(crate) saves_left: Option<usize>,
    pub(crate) notes: Vec<Note>,
    pub(crate) admission: Box<dyn Fn(&Identity) -> Admission>,
    /// The providers that only the host knows, and what it was asked.
    pub(crate) directory: Vec<Provider>,
    pub(crate) asked: Vec<Ask>,
    /// When records end.
    ends: BTreeMap<String, UnixTime>,
    versions: u64,
}

#[derive(Debug, Clone)]
pub(crate) struct Cookie {
    pub(crate) name: String,
    pub(crate) value: String,
    same_site: String,
    until: u64,
}

/// A browser, with the rules of cookies that matter here.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: Vec<Cookie>,
    pub(crate) is_blocking: bool,
}

/// Where a request comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum From {
    Typed,
    Own,
    Elsewhere,
}

impl World {
    pub(crate) fn new() -> Self {
        Self::with(|config| config)
    }

    pub(crate) fn in_store() -> Self {
        Self::with(Config::in_store)
    }

    pub(crate) fn with(change: impl FnOnce(Config) -> Config) -> Self {
        let mut provider = TwinDriver::new(Twin::generic(TWIN));
        for uri in [
            "/auth/callback",
            "/auth/callback/twin",
            "/auth/callback/other",
        ] {
            provider
                .twin()
                .register_redirect_uri(&format!("{SHOP}{uri}"));
        }
        let client = client(&mut provider);
        let one = Provider::new("twin", client)
            .unwrap()
            .scope(Scope::parse("openid read offline_access").unwrap());
        let config = Config::new(Url::parse(SHOP).unwrap(), Keys::new([7; 32]), one);
        let config = change(config);
        Self {
            site: Site::new(config.clone()).unwrap(),
            config,
            provider,
            store: BTreeMap::new(),
            is_store_down: false,
            saves_left: None,
            notes: Vec::new(),
            admission: Box::new(|_| Admission::default()),
            directory: Vec::new(),
            asked: Vec::new(),
            ends: BTreeMap::new(),
            versions: 0,
        }
    }

    /// The same world with a site of other settings: another worker, or the next version.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.site = Site::new(self.config.clone()).unwrap();
    }

    pub(crate) fn advance(&mut self, seconds: u64) {
        self.provider.advance(Duration::from_secs(seconds));
        self.sweep();
    }

    pub(crate) fn visit(&mut self, request: Request, access: Access, need: Option<Need>) -> Ended {
        let visit = match need {
            Some(need) => self.site.challenge(request, need),
            None => self.site.visit(request, access),
        };
        self.drive(visit)
    }

    pub(crate) fn drive(&mut self, mut visit: Visit) -> Ended {
        let mut event = Event::Begin;
        loop {
            match self.step(&mut visit, event) {
                Ok(next) => event = next,
                Err(ended) => return *ended,
            }
        }
    }

    /// One step of a visit, and its answer; or the end.
    pub(crate) fn step(&mut self, visit: &mut Visit, event: Event) -> Result<Event, Box<Ended>> {
        let moment = self.provider.moment();
        let step = visit.resume(&moment, event).unwrap();
        self.notes.extend(visit.notes());
        let is_of_store = matches!(
            step,
            Step::Load { .. } | Step::Save { .. } | Step::Lease { .. } | Step::Remove { .. }
        );
        let is_full = match (&step, &mut self.saves_left) {
            (Step::Save { .. }, Some(0)) => true,
            (Step::Save { .. }, Some(left)) => {
                *left -= 1;
                false
            }
            _ => false,
        };
        self.sweep();
        if is_of_store && (self.is_store_down || is_full) {
            return Ok(Event::Failed(down()));
        }
        Ok(match step {
            Step::Load { key } => Event::Loaded(self.store.get(&key).cloned()),
            Step::Lease { .. } => Event::Leased(Lease::Won),
            Step::Save {
                key,
                record,
                version,
                until,
                ..
            } => Event::Saved(self.save(&key, record, version, until)),
            Step::Remove { key } => {
                let version = self.store.get(&key).map_or(0, |entry| entry.version);
                self.save(&key, Secret::new(String::new()), version, None);
                Event::Removed
            }
            Step::Wait(pause) => {
                self.provider.advance(pause);
                Event::Elapsed
            }
            Step::Run(exchange) => Event::Landed(self.provider.run(exchange)),
            Step::Provider(ask) => {
                let provider = self.looked_up(&ask);
                self.asked.push(*ask);
                Event::Provider(provider.map(Box::new))
            }
            Step::Admit(identity) => Event::Admitted((self.admission)(&identity)),
            Step::Respond(reply) => return Err(Box::new(Ended::Reply(reply))),
            Step::Pass(session) => return Err(Box::new(Ended::Passed(session))),
            Step::Forward(forward) => return Err(Box::new(Ended::Forwarded(forward))),
        })
    }

    /// What the application's database says: by id, by issuer, by tenant, or by the first part of the path.
    fn looked_up(&self, ask: &Ask) -> Option<Provider> {
        let tenant = ask.path.strip_prefix("/t/").unwrap_or_default();
        let tenant = tenant.split('/').next().unwrap_or_default();
        let mut known = self.directory.iter();
        let found = known.find(|provider| match ask {
            Ask { id: Some(id), .. } => provider.id == *id,
            Ask {
                issuer: Some(issuer),
                ..
            } => provider.client.server().issuer().as_str() == issuer,
            Ask {
                tenant: Some(_), ..
            } => provider.tenant == ask.tenant,
            _ => provider.tenant.as_deref() == Some(tenant),
        });
        found.cloned()
    }

    /// Records end by the provider's clock.
    fn sweep(&mut self) {
        let now = self.provider.now();
        let (store, ends) = (&mut self.store, &mut self.ends);
        ends.retain(|key, until| {
            let is_over = *until <= now;
            if is_over {
                store.remove(key);
            }
            !is_over
        });
    }

    fn save(
        &mut self,
        key: &str,
        record: Secret<String>,
        version: u64,
        until: Option<UnixTime>,
    ) -> Saved {
        assert!(key.len() <= 60, "{key}");
        let current = self.store.get(key).map_or(0, |entry| entry.version);
        if current != version {
            return Saved::Conflict;
        }
        self.versions += 1;
        let version = self.versions;
        match until {
            Some(until) => self.ends.insert(key.to_owned(), until),
            None => self.ends.remove(key),
        };
        let entry = Entry { version, record };
        self.store.insert(key.to_owned(), entry);
        Saved::At(version)
    }

    /// The records that are not removed.
    pub(crate) fn records(&self) -> Vec<&str> {
        let records = self.store.values();
        let records = records.map(|entry| entry.record.expose().as_str());
        records.filter(|record| !record.is_empty()).collect()
    }

    pub(crate) fn notes_of(&self, code: &str) -> Vec<&str> {
        let notes = self.notes.iter().filter(|note| note.code == code);
        notes.map(|note| note.detail.as_str()).collect()
    }

    pub(crate) fn log(&self) -> String {
        let lines = self.notes.iter();
        lines
            .map(|note| format!("{}: {}\n", note.code, note.detail))
            .collect()
    }
}

pub(crate) fn client(provider: &mut TwinDriver) -> Client {
    let issuer = Issuer::parse(provider.twin().issuer()).unwrap();
    let server = provider.run(discover(issuer)).unwrap();
    let twin = provider.twin();
    let auth = ClientAuth::basic(twin.client_secret());
    Client::new(server, ClientId::new(twin.client_id()), auth).unwrap()
}

fn down() -> Error {
    Error::lost(Cause::unknown("the store is away")).at_endpoint("store")
}

impl Ended {
    #[track_caller]
    pub(crate) fn reply(self) -> Reply {
        match self {
            Self::Reply(reply) => reply,
            ended => panic!("{ended:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn session(self) -> Arc<Session> {
        match self {
            Self::Passed(Some(session)) => session,
            ended => panic!("{ended:?}"),
        }
    }

    #[track_caller]
    pub(crate) fn is_status(&self, status: u16) -> bool {
        match self {
            Self::Reply(reply) => reply.status.as_u16() == status,
            Self::Passed(_) | Self::Forwarded(_) => false,
        }
    }
}

pub(crate) fn location(reply: &Reply) -> String {
    assert_eq!(reply.status, StatusCode::SEE_OTHER, "{}", reply.body);
    reply.headers[LOCATION].to_str().unwrap().to_owned()
}

pub(crate) fn code(reply: &Reply) -> &'static str {
    reply.problem.as_ref().map_or("", |problem| problem.code)
}

impl Browser {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A request as this browser makes it.
    pub(crate) fn request(
        &mut self,
        world: &World,
        method: Method,
        target: &str,
        from: From,
    ) -> Request {
        let mut headers = HeaderMap::new();
        let is_navigation = true;
        let site = match from {
            From::Typed => "none",
            From::Own => "same-origin",
            From::Elsewhere => "cross-site",
        };
        put(&mut headers, "sec-fetch-site", site);
        if is_navigation {
            put(&mut headers, "sec-fetch-mode", "navigate");
            put(&mut headers, "sec-fetch-dest", "document");
            put(&mut headers, "accept", "text/html,*/*");
        }
        if method == Method::POST {
            let origin = match from {
                From::Elsewhere => TWIN,
                _ => SHOP,
            };
            put(&mut headers, "origin", origin);
        }
        let now = world.provider.now().as_secs();
        self.cookies.retain(|cookie| now < cookie.until);
        let is_foreign = from == From::Elsewhere;
        let is_post = method == Method::POST;
        let sent = self.cookies.iter().filter(|cookie| {
            matches!(
                (cookie.same_site.as_str(), is_foreign, is_post),
                ("None", _, _) | (_, false, _) | ("Lax", true, false)
            )
        });
        let pairs: Vec<_> = sent
            .map(|cookie| format!("{}={}", cookie.name, cookie.value))
            .collect();
        if !pairs.is_empty() {
            put(&mut headers, "cookie", &pairs.join("; "));
        }
        Request {
            method,
            host: "shop.example".to_owned(),
            target: target.to_owned(),
            headers,
            form: None,
        }
    }

    /// Sends a request and keeps the cookies of the answer.
    pub(crate) fn send(&mut self, world: &mut World, request: Request, access: Access) -> Ended {
        self.send_needing(world, request, access, None)
    }

    pub(crate) fn send_needing(
        &mut self,
        world: &mut World,
        request: Request,
        access: Access,
        need: Option<Need>,
    ) -> Ended {
        let ended = world.visit(request, access, need);
        if let Ended::Reply(reply) = &ended {
            assert_eq!(reply.headers["cache-control"], "no-store");
            assert_eq!(reply.headers["referrer-policy"], "no-referrer");
            self.keep(world, reply);
        }
        ended
    }

    /// The host found that the tokens of the session are over.
    pub(crate) fn end_over(&mut self, world: &mut World, request: Request) -> Reply {
        let visit = world.site.tokens_over(request);
        let reply = world.drive(visit).reply();
        self.keep(world, &reply);
        reply
    }

    pub(crate) fn keep(&mut self, world: &World, reply: &Reply) {
        if self.is_blocking {
            return;
        }
        let mut bytes = 0;
        for line in reply.headers.get_all(SET_COOKIE) {
            let line = line.to_str().unwrap();
            bytes += line.len();
            let mut parts = line.split("; ");
            let (name, value) = parts.next().unwrap().split_once('=').unwrap();
            let attributes: Vec<_> = parts.collect();
            let named = |name: &str| {
                let mut given = attributes.iter();
                given
                    .find_map(|given| given.strip_prefix(name))
                    .map(str::to_owned)
            };
            assert!(name.len() + value.len() < 4096, "{name}");
            if name.starts_with("__Host-Http-") {
                for attribute in ["Secure", "HttpOnly", "Path=/"] {
                    assert!(attributes.contains(&attribute), "{line}");
                }
            }
            let age: u64 = named("Max-Age=").unwrap().parse().unwrap();
            self.cookies.retain(|cookie| cookie.name != name);
            if age > 0 {
                self.cookies.push(Cookie {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    same_site: named("SameSite=").unwrap(),
                    until: world.provider.now().as_secs() + age,
                });
            }
        }
        assert!(bytes < 8192, "{bytes} bytes of cookies in one answer");
    }

    /// Types an address.
    pub(crate) fn get(&mut self, world: &mut World, target: &str) -> Ended {
        let request = self.request(world, Method::GET, target, From::Typed);
        self.send(world, request, Access::SignedIn)
    }

    /// Follows a link of a page of the site.
    pub(crate) fn click(&mut self, world: &mut World, target: &str) -> Ended {
        let request = self.request(world, Method::GET, target, From::Own);
        self.send(world, request, Access::SignedIn)
    }

    /// A script of the site asks.
    pub(crate) fn fetch(&mut self, world: &mut World, method: Method, target: &str) -> Ended {
        let mut request = self.request(world, method, target, From::Own);
        put(&mut request.headers, "sec-fetch-mode", "cors");
        put(&mut request.headers, "sec-fetch-dest", "empty");
        put(&mut request.headers, "accept", "application/json");
        self.send(world, request, Access::SignedIn)
    }

    /// The provider sends the person back: where it would.
    pub(crate) fn provider(world: &mut World, url: &str) -> String {
        let callback = world.provider.browse(url);
        let callback = callback.unwrap_or_else(|| panic!("the provider shows a page at {url}"));
        callback.strip_prefix(SHOP).unwrap().to_owned()
    }

    /// Opens a page and follows every redirect, whoever sends it.
    pub(crate) fn open(&mut self, world: &mut World, target: &str) -> Ended {
        let request = self.request(world, Method::GET, target, From::Typed);
        let ended = self.send(world, request, Access::SignedIn);
        self.follow(world, ended)
    }

    pub(crate) fn follow(&mut self, world: &mut World, ended: Ended) -> Ended {
        let (mut ended, mut from) = (ended, From::Typed);
        for _ in 0..20 {
            let Ended::Reply(reply) = &ended else {
                return ended;
            };
            if reply.status != StatusCode::SEE_OTHER {
                return ended;
            }
            let mut next = location(reply);
            if let Some(own) = next.strip_prefix(SHOP) {
                next = own.to_owned();
            } else if next.starts_with(TWIN) {
                next = Self::provider(world, &next);
                from = From::Elsewhere;
            }
            // A chain that another site was in counts as its.
            let request = self.request(world, Method::GET, &next, from);
            ended = self.send(world, request, Access::SignedIn);
        }
        panic!("redirects without end");
    }

    pub(crate) fn cookie(&self, name: &str) -> Option<&Cookie> {
        self.cookies.iter().find(|cookie| cookie.name == name)
    }

    pub(crate) fn flows(&self) -> usize {
        let flows = self.cookies.iter();
        flows
            .filter(|cookie| cookie.name.contains("-flow-"))
            .count()
    }
}

pub(crate) const SESSION: &str = "__Host-Http-oauth-session";

pub(crate) fn put(headers: &mut HeaderMap, name: &str, value: &str) {
    let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
    headers.insert(name, HeaderValue::from_str(value).unwrap());
}

pub(crate) fn add_cookie(request: &mut Request, name: &str, value: &str) {
    let before = request.headers.get(COOKIE);
    let before = before.map(|line| line.to_str().unwrap().to_owned());
    let line = match before {
        Some(before) => format!("{before}; {name}={value}"),
        None => format!("{name}={value}"),
    };
    put(&mut request.headers, "cookie", &line);
}

pub(crate) fn form(request: &mut Request, pairs: &[(&str, &str)]) {
    let mut form = oauth_core::form::Form::new();
    for (name, value) in pairs {
        form.push(name, value);
    }
    request.form = Some(Bytes::copy_from_slice(form.as_str().as_bytes()));
}
