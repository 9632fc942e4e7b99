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
    /// Where the request goes.
    pub target: Target,
    /// The accepted media types, for the `Accept` header.
    pub accept: &'static str,
    /// The body.
    pub body: Body,
    /// How the sender is authenticated.
    pub auth: Auth,
    /// Whether the client's DPoP key, if it has one, signs a proof for this request (RFC 9449
    /// section 5). If the request carries a token, the token's type decides.
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

/// The body of a request.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Body {
    /// No body.
    None,
    /// `application/x-www-form-urlencoded`.
    Form(Form),
    /// The parameters of a form in the query of the URL, for a server that accepts them only there.
    Query(Form),
    /// The parameters of a form as members of a JSON object: each may occur only once.
    FormAsJson(Form),
    /// `application/json`, as it is.
    Json(Secret<String>),
}

/// How the sender of a request is authenticated.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum Auth {
    /// No authentication.
    None,
    /// The client's authentication; a public client only sends its id. `purpose` is the grant type or the endpoint's
    /// name: some servers require other credentials for one of them.
    Client {
        /// A fixed name for what is requested.
        purpose: &'static str,
    },
    /// The client's authentication, where public clients are refused, as for `client_credentials` (RFC 6749 section
    /// 4.4).
    ConfidentialClient {
        /// A fixed name for what is requested.
        purpose: &'static str,
    },
    /// An access token, sent according to its type (RFC 6750, RFC 9449 section 7). A token of another client or server
    /// is refused; a token made by [`Tokens::bearer`] has no owner and is accepted.
    Token(Arc<Tokens>),
}

/// Whether a request is signed with the client's DPoP key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ProofOfPossession {
    /// The request is not signed.
    #[default]
    None,
    /// The request is signed, if the client has a DPoP key.
    Dpop,
}

impl EndpointRequest {
    /// A request without body, authentication or proof.
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

    /// A `GET` request for a document, without authentication.
    pub fn get(target: impl Into<Target>) -> Self {
        Self::new(Method::GET, target)
    }

    /// A `POST` request of a form, with the client's authentication, see [`Auth::Client`].
    pub fn post(target: impl Into<Target>, purpose: &'static str, form: Form) -> Self {
        // Written in one expression: each step of a builder would copy the form.
        Self {
            method: Method::POST,
            target: target.into(),
            accept: "application/json",
            body: Body::Form(form),
            auth: Auth::Client { purpose },
            proof: ProofOfPossession::None,
        }
    }

    /// Sets the accepted media types.
    #[must_use]
    pub const fn accept(mut self, media_types: &'static str) -> Self {
        self.accept = media_types;
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: Body) -> Self {
        self.body = body;
        self
    }

    /// Sets how the sender is authenticated.
    #[must_use]
    pub fn auth(mut self, auth: Auth) -> Self {
        self.auth = auth;
        self
    }

    /// Sets whether the client's DPoP key, if it has one, signs a proof for the request.
    #[must_use]
    pub const fn proof(mut self, proof: ProofOfPossession) -> Self {
        self.proof = proof;
        self
    }

    /// The parameters of the form, without the client's credentials.
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
