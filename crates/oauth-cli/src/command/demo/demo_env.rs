//! The environment of a demo flow: a fresh twin, the system's preset pointed at it, and the library.

use std::cell::RefCell;
use std::fmt::Display;
use std::net::SocketAddr;
use std::time::Duration;

use http::Method;
use http::header::LOCATION;
use oauth_core::error::Error;
use oauth_core::flow::resource::{self, Api, OnRateLimit};
use oauth_core::url::Url;
use oauth_core::{
    AuthorizationRequest, Client, ClientId, Exchange, Moment, PendingAuthorization, Scope, Secret,
    Tokens,
};
use oauth_providers::Provider;
use oauth_reqwest::blocking::{Authorized, Driver, GrantSource, Listener, Request};
use oauth_reqwest::reqwest::blocking::{Client as Http, Response};
use oauth_reqwest::reqwest::redirect;
use oauth_reqwest::{Options, ResponseExt as _};
use oauth_session::{Sources, TokenSource};
use oauth_testkit::twin::{Counters, Entry};
use oauth_testkit::{Served, Twin};
use serde_json::Value;

use super::wire_recorder::{self, BROWSER, Recording, WireRecorder};
use crate::trace::Received;

/// The timeout of every operation, which are all local.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// One of the four systems.
pub(super) struct System {
    /// Its name, which is also that of its preset.
    pub(super) name: &'static str,
    pub(super) twin: fn(&str) -> Twin,
    /// The variables of the preset's URLs.
    pub(super) variables: &'static [(&'static str, &'static str)],
    pub(super) flows: &'static [Flow],
}

/// One documented flow.
pub(super) struct Flow {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) run: fn(&DemoEnv) -> FlowResult,
}

/// The result of a flow.
pub(super) type FlowResult<T = ()> = Result<T, Discrepancy>;

/// A difference between a flow and the documentation.
#[derive(Debug)]
pub(super) struct Discrepancy {
    pub(super) code: Option<&'static str>,
    pub(super) reason: String,
}

impl Discrepancy {
    pub(super) fn new(reason: impl Display) -> Self {
        Self {
            code: None,
            reason: reason.to_string(),
        }
    }
}

impl From<Error> for Discrepancy {
    fn from(error: Error) -> Self {
        Self {
            code: Some(error.code()),
            reason: error.to_string(),
        }
    }
}

impl From<std::io::Error> for Discrepancy {
    fn from(error: std::io::Error) -> Self {
        Self::new(error)
    }
}

impl From<oauth_reqwest::reqwest::Error> for Discrepancy {
    fn from(error: oauth_reqwest::reqwest::Error) -> Self {
        Self::new(error.without_url())
    }
}

/// A reply of an API.
pub(super) struct Reply {
    pub(super) status: u16,
    /// The pause that the rate limit requires.
    pub(super) pause: Option<Duration>,
    /// Its JSON; `null` for any other body.
    pub(super) body: Value,
}

/// The driver of every flow: without a proxy or certificates, because everything is local.
pub(super) fn driver() -> Result<Driver, Error> {
    let builder = Http::builder().no_proxy().tls_certs_only([]);
    Driver::with_options(builder, Options::default().timeout(MAX_WAIT))
}

/// The environment of one flow.
pub(super) struct DemoEnv {
    pub(super) provider: Provider,
    pub(super) hops: Recording,
    base: String,
    served: Served,
    _recorder: WireRecorder,
    driver: Driver,
    browser: Http,
    checks: RefCell<Vec<String>>,
}

impl DemoEnv {
    pub(super) fn new(system: &System, driver: Driver) -> FlowResult<Self> {
        let (listener, base) = wire_recorder::listen()?;
        let served = Served::start(|_| (system.twin)(&base))?;
        let address = served.base().trim_start_matches("http://").parse();
        let address: SocketAddr = address.map_err(Discrepancy::new)?;
        let hops = Recording::default();
        let mut provider = oauth_providers::provider(system.name)?;
        for (name, value) in system.variables {
            provider = provider.with(name, value)?;
        }
        let browser = Http::builder()
            .no_proxy()
            .tls_certs_only([])
            .redirect(redirect::Policy::none())
            .user_agent(BROWSER)
            .timeout(MAX_WAIT);
        Ok(Self {
            provider: provider.on_loopback(&base)?,
            _recorder: WireRecorder::start(listener, address, hops.clone())?,
            hops,
            base,
            served,
            driver,
            browser: browser.build()?,
            checks: RefCell::default(),
        })
    }

    pub(super) fn into_checks(self) -> Vec<String> {
        self.checks.into_inner()
    }

    /// Records a check, and fails if it does not hold.
    pub(super) fn check(&self, expectation: impl Display, holds: bool) -> FlowResult {
        if !holds {
            return Err(Discrepancy::new(format_args!("not true: {expectation}")));
        }
        let expectation = expectation.to_string();
        let mut checks = self.checks.borrow_mut();
        if checks.last() != Some(&expectation) {
            checks.push(expectation);
        }
        Ok(())
    }

    /// Checks that something is refused with this code.
    pub(super) fn check_refused<T>(
        &self,
        attempt: impl Display,
        result: Result<T, Error>,
        code: &'static str,
    ) -> FlowResult<Error> {
        match result {
            Err(error) if error.code() == code => {
                self.check(format_args!("{attempt} is refused: {code}"), true)?;
                Ok(error)
            }
            Err(error) => Err(error.into()),
            Ok(_) => Err(Discrepancy::new(format_args!(
                "not refused: {attempt} ({code})"
            ))),
        }
    }

    // The twin ------------------------------------------------------------------------------

    pub(super) fn twin<T>(&self, look: impl FnOnce(&mut Twin) -> T) -> T {
        self.served.with(look)
    }

    pub(super) fn counters(&self) -> Counters {
        self.twin(|twin| twin.counters())
    }

    /// The number of requests that reached the twin.
    pub(super) fn request_count(&self) -> usize {
        self.twin(|twin| twin.log().len())
    }

    /// All requests that the twin received, including secrets.
    pub(super) fn log(&self) -> Vec<Entry> {
        self.twin(|twin| twin.log().to_vec())
    }

    /// The last request to this path.
    pub(super) fn entry(&self, path: &str) -> FlowResult<Entry> {
        let matching = self.log().into_iter().rfind(|entry| entry.path == path);
        matching.ok_or_else(|| Discrepancy::new(format_args!("no request was sent to {path}")))
    }

    /// The last reply on the wire.
    pub(super) fn last_reply(&self) -> FlowResult<Received> {
        let hop = self.hops.all().into_iter().next_back();
        let reply = hop.and_then(|hop| hop.received);
        reply.ok_or_else(|| Discrepancy::new("no response was received"))
    }

    /// Advances the twin's clock.
    pub(super) fn advance(&self, by: Duration) {
        self.served.advance(by);
    }

    // The client ----------------------------------------------------------------------------

    pub(super) fn secret(&self) -> Secret<String> {
        self.twin(|twin| Secret::from(twin.client_secret()))
    }

    pub(super) fn client_id(&self) -> ClientId {
        self.twin(|twin| ClientId::new(twin.client_id()))
    }

    /// The client with a secret.
    pub(super) fn confidential_client(&self) -> Result<Client, Error> {
        self.provider.client(self.client_id(), Some(self.secret()))
    }

    /// The client without one.
    pub(super) fn public_client(&self) -> Result<Client, Error> {
        let id = self.twin(|twin| ClientId::new(twin.public_client_id()));
        self.provider.client(id, None)
    }

    pub(super) fn run<E: Exchange>(&self, exchange: E) -> Result<E::Output, Error> {
        self.driver.run(exchange)
    }

    // The API -------------------------------------------------------------------------------

    /// The API with the application's own tokens.
    pub(super) fn application_api(
        &self,
        client: Client,
        scope: Scope,
    ) -> Result<Authorized, Error> {
        self.api(self.client_grant(&client, scope))
    }

    /// The API with a user's tokens.
    pub(super) fn user_api(&self, client: Client, tokens: Tokens) -> Result<Authorized, Error> {
        self.api(self.user_grant(&client, tokens)?)
    }

    /// The API with one token source for all its routes. A 429 is returned to the caller.
    pub(super) fn api(&self, source: impl TokenSource + 'static) -> Result<Authorized, Error> {
        self.api_with(Sources::one(source), self.provider.api()?)
    }

    /// The API with the token of each route's owner.
    pub(super) fn api_with(&self, sources: Sources, api: Api) -> Result<Authorized, Error> {
        let api = Authorized::with_sources(self.driver.clone(), sources, api)?;
        Ok(api.on_rate_limit(OnRateLimit::Pass))
    }

    /// A source of the application's own tokens.
    pub(super) fn client_grant(&self, client: &Client, scope: Scope) -> GrantSource {
        GrantSource::client_credentials(self.driver.clone(), client, scope)
    }

    /// A source of a user's tokens.
    pub(super) fn user_grant(&self, client: &Client, tokens: Tokens) -> Result<GrantSource, Error> {
        GrantSource::refreshing(self.driver.clone(), client, tokens)
    }

    pub(super) fn get(&self, api: &Authorized, path: &str) -> Result<Reply, Error> {
        self.request(api, Method::GET, path).send().map(reply)
    }

    pub(super) fn post(&self, api: &Authorized, path: &str) -> Result<Reply, Error> {
        self.request(api, Method::POST, path).send().map(reply)
    }

    fn request<'a>(&self, api: &'a Authorized, method: Method, path: &str) -> Request<'a> {
        api.request(method, &format!("{}{path}", self.base))
    }

    /// Calls, revokes every token at the server, and calls again.
    pub(super) fn recovers_from_401(&self, api: &Authorized, path: &str) -> FlowResult {
        self.get(api, path)?;
        self.twin(Twin::expire_access_tokens);
        let reply = self.get(api, path)?;
        self.check(
            "the caller only sees the successful response",
            reply.status == 200,
        )?;
        let counters = self.counters();
        let outcome = (
            counters.api_401,
            counters.token_requests,
            counters.api_calls,
        );
        self.check(
            "there is one 401, one new token and one retry",
            outcome == (1, 2, 3),
        )
    }

    /// Calls the API with exactly this token, which is never refreshed.
    pub(super) fn get_with(&self, token: &Secret<String>, path: &str) -> FlowResult<Reply> {
        let request = self.browser.get(format!("{}{path}", self.base));
        let request = request
            .header(http::header::AUTHORIZATION, resource::bearer(token)?)
            .header(http::header::USER_AGENT, "plain");
        Ok(reply(request.send()?))
    }

    // The user ------------------------------------------------------------------------------

    /// Opens a page in the browser; returns where it redirects, or its status.
    pub(super) fn visit(&self, url: &Url) -> FlowResult<Visit> {
        Ok(visit(&self.browser, url)?)
    }

    /// The first half of a login: the pending flow, and the callback.
    pub(super) fn authorize(
        &self,
        client: &Client,
        request: AuthorizationRequest,
    ) -> FlowResult<(PendingAuthorization, String)> {
        let (url, pending) = client.authorize(&Moment::system()?, request)?;
        match self.visit(&url)? {
            Visit::Redirect(callback) => Ok((pending, callback)),
            Visit::Page(status) => Err(Discrepancy::new(format_args!(
                "the server shows a page with status {status} instead of a redirect"
            ))),
        }
    }

    /// A complete login of a web application: the page at the redirect URI passes the callback on.
    pub(super) fn login(
        &self,
        client: &Client,
        request: AuthorizationRequest,
    ) -> FlowResult<Tokens> {
        let (pending, callback) = self.authorize(client, request)?;
        Ok(self.run(client.redeem(pending, &callback)?)?.tokens)
    }

    /// A complete login of a native app: the browser returns to a local port.
    pub(super) fn login_at(
        &self,
        listener: Listener,
        client: &Client,
        request: AuthorizationRequest,
    ) -> FlowResult<Tokens> {
        let (http, hops) = (self.browser.clone(), self.hops.clone());
        let mut browser = None;
        let open = |url: &Url| {
            let url = url.clone();
            browser = Some(std::thread::spawn(move || {
                follow_redirect(&http, &hops, &url)
            }));
            Ok(())
        };
        let tokens = listener.login(&self.driver, client, request, open, MAX_WAIT);
        if let Some(browser) = browser {
            // If it fails, the listener times out, which `tokens` reports.
            let _ = browser.join();
        }
        Ok(tokens?.tokens)
    }
}

/// The result of opening a page.
pub(super) enum Visit {
    /// A redirect to this URL.
    Redirect(String),
    /// A page with this status.
    Page(u16),
}

fn visit(http: &Http, url: &Url) -> Result<Visit, oauth_reqwest::reqwest::Error> {
    let response = http.get(url.as_str()).send()?;
    let location = crate::net::header(response.headers(), LOCATION.as_str());
    Ok(if response.status().is_redirection() {
        Visit::Redirect(location.to_owned())
    } else {
        Visit::Page(response.status().as_u16())
    })
}

/// Follows the server's redirect to the listener, which the recorder does not see.
fn follow_redirect(http: &Http, hops: &Recording, url: &Url) -> Option<()> {
    let Visit::Redirect(callback) = visit(http, url).ok()? else {
        return None;
    };
    let mut headers = http::HeaderMap::new();
    headers.insert(
        http::header::USER_AGENT,
        http::HeaderValue::from_static(BROWSER),
    );
    let index = hops.begin(&Method::GET, &callback.parse().ok()?, &headers, &[]);
    let response = http.get(&callback).send().ok()?;
    hops.end(
        index,
        Received::new(response.status(), response.headers(), &[]),
    );
    Some(())
}

fn reply(response: Response) -> Reply {
    Reply {
        status: response.status().as_u16(),
        pause: response.retry_after(),
        body: response
            .text()
            .ok()
            .and_then(|text| serde_json::from_str(&text).ok())
            .unwrap_or_default(),
    }
}
