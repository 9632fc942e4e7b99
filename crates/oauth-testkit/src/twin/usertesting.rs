//! UserTesting: an Okta custom authorization server, the Results v2 and the Legacy v1 API.
//!
//! Its deviations: the metadata document is also found *after* the issuer's path, there is no
//! refresh token, and the rate limit is reported in `x-ratelimit-reset`.

use http::Method;
use http::header::HeaderName;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use serde_json::{Value, json};

use super::authority::Authority;
use super::rules::{Accepts, Basic, Paths, Rotation, Rules, Shape};
use super::token::{AUTHORIZATION_CODE, CLIENT_CREDENTIALS};
use super::wire::{self, ReceivedRequest, Reply};

/// The scopes of the Results API: `studies:read`, or its older name.
const RESULTS: [&str; 2] = ["studies:read", "public_api.read"];

/// The server for API keys: client credentials.
pub(super) fn rules(base: &str) -> Rules {
    Rules {
        grants: (&[CLIENT_CREDENTIALS], &[]),
        scopes: &RESULTS,
        ..shared(base, "aus1p3vtd8vtm4Bxv0h8")
    }
}

/// The server of one partner app: authorization code for registered redirect URLs.
pub(super) fn apps(base: &str) -> Rules {
    Rules {
        client_id: "0oa1partnerapp2345678",
        grants: (&[AUTHORIZATION_CODE], &[]),
        redirect_uris: vec![
            "https://app.example/callback".to_owned(),
            "http://127.0.0.1:8400/callback".to_owned(),
        ],
        scopes: &["clips:read", "studies:read"],
        ..shared(base, "0oa1partnerapp2345678")
    }
}

fn shared(base: &str, id: &str) -> Rules {
    let tenant = format!("/oauth2/{id}");
    let issuer = format!("{base}{tenant}");
    Rules {
        paths: Paths {
            authorize: format!("{tenant}/v1/authorize"),
            token: format!("{tenant}/v1/token"),
            revoke: format!("{tenant}/v1/revoke"),
            introspect: format!("{tenant}/v1/introspect"),
            device_authorization: format!("{tenant}/v1/device/authorize"),
            keys: format!("{tenant}/v1/keys"),
            logout: format!("{tenant}/v1/logout"),
            ..Paths::default()
        },
        metadata: (
            vec![
                // RFC 8414 section 3.1, and what Okta serves beside it
                format!("/.well-known/oauth-authorization-server{tenant}"),
                format!("{tenant}/.well-known/oauth-authorization-server"),
                format!("{tenant}/.well-known/openid-configuration"),
            ],
            document(&issuer),
        ),
        issuer,
        client_id: "0oa-usertesting-key",
        client_secret: "s3cr+t/%: ~",
        public_client_id: "",
        grants: (&[], &[]),
        redirect_uris: Vec::new(),
        any_loopback_port: false,
        scopes: &[],
        default_scope: None,
        accepts: |_| Accepts {
            basic: Basic::Encoded,
            body: true,
            public: false,
        },
        public_needs_pkce: false,
        challenge_alias: false,
        sends_iss: true,
        alg: Alg::Rs256,
        sender: None,
        fapi: None,
        reply: Shape {
            token_type: Some("Bearer"),
            expires_in: true,
            scope: true,
            jwt: true,
            ..Shape::default()
        },
        deviations: &[],
        access_lifetime: Some(3600),
        refresh_lifetime: None,
        authorization_lifetime: None,
        spends_refresh_token_before_nonce: false,
        refuses_access_tokens: false,
        rotation: Rotation::default(),
        rate_limit: Some(10),
        rate_window: 60,
        api,
    }
}

/// The documented contents of the live metadata. The twin supports less: it accepts secrets in the body
/// or in Basic, and answers in the query.
fn document(issuer: &str) -> Value {
    let methods = [
        "client_secret_basic",
        "client_secret_post",
        "client_secret_jwt",
        "private_key_jwt",
        "none",
    ];
    json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/v1/authorize"),
        "token_endpoint": format!("{issuer}/v1/token"),
        "revocation_endpoint": format!("{issuer}/v1/revoke"),
        "introspection_endpoint": format!("{issuer}/v1/introspect"),
        "jwks_uri": format!("{issuer}/v1/keys"),
        "end_session_endpoint": format!("{issuer}/v1/logout"),
        "device_authorization_endpoint": format!("{issuer}/v1/device/authorize"),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": [AUTHORIZATION_CODE, CLIENT_CREDENTIALS],
        "token_endpoint_auth_methods_supported": methods,
        "revocation_endpoint_auth_methods_supported": methods,
        "introspection_endpoint_auth_methods_supported": methods,
        "code_challenge_methods_supported": ["S256"],
        "dpop_signing_alg_values_supported": ["RS256", "ES256"],
        "request_parameter_supported": true,
        "request_object_signing_alg_values_supported": ["RS256", "ES256"],
        "authorization_response_iss_parameter_supported": true,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    })
}

fn api(authority: &mut Authority, at: UnixTime, request: &ReceivedRequest) -> Reply {
    let is_v2 = match request.path.trim_end_matches('/') {
        "/api/v2/sessionResults" => true,
        "/api/v1/sessionResults" => false,
        _ => return wire::not_found(),
    };
    if request.method != Method::GET {
        return wire::method_not_allowed("GET");
    }
    let token = Authority::bearer(request).unwrap_or_default();
    let Some(grant) = authority.access(at, token).cloned() else {
        return error(
            401,
            "UNAUTHORIZED",
            "The access token is missing, expired or revoked.",
        );
    };
    if !grant.scope.split(' ').any(|scope| RESULTS.contains(&scope)) {
        return error(403, "FORBIDDEN", "The access token lacks the scope.");
    }
    // The limit is the Results API's; the older API documents none.
    if is_v2 && let Some(until) = authority.over_limit(at, token) {
        let reply = error(429, "TOO_MANY_REQUESTS", "Rate limit exceeded.");
        let reset = HeaderName::from_static("x-ratelimit-reset");
        return wire::with(reply, reset, &until.as_secs().to_string());
    }
    let Some(test) = request.query("testId") else {
        return error(400, "BAD_REQUEST", "testId is required.");
    };
    wire::json(
        200,
        &json!({ "testId": test, "sessionResults": [{ "sessionId": "1" }] }),
    )
}

/// The error body of v1. Since that of v2 is not documented, it has the same.
fn error(status: u16, code: &str, message: &str) -> Reply {
    wire::json(
        status,
        &json!({ "errorCode": code, "errorMessage": message }),
    )
}
