//! A plain authorization server that follows the standards, and one protected resource.
//!
//! `GET|POST /api/echo` requires a Bearer token and returns its subject (RFC 6750).

mod webfinger;

use http::Method;
use http::header::RETRY_AFTER;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use serde_json::{Value, json};

use super::authority::Authority;
use super::rules::{Accepts, Basic, Paths, Rotation, Rules, Shape};
use super::sender_constrained;
use super::token::{AUTHORIZATION_CODE, CLIENT_CREDENTIALS, DEVICE_CODE, PASSWORD, REFRESH_TOKEN};
use super::token_exchange::ID_JAG;
use super::token_management::{DEVICE_AUTHORIZATION, INTROSPECTION, REVOCATION};
use super::wire::{self, ReceivedRequest, Reply};
use super::{Twin, assertion, ciba, id_token, renewal, saml, token_exchange, trusted_issuers};

const ECHO: &str = "/api/echo";

/// The path of an API's metadata (RFC 9728 section 3).
pub(super) const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource";
pub(super) const SCOPES: &[&str] = &[
    "read",
    "write",
    "openid",
    "profile",
    "email",
    "address",
    "phone",
    "offline_access",
];
pub(super) const GRANTS: &[&str] = &[
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    CLIENT_CREDENTIALS,
    PASSWORD,
    DEVICE_CODE,
    token_exchange::GRANT,
    ciba::GRANT,
    assertion::GRANT,
    saml::GRANT,
];
const PUBLIC_GRANTS: &[&str] = &[
    AUTHORIZATION_CODE,
    REFRESH_TOKEN,
    DEVICE_CODE,
    assertion::GRANT,
    saml::GRANT,
];
/// The metadata members of grants that not every server supports.
const OF_MORE_GRANTS: [&str; 6] = [
    "device_authorization_endpoint",
    "backchannel_authentication_endpoint",
    "backchannel_token_delivery_modes_supported",
    "backchannel_authentication_request_signing_alg_values_supported",
    "identity_chaining_requested_token_types_supported",
    "authorization_grant_profiles_supported",
];

pub(super) fn rules(base: &str) -> Rules {
    let algs: Vec<&str> = trusted_issuers::ALGS
        .iter()
        .map(|alg| alg.as_str())
        .collect();
    let document = json!({
        "issuer": base,
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "revocation_endpoint": format!("{base}/revoke"),
        "introspection_endpoint": format!("{base}/introspect"),
        "device_authorization_endpoint": format!("{base}/device_authorization"),
        "jwks_uri": format!("{base}/jwks"),
        "userinfo_endpoint": format!("{base}/userinfo"),
        "registration_endpoint": format!("{base}/register"),
        "end_session_endpoint": format!("{base}/logout"),
        "scopes_supported": SCOPES,
        "response_types_supported": ["code", "code id_token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": GRANTS,
        "token_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "none"],
        "revocation_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post", "none"],
        "introspection_endpoint_auth_methods_supported":
            ["client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["S256"],
        "authorization_response_iss_parameter_supported": true,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "backchannel_authentication_endpoint": format!("{base}/backchannel_authentication"),
        "backchannel_token_delivery_modes_supported": ["poll", "ping", "push"],
        "backchannel_authentication_request_signing_alg_values_supported": algs,
        "identity_chaining_requested_token_types_supported": [ID_JAG],
        "authorization_grant_profiles_supported": [assertion::ID_JAG_PROFILE],
    });
    Rules {
        issuer: base.to_owned(),
        paths: Paths {
            authorize: "/authorize".to_owned(),
            token: "/token".to_owned(),
            revoke: "/revoke".to_owned(),
            introspect: "/introspect".to_owned(),
            device_authorization: "/device_authorization".to_owned(),
            device_page: "/device".to_owned(),
            backchannel: "/backchannel_authentication".to_owned(),
            backchannel_page: "/authentication_device".to_owned(),
            keys: "/jwks".to_owned(),
            userinfo: "/userinfo".to_owned(),
            logout: "/logout".to_owned(),
            pushed: String::new(),
            registration: "/register".to_owned(),
        },
        metadata: (
            vec![
                "/.well-known/oauth-authorization-server".to_owned(),
                "/.well-known/openid-configuration".to_owned(),
            ],
            document,
        ),
        client_id: "twin-client",
        client_secret: "s3cr+t/%: ~",
        public_client_id: "twin-public",
        grants: (GRANTS, PUBLIC_GRANTS),
        redirect_uris: vec![
            "https://app.example/callback".to_owned(),
            "http://127.0.0.1/callback".to_owned(),
            "http://[::1]/callback".to_owned(),
        ],
        any_loopback_port: true,
        scopes: SCOPES,
        default_scope: Some("read"),
        accepts,
        public_needs_pkce: true,
        challenge_alias: false,
        sends_iss: true,
        alg: Alg::Rs256,
        sender: None,
        fapi: None,
        reply: Shape {
            token_type: Some("Bearer"),
            expires_in: true,
            scope: true,
            refresh_token: true,
            id_token: true,
            ..Shape::default()
        },
        deviations: &[],
        access_lifetime: Some(3600),
        refresh_lifetime: Some(30 * 86_400),
        authorization_lifetime: None,
        spends_refresh_token_before_nonce: false,
        refuses_access_tokens: false,
        rotation: Rotation::default(),
        rate_limit: None,
        rate_window: 60,
        api,
    }
}

/// Removes the metadata members of grants other than authorization codes and client credentials.
pub(super) fn without_more_grants(document: &mut Value) {
    if let Some(members) = document.as_object_mut() {
        members.retain(|name, _| !OF_MORE_GRANTS.contains(&name.as_str()));
    }
}

fn accepts(purpose: &str) -> Accepts {
    let public = match purpose {
        INTROSPECTION => false,
        REVOCATION | DEVICE_AUTHORIZATION => true,
        grant => PUBLIC_GRANTS.contains(&grant),
    };
    Accepts {
        basic: Basic::Encoded,
        body: true,
        public,
    }
}

pub(super) fn api(authority: &mut Authority, at: UnixTime, request: &ReceivedRequest) -> Reply {
    if let Some(resource) = request.path.strip_prefix(RESOURCE_METADATA) {
        return resource_metadata(authority, request, resource);
    }
    if request.path == webfinger::PATH {
        return webfinger::respond(authority, request);
    }
    if [renewal::EXCHANGE_PATH, renewal::RENEWAL_PATH].contains(&request.path.as_str()) {
        return renewal::renew(authority, at, request);
    }
    if request.path != ECHO {
        return wire::not_found();
    }
    if request.method != Method::GET && request.method != Method::POST {
        return wire::method_not_allowed("GET, POST");
    }
    let scope = if request.method == Method::GET {
        "read"
    } else {
        "write"
    };
    let (grant, token) =
        match sender_constrained::authorize_api_request(authority, at, request, scope) {
            Ok(holder) => holder,
            Err(challenge) => return *challenge,
        };
    if let Some(until) = authority.over_limit(at, &token) {
        let reply = wire::json(429, &json!({ "error": "too_many_requests" }));
        return wire::with(reply, RETRY_AFTER, &until.since(at).as_secs().to_string());
    }
    wire::json(
        200,
        &json!({
            "method": request.method.as_str(),
            "client_id": grant.client_id,
            "sub": grant.subject,
            "scope": grant.scope,
            "body": String::from_utf8_lossy(&request.body),
        }),
    )
}

/// The URL of the API's metadata, as its challenges name it (`resource_metadata`).
pub(super) fn resource_metadata_url(
    authority: &Authority,
    request: &ReceivedRequest,
) -> Option<String> {
    let url = || format!("{}{RESOURCE_METADATA}{ECHO}", authority.rules.issuer);
    is_api(request).then(url)
}

/// Whether this request calls the API.
pub(super) fn is_api(request: &ReceivedRequest) -> bool {
    request.path == ECHO
}

/// The metadata of the API, or of the whole origin if nothing follows the well-known path.
fn resource_metadata(authority: &Authority, request: &ReceivedRequest, resource: &str) -> Reply {
    if !["", ECHO].contains(&resource) {
        return wire::not_found();
    }
    if request.method != Method::GET {
        return wire::method_not_allowed("GET");
    }
    let issuer = &authority.rules.issuer;
    let mut document = json!({
        "resource": format!("{issuer}{resource}"),
        "authorization_servers": [issuer],
        "scopes_supported": ["read", "write"],
        "bearer_methods_supported": ["header"],
        "resource_name": "The twin's API",
    });
    sender_constrained::announce_binding(authority, &mut document);
    if authority.resource_claims.is_object() {
        let mut claims = authority.resource_claims.clone();
        claims["iss"] = issuer.as_str().into();
        document["signed_metadata"] =
            id_token::signed(&claims, &authority.key_id, authority.rules.alg).into();
    }
    wire::json(200, &document)
}

impl Twin {
    /// Adds these claims about the API to its metadata, signed by the server (`signed_metadata`, RFC 9728 section 2.2).
    /// The server's keys are at `/jwks`.
    pub fn sign_resource_metadata(&mut self, claims: Value) {
        self.authority.resource_claims = claims;
    }
}
