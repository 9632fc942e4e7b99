//! Group `rfc6749-example`: the RFC's own requests and responses.

use bytes::Bytes;
use http::Request;
use oauth_core::endpoint::Endpoint as _;
use oauth_core::endpoint::token::Token;
use oauth_core::error::Error;
use oauth_core::grant::{ClientCredentials, Extension, Grant};
use oauth_core::issuer::{Issuer, RedirectUri};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Exchange, Input, Pending, Scope, Step,
    Tokens, danger,
};
use serde_json::{Value, json};

use crate::callback;
use crate::format::{Vector, Verdict, holds, same};
use crate::token::{self, moment};

pub(crate) fn example(vector: &Vector) -> Verdict {
    match vector.text("build") {
        Some("authorization_url") => authorization_url(vector),
        Some("token_request") => token_request(vector),
        Some(other) => Err(format!("nothing builds {other}")),
        None if callback::is_callback(&vector.input) => callback::response(vector),
        None if vector.input.get("stored_refresh_token").is_some() => refresh_storage(vector),
        None => token::response(vector),
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

fn server() -> Result<Server, Error> {
    Server::new(Issuer::parse("https://server.example.com")?)
        .with_endpoint(EndpointKind::Token, "https://server.example.com/token")
}

fn client(vector: &Vector, server: Server) -> Result<Client, String> {
    let secret = vector.text("client_secret").unwrap_or_default();
    let auth = match vector.text("auth") {
        Some("client_secret_basic") => ClientAuth::basic(secret),
        Some("client_secret_post") => ClientAuth::post(secret),
        Some("none") | None => ClientAuth::none(),
        Some(other) => return Err(format!("no client authentication {other}")),
    };
    Client::new(server, ClientId::new(vector.must("client_id")?), auth).map_err(text)
}

/// State is drawn, never given: the pair's presence is checked and the drawn value compared.
fn authorization_url(vector: &Vector) -> Verdict {
    let server = server().and_then(|server| {
        let endpoint = vector
            .text("authorization_endpoint")
            .unwrap_or("https://server.example.com/authorize");
        server.with_endpoint(EndpointKind::Authorization, endpoint)
    });
    let error = vector.expected["error"].as_str();
    let server = match (server, error) {
        (Ok(server), _) => server,
        (Err(refused), Some(_)) => {
            return crate::format::outcome::<()>(&vector.expected, Err(refused)).map(drop);
        }
        (Err(refused), None) => return Err(text(refused)),
    };
    let uri = RedirectUri::parse(
        vector
            .text("redirect_uri")
            .unwrap_or("https://client.example.com/cb"),
    )
    .map_err(text)?;
    let mut ask = AuthorizationRequest::new(uri);
    if let Some(scope) = vector.text("scope") {
        ask = ask.scope(Scope::parse(scope).map_err(text)?);
    }
    if vector.input.get("pkce").is_some_and(Value::is_null) {
        ask = danger::without_pkce(ask);
    }
    let (url, pending) = client(vector, server)?
        .authorize(moment(0), ask)
        .map_err(text)?;
    let base = vector.expected["url_base"].as_str().ok_or("no url_base")?;
    let (before, query) = url.as_str().split_once('?').ok_or("no query")?;
    same(
        "url_base",
        before,
        base.split('?').next().unwrap_or_default(),
    )?;
    let sent: Vec<(String, String)> =
        serde_urlencoded::from_str(query).map_err(|error| error.to_string())?;
    let mut want = pairs(&vector.expected["query_params"]);
    for (name, value) in &mut want {
        if name == "state" {
            pending.state().expose().clone_into(value);
        }
    }
    same_set(sent, want)
}

fn token_request(vector: &Vector) -> Verdict {
    let want = vector
        .expected
        .get("if_offered")
        .unwrap_or(&vector.expected);
    let grant = vector.must("grant")?;
    let request = match grant {
        "authorization_code" => code_request(vector)?,
        "refresh_token" => {
            let stored = tokens(vector)?;
            let token = stored.refresh_token.as_ref().ok_or("no refresh token")?;
            begin(client(vector, server().map_err(text)?)?.refresh(token))?
        }
        "client_credentials" => granted(
            vector,
            ClientCredentials {
                scope: Scope::none(),
            },
        )?,
        "password" => {
            let (name, word) = (vector.must("username")?, vector.must("password")?);
            granted(vector, danger::password(name, word, Scope::none()))?
        }
        uri => return extension(vector, uri, want),
    };
    same(
        "method",
        Some(request.method().as_str()),
        want["method"].as_str(),
    )?;
    same(
        "url",
        Some(request.uri().to_string().as_str()),
        want["url"].as_str(),
    )?;
    let sent: Vec<(String, String)> =
        serde_urlencoded::from_bytes(request.body()).map_err(|error| error.to_string())?;
    same_set(sent, pairs(&want["params"]))?;
    for (name, value) in want["headers"].as_object().into_iter().flatten() {
        let sent = request
            .headers()
            .get(name)
            .and_then(|value| value.to_str().ok());
        same(name, sent, value.as_str())?;
    }
    if let Some(name) = want["must_not_have_header"].as_str() {
        holds(
            "the header is absent",
            !request.headers().contains_key(name),
        )?;
    }
    Ok(())
}

/// A grant by URI; without a client in the vector the request is compared before authentication.
fn extension(vector: &Vector, uri: &str, want: &Value) -> Verdict {
    let known = ["build", "grant", "client_id", "client_secret", "auth"];
    let members = vector.input.as_object().into_iter().flatten();
    let mut grant = Extension::new(uri).map_err(text)?;
    for (name, value) in members.filter(|(name, _)| !known.contains(&name.as_str())) {
        let value = value.as_str().ok_or_else(|| format!("{name} is no text"))?;
        grant = match name.as_str() {
            "scope" => grant.scope(Scope::parse(value).map_err(text)?),
            _ => grant.parameter(name, value).map_err(text)?,
        };
    }
    let server = server().map_err(text)?;
    let draft = Token::new(grant, &server, &ClientId::new(""))
        .draft(&server)
        .map_err(text)?;
    same("url", Some(draft.url().as_str()), want["url"].as_str())?;
    let sent: Vec<(String, String)> =
        serde_urlencoded::from_str(draft.form().as_str()).map_err(|error| error.to_string())?;
    same_set(sent, pairs(&want["params"]))
}

fn granted<G: Grant + Send + 'static>(vector: &Vector, grant: G) -> Result<Request<Bytes>, String> {
    begin(client(vector, server().map_err(text)?)?.token(grant))
}

fn code_request(vector: &Vector) -> Result<Request<Bytes>, String> {
    let uri = vector.must("redirect_uri")?;
    let stored = json!({
        "version": 1, "issuer": "https://server.example.com", "client_id": vector.must("client_id")?,
        "issuer_required": false, "redirect_uri": uri, "state": "xyz", "nonce": null,
        "code_verifier": vector.text("code_verifier"), "scope": "", "response_mode": "query",
        "started_at": 0,
    });
    let pending = Pending::from_json(&stored.to_string()).map_err(text)?;
    let query = serde_urlencoded::to_string([("code", vector.must("code")?), ("state", "xyz")]);
    let callback = format!("{uri}?{}", query.map_err(|error| error.to_string())?);
    let client = client(vector, server().map_err(text)?)?;
    begin(client.redeem(pending, &callback).map_err(text)?)
}

fn begin<E: Exchange>(mut exchange: E) -> Result<Request<Bytes>, String> {
    match exchange.resume(moment(0), Input::Begin).map_err(text)? {
        Step::Send(request) => Ok(request),
        step => Err(format!("want a request, got {step:?}")),
    }
}

fn tokens(vector: &Vector) -> Result<Tokens, String> {
    let refresh = vector
        .text("refresh_token")
        .or(vector.text("stored_refresh_token"));
    let stored = json!({
        "version": 1, "issuer": "https://server.example.com",
        "client_id": vector.text("client_id").unwrap_or("s6BhdRkqt3"), "access_token": "old",
        "received_at": 0, "expires_in": null, "scope": "", "refresh_token": refresh,
        "refresh_scope": null, "id_token": null,
    });
    Tokens::from_json(&stored.to_string()).map_err(text)
}

fn refresh_storage(vector: &Vector) -> Verdict {
    let client = Client::new(
        server().map_err(text)?,
        ClientId::new("s6BhdRkqt3"),
        ClientAuth::none(),
    );
    let stored = tokens(vector)?;
    let token = stored.refresh_token.as_ref().ok_or("no refresh token")?;
    let mut exchange = client.map_err(text)?.refresh(token);
    exchange
        .resume(moment(0), Input::Begin)
        .map_err(text)
        .map(drop)?;
    let mut reply = http::Response::new(Bytes::from(vector.input["response"].to_string()));
    let json_type = http::HeaderValue::from_static("application/json");
    reply
        .headers_mut()
        .insert(http::header::CONTENT_TYPE, json_type);
    match exchange
        .resume(moment(1), Input::Reply(reply))
        .map_err(text)?
    {
        Step::Done(after) => {
            let token = after
                .refresh_token
                .as_ref()
                .map(|token| token.secret().expose().as_str());
            same(
                "stored",
                token,
                vector.expected["stored_refresh_token_after"].as_str(),
            )
        }
        step => Err(format!("want tokens, got {step:?}")),
    }
}

fn pairs(value: &Value) -> Vec<(String, String)> {
    let pair = |item: &Value| Some((item[0].as_str()?.to_owned(), item[1].as_str()?.to_owned()));
    value
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(pair)
        .collect()
}

fn same_set(mut got: Vec<(String, String)>, mut want: Vec<(String, String)>) -> Verdict {
    got.sort();
    want.sort();
    same("parameters", got, want)
}
