//! [`Session`]: who is signed in, how and until when.

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

/// Whom a provider vouched for. A person is an issuer and a subject: an e-mail address may be unverified, and be
/// another's tomorrow (OpenID Connect Core section 5.7).
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Identity {
    /// The provider's name at the site.
    pub provider: String,
    /// `iss`
    pub issuer: String,
    /// `sub`
    pub subject: String,
    /// `sid`: the session at the provider, if it has named one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// `auth_time`: when the person authenticated, if the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth_time: Option<UnixTime>,
    /// `acr`: how the person authenticated, if the provider says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub acr: Option<String>,
    /// What else the provider vouched for: all claims where the application decides whom to let in; in a session
    /// those of [`Config::claims`](crate::Config::claims).
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub claims: Map<String, Value>,
}

/// A session: who is signed in, and until when. It holds no token that a page could use.
#[derive(Clone, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Session {
    /// Who signed in.
    pub identity: Identity,
    /// What the application added when it let the person in.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub local: Map<String, Value>,
    /// When it began.
    pub started_at: UnixTime,
    /// When it ends.
    pub until: UnixTime,
    /// Whose people the provider signs in, if the site has tenants.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// What was granted, in words of the provider: names with spaces between.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub scope: String,
    /// The name of its record, of a session in a store.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) key: Option<String>,
    /// When it was used last, about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) seen_at: Option<UnixTime>,
    /// Tells the provider whose session to end. It signs nobody in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) id_token: Option<String>,
    /// The access token of a session that has it in its cookie; it stands in nothing else that is written of the session.
    #[serde(skip)]
    pub(crate) tokens: Option<Arc<Tokens>>,
}

/// What an application wants of a person, beyond being signed in (RFC 9470).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Need {
    /// One of these ways to authenticate, best first; any if there is none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub acr: Vec<String>,
    /// To have authenticated within these last seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age: Option<u64>,
    /// To have granted each of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// To have signed in with a provider of this tenant ([`Provider::tenant`](crate::Provider::tenant)): a page of one
    /// tenant is never seen with the session of another.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
}

impl Identity {
    /// Somebody, for a test.
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

    /// Whom an ID token is about.
    pub(crate) fn of(provider: &str, id_token: &IdToken) -> Self {
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

    /// Whether both are one person.
    pub fn is_same_person(&self, other: &Self) -> bool {
        self.issuer == other.issuer && self.subject == other.subject
    }

    /// The claim of this name, if it is a text.
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.claims.get(claim)?.as_str()
    }
}

impl Session {
    /// Whose tokens the store keeps for this session; nothing where sessions have no tokens.
    pub fn grant(&self) -> Option<GrantId> {
        let key = self.key.as_deref()?;
        Some(grant(key))
    }

    /// The tokens that the session has in its cookie, of a site under [`Keep::AccessToken`](crate::Keep::AccessToken):
    /// an access token, for as long as it is good.
    pub const fn tokens(&self) -> Option<&Arc<Tokens>> {
        self.tokens.as_ref()
    }

    /// Whether the person has done what is needed.
    pub fn suffices(&self, need: &Need, now: UnixTime) -> bool {
        let tenant = self.tenant.as_deref();
        need.is_met(&self.identity, tenant, &self.scope, now)
    }

    /// Whether its access token is over, or it has none.
    pub(crate) fn is_stale(&self, now: UnixTime) -> bool {
        let tokens = self.tokens.as_ref();
        tokens.is_none_or(|tokens| tokens.freshness(now, Duration::ZERO) == Freshness::Stale)
    }

    pub(crate) fn is_over(&self, now: UnixTime, idle: Option<Duration>) -> bool {
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

impl Need {
    /// One of these ways to authenticate.
    pub fn acr<T: Into<String>>(values: impl IntoIterator<Item = T>) -> Self {
        Self {
            acr: values.into_iter().map(Into::into).collect(),
            ..Self::default()
        }
    }

    /// Somebody of this tenant.
    pub fn tenant(tenant: impl Into<String>) -> Self {
        Self {
            tenant: Some(tenant.into()),
            ..Self::default()
        }
    }

    /// A login within these last seconds.
    #[must_use]
    pub const fn within(mut self, max_age: u64) -> Self {
        self.max_age = Some(max_age);
        self
    }

    /// Judged on what the provider vouched for, and not on what it was asked: providers may ignore the wish.
    pub(crate) fn is_met(
        &self,
        identity: &Identity,
        tenant: Option<&str>,
        granted: &str,
        now: UnixTime,
    ) -> bool {
        let is_tenants = self.tenant.is_none() || self.tenant.as_deref() == tenant;
        let acr = identity.acr.as_deref();
        let has_acr =
            self.acr.is_empty() || self.acr.iter().any(|wanted| acr == Some(wanted.as_str()));
        let is_recent = self.max_age.is_none_or(|age| {
            identity
                .auth_time
                .is_some_and(|at| now.since(at).as_secs() <= age.saturating_add(SKEW))
        });
        let has_scope = |name: &String| granted.split(' ').any(|granted| granted == name);
        is_tenants && has_acr && is_recent && self.scope.iter().all(has_scope)
    }
}

/// How far the provider's clock may be from this one, in seconds.
const SKEW: u64 = 60;

/// Whose tokens are kept for the session of this name.
pub(crate) fn grant(key: &str) -> GrantId {
    GrantId::person(format!("web:{key}"))
}

impl fmt::Debug for Identity {
    /// What it says about a person is nobody else's business.
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
