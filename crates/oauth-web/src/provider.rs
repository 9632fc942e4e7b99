//! [`Provider`]: an identity provider of a site.

use std::fmt;
use std::time::Duration;

use oauth_core::Client;
use oauth_core::error::Error;
use oauth_core::scope::Scope;

use crate::identity_endpoint::IdentityEndpoint;
use crate::response_mode::ResponseMode;
use crate::userinfo::Userinfo;

/// An identity provider.
#[derive(Clone)]
#[non_exhaustive]
pub struct Provider {
    /// The id in URLs and sessions: letters, digits, `-` and `_`.
    pub id: String,
    /// The name on the page where people choose a provider; the id unless set.
    pub title: String,
    /// The tenant whose people the provider signs in, if the site has tenants: see
    /// [`PageRequirements::tenant`](crate::PageRequirements::tenant).
    pub tenant: Option<String>,
    /// The client registered at the provider, unless the host makes it when it is first needed.
    pub client: Option<Client>,
    /// The issuer and the client id, with which sessions are compared, if the host makes the client when it is first
    /// needed: see [`registered`](Self::registered).
    pub registered: Option<(String, String)>,
    /// The scope to request: `openid` unless set. It must contain `openid` unless there is an identity endpoint.
    pub scope: Scope,
    /// Further parameters of the authorization request.
    pub parameters: Vec<(String, String)>,
    /// The path of the redirect URI, below the root path of the site. Unless set, `/auth/callback`, or
    /// `/auth/callback/{id}` if there are several providers: each needs its own.
    pub callback: Option<String>,
    /// The endpoint that identifies the user, if the provider does not support OpenID Connect.
    pub identity: Option<IdentityEndpoint>,
    /// How the provider returns the authorization response.
    pub response_mode: ResponseMode,
    /// When claims are requested from its UserInfo endpoint: if the ID token lacks one, unless set.
    pub userinfo: Userinfo,
    /// Accepts a logout token without `exp`, as older providers send it, if it was issued within this time: a few
    /// minutes are enough. Unless set, such a token is refused.
    pub logout_max_age_without_expiry: Option<Duration>,
}

impl Provider {
    /// A provider with this id, with the scope `openid`.
    ///
    /// # Errors
    /// Never fails.
    pub fn new(id: impl Into<String>, client: Client) -> Result<Self, Error> {
        Ok(Self {
            client: Some(client),
            ..Self::later(id)?
        })
    }

    /// A provider with this id whose client is not known yet, with the scope `openid`. The host is asked for the client
    /// ([`Step::Connect`](crate::Step::Connect)) by the first request that needs it: a sign-in or a step-up.
    /// Until the client is available, these get the response 503; all other pages, and people who are signed in, need
    /// no provider.
    ///
    /// # Errors
    /// Never fails.
    pub fn later(id: impl Into<String>) -> Result<Self, Error> {
        let id = id.into();
        Ok(Self {
            title: id.clone(),
            id,
            tenant: None,
            client: None,
            registered: None,
            scope: Scope::parse("openid")?,
            parameters: Vec::new(),
            callback: None,
            identity: None,
            response_mode: ResponseMode::Query,
            userinfo: Userinfo::default(),
            logout_max_age_without_expiry: None,
        })
    }

    /// A provider without OpenID Connect, which identifies the user at this endpoint. No scope is requested unless set
    /// with [`scope`](Self::scope).
    ///
    /// # Errors
    /// Never fails.
    pub fn without_openid(
        id: impl Into<String>,
        client: Client,
        identity: IdentityEndpoint,
    ) -> Result<Self, Error> {
        Ok(Self {
            scope: Scope::none(),
            identity: Some(identity),
            ..Self::new(id, client)?
        })
    }

    /// Names the issuer and the client id of a provider whose client is made [`later`](Self::later), as in the
    /// settings. A session begun with another client is rejected: without these, one with the same provider id is
    /// accepted until the client is known.
    #[must_use]
    pub fn registered(mut self, issuer: impl Into<String>, client_id: impl Into<String>) -> Self {
        self.registered = Some((issuer.into(), client_id.into()));
        self
    }

    /// Requests this scope.
    #[must_use]
    pub fn scope(mut self, scope: Scope) -> Self {
        self.scope = scope;
        self
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider")
            .field("id", &self.id)
            .field("tenant", &self.tenant)
            .finish_non_exhaustive()
    }
}
