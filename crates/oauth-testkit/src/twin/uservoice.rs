//! UserVoice: Admin API and Idea Collection API.
//!
//! Its deviations: the token response is `{"access_token":".."}` and nothing else, credentials are accepted in the body
//! only, and only a 401 without a challenge shows that a token has expired.

use http::Method;
use http::header::RETRY_AFTER;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use serde_json::json;

use super::authority::Authority;
use super::rules::{Accepts, Basic, Paths, Rotation, Rules, Shape};
use super::token::{AUTHORIZATION_CODE, CLIENT_CREDENTIALS};
use super::wire::{self, ReceivedRequest, Reply};

pub(super) fn rules(base: &str) -> Rules {
    Rules {
        issuer: base.to_owned(),
        paths: Paths {
            authorize: "/api/v2/oauth/auth".to_owned(),
            token: "/api/v2/oauth/token".to_owned(),
            ..Paths::default()
        },
        metadata: Default::default(),
        client_id: "uv-trusted-key",
        client_secret: "s3cr+t/%: ~",
        public_client_id: "uv-public-key",
        grants: (&[CLIENT_CREDENTIALS], &[AUTHORIZATION_CODE]),
        redirect_uris: vec![
            "https://app.example/callback".to_owned(),
            "http://127.0.0.1/callback".to_owned(),
        ],
        any_loopback_port: true,
        scopes: &[],
        default_scope: None,
        accepts: |grant| Accepts {
            basic: Basic::Refused,
            body: grant == CLIENT_CREDENTIALS,
            public: grant == AUTHORIZATION_CODE,
        },
        public_needs_pkce: false,
        challenge_alias: true,
        sends_iss: false,
        alg: Alg::Rs256,
        sender: None,
        fapi: None,
        reply: Shape {
            hex_digits: Some(16),
            ..Shape::default()
        },
        deviations: &[],
        // "never expire until revoked"
        access_lifetime: None,
        refresh_lifetime: None,
        authorization_lifetime: None,
        spends_refresh_token_before_nonce: false,
        refuses_access_tokens: false,
        rotation: Rotation::default(),
        rate_limit: None,
        rate_window: 60,
        api,
    }
}

fn api(authority: &mut Authority, at: UnixTime, request: &ReceivedRequest) -> Reply {
    let for_user = match request.path.as_str() {
        "/api/v2/admin/suggestions" => false,
        "/api/v2/end_users/me" => true,
        _ => return error(404, "record_not_found", "No such route."),
    };
    let token = Authority::bearer(request).unwrap_or_default();
    let Some(grant) = authority.access(at, token).cloned() else {
        return error(
            401,
            "unauthorized",
            "The access token is missing, invalid or revoked.",
        );
    };
    if let Some(until) = authority.over_limit(at, token) {
        let reply = error(429, "too_many_requests", "Slow down.");
        return wire::with(reply, RETRY_AFTER, &until.since(at).as_secs().to_string());
    }
    if request.method != Method::GET {
        return wire::method_not_allowed("GET");
    }
    match (for_user, grant.subject) {
        (false, None) => wire::json(
            200,
            &json!({ "suggestions": [{ "id": 1, "title": "More twins" }], "pagination": { "page": 1 } }),
        ),
        (true, Some(subject)) => wire::json(200, &json!({ "users": [{ "id": subject }] })),
        _ => error(
            403,
            "forbidden",
            "This token is of the wrong kind for this route.",
        ),
    }
}

fn error(status: u16, key: &str, message: &str) -> Reply {
    wire::json(
        status,
        &json!({ "errors": [{ "key": key, "message": message }] }),
    )
}
