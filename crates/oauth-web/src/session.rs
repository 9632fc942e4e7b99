//! [`Session`]: the signed-in user, how they authenticated, and until when they are signed in. A session is found in
//! `current_session.rs`, and stored in `session_store.rs`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use oauth_core::flow::keeper::GrantId;
use oauth_core::moment::UnixTime;
use oauth_core::token::Freshness;
use oauth_core::token::id_token::IdToken;
use oauth_core::{Secret, Tokens};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// The identity that a provider has asserted. A user is identified by issuer and subject: an e-mail address may be
/// unverified, and may later belong to someone else (OpenID Connect Core section 5.7).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// The provider's id at the site.
    pub provider: String,
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// `sid`: the session at the provider, if it names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// `auth_time`: when the user authenticated, if the provider states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<UnixTime>,
    /// `acr`: how the user authenticated, if the provider states it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// The other claims: all of them when the application decides whether to admit the user, and those of
    /// [`Config::claims`](crate::Config::claims) in a session.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

/// A session: the signed-in user, and when it ends. It contains no token that a page can read.
#[derive(Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Session {
    /// The identity of the user.
    pub identity: Identity,
    /// The values that the application added when it admitted the user.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub local: Map<String, Value>,
    /// When the session began.
    pub started_at: UnixTime,
    /// When the session ends.
    pub until: UnixTime,
    /// The tenant of the provider, if the site has tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// The client and issuer of the login, see [`registration`]. Only a session of a test may have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) client: Option<String>,
    /// The granted scope, as the provider stated it: names separated by spaces.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The key of the session's record, if it is in a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// Roughly when the session was last used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seen_at: Option<UnixTime>,
    /// The ID token that identifies the provider's session at logout. It cannot be used to sign in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id_token: Option<String>,
    /// The access token, if the session keeps it in its cookie; it is serialized nowhere else.
    #[serde(skip)]
    pub(crate) tokens: Option<Arc<Tokens>>,
}

/// The requirements of a page beyond a session (RFC 9470).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PageRequirements {
    /// The accepted `acr` values, best first; any if empty.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acr: Vec<String>,
    /// The user must have authenticated within this many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// The scopes that must have been granted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// The user must have signed in with a provider of this tenant ([`Provider::tenant`](crate::Provider::tenant)): a
    /// session of one tenant never opens a page of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

impl Identity {
    /// An identity for a test.
    pub fn new(
        provider: impl Into<String>,
        issuer: impl Into<String>,
        subject: impl Into<String>,
    ) -> Self {
        Self {
            provider: provider.into(),
            issuer: issuer.into(),
            subject: subject.into(),
            sid: None,
            auth_time: None,
            acr: None,
            claims: Map::new(),
        }
    }

    /// The identity in an ID token.
    pub(crate) fn from_id_token(provider: &str, id_token: &IdToken) -> Self {
        let claims = id_token.claims();
        let text = |name: &str| claims.text(name).ok().flatten().map(str::to_owned);
        Self {
            provider: provider.to_owned(),
            issuer: id_token.issuer().to_owned(),
            subject: id_token.subject().to_owned(),
            sid: text("sid"),
            auth_time: id_token.auth_time(),
            acr: text("acr"),
            claims: serde_json::from_str(&claims.to_json()).unwrap_or_default(),
        }
    }

    /// Whether both are the same user.
    pub fn is_same_person(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.subject == other.subject
    }

    /// The claim of this name, if it is a string.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }
}

impl Session {
    /// The grant whose tokens the store keeps for this session; `None` if sessions have no tokens.
    pub fn grant(&self) -> Option<GrantId> {
        let key = self.key.as_deref()?;
        Some(grant(key))
    }

    /// The tokens in the session's cookie, at a site under [`SessionStorage::AccessToken`](crate::SessionStorage::AccessToken): an access
    /// token, until it expires.
    pub const fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.tokens.as_ref()
    }

    /// Whether there are tokens: those of [`grant`](Self::grant), or those of [`tokens`](Self::tokens).
    pub const fn has_tokens(&self) -> bool {
        self.key.is_some() || self.tokens.is_some()
    }

    /// Whether the session meets this requirement.
    pub fn suffices(&self, need: &PageRequirements, now: UnixTime) -> bool {
        let tenant = self.tenant.as_deref();
        need.is_met(&self.identity, tenant, &self.scope, now)
    }

    /// Whether the session's access token has expired, or it has none.
    pub(crate) fn is_stale(&self, now: UnixTime) -> bool {
        let tokens = self.tokens.as_ref();
        tokens.is_none_or(|tokens| tokens.freshness(now, Duration::ZERO) == Freshness::Stale)
    }

    pub(crate) fn has_ended(&self, now: UnixTime, idle: Option<Duration>) -> bool {
        let is_idle = match (self.seen_at, idle) {
            (Some(seen_at), Some(idle)) => now.since(seen_at) >= idle,
            _ => false,
        };
        now >= self.until || is_idle
    }

    pub(crate) fn id_token_hint(&self) -> Option<Secret<String>> {
        self.id_token.clone().map(Secret::new)
    }
}

impl PageRequirements {
    /// Requires one of these `acr` values.
    pub fn acr<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Self {
        Self {
            acr: values.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Requires a provider of this tenant.
    pub fn tenant(tenant: impl Into<String>) -> Self {
        Self {
            tenant: Some(tenant.into()),
            ..Self::default()
        }
    }

    /// Requires a login within this many seconds.
    #[must_use]
    pub const fn with_max_age(mut self, max_age: u64) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Compares the values in the ID token, not the requested ones: providers may ignore the request.
    pub(crate) fn is_met(
        &self,
        identity: &Identity,
        tenant: Option<&str>,
        granted: &str,
        now: UnixTime,
    ) -> bool {
        let tenant_matches = self.tenant.is_none() || self.tenant.as_deref() == tenant;
        let acr = identity.acr.as_deref();
        let has_acr = self.acr.is_empty()
            || self
                .acr
                .iter()
                .any(|required| acr == Some(required.as_str()));
        let is_recent = self.max_age.is_none_or(|age| {
            identity.auth_time.is_some_and(|authenticated_at| {
                now.since(authenticated_at).as_secs() <= age.saturating_add(AUTH_TIME_SKEW_SECONDS)
            })
        });
        let has_scope = |name: &String| granted.split(' ').any(|granted| granted == name);
        tenant_matches && has_acr && is_recent && self.scope.iter().all(has_scope)
    }
}

/// Identifies the client of a provider. A session of one client is not accepted by another, even if both share keys,
/// stores and URLs.
pub(crate) fn registration(issuer: &str, client_id: &str) -> String {
    oauth_seal::digest("oauth-web client 1", [issuer, client_id])
}

/// The tolerated clock skew of a provider, in seconds.
const AUTH_TIME_SKEW_SECONDS: u64 = 60;

/// The grant that belongs to the session with this key.
pub(crate) fn grant(key: &str) -> GrantId {
    GrantId::user(format!("web:{key}"))
}

impl fmt::Debug for Identity {
    /// Claims are personal data, and are not shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("provider", &self.provider)
            .field("issuer", &self.issuer)
            .field("acr", &self.acr)
            .field("claims", &self.claims.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("identity", &self.identity)
            .field("local", &self.local.keys().collect::<Vec<_>>())
            .field("started_at", &self.started_at)
            .field("until", &self.until)
            .finish_non_exhaustive()
    }
}
