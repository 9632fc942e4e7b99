//! Group `request-example`: the requests and responses printed in the standards, except those of RFC 6749's token
//! endpoint.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use oauth_core::endpoint::introspection::{Introspection, IntrospectionResponse};
use oauth_core::endpoint::revocation::Revocation;
use oauth_core::flow::authorization::Authorization;
use oauth_core::grant::{ClientCredentials, TokenRequest};
use oauth_core::issuer::Issuer;
use oauth_core::jose::Alg;
use oauth_core::moment::UnixTime;
use oauth_core::quirk::{Rules, Strictness};
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::token::TokenKind;
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Error, Exchange, Input, Moment, Scope,
    Step, Tokens,
};
use oauth_crypto::PrivateKey;
use serde_json::{Value, json};

use crate::expect;
use crate::format::{Vector, Verdict, check, check_equal, texts};

fn text(error: Error) -> String {
    error.to_string()
}

fn moment() -> Moment {
    Moment::fixed(UnixTime::from_secs(1_625_869_617), [1; 32])
}

fn server(vector: &Vector) -> Result<Server, Error> {
    let issuer = match vector.text("authorization_endpoint") {
        Some(_) => "https://as.example.com",
        None => "https://server.example.com",
    };
    let kinds = [
        (EndpointKind::Authorization, "authorize"),
        (EndpointKind::Token, "token"),
        (EndpointKind::Revocation, "revoke"),
        (EndpointKind::Introspection, "introspect"),
        (EndpointKind::PushedAuthorizationRequest, "as/par"),
    ];
    let server = kinds.iter().try_fold(
        Server::new(Issuer::parse(issuer)?),
        |server, (kind, path)| server.with_endpoint(*kind, &format!("{issuer}/{path}")),
    )?;
    Ok(match vector.input["metadata"].as_object() {
        Some(metadata) => server.with_metadata(metadata.clone()),
        None => server,
    })
}

fn client(vector: &Vector, rules: Rules) -> Result<Client, Error> {
    let id = vector.text("client_id").unwrap_or("client1");
    let secret = vector.text("client_secret").unwrap_or("s3cr3t");
    let auth = ClientAuth::basic(secret);
    Client::new(server(vector)?.with_rules(rules), ClientId::new(id), auth)
}

fn authorization_request() -> Result<AuthorizationRequest, Error> {
    RedirectUri::parse("https://client.example.org/cb").map(AuthorizationRequest::new)
}

fn first<E: Exchange>(exchange: &mut E) -> Result<Request<Bytes>, Error> {
    match exchange.resume(&moment(), Input::Begin)? {
        Step::Send(request) => Ok(request),
        _ => unreachable!("a request"),
    }
}

fn pairs(text: &[u8]) -> Vec<(String, String)> {
    serde_urlencoded::from_bytes(text).unwrap_or_default()
}

fn reply(response_spec: &Value) -> Input {
    let mut reply = Response::new(Bytes::from(
        response_spec["body"]
            .as_str()
            .unwrap_or_default()
            .to_owned(),
    ));
    let status = response_spec["status"]
        .as_u64()
        .and_then(|status| u16::try_from(status).ok());
    *reply.status_mut() = StatusCode::from_u16(status.unwrap_or(200)).unwrap_or_default();
    if let Some(kind) = response_spec["content_type"]
        .as_str()
        .and_then(|kind| kind.parse().ok())
    {
        reply.headers_mut().insert("content-type", kind);
    }
    Input::Reply(reply)
}

/// The result of an exchange whose only request gets this response.
fn resume_with<E: Exchange>(mut exchange: E, response_spec: &Value) -> Result<E::Output, Error> {
    let _ = first(&mut exchange)?;
    match exchange.resume(&moment(), reply(response_spec))? {
        Step::Done(output) => Ok(output),
        _ => unreachable!("one request"),
    }
}

pub(crate) fn example(vector: &Vector) -> Verdict {
    let input = &vector.input;
    if let Some(response) = input.get("revocation_response") {
        let client = client(vector, Rules::default()).map_err(text)?;
        return revoked(
            vector,
            resume_with(client.revoke(Revocation::new("t")), response),
        );
    }
    if let Some(response) = input.get("introspection_response") {
        let client = client(vector, Rules::default()).map_err(text)?;
        let state = resume_with(client.introspect(Introspection::new("t")), response);
        return introspected(vector, state);
    }
    if let Some(response) = input.get("par_response") {
        return pushed(vector, response);
    }
    if let Some(form) = vector.text("parse_form") {
        return pushed_body(vector, form);
    }
    if input["use_same_request_uri_twice"] == true {
        return once(vector);
    }
    match vector.text("build") {
        Some("revocation" | "introspection") => built(vector),
        Some("authorization_url_from_par") => from_par(vector),
        Some("authorization_url") => authorization_url(vector),
        Some("par") => reserved(vector),
        Some(other) => Err(format!("nothing builds {other}").into()),
        None => token_reply(vector),
    }
}

fn revoked(vector: &Vector, got: Result<(), Error>) -> Verdict {
    if vector.expected["error"] == "temporarily_unavailable" {
        let error = got.err().ok_or("accepted")?;
        return check_equal("advice", error.advice().as_str(), "retry");
    }
    expect::outcome(&vector.expected, got).map(drop)
}

fn introspected(vector: &Vector, state: Result<IntrospectionResponse, Error>) -> Verdict {
    let Some(state) = expect::outcome(&vector.expected, state)? else {
        return Ok(());
    };
    let expected_value = &vector.expected["ok"];
    let active = match state {
        IntrospectionResponse::Active(token) => Some(token),
        _ => None,
    };
    check_equal(
        "active",
        Some(active.is_some()),
        expected_value["active"].as_bool(),
    )?;
    let Some(token) = active else {
        return Ok(());
    };
    if let Some(names) = expected_value["scope"].as_array() {
        let scope = token.scope.clone().unwrap_or_default();
        let got: Vec<_> = scope.iter().map(Value::from).collect();
        check_equal("scope", &got, names)?;
    }
    let sub = expected_value["sub"].as_str();
    check("sub", sub.is_none() || sub == token.subject.as_deref())
}

fn pushed(vector: &Vector, response_spec: &Value) -> Verdict {
    let begin = |strictness| {
        let rules = Rules {
            strictness,
            ..Rules::default()
        };
        let client = client(vector, rules)?;
        resume_with(
            client.begin_authorization(authorization_request()?.pushed()),
            response_spec,
        )
    };
    let got = begin(Strictness::Lenient);
    let Some(begun): Option<Authorization> = expect::outcome(&vector.expected, got)? else {
        return Ok(());
    };
    let expected_value = &vector.expected["ok"];
    if let Some(uri) = expected_value["request_uri"].as_str() {
        let query = pairs(begun.url.query().unwrap_or_default().as_bytes());
        let found = query.iter().find(|(name, _)| name == "request_uri");
        check_equal("request_uri", found.map(|(_, uri)| uri.as_str()), Some(uri))?;
        return check_equal(
            "expires_in",
            begun.expires_in,
            expected_value["expires_in"].as_u64(),
        );
    }
    // "deviation: 200 instead of 201; strict mode errors"
    check("strict mode errors", begin(Strictness::Strict).is_err())
}

/// Compares the body printed in RFC 9126 with ours for the same request.
fn pushed_body(vector: &Vector, form: &str) -> Verdict {
    let printed = pairs(form.as_bytes());
    for pair in vector.expected["contains_pairs"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let [name, value] = [&pair[0], &pair[1]].map(|part| part.as_str().unwrap_or_default());
        check(
            name,
            printed
                .iter()
                .any(|(key, expected_value)| key == name && expected_value == value),
        )?;
    }
    let key = PrivateKey::generate(Alg::Rs256).map_err(|error| error.to_string())?;
    let auth = ClientAuth::assertion(key.client_assertion("k2bdc"));
    let server = server(vector).map_err(text)?;
    let client = Client::new(server, ClientId::new("s6BhdRkqt3"), auth).map_err(text)?;
    let scope = Scope::parse("account-information").map_err(text)?;
    let mut exchange =
        client.begin_authorization(authorization_request().map_err(text)?.scope(scope).pushed());
    let request = first(&mut exchange).map_err(text)?;
    let ours = pairs(request.body());
    let names = |all: &[(String, String)]| {
        let mut names: Vec<_> = all.iter().map(|(name, _)| name.clone()).collect();
        names.sort_unstable();
        names
    };
    check_equal("parameters", names(&ours), names(&printed))
}

/// A `request_uri` is used in one URL, which belongs to one flow; a second authorization gets its own.
fn once(vector: &Vector) -> Verdict {
    let client = client(vector, Rules::default()).map_err(text)?;
    let response_body = json!({ "status": 201, "content_type": "application/json",
        "body": r#"{"request_uri":"urn:x:1","expires_in":60}"# });
    let mut exchange = client.begin_authorization(authorization_request().map_err(text)?.pushed());
    let _ = first(&mut exchange).map_err(text)?;
    let done = exchange
        .resume(&moment(), reply(&response_body))
        .map_err(text)?;
    check("a URL", matches!(done, Step::Done(_)))?;
    // The exchange is finished: it cannot create a second URL.
    let again = exchange.resume(&moment(), reply(&response_body)).map(drop);
    let code = again.map_err(|error| error.code());
    check_equal("the second use", code, Err("misuse.already_finished"))
}

fn built(vector: &Vector) -> Verdict {
    let client = client(vector, Rules::default()).map_err(text)?;
    let token = vector.required_text("token")?;
    let hint = match vector.text("token_type_hint") {
        Some("refresh_token") => Some(TokenKind::Refresh),
        Some(_) => Some(TokenKind::Access),
        None => None,
    };
    let request = match vector.text("build") {
        Some("revocation") => {
            first(&mut client.revoke(Revocation::new(token).token_type_hint(hint)))
        }
        _ => first(&mut client.introspect(Introspection::new(token).token_type_hint(hint))),
    };
    let request = request.map_err(text)?;
    let expected = &vector.expected;
    check("method", request.method() == Method::POST)?;
    if let Some(url) = expected["url"].as_str() {
        check("url", request.uri() == url)?;
    }
    let ours = pairs(request.body());
    let ours: Vec<_> = ours
        .iter()
        .map(|(name, value)| json!([name, value]))
        .collect();
    check_equal("params", Some(&ours), expected["params"].as_array())?;
    for (name, value) in expected["headers"].as_object().into_iter().flatten() {
        let header = request.headers().get(name.as_str());
        let header = header.and_then(|value| value.to_str().ok());
        check_equal(name, header, value.as_str())?;
    }
    Ok(())
}

fn from_par(vector: &Vector) -> Verdict {
    let server = server(vector).map_err(text)?;
    let kind = EndpointKind::Authorization;
    let server = server.with_endpoint(kind, vector.required_text("authorization_endpoint")?);
    let id = ClientId::new(vector.required_text("client_id")?);
    let client = Client::new(server.map_err(text)?, id, ClientAuth::none()).map_err(text)?;
    let uri = vector.required_text("request_uri")?;
    let body = json!({ "request_uri": uri, "expires_in": 60 }).to_string();
    let response_body = json!({ "status": 201, "content_type": "application/json", "body": body });
    let authorization = resume_with(
        client.begin_authorization(authorization_request().map_err(text)?.pushed()),
        &response_body,
    );
    let url = authorization.map_err(text)?.url;
    let query = pairs(url.query().unwrap_or_default().as_bytes());
    let query: Vec<_> = query
        .iter()
        .map(|(name, value)| json!([name, value]))
        .collect();
    check_equal(
        "query",
        Some(&query),
        vector.expected["query_params_exact"].as_array(),
    )
}

fn authorization_url(vector: &Vector) -> Verdict {
    let client = client(vector, Rules::default()).map_err(text)?;
    let begin = || {
        let mut request = authorization_request()?;
        for uri in texts(&vector.input["resource"]) {
            request = request.resource(&uri)?;
        }
        if let Some(details) = vector.input.get("authorization_details") {
            request = request.extra("authorization_details", details.to_string());
        }
        client.authorize(&moment(), request)
    };
    let Some((url, _)) = expect::outcome(&vector.expected, begin())? else {
        return Ok(());
    };
    let query = pairs(url.query().unwrap_or_default().as_bytes());
    let mut query = query.iter();
    // In the expected order.
    for pair in vector.expected["query_contains_pairs"]
        .as_array()
        .into_iter()
        .flatten()
    {
        let found = query.any(|(name, value)| json!([name, value]) == *pair);
        check("a pair", found)?;
    }
    Ok(())
}

fn reserved(vector: &Vector) -> Verdict {
    let client = client(vector, Rules::default()).map_err(text)?;
    let mut request = authorization_request().map_err(text)?.pushed();
    for pair in vector.input["params"].as_array().into_iter().flatten() {
        let [name, value] = [&pair[0], &pair[1]].map(|part| part.as_str().unwrap_or_default());
        request = request.extra(name, value);
    }
    let sent = first(&mut client.begin_authorization(request)).map(drop);
    expect::outcome(&vector.expected, sent).map(drop)
}

fn token_reply(vector: &Vector) -> Verdict {
    let client = client(vector, Rules::default()).map_err(text)?;
    let exchange = client.token(ClientCredentials, TokenRequest::new());
    let got = resume_with(exchange, &vector.input);
    let granted = got.and_then(|tokens: Tokens| tokens.authorization_details());
    let Some(granted) = expect::outcome(&vector.expected, granted)? else {
        return Ok(());
    };
    let granted = granted.map(|all| serde_json::from_str::<Value>(&all.to_json()));
    let granted = granted.transpose().map_err(|error| error.to_string())?;
    let expected_value = vector.expected["ok"].get("authorization_details");
    check_equal("authorization_details", granted.as_ref(), expected_value)
}
