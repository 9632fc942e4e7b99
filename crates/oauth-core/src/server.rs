//! [`Server`]: an authorization server and its metadata (RFC 8414, OpenID Connect Discovery). The metadata is fetched
//! in `flow/discovery.rs`; that of a client is in `client_metadata.rs`.

mod assertions;
mod refresh_token_expiration;
#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use refresh_token_expiration::RefreshTokenExpiration;

use crate::address::RequestAddressPolicy;
#[cfg(not(all(feature = "js", target_family = "wasm")))]
use crate::assertion::AssertionRequirements;
use crate::error::{Error, Misuse, ProtocolViolation, ValidationFailure};
use crate::extension_grant::ExtensionGrantDefinition;
use crate::issuer::Issuer;
use crate::json::{Json, Map, Object, Value};
use crate::quirk::{Quirk, Rules, Strictness};
use crate::self_renewal::SelfRenewal;
use crate::url::{Flaw, Transport, Url};

/// The grant of logins on another device (RFC 8628 section 3.4).
pub(crate) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

macro_rules! endpoints {
    ($($variant:ident $member:literal $text:literal)*) => {
        /// The endpoints that a server may have.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum EndpointKind { $(#[doc = $text] $variant),* }

        impl EndpointKind {
            /// Every endpoint that this crate knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The endpoint's member in a metadata document.
            pub const fn member(self) -> &'static str {
                match self { $(Self::$variant => $member),* }
            }
        }
    };
}

endpoints! {
    Authorization "authorization_endpoint" "RFC 6749 section 3.1; opened in a browser, never called."
    Token "token_endpoint" "RFC 6749 section 3.2."
    Revocation "revocation_endpoint" "RFC 7009."
    Introspection "introspection_endpoint" "RFC 7662."
    Jwks "jwks_uri" "The server's public keys (RFC 7517)."
    Userinfo "userinfo_endpoint" "OpenID Connect Core section 5.3."
    Registration "registration_endpoint" "RFC 7591."
    EndSession "end_session_endpoint" "OpenID Connect RP-Initiated Logout."
    DeviceAuthorization "device_authorization_endpoint" "RFC 8628."
    PushedAuthorizationRequest "pushed_authorization_request_endpoint" "RFC 9126."
    BackchannelAuthentication "backchannel_authentication_endpoint" "CIBA."
}

/// The endpoints of a server. An invalid endpoint is kept with its error, so that the rest of the document can still be
/// used.
type Endpoints = Vec<(EndpointKind, Result<Url, Error>)>;

/// An authorization server: its issuer, its endpoints, and the rules by which its messages are read.
#[derive(Debug, Clone)]
pub struct Server {
    issuer: Issuer,
    transport: Transport,
    address_policy: RequestAddressPolicy,
    configured_origin: Option<Url>,
    rules: Rules,
    #[cfg(feature = "renewals")]
    renewals: Vec<SelfRenewal>,
    extension_grants: Vec<Arc<ExtensionGrantDefinition>>,
    /// A page signs no assertions.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    assertion_requirements: Option<Arc<AssertionRequirements>>,
    endpoints: Endpoints,
    mtls_aliases: Endpoints,
    metadata: Map<String, Value>,
    ignored: Vec<String>,
    origin: Origin,
}

/// The source of the endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    Caller,
    /// The server's own document.
    Metadata,
}

impl Server {
    /// A server configured by hand, without endpoints yet. Prefer [`crate::discover`].
    pub fn new(issuer: Issuer) -> Self {
        Self {
            issuer,
            transport: Transport::Https,
            address_policy: RequestAddressPolicy::Any,
            configured_origin: None,
            rules: Rules::default(),
            #[cfg(feature = "renewals")]
            renewals: Vec::new(),
            extension_grants: Vec::new(),
            #[cfg(not(all(feature = "js", target_family = "wasm")))]
            assertion_requirements: None,
            endpoints: Vec::new(),
            mtls_aliases: Vec::new(),
            metadata: Map::new(),
            ignored: Vec::new(),
            origin: Origin::Caller,
        }
    }

    /// Adds or replaces an endpoint.
    ///
    /// # Errors
    /// `metadata.endpoint_*`.
    pub fn with_endpoint(mut self, kind: EndpointKind, url: &str) -> Result<Self, Error> {
        let url = endpoint_url(kind.member(), url, self.transport)?;
        self.origin = Origin::Caller;
        self.endpoints
            .retain(|(endpoint_kind, _)| *endpoint_kind != kind);
        self.endpoints.push((kind, Ok(url)));
        Ok(self)
    }

    /// Sets the rules by which the server's messages are read.
    #[must_use]
    pub fn with_rules(mut self, rules: Rules) -> Self {
        self.rules = rules;
        self
    }

    /// Sets the definitions of the server's extension grants (RFC 6749 section 4.5), replacing earlier ones.
    #[must_use]
    pub fn with_extension_grants(
        mut self,
        grants: impl IntoIterator<Item = ExtensionGrantDefinition>,
    ) -> Self {
        self.extension_grants = grants.into_iter().map(Arc::new).collect();
        self
    }

    /// The defined extension grants, which [`Client::extension`](crate::Client::extension) uses.
    pub fn extension_grants(&self) -> impl Iterator<Item = &Arc<ExtensionGrantDefinition>> {
        self.extension_grants.iter()
    }

    /// Renews tokens in one of these ways instead of with refresh tokens.
    #[cfg(feature = "renewals")]
    #[must_use]
    pub fn with_renewals(mut self, renewals: impl IntoIterator<Item = SelfRenewal>) -> Self {
        self.renewals = renewals.into_iter().collect();
        self
    }

    /// How a token of this lifetime is renewed, if not with a refresh token.
    #[cfg(feature = "renewals")]
    pub(crate) fn renewal(&self, lifetime: Option<u64>) -> Option<&SelfRenewal> {
        self.renewals
            .iter()
            .find(|renewal| renewal.is_for(lifetime))
    }

    #[cfg(not(feature = "renewals"))]
    #[allow(clippy::unused_self, reason = "as with the feature")]
    pub(crate) const fn renewal(&self, _: Option<u64>) -> Option<&SelfRenewal> {
        None
    }

    /// Sets how strictly the server's messages are read.
    pub(crate) const fn set_strictness(&mut self, strictness: Strictness) {
        self.rules.strictness = strictness;
    }

    /// Sets a metadata member other than an endpoint, such as `code_challenge_methods_supported`.
    #[must_use]
    pub fn with_metadata(mut self, metadata: Map<String, Value>) -> Self {
        self.metadata = metadata;
        self
    }

    /// Sets the addresses that requests to this server may be sent to: only public ones, if someone other than the
    /// caller named it. Drivers that open the connections themselves enforce it.
    #[must_use]
    pub const fn with_address_policy(mut self, address_policy: RequestAddressPolicy) -> Self {
        self.address_policy = address_policy;
        self
    }

    /// Exempts the origin of this URL, which the caller named, from [`Self::with_address_policy`]: the caller connects
    /// to this origin anyway, which its certificate confirms over https, so a URL on it from another party reaches no
    /// new address.
    #[must_use]
    pub fn with_configured_origin(mut self, url: Option<Url>) -> Self {
        self.configured_origin = url;
        self
    }

    pub(crate) fn with_transport(mut self, transport: Transport) -> Self {
        self.transport = transport;
        self
    }

    /// Reads a metadata document that was fetched for `issuer`.
    ///
    /// The issuer is compared before anything else is read (RFC 8414 section 3.3). A member of the wrong type that this
    /// crate does not use is ignored, see [`Self::ignored`]. An invalid endpoint URL is an error only when that
    /// endpoint is used, unless the rules are strict or every login uses or relies on it: authorization, token and
    /// `jwks_uri`. An empty one counts as absent, unless the rules are strict.
    ///
    /// # Errors
    /// `metadata.*`.
    pub fn read(issuer: &Issuer, document: &Object<'_>, rules: Rules) -> Result<Self, Error> {
        Self::read_over(issuer, document, rules, Transport::Https)
    }

    pub(crate) fn read_over(
        issuer: &Issuer,
        document: &Object<'_>,
        rules: Rules,
        transport: Transport,
    ) -> Result<Self, Error> {
        issuer.url().require(transport)?;
        let is_template = |document_issuer: &str| rules.tenant_issuer() == Some(document_issuer);
        match document.get("issuer") {
            None => return Err(ProtocolViolation::MetadataIssuerMissing.into()),
            Some(Json::String(document_issuer))
                if issuer.matches(document_issuer, &rules) || is_template(document_issuer) => {}
            Some(Json::String(document_issuer)) => {
                let detail = format!("it names {document_issuer}, expected {issuer}");
                return Err(Error::from(ValidationFailure::MetadataIssuer).about(&detail));
            }
            Some(_) => return Err(Error::from(ProtocolViolation::MetadataShape).about("issuer")),
        }
        let mut server = Self::new(issuer.clone())
            .with_rules(rules)
            .with_transport(transport);
        server.origin = Origin::Metadata;
        server.endpoints = read_endpoints(document, &server.rules, transport);
        if let Some(Json::Object(aliases)) = document.get("mtls_endpoint_aliases") {
            server.mtls_aliases = read_endpoints(aliases, &server.rules, transport);
        }
        for (kind, url) in server.endpoints.iter().chain(&server.mtls_aliases) {
            if let Err(error) = url
                && (server.rules.is_strict() || REQUIRED_ENDPOINTS.contains(kind))
            {
                return Err(error.clone());
            }
        }
        for name in SECURITY_FLAGS {
            if !matches!(document.get(name), None | Some(Json::Bool(_))) {
                return Err(Error::from(ProtocolViolation::MetadataShape).about(name));
            }
        }
        let mut remaining = MAX_METADATA;
        for (name, value) in document.iter() {
            let is_list = name.ends_with("_supported") && !name.ends_with("parameter_supported");
            let is_flag = matches!(value, Json::Bool(_) | Json::Null);
            if is_list && value.as_texts().is_none() && !is_flag {
                if server.rules.is_strict() {
                    return Err(Error::from(ProtocolViolation::MetadataShape).about(name));
                }
                server.ignored.push(name.to_owned());
                continue;
            }
            match remaining.checked_sub(value.memory_size()) {
                Some(rest) => {
                    remaining = rest;
                    server.metadata.insert(name.to_owned(), value.to_value());
                }
                None => server.ignored.push(name.to_owned()),
            }
        }
        Ok(server)
    }

    /// The issuer identifier.
    pub const fn issuer(&self) -> &Issuer {
        &self.issuer
    }

    /// Whether all endpoints come from the server's own document and none was set by hand.
    pub const fn is_discovered(&self) -> bool {
        matches!(self.origin, Origin::Metadata)
    }

    /// The rules by which the server's messages are read.
    pub const fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The URLs of this server to which credentials may be sent.
    pub const fn transport(&self) -> Transport {
        self.transport
    }

    /// The addresses that requests to this server may be sent to.
    pub const fn address_policy(&self) -> RequestAddressPolicy {
        self.address_policy
    }

    /// The URL whose origin the caller named, see [`Self::with_configured_origin`].
    pub const fn configured_origin(&self) -> Option<&Url> {
        self.configured_origin.as_ref()
    }

    /// The addresses that a request to this URL may be sent to.
    pub(crate) fn address_policy_for(&self, url: &Url) -> RequestAddressPolicy {
        match &self.configured_origin {
            Some(configured) if configured.same_origin(url) => RequestAddressPolicy::Any,
            _ => self.address_policy,
        }
    }

    /// Whether the server supports the device grant (RFC 8628), according to its metadata.
    pub fn takes_device_logins(&self) -> bool {
        let grants = self.list("grant_types_supported", &[DEVICE_CODE]);
        self.endpoint(EndpointKind::DeviceAuthorization).is_ok()
            && grants.iter().any(|grant| grant == DEVICE_CODE)
    }

    /// The endpoint of this kind.
    ///
    /// # Errors
    /// `endpoint.missing`, naming it; `metadata.*` if the document names it but it cannot be used.
    pub fn endpoint(&self, kind: EndpointKind) -> Result<&Url, Error> {
        match self
            .endpoints
            .iter()
            .find(|(endpoint_kind, _)| *endpoint_kind == kind)
        {
            Some((_, Ok(url))) => Ok(url),
            Some((_, Err(error))) => Err(error.clone()),
            None => Err(Error::from(Misuse::EndpointMissing).about(kind.member())),
        }
    }

    /// The endpoint of this kind for a client that uses mutual TLS (RFC 8705 section 5): the
    /// alias if there is one.
    ///
    /// # Errors
    /// The errors of [`Self::endpoint`].
    pub fn mtls_endpoint(&self, kind: EndpointKind) -> Result<&Url, Error> {
        let alias = self
            .mtls_aliases
            .iter()
            .find(|(alias_kind, _)| *alias_kind == kind);
        match alias {
            Some((_, Ok(url))) => Ok(url),
            Some((_, Err(error))) => Err(error.clone()),
            None => self.endpoint(kind),
        }
    }

    /// All metadata of the server, endpoints included.
    pub const fn metadata(&self) -> &Map<String, Value> {
        &self.metadata
    }

    /// The members that were ignored because they have the wrong type or are too large to keep.
    pub fn ignored(&self) -> &[String] {
        &self.ignored
    }

    /// A list in the metadata, or `default` if the server names none (RFC 8414 section 2).
    pub fn list(&self, member: &str, default: &[&str]) -> Vec<String> {
        self.named_list(member)
            .unwrap_or_else(|| default.iter().map(|&value| value.to_owned()).collect())
    }

    /// A flag in the metadata, or `default`.
    pub fn flag(&self, member: &str, default: FlagDefault) -> bool {
        let value = self.metadata.get(member).and_then(Value::as_bool);
        value.unwrap_or(default == FlagDefault::True)
    }

    /// `grant_types_supported`; by default `authorization_code` and `implicit`.
    pub fn grant_types(&self) -> Vec<String> {
        self.list("grant_types_supported", &["authorization_code", "implicit"])
    }

    /// `response_modes_supported`; by default `query` and `fragment`.
    pub fn response_modes(&self) -> Vec<String> {
        self.list("response_modes_supported", &["query", "fragment"])
    }

    /// `token_endpoint_auth_methods_supported`; by default `client_secret_basic`.
    pub fn token_endpoint_auth_methods(&self) -> Vec<String> {
        self.list(
            "token_endpoint_auth_methods_supported",
            &["client_secret_basic"],
        )
    }

    /// `code_challenge_methods_supported`, if the server lists them.
    pub fn code_challenge_methods(&self) -> Option<Vec<String>> {
        self.named_list("code_challenge_methods_supported")
    }

    /// Whether every callback of this server names its issuer (RFC 9207 section 3).
    pub fn authorization_response_iss_supported(&self) -> bool {
        let promise = "authorization_response_iss_parameter_supported";
        self.flag(promise, FlagDefault::False) && !self.rules.has(&Quirk::CallbacksWithoutIssuer)
    }

    /// The expirations that the server announces to a client
    /// (draft-ietf-oauth-refresh-token-expiration-03 section 8). Unknown names are left out; the metadata contains them
    /// all.
    pub fn refresh_token_expiration_types(&self) -> Vec<RefreshTokenExpiration> {
        let listed = self.named_list("refresh_token_expiration_types_supported");
        let names = listed.unwrap_or_default();
        names
            .iter()
            .filter_map(|name| RefreshTokenExpiration::from_name(name))
            .collect()
    }

    pub(crate) fn named_list(&self, member: &str) -> Option<Vec<String>> {
        let values = self.metadata.get(member)?.as_array()?;
        values
            .iter()
            .map(|value| value.as_str().map(str::to_owned))
            .collect()
    }
}

/// The default of a metadata flag that is absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FlagDefault {
    /// Absent means true.
    True,
    /// Absent means false.
    False,
}

/// Flags on which a check depends: a malformed value must not count as `false`.
const SECURITY_FLAGS: [&str; 3] = [
    "authorization_response_iss_parameter_supported",
    "require_pushed_authorization_requests",
    "require_signed_request_object",
];

/// The endpoints that make the whole document unusable if they are invalid.
const REQUIRED_ENDPOINTS: [EndpointKind; 3] = [
    EndpointKind::Authorization,
    EndpointKind::Token,
    EndpointKind::Jwks,
];

/// The most memory that a document's members may take, in bytes.
const MAX_METADATA: usize = 512 << 10;

fn read_endpoints(document: &Object<'_>, rules: &Rules, transport: Transport) -> Endpoints {
    let mut endpoints = Vec::new();
    for &kind in EndpointKind::ALL {
        let url = match document.get(kind.member()) {
            None => continue,
            // As null: some servers have a member for each endpoint that they could have.
            Some(Json::String(text)) if text.is_empty() && !rules.is_strict() => continue,
            Some(Json::String(text)) => endpoint_url(kind.member(), text, transport),
            Some(_) => Err(Error::from(ProtocolViolation::MetadataShape).about(kind.member())),
        };
        endpoints.push((kind, url));
    }
    endpoints
}

/// Reads the URL in this member, to which credentials are sent.
///
/// # Errors
/// `metadata.endpoint_*`.
pub(crate) fn endpoint_url(member: &str, text: &str, transport: Transport) -> Result<Url, Error> {
    let fault = |fault: ProtocolViolation| Err(Error::from(fault).about(member));
    let (before_fragment, has_fragment) = match text.split_once('#') {
        Some((before, _)) => (before, true),
        None => (text, false),
    };
    match Url::scan(before_fragment) {
        Ok(url) if url.require(transport).is_err() => fault(ProtocolViolation::EndpointInsecure),
        Ok(_) if has_fragment => fault(ProtocolViolation::EndpointFragment),
        Ok(url) => Ok(url),
        Err(Flaw::NotAbsolute | Flaw::NoHost) => fault(ProtocolViolation::EndpointRelative),
        Err(Flaw::OtherScheme) => fault(ProtocolViolation::EndpointInsecure),
        Err(Flaw::Userinfo) => fault(ProtocolViolation::EndpointUserinfo),
        Err(Flaw::Form) => fault(ProtocolViolation::EndpointSyntax),
    }
}
