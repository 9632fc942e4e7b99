//! Connecting to an API known by its URL alone: finds its authorization server, the client to use there, and the scope
//! to request.
//!
//! Model Context Protocol, Authorization (2025-11-25, 2026-07-28); RFC 9728 <https://www.rfc-editor.org/rfc/rfc9728>

mod binding;
mod client_choice;
mod extension;
mod recovery;
mod registration;
mod scope;
mod stored;
#[cfg(test)]
mod tests;
mod unprotected;

use crate::address::Reach;
use crate::call::Call;
use crate::challenge;
use crate::client_metadata::ID_JAG;
use crate::dpop::DpopKey;
use crate::endpoint::registration::Registration;
use crate::endpoint::resource_probe::{ProbeResult, ResourceProbe};
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::exchange::{Boxed, Exchange, ExchangeExt as _, Ready};
use crate::flow::discovery::{Discovery, DiscoveryRequest};
use crate::flow::identity_assertion::IdentityAssertionRequest;
use crate::flow::resource_discovery::{ResourceDiscovery, ResourceDiscoveryRequest};
use crate::grant::{IdentitySubject, TokenRequest};
use crate::issuer::Issuer;
#[cfg(feature = "sha2")]
use crate::json;
use crate::moment::{Moment, UnixTime};
use crate::protected_resource::{ProtectedResource, ResourceIdentifier, ResourceMatch};
use crate::quirk::Rules;
use crate::redirect_uri::RedirectUri;
use crate::registered_client::RegisteredClient;
use crate::scope::Scope;
use crate::server::Server;
use crate::token::Tokens;

pub use client_choice::{
    BoundClient, ClientCandidates, ClientChoice, DynamicRegistration, GrantChoice,
};
pub use extension::Extension;
pub use recovery::Recovery;
pub use scope::{ScopeSource, StepUpBudget};

/// The request to connect to an API that the client has not used before, for [`crate::connect_resource`].
#[derive(Debug, Clone)]
pub struct ConnectRequest {
    pub(crate) discovery: ResourceDiscoveryRequest,
    challenged: Option<Scope>,
    granted: Scope,
    grant: GrantChoice,
    clients: ClientCandidates,
    allowed: Option<Vec<Issuer>>,
    offline: OfflineAccess,
    rules: Rules,
    challenge: FirstChallenge,
    registration: Option<Registration>,
    login: LoginBy,
    registered: Option<RegisteredClient>,
    dpop: Option<DpopKey>,
}

/// How a person signs in to a client that registers itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LoginBy {
    /// With the browser of this machine.
    #[default]
    Browser,
    /// With a code on another device where the server has that (RFC 8628), for which the client is registered then.
    Device,
}

/// Where the challenge of the API comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum FirstChallenge {
    /// It is not known whether there was one.
    Unknown,
    /// The API is asked, without a token.
    Ask,
    /// The caller has met it.
    Met,
    /// The API was asked, and answers without a token.
    Served,
}

/// Whether tokens are wanted that last without the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OfflineAccess {
    /// Whatever the server gives by itself.
    #[default]
    AsGiven,
    /// `offline_access` is asked for where the server lists it.
    WhereListed,
}

/// How to get tokens for an API. No token has been requested yet.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Connection {
    /// What the API says about itself.
    pub resource: ProtectedResource,
    /// The server that issues its tokens. Requests to it go to public addresses alone, unless the caller has named it.
    pub server: Server,
    /// Which client asks for them.
    pub client: ClientChoice,
    /// What that client is registered with, if it was registered by this connection or an earlier one: store it
    /// ([`Self::to_json`]) before anything else is done with it.
    pub registration: Option<RegisteredClient>,
    /// By which grant.
    pub grant: GrantChoice,
    /// The scope to ask for; nothing where nobody has said.
    pub scope: Option<Scope>,
    /// When the API and the server were asked about themselves.
    pub found_at: UnixTime,
}

impl ConnectRequest {
    /// To the API at this URL, for a person, by a client that has to be registered first.
    ///
    /// # Errors
    /// `resource.syntax`, `url.insecure`.
    pub fn new(url: &str) -> Result<Self, Error> {
        Ok(Self::to(ResourceIdentifier::of_server(url)?))
    }

    pub(crate) fn to(resource: ResourceIdentifier) -> Self {
        let discovery = ResourceDiscoveryRequest::new(resource);
        Self {
            discovery: discovery.matching(ResourceMatch::Parent),
            challenged: None,
            granted: Scope::none(),
            grant: GrantChoice::default(),
            clients: ClientCandidates::default(),
            allowed: None,
            offline: OfflineAccess::default(),
            rules: Rules::default(),
            challenge: FirstChallenge::Unknown,
            registration: None,
            login: LoginBy::default(),
            registered: None,
            dpop: None,
        }
    }

    /// Asks the API itself first, without a token, for the challenge with which it answers strangers, unless the caller
    /// has met it ([`Self::challenge`]).
    #[must_use]
    pub const fn asking_for_challenge(mut self) -> Self {
        if matches!(self.challenge, FirstChallenge::Unknown) {
            self.challenge = FirstChallenge::Ask;
        }
        self
    }

    /// The API, as its URL was given: what a program keeps a connection by.
    pub const fn resource(&self) -> &ResourceIdentifier {
        self.discovery.resource()
    }

    /// A name for a store: 43 characters of base64url, the same in every process and language, for this API and way
    /// and this person.
    #[cfg(feature = "sha2")]
    pub fn key(&self, person: &str) -> String {
        let grant = json::to_text(&self.grant);
        let facts = [
            "oauth-core connection 1",
            self.resource().as_str(),
            &grant,
            person,
        ];
        crate::base64::hashed(facts)
    }

    /// By which grant tokens are asked for.
    pub const fn chosen_grant(&self) -> GrantChoice {
        self.grant
    }

    /// Registers the client by these metadata where the server knows it by none of its [identities](Self::clients)
    /// (RFC 7591). It is registered for the scope that will be asked for, and for what they name, or else for all that the
    /// API lists, so that it may ask for more later.
    ///
    /// The server of an API that anybody has named is sent these metadata: leave out what is nobody's business.
    #[must_use]
    pub fn register(mut self, registration: impl Into<Registration>) -> Self {
        self.registration = Some(registration.into());
        self
    }

    /// How people sign in to a client that registers itself.
    #[must_use]
    pub const fn login_by(mut self, login: LoginBy) -> Self {
        self.login = login;
        self
    }

    /// Where people are sent back to, for a client that registers itself and whose metadata do not say.
    #[must_use]
    pub fn redirect_uri(mut self, uri: RedirectUri) -> Self {
        if let Some(registration) = &mut self.registration
            && registration.metadata.redirect_uris.is_empty()
        {
            registration.metadata.redirect_uris.push(uri);
        }
        self
    }

    /// As the client of an earlier registration, if its server is the one that is asked.
    ///
    /// # Errors
    /// `issuer.*` for one of a server that no such request asks.
    pub fn registered(mut self, client: RegisteredClient) -> Result<Self, Error> {
        self.clients.registered.push(BoundClient {
            issuer: Issuer::parse_over(client.issuer(), self.discovery.transport)?,
            client_id: client.client_id.clone(),
        });
        self.registered = Some(client);
        Ok(self)
    }

    /// Goes by what the API has answered: `fields` are the values of `WWW-Authenticate`, which may say where its
    /// metadata are and which scope it wants.
    ///
    /// # Errors
    /// `resource_metadata.url`.
    pub fn challenge<'a>(
        mut self,
        fields: impl IntoIterator<Item = &'a [u8]> + Clone,
    ) -> Result<Self, Error> {
        self.discovery = self.discovery.challenge(fields.clone())?;
        let (challenges, _) = challenge::readable_fields(fields);
        let mut scopes = challenges
            .iter()
            .filter_map(|challenge| challenge.param("scope"));
        self.challenged = scopes
            .find_map(|names| Scope::parse(names).ok())
            .filter(|s| !s.is_empty());
        self.challenge = FirstChallenge::Met;
        Ok(self)
    }

    /// Beside what was granted before, which a wider request must not lose.
    #[must_use]
    pub fn granted(mut self, scope: Scope) -> Self {
        self.granted = scope;
        self
    }

    /// By this grant.
    #[must_use]
    pub const fn grant(mut self, grant: GrantChoice) -> Self {
        self.grant = grant;
        self
    }

    /// As one of these clients.
    #[must_use]
    pub fn clients(mut self, clients: ClientCandidates) -> Self {
        self.clients = clients;
        self
    }

    /// From these authorization servers alone, whichever others the API names (RFC 9728 section 7.6).
    #[must_use]
    pub fn allow(mut self, issuers: impl IntoIterator<Item = Issuer>) -> Self {
        self.allowed = Some(issuers.into_iter().collect());
        self
    }

    /// By these rules for what the server says and is sent, such as
    /// [`WithoutResource`](crate::quirk::Quirk::WithoutResource).
    #[must_use]
    pub fn rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// For tokens that last so long.
    #[must_use]
    pub const fn offline(mut self, offline: OfflineAccess) -> Self {
        self.offline = offline;
        self
    }

    /// Which of the servers that the API names is asked: the one that a client is known at, or else the first that
    /// is allowed.
    ///
    /// # Errors
    /// `connect.issuer` if the client was registered by hand at another one: its credentials are not tried elsewhere.
    /// `connect.server_not_allowed`, `resource_metadata.no_authorization_server`.
    fn server_of(&self, resource: &ProtectedResource) -> Result<Issuer, Error> {
        let named = &resource.authorization_servers;
        if named.is_empty() {
            return Err(ProtocolViolation::ResourceMetadataNoServer.into());
        }
        let is_allowed = |issuer: &&Issuer| {
            let allowed = self.allowed.as_ref();
            allowed.is_none_or(|allowed| allowed.contains(issuer))
        };
        let mut candidates = named.iter().filter(is_allowed);
        let list = || {
            named
                .iter()
                .map(Issuer::as_str)
                .collect::<Vec<_>>()
                .join(" ")
        };
        let chosen = match &self.clients.preregistered {
            Some(client) => candidates
                .find(|issuer| **issuer == client.issuer)
                .ok_or_else(|| {
                    let both =
                        format!("it is known at {}, the API names {}", client.issuer, list());
                    Error::from(ValidationFailure::ConnectIssuer).about(&both)
                }),
            None => {
                let candidates: Vec<_> = candidates.collect();
                let known = candidates
                    .iter()
                    .find(|issuer| self.clients.is_known_at(issuer));
                let chosen = known.or(candidates.first()).copied();
                chosen.ok_or_else(|| Error::from(Misuse::ConnectServer).about(&list()))
            }
        };
        chosen.cloned()
    }

    /// Whether the caller named the server, by a list or a registration, or only the API did.
    fn reach(&self, issuer: &Issuer) -> Reach {
        let allowed = self.allowed.iter().flatten();
        let client = self.clients.preregistered.iter();
        let mut named = allowed.chain(client.map(|client| &client.issuer));
        match named.any(|named| named == issuer) {
            true => Reach::Any,
            false => Reach::Public,
        }
    }

    fn discovery_of(&self, resource: &ProtectedResource) -> Result<Discovery, Error> {
        let issuer = self.server_of(resource)?;
        let reach = self.reach(&issuer);
        let request = DiscoveryRequest::new(issuer).reach(reach);
        let request = request.own_origin(self.resource().url().clone());
        let mut request = request.rules(self.rules.clone());
        request.transport = self.discovery.transport;
        Ok(Discovery::new(request))
    }

    fn connection(
        self,
        at: &Moment,
        resource: ProtectedResource,
        server: Server,
    ) -> Result<Connection, Error> {
        check_grant(self.grant, &server)?;
        let client = self.clients.choose(self.grant, &server)?;
        let registration = self.registered.filter(|known| client.is(known, &server));
        let source = ScopeSource {
            granted: &self.granted,
            challenged: self.challenged.as_ref(),
            supported: resource.scopes_supported.as_ref(),
        };
        let scope = source.scope();
        let scope = match self.offline {
            // Of the other ways none has a person whose absence it would outlast.
            OfflineAccess::WhereListed
                if self.grant == GrantChoice::AuthorizationCode
                    && lists_offline_access(&server) =>
            {
                let offline = Scope::collect(["offline_access"].into_iter());
                Some(scope.unwrap_or_default().union(&offline))
            }
            OfflineAccess::WhereListed | OfflineAccess::AsGiven => scope,
        };
        let connection = Connection {
            client,
            registration,
            found_at: at.now(),
            grant: self.grant,
            scope,
            server,
            resource,
        };
        // A server whose proofs we cannot make is not told of the client.
        connection.check_binding(self.dpop.as_ref())?;
        Ok(connection)
    }
}

/// Asks the API about itself, then one of the servers that it names, and says how tokens are to be had.
pub(crate) fn connect(
    request: ConnectRequest,
) -> impl Exchange<Output = Connection> + Send + use<> {
    let (registration, login) = (request.registration(), request.login);
    let found = challenged(request).then(|_, request| {
        let resource = unprotected::Described {
            discovery: ResourceDiscovery::new(request.discovery.clone()),
            is_served: request.challenge == FirstChallenge::Served,
        };
        Ok(resource.then(move |_, resource| {
            let discovery = request.discovery_of(&resource)?;
            Ok(discovery.and_then(move |at, server| request.connection(at, resource, server)))
        }))
    });
    found.then(move |_, connection| registration::registered(connection, registration, login))
}

/// The request with the challenge of the API, if that is to be asked for.
fn challenged(request: ConnectRequest) -> Boxed<ConnectRequest> {
    if request.challenge != FirstChallenge::Ask {
        return Ready::new(request).boxed();
    }
    let asked = request.discovery.stranger();
    Ready::new(())
        .then(move |_, ()| {
            let mut request = request;
            let resource = request.resource().url().clone();
            let call = Call::new(asked?, ResourceProbe { resource });
            Ok(call.and_then(move |_, answered| {
                let fields = match answered {
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

/// Whether the server can be asked in this way.
///
/// # Errors
/// `pkce.unsupported`, `pkce.s256_unsupported`: "If code_challenge_methods_supported is absent, the authorization server
/// does not support PKCE and MCP clients MUST refuse to proceed." `connect.way` if the server takes no identity
/// assertions.
fn check_grant(grant: GrantChoice, server: &Server) -> Result<(), Error> {
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
            match profiles.iter().any(|profile| profile == ID_JAG) {
                true => Ok(()),
                false => Err(Error::from(Misuse::ConnectWay).about(ID_JAG)),
            }
        }
    }
}

fn lists_offline_access(server: &Server) -> bool {
    let listed = server.list("scopes_supported", &[]);
    listed.iter().any(|name| name == "offline_access")
}

impl Connection {
    /// What to ask for with each request for tokens: the scope, and always the resource (RFC 8707 section 2), so that
    /// a token is good for nobody else.
    ///
    /// # Errors
    /// `resource.syntax`.
    pub fn token_request(&self) -> Result<TokenRequest, Error> {
        self.requesting(self.scope.clone().unwrap_or_default())
    }

    /// What to ask the identity provider for, at which the person has signed in with `login`, to get tokens for the
    /// scope of the connection and `more` ([`GrantChoice::IdentityAssertion`]): for its server and no other.
    ///
    /// # Errors
    /// `identity_assertion.no_id_token`, `resource.syntax`.
    pub fn identity_request(
        &self,
        login: &Tokens,
        more: &Scope,
    ) -> Result<IdentityAssertionRequest, Error> {
        let subject = IdentitySubject::of_login(login)?;
        let scope = self.scope.clone().unwrap_or_default().union(more);
        let issuer = self.server.issuer().as_str();
        IdentityAssertionRequest::new(subject, issuer, self.requesting(scope)?)
    }

    fn requesting(&self, scope: Scope) -> Result<TokenRequest, Error> {
        TokenRequest::from(scope).resource(self.resource.resource.as_str())
    }
}
