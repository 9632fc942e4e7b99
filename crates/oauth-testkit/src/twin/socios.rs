//! Socios.com Partner API: a WSO2 API Manager, whose routes require one of two kinds of token.
//!
//! Its deviations: Basic without form encoding for one grant, the body for another, a
//! `token_type` in lower case, and two kinds of token, each with routes of its own.

use std::borrow::Cow;

use http::Method;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::authority::Authority;
use super::rules::{Accepts, Basic, Paths, Rotation, Rules, Shape};
use super::token::{AUTHORIZATION_CODE, CLIENT_CREDENTIALS, REFRESH_TOKEN};
use super::wire::{self, ReceivedRequest, Reply};

pub(super) fn rules(base: &str) -> Rules {
    Rules {
        issuer: base.to_owned(),
        paths: Paths {
            authorize: "/oauth2/authorize".to_owned(),
            token: "/oauth2/token".to_owned(),
            revoke: "/oauth2/revoke".to_owned(),
            ..Paths::default()
        },
        metadata: Default::default(),
        client_id: "sociosConsumerKey",
        // Form-encoding would change it, which the twin would notice.
        client_secret: "c0nsumer+s3cret/xyz",
        public_client_id: "",
        grants: (
            &[CLIENT_CREDENTIALS, AUTHORIZATION_CODE, REFRESH_TOKEN],
            &[],
        ),
        redirect_uris: vec!["https://app.example/callback".to_owned()],
        any_loopback_port: false,
        scopes: &[],
        default_scope: None,
        accepts: |purpose| {
            let in_body = purpose == AUTHORIZATION_CODE;
            let basic = if in_body { Basic::Refused } else { Basic::Raw };
            Accepts {
                basic,
                body: in_body,
                public: false,
            }
        },
        public_needs_pkce: false,
        challenge_alias: false,
        sends_iss: false,
        alg: Alg::Rs256,
        sender: None,
        fapi: None,
        reply: Shape {
            token_type: Some("bearer"),
            expires_in: true,
            refresh_token: true,
            ..Shape::default()
        },
        deviations: &[],
        access_lifetime: Some(7200),
        refresh_lifetime: Some(7_776_000),
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
    // RFC 3986 section 6: an escaped slash does not separate segments.
    let segments = request.path.trim_start_matches('/').split('/');
    let segments = segments.map(|segment| percent_decode_str(segment).decode_utf8_lossy());
    let segments: Vec<Cow<'_, str>> = segments.collect();
    let route: Vec<&str> = segments.iter().map(AsRef::as_ref).collect();
    let token = Authority::bearer(request).unwrap_or_default();
    let grant = authority.access(at, token).cloned();
    let subject = grant.as_ref().and_then(|grant| grant.subject.as_deref());
    // "a path segment `user` needs the user's token, everything else the application's": the
    // gateway asks before it looks for the route.
    if grant.is_some() && route.contains(&"user") != subject.is_some() {
        return wire::json(
            403,
            &json!({ "message": "This route needs the other kind of token" }),
        );
    }
    let data = match (&request.method, route.as_slice()) {
        (&Method::GET, ["polls", _, "polls"]) => json!([{ "id": "1", "title": "Which song?" }]),
        (&Method::GET, ["wallet", _, "user", "wallet"]) => json!({ "userId": subject }),
        (&Method::GET, ["user", "polls"]) => json!([{ "id": "1", "voted": false }]),
        (&Method::POST, ["user", "poll", poll, "vote"]) => json!({ "pollId": poll }),
        _ => return wire::not_found(),
    };
    if grant.is_none() {
        let reply = wire::json(401, &json!({ "message": "Invalid credentials" }));
        return wire::with(reply, WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"");
    }
    if let Some(until) = authority.over_limit(at, token) {
        let reply = wire::json(429, &json!({ "message": "Message throttled out" }));
        return wire::with(reply, RETRY_AFTER, &until.since(at).as_secs().to_string());
    }
    wire::json(200, &json!({ "data": data }))
}
