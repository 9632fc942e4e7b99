//! Dynamic client registration: `POST {registration_endpoint}`, and `GET`, `PUT` and
//! `DELETE {registration_client_uri}`.
//!
//! RFC 7591 section 3, RFC 7592 section 2

use std::collections::HashMap;

use http::Method;
use http::header::{AUTHORIZATION, WWW_AUTHENTICATE};
use oauth_core::jose::{Alg, PublicJwk};
use oauth_core::moment::UnixTime;
use serde_json::{Map, Value, json};

use super::Twin;
use super::authority::Authority;
use super::wire::{self, ReceivedRequest, Reply};

/// Members that a client must not send (RFC 7592 section 2.2).
const OURS: [&str; 4] = [
    "registration_access_token",
    "registration_client_uri",
    "client_secret_expires_at",
    "client_id_issued_at",
];

/// The registered clients, and the initial access token.
#[derive(Default)]
pub(super) struct Registrations {
    clients: HashMap<String, Registered>,
    /// The initial access token; `None` if anyone may register.
    initial_access_token: Option<String>,
}

/// A registered client.
struct Registered {
    metadata: Map<String, Value>,
    secret: Option<String>,
    issued: UnixTime,
    /// The valid registration access token.
    token: String,
}

type Refusal = (&'static str, &'static str);

impl Registered {
    fn text(&self, name: &str) -> &str {
        let text = self.metadata.get(name).and_then(Value::as_str);
        text.unwrap_or_default()
    }

    fn list(&self, name: &str) -> impl Iterator<Item = &str> {
        let list = self.metadata[name].as_array();
        list.into_iter().flatten().filter_map(Value::as_str)
    }
}

impl Twin {
    /// Requires this initial access token to register; with `None`, anyone may.
    pub fn set_initial_access_token(&mut self, token: Option<&str>) {
        let registrations = &mut self.authority.registrations;
        registrations.initial_access_token = token.map(str::to_owned);
    }

    /// Deletes a registered client, as a server that cleans up does: its next request is refused with `invalid_client`.
    pub fn forget_client(&mut self, id: &str) {
        self.authority.registrations.clients.remove(id);
    }

    /// The ids of the clients that have registered.
    pub fn registered_clients(&self) -> Vec<&str> {
        let clients = self.authority.registrations.clients.keys();
        let mut ids: Vec<_> = clients.map(String::as_str).collect();
        ids.sort_unstable();
        ids
    }
}

impl Registrations {
    /// Registers a public client under an id of its own choice.
    pub(super) fn admit(
        &mut self,
        id: String,
        metadata: Map<String, Value>,
        at: UnixTime,
        token: String,
    ) {
        let client = Registered {
            metadata,
            secret: None,
            issued: at,
            token,
        };
        self.clients.insert(id, client);
    }

    /// Whether this client is registered as a public one.
    pub(super) fn is_public(&self, id: &str) -> bool {
        let client = self.clients.get(id);
        client.is_some_and(|client| client.secret.is_none())
    }

    pub(super) fn knows(&self, id: &str) -> bool {
        self.clients.contains_key(id)
    }

    /// Whether this is the client's secret, sent by the method that it registered.
    pub(super) fn is_secret(&self, id: &str, secret: &str, method: &str) -> bool {
        self.clients.get(id).is_some_and(|client| {
            client.secret.as_deref() == Some(secret)
                && client.text("token_endpoint_auth_method") == method
        })
    }

    /// Whether it may use this grant; other rules decide about clients that did not register.
    pub(super) fn allows_grant(&self, id: &str, grant: &str) -> bool {
        let client = self.clients.get(id);
        client.is_none_or(|client| {
            client
                .list("grant_types")
                .any(|grant_type| grant_type == grant)
        })
    }

    /// The first public key, and the algorithm with which it signs requests.
    pub(super) fn request_key(&self, id: &str) -> Option<(PublicJwk, Alg)> {
        let client = self.clients.get(id)?;
        let keys = client.metadata.get("jwks")?.get("keys")?;
        let key = PublicJwk::parse(&keys.get(0)?.to_string()).ok()?;
        let alg = client.text("request_object_signing_alg");
        Some((key, Alg::from_name(alg).unwrap_or(Alg::Rs256)))
    }

    /// Whether its UserInfo responses are signed.
    pub(super) fn wants_signed_userinfo(&self, id: &str) -> bool {
        let client = self.clients.get(id);
        client.is_some_and(|client| !client.text("userinfo_signed_response_alg").is_empty())
    }

    /// The redirect URIs, if it is registered.
    pub(super) fn redirect_uris(&self, id: &str) -> Option<Vec<String>> {
        let uris = self.clients.get(id)?.list("redirect_uris");
        Some(uris.map(str::to_owned).collect())
    }
}

/// `POST {registration_endpoint}`.
pub(super) fn register(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
) -> Reply {
    let required_token = authority.registrations.initial_access_token.as_deref();
    if required_token.is_some() && required_token != bearer(request) {
        return unknown_token();
    }
    let metadata = match checked(authority, request) {
        Ok(metadata) => metadata,
        Err((error, description)) => return wire::refusal(error, description),
    };
    if metadata.contains_key("client_id") || metadata.contains_key("client_secret") {
        return wire::refusal(
            "invalid_client_metadata",
            "the server assigns id and secret",
        );
    }
    let id = authority.new_value(at, "client");
    let client = Registered {
        metadata,
        secret: None,
        issued: at,
        token: String::new(),
    };
    authority.registrations.clients.insert(id.clone(), client);
    information_response(authority, at, &id, 201)
}

/// `GET`, `PUT` and `DELETE {registration_client_uri}`.
pub(super) fn configure(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
) -> Reply {
    let prefix = format!("{}/", authority.rules.paths.registration);
    let id = request
        .path
        .strip_prefix(&prefix)
        .unwrap_or_default()
        .to_owned();
    // "If the client does not exist on this server ... 401" (section 2.1)
    let registered = authority.registrations.clients.get(&id);
    if registered.is_none_or(|client| bearer(request) != Some(client.token.as_str())) {
        return unknown_token();
    }
    match request.method {
        Method::GET => information_response(authority, at, &id, 200),
        Method::PUT => update(authority, at, request, &id),
        Method::DELETE => {
            authority.registrations.clients.remove(&id);
            authority.revoke_client(&id);
            wire::plain(204, "text/plain", "")
        }
        _ => wire::method_not_allowed("GET, PUT, DELETE"),
    }
}

fn update(authority: &mut Authority, at: UnixTime, request: &ReceivedRequest, id: &str) -> Reply {
    let mut metadata = match checked(authority, request) {
        Ok(metadata) => metadata,
        Err((error, description)) => return wire::refusal(error, description),
    };
    if metadata.remove("client_id") != Some(id.into()) {
        return wire::refusal("invalid_request", "client_id must be the client's");
    }
    let secret = metadata.remove("client_secret");
    let Some(client) = authority.registrations.clients.get_mut(id) else {
        return unknown_token();
    };
    if secret.is_some_and(|secret| secret.as_str() != client.secret.as_deref()) {
        return wire::refusal("invalid_request", "a client must not choose its secret");
    }
    client.metadata = metadata;
    information_response(authority, at, id, 200)
}

/// The client information response (RFC 7591 section 3.2.1), with a new registration access token, which replaces the
/// previous one.
fn information_response(authority: &mut Authority, at: UnixTime, id: &str, status: u16) -> Reply {
    let (token, fresh) = (
        authority.new_value(at, "registration"),
        authority.new_value(at, "secret"),
    );
    let uri = format!(
        "{}{}/{id}",
        authority.base, authority.rules.paths.registration
    );
    let Some(client) = authority.registrations.clients.get_mut(id) else {
        return unknown_token();
    };
    client.token.clone_from(&token);
    client.secret = match client.text("token_endpoint_auth_method") {
        "none" => None,
        _ => client.secret.take().or(Some(fresh)),
    };
    let mut reply = Value::Object(client.metadata.clone());
    reply["client_id"] = id.into();
    reply["client_id_issued_at"] = client.issued.as_secs().into();
    reply["registration_access_token"] = token.into();
    reply["registration_client_uri"] = uri.into();
    if let Some(secret) = &client.secret {
        reply["client_secret"] = secret.as_str().into();
        reply["client_secret_expires_at"] = 0.into();
    }
    wire::unstored(status, &reply)
}

/// The metadata of a request, with the defaults of RFC 7591 section 2.
fn checked(
    authority: &Authority,
    request: &ReceivedRequest,
) -> Result<Map<String, Value>, Refusal> {
    let is_json = request.header(http::header::CONTENT_TYPE) == Some("application/json");
    let body = serde_json::from_slice(&request.body)
        .ok()
        .filter(|_| is_json);
    let Some(Value::Object(mut metadata)) = body else {
        return Err(("invalid_client_metadata", "the body must be a JSON object"));
    };
    if OURS.iter().any(|name| metadata.contains_key(*name)) {
        return Err((
            "invalid_request",
            "members assigned by the server must not be sent",
        ));
    }
    if let Some(statement) = metadata.get("software_statement") {
        let stated = authority
            .trust
            .verify_software_statement(statement.as_str().unwrap_or_default())?;
        // "values conveyed in the software statement MUST take precedence over those conveyed using plain JSON
        // elements" (section 2.3)
        metadata.extend(stated);
    }
    if metadata.contains_key("jwks") && metadata.contains_key("jwks_uri") {
        return Err((
            "invalid_client_metadata",
            "there must not be both jwks and jwks_uri",
        ));
    }
    for (name, default) in [
        ("token_endpoint_auth_method", json!("client_secret_basic")),
        ("grant_types", json!(["authorization_code"])),
        ("response_types", json!(["code"])),
        ("redirect_uris", json!([])),
        ("application_type", json!("web")),
    ] {
        metadata.entry(name).or_insert(default);
    }
    let texts = |name: &str| {
        let list = metadata[name].as_array()?;
        list.iter().map(Value::as_str).collect::<Option<Vec<_>>>()
    };
    let malformed = ("invalid_client_metadata", "a member must be an array");
    let grants = texts("grant_types").ok_or(malformed)?;
    let responses = texts("response_types").ok_or(malformed)?;
    let uris = texts("redirect_uris").ok_or(malformed)?;
    let methods = authority.rules.metadata.1["token_endpoint_auth_methods_supported"].as_array();
    let takes = |method: &Value| methods.is_some_and(|methods| methods.contains(method));
    if !takes(&metadata["token_endpoint_auth_method"]) {
        return Err((
            "invalid_client_metadata",
            "unknown token_endpoint_auth_method",
        ));
    }
    if grants
        .iter()
        .any(|grant| !authority.rules.grants.0.contains(grant))
    {
        return Err(("invalid_client_metadata", "unknown grant type"));
    }
    let has_code = grants.contains(&"authorization_code");
    if responses.contains(&"code") != has_code {
        return Err((
            "invalid_client_metadata",
            "grant types and response types do not match",
        ));
    }
    if has_code && uris.is_empty() {
        return Err(("invalid_redirect_uri", "redirect_uris is missing"));
    }
    let is_native = metadata["application_type"] == "native";
    if uris.iter().all(|uri| is_redirect_uri(uri, is_native)) {
        Ok(metadata)
    } else {
        Err((
            "invalid_redirect_uri",
            "redirect URIs of web applications must be https, those of native ones their own",
        ))
    }
}

/// "Web Clients ... MUST only register URLs using the https scheme ...; they MUST NOT use localhost as the hostname.
/// Native Clients MUST only register redirect_uris using custom URI schemes or loopback URLs using the http scheme"
/// (OpenID Connect Dynamic Client Registration section 2); RFC 8252 section 7.2 lets them claim https.
fn is_redirect_uri(uri: &str, is_native: bool) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else {
        return false;
    };
    let host = rest.trim_start_matches('/').split(['/', ':', '?']).next();
    let is_local = matches!(host, Some("127.0.0.1" | "localhost")) || rest.starts_with("//[::1]");
    match scheme {
        _ if uri.contains('#') => false,
        "https" => !is_local,
        "http" => is_native && is_local,
        private => is_native && private.contains('.'),
    }
}

fn bearer(request: &ReceivedRequest) -> Option<&str> {
    request.header(AUTHORIZATION)?.strip_prefix("Bearer ")
}

fn unknown_token() -> Reply {
    let body = json!({ "error": "invalid_token", "error_description": "the token is unknown" });
    let reply = wire::unstored(401, &body);
    wire::with(reply, WWW_AUTHENTICATE, "Bearer error=\"invalid_token\"")
}
