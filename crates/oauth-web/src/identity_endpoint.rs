//! The request for a user's identity at a provider without OpenID Connect, with the access token of the login.

use std::sync::Arc;

use http::StatusCode;
use oauth_core::Tokens;
use oauth_core::endpoint::{Auth, Context, Endpoint, EndpointRequest, Reply, Target};
use oauth_core::error::{Error, ProtocolViolation};
use oauth_core::url::Url;
use serde_json::{Map, Value};

use crate::session::Identity;

/// The endpoint that identifies a user at a provider without OpenID Connect: its API returns a JSON object there.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct IdentityEndpoint {
    /// Requested by `GET`, with the access token of the login: the token is sent to this URL.
    pub url: Url,
    /// The member that is the user's `sub`: a string or an integer that is never reassigned.
    pub subject: String,
    /// Further claims, each with its member: `("picture", "avatar_url")`.
    pub claims: Vec<(String, String)>,
}

/// The request to an [`IdentityEndpoint`], and what else the resulting identity needs.
#[derive(Debug)]
pub(crate) struct IdentityRequest {
    pub(crate) endpoint: IdentityEndpoint,
    pub(crate) tokens: Arc<Tokens>,
    pub(crate) provider: String,
    pub(crate) issuer: String,
}

impl IdentityEndpoint {
    /// An endpoint at this URL, whose response identifies the user by this member.
    pub fn new(url: Url, subject: impl Into<String>) -> Self {
        Self {
            url,
            subject: subject.into(),
            claims: Vec::new(),
        }
    }

    /// Adds a claim, which is read from this member of the response.
    #[must_use]
    pub fn claim(mut self, claim: impl Into<String>, member: impl Into<String>) -> Self {
        self.claims.push((claim.into(), member.into()));
        self
    }
}

impl Endpoint for IdentityRequest {
    const NAME: &'static str = "identity";
    type Output = Identity;

    fn request(&self, _: &Context<'_>) -> Result<EndpointRequest, Error> {
        let request = EndpointRequest::get(Target::Url(self.endpoint.url.clone()));
        Ok(request.auth(Auth::Token(Arc::clone(&self.tokens))))
    }

    fn read(&self, _: &Context<'_>, reply: Reply<'_>) -> Result<Identity, Error> {
        let object = reply.object_with(StatusCode::OK)?;
        let member = |name: &str| -> Option<Value> {
            let map = object.to_map();
            serde_json::to_value(map.get(name)?).ok()
        };
        let subject = match member(&self.endpoint.subject) {
            Some(Value::String(text)) if !text.is_empty() => text,
            Some(Value::Number(number)) if number.is_u64() => number.to_string(),
            _ => {
                let missing = Error::from(ProtocolViolation::UserinfoShape);
                return Err(missing.about(&self.endpoint.subject));
            }
        };
        let claims = self.endpoint.claims.iter();
        let claims: Map<_, _> = claims
            .filter_map(|(claim, name)| Some((claim.clone(), member(name)?)))
            // `null` means that the provider knows no value, such as the name of a user who gave none.
            .filter(|(_, value)| !value.is_null())
            .collect();
        Ok(Identity {
            provider: self.provider.clone(),
            issuer: self.issuer.clone(),
            subject,
            sid: None,
            auth_time: None,
            acr: None,
            claims,
        })
    }
}
