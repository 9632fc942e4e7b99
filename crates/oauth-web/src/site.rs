//! A site: its settings, checked once.

use std::fmt;
use std::sync::Arc;

use http::Method;
use oauth_core::error::Error;
use oauth_core::{Client, Moment};

use crate::config::{Access, Config, Keep};
use crate::connect::Connect;
use crate::page;
use crate::place::{Inner, Page};
use crate::request::Request;
use crate::session::{Identity, Need, Session};
use crate::turn::Turn;
use crate::visit::Visit;

/// A site whose people sign in: one for an application. Cheap to clone.
#[derive(Clone)]
pub struct Site(Arc<Inner>);

impl Site {
    /// A site with these settings.
    ///
    /// # Errors
    /// `web.setup` for settings that contradict themselves or are not safe, `url.insecure` for a base URL of plain
    /// http that is not of this machine, `redirect_uri.refused`.
    pub fn new(config: Config) -> Result<Self, Error> {
        Ok(Self(Arc::new(Inner::new(config)?)))
    }

    /// Begins a request: [`Visit::resume`] says what to do.
    pub fn visit(&self, request: Request, access: Access) -> Visit {
        let site = Arc::clone(&self.0);
        Visit::new(move |desk| page::answer(Turn::new(site, request, desk), access, None))
    }

    /// Begins a request whose page wants more than somebody who is signed in: another way to authenticate, or a
    /// fresher login (RFC 9470). Passed on once the provider has vouched for it.
    pub fn challenge(&self, request: Request, need: Need) -> Visit {
        let site = Arc::clone(&self.0);
        let access = Access::SignedIn;
        Visit::new(move |desk| page::answer(Turn::new(site, request, desk), access, Some(need)))
    }

    /// Signs somebody in for a test: the answer, 204, sets the cookies, and no provider is asked. There are no tokens.
    /// What fails is an error of [`Visit::resume`]: `web.setup` unless the site seals with
    /// [`testing_key`](crate::testing_key), `web.unknown_provider`, `web.session_too_large`, and what a store fails with.
    pub fn testing(&self, identity: Identity) -> Visit {
        let site = Arc::clone(&self.0);
        let request = self.nobodys();
        Visit::new(move |desk| page::test(Turn::new(site, request, desk), identity))
    }

    /// Ends a session, wherever it is used: its record, and its grant, which is revoked. Whoever comes with its cookie is
    /// nobody then; a session that lives in its cookie alone cannot be ended so, and only its token is revoked. It ends
    /// without a session.
    pub fn end(&self, session: Arc<Session>) -> Visit {
        let site = Arc::clone(&self.0);
        let request = self.nobodys();
        Visit::new(move |desk| page::end(Turn::new(site, request, desk), session))
    }

    /// Ends the session of a request whose tokens turned out to be over, with advice `reauthorize`: the answer is 401.
    pub fn tokens_over(&self, request: Request) -> Visit {
        let site = Arc::clone(&self.0);
        Visit::new(move |desk| page::over(Turn::new(site, request, desk)))
    }

    /// A request that no browser has sent.
    fn nobodys(&self) -> Request {
        let host = self.0.places.first().map(|place| place.origin.clone());
        let host = host.unwrap_or_default();
        Request {
            method: Method::GET,
            host: host.split("://").last().unwrap_or_default().to_owned(),
            target: "/".to_owned(),
            headers: http::HeaderMap::new(),
            form: None,
        }
    }

    /// The client of a provider of the settings, for the tokens of a session; nothing if it is not known yet, see
    /// [`connect`](Self::connect).
    pub fn client(&self, provider: &str) -> Option<Client> {
        let known = self.0.provider(provider).ok()?.client.clone();
        known.or_else(|| self.0.connections.known(provider))
    }

    /// Waits for the client of a provider of the settings, which is asked for unless it is known, as a page does that
    /// needs it. It ends without a session. What fails is an error of [`Visit::resume`]: `web.unknown_provider`,
    /// `lost.timeout`, and what the host failed with.
    pub fn connect(&self, provider: &str) -> Visit {
        let (site, request) = (Arc::clone(&self.0), self.nobodys());
        let provider = provider.to_owned();
        Visit::new(move |desk| page::connect(Turn::new(site, request, desk), provider))
    }

    /// How [`Step::Connect`](crate::Step::Connect) ended. A failure is told to whoever waits, and for a while to whoever
    /// needs the provider next: with status 503, or 502 where the provider answered what it must not. One that is the
    /// application's own (`misuse.*`) is a 500, and not remembered.
    pub fn connected(&self, at: &Moment, connect: &Connect, client: Result<Client, Error>) {
        self.0.connections.landed(at.now(), connect, client);
    }

    /// Forgets that anybody is being asked for a client: for a process that was forked from one that did.
    pub fn abandon_connecting(&self) {
        self.0.connections.abandon();
    }

    /// Where its sessions live.
    pub fn keep(&self) -> Keep {
        self.0.config.keep
    }

    /// Whether this path, root path included, is one of the site's own pages.
    pub fn owns(&self, path: &str) -> bool {
        let places = self.0.places.iter();
        places
            .map(|place| self.0.page_at(place, path))
            .any(|page| page != Page::Application)
    }

    /// Whether the body of such a request is for the site: a host reads it, [`MAX_FORM`](crate::MAX_FORM) bytes at
    /// most, and leaves every other one alone.
    pub fn reads_form(&self, method: &Method, path: &str) -> bool {
        let reads = |page: Page| {
            matches!(
                page,
                Page::Login | Page::Callback | Page::Logout | Page::BackChannel(_)
            )
        };
        let places = self.0.places.iter();
        let mut pages = places.map(|place| self.0.page_at(place, path));
        *method == Method::POST && pages.any(reads)
    }
}

impl fmt::Debug for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let origins = self.0.places.iter().map(|place| &place.origin);
        f.debug_struct("Site")
            .field("origins", &origins.collect::<Vec<_>>())
            .field("keep", &self.0.config.keep)
            .finish_non_exhaustive()
    }
}
