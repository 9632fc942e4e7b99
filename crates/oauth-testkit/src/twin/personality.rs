//! Twins of deployed servers that deviate from the standards: a table with a row for each server.
//!
//! The sources of these facts are in the presets of the same names.

use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use serde_json::{Value, json};

use super::authority::Authority;
use super::jwt::Jwt;
use super::rules::{Accepts, Basic, Paths, Rules};
use super::wire::{self, ReceivedRequest, Reply};
use super::{Twin, fapi, generic};

/// The client secret, as long as `HS256` requires.
const SECRET: &str = "0123456789abcdef0123456789abcdef";

type Refusal = (&'static str, &'static str);

/// One deviation of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Deviation {
    /// ID tokens are signed with the client's secret, unless the token request has this parameter.
    IdTokenSignedWithSecret(&'static str),
    /// ID tokens do not repeat the nonce.
    IdTokenWithoutNonce,
    /// ID tokens have the issuer of this tenant, also at an endpoint for all tenants, and its id as `tid`.
    TenantIssuer(&'static str),
    /// A `code_verifier` is refused as if the secret were wrong.
    CodeVerifierRefused,
    /// The granted scopes are joined by this separator.
    ScopeJoinedBy(&'static str),
    /// The granted scope is an array.
    ScopeAsArray,
    /// A scope that is requested by the first name is granted under the second.
    ScopeRenamed(&'static str, &'static str),
    /// `expires_in` is a string.
    ExpiresInAsString,
    /// Token responses have the members of this JSON object in addition.
    AdditionalMembers(&'static str),
    /// Errors have status 200, and the first error code is replaced by the second.
    ErrorsWithStatus200(&'static [(&'static str, &'static str)]),
    /// A request for one of these scopes is answered by `form_post`.
    FormPostRequiredFor(&'static [&'static str]),
    /// The secret is a JWT that the client signs.
    SignedSecret,
    /// The scope determines the resource, and `resource` is refused.
    ResourceRefused,
    /// The `resource` must be this one, and must not be missing.
    ResourceRequired(&'static str),
    /// A refresh request must have a scope.
    RefreshRequiresScope,
    /// The second of two refreshes within a second is refused.
    OneRefreshPerSecond,
    /// An access token is issued only if the client's own id is requested as a scope.
    AccessTokenForOwnScope,
    /// UserInfo responses have a different shape without this query parameter.
    UserinfoQueryParameter(&'static str, &'static str),
    /// The end session endpoint accepts this parameter instead of `post_logout_redirect_uri`.
    LogoutParameter(&'static str),
    /// Client credentials are accepted in the body only.
    CredentialsInBodyOnly,
    /// Client credentials are accepted in the header only.
    CredentialsInHeaderOnly,
}

use Deviation as D;

const GOOGLE: &[Deviation] = &[
    D::ScopeRenamed("email", "https://www.googleapis.com/auth/userinfo.email"),
    D::ScopeRenamed(
        "profile",
        "https://www.googleapis.com/auth/userinfo.profile",
    ),
];
const ENTRA: &[Deviation] = &[
    D::TenantIssuer("9188040d-6c67-4c5b-b112-36a304b66dad"),
    D::ResourceRefused,
    D::RefreshRequiresScope,
    D::AdditionalMembers(r#"{"ext_expires_in":3600,"refresh_token_expires_in":86399}"#),
];
const SLACK: &[Deviation] = &[
    D::AdditionalMembers(r#"{"ok":true}"#),
    D::ErrorsWithStatus200(&[
        ("invalid_grant", "code_already_used"),
        ("invalid_client", "bad_client_secret"),
    ]),
];

/// The servers, by the names of their presets.
const TABLE: &[(&str, &[Deviation])] = &[
    ("google", GOOGLE),
    (
        "apple",
        &[
            D::CredentialsInBodyOnly,
            D::SignedSecret,
            D::FormPostRequiredFor(&["name", "email"]),
        ],
    ),
    ("microsoft-entra", ENTRA),
    (
        "microsoft-entra-b2c",
        &[
            D::AccessTokenForOwnScope,
            D::AdditionalMembers(r#"{"not_before":0,"refresh_token_expires_in":1209600}"#),
        ],
    ),
    ("gitlab", &[]),
    ("okta", &[]),
    ("auth0", &[]),
    (
        "keycloak",
        &[D::AdditionalMembers(
            r#"{"refresh_expires_in":1800,"not-before-policy":0,"session_state":"1"}"#,
        )],
    ),
    ("cognito", &[D::LogoutParameter("logout_uri")]),
    (
        "linkedin",
        &[
            D::CredentialsInBodyOnly,
            D::IdTokenWithoutNonce,
            D::CodeVerifierRefused,
            D::ScopeJoinedBy(","),
        ],
    ),
    ("slack-signin", SLACK),
    (
        "paypal",
        &[
            D::CredentialsInHeaderOnly,
            D::ExpiresInAsString,
            D::UserinfoQueryParameter("schema", "openid"),
            D::AdditionalMembers(r#"{"nonce":"2026"}"#),
        ],
    ),
    (
        "salesforce",
        &[
            D::OneRefreshPerSecond,
            D::AdditionalMembers(
                r#"{"instance_url":"https://acme.my.salesforce.com","id":"https://login.salesforce.com/id/1/2"}"#,
            ),
        ],
    ),
    ("twitch", &[D::CredentialsInBodyOnly, D::ScopeAsArray]),
    (
        "line",
        &[
            D::CredentialsInBodyOnly,
            D::IdTokenSignedWithSecret("id_token_key_type"),
        ],
    ),
];

impl Twin {
    /// Accepts assertions of Google's service accounts from now on. Their audience is this token endpoint, Google's,
    /// and they contain their scope; their keys must be registered
    /// ([`register_assertion_key`](Self::register_assertion_key)).
    pub fn accept_service_accounts(&mut self, token_uri: &str) {
        self.authority.service_accounts = Some(token_uri.to_owned());
    }

    /// Refuses `resource` from now on, as Microsoft Entra does together with a scope, which determines the resource
    /// there.
    pub fn refuse_resources(&mut self) {
        self.authority.rules.deviations = &[D::ResourceRefused];
    }

    /// Identifies the API as `api://echo` from now on: token requests with another `resource`, or none, are refused.
    pub fn rename_resource(&mut self) {
        self.authority.rules.deviations = &[D::ResourceRequired("api://echo")];
    }

    /// The server of a preset, with its deviations: issuer and endpoints are those of `metadata`, the preset's. It
    /// grants every scope, to a client with a secret of 32 bytes. `None` if there is no such twin of this name.
    pub fn personality(name: &str, metadata: &Value) -> Option<Self> {
        let (_, deviations) = TABLE.iter().find(|(system, _)| *system == name)?;
        let issuer = metadata["issuer"].as_str()?.to_owned();
        let path = |member: &str| {
            let url = metadata[member].as_str().unwrap_or_default();
            let (_, rest) = url.split_once("://").unwrap_or_default();
            let at = rest.find('/').unwrap_or(rest.len());
            let path = rest.get(at..).unwrap_or_default();
            path.split('?').next().unwrap_or_default().to_owned()
        };
        let logout = path("end_session_endpoint");
        let rules = Rules {
            paths: Paths {
                authorize: path("authorization_endpoint"),
                token: path("token_endpoint"),
                userinfo: path("userinfo_endpoint"),
                revoke: path("revocation_endpoint"),
                introspect: path("introspection_endpoint"),
                keys: path("jwks_uri"),
                logout: if logout.is_empty() {
                    "/logout".to_owned()
                } else {
                    logout
                },
                ..Paths::default()
            },
            metadata: (Vec::new(), metadata.clone()),
            client_secret: SECRET,
            scopes: &["*"],
            default_scope: None,
            sends_iss: metadata["authorization_response_iss_parameter_supported"] == true,
            accepts: match deviations {
                ways if ways.contains(&D::CredentialsInBodyOnly) => {
                    |_| accepts(Basic::Refused, true)
                }
                ways if ways.contains(&D::CredentialsInHeaderOnly) => {
                    |_| accepts(Basic::Encoded, false)
                }
                _ => |_| accepts(Basic::Encoded, true),
            },
            deviations,
            alg: Alg::Rs256,
            ..generic::rules(&issuer)
        };
        let mut twin = Self::generic(&issuer);
        twin.authority.rules = rules;
        if deviations
            .iter()
            .any(|deviation| matches!(deviation, D::IdTokenSignedWithSecret(_)))
        {
            twin.authority.rules.alg = Alg::Hs256;
        }
        Some(twin)
    }
}

const fn accepts(basic: Basic, body: bool) -> Accepts {
    Accepts {
        basic,
        body,
        public: false,
    }
}

/// Checks whether this server accepts an authorization request.
pub(super) fn check_request(
    authority: &Authority,
    request: &ReceivedRequest,
) -> Result<(), Refusal> {
    let scope = request.query("scope").unwrap_or_default();
    for deviation in authority.rules.deviations {
        match deviation {
            D::FormPostRequiredFor(scopes)
                if scope.split(' ').any(|name| scopes.contains(&name))
                    && request.query("response_mode") != Some("form_post") =>
            {
                return Err((
                    "invalid_request",
                    "response_mode must be form_post when name or email scope is requested",
                ));
            }
            D::ResourceRequired(name) if request.query("resource") != Some(name) => {
                return Err(("invalid_target", "the resource is unknown"));
            }
            D::ResourceRefused if request.query("resource").is_some() => {
                return Err((
                    "invalid_target",
                    "AADSTS901002: the 'resource' request parameter is not supported",
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// The error response to a token request that this server refuses; `None` if it accepts the request.
pub(super) fn token_request_error(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
) -> Option<Refusal> {
    let is_refresh = request.form("grant_type") == Some("refresh_token");
    let rules = &mut authority.rules;
    for deviation in rules.deviations {
        match deviation {
            D::IdTokenSignedWithSecret(parameter) => {
                rules.alg = match request.form(parameter) {
                    Some(_) => Alg::Es256,
                    None => Alg::Hs256,
                };
            }
            D::CodeVerifierRefused if request.form("code_verifier").is_some() => {
                return Some(("invalid_client", "Client authentication failed"));
            }
            D::ResourceRequired(name) if request.form("resource") != Some(name) => {
                return Some(("invalid_target", "the resource is unknown"));
            }
            D::ResourceRefused if request.form("resource").is_some() => {
                return Some((
                    "invalid_target",
                    "AADSTS901002: the 'resource' request parameter is not supported",
                ));
            }
            D::RefreshRequiresScope if is_refresh && request.form("scope").is_none() => {
                return Some((
                    "invalid_request",
                    "AADSTS90009: the application requests a token for itself",
                ));
            }
            D::OneRefreshPerSecond
                if is_refresh
                    && !authority
                        .seen
                        .insert(format!("refresh at {}", at.as_secs())) =>
            {
                return Some(("invalid_grant", "token request is already being processed"));
            }
            _ => {}
        }
    }
    None
}

/// Applies this server's deviations to a token response.
pub(super) fn deviate_token_response(authority: &Authority, mut reply: Value) -> Value {
    for deviation in authority.rules.deviations {
        let scope = reply["scope"].as_str().unwrap_or_default().to_owned();
        let names = || scope.split(' ');
        match deviation {
            D::ScopeJoinedBy(separator) => {
                reply["scope"] = names().collect::<Vec<_>>().join(separator).into();
            }
            D::ScopeAsArray => reply["scope"] = names().collect::<Vec<_>>().into(),
            D::ScopeRenamed(requested, granted) => {
                let names = names().map(|name| if name == *requested { *granted } else { name });
                reply["scope"] = names.collect::<Vec<_>>().join(" ").into();
            }
            D::ExpiresInAsString => reply["expires_in"] = reply["expires_in"].to_string().into(),
            D::AdditionalMembers(more) => {
                let more: Value = serde_json::from_str(more).unwrap_or_default();
                for (name, value) in more.as_object().into_iter().flatten() {
                    reply[name] = value.clone();
                }
            }
            D::AccessTokenForOwnScope if names().all(|name| name != authority.rules.client_id) => {
                reply
                    .as_object_mut()
                    .and_then(|members| members.remove("access_token"));
            }
            _ => {}
        }
    }
    reply
}

/// Applies this server's deviations to an error response.
pub(super) fn deviate_error_response(authority: &Authority, reply: Reply) -> Reply {
    let error_names = authority
        .rules
        .deviations
        .iter()
        .find_map(|deviation| match deviation {
            D::ErrorsWithStatus200(error_names) => Some(*error_names),
            _ => None,
        });
    let Some(error_names) = error_names else {
        return reply;
    };
    let body: Value = serde_json::from_slice(reply.body()).unwrap_or_default();
    let renamed = error_names
        .iter()
        .find(|(standard, _)| body["error"] == *standard);
    let error = renamed.map_or_else(
        || body["error"].clone(),
        |(_, renamed)| Value::from(*renamed),
    );
    wire::unstored(200, &json!({ "ok": false, "error": error }))
}

/// Applies this server's deviations to the claims of an ID token.
pub(super) fn deviate_id_token_claims(authority: &Authority, claims: &mut Value) {
    for deviation in authority.rules.deviations {
        match deviation {
            D::IdTokenWithoutNonce => {
                claims
                    .as_object_mut()
                    .and_then(|claims| claims.remove("nonce"));
            }
            D::TenantIssuer(tenant) => {
                claims["iss"] = format!("https://login.microsoftonline.com/{tenant}/v2.0").into();
                claims["tid"] = (*tenant).into();
            }
            _ => {}
        }
    }
}

/// The issuers whose tokens a published key signs, if this server says so of its keys.
pub(super) fn key_issuer(authority: &Authority) -> Option<&'static str> {
    let mut deviations = authority.rules.deviations.iter();
    let has_tenants = deviations.any(|deviation| matches!(deviation, D::TenantIssuer(_)));
    has_tenants.then_some("https://login.microsoftonline.com/{tenantid}/v2.0")
}

/// Whether this secret is valid, for a server whose clients sign theirs as a JWT; `None` for other servers.
pub(super) fn signed_secret(authority: &Authority, secret: &str) -> Option<bool> {
    let rules = &authority.rules;
    rules.deviations.contains(&D::SignedSecret).then(|| {
        let key = fapi::client_public_key();
        let jwt = key.and_then(|key| Jwt::verified(secret, &key, &[Alg::Es256]));
        jwt.is_ok_and(|jwt| {
            jwt.text("aud") == Some(&rules.issuer)
                && jwt.text("sub") == Some(rules.client_id)
                && jwt.text("iss").is_some_and(|team| team.len() == 10)
        })
    })
}

/// The deviating UserInfo response to a request without this server's query parameter.
pub(super) fn deviating_userinfo(
    authority: &Authority,
    request: &ReceivedRequest,
) -> Option<Reply> {
    let mut deviations = authority.rules.deviations.iter();
    deviations.find_map(|deviation| match deviation {
        D::UserinfoQueryParameter(name, value) if request.query(name) != Some(value) => {
            Some(wire::json(
                200,
                &json!({ "user_id": "https://www.paypal.com/webapps/auth/identity/user/1" }),
            ))
        }
        _ => None,
    })
}

/// The name of the end session endpoint's parameter with the URL to return to.
pub(super) fn logout_parameter(authority: &Authority) -> &'static str {
    let mut deviations = authority.rules.deviations.iter();
    let renamed_parameter = deviations.find_map(|deviation| match deviation {
        D::LogoutParameter(name) => Some(*name),
        _ => None,
    });
    renamed_parameter.unwrap_or("post_logout_redirect_uri")
}
