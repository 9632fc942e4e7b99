//! Connecting to an API that is known only by its URL: finds its authorization server, the client to use there, and
//! the scope to request. The API's metadata is found in `resource_discovery.rs`, the server's in `discovery.rs`.
//!
//! Model Context Protocol, Authorization (2025-11-25, 2026-07-28); RFC 9728 <https://www.rfc-editor.org/rfc/rfc9728>

mod binding;
mod client_choice;
mod extension;
mod recovery;
mod rediscovery;
mod registration;
mod registration_check;
mod resource_override;
mod scope;
mod server_choice;
#[cfg(feature = "sha2")]
mod store_key;
mod stored;
#[cfg(test)]
mod tests;
mod unprotected;

use crate::call::Call;
use crate::certificate::KnownCertificate;
use crate::challenge;
use crate::client_metadata::ID_JAG;
use crate::dpop::DpopKey;
use crate::endpoint::registration::Registration;
use crate::endpoint::resource_probe::{ProbeResult, ResourceProbe};
use crate::error::{Error, Misuse};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Ready};
use crate::flow::discovery::{Discovery, DiscoveryRequest};
use crate::flow::identity_assertion::IdentityAssertionRequest;
use crate::flow::resource_discovery::{ResourceDiscovery, ResourceDiscoveryRequest};
use crate::grant::{IdentitySubject, TokenRequest};
use crate::issuer::Issuer;
use crate::moment::{Moment, UnixTime};
use crate::protected_resource_metadata::{
    ProtectedResourceMetadata, ResourceIdentifier, ResourceMatch,
};
use crate::quirk::Rules;
use crate::redirect_uri::RedirectUri;
use crate::registered_client::RegisteredClient;
use crate::scope::Scope;
use crate::server::{EndpointKind, Server};
use crate::token::Tokens;

pub use client_choice::{
    BoundClient, ClientCandidates, ClientChoice, DynamicRegistration, GrantChoice,
};
pub use extension::Extension;
pub use recovery::Recovery;
pub use rediscovery::{Rediscovery, RediscoveryLimit};
pub use registration_check::RegistrationCheck;
pub use scope::{OfflineAccess, ScopeSource, StepUpBudget};
pub use server_choice::MultipleServersPolicy;

/// The request to connect to an API that the client has not used before, for [`crate::connect_resource`].
#[derive(Debug, Clone)]
pub struct ConnectRequest {
    pub(crate) discovery: ResourceDiscoveryRequest,
    challenged: Option<Scope>,
    granted: Scope,
    grant: GrantChoice,
    clients: ClientCandidates,
    allowed: Option<Vec<Issuer>>,
    on_several_servers: MultipleServersPolicy,
    offline: OfflineAccess,
    rules: Rules,
    challenge: FirstChallenge,
    registration: Option<Registration>,
    login: LoginMethod,
    registered: Option<RegisteredClient>,
    dpop: Option<DpopKey>,
    pub(crate) certificate: Option<KnownCertificate>,
    /// The thumbprint of the certificate that the HTTP client presents.
    pub(crate) presented_certificate: Option<String>,
    resource_value: Option<String>,
}

/// How the user signs in to a client that registers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginMethod {
    /// With the browser of this machine.
    #[default]
    Browser,
    /// With a code on another device if the server supports that (RFC 8628); the client is then registered for it.
    Device,
}

/// The source of the API's challenge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstChallenge {
    /// It is not known whether there is a challenge.
    Unknown,
    /// A request without a token will be sent to the API.
    Ask,
    /// The caller has received it.
    Met,
    /// The API has served a request without a token.
    Served,
}

/// How to get tokens for an API. No token has been requested yet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Connection {
    /// The API's metadata.
    pub resource: ProtectedResourceMetadata,
    /// The server that issues the API's tokens. Requests to it go only to public addresses, unless the caller has named
    /// it.
    pub server: Server,
    /// The client that requests the tokens.
    pub client: ClientChoice,
    /// The client's registration, if it was registered by this connection or an earlier one: store it
    /// ([`Self::to_json`]) before anything else is done with it.
    pub registration: Option<RegisteredClient>,
    /// The grant by which the tokens are requested.
    pub grant: GrantChoice,
    /// The scope to request; `None` if none is known.
    pub scope: Option<Scope>,
    /// The value of `resource` (RFC 8707), if it is not the identifier of the API.
    pub resource_value: Option<String>,
    /// When the metadata of the API and the server was fetched.
    pub found_at: UnixTime,
    /// The names of grants in the store that this connection has replaced, such as those of a server that the API no
    /// longer names: to be removed once there are tokens, see [`Self::replacing`].
    pub replaced_grants: Vec<String>,
}

impl ConnectRequest {
    /// A request to connect to the API at this URL, for a user, by a client that has to be registered first.
    ///
    /// # Errors
    /// `resource.syntax`, `url.insecure`.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self::for_resource(ResourceIdentifier::for_server(url)?))
    }

    pub(crate) fn for_resource(resource: ResourceIdentifier) -> Self {
        let discovery = ResourceDiscoveryRequest::new(resource);
        Self {
            discovery: discovery.matching(ResourceMatch::Parent),
            challenged: None,
            granted: Scope::none(),
            grant: GrantChoice::default(),
            clients: ClientCandidates::default(),
            allowed: None,
            on_several_servers: MultipleServersPolicy::default(),
            offline: OfflineAccess::default(),
            rules: Rules::default(),
            challenge: FirstChallenge::Unknown,
            registration: None,
            login: LoginMethod::default(),
            registered: None,
            dpop: None,
            certificate: None,
            presented_certificate: None,
            resource_value: None,
        }
    }

    /// First asks the API itself, without a token, for its challenge, unless the caller has received one
    /// ([`Self::challenge`]).
    #[must_use]
    pub const fn asking_for_challenge(mut self) -> Self {
        if matches!(self.challenge, FirstChallenge::Unknown) {
            self.challenge = FirstChallenge::Ask;
        }
        self
    }

    /// The API by the URL that the caller gave: the identifier under which a program keeps a connection.
    pub const fn resource(&self) -> &ResourceIdentifier {
        self.discovery.resource()
    }

    /// The grant by which tokens are requested.
    pub const fn chosen_grant(&self) -> GrantChoice {
        self.grant
    }

    /// Registers the client with this metadata if the server knows it by none of its [identities](Self::clients) (RFC
    /// 7591). The client is registered for the scope that will be requested, and for the scope in the metadata, or else
    /// for all that the API lists, so that it may request more later.
    ///
    /// The metadata is sent to the server of any API whose URL is given: leave out private information.
    #[must_use]
    pub fn register(mut self, registration: impl Into<Registration>) -> Self {
        self.registration = Some(registration.into());
        self
    }

    /// Sets how users sign in to a client that registers itself.
    #[must_use]
    pub const fn login_method(mut self, login: LoginMethod) -> Self {
        self.login = login;
        self
    }

    /// Sets where users are sent back to, for a client that registers itself and whose metadata does not say.
    #[must_use]
    pub fn redirect_uri(mut self, uri: RedirectUri) -> Self {
        if let Some(registration) = &mut self.registration
            && registration.metadata.redirect_uris.is_empty()
        {
            registration.metadata.redirect_uris.push(uri);
        }
        self
    }

    /// Uses the client of an earlier registration, if its server is the one that is asked.
    ///
    /// # Errors
    /// `issuer.*` if the issuer of the client's server is not valid for this request.
    pub fn registered(mut self, client: RegisteredClient) -> Result<Self, Error> {
        self.clients.registered.push(BoundClient {
            issuer: Issuer::parse_over(client.issuer(), self.discovery.transport)?,
            client_id: client.client_id.clone(),
        });
        self.registered = Some(client);
        Ok(self)
    }

    /// Uses the API's challenge: `fields` are the values of `WWW-Authenticate`, which may name the URL of its metadata
    /// and the scope that it requires.
    ///
    /// # Errors
    /// `resource_metadata.url`.
    pub fn challenge<'a>(
        mut self,
        fields: impl IntoIterator<Item = &'a [u8]> + Clone,
    ) -> Result<Self, Error> {
        self.discovery = self.discovery.challenge(fields.clone())?;
        let (challenges, _) = challenge::valid_challenges_in(fields);
        let mut scopes = challenges
            .iter()
            .filter_map(|challenge| challenge.param("scope"));
        self.challenged = scopes
            .find_map(|names| Scope::parse(names).ok())
            .filter(|s| !s.is_empty());
        self.challenge = FirstChallenge::Met;
        Ok(self)
    }

    /// Sets the scope that was granted before, which a wider request must include.
    #[must_use]
    pub fn with_granted_scope(mut self, scope: Scope) -> Self {
        self.granted = scope;
        self
    }

    /// Sets the grant.
    #[must_use]
    pub const fn grant(mut self, grant: GrantChoice) -> Self {
        self.grant = grant;
        self
    }

    /// Sets the clients that may be used.
    #[must_use]
    pub fn clients(mut self, clients: ClientCandidates) -> Self {
        self.clients = clients;
        self
    }

    /// Sets the rules for messages from and to the server, such as
    /// [`WithoutResource`](crate::quirk::Quirk::WithoutResource).
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// The rules for messages from and to the server. A connection that was kept has those of the request that found it
    /// ([`Server::rules`]): connect again if they differ.
    pub const fn chosen_rules(&self) -> &Rules {
        &self.rules
    }

    /// Sets whether to request tokens that stay valid without the user; by default, if the server lists
    /// `offline_access`.
    #[must_use]
    pub const fn offline(mut self, offline: OfflineAccess) -> Self {
        self.offline = offline;
        self
    }

    fn server_discovery(&self, resource: &ProtectedResourceMetadata) -> Result<Discovery, Error> {
        let issuer = self.select_server(resource)?;
        let (policy, origin) = (self.address_policy(&issuer), self.resource().url().clone());
        let request = DiscoveryRequest::new(issuer).address_policy(policy);
        let mut request = request.configured_origin(origin).rules(self.rules.clone());
        request.transport = self.discovery.transport;
        Ok(Discovery::new(request))
    }

    fn connection(
        self,
        at: &Moment,
        resource: ProtectedResourceMetadata,
        server: Server,
    ) -> Result<Connection, Error> {
        check_grant(self.grant, &server)?;
        let client = self.clients.choose(self.grant, &server)?;
        let registration = self
            .registered
            .filter(|stored_client| client.is_registration(stored_client, &server));
        let source = ScopeSource {
            granted: &self.granted,
            challenged: self.challenged.as_ref(),
            supported: resource.scopes_supported.as_ref(),
        };
        let scope = match self.offline {
            // The other grants involve no user who could be absent.
            OfflineAccess::WhereListed
                if self.grant == GrantChoice::AuthorizationCode
                    && scope::offers_offline_access(&server, registration.as_ref()) =>
            {
                let offline = Scope::collect(["offline_access"].into_iter());
                Some(source.scope().unwrap_or_default().union(&offline))
            }
            OfflineAccess::WhereListed | OfflineAccess::AsGiven => source.scope(),
        };
        let connection = Connection {
            client,
            registration,
            found_at: at.now(),
            replaced_grants: Vec::new(),
            grant: self.grant,
            resource_value: self.resource_value,
            scope,
            server,
            resource,
        };
        // The client is not registered at a server whose proofs it cannot make.
        connection.check_binding(self.dpop.as_ref())?;
        Ok(connection)
    }
}

/// Fetches the metadata of the API, then that of one of the servers that it names, and determines how to get tokens.
pub(crate) fn connect(
    request: ConnectRequest,
) -> impl Exchange<Output = Connection> + Send + use<> {
    let (registration, login) = (request.registration(), request.login);
    let discovered = challenged(request).then(|_, request| {
        let resource = unprotected::MetadataDiscovery {
            discovery: ResourceDiscovery::new(request.discovery.clone()),
            is_served: request.challenge == FirstChallenge::Served,
        };
        Ok(resource.then(move |_, resource| {
            let discovery = request.server_discovery(&resource)?;
            Ok(discovery.and_then(move |at, server| request.connection(at, resource, server)))
        }))
    });
    discovered.then(move |_, connection| registration::registered(connection, registration, login))
}

/// The request with the challenge of the API, if the API has to be asked for it.
fn challenged(request: ConnectRequest) -> Boxed<ConnectRequest> {
    if request.challenge != FirstChallenge::Ask {
        return Ready::new(request).boxed();
    }
    let config = request.discovery.anonymous_config();
    Ready::new(())
        .then(move |_, ()| {
            let mut request = request;
            let resource = request.resource().url().clone();
            let call = Call::new(config?, ResourceProbe { resource });
            Ok(call.and_then(move |_, probe_result| {
                let fields = match probe_result {
                    ProbeResult::Challenge(fields) => fields,
                    ProbeResult::Nothing => Vec::new(),
                    ProbeResult::Served => {
                        request.challenge = FirstChallenge::Served;
                        return Ok(request);
                    }
                };
                request.challenge(fields.iter().map(Vec::as_slice))
            }))
        })
        .boxed()
}

/// Checks that the server supports this grant.
///
/// # Errors
/// `pkce.unsupported`, `pkce.s256_unsupported`: "If code_challenge_methods_supported is absent, the authorization
/// server does not support PKCE and MCP clients MUST refuse to proceed." `connect.grant_not_supported` if the server
/// accepts no identity assertions. `endpoint.missing` if it issues no tokens: users should not have to sign in to learn
/// this.
fn check_grant(grant: GrantChoice, server: &Server) -> Result<(), Error> {
    server.endpoint(EndpointKind::Token)?;
    match grant {
        GrantChoice::AuthorizationCode => match server.code_challenge_methods() {
            None => Err(Misuse::PkceUnsupported.into()),
            Some(methods) if !methods.iter().any(|method| method == "S256") => {
                Err(Misuse::PkceS256Unsupported.into())
            }
            Some(_) => Ok(()),
        },
        GrantChoice::ClientCredentials => Ok(()),
        GrantChoice::IdentityAssertion => {
            let profiles = server.list("authorization_grant_profiles_supported", &[]);
            if profiles.iter().any(|profile| profile == ID_JAG) {
                Ok(())
            } else {
                Err(Error::from(Misuse::ConnectWay).about(ID_JAG))
            }
        }
    }
}

impl Connection {
    /// The parameters of each token request: the scope, and always the resource (RFC 8707 section 2), so that a token
    /// is valid only there.
    ///
    /// # Errors
    /// `resource.syntax`.
    pub fn token_request(&self) -> Result<TokenRequest, Error> {
        self.requesting(self.scope.clone().unwrap_or_default())
    }

    /// The request to the identity provider at which the user has signed in with `login`, to get tokens for the scope
    /// of the connection and `additional_scope` ([`GrantChoice::IdentityAssertion`]): only for the connection's server.
    ///
    /// # Errors
    /// `identity_assertion.no_id_token`, `resource.syntax`.
    pub fn identity_request(
        &self,
        login: &Tokens,
        additional_scope: &Scope,
    ) -> Result<IdentityAssertionRequest, Error> {
        self.request_for(IdentitySubject::from_login(login)?, additional_scope)
    }

    /// Like [`identity_request`](Self::identity_request), after the sign-in was renewed because its ID token had
    /// expired: the renewal may have returned no new ID token ([`IdentitySubject::from_renewed_login`]).
    ///
    /// # Errors
    /// The errors of [`Self::identity_request`].
    pub fn renewed_identity_request(
        &self,
        login: &Tokens,
        additional_scope: &Scope,
        now: UnixTime,
    ) -> Result<IdentityAssertionRequest, Error> {
        self.request_for(
            IdentitySubject::from_renewed_login(login, now)?,
            additional_scope,
        )
    }

    fn request_for(
        &self,
        subject: IdentitySubject,
        additional_scope: &Scope,
    ) -> Result<IdentityAssertionRequest, Error> {
        let scope = self
            .scope
            .clone()
            .unwrap_or_default()
            .union(additional_scope);
        let issuer = self.server.issuer().as_str();
        IdentityAssertionRequest::new(subject, issuer, self.requesting(scope)?)
    }

    fn requesting(&self, scope: Scope) -> Result<TokenRequest, Error> {
        TokenRequest::from(scope).resource(self.requested_resource())
    }
}
