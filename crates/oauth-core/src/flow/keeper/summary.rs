//! The summary of a stored record, without its secrets: for tools that list a store.

use super::record::{Stored, due};
use super::{GrantId, GrantOwner};
use crate::error::Error;
use crate::grant::TokenRequest;
use crate::moment::UnixTime;
use crate::quirk::Rules;
use crate::scope::Scope;
use crate::secret::Secret;
use crate::token::Tokens;

/// The facts about a stored grant that may be shown.
///
/// The summary proves nothing: whether a record belongs to a client is checked where its tokens are read, see
/// [`Keeper::learn`](super::Keeper::learn).
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct GrantSummary {
    /// The issuer of the tokens.
    pub issuer: String,
    /// The client to which the tokens were issued.
    pub client_id: String,
    /// The token endpoint at which the client requests new ones; empty if the server has no such endpoint.
    pub token_endpoint: String,
    /// The id of the grant.
    pub id: GrantId,
    /// The id of the login from which the tokens come, which renewals keep: another login of the same user has a
    /// different one.
    pub login: Option<String>,
    /// The scope that was granted; `None` if there are no tokens.
    pub scope: Option<Scope>,
    /// When the access token expires, if the server named a lifetime.
    pub expires_at: Option<UnixTime>,
    /// When the grant should be renewed, as passed to the store by a worker without
    /// [`Policy::keep_alive`](super::Policy::keep_alive); see [`Step::Save`](super::Step::Save).
    pub due: Option<UnixTime>,
    /// When the record expires; see [`Keeper::until`](super::Keeper::until).
    pub until: Option<UnixTime>,
    /// Whether there is a refresh token.
    pub has_refresh_token: bool,
    /// When the refresh token expires unless it is used before then, if the server stated it.
    pub refresh_token_expires_at: Option<UnixTime>,
    /// When the user's authorization ends, if the server stated it.
    pub authorization_expires_at: Option<UnixTime>,
    /// Why the grant has ended, if it has: the user has to log in again.
    pub ended: Option<Error>,
    /// How the server refused the refresh token, if it did so without ending the grant: the user should log in again,
    /// and the token is tried again at intervals.
    pub suspect: Option<Error>,
}

impl GrantSummary {
    /// Reads the summary of a record.
    ///
    /// # Errors
    /// `stored.malformed`.
    pub fn read(record: &Secret<String>) -> Result<Self, Error> {
        let stored = Stored::read(record.expose())?;
        let tokens = stored.tokens.map(Tokens::from_stored).transpose()?;
        let tokens = tokens.as_ref();
        Ok(Self {
            issuer: stored.issuer,
            client_id: stored.client_id,
            token_endpoint: stored.token_endpoint,
            id: GrantId {
                owner: match stored.subject {
                    Some(subject) => GrantOwner::Person(Some(subject)),
                    None => GrantOwner::Client,
                },
                token_request: TokenRequest::from_stored(stored.scope, stored.parameters)?,
                dpop_jkt: stored.dpop_jkt,
                #[cfg(not(all(feature = "js", target_family = "wasm")))]
                step_up: stored.step_up,
            },
            login: stored.login,
            scope: tokens.map(|tokens| tokens.scope.clone()),
            expires_at: tokens.and_then(Tokens::expires_at),
            due: tokens.filter(|_| stored.ended.is_none()).and_then(due),
            until: stored.until,
            has_refresh_token: tokens.is_some_and(|tokens| tokens.refresh_token.is_some()),
            refresh_token_expires_at: tokens.and_then(Tokens::refresh_token_expires_at),
            authorization_expires_at: tokens.and_then(|tokens| tokens.authorization_expires_at),
            ended: stored.ended.map(|ended| ended.error()),
            suspect: stored
                .suspicion
                .map(|refusal| refusal.error(&Rules::default())),
        })
    }

    /// Whether the user has to log in again, as far as the record shows: the grant has ended, or the tokens have expired
    /// and cannot be renewed.
    pub fn is_over(&self, now: UnixTime) -> bool {
        let has_passed = |end: Option<UnixTime>| end.is_some_and(|end| end <= now);
        let is_renewable = self.has_refresh_token
            && !has_passed(self.refresh_token_expires_at)
            && !has_passed(self.authorization_expires_at);
        self.ended.is_some() || (has_passed(self.expires_at) && !is_renewable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKENS: &str = r#"{
        "version": 1, "issuer": "https://as.example", "client_id": "app", "access_token": "S3CR3T",
        "received_at": 1000, "expires_in": 60, "scope": "read", "refresh_token": "S3CR3T",
        "refresh_scope": "read", "id_token": null
    }"#;

    fn record(version: u32, tokens: &str, ended: &str) -> Secret<String> {
        Secret::new(format!(
            r#"{{
                "version": {version}, "issuer": "https://as.example", "client_id": "app",
                "token_endpoint": "https://as.example/token", "subject": "anna", "scope": "",
                "expires_at": 1, "tokens": {tokens}, "ended": {ended}
            }}"#
        ))
    }

    #[test]
    fn summary_contains_facts_without_secrets() {
        let summary = GrantSummary::read(&record(1, TOKENS, "null"));
        assert!(!format!("{summary:?}").contains("S3CR3T"));
        let facts = summary.map(|summary| {
            let scope = summary.scope.unwrap_or_default();
            assert!(summary.ended.is_none());
            // The expiry is taken from the tokens, not from the separate member.
            (
                summary.id,
                scope.as_str().to_owned(),
                summary.expires_at,
                summary.has_refresh_token,
            )
        });
        let end = Some(UnixTime::from_secs(1060));
        let expected = (GrantId::user("anna"), "read".to_owned(), end, true);
        assert_eq!(facts.ok(), Some(expected));
    }

    #[test]
    fn summary_reports_why_a_grant_ended() {
        for (ended, code) in [
            (r#""outcome_unknown""#, "grant.outcome_unknown"),
            (r#"{"refused": "invalid_grant"}"#, "denied.invalid_grant"),
        ] {
            let summary = GrantSummary::read(&record(1, "null", ended));
            let facts = summary.map(|summary| {
                let code = summary.ended.map(|error| error.code());
                (code, summary.scope, summary.has_refresh_token)
            });
            assert_eq!(facts.ok(), Some((Some(code), None, false)));
        }
    }

    #[test]
    fn grant_is_over_if_it_ended_or_expired_without_a_usable_refresh_token() {
        let bare = TOKENS.replace(r#""refresh_token": "S3CR3T""#, r#""refresh_token": null"#);
        let unused = TOKENS.replace(
            r#""id_token""#,
            r#""refresh_token_use_by": 1100, "id_token""#,
        );
        let invalid = r#"{"refused": "invalid_grant"}"#;
        for (tokens, ended, over_from) in [
            (TOKENS, "null", None::<u64>),
            (&bare, "null", Some(1060)),
            (&unused, "null", Some(1100)),
            (TOKENS, invalid, Some(0)),
        ] {
            let summary = GrantSummary::read(&record(1, tokens, ended)).ok();
            let is_over = |at: u64| {
                let at = UnixTime::from_secs(at);
                summary.as_ref().map(|summary| summary.is_over(at))
            };
            assert_eq!(is_over(4_000_000_000), Some(over_from.is_some()));
            if let Some(from) = over_from {
                assert_eq!(
                    (is_over(from.saturating_sub(1)), is_over(from)),
                    (Some(from == 0), Some(true))
                );
            }
        }
    }

    #[test]
    fn summary_reports_a_suspected_refusal() {
        let suspicion = r#"null, "suspicion": {
            "since": 1, "seconds": 10, "count": 1, "status": 403, "error": "unauthorized_client",
            "description": null, "scheme": null
        }"#;
        let summary = GrantSummary::read(&record(1, TOKENS, suspicion));
        let suspect = summary.ok().and_then(|summary| summary.suspect);
        let facts = suspect.map(|error| (error.code(), error.advice().as_str()));
        assert_eq!(facts, Some(("denied.unauthorized_client", "reauthorize")));
    }

    #[test]
    fn record_of_another_format_version_is_refused() {
        let summary = GrantSummary::read(&record(2, TOKENS, "null"));
        let code = summary.err().map(|error| error.code());
        assert_eq!(code, Some("stored.malformed"));
    }
}
