//! A site, the provider it trusts, a store, and the browsers of users.

mod browser;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{COOKIE, LOCATION, SET_COOKIE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode};
use oauth_core::error::{Cause, Error};
use oauth_core::flow::keeper::{Entry, Lease, SaveOutcome};
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::scope::Scope;
use oauth_core::url::Url;
use oauth_core::{Client, ClientAuth, ClientId, Secret, discover};
use oauth_seal::Keys;
use oauth_testkit::{Twin, TwinDriver};
use oauth_web::{
    Access, Admission, Config, Connect, Event, Forward, Identity, LogEntry, PageRequirements,
    Provider, ProviderQuery, Reply, Request, Session, Site, Step, Visit,
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
    pub(crate) notes: Vec<LogEntry>,
    pub(crate) admission: Box<dyn Fn(&Identity) -> Admission>,
    /// The providers that only the host knows, and the lookups it received.
    pub(crate) directory: Vec<Provider>,
    pub(crate) requests: Vec<ProviderQuery>,
    /// The clients that the host must create, and the result; pending if not set.
    pub(crate) connects: Vec<Connect>,
    pub(crate) connected: Option<Result<Client, Error>>,
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

/// A browser, with the relevant cookie rules.
#[derive(Debug, Clone, Default)]
pub(crate) struct Browser {
    pub(crate) cookies: Vec<Cookie>,
    pub(crate) is_blocking: bool,
}

/// The origin of a request.
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
        let client = client(&mut provider);
        Self::at(provider, client, change)
    }

    /// A site whose users sign in at this provider.
    pub(crate) fn at(
        mut provider: TwinDriver,
        client: Client,
        change: impl FnOnce(Config) -> Config,
    ) -> Self {
        for uri in [
            "/auth/callback",
            "/auth/callback/twin",
            "/auth/callback/other",
        ] {
            provider
                .twin()
                .register_redirect_uri(&format!("{SHOP}{uri}"));
        }
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
            requests: Vec::new(),
            connects: Vec::new(),
            connected: None,
            ends: BTreeMap::new(),
            versions: 0,
        }
    }

    /// The same world with changed site settings, as in another worker or the next version.
    pub(crate) fn change(&mut self, change: impl FnOnce(&mut Config)) {
        change(&mut self.config);
        self.site = Site::new(self.config.clone()).unwrap();
    }

    pub(crate) fn advance(&mut self, seconds: u64) {
        self.provider.advance(Duration::from_secs(seconds));
        self.sweep();
    }

    pub(crate) fn visit(
        &mut self,
        request: Request,
        access: Access,
        need: Option<PageRequirements>,
    ) -> Ended {
        let visit = match need {
            Some(need) => self.site.challenge(request, need),
            None => self.site.visit(request, access),
        };
        self.drive(visit)
    }

    pub(crate) fn drive(&mut self, visit: Visit) -> Ended {
        self.try_drive(visit).unwrap()
    }

    pub(crate) fn try_drive(&mut self, mut visit: Visit) -> Result<Ended, Error> {
        let mut event = Event::Begin;
        loop {
            match self.try_step(&mut visit, event)? {
                Ok(next) => event = next,
                Err(ended) => return Ok(*ended),
            }
        }
    }

    /// One step of a visit and its result, or the end.
    pub(crate) fn step(&mut self, visit: &mut Visit, event: Event) -> Result<Event, Box<Ended>> {
        self.try_step(visit, event).unwrap()
    }

    fn try_step(
        &mut self,
        visit: &mut Visit,
        event: Event,
    ) -> Result<Result<Event, Box<Ended>>, Error> {
        let moment = self.provider.moment();
        let step = visit.resume(&moment, event)?;
        self.notes.extend(visit.notes());
        let is_of_store = matches!(
            step,
            Step::Load { .. } | Step::Save { .. } | Step::Lease { .. } | Step::Remove { .. }
        );
        let is_full = match (&step, &mut self.saves_left) {
            (Step::Save { .. }, Some(0)) => true,
            (Step::Save { .. }, Some(remaining)) => {
                *remaining -= 1;
                false
            }
            _ => false,
        };
        self.sweep();
        if is_of_store && (self.is_store_down || is_full) {
            return Ok(Ok(Event::Failed(store_down())));
        }
        Ok(Ok(match step {
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
            Step::Run(exchange) => Event::Completed(self.provider.run(exchange)),
            Step::Provider(request) => {
                let provider = self.looked_up(&request);
                self.requests.push(*request);
                Event::Provider(provider.map(Box::new))
            }
            Step::Connect(connect) => {
                if let Some(client) = self.connected.clone() {
                    self.site.connected(&moment, &connect, client);
                }
                self.connects.push(connect);
                Event::Connecting
            }
            Step::Admit(identity) => Event::Admitted((self.admission)(&identity)),
            Step::Respond(reply) => return Ok(Err(Box::new(Ended::Reply(reply)))),
            Step::Pass(session) => return Ok(Err(Box::new(Ended::Passed(session)))),
            Step::Forward(forward) => return Ok(Err(Box::new(Ended::Forwarded(forward)))),
        }))
    }

    /// Looks up a provider in the application's database by id, issuer, tenant, or first path segment.
    fn looked_up(&self, request: &ProviderQuery) -> Option<Provider> {
        let tenant = request.path.strip_prefix("/t/").unwrap_or_default();
        let tenant = tenant.split('/').next().unwrap_or_default();
        let mut known = self.directory.iter();
        let found = known.find(|provider| match request {
            ProviderQuery { id: Some(id), .. } => provider.id == *id,
            ProviderQuery {
                issuer: Some(issuer),
                ..
            } => {
                let client = provider.client.as_ref();
                client.is_some_and(|client| client.server().issuer().as_str() == issuer)
            }
            ProviderQuery {
                tenant: Some(_), ..
            } => provider.tenant == request.tenant,
            _ => provider.tenant.as_deref() == Some(tenant),
        });
        found.cloned()
    }

    /// Records expire by the provider's clock.
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
    ) -> SaveOutcome {
        assert!(key.len() <= 60, "{key}");
        let current = self.store.get(key).map_or(0, |entry| entry.version);
        if current != version {
            return SaveOutcome::Conflict;
        }
        self.versions += 1;
        let version = self.versions;
        match until {
            Some(until) => self.ends.insert(key.to_owned(), until),
            None => self.ends.remove(key),
        };
        let entry = Entry { version, record };
        self.store.insert(key.to_owned(), entry);
        SaveOutcome::At(version)
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

fn store_down() -> Error {
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
