//! `GET {url}`: a platform service that issues the workload's token, such as GitHub's for Actions (`GET
//! {ACTIONS_ID_TOKEN_REQUEST_URL}&audience=…`) and the metadata services of clouds.
//!
//! GitHub <https://docs.github.com/en/actions/reference/security/oidc>, Google
//! <https://docs.cloud.google.com/compute/docs/instances/verifying-instance-identity>, credential sources of a URL
//! <https://google.aip.dev/auth/4117>

use std::fmt;

use bytes::Bytes;

use super::{MAX_BYTES, TokenFormat, unsent_error};
use crate::error::{Cause, Error, Misuse, ProtocolViolation};
use crate::form::Form;
use crate::header::header_value;
use crate::http::header::{ACCEPT, AUTHORIZATION};
use crate::http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode};
use crate::secret::Secret;
use crate::url::Url;

/// The link-local address of metadata services, reachable from this machine only. Requests to it use plain http,
/// because no certificate exists for it.
const LINK_LOCAL: &str = "169.254.169.254";

/// A service that issues a workload's token. It is called again for each token.
///
/// `Debug` shows neither the query of the URL nor the value of a header.
#[derive(Clone)]
pub struct WorkloadTokenService {
    url: Url,
    audience: Option<String>,
    headers: Vec<(HeaderName, HeaderValue)>,
    format: TokenFormat,
}

impl WorkloadTokenService {
    /// The service at this URL, whose replies consist of only the token.
    ///
    /// # Errors
    /// `url.syntax`; `url.insecure` for plain http, unless it is to this machine, or to the metadata service at
    /// 169.254.169.254.
    pub fn new(url: &str) -> Result<Self, Error> {
        let url = Url::parse(url)?;
        let is_local = url.is_local() || url.host() == LINK_LOCAL;
        if url.scheme() != "https" && !is_local {
            return Err(Error::from(Misuse::InsecureTransport).about(&url.origin()));
        }
        Ok(Self {
            url,
            audience: None,
            headers: Vec::new(),
            format: TokenFormat::Text,
        })
    }

    pub(super) fn origin(&self) -> String {
        self.url.origin()
    }

    /// Sends the audience of the token in a query parameter of this name, such as `audience`.
    #[must_use]
    pub fn audience_parameter(mut self, name: impl Into<String>) -> Self {
        self.audience = Some(name.into());
        self
    }

    /// Sets where the token is in a reply.
    #[must_use]
    pub fn format(mut self, format: TokenFormat) -> Self {
        self.format = format;
        self
    }

    /// Authenticates the request with `Authorization: Bearer …` (RFC 6750 section 2.1).
    ///
    /// # Errors
    /// `http.header_value` if it cannot be a token.
    pub fn bearer(mut self, token: &Secret<String>) -> Result<Self, Error> {
        let value = header_value(format!("Bearer {}", token.expose()))?;
        self.headers.push((AUTHORIZATION, value));
        Ok(self)
    }

    /// Adds this header, which some metadata services require (`Metadata-Flavor: Google`).
    ///
    /// # Errors
    /// `http.header_value` for an invalid header, and for one that belongs to the connection.
    pub fn header(mut self, name: &str, value: &str) -> Result<Self, Error> {
        let refused = || Error::from(Misuse::HeaderValue).about(name);
        let key: HeaderName = name.parse().map_err(|_| refused())?;
        let hop_by_hop = ["host", "connection", "transfer-encoding", "te", "upgrade"];
        let is_content = key.as_str().starts_with("content-");
        if is_content || hop_by_hop.contains(&key.as_str()) {
            return Err(refused());
        }
        self.headers.push((key, header_value(value.to_owned())?));
        Ok(self)
    }

    pub(super) fn request(&self, audience: &str) -> Result<Request<Bytes>, Error> {
        let url = match &self.audience {
            Some(name) => {
                let mut form = Form::new();
                form.push(name, audience);
                self.url.with_query(&form)
            }
            None => self.url.clone(),
        };
        let mut request = Request::new(Bytes::new());
        *request.method_mut() = Method::GET;
        *request.uri_mut() = url.uri()?;
        let accept = match self.format {
            TokenFormat::Text => "*/*",
            TokenFormat::Json(_) => "application/json",
        };
        let headers = request.headers_mut();
        headers.insert(ACCEPT, HeaderValue::from_static(accept));
        for (name, value) in &self.headers {
            headers.insert(name.clone(), value.clone());
        }
        Ok(request)
    }

    pub(super) fn read(&self, reply: &Response<Bytes>) -> Result<Secret<String>, Error> {
        let status = reply.status();
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            let detail = format!("{} answered {}", self.url.origin(), status.as_u16());
            return Err(unsent_error(&Cause::unsent(detail)));
        }
        if status != StatusCode::OK {
            // No other part of the reply is shown, because it may contain the token that authenticated the request.
            let detail = format!("{}, {}", self.url.origin(), status.as_u16());
            return Err(Error::from(Misuse::WorkloadRefused).about(&detail));
        }
        if reply.body().len() > MAX_BYTES {
            return Err(
                Error::from(ProtocolViolation::WorkloadToken).about("the reply is too large")
            );
        }
        let text = std::str::from_utf8(reply.body());
        let text =
            text.map_err(|_| Error::from(ProtocolViolation::WorkloadToken).about("not UTF-8"))?;
        self.format.token_in(Secret::from(text))
    }
}

impl fmt::Debug for WorkloadTokenService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("WorkloadTokenService")
            .field("url", &self.url)
            .field("audience", &self.audience)
            .field("headers", &names)
            .field("format", &self.format)
            .finish()
    }
}
