//! A request at a site: what every page needs.

use std::sync::Arc;

use http::StatusCode;
use oauth_core::error::{Error, ValidationFailure};
use oauth_core::form::Form;

use crate::config::{Config, Provider, SameSite};
use crate::cookie::{self, Jar, Sent};
use crate::place::{Inner, Place};
use crate::reply::{Reader, Reply};
use crate::request::{Origin, Request};
use crate::target;
use crate::visit::Desk;

pub(crate) struct Turn {
    pub(crate) site: Arc<Inner>,
    pub(crate) request: Request,
    pub(crate) cookies: Vec<(String, String)>,
    pub(crate) desk: Desk,
    place: Option<usize>,
}

impl Turn {
    pub(crate) fn new(site: Arc<Inner>, request: Request, desk: Desk) -> Self {
        let cookies = cookie::parse(&request.headers);
        let place = site.place(&request.host).and_then(|found| {
            let mut places = site.places.iter();
            places.position(|place| std::ptr::eq(place, found))
        });
        Self {
            site,
            request,
            cookies,
            desk,
            place,
        }
    }

    /// The base URL of the request.
    ///
    /// # Errors
    /// `web.not_found` for a host that is none of the site's.
    pub(crate) fn place(&self) -> Result<&Place, Error> {
        let place = self.place.and_then(|at| self.site.places.get(at));
        place.ok_or_else(|| {
            Error::from(ValidationFailure::WebNotFound).about("the host is none of base_urls")
        })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.site.config
    }

    /// The provider, where there is but one.
    pub(crate) fn only_provider(&self) -> Option<&Provider> {
        match self.config().providers.as_slice() {
            [provider] => Some(provider),
            _ => None,
        }
    }

    /// The one that people sign in with unless they choose another.
    pub(crate) fn first_provider(&self) -> Result<&Provider, Error> {
        let first = self.config().providers.first();
        first.ok_or_else(|| ValidationFailure::WebUnknownProvider.into())
    }

    pub(crate) fn jar(&self) -> Result<&Jar, Error> {
        Ok(&self.place()?.jar)
    }

    pub(crate) fn has_cookie(&self, name: &str) -> bool {
        self.cookies.iter().any(|(known, _)| known == name)
    }

    pub(crate) fn reader(&self) -> Reader {
        match self.request.is_navigation() {
            true => Reader::Person,
            false => Reader::Script,
        }
    }

    /// How the session's cookie is sent.
    pub(crate) fn sent(&self) -> Sent {
        match self.config().same_site {
            SameSite::Lax => Sent::Lax,
            SameSite::Strict => Sent::Strict,
        }
    }

    /// One of the site's own pages, with these parameters.
    pub(crate) fn page(&self, name: &str, parameters: &[(&str, &str)]) -> Result<String, Error> {
        let mut url = self.place()?.page(self.config(), name);
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

    /// The page that people go to who asked for none.
    pub(crate) fn home(&self) -> Result<String, Error> {
        Ok(format!("{}{}", self.place()?.root, self.config().home))
    }

    /// Where a person goes afterwards: as asked, if that is allowed, else home.
    pub(crate) fn return_to(&self, wanted: Option<&str>) -> Result<String, Error> {
        let place = self.place()?;
        let pages = format!("{}{}", place.root, self.config().prefix);
        let others = &self.config().return_origins;
        let allowed = wanted.and_then(|wanted| target::allowed(wanted, &place.url, &pages, others));
        match (allowed, wanted) {
            (Some(target), _) => Ok(target.to_owned()),
            (None, Some(_)) => {
                let detail = "a return target leads elsewhere; home was taken";
                self.desk.note("return_target.refused", detail);
                self.home()
            }
            (None, None) => self.home(),
        }
    }

    /// The page that was asked for, if people can come back to it.
    pub(crate) fn this_page(&self) -> Result<String, Error> {
        match self.request.is_safe() {
            true => self.return_to(Some(&target::written_out(&self.request.target))),
            false => self.home(),
        }
    }

    /// The ends of a session's cookies, as far as there are any.
    pub(crate) fn end_session(&self) -> Result<Vec<String>, Error> {
        Ok(self.jar()?.end_session(&self.cookies, self.sent()))
    }

    /// Nothing but what a page of this site sent, if it may change something (RFC 10017 section 6.1.3.3). Where the
    /// browser does not say, a header that other sites cannot send has to stand there, unless there is no session
    /// that could be abused.
    ///
    /// # Errors
    /// `web.cross_site`
    pub(crate) fn require_own(&self) -> Result<(), Error> {
        if self.request.is_safe() {
            return Ok(());
        }
        let place = self.place()?;
        let is_own = match self.request.origin(&place.origin) {
            Origin::Own | Origin::Person => true,
            Origin::Foreign => false,
            Origin::Unknown => {
                self.request.has_protection_header() || !self.has_cookie(place.jar.name())
            }
        };
        match is_own {
            true => Ok(()),
            false => Err(ValidationFailure::WebCrossSite.into()),
        }
    }

    /// Goes on to another page, with these cookies.
    pub(crate) fn go(url: &str, cookies: impl IntoIterator<Item = String>) -> Reply {
        Reply::see_other(url).cookies(cookies)
    }

    /// Nothing: it was only looked ahead.
    pub(crate) fn ahead() -> Reply {
        Reply::empty(StatusCode::NO_CONTENT)
    }
}
