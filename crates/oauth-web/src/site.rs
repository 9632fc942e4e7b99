//! [`Site`]: a web application's sign-in, with its settings checked once.

use std::fmt;
use std::sync::Arc;

use http::Method;
use oauth_core::error::Error;
use oauth_core::{Client, Moment};

use crate::client_connections::Connect;
use crate::config::{Access, Config, SessionStorage};
use crate::page;
use crate::request::Request;
use crate::request_context::RequestContext;
use crate::routes::Route;
use crate::session::{Identity, PageRequirements, Session};
use crate::site_state::SiteState;
use crate::visit::Visit;

/// The sign-in of a web application. An application has one; it is cheap to clone.
#[derive(Clone)]
pub struct Site(Arc<SiteState>);

impl Site {
    /// A site with these settings.
    ///
    /// # Errors
    /// `web.setup` for settings that contradict themselves or are not safe, `url.insecure` for a base URL of plain http
    /// that is not on this machine, `redirect_uri.refused`.
    pub fn new(config: Config) -> Result<Self, Error> {
        let state = SiteState::new(config)?;
        page::client_metadata::check(&state)?;
        Ok(Self(Arc::new(state)))
    }

    /// Begins to handle a request: [`Visit::resume`] gives the steps to take.
    pub fn visit(&self, request: Request, access: Access) -> Visit {
        let site = Arc::clone(&self.0);
        Visit::new(move |io| page::respond(RequestContext::new(site, request, io), access, None))
    }

    /// Begins to handle a request for a page that requires more than a session: another way to authenticate, or a
    /// fresher login (RFC 9470). It is passed on once an ID token of the provider confirms that.
    pub fn challenge(&self, request: Request, need: PageRequirements) -> Visit {
        let site = Arc::clone(&self.0);
        let access = Access::SignedIn;
        Visit::new(move |io| {
            page::respond(RequestContext::new(site, request, io), access, Some(need))
        })
    }

    /// Signs a user in for a test: the response, 204, sets the cookies, and no provider is involved. There are no
    /// tokens. Otherwise it works as a real sign-in does: the host decides ([`Step::Admit`](crate::Step::Admit)), and
    /// the session keeps the claims of [`Config::claims`](crate::Config::claims). Unsafe requests need the header
    /// fields that a page of the site sends, such as `Sec-Fetch-Site: same-origin`. [`Visit::resume`] fails with
    /// `web.setup` unless the site seals with [`testing_key`](crate::testing_key), with `web.not_admitted`,
    /// `web.unknown_provider`, `web.session_too_large`, or the store's error.
    pub fn testing(&self, identity: Identity) -> Visit {
        let site = Arc::clone(&self.0);
        let request = self.synthetic_request();
        Visit::new(move |io| page::test(RequestContext::new(site, request, io), identity))
    }

    /// Ends a session everywhere: removes its record, and revokes its grant. Its cookie is not accepted afterwards. A
    /// session that is kept only in its cookie cannot be ended this way; only its token is revoked. The visit ends with
    /// [`Step::Pass`](crate::Step::Pass) and no session.
    pub fn end(&self, session: Arc<Session>) -> Visit {
        let site = Arc::clone(&self.0);
        let request = self.synthetic_request();
        Visit::new(move |io| page::end_session(RequestContext::new(site, request, io), session))
    }

    /// Ends the session of a request whose grant turned out to have ended (advice `reauthorize`): the response leads a
    /// user who opened a page to sign in, and is 401 for any other request.
    pub fn tokens_over(&self, request: Request) -> Visit {
        let site = Arc::clone(&self.0);
        Visit::new(move |io| page::grant_ended(RequestContext::new(site, request, io)))
    }

    /// A request that no browser sent.
    fn synthetic_request(&self) -> Request {
        let host = self
            .0
            .base_urls
            .first()
            .map(|base_url| base_url.origin.clone());
        let host = host.unwrap_or_default();
        Request {
            method: Method::GET,
            host: host.split("://").last().unwrap_or_default().to_owned(),
            target: "/".to_owned(),
            headers: http::HeaderMap::new(),
            form: None,
        }
    }

    /// The client of a provider of the settings, for the tokens of a session; `None` if it is not known yet, see
    /// [`connect`](Self::connect).
    pub fn client(&self, provider: &str) -> Option<Client> {
        let client = self.0.provider(provider).ok()?.client.clone();
        client.or_else(|| self.0.connections.client(provider))
    }

    /// Waits for the client of a provider of the settings, which is requested unless it is known, like a page that
    /// needs it. The visit ends without a session. Errors of [`Visit::resume`]: `web.unknown_provider`, `lost.timeout`,
    /// and those of the host.
    pub fn connect(&self, provider: &str) -> Visit {
        let (site, request) = (Arc::clone(&self.0), self.synthetic_request());
        let provider = provider.to_owned();
        Visit::new(move |io| page::connect(RequestContext::new(site, request, io), provider))
    }

    /// Records the result of [`Step::Connect`](crate::Step::Connect). Visits that wait for the client fail with the
    /// error, and for a while so does every other visit that needs the provider: with status 503, or 502 if the
    /// provider broke the protocol. An error of the application itself (`misuse.*`) is a 500, and not remembered.
    pub fn connected(&self, at: &Moment, connect: &Connect, client: Result<Client, Error>) {
        self.0.connections.attempt_ended(at.now(), connect, client);
    }

    /// Forgets the connection attempts in progress: for a process that was forked from one with such attempts.
    pub fn abandon_connecting(&self) {
        self.0.connections.forget_attempts();
    }

    /// Where sessions are stored.
    pub fn keep(&self) -> SessionStorage {
        self.0.config.keep
    }

    /// Whether this path, including the root path, is one of the site's own pages.
    pub fn owns(&self, path: &str) -> bool {
        let base_urls = self.0.base_urls.iter();
        base_urls
            .map(|base_url| self.0.route_at(base_url, path))
            .any(|page| page != Route::Application)
    }

    /// Whether the body of such a request is for the site: a host reads it, up to [`MAX_FORM`](crate::MAX_FORM) bytes,
    /// and leaves all other bodies to the application.
    pub fn reads_form(&self, method: &Method, path: &str) -> bool {
        let reads = |page: Route| {
            matches!(
                page,
                Route::Login | Route::Callback | Route::Logout | Route::BackChannel(_)
            )
        };
        let base_urls = self.0.base_urls.iter();
        let mut pages = base_urls.map(|base_url| self.0.route_at(base_url, path));
        *method == Method::POST && pages.any(reads)
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins = self.0.base_urls.iter().map(|base_url| &base_url.origin);
        f.debug_struct("Site")
            .field("origins", &origins.collect::<Vec<_>>())
            .field("keep", &self.0.config.keep)
            .finish_non_exhaustive()
    }
}
