//! `POST {backchannel_authentication_endpoint}`: authenticates a user on a different device.
//!
//! CIBA Core sections 7, 10 and 12

use bytes::Bytes;
use http::Uri;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use oauth_core::moment::UnixTime;
use serde_json::{Value, json};

use super::Twin;
use super::authority::{Authority, Grant};
use super::authorize::SUBJECT;
use super::client_auth::Client;
use super::jwt::Jwt;
use super::pending_approval::{Approval, Awaited};
use super::token::{USERNAME, well_formed};
use super::wire::{self, Pairs, ReceivedRequest, Reply, find};
use super::{fapi, id_token};

pub(super) const GRANT: &str = "urn:openid:params:grant-type:ciba";
/// The purpose of authenticating at this endpoint.
const BACKCHANNEL_AUTHENTICATION: &str = "backchannel_authentication";
/// The time that a user has to answer, in seconds: the default (without `requested_expiry`).
const DEFAULT_EXPIRY_SECONDS: u64 = 120;
/// The maximum of that time, in seconds.
const MAX_EXPIRY_SECONDS: u64 = 600;
/// The longest `binding_message`, which both devices show, in characters.
const LONGEST_MESSAGE: usize = 100;
/// The longest `client_notification_token` (section 7.1).
const LONGEST_TOKEN: usize = 1024;
const HINTS: [&str; 3] = ["login_hint", "login_hint_token", "id_token_hint"];

type Refusal = (&'static str, &'static str);

/// The delivery mode that the confidential client is registered for (CIBA Core section 5).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum BackchannelDelivery {
    /// The client polls.
    #[default]
    Poll,
    /// The client is notified at this endpoint, and then requests the tokens; it may poll before.
    Ping(Uri),
    /// The tokens are posted to this endpoint. It must not poll.
    Push(Uri),
}

/// Requests that wait for their users' answers, and the notifications for clients.
#[derive(Default)]
pub(super) struct Backchannel {
    delivery: BackchannelDelivery,
    /// In order of arrival.
    requests: Vec<Request>,
    notifications: Vec<http::Request<Bytes>>,
}

struct Request {
    id: String,
    awaited: Awaited,
    binding_message: Option<String>,
    notification_token: Option<String>,
}

pub(super) fn authenticate(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
) -> Reply {
    let client = match well_formed(request)
        .and_then(|()| authority.authenticate(at, request, BACKCHANNEL_AUTHENTICATION))
    {
        Ok(client) => client,
        Err(reply) => return *reply,
    };
    let authorization = opened(authority, at, request, &client)
        .and_then(|parameters| begin(authority, at, &parameters, client));
    match authorization {
        Ok(reply) => wire::unstored(200, &reply),
        Err((error, description)) => wire::refusal(error, description),
    }
}

/// The parameters, taken from the signed request if there is one (section 7.1.1).
fn opened(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: &Client,
) -> Result<Pairs, Refusal> {
    let form = request.form.clone().unwrap_or_default();
    let wrong = |description| ("invalid_request", description);
    let is_fapi = authority.rules.fapi.is_some();
    let Some(object) = find(&form, "request") else {
        return if is_fapi {
            Err(wrong("the request must be signed"))
        } else {
            Ok(form)
        };
    };
    let is_about_the_client = |name: &str| name.starts_with("client_") || name == "request";
    if form
        .iter()
        .any(|(name, _)| !is_about_the_client(name) || name == "client_notification_token")
    {
        return Err(wrong(
            "there must be no parameters beside the signed request",
        ));
    }
    let jwt = if is_fapi {
        fapi::client_public_key()
            .and_then(|key| Jwt::verified(object, &key, fapi::ALGS))
            .and_then(|jwt| {
                if jwt.text("iss") == Some(&*client.id) {
                    Ok(jwt)
                } else {
                    Err("iss must be the client")
                }
            })
    } else {
        authority.trust.signed_by(&client.id, object)
    };
    let jwt = jwt.map_err(wrong)?;
    if jwt.text("aud") != Some(&authority.rules.issuer) {
        return Err(wrong("aud of a signed request must be the issuer"));
    }
    jwt.check_validity_period(at).map_err(wrong)?;
    if ["nbf", "iat"]
        .iter()
        .any(|name| jwt.claims.get(name).is_none())
    {
        return Err(wrong("a signed request must have nbf and iat"));
    }
    let jti = jwt
        .text("jti")
        .ok_or(wrong("a signed request must have a jti"))?;
    if !authority.seen.insert(format!("request {jti}")) {
        return Err(wrong("the signed request was used before"));
    }
    let mut parameters = Pairs::new();
    for (name, value) in jwt.claims.as_object().into_iter().flatten() {
        match value {
            _ if ["iss", "aud", "exp", "nbf", "iat", "jti"].contains(&name.as_str()) => {}
            Value::String(text) => parameters.push((name.clone(), text.clone())),
            Value::Number(number) => parameters.push((name.clone(), number.to_string())),
            _ => return Err(wrong("a parameter of the signed request must be a string")),
        }
    }
    Ok(parameters)
}

fn begin(
    authority: &mut Authority,
    at: UnixTime,
    parameters: &Pairs,
    client: Client,
) -> Result<Value, Refusal> {
    // "exactly one of the hints in the request" (section 7.1)
    let mut hints = HINTS
        .iter()
        .filter_map(|name| Some((*name, find(parameters, name)?)));
    let (Some((name, hint)), None) = (hints.next(), hints.next()) else {
        return Err(("invalid_request", "there must be exactly one hint"));
    };
    check_hint(authority, &client, name, hint)?;
    let scope = authority
        .scope(find(parameters, "scope"))
        .map_err(|description| ("invalid_scope", description))?;
    if !scope.split(' ').any(|name| name == "openid") {
        return Err(("invalid_scope", "scope must contain openid"));
    }
    let binding_message = find(parameters, "binding_message");
    let is_shown =
        |text: &str| text.chars().count() <= LONGEST_MESSAGE && !text.chars().any(char::is_control);
    if !binding_message.is_none_or(is_shown) {
        let description = "the message cannot be shown on a small screen";
        return Err(("invalid_binding_message", description));
    }
    let lifetime = match find(parameters, "requested_expiry").map(str::parse::<u64>) {
        None => DEFAULT_EXPIRY_SECONDS,
        Some(Ok(seconds)) if seconds > 0 => seconds.min(MAX_EXPIRY_SECONDS),
        Some(_) => {
            return Err((
                "invalid_request",
                "requested_expiry must be a positive integer",
            ));
        }
    };
    let notification_token = find(parameters, "client_notification_token");
    let is_polled = authority.backchannel.delivery == BackchannelDelivery::Poll;
    if !is_polled && !notification_token.is_some_and(is_notification_token) {
        let description =
            "this client is notified: client_notification_token is missing or invalid";
        return Err(("invalid_request", description));
    }
    let id = authority.new_value(at, "backchannel");
    let grant = Grant {
        client_id: client.id,
        subject: Some(SUBJECT.to_owned()),
        scope,
        family: authority.new_family(),
        ..Grant::default()
    };
    let mut reply = json!({ "auth_req_id": id, "expires_in": lifetime });
    // "Only with Poll and Ping" (section 7.3)
    if !matches!(authority.backchannel.delivery, BackchannelDelivery::Push(_)) {
        reply["interval"] = authority.interval.into();
    }
    authority.backchannel.requests.push(Request {
        id,
        awaited: Awaited::new(at, grant, lifetime, authority.interval),
        binding_message: binding_message.map(str::to_owned),
        notification_token: notification_token.map(str::to_owned),
    });
    Ok(reply)
}

/// Checks that the hint identifies a user; an ID token may have expired (section 7.1).
fn check_hint(
    authority: &Authority,
    client: &Client,
    name: &str,
    hint: &str,
) -> Result<(), Refusal> {
    let unknown = ("unknown_user_id", "no user has this name");
    match name {
        "login_hint" => match hint {
            USERNAME | id_token::EMAIL => Ok(()),
            _ => Err(unknown),
        },
        "id_token_hint" => {
            let token = id_token::parse_own_token(authority, hint)
                .map_err(|description| ("invalid_request", description))?;
            match token.text("aud") == Some(&client.id) {
                true if token.text("sub") == Some(SUBJECT) => Ok(()),
                true => Err(unknown),
                false => Err((
                    "invalid_request",
                    "the ID token was issued to a different client",
                )),
            }
        }
        _ => Err((
            "invalid_request",
            "this server does not support login_hint_token",
        )),
    }
}

/// Whether this has the syntax of a bearer token, and room for the 128 bits that section 7.1 requires.
fn is_notification_token(text: &str) -> bool {
    let is_part = |b: u8| b.is_ascii_alphanumeric() || b"-._~+/=".contains(&b);
    (22..=LONGEST_TOKEN).contains(&text.len()) && text.bytes().all(is_part)
}

/// The token request (section 10.1).
pub(super) fn token(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    client: &Client,
) -> Result<Value, Refusal> {
    if matches!(authority.backchannel.delivery, BackchannelDelivery::Push(_)) {
        return Err((
            "unauthorized_client",
            "this client must not poll: its tokens are pushed",
        ));
    }
    let auth_req_id = request
        .form("auth_req_id")
        .ok_or(("invalid_request", "auth_req_id is missing"))?;
    let mut requests = authority.backchannel.requests.iter_mut();
    let pending = requests
        .find(|pending| pending.id == auth_req_id)
        .ok_or(("invalid_grant", "unknown auth_req_id"))?;
    let grant = pending.awaited.poll(at, &client.id)?;
    Ok(authority.issue(at, grant, true))
}

/// The page on the user's device: they answer the request that has waited longest, or the one with the
/// `binding_message` that they see on the other device.
pub(super) fn page(authority: &mut Authority, at: UnixTime, request: &ReceivedRequest) -> Reply {
    match decide(authority, at, request.query("binding_message")) {
        Some(Approval::Denied) => wire::page(200, "Denied."),
        Some(_) => wire::page(200, "Approved."),
        None => wire::page(400, "Nobody asks."),
    }
}

fn decide(authority: &mut Authority, at: UnixTime, message: Option<&str>) -> Option<Approval> {
    let shows = |pending: &Request| match message {
        Some(_) => pending.binding_message.as_deref() == message,
        None => true,
    };
    let mut requests = authority.backchannel.requests.iter_mut();
    let pending = requests.find(|pending| pending.awaited.is_pending(at) && shows(pending))?;
    let approval = if std::mem::take(&mut authority.deny_next) {
        Approval::Denied
    } else {
        Approval::Approved
    };
    pending.awaited.decide(at, approval);
    let (id, token) = (pending.id.clone(), pending.notification_token.clone());
    let (endpoint, body) = match authority.backchannel.delivery.clone() {
        BackchannelDelivery::Poll => return Some(approval),
        BackchannelDelivery::Ping(endpoint) => (endpoint, json!({ "auth_req_id": id })),
        BackchannelDelivery::Push(endpoint) => {
            let grant = pending.awaited.grant.clone();
            let body = match approval {
                Approval::Denied => json!({
                    "auth_req_id": id,
                    "error": "access_denied",
                    "error_description": "the user denied the request",
                }),
                _ => pushed(authority, at, grant, &id),
            };
            (endpoint, body)
        }
    };
    let notification = http::Request::post(endpoint)
        .header(
            AUTHORIZATION,
            format!("Bearer {}", token.unwrap_or_default()),
        )
        .header(CONTENT_TYPE, "application/json")
        .body(body.to_string().into());
    authority.backchannel.notifications.extend(notification);
    Some(approval)
}

/// The pushed tokens (section 10.3.1), whose ID token contains the hashes of the others.
fn pushed(authority: &mut Authority, at: UnixTime, grant: Grant, id: &str) -> Value {
    // A pushed response has no proof of a key.
    authority.binding = None;
    let mut claims = id_token::claims(&authority.rules.issuer, at, &grant);
    let mut body = authority.issue(at, grant, true);
    let hash = |name: &str| id_token::half_hash(body[name].as_str().unwrap_or_default());
    claims["at_hash"] = hash("access_token").into();
    claims["urn:openid:params:jwt:claim:rt_hash"] = hash("refresh_token").into();
    claims["urn:openid:params:jwt:claim:auth_req_id"] = id.into();
    body["id_token"] = id_token::signed(&claims, &authority.key_id, authority.rules.alg).into();
    body["auth_req_id"] = id.into();
    body
}

impl Twin {
    /// Sets the delivery mode of the generic twin's confidential client.
    pub fn set_backchannel_delivery(&mut self, delivery: BackchannelDelivery) {
        self.authority.backchannel.delivery = delivery;
    }

    /// Has the user answer the backchannel request that has waited longest: they approve it, unless
    /// [`deny_next`](Self::deny_next) was called. `false` if none waits.
    pub fn answer_backchannel(&mut self, at: UnixTime) -> bool {
        decide(&mut self.authority, at, None).is_some()
    }

    /// The notifications that the twin would have posted to its client by now (CIBA Core sections 10.2 and 10.3), each
    /// once.
    pub fn take_notifications(&mut self) -> Vec<http::Request<Bytes>> {
        std::mem::take(&mut self.authority.backchannel.notifications)
    }
}
