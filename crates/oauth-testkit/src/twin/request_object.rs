//! Authorization requests that are pushed, or signed.
//!
//! RFC 9101, RFC 9126, FAPI 2.0 Message Signing section 5.3

use oauth_core::moment::UnixTime;
use serde_json::{Value, json};

use super::Twin;
use super::authority::{Authority, plus};
use super::authorize;
use super::fapi;
use super::jwt::Jwt;
use super::sender_constrained::{self, Side};
use super::token::well_formed;
use super::wire::{self, Pairs, ReceivedRequest, Reply, find, repeated};

/// The purpose of authenticating at this endpoint.
pub(super) const PUSHED: &str = "pushed_authorization";
/// The lifetime of a pushed request, in seconds.
const PUSHED_REQUEST_SECONDS: u64 = 60;

/// A pushed request, until the browser presents its `request_uri`.
pub(super) struct Pushed {
    request: ReceivedRequest,
    expires: UnixTime,
}

impl Twin {
    /// Sets the request object at this `request_uri`, which the twin does not fetch itself. Its client must have
    /// registered a key (`jwks`).
    pub fn host_request_object(&mut self, uri: &str, object: &str) {
        let hosted = &mut self.authority.hosted;
        hosted.insert(uri.to_owned(), object.to_owned());
    }
}

/// `POST {pushed_authorization_request_endpoint}`
pub(super) fn push(authority: &mut Authority, at: UnixTime, request: &ReceivedRequest) -> Reply {
    let client =
        match well_formed(request).and_then(|()| authority.authenticate(at, request, PUSHED)) {
            Ok(client) => client,
            Err(reply) => return *reply,
        };
    let refused = |(error, description)| wire::refusal(error, description);
    let jkt =
        match sender_constrained::proof(authority, at, request, Side::AuthorizationServer, None) {
            Ok(jkt) => jkt,
            Err(problem) => return refused(problem),
        };
    let form = request.form.as_deref().unwrap_or_default();
    if find(form, "request_uri").is_some() {
        return refused(("invalid_request", "a request_uri must not be pushed"));
    }
    // The client's authentication is not part of the authorization request.
    let parameters_of_request = form.iter().filter(|(name, _)| {
        let name = name.as_str();
        !matches!(
            name,
            "client_assertion" | "client_assertion_type" | "client_secret"
        )
    });
    let pushed: Pairs = parameters_of_request.cloned().collect();
    let mut parameters = match opened(authority, at, pushed, &client.id) {
        Ok(parameters) => parameters,
        Err(problem) => return refused(problem),
    };
    if let Some(jkt) = jkt {
        match find(&parameters, "dpop_jkt") {
            Some(named) if named != jkt => {
                return refused((
                    "invalid_dpop_proof",
                    "dpop_jkt must be the thumbprint of the proof's key",
                ));
            }
            Some(_) => {}
            None => parameters.push(("dpop_jkt".to_owned(), jkt)),
        }
    }
    let request = ReceivedRequest::to_authorize(&authority.rules.paths.authorize, parameters);
    if let Err(problem) = authorize::check_pushed_request(authority, &request) {
        return refused(problem);
    }
    let name = authority.new_value(at, "request");
    let uri = format!("urn:ietf:params:oauth:request_uri:{name}");
    let expires = plus(at, PUSHED_REQUEST_SECONDS);
    authority
        .pushed
        .insert(uri.clone(), Pushed { request, expires });
    wire::unstored(
        201,
        &json!({ "request_uri": uri, "expires_in": PUSHED_REQUEST_SECONDS }),
    )
}

/// The authorization request of a browser: as it is, or the one that was pushed or signed before. The error is shown on
/// a page.
pub(super) fn resolved(
    authority: &mut Authority,
    at: UnixTime,
    request: &ReceivedRequest,
) -> Result<Option<ReceivedRequest>, &'static str> {
    let client_id = request.query("client_id").unwrap_or_default().to_owned();
    match (request.query("request_uri"), request.query("request")) {
        (Some(uri), None) if authority.hosted.contains_key(uri) => {
            let object = authority.hosted[uri].clone();
            fetch_request_object(authority, at, request, &object).map(Some)
        }
        (Some(uri), None) => {
            // Accepted once, and only for its client.
            let pushed = authority.pushed.remove(uri);
            let pushed = pushed
                .filter(|pushed| at < pushed.expires)
                .map(|pushed| pushed.request);
            let pushed = pushed.filter(|pushed| pushed.query("client_id") == Some(&client_id));
            pushed
                .map(Some)
                .ok_or("Unknown request_uri of a pushed request.")
        }
        _ if authority
            .rules
            .fapi
            .as_ref()
            .is_some_and(|fapi| fapi.pushed_only) =>
        {
            Err("Requests must be pushed.")
        }
        (None, Some(_)) => {
            let query = request.query.clone();
            let opened =
                opened(authority, at, query, &client_id).map_err(|(_, description)| description)?;
            Ok(Some(ReceivedRequest::to_authorize(&request.path, opened)))
        }
        (None, None)
            if authority
                .rules
                .fapi
                .as_ref()
                .is_some_and(|fapi| fapi.signed_only) =>
        {
            Err("Requests must be signed.")
        }
        (None, None) => Ok(None),
        (Some(_), Some(_)) => Err("There must not be both request and request_uri."),
    }
}

/// The parameters: those in the request object if there is one.
fn opened(
    authority: &Authority,
    at: UnixTime,
    parameters: Pairs,
    client_id: &str,
) -> Result<Pairs, (&'static str, &'static str)> {
    let Some(fapi) = &authority.rules.fapi else {
        return Err((
            "request_not_supported",
            "this server does not support request objects",
        ));
    };
    let Some(object) = find(&parameters, "request") else {
        return match (fapi.signed_only, find(&parameters, "client_id")) {
            (true, _) => Err(("invalid_request", "requests must be signed")),
            (false, Some(named)) if named != client_id => Err((
                "invalid_request",
                "client_id of the request must be the client",
            )),
            (false, named) => {
                let client_id_parameter = named
                    .is_none()
                    .then(|| ("client_id".to_owned(), client_id.to_owned()));
                Ok(parameters
                    .clone()
                    .into_iter()
                    .chain(client_id_parameter)
                    .collect())
            }
        };
    };
    let wrong = |description| ("invalid_request_object", description);
    // Only the client's identification is allowed outside the request object.
    if parameters
        .iter()
        .any(|(name, _)| !matches!(name.as_str(), "request" | "client_id"))
    {
        return Err(wrong(
            "there must be no parameters beside the request object",
        ));
    }
    let opened = fapi::decrypted(object).map_err(wrong)?;
    let jwt = fapi::client_public_key()
        .and_then(|key| Jwt::verified(&opened, &key, fapi::ALGS))
        .map_err(wrong)?;
    verified_parameters(authority, at, &jwt, client_id)
}

/// The parameters of a request object that was fetched from its `request_uri` (RFC 9101 section 5.2.3), of a client
/// that has registered its key. Parameters outside of it must be the same (OpenID Connect Core section 6.1).
fn fetch_request_object(
    authority: &Authority,
    at: UnixTime,
    request: &ReceivedRequest,
    object: &str,
) -> Result<ReceivedRequest, &'static str> {
    let client_id = request.query("client_id").unwrap_or_default();
    let (key, alg) = authority
        .registrations
        .request_key(client_id)
        .ok_or("The client has registered no key.")?;
    let jwt = Jwt::verified(object, &key, &[alg])?;
    let parameters = verified_parameters(authority, at, &jwt, client_id)
        .map_err(|(_, description)| description)?;
    let mut outer_parameters = request
        .query
        .iter()
        .filter(|(name, _)| name != "request_uri");
    if outer_parameters.all(|(name, value)| find(&parameters, name) == Some(value)) {
        Ok(ReceivedRequest::to_authorize(&request.path, parameters))
    } else {
        Err("A parameter beside the request object differs from the one in it.")
    }
}

/// The parameters in a request object, if it is this client's, for this server, and valid now.
fn verified_parameters(
    authority: &Authority,
    at: UnixTime,
    jwt: &Jwt,
    client_id: &str,
) -> Result<Pairs, (&'static str, &'static str)> {
    let wrong = |description| ("invalid_request_object", description);
    let typ = jwt.header.get("typ").and_then(Value::as_str);
    if typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("oauth-authz-req+jwt")) {
        return Err(wrong("typ of a request object must be oauth-authz-req+jwt"));
    }
    let names_client = |name| jwt.text(name) == Some(client_id);
    if !names_client("iss") || !names_client("client_id") {
        return Err(wrong(
            "iss and client_id of a request object must be the client",
        ));
    }
    let names_this_server = match &jwt.claims["aud"] {
        Value::String(one) => *one == authority.rules.issuer,
        Value::Array(many) => many
            .iter()
            .any(|one| *one == authority.rules.issuer.as_str()),
        _ => false,
    };
    if !names_this_server {
        return Err(wrong("aud of a request object must be the issuer"));
    }
    jwt.check_validity_period(at).map_err(wrong)?;
    if jwt.claims.get("nbf").is_none() {
        return Err(wrong("a request object must have an nbf"));
    }
    let about_itself = ["iss", "aud", "exp", "nbf", "iat", "jti"];
    let mut parameters = Pairs::new();
    for (name, value) in jwt.claims.as_object().into_iter().flatten() {
        match (name.as_str(), value) {
            ("request" | "request_uri" | "sub", _) => {
                return Err(wrong("a claim that is not allowed in a request object"));
            }
            (name, _) if about_itself.contains(&name) => {}
            (_, Value::Null) => return Err(wrong("a claim must not be null")),
            (_, Value::String(text)) => parameters.push((name.clone(), text.clone())),
            ("resource", Value::Array(many)) => {
                let each = many.iter().filter_map(Value::as_str);
                parameters.extend(each.map(|one| (name.clone(), one.to_owned())));
            }
            (_, value) => parameters.push((name.clone(), value.to_string())),
        }
    }
    match repeated(&parameters) {
        Some(_) => Err(wrong("a parameter is repeated")),
        None => Ok(parameters),
    }
}
