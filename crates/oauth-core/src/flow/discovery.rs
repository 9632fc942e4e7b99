//! Discovery of a server's metadata from its issuer (RFC 8414, OpenID Connect Discovery).
//!
//! RFC 8414 section 3.1 inserts the well-known part before the issuer's path, OpenID Connect
//! Discovery appends it: each URL is tried in turn until one has the document. The URLs are built in `endpoint/metadata.rs`;
//! the `issuer` in the document is compared with the expected one in `server.rs`.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use crate::address::RequestAddressPolicy;
use crate::browser_build::IS_BROWSER_BUILD;
use crate::call::Call;
use crate::client_config::ClientConfig;
use crate::endpoint::metadata::{Metadata, WellKnown};
use crate::error::{Error, Kind, ValidationFailure};
use crate::exchange::{Exchange, Input, Step};
use crate::issuer::Issuer;
use crate::moment::Moment;
use crate::quirk::Rules;
use crate::scope::Scope;
use crate::server::Server;
use crate::url::{Transport, Url};

/// Which of a server's documents is preferred if it publishes both.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PreferredDocument {
    /// The document of RFC 8414; that of OpenID Connect if there is none.
    #[default]
    OAuth,
    /// The document of OpenID Connect Discovery, the only one that names the userinfo endpoint and other OpenID endpoints; that of RFC
    /// 8414 if there is none.
    OpenId,
}

impl PreferredDocument {
    /// The value with this name: `oauth` or `openid`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "oauth" => Some(Self::OAuth),
            "openid" => Some(Self::OpenId),
            _ => None,
        }
    }
}

/// How to find a server's metadata, for [`crate::discover_with`].
#[derive(Debug, Clone)]
pub struct DiscoveryRequest {
    issuer: Issuer,
    rules: Rules,
    prefer: PreferredDocument,
    document: Option<Url>,
    address_policy: RequestAddressPolicy,
    configured_origin: Option<Url>,
    pub(crate) transport: Transport,
}

impl DiscoveryRequest {
    /// Tries the well-known URLs of `issuer`, that of RFC 8414 first.
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            rules: Rules::default(),
            prefer: PreferredDocument::default(),
            document: None,
            address_policy: RequestAddressPolicy::Any,
            configured_origin: None,
            transport: Transport::Https,
        }
    }

    /// Reads the document, and later the server's replies, by these rules.
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Tries this kind of document first.
    #[must_use]
    pub const fn prefer(mut self, prefer: PreferredDocument) -> Self {
        self.prefer = prefer;
        self
    }

    /// Prefers the document of OpenID Connect if the `scope` that will be requested contains `openid`.
    #[must_use]
    pub fn scope(self, scope: &Scope) -> Self {
        if scope.contains("openid") {
            self.prefer(PreferredDocument::OpenId)
        } else {
            self
        }
    }

    /// Requests only this URL, for servers whose document is elsewhere. The document must still name the given issuer.
    #[must_use]
    pub fn document(mut self, url: Url) -> Self {
        self.document = Some(url);
        self
    }

    /// Sends these requests, and later all those to the server, only to such addresses. Choose public ones if someone
    /// other than the caller named the issuer.
    #[must_use]
    pub const fn address_policy(mut self, address_policy: RequestAddressPolicy) -> Self {
        self.address_policy = address_policy;
        self
    }

    /// Exempts the origin of this URL, which the caller named, from [`Self::address_policy`].
    #[must_use]
    pub fn configured_origin(mut self, url: Url) -> Self {
        self.configured_origin = Some(url);
        self
    }

    fn candidate_urls(&self) -> VecDeque<Url> {
        if let Some(url) = &self.document {
            return VecDeque::from([url.clone()]);
        }
        let order = match self.prefer {
            PreferredDocument::OAuth => [
                WellKnown::AuthorizationServer,
                WellKnown::OpenIdInserted,
                WellKnown::OpenIdAppended,
                WellKnown::AuthorizationServerAppended,
            ],
            PreferredDocument::OpenId => [
                WellKnown::OpenIdAppended,
                WellKnown::OpenIdInserted,
                WellKnown::AuthorizationServer,
                WellKnown::AuthorizationServerAppended,
            ],
        };
        let mut urls = VecDeque::with_capacity(order.len());
        for kind in order {
            let url = self.issuer.well_known(kind);
            // For an issuer without a path, several URLs are the same.
            if !urls.contains(&url) {
                urls.push_back(url);
            }
        }
        urls
    }
}

/// Requests a server's metadata from one URL after another.
#[derive(Debug)]
pub struct Discovery {
    config: Arc<ClientConfig>,
    urls: VecDeque<Url>,
    call: Call<Metadata>,
    /// The number of URLs, if none of them has the document.
    count: usize,
    /// The most informative of the errors so far.
    error: Option<Error>,
}

impl Discovery {
    pub(crate) fn new(request: DiscoveryRequest) -> Self {
        let mut urls = request.candidate_urls();
        let count = urls.len();
        let url = urls
            .pop_front()
            .unwrap_or_else(|| request.issuer.url().clone());
        let server = Server::new(request.issuer)
            .with_rules(request.rules)
            .with_transport(request.transport)
            .with_address_policy(request.address_policy)
            .with_configured_origin(request.configured_origin);
        let config = Arc::new(ClientConfig::anonymous(server));
        let call = Self::fetch(&config, url);
        Self {
            config,
            urls,
            call,
            count,
            error: None,
        }
    }

    /// Says that the error, which names one URL, is about all of them: a server without any document is none, or has
    /// another issuer.
    fn with_places(&self, error: Error) -> Error {
        let is_about_all = informativeness(&error) == 0 && self.count > 1;
        if IS_BROWSER_BUILD || !is_about_all {
            return error;
        }
        error.about(&format!(
            "nor is there a document at the other places of this issuer ({} URLs: oauth-authorization-server and openid-configuration below /.well-known, before and after its path)",
            self.count
        ))
    }

    fn fetch(config: &Arc<ClientConfig>, url: Url) -> Call<Metadata> {
        Call::new(
            Arc::clone(config),
            Metadata::new(config.server.issuer().clone(), url),
        )
    }
}

impl Exchange for Discovery {
    type Output = Server;

    fn resume(&mut self, at: &Moment, input: Input) -> Result<Step<Server>, Error> {
        let error = match self.call.resume(at, input) {
            Err(error) if should_try_next_url(&error) => error,
            other => return other,
        };
        let error = match self.error.take() {
            Some(earlier) if informativeness(&earlier) >= informativeness(&error) => earlier,
            _ => error,
        };
        match self.urls.pop_front() {
            None => Err(self.with_places(error)),
            Some(url) => {
                self.error = Some(error);
                self.call = Self::fetch(&self.config, url);
                self.call.resume(at, Input::Begin)
            }
        }
    }
}

/// A page that is missing, fails, or is something else says little about the next URL: gateways respond for paths that
/// they do not route, and hosts of many issuers have one document at the root. A server that asks for a pause, and a
/// lost reply, end the search.
fn should_try_next_url(error: &Error) -> bool {
    match error.kind() {
        Kind::Denied(server) => !matches!(server.status(), None | Some(408 | 429)),
        Kind::Malformed(_) => true,
        Kind::Untrusted(check) => *check == ValidationFailure::MetadataIssuer,
        _ => false,
    }
}

/// How informative an error is about why there is no document: most for a document that was found but is invalid, least
/// for a missing one.
fn informativeness(error: &Error) -> u8 {
    match error.kind() {
        Kind::Untrusted(_) => 4,
        Kind::Malformed(_) if error.code().starts_with("metadata.") => 3,
        Kind::Denied(server) if server.status().is_some_and(|status| status >= 500) => 2,
        Kind::Malformed(_) => 1,
        _ => 0,
    }
}
