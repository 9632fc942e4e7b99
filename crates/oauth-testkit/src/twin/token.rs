//! `POST {token_endpoint}`: exchanges a grant for a token.
//!
//! RFC 6749 sections 4.1.3, 4.3.2, 4.4.2 and 6, RFC 7636 section 4.6, RFC 8628 section 3.4

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Method;
use oauth_core::moment::UnixTime;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::authority::{Authority, Grant};
use super::authorize::SUBJECT;
use super::client_auth::Client;
use super::rules::Rotation;
use super::sender_constrained::{self, Binding};
use super::wire::{self, ReceivedRequest, Reply, repeated};
use super::{assertion, ciba, grant_details, personality, saml, token_exchange};

pub(super) const AUTHORIZATION_CODE: &str = "authorization_code";
pub(super) const REFRESH_TOKEN: &str = "refresh_token";
pub(super) const CLIENT_CREDENTIALS: &str = "client_credentials";
pub(super) const PASSWORD: &str = "password";
pub(super) const DEVICE_CODE: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// The resource owner of the password grant.
pub(super) const USERNAME: &str = "alice";
pub(super) const USER_PASSWORD: &str = "w0nder+land & more";

type Refusal = (&'static str, &'static str);

pub(super) fn token(authority: &mut Authority, at: UnixTime, request: &ReceivedRequest) -> Reply {
    if let Err(reply) = well_formed(request) {
        return *reply;
    }
    let Some(grant_type) = request.form("grant_type") else {
        return wire::refusal("invalid_request", "grant_type is missing");
    };
    let (confidential, public) = authority.rules.grants;
    if !confidential.contains(&grant_type) && !public.contains(&grant_type) {
        return wire::refusal(
            "unsupported_grant_type",
            "this server does not support the grant",
        );
    }
    if let Some((error, description)) = personality::token_request_error(authority, at, request) {
        return personality::deviate_error_response(authority, wire::refusal(error, description));
    }
    let client = match assertion::anonymous_client(request, grant_type) {
        Some(client) => client,
        None => match authority.authenticate(at, request, grant_type) {
            Ok(client) => client,
            Err(reply) => return *reply,
        },
    };
    let allowed = if client.is_public {
        public
    } else {
        confidential
    };
    let is_registered = authority.registrations.allows_grant(&client.id, grant_type);
    if !allowed.contains(&grant_type) || !is_registered {
        return wire::refusal("unauthorized_client", "this client may not use the grant");
    }
    authority.binding = match sender_constrained::binding(authority, at, request) {
        Ok(binding) => binding,
        Err((error, description)) => {
            sender_constrained::spend(authority, at, request, error);
            return wire::refusal(error, description);
        }
    };
    let outcome = match grant_type {
        CLIENT_CREDENTIALS => client_credentials(authority, at, request, client),
        AUTHORIZATION_CODE => authorization_code(authority, at, request, &client),
        REFRESH_TOKEN => refresh_token(authority, at, request, &client),
        PASSWORD => password(authority, at, request, client),
        DEVICE_CODE => device_code(authority, at, request, &client),
        saml::GRANT => saml::token(authority, at, request, client),
        ciba::GRANT => ciba::token(authority, at, request, &client),
        assertion::GRANT => assertion::token(authority, at, request, client),
        _ => token_exchange::token(authority, at, request, client),
    };
    match outcome {
        Ok(reply) => wire::unstored(200, &personality::deviate_token_response(authority, reply)),
        Err((error, description)) => {
            personality::deviate_error_response(authority, wire::refusal(error, description))
        }
    }
}

/// Checks the form of a request as every endpoint with client authentication does.
pub(super) fn well_formed(request: &ReceivedRequest) -> Result<(), Box<Reply>> {
    if request.method != Method::POST {
        return Err(Box::new(wire::method_not_allowed("POST")));
    }
    let description = match request.form.as_deref().map(repeated) {
        None => "the body is not a form",
        // "Request and response parameters MUST NOT be included more than once." (RFC 6749 3.2)
        Some(Some(_)) => "a parameter is repeated",
        Some(None) => return Ok(()),
    };
    Err(Box::new(wire::refusal("invalid_request", description)))
}

fn client_credentials(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: Client,
) -> Result<Value, Refusal> {
    let scope = authority
        .scope(request.form("scope"))
        .map_err(|description| ("invalid_scope", description))?;
    let grant = Grant {
        client_id: client.id,
        subject: None,
        scope,
        family: authority.new_family(),
        details: grant_details::read(authority, request.form("authorization_details"))?,
        resources: grant_details::resources(authority, request.form.as_deref())?,
        ..Grant::default()
    };
    // "A refresh token SHOULD NOT be included." (4.4.3)
    Ok(authority.issue(at, grant, false))
}

fn authorization_code(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: &Client,
) -> Result<Value, Refusal> {
    let requested_resources = grant_details::resources(authority, request.form.as_deref())?;
    let presented_code = request
        .form("code")
        .ok_or(("invalid_request", "code is missing"))?;
    let code = authority
        .codes
        .get_mut(presented_code)
        .ok_or(("invalid_grant", "unknown code"))?;
    if code.grant.client_id != client.id {
        return Err(("invalid_grant", "the code was issued to a different client"));
    }
    if code.spent {
        // "SHOULD revoke (when possible) all tokens previously issued based on that
        // authorization code" (4.1.2)
        let family = code.grant.family;
        authority.revoke_family(family);
        return Err(("invalid_grant", "the code was used before"));
    }
    if at >= code.expires {
        return Err(("invalid_grant", "the code has expired"));
    }
    let shown = match &authority.binding {
        Some(Binding::Key(jkt)) => Some(jkt),
        _ => None,
    };
    if code.jkt.is_some() && code.jkt.as_ref() != shown {
        return Err(("invalid_dpop_proof", "the code is bound to a different key"));
    }
    if code.redirect_uri.as_deref() != request.form("redirect_uri") {
        return Err((
            "invalid_grant",
            "redirect_uri differs from that of the authorization request",
        ));
    }
    let proved = match (&code.challenge, request.form("code_verifier")) {
        (Some(challenge), Some(verifier)) => {
            is_verifier(verifier) && URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == *challenge
        }
        // A verifier without a challenge is a downgrade attack (RFC 9700 section 4.8.2).
        (challenge, verifier) => challenge.is_none() && verifier.is_none(),
    };
    if !proved {
        return Err((
            "invalid_grant",
            "the code_verifier does not match the code_challenge",
        ));
    }
    let mut grant = code.grant.clone();
    narrow(&mut grant, requested_resources)?;
    code.spent = true;
    Ok(authority.issue(at, grant, true))
}

/// "the client requests [...] a token for a subset of the resources" (RFC 8707 section 2.2)
fn narrow(grant: &mut Grant, requested: Vec<String>) -> Result<(), Refusal> {
    if requested
        .iter()
        .any(|resource| !grant.resources.contains(resource))
    {
        return Err(("invalid_target", "the resource was not granted"));
    }
    if !requested.is_empty() {
        grant.resources = requested;
    }
    Ok(())
}

/// RFC 7636 section 4.1.
fn is_verifier(text: &str) -> bool {
    (43..=128).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"-._~".contains(&b))
}

fn refresh_token(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: &Client,
) -> Result<Value, Refusal> {
    let requested_resources = grant_details::resources(authority, request.form.as_deref())?;
    let refresh_token = request
        .form("refresh_token")
        .ok_or(("invalid_request", "refresh_token is missing"))?;
    let rotation = authority.rules.rotation;
    let refresh = authority
        .refresh
        .get_mut(refresh_token)
        .ok_or(("invalid_grant", "unknown refresh token"))?;
    if refresh.grant.client_id != client.id {
        return Err((
            "invalid_grant",
            "the token was issued to a different client",
        ));
    }
    if refresh.is_spent(at, rotation) {
        // Two parties have the same token, and it is unknown which is the attacker (RFC 9700 4.14.2).
        let family = refresh.grant.family;
        authority.counters.reuse_events += 1;
        authority.revoke_family(family);
        return Err((
            "invalid_grant",
            "the refresh token was used before; its family is revoked",
        ));
    }
    if refresh.dead || refresh.expires.is_some_and(|expires| at >= expires) {
        return Err(("invalid_grant", "the refresh token is expired or revoked"));
    }
    let mut grant = refresh.grant.clone();
    if let Some(scope) = request
        .form("scope")
        .filter(|_| !authority.rules.scopes.is_empty())
    {
        // "MUST NOT include any scope not originally granted by the resource owner" (6)
        let granted: Vec<&str> = grant.scope.split(' ').collect();
        if !scope.split(' ').all(|part| granted.contains(&part)) {
            return Err(("invalid_scope", "more scope than was granted"));
        }
        grant.scope = scope.to_owned();
    }
    narrow(&mut grant, requested_resources)?;
    if matches!(rotation, Rotation::Strict | Rotation::Grace(_)) {
        refresh.spent.get_or_insert(at);
    }
    authority.counters.refreshes += 1;
    Ok(authority.issue(at, grant, rotation != Rotation::Never))
}

fn password(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: Client,
) -> Result<Value, Refusal> {
    let (Some(username), Some(password)) = (request.form("username"), request.form("password"))
    else {
        return Err(("invalid_request", "username or password is missing"));
    };
    if (username, password) != (USERNAME, USER_PASSWORD) {
        return Err(("invalid_grant", "wrong username or password"));
    }
    let scope = authority
        .scope(request.form("scope"))
        .map_err(|description| ("invalid_scope", description))?;
    let subject = Some(SUBJECT.to_owned());
    let grant = Grant {
        client_id: client.id,
        subject,
        scope,
        family: authority.new_family(),
        ..Grant::default()
    };
    Ok(authority.issue(at, grant, true))
}

fn device_code(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: &Client,
) -> Result<Value, Refusal> {
    let device_code = request
        .form("device_code")
        .ok_or(("invalid_request", "device_code is missing"))?;
    let device = authority
        .devices
        .get_mut(device_code)
        .ok_or(("invalid_grant", "unknown device code"))?;
    let grant = device.awaited.poll(at, &client.id)?;
    Ok(authority.issue(at, grant, true))
}
