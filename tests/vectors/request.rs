//! Group `rfc6749-example`: the requests and responses printed in RFC 6749.

use oauth_core::error::Error;
use oauth_core::grant::Extension;
use oauth_core::issuer::Issuer;
use oauth_core::moment::UnixTime;
use oauth_core::quirk::Rules;
use oauth_core::redirect_uri::RedirectUri;
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Exchange as _, Input, Moment, Scope, Step,
    danger,
};
use serde_json::{Value, json};

use crate::callback;
use crate::conversation::{ClientConfig, Conversation, ServerConfig, TurnInput};
use crate::expect;
use crate::fields::{Reply, Text};
use crate::format::{Failure, Vector, Verdict, check, check_equal};
use crate::runner::{self, Runner, flow, public, request, stored_tokens};
use crate::token::{self, moment};

const WITHOUT_PKCE: &str = "only Rust offers authorization without PKCE, which is dangerous";
const EXTENSIONS: &str =
    "conversations do not support extension grants, which each package's own tests cover";

pub(crate) fn example(vector: &Vector, runner: &mut Runner) -> Verdict {
    match vector.text("build") {
        Some("authorization_url") => {
            if runner.is_rust() {
                authorization_url(vector)
            } else {
                Err(Failure::OutOfReach(WITHOUT_PKCE))
            }
        }
        Some("token_request") => token_request(vector, runner),
        Some(other) => Err(format!("nothing builds {other}").into()),
        None if callback::is_callback(&vector.input) => callback::response(vector, runner),
        None if vector.input.get("stored_refresh_token").is_some() => {
            refresh_storage(vector, runner)
        }
        None => token::response(vector, runner),
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

/// The server of the RFC's examples, for players.
fn server_example() -> ServerConfig {
    let endpoints = json!({ "token_endpoint": "https://server.example.com/token" });
    ServerConfig::of("https://server.example.com", endpoints, &Rules::default())
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
    let id = vector.text("client_id").ok_or("no client_id")?;
    Client::new(server, ClientId::new(id), auth).map_err(text)
}

/// `state` is random, so the URL is compared with the value that was drawn.
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
            return expect::outcome::<()>(&vector.expected, Err(refused)).map(drop);
        }
        (Err(refused), None) => return Err(text(refused).into()),
    };
    let uri = RedirectUri::parse(
        vector
            .text("redirect_uri")
            .unwrap_or("https://client.example.com/cb"),
    )
    .map_err(text)?;
    let mut request = AuthorizationRequest::new(uri);
    if let Some(scope) = vector.text("scope") {
        request = request.scope(Scope::parse(scope).map_err(text)?);
    }
    if vector.input.get("pkce").is_some_and(Value::is_null) {
        request = danger::without_pkce(request);
    }
    let (url, pending) = client(vector, server)?
        .authorize(&moment(0), request)
        .map_err(text)?;
    let base = vector.expected["url_base"].as_str().ok_or("no url_base")?;
    let (before, query) = url.as_str().split_once('?').ok_or("no query")?;
    check_equal(
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

fn token_request(vector: &Vector, runner: &mut Runner) -> Verdict {
    let want = vector
        .expected
        .get("if_offered")
        .unwrap_or(&vector.expected);
    let scope = String::new();
    let input = match vector.required_text("grant")? {
        "authorization_code" => code_request(vector)?,
        "refresh_token" => TurnInput::Refresh {
            scope,
            tokens: Some(stored(vector)),
        },
        "client_credentials" => TurnInput::ClientCredentials { scope },
        "password" => TurnInput::Password {
            username: vector.required_text("username")?.to_owned(),
            password: vector.required_text("password")?.to_owned(),
            scope,
        },
        uri => {
            return if runner.is_rust() {
                extension(vector, uri, want)
            } else {
                Err(Failure::OutOfReach(EXTENSIONS))
            };
        }
    };
    let client = ClientConfig {
        id: vector.required_text("client_id")?.to_owned(),
        secret: vector.text("client_secret").map(str::to_owned),
        auth: Some(vector.text("auth").unwrap_or("none").to_owned()),
        ..ClientConfig::default()
    };
    let conversation = Conversation::new(Some(server_example()), Some(client)).then(0, input);
    let sent = request(runner.play(&conversation)?.pop())?;
    check_equal(
        "method",
        Some(sent.method.as_str()),
        want["method"].as_str(),
    )?;
    check_equal("url", Some(sent.url.as_str()), want["url"].as_str())?;
    same_set(sent.form()?, pairs(&want["params"]))?;
    for (name, value) in want["headers"].as_object().into_iter().flatten() {
        check_equal(
            name,
            sent.header(&name.to_ascii_lowercase()),
            value.as_str(),
        )?;
    }
    if let Some(name) = want["must_not_have_header"].as_str() {
        let is_absent = sent.header(&name.to_ascii_lowercase()).is_none();
        check("the header is absent", is_absent)?;
    }
    Ok(())
}

/// An extension grant; without a client in the vector, the request is compared without authentication.
fn extension(vector: &Vector, uri: &str, want: &Value) -> Verdict {
    let connection_options = ["build", "grant", "client_id", "client_secret", "auth"];
    let members = vector.input.as_object().into_iter().flatten();
    let (mut grant, mut scope) = (Extension::new(uri).map_err(text)?, Scope::none());
    for (name, value) in members.filter(|(name, _)| !connection_options.contains(&name.as_str())) {
        let value = value
            .as_str()
            .ok_or_else(|| format!("{name} is not a string"))?;
        grant = match name.as_str() {
            "scope" => {
                scope = Scope::parse(value).map_err(text)?;
                grant
            }
            _ => grant.parameter(name, value).map_err(text)?,
        };
    }
    let server = server().map_err(text)?;
    let client = Client::new(server, ClientId::new("nobody"), ClientAuth::none());
    let mut exchange = client.map_err(text)?.token(grant, scope);
    let at = Moment::fixed(UnixTime::from_secs(0), [0; 32]);
    let Step::Send(request) = exchange.resume(&at, Input::Begin).map_err(text)? else {
        return Err("the first result is not a request".to_owned().into());
    };
    check_equal(
        "url",
        Some(request.uri().to_string().as_str()),
        want["url"].as_str(),
    )?;
    let mut sent: Vec<(String, String)> =
        serde_urlencoded::from_bytes(request.body()).map_err(|error| error.to_string())?;
    sent.retain(|(name, _)| name != "client_id");
    same_set(sent, pairs(&want["params"]))
}

fn code_request(vector: &Vector) -> Result<TurnInput, Failure> {
    let uri = vector.required_text("redirect_uri")?;
    let query =
        serde_urlencoded::to_string([("code", vector.required_text("code")?), ("state", "xyz")]);
    let query = query.map_err(|error| error.to_string())?;
    Ok(TurnInput::Redeem {
        callback: format!("{uri}?{query}"),
        flow: Some(flow(json!({
            "issuer": "https://server.example.com", "client_id": vector.required_text("client_id")?,
            "redirect_uri": uri, "code_verifier": vector.text("code_verifier"),
        }))),
    })
}

fn stored(vector: &Vector) -> Text {
    let refresh = vector
        .text("refresh_token")
        .or(vector.text("stored_refresh_token"));
    stored_tokens(json!({
        "issuer": "https://server.example.com",
        "client_id": vector.text("client_id").unwrap_or("s6BhdRkqt3"),
        "access_token": "old", "refresh_token": refresh,
    }))
}

fn refresh_storage(vector: &Vector, runner: &mut Runner) -> Verdict {
    let refresh = TurnInput::Refresh {
        scope: String::new(),
        tokens: Some(stored(vector)),
    };
    let reply = TurnInput::Reply(Reply::json(&vector.input["response"]));
    let conversation = Conversation::new(Some(server_example()), Some(public("s6BhdRkqt3")))
        .then(0, refresh)
        .then(1, reply);
    let mut outputs = runner.play(&conversation)?.into_iter();
    request(outputs.next())?;
    let tokens = runner::tokens(outputs.next())?.map_err(|refusal| refusal.message)?;
    check_equal(
        "stored",
        tokens.text("refresh_token")?.as_deref(),
        vector.expected["stored_refresh_token_after"].as_str(),
    )
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

fn same_set(mut access_tokens: Vec<(String, String)>, mut want: Vec<(String, String)>) -> Verdict {
    access_tokens.sort();
    want.sort();
    check_equal("parameters", access_tokens, want)
}
