//! Assertion grants of the twin: a JWT signed by its own issuer, or by an identity provider.
//!
//! RFC 7521 section 4.1, RFC 7523 sections 2.1 and 3, draft-ietf-oauth-identity-assertion-authz-grant section 4.4

use http::header::AUTHORIZATION;
use oauth_core::moment::UnixTime;
use serde_json::Value;

use super::authority::{Authority, Grant};
use super::client_auth::Client;
use super::jwt::Jwt;
use super::token_exchange::ID_JAG_TYP;
use super::wire::ReceivedRequest;
use super::workload;

pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The profile with which a server announces that it accepts identity assertions (section 7.2 of the draft).
pub(super) const ID_JAG_PROFILE: &str = "urn:ietf:params:oauth:grant-profile:id-jag";

type Refusal = (&'static str, &'static str);

/// The client to assume for a request that names none: "Authentication of the client is optional" (RFC 7521 section
/// 4.1), and a service account is not a client. `None` if the request names its client.
pub(super) fn anonymous_client(request: &ReceivedRequest, grant_type: &str) -> Option<Client> {
    let has_client_auth = request.headers.contains_key(AUTHORIZATION)
        || ["client_id", "client_secret", "client_assertion"]
            .iter()
            .any(|name| request.form(name).is_some());
    let is_workload = workload::nobody(request, grant_type);
    ((grant_type == GRANT || is_workload) && !has_client_auth).then(|| Client {
        id: String::new(),
        is_public: !is_workload,
    })
}

pub(super) fn token(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: Client,
) -> Result<Value, Refusal> {
    let wrong = |description| ("invalid_grant", description);
    let assertion = request
        .form("assertion")
        .ok_or(("invalid_request", "assertion is missing"))?;
    let jwt = Jwt::read(assertion).map_err(wrong)?;
    let typ = jwt.header["typ"].as_str().unwrap_or_default();
    let typ = typ.strip_prefix("application/").unwrap_or(typ);
    let grant = if typ.eq_ignore_ascii_case(ID_JAG_TYP) {
        verify_identity_assertion(authority, at, request, client, jwt)?
    } else {
        verify_own_assertion(authority, at, request, client, jwt)?
    };
    // "Refresh tokens SHOULD NOT be issued" (RFC 7521 section 4.1)
    Ok(authority.issue(at, grant, false))
}

/// The grant of an assertion that is signed with a registered key.
fn verify_own_assertion(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: Client,
    jwt: Jwt,
) -> Result<Grant, Refusal> {
    let wrong = |description| ("invalid_grant", description);
    let jwt = authority.trust.signed(jwt).map_err(wrong)?;
    let token_endpoint = format!("{}{}", authority.base, authority.rules.paths.token);
    let google_audience = authority.service_accounts.as_deref();
    let is_this_server = |name: &Value| {
        *name == *authority.rules.issuer
            || *name == *token_endpoint
            || google_audience.is_some_and(|google| *name == *google)
    };
    let names_this_server = match &jwt.claims["aud"] {
        Value::Array(many) => many.iter().any(is_this_server),
        one => is_this_server(one),
    };
    if !names_this_server {
        return Err(wrong("aud must be the issuer or the token endpoint"));
    }
    jwt.check_validity_period(at).map_err(wrong)?;
    // A Google service account acts for itself, unless it names a user; its assertion contains the scope.
    let is_account = google_audience.is_some_and(|google| jwt.claims["aud"] == *google);
    let subject = text(&jwt, "sub").or_else(|| text(&jwt, "iss").filter(|_| is_account));
    let subject = subject.ok_or(wrong("the assertion has no sub"))?;
    if let Some(jti) = jwt.text("jti") {
        use_once(authority, &jwt, jti)?;
    }
    let scope = authority
        .scope(if is_account {
            jwt.text("scope")
        } else {
            request.form("scope")
        })
        .map_err(|description| ("invalid_scope", description))?;
    let client_id = if client.id.is_empty() {
        text(&jwt, "iss").unwrap_or_default()
    } else {
        client.id
    };
    Ok(Grant {
        client_id,
        subject: Some(subject),
        scope,
        family: authority.new_family(),
        ..Grant::default()
    })
}

/// The grant of an identity assertion: signed by an identity provider, about a user and for this client.
fn verify_identity_assertion(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: Client,
    jwt: Jwt,
) -> Result<Grant, Refusal> {
    let wrong = |description| ("invalid_grant", description);
    if client.is_public {
        return Err((
            "unauthorized_client",
            "the client must authenticate to use an identity assertion",
        ));
    }
    let jwt = authority.trust.verify_trusted(jwt).map_err(wrong)?;
    // One string: "aud: the issuer identifier of the resource authorization server".
    if jwt.text("aud") != Some(&authority.rules.issuer) {
        return Err(wrong("the assertion is for a different server"));
    }
    if jwt.text("client_id") != Some(&client.id) {
        return Err(wrong("the assertion was issued to a different client"));
    }
    jwt.check_validity_period(at).map_err(wrong)?;
    if jwt.claims.get("cnf").is_some() {
        return Err(wrong(
            "the assertion is bound to a key, but the request has no proof of it",
        ));
    }
    let subject = text(&jwt, "sub").ok_or(wrong("the assertion has no sub"))?;
    let jti = text(&jwt, "jti").ok_or(wrong("an identity assertion must have a jti"))?;
    let allowed = jwt.text("scope");
    let requested = request.form("scope");
    let is_allowed = |part: &str| {
        let mut allowed = allowed.unwrap_or_default().split(' ');
        allowed.any(|name| name == part)
    };
    if !requested.is_none_or(|requested| requested.split(' ').all(is_allowed)) {
        return Err(("invalid_scope", "more scope than the assertion allows"));
    }
    let scope = authority
        .scope(requested.or(allowed))
        .map_err(|description| ("invalid_scope", description))?;
    let resources = match &jwt.claims["resource"] {
        Value::String(one) => vec![one.clone()],
        Value::Array(many) => {
            let texts = many.iter().filter_map(Value::as_str);
            texts.map(str::to_owned).collect()
        }
        _ => Vec::new(),
    };
    use_once(authority, &jwt, &jti)?;
    Ok(Grant {
        client_id: client.id,
        subject: Some(subject),
        scope,
        family: authority.new_family(),
        resources,
        ..Grant::default()
    })
}

fn text(jwt: &Jwt, name: &str) -> Option<String> {
    let text = jwt.text(name).filter(|text| !text.is_empty());
    text.map(str::to_owned)
}

/// Checks that an issuer's assertion is used only once.
fn use_once(authority: &mut Authority, jwt: &Jwt, jti: &str) -> Result<(), Refusal> {
    let issuer = jwt.text("iss").unwrap_or_default();
    if authority.seen.insert(format!("grant {issuer} {jti}")) {
        Ok(())
    } else {
        Err(("invalid_grant", "the assertion was used before"))
    }
}
