//! Groups about signed authorization requests (`jar`) and responses (`jarm`), and about step-up challenges of an
//! API (`step-up`).

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::header::WWW_AUTHENTICATE;
use http::{HeaderMap, HeaderValue, Method, StatusCode};
use oauth_core::flow::authorization::{Authorization, ResponseMode};
use oauth_core::flow::keeper::GrantId;
use oauth_core::flow::resource::{
    self, Api, Clock, Event, Resource, ResourceRequest, Step as CallStep, Verdict as Asking,
};
use oauth_core::issuer::Issuer;
use oauth_core::jose::KeySet;
use oauth_core::moment::UnixTime;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::request_signing::RequestSigning;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::step_up_requirement::StepUp;
use oauth_core::url::Url;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Exchange, Input, Moment,
    PendingAuthorization, Scope, Step, Tokens,
};
use oauth_crypto::PrivateKey;
use serde_json::{Value, json};

use crate::expect;
use crate::format::{Vector, Verdict, check, check_equal};
use crate::jws::{algs, key_set, keys, refused};

const CALLBACK: &str = "https://client.example.com/cb";
const ISSUER: &str = "https://as.example";

fn text(error: Error) -> String {
    error.to_string()
}

fn moment(now: u64) -> Moment {
    Moment::fixed(UnixTime::from_secs(now), [1; 32])
}

fn client(issuer: &str, id: &str, metadata: &Value) -> Result<Client, Error> {
    let at = |path: &str| format!("{issuer}/{path}");
    let mut server = Server::new(Issuer::parse(issuer)?)
        .with_endpoint(EndpointKind::Authorization, &at("authorize"))?
        .with_endpoint(EndpointKind::Token, &at("token"))?
        .with_endpoint(EndpointKind::Jwks, &at("jwks"))?;
    if let Some(server_metadata) = metadata.as_object() {
        server = server.with_metadata(server_metadata.clone());
    }
    Client::new(server, ClientId::new(id), ClientAuth::none())
}

fn authorization_request(redirect_uri: &str) -> Result<AuthorizationRequest, Error> {
    RedirectUri::parse(redirect_uri).map(AuthorizationRequest::new)
}

fn begun(client: &Client, now: u64, request: AuthorizationRequest) -> Result<Authorization, Error> {
    let mut exchange = client.begin_authorization(request);
    match exchange.resume(&moment(now), Input::Begin)? {
        Step::Done(begun) => Ok(begun),
        step => unreachable!("{step:?}"),
    }
}

fn query(url: &Url) -> Vec<(String, String)> {
    serde_urlencoded::from_str(url.query().unwrap_or_default()).unwrap_or_default()
}

/// A flow of this client with this state.
fn pending(
    client: &Client,
    mode: ResponseMode,
    state: &str,
) -> Result<PendingAuthorization, String> {
    let request = authorization_request(CALLBACK)
        .map_err(text)?
        .response_mode(mode);
    let begun = begun(client, 1_700_000_000, request).map_err(text)?;
    let stored = begun.pending.to_json();
    let mut stored: Value =
        serde_json::from_str(stored.expose()).map_err(|error| error.to_string())?;
    stored["state"] = state.into();
    PendingAuthorization::from_json(&stored.to_string()).map_err(text)
}

/// The code that is redeemed for a callback, or the refusal.
fn sent_code(
    client: &Client,
    pending: PendingAuthorization,
    callback: &str,
    now: u64,
) -> Result<String, Error> {
    let mut exchange = client.redeem(pending, callback)?;
    let mut input = Input::Begin;
    loop {
        input = match exchange.resume(&moment(now), input)? {
            Step::Verify(job) => Input::Verified(oauth_crypto::verify(&job)),
            Step::Send(request) if request.method() == Method::GET => {
                let reply = http::Response::builder().header("content-type", "application/json");
                let keys = Bytes::from(key_set(&Value::Null).to_string());
                Input::Reply(reply.body(keys).unwrap_or_default())
            }
            Step::Send(request) => {
                let form: Vec<(String, String)> =
                    serde_urlencoded::from_bytes(request.body()).unwrap_or_default();
                let code = form.into_iter().find(|(name, _)| name == "code");
                return Ok(code.map(|(_, code)| code).unwrap_or_default());
            }
            step => unreachable!("{step:?}"),
        };
    }
}

pub(crate) fn jarm(vector: &Vector) -> Verdict {
    let expect = &vector.input["expect"];
    let member = |name: &str, usual: &str| expect[name].as_str().unwrap_or(usual).to_owned();
    let client = client(
        &member("issuer", ISSUER),
        &member("client_id", "client1"),
        &Value::Null,
    );
    let client = client.map_err(text)?;
    let client = if expect["allowed_algs"].is_array() {
        client.with_authorization_algs(algs(&expect["allowed_algs"]))
    } else {
        client
    };
    let now = expect["now"].as_u64().unwrap_or(1_700_000_000);
    let keys = KeySet::parse(&key_set(&Value::Null).to_string()).map_err(text)?;
    client.keep_keys(UnixTime::from_secs(now), keys);
    let mode = vector.text("response_mode").unwrap_or("jwt");
    let mode = ResponseMode::from_name(mode).ok_or("no such mode")?;
    let state = vector.text("expected_state").unwrap_or("xyz");
    let pending = pending(&client, mode, state)?;
    match sent_code(&client, pending, vector.required_text("callback")?, now) {
        Ok(code) => check_equal(
            "code",
            Some(code.as_str()),
            vector.expected["ok"]["code"].as_str(),
        ),
        Err(error) => refused(&error, vector),
    }
}

fn signing() -> Result<RequestSigning, String> {
    let jwk = keys("client_ec").to_string();
    let key = PrivateKey::read(&jwk, &[oauth_core::jose::Alg::Es256]);
    let key = key.map_err(|error| error.to_string())?;
    Ok(RequestSigning::new(key.signing_key("")))
}

fn part(jwt: &str, at: usize) -> Result<Value, String> {
    let part = jwt.split('.').nth(at).unwrap_or_default();
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

pub(crate) fn jar(vector: &Vector) -> Verdict {
    let id = vector.text("client_id").unwrap_or("client1");
    let plain = client(ISSUER, id, &vector.input["metadata"]).map_err(text)?;
    let client = plain.clone().with_request_signing(signing()?);
    let openid = Scope::parse("openid").map_err(text)?;
    match vector.text("build") {
        Some("request_object") => {
            let input_params = &vector.input["params"];
            let redirect_uri = input_params["redirect_uri"].as_str().unwrap_or_default();
            let age = input_params["max_age"].as_u64().ok_or("no max_age")?;
            let auth_request = authorization_request(redirect_uri)
                .map_err(text)?
                .scope(openid)
                .max_age(age);
            let now = vector.input["now"].as_u64().ok_or("no time")?;
            let begun = begun(&client, now, auth_request).map_err(text)?;
            built(vector, &begun, now)
        }
        Some("authorization_url_with_request") => {
            for (scope, extra) in [(Scope::none(), Vec::new()), (openid, outer(vector))] {
                let auth_request = authorization_request(CALLBACK).map_err(text)?.scope(scope);
                let begun = begun(&client, 1, auth_request).map_err(text)?;
                let pairs = query(&begun.url);
                let mut names: Vec<_> = pairs.iter().map(|(name, _)| name.clone()).collect();
                let mut expected_value = crate::format::texts(&vector.expected["query_params"]);
                expected_value.extend(extra);
                names.sort_unstable();
                expected_value.sort_unstable();
                check_equal("parameters", names, expected_value)?;
                let object = pairs.iter().find(|(name, _)| name == "request");
                let claims = part(object.map_or("", |(_, jwt)| jwt), 1)?;
                check_equal("client_id", claims["client_id"].as_str(), Some(id))?;
            }
            Ok(())
        }
        Some("authorization_url") => {
            let refused = begun(&plain, 1, authorization_request(CALLBACK).map_err(text)?);
            expect::outcome(&vector.expected, refused.map(drop)).map(drop)
        }
        Some(other) => Err(format!("nothing builds {other}").into()),
        None if vector.input["both"] == true => {
            // Each has its own option: adding it as an extra parameter is refused.
            let auth_request = authorization_request(CALLBACK).map_err(text)?;
            let auth_request = auth_request.extra("request_uri", "https://client.example/r");
            expect::outcome(&vector.expected, begun(&client, 1, auth_request).map(drop)).map(drop)
        }
        None => {
            let Ok(url) = Url::parse(vector.required_text("request_uri")?) else {
                // Other kinds of URL cannot be expressed.
                let class = vector.expected["error"].as_str();
                return check_equal("class", class, Some("request_uri_scheme"));
            };
            let auth_request = authorization_request(CALLBACK)
                .map_err(text)?
                .request_uri(url);
            expect::outcome(&vector.expected, begun(&client, 1, auth_request).map(drop)).map(drop)
        }
    }
}

fn outer(vector: &Vector) -> Vec<String> {
    crate::format::texts(&vector.expected["oidc_compat_adds"])
}

/// A request object has the type, the claims and the parameters that the vector expects.
pub(crate) fn signed_as_wanted(
    vector: &Vector,
    header: &Value,
    claims: &Value,
    now: u64,
) -> Verdict {
    let expected = &vector.expected;
    check_equal("typ", &header["typ"], &expected["header_typ"])?;
    for (name, value) in expected["claims"].as_object().ok_or("no claims")? {
        match name.as_str() {
            "exp_max" => {
                let exp = claims["exp"].as_u64().ok_or("no exp")?;
                check("exp", exp > now && Some(exp) <= value.as_u64())?;
            }
            _ => check_equal(name, &claims[name], value)?,
        }
    }
    let input_params = vector.input["params"].as_object().ok_or("no parameters")?;
    for name in input_params.keys().filter(|name| *name != "state") {
        check_equal(name, &claims[name], &input_params[name])?;
    }
    Ok(())
}

fn built(vector: &Vector, begun: &Authorization, now: u64) -> Verdict {
    let pairs = query(&begun.url);
    let object = pairs.iter().find(|(name, _)| name == "request");
    let (_, jwt) = object.ok_or("no request object")?;
    let (header, claims) = (part(jwt, 0)?, part(jwt, 1)?);
    let expected = &vector.expected;
    signed_as_wanted(vector, &header, &claims, now)?;
    let state = begun.pending.state().expose();
    check_equal("state", claims["state"].as_str(), Some(state.as_str()))?;
    for name in crate::format::texts(&expected["must_not_contain"]) {
        check(&name, claims.get(&name).is_none())?;
    }
    check("sub", claims.get("sub").is_none())
}

pub(crate) fn step_up(vector: &Vector) -> Verdict {
    if let Some(reply) = vector.input.get("introspection_response") {
        return introspected(vector, reply);
    }
    if vector.input.get("cached_tokens").is_some() {
        return chosen(vector);
    }
    if let Some(callback) = vector.text("callback") {
        let client = client(ISSUER, "client1", &Value::Null).map_err(text)?;
        let pending = pending(
            &client,
            ResponseMode::Query,
            vector.required_text("expected_state")?,
        )?;
        let error = client.redeem(pending, callback).map(drop).err();
        let error = error.ok_or("accepted")?;
        let code = error.server_error().and_then(|server| server.error());
        check_equal("code", code, vector.expected["code"].as_str())?;
        return check_equal("retry", error.advice().as_str() == "retry", false);
    }
    let status = vector.input["status"]
        .as_u64()
        .and_then(|status| StatusCode::from_u16(u16::try_from(status).ok()?).ok());
    let status = status.ok_or("no status")?;
    let field = vector.required_text("www_authenticate")?;
    let required_step_up = resource::step_up(status, [field.as_bytes()]);
    if let Some(action) = vector.expected["action"].as_str() {
        return check_action(vector, action, status, field, required_step_up);
    }
    let required_step_up = required_step_up.ok_or("no step-up is requested")?;
    let granted = vector.text("granted_scope").unwrap_or_default();
    let granted = Scope::parse(granted).map_err(text)?;
    let authorize_parameters = step_up_parameters(&required_step_up, &granted).map_err(text)?;
    for pair in vector.expected["authorization_params"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let [name, value] = [&pair[0], &pair[1]].map(|part| part.as_str().unwrap_or_default());
        let found = authorize_parameters.iter().find(|(key, _)| key == name);
        check_equal(name, found.map(|(_, value)| value.as_str()), Some(value))?;
    }
    Ok(())
}

fn step_up_parameters(
    required_step_up: &StepUp,
    granted: &Scope,
) -> Result<Vec<(String, String)>, Error> {
    let client = client(ISSUER, "client1", &Value::Null)?;
    let request = authorization_request(CALLBACK)?.scope(granted.clone());
    let request = request.step_up(required_step_up.clone(), &Tokens::bearer("a"));
    Ok(query(&begun(&client, 1, request)?.url))
}

fn check_action(
    vector: &Vector,
    action: &str,
    status: StatusCode,
    field: &str,
    required_step_up: Option<StepUp>,
) -> Verdict {
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(field).map_err(|error| error.to_string())?;
    headers.insert(WWW_AUTHENTICATE, value);
    if action.contains("retry once") {
        check("no step-up is requested", required_step_up.is_none())?;
        return check(
            "renewed",
            resource::verdict(status, &headers) == Asking::Renew,
        );
    }
    check("the caller gets the response", action == "surface error")?;
    // The caller gets the response: neither a new token nor a login is requested.
    let api = Api::new(Resource::new(["https://api.example"]).map_err(text)?);
    let mut request = ResourceRequest::new(&api, Method::GET, "https://api.example/x");
    let clock = Clock {
        moment: moment(1),
        elapsed: std::time::Duration::ZERO,
    };
    let tokens = Tokens::bearer("a");
    let steps = [
        request.resume(&clock, Event::Begin).map_err(text)?,
        request
            .resume(&clock, Event::Token(&tokens))
            .map_err(text)?,
        request
            .resume(&clock, Event::Reply(status, &headers))
            .map_err(text)?,
    ];
    check("handed back", matches!(steps, [_, _, CallStep::Done]))?;
    if vector.input["same_challenge_already_answered"] == true {
        return repeated(&required_step_up.ok_or("no step-up is requested")?);
    }
    let has_no_issuer = vector.text("grant") == Some("client_credentials");
    check(
        "no step-up is possible",
        required_step_up.is_none() || has_no_issuer,
    )
}

/// The API repeats its challenge to tokens from a login that met it.
fn repeated(required_step_up: &StepUp) -> Verdict {
    let client = client(ISSUER, "client1", &Value::Null).map_err(text)?;
    let tokens = stepped_up(&client, required_step_up)?;
    check_equal(
        "the second time",
        satisfies(&client, required_step_up, &tokens)?,
        true,
    )
}

/// Whether tokens are from a login that meets `wanted`, so that no login is necessary.
fn satisfies(client: &Client, required_step_up: &StepUp, tokens: &Tokens) -> Result<bool, String> {
    let request = authorization_request(CALLBACK).map_err(text)?;
    match begun(client, 1, request.step_up(required_step_up.clone(), tokens)) {
        Ok(_) => Ok(false),
        Err(error) if error.code() == "step_up.repeated" => Ok(true),
        Err(error) => Err(text(error)),
    }
}

/// The tokens of a login that meets `required_step_up`.
fn stepped_up(client: &Client, required_step_up: &StepUp) -> Result<Tokens, String> {
    let request = authorization_request(CALLBACK).map_err(text)?;
    let first = begun(
        client,
        1,
        request.step_up(required_step_up.clone(), &Tokens::bearer("a")),
    );
    let first = first.map_err(text)?;
    let callback = format!("{CALLBACK}?code=c&state={}", first.pending.state().expose());
    let mut login = client.redeem(first.pending, &callback).map_err(text)?;
    let _ = login.resume(&moment(1), Input::Begin);
    let response_body = json!({ "access_token": "b", "token_type": "Bearer" }).to_string();
    let reply = http::Response::builder().header("content-type", "application/json");
    let reply = Input::Reply(reply.body(Bytes::from(response_body)).unwrap_or_default());
    let Ok(Step::Done(login)) = login.resume(&moment(1), reply) else {
        return Err("no tokens".into());
    };
    Ok(login.tokens)
}

/// The tokens of a step-up are kept beside the ordinary ones, in a grant that is named by what was required, and found
/// by what is required.
fn chosen(vector: &Vector) -> Verdict {
    let client = client(ISSUER, "client1", &Value::Null).map_err(text)?;
    let challenge_for = |acr: &str| {
        let field =
            format!("Bearer error=\"insufficient_user_authentication\", acr_values=\"{acr}\"");
        resource::step_up(StatusCode::UNAUTHORIZED, [field.as_bytes()])
    };
    let grant_key = |step_up: &StepUp| {
        client
            .keeper(GrantId::user("ann").stepped_up(step_up))
            .key()
    };
    let needed = crate::format::texts(&vector.input["needed"]["acr_values"]);
    let needed = challenge_for(&needed.join(" ")).ok_or("the vector has no requirement")?;
    let cached = vector.input["cached_tokens"]
        .as_array()
        .ok_or("no tokens")?;
    let (mut keys, mut found) = (vec![client.keeper(GrantId::user("ann")).key()], Vec::new());
    for (at, tokens) in cached.iter().enumerate() {
        let acr = tokens["acr"].as_str().ok_or("no acr")?;
        let tokens = stepped_up(
            &client,
            &challenge_for(acr).ok_or("no step-up is requested")?,
        )?;
        let key = grant_key(tokens.step_up().ok_or("not of a step-up")?);
        let is_found = key == grant_key(&needed);
        check_equal("met", satisfies(&client, &needed, &tokens)?, is_found)?;
        keys.push(key);
        found.extend(is_found.then_some(at as u64));
    }
    let count = keys.len();
    keys.sort_unstable();
    keys.dedup();
    check_equal("grants", keys.len(), count)?;
    let expected_value: Vec<_> = vector.expected["use"].as_u64().into_iter().collect();
    check_equal("used", found, expected_value)
}

fn introspected(vector: &Vector, reply: &Value) -> Verdict {
    use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse};
    let server = Server::new(Issuer::parse(ISSUER).map_err(text)?);
    let kind = EndpointKind::Introspection;
    let server = server
        .with_endpoint(kind, "https://as.example/i")
        .map_err(text)?;
    let client = Client::new(server, ClientId::new("c"), ClientAuth::basic("s3cr3t"));
    let mut exchange = client.map_err(text)?.introspect(Introspection::new("t"));
    let _ = exchange.resume(&moment(1), Input::Begin);
    let body = reply["body"].as_str().unwrap_or_default().to_owned();
    let response = http::Response::builder().header("content-type", "application/json");
    let response = Input::Reply(response.body(Bytes::from(body)).unwrap_or_default());
    let Ok(Step::Done(IntrospectionResponse::Active(token))) =
        exchange.resume(&moment(1), response)
    else {
        return Err("not active".into());
    };
    let tokens = Arc::new(token);
    for name in ["acr", "auth_time"] {
        check_equal(
            name,
            tokens.extra.get(name),
            Some(&vector.expected["ok"][name]),
        )?;
    }
    Ok(())
}
