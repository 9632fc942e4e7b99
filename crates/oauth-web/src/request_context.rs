//! The context of a request: the site, the cookies and the base URL, which every page needs. The provider of a request
//! is looked up in `provider_lookup.rs`.

use std::sync::Arc;

use http::StatusCode;
use oauth_core::error::{Error, ValidationFailure};
use oauth_core::form::Form;

use crate::config::{Config, SameSite};
use crate::cookie::{self, CookieSameSite, Jar};
use crate::reply::{Reader, Reply};
use crate::request::{Initiator, Request};
use crate::return_target;
use crate::site_state::{BaseUrl, SiteState};
use crate::visit::Io;

/// A request with the state that the pages need to answer it.
pub(crate) struct RequestContext {
    pub(crate) site: Arc<SiteState>,
    pub(crate) request: Request,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) io: Io,
    base_url: Option<usize>,
}

impl RequestContext {
    pub(crate) fn new(site: Arc<SiteState>, request: Request, io: Io) -> Self {
        let cookies = cookie::parse(&request.headers);
        let base_url = site.base_url(&request.host).and_then(|matching| {
            let mut base_urls = site.base_urls.iter();
            base_urls.position(|base_url| std::ptr::eq(base_url, matching))
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
    /// `web.not_found` if several base URLs are configured and none has the host of the request.
    pub(crate) fn base_url(&self) -> Result<&BaseUrl, Error> {
        let base_url = self
            .base_url
            .and_then(|index| self.site.base_urls.get(index));
        base_url.ok_or_else(|| {
            Error::from(ValidationFailure::WebNotFound).about("the host is none of base_urls")
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.site.config
    }

    pub(crate) fn jar(&self) -> Result<&Jar, Error> {
        Ok(&self.base_url()?.jar)
    }

    pub(crate) fn has_cookie(&self, name: &str) -> bool {
        self.cookies
            .iter()
            .any(|(cookie_name, _)| cookie_name == name)
    }

    /// Whether the request has the cookie of a session; its content is not checked.
    pub(crate) fn has_session(&self) -> Result<bool, Error> {
        Ok(self.has_cookie(self.jar()?.name()))
    }

    pub(crate) fn reader(&self) -> Reader {
        if self.request.is_navigation() {
            Reader::User
        } else {
            Reader::Script
        }
    }

    /// The `SameSite` of the session's cookie.
    pub(crate) fn same_site(&self) -> CookieSameSite {
        match self.config().session_same_site() {
            SameSite::Lax => CookieSameSite::Lax,
            SameSite::Strict => CookieSameSite::Strict,
        }
    }

    /// The path of one of the site's own pages, with these parameters.
    pub(crate) fn page_path(
        &self,
        name: &str,
        parameters: &[(&str, &str)],
    ) -> Result<String, Error> {
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
    pub(crate) fn home_path(&self) -> Result<String, Error> {
        Ok(format!("{}{}", self.base_url()?.root, self.config().home))
    }

    /// The page to return to: the requested one if it is allowed, else home.
    pub(crate) fn return_to(&self, requested: Option<&str>) -> Result<String, Error> {
        let base_url = self.base_url()?;
        let pages = format!("{}{}", base_url.root, self.config().prefix);
        let return_origins = &self.config().return_origins;
        let target = requested.and_then(|requested| {
            return_target::allowed_target(requested, &base_url.url, &pages, return_origins)
        });
        match (target, requested) {
            (Some(target), _) => Ok(target.to_owned()),
            (None, Some(_)) => {
                let detail = "a return target leads elsewhere; home was taken";
                self.io.log_entry("return_to.refused", detail);
                self.home_path()
            }
            (None, None) => self.home_path(),
        }
    }

    /// The requested page, if it can be returned to.
    pub(crate) fn this_page(&self) -> Result<String, Error> {
        if self.request.is_safe() {
            self.return_to(Some(&return_target::percent_encoded(&self.request.target)))
        } else {
            self.home_path()
        }
    }

    /// The `Set-Cookie` fields that clear the cookies of the session; none if the request has no such cookie.
    pub(crate) fn end_session(&self) -> Result<Vec<String>, Error> {
        Ok(self.jar()?.end_session(&self.cookies, self.same_site()))
    }

    /// Requires that an unsafe request comes from a page of this site (RFC 10017 section 6.1.3.3). If the browser does
    /// not state its origin, a header that other sites cannot send is required, unless there is no session
    /// that could be abused.
    ///
    /// # Errors
    /// `web.cross_site`
    pub(crate) fn require_same_origin(&self) -> Result<(), Error> {
        if self.request.is_safe() {
            return Ok(());
        }
        let base_url = self.base_url()?;
        let is_same_origin = match self.request.initiator(&base_url.origin) {
            Initiator::SameOrigin | Initiator::Direct => true,
            Initiator::CrossOrigin => false,
            Initiator::Unknown => {
                self.request.has_protection_header() || !self.has_cookie(base_url.jar.name())
            }
        };
        if is_same_origin {
            Ok(())
        } else {
            Err(ValidationFailure::WebCrossSite.into())
        }
    }

    /// Redirects to another page, with these cookies.
    pub(crate) fn see_other(url: &str, cookies: impl IntoIterator<Item = String>) -> Reply {
        Reply::see_other(url).with_cookies(cookies)
    }

    /// The empty response to a prefetch.
    pub(crate) fn empty_prefetch_reply() -> Reply {
        Reply::empty(StatusCode::NO_CONTENT)
    }
}
