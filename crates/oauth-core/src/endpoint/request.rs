//! The request of an endpoint, before client authentication or a token is added.

use std::sync::Arc;

use crate::http::Method;

use crate::form::Form;
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::token::Tokens;
use crate::url::Url;

/// A request before authentication.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct EndpointRequest {
    /// The HTTP method.
    pub method: Method,
    /// Where it goes.
    pub target: Target,
    /// The media types that are understood, for the `Accept` header.
    pub accept: &'static str,
    /// What it carries.
    pub body: Body,
    /// What proves who sends it.
    pub auth: Auth,
    /// Whether the client's DPoP key, if it has one, signs a proof for this request (RFC 9449
    /// section 5). Where the request carries a token, the token's type decides.
    pub proof: ProofOfPossession,
}

/// Where a request goes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Target {
    /// An endpoint of the server; its alias for mutual TLS (RFC 8705 section 5), if the client
    /// authenticates that way.
    Endpoint(EndpointKind),
    /// This URL.
    Url(Url),
}

/// What a request carries.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Body {
    /// Nothing.
    None,
    /// `application/x-www-form-urlencoded`.
    Form(Form),
    /// The parameters of a form in the query of the URL, for a server that takes them there alone.
    Query(Form),
    /// The parameters of a form as members of a JSON object: each may stand once.
    FormAsJson(Form),
    /// `application/json`, as it is.
    Json(Secret<String>),
}

/// What proves who sends a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Auth {
    /// Nothing.
    None,
    /// The client's authentication; a public client names itself only. `purpose` is the grant type
    /// or the endpoint's name: some servers want other credentials for one of them.
    Client {
        /// A fixed name for what is asked for.
        purpose: &'static str,
    },
    /// The same, and public clients are refused, as client_credentials does (RFC 6749 section 4.4).
    ConfidentialClient {
        /// A fixed name for what is asked for.
        purpose: &'static str,
    },
    /// An access token, in the way of its type (RFC 6750, RFC 9449 section 7). One that belongs to
    /// another client or server is refused; one of [`Tokens::bearer`] belongs to no client.
    Token(Arc<Tokens>),
}

/// Whether a request is signed with the client's DPoP key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ProofOfPossession {
    /// It is not.
    #[default]
    None,
    /// It is, if the client has one.
    Dpop,
}

impl EndpointRequest {
    /// A request that carries nothing and proves nothing.
    pub fn new(method: Method, target: impl Into<Target>) -> Self {
        Self {
            method,
            target: target.into(),
            accept: "application/json",
            body: Body::None,
            auth: Auth::None,
            proof: ProofOfPossession::None,
        }
    }

    /// A document to be fetched, without authentication.
    pub fn get(target: impl Into<Target>) -> Self {
        Self::new(Method::GET, target)
    }

    /// A form to be posted with the client's authentication, see [`Auth::Client`].
    pub fn post(target: impl Into<Target>, purpose: &'static str, form: Form) -> Self {
        Self::new(Method::POST, target)
            .body(Body::Form(form))
            .auth(Auth::Client { purpose })
    }

    /// Understands these media types.
    #[must_use]
    pub const fn accept(mut self, media_types: &'static str) -> Self {
        self.accept = media_types;
        self
    }

    /// Carries this.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Proves who sends it in this way.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Is signed with the client's DPoP key, if it has one.
    #[must_use]
    pub const fn proof(mut self, proof: ProofOfPossession) -> Self {
        self.proof = proof;
        self
    }

    /// The parameters of its form, without the client's credentials.
    pub const fn form(&self) -> Option<&Form> {
        match &self.body {
            Body::Form(form) | Body::Query(form) | Body::FormAsJson(form) => Some(form),
            Body::None | Body::Json(_) => None,
        }
    }
}

impl From<EndpointKind> for Target {
    fn from(kind: EndpointKind) -> Self {
        Self::Endpoint(kind)
    }
}

impl From<Url> for Target {
    fn from(url: Url) -> Self {
        Self::Url(url)
    }
}

impl From<&Url> for Target {
    fn from(url: &Url) -> Self {
        Self::Url(url.clone())
    }
}
