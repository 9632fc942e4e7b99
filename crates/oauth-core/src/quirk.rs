//! Quirks: the closed list of named, opt-in deviations from the standards.
//!
//! Each quirk permits one behaviour of a deployed server that a standard forbids. No quirk is on by default. Each has a
//! test vector which shows that the behaviour is refused without it, and none weakens another check.

use serde::{Deserialize, Serialize};

use crate::json::Object;
use crate::json::storage_form::json_words;
use crate::json_form;
use crate::scope::Scope;

/// One deviation of one server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Quirk {
    /// The token response has no `token_type`: it is Bearer (UserVoice, Weibo, Douban).
    AssumeBearer,
    /// This `token_type` means Bearer (eBay: `User Access Token`).
    BearerAlias(String),
    /// Basic credentials are not form-encoded before base64 (Socios.com).
    RawBasic,
    /// For this grant type the credentials are sent in the body, even if the client usually uses another method
    /// (Socios.com: `authorization_code`).
    BodyCredentials(String),
    /// Scope names are separated by this character, in requests and replies (Strava: a comma).
    ScopeDelimiter(char),
    /// Scope names are separated by this character in replies only (GitHub: a comma).
    ReplyScopeDelimiter(char),
    /// The client id is sent under this parameter name (TikTok: `client_key`).
    ClientIdParameter(String),
    /// The token request is a JSON object, not a form (Notion).
    JsonRequest,
    /// The token response is form data labelled `text/plain`, its lifetime named `expires`
    /// (early Facebook).
    PlainFormResponse,
    /// The token response names its members in camel case (plentymarkets).
    CamelCaseResponse,
    /// `"expires_in": 0` means that the token does not expire (Mailchimp).
    ZeroLifetimeIsForever,
    /// Errors are listed as `{"errors":[{"errorType":..}]}` (Fitbit).
    ErrorsArray,
    /// The issuer in metadata and callbacks is a template with one `{tenantid}` (Microsoft Entra, for multi-tenant
    /// applications), or the issuer of the one tenant behind an alias (its `consumers`).
    TenantIssuer(String),
    /// The issuer of this tenant is none of [`Self::TenantIssuer`] (the personal accounts of Microsoft, for its
    /// `organizations`).
    ExcludedTenant(String),
    /// The token request must not repeat `redirect_uri` (servers of OAuth 2.1 only).
    OmitRedirectUri,
    /// Callbacks with an error do not name the issuer, although the server says that all do (django-oauth-toolkit).
    /// Callbacks with a code still must.
    ErrorsWithoutIssuer,
    /// Callbacks do not name the issuer, although the server's metadata or its preset says that they do (Keycloak
    /// before 24).
    CallbacksWithoutIssuer,
    /// ID tokens may lack the nonce that was sent; if present, it must match.
    IdTokensWithoutNonce,
    /// `auth_time` in the ID token of a refresh is the time of the user's last login in any application, not of the
    /// login that the refresh continues (django-oauth-toolkit, django-oidc-provider). The time may be later than
    /// before, but never earlier.
    AuthTimeOfLastLogin,
    /// This error code, which is not in the OAuth registry or means something else there, means this registered one:
    /// `["bad_refresh_token", "invalid_grant"]` (GitHub).
    ErrorMeans(String, String),
    /// A refusal whose description contains these words (ignoring case) has this registered code instead of its own:
    /// `["token request is already being processed", "temporarily_unavailable"]` (Salesforce).
    DescriptionMeans(String, String),
    /// A reply in which the member of the first name does not have the second value is a refusal, even with status 200.
    /// The member's value is the error code, the value of `error` its description: `["status", "0"]` (Withings).
    StatusMember(String, String),
    /// The members of RFC 6749 section 5.1 are inside this member of the token response if the
    /// response itself has no access token (Slack: `authed_user`, Withings: `body`).
    TokenMember(String),
    /// This parameter is sent with every token request: `["action", "requesttoken"]` (Withings).
    TokenParameter(String, String),
    /// If a token response has no `expires_in`, this member contains the expiry of the token in seconds since the epoch
    /// (Strava: `expires_at`).
    ExpiresAtMember(String),
    /// If a token response has no `refresh_token_timeout`, this member contains the number of seconds for which the
    /// refresh token is valid if it is not used; 0 means forever (Keycloak: `refresh_expires_in`, GitHub:
    /// `refresh_token_expires_in`).
    RefreshTokenTimeoutMember(String),
    /// If a token response has no `authorization_expires_in`, this member contains the number of seconds that the
    /// authorization lasts, regardless of renewals; 0 means forever (Google, LinkedIn, Microsoft Entra:
    /// `refresh_token_expires_in`).
    AuthorizationExpiresInMember(String),
    /// `"scope": ""` does not say what was granted (Apigee). Elsewhere it means that nothing was granted (GitHub).
    EmptyScopeIsAbsent,
    /// A scope requested by the first name is granted under the second, or the other way round:
    /// `["email", "https://www.googleapis.com/auth/userinfo.email"]` (Google).
    ScopeAlias(String, String),
    /// A scope name is the same with and without this prefix (Microsoft Entra:
    /// `https://graph.microsoft.com/`).
    ScopePrefix(String),
    /// A refresh without an explicit scope requests the granted scope and this one, because the server refuses some
    /// refreshes without a scope (Microsoft Entra: `offline_access`).
    ScopeOnRefresh(Scope),
    /// A refresh token is valid for the scopes of other resources too (Microsoft Entra, Auth0).
    RefreshesAnyScope,
    /// The authorization request sends the PKCE *challenge* a second time, as `code_verifier` (UserVoice). The verifier
    /// itself is never part of a URL.
    ChallengeAsVerifier,
    /// Requests with the parameter `resource` (RFC 8707) are refused, so it is left out; the scope says what a token is
    /// for (Microsoft Entra).
    WithoutResource,
    /// The token endpoint mistakes a `code_verifier` for a wrong secret, so a client with credentials sends no
    /// challenge either (LinkedIn). A code is then bound to its login only by the nonce or the client secret. A client
    /// without credentials still uses PKCE.
    WithoutPkce,
    /// Tokens may come as Bearer although a DPoP proof was sent: the client "MAY continue as in a regular OAuth
    /// interaction" (RFC 9449 section 5), for servers that bind tokens only for some clients. Anyone who obtains such a
    /// token can use it. A profile that requires bound tokens still refuses it.
    UnboundTokens,
}

/// How strictly replies are parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strictness {
    /// Harmless mistakes of deployed servers are tolerated. Some are reported as a [`Warning`](crate::token::Warning), such as
    /// the response to a token exchange without `issued_token_type`, which RFC 8693 section 2.2.1 requires and several
    /// vendors omit.
    #[default]
    Lenient,
    /// Replies must follow the RFCs exactly.
    Strict,
}

/// How one server's messages are read: its strictness and its quirks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rules {
    /// How strictly replies are read.
    #[serde(default)]
    pub strictness: Strictness,
    /// The deviations that apply.
    #[serde(default)]
    pub quirks: Vec<Quirk>,
}

// The same JSON form as the serde derives that read provider files.
json_words! { Quirk {
    "assume_bearer" = AssumeBearer,
    "bearer_alias" = BearerAlias(value),
    "raw_basic" = RawBasic,
    "body_credentials" = BodyCredentials(value),
    "scope_delimiter" = ScopeDelimiter(value),
    "reply_scope_delimiter" = ReplyScopeDelimiter(value),
    "client_id_parameter" = ClientIdParameter(value),
    "json_request" = JsonRequest,
    "plain_form_response" = PlainFormResponse,
    "camel_case_response" = CamelCaseResponse,
    "zero_lifetime_is_forever" = ZeroLifetimeIsForever,
    "errors_array" = ErrorsArray,
    "tenant_issuer" = TenantIssuer(value),
    "excluded_tenant" = ExcludedTenant(value),
    "omit_redirect_uri" = OmitRedirectUri,
    "errors_without_issuer" = ErrorsWithoutIssuer,
    "callbacks_without_issuer" = CallbacksWithoutIssuer,
    "id_tokens_without_nonce" = IdTokensWithoutNonce,
    "auth_time_of_last_login" = AuthTimeOfLastLogin,
    "error_means" = ErrorMeans(first, second),
    "description_means" = DescriptionMeans(first, second),
    "status_member" = StatusMember(first, second),
    "token_member" = TokenMember(value),
    "token_parameter" = TokenParameter(first, second),
    "expires_at_member" = ExpiresAtMember(value),
    "refresh_token_timeout_member" = RefreshTokenTimeoutMember(value),
    "authorization_expires_in_member" = AuthorizationExpiresInMember(value),
    "empty_scope_is_absent" = EmptyScopeIsAbsent,
    "scope_alias" = ScopeAlias(first, second),
    "scope_prefix" = ScopePrefix(value),
    "scope_on_refresh" = ScopeOnRefresh(value),
    "refreshes_any_scope" = RefreshesAnyScope,
    "challenge_as_verifier" = ChallengeAsVerifier,
    "without_resource" = WithoutResource,
    "without_pkce" = WithoutPkce,
    "unbound_tokens" = UnboundTokens,
} }

json_words! { Strictness { "lenient" = Lenient, "strict" = Strict } }

json_form! { Rules { strictness: default, quirks: default } }

impl Rules {
    /// Whether this deviation applies.
    pub fn has(&self, quirk: &Quirk) -> bool {
        self.quirks.contains(quirk)
    }

    /// Whether replies are parsed strictly.
    pub fn is_strict(&self) -> bool {
        self.strictness == Strictness::Strict
    }

    pub(crate) fn scope_delimiter(&self) -> char {
        let custom = self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::ScopeDelimiter(delimiter) => Some(*delimiter),
            _ => None,
        });
        custom.unwrap_or(' ')
    }

    pub(crate) fn reply_scope_delimiter(&self) -> char {
        let custom = self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::ReplyScopeDelimiter(delimiter) => Some(*delimiter),
            _ => None,
        });
        custom.unwrap_or(self.scope_delimiter())
    }

    pub(crate) fn client_id_parameter(&self) -> &str {
        let custom = self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::ClientIdParameter(name) => Some(name.as_str()),
            _ => None,
        });
        custom.unwrap_or("client_id")
    }

    pub(crate) fn wants_body_credentials(&self, purpose: &str) -> bool {
        self.quirks
            .iter()
            .any(|quirk| matches!(quirk, Quirk::BodyCredentials(grant) if grant == purpose))
    }

    pub(crate) fn is_bearer_alias(&self, token_type: &str) -> bool {
        self.quirks
            .iter()
            .any(|quirk| matches!(quirk, Quirk::BearerAlias(alias) if alias == token_type))
    }

    /// The registered code that replaces a server's own error code or description, if a quirk names one. A match on
    /// its description takes precedence.
    pub(crate) fn registered_error_code(
        &self,
        error: &str,
        description: Option<&str>,
    ) -> Option<&str> {
        let description = description.map(str::to_ascii_lowercase).unwrap_or_default();
        let by_description = self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::DescriptionMeans(phrase, registered_code) => description
                .contains(&phrase.to_ascii_lowercase())
                .then_some(registered_code.as_str()),
            _ => None,
        });
        let by_code = || {
            self.quirks.iter().find_map(|quirk| match quirk {
                Quirk::ErrorMeans(sent_code, registered_code) if sent_code == error => {
                    Some(registered_code.as_str())
                }
                _ => None,
            })
        };
        by_description.or_else(by_code)
    }

    /// The value of a reply's status member, if it reports a failure.
    pub(crate) fn failed_status(&self, object: &Object<'_>) -> Option<String> {
        self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::StatusMember(member, success_value) => object
                .get(member)?
                .as_text()
                .filter(|status_value| status_value != success_value),
            _ => None,
        })
    }

    /// The members that may contain the token response.
    pub(crate) fn token_members(&self) -> impl Iterator<Item = &str> {
        self.quirks.iter().filter_map(|quirk| match quirk {
            Quirk::TokenMember(member) => Some(member.as_str()),
            _ => None,
        })
    }

    /// The parameters that are sent with every token request.
    pub(crate) fn token_parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.quirks.iter().filter_map(|quirk| match quirk {
            Quirk::TokenParameter(name, value) => Some((name.as_str(), value.as_str())),
            _ => None,
        })
    }

    /// Whether a parameter of the token request is sent to this server.
    pub(crate) fn sends_parameter(&self, name: &str) -> bool {
        name != "resource" || !self.has(&Quirk::WithoutResource)
    }

    pub(crate) fn expires_at_member(&self) -> Option<&str> {
        self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::ExpiresAtMember(member) => Some(member.as_str()),
            _ => None,
        })
    }

    pub(crate) fn refresh_token_timeout_member(&self) -> Option<&str> {
        self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::RefreshTokenTimeoutMember(member) => Some(member.as_str()),
            _ => None,
        })
    }

    pub(crate) fn authorization_expires_in_member(&self) -> Option<&str> {
        self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::AuthorizationExpiresInMember(member) => Some(member.as_str()),
            _ => None,
        })
    }

    /// Whether `scope` contains every name of `other`; scope aliases and prefixes count as the same name.
    pub(crate) fn covers_scope(&self, scope: &Scope, other: &Scope) -> bool {
        let is_alias =
            |quirk: &Quirk| matches!(quirk, Quirk::ScopeAlias(..) | Quirk::ScopePrefix(_));
        let spelled = |scope: &Scope| {
            Scope::collect(scope.iter().map(|name| self.canonical_scope_name(name)))
        };
        scope.covers(other)
            || self.quirks.iter().any(is_alias) && spelled(scope).covers(&spelled(other))
    }

    /// The canonical form of a scope name that has aliases or a prefix.
    fn canonical_scope_name<'n>(&'n self, name: &'n str) -> &'n str {
        let canonical = self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::ScopeAlias(token_request, granted) if granted == name => {
                Some(token_request.as_str())
            }
            Quirk::ScopePrefix(prefix) => name.strip_prefix(prefix).filter(|rest| !rest.is_empty()),
            _ => None,
        });
        canonical.unwrap_or(name)
    }

    /// The scope that a refresh requests in addition to what was granted, if it chooses none itself.
    pub(crate) fn scope_on_refresh(&self) -> Option<&Scope> {
        self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::ScopeOnRefresh(also) => Some(also),
            _ => None,
        })
    }

    pub(crate) fn tenant_issuer(&self) -> Option<&str> {
        self.quirks.iter().find_map(|quirk| match quirk {
            Quirk::TenantIssuer(template) => Some(template.as_str()),
            _ => None,
        })
    }

    /// Whether this tenant's issuer is refused, although it has the form of [`Self::tenant_issuer`].
    pub(crate) fn excludes_tenant(&self, tenant: &str) -> bool {
        self.quirks.iter().any(|quirk| match quirk {
            Quirk::ExcludedTenant(excluded) => excluded.eq_ignore_ascii_case(tenant),
            _ => false,
        })
    }
}
