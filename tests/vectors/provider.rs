//! Group `provider-deviation`: what deployed servers do, and the opt-in that copes with it.
//!
//! A vector names a kind of handling. Each kind is shown to work on the vector's own sample; where
//! an opt-in is needed, the default is shown to refuse the sample first.

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode};
use oauth_core::client_auth::SignedSecret;
use oauth_core::error::{Error, Misuse};
use oauth_core::issuer::{Issuer, RedirectUri};
use oauth_core::quirk::{Quirk, Rules};
use oauth_core::server::{EndpointKind, Server};
use oauth_core::{
    AuthorizationRequest, Client, ClientAuth, ClientId, Exchange, Input, Scope, Step, Tokens, json,
};
use serde_json::{Value, json as data};

use crate::format::{Vector, Verdict, holds, same};
use crate::metadata::document;
use crate::token::{client, moment};

pub(crate) fn deviation(vector: &Vector) -> Verdict {
    let handling = vector.expected["handling"].as_str().unwrap_or_default();
    let sample = vector.text("sample").unwrap_or_default();
    let about = vector.text("deviation").unwrap_or_default();
    match handling {
        "JSON response" => {
            let accept = sent(Rules::default())?.headers().get("accept").cloned();
            same(
                "accept",
                accept,
                Some(HeaderValue::from_static("application/json")),
            )
        }
        "oauth_error" => {
            let refused = answered(Rules::default(), 200, "application/json", sample).err();
            let named = refused
                .as_ref()
                .and_then(Error::server_error)
                .and_then(|said| said.error());
            let want: Value = serde_json::from_str(sample).map_err(|error| error.to_string())?;
            same("error", named, want["error"].as_str())
        }
        "lenient" | "ignored members" => lenient(sample, about),
        "issuer function" => tenant_issuer(),
        "exact compare keeps the slash" => exact_issuer(sample),
        "caller sets headers" => {
            let client = client(Rules::default(), "secret")
                .and_then(|client| client.with_header("User-Agent", "mine/1"));
            let request = begin(client.map_err(text)?.client_credentials(Scope::none()))?;
            same(
                "user-agent",
                request.headers().get("user-agent"),
                Some(&HeaderValue::from_static("mine/1")),
            )?;
            holds("Basic", request.headers().contains_key("authorization"))
        }
        "parameter rename hook" => renamed(sample),
        "raw extra params" | "extra params" => extra(sample, about),
        "body encoder hook" => {
            let request = sent(with(Quirk::JsonRequest))?;
            let body: Value =
                serde_json::from_slice(request.body()).map_err(|error| error.to_string())?;
            same(
                "grant_type",
                body["grant_type"].as_str(),
                Some("client_credentials"),
            )?;
            holds("Basic", request.headers().contains_key("authorization"))?;
            let plain = sent(Rules::default())?;
            holds(
                "a form by default",
                serde_json::from_slice::<Value>(plain.body()).is_err(),
            )
        }
        "typed helper, boolean-or-string accessor" => apple(),
        _ if handling.starts_with("quirk") => quirk(sample, about),
        other => Err(format!("no handling {other:?}")),
    }
}

fn text(error: Error) -> String {
    error.to_string()
}

fn with(quirk: Quirk) -> Rules {
    Rules {
        quirks: vec![quirk],
        ..Rules::default()
    }
}

fn begin<E: Exchange>(mut exchange: E) -> Result<Request<Bytes>, String> {
    match exchange.resume(moment(0), Input::Begin).map_err(text)? {
        Step::Send(request) => Ok(request),
        step => Err(format!("want a request, got {step:?}")),
    }
}

fn sent(rules: Rules) -> Result<Request<Bytes>, String> {
    begin(
        client(rules, "secret")
            .map_err(text)?
            .client_credentials(Scope::none()),
    )
}

/// The client's reading of one reply.
fn answered(rules: Rules, status: u16, media: &str, body: &str) -> Result<Tokens, Error> {
    let mut exchange = client(rules, "secret")?.client_credentials(Scope::none());
    let _ = exchange.resume(moment(0), Input::Begin)?;
    let mut reply = Response::new(Bytes::from(body.to_owned()));
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    if let Ok(media) = HeaderValue::from_str(media) {
        reply
            .headers_mut()
            .insert(http::header::CONTENT_TYPE, media);
    }
    match exchange.resume(moment(1), Input::Reply(reply))? {
        Step::Done(tokens) => Ok(tokens),
        _ => Err(Misuse::OutOfOrder.into()),
    }
}

/// A token response with the sample's members, or with those its description names.
fn lenient(sample: &str, about: &str) -> Verdict {
    let mut body = data!({ "access_token": "a", "token_type": "Bearer" });
    let fragment = if sample.starts_with('"') {
        format!("{{{sample}}}")
    } else {
        sample.to_owned()
    };
    match serde_json::from_str::<Value>(&fragment) {
        Ok(Value::Object(members)) => members
            .into_iter()
            .for_each(|(name, value)| body[name] = value),
        _ => {
            let is_name = |word: &&str| word.contains(['_', '-']) && !word.contains('/');
            about
                .split([',', ' '])
                .filter(is_name)
                .for_each(|name| body[name] = data!("x"));
        }
    }
    let tokens =
        answered(Rules::default(), 200, "application/json", &body.to_string()).map_err(text)?;
    if let Some(seconds) = body["expires_in"].as_str() {
        same("expires_in", tokens.expires_in, seconds.parse().ok())?;
    }
    for name in body["scope"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
    {
        holds("the scope's names are read", tokens.scope.contains(name))?;
    }
    holds(
        "there is something to be lenient about",
        body.as_object().is_some_and(|body| body.len() > 2),
    )
}

/// The default refuses the sample, and exactly one opt-in of the closed list reads it.
fn quirk(sample: &str, about: &str) -> Verdict {
    let quoted = about.split('"').nth(1).unwrap_or_default();
    let (status, media, body, quirk) = if sample.contains("\"errors\"") {
        (
            401,
            "application/json",
            sample.to_owned(),
            Quirk::ErrorsArray,
        )
    } else if about.contains("text/plain") {
        (
            200,
            "text/plain",
            sample.to_owned() + "&token_type=bearer",
            Quirk::PlainFormResponse,
        )
    } else if about.contains("camelCase") {
        let body = data!({ "accessToken": "a", "tokenType": "Bearer", "expiresIn": 1 });
        (
            200,
            "application/json",
            body.to_string(),
            Quirk::CamelCaseResponse,
        )
    } else if about.contains("comma") || about.contains("scope_delimiter") {
        return comma_scope();
    } else if about.contains("expires_in") && about.contains('0') {
        return zero_lifetime();
    } else if about.contains("token_type")
        && ["missing", "no ", "without", "omit"]
            .iter()
            .any(|word| about.contains(word))
    {
        let body = data!({ "access_token": "a" });
        (
            200,
            "application/json",
            body.to_string(),
            Quirk::AssumeBearer,
        )
    } else if about.contains("token_type") && !quoted.is_empty() {
        let body = data!({ "access_token": "a", "token_type": quoted });
        (
            200,
            "application/json",
            body.to_string(),
            Quirk::BearerAlias(quoted.to_owned()),
        )
    } else {
        return Err(format!("no sample for {about:?}"));
    };
    let default = answered(Rules::default(), status, media, &body);
    let read = answered(with(quirk.clone()), status, media, &body);
    holds("the default refuses", default.is_err())?;
    if quirk == Quirk::ErrorsArray {
        let said = read
            .as_ref()
            .err()
            .and_then(Error::server_error)
            .and_then(|said| said.error());
        let want: Value = serde_json::from_str(sample).map_err(|error| error.to_string())?;
        return same("error", said, want["errors"][0]["errorType"].as_str());
    }
    let tokens = read.map_err(text)?;
    holds(
        "the token is read",
        !tokens.access_token.expose().is_empty(),
    )?;
    if about.contains("with expires") || body.contains("expiresIn") {
        same("expires_in", tokens.expires_in, Some(1))?;
    }
    Ok(())
}

fn comma_scope() -> Verdict {
    let body =
        data!({ "access_token": "a", "token_type": "bearer", "scope": "repo,gist" }).to_string();
    let names = |rules: Rules| -> Result<usize, String> {
        answered(rules, 200, "application/json", &body)
            .map(|tokens| tokens.scope.iter().count())
            .map_err(text)
    };
    same("names by default", names(Rules::default())?, 1)?;
    same(
        "names in replies",
        names(with(Quirk::ReplyScopeDelimiter(',')))?,
        2,
    )?;
    same("names", names(with(Quirk::ScopeDelimiter(',')))?, 2)
}

fn zero_lifetime() -> Verdict {
    let body = data!({ "access_token": "a", "token_type": "bearer", "expires_in": 0 }).to_string();
    let life = |rules: Rules| -> Result<Option<u64>, String> {
        answered(rules, 200, "application/json", &body)
            .map(|tokens| tokens.expires_in)
            .map_err(text)
    };
    same("over at once by default", life(Rules::default())?, Some(0))?;
    same("no end", life(with(Quirk::ZeroLifetimeIsForever))?, None)
}

fn tenant_issuer() -> Verdict {
    let template = "https://login.microsoftonline.com/{tenantid}/v2.0";
    let rules = with(Quirk::TenantIssuer(template.to_owned()));
    let common = Issuer::parse("https://login.microsoftonline.com/common/v2.0").map_err(text)?;
    let tenant = template.replace("{tenantid}", "9188040d-6c67-4c5b-b112-36a304b66dad");
    holds("a tenant of the template", common.is(&tenant, &rules))?;
    holds(
        "no other path",
        !common.is(&template.replace("{tenantid}", "a/b"), &rules),
    )?;
    holds(
        "no other host",
        !common.is(&tenant.replace("login", "evil"), &rules),
    )?;
    holds("refused by default", !common.is(&tenant, &Rules::default()))
}

fn exact_issuer(sample: &str) -> Verdict {
    let issuer = Issuer::parse(sample).map_err(text)?;
    same("as given", issuer.as_str(), sample)?;
    holds(
        "the slash counts",
        !issuer.is(sample.trim_end_matches('/'), &Rules::default()),
    )?;
    holds("itself", issuer.is(sample, &Rules::default()))
}

fn renamed(sample: &str) -> Verdict {
    let name = sample.split('=').next().unwrap_or_default();
    let rules = Rules {
        quirks: vec![
            Quirk::ClientIdParameter(name.to_owned()),
            Quirk::ScopeDelimiter(','),
        ],
        ..Rules::default()
    };
    let server = document(
        data!({ "token_endpoint": "https://as.example/t", "authorization_endpoint": "https://as.example/a" }),
    );
    let client = server
        .and_then(|server| {
            Client::new(
                server.with_rules(rules),
                ClientId::new("id"),
                ClientAuth::post("secret"),
            )
        })
        .map_err(text)?;
    let scope = Scope::parse("a b").map_err(text)?;
    let request = begin(client.client_credentials(scope.clone()))?;
    let form: Vec<(String, String)> =
        serde_urlencoded::from_bytes(request.body()).map_err(|error| error.to_string())?;
    let value = |wanted: &str| {
        form.iter()
            .find(|(name, _)| name == wanted)
            .map(|(_, value)| value.as_str())
    };
    same(name, value(name), Some("id"))?;
    same("client_id", value("client_id"), None)?;
    same("scope", value("scope"), Some("a,b"))?;
    let uri = RedirectUri::parse("https://app.example/cb").map_err(text)?;
    let (url, _) = client
        .authorize(moment(0), AuthorizationRequest::new(uri).scope(scope))
        .map_err(text)?;
    holds(
        "in the URL too",
        url.as_str().contains(&format!("{name}=id")) && !url.as_str().contains("client_id="),
    )
}

fn extra(sample: &str, about: &str) -> Verdict {
    let assignment = about.split(' ').find_map(|word| word.split_once('='));
    let (name, value) = assignment.unwrap_or((sample, "https://app.example/bye"));
    let server =
        document(data!({ "authorization_endpoint": "https://as.example/a" })).map_err(text)?;
    let client = Client::new(server, ClientId::new("id"), ClientAuth::none()).map_err(text)?;
    let ask = || RedirectUri::parse("https://app.example/cb").map(AuthorizationRequest::new);
    let asked = ask().map_err(text)?.extra(name, value);
    let (url, _) = client.authorize(moment(0), asked).map_err(text)?;
    let sent: Vec<(String, String)> = serde_urlencoded::from_str(url.query().unwrap_or_default())
        .map_err(|error| error.to_string())?;
    holds(
        "the parameter is sent as it is",
        sent.contains(&(name.to_owned(), value.to_owned())),
    )?;
    let shadow = client.authorize(moment(0), ask().map_err(text)?.extra("state", "mine"));
    same(
        "protocol names stay ours",
        shadow.err().map(|error| error.code()),
        Some("form.reserved_parameter"),
    )?;
    // A server without an endpoint says so by name, at the time of use.
    let missing = client.server().endpoint(EndpointKind::Introspection);
    same(
        "no introspection",
        missing.err().map(|error| error.code()),
        Some("endpoint.missing"),
    )
}

/// The client secret is a JWT that the host signs, the callback is a posted form, and a flag may
/// be text.
fn apple() -> Verdict {
    let server = Server::new(Issuer::parse("https://appleid.apple.com").map_err(text)?)
        .with_endpoint(EndpointKind::Token, "https://appleid.apple.com/auth/token")
        .map_err(text)?;
    let auth = ClientAuth::signed_secret(SignedSecret::apple("TEAM", "KEY"));
    let client = Client::new(server, ClientId::new("com.example.app"), auth).map_err(text)?;
    let mut exchange = client.client_credentials(Scope::none());
    let job = match exchange.resume(moment(1000), Input::Begin).map_err(text)? {
        Step::Sign(job) => job,
        step => return Err(format!("want a signature, got {step:?}")),
    };
    same("key", (job.key_id.as_str(), job.alg), ("KEY", "ES256"))?;
    let signed = exchange
        .resume(moment(1000), Input::Signed(Bytes::from(vec![1; 64])))
        .map_err(text)?;
    let Step::Send(request) = signed else {
        return Err("want a request".to_owned());
    };
    let form: Vec<(String, String)> =
        serde_urlencoded::from_bytes(request.body()).map_err(|error| error.to_string())?;
    let secret = form
        .iter()
        .find(|(name, _)| name == "client_secret")
        .map(|(_, jwt)| jwt.clone());
    let input = String::from_utf8_lossy(&job.signing_input).into_owned();
    holds(
        "the JWT is the signed input",
        secret.is_some_and(|jwt| jwt.starts_with(&input) && jwt.split('.').count() == 3),
    )?;
    let flag = |text: &str| {
        json::parse(text)
            .ok()
            .and_then(|value| value.as_bool_or_text())
    };
    same(
        "flags",
        [flag("true"), flag("\"true\""), flag("\"false\""), flag("1")],
        [Some(true), Some(true), Some(false), None],
    )
}
