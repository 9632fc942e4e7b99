//! `POST` to the revocation, introspection and device authorization endpoints.
//!
//! RFC 7009 section 2, RFC 7662 section 2, RFC 8628 section 3.1

use bytes::Bytes;
use http::header::ACCEPT;
use oauth_core::moment::UnixTime;
use serde_json::{Value, json};

use super::authority::{Authority, Device, Grant, Refresh};
use super::client_auth::Client;
use super::id_token;
use super::pending_approval::Awaited;
use super::sender_constrained::Binding;
use super::token::{DEVICE_CODE, well_formed};
use super::wire::{self, ReceivedRequest, Reply};

pub(super) const REVOCATION: &str = "revocation";
pub(super) const INTROSPECTION: &str = "introspection";
pub(super) const DEVICE_AUTHORIZATION: &str = "device_authorization";

/// The media type of signed introspection responses.
const INTROSPECTION_JWT: &str = "application/token-introspection+jwt";

/// The lifetime of a device code, in seconds.
const DEVICE_CODE_SECONDS: u64 = 600;

pub(super) fn revoke(authority: &mut Authority, at: UnixTime, request: &ReceivedRequest) -> Reply {
    let client =
        match well_formed(request).and_then(|()| authority.authenticate(at, request, REVOCATION)) {
            Ok(client) => client,
            Err(reply) => return *reply,
        };
    let Some(token) = request.form("token") else {
        return wire::refusal("invalid_request", "token is missing");
    };
    let family = match authority.refresh.get(token) {
        Some(refresh) if refresh.grant.client_id != client.id => return foreign(),
        Some(refresh) => Some(refresh.grant.family),
        None => None,
    };
    // A refresh token takes its access tokens with it (RFC 7009 section 2.1).
    if let Some(family) = family {
        authority.revoke_family(family);
    } else if authority.revoke_access(token, &client.id).is_err() {
        return foreign();
    }
    authority.counters.revocations += 1;
    // "invalid tokens do not cause an error response" (2.2)
    wire::plain(200, "text/plain", Bytes::new())
}

fn foreign() -> Reply {
    wire::refusal(
        "invalid_grant",
        "the token was issued to a different client",
    )
}

pub(super) fn introspect(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
) -> Reply {
    let client = match well_formed(request)
        .and_then(|()| authority.authenticate(at, request, INTROSPECTION))
    {
        Ok(client) => client,
        Err(reply) => return *reply,
    };
    let Some(token) = request.form("token") else {
        return wire::refusal("invalid_request", "token is missing");
    };
    authority.counters.introspections += 1;
    let access = authority.access(at, token).map(|grant| {
        let (issued, expires) = authority.access_times(token).unwrap_or((at, None));
        (grant, Some(issued), expires)
    });
    let live = |r: &&Refresh| r.is_live(at, authority.rules.rotation);
    let refresh = || {
        authority
            .refresh
            .get(token)
            .filter(live)
            .map(|r| (&r.grant, None, r.expires))
    };
    let Some((grant, issued, expires)) = access.or_else(refresh) else {
        return introspection_response(
            authority,
            at,
            request,
            &client,
            &json!({ "active": false }),
        );
    };
    let mut reply = json!({
        "active": true,
        "iss": authority.rules.issuer,
        "client_id": grant.client_id,
        "sub": grant.subject.as_deref().unwrap_or(&grant.client_id),
        "scope": grant.scope,
    });
    if let Some(issued) = issued {
        let cnf = match authority.bound(token) {
            Some(Binding::Key(jkt)) => json!({ "jkt": jkt }),
            Some(Binding::Certificate(thumbprint)) => json!({ "x5t#S256": thumbprint }),
            None => Value::Null,
        };
        let by_key = cnf.get("jkt").is_some();
        reply["token_type"] = if by_key { "DPoP" } else { "Bearer" }.into();
        if !cnf.is_null() {
            reply["cnf"] = cnf;
        }
        reply["iat"] = issued.as_secs().into();
    }
    // RFC 9470 section 6.2
    if let Some(auth_time) = grant.auth_time {
        reply["auth_time"] = auth_time.as_secs().into();
    }
    if let Some(acr) = &grant.login.acr {
        reply["acr"] = acr.as_str().into();
    }
    if !grant.details.is_null() {
        reply["authorization_details"] = grant.details.clone();
    }
    if !grant.resources.is_empty() {
        reply["aud"] = grant.resources.clone().into();
    }
    if !grant.actor.is_null() {
        reply["act"] = grant.actor.clone();
    }
    if let Some(expires) = expires {
        reply["exp"] = expires.as_secs().into();
    }
    introspection_response(authority, at, request, &client, &reply)
}

/// The response, signed if the client requests that (RFC 9701 sections 4 and 5).
fn introspection_response(
    authority: &Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: &Client,
    reply: &Value,
) -> Reply {
    let accepts_jwt = request
        .header(ACCEPT)
        .is_some_and(|types| types.contains(INTROSPECTION_JWT));
    if authority.rules.fapi.is_none() || !accepts_jwt {
        return wire::unstored(200, reply);
    }
    let claims = json!({
        "iss": authority.rules.issuer,
        "aud": client.id,
        "iat": at.as_secs(),
        "token_introspection": reply,
    });
    let header = json!({
        "typ": "token-introspection+jwt",
        "alg": authority.rules.alg.as_str(),
        "kid": authority.key_id,
    });
    match id_token::sign(&header, &claims) {
        Some(jwt) => wire::plain(200, INTROSPECTION_JWT, jwt),
        None => wire::refusal("server_error", "there is no key"),
    }
}

pub(super) fn device_authorization(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    base: &str,
) -> Reply {
    let client = match well_formed(request)
        .and_then(|()| authority.authenticate(at, request, DEVICE_AUTHORIZATION))
    {
        Ok(client) => client,
        Err(reply) => return *reply,
    };
    let allowed = if client.is_public {
        authority.rules.grants.1
    } else {
        authority.rules.grants.0
    };
    if !allowed.contains(&DEVICE_CODE) {
        return wire::refusal("unauthorized_client", "this client may not use the grant");
    }
    let scope = match authority.scope(request.form("scope")) {
        Ok(scope) => scope,
        Err(description) => return wire::refusal("invalid_scope", description),
    };
    let device_code = authority.new_value(at, "device");
    let user_code: String = authority
        .new_value(at, "user")
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .map(|c| c.to_ascii_uppercase())
        .take(8)
        .collect();
    let page = format!("{base}{}", authority.rules.paths.device_page);
    let reply = json!({
        "device_code": device_code,
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": DEVICE_CODE_SECONDS,
        "interval": authority.interval,
    });
    let subject = Some(authority.person.subject(None));
    let grant = Grant {
        client_id: client.id,
        subject,
        scope,
        family: authority.new_family(),
        ..Grant::default()
    };
    let device = Device {
        user_code,
        awaited: Awaited::new(at, grant, DEVICE_CODE_SECONDS, authority.interval),
    };
    authority.devices.insert(device_code, device);
    wire::unstored(200, &reply)
}
