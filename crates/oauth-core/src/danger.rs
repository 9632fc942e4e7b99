//! All insecure options, in one module, so that a reviewer can search for it. No default requires one.

use crate::client_id_metadata_document::ClientIdUrl;
use crate::endpoint::webfinger::UserIdentifier;
use crate::error::Error;
use crate::exchange::Exchange;
use crate::flow::authorization::{AuthorizationRequest, Pkce};
use crate::flow::discovery::{Discovery, DiscoveryRequest};
use crate::flow::resource::Resource;
use crate::flow::resource_connection::ConnectRequest;
use crate::flow::resource_discovery::ResourceDiscoveryRequest;
use crate::grant::Password;
use crate::issuer::Issuer;
use crate::json::Object;
use crate::protected_resource_metadata::ResourceIdentifier;
use crate::quirk::Rules;
use crate::secret::Secret;
use crate::server::Server;
use crate::url::Transport;

/// Reads an issuer that may be plain `http` on a loopback address, for tests and sidecars.
///
/// # Errors
/// `issuer.*`; the only host name accepted as loopback is `localhost`.
pub fn loopback_issuer(text: &str) -> Result<Issuer, Error> {
    Issuer::parse_over(text, Transport::LoopbackHttp)
}

/// Lets the endpoints that are added to this server from now on be plain `http` on a loopback
/// address.
#[must_use]
pub fn loopback_server(server: Server) -> Server {
    server.with_transport(Transport::LoopbackHttp)
}

/// [`crate::discover`] with rules of the caller's choice, where plain `http` on a loopback address
/// is allowed.
pub fn discover_on_loopback(
    issuer: Issuer,
    rules: Rules,
) -> impl Exchange<Output = Server> + Send + use<> {
    Discovery::new(loopback_discovery(
        DiscoveryRequest::new(issuer).rules(rules),
    ))
}

/// Lets a discovery request plain `http` URLs on a loopback address, for [`crate::discover_with`].
#[must_use]
pub fn loopback_discovery(mut request: DiscoveryRequest) -> DiscoveryRequest {
    request.transport = Transport::LoopbackHttp;
    request
}

/// Reads the identifier of a resource that may be plain `http` on a loopback address, for tests.
///
/// # Errors
/// `resource.syntax`, `url.insecure`.
pub fn loopback_resource_identifier(text: &str) -> Result<ResourceIdentifier, Error> {
    ResourceIdentifier::parse_over(text, Transport::LoopbackHttp)
}

/// Lets a discovery request plain `http` URLs on a loopback address, for [`crate::discover_resource`]. Must be called
/// before a challenge is read.
#[must_use]
pub const fn loopback_resource_discovery(
    mut request: ResourceDiscoveryRequest,
) -> ResourceDiscoveryRequest {
    request.transport = Transport::LoopbackHttp;
    request
}

/// Reads a user identifier whose host may be a loopback address, which is then queried over plain `http`. For tests.
///
/// # Errors
/// `webfinger.identifier`.
pub fn loopback_user_identifier(text: &str) -> Result<UserIdentifier, Error> {
    UserIdentifier::parse_over(text, Transport::LoopbackHttp)
}

/// Reads the URL of a client ID metadata document that may be plain `http` on a loopback address, for tests.
///
/// # Errors
/// `client_id_metadata.url`.
pub fn loopback_client_id_url(text: &str) -> Result<ClientIdUrl, Error> {
    ClientIdUrl::parse_over(text, Transport::LoopbackHttp)
}

/// A request to connect to an API at a plain `http` URL on a loopback address, which may name servers on a loopback
/// address too.
///
/// # Errors
/// `resource.syntax`, `url.insecure`.
pub fn loopback_connect_request(url: &str) -> Result<ConnectRequest, Error> {
    let mut request = ConnectRequest::for_resource(loopback_resource_identifier(url)?.canonical());
    request.discovery.transport = Transport::LoopbackHttp;
    Ok(request)
}

/// [`Server::read`] for a document whose issuer and endpoints may be plain `http` on a loopback
/// address.
///
/// # Errors
/// The errors of [`Server::read`].
pub fn read_loopback_metadata(
    issuer: &Issuer,
    document: &Object<'_>,
    rules: Rules,
) -> Result<Server, Error> {
    Server::read_over(issuer, document, rules, Transport::LoopbackHttp)
}

/// Lets tokens be sent to plain `http` origins on a loopback address.
///
/// # Errors
/// `url.syntax`, `url.insecure`.
pub fn loopback_resource<'a>(
    origins: impl IntoIterator<Item = &'a str>,
) -> Result<Resource, Error> {
    Resource::with_transport(origins, Transport::LoopbackHttp)
}

/// Sends no PKCE challenge. Anyone who steals the code can then redeem it.
#[must_use]
pub fn without_pkce(mut request: AuthorizationRequest) -> AuthorizationRequest {
    request.pkce = Pkce::Off;
    request
}

/// Sends the verifier itself as the challenge (`plain`): anyone who sees the authorization URL can redeem the code.
#[must_use]
pub fn plain_challenge(mut request: AuthorizationRequest) -> AuthorizationRequest {
    request.pkce = Pkce::Plain;
    request
}

/// The password grant: the client sees the user's password, and no second factor works. "MUST NOT be used" (RFC 9700
/// section 2.4); it is here for servers that offer no other grant.
pub fn password(username: impl Into<String>, password: impl Into<Secret<String>>) -> Password {
    Password {
        username: username.into(),
        password: password.into(),
    }
}
