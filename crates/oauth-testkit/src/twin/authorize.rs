//! `GET {authorization_endpoint}`: the user approves immediately, or denies if a test has set that.
//!
//! RFC 6749 section 4.1.1, RFC 7636 section 4.3, RFC 9207 section 2

use http::Method;
use oauth_core::moment::UnixTime;
use serde_json::{Value, json};

use super::authority::{Authority, Code, Grant, plus};
use super::faults::Fault;
use super::grant_details;
use super::id_token::{self, IdTokenFlaw};
use super::pending_approval::Approval;
use super::personality;
use super::request_object;
use super::response_encryption;
use super::step_up::Login;
use super::wire::{self, ReceivedRequest, Reply, repeated};

const CODE_LIFETIME: u64 = 60;
/// The lifetime of a signed response, in seconds.
const RESPONSE_LIFETIME: u64 = 600;

/// The subject of the user who approves all requests.
pub(super) const SUBJECT: &str = "user-248289761001";

pub(super) fn authorize(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    fault: Option<&Fault>,
) -> Reply {
    if request.method != Method::GET {
        return wire::method_not_allowed("GET");
    }
    // Without a registered redirect URI, an error is shown on this page (RFC 6749 4.1.2.1).
    if request.query("client_secret").is_some() {
        return wire::page(400, "A client secret must never be in a URL.");
    }
    let received = request;
    let resolved = match request_object::resolved(authority, at, request) {
        Ok(resolved) => resolved,
        Err(description) => return wire::page(400, description),
    };
    let request = resolved.as_ref().unwrap_or(received);
    if let Some(name) = repeated(&request.query) {
        return wire::page(400, &format!("{} is repeated.", printable(name)));
    }
    let Some(client_id) = request.query("client_id").filter(|id| knows(authority, id)) else {
        return wire::page(400, "Unknown client.");
    };
    let Some(redirect_uri) = target(authority, client_id, request.query("redirect_uri")) else {
        return wire::page(400, "The redirect_uri is not registered.");
    };

    let is_s256 = request.query("code_challenge_method") == Some("S256");
    let approval = match fault {
        Some(Fault::RefusedS256) if is_s256 => Err(("invalid_request", "S256 is not supported")),
        _ => approve(authority, at, request, client_id),
    };
    let mut callback = match approval {
        Ok((code, id_token)) => {
            let flaw = match fault {
                Some(Fault::IdTokenInCallback { flaw }) => Some(*flaw),
                _ => None,
            };
            let id_token = id_token.and_then(|token| match flaw {
                Some(flaw) => flaw.flawed_token(&token),
                None => Some(token),
            });
            let mut callback = vec![("code", code)];
            callback.extend(id_token.map(|token| ("id_token", token)));
            callback
        }
        Err((error, description)) => vec![
            ("error", error.into()),
            ("error_description", description.into()),
        ],
    };
    match request.query("state") {
        _ if fault == Some(&Fault::MissingStateInCallback) => {}
        _ if fault == Some(&Fault::ForeignStateInCallback) => {
            callback.push(("state", "state-of-another-flow".into()));
        }
        Some(state) => callback.push(("state", state.into())),
        None => {}
    }
    if fault == Some(&Fault::WrongIssuerInCallback) {
        callback.push(("iss", "https://attacker.example".into()));
    } else if authority.rules.sends_iss && fault != Some(&Fault::MissingIssuerInCallback) {
        callback.push(("iss", authority.rules.issuer.clone()));
    }
    let mode = request.query("response_mode");
    let response_mode = match mode.map(|mode| {
        mode.strip_suffix("jwt")
            .map_or((mode, false), |mode| (mode, true))
    }) {
        Some((place, is_signed)) if authority.rules.fapi.is_some() => {
            if is_signed && fault != Some(&Fault::PlainResponse) {
                let flaw = match fault {
                    Some(Fault::ResponseJwt { flaw }) => Some(*flaw),
                    _ => None,
                };
                callback = signed(authority, at, client_id, &callback, flaw);
            }
            Some(place.trim_end_matches('.')).filter(|place| !place.is_empty())
        }
        _ => mode,
    };
    if response_mode == Some("form_post") {
        return wire::posting_page(&redirect_uri, &callback);
    }
    // "the fragment encoding" is the default if the response contains a token (OAuth 2.0 Multiple Response
    // Type Encoding Practices section 5), errors included.
    let in_fragment = match response_mode {
        Some(place) => place == "fragment",
        None => is_hybrid(request),
    };
    let joint = match (in_fragment, redirect_uri.contains('?')) {
        (true, _) => '#',
        (false, true) => '&',
        (false, false) => '?',
    };
    let query = serde_urlencoded::to_string(&callback).unwrap_or_default();
    wire::redirect(302, &format!("{redirect_uri}{joint}{query}"))
}

/// `GET {verification_uri}?user_code=..`: the user approves a device (RFC 8628 section 3.3); without a code, the page
/// asks for it.
pub(super) fn approve_device(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
) -> Reply {
    if request.query("user_code").is_none() {
        return wire::page(
            200,
            "<form><label>Enter the code that your device shows: <input name=\"user_code\" required autofocus></label> \
             <button>Go on</button></form>",
        );
    }
    let denied = authority.deny_next;
    let device = authority.devices.values_mut().find(|device| {
        Some(device.user_code.as_str()) == request.query("user_code")
            && device.awaited.is_pending(at)
    });
    let Some(device) = device else {
        return wire::page(400, "Unknown code.");
    };
    authority.deny_next = false;
    let approval = if denied {
        Approval::Denied
    } else {
        Approval::Approved
    };
    device.awaited.decide(at, approval);
    wire::page(200, if denied { "Denied." } else { "Approved." })
}

/// `GET` or `POST {end_session_endpoint}`: the user is signed out, and sent back to any page at the origin of a
/// registered redirect URI (OpenID Connect RP-Initiated Logout sections 2 and 3).
pub(super) fn end_session(authority: &mut Authority, request: &ReceivedRequest) -> Reply {
    let parameter = |name| request.query(name).or_else(|| request.form(name));
    let Some(home) = parameter(personality::logout_parameter(authority)) else {
        return wire::page(200, "Signed out.");
    };
    let origin = |uri: &str| -> Option<String> {
        let uri: http::Uri = uri.parse().ok()?;
        let is_any_port = authority.rules.any_loopback_port && uri.host() == Some("127.0.0.1");
        let host = if is_any_port {
            uri.host()?
        } else {
            uri.authority()?.as_str()
        };
        Some(format!("{}://{host}", uri.scheme_str()?))
    };
    authority.person.sign_out();
    let registered = &authority.rules.redirect_uris;
    let home_origin = origin(home);
    if home_origin.is_none() || !registered.iter().any(|uri| origin(uri) == home_origin) {
        return wire::page(400, "The post_logout_redirect_uri is not registered.");
    }
    let joint = if home.contains('?') { '&' } else { '?' };
    let state = parameter("state").map(|state| [("state", state)]);
    let query = state.and_then(|state| serde_urlencoded::to_string(state).ok());
    match query {
        Some(query) => wire::redirect(302, &format!("{home}{joint}{query}")),
        None => wire::redirect(302, home),
    }
}

/// The response as one JWT (JARM section 2.1).
fn signed(
    authority: &Authority,
    at: UnixTime,
    client_id: &str,
    callback: &[(&'static str, String)],
    flaw: Option<IdTokenFlaw>,
) -> Vec<(&'static str, String)> {
    let mut claims = json!({
        "iss": authority.rules.issuer,
        "aud": client_id,
        "iat": at.as_secs(),
        "exp": at.as_secs().saturating_add(RESPONSE_LIFETIME),
    });
    for (name, value) in callback {
        claims[*name] = value.as_str().into();
    }
    let jwt = id_token::signed(&claims, &authority.key_id, authority.rules.alg);
    let jwt = jwt.and_then(|jwt| match flaw {
        Some(flaw) => flaw.flawed_token(&jwt),
        None => Some(jwt),
    });
    let jwt = jwt.and_then(|jwt| response_encryption::sealed(authority, jwt));
    jwt.map(|jwt| ("response", jwt)).into_iter().collect()
}

/// Checks that a pushed request could be answered with a code.
pub(super) fn check_pushed_request(
    authority: &Authority,
    request: &ReceivedRequest,
) -> Result<(), Refusal> {
    let client_id = request.query("client_id").filter(|id| knows(authority, id));
    let client_id = client_id.ok_or(("invalid_client", "there is no such client"))?;
    if request.query("redirect_uri").is_none()
        || target(authority, client_id, request.query("redirect_uri")).is_none()
    {
        return Err(("invalid_request", "the redirect_uri is not registered"));
    }
    check_request(authority, request, client_id).map(drop)
}

type Refusal = (&'static str, &'static str);

/// The validated parts of an authorization request, which the user approves.
struct Checked {
    challenge: Option<String>,
    scope: String,
    details: Value,
    resources: Vec<String>,
}

/// Whether an ID token is requested in addition to the code; "the order of values does not matter" (section 3 there).
fn is_hybrid(request: &ReceivedRequest) -> bool {
    matches!(
        request.query("response_type"),
        Some("code id_token" | "id_token code")
    )
}

/// Issues a code and the ID token that accompanies it.
fn approve(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client_id: &str,
) -> Result<(String, Option<String>), Refusal> {
    let checked = check_request(authority, request, client_id)?;
    if std::mem::take(&mut authority.deny_next) {
        return Err(("access_denied", "the user denied the request"));
    }
    authority.person.sign_in(request.query("prompt"))?;

    let code = authority.new_value(at, "code");
    let grant = Grant {
        client_id: client_id.to_owned(),
        subject: Some(authority.person.subject(request.query("login_hint"))),
        scope: checked.scope,
        family: authority.new_family(),
        nonce: request.query("nonce").map(str::to_owned),
        auth_time: Some(at),
        login: Login::for_request(authority, request),
        details: checked.details,
        resources: checked.resources,
        ..Grant::default()
    };
    let id_token = is_hybrid(request).then(|| {
        let mut claims = id_token::claims(&authority.rules.issuer, at, &grant);
        claims["c_hash"] = id_token::half_hash(&code).into();
        claims["s_hash"] = id_token::half_hash(request.query("state").unwrap_or_default()).into();
        id_token::sign_with_deviations(authority, claims)
    });
    let redirect_uri = request.query("redirect_uri").map(str::to_owned);
    let expires = plus(at, CODE_LIFETIME);
    authority.codes.insert(
        code.clone(),
        Code {
            grant,
            redirect_uri,
            challenge: checked.challenge,
            // A server that does not bind tokens to keys ignores this unknown parameter (RFC 6749 section 3.1).
            jkt: request
                .query("dpop_jkt")
                .filter(|_| authority.rules.binds_to_keys())
                .map(str::to_owned),
            expires,
            spent: false,
        },
    );
    authority.counters.authorizations += 1;
    Ok((code, id_token.flatten()))
}

/// Validates all parameters of a request.
fn check_request(
    authority: &Authority,
    request: &ReceivedRequest,
    client_id: &str,
) -> Result<Checked, Refusal> {
    let is_public = authority.is_public(client_id);
    let grants = if is_public {
        authority.rules.grants.1
    } else {
        authority.rules.grants.0
    };
    let code = "authorization_code";
    if !grants.contains(&code) || !authority.registrations.allows_grant(client_id, code) {
        return Err(("unauthorized_client", "this client may not request codes"));
    }
    match request.query("response_type") {
        Some("code") => {}
        Some(_) if is_hybrid(request) && authority.rules.is_hybrid() => {
            if request.query("nonce").is_none() {
                return Err((
                    "invalid_request",
                    "an ID token beside the code requires a nonce",
                ));
            }
            if request.query("response_mode") == Some("query") {
                return Err(("invalid_request", "a token must not be in the query"));
            }
        }
        Some(_) => return Err(("unsupported_response_type", "unknown response_type")),
        None => return Err(("invalid_request", "response_type is missing")),
    }
    let modes = authority.rules.metadata.1["response_modes_supported"].as_array();
    let plain = || ["query", "fragment", "form_post"].map(Value::from).to_vec();
    let modes = modes.cloned().unwrap_or_else(plain);
    if request
        .query("response_mode")
        .is_some_and(|mode| !modes.iter().any(|supported| *supported == mode))
    {
        return Err(("invalid_request", "unknown response_mode"));
    }
    personality::check_request(authority, request)?;
    let challenge = challenge(authority, request)?;
    let needs_pkce =
        is_public && authority.rules.public_needs_pkce || authority.rules.fapi.is_some();
    if challenge.is_none() && needs_pkce {
        return Err(("invalid_request", "this client must use PKCE"));
    }
    let scope = authority
        .scope(request.query("scope"))
        .map_err(|description| ("invalid_scope", description))?;
    Ok(Checked {
        challenge,
        scope,
        details: grant_details::read(authority, request.query("authorization_details"))?,
        resources: grant_details::resources(authority, Some(&request.query))?,
    })
}

/// The S256 challenge, if PKCE is used. `plain` is refused: it protects nothing here.
fn challenge(authority: &Authority, request: &ReceivedRequest) -> Result<Option<String>, Refusal> {
    let standard = request.query("code_challenge");
    let alias = request.query("code_verifier");
    let challenge = match (standard, alias) {
        (code_challenge, None) => code_challenge,
        (None, Some(alias)) if authority.rules.challenge_alias => Some(alias),
        (Some(standard), Some(alias)) if authority.rules.challenge_alias && standard == alias => {
            Some(standard)
        }
        // The worst mistake with PKCE: a verifier in a URL proves nothing.
        _ => return Err(("invalid_request", "a code_verifier must not be in a URL")),
    };
    let Some(challenge) = challenge else {
        return Ok(None);
    };
    let is_digest = challenge.len() == 43
        && challenge
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
    if request.query("code_challenge_method") != Some("S256") || !is_digest {
        return Err(("invalid_request", "the code_challenge must be for S256"));
    }
    Ok(Some(challenge.to_owned()))
}

fn knows(authority: &Authority, client_id: &str) -> bool {
    client_id == authority.rules.client_id
        || authority.is_public(client_id)
        || authority.registrations.knows(client_id)
}

/// The registered redirect URI to send the browser to, if there is one.
fn target(authority: &Authority, client_id: &str, requested: Option<&str>) -> Option<String> {
    let registered_uris = authority.registrations.redirect_uris(client_id);
    let registered = registered_uris
        .as_ref()
        .unwrap_or(&authority.rules.redirect_uris);
    let Some(requested) = requested else {
        // It may be left out if only one is registered (RFC 6749 section 3.1.2.3).
        return <&[String; 1]>::try_from(registered.as_slice())
            .ok()
            .map(|[only]| only.clone());
    };
    // "The authorization server MUST allow any port to be specified at the time of the request
    // for loopback IP redirect URIs" (RFC 8252 section 7.3).
    let alike = |registered_uri: &String| {
        registered_uri == requested
            || authority.rules.any_loopback_port
                && without_port(registered_uri)
                    .is_some_and(|bare| Some(bare) == without_port(requested))
    };
    registered.iter().any(alike).then(|| requested.to_owned())
}

/// Host and path of a loopback IP redirect URI; `None` for all others.
fn without_port(uri: &str) -> Option<(&str, &str)> {
    ["http://127.0.0.1", "http://[::1]"]
        .into_iter()
        .find_map(|host| {
            let rest = uri.strip_prefix(host)?;
            let path = match rest.strip_prefix(':') {
                Some(rest) => {
                    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
                    rest.split_at_checked(digits).filter(|_| digits > 0)?.1
                }
                None => rest,
            };
            path.starts_with('/').then_some((host, path))
        })
}

fn printable(name: &str) -> String {
    name.chars()
        .filter(|c| c.is_ascii_alphanumeric() || *c == '_')
        .take(40)
        .collect()
}
