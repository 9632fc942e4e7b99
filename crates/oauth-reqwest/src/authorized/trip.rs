//! One resource request with all its repetitions: what is sent, and what follows from a reply.
//!
//! Decided here, once, for async and blocking. `S` is a body that can be sent only once.

use bytes::Bytes;
use http::header::{HeaderName, HeaderValue, LOCATION};
use http::{HeaderMap, Method, StatusCode};
use oauth_core::Tokens;
use oauth_core::error::{Error, Misuse};
use oauth_core::flow::resource::{self, Redirect, Resource, Verdict};
use oauth_core::url::Url;

/// How many redirects are followed.
const MAX_HOPS: u8 = 10;

pub struct Trip<S> {
    resource: Resource,
    method: Method,
    url: Result<Url, Error>,
    headers: HeaderMap,
    body: Body<S>,
    hops: u8,
    is_renewed: bool,
}

enum Body<S> {
    Bytes(Bytes),
    Stream(S),
    /// A stream that is sent and gone.
    Spent,
}

/// A request with its token; the body is a stream only if it has to be.
pub enum Parcel<S> {
    Bytes(http::Request<Bytes>),
    Stream(http::Request<S>),
}

/// What follows from a reply.
#[derive(Debug, PartialEq, Eq)]
pub enum Leg {
    /// The reply is the caller's.
    Over,
    /// The reply is the caller's, and the token is dead.
    OverAndDead,
    /// Once more, with a new token.
    Renew,
    /// Once more, at the place the trip now points to.
    Follow,
}

impl<S> Trip<S> {
    pub fn new(resource: &Resource, method: Method, url: &str) -> Self {
        Self {
            resource: resource.clone(),
            method,
            url: Url::parse(url),
            headers: HeaderMap::new(),
            body: Body::Bytes(Bytes::new()),
            hops: 0,
            is_renewed: false,
        }
    }

    /// What is wrong with the field is told when the request is sent.
    pub fn header(&mut self, name: &str, value: &str) {
        match (name.parse::<HeaderName>(), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => {
                self.headers.append(name, value);
            }
            _ => self.url = Err(Error::from(Misuse::HeaderValue).about(name)),
        }
    }

    pub fn body(&mut self, body: Bytes) {
        self.body = Body::Bytes(body);
    }

    pub fn stream(&mut self, body: S) {
        self.body = Body::Stream(body);
    }

    /// Fails early: no token is fetched for a request that must not carry one.
    pub fn check(&self) -> Result<(), Error> {
        self.resource
            .check(self.url.as_ref().map_err(Error::clone)?)
    }

    pub fn pack(&mut self, tokens: &Tokens) -> Result<Parcel<S>, Error> {
        let url = self.url.as_ref().map_err(Error::clone)?;
        let mut request = http::Request::new(());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = url.as_str().parse().map_err(|_| Misuse::UrlSyntax)?;
        *request.headers_mut() = self.headers.clone();
        let (mut parts, ()) = request.into_parts();
        let bytes = match &self.body {
            Body::Bytes(bytes) => Some(bytes.clone()),
            Body::Stream(_) | Body::Spent => None,
        };
        self.resource
            .before(&mut parts, bytes.as_deref(), &tokens.access_token)?;
        if let Some(bytes) = bytes {
            return Ok(Parcel::Bytes(http::Request::from_parts(parts, bytes)));
        }
        match std::mem::replace(&mut self.body, Body::Spent) {
            Body::Stream(stream) => Ok(Parcel::Stream(http::Request::from_parts(parts, stream))),
            Body::Bytes(_) | Body::Spent => Err(Misuse::Over.into()),
        }
    }

    /// What the reply asks for: at most one renewal and ten redirects, and nothing that would
    /// need a body twice that can be sent only once.
    pub fn after(&mut self, status: StatusCode, headers: &HeaderMap) -> Leg {
        let can_repeat = matches!(self.body, Body::Bytes(_));
        if resource::after(status, headers) == Verdict::Renew {
            return match (self.is_renewed, can_repeat) {
                // The new token is no worse than the next one would be: it stays.
                (true, _) => Leg::Over,
                (false, false) => Leg::OverAndDead,
                (false, true) => {
                    self.is_renewed = true;
                    Leg::Renew
                }
            };
        }
        match self.redirect(status, headers) {
            Some(url) if can_repeat && self.hops < MAX_HOPS => {
                self.hops += 1;
                self.url = Ok(url);
                Leg::Follow
            }
            _ => Leg::Over,
        }
    }

    /// Where a redirect leads, if it stays within the origin and asks for the same once more.
    fn redirect(&self, status: StatusCode, headers: &HeaderMap) -> Option<Url> {
        let is_redirect = matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308);
        let is_read = self.method == Method::GET || self.method == Method::HEAD;
        if !is_redirect || !is_read {
            return None;
        }
        let mut locations = headers.get_all(LOCATION).iter();
        let (Some(location), None) = (locations.next(), locations.next()) else {
            return None;
        };
        match self
            .resource
            .redirect(self.url.as_ref().ok()?, location.to_str().ok()?)
        {
            Redirect::Follow(url) => Some(url),
            Redirect::Refuse => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const API: &str = "https://api.example";

    fn trip(method: Method) -> Trip<()> {
        let resource = Resource::new([API]).unwrap();
        Trip::new(&resource, method, "https://api.example/a")
    }

    fn to(location: &str) -> HeaderMap {
        HeaderMap::from_iter([(LOCATION, location.parse().unwrap())])
    }

    #[test]
    fn a_401_is_renewed_once() {
        let mut trip = trip(Method::POST);
        let none = HeaderMap::new();
        assert_eq!(trip.after(StatusCode::UNAUTHORIZED, &none), Leg::Renew);
        assert_eq!(trip.after(StatusCode::UNAUTHORIZED, &none), Leg::Over);
    }

    #[test]
    fn a_stream_is_never_sent_twice() {
        let mut trip = trip(Method::PUT);
        trip.stream(());
        let none = HeaderMap::new();
        assert_eq!(
            trip.after(StatusCode::UNAUTHORIZED, &none),
            Leg::OverAndDead
        );
        let mut trip = self::trip(Method::GET);
        trip.stream(());
        assert_eq!(trip.after(StatusCode::FOUND, &to("/b")), Leg::Over);
    }

    #[test]
    fn redirects_stay_within_the_origin() {
        for elsewhere in [
            "https://evil.example/",
            "http://api.example/",
            "https://api.example:8443/",
            "//evil.example/",
            "https://api.example@evil.example/",
            "/\\evil.example",
            "b",
            "",
        ] {
            let leg = trip(Method::GET).after(StatusCode::FOUND, &to(elsewhere));
            assert_eq!(leg, Leg::Over, "{elsewhere}");
        }
        for here in ["/b", "https://api.example/b", "https://API.example:443/b"] {
            for status in [301, 302, 303, 307, 308] {
                let status = StatusCode::from_u16(status).unwrap();
                let leg = trip(Method::HEAD).after(status, &to(here));
                assert_eq!(leg, Leg::Follow, "{here}");
            }
        }
    }

    #[test]
    fn only_reading_follows_and_not_forever() {
        let mut post = trip(Method::POST);
        assert_eq!(
            post.after(StatusCode::TEMPORARY_REDIRECT, &to("/b")),
            Leg::Over
        );
        let mut get = trip(Method::GET);
        for _ in 0..MAX_HOPS {
            assert_eq!(get.after(StatusCode::FOUND, &to("/b")), Leg::Follow);
        }
        assert_eq!(get.after(StatusCode::FOUND, &to("/b")), Leg::Over);
    }

    #[test]
    fn two_locations_are_none() {
        let mut two = to("/b");
        two.append(LOCATION, HeaderValue::from_static("/c"));
        assert_eq!(trip(Method::GET).after(StatusCode::FOUND, &two), Leg::Over);
    }

    #[test]
    fn what_must_not_carry_a_token_fails_before_one_is_fetched() {
        let resource = Resource::new([API]).unwrap();
        for (url, code) in [
            ("https://evil.example/", "resource.origin_not_allowed"),
            ("http://api.example/", "url.insecure"),
            ("/a", "url.syntax"),
        ] {
            let trip = Trip::<()>::new(&resource, Method::GET, url);
            assert_eq!(trip.check().unwrap_err().code(), code);
        }
        let mut trip = trip(Method::GET);
        trip.header("x-a", "b\r\nc: d");
        assert_eq!(trip.check().unwrap_err().code(), "client_auth.header_value");
    }
}
