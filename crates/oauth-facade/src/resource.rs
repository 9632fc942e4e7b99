//! Attaches a token to a request that another language's HTTP client sends.

use oauth_core::error::{Error, Misuse};
use oauth_core::exchange::field_named;
use oauth_core::flow::resource::{self, Verdict};
use oauth_core::http::header::WWW_AUTHENTICATE;
use oauth_core::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use oauth_core::json;
use oauth_core::url::Url;
use oauth_core::{Secret, danger};

use crate::server::Transport;

/// The origins to which a token may be sent.
#[derive(Debug, Clone)]
pub struct Resource(resource::Resource);

/// The parts of a request that the rules read before the token is attached.
#[derive(Debug, Clone, Copy, Default)]
pub struct Attachment<'a> {
    /// The whole URL.
    pub url: &'a str,
    /// The request's headers, at least those that are [read](Resource::reads).
    pub headers: &'a [(String, String)],
    /// The body, if it is available.
    pub body: Option<&'a [u8]>,
}

impl Resource {
    /// Allows these origins.
    ///
    /// # Errors
    /// `url.*`.
    pub fn new(origins: &[String], transport: Transport) -> Result<Self, Error> {
        let origins = origins.iter().map(String::as_str);
        match transport {
            Transport::Https => resource::Resource::new(origins),
            Transport::LoopbackHttp => danger::loopback_resource(origins),
        }
        .map(Self)
    }

    /// The `oauth_core` value, for callers in Rust such as a native client.
    pub const fn core(&self) -> &resource::Resource {
        &self.0
    }

    /// Checks that the token may be sent with this request, and returns the value of its `Authorization` header.
    ///
    /// # Errors
    /// The errors of [`resource::Resource::authorize`].
    pub fn authorization(
        &self,
        request: &Attachment<'_>,
        token: &Secret<String>,
    ) -> Result<String, Error> {
        // The fragment is never sent.
        let (url, _) = request.url.split_once('#').unwrap_or((request.url, ""));
        let headers = headers(request.headers, Self::field)?;
        let value = self
            .0
            .authorization(&Url::parse(url)?, &headers, request.body, token)?;
        let text = value.to_str().map_err(|_| Misuse::HeaderValue)?;
        Ok(text.to_owned())
    }

    /// Whether [`authorization`](Self::authorization) reads request headers of this name; the others need not be
    /// passed.
    pub fn reads(name: &[u8]) -> bool {
        Self::field(name).is_some()
    }

    pub(crate) fn field(name: &[u8]) -> Option<HeaderName> {
        field_named(name, &resource::READ_BEFORE)
    }

    /// Whether a reply with this status can concern the token. If not, its [`verdict`](Self::verdict) is `pass`
    /// regardless of the headers, so they need not be passed.
    pub fn may_be_about_the_token(status: u16) -> bool {
        StatusCode::from_u16(status).is_ok_and(resource::may_be_about_the_token)
    }

    /// The verdict on a reply: `pass`, `renew`, `widen_scope`, `step_up` or `refused`.
    ///
    /// # Errors
    /// `http.header_value` for an invalid status.
    pub fn verdict(status: u16, fields: &[(String, String)]) -> Result<&'static str, Error> {
        let status = StatusCode::from_u16(status)
            .map_err(|_| Error::from(Misuse::HeaderValue).about("status"))?;
        let fields = fields
            .iter()
            .filter(|(name, _)| name.eq_ignore_ascii_case(WWW_AUTHENTICATE.as_str()))
            .map(|(_, value)| value.as_bytes());
        Ok(match resource::verdict_of_fields(status, fields) {
            Verdict::Renew => "renew",
            Verdict::WidenScope(_) => "widen_scope",
            Verdict::StepUp(_) => "step_up",
            Verdict::Refused => "refused",
            _ => "pass",
        })
    }
}

/// The step-up that an API's reply requires (RFC 9470, RFC 6750 section 3.1), as JSON with the members `acr_values`,
/// `max_age`, `scope` and `claims`; `None` if no other authorization would help.
///
/// # Errors
/// `http.header_value` for an invalid status.
pub fn step_up(status: u16, challenges: &[String]) -> Result<Option<String>, Error> {
    let status = StatusCode::from_u16(status)
        .map_err(|_| Error::from(Misuse::HeaderValue).about("status"))?;
    let fields = challenges.iter().map(|field| field.as_bytes());
    let step_up = resource::step_up(status, fields);
    Ok(step_up.map(|step_up| json::to_text(&step_up)))
}

/// The header fields whose names `lookup` knows.
pub(crate) fn headers<'a>(
    fields: impl IntoIterator<Item = &'a (String, String)>,
    lookup: impl Fn(&[u8]) -> Option<HeaderName>,
) -> Result<HeaderMap, Error> {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        if let Some(key) = lookup(name.as_bytes()) {
            let refused = |_| Error::from(Misuse::HeaderValue).about(&format!("headers: {name}"));
            headers.append(key, HeaderValue::from_str(value).map_err(refused)?);
        }
    }
    Ok(headers)
}
