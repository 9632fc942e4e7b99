//! Discovery of protected resource metadata: at the URL in its challenge, or else at its well-known URLs. `resource` is
//! compared with the requested one (section 3.3) in `protected_resource_metadata.rs`, which also builds the URLs.
//!
//! RFC 9728 <https://www.rfc-editor.org/rfc/rfc9728#section-3.1>; the second URL is that of the Model Context Protocol.

mod signed;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::fmt;
use std::sync::Arc;

use crate::address::RequestAddressPolicy;
use crate::call::Call;
use crate::challenge;
use crate::client_config::ClientConfig;
use crate::endpoint::Endpoint as _;
use crate::endpoint::protected_resource_metadata::ResourceMetadata;
use crate::error::{Error, Kind, Misuse, ProtocolViolation, ValidationFailure};
use crate::exchange::{Exchange, Input, Step};
use crate::issuer::Issuer;
use crate::jose::KeySet;
use crate::json::{Map, Value};
use crate::moment::Moment;
use crate::protected_resource_metadata::{
    ProtectedResourceMetadata, ResourceIdentifier, ResourceMatch,
};
use crate::server::Server;
use crate::url::{Transport, Url};

use signed::{AcceptedDocument, Signed};

/// How to find the metadata of a resource, for [`crate::discover_resource`].
#[derive(Debug, Clone)]
pub struct ResourceDiscoveryRequest {
    resource: ResourceIdentifier,
    challenged: Option<Url>,
    matching: ResourceMatch,
    trusted: Vec<(String, Arc<KeySet>)>,
    pub(crate) transport: Transport,
}

impl ResourceDiscoveryRequest {
    /// Asks at the URL that is built from the identifier of the resource (RFC 9728 section 3.1).
    pub fn new(resource: ResourceIdentifier) -> Self {
        Self {
            resource,
            challenged: None,
            matching: ResourceMatch::Identical,
            trusted: Vec::new(),
            transport: Transport::Https,
        }
    }

    /// If a challenge of the resource names the URL of its metadata, asks only there (section 5.1): `fields` are the
    /// values of `WWW-Authenticate`, in which any challenge may have the parameter `resource_metadata`.
    ///
    /// The resource chooses this URL in its response: it must be on the resource's own origin, which the caller named,
    /// and so leads to a host to which the caller already sends requests, even if that is this machine or a private
    /// network.
    ///
    /// # Errors
    /// `resource_metadata.url`.
    pub fn challenge<'a>(
        mut self,
        fields: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, Error> {
        let (challenges, _) = challenge::valid_challenges_in(fields);
        let mut challenges = challenges.iter();
        let Some(text) = challenges.find_map(|challenge| challenge.param("resource_metadata"))
        else {
            return Ok(self);
        };
        let refused = || Error::from(ValidationFailure::ResourceMetadataUrl).about(text);
        let url = Url::parse(text).map_err(|_| refused())?;
        let is_allowed =
            url.require(self.transport).is_ok() && url.same_origin(self.resource.url());
        if !is_allowed {
            return Err(refused());
        }
        self.challenged = Some(url);
        Ok(self)
    }

    /// Sets which resource the document may be about. With [`ResourceMatch::Parent`] the URL of the whole origin is
    /// tried as well, if there is nothing at the resource's own.
    #[must_use]
    pub const fn matching(mut self, matching: ResourceMatch) -> Self {
        self.matching = matching;
        self
    }

    /// Trusts what this issuer has signed with these keys (section 2.2): the values of a valid `signed_metadata` take
    /// precedence over the unsigned ones. Any other is ignored, as is every one without this.
    #[must_use]
    pub fn trust(mut self, issuer: impl Into<String>, keys: KeySet) -> Self {
        self.trusted.push((issuer.into(), Arc::new(keys)));
        self
    }

    fn candidate_urls(&self) -> VecDeque<Url> {
        if let Some(url) = &self.challenged {
            return VecDeque::from([url.clone()]);
        }
        let own_url = self.resource.well_known();
        let root = self.resource.root().well_known();
        match self.matching {
            ResourceMatch::Parent if root != own_url => VecDeque::from([own_url, root]),
            ResourceMatch::Parent | ResourceMatch::Identical => VecDeque::from([own_url]),
        }
    }

    pub(crate) const fn resource(&self) -> &ResourceIdentifier {
        &self.resource
    }

    /// A configuration with the resource in place of an authorization server: only the address that is asked is used,
    /// which is on the origin that the caller has named.
    pub(crate) fn anonymous_config(&self) -> Result<Arc<ClientConfig>, Error> {
        let url = self.resource.url();
        let origin = Issuer::parse_over(&url.origin(), self.transport)?;
        let server = Server::new(origin).with_transport(self.transport);
        let server = server.with_address_policy(RequestAddressPolicy::PublicOnly);
        let server = server.with_configured_origin(Some(url.clone()));
        Ok(Arc::new(ClientConfig::anonymous(server)))
    }
}

/// Requests the metadata of a resource from one URL after another.
pub struct ResourceDiscovery {
    request: ResourceDiscoveryRequest,
    places: VecDeque<Url>,
    /// The first error that says more than that nothing is there.
    error: Option<Error>,
    state: State,
}

enum State {
    Fresh,
    Asking(Arc<ClientConfig>, Box<Call<ResourceMetadata>>),
    Verifying(Box<Signed>),
    Over,
}

impl ResourceDiscovery {
    pub(crate) fn new(request: ResourceDiscoveryRequest) -> Self {
        let places = request.candidate_urls();
        Self {
            request,
            places,
            error: None,
            state: State::Fresh,
        }
    }

    fn fetch_next(
        &mut self,
        at: &Moment,
        config: Arc<ClientConfig>,
    ) -> Result<Step<ProtectedResourceMetadata>, Error> {
        let Some(url) = self.places.pop_front() else {
            return Err(self.error.take().unwrap_or_else(|| Misuse::Over.into()));
        };
        let call = Box::new(Call::new(Arc::clone(&config), ResourceMetadata { url }));
        self.resume_fetch(at, config, call, Input::Begin)
    }

    fn resume_fetch(
        &mut self,
        at: &Moment,
        config: Arc<ClientConfig>,
        mut call: Box<Call<ResourceMetadata>>,
        input: Input,
    ) -> Result<Step<ProtectedResourceMetadata>, Error> {
        match call.resume(at, input) {
            Ok(Step::Done(document)) => self.process_document(at, document),
            Ok(Step::Send(request)) => {
                self.state = State::Asking(config, call);
                Ok(Step::Send(request))
            }
            // A document is fetched without pauses, signatures or verification.
            Ok(Step::Sleep(_) | Step::Sign(_) | Step::Verify(_)) => Err(Misuse::OutOfOrder.into()),
            Err(error) if should_try_next_url(&error) => {
                if self.error.is_none() || matches!(error.kind(), Kind::Malformed(_)) {
                    self.error = Some(error);
                }
                self.fetch_next(at, config)
            }
            Err(error) => Err(error),
        }
    }

    /// A document was found: a trusted signature in it is looked for first.
    fn process_document(
        &mut self,
        at: &Moment,
        document: Map<String, Value>,
    ) -> Result<Step<ProtectedResourceMetadata>, Error> {
        match Signed::new(document, &self.request.trusted, at.now()) {
            Ok(signed) => self.verify(signed),
            Err(document) => self.read(document, None),
        }
    }

    fn verify(
        &mut self,
        mut signed: Box<Signed>,
    ) -> Result<Step<ProtectedResourceMetadata>, Error> {
        match signed.next_job() {
            Some(job) => {
                self.state = State::Verifying(signed);
                Ok(Step::Verify(job))
            }
            None => self.read(signed.unsigned_document(), None),
        }
    }

    fn read(
        &self,
        document: Map<String, Value>,
        signed_by: Option<String>,
    ) -> Result<Step<ProtectedResourceMetadata>, Error> {
        let ResourceDiscoveryRequest {
            resource,
            matching,
            transport,
            ..
        } = &self.request;
        let read = ProtectedResourceMetadata::read_over(resource, document, *matching, *transport);
        let read = read.map_err(|error| error.at_endpoint(ResourceMetadata::NAME))?;
        Ok(Step::Done(ProtectedResourceMetadata { signed_by, ..read }))
    }
}

/// A page that is missing, or is not a metadata document, says little about the next URL. A redirect, a failing server,
/// a document about another resource and a lost reply end the search.
fn should_try_next_url(error: &Error) -> bool {
    match error.kind() {
        Kind::Denied(server) => {
            let status = server.status().unwrap_or_default();
            (400..500).contains(&status) && !matches!(status, 408 | 429)
        }
        Kind::Malformed(violation) => matches!(
            violation,
            ProtocolViolation::ReplyContentType | ProtocolViolation::ReplyJson
        ),
        _ => false,
    }
}

impl Exchange for ResourceDiscovery {
    type Output = ProtectedResourceMetadata;

    fn resume(
        &mut self,
        at: &Moment,
        input: Input,
    ) -> Result<Step<ProtectedResourceMetadata>, Error> {
        match (std::mem::replace(&mut self.state, State::Over), input) {
            (State::Fresh, Input::Begin) => {
                let config = self.request.anonymous_config()?;
                self.fetch_next(at, config)
            }
            (State::Asking(config, call), input) => self.resume_fetch(at, config, call, input),
            (State::Verifying(signed), Input::Verified(true)) => {
                let AcceptedDocument { document, issuer } = signed.verified_document();
                self.read(document, Some(issuer))
            }
            (State::Verifying(signed), Input::Verified(false)) => self.verify(signed),
            (State::Verifying(_), Input::Lost(cause)) => Err(Error::lost(cause)),
            (State::Over, _) => Err(Misuse::Over.into()),
            _ => Err(Misuse::OutOfOrder.into()),
        }
    }
}

impl fmt::Debug for ResourceDiscovery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResourceDiscovery")
            .field("resource", &self.request.resource)
            .finish_non_exhaustive()
    }
}
