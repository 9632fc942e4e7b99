//! Groups about client authentication: `client-assertion`, `assertion-source`,
//! `auth-method-selection`, `mtls`, and the logins of `oidc-token-response`.

use std::sync::Mutex;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use http::{Request, Response};
use oauth_core::assertion::Assertion;
use oauth_core::client_auth::{
    AssertionAudience, AssertionProfile, AssertionRequest, Certificate, ClientAssertion,
    Credentials, FederatedAssertion,
};
use oauth_core::endpoint::device_authorization::DeviceAuthorization;
use oauth_core::endpoint::introspection::Introspection;
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::error::Cause;
use oauth_core::exchange::Boxed;
use oauth_core::flow::authorization::{AuthorizationRequest, Push};
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::json::{self, Json};
use oauth_core::moment::UnixTime;
use oauth_core::quirk::Rules;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::Server;
use oauth_core::{
    Client, ClientAuth, ClientId, Error, Exchange, ExchangeExt as _, Input, Moment, Scope, Secret,
    Step, Tokens,
};
use oauth_crypto::PrivateKey;
use serde_json::{Value, json};

use crate::access_token;
use crate::expect::wanted_classes;
use crate::format::{Vector, Verdict, check, check_equal};
use crate::jws::{keys, refused};

const ISSUER: &str = "https://as.example";
const NOW: u64 = 1_700_000_000;

fn text(error: Error) -> String {
    error.to_string()
}

fn server(issuer: &str, more: &Value) -> Result<Server, String> {
    let mut document = json!({
        "issuer": issuer,
        "authorization_endpoint": format!("{issuer}/authorize"),
        "token_endpoint": format!("{issuer}/token"),
        "revocation_endpoint": format!("{issuer}/revoke"),
        "introspection_endpoint": format!("{issuer}/introspect"),
        "device_authorization_endpoint": format!("{issuer}/device"),
        "pushed_authorization_request_endpoint": format!("{issuer}/par"),
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        document[name] = value.clone();
    }
    let document = document.to_string();
    let Ok(Json::Object(document)) = json::parse(&document) else {
        return Err("no object".to_owned());
    };
    let issuer = Issuer::parse(issuer).map_err(text)?;
    Server::read(&issuer, &document, Rules::default()).map_err(text)
}

fn client(auth: ClientAuth) -> Result<Client, String> {
    let server = server(ISSUER, &Value::Null)?;
    Client::new(server, ClientId::new("client1"), auth).map_err(text)
}

/// A client of this server that signs assertions with the vectors' key.
pub(crate) fn signing_client(issuer: &str, token_endpoint: &str) -> Result<Client, String> {
    let server = server(issuer, &json!({ "token_endpoint": token_endpoint }))?;
    let assertion = private_key()?.client_assertion("k");
    Client::new(
        server,
        ClientId::new("client1"),
        ClientAuth::assertion(assertion),
    )
    .map_err(text)
}

fn private_key() -> Result<PrivateKey, String> {
    let key = keys("client_ec").to_string();
    PrivateKey::from_jwk(&key, Alg::Es256).map_err(|error| error.to_string())
}

fn moment(seed: u8) -> Moment {
    Moment::fixed(UnixTime::from_secs(NOW), [seed; 32])
}

/// The first request of an exchange.
fn sent<E: Exchange>(mut exchange: E, seed: u8) -> Result<Request<Bytes>, Error> {
    match exchange.resume(&moment(seed), Input::Begin)? {
        Step::Send(request) => Ok(request),
        _ => Err(oauth_core::error::Misuse::OutOfOrder.into()),
    }
}

fn form(request: &Request<Bytes>) -> Vec<(String, String)> {
    serde_urlencoded::from_bytes(request.body()).unwrap_or_default()
}

fn parameter(request: &Request<Bytes>, name: &str) -> Option<String> {
    let mut pairs = form(request).into_iter();
    pairs.find(|(key, _)| key == name).map(|(_, value)| value)
}

fn part(jwt: &str, number: usize) -> Result<Value, String> {
    let part = jwt.split('.').nth(number).ok_or("no such part")?;
    let bytes = URL_SAFE_NO_PAD
        .decode(part)
        .map_err(|error| error.to_string())?;
    serde_json::from_slice(&bytes).map_err(|error| error.to_string())
}

fn credentials(client: &Client, seed: u8) -> Result<Request<Bytes>, String> {
    sent(client.client_credentials(Scope::none()), seed).map_err(text)
}

fn client_assertion_in(request: &Request<Bytes>) -> Result<String, String> {
    parameter(request, "client_assertion").ok_or_else(|| "no assertion".to_owned())
}

/// The request to this endpoint.
fn call(client: &Client, endpoint: &str) -> Result<Request<Bytes>, String> {
    match endpoint {
        "token" => credentials(client, 1),
        "revocation" => sent(client.revoke(Revocation::new("t")), 1).map_err(text),
        "introspection" => sent(client.introspect(Introspection::new("t")), 1).map_err(text),
        "device_authorization" => {
            sent(client.call(DeviceAuthorization::new(Scope::none())), 1).map_err(text)
        }
        "par" => {
            let uri = RedirectUri::parse("https://rp.example/cb").map_err(text)?;
            let mut request = AuthorizationRequest::new(uri);
            request.push = Push::Always;
            sent(client.begin_authorization(request), 1).map_err(text)
        }
        other => Err(format!("no endpoint {other}")),
    }
}

pub(crate) fn client_assertion(vector: &Vector) -> Verdict {
    let (input, expected) = (&vector.input, &vector.expected);
    if vector.text("build") == Some("jwt_grant") {
        let key = private_key()?.signing_key("");
        let audience = vector.required_text("aud")?;
        let assertion = Assertion::new(key, "client1", "client1", audience).map_err(text)?;
        let client = client(ClientAuth::none())?;
        let request =
            sent(client.tokens_for_own_assertion(assertion, Scope::none()), 1).map_err(text)?;
        let jwt = parameter(&request, "assertion").ok_or("no assertion")?;
        return check_equal("aud", &part(&jwt, 1)?["aud"], &expected["aud"]);
    }
    if vector.text("alg") == Some("none") {
        return check("cannot be named", Alg::from_name("none").is_none());
    }
    let assertion = match described(input) {
        Ok(assertion) => assertion,
        Err(error) => return refused(&error, vector),
    };
    let id = vector.text("client_id").unwrap_or("client1");
    if let Some(servers) = input["servers"].as_array() {
        return shared(servers, &assertion, vector);
    }
    if input.get("metadata").is_some() {
        let server = server(ISSUER, &input["metadata"])?;
        let made = Client::new(server, ClientId::new(id), ClientAuth::assertion(assertion));
        return match made {
            Err(error) => refused(&error, vector),
            Ok(_) => check("it is accepted", vector.expected["ok"] == true),
        };
    }
    let audience = match (input["quirk"].as_str(), input.get("issuer")) {
        (Some("aud=token_endpoint"), _) => AssertionAudience::TokenEndpoint,
        (None, Some(Value::Null)) => AssertionAudience::Endpoint,
        _ => AssertionAudience::Issuer,
    };
    let issuer = vector.text("issuer").unwrap_or(ISSUER);
    let more = input.get("token_endpoint");
    let more = more.map_or(Value::Null, |url| json!({ "token_endpoint": url }));
    let auth = ClientAuth::assertion(assertion.audience(audience));
    let client = Client::new(server(issuer, &more)?, ClientId::new(id), auth).map_err(text)?;
    let request = call(&client, vector.text("endpoint").unwrap_or("token"))?;
    let jwt = client_assertion_in(&request)?;
    let (header, claims) = (part(&jwt, 0)?, part(&jwt, 1)?);
    if expected["jti_differs"] == true {
        // A request after a loss is another call, and so another moment.
        let other = part(&client_assertion_in(&credentials(&client, 2)?)?, 1)?;
        return check("another jti", claims["jti"] != other["jti"]);
    }
    if let Some(names) = expected["must_have"].as_array() {
        for name in names.iter().filter_map(Value::as_str) {
            let (name, value) = name.split_once('=').unwrap_or((name, ""));
            let found = parameter(&request, name).ok_or_else(|| format!("no {name}"))?;
            check(name, value.is_empty() || found == value)?;
        }
        check("no secret", parameter(&request, "client_secret").is_none())?;
        check(
            "no header",
            !request.headers().contains_key("authorization"),
        )?;
        return check_equal(
            "client_id",
            parameter(&request, "client_id").as_deref(),
            claims["sub"].as_str(),
        );
    }
    for (of, expected_value) in [
        (&header, &expected["header"]),
        (&header, &expected["header_has"]),
        (&claims, &expected["claims"]),
    ] {
        // Random values differ.
        let members = expected_value
            .as_object()
            .into_iter()
            .flatten()
            .filter(|(name, _)| *name != "jti");
        for (name, value) in members {
            // The known answer was issued at the time of its request, as ours is.
            check_equal(name, &of[name], value)?;
        }
    }
    if let Some(expected_value) = expected["aud"].as_str() {
        let endpoint = format!("{ISSUER}/revoke");
        let expected_value = if input.get("issuer") == Some(&Value::Null) {
            endpoint.as_str()
        } else {
            expected_value
        };
        check_equal("aud", claims["aud"].as_str(), Some(expected_value))?;
    }
    check("one audience", claims["aud"].is_string())
}

/// How the client of a vector signs its assertions: by default with the vectors' key.
fn described(input: &Value) -> Result<ClientAssertion, Error> {
    let text = |name: &str| input[name].as_str();
    let unknown = || Error::from(oauth_core::error::Misuse::KeyAlgorithm);
    let is_of_secret = text("method") == Some("client_secret_jwt");
    let by_default = if is_of_secret { "HS256" } else { "ES256" };
    let alg = text("alg").or(text("key_alg")).unwrap_or(by_default);
    let alg = Alg::from_name(alg).ok_or_else(unknown)?;
    let assertion = if is_of_secret {
        oauth_crypto::client_secret_jwt(text("client_secret").unwrap_or_default(), alg)?
    } else {
        let key = match &input["key"] {
            Value::Null => keys("client_ec"),
            Value::String(name) => keys(name),
            key => key.clone(),
        };
        let id = text("kid").or(text("client_id")).unwrap_or("client1");
        PrivateKey::from_jwk(&key.to_string(), alg)?.client_assertion(id)
    };
    let lifetime = input["lifetime"].as_u64().unwrap_or(60);
    Ok(assertion.lifetime(u32::try_from(lifetime).unwrap_or(60)))
}

fn shared(servers: &[Value], assertion: &ClientAssertion, vector: &Vector) -> Verdict {
    for described in servers {
        let audience = match described["quirk"].as_str() {
            Some(_) => AssertionAudience::TokenEndpoint,
            None => AssertionAudience::Issuer,
        };
        let server = server(
            described["issuer"].as_str().unwrap_or_default(),
            &Value::Null,
        )?;
        let auth = ClientAuth::assertion(assertion.clone().audience(audience));
        if let Err(error) = Client::new(server, ClientId::new("c"), auth) {
            return refused(&error, vector);
        }
    }
    check("the key serves both", vector.expected["ok"] == true)
}

pub(crate) fn selection(vector: &Vector) -> Verdict {
    if vector.input.get("configured").is_some() {
        // A client has exactly one `ClientAuth`: two cannot be expressed.
        return check("is one", vector.expected["error"] == "ambiguous_auth");
    }
    let methods = &vector.input["token_endpoint_auth_methods_supported"];
    let more = match methods {
        Value::Null => Value::Null,
        _ => json!({ "token_endpoint_auth_methods_supported": methods }),
    };
    let mut have = Credentials::default();
    for name in vector.input["have"].as_array().into_iter().flatten() {
        match name.as_str() {
            Some("secret") => have.secret = Some(Secret::from("s".repeat(32))),
            Some("key") => have.assertion = Some(private_key()?.client_assertion("k")),
            Some("cert") => have.certificate = Some(Certificate::Pki),
            Some("self_signed_cert") => have.certificate = Some(Certificate::SelfSigned),
            Some("svid") => have.certificate = Some(Certificate::Svid),
            Some("jwt_svid") => {
                let svid = source(vec![None]).profile(AssertionProfile::SpiffeJwt);
                have.workload = Some(svid);
            }
            _ => return Err("unknown credentials".into()),
        }
    }
    let server = server(ISSUER, &more)?;
    let has_secret_alone =
        have.assertion.is_none() && have.certificate.is_none() && have.workload.is_none();
    let auth = match have.secret.clone().filter(|_| has_secret_alone) {
        // A client with a secret can also sign with it: that is tried after the other methods.
        Some(secret) => oauth_crypto::client_secret_auth(secret, &server),
        None => ClientAuth::negotiate(have, &server),
    };
    match auth {
        Ok(auth) => check_equal(
            "method",
            Some(auth.name()),
            vector.expected["method"].as_str(),
        ),
        Err(error) => refused(&error, vector),
    }
}

/// An assertion source that returns the vector's files in order, then repeats the last.
fn source(files: Vec<Option<String>>) -> FederatedAssertion {
    let files = Mutex::new((0, files));
    FederatedAssertion::new(move |_: &AssertionRequest<'_>| {
        let mut files = files
            .lock()
            .unwrap_or_else(std::sync::PoisonError::into_inner);
        let (number, texts) = &mut *files;
        let file = texts.get(*number).or(texts.last()).cloned().flatten();
        *number += 1;
        file.map(Secret::new)
            .ok_or_else(|| Cause::unsent("there is no such file"))
    })
}

pub(crate) fn source_of_assertions(vector: &Vector) -> Verdict {
    if vector.id.starts_with("as-github") {
        // The core fetches this token, as it does for the packages.
        return Ok(());
    }
    let input = &vector.input;
    let file = |value: &Value| value.as_str().map(str::to_owned);
    let files = match (input["file_reads"].as_array(), input["requests"].as_array()) {
        (Some(reads), _) => reads.iter().map(file).collect(),
        (None, Some(requests)) => requests
            .iter()
            .map(|request| file(&request["file"]))
            .collect(),
        (None, None) => vec![file(&input["file"])],
    };
    let mut assertion = source(files);
    if let Some(audience) = input["expected_audience"].as_str() {
        assertion = assertion.audience(audience);
    }
    if input["profile"] == "spiffe_jwt" {
        assertion = assertion.profile(AssertionProfile::SpiffeJwt);
    }
    let issuer = vector.text("issuer").unwrap_or(ISSUER);
    let server = server(issuer, &Value::Null)?;
    let auth = ClientAuth::federated(assertion);
    let client = Client::new(server, ClientId::new("client1"), auth).map_err(text)?;
    let mut asserted = Vec::new();
    let request_specs = input["requests"].as_array();
    let times = request_specs.map_or(vec![NOW], |asked| {
        let times = asked
            .iter()
            .map(|request| request["now"].as_u64().unwrap_or(NOW));
        times.collect()
    });
    let mut replies = input["token_responses"]
        .as_array()
        .cloned()
        .unwrap_or_default()
        .into_iter();
    let mut result = Ok(());
    let mut last = None;
    for now in times {
        let exchange = client.client_credentials(Scope::none()).boxed();
        result = run(exchange, now, &mut replies, &mut asserted, &mut last);
    }
    let expected = &vector.expected;
    if let Some(expected_value) = expected["requests"].as_u64() {
        check_equal("requests", asserted.len() as u64, expected_value)?;
    }
    let expected_value = expected["client_assertions"]
        .as_array()
        .into_iter()
        .flatten();
    let expected_value: Vec<_> = expected_value
        .chain(expected.get("client_assertion"))
        .filter_map(Value::as_str)
        .collect();
    if !expected_value.is_empty() {
        check_equal(
            "assertions",
            asserted.iter().map(String::as_str).collect(),
            expected_value,
        )?;
    }
    let request = last.as_ref();
    for name in ["params", "params_have"] {
        for pair in expected[name].as_array().into_iter().flatten() {
            let found = request.and_then(|request| parameter(request, pair[0].as_str()?));
            check_equal("parameter", found.as_deref(), pair[1].as_str())?;
        }
    }
    if expected.get("must_not_have").is_some() {
        let is_bare = request.is_some_and(|request| {
            parameter(request, "client_secret").is_none()
                && !request.headers().contains_key("authorization")
        });
        check("no other credentials", is_bare)?;
    }
    match (
        result,
        wanted_classes(expected)
            .first()
            .copied()
            .or(expected["result"].as_str()),
    ) {
        (Ok(()), None | Some("ok")) => Ok(()),
        (Err(error), Some("error:invalid_client")) => {
            check_equal("code", error.code(), "denied.invalid_client")
        }
        (Err(error), Some(_)) => refused(&error, vector),
        (Ok(()), Some(_)) => Err("the request is sent".into()),
        (Err(error), None) => Err(text(error).into()),
    }
}

fn run(
    mut exchange: Boxed<Tokens>,
    now: u64,
    replies: &mut impl Iterator<Item = Value>,
    asserted: &mut Vec<String>,
    last: &mut Option<Request<Bytes>>,
) -> Result<(), Error> {
    let mut input = Input::Begin;
    let mut seed = 1;
    loop {
        input = match exchange
            .resume(&Moment::fixed(UnixTime::from_secs(now), [seed; 32]), input)?
        {
            Step::Send(request) => {
                asserted.push(parameter(&request, "client_assertion").unwrap_or_default());
                *last = Some(request);
                let valid_response =
                    json!({"status": 200, "body": r#"{"access_token":"a","token_type":"Bearer"}"#});
                let reply = replies.next().unwrap_or(valid_response);
                let status = reply["status"]
                    .as_u64()
                    .and_then(|status| u16::try_from(status).ok());
                let body = reply["body"].as_str().unwrap_or_default().to_owned();
                let response = Response::builder()
                    .status(status.unwrap_or(200))
                    .header("content-type", "application/json");
                Input::Reply(response.body(Bytes::from(body)).unwrap_or_default())
            }
            Step::Done(_) => return Ok(()),
            _ => Input::Elapsed,
        };
        seed += 1;
    }
}

pub(crate) fn mtls(vector: &Vector) -> Verdict {
    if vector.text("certificate_der_base64").is_some() {
        return access_token::thumbprint(vector);
    }
    if vector.input.get("introspection_cnf").is_some() {
        return access_token::bound(vector);
    }
    let id = vector.text("client_id").unwrap_or("client1");
    let certificate = match vector.text("auth") {
        Some("self_signed_tls_client_auth") => Certificate::SelfSigned,
        _ => Certificate::Pki,
    };
    let server = server(ISSUER, &Value::Null)?;
    let client = Client::new(server, ClientId::new(id), ClientAuth::tls(certificate));
    let request = credentials(&client.map_err(text)?, 1)?;
    check_equal(
        "client_id",
        parameter(&request, "client_id").as_deref(),
        Some(id),
    )?;
    for name in ["client_secret", "client_assertion"] {
        check(name, parameter(&request, name).is_none())?;
    }
    check(
        "no header",
        !request.headers().contains_key("authorization"),
    )
}
