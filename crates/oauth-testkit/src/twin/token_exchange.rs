//! Token exchange of the twin: for a subject, with an actor, or for an identity assertion for a different server.
//!
//! RFC 8693 sections 2 and 4.1, draft-ietf-oauth-identity-assertion-authz-grant section 4.3

use oauth_core::moment::UnixTime;
use serde_json::{Value, json};

use super::authority::{Authority, Grant};
use super::client_auth::Client;
use super::grant_details;
use super::id_token;
use super::wire::{ReceivedRequest, find};
use super::workload;

pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";
const REFRESH_TOKEN: &str = "urn:ietf:params:oauth:token-type:refresh_token";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
pub(super) const ID_JAG: &str = "urn:ietf:params:oauth:token-type:id-jag";
/// The type of an identity assertion (section 3 of the draft).
pub(super) const ID_JAG_TYP: &str = "oauth-id-jag+jwt";
/// The lifetime of an identity assertion, in seconds.
const IDENTITY_ASSERTION_SECONDS: u64 = 300;

type Refusal = (&'static str, &'static str);

pub(super) fn token(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: Client,
) -> Result<Value, Refusal> {
    let (Some(subject), Some(kind)) = (
        request.form("subject_token"),
        request.form("subject_token_type"),
    ) else {
        return Err(("invalid_request", "subject_token or its type is missing"));
    };
    match request.form("requested_token_type").unwrap_or(ACCESS_TOKEN) {
        ACCESS_TOKEN if kind == ACCESS_TOKEN => access(authority, at, request, client, subject),
        ACCESS_TOKEN if kind == workload::JWT => {
            let mut reply = workload::exchanged(authority, at, request, client, subject)?;
            reply["issued_token_type"] = ACCESS_TOKEN.into();
            Ok(reply)
        }
        ACCESS_TOKEN => Err(("invalid_request", "only access tokens can be exchanged")),
        ID_JAG => identity_assertion(authority, at, request, &client, (subject, kind)),
        _ => Err(("invalid_request", "tokens of this type are not issued")),
    }
}

/// Exchanges a valid access token of this server for another one, of the same or a narrower scope.
fn access(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: Client,
    subject: &str,
) -> Result<Value, Refusal> {
    // RFC 8693 section 2.2.2 requires invalid_request for an unacceptable subject token.
    let subject = authority
        .access(at, subject)
        .ok_or(("invalid_request", "the subject_token is invalid"))?;
    let mut grant = Grant {
        client_id: client.id,
        ..subject.clone()
    };
    if let Some(actor) = actor(authority, at, request)? {
        // "A chain of delegation can be expressed by nesting one act claim within another" (section 4.1)
        let earlier = std::mem::replace(&mut grant.actor, actor);
        if !earlier.is_null() {
            grant.actor["act"] = earlier;
        }
    }
    if let Some(scope) = request.form("scope") {
        if !scope
            .split(' ')
            .all(|part| grant.scope.split(' ').any(|granted| granted == part))
        {
            return Err(("invalid_scope", "more scope than the subject_token has"));
        }
        grant.scope = scope.to_owned();
    }
    let targets = targets(request)?;
    if !targets.is_empty() {
        grant.resources = targets;
    }
    let mut reply = authority.issue(at, grant, false);
    reply["issued_token_type"] = ACCESS_TOKEN.into();
    Ok(reply)
}

/// The `act` claim of an actor token, which must be a valid access token of this server; token and type must both be
/// present (section 2.1).
fn actor(
    authority: &Authority,
    at: UnixTime,
    request: &ReceivedRequest,
) -> Result<Option<Value>, Refusal> {
    let wrong = |description| ("invalid_request", description);
    match (
        request.form("actor_token"),
        request.form("actor_token_type"),
    ) {
        (None, None) => Ok(None),
        (Some(token), Some(ACCESS_TOKEN)) => {
            let actor = authority.access(at, token);
            let actor = actor.ok_or(wrong("the actor_token is invalid"))?;
            let name = actor.subject.as_deref().unwrap_or(&actor.client_id);
            Ok(Some(json!({ "sub": name })))
        }
        (Some(_), Some(_)) => Err(wrong("the actor_token must be an access token")),
        _ => Err(wrong(
            "actor_token and actor_token_type must be sent together",
        )),
    }
}

/// The requested targets: resources and audiences.
pub(super) fn targets(request: &ReceivedRequest) -> Result<Vec<String>, Refusal> {
    let pairs = request.form.as_deref().unwrap_or_default();
    let mut targets = grant_details::targets(pairs)?;
    let audiences = pairs.iter().filter(|(name, _)| name == "audience");
    targets.extend(audiences.map(|(_, value)| value.clone()));
    Ok(targets)
}

/// Issues an identity assertion for a different server, about the user who has signed in to this client here.
fn identity_assertion(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: &Client,
    subject: (&str, &str),
) -> Result<Value, Refusal> {
    let person = person(authority, at, client, subject)?;
    if request.form("actor_token").is_some() {
        return Err((
            "invalid_request",
            "an identity assertion cannot have an actor",
        ));
    }
    let pairs = request.form.as_deref().unwrap_or_default();
    let mut audiences = pairs.iter().filter(|(name, _)| name == "audience");
    let (Some((_, audience)), None) = (audiences.next(), audiences.next()) else {
        return Err(("invalid_request", "there must be exactly one audience"));
    };
    let client_id = authority.trust.client_id_for(audience);
    let client_id = client_id.ok_or(("invalid_target", "the audience is unknown"))?;
    let mut claims = json!({
        "iss": authority.rules.issuer,
        "sub": person,
        "aud": audience,
        "client_id": client_id,
        "iat": at.as_secs(),
        "exp": at.as_secs().saturating_add(IDENTITY_ASSERTION_SECONDS),
    });
    let resources = grant_details::targets(pairs)?;
    match resources.as_slice() {
        [] => {}
        [one] => claims["resource"] = one.as_str().into(),
        many => claims["resource"] = many.into(),
    }
    // Only the other server knows its scopes.
    let scope = find(pairs, "scope");
    if let Some(scope) = scope {
        claims["scope"] = scope.into();
    }
    claims["jti"] = authority.new_value(at, "assertion").into();
    let header = json!({
        "alg": authority.rules.alg.as_str(),
        "kid": authority.key_id,
        "typ": ID_JAG_TYP,
    });
    let mut reply = json!({
        "issued_token_type": ID_JAG,
        "access_token": id_token::sign(&header, &claims),
        "token_type": "N_A",
        "expires_in": IDENTITY_ASSERTION_SECONDS,
    });
    if let Some(scope) = scope {
        reply["scope"] = scope.into();
    }
    Ok(reply)
}

/// The user who has signed in to this client, by the subject token.
fn person(
    authority: &Authority,
    at: UnixTime,
    client: &Client,
    (token, kind): (&str, &str),
) -> Result<String, Refusal> {
    let wrong = |description| ("invalid_grant", description);
    match kind {
        ID_TOKEN => {
            let jwt = id_token::parse_own_token(authority, token).map_err(wrong)?;
            if jwt.text("aud") != Some(&client.id) {
                return Err(wrong("the ID token was issued to a different client"));
            }
            jwt.check_validity_period(at).map_err(wrong)?;
            let person = jwt.text("sub").map(str::to_owned);
            person.ok_or(wrong("the ID token has no sub"))
        }
        REFRESH_TOKEN => {
            let refresh = authority.refresh.get(token);
            let rotation = authority.rules.rotation;
            let refresh =
                refresh.filter(|one| one.is_live(at, rotation) && one.grant.client_id == client.id);
            let person = refresh.and_then(|one| one.grant.subject.clone());
            person.ok_or(wrong("the refresh token is invalid, or has no user"))
        }
        _ => Err(("invalid_request", "the subject_token must identify a user")),
    }
}
