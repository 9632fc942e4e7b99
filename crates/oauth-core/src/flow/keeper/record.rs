//! The stored record of a grant, shared by its workers, and its format.

use std::sync::Arc;
use std::time::Duration;

use super::Policy;
use super::backoff::Refusals;
use super::certificates::OtherCertificateTokens;
use super::unconfirmed_refusal::UnconfirmedRefusal;
use super::upkeep::keep_alive;
use crate::client_config::ClientConfig;
use crate::dpop::ServerRole;
use crate::error::{Error, Misuse, ServerError, ValidationFailure};
use crate::grant::TokenRequest;
use crate::json;
use crate::json::storage_form::json_words;
use crate::json_form;
use crate::moment::UnixTime;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::server::EndpointKind;
use crate::token::step_up_requirement::StepUp;
use crate::token::{Stored as StoredTokens, Tokens};
use crate::url::Url;

/// How many nonces of APIs are stored with a grant.
const RESOURCE_NONCES: usize = 4;

/// The format of a stored record.
const FORMAT: u32 = 1;

/// Identifies a grant of a client: its owner, and what each renewal requests. Two that differ in any
/// of these never share a token.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct GrantId {
    /// The owner of the grant.
    pub owner: GrantOwner,
    /// The token request. A refresh sends the same parameters, and requests the whole granted scope.
    pub token_request: TokenRequest,
    /// The thumbprint of the key to which the tokens are bound (RFC 9449 section 6.1).
    pub dpop_jkt: Option<String>,
    /// What an API required of the user at the login of these tokens, as [`stepped_up`](Self::stepped_up) sets it:
    /// they are kept separately from those of the ordinary login (RFC 9470). Not in browser builds: a page has one
    /// login.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    pub step_up: Option<StepUp>,
}

/// The owner of a grant, which determines how it is renewed.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum GrantOwner {
    /// The client itself: it requests another token in its own name.
    Client,
    /// A user: the grant is renewed with the refresh token. The `sub` of the issuer, or your own name for the user; a
    /// grant that is not shared needs none.
    Person(Option<String>),
}

impl GrantId {
    /// The grant of this user, renewed with the refresh token.
    pub fn user(subject: impl Into<String>) -> Self {
        Self {
            owner: GrantOwner::Person(Some(subject.into())),
            ..Self::client()
        }
    }

    /// The grant of an unnamed user: it cannot be shared.
    pub fn unnamed_person() -> Self {
        Self {
            owner: GrantOwner::Person(None),
            ..Self::client()
        }
    }

    /// The client's own grant, requested in its own name.
    pub const fn client() -> Self {
        Self {
            owner: GrantOwner::Client,
            token_request: TokenRequest::new(),
            dpop_jkt: None,
            #[cfg(not(all(feature = "js", target_family = "wasm")))]
            step_up: None,
        }
    }

    /// The subject of the user's grant, if it has one.
    pub fn subject(&self) -> Option<&str> {
        match &self.owner {
            GrantOwner::Person(subject) => subject.as_deref(),
            GrantOwner::Client => None,
        }
    }

    /// Sets the token request: a [`TokenRequest`], or just a scope.
    #[must_use]
    pub fn requesting(mut self, token_request: impl Into<TokenRequest>) -> Self {
        self.token_request = token_request.into();
        self
    }

    /// Binds the tokens to the key with this thumbprint.
    #[must_use]
    pub fn with_dpop_jkt(mut self, thumbprint: impl Into<String>) -> Self {
        self.dpop_jkt = Some(thumbprint.into());
        self
    }

    /// Names the grant of a login that an API required (RFC 9470), which is kept separately from the user's ordinary
    /// one. The order of the `acr_values` does not matter. The scope belongs to the tokens: a wider one replaces them.
    /// So this changes nothing if only a scope was required.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    #[must_use]
    pub fn stepped_up(mut self, required: &StepUp) -> Self {
        let mut acr_values = required.acr_values.clone();
        acr_values.sort_unstable();
        acr_values.dedup();
        let required = StepUp {
            acr_values,
            scope: None,
            ..required.clone()
        };
        self.step_up = Some(required).filter(|required| !required.is_empty());
        self
    }

    /// The requirement that the login met, if it was a step-up.
    #[cfg(not(all(feature = "js", target_family = "wasm")))]
    const fn required(&self) -> Option<&StepUp> {
        self.step_up.as_ref()
    }

    #[cfg(all(feature = "js", target_family = "wasm"))]
    const fn required(&self) -> Option<&StepUp> {
        None
    }

    /// The grant's key in a store: 43 characters of base64url, the same in every process and language. It does not
    /// depend on the token endpoint, which the server may move.
    #[cfg(feature = "sha2")]
    pub(super) fn key(&self, config: &ClientConfig) -> String {
        let kind = match self.owner {
            // A login of the user at this server is another grant.
            _ if config.has_sign_in_elsewhere() => "oauth-core grant by identity assertion 1",
            GrantOwner::Client => "oauth-core client's own grant 2",
            GrantOwner::Person(_) => "oauth-core grant 2",
        };
        let mut scope: Vec<_> = self.token_request.scope.iter().collect();
        scope.sort_unstable();
        let scope = scope.join(" ");
        let step_up = self.required().map(json::to_text);
        let suffix = |text: Option<&str>| text.map_or(String::new(), |text| format!("={text}"));
        let key_parts = [
            kind,
            &config.binding.issuer,
            &config.binding.client_id,
            &suffix(self.subject()),
            &scope,
            &suffix(self.dpop_jkt.as_deref()),
        ];
        let parameters = self.token_request.sorted_by_name().into_iter();
        let parameters = parameters.flat_map(|(name, value)| [name, value.expose().as_str()]);
        // Two identity providers may use the same name for different users.
        let identity_provider_facts = config.identity_provider().into_iter().flatten();
        let step_up_facts = step_up
            .iter()
            .flat_map(|required| ["oauth-core grant after step-up 1", required]);
        let facts = key_parts
            .into_iter()
            .chain(identity_provider_facts.map(String::as_str));
        crate::base64::sha256_of_parts(step_up_facts.chain(facts).chain(parameters))
    }
}

/// The in-flight marker: a refresh token was sent, and may have been used until the reply is stored.
/// The stored format calls it `attempt`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct InFlightMarker {
    pub(super) id: String,
    pub(super) at: UnixTime,
    /// How long its request may be in flight, in seconds: another worker may have a shorter limit.
    pub(super) window: Option<u64>,
}

/// The longest time for which another worker's request is assumed to be under way.
const MAX_ATTEMPT_WINDOW: Duration = Duration::from_secs(3600);

impl InFlightMarker {
    /// How long its request may be in flight, if this worker's own may be for `own_window`.
    pub(super) fn window(&self, own_window: Duration) -> Duration {
        let marked_window = Duration::from_secs(self.window.unwrap_or(0));
        own_window.max(marked_window.min(MAX_ATTEMPT_WINDOW))
    }
}

/// The pause that the server required of one worker ("Retry-After", RFC 9110 section 10.2.3); all workers
/// keep it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pause {
    pub(super) since: UnixTime,
    pub(super) seconds: u64,
    /// The status of that response.
    pub(super) status: Option<u16>,
}

/// The longest pause of a server that is honoured.
const MAX_SERVER_PAUSE: Duration = Duration::from_secs(24 * 3600);

impl Pause {
    pub(super) fn from_error(error: &Error, now: UnixTime) -> Option<Self> {
        let pause = error.advice().after()?.min(MAX_SERVER_PAUSE);
        Some(Self {
            since: now,
            // The clock has whole seconds, so a pause may be a second short.
            seconds: pause.as_secs() + 1,
            status: error.server_error().and_then(ServerError::status),
        })
    }

    /// When it ends, if it is first seen now: the clock of the worker that stored it may be ahead.
    pub(super) fn end(&self, now: UnixTime) -> UnixTime {
        let seconds = self.seconds.min(MAX_SERVER_PAUSE.as_secs() + 1);
        self.since.min(now).after(Duration::from_secs(seconds))
    }

    pub(super) fn error(&self, now: UnixTime) -> Error {
        let server = ServerError::from_status(self.status.unwrap_or(503));
        let rest = self.end(now).since(now);
        Error::from(server.retry_after(Some(rest))).at_endpoint("token")
    }
}

/// Why a grant has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum GrantEnd {
    /// The server refused the refresh token with this error code.
    Refused(String),
    /// The outcome of the last request is not known, and a second one would revoke the grant.
    OutcomeUnknown,
}

/// The only error code that ends a grant for all workers (RFC 6749 section 5.2).
pub(super) const INVALID_GRANT: &str = "invalid_grant";

impl GrantEnd {
    /// Whether this ends the grant: earlier versions stored other refusals as an end too.
    fn is_an_end(&self) -> bool {
        !matches!(self, Self::Refused(code) if code != INVALID_GRANT)
    }

    pub(super) fn error(&self) -> Error {
        match self {
            Self::Refused(code) => Error::from(ServerError::from_code(code)).at_endpoint("token"),
            Self::OutcomeUnknown => Misuse::OutcomeUnknown.into(),
        }
    }
}

/// Everything known about a grant.
#[derive(Debug, Clone, Default)]
pub(super) struct Record {
    pub(super) tokens: Option<Arc<Tokens>>,
    /// Access tokens of the same grant that are bound to the certificates of other workers.
    pub(super) other_certificate_tokens: OtherCertificateTokens,
    /// The id of the login that the tokens come from.
    pub(super) login: Option<String>,
    /// Whether the server has replaced the refresh token before.
    pub(super) rotates: Option<bool>,
    /// The number of renewals since that login, if every worker counted them: shows which of two records is older, even
    /// if the store was restored in between.
    pub(super) renewals: Option<u64>,
    pub(super) in_flight: Option<InFlightMarker>,
    pub(super) ended: Option<GrantEnd>,
    pub(super) pause: Option<Pause>,
    pub(super) unconfirmed_refusal: Option<Box<UnconfirmedRefusal>>,
    pub(super) refusals: Refusals,
    /// When the record ends, together with the session that it belongs to.
    pub(super) until: Option<UnixTime>,
}

pub(super) struct Stored {
    pub(super) version: u32,
    pub(super) issuer: String,
    pub(super) client_id: String,
    pub(super) token_endpoint: String,
    pub(super) subject: Option<String>,
    pub(super) scope: Scope,
    /// The names and values of the request parameters, in the order in which they are sent.
    pub(super) parameters: Vec<(String, String)>,
    pub(super) dpop_jkt: Option<String>,
    pub(super) step_up: Option<StepUp>,
    /// The newest nonce of the token endpoint: the first request after a restart has it (RFC 9449 section 8).
    pub(super) dpop_nonce: Option<String>,
    /// The newest nonces of APIs, by their origins, oldest first (section 9). A new nonce alone is not stored
    /// immediately: without it, one request to the API is sent twice.
    pub(super) resource_nonces: Vec<(String, String)>,
    /// The expiry, for tools that read a store; the member of the tokens is authoritative.
    pub(super) expires_at: Option<UnixTime>,
    pub(super) login: Option<String>,
    pub(super) rotates: Option<bool>,
    pub(super) renewals: Option<u64>,
    pub(super) attempt: Option<InFlightMarker>,
    pub(super) ended: Option<GrantEnd>,
    pub(super) pause: Option<Pause>,
    /// [`Record::unconfirmed_refusal`], under the name that all versions store.
    pub(super) suspicion: Option<Box<UnconfirmedRefusal>>,
    pub(super) refusals: Refusals,
    pub(super) until: Option<UnixTime>,
    pub(super) tokens: Option<StoredTokens>,
    /// [`Record::other_certificate_tokens`], under the name that all versions store.
    pub(super) beside: OtherCertificateTokens,
}

json_form! { Stored {
    version, issuer, client_id, token_endpoint, subject, scope, parameters: skip, dpop_jkt, step_up: native,
    dpop_nonce: skip,
    resource_nonces: skip, expires_at,
    login, rotates, renewals: skip, attempt, ended, pause: skip, suspicion: skip, refusals: skip,
    until: skip, tokens, beside: native,
} }
json_form! { InFlightMarker { id, at, window: skip("lease") } }
json_form! { Pause { since, seconds, status } }
json_words! { GrantEnd { "refused" = Refused(code), "outcome_unknown" = OutcomeUnknown } }

impl Stored {
    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let malformed = |member| Error::from(Misuse::StoredForm).about(member);
        let stored: Self = json::from_text(text).ok_or_else(|| malformed("record"))?;
        match stored.version {
            FORMAT => Ok(stored),
            _ => Err(malformed("version")),
        }
    }
}

impl Record {
    pub(super) fn from_tokens(tokens: Arc<Tokens>) -> Self {
        Self {
            tokens: Some(tokens),
            ..Self::default()
        }
    }

    /// Whether this is a later renewal of the same login as the other. If the refresh token is the same, or there is
    /// none, nothing is lost by using the stored record.
    pub(super) fn is_later_than(&self, other: &Self) -> bool {
        let renewals = self.renewals.zip(other.renewals);
        let is_replaced = match (self.refresh_token(), other.refresh_token()) {
            (Some(ours), Some(theirs)) => !ours.matches(theirs.expose()),
            (ours, theirs) => ours.is_some() || theirs.is_some(),
        };
        self.login == other.login
            && is_replaced
            && renewals.is_some_and(|(ours, theirs)| ours > theirs)
    }

    fn refresh_token(&self) -> Option<&Secret<String>> {
        let token = self.tokens.as_ref()?.refresh_token.as_ref();
        token.map(|token| &token.secret)
    }

    /// Counts this renewal after the other, if both come from the same login: two workers may have used a
    /// refresh token that is not rotated.
    pub(super) fn count_after(&mut self, other: &Self) {
        if self.login == other.login {
            let next = other.renewals.map(|count| count.saturating_add(1));
            self.renewals = self.renewals.and(self.renewals.max(next));
        }
    }

    /// When the grant should be renewed even if no caller asks, because unused refresh tokens expire too.
    pub(super) fn due(&self, policy: &Policy) -> Option<UnixTime> {
        let tokens = self.tokens.as_deref().filter(|_| self.ended.is_none())?;
        match keep_alive(tokens, policy) {
            Some((latest, spread)) => Some(latest.before(spread)),
            None => due(tokens),
        }
    }

    pub(super) fn to_json(&self, config: &ClientConfig, id: &GrantId) -> Secret<String> {
        let tokens = self.tokens.as_deref();
        let stored = Stored {
            version: FORMAT,
            issuer: config.binding.issuer.clone(),
            client_id: config.binding.client_id.clone(),
            token_endpoint: token_endpoint(config).to_owned(),
            subject: id.subject().map(str::to_owned),
            scope: id.token_request.scope.clone(),
            parameters: id.token_request.stored_pairs(),
            dpop_jkt: id.dpop_jkt.clone(),
            step_up: id.required().cloned(),
            dpop_nonce: id.dpop_jkt.as_ref().and_then(|_| nonce(config)),
            resource_nonces: match &id.dpop_jkt {
                Some(_) => config
                    .shared
                    .nonces
                    .newest_nonces(ServerRole::ResourceServer, RESOURCE_NONCES),
                None => Vec::new(),
            },
            expires_at: tokens.and_then(Tokens::expires_at),
            login: self.login.clone(),
            rotates: self.rotates,
            renewals: self.renewals,
            attempt: self.in_flight.clone(),
            ended: self.ended.clone(),
            pause: self.pause.clone(),
            suspicion: self.unconfirmed_refusal.clone(),
            refusals: self.refusals.clone(),
            until: self.until,
            tokens: tokens.map(Tokens::to_stored),
            beside: self.other_certificate_tokens.clone(),
        };
        Secret::new(json::to_text(&stored))
    }

    /// Reads a record, and refuses that of another grant, because its tokens must not be sent to this server.
    pub(super) fn read(text: &str, config: &ClientConfig, id: &GrantId) -> Result<Self, Error> {
        let stored = Stored::read(text)?;
        if stored.issuer != config.binding.issuer || stored.client_id != config.binding.client_id {
            return Err(ValidationFailure::StoredIssuer.into());
        }
        let token_request = TokenRequest::from_stored(stored.scope, stored.parameters)?;
        let comparisons = [
            ("subject", stored.subject.as_deref() == id.subject()),
            ("scope", token_request.scope == id.token_request.scope),
            ("parameters", token_request == id.token_request),
            ("dpop_jkt", stored.dpop_jkt == id.dpop_jkt),
            ("step_up", stored.step_up.as_ref() == id.required()),
        ];
        if let Some((name, _)) = comparisons.iter().find(|(_, is_same)| !is_same) {
            return Err(Error::from(ValidationFailure::StoredGrant).about(name));
        }
        let tokens = stored.tokens.map(Tokens::from_stored).transpose()?;
        if tokens
            .as_ref()
            .is_some_and(|tokens| tokens.binding != config.binding)
        {
            return Err(ValidationFailure::StoredIssuer.into());
        }
        if let (Some(nonce), Some(url)) = (&stored.dpop_nonce, config.token_url()) {
            let nonces = &config.shared.nonces;
            nonces.restore_nonce(ServerRole::AuthorizationServer, url, nonce);
        }
        for (origin, nonce) in stored.resource_nonces.iter().take(RESOURCE_NONCES) {
            if let Ok(url) = Url::parse(origin) {
                let nonces = &config.shared.nonces;
                nonces.restore_nonce(ServerRole::ResourceServer, &url, nonce);
            }
        }
        let mut record = Self {
            tokens: tokens.map(Arc::new),
            other_certificate_tokens: stored.beside,
            login: stored.login,
            rotates: stored.rotates,
            renewals: stored.renewals,
            in_flight: stored.attempt,
            ended: stored.ended.filter(GrantEnd::is_an_end),
            pause: stored.pause,
            unconfirmed_refusal: stored.suspicion,
            refusals: stored.refusals,
            until: stored.until,
        };
        record.choose_certificate(config);
        Ok(record)
    }
}

/// The newest nonce of the token endpoint.
fn nonce(config: &ClientConfig) -> Option<String> {
    let nonces = &config.shared.nonces;
    nonces.newest_nonce(ServerRole::AuthorizationServer, config.token_url()?)
}

/// When tokens whose grant has not ended should be renewed even if no caller asks; see [`Record::due`].
pub(super) fn due(tokens: &Tokens) -> Option<UnixTime> {
    tokens.refresh_token.as_ref()?;
    Some(tokens.expires_at().unwrap_or(tokens.received_at))
}

fn token_endpoint(config: &ClientConfig) -> &str {
    config
        .server
        .endpoint(EndpointKind::Token)
        .map_or("", crate::url::Url::as_str)
}
