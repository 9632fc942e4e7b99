//! The context of a request: the site, the cookies and the base URL, as every page needs them.

use std::sync::Arc;

use http::StatusCode;
use oauth_core::Client;
use oauth_core::error::{Error, ValidationFailure};
use oauth_core::form::Form;

use crate::config::{Config, Lookup, Provider, SameSite};
use crate::cookie::{self, CookieSameSite, Jar};
use crate::reply::{Reader, Reply};
use crate::request::{Origin, Request};
use crate::return_target;
use crate::routes::{BaseUrl, Inner};
use crate::session::{self, Need};
use crate::visit::{Io, ProviderQuery};

pub(crate) struct RequestContext {
    pub(crate) site: Arc<Inner>,
    pub(crate) request: Request,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) io: Io,
    base_url: Option<usize>,
}

impl RequestContext {
    pub(crate) fn new(site: Arc<Inner>, request: Request, io: Io) -> Self {
        let cookies = cookie::parse(&request.headers);
        let base_url = site.base_url(&request.host).and_then(|found| {
            let mut base_urls = site.base_urls.iter();
            base_urls.position(|base_url| std::ptr::eq(base_url, found))
        });
        Self {
            site,
            request,
            cookies,
            io,
            base_url,
        }
    }

    /// The base URL of the request.
    ///
    /// # Errors
    /// `web.not_found` for a host of no base URL.
    pub(crate) fn base_url(&self) -> Result<&BaseUrl, Error> {
        let base_url = self.base_url.and_then(|at| self.site.base_urls.get(at));
        base_url.ok_or_else(|| {
            Error::from(ValidationFailure::WebNotFound).about("the host is none of base_urls")
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.site.config
    }

    /// The provider of this id.
    ///
    /// # Errors
    /// `web.unknown_provider`, and the host's errors.
    pub(crate) async fn provider(&self, id: &str) -> Result<Provider, Error> {
        let id = Some(id.to_owned());
        let found = self
            .find(ProviderQuery {
                id,
                ..ProviderQuery::default()
            })
            .await?;
        found.ok_or_else(|| ValidationFailure::WebUnknownProvider.into())
    }

    /// The provider of the settings whose callback this request is.
    pub(crate) fn provider_of_callback(&self) -> Result<Option<&Provider>, Error> {
        let (config, root) = (self.config(), &self.base_url()?.root);
        let path = self.request.path().strip_prefix(root.as_str());
        let mut fixed = config.providers.iter();
        Ok(fixed.find(|one| Some(config.callback(one).as_str()) == path))
    }

    /// The client of a provider, as soon as it is known.
    ///
    /// # Errors
    /// What the host failed with that makes it: the request is answered as one that the host is not ready for.
    pub(crate) async fn client(&self, provider: &Provider) -> Result<Client, Error> {
        if let Some(client) = &provider.client {
            return Ok(client.clone());
        }
        let client = self.site.connections.wait(&self.io, &provider.id).await;
        client.inspect_err(|_| self.io.set_unready())
    }

    /// The client of the provider of this id.
    ///
    /// # Errors
    /// As [`provider`](Self::provider) and [`client`](Self::client).
    pub(crate) async fn client_of(&self, id: &str) -> Result<Client, Error> {
        self.client(&self.provider(id).await?).await
    }

    /// The client of a provider if it is known by now.
    pub(crate) fn known(&self, provider: &Provider) -> Option<Client> {
        let client = provider.client.clone();
        client.or_else(|| self.site.connections.known(&provider.id))
    }

    /// The client that sessions and sign-ins of a provider have to be of, see [`session::registration`]; nothing as long
    /// as nobody knows.
    pub(crate) fn registration(&self, provider: &Provider) -> Option<String> {
        if let Some((issuer, client_id)) = &provider.registered {
            return Some(session::registration(issuer, client_id));
        }
        let client = self.known(provider)?;
        let (issuer, client_id) = (client.server().issuer(), client.client_id());
        Some(session::registration(issuer.as_str(), client_id.as_str()))
    }

    /// The client of a provider if it is known, for what can be done another time: nobody waits.
    ///
    /// # Errors
    /// What only a host does wrong.
    pub(crate) async fn client_at_once(
        &self,
        provider: &Provider,
    ) -> Result<Option<Client>, Error> {
        match &provider.client {
            Some(client) => Ok(Some(client.clone())),
            None => self.site.connections.at_once(&self.io, &provider.id).await,
        }
    }

    /// The provider to sign in with, if it is determined by the tenant of the page, or is the only one.
    pub(crate) async fn chosen(&self, need: Option<&Need>) -> Result<Option<Provider>, Error> {
        let tenant = need.and_then(|need| need.tenant.clone());
        self.find(ProviderQuery {
            tenant,
            ..ProviderQuery::default()
        })
        .await
    }

    /// The first provider, which is used unless the person chooses another.
    pub(crate) async fn first_provider(&self) -> Result<Provider, Error> {
        match self.config().providers.first() {
            Some(first) => Ok(first.clone()),
            None => {
                let chosen = self.chosen(None).await?;
                chosen.ok_or_else(|| ValidationFailure::WebUnknownProvider.into())
            }
        }
    }

    /// Finds the provider of a query, in the settings or by asking the host.
    pub(crate) async fn find(&self, ask: ProviderQuery) -> Result<Option<Provider>, Error> {
        let config = self.config();
        let mut fixed = Vec::new();
        for provider in &config.providers {
            if self.is_asked_for(provider, &ask).await? {
                fixed.push(provider);
            }
        }
        let mut fixed = fixed.into_iter();
        let (first, second) = (fixed.next(), fixed.next());
        let is_named = ask.id.is_some() || ask.issuer.is_some();
        match (first, second, config.lookup) {
            (Some(first), _, _) if is_named => return Ok(Some(first.clone())),
            (Some(first), None, Lookup::Fixed) => return Ok(Some(first.clone())),
            (_, _, Lookup::Fixed) => return Ok(None),
            (_, _, Lookup::Asked) => {}
        }
        let path = match ask.path.is_empty() {
            true => self.request.path().to_owned(),
            false => ask.path.clone(),
        };
        let host = self.request.host.clone();
        let asked = ProviderQuery {
            host,
            path,
            ..ask.clone()
        };
        let Some(found) = self.io.provider(asked).await? else {
            return Ok(None);
        };
        // A provider that does not match the query would open another tenant's session.
        let is_fixed = config.providers.iter().any(|fixed| fixed.id == found.id);
        let is_whole = found.client.is_some() && found.callback.is_none();
        if is_fixed || !is_whole || !self.is_asked_for(&found, &ask).await? {
            let why = "the host gave another provider than the one it was asked for";
            return Err(Error::from(ValidationFailure::WebUnknownProvider).about(why));
        }
        config.check_provider(&found)?;
        Ok(Some(found))
    }

    async fn is_asked_for(&self, provider: &Provider, ask: &ProviderQuery) -> Result<bool, Error> {
        let is_named = ask.id.as_ref().is_none_or(|id| *id == provider.id)
            && (ask.tenant.is_none() || ask.tenant == provider.tenant);
        Ok(match &ask.issuer {
            Some(issuer) if is_named => {
                let client = self.client(provider).await?;
                client.server().issuer().as_str() == issuer
            }
            _ => is_named,
        })
    }

    pub(crate) fn jar(&self) -> Result<&Jar, Error> {
        Ok(&self.base_url()?.jar)
    }

    pub(crate) fn has_cookie(&self, name: &str) -> bool {
        self.cookies.iter().any(|(known, _)| known == name)
    }

    /// Whether the request has a cookie of a session, whatever is in it.
    pub(crate) fn has_session(&self) -> Result<bool, Error> {
        Ok(self.has_cookie(self.jar()?.name()))
    }

    pub(crate) fn reader(&self) -> Reader {
        match self.request.is_navigation() {
            true => Reader::Person,
            false => Reader::Script,
        }
    }

    /// The `SameSite` of the session's cookie.
    pub(crate) fn same_site(&self) -> CookieSameSite {
        match self.config().same_site {
            SameSite::Lax => CookieSameSite::Lax,
            SameSite::Strict => CookieSameSite::Strict,
        }
    }

    /// The path of one of the site's own pages, with these parameters.
    pub(crate) fn page(&self, name: &str, parameters: &[(&str, &str)]) -> Result<String, Error> {
        let mut url = self.base_url()?.page(self.config(), name);
        let mut form = Form::new();
        for (name, value) in parameters {
            form.push(name, value);
        }
        if !form.is_empty() {
            url.push('?');
            url.push_str(form.as_str());
        }
        Ok(url)
    }

    /// The page after signing in, if none was requested.
    pub(crate) fn home(&self) -> Result<String, Error> {
        Ok(format!("{}{}", self.base_url()?.root, self.config().home))
    }

    /// The page to return to: the requested one if it is allowed, else home.
    pub(crate) fn return_to(&self, wanted: Option<&str>) -> Result<String, Error> {
        let base_url = self.base_url()?;
        let pages = format!("{}{}", base_url.root, self.config().prefix);
        let others = &self.config().return_origins;
        let allowed =
            wanted.and_then(|wanted| return_target::allowed(wanted, &base_url.url, &pages, others));
        match (allowed, wanted) {
            (Some(target), _) => Ok(target.to_owned()),
            (None, Some(_)) => {
                let detail = "a return target leads elsewhere; home was taken";
                self.io.note("return_target.refused", detail);
                self.home()
            }
            (None, None) => self.home(),
        }
    }

    /// The requested page, if it can be returned to.
    pub(crate) fn this_page(&self) -> Result<String, Error> {
        match self.request.is_safe() {
            true => self.return_to(Some(&return_target::written_out(&self.request.target))),
            false => self.home(),
        }
    }

    /// Clears the cookies of the session, if there are any.
    pub(crate) fn end_session(&self) -> Result<Vec<String>, Error> {
        Ok(self.jar()?.end_session(&self.cookies, self.same_site()))
    }

    /// Requires that an unsafe request comes from a page of this site (RFC 10017 section 6.1.3.3). If the browser does
    /// not state its origin, a header that other sites cannot send is required, unless there is no session
    /// that could be abused.
    ///
    /// # Errors
    /// `web.cross_site`
    pub(crate) fn require_own(&self) -> Result<(), Error> {
        if self.request.is_safe() {
            return Ok(());
        }
        let base_url = self.base_url()?;
        let is_own = match self.request.origin(&base_url.origin) {
            Origin::Own | Origin::Person => true,
            Origin::Foreign => false,
            Origin::Unknown => {
                self.request.has_protection_header() || !self.has_cookie(base_url.jar.name())
            }
        };
        match is_own {
            true => Ok(()),
            false => Err(ValidationFailure::WebCrossSite.into()),
        }
    }

    /// Redirects to another page, with these cookies.
    pub(crate) fn go(url: &str, cookies: impl IntoIterator<Item = String>) -> Reply {
        Reply::see_other(url).cookies(cookies)
    }

    /// The empty response to a prefetch.
    pub(crate) fn ahead() -> Reply {
        Reply::empty(StatusCode::NO_CONTENT)
    }
}
